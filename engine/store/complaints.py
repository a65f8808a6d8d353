"""Complaints about calls and messages of a 700 number: taken in, blocked, closed, and how long the block took.

Each function works inside a transaction of its caller. Who complains is kept encrypted (AD "complaint.complainant") and
shown masked.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Final, NamedTuple

from engine.core.numbers import canonical_real, is_privacy_number, mask, masked_runs
from engine.domain.problems import Problem, ProblemCode
from engine.store.audit import Asker
from engine.store.crypto import NumberCipher
from engine.store.history import note_act
from engine.store.register import BLOCK_DIGITS
from engine.store.restrictions import KILLED, kill, restriction_of
from engine.store.rows import utc_text

MAX_DETAIL: Final = 500

_COLUMNS: Final = "id, tel_x, complainant, app_platform, business_user, detail, received_at, blocked_at, closed_at"
_HOLDER: Final = "SELECT app_platform, business_user FROM number_block WHERE prefix = ?"
_ADD: Final = (
    "INSERT INTO complaint (tel_x, complainant, app_platform, business_user, detail, received_at, key_id)"
    " VALUES (?, ?, ?, ?, ?, ?, ?)"
)
_READ: Final = f"SELECT {_COLUMNS} FROM complaint WHERE id = ?"
_LIST: Final = f"SELECT {_COLUMNS} FROM complaint WHERE id > ? AND (? = '' OR app_platform = ?) ORDER BY id LIMIT ?"
_BINDING: Final = "SELECT tel_x, tel_y FROM binding WHERE subs_id = ? ORDER BY version DESC LIMIT 1"
_ALL: Final = -1
_AD: Final = "complaint.complainant"


class Complaint(NamedTuple):
    """One complaint; times in seconds since the epoch (UTC), None for what has not happened."""

    id: int
    tel_x: str
    complainant: str  # masked; "" when nobody is named
    app_platform: str  # who had the number when it came in
    business_user: str
    detail: str
    received_at: float
    blocked_at: float | None
    closed_at: float | None

    @property
    def to_block_s(self) -> float | None:
        """How long the number or its binding went on after the complaint."""
        return None if self.blocked_at is None else round(self.blocked_at - self.received_at, 3)

    @property
    def state(self) -> str:
        """received, blocked or closed."""
        return "closed" if self.closed_at is not None else "received" if self.blocked_at is None else "blocked"

    def as_dict(self) -> dict[str, object]:
        """As it is told, times RFC 3339 UTC."""
        return {
            "id": self.id, "state": self.state, "tel_x": self.tel_x, "complainant": self.complainant,
            "app_platform": self.app_platform, "business_user": self.business_user, "detail": self.detail,
            "received": utc_text(self.received_at),
            "blocked": None if self.blocked_at is None else utc_text(self.blocked_at),
            "closed": None if self.closed_at is None else utc_text(self.closed_at), "to_block_s": self.to_block_s,
        }  # fmt: skip


def add_complaint(
    connection: sqlite3.Connection, cipher: NumberCipher, tel_x: str, complainant: str, detail: str, asker: Asker,
    wall_s: float,
) -> Complaint:  # fmt: skip
    """Take one in; `complainant` "" for nobody. A real number in the text is masked. Problem."""
    if not is_privacy_number(tel_x):
        raise Problem(ProblemCode.ILLEGAL_ARGUMENT, "tel_x", "is not a 700 number of 15 digits")
    holder = connection.execute(_HOLDER, (tel_x[:BLOCK_DIGITS],)).fetchone()
    if holder is None:
        raise Problem(ProblemCode.NOT_FOUND, "tel_x", f"{tel_x} lies in no block of the inventory")
    real = canonical_real(complainant) if complainant else ""
    if real is None:
        raise Problem(ProblemCode.MOBILE_NUMBER_ILLEGAL, "complainant", "is not a number that can be called")
    told = " ".join(masked_runs(detail).split())
    if not told or len(told) > MAX_DETAIL or not told.isprintable():
        raise Problem(ProblemCode.ILLEGAL_ARGUMENT, "detail", f"must be 1 to {MAX_DETAIL} printable characters")
    sealed = cipher.encrypt(real, _AD) if real else None
    row = connection.execute(_ADD, (tel_x, sealed, *holder, told, wall_s, cipher.key_id))
    note_act(connection, "complaint.add", str(row.lastrowid), f"about {tel_x}", asker, wall_s)
    return read_complaint(connection, cipher, int(row.lastrowid or 0))


def read_complaint(connection: sqlite3.Connection, cipher: NumberCipher, number: int) -> Complaint:
    """One of them; Problem NOT_FOUND."""
    row = connection.execute(_READ, (number,)).fetchone()
    if row is None:
        raise Problem(ProblemCode.NOT_FOUND, "id", f"there is no complaint {number}")
    return _shown(row, cipher)


def list_complaints(
    connection: sqlite3.Connection, cipher: NumberCipher, app_platform: str = "", after: int = 0, limit: int = _ALL
) -> list[Complaint]:
    """In the order in which they came in; `app_platform` "" for those about all."""
    rows = connection.execute(_LIST, (after, app_platform, app_platform, limit))
    return [_shown(row, cipher) for row in rows]


def block_complaint(
    connection: sqlite3.Connection, cipher: NumberCipher, number: int, asker: Asker, wall_s: float, subs_id: str,
    end: Callable[[str], object],
) -> Complaint:  # fmt: skip
    """Shut off the number, or, where one is named, have `end` end a binding of it by its subs_id. Once. Problem."""
    complaint = read_complaint(connection, cipher, number)
    if complaint.state != "received":
        raise Problem(ProblemCode.ILLEGAL_STATE, "state", f"the complaint is {complaint.state} already")
    if subs_id:
        found = connection.execute(_BINDING, (subs_id,)).fetchone()
        if found is None or complaint.tel_x not in found:
            raise Problem(ProblemCode.NOT_FOUND, "subs_id", f"is no binding of {complaint.tel_x}")
        end(subs_id)
    elif restriction_of(connection, "number", complaint.tel_x) != KILLED:
        kill(connection, "number", complaint.tel_x, asker, wall_s)
    connection.execute("UPDATE complaint SET blocked_at = ? WHERE id = ?", (wall_s, number))
    what = f"binding {subs_id} ended" if subs_id else f"{complaint.tel_x} shut off"
    note_act(connection, "complaint.block", str(number), what, asker, wall_s)
    return read_complaint(connection, cipher, number)


def close_complaint(
    connection: sqlite3.Connection, cipher: NumberCipher, number: int, asker: Asker, wall_s: float
) -> Complaint:
    """It has been dealt with; what was shut off stays so. Problem."""
    if read_complaint(connection, cipher, number).closed_at is not None:
        raise Problem(ProblemCode.ILLEGAL_STATE, "state", "the complaint is closed already")
    connection.execute("UPDATE complaint SET closed_at = ? WHERE id = ?", (wall_s, number))
    note_act(connection, "complaint.close", str(number), "closed", asker, wall_s)
    return read_complaint(connection, cipher, number)


def _shown(row: tuple[object, ...], cipher: NumberCipher) -> Complaint:
    found = list(row)
    found[2] = mask(cipher.decrypt(bytes(row[2]), _AD)) if isinstance(row[2], bytes) else ""
    return Complaint(*found)  # type: ignore[arg-type]
