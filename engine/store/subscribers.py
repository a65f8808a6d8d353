"""The persons behind numbers, as an app platform reports them: whether the real name is verified, and their consent.

Each function works inside a transaction of its caller. Of a person nothing is kept but what was found out: no name, no
document. A number is named in history and audit by its cipher text and masked.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, final

from engine.core.numbers import canonical_real, mask
from engine.domain.fields import text
from engine.domain.problems import Problem, ProblemCode
from engine.domain.states import first_state, next_state
from engine.store.audit import Asker
from engine.store.crypto import NumberCipher
from engine.store.history import note_act, note_transition
from engine.store.parties import Bindings, bindings_now

KIND: Final = "subscriber"

_READ: Final = (
    "SELECT state, source, verified_at, consent_ref, consent_at FROM subscriber WHERE app_platform = ? AND number = ?"
)
_WRITE: Final = (
    "INSERT INTO subscriber (app_platform, number, state, source, verified_at, consent_ref, consent_at, key_id)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (app_platform, number) DO UPDATE SET state = excluded.state,"
    " source = excluded.source, verified_at = excluded.verified_at, consent_ref = excluded.consent_ref,"
    " consent_at = excluded.consent_at"
)
_PLATFORM: Final = "SELECT 1 FROM app_platform WHERE id = ?"


@final
@dataclass(frozen=True, slots=True)
class Subscriber:
    """What is known of the person behind a number."""

    state: str  # unknown | verified | revoked: the real name
    source: str  # who has verified it
    verified_at: float | None  # seconds since the epoch, as is the next
    consent_ref: str  # "" without consent
    consent_at: float | None


@final
class Subscribers:
    """Those of one app platform, inside one transaction."""

    def __init__(
        self, connection: sqlite3.Connection, cipher: NumberCipher, app_platform: str, asker: Asker, wall_s: float
    ) -> None:
        """Problem NOT_FOUND for a platform that is not there."""
        if connection.execute(_PLATFORM, (app_platform,)).fetchone() is None:
            raise Problem(ProblemCode.NOT_FOUND, "app_platform", f"there is no app platform {app_platform}")
        self._connection = connection
        self._cipher = cipher
        self._platform = app_platform
        self._asker = asker
        self._wall_s = wall_s

    def read(self, number: str) -> Subscriber:
        """What is known of a number in any spelling; Problem NOT_FOUND when nothing is."""
        found = self._find(_canonical(number))
        if found is None:
            raise Problem(ProblemCode.NOT_FOUND, "number", f"{mask(number)} has not been reported")
        return found

    def report(self, number: str) -> Subscriber:
        """A number whose real name is not verified yet; one that is known stays as it is."""
        real = _canonical(number)
        return self._find(real) or self._write(real, Subscriber(first_state(KIND), "", None, "", None), "", "reported")

    def verify(self, number: str, source: str) -> Subscriber:
        """The real name has been verified by `source`; again renews the proof."""
        real = _canonical(number)
        _check("source", source)
        before = self._known(real)
        if before.state != "verified":
            next_state(KIND, before.state, "verified")
        after = Subscriber("verified", source, self._wall_s, before.consent_ref, before.consent_at)
        return self._write(real, after, before.state, f"verified by {source}")

    def revoke(self, number: str) -> Subscriber:
        """The proof of the real name counts no more."""
        real = _canonical(number)
        before = self._known(real)
        next_state(KIND, before.state, "revoked")
        after = Subscriber("revoked", before.source, before.verified_at, before.consent_ref, before.consent_at)
        return self._write(real, after, before.state, "revoked")

    def consent(self, number: str, reference: str) -> Subscriber:
        """The person has agreed to be reached through 700 numbers; `reference` says where that stands."""
        real = _canonical(number)
        _check("consent_ref", reference)
        before = self._known(real)
        after = Subscriber(before.state, before.source, before.verified_at, reference, self._wall_s)
        return self._write(real, after, before.state, f"consent {reference}")

    def opt_out(self, number: str, found: Bindings, end: Callable[[str], object]) -> list[str]:
        """The person agrees no more: each binding in force of the number under this platform is ended at once.

        `found`: what `find_bindings` has found before; `end` ends one by its subs_id (`Binder.unbind`); those that
        were ended.
        """
        real = _canonical(number)
        before = self._known(real)
        self._write(
            real, Subscriber(before.state, before.source, before.verified_at, "", None), before.state, "opted out"
        )
        bound = bindings_now(self._connection, self._cipher, self._platform, real, self._wall_s, found)
        for subs_id in bound:
            end(subs_id)
        return bound

    def _known(self, real: str) -> Subscriber:
        return self._find(real) or Subscriber(first_state(KIND), "", None, "", None)

    def _find(self, real: str) -> Subscriber | None:
        row = self._connection.execute(_READ, (self._platform, self._sealed(real))).fetchone()
        return None if row is None else Subscriber(*row)

    def _write(self, real: str, after: Subscriber, before: str, what: str) -> Subscriber:
        sealed = self._sealed(real)
        if self._find(real) is None:
            before = ""
        self._connection.execute(
            _WRITE,
            (self._platform, sealed, after.state, after.source, after.verified_at, after.consent_ref,
             after.consent_at, self._cipher.key_id),
        )  # fmt: skip
        if before != after.state:
            entity = f"{self._platform}/{sealed.hex()}"
            note_transition(self._connection, KIND, entity, before, after.state, self._asker, self._wall_s)
        where = f"{self._platform} {mask(real)}"
        note_act(self._connection, f"{KIND}.change", where, what, self._asker, self._wall_s)
        return after

    def _sealed(self, real: str) -> bytes:
        return self._cipher.encrypt(real, "subscriber.number")


def _canonical(number: str) -> str:
    real = canonical_real(number)
    if real is None:
        raise Problem(ProblemCode.MOBILE_NUMBER_ILLEGAL, "number", "is not a number that can be called")
    return real


def _check(field: str, value: str) -> None:
    try:
        text(value)
    except ValueError as error:
        raise Problem(ProblemCode.ILLEGAL_ARGUMENT, field, str(error)) from None
