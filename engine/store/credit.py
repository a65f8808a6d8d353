"""The credit file: offences of companies, their score, and lines by which platforms share them.

Each function works inside a transaction of its caller. A company is told by its credit code (USCC), so an offence that
another platform has seen counts here, too, for each of its business users.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Final, NamedTuple

from engine.core.numbers import masked_runs
from engine.domain.credit import WEIGHTS, score
from engine.domain.fields import text
from engine.domain.problems import Problem, ProblemCode
from engine.store.audit import Asker
from engine.store.entities import apply_change, read, stored_row
from engine.store.history import note_act
from engine.store.rows import utc_text

MAX_DETAIL: Final = 500
MAX_LINE: Final = 10_000
SHARED: Final = ("uscc", "offence", "at", "source", "detail")  # the members of a line

_INSERT: Final = "INSERT OR IGNORE INTO credit_event (uscc, offence, at, source, detail) VALUES (?, ?, ?, ?, ?)"
_LIST: Final = (
    "SELECT id, uscc, offence, at, source, detail FROM credit_event WHERE id > ? AND (? = '' OR uscc = ?)"
    " ORDER BY id LIMIT ?"
)
_EXPORT: Final = "SELECT uscc, offence, at, source, detail FROM credit_event ORDER BY at, uscc, offence, source"
_OFFENCES: Final = "SELECT offence FROM credit_event WHERE uscc = ?"
_USERS: Final = "SELECT id FROM business_user WHERE uscc = ? ORDER BY id"
_ALL: Final = -1


class CreditEvent(NamedTuple):
    """One offence; `at` RFC 3339 UTC, `source` who tells of it."""

    id: int
    uscc: str
    offence: str
    at: str
    source: str
    detail: str


class Imported(NamedTuple):
    """What an import came to."""

    new: int
    known: int


def add_event(
    connection: sqlite3.Connection, business_user: str, offence: str, at_s: float, source: str, detail: str,
    asker: Asker, wall_s: float,
) -> int:  # fmt: skip
    """Write down an offence; the score of the company after it. Problem, also when it stands there already."""
    uscc = str(read(connection, "business_user", business_user)["uscc"])
    event = _checked({"uscc": uscc, "offence": offence, "at": utc_text(at_s), "source": source, "detail": detail})
    if at_s > wall_s:
        raise Problem(ProblemCode.ILLEGAL_ARGUMENT, "at", "has not come yet")
    if not connection.execute(_INSERT, event).rowcount:
        raise Problem(ProblemCode.ILLEGAL_ARGUMENT, "at", "this offence of this moment stands there already")
    note_act(connection, "credit.add", business_user, f"{offence} of {event[2]}, told by {source}", asker, wall_s)
    return _rescore(connection, uscc, asker, wall_s)


def list_events(connection: sqlite3.Connection, uscc: str = "", after: int = 0, limit: int = _ALL) -> list[CreditEvent]:
    """Offences in the order in which they were written down; `uscc` "" for all companies."""
    return [CreditEvent(*row) for row in connection.execute(_LIST, (after, uscc, uscc, limit))]


def score_of(connection: sqlite3.Connection, uscc: str) -> int:
    """What a company is worth by all that is written down here."""
    return score(str(offence) for (offence,) in connection.execute(_OFFENCES, (uscc,)))


def export_events(connection: sqlite3.Connection) -> Iterator[str]:
    """All offences as JSON lines without line ends, sorted: the same file for the same offences."""
    for row in connection.execute(_EXPORT):
        yield json.dumps(dict(zip(SHARED, row, strict=True)), ensure_ascii=False)


def import_events(connection: sqlite3.Connection, lines: Iterable[str], asker: Asker, wall_s: float) -> Imported:
    """Take offences that others have shared; what is known already changes nothing. Problem for a wrong line."""
    new = known = 0
    touched: set[str] = set()
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        event = _read_line(number, line)
        if connection.execute(_INSERT, event).rowcount:
            new += 1
            touched.add(event[0])
        else:
            known += 1
    for uscc in sorted(touched):
        _rescore(connection, uscc, asker, wall_s)
    if new:
        note_act(connection, "credit.import", "shared", f"{new} offences of {len(touched)} companies", asker, wall_s)
    return Imported(new, known)


def _read_line(number: int, line: str) -> tuple[str, ...]:
    where = f"line {number}"
    try:
        told = json.loads(line) if len(line) <= MAX_LINE else None
    except (ValueError, RecursionError):
        told = None
    if not isinstance(told, dict) or set(told) != set(SHARED) or not all(isinstance(told[name], str) for name in told):
        names = ", ".join(SHARED)
        raise Problem(ProblemCode.ILLEGAL_ARGUMENT, where, f"must be a JSON object with the texts {names}")
    try:
        return _checked(told)
    except Problem as problem:
        raise Problem(problem.code, where, f"{problem.field}: {problem.detail}") from None


def _checked(told: dict[str, str]) -> tuple[str, ...]:
    """The columns of an event; Problem."""
    for name in ("uscc", "source"):
        try:
            text(told[name])
        except ValueError as error:
            raise Problem(ProblemCode.ILLEGAL_ARGUMENT, name, str(error)) from None
    if told["offence"] not in WEIGHTS:
        raise Problem(ProblemCode.ILLEGAL_ARGUMENT, "offence", f"must be one of {', '.join(WEIGHTS)}")
    try:
        at = datetime.fromisoformat(told["at"])
        at_text = utc_text(at.timestamp()) if at.tzinfo is not None else ""
    except (ValueError, OverflowError):
        at_text = ""
    if not at_text:
        raise Problem(ProblemCode.ILLEGAL_ARGUMENT, "at", "must be a time such as 2026-11-24T08:00:00+08:00")
    detail = " ".join(masked_runs(told["detail"]).split())
    if len(detail) > MAX_DETAIL or not detail.isprintable():
        raise Problem(ProblemCode.ILLEGAL_ARGUMENT, "detail", f"must be up to {MAX_DETAIL} printable characters")
    return (told["uscc"], told["offence"], at_text, told["source"], detail)


def _rescore(connection: sqlite3.Connection, uscc: str, asker: Asker, wall_s: float) -> int:
    """Bring the score of each business user of a company up to date, with an audit row where it changes."""
    now = score_of(connection, uscc)
    for (user,) in connection.execute(_USERS, (uscc,)).fetchall():
        before = stored_row(connection, "business_user", user) or {}
        apply_change(connection, "business_user", before, {"credit_score": now}, asker, wall_s)
    return now
