"""Who has called whom lately: the records, each pair once, for those who ask what would become of such a call now."""

from __future__ import annotations

from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Final, NamedTuple

from engine.core.attempt_record import number_called
from engine.core.records import CallRecord
from engine.store.crypto import NumberCipher
from engine.store.database import open_read_only, store_errors
from engine.store.rows import utc_text

PAGE: Final = 20_000  # records looked at in one query

# The newest first: records stand in the order in which the attempts ended, and none ends before it begins.
_BACKWARDS: Final = (
    "SELECT rowid, call_time, kind, ingress_peer, tel_x, tel_y, presented_number, caller, callee, group_member"
    " FROM cdr WHERE rowid < ? ORDER BY rowid DESC LIMIT ?"
)
_LAST: Final = 2**63 - 1
_SLACK_PAGES: Final = 2  # records of several threads of the loader, and clocks that stepped, may stand a little apart

_Row = tuple[str, str, str, str, str, bytes | None, bytes | None, bytes | None]


class Called(NamedTuple):
    """A kind of attempt: `caller` canonical, "" when it could not be read, `called` as the node has read it."""

    kind: str  # voice | message
    peer: str  # that it came from
    caller: str
    called: str  # "" when it could not be read


def recent_calls(path: Path, cipher: NumberCipher, since_s: float) -> Counter[Called]:
    """The attempts on record in records.db that began at `since_s` or later, and how often each was.

    Nothing is written, and no file made. StoreError.
    """
    is_open = path.with_name(f"{path.name}-wal").exists()
    since = utc_text(since_s)
    rows: Counter[_Row] = Counter()
    with store_errors(path), closing(open_read_only(path, cipher, at_rest=not is_open)) as connection:
        before, old_pages = _LAST, 0
        while old_pages < _SLACK_PAGES:
            page = connection.execute(_BACKWARDS, (before, PAGE)).fetchall()
            if not page:
                break
            before = page[-1][0]
            fresh = [row[2:] for row in page if row[1] >= since]
            rows.update(fresh)
            old_pages = 0 if fresh else old_pages + 1
    found: Counter[Called] = Counter()
    for row, count in rows.items():
        found[_called(row, cipher)] += count
    return found


def _called(row: _Row, cipher: NumberCipher) -> Called:
    kind, peer, tel_x, tel_y, presented, caller, callee, member = row
    numbers = {
        column: cipher.decrypt(blob, f"cdr.{column}") if blob is not None else ""
        for column, blob in (("caller", caller), ("callee", callee), ("group_member", member))
    }
    called = called_in(tel_x, tel_y, presented, numbers["caller"], numbers["callee"], numbers["group_member"])
    return Called(kind, peer, numbers["caller"], called)


def called_in(tel_x: str, tel_y: str, presented: str, caller: str, callee: str, member: str) -> str:
    """What was dialled, as the fields of a record tell: the 700 number, of none the real one."""
    if not tel_x:
        return callee
    record = CallRecord("", "", "")
    record.tel_x, record.tel_y, record.presented_number = tel_x, tel_y, presented
    record.caller, record.group_member = caller, member
    return number_called(record)
