"""The pictures of docs/call-flows.md show what the stories say that both sides see."""

from __future__ import annotations

import re
from typing import Final

import pytest

from scenarios.rig.story import read_story
from tests.docs.pages import DOCS

PAGE: Final = DOCS / "call-flows.md"

_FLOW: Final = re.compile(r"<!-- flow: ([\w-]+) -->\n```mermaid\nsequenceDiagram\n(.*?)```", re.DOTALL)
_ARROW: Final = re.compile(r"^ +(\w)-{1,2}>>(\w): (\w+)", re.MULTILINE)

FLOWS: Final = dict(_FLOW.findall(PAGE.read_text("utf-8")))


def _seen_by(party: str, flow: str) -> list[str]:
    """The ladder of one party in a picture: "-> INVITE", "<- 100"."""
    arrows = _ARROW.findall(flow)
    return [f"{'->' if source == party else '<-'} {what}" for source, to, what in arrows if party in (source, to)]


def _told(ladder: tuple[str, ...]) -> list[str]:
    """A ladder of a story as a picture shows it: a status without its method, a step that is repeated once."""
    return [" ".join(step.split()[:2]) for step in ladder]


def test_every_picture_is_of_a_story() -> None:
    assert list(FLOWS) == [
        "answered", "unbound", "cancelled", "silent-target", "redirected", "interval-too-short", "message",
    ]  # fmt: skip
    assert PAGE.read_text("utf-8").count("```mermaid") == len(FLOWS)


@pytest.mark.parametrize("name", FLOWS)
def test_the_picture_shows_what_each_side_sees(name: str) -> None:
    told = read_story(name).ladders
    assert _seen_by("A", FLOWS[name]) == _told(told.caller)
    assert _seen_by("B", FLOWS[name]) == _told(told.callee)
    assert _seen_by("S", FLOWS[name]) == _told(told.second)


def test_every_arrow_is_read() -> None:
    arrows = [line for flow in FLOWS.values() for line in flow.splitlines() if ">>" in line]
    assert len(arrows) == sum(len(_ARROW.findall(flow)) for flow in FLOWS.values())
