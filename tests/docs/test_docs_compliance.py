"""docs/compliance.md has each requirement once, and names only files and tests that are there."""

from __future__ import annotations

import ast
import re

import pytest

from tests.docs.pages import DOCS, ROOT, rows

PAGE = (DOCS / "compliance.md").read_text("utf-8")
ROWS = rows(PAGE, "id")
IDS = [
    f"{party}{number}" for party, count in (("B", 21), ("A", 18), ("U", 4), ("X", 6)) for number in range(1, count + 1)
]


def ticked(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def test_every_requirement_stands_there_once_and_in_order() -> None:
    assert [row[0] for row in ROWS] == IDS


@pytest.mark.parametrize("row", ROWS, ids=[row[0] for row in ROWS])
def test_what_is_named_is_there(row: list[str]) -> None:
    _, quote, stands, where, shown, missing = row
    assert quote
    assert stands in ("built", "partly", "not done")
    for name in ticked(where):
        assert (ROOT / name).is_file(), name
    for test in ticked(shown):
        file, _, function = test.partition("::")
        syntax = ast.parse((ROOT / file).read_text("utf-8"))
        functions = {node.name for node in syntax.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
        assert function in functions, test
    if stands == "not done":
        assert not where and not shown
    else:
        assert ticked(where) and ticked(shown)
    assert missing or stands == "built"
