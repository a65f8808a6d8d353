"""Which targets calls and messages are kept away from, and when they go there again (requirements 37, 76, 77)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine.core.health import FIRST_BAR_S, TRIAL_S
from engine.core.routing import Routing
from engine.core.settings import TargetSettings
from sipstack.location import Address, Place
from sipstack.message import Message
from tests.core.corenode import (
    CALLEE,
    CALLEE2,
    CALLEE_SIDE,
    CALLER,
    TWO_TARGETS,
    A,
    B,
    CoreNode,
    X,
    axb,
    target,
    with_trunk,
)
from tests.core.parties import B_SDP, answer, invite, message, of_invite, ring, trying

FIRST = "udp:127.0.0.13:5060"


class Calls:
    """One call after the other, each ended before the next; all begin with "CALL_ID" of their own."""

    def __init__(self, node: CoreNode) -> None:
        self.node = node
        self.count = 0
        self.sent: Message

    def place(self, to: str | None = None) -> Message:
        """The caller's INVITE, and ours, which must go to `to` where that is said."""
        self.count += 1
        data = invite(branch=self.branch).replace(b"Call-ID: 1-", b"Call-ID: %d-" % self.count)
        self.node.book.wire_in(data, CALLER)
        self.node.book.wire_out("SIP/2.0 100", CALLER)
        self.sent = self.node.book.wire_out("INVITE ", to)
        return self.sent

    @property
    def branch(self) -> str:
        return f"z9hG4bK-a{self.count}"

    def busy(self, sent: Message, at: str) -> None:
        """The callee is busy: its target is there."""
        self.node.book.wire_in(answer(sent, 486), at)
        self.node.book.wire_out("ACK ", at)
        self.refused(486)

    def fails(self, sent: Message, at: str, status: int = 503, extra: str = "") -> None:
        self.node.book.wire_in(answer(sent, status, extra=extra), at)
        self.node.book.wire_out("ACK ", at)

    def refused(self, status: int) -> None:
        final = self.node.book.wire_out(f"SIP/2.0 {status}", CALLER)
        ack = of_invite("ACK", final.to_tag, branch=self.branch)
        self.node.book.wire_in(ack.replace(b"Call-ID: 1-", b"Call-ID: %d-" % self.count), CALLER)
        self.node.book.silence()


def passes(node: CoreNode, seconds: float) -> None:
    """Time passes; what is sent again by Timer A or E is not looked at."""
    sent = {output.data for output in node.book.log}
    node.wait(seconds)
    fresh = [output for output in node.book.sent if output.data not in sent]
    node.book.sent.clear()
    node.book.sent.extend(fresh)


def test_dead_target_is_left_alone_and_comes_back_by_itself() -> None:
    node = CoreNode(TWO_TARGETS)
    calls = Calls(node)
    calls.place(CALLEE)
    node.transport_fails(CALLEE)
    calls.busy(node.book.wire_out("INVITE ", CALLEE2), CALLEE2)
    calls.busy(calls.place(CALLEE2), CALLEE2)
    passes(node, FIRST_BAR_S)
    calls.busy(calls.place(CALLEE), CALLEE)
    calls.busy(calls.place(CALLEE), CALLEE)
    assert node.targets == [(FIRST, "unreachable"), (FIRST, "up")]


def test_silent_target_costs_one_call_its_time_and_no_other() -> None:
    node = CoreNode(TWO_TARGETS)
    calls = Calls(node)
    calls.place(CALLEE)
    passes(node, 4)
    calls.busy(node.book.wire_out("INVITE ", CALLEE2), CALLEE2)
    calls.busy(calls.place(CALLEE2), CALLEE2)
    passes(node, FIRST_BAR_S)
    first = calls.place(CALLEE)  # the bar is over: this one tries it
    trial = calls.count
    calls.busy(calls.place(CALLEE2), CALLEE2)  # and no other meanwhile
    calls.count = trial
    passes(node, 4)
    calls.busy(node.book.wire_out("INVITE ", CALLEE2), CALLEE2)
    calls.count = 4
    passes(node, 2 * FIRST_BAR_S - 0.1)
    calls.busy(calls.place(CALLEE2), CALLEE2)
    assert node.targets == [(FIRST, "silent")]
    node.book.wire_in(answer(first, 100), CALLEE)  # far too late, but a sign of life
    node.book.wire_out("CANCEL ", CALLEE)
    assert node.targets == [(FIRST, "silent"), (FIRST, "up")]
    calls.busy(calls.place(CALLEE), CALLEE)


def test_busy_target_has_the_time_that_it_asks_for() -> None:
    node = CoreNode(TWO_TARGETS)
    calls = Calls(node)
    calls.fails(calls.place(CALLEE), CALLEE, extra="Retry-After: 30")
    calls.busy(node.book.wire_out("INVITE ", CALLEE2), CALLEE2)
    passes(node, 29.9)
    calls.busy(calls.place(CALLEE2), CALLEE2)
    passes(node, 0.1)
    calls.busy(calls.place(CALLEE), CALLEE)
    assert node.targets == [(FIRST, "busy"), (FIRST, "up")]


@pytest.mark.parametrize("status", [500, 502, 504])
def test_other_failures_are_of_the_request_alone(status: int) -> None:
    node = CoreNode(TWO_TARGETS)
    calls = Calls(node)
    for _ in range(3):
        calls.fails(calls.place(CALLEE), CALLEE, status)
        calls.busy(node.book.wire_out("INVITE ", CALLEE2), CALLEE2)
    assert node.targets == []


def test_last_hope_is_the_one_whose_bar_ends_first_and_one_is_enough() -> None:
    node = CoreNode(TWO_TARGETS)
    calls = Calls(node)
    calls.place(CALLEE)
    node.transport_fails(CALLEE)
    passes(node, 0.5)
    node.transport_fails(CALLEE2)
    calls.refused(480)
    assert [state for _, state in node.targets] == ["unreachable", "unreachable"]
    calls.place(CALLEE)
    node.transport_fails(CALLEE)
    calls.refused(480)
    calls.place(CALLEE2)
    node.transport_fails(CALLEE2)
    calls.refused(480)
    assert [len(record["attempts"]) for record in node.records] == [2, 1, 1]  # type: ignore[arg-type]


def test_503s_for_two_callees_shut_the_only_target_until_its_time_is_over() -> None:
    node = CoreNode()
    calls = Calls(node)
    for callee in (B, B, "13900139009"):  # those for one alone do not
        node.bindings[X, A] = axb(callee=callee)
        calls.fails(calls.place(CALLEE), CALLEE, extra="Retry-After: 10")
        calls.refused(480)
    node.book.wire_in(invite(branch="z9hG4bK-a4").replace(b"Call-ID: 1-", b"Call-ID: 4-"), CALLER)
    node.book.wire_out("SIP/2.0 100", CALLER)
    calls.count = 4
    calls.refused(480)
    last = node.records[-1]
    assert (last["attempts"], last["release_cause"], last["decided_by"]) == ((), "ALL_TARGETS_FAILED", "targets")
    passes(node, 10)
    calls.busy(calls.place(CALLEE), CALLEE)


def test_message_goes_round_a_dead_target() -> None:
    node = CoreNode(TWO_TARGETS)
    node.book.wire_in(message(), CALLER)
    node.book.wire_out("MESSAGE ", CALLEE)
    node.transport_fails(CALLEE)
    sent = node.book.wire_out("MESSAGE ", CALLEE2)
    node.book.wire_in(answer(sent, 200), CALLEE2)
    node.book.wire_out("SIP/2.0 200", CALLER)
    calls = Calls(node)
    calls.busy(calls.place(CALLEE2), CALLEE2)
    assert node.targets == [(FIRST, "unreachable")]


def test_silent_message_bars_its_target_and_goes_nowhere_else() -> None:
    node = CoreNode(TWO_TARGETS)
    node.book.wire_in(message(), CALLER)
    passes(node, 20)
    refused_message = [sent for sent in node.book.sent if sent.data.startswith(b"SIP/2.0 480")]
    assert len(refused_message) == 1 and node.sent_to(CALLEE2) == []
    node.book.sent.clear()
    assert node.targets == [(FIRST, "silent")]


def test_message_that_may_have_arrived_goes_nowhere_else() -> None:
    """Of two copies one comes back: the other one may be on somebody's phone."""
    node = CoreNode(TWO_TARGETS)
    node.book.wire_in(message(), CALLER)
    node.book.wire_out("MESSAGE ", CALLEE)
    passes(node, 0.6)
    node.transport_fails(CALLEE)
    node.book.wire_out("SIP/2.0 480", CALLER)
    node.book.silence()
    node.assert_recorded(release_cause="UNREACHABLE", decided_by="message_timer")
    assert node.targets == [(FIRST, "silent")]


def test_call_that_comes_back_takes_no_message_with_it() -> None:
    node = CoreNode(TWO_TARGETS)
    node.book.wire_in(message(), CALLER)
    sent = node.book.wire_out("MESSAGE ", CALLEE)
    calls = Calls(node)
    calls.place(CALLEE)
    node.transport_fails(CALLEE)
    calls.busy(node.book.wire_out("INVITE ", CALLEE2), CALLEE2)
    assert [output.data[:8] for output in node.book.log if output.flow.host == "127.0.0.14"] == [
        b"INVITE s",
        b"ACK sip:",
    ]
    node.book.wire_in(answer(sent, 200), CALLEE)
    node.book.wire_out("SIP/2.0 200", CALLER)
    assert node.targets == [(FIRST, "unreachable"), (FIRST, "up")]


def test_caller_that_gives_up_says_nothing_about_the_target() -> None:
    node = CoreNode(TWO_TARGETS)
    calls = Calls(node)
    calls.place(CALLEE)
    passes(node, 0.1)
    node.book.wire_in(of_invite("CANCEL"), CALLER)
    node.book.wire_out("SIP/2.0 200", CALLER)
    calls.refused(487)
    passes(node, 40)
    assert node.targets == [(FIRST, "silent")]  # nothing in 64*T1 does


def test_trial_that_comes_to_nothing_is_over_after_a_while() -> None:
    node = CoreNode(TWO_TARGETS)
    calls = Calls(node)
    calls.place(CALLEE)
    node.transport_fails(CALLEE)
    calls.busy(node.book.wire_out("INVITE ", CALLEE2), CALLEE2)
    passes(node, FIRST_BAR_S)
    trial = calls.place(CALLEE)
    node.book.wire_in(of_invite("CANCEL", branch=calls.branch).replace(b"ID: 1-", b"ID: 2-"), CALLER)
    node.book.wire_out("SIP/2.0 200", CALLER)
    calls.refused(487)
    calls.busy(calls.place(CALLEE2), CALLEE2)
    passes(node, TRIAL_S)
    calls.busy(calls.place(CALLEE), CALLEE)
    trying(node, trial)
    node.book.wire_out("CANCEL ", CALLEE)


def test_target_that_has_rung_keeps_the_call() -> None:
    node = CoreNode(TWO_TARGETS)
    calls = Calls(node)
    sent = calls.place(CALLEE)
    ring(node, sent)
    calls.fails(sent, CALLEE, extra="Retry-After: 5")
    calls.refused(480)
    calls.busy(calls.place(CALLEE2), CALLEE2)


def test_answer_of_an_abandoned_try_is_a_sign_of_life() -> None:
    node = CoreNode(TWO_TARGETS)
    calls = Calls(node)
    first = calls.place(CALLEE)
    passes(node, 4)
    second = node.book.wire_out("INVITE ", CALLEE2)
    node.book.wire_in(answer(first, 200, sdp=B_SDP), CALLEE)
    node.book.wire_out("ACK ", CALLEE)
    node.book.wire_in(answer(node.book.wire_out("BYE ", CALLEE), 200), CALLEE)
    calls.busy(second, CALLEE2)
    calls.busy(calls.place(CALLEE), CALLEE)


def test_nobody_is_there() -> None:
    """Today's single trunk: each call is tried, whatever the ones before have met."""
    node = CoreNode()
    calls = Calls(node)
    for _ in range(5):
        calls.place(CALLEE)
        node.transport_fails(CALLEE)
        calls.refused(480)
    calls.busy(calls.place(CALLEE), CALLEE)
    assert node.targets == [(FIRST, "unreachable"), (FIRST, "up")]


def test_all_targets_of_a_peer_come_before_the_next_peer() -> None:
    third = "127.0.0.15:5060"
    other = replace(CALLEE_SIDE, name="other", match=(), targets=(target(third),))
    routes = (*TWO_TARGETS.routes[:1], replace(TWO_TARGETS.routes[1], peers=("callee-side", "other")))
    node = CoreNode(replace(TWO_TARGETS, peers=(*TWO_TARGETS.peers, other), routes=routes))
    calls = Calls(node)
    calls.fails(calls.place(CALLEE), CALLEE)
    node.book.wire_out("INVITE ", CALLEE2)
    node.transport_fails(CALLEE2)
    calls.busy(node.book.wire_out("INVITE ", third), third)
    calls.busy(calls.place(third), third)
    tried = [(one[0], one[1], one[2]) for one in node.records[0]["attempts"]]  # type: ignore[attr-defined]
    assert tried == [
        ("callee-side", "sip:127.0.0.13:5060", 503),
        ("callee-side", "sip:127.0.0.14:5060", 503),
        ("other", "sip:127.0.0.15:5060", 486),
    ]
    assert [(one["egress_peer"], len(one["attempts"])) for one in node.records] == [("other", 3), ("other", 1)]  # type: ignore[arg-type]


# -- names -------------------------------------------------------------------------------------------------------------

PLACE = Place("core.example")
NAME = TargetSettings("sip:core.example", "core.example", 0, "", place=PLACE)


def at(host: str, priority: int = 0, weight: float = 1.0) -> Address:
    return Address("UDP", host, 5060, priority, weight)


def named(*addresses: Address, **changes: object) -> CoreNode:
    node = CoreNode(with_trunk("callee-side", targets=(NAME,), **changes))
    node.service.trunks.resolved(PLACE, addresses)
    return node


def test_health_is_of_the_address_whatever_name_and_weight_lead_there() -> None:
    """The other addresses of the name share its calls; the names may lead elsewhere meanwhile, and back."""
    node = named(at("127.0.0.13", weight=3.0), at("127.0.0.14"))
    calls = Calls(node)
    while True:
        calls.place()
        if node.book.log[-1].flow.host == "127.0.0.13":
            break
        calls.busy(calls.sent, CALLEE2)
    node.transport_fails(CALLEE)
    calls.busy(node.book.wire_out("INVITE ", CALLEE2), CALLEE2)
    node.service.trunks.resolved(PLACE, (at("127.0.0.14"),))
    node.service.trunks.resolved(PLACE, (at("127.0.0.13", weight=9.0), at("127.0.0.14")))
    for _ in range(20):
        calls.busy(calls.place(CALLEE2), CALLEE2)
    assert node.targets == [(FIRST, "unreachable")]


# -- a reload ----------------------------------------------------------------------------------------------------------


def reloaded(node: CoreNode, routing: Routing) -> None:
    node.book.perform(node.service.trunks.reload(node.context.settings, routing, node.book.now))


def test_tables_made_beside_the_calls_know_the_health_that_the_node_knows() -> None:
    node = CoreNode(TWO_TARGETS)
    routing = Routing(node.context.settings, node.service.trunks.addresses())
    calls = Calls(node)
    calls.place(CALLEE)
    node.transport_fails(CALLEE)
    calls.busy(node.book.wire_out("INVITE ", CALLEE2), CALLEE2)
    reloaded(node, routing)
    calls.busy(calls.place(CALLEE2), CALLEE2)
    passes(node, FIRST_BAR_S)
    calls.busy(calls.place(CALLEE), CALLEE)
    assert node.targets == [(FIRST, "unreachable"), (FIRST, "up")]


def test_tables_made_beside_the_calls_take_in_what_the_dns_has_told_meanwhile() -> None:
    node = named(at("127.0.0.13"))
    routing = Routing(node.context.settings, node.service.trunks.addresses())
    node.service.trunks.resolved(PLACE, (at("127.0.0.14"),))
    reloaded(node, routing)
    calls = Calls(node)
    calls.busy(calls.place(CALLEE2), CALLEE2)
    node.service.trunks.resolved(PLACE, (at("127.0.0.13"),))
    calls.busy(calls.place(CALLEE), CALLEE)


def test_probes_follow_the_names() -> None:
    node = named(at("127.0.0.13"), options_interval_s=5)
    asked = []
    for addresses in ((at("127.0.0.13"),), (at("127.0.0.14"), at("127.0.0.13")), (at("127.0.0.14"),), ()):
        node.service.trunks.resolved(PLACE, addresses)
        node.book.perform(node.service.trunks.follow(node.book.now))
        before = len(node.book.log)
        node.wait(6)
        asked.append({sent.flow.host for sent in node.book.log[before:]})
    assert asked == [{"127.0.0.13"}, {"127.0.0.13", "127.0.0.14"}, {"127.0.0.14"}, set()]
    assert {sent.data.split(b" ")[1] for sent in node.book.log} == {b"sip:core.example"}
    node.book.sent.clear()
