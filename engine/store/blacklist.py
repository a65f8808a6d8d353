"""Whom a platform lets call nobody, or whom not each other."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Final, NamedTuple

from engine.domain.problems import Problem, ProblemCode
from engine.store.binding_rules import real, shown
from engine.store.crypto import NumberCipher

COLUMN: Final = "blacklist.number"
WAYS: Final = ("both", "first_may_call")  # what is refused: all, or only calls of the second to the first
NOBODY: Final = b""  # in the place of the second: whomever the first calls, or is called by

_PLATFORM: Final = "SELECT 1 FROM app_platform WHERE id = ?"
_ADD: Final = (
    "INSERT INTO blacklist (app_platform, first, second, way, at, key_id) VALUES (?, ?, ?, ?, ?, ?)"
    " ON CONFLICT DO UPDATE SET way = excluded.way, at = excluded.at"
)
_REMOVE: Final = "DELETE FROM blacklist WHERE app_platform = ? AND first = ? AND second = ?"
_ALL: Final = "SELECT first, second, way, at FROM blacklist WHERE app_platform = ? ORDER BY at, first, second"


class Entry(NamedTuple):
    """A row; canonical real numbers, `second` "" for everybody; `at` in seconds since the epoch."""

    first: str
    second: str
    way: str
    at: float


def add_to_blacklist(
    connection: sqlite3.Connection, cipher: NumberCipher, app_platform: str, first: str, second: str, way: str,
    wall_s: float,
) -> Entry:  # fmt: skip
    """Numbers as they were typed, `second` "" for everybody. Counts for the next call; again changes only the way."""
    if connection.execute(_PLATFORM, (app_platform,)).fetchone() is None:
        raise Problem(ProblemCode.NOT_FOUND, "app_platform", f"{shown(app_platform)} is not in the inventory")
    if way not in WAYS:
        raise Problem(ProblemCode.ILLEGAL_ARGUMENT, "way", f"{shown(way)} is none of {', '.join(WAYS)}")
    one, other = _pair(first, second)
    if not other and way != "both":
        raise Problem(ProblemCode.ILLEGAL_ARGUMENT, "way", f"{way} needs a second number")
    row = (app_platform, *_sealed(cipher, one, other), way, wall_s, cipher.key_id)
    connection.execute(_ADD, row)
    return Entry(one, other, way, wall_s)


def remove_from_blacklist(
    connection: sqlite3.Connection, cipher: NumberCipher, app_platform: str, first: str, second: str
) -> None:
    """A Problem when they are not on it."""
    row = (app_platform, *_sealed(cipher, *_pair(first, second)))
    if connection.execute(_REMOVE, row).rowcount != 1:
        raise Problem(ProblemCode.NOT_FOUND, "first", "is not on this blacklist with that second number")


def read_blacklist(connection: sqlite3.Connection, cipher: NumberCipher, app_platform: str) -> Iterator[Entry]:
    """All entries of a platform, oldest first."""
    for first, second, way, at in connection.execute(_ALL, (app_platform,)):
        other = cipher.decrypt(second, COLUMN) if second else ""
        yield Entry(cipher.decrypt(first, COLUMN), other, way, at)


def _pair(first: str, second: str) -> tuple[str, str]:
    one, other = real("first", first), real("second", second) if second else ""
    if one == other:
        raise Problem(ProblemCode.MOBILE_NUMBER_ILLEGAL, "second", "is also first: the two numbers must differ")
    return one, other


def _sealed(cipher: NumberCipher, first: str, second: str) -> tuple[bytes, bytes]:
    return cipher.encrypt(first, COLUMN), cipher.encrypt(second, COLUMN) if second else NOBODY
