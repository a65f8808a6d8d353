"""Several listeners: what leaves by one of them says where the node is reached there, and nothing of the others."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from engine.core.frozen_call import FrozenCall, read_frozen
from engine.core.listeners import Listeners
from engine.core.settings import CoreSettings, ListenerSettings, TargetSettings
from engine.store.rows import extra_to_json
from sipstack import headers as h
from sipstack.testing.playbook import flow_of
from tests.core.corenode import CALLEE, CALLER, SETTINGS, CoreNode, X, with_trunk
from tests.core.parties import B_SDP, Talk, answer, invite, sdp_of
from tests.core.restart import frozen_of, restarted

OUTSIDE = ListenerSettings("UDP", "127.0.0.11", 5060, "203.0.113.7:5070")
INSIDE = ListenerSettings("UDP", "127.0.0.21", 5060, "127.0.0.21:5060")
SIX = ListenerSettings("UDP", "::1", 5062, "[2001:db8::7]:5062")
STREAM = ListenerSettings("TCP", "127.0.0.11", 5060, "127.0.0.11:5060")
SECURE = ListenerSettings("TLS", "127.0.0.11", 5061, "edge.example:5061")
ALL = (OUTSIDE, INSIDE, SIX, STREAM, SECURE)


def listening(*listeners: ListenerSettings, settings: CoreSettings = SETTINGS) -> CoreSettings:
    return replace(settings, listeners=listeners)


def talking(node: CoreNode, caller: str, callee: str) -> Talk:
    """INVITE, 200, ACK between two ends whose flows are as told."""
    node.book.wire_in(invite(), caller)
    node.book.wire_out("SIP/2.0 100", caller)
    sent = node.book.wire_out("INVITE ", callee)
    node.book.wire_in(answer(sent, 200, sdp=B_SDP), callee)
    talk = Talk(node, sent, node.book.wire_out("SIP/2.0 200", caller))
    talk.from_caller("ACK", source=caller)
    node.book.wire_out("ACK ")
    return talk


def hang_up(talk: Talk, caller: str, callee: str) -> None:
    """The callee says BYE, the caller agrees."""
    talk.from_callee("BYE", source=callee)
    bye = talk.node.book.wire_out("BYE ", caller)
    assert bye.line(h.VIA).startswith("Via: SIP/2.0/UDP 127.0.0.21:5060;branch=")
    talk.node.book.wire_in(answer(bye, 200), caller)
    talk.node.book.wire_out("SIP/2.0 200", callee)
    talk.node.book.silence()


def test_each_side_is_told_the_listener_that_it_talks_to() -> None:
    inside = f"{CALLER}/1"
    talk = talking(CoreNode(listening(*ALL)), inside, CALLEE)
    assert talk.invite.line(h.VIA).startswith("Via: SIP/2.0/UDP 203.0.113.7:5070;branch=")
    assert talk.invite.value(h.CONTACT) == f"<sip:{X}@203.0.113.7:5070>"
    assert sdp_of(talk.invite)["o"].endswith(" IN IP4 203.0.113.7")
    assert talk.ok.value(h.CONTACT) == f"<sip:{X}@127.0.0.21:5060>"
    assert sdp_of(talk.ok)["o"].endswith(" IN IP4 127.0.0.21")
    hang_up(talk, inside, CALLEE)


@pytest.mark.parametrize(
    ("target", "there", "via", "contact"),
    [
        (TargetSettings("", "127.0.0.13", 5060), CALLEE, "UDP 203.0.113.7:5070", "203.0.113.7:5070"),
        (
            TargetSettings("", "2001:db8::d", 5060),
            "[2001:db8::d]:5060/2",
            "UDP [2001:db8::7]:5062",
            "[2001:db8::7]:5062",
        ),
        (
            TargetSettings("", "127.0.0.13", 5060, "TCP"),
            f"tcp:{CALLEE}/3",
            "TCP 127.0.0.11:5060",
            "127.0.0.11:5060;transport=tcp",
        ),
        (
            TargetSettings("", "127.0.0.13", 5061, "TLS"),
            "tls:127.0.0.13:5061/4",
            "TLS edge.example:5061",
            "edge.example:5061;transport=tls",
        ),
    ],
)
def test_target_is_sent_to_by_the_first_listener_that_can(
    target: TargetSettings, there: str, via: str, contact: str
) -> None:
    node = CoreNode(listening(*ALL, settings=with_trunk("callee-side", targets=(target,))))
    node.book.wire_in(invite(), f"{CALLER}/1")
    node.book.wire_out("SIP/2.0 100", f"{CALLER}/1")
    sent = node.book.wire_out("INVITE ", there)
    assert sent.line(h.VIA).startswith(f"Via: SIP/2.0/{via};branch=")
    assert sent.value(h.CONTACT) == f"<sip:{X}@{contact}>"


def test_target_that_no_listener_can_send_to_is_none() -> None:
    node = CoreNode(listening(INSIDE, settings=with_trunk("callee-side", targets=(TargetSettings("", "::9", 5060),))))
    node.book.wire_in(invite(), CALLER)
    node.book.wire_out("SIP/2.0 100", CALLER)
    node.book.wire_out("SIP/2.0 480", CALLER)
    assert node.record["release_cause"] == "ALL_TARGETS_FAILED"


def test_which_listener_is_which_in_another_run() -> None:
    listeners = Listeners(ALL)
    assert listeners.index_of("UDP", "127.0.0.12", "127.0.0.21 5060") == 1
    assert listeners.index_of("UDP", "127.0.0.12", "127.0.0.99 5060") == 0  # it is gone: the first that can
    assert listeners.index_of("UDP", "127.0.0.12", "") == 0  # a row that names none
    assert listeners.index_of("UDP", "2001:db8::9", "") == 2
    assert listeners.index_of("TCP", "2001:db8::9", "") == -1


@pytest.mark.parametrize("order", [ALL, (SIX, STREAM, INSIDE, OUTSIDE)])
def test_call_of_the_last_run_stays_with_its_listener(order: tuple[ListenerSettings, ...]) -> None:
    talk = talking(CoreNode(listening(*ALL)), f"{CALLER}/1", CALLEE)
    talk.node = restarted(talk.node, listening(*order), after_s=40.0)
    hang_up(talk, f"{CALLER}/{order.index(INSIDE)}", f"{CALLEE}/{order.index(OUTSIDE)}")


def test_row_from_before_there_were_several_is_still_read() -> None:
    talk = talking(CoreNode(), CALLER, CALLEE)
    stored = json.loads(extra_to_json(frozen_of(talk.node)))
    for place in (stored, stored[-3], stored[-2]):
        for value in place:
            if isinstance(value, list) and value[:1] == ["UDP"]:
                del value[3]
    frozen = read_frozen(stored)
    assert frozen == frozen_without_listeners(frozen_of(talk.node))
    talk.hang_up()


def frozen_without_listeners(frozen: FrozenCall) -> FrozenCall:
    return frozen._replace(
        answer_flow=(*frozen.answer_flow[:3], ""),
        caller=frozen.caller._replace(flow=(*frozen.caller.flow[:3], "")),
        callee=frozen.callee._replace(flow=(*frozen.callee.flow[:3], "")),
    )


def test_another_run_answers_where_the_via_says() -> None:
    """Of the connection that the call came by nothing is left then (RFC 3261 §18.2.2)."""
    talk = talking(CoreNode(listening(*ALL)), "tcp:127.0.0.12:40001/3", CALLEE)
    assert frozen_of(talk.node).answer_flow[:3] == ("TCP", "127.0.0.12", 5060)
    talk.hang_up()


def test_flows_of_two_listeners_differ() -> None:
    assert flow_of(CALLER) != flow_of(f"{CALLER}/1")
    assert len({flow_of(CALLER), flow_of(f"{CALLER}/1"), flow_of(f"tcp:{CALLER}"), flow_of(f"{CALLER}/0")}) == 3


def test_requests_of_a_party_say_by_which_connection_it_is_reached() -> None:
    """On a stream the connection of its latest request is used, as long as it stands."""
    first, second = f"tcp:{CALLER.partition(':')[0]}:40001/3", f"tcp:{CALLER.partition(':')[0]}:40002/3"
    talk = talking(CoreNode(listening(*ALL)), first, CALLEE)
    talk.from_callee("INFO", source=CALLEE)
    info = talk.node.book.wire_out("INFO ", first)
    talk.node.book.wire_in(answer(info, 200), first)
    talk.node.book.wire_out("SIP/2.0 200", CALLEE)
    talk.from_caller("INFO", source=second)
    info = talk.node.book.wire_out("INFO ", CALLEE)
    talk.node.book.wire_in(answer(info, 200), CALLEE)
    talk.node.book.wire_out("SIP/2.0 200", second)
    talk.from_callee("BYE", source=CALLEE)
    bye = talk.node.book.wire_out("BYE ", second)
    assert talk.node.book.log[-1].flow.reply_port == 5060  # where its Contact says that it listens
    talk.node.book.wire_in(answer(bye, 200), second)
    talk.node.book.wire_out("SIP/2.0 200", CALLEE)
