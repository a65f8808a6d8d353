"""RP-ACK and RP-ERROR: matched, recorded, passed on once, under the identifiers of the other side."""

from __future__ import annotations

import pytest

from engine.core.records import Step
from engine.core.settings import CoreSettings, MessageText, NumberFormat
from sipstack import headers as h
from tests.core.corenode import (
    CALLEE,
    CALLER,
    CENTRE_A,
    WALL_AT_START,
    A,
    B,
    CoreNode,
    X,
    target,
    with_policy,
    with_trunk,
)
from tests.core.parties import answer, refused
from tests.core.sms import (
    GATEWAY_A,
    SCTS,
    TYPE,
    deliver,
    delivered,
    ended,
    gsm7,
    passed,
    reference_of,
    report,
    rp_ack,
    rp_error,
    send,
    status_report,
    submitted,
    turned_away,
)

CALL_ID = "1-4711@127.0.0.12"


def test_submit_report_line_by_line() -> None:
    node = CoreNode()
    sent = send(node)
    node.book.at(2)
    relayed = passed(node, rp_ack(reference_of(sent), False), sent)
    assert relayed.top_via is not None
    assert [relayed.start_line(), *relayed.lines] == [
        f"MESSAGE sip:{A}@127.0.0.12:5060 SIP/2.0",
        f"Via: SIP/2.0/UDP 127.0.0.11:5060;branch={relayed.top_via.branch};rport",
        "Max-Forwards: 69",
        f"From: <sip:{CENTRE_A}@veil.example>;tag={relayed.from_tag}",
        f"To: <sip:{A}@127.0.0.12>",
        f"Call-ID: {relayed.call_id}",
        f"CSeq: {relayed.cseq} MESSAGE",
        f"P-Asserted-Identity: <sip:{CENTRE_A}@veil.example>",
        f"In-Reply-To: {CALL_ID}",
        f"Content-Type: {TYPE}",
        f"Content-Length: {len(relayed.body)}",
    ]
    assert relayed.body == rp_ack(9, False)
    node.assert_recorded(
        release_cause="NORMAL", decided_by="callee", release_direction="callee", sip_status=202, q850=16,
        release_time=WALL_AT_START + 2, caller_call_id=CALL_ID, callee_call_id=sent.call_id, caller=A, callee=B,
    )  # fmt: skip
    assert [step for step, _ in node.steps] == [Step.OPEN, Step.ANSWER, Step.CLOSE]
    assert (node.counters["attempts_message"], node.counters["reports_passed"]) == (1, 1)


@pytest.mark.parametrize("tpdu", [b"", status_report(A)])
def test_deliver_report_goes_back_to_the_gateway(tpdu: bytes) -> None:
    node = CoreNode()
    sent = send(node, delivered(tpdu))
    relayed = passed(node, rp_ack(reference_of(sent), True), sent)
    assert relayed.start_line() == f"MESSAGE {GATEWAY_A} SIP/2.0"
    assert relayed.value(h.TO) == f"<{GATEWAY_A}>"
    assert relayed.value(h.FROM) == f"<sip:{X}@veil.example>;tag={relayed.from_tag}"
    assert relayed.values(h.P_ASSERTED_IDENTITY) == [f"<sip:{X}@veil.example>"]
    assert relayed.body == rp_ack(9, True)
    node.assert_recorded(release_cause="NORMAL")


def test_call_id_with_a_number_goes_back_as_it_was() -> None:
    """The record has it masked."""
    node = CoreNode()
    sent = send(node, submitted(call_id=f"{A}-1@a"))
    relayed = passed(node, rp_ack(reference_of(sent), False), sent)
    assert relayed.named("In-Reply-To") == [f"{A}-1@a"]
    node.assert_recorded(caller_call_id="138****8000-1@a")


def test_report_without_user_data() -> None:
    node = CoreNode()
    sent = send(node)
    assert passed(node, rp_ack(reference_of(sent), False, b""), sent).body == bytes((3, 9))


@pytest.mark.parametrize(
    ("cause", "recorded", "q850"),
    [
        (22, "UNREACHABLE", 20),
        (27, "UNREACHABLE", 20),
        (41, "UNREACHABLE", 20),
        (1, "REJECTED", 21),
        (21, "REJECTED", 21),
        (111, "REJECTED", 21),
    ],
)
@pytest.mark.parametrize("from_mobile", [False, True])
def test_rp_error_ends_the_record_by_its_cause(cause: int, recorded: str, q850: int, from_mobile: bool) -> None:
    node = CoreNode()
    sent = send(node, delivered() if from_mobile else submitted())
    relayed = passed(node, rp_error(reference_of(sent), from_mobile, cause), sent)
    assert relayed.body == rp_error(9, from_mobile, cause)
    node.assert_recorded(release_cause=recorded, decided_by="callee", sip_status=202, q850=q850)


@pytest.mark.parametrize(
    ("number_format", "uri", "sender"),
    [
        (NumberFormat.PLUS, f"sip:+86{A}@127.0.0.12:5060", f"<sip:+86{CENTRE_A}@veil.example>"),
        (NumberFormat.TEL, f"tel:+86{A}", f"<tel:+86{CENTRE_A}>"),
    ],
)
def test_report_is_written_as_the_trunk_writes_numbers(number_format: NumberFormat, uri: str, sender: str) -> None:
    node = CoreNode(with_trunk("caller-side", number_format=number_format))
    sent = send(node)
    relayed = passed(node, rp_ack(reference_of(sent), False), sent)
    assert relayed.uri_text == uri
    assert (relayed.value(h.FROM) or "").startswith(sender)


def test_nothing_of_a_report_passes_before_the_record() -> None:
    node = CoreNode()
    node.durable = {Step.OPEN, Step.ANSWER}
    sent = send(node)
    node.book.wire_in(report(rp_ack(reference_of(sent), False), sent), CALLEE)
    node.book.silence()
    node.release_held()
    node.book.wire_out("SIP/2.0 202", CALLEE)
    node.book.wire_in(answer(node.book.wire_out("MESSAGE ", CALLER), 200, "a-tag", who=A), CALLER)


@pytest.mark.parametrize("waits", [False, True])
def test_report_that_cannot_be_recorded_is_neither_confirmed_nor_passed_on(waits: bool) -> None:
    node = CoreNode()
    node.durable = {Step.OPEN, Step.ANSWER}
    node.store_gives_up = True
    sent = send(node)
    node.book.wire_in(report(rp_ack(reference_of(sent), False), sent), CALLEE)
    if waits:
        node.wait(5.1)
    else:
        node.release_held(durable=False)
    node.book.wire_out("SIP/2.0 500", CALLEE)
    node.book.silence()
    if waits:
        node.release_held()
        node.book.silence()


def test_no_report_in_45_s() -> None:
    node = CoreNode()
    sent = send(node)
    node.wait(44.9)
    assert node.records == []
    ended(node)
    turned_away(node, report(rp_ack(reference_of(sent), False), sent))


def test_report_while_the_lost_one_is_being_recorded() -> None:
    node = CoreNode()
    node.durable = {Step.OPEN, Step.ANSWER}
    sent = send(node)
    node.wait(45.1)
    turned_away(node, report(rp_ack(reference_of(sent), False), sent))
    node.release_held()
    node.book.silence()


# -- what belongs to nothing -------------------------------------------------------------------------------------------


def test_wrong_reference() -> None:
    node = CoreNode()
    sent = send(node)
    turned_away(node, report(rp_ack(reference_of(sent) ^ 1, False), sent))
    assert node.counters["reports_unmatched"] == 1
    ended(node)


@pytest.mark.parametrize("call_id", ["other", CALL_ID, "", "a, b"])
def test_foreign_in_reply_to(call_id: str) -> None:
    """The first sender's Call-ID too: the other side has never seen it."""
    node = CoreNode()
    sent = send(node)
    turned_away(node, report(rp_ack(reference_of(sent), False), sent, call_id=call_id or " "))
    ended(node)


def test_wrong_direction() -> None:
    node = CoreNode()
    sent = send(node)
    turned_away(node, report(rp_ack(reference_of(sent), True), sent))
    ended(node)


def test_report_from_another_peer() -> None:
    node = CoreNode()
    sent = send(node)
    data = report(rp_ack(reference_of(sent), False), sent, CALLER, branch="z9hG4bK-ar1").replace(B.encode(), A.encode())
    turned_away(node, data, CALLER)
    ended(node)


def test_report_for_nothing() -> None:
    node = CoreNode()
    node.book.wire_in(submitted(), CALLER)
    sent = node.book.wire_out("MESSAGE ", CALLEE)
    node.book.wire_in(answer(sent, 404), CALLEE)
    refused(node, 404, 1)
    turned_away(node, report(rp_ack(reference_of(sent), False), sent))
    assert node.counters["attempts_message"] == 1


def test_unreadable_report_is_stopped_and_another_one_awaited() -> None:
    node = CoreNode()
    sent = send(node)
    reference = reference_of(sent)
    turned_away(node, report(rp_ack(reference, False, b"\x01\x00\x99"), sent), status=403)
    assert node.counters["reports_stopped"] == 1
    node.book.wire_in(report(rp_ack(reference, False), sent, branch="z9hG4bK-br2"), CALLEE)
    node.book.wire_out("SIP/2.0 202", CALLEE)
    node.book.wire_in(answer(node.book.wire_out("MESSAGE ", CALLER), 200, "a-tag", who=A), CALLER)
    node.assert_recorded(release_cause="NORMAL")


@pytest.mark.parametrize("tpdu", [deliver(B), status_report(B)])
def test_short_message_in_a_report_is_stopped(tpdu: bytes) -> None:
    """Its address would be the reporter's."""
    node = CoreNode()
    sent = send(node)
    turned_away(node, report(rp_ack(reference_of(sent), False, tpdu), sent), status=403)
    ended(node)


def test_two_in_reply_to() -> None:
    node = CoreNode()
    sent = send(node)
    data = report(rp_ack(reference_of(sent), False), sent)
    turned_away(node, data.replace(b"Content-Type", f"In-Reply-To: {sent.call_id}\r\nContent-Type".encode()))
    ended(node)


def with_text(reference: int, text: str) -> bytes:
    """A SUBMIT-REPORT that says something: TP-PI says TP-DCS and TP-UD."""
    return rp_ack(reference, False, b"\x01\x06" + SCTS + b"\0" + gsm7(text))


def test_reporters_own_number_in_its_text_is_masked() -> None:
    node = CoreNode()
    sent = send(node)
    relayed = passed(node, with_text(reference_of(sent), f"by {B}"), sent)
    assert relayed.body == with_text(9, "by 139****9000")


def test_relay_leaves_the_text_of_a_report_alone() -> None:
    node = CoreNode(with_policy(message_text=MessageText.RELAY))
    sent = send(node)
    relayed = passed(node, with_text(reference_of(sent), f"by {B}"), sent)
    assert relayed.body == with_text(9, f"by {B}")


# -- orders that the network makes -------------------------------------------------------------------------------------


def test_report_before_the_2xx_waits_for_it() -> None:
    node = CoreNode()
    node.book.wire_in(submitted(), CALLER)
    sent = node.book.wire_out("MESSAGE ", CALLEE)
    node.book.wire_in(report(rp_ack(reference_of(sent), False), sent), CALLEE)
    turned_away(node, report(rp_error(reference_of(sent), False), sent, branch="z9hG4bK-br2"))
    node.book.wire_in(answer(sent, 202), CALLEE)
    node.book.wire_out("SIP/2.0 202", CALLER)
    node.book.wire_out("SIP/2.0 202", CALLEE)
    relayed = node.book.wire_out("MESSAGE ", CALLER)
    assert relayed.body == rp_ack(9, False)
    node.book.wire_in(answer(relayed, 200, "a-tag", who=A), CALLER)
    node.assert_recorded(release_cause="NORMAL")


@pytest.mark.parametrize("status", [404, 503])
def test_report_on_what_fails_reports_nothing(status: int) -> None:
    node = CoreNode()
    node.book.wire_in(submitted(), CALLER)
    sent = node.book.wire_out("MESSAGE ", CALLEE)
    node.book.wire_in(report(rp_ack(reference_of(sent), False), sent), CALLEE)
    node.book.silence()
    node.book.wire_in(answer(sent, status), CALLEE)
    refusal = node.book.wire_out("SIP/2.0 4", CALLER)
    assert refusal.status == (404 if status == 404 else 480)
    node.book.wire_out("SIP/2.0 488", CALLEE)
    node.book.silence()


def test_copies_of_a_report_are_passed_on_once() -> None:
    node = CoreNode()
    sent = send(node)
    rp = rp_ack(reference_of(sent), False)
    passed(node, rp, sent)
    node.book.wire_in(report(rp, sent), CALLEE)
    node.book.wire_out("SIP/2.0 202", CALLEE)
    node.book.silence()
    turned_away(node, report(rp, sent, branch="z9hG4bK-br2"))


def two_targets() -> CoreSettings:
    return with_trunk("caller-side", targets=(target("127.0.0.12:5062"), target(CALLER)))


@pytest.mark.parametrize("fails", ["503", "transport"])
def test_report_goes_to_the_next_target(fails: str) -> None:
    node = CoreNode(two_targets())
    sent = send(node)
    node.book.wire_in(report(rp_ack(reference_of(sent), False), sent), CALLEE)
    node.book.wire_out("SIP/2.0 202", CALLEE)
    first = node.book.wire_out("MESSAGE ", "127.0.0.12:5062")
    if fails == "503":
        node.book.wire_in(answer(first, 503, "a-tag", who=A), "127.0.0.12:5062")
    else:
        node.transport_fails("127.0.0.12:5062")
    second = node.book.wire_out("MESSAGE ", CALLER)
    assert (second.body, second.named("In-Reply-To")) == (first.body, [CALL_ID])
    assert second.call_id != first.call_id
    node.book.wire_in(answer(second, 200, "a-tag", who=A), CALLER)
    assert node.counters["reports_passed"] == 1


@pytest.mark.parametrize("fails", ["transport", "503", "silence"])
def test_next_report_goes_first_where_somebody_is(fails: str) -> None:
    node = CoreNode(two_targets())
    sent = send(node)
    node.book.wire_in(report(rp_ack(reference_of(sent), False), sent), CALLEE)
    node.book.wire_out("SIP/2.0 202", CALLEE)
    first = node.book.wire_out("MESSAGE ", "127.0.0.12:5062")
    if fails == "transport":
        node.transport_fails("127.0.0.12:5062")
    elif fails == "503":
        node.book.wire_in(answer(first, 503, "a-tag", who=A), "127.0.0.12:5062")
    else:
        node.wait(32.1)
    node.book.sent.clear()
    sent = send(node, submitted(call_id="2-a", branch="z9hG4bK-as2"))
    node.book.wire_in(report(rp_ack(reference_of(sent), False), sent, branch="z9hG4bK-br2"), CALLEE)
    node.book.wire_out("SIP/2.0 202", CALLEE)
    relayed = node.book.wire_out("MESSAGE ", CALLER)
    node.book.wire_in(answer(relayed, 200, "a-tag", who=A), CALLER)


def test_report_that_the_sender_does_not_take_is_counted() -> None:
    node = CoreNode()
    sent = send(node)
    passed(node, rp_ack(reference_of(sent), False), sent, 488)
    assert node.counters["reports_refused"] == 1
    node.assert_recorded(release_cause="NORMAL")


@pytest.mark.parametrize("how", ["silence", "503"])
def test_report_that_reaches_nobody_is_counted(how: str) -> None:
    node = CoreNode()
    sent = send(node)
    node.book.wire_in(report(rp_ack(reference_of(sent), False), sent), CALLEE)
    node.book.wire_out("SIP/2.0 202", CALLEE)
    relayed = node.book.wire_out("MESSAGE ", CALLER)
    if how == "503":
        node.book.wire_in(answer(relayed, 503, "a-tag", who=A), CALLER)
    else:
        node.wait(33)
        node.book.sent.clear()
    assert node.counters["reports_lost"] == 1


def test_what_is_awaited_is_seen_as_in_progress() -> None:
    node = CoreNode()
    send(node)
    assert [attempt.state_name for attempt in node.service.attempts] == ["Awaiting report"]
