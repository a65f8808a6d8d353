"""Attempts that are turned away, and limits in conversations: refused, recorded, or sent another way."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine.core.records import Step
from engine.core.routing import Routing
from engine.core.settings import CoreSettings, PeerSettings, RouteSettings
from sipstack import headers as h
from sipstack.testing.playbook import wire
from tests.core.corenode import (
    CALLEE,
    CALLEE2,
    CALLEE_SIDE,
    CALLER,
    CALLER_SIDE,
    SETTINGS,
    STRANGER,
    A,
    CoreNode,
    X,
    target,
    with_policy,
    with_trunk,
)  # fmt: skip
from tests.core.parties import answer, answered, invite, of_invite, refused, ring, start, talking
from tests.core.restart import restarted

OVERLOAD = {"release_cause": "OVERLOAD", "sip_status": 503, "q850": 42, "decided_by": "peer_limit", "attempts": ()}


def two_peers(**limits: int) -> CoreSettings:
    """A route over two peers; the first has limits."""
    first = replace(CALLEE_SIDE, match=("127.0.0.13",), **limits)  # type: ignore[arg-type]
    second = PeerSettings("second", ("127.0.0.14",), (target(CALLEE2),))
    route = RouteSettings("mobiles", "^1[3-9][0-9]{9}$", (first.name, second.name))
    return replace(SETTINGS, peers=(CALLER_SIDE, first, second), routes=(route,))


def another(number: int = 2, **changes: str) -> bytes:
    """One more INVITE of the caller."""
    text = invite(branch=f"z9hG4bK-a-next{number}", tag=f"a-tag{number}", **changes)
    return text.replace(b"Call-ID: 1-4711", f"Call-ID: {number}-4711".encode())


def text_message(number: int = 1) -> bytes:
    return wire(
        f"""MESSAGE sip:{X}@veil.example SIP/2.0
        Via: SIP/2.0/UDP 127.0.0.12:5060;branch=z9hG4bK-am{number};rport
        Max-Forwards: 70
        From: <sip:+86{A}@core.example>;tag=a-tag{number}
        To: <sip:{X}@veil.example>
        Call-ID: m{number}-4711@127.0.0.12
        CSeq: 1 MESSAGE
        Content-Type: text/plain

        hello"""
    )


def records_of(node: CoreNode, cause: str) -> list[dict[str, object]]:
    return [record for record in node.records if record["release_cause"] == cause]


def turned_away(node: CoreNode, retry_after: str = "1") -> None:
    """Nothing but the refusal was sent, and none of it looked up anything."""
    response = refused(node, 503, 42)
    assert response.value(h.RETRY_AFTER) == retry_after
    node.book.silence()


def test_a_call_beyond_max_calls_is_turned_away_until_one_ends() -> None:
    node = CoreNode(with_trunk("caller-side", max_calls=1))
    talk = talking(node)
    node.book.wire_in(another(), CALLER)
    turned_away(node)
    (record,) = records_of(node, "OVERLOAD")
    assert OVERLOAD.items() <= record.items()
    assert (record["tel_x"], record["caller"], record["ingress_peer"]) == (X, A, "caller-side")
    node.book.wire_in(text_message(), CALLER)
    node.book.wire_out("MESSAGE ", CALLEE)
    talk.from_caller("BYE")
    bye = node.book.wire_out("BYE ", CALLEE)
    node.book.wire_in(answer(bye, 200), CALLEE)
    node.book.wire_out("SIP/2.0 200", CALLER)
    node.book.wire_in(another(3), CALLER)
    node.book.wire_out("SIP/2.0 100", CALLER)
    node.book.wire_out("INVITE ", CALLEE)


def test_a_limit_that_comes_with_a_reload_counts_calls_that_were_there() -> None:
    node = CoreNode()
    talk = talking(node)
    node.context.routing = Routing(with_trunk("caller-side", max_calls=1))
    node.book.wire_in(another(), CALLER)
    turned_away(node)
    talk.hang_up()


@pytest.mark.parametrize("trunk", ["caller-side", "callee-side"])
def test_adopted_calls_count(trunk: str) -> None:
    talk = talking(CoreNode())
    talk.node = node = restarted(talk.node, with_trunk(trunk, max_calls=1), after_s=40.0)
    node.book.wire_in(another(), CALLER)
    if trunk == "callee-side":
        node.book.wire_out("SIP/2.0 100", CALLER)
    turned_away(node)
    talk.hang_up()
    node.book.wire_in(another(3), CALLER)
    node.book.wire_out("SIP/2.0 100", CALLER)
    node.book.wire_out("INVITE ", CALLEE)


@pytest.mark.parametrize("uniform", [False, True])
def test_a_message_beyond_max_rate(uniform: bool) -> None:
    node = CoreNode(with_trunk("caller-side", max_rate=1, uniform_refusals=uniform))
    node.book.wire_in(text_message(1), CALLER)
    node.book.wire_out("MESSAGE ", CALLEE)
    node.book.wire_in(text_message(2), CALLER)
    turned_away(node)
    (record,) = records_of(node, "OVERLOAD")
    assert (record["kind"], record["parts"], record["octets"]) == ("message", 1, 7)
    node.wait(1)
    node.book.sent.clear()
    node.book.wire_in(text_message(3), CALLER)
    node.book.wire_out("MESSAGE ", CALLEE)


def test_a_repeat_of_what_was_turned_away_gets_the_same_answer_and_no_second_record() -> None:
    node = CoreNode(with_trunk("caller-side", max_rate=1))
    start(node)
    node.book.wire_in(another(), CALLER)
    first = node.book.wire_out("SIP/2.0 503", CALLER)
    node.book.wire_in(another(), CALLER)
    assert node.book.wire_out("SIP/2.0 503", CALLER) == first
    node.book.wire_in(of_invite("ACK", first.to_tag, "z9hG4bK-a-next2"), CALLER)
    assert len(records_of(node, "OVERLOAD")) == 1


def test_a_cancel_of_what_is_being_turned_away_changes_nothing() -> None:
    node = CoreNode(with_trunk("caller-side", max_rate=1))
    node.service.intake.is_draining = True
    node.durable = set()
    node.book.wire_in(invite(), CALLER)
    node.book.silence()
    node.book.wire_in(of_invite("CANCEL"), CALLER)
    cancelled = node.book.wire_out("SIP/2.0 200", CALLER)
    node.release_held()
    assert refused(node, 503, 42).to_tag == cancelled.to_tag


@pytest.mark.parametrize("late", [True, False])
def test_a_store_that_says_nothing_holds_up_no_refusal_for_ever(late: bool) -> None:
    node = CoreNode()
    node.store_gives_up = True
    node.service.intake.is_draining = True
    node.durable = set()
    node.book.wire_in(invite(), CALLER)
    node.book.at(4.9)
    node.book.wire_out("SIP/2.0 100", CALLER)
    node.book.silence()
    node.book.at(5.01)
    refused(node, 503, 42)
    assert [step for step, _ in node.steps] == [Step.CLOSE, Step.KEEP]
    if late:
        node.release_held()
        node.book.silence()


# -- towards the callee ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("limits", [{"max_calls": 1}, {"max_rate": 1}])
def test_a_peer_that_has_enough_is_passed_over(limits: dict[str, int]) -> None:
    node = CoreNode(two_peers(**limits))
    start(node)
    node.book.wire_in(another(), CALLER)
    node.book.wire_out("SIP/2.0 100", CALLER)
    node.book.wire_out("INVITE ", CALLEE2)
    assert node.counters["passed_over_peer_limit"] == 1


@pytest.mark.parametrize("kind", ["voice", "message"])
def test_without_another_peer_it_is_overload(kind: str) -> None:
    node = CoreNode(with_trunk("callee-side", max_rate=1))
    start(node)
    node.book.wire_in(another() if kind == "voice" else text_message(), CALLER)
    if kind == "voice":
        node.book.wire_out("SIP/2.0 100", CALLER)
    turned_away(node)
    (record,) = records_of(node, "OVERLOAD")
    assert OVERLOAD.items() <= record.items()


def test_when_something_was_tried_all_targets_have_failed() -> None:
    settings = two_peers()
    peers = (*settings.peers[:2], replace(settings.peers[2], max_rate=1))
    node = CoreNode(replace(settings, peers=peers))
    sent = start(node)
    node.book.wire_in(answer(sent, 503), CALLEE)
    node.book.wire_out("ACK ", CALLEE)
    node.book.wire_out("INVITE ", CALLEE2)  # which has its one now
    node.book.wire_in(another(), CALLER)
    node.book.wire_out("SIP/2.0 100", CALLER)
    sent = node.book.wire_out("INVITE ", CALLEE)
    node.book.wire_in(answer(sent, 503), CALLEE)
    node.book.wire_out("ACK ", CALLEE)
    refused(node, 480, 31)
    (record,) = records_of(node, "ALL_TARGETS_FAILED")
    assert record["decided_by"] == "targets"


# -- callers -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("uniform", "status", "q850"), [(False, 403, 21), (True, 404, 1)])
def test_a_caller_beyond_its_rate(uniform: bool, status: int, q850: int) -> None:
    node = CoreNode(with_policy(with_trunk("caller-side", uniform_refusals=uniform), caller_max_rate=1))
    node.looks_up = False
    node.book.wire_in(invite(), CALLER)
    node.book.wire_out("SIP/2.0 100", CALLER)
    assert len(node.lookups) == 1
    node.book.wire_in(another(), CALLER)
    node.book.wire_out("SIP/2.0 100", CALLER)
    refused(node, status, q850)
    assert len(node.lookups) == 1, "the store is not asked"
    (record,) = records_of(node, "RATE_LIMITED")
    assert record["decided_by"] == "caller_limit"
    node.release_lookup()
    node.book.wire_out("INVITE ", CALLEE)


def test_a_caller_beyond_its_calls() -> None:
    node = CoreNode(with_policy(caller_max_calls=1))
    talk = talking(node)
    node.book.wire_in(another(), CALLER)
    node.book.wire_out("SIP/2.0 100", CALLER)
    refused(node, 403, 21)
    assert len(records_of(node, "RATE_LIMITED")) == 1
    talk.hang_up()


# -- under load --------------------------------------------------------------------------------------------------------


def under_load(share: float = 1.0) -> CoreNode:
    node = CoreNode()
    node.service.intake.load.share = share
    return node


def test_what_is_turned_away_for_the_load_of_the_node_is_recorded() -> None:
    node = under_load()
    node.looks_up = False
    node.book.wire_in(invite(), CALLER)
    turned_away(node)
    node.assert_recorded(
        **{**OVERLOAD, "decided_by": "load"}, kind="voice", caller=A, tel_x=X, release_direction="platform"
    )
    assert (node.lookups, node.counters["turned_away_load"]) == ([], 1)


def test_a_call_in_progress_is_served_whatever_the_load() -> None:
    node = CoreNode()
    talk = talking(node)
    node.service.intake.load.share = 1.0
    talk.from_callee("INFO")
    info = node.book.wire_out("INFO ", CALLER)
    node.book.wire_in(answer(info, 200), CALLER)
    node.book.wire_out("SIP/2.0 200", CALLEE)
    talk.hang_up()


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_copies_are_the_same_whether_they_are_read_or_not(share: float) -> None:
    """Of an INVITE that waits, of one that was refused, of a MESSAGE; and the ACK of a refusal ends its repeats."""
    node = CoreNode(bindings=())
    node.durable = set()
    node.book.wire_in(invite(), CALLER)
    trying = node.book.wire_out("SIP/2.0 100", CALLER)
    node.service.intake.load.share = share
    node.book.wire_in(invite(), CALLER)
    assert node.book.wire_out("SIP/2.0 100", CALLER) == trying
    node.release_held()
    final = node.book.wire_out("SIP/2.0 404", CALLER)
    node.book.wire_in(invite(), CALLER)
    assert node.book.wire_out("SIP/2.0 404", CALLER) == final
    node.book.wire_in(of_invite("ACK", final.to_tag), CALLER)
    node.book.wire_in(invite(), CALLER)
    node.wait(10.0)
    node.book.silence()
    assert node.counters["retransmissions_in"] == 3
    assert "stray_acks" not in node.counters


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_the_ack_of_a_2xx_and_a_cancel_are_read_under_load_too(share: float) -> None:
    node = CoreNode()
    sent = start(node)
    node.service.intake.load.share = share
    ring(node, sent)
    node.book.wire_in(of_invite("CANCEL"), CALLER)
    node.book.wire_out("SIP/2.0 200", CALLER)
    node.book.wire_out("CANCEL ", CALLEE)
    node.book.sent.clear()
    second = CoreNode()
    second.service.intake.load.share = 0.0
    talk = answered(second)
    second.service.intake.load.share = share
    talk.from_caller("ACK", branch="z9hG4bK-a1")  # of RFC 2543: the branch of its INVITE
    second.book.wire_out("ACK ", CALLEE)
    talk.hang_up()


@pytest.mark.parametrize(
    "changed",
    [
        (b"Via: SIP/2.0/UDP", b"v: SIP/2.0/UDP"),
        (b"Via: SIP/2.0/UDP", b"Via: SIP / 2.0 / UDP"),
        (b"Max-Forwards: 70", b"Max-Forwards : 70"),
    ],
)
def test_a_copy_that_is_written_in_another_way_is_read_all_the_same(changed: tuple[bytes, bytes]) -> None:
    node = under_load()
    node.book.wire_in(invite(), CALLER)
    final = node.book.wire_out("SIP/2.0 503", CALLER)
    node.book.wire_in(invite().replace(*changed), CALLER)
    assert node.book.wire_out("SIP/2.0 503", CALLER) == final
    node.book.wire_in(of_invite("ACK", final.to_tag), CALLER)
    assert (len(node.records), node.counters["retransmissions_in"]) == (1, 1)


@pytest.mark.parametrize(
    "data", [b"", b"\r\n", b"INVITE", b"INVITE x\r\nVia: \r\n", b"\xff \r\nVia: \xff\r\n", b"x\r\nVia: y"]
)
def test_octets_that_are_no_message_are_no_copy(data: bytes) -> None:
    node = under_load()
    node.book.wire_in(data, CALLER)
    assert (node.counters["retransmissions_in"], node.begun) == (0, 0)
    node.book.log.clear()  # a 400 to what is none cannot be read either


@pytest.mark.parametrize(
    ("strangers", "attempts", "is_load"), [(0, 0, True), (50, 0, True), (1000, 14, True), (1000, 13, False)]
)
def test_what_strangers_pile_up_turns_nobody_away(strangers: int, attempts: int, is_load: bool) -> None:
    intake = CoreNode().service.intake
    for _ in range(5):
        intake.strangers += strangers
        intake.attempts += attempts
        intake.observe(2.0)
    assert (intake.load.share > 0.0) is is_load


def test_attempts_and_what_is_dropped_unread_are_counted() -> None:
    node = CoreNode()
    node.book.wire_in(text_message(), CALLER)
    node.book.wire_in(text_message(), STRANGER)
    node.book.wire_in(b"x", STRANGER)
    assert (node.service.intake.attempts, node.service.intake.strangers) == (1, 2)
