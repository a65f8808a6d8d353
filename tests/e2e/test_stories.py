"""Every story of scenarios/, played by our player on both sides of a running node; tests/interop plays them with SIPp.

Each ends with its record and with the proof, from the bytes that each side received, that nothing crossed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final

import pytest

from scenarios.rig.check import ended_wrong
from scenarios.rig.node import Node
from scenarios.rig.nodes import Nodes
from scenarios.rig.place import INBOX_PORT, PORT, Places
from scenarios.rig.record import expected_record, record_differences
from scenarios.rig.seen import Seen
from scenarios.rig.story import Placed, Story, read_story, story_names
from scenarios.rig.told import Told
from tests.e2e.datagrams import drain, request, udp_socket
from tests.e2e.stories import ANSWERED, BINDING, A, X, tell

STORIES: Final = sorted((read_story(name) for name in story_names()), key=lambda story: story.ground)


@pytest.fixture(scope="module")
def nodes(places: Places, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodes]:
    """Nodes on which everybody is bound; each ends well."""
    running = Nodes(places, tmp_path_factory.mktemp("stories"), STORIES)
    yield running
    assert running.end() == []


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.name)
def test_story(nodes: Nodes, story: Story) -> None:
    _, wrong = nodes.tell(story, "player", "player")
    assert wrong == []


def told_well(nodes: Nodes, name: str) -> Told:
    """What came of a story that went as it should."""
    told, wrong = nodes.tell(read_story(name), "player", "player")
    assert wrong == []
    return told


def received(messages: list[Seen], shown: str) -> list[Seen]:
    """What a side received of one kind."""
    return [message for message in messages if not message.is_sent and message.shown == shown]


def test_callee_sees_the_fields_of_the_allow_list(nodes: Nodes) -> None:
    told = told_well(nodes, "answered")
    assert [line.partition(":")[0] for line in told.callee[0].head] == [
        "Via", "Max-Forwards", "From", "To", "Call-ID", "CSeq", "Contact", "P-Asserted-Identity", "Allow",
        "P-Charging-Vector", "Supported", "Content-Type", "Content-Length",
    ]  # fmt: skip


@pytest.mark.parametrize(("story", "side"), [("hold-by-caller", "callee"), ("hold-by-callee", "caller")])
def test_each_new_description_has_the_next_version(nodes: Nodes, story: str, side: str) -> None:
    told = told_well(nodes, story)
    kind = ("INVITE", "200 INVITE")
    bodies = [m.body for m in getattr(told, side) if not m.is_sent and m.shown in kind and m.body]
    versions = [origin_version(body) for body in dict.fromkeys(bodies)]
    assert versions == [versions[0], versions[0] + 1, versions[0] + 2]


def origin_version(description: bytes) -> int:
    """The version in our o= line (RFC 4566 §5.2)."""
    origin = next(line for line in description.split(b"\r\n") if line.startswith(b"o="))
    return int(origin.split(b" ")[2])


def test_each_early_dialog_has_a_tag_of_our_making(nodes: Nodes) -> None:
    told = told_well(nodes, "early-dialogs")
    ringing, answers = (
        list(dict.fromkeys(message.value("To").partition(";tag=")[2] for message in received(told.caller, shown)))
        for shown in ("180 INVITE", "200 INVITE")
    )
    assert len(ringing) == 2
    assert answers == ringing[1:]


def test_repeats_are_the_same_bytes(nodes: Nodes) -> None:
    slow, late = told_well(nodes, "slow-callee"), told_well(nodes, "late-ack")
    for repeats in (received(slow.callee, "INVITE"), received(late.caller, "200 INVITE")):
        assert len(repeats) > 1
        assert len({message.data for message in repeats}) == 1


@pytest.mark.parametrize(
    ("dialled", "caller", "like"),
    [(X, "13800138999", "outsider"), (X[:14], A, "digits-14"), (f"{X}1", A, "digits-16"), (X, A, "expired")],
    ids=lambda value: value if "-" in value or value.isalpha() else "",
)
def test_refused_message(make_node: Any, dialled: str, caller: str, like: str) -> None:
    """A message is refused for the same reasons as a call, and reaches nobody either."""
    node: Node = make_node()
    model = read_story(like)
    bound = replace(model.binding[0], x=X)
    story = replace(model, binding=(bound,), call=Placed(caller, dialled))
    node.bind(bound)
    node.start()
    uri, place = f"sip:{dialled}@{node.place.node}", node.place
    sent = request("MESSAGE", uri, place.caller, "refused", "Content-Type: text/plain\r\n", b"Hello").replace(
        A.encode(), caller.encode()
    )
    with (
        udp_socket(place.caller) as sender,
        udp_socket(place.callee) as callee,
        udp_socket(place.callee, INBOX_PORT) as inbox,
    ):
        sender.sendto(sent, (place.node, PORT))
        answer = Seen(0.0, False, sender.recv(65_536))
        assert ended_wrong(node) == []
        assert drain(callee) + drain(inbox) == []
    assert (answer.status, answer.value("Reason")) == (model.record.sip_status, f"Q.850;cause={model.record.q850}")
    [record] = node.records()
    told = Told([Seen(0.0, True, sent), answer], [])
    assert record_differences(record, expected_record(story, told, place)) == []


def test_unknown_source_hears_nothing(make_node: Any) -> None:
    node: Node = make_node()
    node.bind(BINDING)
    node.start()
    with udp_socket(node.place.stranger) as stranger:
        stranger.sendto(b"OPTIONS sip:x SIP/2.0\r\n\r\n", (node.place.node, PORT))
        tell(node, ANSWERED)
        assert ended_wrong(node) == []
        assert drain(stranger) == []
