"""The pictures of docs/call-flows.md show what SIPp sees on both sides of a node."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

import pytest

from tests.docs.pages import DOCS
from tests.e2e.nodes import Bound
from tests.e2e.stories import BINDING, INBOX_B, A, Stage, Told, X

PAGE: Final = DOCS / "call-flows.md"
SILENT_FIRST_B: Final = "13700137000"

_FLOW: Final = re.compile(r"<!-- flow: (\w+) -->\n```mermaid\nsequenceDiagram\n(.*?)```", re.DOTALL)
_ARROW: Final = re.compile(r"^ +(\w)-{1,2}>>(\w): (\w+)", re.MULTILINE)

FLOWS: Final = dict(_FLOW.findall(PAGE.read_text("utf-8")))


def _answered(stage: Callable[..., Stage]) -> Told:
    return stage(BINDING).play("uac_ends", "uas_answers")


def _refused(stage: Callable[..., Stage]) -> Told:
    return stage(BINDING).refuse("uac_refused", x="700123456780002")


def _cancelled(stage: Callable[..., Stage]) -> Told:
    return stage(BINDING).play("uac_cancels", "uas_rings")


def _failover(stage: Callable[..., Stage]) -> Told:
    on = stage(Bound(X, A, SILENT_FIRST_B), extra="[policy]\nfirst_response_ms = 300\n")
    silent = on.sipp("uas_is_silent", on.place.second)
    told = on.play("uac_ends", "uas_answers", callee=SILENT_FIRST_B)
    assert [message.shown for message in silent.messages] == ["INVITE"]
    return told


def _message(stage: Callable[..., Stage]) -> Told:
    return stage(Bound(X, A, INBOX_B)).play("uac_message", "uas_message", callee=INBOX_B)


STORIES: Final = {
    "answered": _answered, "refused": _refused, "cancelled": _cancelled, "failover": _failover, "message": _message,
}  # fmt: skip


def _seen_by(party: str, flow: str) -> list[str]:
    """The ladder of one party in a picture: "-> INVITE", "<- 100"."""
    arrows = _ARROW.findall(flow)
    return [f"{'->' if source == party else '<-'} {what}" for source, to, what in arrows if party in (source, to)]


def _without_method(ladder: list[str]) -> list[str]:
    return [" ".join(line.split()[:2]) for line in ladder]


@pytest.fixture
def stage(make_node: Any, sipp: Any) -> Callable[..., Stage]:
    def start(binding: Bound, extra: str = "") -> Stage:
        node = make_node(extra=extra)
        node.bind(binding)
        node.start()
        return Stage(node, sipp)

    return start


def test_every_picture_is_held_against_a_call() -> None:
    assert list(FLOWS) == list(STORIES)
    assert PAGE.read_text("utf-8").count("```mermaid") == len(FLOWS)


@pytest.mark.parametrize("name", FLOWS)
def test_the_picture_shows_what_both_sides_see(name: str, stage: Callable[..., Stage]) -> None:
    told = STORIES[name](stage)
    assert _without_method(told.caller_ladder) == _seen_by("A", FLOWS[name])
    assert _without_method(told.callee_ladder) == _seen_by("B", FLOWS[name])


def test_every_arrow_is_read() -> None:
    arrows = [line for flow in FLOWS.values() for line in flow.splitlines() if ">>" in line]
    assert len(arrows) == sum(len(_ARROW.findall(flow)) for flow in FLOWS.values())
