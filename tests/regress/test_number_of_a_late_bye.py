"""The BYE of a 2xx that nobody waited for had a number that the last run had used for a PRACK or an UPDATE."""

from __future__ import annotations

from sipstack.parser import parse
from tests.core.corenode import CALLEE, CALLER, CoreNode
from tests.core.parties import B_SDP, SDP, Talk, answer, ring, start
from tests.core.restart import restarted
from tests.core.test_lost_tries import cancelled


def test_number_is_above_all_that_the_early_dialog_has_had() -> None:
    first = CoreNode()
    sent = start(first)
    talk = Talk(first, sent, ring(first, sent, 183, extra="Require: 100rel\nRSeq: 7"))
    talk.from_caller("PRACK", "RAck: 7 1 INVITE")
    first.book.wire_in(answer(first.book.wire_out("PRACK ", CALLEE), 200), CALLEE)
    first.book.wire_out("SIP/2.0 200", CALLER)
    talk.from_caller("UPDATE", sdp=SDP)
    first.book.wire_in(answer(first.book.wire_out("UPDATE ", CALLEE), 200, sdp=B_SDP), CALLEE)
    first.book.wire_out("SIP/2.0 200", CALLER)
    node = restarted(first)
    cancelled(node, sent)
    node.book.wire_in(answer(sent, 200), CALLEE)
    assert node.book.wire_out("ACK ", CALLEE).cseq == sent.cseq
    bye = node.book.wire_out("BYE ", CALLEE)
    used = {parse(data).cseq for data in first.sent_to(CALLEE)}
    assert bye.cseq > max(used) > sent.cseq + 1
    node.book.wire_in(answer(bye, 200), CALLEE)
    node.book.silence()
