"""A 3xx of the callee that is followed: its number alone counts, it is decided anew, and nobody learns of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine.core.records import Step
from engine.core.settings import CoreSettings, PeerSettings, RouteSettings
from sipstack import headers as h
from sipstack.message import Message
from tests.core.corenode import (
    CALLEE,
    CALLEE2,
    CALLER,
    CALLER_SIDE,
    SETTINGS,
    A,
    B,
    CoreNode,
    X,
    axb,
    target,
)
from tests.core.parties import B_SDP, Talk, answer, invite, refused, ring, start

C = "13700137000"
D = "13700137001"
CANARY_HOST = "10.66.77.88"
FROM_C = f"<sip:{C}@127.0.0.14:5060>"
B_SIDE = PeerSettings("callee-side", ("127.0.0.13",), (target(CALLEE),), follow_redirect=True)
C_SIDE = PeerSettings("other-side", ("127.0.0.14",), (target(CALLEE2),), follow_redirect=True)
FOLLOWING = replace(
    SETTINGS,
    peers=(CALLER_SIDE, B_SIDE, C_SIDE),
    routes=(RouteSettings("others", "^137", ("other-side",)), *SETTINGS.routes),
)


def following(**caller_side: object) -> CoreSettings:
    """The usual settings, where 3xx are followed and the caller's trunk is another."""
    changed = replace(CALLER_SIDE, **caller_side)  # type: ignore[arg-type]
    return replace(FOLLOWING, peers=(changed, B_SIDE, C_SIDE))


def contact(number: str, host: str = CANARY_HOST) -> str:
    return f'"CanaryName" <sip:{number}@{host}:5099;canary=yes?Replaces=canary%40{host}>;expires=60'


def redirect(
    node: CoreNode, sent: Message, contacts: str = "", status: int = 302, source: str = CALLEE, extra: str = ""
) -> None:
    """A 3xx, whose every free place holds a canary; the node acknowledges it."""
    rows = f"Diversion: <sip:{B}@{CANARY_HOST}>;reason=unconditional\nHistory-Info: <sip:{B}@{CANARY_HOST}>;index=1"
    node.book.wire_in(answer(sent, status, extra=f"{rows}\n{extra}", contact=contacts or contact(C)), source)
    node.book.wire_out("ACK ", source)


def nothing_of_it_crosses(node: CoreNode) -> None:
    """Neither callee is known to the caller, none of the callees learns of the other's number or host."""
    for data in node.sent_to(CALLER):
        assert not any(text.encode() in data for text in (B, C, D, CANARY_HOST, "Canary", "127.0.0.14")), data
    for data in node.sent_to(CALLEE2):
        assert not any(text.encode() in data for text in (B, CANARY_HOST, "anary", "127.0.0.13")), data


def answered_by_c(node: CoreNode, first: Message, second: Message) -> Talk:
    """C answers, and the call is acknowledged."""
    node.book.wire_in(answer(second, 200, "c-tag", sdp=B_SDP.replace(B, C), contact=FROM_C, who=C), CALLEE2)
    talk = Talk(node, second, node.book.wire_out("SIP/2.0 200", CALLER), "c-tag")
    talk.from_caller("ACK")
    node.book.wire_out("ACK ", CALLEE2)
    return talk


def hang_up(node: CoreNode, talk: Talk) -> None:
    talk.from_caller("BYE")
    bye = node.book.wire_out(f"BYE sip:{C}@127.0.0.14:5060 ", CALLEE2)
    node.book.wire_in(answer(bye, 200, who=C), CALLEE2)
    node.book.wire_out("SIP/2.0 200", CALLER)
    node.book.silence()


@pytest.mark.parametrize("status", [300, 301, 302])
def test_the_number_is_called_and_nothing_else_of_it(status: int) -> None:
    node = CoreNode(FOLLOWING)
    first = start(node)
    node.book.at(0.25)
    redirect(node, first, status=status)
    second = node.book.wire_out(f"INVITE sip:{C}@127.0.0.14:5060 SIP/2.0", CALLEE2)
    assert second.value(h.TO) == f"<sip:{C}@127.0.0.14>"
    assert (second.value(h.FROM) or "").startswith(f"<sip:{X}@veil.example>;tag=")
    assert second.value(h.CONTACT) == f"<sip:{X}@127.0.0.11:5060>"
    assert second.call_id != first.call_id and second.from_tag != first.from_tag
    assert {second.max_forwards(), first.max_forwards()} == {69}
    node.book.silence()
    assert node.steps[1][0] is Step.OPEN and node.steps[1][1]["callee"] == C
    talk = answered_by_c(node, first, second)
    hang_up(node, talk)
    nothing_of_it_crosses(node)
    node.assert_recorded(
        callee=C, tel_x=X, caller=A, egress_peer="other-side", callee_call_id=second.call_id, release_cause="NORMAL",
        attempts=(
            ("callee-side", "sip:127.0.0.13:5060", status, 250, None),
            ("other-side", "sip:127.0.0.14:5060", 200, 0, 200),
        ),
    )  # fmt: skip


def test_the_new_callee_hears_nothing_before_it_is_on_record() -> None:
    node = CoreNode(FOLLOWING)
    first = start(node)
    node.durable = {Step.ANSWER, Step.CLOSE}
    redirect(node, first)
    node.book.silence()
    assert node.held[0].step is Step.OPEN
    node.release_held()
    second = node.book.wire_out("INVITE ", CALLEE2)
    hang_up(node, answered_by_c(node, first, second))


def test_after_ringing_the_early_dialog_is_over() -> None:
    node = CoreNode(FOLLOWING)
    first = start(node)
    early = Talk(node, first, ring(node, first))
    redirect(node, first)
    second = node.book.wire_out("INVITE ", CALLEE2)
    early.from_caller("UPDATE", sdp=B_SDP.replace(B, A))
    node.book.wire_out("SIP/2.0 481", CALLER)
    early.from_callee("UPDATE", sdp=B_SDP)
    node.book.wire_out("SIP/2.0 481", CALLEE)
    node.book.wire_in(answer(second, 180, "c-tag", contact=FROM_C, who=C), CALLEE2)
    ringing = node.book.wire_out("SIP/2.0 180", CALLER)
    assert ringing.to_tag != early.ok.to_tag
    early.from_caller("UPDATE", sdp=B_SDP.replace(B, A))
    node.book.wire_out("SIP/2.0 481", CALLER)
    early.from_callee("UPDATE", sdp=B_SDP)
    node.book.wire_out("SIP/2.0 481", CALLEE)
    hang_up(node, answered_by_c(node, first, second))
    nothing_of_it_crosses(node)


def test_forks_of_the_first_callee_are_gone() -> None:
    """Nothing that comes from there after its 3xx reaches the caller."""
    node = CoreNode(FOLLOWING)
    first = start(node)
    ring(node, first, tag="b-1")
    ring(node, first, 183, tag="b-2")
    redirect(node, first)
    second = node.book.wire_out("INVITE ", CALLEE2)
    node.book.wire_in(answer(first, 180, "b-3"), CALLEE)
    node.book.wire_in(answer(first, 200, "b-2", sdp=B_SDP), CALLEE)
    node.book.silence()
    talk = answered_by_c(node, first, second)
    hang_up(node, talk)


def test_busy_where_it_leads_is_busy() -> None:
    node = CoreNode(FOLLOWING)
    redirect(node, start(node))
    second = node.book.wire_out("INVITE ", CALLEE2)
    node.book.wire_in(answer(second, 486, who=C, contact=FROM_C), CALLEE2)
    node.book.wire_out("ACK ", CALLEE2)
    refused(node, 486, 17)
    node.assert_recorded(callee=C, release_cause="BUSY", egress_peer="other-side")
    nothing_of_it_crosses(node)


# -- which number ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "contacts",
    [
        f"{contact(D)};q=0.2, {contact(C)};q=0.9",
        f"{contact(D)};q=0.999, {contact(C)}",
        f"{contact(D)};q=0.5\nContact: {contact(C)};q=0.7",
        f"<sip:{CANARY_HOST}>, <mailto:canary@{CANARY_HOST}>, <sip:700123456780009@{CANARY_HOST}>, {contact(C)};q=0.1",
        f"{contact(B)}, {contact(C)};q=0.3",
        f"<tel:+86{C}>;q=0.4, {contact(D)};q=0.3",
        f"{contact(D)};q=x.y, {contact(C)};q=1.0".replace(contact(D), contact("12")),
        f"<sip:+86%31{C[1:]}@{CANARY_HOST}>",
    ],
)
def test_first_number_by_q(contacts: str) -> None:
    """What is no number, or the callee itself, is passed over (RFC 3261 §8.1.3.4, §20.10)."""
    node = CoreNode(FOLLOWING)
    redirect(node, start(node), contacts)
    second = node.book.wire_out(f"INVITE sip:{C}@127.0.0.14:5060 ", CALLEE2)
    node.book.wire_in(answer(second, 486, who=C, contact=FROM_C), CALLEE2)
    node.book.wire_out("ACK ", CALLEE2)
    refused(node, 486, 17)
    nothing_of_it_crosses(node)


@pytest.mark.parametrize(
    ("contacts", "status", "cause"),
    [
        (contact(A), (482, 25), "LOOP"),
        (f"<sip:+86{A}@{CANARY_HOST}>", (482, 25), "LOOP"),
        (f"{contact(A)}, {contact(C)};q=0.3", (482, 25), "LOOP"),
        (f"{contact('95588')}, {contact(C)};q=0.3", (404, 3), "NO_ROUTE"),
        (contact(B), (480, 31), "FORWARDING_REFUSED"),
        (contact("95588"), (404, 3), "NO_ROUTE"),
        (contact("700123456780002"), (480, 31), "FORWARDING_REFUSED"),
        (contact(X), (480, 31), "FORWARDING_REFUSED"),
        (f"<sip:{CANARY_HOST}>", (480, 31), "FORWARDING_REFUSED"),
        ("*", (480, 31), "FORWARDING_REFUSED"),
        (f"<sip:{C}", (480, 31), "FORWARDING_REFUSED"),
        (f"<http://{CANARY_HOST}/{C}>", (480, 31), "FORWARDING_REFUSED"),
    ],
)
def test_where_it_may_not_lead(contacts: str, status: tuple[int, int], cause: str) -> None:
    node = CoreNode(FOLLOWING)
    redirect(node, start(node), contacts)
    refused(node, *status)
    node.assert_recorded(callee=B, release_cause=cause, egress_peer="callee-side")
    assert node.sent_to(CALLEE2) == []
    nothing_of_it_crosses(node)


def test_a_number_that_stands_in_x_is_never_called() -> None:
    """The caller would read it in X: `bind` refuses such a pair."""
    x = "700" + "2088888888" + "01"
    node = CoreNode(replace(FOLLOWING, routes=(RouteSettings("all", "", ("callee-side",)),)), (axb(x=x),))
    redirect(node, start(node, invite(called=x)), contact("2088888888"))
    refused(node, 403, 21)
    node.assert_recorded(callee=B, release_cause="LEAK_STOPPED")


@pytest.mark.parametrize("status", [305, 380, 399])
def test_other_3xx_are_refused(status: int) -> None:
    """A proxy and another service are no other place of the callee (RFC 3261 §21.3)."""
    node = CoreNode(FOLLOWING)
    redirect(node, start(node), status=status)
    refused(node, 480, 31)
    assert node.sent_to(CALLEE2) == []


def test_a_peer_that_is_not_followed_is_refused() -> None:
    """The key is that of the peer that answers: C's trunk has it not."""
    node = CoreNode(replace(FOLLOWING, peers=(CALLER_SIDE, B_SIDE, replace(C_SIDE, follow_redirect=False))))
    redirect(node, start(node))
    second = node.book.wire_out("INVITE ", CALLEE2)
    redirect(node, second, contact(D), source=CALLEE2)
    refused(node, 480, 31)
    node.assert_recorded(callee=C, release_cause="FORWARDING_REFUSED", egress_peer="other-side")


def test_five_times_and_no_more() -> None:
    node = CoreNode(FOLLOWING)
    sent, source = start(node), CALLEE
    for number in range(5):
        redirect(node, sent, contact(f"1370013710{number}"), source=source)
        sent, source = node.book.wire_out(f"INVITE sip:1370013710{number}@", CALLEE2), CALLEE2
    redirect(node, sent, contact(C), source=CALLEE2)
    refused(node, 480, 31)
    node.assert_recorded(callee="13700137104", release_cause="FORWARDING_REFUSED", decided_by="callee")
    attempts = node.record["attempts"]
    assert isinstance(attempts, tuple) and [attempt[2] for attempt in attempts] == [302] * 6


def test_two_that_point_at_each_other_end_at_once() -> None:
    node = CoreNode(FOLLOWING)
    redirect(node, start(node))
    second = node.book.wire_out("INVITE ", CALLEE2)
    redirect(node, second, contact(B), source=CALLEE2)
    refused(node, 480, 31)


def test_a_target_of_the_new_number_that_cannot_serve_is_followed_by_its_next() -> None:
    third = "127.0.0.14:5070"
    settings = replace(
        FOLLOWING, peers=(CALLER_SIDE, B_SIDE, replace(C_SIDE, targets=(target(CALLEE2), target(third))))
    )
    node = CoreNode(settings)
    redirect(node, start(node))
    second = node.book.wire_out("INVITE ", CALLEE2)
    node.book.wire_in(answer(second, 503, who=C, contact=FROM_C), CALLEE2)
    node.book.wire_out("ACK ", CALLEE2)
    last = node.book.wire_out(f"INVITE sip:{C}@{third} ", third)
    node.book.wire_in(answer(last, 486, who=C, contact=FROM_C), third)
    node.book.wire_out("ACK ", third)
    refused(node, 486, 17)
    attempts = node.record["attempts"]
    assert isinstance(attempts, tuple) and [attempt[2] for attempt in attempts] == [302, 503, 486]


# -- nobody learns -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [B, C, f"+86 {C[:3]}-{C[3:7]}-{C[7:]}"])
def test_neither_callee_may_reach_the_caller(number: str) -> None:
    """The first callee's number as little as that of the one who answers."""
    node = CoreNode(following(pass_headers=("X-Note",)))
    redirect(node, start(node))
    second = node.book.wire_out("INVITE ", CALLEE2)
    node.book.wire_in(answer(second, 180, "c-tag", extra=f"X-Note: {number}", contact=FROM_C, who=C), CALLEE2)
    node.book.silence()
    ok = answer(second, 200, "c-tag", extra=f"X-Note: {number}", sdp=B_SDP, contact=FROM_C, who=C)
    node.book.wire_in(ok, CALLEE2)
    node.book.wire_out("ACK ", CALLEE2)
    bye = node.book.wire_out("BYE ", CALLEE2)
    node.book.wire_in(answer(bye, 200, who=C), CALLEE2)
    refused(node, 403, 21)
    node.assert_recorded(release_cause="LEAK_STOPPED")
    nothing_of_it_crosses(node)


@pytest.mark.parametrize("number", [A, B])
def test_the_new_callee_never_learns_who_called_nor_who_was_called(number: str) -> None:
    peers = (CALLER_SIDE, replace(B_SIDE, pass_headers=()), replace(C_SIDE, pass_headers=("X-Note",)))
    node = CoreNode(replace(FOLLOWING, peers=peers))
    first = start(node, invite(extra=f"X-Note: order of {number}\nP-Charging-Vector: icid-value=charged"))
    icid = (first.value(h.P_CHARGING_VECTOR) or "").removeprefix("icid-value=")
    redirect(node, first)
    refused(node, 403, 21)
    node.assert_recorded(icid_out=icid, callee=B, release_cause="LEAK_STOPPED", egress_peer="callee-side")
    assert node.sent_to(CALLEE2) == []
