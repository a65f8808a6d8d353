"""The story of the answered call, told over a node of the test's own, and names for what the tests look at."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from scenarios.rig.binding import BLOCK, Bound
from scenarios.rig.check import wrong
from scenarios.rig.node import Node
from scenarios.rig.privacy import Side, leaks
from scenarios.rig.seen import Seen
from scenarios.rig.stage import play
from scenarios.rig.story import STORIES, Story, read_story
from scenarios.rig.told import Told

ANSWERED: Final = read_story("answered")
BINDING: Final = ANSWERED.binding[0]
A, B, X = BINDING.a, BINDING.b, BINDING.x

_NO_STORIES: Final = Path(__file__).with_name("sipp")


def file_of(name: str) -> Path:
    """The XML of one side: of a story, such as "answered/uac", or of tests/e2e/sipp, where lie those that are none.

    In its folder `only` are those that say what none but SIPp understands.
    """
    places = (STORIES,) if "/" in name else (_NO_STORIES, _NO_STORIES / "only")
    return next(path for place in places if (path := place / f"{name}.xml").exists())


def tell(node: Node, story: Story = ANSWERED, **how: Any) -> Told:
    """Plays a story with SIPp on both sides; all must be as it says."""
    told = play(node, story, "sipp", "sipp", **how)
    assert wrong(story, told, node.place) == []
    return told


def put_away(node: Node) -> None:
    """Whatever a test has left: the process ends, and what it said is shown with a failure."""
    node.close()
    print(f"--- stderr of the node in {node.folder.name}\n{node.stderr[-20_000:]}")


def assert_private(caller: Side, callee: Side) -> None:
    """Neither side learned anything of the other; each received something that could have told it."""
    assert caller.received, "nothing was received on the caller's side"
    assert callee.received, "nothing was received on the callee's side"
    assert leaks(caller, callee) == []
    assert leaks(callee, caller) == []


def many(first: int, count: int, callees: str, block: str = BLOCK) -> list[Bound]:
    """Bindings of distinct X and of distinct people, from the `first` number of the block on."""
    return [
        Bound(f"{block}{n:04}", f"138{n * 7919 % 10**8:08}", f"{callees}{n * 6101 % 10**8:08}")
        for n in range(first, first + count)
    ]


def x_in(messages: list[Seen]) -> str:
    """The 700 number of a call or message: what the caller dialled, or what the callee was shown."""
    address = messages[0].start_line if messages[0].is_sent else messages[0].value("From")
    start = address.index("sip:700") + 4
    return address[start : start + 15]
