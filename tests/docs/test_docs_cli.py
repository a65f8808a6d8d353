"""docs/cli.md has every verb with every option of the application, and names none that is not there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.cli import verbs
from tests.docs.pages import DOCS, headings, section

PAGE = DOCS / "cli.md"
OF_EVERY_VERB = {"--config", "--help"}

_OPTION = re.compile(r"(?<![\w-])--[a-z][a-z0-9-]*")
_HIDDEN = re.compile(r"<!--.*?-->", re.DOTALL)
_LINK = re.compile(r"\]\(([\w./-]+\.md)")


def _verbs(command: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Name, as it is typed, and command of every verb."""
    for part, below in getattr(command, "commands", {}).items():
        yield from _verbs(below, f"{name} {part}".strip())
    if not hasattr(command, "commands"):
        yield name, command


VERBS = dict(_verbs(verbs()))


def _options(verb: str) -> set[str]:
    words = {word for parameter in VERBS[verb].params for word in (*parameter.opts, *parameter.secondary_opts)}
    return {word for word in words if word.startswith("-")}


def _read_by(verb: str) -> str:
    """What somebody reads about a verb: its section, and the page of its own that it may lead to."""
    text = section(PAGE, verb)
    own = [PAGE.parent / link for link in _LINK.findall(text)]
    return "\n".join([text, *(page.read_text("utf-8") for page in own if _is_of(verb, page))])


def _is_of(verb: str, page: Path) -> bool:
    return page.is_file() and page.stem.rstrip("s") == verb.partition(" ")[0].rstrip("s")


def test_every_verb_has_a_section_and_every_section_a_verb() -> None:
    assert sorted(headings(PAGE, 2)) == sorted(VERBS)


@pytest.mark.parametrize("verb", VERBS)
def test_every_option_is_told(verb: str) -> None:
    text = _read_by(verb)
    told = [word for word in _options(verb) if re.search(rf"(?<![\w-]){word}(?![\w-])", text)]
    assert sorted(_options(verb) - OF_EVERY_VERB - set(told)) == []


@pytest.mark.parametrize("verb", VERBS)
def test_no_option_is_told_that_is_not_there(verb: str) -> None:
    told = set(_OPTION.findall(_HIDDEN.sub("", section(PAGE, verb))))
    assert sorted(told - _options(verb) - OF_EVERY_VERB) == []
