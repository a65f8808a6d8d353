"""The pages of the documentation, read the way a reader's browser reads them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Final

from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT: Final = Path(__file__).resolve().parents[2]
DOCS: Final = ROOT / "docs"

_NOT_IN_ANCHOR: Final = re.compile(r"[^\w\- ]")
_PARSER: Final = MarkdownIt("commonmark").enable("table")


def pages() -> list[Path]:
    """README.md and everything under docs/."""
    return [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]


def tokens(page: Path) -> list[Token]:
    """The page as a flat list of tokens; inline ones have children."""
    return _PARSER.parse(page.read_text("utf-8"))


def anchors(page: Path) -> set[str]:
    """The names under which its headings can be linked to."""
    found = tokens(page)
    return {
        _NOT_IN_ANCHOR.sub("", after.content.lower()).replace(" ", "-")
        for token, after in pairwise(found)
        if token.type == "heading_open"
    }


def links(page: Path) -> Iterator[str]:
    """The targets of its links and pictures."""
    for token in tokens(page):
        for child in token.children or []:
            if child.type in ("link_open", "image"):
                yield str(child.attrs["href" if child.type == "link_open" else "src"])


def headings(page: Path, level: int) -> list[str]:
    """The headings of one level, without the marks of code."""
    found = tokens(page)
    return [
        after.content.replace("`", "")
        for token, after in pairwise(found)
        if token.type == "heading_open" and token.tag == f"h{level}"
    ]


def section(page: Path, heading: str) -> str:
    """The source text between a heading (without the marks of code) and the next one of its level or above."""
    lines = page.read_text("utf-8").splitlines()
    start, level = next(
        (number, len(line) - len(line.lstrip("#")))
        for number, line in enumerate(lines)
        if line.startswith("#") and line.lstrip("# ").replace("`", "") == heading
    )
    is_code = False
    for number in range(start + 1, len(lines)):
        is_code ^= lines[number].startswith("```")
        marks = len(lines[number]) - len(lines[number].lstrip("#"))
        if not is_code and 0 < marks <= level:
            return "\n".join(lines[start + 1 : number])
    return "\n".join(lines[start + 1 :])


def rows(text: str, first_heading: str) -> list[list[str]]:
    """The cells of the table whose first column has this heading, without the heading."""
    found: list[list[str]] = []
    is_inside = False
    for line in text.splitlines():
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip().strip("|"))]
        if not line.startswith("|"):
            is_inside = False
        elif cells[0] == first_heading:
            is_inside = True
        elif is_inside and not set(line) <= set("|-: "):
            found.append(cells)
    return found
