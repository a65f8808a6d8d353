"""docs/records.md has every field of a record and every cause, with who decided, as the code has them."""

from __future__ import annotations

import ast
import re
import sqlite3
from itertools import pairwise
from pathlib import Path
from typing import Final

from engine.core.policy import STEPS_AFTER_LOOKUP, STEPS_BEFORE_LOOKUP
from engine.core.records import CALLEE_FINAL, EXTENSION_COLUMNS, FIELDS, RELEASE, ReleaseCause
from tests.docs.pages import DOCS, ROOT, rows, section

PAGE: Final = DOCS / "records.md"
FIELD_ROWS: Final = rows(section(PAGE, "The fields"), "field")
CAUSE_ROWS: Final = rows(section(PAGE, "The causes"), "release_cause")

# The words of the page for a type of the schema.
TYPES: Final = {
    "TEXT": {"text", "700 number", "time", "time or null", "list"},
    "INTEGER": {"whole number"},
    "BLOB": {"real number or null"},
}
UNITS: Final = {"ms": "ms", "seconds": "s", "octets": "octets", "parts": "messages"}


def _columns() -> dict[str, tuple[str, bool]]:
    """Column of `cdr` -> its type, and whether it may be NULL."""
    schema = (ROOT / "engine/store/schema/records.001.sql").read_text("utf-8")
    with sqlite3.connect(":memory:") as connection:
        connection.executescript(schema)
        found = connection.execute("PRAGMA table_info(cdr)").fetchall()
    connection.close()
    return {name: (kind, not not_null) for _, name, kind, not_null, *_ in found}


def test_every_field_is_there_in_its_order() -> None:
    assert [row[0].strip("`") for row in FIELD_ROWS] == list(FIELDS)


def test_types_are_those_of_the_table() -> None:
    columns = _columns()
    wrong = []
    for name, kind, *_ in FIELD_ROWS:
        stored, may_be_null = columns[name.strip("`")]
        if kind not in TYPES[stored] or ("or null" in kind) != may_be_null:
            wrong.append(name)
    assert wrong == []


def test_units_are_those_of_the_names() -> None:
    wanted = {name: UNITS.get(name.rpartition("_")[2], "") for name in FIELDS}
    assert {name.strip("`"): unit for name, _, unit, _ in FIELD_ROWS} == wanted


def test_columns_that_are_not_exported_are_named() -> None:
    text = PAGE.read_text("utf-8")
    more = set(_columns()) - set(FIELDS)
    assert more == {*EXTENSION_COLUMNS, "key_id"}
    assert all(f"`{name}`" in text for name in more)


def test_every_cause_is_there() -> None:
    assert [row[0].strip("`") for row in CAUSE_ROWS] == [cause.value for cause in ReleaseCause]


def test_answers_are_those_of_the_code() -> None:
    """The usual pair first; further ones behind it belong to what the page tells in the same row."""
    shown = {row[0].strip("`"): re.findall(r"(\d{3}) / (\d+)", row[1]) for row in CAUSE_ROWS}
    usual = {cause.value: (str(status), str(q850)) for cause, (status, q850) in RELEASE.items()}
    assert {name: pairs[0] for name, pairs in shown.items()} == usual


def test_steps_stand_in_the_order_in_which_they_run() -> None:
    shown = [row[0].strip("`") for row in rows(section(PAGE, "Who decided"), "decided_by")]
    steps = [step.__name__ for step in (*STEPS_BEFORE_LOOKUP, *STEPS_AFTER_LOOKUP)]
    assert [name for name in shown if name in steps] == steps


def test_who_decided_is_told() -> None:
    shown = {row[0].strip("`"): set(re.findall(r"`(\w+)`", row[2])) for row in CAUSE_ROWS}
    assert shown == _deciders()


def test_what_nothing_decides_yet_says_so() -> None:
    reserved = {row[0].strip("`") for row in CAUSE_ROWS if row[2] == "*not yet*"}
    assert reserved == {name for name, by in _deciders().items() if not by} - {"NODE_RESTART"}


def test_every_decider_is_explained() -> None:
    table = rows(section(PAGE, "Who decided"), "decided_by")
    explained = [name for row in table for name in re.findall(r"`(\w+)`", row[0])]
    assert len(explained) == len(set(explained))
    assert set(explained) == set().union(*_deciders().values())


def _deciders() -> dict[str, set[str]]:
    """Cause -> every `decided_by` that the code gives it, where `ReleaseCause.X, "who"` stand side by side."""
    found: dict[str, set[str]] = {cause.value: set() for cause in ReleaseCause}
    for cause, _, _ in CALLEE_FINAL.values():
        found[cause.value].add("callee")  # attempt.callee_refusal
    found["NORMAL"].add("callee")  # a message that was taken: message_attempt.do_close
    trees = [ast.parse(file.read_text("utf-8")) for file in Path(ROOT, "engine/core").glob("*.py")]
    named = {}
    for tree in trees:
        for one in tree.body:
            match one:
                case ast.AnnAssign(target=ast.Name(id=name), value=ast.Constant(value=str(who))):
                    named[name] = who
    for tree in trees:
        for node in ast.walk(tree):
            parts = node.args if isinstance(node, ast.Call) else node.elts if isinstance(node, ast.Tuple) else []
            for pair in pairwise(parts):
                match pair:
                    case (ast.Attribute(value=ast.Name(id="ReleaseCause"), attr=cause), ast.Constant(value=str(who))):
                        found[cause].add(who)
                    case (ast.Attribute(value=ast.Name(id="ReleaseCause"), attr=cause), ast.Name(id=name)) if (
                        name in named
                    ):
                        found[cause].add(named[name])
    return found


def test_whoever_decides_has_a_row_in_troubleshooting() -> None:
    deciders = {
        name
        for row in rows(section(PAGE, "Who decided"), "decided_by")
        for name in re.findall(r"`([a-z0-9_]+)`", row[0])
    }
    table = rows(section(DOCS / "troubleshooting.md", "2. Who decided?"), "decided_by")
    told = {name for row in table for name in re.findall(r"`([a-z0-9_]+)`", row[0])}
    assert "service_route" in deciders
    assert deciders - told == {"caller"}  # whoever hangs up needs no advice
