"""What the pages tell a reader to type works, and prints what they show."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from scenarios.rig.place import Places, is_free
from tests.docs.commands import Step, Workshop, differs, stories
from tests.docs.pages import DOCS, ROOT, pages, tokens

STORIES = [pytest.param(steps, id=f"{page.stem}-{name}") for page in pages() for name, steps in stories(page).items()]


@pytest.fixture
def workshop(tmp_path: Path, places: Places) -> Iterator[Workshop]:
    place = places.take()
    while not all(is_free(place.node, port) for port in (5070, 5080)):
        place = places.take()
    made = Workshop(tmp_path, place.node)
    yield made
    made.close()


@pytest.mark.timeout(300)  # a story is some ten commands, each of them a process
@pytest.mark.parametrize("steps", STORIES)
def test_commands_do_what_the_page_says(steps: list[Step], workshop: Workshop) -> None:
    for step in steps:
        workshop.run(step)


def test_the_way_of_a_newcomer_is_run() -> None:
    """Every block of commands in these sections, but what installs and what fetches."""
    way = stories(DOCS / "getting-started.md")["getting-started"] + stories(ROOT / "README.md")["readme"]
    run = {line for step in way for line in step.commands.splitlines()}
    typed = set()
    for page in (DOCS / "getting-started.md", ROOT / "README.md"):
        for token in tokens(page):
            if token.type == "fence" and token.info == "sh":
                typed |= {line.removeprefix("$ ") for line in token.content.splitlines()}
    assert {line for line in typed - run if not re.match(r"apt-get |git |cd |make (demo|test)", line)} == set()


def test_comments_are_read(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "<!-- setup: a\nmkdir x\n-->\n\nText.\n\n<!-- run: a -->\n```sh\necho 1\n```\n\nIt prints:\n\n"
        "<!-- shown -->\n```\n1\n```\n\n```sh\nnot run\n```\n\n"
        "<!-- run: b exit=1 -->\n```\n$ echo 2 \\\n  3\n2 3\n$ false\n```\n\n"
        "<!-- run: a background -->\n```sh\nsleep 1\n```\n"
    )
    assert stories(page) == {
        "a": [
            Step("mkdir x\n", 0),
            Step("echo 1\n", 8, "1\n"),
            Step("sleep 1\n", 32, None, True),
        ],
        "b": [Step("echo 2 \\\n  3", 24, "2 3"), Step("false", 24, "", status=1)],
    }


@pytest.mark.parametrize(
    ("shown", "printed"),
    [
        ("2026-11-24T08:00:00.000Z a", "2027-01-01T01:02:03.456Z a"),
        ('"ring_ms": 3', '"ring_ms": 12'),
        ("01a20b77cc3b319166399044688b3715", "01a213fe8fce58219059b3eb3950e10e"),
        ("a ... c", "a b c"),
        ("a\n...\nd\n", "a\nb\nc\nd"),
        ("a  \nb", "a\nb\n"),
    ],
)
def test_what_varies_may_vary(shown: str, printed: str) -> None:
    assert not differs(shown, printed)


@pytest.mark.parametrize(
    ("shown", "printed"),
    [
        ("a", "b"),
        ("a", "a\nb"),
        ("a ... c", "a\nc"),
        ('"seq": 3', '"seq": 4'),
        ("01a20b77cc3b319166399044688b3715", "none"),
        ("a\n...\nd", "a\nb\nc"),
        ("", "a"),
    ],
)
def test_what_differs_is_seen(shown: str, printed: str) -> None:
    assert differs(shown, printed)
