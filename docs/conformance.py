"""Writes docs/conformance.md from the tests of tests/conformance; `make docs` runs it.

A test says in its name which requirement it checks, and in its docstring what the RFC asks for, what is looked at and
where the node does something else, and why.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final

from tests.conformance.torture import EXPECTED, OTHERWISE, index

PAGE: Final = Path(__file__).with_name("conformance.md")
TESTS: Final = Path(__file__).resolve().parents[1] / "tests" / "conformance"
BEGIN: Final = "<!-- made by `make docs` from tests/conformance: change it there -->\n"
END: Final = "<!-- end of what `make docs` makes -->\n"
NUMBERS: Final = range(1, 86)

# Where each section of the page begins.
SECTIONS: Final = {
    1: "Transport",
    14: "Parsing and message format",
    25: "Server transactions, on the caller's side",
    36: "Client transactions, on the callee's side",
    43: "What crosses, and what is made of it",
    57: "Dialogs",
    65: "CANCEL",
    70: "Timers",
    75: "Failover and names",
    79: "Limits and overload",
    83: "Security",
}

_NAME: Final = re.compile(r"test_req_(\d{3})_\w+")
_RULE: Final = re.compile(r"(.+?): (.+)")
_OVER_TCP: Final = (
    "Where several answers are named, any of them is right. Over TCP they are the same, but that a request without a\n"
    "clear Content-Length is answered 400; of clerr and baddn, which do not end, the node awaits the rest."
)
_WORDS: Final = ("Checked: ", "Deviation: ")


@dataclass(frozen=True)
class Requirement:
    """One requirement, as its test tells it."""

    number: int
    test: str  # file and name
    source: str  # RFC and section
    rule: str
    checked: str
    deviation: str  # "" when the node does what the rule says


def requirements(folder: Path = TESTS) -> list[Requirement]:
    """All tests of requirements, by number. ValueError for a docstring that says less than it must."""
    return sorted(_of_folder(folder), key=lambda found: (found.number, found.test))


def _of_folder(folder: Path) -> Iterator[Requirement]:
    for file in sorted(folder.glob("test_*.py")):
        syntax = ast.parse(file.read_text("utf-8"))
        for node in syntax.body:
            if isinstance(node, ast.FunctionDef) and (name := _NAME.fullmatch(node.name)):
                yield _read(int(name[1]), f"{file.name}::{node.name}", ast.get_docstring(node) or "")


def _read(number: int, test: str, text: str) -> Requirement:
    rule, checked, deviation = parts(text)
    found = _RULE.fullmatch(rule)
    if found is None or not checked:
        raise ValueError(f"{test}: needs `RFC and section: rule`, and a line that begins with `Checked: `")
    return Requirement(number, test, found[1], found[2], checked, deviation)


def parts(text: str) -> tuple[str, str, str]:
    """Rule, what is checked and deviation, each on one line; the last two may be ""."""
    found = ["", "", ""]
    place = 0
    for line in text.splitlines():
        for number, word in enumerate(_WORDS, 1):
            if line.startswith(word):
                place, line = number, line.removeprefix(word)  # noqa: PLW2901
        found[place] += f" {line.strip()}"
    rule, checked, deviation = (" ".join(part.split()) for part in found)
    return rule, checked, deviation


def missing(found: list[Requirement]) -> list[int]:
    """Requirements that have no test."""
    known = {each.number for each in found}
    return [number for number in NUMBERS if number not in known]


def with_requirements(page: str, found: list[Requirement]) -> str:
    """`page` with what stands between its marks made anew. ValueError when a mark is missing, or a requirement."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{PAGE.name} needs both marks:\n{BEGIN}{END}")
    if lacking := missing(found):
        raise ValueError(f"requirements without a test: {lacking}")
    return f"{before}{begin}\n{_summary(found)}\n{_tables(found)}\n{_torture()}\n{end}{after}"


def _summary(found: list[Requirement]) -> str:
    deviating = {each.number for each in found if each.deviation}
    passed = {each.number for each in found} - deviating
    return f"{len(passed)} requirements passed, {len(deviating)} with a deviation.\n"


def _tables(found: list[Requirement]) -> str:
    lines: list[str] = []
    starts = sorted(SECTIONS)
    for start, end in pairwise([*starts, NUMBERS.stop]):
        lines += [
            f"## {SECTIONS[start]}",
            "",
            "| no. | source | rule | what is checked | verdict |",
            "|---|---|---|---|---|",
        ]
        for each in found:
            if start <= each.number < end:
                verdict = f"deviation: {each.deviation}" if each.deviation else "passed"
                cells = (str(each.number), each.source, sentence(each.rule), sentence(each.checked), verdict)
                lines.append(table_row(*cells))
        lines.append("")
    return "\n".join(lines)


def _torture() -> str:
    """The torture messages, and what they get."""
    lines = [
        "## Torture messages",
        "",
        _OVER_TCP,
        "",
        "| message | section | what it is | answer over UDP |",
        "|---|---|---|---|",
    ]
    for name, row in index().items():
        answers = ", ".join(str(status) for status in sorted(EXPECTED[name])) or "none"
        if name in OTHERWISE:
            answers += f"; deviation: {OTHERWISE[name][1]}"
        rfc, _, message = name.partition("/")
        lines.append(table_row(message, f"{rfc.upper().replace('RFC', 'RFC ')} §{row['section']}", row["why"], answers))
    return "\n".join([*lines, ""])


def sentence(text: str) -> str:
    return text[0].upper() + text[1:]


def table_row(*cells: str) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
