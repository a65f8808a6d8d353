"""A node that asks the ends of its calls whether they are still there, and what they say to that."""

from __future__ import annotations

from engine.core.call import Call
from sipstack import headers as h
from sipstack.message import Message
from tests.core.corenode import CALLEE, CALLER, WALL_AT_START, A, CoreNode, with_policy
from tests.core.parties import B_SDP, SDP, Talk, answer, invite, start

EXPIRES_S = 600
HALF_S = EXPIRES_S / 2
INSIST = with_policy(session_expires_s=EXPIRES_S)
A_CONTACT = f"<sip:{A}@127.0.0.12:5060>"
ALLOWS = {"UPDATE": "Allow: INVITE, ACK, UPDATE", "INVITE": "Allow: INVITE, ACK, BYE", "OPTIONS": ""}
METHODS = tuple(ALLOWS)
SIDES = ("callee", "caller")  # in the order in which they are asked
ADDRESS = {"caller": CALLER, "callee": CALLEE}


def talk_of(node: CoreNode, caller: str = "OPTIONS", callee: str = "OPTIONS", rows: str = "") -> Talk:
    """A conversation with two ends that are asked by these methods; `rows` stand in the INVITE and in its 2xx."""
    sent = start(node, invite(extra=f"{ALLOWS[caller]}\n{rows}"))
    node.book.wire_in(answer(sent, 200, extra=f"{ALLOWS[callee]}\n{rows}", sdp=B_SDP), CALLEE)
    talk = Talk(node, sent, node.book.wire_out("SIP/2.0 200", CALLER))
    talk.from_caller("ACK")
    node.book.wire_out("ACK ", CALLEE)
    return talk


def asked(node: CoreNode, side: str, method: str = "OPTIONS") -> Message:
    """The node's own question to one side: only that one, from this dialog, and nothing of the other side in it."""
    request = node.book.wire_out(f"{method} ", ADDRESS[side])
    node.book.silence()
    return request


def says(node: CoreNode, request: Message, side: str, status: int = 200, extra: str = "", sdp: str = "") -> None:
    """The answer of one side to a question of the node."""
    who = {"who": A, "contact": A_CONTACT} if side == "caller" else {}
    node.book.wire_in(answer(request, status, extra=extra, sdp=sdp, **who), ADDRESS[side])


def both_are_there(node: CoreNode, caller: str = "OPTIONS", callee: str = "OPTIONS") -> None:
    """One round in which both ends answer as those do that live."""
    for side, method in (("callee", callee), ("caller", caller)):
        request = asked(node, side, method)
        says(node, request, side, sdp=(SDP if side == "caller" else B_SDP) if method == "INVITE" else "")
        if method == "INVITE":
            ack = node.book.wire_out("ACK ", ADDRESS[side])
            assert (ack.cseq, ack.body) == (request.cseq, b"")
    node.book.silence()


def lost(node: CoreNode, known_s: float) -> None:
    """The call ends on both sides; the record knows of no longer call than was known."""
    to_caller, to_callee = node.book.wire_out("BYE ", CALLER), node.book.wire_out("BYE ", CALLEE)
    assert to_caller.values(h.REASON) == to_callee.values(h.REASON) == ["Q.850;cause=31"]
    says(node, to_callee, "callee", 481)
    says(node, to_caller, "caller")
    node.book.silence()
    node.assert_recorded(
        release_cause="SESSION_EXPIRED", release_direction="platform", decided_by="session_timer",
        sip_status=200, q850=31, duration_ms=round(known_s * 1000),
    )  # fmt: skip
    release_time = node.record["release_time"]
    assert isinstance(release_time, float) and abs(release_time - WALL_AT_START - known_s) < 0.001


def until_sent(node: CoreNode, method: str = "") -> float:
    """Turns the clock until something is sent; returns by how much."""
    began_at = node.book.now
    while not any(sent.data.startswith(method.encode()) for sent in node.book.sent):
        node.wait(0.1)
    return node.book.now - began_at


def the_call(node: CoreNode) -> Call:
    (call,) = node.context.attempts.values()
    assert isinstance(call, Call)
    return call
