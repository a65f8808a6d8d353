"""B calls the group of its binding: one member after the other, and nobody learns of those before."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine.core.binding import SEQUENTIAL, TO_GROUP
from engine.core.records import Step
from engine.core.settings import CoreSettings, RouteSettings
from sipstack import headers as h
from sipstack.message import Message
from tests.core.bound import C, D, said
from tests.core.corenode import CALLEE, CALLEE2, CALLER, CALLER_SIDE, SETTINGS, A, B, CoreNode, X, axb
from tests.core.parties import B_SDP, Talk, answer, invite, message, of_invite, refused, ring, start, trying
from tests.core.test_redirect import B_SIDE, C_SIDE, FROM_C, answered_by_c, hang_up

# A is who calls X here, B the first member; C and D are behind another trunk.
GROUPS = replace(
    SETTINGS,
    peers=(CALLER_SIDE, B_SIDE, C_SIDE),
    routes=(RouteSettings("others", "^137", ("other-side",)), *SETTINGS.routes),
)


def group(*members: str, settings: CoreSettings = GROUPS, **conditions: object) -> CoreNode:
    known = said(flags=TO_GROUP | SEQUENTIAL, members=members, **conditions)
    return CoreNode(settings, (axb()._replace(mode="GXB", conditions=known),))


def fails(node: CoreNode, sent: Message, status: int, source: str = CALLEE) -> None:
    node.book.wire_in(answer(sent, status), source)
    node.book.wire_out("ACK ", source)


def next_member(node: CoreNode, member: str = C) -> Message:
    return node.book.wire_out(f"INVITE sip:{member}@127.0.0.14:5060 SIP/2.0", CALLEE2)


def nothing_crosses(node: CoreNode) -> None:
    for data in node.sent_to(CALLER):
        assert not any(text.encode() in data for text in (B, C, D, "127.0.0.14")), data
    for data in node.sent_to(CALLEE2):
        assert not any(text.encode() in data for text in (B, "127.0.0.13")), data


@pytest.mark.parametrize(("status", "rings"), [(486, True), (486, False), (480, False), (404, False), (500, False)])
def test_the_next_member_is_called(status: int, rings: bool) -> None:
    node = group(C, D)
    first = start(node)
    if rings:
        ring(node, first)
    fails(node, first, status)
    second = next_member(node)
    assert second.value(h.TO) == f"<sip:{C}@127.0.0.14>"
    assert (second.value(h.FROM) or "").startswith(f"<sip:{X}@veil.example>;tag=")
    assert second.call_id != first.call_id and second.from_tag != first.from_tag
    node.book.silence()
    opened = [values for step, values in node.steps if step is Step.OPEN]
    assert [(values["callee"], values["group_member"]) for values in opened] == [(B, B), (C, C)]
    hang_up(node, answered_by_c(node, first, second))
    nothing_crosses(node)
    node.assert_recorded(
        mode="GXB", caller=A, callee=C, group_member=C, egress_peer="other-side", release_cause="NORMAL",
        attempts=(
            ("callee-side", "sip:127.0.0.13:5060", status, 0, None),
            ("other-side", "sip:127.0.0.14:5060", 200, 0, 200),
        ),
    )  # fmt: skip


@pytest.mark.parametrize("rings", [True, False])
def test_who_does_not_answer_in_time_is_taken_back(rings: bool) -> None:
    node = group(C, ring_timeout_s=3)
    first = start(node)
    if rings:
        ring(node, first)
    else:
        trying(node, first)
    node.wait(2.9)
    node.book.silence()
    node.wait(0.1)
    taken_back = node.book.wire_out("CANCEL ", CALLEE)
    second = next_member(node)
    node.book.wire_in(answer(taken_back, 200), CALLEE)
    fails(node, first, 487)
    hang_up(node, answered_by_c(node, first, second))
    nothing_crosses(node)
    node.assert_recorded(callee=C, group_member=C, release_cause="NORMAL")


def test_a_member_that_answers_too_late_is_released() -> None:
    node = group(C, ring_timeout_s=3)
    first = start(node)
    ring(node, first)
    node.wait(3)
    node.book.wire_out("CANCEL ", CALLEE)
    second = next_member(node)
    node.book.wire_in(answer(first, 200, sdp=B_SDP), CALLEE)
    node.book.wire_out("ACK ", CALLEE)
    bye = node.book.wire_out("BYE ", CALLEE)
    node.book.wire_in(answer(bye, 200), CALLEE)
    hang_up(node, answered_by_c(node, first, second))


def test_a_silent_target_is_followed_by_the_next_member() -> None:
    node = group(C)
    first = start(node)
    node.wait(4.0)
    while node.book.sent[0].data.startswith(b"INVITE sip:139"):
        node.book.wire_out("INVITE ", CALLEE)
    second = next_member(node)
    hang_up(node, answered_by_c(node, first, second))


def test_nobody_is_left() -> None:
    node = group(C)
    fails(node, start(node), 486)
    node.book.wire_in(answer(next_member(node), 486, who=C, contact=FROM_C), CALLEE2)
    node.book.wire_out("ACK ", CALLEE2)
    refused(node, 486, 17)
    node.assert_recorded(
        release_cause="BUSY", callee=C, group_member=C,
        attempts=(
            ("callee-side", "sip:127.0.0.13:5060", 486, 0, None),
            ("other-side", "sip:127.0.0.14:5060", 486, 0, None),
        ),
    )  # fmt: skip
    nothing_crosses(node)


@pytest.mark.parametrize("status", [603, 403, 488])
def test_who_declines_has_been_reached(status: int) -> None:
    node = group(C)
    fails(node, start(node), status)
    node.book.wire_out("SIP/2.0 ", CALLER)
    node.book.silence()
    node.assert_recorded(release_cause="REJECTED", callee=B, group_member=B)


def test_a_caller_that_hangs_up_is_followed_by_nobody() -> None:
    node = group(C)
    ring(node, start(node))
    node.book.wire_in(of_invite("CANCEL"), CALLER)
    node.book.wire_out("SIP/2.0 200", CALLER)
    node.book.wire_out("CANCEL ", CALLEE)
    refused(node, 487, 16)
    node.assert_recorded(release_cause="CALLER_CANCEL", callee=B, group_member=B)


def test_cancel_before_the_next_one_is_on_record_names_the_last_one_that_rang() -> None:
    node = group(C)
    first = start(node)
    node.durable = {Step.CLOSE}
    fails(node, first, 486)
    node.book.wire_in(of_invite("CANCEL"), CALLER)
    node.book.wire_out("SIP/2.0 200", CALLER)
    refused(node, 487, 16)
    assert node.sent_to(CALLEE2) == []
    node.assert_recorded(release_cause="CALLER_CANCEL", callee=B, group_member=B)
    node.release_held(durable=False)


def test_members_that_no_route_leads_to_are_passed_over() -> None:
    only_c = replace(GROUPS, routes=GROUPS.routes[:1])
    node = group("02088888888", C, settings=only_c)
    second = start_at(node, C)
    hang_up(node, answered_by_c(node, second, second))
    node.assert_recorded(callee=C, group_member=C)


def start_at(node: CoreNode, member: str) -> Message:
    """The first member that can be reached is this one."""
    node.book.wire_in(invite(), CALLER)
    node.book.wire_out("SIP/2.0 100", CALLER)
    return next_member(node, member)


def test_a_message_is_for_the_first_member_alone() -> None:
    node = group(C)
    node.book.wire_in(message(), CALLER)
    sent = node.book.wire_out(f"MESSAGE sip:{B}@", CALLEE)
    node.book.wire_in(answer(sent, 486), CALLEE)
    node.book.wire_out("SIP/2.0 486", CALLER)
    node.book.silence()
    node.assert_recorded(kind="message", mode="GXB", callee=B, group_member=B)


def test_no_member_is_called_that_is_the_caller() -> None:
    node = CoreNode(GROUPS, (axb(callee=A)._replace(mode="GXB", conditions=said(flags=TO_GROUP)),))
    node.book.wire_in(message(), CALLER)
    node.book.wire_out("SIP/2.0 482", CALLER)
    node.assert_recorded(release_cause="LOOP")


def test_early_dialogs_of_a_member_that_was_left_are_over() -> None:
    node = group(C)
    first = start(node)
    early = Talk(node, first, ring(node, first))
    fails(node, first, 486)
    second = next_member(node)
    early.from_callee("UPDATE", sdp=B_SDP)
    node.book.wire_out("SIP/2.0 481", CALLEE)
    hang_up(node, answered_by_c(node, first, second))


@pytest.mark.parametrize("named", [B, C])
def test_a_later_member_cannot_tell_the_caller_whom_it_was_for(named: str) -> None:
    """Its own number or, since colleagues know each other, that of one before it."""
    node = group(C)
    fails(node, start(node), 486)
    second = next_member(node)
    telling = f"{B_SDP.replace(B, C)}a=ice-pwd:x{named}\n"
    node.book.wire_in(answer(second, 200, "c-tag", sdp=telling, contact=FROM_C, who=C), CALLEE2)
    node.book.wire_out("ACK ", CALLEE2)
    node.book.wire_in(answer(node.book.wire_out("BYE ", CALLEE2), 200, who=C), CALLEE2)
    refused(node, 403, 21)
    nothing_crosses(node)
    node.assert_recorded(release_cause="LEAK_STOPPED", callee=C, group_member=C)
