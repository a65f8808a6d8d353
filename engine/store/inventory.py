"""The inventory (app platforms, business users, contracts, scenarios, number blocks and pools): TOML to store."""

from __future__ import annotations

import difflib
import json
import re
import sqlite3
import time
import tomllib
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final, final

from engine.domain.fields import FIELDS, Value, key_column
from engine.domain.problems import Problem
from engine.store.audit import Asker
from engine.store.blocks import enter_state
from engine.store.crypto import NumberCipher
from engine.store.database import BINDINGS, open_database, open_read_only, store_errors, transaction
from engine.store.entities import Row, apply_change, check_references, stored_row, write_row
from engine.store.errors import StoreError
from engine.store.history import note_act, note_move, note_transition

BY_FILE: Final = Asker("inventory")  # who changes what a node finds changed in its file

_TOLD_BEFORE: Final = "SELECT value FROM meta WHERE name = ?"
_TELL: Final = "INSERT INTO meta VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value"


class InventoryError(StoreError):
    """The file breaks rules: one line for each, "inventory.toml:12: number_block.prefix: reason"."""


@final
@dataclass(frozen=True, slots=True)
class Inventory:
    """A file's rows by table, keys in file order; values are checked, columns named as in the store."""

    file: Path
    tables: Mapping[str, tuple[Row, ...]]


def read_inventory(file: Path) -> Inventory:
    """Parse and check `file`; InventoryError names every unknown table or key, missing key and bad value."""
    try:
        text = file.read_text(encoding="utf-8")
        content = tomllib.loads(text)
    except OSError as error:
        raise InventoryError(f"{file}: {error.strerror}") from None
    except ValueError as error:  # TOMLDecodeError and UnicodeDecodeError
        raise InventoryError(f"{file}: not TOML: {error}") from None
    lines = _Lines(text)
    faults: list[str] = []
    tables: dict[str, tuple[Row, ...]] = {}
    for table, entries in content.items():
        if table not in FIELDS:
            faults.append(f"{file}:{lines.line(table)}: unknown table {table}{_nearest(table, FIELDS)}")
        elif not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            faults.append(f"{file}:{lines.line(table)}: {table}: write it as [[{table}]]")
        else:
            rows = [_read_row(file, lines, table, index, entry, faults) for index, entry in enumerate(entries)]
            _check_unique(file, lines, table, rows, faults)
            tables[table] = tuple(rows)
    if faults:
        raise InventoryError("\n".join(faults))
    return Inventory(file, tables)


def numbers_to_bind(path: Path, cipher: NumberCipher) -> list[tuple[str, str, str]]:
    """(11 digits of an assigned block, its business user, a scenario that allows AXB or "") for each block."""
    with store_errors(path), closing(open_read_only(path, cipher)) as connection:
        query = "SELECT code, modes FROM scenario WHERE state = 'approved' ORDER BY code"
        scenarios = connection.execute(query).fetchall()
        code = next((code for code, modes in scenarios if "AXB" in json.loads(modes)), "")
        query = "SELECT prefix, business_user FROM number_block WHERE state = 'assigned' ORDER BY prefix"
        return [(prefix, user, code) for prefix, user in connection.execute(query)]


def apply_inventory(
    path: Path,
    cipher: NumberCipher,
    inventory: Inventory,
    asker: Asker = BY_FILE,
    *,
    wall_s: float | None = None,
    only_new: bool = False,
) -> dict[str, int]:
    """Write all rows into bindings.db in one transaction; twice changes nothing. Row counts of the file by table.

    States are set as they stand in the file, whatever they were; what changes is told in history and audit, at `wall_s`
    (seconds since the epoch, None for now). `only_new`: what a file said when it was applied before is left as it is
    now, so that a node that starts again undoes nobody's move. What the file does not name stays. InventoryError when a
    row refers to something that is neither in the file nor in the store, to a business user of another app platform, or
    takes a block from bindings in force; then nothing is written.
    """
    connection = open_database(path, BINDINGS, cipher)
    try:
        with store_errors(path):
            rows = [(table, row) for table in FIELDS for row in inventory.tables.get(table, ())]
            # A node that starts while an import holds the write lock must not wait for it to change nothing.
            if not all(_is_known(connection, table, row, only_new) for table, row in rows):
                now_s = time.time() if wall_s is None else wall_s
                _write_all(connection, inventory.file, rows, asker, now_s, only_new)
    finally:
        connection.close()
    return {table: len(inventory.tables.get(table, ())) for table in FIELDS}


def _read_row(file: Path, lines: _Lines, table: str, index: int, entry: dict[str, object], faults: list[str]) -> Row:
    keys = FIELDS[table]
    row: Row = {}
    for key, value in entry.items():
        try:
            if key not in keys:
                raise ValueError(f"unknown key{_nearest(key, keys)}")
            row[keys[key].column] = keys[key].check(value)
        except ValueError as error:
            faults.append(f"{file}:{lines.line(table, index, key)}: {table}.{key}: {error}")
    missing = [key for key, field in keys.items() if field.default is None and key not in entry]
    faults += [f"{file}:{lines.line(table, index)}: {table}.{key}: missing" for key in missing]
    if table == "contract" and str(row.get("from_day", "")) > str(row.get("to_day", "9999")):
        faults.append(f"{file}:{lines.line(table, index)}: contract.to: lies before contract.from")
    return row


def _check_unique(file: Path, lines: _Lines, table: str, rows: list[Row], faults: list[str]) -> None:
    key = next(iter(FIELDS[table]))
    seen: set[Value] = set()
    for index, row in enumerate(rows):
        name = row.get(key)
        if name in seen:
            faults.append(f"{file}:{lines.line(table, index, key)}: {table}.{key}: {name} stands twice")
        elif name is not None:
            seen.add(name)


def _news(connection: sqlite3.Connection, kind: str, row: Row, only_new: bool) -> Row:
    """What of a row is to be written."""
    stored = stored_row(connection, kind, row[key_column(kind)])
    if stored is None:
        defaults = {field.column: field.default for field in FIELDS[kind].values() if field.default is not None}
        return defaults | row
    told = connection.execute(_TOLD_BEFORE, (_name_of(kind, row),)).fetchone() if only_new else None
    before = stored if told is None else json.loads(told[0])
    return {name: value for name, value in row.items() if before.get(name) != value}


def _is_known(connection: sqlite3.Connection, kind: str, row: Row, only_new: bool) -> bool:
    """Whether there is nothing to write for a row: it must have been told, too, before a start may pass over it."""
    is_told = connection.execute(_TOLD_BEFORE, (_name_of(kind, row),)).fetchone() is not None
    return is_told and not _news(connection, kind, row, only_new)


def _write_all(
    connection: sqlite3.Connection,
    file: Path,
    rows: list[tuple[str, Row]],
    asker: Asker,
    wall_s: float,
    only_new: bool,
) -> None:
    changed = 0
    with transaction(connection):
        for kind, row in rows:
            try:
                if news := _news(connection, kind, row, only_new):
                    _write(connection, kind, row[key_column(kind)], news, asker, wall_s)
                    changed += 1
                connection.execute(_TELL, (_name_of(kind, row), json.dumps(row)))
            except Problem as problem:
                told = f"{kind} {row[key_column(kind)]}: {problem.field} {problem.detail}"
                raise InventoryError(f"{file}: {told}") from None
        if changed:
            note_act(connection, "inventory.apply", file.name, f"{changed} rows new or changed", asker, wall_s)


def _write(connection: sqlite3.Connection, kind: str, key: Value, news: Row, asker: Asker, wall_s: float) -> None:
    """What is new of a row that is there, or a whole new one, with its history."""
    before = stored_row(connection, kind, key)
    old = before or {}
    row = old | news
    check_references(connection, kind, row)
    if before is None:
        write_row(connection, kind, row)
    else:
        apply_change(connection, kind, before, {name: row[name] for name in row if name != "state"}, asker, wall_s)
    if before is None:  # one audit row tells of all that is new, transitions of each
        note_transition(connection, kind, str(key), "", str(row["state"]), asker, wall_s)
    elif before["state"] != row["state"]:
        connection.execute(f"UPDATE {kind} SET state = ? WHERE {key_column(kind)} = ?", (row["state"], key))
        note_move(connection, kind, str(key), str(before["state"]), str(row["state"]), asker, wall_s)
    if kind == "number_block" and _moves(old, row):
        held = [str(row[name]) for name in ("state", "app_platform", "business_user")]
        enter_state(connection, str(key), held[0], held[1], held[2], wall_s)


def _moves(old: Row, row: Row) -> bool:
    """Whether a block is in another state or another hand."""
    return any(old.get(name) != row[name] for name in ("state", "app_platform", "business_user"))


def _name_of(kind: str, row: Row) -> str:
    """Where `meta` remembers what a file has said of something."""
    return f"inventory {kind} {row[key_column(kind)]}"


def _nearest(name: str, known: Mapping[str, object]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f", did you mean {close[0]}?" if close else f", known are {', '.join(known)}"


@final
class _Lines:
    """Where tables and keys stand in a file, which tomllib does not tell: looked for only when there is a fault."""

    def __init__(self, text: str) -> None:
        self._lines = text.splitlines()
        self._headers: dict[str, list[int]] = {}

    def line(self, table: str, index: int = 0, key: str = "") -> int:
        """Line of the table's header number `index`, or of `key` below it."""
        headers = self._headers.get(table)
        if headers is None:
            name = rf"\s*\"?{re.escape(table)}\"?\s*"
            header = re.compile(rf"\s*\[{{1,2}}{name}\]|{name}=")
            headers = [number for number, line in enumerate(self._lines, 1) if header.match(line)]
            self._headers[table] = headers
        if index >= len(headers):
            return 1
        first = headers[index]
        if key:
            wanted = re.compile(rf"\s*\"?{re.escape(key)}\"?\s*=")
            end = headers[index + 1] - 1 if index + 1 < len(headers) else len(self._lines)
            for number, line in enumerate(self._lines[first:end], first + 1):
                if wanted.match(line):
                    return number
        return first
