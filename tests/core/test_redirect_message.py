"""A MESSAGE whose callee answers 3xx: followed like a call, within the time that it has."""

from __future__ import annotations

import pytest

from engine.core.records import Step
from engine.core.settings import MessageText
from sipstack import headers as h
from sipstack.message import Message
from tests.core.corenode import CALLEE, CALLEE2, CALLER, A, B, CoreNode, X, with_policy
from tests.core.parties import TEXT, answer, message, refused, send
from tests.core.test_redirect import CANARY_HOST, FOLLOWING, FROM_C, C, D, contact, nothing_of_it_crosses


def moved(node: CoreNode, sent: Message, contacts: str = "", source: str = CALLEE) -> None:
    node.book.wire_in(answer(sent, 302, contact=contacts or contact(C)), source)


def test_delivered_where_it_leads() -> None:
    node = CoreNode(FOLLOWING)
    first = send(node)
    moved(node, first)
    second = node.book.wire_out(f"MESSAGE sip:{C}@127.0.0.14:5060 SIP/2.0", CALLEE2)
    assert second.value(h.TO) == f"<sip:{C}@127.0.0.14>" and second.call_id != first.call_id
    assert second.body.decode().strip() == TEXT
    assert [(step, values["callee"]) for step, values in node.steps] == [(Step.OPEN, B), (Step.OPEN, C)]
    node.book.wire_in(answer(second, 200, contact=FROM_C, who=C), CALLEE2)
    node.book.wire_out("SIP/2.0 200", CALLER)
    node.assert_recorded(
        callee=C, tel_x=X, egress_peer="other-side", callee_call_id=second.call_id, release_cause="NORMAL",
        attempts=(
            ("callee-side", "sip:127.0.0.13:5060", 302, 0, None),
            ("other-side", "sip:127.0.0.14:5060", 200, 0, None),
        ),
    )  # fmt: skip
    nothing_of_it_crosses(node)


@pytest.mark.parametrize(
    ("contacts", "status", "cause"),
    [
        (contact(A), (482, 25), "LOOP"),
        (contact("95588"), (404, 3), "NO_ROUTE"),
        (contact(X), (480, 31), "FORWARDING_REFUSED"),
        (f"<sip:{CANARY_HOST}>", (480, 31), "FORWARDING_REFUSED"),
    ],
)
def test_where_it_may_not_lead(contacts: str, status: tuple[int, int], cause: str) -> None:
    node = CoreNode(FOLLOWING)
    moved(node, send(node), contacts)
    refused(node, *status)
    node.assert_recorded(callee=B, release_cause=cause, egress_peer="callee-side")
    assert node.sent_to(CALLEE2) == []


def test_five_times_and_no_more() -> None:
    node = CoreNode(FOLLOWING)
    sent, source = send(node), CALLEE
    for number in range(5):
        moved(node, sent, contact(f"1370013710{number}"), source)
        sent, source = node.book.wire_out(f"MESSAGE sip:1370013710{number}@", CALLEE2), CALLEE2
    moved(node, sent, contact(C), source)
    refused(node, 480, 31)
    node.assert_recorded(callee="13700137104", release_cause="FORWARDING_REFUSED")


def test_its_time_runs_once_over_all_callees() -> None:
    node = CoreNode(FOLLOWING)
    first = send(node)
    node.wait(12)
    node.book.sent.clear()  # its repeats
    moved(node, first)
    node.book.wire_out("MESSAGE ", CALLEE2)
    node.wait(7.9)
    assert node.sent_to(CALLER) == []
    node.wait(0.2)
    for _ in range(len(node.book.sent) - 1):
        node.book.wire_out("MESSAGE ", CALLEE2)
    refused(node, 480, 20)
    node.assert_recorded(callee=C, release_cause="UNREACHABLE", decided_by="message_timer")


def test_the_new_callee_gets_nothing_before_it_is_on_record() -> None:
    node = CoreNode(FOLLOWING)
    first = send(node)
    node.durable = {Step.CLOSE}
    moved(node, first)
    node.book.silence()
    node.release_held(durable=False)
    refused(node, 500, 41)
    assert node.sent_to(CALLEE2) == []
    node.assert_recorded(
        callee=B, egress_peer="callee-side", callee_call_id=first.call_id, release_cause="INTERNAL",
        attempts=(("callee-side", "sip:127.0.0.13:5060", 302, 0, None),),
    )  # fmt: skip


def test_the_first_callees_number_in_the_text_does_not_reach_the_second() -> None:
    """Who calls B may write its number to B; whoever B redirects to does not learn it so."""
    node = CoreNode(FOLLOWING)
    moved(node, send(node, message(f"{B}?")))
    refused(node, 403, 21)
    node.assert_recorded(callee=B, release_cause="LEAK_STOPPED", egress_peer="callee-side")


def test_a_text_that_is_relayed_is_not_searched_for_it() -> None:
    node = CoreNode(with_policy(FOLLOWING, message_text=MessageText.RELAY))
    moved(node, send(node, message(f"{D}?")))
    second = node.book.wire_out("MESSAGE ", CALLEE2)
    node.book.wire_in(answer(second, 202, contact=FROM_C, who=C), CALLEE2)
    node.book.wire_out("SIP/2.0 202", CALLER)
