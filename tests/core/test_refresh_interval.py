"""`session_timer`: ends that have agreed on an interval, when the node begins to look, and when it does not."""

from __future__ import annotations

import pytest

from engine.core.records import Step
from engine.core.session_timer import begin
from engine.core.settings import SessionTimer
from sipstack import headers as h
from sipstack.parser import parse
from tests.core.corenode import CALLEE, CALLER, A, CoreNode, with_policy
from tests.core.lookers import (
    ADDRESS,
    HALF_S,
    INSIST,
    METHODS,
    SIDES,
    asked,
    both_are_there,
    lost,
    says,
    talk_of,
    the_call,
    until_sent,
)
from tests.core.parties import B_SDP, SDP, answer, start
from tests.core.restart import restarted

# -- ends that have agreed on an interval ------------------------------------------------------------------------------

AGREED = "Supported: timer\nSession-Expires: 90;refresher=uac"
LATE_S = (45 + 60) / 2  # between the refresher's moment and the other end's BYE


@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
def test_the_node_refreshes_where_the_refresher_does_not(method: str) -> None:
    node = CoreNode(INSIST)
    talk = talk_of(node, method, method, AGREED)
    node.wait(LATE_S - 0.1)
    node.book.silence()
    node.wait(0.2)
    for wait_s in (44.8, 44.8, 0):  # from now on the node is the refresher, at half of the interval
        for side in SIDES:
            question = asked(node, side, method)
            assert question.value(h.SESSION_EXPIRES) == "90;refresher=uac"
            assert question.value(h.SUPPORTED) == "timer" and question.first[h.MIN_SE] is None
            says(node, question, side, extra="Require: timer\nSession-Expires: 90;refresher=uac",
                 sdp=(B_SDP if side == "callee" else SDP) if method == "INVITE" else "")  # fmt: skip
            if method == "INVITE":
                node.book.wire_out("ACK ", ADDRESS[side])
        node.wait(wait_s)
        node.book.silence()
        node.wait(0.3 if wait_s else 0)
    talk.hang_up()


def test_a_refresh_of_the_node_says_the_least_interval() -> None:
    node = CoreNode(with_policy(INSIST, min_se_s=120))
    talk = talk_of(node, "UPDATE", "UPDATE", "Supported: timer\nSession-Expires: 120")
    node.wait(74.1)
    question = asked(node, "callee", "UPDATE")
    assert (question.value(h.SESSION_EXPIRES), question.value(h.MIN_SE)) == ("120;refresher=uac", "120")
    says(node, question, "callee", extra="Session-Expires: 120;refresher=uac")
    says(node, asked(node, "caller", "UPDATE"), "caller", extra="Session-Expires: 120;refresher=uac")
    talk.hang_up()


def test_a_refresh_of_an_end_is_enough() -> None:
    node = CoreNode(INSIST)
    talk = talk_of(node, "UPDATE", "UPDATE", AGREED)
    for _ in range(4):
        node.wait(45)
        talk.from_caller("UPDATE", extra="Supported: timer\nSession-Expires: 90;refresher=uac")
        says(node, node.book.wire_out("UPDATE ", CALLEE), "callee", extra="Session-Expires: 90;refresher=uac")
        node.book.wire_out("SIP/2.0 200", CALLER)
        node.book.silence()
    assert "session_refreshes_sent" not in node.counters
    talk.hang_up()


def test_ends_that_drop_the_interval_are_asked_as_those_without_one() -> None:
    node = CoreNode(INSIST)
    talk = talk_of(node, "UPDATE", "UPDATE", AGREED)
    node.wait(LATE_S + 0.1)
    both_are_there(node, "UPDATE", "UPDATE")  # their 2xx have no Session-Expires
    node.wait(HALF_S - 0.1)
    node.book.silence()
    node.wait(0.2)
    question = asked(node, "callee", "UPDATE")
    assert question.first[h.SESSION_EXPIRES] is None
    says(node, question, "callee")
    says(node, asked(node, "caller", "UPDATE"), "caller")
    talk.hang_up()


def test_the_shorter_interval_counts() -> None:
    node = CoreNode(INSIST)
    talk = talk_of(node, "UPDATE", "UPDATE", "Supported: timer\nSession-Expires: 600;refresher=uac")
    node.wait((300 + 568) / 2 + 0.1)
    says(node, asked(node, "callee", "UPDATE"), "callee", extra="Session-Expires: 100;refresher=uac")
    says(node, asked(node, "caller", "UPDATE"), "caller", extra="Session-Expires: 600;refresher=uac")
    node.wait(50.1)
    assert asked(node, "callee", "UPDATE").value(h.SESSION_EXPIRES) == "100;refresher=uac"
    node.wait(1)
    node.book.sent.clear()
    talk.hang_up()


@pytest.mark.parametrize(("side", "least_s", "most_s"), [("callee", 2.1, 4.0), ("caller", 0.0, 2.0)])
def test_a_refresh_that_meets_one_of_the_end_is_tried_again(side: str, least_s: float, most_s: float) -> None:
    """§14.1: the one with the Call-ID waits longer; that is the node on the callee's side."""
    node = CoreNode(INSIST)
    talk = talk_of(node, "UPDATE", "UPDATE", AGREED)
    node.wait(LATE_S + 0.1)
    for one in SIDES:
        status = 491 if one == side else 200
        says(node, asked(node, one, "UPDATE"), one, status, extra="Session-Expires: 90;refresher=uac")
    waited_s = until_sent(node)
    assert least_s <= waited_s <= most_s + 0.1
    for one in SIDES:
        says(node, asked(node, one, "UPDATE"), one, extra="Session-Expires: 90;refresher=uac")
    talk.hang_up()


def test_a_refresh_that_is_refused_leaves_the_watch() -> None:
    node = CoreNode(INSIST)
    talk_of(node, "UPDATE", "UPDATE", AGREED)
    node.wait(LATE_S + 0.1)
    for side in SIDES:
        says(node, asked(node, side, "UPDATE"), side, 488)
    node.wait(90 - LATE_S - 0.3)
    node.book.silence()
    node.wait(0.3)
    lost(node, LATE_S + 0.1)


def test_an_end_that_has_left_ends_the_call_before_the_interval_does() -> None:
    node = CoreNode(INSIST)
    talk_of(node, "UPDATE", "UPDATE", AGREED)
    node.wait(LATE_S + 0.1)
    says(node, asked(node, "callee", "UPDATE"), "callee", 481)
    lost(node, 0)


# -- when it begins, and when not --------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [SessionTimer.RELAY, SessionTimer.OFF])
def test_other_modes_ask_nobody(mode: SessionTimer) -> None:
    node = CoreNode(with_policy(INSIST, session_timer=mode))
    talk = talk_of(node)
    node.wait(3600)
    node.book.silence()
    talk.hang_up()


def test_off_watches_nothing() -> None:
    node = CoreNode(with_policy(INSIST, session_timer=SessionTimer.OFF, max_call_s=1000))
    talk_of(node, rows=AGREED)
    node.wait(999.9)
    node.book.silence()
    node.wait(0.2)
    assert node.book.wire_out("BYE ", CALLER) and node.book.wire_out("BYE ", CALLEE)
    node.wait(1)
    assert node.record["release_cause"] == "MAX_DURATION"


@pytest.mark.parametrize("rows", ["", AGREED])
@pytest.mark.parametrize("refreshed", [False, True])
def test_the_longest_call_ends_whoever_is_there(refreshed: bool, rows: str) -> None:
    node = CoreNode(with_policy(INSIST, max_call_s=1000))
    talk = talk_of(node, "UPDATE", "UPDATE", rows)
    for step in range(2499):
        node.wait(0.4)
        if refreshed and step % 100 == 99:
            talk.from_caller("UPDATE", extra=rows)
        while node.book.sent:
            message = parse(node.book.sent.popleft().data)
            side = "caller" if A in message.uri_text else "callee"
            if message.is_request:
                says(node, message, side, extra=rows)
    node.wait(0.5)
    assert node.book.wire_out("BYE ", CALLER) and node.book.wire_out("BYE ", CALLEE)
    node.wait(1)
    node.assert_recorded(release_cause="MAX_DURATION", duration_ms=1_000_000)
    assert ("session_refreshes_sent" in node.counters) is not refreshed


def test_a_call_that_is_not_acknowledged_yet_is_left_alone() -> None:
    """NO_ACK decides first."""
    node = CoreNode(with_policy(session_expires_s=20))
    sent = start(node)
    node.book.wire_in(answer(sent, 200, sdp=B_SDP), CALLEE)
    node.wait(31.9)
    assert {sent.data.split(b" ")[1] for sent in node.book.sent} == {b"200"}
    node.wait(0.2)
    node.book.sent.clear()
    node.wait(1)
    assert node.record["release_cause"] == "NO_ACK"


def test_a_call_of_an_earlier_run_is_asked_soon() -> None:
    """Each at its own moment within 30 s; what is known of it is what was known when it was answered."""
    node = CoreNode(INSIST)
    talk_of(node)
    node.wait(100)
    call = the_call(node)
    moments = set()
    for _ in range(20):
        begin(call, node.book.now, at_once=True)
        moments.add(round(until_sent(node)))
        both_are_there(node)
    assert max(moments) <= 30 and len(moments) > 8
    begin(call, node.book.now, at_once=True)
    until_sent(node)
    asked(node, "callee")
    until_sent(node, "BYE")
    while node.book.sent[0].data.startswith(b"OPTIONS "):
        node.book.sent.popleft()
    lost(node, 0)


@pytest.mark.parametrize("method", METHODS)
def test_the_next_run_knows_when_both_were_last_there_and_what_they_take(method: str) -> None:
    """Of the callee's description it knows nothing: who takes no UPDATE is asked by OPTIONS."""
    node = CoreNode(INSIST)
    talk_of(node, method, method)
    node.wait(HALF_S + 0.1)
    both_are_there(node, method, method)
    known_s = HALF_S + 0.1
    node.wait(100)
    second = restarted(node, INSIST, after_s=5.0, boot_id="another")
    until_sent(second)
    question = asked(second, "callee", "UPDATE" if method == "UPDATE" else "OPTIONS")
    says(second, question, "callee", 481)
    lost(second, known_s)


def test_what_is_known_of_the_ends_waits_for_nothing_and_holds_up_nothing() -> None:
    """A store that takes no change at all costs the call nothing."""
    node = CoreNode(INSIST)
    node.durable -= {Step.CHANGE}
    talk = talk_of(node)
    for durable in (True, False):
        node.wait(HALF_S + 0.1)
        both_are_there(node)
        assert [held.step for held in node.held] == [Step.CHANGE]
        node.release_held(durable)
        node.book.silence()
    talk.hang_up()
    assert node.record["release_cause"] == "NORMAL"
