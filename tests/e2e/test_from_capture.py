"""A captured call is played again from the files that are made of it: the same comes of it, with either engine."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import pytest

from engine.cli import run_cli
from scenarios.rig.engine import Run
from scenarios.rig.node import Node
from scenarios.rig.nodes import Nodes
from scenarios.rig.place import Place, Places
from scenarios.rig.players import PlayerRun
from scenarios.rig.seen import Seen, ladder
from scenarios.rig.sipp import Sipp
from scenarios.rig.story import Story, read_story
from scenarios.rig.told import Told
from sipstack.pcap import CapturedMessage
from tests.sipstack.captures import pcap_of

NAMES: Final = (
    "answered", "busy", "cancelled", "ended-by-callee", "glare-at-the-callee", "message", "old-number",
    "refreshed-by-callee", "reinvite-refused", "reliable-ringing", "update-early",
)  # fmt: skip
STORIES: Final = [read_story(name) for name in NAMES]
SAME: Final = ("kind", "tel_x", "caller", "callee", "release_cause", "release_direction", "decided_by", "sip_status",
               "q850", "egress_peer", "parts", "octets")  # fmt: skip


@pytest.fixture(scope="module")
def nodes(places: Places, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodes]:
    running = Nodes(places, tmp_path_factory.mktemp("nodes"), STORIES)
    yield running
    running.close()


def capture(told: Told, place: Place, story: Story) -> bytes:
    """What both sides' sockets have seen, as a file."""
    found = []
    for messages, number in ((told.caller, story.call.caller), (told.callee, story.call.callee)):
        own, node = (place.host_of(number), 5060), (place.node, 5060)
        for one in messages:
            ends = (own, node) if one.is_sent else (node, own)
            found.append(CapturedMessage(one.at_s, "UDP", *ends, one.data))
    return pcap_of(sorted(found, key=lambda one: one.at_s))


def steps(messages: list[Seen]) -> list[str]:
    """A ladder without repeats, which a busy machine may add."""
    return list(dict.fromkeys(ladder(messages)))


def facts(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: record[name] for name in SAME} for record in records]


def replayed(engine: str, folder: Path, node: Node, story: Story) -> tuple[list[Seen], list[Seen]]:
    """Plays a pair over a node; what both sides saw."""
    row = (folder / "rows.csv").read_text().splitlines()[1].split(";")

    def start(file: str, number: str, target: str = "") -> Run:
        host = node.place.host_of(number)
        if engine == "sipp":
            return Sipp(folder, folder / file, host, target=target, rows=[row]).start()
        return PlayerRun(folder / file, host, target=target, rows=[row]).start()

    with ExitStack() as stack:
        callee = start("uas.xml", story.call.callee)
        stack.callback(callee.close)
        caller = start("uac.xml", story.call.caller, node.place.node)
        stack.callback(caller.close)
        for run in (caller, callee):
            counted = run.wait()
            assert counted.is_clean(1), counted
        while node.status()["calls"]:
            time.sleep(0.01)
        return caller.messages, callee.messages


@pytest.mark.parametrize("engine", ["player", "sipp"])
@pytest.mark.parametrize("story", STORIES, ids=NAMES)
def test_a_captured_call_is_played_again(
    nodes: Nodes, tmp_path: Path, story: Story, engine: str, capsys: pytest.CaptureFixture[str]
) -> None:
    told, wrong = nodes.tell(story, "player", "player")
    assert wrong == []
    node = nodes.running[-1]
    file, out = tmp_path / "call.pcap", tmp_path / "story"
    file.write_bytes(capture(told, node.place, story))
    assert run_cli(["scenario", "from-pcap", str(file), "--out", str(out)]) == 0
    assert run_cli(["scenario", "check", str(out / "uac.xml"), str(out / "uas.xml")]) == 0
    for name in ("uac.xml", "uas.xml"):
        text = (out / name).read_text("ascii")
        for number in (story.call.caller, story.call.callee, story.call.dialled, node.place.node):
            assert number not in text
    known = len(node.records())
    caller, callee = replayed(engine, out, node, story)
    assert facts(node.records()[known:]) == facts(told.records)
    assert steps(caller) == steps(told.caller)
    assert steps(callee) == steps(told.callee)
    capsys.readouterr()
