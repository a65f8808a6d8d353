"""Many rows at once are the rows that one by one would be."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from engine.store.many_rows import AT_ONCE, Shape, condensed, insert_many, rows_of, some_of

KEPT = Shape("kept", ("word", "number", "place"), (("word", "number", "place"), ("back", "number", "place")))
MAKE = "CREATE TABLE kept (id INTEGER PRIMARY KEY AUTOINCREMENT, word TEXT UNIQUE, number INTEGER, place TEXT)"
COUNTS = [0, 1, AT_ONCE - 1, AT_ONCE, AT_ONCE + 1, 3 * AT_ONCE + 5]


def values(count: int) -> dict[str, object]:
    words = [f"w{number}" for number in range(count)]
    return {"number": [*range(count)], "place": "here", "word": words, "back": [word[::-1] for word in words]}


@pytest.mark.parametrize("count", COUNTS)
def test_each_row_is_written_once_and_in_order(count: int) -> None:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute(MAKE)
        insert_many(connection, KEPT, values(count))
        found = connection.execute("SELECT word, number, place FROM kept ORDER BY id").fetchall()
    rows = [((f"w{number}", number, "here"), (f"w{number}"[::-1], number, "here")) for number in range(count)]
    assert found == [row for both in rows for row in both]
    assert rows_of(KEPT, values(count)) == rows


def test_what_never_varies_is_one_entry() -> None:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute(MAKE)
        insert_many(connection, KEPT, {"number": 1, "place": "p", "word": "ab", "back": "ba"})
        found = connection.execute("SELECT word, number, place FROM kept ORDER BY id").fetchall()
    assert found == [("ab", 1, "p"), ("ba", 1, "p")]


@pytest.mark.parametrize("twice", [3, AT_ONCE + 2])
def test_a_row_that_cannot_be_is_an_error_wherever_it_stands(twice: int) -> None:
    words = [f"w{number}" for number in range(AT_ONCE + 4)]
    words[twice] = words[0]
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute(MAKE)
        with pytest.raises(sqlite3.IntegrityError):
            insert_many(connection, KEPT, values(AT_ONCE + 4) | {"word": words})


def test_columns_of_different_lengths_are_an_error() -> None:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute(MAKE)
        with pytest.raises(ValueError, match="shorter"):
            insert_many(connection, KEPT, values(AT_ONCE) | {"word": ["w"]})


def test_what_is_common_is_said_once() -> None:
    assert condensed(["a", "a"]) == "a"
    assert condensed(("a", "b")) == ["a", "b"]
    assert condensed([]) == []
    assert some_of({"a": [1, 2, 3], "b": "all"}, [2, 0]) == {"a": [3, 1], "b": "all"}
