"""CANCEL in every state of a call, and against the 2xx that crosses it."""

from __future__ import annotations

import pytest

from engine.core.records import Step
from sipstack import headers as h
from sipstack.message import Message
from tests.core.corenode import CALL_ID, CALLEE, CALLER, STRANGER, TWO_TARGETS, B, CoreNode
from tests.core.parties import B_SDP, Talk, answer, answered, invite, of_invite, refused, ring, start, talking, trying


def cancel(node: CoreNode) -> Message:
    """The caller's CANCEL and the 200 to it; whatever else is sent waits."""
    node.book.wire_in(of_invite("CANCEL"), CALLER)
    ok = node.book.wire_out("SIP/2.0 200 OK", CALLER)
    assert (ok.method, ok.call_id, ok.cseq) == ("CANCEL", CALL_ID, 1)
    return ok


def assert_cancelled(node: CoreNode, **expected: object) -> None:
    node.assert_recorded(
        release_cause="CALLER_CANCEL", sip_status=487, q850=16, release_direction="caller", decided_by="caller",
        answer_time=None, duration_ms=0, bill_seconds=0, **expected,
    )  # fmt: skip


def test_before_any_answer_of_the_callee_the_cancel_waits() -> None:
    node = CoreNode()
    sent = start(node)
    node.book.at(0.3)
    ok = cancel(node)
    final = refused(node, 487, 16)
    assert final.to_tag == ok.to_tag  # §9.2
    assert_cancelled(
        node, attempts=(("callee-side", "sip:127.0.0.13:5060", 0, 300, None),), callee_call_id=sent.call_id
    )
    node.book.at(0.6)
    node.book.wire_out(
        "INVITE ", CALLEE
    )  # Timer A goes on: it may not have arrived, and then there is nothing to CANCEL
    trying(node, sent)
    taken_back = node.book.wire_out(f"CANCEL sip:{B}@127.0.0.13:5060 SIP/2.0", CALLEE)
    node.book.silence()
    node.book.wire_in(answer(taken_back, 200), CALLEE)
    node.book.wire_in(answer(sent, 487), CALLEE)
    node.book.wire_out("ACK ", CALLEE)
    node.book.silence()


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (['Reason: SIP;cause=200;text="Call completed elsewhere"'], True),
        (['reason: Q.850;cause=16;text="a, b", sip ; cause=200'], True),
        (["Reason: Q.850;cause=16", "Reason: SIP;cause=200"], True),
        (["Reason: SIP;cause=600"], False),
        (["Reason: Q.850;cause=200"], False),
        (['Reason: SIP;text=";cause=200"'], False),
        (["Reason: SIP;cause=2000"], False),
        (["Reason: SIP"], False),
        (["Reason: " + "," * 1000], False),
        ([], False),
    ],
)
@pytest.mark.parametrize("at_once", [True, False])
def test_who_has_taken_the_call_elsewhere_is_all_that_a_reason_tells(
    rows: list[str], said: bool, at_once: bool
) -> None:
    """RFC 3326 §2: no phone of the callee's shows it as missed then. Nothing of the caller's words crosses."""
    node = CoreNode()
    sent = start(node)
    if at_once:
        trying(node, sent)
    node.book.wire_in(
        of_invite("CANCEL").replace(b"CSeq:", "".join(f"{row}\r\n" for row in rows).encode() + b"CSeq:"), CALLER
    )
    node.book.wire_out("SIP/2.0 200 OK", CALLER)
    if not at_once:
        refused(node, 487, 16)
        node.book.wire_in(answer(sent, 100), CALLEE)
    taken_back = node.book.wire_out("CANCEL ", CALLEE)
    assert taken_back.values(h.REASON) == (["SIP;cause=200"] if said else [])
    assert len(taken_back.lines) == 7 + said
    node.book.sent.clear()
    node.book.wire_in(answer(sent, 487), CALLEE)
    node.book.sent.clear()


@pytest.mark.parametrize("status", [100, 180])
def test_after_a_provisional(status: int) -> None:
    node = CoreNode()
    sent = start(node)
    node.book.wire_in(answer(sent, status), CALLEE)
    ringing = node.book.wire_out("SIP/2.0 180", CALLER) if status == 180 else None
    node.book.at(7)
    cancel(node)
    taken_back = node.book.wire_out("CANCEL ", CALLEE)
    assert (taken_back.uri_text, taken_back.value(h.VIA)) == (sent.uri_text, sent.value(h.VIA))  # §9.1
    assert (taken_back.value(h.FROM), taken_back.value(h.TO)) == (sent.value(h.FROM), sent.value(h.TO))
    assert (taken_back.call_id, taken_back.cseq) == (sent.call_id, sent.cseq)
    final = refused(node, 487, 16)
    assert ringing is None or final.to_tag == ringing.to_tag
    assert_cancelled(node, ring_ms=7000 if status == 180 else 0)
    node.book.wire_in(answer(taken_back, 200), CALLEE)
    node.book.wire_in(answer(sent, 487), CALLEE)
    node.book.wire_out("ACK ", CALLEE)
    node.book.silence()


def test_the_487_waits_for_its_row_and_a_copy_of_the_cancel_changes_nothing() -> None:
    node = CoreNode()
    node.durable = {Step.OPEN}
    sent = start(node)
    ring(node, sent)
    ok = cancel(node)
    node.book.wire_out("CANCEL ", CALLEE)
    node.book.silence()
    assert cancel(node) == ok
    node.book.silence()
    node.release_held()
    refused(node, 487, 16)
    assert cancel(node) == ok  # after the final response: 200 and no effect (§9.2)
    node.book.silence()
    assert len(node.records) == 1


@pytest.mark.parametrize("found", [True, False])
def test_while_looking_up(found: bool) -> None:
    """The store's late answer, whatever it is, decides nothing any more."""
    node = CoreNode(bindings=None if found else ())
    node.looks_up = False
    node.durable = set()
    node.book.wire_in(invite(), CALLER)
    node.book.wire_out("SIP/2.0 100", CALLER)
    cancel(node)
    node.book.silence()
    node.release_lookup()
    node.book.silence()
    node.release_held()
    refused(node, 487, 16)
    assert_cancelled(node, attempts=(), call_out_time=None, egress_peer="", callee_call_id="", tel_x="700123456780001")
    assert node.sent_to(CALLEE) == []


def test_while_the_open_row_is_committed() -> None:
    node = CoreNode()
    node.durable = set()
    node.book.wire_in(invite(), CALLER)
    node.book.wire_out("SIP/2.0 100", CALLER)
    cancel(node)
    node.release_held()  # the open row, late
    node.book.silence()
    node.release_held()
    refused(node, 487, 16)
    assert_cancelled(node, attempts=(), call_out_time=None, callee=B)
    assert node.sent_to(CALLEE) == []


@pytest.mark.parametrize("durable", [True, False])
def test_open_row_that_fails_after_the_cancel_changes_nothing(durable: bool) -> None:
    node = CoreNode()
    node.durable = set()
    node.book.wire_in(invite(), CALLER)
    node.book.wire_out("SIP/2.0 100", CALLER)
    cancel(node)
    node.release_held(durable=False)
    node.book.silence()
    node.release_held(durable)
    refused(node, 487, 16)  # it is no refusal of ours: it leaves without its row, too (contract §6)
    assert_cancelled(node)


def test_while_the_answer_is_committed_the_answer_wins() -> None:
    node = CoreNode()
    node.durable = {Step.OPEN, Step.CLOSE}
    sent = start(node)
    node.book.wire_in(answer(sent, 200, sdp=B_SDP), CALLEE)
    cancel(node)
    node.book.silence()
    node.release_held()
    talk = Talk(node, sent, node.book.wire_out("SIP/2.0 200", CALLER))
    talk.from_caller("ACK")
    node.book.wire_out("ACK ", CALLEE)
    node.book.silence()
    talk.hang_up()
    node.assert_recorded(release_cause="NORMAL", sip_status=200)


def test_after_the_200_it_has_no_effect() -> None:
    node = CoreNode()
    talk = answered(node)
    assert cancel(node).to_tag == talk.ok.to_tag
    node.book.silence()
    talk.from_caller("ACK")
    node.book.wire_out("ACK ", CALLEE)
    cancel(node)
    node.book.silence()
    talk.hang_up()


def test_200_that_crosses_our_cancel_is_acknowledged_and_ended() -> None:
    node = CoreNode()
    sent = start(node)
    ring(node, sent)
    cancel(node)
    taken_back = node.book.wire_out("CANCEL ", CALLEE)
    refused(node, 487, 16)
    node.book.wire_in(answer(sent, 200, sdp=B_SDP), CALLEE)
    ack = node.book.wire_out(f"ACK sip:{B}@127.0.0.13:5060 SIP/2.0", CALLEE)
    bye = node.book.wire_out(f"BYE sip:{B}@127.0.0.13:5060 SIP/2.0", CALLEE)
    assert (ack.cseq, bye.cseq, bye.to_tag) == (sent.cseq, sent.cseq + 1, "b-tag")
    node.book.silence()
    node.book.wire_in(answer(sent, 200, sdp=B_SDP), CALLEE)  # our ACK was lost: again, but one BYE is enough
    assert node.book.wire_out("ACK ", CALLEE) == ack
    node.book.silence()
    node.book.wire_in(answer(taken_back, 481), CALLEE)
    node.book.wire_in(answer(bye, 200), CALLEE)
    node.book.silence()
    assert_cancelled(node)


def test_200_that_comes_while_the_487_is_committed() -> None:
    node = CoreNode()
    node.durable = {Step.OPEN}
    sent = start(node)
    ring(node, sent)
    cancel(node)
    node.book.wire_out("CANCEL ", CALLEE)
    node.book.wire_in(answer(sent, 200, sdp=B_SDP), CALLEE)
    node.book.wire_out("ACK ", CALLEE)
    bye = node.book.wire_out("BYE ", CALLEE)
    node.book.wire_in(answer(bye, 200), CALLEE)
    node.book.silence()
    node.release_held()
    refused(node, 487, 16)
    assert_cancelled(node)


def test_200_first_then_cancel_is_an_answered_call() -> None:
    node = CoreNode()
    sent = start(node)
    ring(node, sent)
    node.book.wire_in(answer(sent, 200, sdp=B_SDP), CALLEE)
    node.book.wire_in(of_invite("CANCEL"), CALLER)
    talk = Talk(node, sent, node.book.wire_out("SIP/2.0 200", CALLER))
    assert talk.ok.method == "INVITE"
    assert node.book.wire_out("SIP/2.0 200", CALLER).method == "CANCEL"
    node.book.silence()
    talk.from_caller("ACK")
    node.book.wire_out("ACK ", CALLEE)
    talk.hang_up()


def test_callee_that_ignores_the_cancel_is_forgotten() -> None:
    node = CoreNode()
    sent = start(node)
    ring(node, sent)
    cancel(node)
    node.book.wire_out("CANCEL ", CALLEE)
    refused(node, 487, 16)
    node.book.at(31)
    node.book.sent.clear()  # Timer E of the CANCEL
    node.book.wire_in(answer(sent, 180), CALLEE)
    node.book.silence()  # nothing of it reaches the caller any more
    node.book.at(40)
    assert len(node.context.transactions) == 0


def test_cancel_at_the_second_target_goes_to_that_one() -> None:
    node = CoreNode(TWO_TARGETS)
    first = start(node)
    node.book.wire_in(answer(first, 503), CALLEE)
    node.book.wire_out("ACK ", CALLEE)
    second = node.book.wire_out("INVITE ", "127.0.0.14:5060")
    trying(node, second, "127.0.0.14:5060")
    cancel(node)
    taken_back = node.book.wire_out("CANCEL ", "127.0.0.14:5060")
    assert taken_back.value(h.VIA) == second.value(h.VIA)
    refused(node, 487, 16)


@pytest.mark.parametrize(("source", "answers"), [(STRANGER, False), (CALLEE, True)])
def test_cancel_from_another_host_cancels_nothing(source: str, answers: bool) -> None:
    node = CoreNode()
    sent = start(node)
    ring(node, sent)
    node.book.wire_in(of_invite("CANCEL"), source)
    if answers:
        node.echoes.add(node.book.sent[-1].data)
        node.book.wire_out("SIP/2.0 481", source)
    else:
        assert node.counters["unknown_source"] == 1
    node.book.silence()
    node.book.wire_in(answer(sent, 486), CALLEE)
    node.book.wire_out("ACK ", CALLEE)
    refused(node, 486, 17)


@pytest.mark.parametrize("branch", ["z9hG4bK-a2", "z9hG4bK-a1x"])
def test_cancel_without_its_invite_is_481(branch: str) -> None:
    node = CoreNode()
    sent = start(node)
    node.book.wire_in(of_invite("CANCEL", branch=branch), CALLER)
    assert node.book.wire_out("SIP/2.0 481", CALLER).to_tag
    node.book.silence()
    node.book.wire_in(answer(sent, 486), CALLEE)
    node.book.wire_out("ACK ", CALLEE)
    refused(node, 486, 17)


def test_cancel_in_a_dialog_without_its_invite_is_481() -> None:
    node = CoreNode()
    talk = talking(node)
    talk.from_caller("CANCEL", cseq=2, branch="z9hG4bK-a-other")
    node.book.wire_out("SIP/2.0 481", CALLER)
    node.book.silence()
    talk.hang_up()
