"""REFER and NOTIFY in a call whose peers both allow transfers: how they cross, how they are answered, how they end."""

from __future__ import annotations

import pytest

from sipstack import headers as h
from tests.core.corenode import CALLEE, CALLER, A, B, CoreNode, X
from tests.core.parties import B_SDP, Talk, answer, answered, ring, start
from tests.core.test_refused_methods import BOTH_ALLOW, OUR_ALLOW
from tests.core.transfers import OTHER_X, End, report, transferring

ALLOW = f"{OUR_ALLOW}, REFER, NOTIFY"
SIDES = pytest.mark.parametrize("side", ["caller", "callee"])


def test_allow_says_so_to_both_sides() -> None:
    end = transferring()
    talk = end.talk
    assert talk.invite.value(h.ALLOW) == talk.ok.value(h.ALLOW) == ALLOW
    end.send("OPTIONS", "")
    assert end.hears("SIP/2.0 200").value(h.ALLOW) == ALLOW
    talk.hang_up()


@SIDES
def test_a_transfer_from_its_request_to_its_end(side: str) -> None:
    end = transferring(side)
    refer = end.refers()
    other = end.other
    asked = end.seq
    assert refer.named("Refer-To") == [f"<sip:{OTHER_X}@veil.example>"]
    assert refer.value(h.CONTACT) == f"<sip:{X}@127.0.0.11:5060>" and refer.value(h.ALLOW) == ALLOW
    assert refer.cseq != asked and not refer.body
    other.answers(refer, 202, "Supported: timer\nRequire: timer\nSession-Expires: 90")
    accepted = end.hears("SIP/2.0 202 Accepted")
    assert accepted.value(h.CONTACT) == f"<sip:{X}@127.0.0.11:5060>" and not accepted.body
    assert {h.SUPPORTED, h.REQUIRE, h.SESSION_EXPIRES}.isdisjoint(accepted.ids)
    for number, (status, crosses, state) in enumerate(
        [
            (f"SIP/2.0 100 Trying {A}{B}", "SIP/2.0 100 Trying", "active;expires=60"),
            (
                "SIP/2.0 200 CanaryPhrase\nContact: <sip:canary@10.66.77.88>",
                "SIP/2.0 200 OK",
                "terminated;reason=noresource",
            ),
        ]
    ):
        other.send("NOTIFY", report(refer.cseq, status, state))
        notify = end.hears("NOTIFY ")
        assert notify.named("Event") == [f"refer;id={asked}"], number
        assert notify.named("Subscription-State") == [state]
        assert notify.body == f"{crosses}\r\n".encode()
        assert notify.value(h.CONTENT_TYPE) == "message/sipfrag;version=2.0"
        assert notify.value(h.CONTACT) == f"<sip:{X}@127.0.0.11:5060>"
        end.answers(notify, 200)
        assert not other.hears("SIP/2.0 200 OK").body
    other.send("NOTIFY", report(refer.cseq))
    other.hears("SIP/2.0 481")
    end.node.book.silence()
    end.talk.hang_up()


def test_each_report_has_the_number_of_its_own_refer() -> None:
    """Both sides ask, twice each; one without an id is about the first (RFC 3515 §2.4.6)."""
    end = transferring()
    asked = []
    for who in (end, end.other, end, end.other):
        refer = who.refers()
        who.other.answers(refer, 202)
        who.hears("SIP/2.0 202")
        asked.append((who, refer.cseq, who.seq))
    for who, ours, theirs in [*reversed(asked), *asked]:
        who.other.send("NOTIFY", report(ours, "SIP/2.0 100 Trying"))
        notify = who.hears("NOTIFY ")
        assert notify.named("Event") == [f"refer;id={theirs}"]
        who.answers(notify, 200)
        who.other.hears("SIP/2.0 200")
    end.other.send("NOTIFY", report(None))
    notify = end.hears("NOTIFY ")
    assert notify.named("Event") == [f"refer;id={asked[0][2]}"]
    end.answers(notify, 200)
    end.other.hears("SIP/2.0 200")
    end.other.send("NOTIFY", report(asked[1][1]))  # its own REFER is no subscription of the other side
    end.other.hears("SIP/2.0 481")
    end.talk.hang_up()


@pytest.mark.parametrize("way", ["refused", "no subscription", "481 to a report"])
def test_after_its_end_there_is_no_report(way: str) -> None:
    end = transferring()
    refer = end.refers(rows="Refer-Sub: false" if way == "no subscription" else "")
    assert refer.named("Refer-Sub") == (["false"] if way == "no subscription" else [])
    if way == "refused":
        end.other.answers(refer, 486)
        end.hears("SIP/2.0 486")
    elif way == "no subscription":
        end.other.answers(refer, 200, "Refer-Sub: false;canary=1")
        assert end.hears("SIP/2.0 200").named("Refer-Sub") == ["false"]
    else:
        end.other.answers(refer, 202)
        end.hears("SIP/2.0 202")
        end.other.send("NOTIFY", report(refer.cseq))
        end.answers(end.hears("NOTIFY "), 481)
        end.other.hears("SIP/2.0 481")
    end.other.send("NOTIFY", report(None))
    end.other.hears("SIP/2.0 481")
    end.node.book.silence()
    end.talk.hang_up()


def test_nine_refers_leave_eight() -> None:
    end = transferring()
    numbers = []
    for _ in range(9):
        refer = end.refers()
        end.other.answers(refer, 202)
        end.hears("SIP/2.0 202")
        numbers.append(refer.cseq)
    end.other.send("NOTIFY", report(numbers[0]))
    end.other.hears("SIP/2.0 481")
    end.other.send("NOTIFY", report(numbers[1]))
    end.answers(end.hears("NOTIFY "), 200)
    end.other.hears("SIP/2.0 200")
    end.talk.hang_up()


# -- races -------------------------------------------------------------------------------------------------------------


def test_a_report_before_the_202_crosses() -> None:
    """RFC 6665 §4.1.3 has a subscriber take it."""
    end = transferring()
    refer = end.refers()
    end.other.send("NOTIFY", report(refer.cseq))
    end.answers(end.hears("NOTIFY "), 200)
    end.other.hears("SIP/2.0 200")
    end.other.answers(refer, 202)
    end.hears("SIP/2.0 202")
    end.talk.hang_up()


@SIDES
def test_when_the_call_ends_its_reports_end(side: str) -> None:
    end = transferring(side)
    refer = end.refers()
    end.other.answers(refer, 202)
    end.hears("SIP/2.0 202")
    end.send("BYE", "")
    bye = end.other.hears("BYE ")
    end.other.send("NOTIFY", report(refer.cseq))
    end.other.hears("SIP/2.0 481")
    end.other.answers(bye, 200)
    end.hears("SIP/2.0 200")
    end.other.send("NOTIFY", report(refer.cseq))
    end.other.hears("SIP/2.0 481")
    end.send("REFER", f"Refer-To: <sip:{X}@veil.example>")
    end.hears("SIP/2.0 481")
    end.node.book.silence()


def test_a_refer_before_the_answer_is_refused() -> None:
    node = CoreNode(BOTH_ALLOW)
    sent = start(node)
    talk = Talk(node, sent, ring(node, sent))
    for side in ("caller", "callee"):
        end = End(talk, side)
        end.send("REFER", f"Refer-To: <sip:{X}@veil.example>")
        end.hears("SIP/2.0 403")
    node.book.wire_in(answer(sent, 486), CALLEE)
    node.book.wire_out("ACK ", CALLEE)
    node.book.wire_out("SIP/2.0 486", CALLER)
    node.book.silence()


def test_a_refer_of_the_callee_may_come_before_the_callers_ack() -> None:
    talk = answered(CoreNode(BOTH_ALLOW))
    end = End(talk, "callee")
    refer = end.refers()
    end.other.answers(refer, 202)
    end.hears("SIP/2.0 202")
    talk.from_caller("ACK")
    talk.node.book.wire_out("ACK ", CALLEE)
    talk.hang_up()


def test_a_refer_while_a_reinvite_is_under_way_crosses() -> None:
    """They are transactions of their own (RFC 3261 §14 orders INVITEs only)."""
    end = transferring()
    end.talk.from_caller("INVITE", sdp=B_SDP.replace(B, A).replace(".13", ".12"))
    end.hears("SIP/2.0 100")
    reinvite = end.other.hears("INVITE ")
    refer = end.refers()
    end.other.answers(refer, 202)
    end.hears("SIP/2.0 202")
    end.other.answers(reinvite, 488)
    end.other.hears("ACK ")
    end.hears("SIP/2.0 488")
    end.node.book.wire_in(ack_of_refused(end), CALLER)
    end.talk.hang_up()


def ack_of_refused(end: End) -> bytes:
    """The caller's ACK for the refused re-INVITE: it belongs to its transaction."""
    rows = next(s.data for s in reversed(end.node.book.log) if s.data.startswith(b"SIP/2.0 488")).decode()
    head = [row for row in rows.split("\r\n") if row.startswith(("Via", "From", "To", "Call-ID"))]
    number = next(row for row in rows.split("\r\n") if row.startswith("CSeq")).split()[1]
    target = (end.talk.ok.value(h.CONTACT) or "").strip("<>")
    lines = [f"ACK {target} SIP/2.0", *head, f"CSeq: {number} ACK", "Max-Forwards: 70", "Content-Length: 0", "", ""]
    return "\r\n".join(lines).encode()


def test_two_forks_have_their_own_references() -> None:
    """A report in the dialog that lost belongs to nothing."""
    node = CoreNode(BOTH_ALLOW)
    sent = start(node)
    ring(node, sent, tag="b-1")
    lost = Talk(node, sent, ring(node, sent, tag="b-2"), "b-2")
    node.book.wire_in(answer(sent, 200, "b-1", sdp=B_SDP), CALLEE)
    talk = Talk(node, sent, node.book.wire_out("SIP/2.0 200", CALLER), "b-1")
    talk.from_caller("ACK")
    node.book.wire_out("ACK ", CALLEE)
    end = End(talk, "caller")
    refer = end.refers()
    end.other.answers(refer, 202)
    end.hears("SIP/2.0 202")
    End(lost, "callee").send("NOTIFY", report(refer.cseq))
    node.book.wire_out("SIP/2.0 481", CALLEE)
    talk.hang_up()


def test_silence_to_a_refer_is_silence() -> None:
    end = transferring()
    end.refers()
    end.node.wait(33)
    for _ in range(len(end.node.book.sent)):
        end.node.book.wire_out("REFER ", CALLEE)
    end.node.book.silence()
    end.talk.hang_up()
