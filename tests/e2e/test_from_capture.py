"""A captured call is played again from the files that are made of it: the same comes of it, with either engine."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

import pytest

from engine.cli import run_cli
from scenarios.rig.engine import Run
from scenarios.rig.node import ROOT, Node
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
    "refreshed-by-callee", "reinvite-refused", "reliable-ringing", "update-early", "unknown-dialog",
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


@contextmanager
def watched(node: Node, file: Path, *words: str) -> Iterator[None]:
    """`veil700 capture` beside what is done meanwhile, until one call has ended."""
    command = [sys.executable, "-m", "engine.main", "--config", node.config, "capture", "--out", file, "--calls", "1"]
    process = subprocess.Popen(
        [*command, *words], cwd=ROOT, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    )
    try:
        assert process.stderr is not None
        assert "capturing into" in process.stderr.readline()
        yield
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.communicate()


def test_what_our_own_capture_writes_is_played_again(
    nodes: Nodes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Both legs are in it, and are known to be one call."""
    story = STORIES[0]
    nodes.tell(story, "player", "player")
    node, file, out = nodes.running[-1], tmp_path / "call.pcapng", tmp_path / "story"
    with watched(node, file, "--reveal", "--reason", "a test"):
        told, wrong = nodes.tell(story, "player", "player")
    assert wrong == []
    assert run_cli(["scenario", "from-pcap", str(file), "--out", str(out)]) == 0
    assert capsys.readouterr().err == ""
    known = len(node.records())
    caller, callee = replayed("player", out, node, story)
    assert facts(node.records()[known:]) == facts(told.records)
    assert (steps(caller), steps(callee)) == (steps(told.caller), steps(told.callee))


def test_replay_of_our_own_masked_capture(nodes: Nodes, tmp_path: Path) -> None:
    """What the node has sent is not asked about, and pseudonyms stand for those that are bound."""
    story = STORIES[0]
    nodes.tell(story, "player", "player")
    node, file = nodes.running[-1], tmp_path / "call.pcapng"
    new = node.folder / "new.toml"
    with watched(node, file):
        nodes.tell(story, "player", "player")
    assert story.call.caller.encode() not in file.read_bytes()
    new.write_text(node.config.read_text())
    same = node.command("replay", file, "--against", new, "--json")
    found = json.loads(same.stdout)
    assert (same.returncode, found["distinct"], found["left_out"]) == (0, 2, {"source: the node itself": 1})
    new.write_text(new.read_text().replace('called = "', 'called = "^0'))
    changed = node.command("replay", file, "--against", new, "--json")
    assert changed.returncode == 1
    assert "NO_ROUTE" in json.loads(changed.stdout)["groups"][0]["changes"]["outcome"]["new"]
    assert story.call.caller not in changed.stdout


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
