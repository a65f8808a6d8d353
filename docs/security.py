"""Writes the table of docs/security.md from the tests of tests/attacks; `make docs` runs it.

A test says in its name which attack it tries, and in its docstring where that has been seen, what the node does against
it, and what is looked at.
"""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Final

from docs.conformance import parts, sentence, table_row

PAGE: Final = Path(__file__).with_name("security.md")
TESTS: Final = Path(__file__).resolve().parents[1] / "tests" / "attacks"
BEGIN: Final = "<!-- made by `make docs` from tests/attacks: change it there -->\n"
END: Final = "<!-- end of what `make docs` makes -->\n"
NUMBERS: Final = range(1, 29)
_PREFIX: Final = "test_attack_a"


def attacks(folder: Path = TESTS) -> dict[int, tuple[str, str, str, str]]:
    """Number -> where it is known from, what is done against it, what is checked, file of its test.

    ValueError for a docstring that says less, and for a number that has two tests.
    """
    found: dict[int, tuple[str, str, str, str]] = {}
    for file in sorted(folder.glob("test_*.py")):
        for node in ast.parse(file.read_text("utf-8")).body:
            if not isinstance(node, ast.FunctionDef) or not node.name.startswith(_PREFIX):
                continue
            number = int(node.name.removeprefix(_PREFIX)[:2])
            told, checked, _ = parts(ast.get_docstring(node) or "")
            known, colon, done = told.partition(": ")
            if not colon or not checked or number in found:
                raise ValueError(f"{node.name}: needs a number of its own, `where: what`, and a line `Checked: `")
            found[number] = (known, done, checked, file.name)
    return found


def with_attacks(page: str, found: dict[int, tuple[str, str, str, str]]) -> str:
    """`page` with what stands between its marks made anew. ValueError when a mark is missing, or an attack."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{PAGE.name} needs both marks:\n{BEGIN}{END}")
    if lacking := [number for number in NUMBERS if number not in found]:
        raise ValueError(f"attacks without a test: {lacking}")
    lines = ["| no. | known from | what the node does | what is tried | test |", "|---|---|---|---|---|"]
    for number, (known, done, checked, file) in sorted(found.items()):
        lines.append(table_row(f"A{number}", known, sentence(done), sentence(checked), f"`{file}`"))
    return f"{before}{begin}\n{chr(10).join(lines)}\n\n{end}{after}"
