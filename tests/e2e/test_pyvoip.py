"""pyVoIP, a softphone that we did not write, is called through X by SIPp."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest

from scenarios.rig.check import ended_wrong, ladder_differences
from scenarios.rig.node import Node
from scenarios.rig.privacy import CALLER_CANARY, Side
from scenarios.rig.record import expected_record, record_differences
from scenarios.rig.sipp import Sipp
from scenarios.rig.story import Placed, read_story
from scenarios.rig.told import Told
from tests.e2e.datagrams import answer_to_options, udp_socket
from tests.e2e.registrar import Registrar
from tests.e2e.softphone import USER_AGENT, CallState, Softphone
from tests.e2e.stories import BINDING, A, B, X, assert_private

TAKEN = ("<- INVITE", "-> 180 INVITE", "-> 200 INVITE", "<- ACK")

# Its transmitter of audio may be just about to send when a call ends, and says so.
pytestmark = [
    pytest.mark.filterwarnings("ignore:RTP Packet failed to send:RuntimeWarning"),
    pytest.mark.timeout(600, method="thread"),  # its threads have once held up the one that a signal would interrupt
]


@pytest.fixture
def node(make_node: Any) -> Node:
    """A running node on which A and B are bound through X; B is reached at the callee's host."""
    made: Node = make_node()
    made.bind(BINDING)
    made.start()
    return made


@pytest.fixture
def phone(node: Node) -> Iterator[Softphone]:
    """B's phone, registered; afterwards its registration and all of its threads are gone."""
    host = node.place.callee
    threads = set(threading.enumerate())
    with closing(Registrar(host, node.place.node)) as registrar:
        registrar.start()
        with closing(Softphone(host, B, registrar.address)) as started:
            yield started
        assert len(registrar.contacts) == 2
        assert registrar.contacts[0].startswith(f"<sip:{B}@{host}:5060;")
        assert registrar.contacts[1] == ""
    assert set(threading.enumerate()) <= threads  # that of the time limit ends when a test has failed


@pytest.fixture
def call(node: Node, sipp: Any) -> Callable[[str], Sipp]:
    """A calls X, as a story tells it."""
    return lambda story: sipp(f"{story}/uac", node.place.caller, target=node.place.node, rows=[(X, A)])


def check(node: Node, name: str, calling: Sipp, phone: Softphone, *ladder: str) -> dict[str, Any]:
    """Nothing that a side saw was the other's, the phone saw this ladder, the record is the story's; the record."""
    assert calling.wait().is_clean(1)
    phone.await_message(*ladder[-1].split(" ", 1))
    with udp_socket(node.place.caller) as probe:
        answer_to_options(probe, node.place.node, "after-the-call")
    assert ended_wrong(node) == []
    told = Told(calling.messages, phone.messages)
    assert ladder_differences("callee", ladder, told.callee, may_repeat=True) == []  # it has rung for longer than T1
    caller = Side(told.caller, node.place.caller, A, CALLER_CANARY)
    assert_private(caller, Side(told.callee, node.place.callee, B, USER_AGENT))
    invite = told.callee[0]
    assert invite.start_line == f"INVITE sip:{B}@{node.place.callee}:5060 SIP/2.0"
    assert invite.value("From").startswith(f"<sip:{X}@veil.example>;tag=")
    story = replace(read_story(name), binding=(BINDING,), call=Placed(A, X, B))
    assert ladder_differences("caller", story.ladders.caller, told.caller, may_repeat=True) == []
    [record] = node.records()
    assert record_differences(record, expected_record(story, told, node.place)) == []
    return record


def test_phone_answers_and_caller_ends(node: Node, phone: Softphone, call: Callable[[str], Sipp]) -> None:
    calling = call("answered")
    taken = phone.next_call()
    assert taken.request.headers["From"]["number"] == X  # as the phone itself reads it
    taken.answer()
    record = check(node, "answered", calling, phone, *TAKEN, "<- BYE", "-> 200 BYE")
    assert taken.state is CallState.ENDED
    rang_s = next(seen.at_s for seen in calling.messages if seen.shown == "180 INVITE")  # for the node earlier still
    picked_up_s = next(seen.at_s for seen in phone.messages if seen.shown == "200 INVITE")  # for the node later still
    assert record["ring_ms"] >= (picked_up_s - rang_s) * 1000 - 2  # both are rounded


def test_phone_hangs_up(node: Node, phone: Softphone, call: Callable[[str], Sipp]) -> None:
    calling = call("ended-by-callee")
    taken = phone.next_call()
    taken.answer()
    phone.await_message("<-", "ACK")
    taken.hangup()
    check(node, "ended-by-callee", calling, phone, *TAKEN, "-> BYE", "<- 200 BYE")


def test_phone_is_busy(node: Node, phone: Softphone, call: Callable[[str], Sipp]) -> None:
    calling = call("busy")
    phone.deny(phone.next_call())
    check(node, "busy", calling, phone, "<- INVITE", "-> 180 INVITE", "-> 486 INVITE", "<- ACK")
