"""AXYB, GXB, GXYB: who dials what, what the other side sees, what the record says."""

from __future__ import annotations

import pytest

from engine.core.binding import TO_GROUP, Binding
from sipstack import headers as h
from tests.core.bound import Y, axyb, knowing, said
from tests.core.corenode import CALLEE, CALLER, A, B, CoreNode, X, axb
from tests.core.parties import B_SDP, Talk, answer, invite, message, start, target_of
from tests.core.restart import restarted
from tests.core.sms import delivered, passed, reference_of, rp_ack, send, tp_address, tpdu_of
from tests.core.test_adoption import LONG_S


def gxyb(mode: str = "GXYB", tel_y: str = Y) -> Binding:
    """A, a member, calls B."""
    return axb()._replace(mode=mode, tel_y=tel_y)


def talking_to(node: CoreNode, called: str) -> Talk:
    """A calls `called`, B answers, A acknowledges."""
    sent = start(node, invite(called))
    node.book.wire_in(answer(sent, 200, sdp=B_SDP), CALLEE)
    talk = Talk(node, sent, node.book.wire_out("SIP/2.0 200", CALLER))
    talk.from_caller("ACK")
    node.book.wire_out("ACK ", CALLEE)
    return talk


@pytest.mark.parametrize(
    ("binding", "dialled", "member"),
    [(axyb(), Y, ""), (gxyb(), Y, A), (gxyb("GXB", ""), X, A)],
    ids=["AXYB", "GXYB", "GXB"],
)
def test_side_a_dials_its_number_and_b_is_shown_x(binding: Binding, dialled: str, member: str) -> None:
    node = knowing({(dialled, A): binding})
    talk = talking_to(node, dialled)
    assert (talk.invite.value(h.FROM) or "").startswith(f"<sip:{X}@veil.example>;tag=")
    assert talk.invite.value(h.P_ASSERTED_IDENTITY) == f"<sip:{X}@veil.example>"
    assert target_of(talk.invite) == f"sip:{X}@127.0.0.11:5060"
    assert target_of(talk.ok) == f"sip:{dialled}@127.0.0.11:5060"
    assert not any(Y.encode() in data for data in node.sent_to(CALLEE))
    assert dialled == X or not any(X.encode() in data for data in node.sent_to(CALLER))
    talk.hang_up()
    node.assert_recorded(
        mode=binding.mode, tel_x=X, tel_y=binding.tel_y, caller=A, callee=B, presented_number=X, group_member=member,
        release_cause="NORMAL",
    )  # fmt: skip


@pytest.mark.parametrize("mode", ["AXYB", "GXYB"])
def test_b_dials_x_and_side_a_is_shown_y(mode: str) -> None:
    """Here B is the one behind the caller's trunk."""
    conditions = said(flags=TO_GROUP if mode == "GXYB" else 0)
    back = axyb()._replace(mode=mode, presented=Y, conditions=conditions)
    node = knowing({(X, A): back})
    talk = talking_to(node, X)
    assert (talk.invite.value(h.FROM) or "").startswith(f"<sip:{Y}@veil.example>;tag=")
    assert (target_of(talk.invite), target_of(talk.ok)) == (f"sip:{Y}@127.0.0.11:5060", f"sip:{X}@127.0.0.11:5060")
    assert not any(X.encode() in data for data in node.sent_to(CALLEE))
    assert not any(Y.encode() in data for data in node.sent_to(CALLER))
    talk.hang_up()
    member = B if mode == "GXYB" else ""
    node.assert_recorded(tel_x=X, tel_y=Y, caller=A, callee=B, presented_number=Y, group_member=member)


def test_x_is_not_for_side_a_where_it_has_y() -> None:
    node = knowing({(Y, A): axyb(), (X, B): axyb(B)})
    node.book.wire_in(invite(X), CALLER)
    node.book.wire_out("SIP/2.0 100", CALLER)
    node.book.wire_out("SIP/2.0 403", CALLER)
    assert node.sent_to(CALLEE) == []


def test_after_a_restart_the_caller_knows_the_node_by_the_same_number() -> None:
    talk = talking_to(knowing({(Y, A): axyb()}), Y)
    node = talk.node = restarted(talk.node, after_s=LONG_S)
    talk.from_callee("UPDATE", sdp=B_SDP)
    update = node.book.wire_out("UPDATE ", CALLER)
    assert target_of(update) == f"sip:{Y}@127.0.0.11:5060"
    node.book.wire_in(answer(update, 200, who=A, contact=f"<sip:{A}@127.0.0.12:5060>"), CALLER)
    node.book.wire_out("SIP/2.0 200", CALLEE)
    talk.hang_up()


def test_a_message_shows_x_and_says_so() -> None:
    node = knowing({(Y, A): axyb()})
    node.book.wire_in(message().replace(X.encode(), Y.encode()), CALLER)
    sent = node.book.wire_out(f"MESSAGE sip:{B}@127.0.0.13:5060 ", CALLEE)
    assert (sent.value(h.FROM) or "").startswith(f"<sip:{X}@veil.example>;tag=")
    node.book.wire_in(answer(sent, 200), CALLEE)
    node.book.wire_out("SIP/2.0 200", CALLER)
    node.assert_recorded(kind="message", mode="AXYB", tel_x=X, tel_y=Y, presented_number=X)


def test_a_short_message_to_y_shows_x_and_its_report_comes_from_y() -> None:
    node = knowing({(Y, A): axyb()})
    sent = send(node, delivered(x=Y))
    assert (sent.value(h.FROM) or "").startswith(f"<sip:{X}@veil.example>;tag=")
    assert tp_address(X, 0xA1)[1:] in tpdu_of(sent) and tp_address(Y, 0xA1)[1:] not in tpdu_of(sent)
    relayed = passed(node, rp_ack(reference_of(sent), True), sent)
    assert (relayed.value(h.FROM) or "").startswith(f"<sip:{Y}@veil.example>;tag=")
    assert not any(X.encode() in data for data in node.sent_to(CALLER))
    node.assert_recorded(mode="AXYB", tel_x=X, tel_y=Y, presented_number=X)
