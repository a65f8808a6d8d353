"""Many rows at once are the rows that one by one would be."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from engine.store.many_rows import AT_ONCE, insert_many

INSERT = "INSERT INTO kept (word, number) VALUES (?, ?)"


@pytest.mark.parametrize("count", [0, 1, AT_ONCE - 1, AT_ONCE, AT_ONCE + 1, 3 * AT_ONCE + 5])
def test_each_row_is_written_once_and_in_order(count: int) -> None:
    rows = [(f"w{number}", number) for number in range(count)]
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("CREATE TABLE kept (id INTEGER PRIMARY KEY AUTOINCREMENT, word TEXT, number INTEGER)")
        insert_many(connection, INSERT, rows)
        found = connection.execute("SELECT id, word, number FROM kept ORDER BY id").fetchall()
    assert found == [(place, *row) for place, row in enumerate(rows, 1)]


@pytest.mark.parametrize("twice", [3, AT_ONCE + 2])
def test_a_row_that_cannot_be_is_an_error_wherever_it_stands(twice: int) -> None:
    rows = [(f"w{number}", number) for number in range(AT_ONCE + 4)]
    rows[twice] = rows[0]
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("CREATE TABLE kept (word TEXT PRIMARY KEY, number INTEGER)")
        with pytest.raises(sqlite3.IntegrityError):
            insert_many(connection, INSERT, rows)
