"""What a story stands on: its node and what is done to it before, and how the rig reads what its parties write."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.hours import is_within
from scenarios.rig import nodes as rig_nodes
from scenarios.rig.errors import RigError
from scenarios.rig.node import other_hours
from scenarios.rig.nodes import Nodes
from scenarios.rig.place import Places
from scenarios.rig.seen import Seen
from scenarios.rig.story import read_story
from scenarios.rig.told import Told
from tests.e2e.stories import ANSWERED


def sent(line: str, cseq: str, to: str = "<sip:x>") -> Seen:
    return Seen(0.0, True, f"{line} sip:x SIP/2.0\r\nTo: {to}\r\nCSeq: {cseq}\r\n\r\n".encode())


def answered(status: int, cseq: str) -> Seen:
    return Seen(0.0, False, f"SIP/2.0 {status} x\r\nCSeq: {cseq}\r\n\r\n".encode())


def final_of(*messages: Seen) -> int:
    final = Told(list(messages), []).final
    return final.status if final is not None else 0


def test_a_command_that_fails_is_one_clear_line(places: Places, tmp_path: Path) -> None:
    story = replace(ANSWERED, commands=(("state", "number", "1", "locked", "--reason", "x"),))
    with pytest.raises(RigError, match=r"^veil700 state number 1 locked --reason x: exit status [12]: [^\n]+$"):
        Nodes(places, tmp_path, [story]).tell(story, "player", "player")


def test_what_commands_do_does_not_reach_other_stories() -> None:
    stories = [read_story(name) for name in ("answered", "number-locked", "tenant-suspended")]
    assert len({story.ground for story in stories}) == len(stories)
    assert read_story("number-locked").ground == read_story("kill-switch").ground


def test_nodes_make_room_for_one_another(places: Places, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rig_nodes, "_MOST", 1)
    monkeypatch.setattr(rig_nodes, "ended_wrong", lambda node: [f"ended {node.folder.name}"])
    stories = [read_story(name) for name in ("busy", "number-frozen")]
    nodes = Nodes(places, tmp_path, stories)
    for story in stories:
        assert nodes.tell(story, "player", "player")[1] == []
        assert len(nodes.running) == 1
    assert nodes.end() == ["ended node-1", "ended node-2"]


@given(st.floats(0, 4e9))
def test_other_hours_are_never_now(now_s: float) -> None:
    hours = other_hours(now_s)
    assert not is_within(hours, now_s)
    assert is_within(hours, now_s + 12 * 3600)


def test_short_names_are_read() -> None:
    seen = Seen(
        0.0, True, b"INVITE sip:x SIP/2.0\r\nv: SIP/2.0/UDP h\r\nf: <sip:a>\r\nt: <sip:b>\r\ni: c@h\r\nl: 0\r\n\r\n"
    )
    assert (seen.call_id, seen.value("From"), seen.value("To"), seen.value("Via")) == (
        "c@h", "<sip:a>", "<sip:b>", "SIP/2.0/UDP h",
    )  # fmt: skip


def test_the_final_response_is_of_the_last_request_outside_a_dialog() -> None:
    first = (sent("INVITE", "1 INVITE"), answered(422, "1 INVITE"))
    assert final_of(*first) == 422
    second = (*first, sent("INVITE", "2 INVITE"), answered(180, "2 INVITE"), answered(200, "2 INVITE"))
    assert final_of(*second) == 200
    assert final_of(*second, sent("INVITE", "3 INVITE", "<sip:x>;tag=1"), answered(491, "3 INVITE")) == 200
    assert final_of(*second, sent("BYE", "4 BYE", "<sip:x>;tag=1"), answered(481, "4 BYE")) == 200
    assert final_of(sent("OPTIONS", "1 OPTIONS"), answered(200, "1 OPTIONS")) == 0
