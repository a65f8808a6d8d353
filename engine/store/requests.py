"""A request that is repeated gets the answer that it got: nothing is done twice (invariant I14)."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Final

from engine.domain.problems import Problem, ProblemCode

_GIVEN: Final = "SELECT body_hash, status, answer FROM api_request WHERE app_platform = ? AND req_id = ?"
_KEEP: Final = "INSERT INTO api_request (app_platform, req_id, body_hash, status, answer, at) VALUES (?, ?, ?, ?, ?, ?)"
_OLD: Final = "SELECT 1 FROM api_request WHERE at < ? LIMIT 1"
_PRUNE: Final = (
    "DELETE FROM api_request WHERE (app_platform, req_id) IN"
    " (SELECT app_platform, req_id FROM api_request WHERE at < ? ORDER BY at LIMIT ?)"
)

KEPT_S: Final = 7 * 86_400.0
ROWS_AT_ONCE: Final = 1_000

Answer = tuple[int, str]  # HTTP status, JSON text


def once(
    connection: sqlite3.Connection, app_platform: str, req_id: str, body_hash: bytes, work: Callable[[], Answer],
    wall_s: float,
) -> Answer:  # fmt: skip
    """The answer of `work`, or the one that this request has got before; in a transaction of the caller.

    Problem REQUEST_CONFLICT when it came with another body. What `work` raises is not kept: the request may be made
    again.
    """
    row = connection.execute(_GIVEN, (app_platform, req_id)).fetchone()
    if row is not None:
        kept, status, answer = row
        if kept != body_hash:
            raise Problem(ProblemCode.REQUEST_CONFLICT, "req_id", "was used before, for another request")
        return status, answer
    status, answer = work()
    connection.execute(_KEEP, (app_platform, req_id, body_hash, status, answer, wall_s))
    return status, answer


def was_answered(connection: sqlite3.Connection, app_platform: str, req_id: str) -> bool:
    """True when `once` would not do its work again."""
    return connection.execute(_GIVEN, (app_platform, req_id)).fetchone() is not None


def are_answers_old(connection: sqlite3.Connection, wall_s: float) -> bool:
    """True when `prune_answers` has something to do."""
    return connection.execute(_OLD, (wall_s - KEPT_S,)).fetchone() is not None


def prune_answers(connection: sqlite3.Connection, wall_s: float) -> None:
    """Removes the oldest of those that were given more than KEPT_S ago, ROWS_AT_ONCE at most; in a transaction."""
    connection.execute(_PRUNE, (wall_s - KEPT_S, ROWS_AT_ONCE))
