"""The inventory (app platforms, business users, contracts, scenarios, number blocks): TOML to store."""

from __future__ import annotations

import difflib
import json
import re
import sqlite3
import tomllib
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Final, final

from engine.store.crypto import NumberCipher
from engine.store.database import BINDINGS, open_database, open_read_only, store_errors
from engine.store.errors import StoreError

# States of reference/domain.md §5; what each allows belongs to the rules that ask for it.
PLATFORM_STATES: Final = ("draft", "registered", "active", "suspended", "winding_down", "closed")
USER_STATES: Final = ("draft", "registered", "active", "frozen", "closed")
BLOCK_STATES: Final = ("granted", "route_ready", "opened", "assigned", "recalling", "returned")
MODES: Final = ("AXB", "AXYB", "GXB", "GXYB")
MAX_TEXT: Final = 128  # characters

_Value = str | int
_Check = Callable[[object], _Value]
Row = dict[str, _Value]


class InventoryError(StoreError):
    """The file breaks rules: one line for each, "inventory.toml:12: number_block.prefix: reason"."""


@final
@dataclass(frozen=True, slots=True)
class Inventory:
    """A file's rows by table, keys in file order; values are checked, columns named as in the store."""

    file: Path
    tables: Mapping[str, tuple[Row, ...]]


def _text(value: object) -> str:
    if not isinstance(value, str) or not value or len(value) > MAX_TEXT or not value.isprintable():
        raise ValueError(f"must be text of 1 to {MAX_TEXT} printable characters")
    return value


def _one_of(*allowed: str) -> _Check:
    def check(value: object) -> str:
        if value not in allowed:
            raise ValueError(f"must be one of {', '.join(allowed)}")
        return str(value)

    return check


def _whole(least: int, most: int) -> _Check:
    def check(value: object) -> int:
        if type(value) is not int or not least <= value <= most:
            raise ValueError(f"must be a whole number from {least} to {most}")
        return value

    return check


def _day(value: object) -> str:
    try:
        return (value if type(value) is date else date.fromisoformat(_text(value))).isoformat()
    except ValueError:
        raise ValueError("must be a day such as 2026-01-31") from None


def _modes(value: object) -> str:
    if not isinstance(value, list) or not value or not all(mode in MODES for mode in value):
        raise ValueError(f"must be a list of {', '.join(MODES)}")
    return json.dumps(value)


def _prefix(value: object) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"700[0-9]{8}", value):
        raise ValueError("must be 11 digits that begin with 700, as text")
    return value


# table -> key in the file -> (column, check). The first key is the primary key. Order of writing: what is
# referred to first.
_TABLES: Final[dict[str, dict[str, tuple[str, _Check]]]] = {
    "app_platform": {
        "id": ("id", _text),
        "name": ("name", _text),
        "licence_no": ("licence_no", _text),
        "approval_no": ("approval_no", _text),
        "state": ("state", _one_of(*PLATFORM_STATES)),
    },
    "business_user": {
        "id": ("id", _text),
        "app_platform": ("app_platform", _text),
        "name": ("name", _text),
        "uscc": ("uscc", _text),
        "state": ("state", _one_of(*USER_STATES)),
    },
    "contract": {
        "id": ("id", _text),
        "app_platform": ("app_platform", _text),
        "business_user": ("business_user", _text),
        "from": ("from_day", _day),
        "to": ("to_day", _day),
    },
    "scenario": {
        "code": ("code", _text),
        "risk_class": ("risk_class", _whole(1, 4)),
        "modes": ("modes", _modes),
        "max_ttl_s": (
            "max_ttl_s",
            _whole(61, 3_153_600_000),
        ),  # a binding lives longer than 60 s; a hundred years
    },
    "number_block": {
        "prefix": ("prefix", _prefix),
        "operator": ("operator", _text),
        "app_platform": ("app_platform", _text),
        "business_user": ("business_user", _text),
        "certificate_no": ("certificate_no", _text),
        "state": ("state", _one_of(*BLOCK_STATES)),
    },
}


def read_inventory(file: Path) -> Inventory:
    """Parse and check `file`; InventoryError names every unknown table or key, missing key and bad value."""
    try:
        text = file.read_text(encoding="utf-8")
        content = tomllib.loads(text)
    except OSError as error:
        raise InventoryError(f"{file}: {error.strerror}") from None
    except ValueError as error:  # TOMLDecodeError and UnicodeDecodeError
        raise InventoryError(f"{file}: not TOML: {error}") from None
    faults: list[str] = []
    tables: dict[str, tuple[Row, ...]] = {}
    for table, entries in content.items():
        if table not in _TABLES:
            faults.append(f"{file}:{_line(text, table)}: unknown table {table}{_nearest(table, _TABLES)}")
        elif not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            faults.append(f"{file}:{_line(text, table)}: {table}: write it as [[{table}]]")
        else:
            rows = [_read_row(file, text, table, index, entry, faults) for index, entry in enumerate(entries)]
            _check_unique(file, text, table, rows, faults)
            tables[table] = tuple(rows)
    if faults:
        raise InventoryError("\n".join(faults))
    return Inventory(file, tables)


def numbers_to_bind(path: Path, cipher: NumberCipher) -> list[tuple[str, str, str]]:
    """(11 digits of an assigned block, its business user, a scenario that allows AXB or "") for each block."""
    with store_errors(path), closing(open_read_only(path, cipher)) as connection:
        scenarios = connection.execute("SELECT code, modes FROM scenario ORDER BY code").fetchall()
        code = next((code for code, modes in scenarios if "AXB" in json.loads(modes)), "")
        query = "SELECT prefix, business_user FROM number_block WHERE state = 'assigned' ORDER BY prefix"
        return [(prefix, user, code) for prefix, user in connection.execute(query)]


def apply_inventory(path: Path, cipher: NumberCipher, inventory: Inventory) -> dict[str, int]:
    """Write all rows into bindings.db in one transaction; twice changes nothing. Row counts of the file by table.

    What the file does not name stays. InventoryError when a row refers to something that is neither in the file
    nor in the store, or to a business user of another app platform; then nothing is written.
    """
    connection = open_database(path, BINDINGS, cipher)
    try:
        with store_errors(path):
            rows = [(table, row) for table in _TABLES for row in inventory.tables.get(table, ())]
            # A node that starts while an import holds the write lock must not wait for it to change nothing.
            if not all(_is_stored(connection, table, row) for table, row in rows):
                _write_all(connection, inventory.file, rows)
    finally:
        connection.close()
    return {table: len(inventory.tables.get(table, ())) for table in _TABLES}


def _read_row(file: Path, text: str, table: str, index: int, entry: dict[str, object], faults: list[str]) -> Row:
    keys = _TABLES[table]
    row: Row = {}
    for key, value in entry.items():
        where = f"{file}:{_line(text, table, index, key)}: {table}.{key}"
        if key not in keys:
            faults.append(f"{where}: unknown key{_nearest(key, keys)}")
            continue
        column, check = keys[key]
        try:
            row[column] = check(value)
        except ValueError as error:
            faults.append(f"{where}: {error}")
    faults += [f"{file}:{_line(text, table, index)}: {table}.{key}: missing" for key in keys if key not in entry]
    if table == "contract" and str(row.get("from_day", "")) > str(row.get("to_day", "9999")):
        faults.append(f"{file}:{_line(text, table, index)}: contract.to: lies before contract.from")
    return row


def _check_unique(file: Path, text: str, table: str, rows: list[Row], faults: list[str]) -> None:
    key = next(iter(_TABLES[table]))
    seen: set[_Value] = set()
    for index, row in enumerate(rows):
        name = row.get(key)
        if name in seen:
            faults.append(f"{file}:{_line(text, table, index, key)}: {table}.{key}: {name} stands twice")
        elif name is not None:
            seen.add(name)


def _check_references(connection: sqlite3.Connection, file: Path, table: str, row: Row) -> None:
    platform, user = row.get("app_platform"), row.get("business_user")
    name = next(iter(row.values()))
    if platform is not None and not _exists(connection, "SELECT 1 FROM app_platform WHERE id = ?", platform):
        raise InventoryError(f"{file}: {table} {name}: app_platform {platform} is not known")
    if user is not None and not _exists(
        connection, "SELECT 1 FROM business_user WHERE id = ? AND app_platform = ?", user, platform
    ):
        raise InventoryError(f"{file}: {table} {name}: business_user {user} is not known under app_platform {platform}")


def _exists(connection: sqlite3.Connection, query: str, *values: _Value | None) -> bool:
    return connection.execute(query, values).fetchone() is not None


def _is_stored(connection: sqlite3.Connection, table: str, row: Row) -> bool:
    same = " AND ".join(f"{name} = ?" for name in row)
    return _exists(connection, f"SELECT 1 FROM {table} WHERE {same}", *row.values())


def _write_all(connection: sqlite3.Connection, file: Path, rows: list[tuple[str, Row]]) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        for table, row in rows:
            _check_references(connection, file, table, row)
            _write(connection, table, row)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _write(connection: sqlite3.Connection, table: str, row: Row) -> None:
    key, *others = row
    names = ", ".join(row)
    changes = ", ".join(f"{name} = excluded.{name}" for name in others)
    marks = ", ".join("?" * len(row))
    connection.execute(
        f"INSERT INTO {table} ({names}) VALUES ({marks}) ON CONFLICT ({key}) DO UPDATE SET {changes}",
        tuple(row.values()),
    )


def _nearest(name: str, known: Mapping[str, object]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f", did you mean {close[0]}?" if close else f", known are {', '.join(known)}"


def _line(text: str, table: str, index: int = 0, key: str = "") -> int:
    """Line of the table's header number `index`, or of `key` below it; tomllib does not tell."""
    header = re.compile(rf"\s*\[{{1,2}}\s*\"?{re.escape(table)}\"?\s*\]|\s*\"?{re.escape(table)}\"?\s*=")
    wanted = re.compile(rf"\s*\"?{re.escape(key)}\"?\s*=")
    found = -1
    first = 1
    for number, line in enumerate(text.splitlines(), 1):
        if header.match(line):
            found += 1
            if found == index:
                first = number
                if not key:
                    return number
        elif found == index and key and wanted.match(line):
            return number
    return first
