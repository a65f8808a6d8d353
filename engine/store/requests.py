"""A request that is repeated gets the answer that it got: nothing is done twice (invariant I14)."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Final

from engine.domain.problems import Problem, ProblemCode

_GIVEN: Final = "SELECT body_hash, status, answer FROM api_request WHERE app_platform = ? AND req_id = ?"
_KEEP: Final = "INSERT INTO api_request (app_platform, req_id, body_hash, status, answer, at) VALUES (?, ?, ?, ?, ?, ?)"

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
