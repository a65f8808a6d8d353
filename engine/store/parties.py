"""Of which bindings in force a number is a party: found beside those who write, and made sure of by who ends them."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import Final, final

from engine.store.crypto import NumberCipher
from engine.store.members import COLUMN

_IN_FORCE: Final = "valid_to IS NULL AND expires_at > :now AND app_platform = :platform"
# The index has expires_at and both parties: rows are read of those alone that are found.
_OF_NUMBER: Final = (
    f"SELECT subs_id FROM binding INDEXED BY binding_ends WHERE {_IN_FORCE} AND (tel_a = :a OR tel_b = :b)"
)
_OF_GROUPS: Final = (
    "SELECT subs_id FROM binding WHERE group_id != '' AND group_id IN"
    f" (SELECT group_id FROM group_member WHERE member = :member) AND {_IN_FORCE}"
)
_SEEN: Final = "SELECT (SELECT max(id) FROM binding), (SELECT max(id) FROM audit)"

_HAS: Final = (
    f"{_IN_FORCE} AND (tel_a = :a OR tel_b = :b"
    " OR EXISTS (SELECT 1 FROM group_member WHERE group_id = binding.group_id AND member = :member))"
)
_STILL: Final = f"SELECT 1 FROM binding WHERE subs_id = :subs_id AND {_HAS}"
_NEWER: Final = f"SELECT subs_id FROM binding WHERE id > :binding AND {_HAS}"
_EDITED: Final = "SELECT DISTINCT detail FROM audit WHERE id > :audit AND action = 'number_group.edit'"
_OF_GROUP: Final = f"SELECT subs_id FROM binding WHERE group_id != '' AND group_id = :group AND {_HAS}"


@final
@dataclass(frozen=True, slots=True)
class Bindings:
    """Those of one number at one moment, and how far the store had come then."""

    subs_ids: tuple[str, ...]
    last_binding: int  # row id
    last_audit: int  # row id


def find_bindings(
    connection: sqlite3.Connection, cipher: NumberCipher, app_platform: str, number: str, wall_s: float
) -> Bindings:
    """Of a canonical number under one platform. It looks at all bindings in force: not in a transaction that writes."""
    named = _named(cipher, app_platform, number, wall_s)
    connection.execute("BEGIN")
    try:
        binding, audit = connection.execute(_SEEN).fetchone()
        rows = connection.execute(_OF_NUMBER, named).fetchall() + connection.execute(_OF_GROUPS, named).fetchall()
    finally:
        connection.execute("COMMIT")
    return Bindings(tuple(subs_id for (subs_id,) in rows), binding or 0, audit or 0)


def bindings_now(
    connection: sqlite3.Connection, cipher: NumberCipher, app_platform: str, number: str, wall_s: float,
    found: Bindings,
) -> list[str]:  # fmt: skip
    """The same as it is now: what was found and still is, and what has come since. Looks at little more than that."""
    execute = connection.execute
    named = _named(cipher, app_platform, number, wall_s)
    named |= {"binding": found.last_binding, "audit": found.last_audit}
    now = [subs_id for subs_id in found.subs_ids if execute(_STILL, named | {"subs_id": subs_id}).fetchone()]
    now += [subs_id for (subs_id,) in execute(_NEWER, named)]
    for (detail,) in execute(_EDITED, named).fetchall():
        now += [subs_id for (subs_id,) in execute(_OF_GROUP, named | {"group": detail.partition(": ")[0]})]
    return list(dict.fromkeys(now))


def _named(cipher: NumberCipher, app_platform: str, number: str, wall_s: float) -> dict[str, object]:
    columns = {"a": "binding.tel_a", "b": "binding.tel_b", "member": COLUMN}
    sealed: dict[str, object] = {name: cipher.encrypt(number, column) for name, column in columns.items()}
    return sealed | {"now": wall_s, "platform": app_platform}
