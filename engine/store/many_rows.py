"""Many rows of one table by few statements, whose values stand in columns: a third of what `executemany` takes.

What is the same in all rows is bound once a statement, and no tuple is made for a row.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import chain, islice
from typing import Final, NamedTuple

AT_ONCE: Final = 64  # entries of one statement; beyond that nothing is gained (measured)

Values = Mapping[str, object]  # by name: a list with a value for each entry, or what is the same for all of them


class Shape(NamedTuple):
    """What an entry is in a table: rows that have the same columns, each as the names of its values."""

    table: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def insert_many(connection: sqlite3.Connection, shape: Shape, values: Values) -> None:
    """The rows of all entries, in their order; of what does not vary at all there is one entry.

    sqlite3.Error: then some rows may be written, which the caller takes back. To say so (OR FAIL) keeps SQLite from
    copying each page that a statement changes.
    """
    fixed = tuple(name for name, value in values.items() if not isinstance(value, list))
    varying = tuple(name for name in values if name not in fixed)
    common = [values[name] for name in fixed]
    entries = _entries(values, varying)
    execute = connection.execute
    together = _statement(shape, fixed, varying, AT_ONCE)
    alone = _statement(shape, fixed, varying, 1)
    while some := [*islice(entries, AT_ONCE)]:
        if len(some) == AT_ONCE:
            execute(together, [*common, *chain.from_iterable(some)])
        else:
            for entry in some:
                execute(alone, [*common, *entry])


def rows_of(shape: Shape, values: Values) -> list[tuple[tuple[object, ...], ...]]:
    """The rows of each entry, as tuples in the order of the columns."""
    varying = tuple(name for name, value in values.items() if isinstance(value, list))
    found = []
    for entry in _entries(values, varying):
        known = {**values, **dict(zip(varying, entry, strict=True))}
        found.append(tuple(tuple(known[name] for name in row) for row in shape.rows))
    return found


def condensed(column: Sequence[object]) -> object:
    """What all entries have in common, else the column."""
    return column[0] if column and column.count(column[0]) == len(column) else [*column]


def some_of(values: Values, places: Sequence[int]) -> dict[str, object]:
    """The values of those entries, in the order of `places`."""
    return {
        name: [value[place] for place in places] if isinstance(value, list) else value for name, value in values.items()
    }


def _entries(values: Values, varying: tuple[str, ...]) -> Iterator[tuple[object, ...]]:
    columns = [value for name in varying if isinstance(value := values[name], list)]
    return zip(*columns, strict=True) if columns else iter([()])


@lru_cache(maxsize=64)
def _statement(shape: Shape, fixed: tuple[str, ...], varying: tuple[str, ...], count: int) -> str:
    """Parameters: what is the same for all entries, then what varies, entry by entry."""
    rows = []
    for entry in range(count):
        place = {name: at for at, name in enumerate(fixed, 1)}
        place |= {name: at for at, name in enumerate(varying, len(fixed) + entry * len(varying) + 1)}
        rows += [f"({', '.join(f'?{place[name]}' for name in row)})" for row in shape.rows]
    return f"INSERT OR FAIL INTO {shape.table} ({', '.join(shape.columns)}) VALUES {', '.join(rows)}"
