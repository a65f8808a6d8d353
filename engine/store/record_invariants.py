"""Records against the invariants: no call was cut by an unbinding (I9), no 700 caller came from elsewhere (I15)."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping
from typing import Final, final

from engine.core.numbers import PRIVACY_LENGTH, is_privacy_number
from engine.core.records import ReleaseCause
from engine.domain.gates import BLOCK_DIGITS
from engine.domain.spells import Finding
from engine.store.crypto import NumberCipher
from engine.store.rows import utc_seconds

Progress = Callable[[int, int], None]

CUT_S: Final = 1.0  # so soon after an end a release by the platform is taken for its work
PAGE: Final = 5000

_SIV_BYTES: Final = 16  # longer than the number
_ROWS: Final = (
    "SELECT rowid, record_id, kind, subs_id, binding_version, release_direction, release_cause, answer_time,"
    " release_time, ingress_peer,"
    f" CASE WHEN length(caller) = {PRIVACY_LENGTH + _SIV_BYTES} AND call_out_time IS NOT NULL THEN caller END"
    " FROM cdr WHERE rowid > ? ORDER BY rowid LIMIT ?"
)
_END: Final = "SELECT valid_to, expires_at FROM binding WHERE subs_id = ? AND version = ?"
# Why the platform may end a call at any moment, also at that of an unbinding; the kill switch is meant to.
_OWN_REASONS: Final = frozenset(
    (
        ReleaseCause.MAX_DURATION,
        ReleaseCause.SESSION_EXPIRED,
        ReleaseCause.NODE_RESTART,
        ReleaseCause.NO_ACK,
        ReleaseCause.LEAK_STOPPED,
        ReleaseCause.NUMBER_FROZEN,
        ReleaseCause.TENANT_SUSPENDED,
    )
)


@final
class RecordInvariants:
    """One look over records.db; `serves_700`: by peer the blocks that it may use as caller."""

    def __init__(
        self,
        records: sqlite3.Connection,
        bindings: sqlite3.Connection,
        cipher: NumberCipher,
        serves_700: Mapping[str, tuple[str, ...]],
    ) -> None:
        self._records = records
        self._bindings = bindings
        self._cipher = cipher
        self._serves_700 = serves_700
        self.records = 0

    def total(self) -> int:
        """Rows that there are to look at."""
        return int(self._records.execute("SELECT count(*) FROM cdr").fetchone()[0])

    def findings(self, progress: Progress | None = None) -> Iterator[Finding]:
        """What does not hold. sqlite3.Error; StoreError when a number cannot be read."""
        total = self.total()
        last = 0
        while rows := self._records.execute(_ROWS, (last, PAGE)).fetchall():
            for row in rows:
                yield from self._of_record(*row[1:])
            last = rows[-1][0]
            self.records += len(rows)
            if progress is not None:
                progress(min(self.records, total), total)

    def _of_record(
        self,
        record_id: str,
        kind: str,
        subs_id: str,
        version: int,
        direction: str,
        cause: str,
        answer_time: str | None,
        release_time: str | None,
        peer: str,
        caller: bytes | None,
    ) -> Iterator[Finding]:
        if kind == "voice" and direction == "platform" and answer_time and release_time and cause not in _OWN_REASONS:
            row = self._bindings.execute(_END, (subs_id, version)).fetchone() or ()
            released = utc_seconds(release_time)
            if any(end is not None and 0 <= released - end <= CUT_S for end in row):
                yield Finding("I9", f"call {record_id} was released by the platform as {subs_id} ended ({cause})")
        if caller is not None:
            yield from self._of_caller(record_id, peer, self._cipher.decrypt(caller, "cdr.caller"))

    def _of_caller(self, record_id: str, peer: str, caller: str) -> Iterator[Finding]:
        """A 700 number called, and the call went out."""
        if is_privacy_number(caller) and caller[:BLOCK_DIGITS] not in self._serves_700.get(peer, ()):
            yield Finding("I15", f"call {record_id} of {caller} came from peer {peer}, which does not serve its block")
