"""`trace`: who was behind a 700 number at a moment, and which calls and messages went through it around then."""

from __future__ import annotations

import json
import math
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Final, NamedTuple, final

from engine.core.records import FIELDS
from engine.store.archive_reader import Archive, gone_up_to
from engine.store.audit import Asker, audit_row, write_audit
from engine.store.crypto import NumberCipher
from engine.store.database import open_read_only, store_errors
from engine.store.rows import ANSWER_COLUMNS, NUMBER_COLUMNS, OPEN_COLUMNS, utc_text

SLICE_S: Final = 3600.0  # of the records read at a time: no read transaction stays open while a consumer works
# Behind the end of a binding a call may name it: looked up while the end was being committed, or refused as expired.
SLACK_S: Final = 60.0

_IS_X: Final = "(tel_x = ?1 OR (tel_y = ?1 AND tel_y != ''))"  # Y of a binding is a 700 number like X
_IN_FORCE: Final = (
    "SELECT subs_id, version, mode, tel_x, tel_y, tel_a, tel_b, group_id,"
    " business_user, coalesce(business_user.name, ''), coalesce(uscc, ''),"
    " binding.app_platform, coalesce(app_platform.name, ''), coalesce(licence_no, ''),"
    " order_id, scenario, valid_from, valid_to, expires_at"
    " FROM binding LEFT JOIN business_user ON business_user.id = binding.business_user"
    " LEFT JOIN app_platform ON app_platform.id = binding.app_platform"
    f" WHERE {_IS_X} AND valid_from <= ?2 AND coalesce(min(valid_to, expires_at), expires_at) > ?2 ORDER BY binding.id"
)
_BEFORE_AND_AFTER: Final = (
    "SELECT max(coalesce(min(valid_to, expires_at), expires_at)) FILTER (WHERE valid_from <= ?2),"
    f" min(valid_from) FILTER (WHERE valid_from > ?2) FROM binding WHERE {_IS_X}"
)
_MEMBERS: Final = (
    "SELECT position, member FROM group_member WHERE group_id = ?1 AND since_at <= ?2"
    " UNION ALL SELECT 1e9, member FROM group_past WHERE group_id = ?1 AND since_at <= ?2 AND until_at > ?2 ORDER BY 1"
)
# A record_id begins with the milliseconds of its call_time, and has an index: none is needed on tel_x, which every call
# would pay for.
_RECORDS: Final = (
    f"SELECT {', '.join(FIELDS)} FROM cdr WHERE record_id >= ? AND record_id < ? AND ? IN (tel_x, tel_y)"
    " ORDER BY record_id"
)
_PURGED: Final = "SELECT DISTINCT day FROM purged_day WHERE day BETWEEN ? AND ? ORDER BY day"
_ANSWERED: Final = frozenset(ANSWER_COLUMNS)
_OPEN_COLUMNS: Final = tuple(name for name in OPEN_COLUMNS if name in FIELDS)
_OPEN: Final = (
    "SELECT "
    + ", ".join(
        f"coalesce(call_answer.{name}, call_open.{name})" if name in _ANSWERED else f"call_open.{name}"
        for name in _OPEN_COLUMNS
    )
    + " FROM call_open LEFT JOIN call_answer USING (record_id) WHERE ? IN (call_open.tel_x, call_open.tel_y)"
    " ORDER BY record_id"
)

Progress = Callable[[int, int], None]  # hours of the period that have been read, of how many


@final
@dataclass(frozen=True, slots=True)
class Question:
    """Which number (15 digits), when (seconds since the epoch), and how long before and after to look for calls."""

    tel_x: str
    at_s: float
    window_s: float


@final
@dataclass(frozen=True, slots=True)
class Bound:
    """A binding that was in force, real numbers in clear. Times: RFC 3339 UTC. Names: as the inventory has them now."""

    subs_id: str
    version: int
    mode: str
    tel_x: str
    tel_y: str
    tel_a: str
    tel_b: str
    group_id: str
    members: tuple[str, ...]  # of the group at the moment that is asked about
    business_user: str
    business_user_name: str
    uscc: str
    app_platform: str
    app_platform_name: str
    licence_no: str
    order_id: str
    scenario: str
    valid_from: str
    valid_to: str  # when it was ended before its expiration; empty while it was not
    expiration: str


class _Span(NamedTuple):
    """A time in which a binding was in force, seconds since the epoch; the end is exclusive."""

    since_s: float
    until_s: float


class Nearest(NamedTuple):
    """Where X was bound to nobody: when it last was before, and when it was again (RFC 3339 UTC), empty for never."""

    before: str
    after: str


@final
class Trace:
    """The answer to a question that stands in the audit already. Read while nodes and imports write."""

    def __init__(
        self, data_dir: Path, cipher: NumberCipher, question: Question, archive: Archive | None = None
    ) -> None:
        """Reads the bindings; StoreError."""
        self.question: Final = question
        self._archive = archive
        self._records_db = data_dir / "records.db"
        self._cipher = cipher
        path = data_dir / "bindings.db"
        x, at_s = question.tel_x, question.at_s
        with store_errors(path), closing(open_read_only(path, cipher)) as connection:
            found = connection.execute(_IN_FORCE, (x, at_s)).fetchall()
            members = [connection.execute(_MEMBERS, (row[7], at_s)).fetchall() for row in found]
            before, after = connection.execute(_BEFORE_AND_AFTER, (x, at_s)).fetchone()
        self.bindings: Final = tuple(map(self._bound, found, members))
        self.nearest: Final = Nearest(*["" if moment is None else utc_text(moment) for moment in (before, after)])
        self._spans = {(row[0], row[1]): _span(row) for row in found}
        self._period = self._read_period()

    def period(self) -> tuple[str, str]:
        """From when until when (exclusive, RFC 3339 UTC) calls and messages are looked for."""
        since_s, until_s = self._period
        return utc_text(since_s), utc_text(until_s)

    def purged_days(self) -> tuple[str, ...]:
        """The days of the period (2026-11-24, UTC) whose records were purged and are in no archive. StoreError."""
        if not self._records_db.is_file():
            return ()
        since, until = self.period()
        with store_errors(self._records_db), closing(open_read_only(self._records_db, None)) as connection:
            gone = gone_up_to(connection, self._archive)
            purged = connection.execute(_PURGED, (since[:10], min(until[:10], gone)))
            return tuple(day for (day,) in purged)

    def records(self, progress: Progress | None = None) -> Iterator[dict[str, Any]]:
        """Those that began in that time through one of the bindings, or through none while one was in force.

        Oldest first, fields as `cdr export` names them, real numbers in clear; of an attempt in progress only what it
        has, and they come last. StoreError.
        """
        if not self._spans or not self._records_db.is_file():
            return
        with ExitStack() as stack:
            stack.enter_context(store_errors(self._records_db))
            connection = stack.enter_context(closing(open_read_only(self._records_db, self._cipher)))
            # Read first: what ends meanwhile is then found twice, not never.
            begun = connection.execute(_OPEN, (self.question.tel_x,)).fetchall()
            ended = set()
            for row in chain(self._archived(connection), self._ended(connection, progress)):
                if row["record_id"] not in ended and self._is_of_us(row):
                    ended.add(row["record_id"])
                    yield self._clear(row, "cdr")
            first, last = map(_first_id, self._period)
            for values in begun:
                row = dict(zip(_OPEN_COLUMNS, values, strict=True))
                if row["record_id"] not in ended and first <= row["record_id"] < last and self._is_of_us(row):
                    yield self._clear(row, "call_open")

    def _archived(self, connection: sqlite3.Connection) -> Iterator[dict[str, Any]]:
        """Records of X that the archive has of the period; those that are in the table too come again."""
        if self._archive is not None:
            self._archive.check_seam(connection)
            for row in self._archive.records(FIELDS, *self.period()):
                if self.question.tel_x in (row["tel_x"], row["tel_y"]):
                    yield row

    def _ended(self, connection: sqlite3.Connection, progress: Progress | None) -> Iterator[dict[str, Any]]:
        """Records of X in the period, an hour at a time."""
        since_s, until_s = self._period
        slices = math.ceil((until_s - since_s) / SLICE_S)
        for number in range(slices):
            begin_s = since_s + number * SLICE_S
            end_s = min(begin_s + SLICE_S, until_s)
            bounds = (_first_id(begin_s), _first_id(end_s), self.question.tel_x)
            for values in connection.execute(_RECORDS, bounds).fetchall():
                yield dict(zip(FIELDS, values, strict=True))
            if progress is not None:
                progress(number + 1, slices)

    def _read_period(self) -> _Span:
        """The window, as far as a binding was in force."""
        at_s, window_s = self.question.at_s, self.question.window_s
        spans = self._spans.values()
        since_s = max(at_s - window_s, min((span.since_s for span in spans), default=at_s))
        until_s = min(at_s + window_s, max((span.until_s + SLACK_S for span in spans), default=at_s))
        return _Span(since_s, until_s)

    def _is_of_us(self, row: dict[str, Any]) -> bool:
        """Other pairs may share X, and nobody has asked for those: only our bindings, and whoever found none."""
        if row["subs_id"]:
            return (row["subs_id"], row["binding_version"]) in self._spans
        return any(_first_id(since) <= row["record_id"] < _first_id(until) for since, until in self._spans.values())

    def _bound(self, row: tuple[Any, ...], members: list[tuple[float, bytes]]) -> Bound:
        values = list(row)
        for at, column in ((5, "binding.tel_a"), (6, "binding.tel_b")):
            values[at] = "" if values[at] is None else self._cipher.decrypt(values[at], column)
        for at in (-3, -2, -1):
            values[at] = "" if values[at] is None else utc_text(values[at])
        values.insert(8, tuple(self._cipher.decrypt(member, "group_member.member") for _, member in members))
        return Bound(*values)

    def _clear(self, row: dict[str, Any], table: str) -> dict[str, Any]:
        for name in NUMBER_COLUMNS:
            if row[name] is not None:
                row[name] = self._cipher.decrypt(row[name], f"{table}.{name}")
        row["attempts"] = json.loads(row["attempts"])
        return row


def trace(
    data_dir: Path, cipher: NumberCipher, question: Question, asker: Asker, archive: Archive | None = None,
    clock: Callable[[], float] = time.time,
) -> Trace:  # fmt: skip
    """Write down who asks, durably, and then look, in an archive too if one is given. StoreError when either fails."""
    at, since, until = map(utc_text, _around(question))
    detail = f"reveal who was behind {question.tel_x} at {at}, records since={since} until={until}"
    write_audit(data_dir / "bindings.db", cipher, audit_row(clock(), asker, "trace", detail))
    return Trace(data_dir, cipher, question, archive)


def _around(question: Question) -> tuple[float, float, float]:
    at_s, window_s = question.at_s, question.window_s
    return at_s, at_s - window_s, at_s + window_s


def _span(row: tuple[Any, ...]) -> _Span:
    valid_from, valid_to, expires_at = row[-3:]
    return _Span(valid_from, expires_at if valid_to is None else min(valid_to, expires_at))


def _first_id(wall_s: float) -> str:
    """Before every record_id of that millisecond and later."""
    return f"{max(0, int(wall_s * 1000)):012x}"
