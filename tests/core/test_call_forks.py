"""A callee's side that answers with more than one tag: each has a dialog of its own, one of them wins."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine.core.callee_try import MAX_FORKS
from engine.core.records import Step
from sipstack import headers as h
from tests.core.corenode import CALLEE, CALLER, B, CoreNode
from tests.core.parties import B_SDP, Talk, answer, of_invite, refused, ring, sdp_of, start


def test_each_early_dialog_of_the_callee_is_one_of_the_callers() -> None:
    node = CoreNode()
    sent = start(node)
    node.book.wire_in(answer(sent, 183, "b-tag-1", sdp=B_SDP), CALLEE)
    first = node.book.wire_out("SIP/2.0 183", CALLER)
    node.book.wire_in(answer(sent, 183, "b-tag-2", sdp=B_SDP), CALLEE)
    second = node.book.wire_out("SIP/2.0 183", CALLER)
    assert first.to_tag != second.to_tag
    assert sdp_of(first)["o"] != sdp_of(second)["o"]  # two descriptions of two senders
    assert ring(node, sent, 180, "b-tag-1").to_tag == first.to_tag
    node.book.wire_in(answer(sent, 200, "b-tag-2", sdp=B_SDP), CALLEE)
    ok = node.book.wire_out("SIP/2.0 200", CALLER)
    assert ok.to_tag == second.to_tag and sdp_of(ok)["o"] == sdp_of(second)["o"]
    lost = Talk(node, sent, first, "b-tag-1")
    talk = Talk(node, sent, ok, "b-tag-2")
    talk.from_caller("ACK")
    assert node.book.wire_out("ACK ", CALLEE).to_tag == "b-tag-2"
    lost.from_caller("INFO", cseq=2, branch="z9hG4bK-a-lost")
    node.book.wire_out("SIP/2.0 481", CALLER)  # that dialog is over
    lost.from_callee("BYE", cseq=9, branch="z9hG4bK-b-lost")
    node.book.wire_out("SIP/2.0 481", CALLEE)
    talk.caller_seq = 2
    talk.hang_up()
    assert node.record["release_cause"] == "NORMAL"


def test_2xx_without_a_provisional_of_its_own_gets_a_tag_of_its_own() -> None:
    node = CoreNode()
    sent = start(node)
    early = ring(node, sent, 180, "b-tag-1")
    node.book.wire_in(answer(sent, 200, "b-tag-2", sdp=B_SDP), CALLEE)
    ok = node.book.wire_out("SIP/2.0 200", CALLER)
    assert ok.to_tag != early.to_tag
    talk = Talk(node, sent, ok, "b-tag-2")
    talk.from_caller("ACK")
    node.book.wire_out("ACK ", CALLEE)
    talk.hang_up()


@pytest.mark.parametrize("held", [True, False])
@pytest.mark.parametrize("acked", [True, False])
def test_second_2xx_is_acknowledged_and_ended_once(held: bool, acked: bool) -> None:
    node = CoreNode()
    if held:
        node.durable = {Step.OPEN, Step.CLOSE}
    sent = start(node)
    node.book.wire_in(answer(sent, 200, "b-tag-1", sdp=B_SDP), CALLEE)
    talk = None
    if not held:
        talk = Talk(node, sent, node.book.wire_out("SIP/2.0 200", CALLER), "b-tag-1")
        if acked:
            talk.from_caller("ACK")
            node.book.wire_out("ACK ", CALLEE)
    node.book.wire_in(answer(sent, 200, "b-tag-2", contact=f"<sip:{B}@127.0.0.14:5060>"), CALLEE)
    ack = node.book.wire_out(f"ACK sip:{B}@127.0.0.14:5060 SIP/2.0", "127.0.0.14:5060")
    bye = node.book.wire_out(f"BYE sip:{B}@127.0.0.14:5060 SIP/2.0", "127.0.0.14:5060")
    assert (ack.to_tag, bye.to_tag) == ("b-tag-2", "b-tag-2")
    node.book.wire_in(answer(sent, 200, "b-tag-2"), CALLEE)
    assert node.book.wire_out("ACK ", "127.0.0.14:5060") == ack
    node.book.silence()
    node.book.wire_in(answer(bye, 200), CALLEE)
    if talk is None:
        node.release_held()
        talk = Talk(node, sent, node.book.wire_out("SIP/2.0 200", CALLER), "b-tag-1")
    if held or not acked:
        talk.from_caller("ACK")
        assert node.book.wire_out("ACK ", CALLEE).to_tag == "b-tag-1"
    talk.hang_up()
    assert node.record["callee_call_id"] == sent.call_id


def test_second_2xx_after_the_end_is_ended_too() -> None:
    node = CoreNode()
    sent = start(node)
    node.book.wire_in(answer(sent, 200, "b-tag-1", sdp=B_SDP), CALLEE)
    talk = Talk(node, sent, node.book.wire_out("SIP/2.0 200", CALLER), "b-tag-1")
    talk.from_caller("ACK")
    node.book.wire_out("ACK ", CALLEE)
    talk.hang_up()
    node.book.wire_in(answer(sent, 200, "b-tag-2"), CALLEE)
    node.book.wire_out("ACK ", CALLEE)
    node.book.wire_out("BYE ", CALLEE)
    node.book.silence()


def test_bye_of_a_lost_fork_counts_on_from_its_early_requests() -> None:
    """A PRACK went out in that early dialog, so the BYE must be numbered behind it (§12.2.1.1)."""
    node = CoreNode()
    sent = start(node)
    lost = Talk(node, sent, ring(node, sent, 183, "b-tag-1", "Require: 100rel\nRSeq: 1"), "b-tag-1")
    lost.from_caller("PRACK", "RAck: 1 1 INVITE")
    prack = node.book.wire_out("PRACK ", CALLEE)
    node.book.wire_in(answer(prack, 200), CALLEE)
    node.book.wire_out("SIP/2.0 200", CALLER)
    node.book.wire_in(answer(sent, 200, "b-tag-2", sdp=B_SDP), CALLEE)
    won = Talk(node, sent, node.book.wire_out("SIP/2.0 200", CALLER), "b-tag-2")
    node.book.wire_in(answer(sent, 200, "b-tag-1", sdp=B_SDP), CALLEE)
    ack = node.book.wire_out("ACK ", CALLEE)
    bye = node.book.wire_out("BYE ", CALLEE)
    assert (ack.cseq, prack.cseq, bye.cseq) == (sent.cseq, sent.cseq + 1, sent.cseq + 2)
    won.from_caller("ACK")
    node.book.wire_out("ACK ", CALLEE)
    won.hang_up()


def test_a_thousand_tags_are_not_a_thousand_dialogs() -> None:
    node = CoreNode()
    sent = start(node)
    for count in range(1000):
        node.book.wire_in(answer(sent, 180, f"b-tag-{count}"), CALLEE)
    assert len(node.context.dialogs) == 2 * MAX_FORKS
    assert len(node.book.sent) == MAX_FORKS
    assert node.counters["forks_refused"] == 1000 - MAX_FORKS
    node.book.sent.clear()
    assert ring(node, sent, 180, "b-tag-0").to_tag  # those that are known go on
    node.book.wire_in(answer(sent, 200, "b-tag-999", sdp=B_SDP), CALLEE)
    talk = Talk(node, sent, node.book.wire_out("SIP/2.0 200", CALLER), "b-tag-999")
    for count in range(1000):
        node.book.wire_in(answer(sent, 200, f"b-tag-{count}"), CALLEE)
    byes = [sent for sent in node.book.sent if sent.data.startswith(b"BYE")]
    assert len(byes) == MAX_FORKS
    node.book.sent.clear()
    talk.from_caller("ACK")
    node.book.wire_out("ACK ", CALLEE)
    talk.hang_up()
    assert len(node.records) == 1


def test_rfc_2543_callee_without_a_tag() -> None:
    node = CoreNode()
    sent = start(node)
    bare = answer(sent, 200, "x", sdp=B_SDP).replace(b";tag=x", b"")
    node.book.wire_in(bare, CALLEE)
    talk = Talk(node, sent, node.book.wire_out("SIP/2.0 200", CALLER))
    talk.from_caller("ACK")
    ack = node.book.wire_out("ACK ", CALLEE)
    assert ack.value(h.TO) == f"<sip:{B}@127.0.0.13>"
    talk.hang_up()


def test_cancel_ends_all_early_dialogs() -> None:
    node = CoreNode()
    sent = start(node)
    early = [ring(node, sent, 183, f"b-tag-{n}") for n in range(3)]
    node.book.wire_in(of_invite("CANCEL"), CALLER)
    node.book.wire_out("SIP/2.0 200", CALLER)
    node.book.wire_out("CANCEL ", CALLEE)
    refused(node, 487, 16)
    talk = replace(Talk(node, sent, early[1], "b-tag-1"))
    talk.from_caller("INFO")
    node.book.wire_out("SIP/2.0 481", CALLER)
    node.book.silence()


def test_2xx_says_anew_where_its_early_dialog_is() -> None:
    """The route set and the target of the 2xx count, not those of the 180 (§13.2.2.4)."""
    node = CoreNode()
    sent = start(node)
    node.book.wire_in(answer(sent, 180, extra="Record-Route: <sip:10.1.1.1;lr>", contact=f"<sip:{B}@10.2.2.2>"), CALLEE)
    node.book.wire_out("SIP/2.0 180", CALLER)
    node.book.wire_in(answer(sent, 200, sdp=B_SDP, contact=f"<sip:{B}@127.0.0.14:5060>"), CALLEE)
    talk = Talk(node, sent, node.book.wire_out("SIP/2.0 200", CALLER))
    talk.from_caller("ACK")
    ack = node.book.wire_out(f"ACK sip:{B}@127.0.0.14:5060 SIP/2.0", "127.0.0.14:5060")
    assert ack.value(h.ROUTE) is None
    talk.from_caller("BYE")
    node.book.wire_out("BYE ", "127.0.0.14:5060")


def test_2xx_with_an_unusable_contact_leaves_its_early_dialog_where_it_is() -> None:
    node = CoreNode()
    sent = start(node)
    ring(node, sent)
    node.book.wire_in(answer(sent, 200, sdp=B_SDP, contact=f"<tel:+86{B}>"), CALLEE)
    talk = Talk(node, sent, node.book.wire_out("SIP/2.0 200", CALLER))
    talk.from_caller("ACK")
    node.book.wire_out(f"ACK sip:{B}@127.0.0.13:5060 SIP/2.0", CALLEE)
    talk.hang_up()
    assert node.counters["contact_unusable"] == 1


def test_lost_fork_is_ended_where_its_2xx_says() -> None:
    node = CoreNode()
    sent = start(node)
    ring(node, sent, 180, "b-tag-1")
    node.book.wire_in(answer(sent, 200, "b-tag-2", sdp=B_SDP), CALLEE)
    talk = Talk(node, sent, node.book.wire_out("SIP/2.0 200", CALLER), "b-tag-2")
    node.book.wire_in(answer(sent, 200, "b-tag-1", contact=f"<sip:{B}@127.0.0.14:5060>"), CALLEE)
    node.book.wire_out("ACK ", "127.0.0.14:5060")
    node.book.wire_out("BYE ", "127.0.0.14:5060")
    talk.from_caller("ACK")
    node.book.wire_out("ACK ", CALLEE)
    talk.hang_up()


def test_numbers_are_ours_whatever_the_callee_writes() -> None:
    node = CoreNode()
    sent = start(node)
    odd = answer(sent, 200, sdp=B_SDP).replace(b"CSeq: %d " % sent.cseq, b"CSeq: 5 ")
    node.book.wire_in(odd, CALLEE)
    talk = Talk(node, sent, node.book.wire_out("SIP/2.0 200", CALLER))
    assert talk.ok.cseq == 1
    talk.from_caller("ACK")
    assert node.book.wire_out("ACK ", CALLEE).cseq == sent.cseq
    talk.from_caller("BYE")
    assert node.book.wire_out("BYE ", CALLEE).cseq == sent.cseq + 1
