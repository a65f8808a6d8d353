"""Expires of an INVITE: how long the invitation is good for, by the caller's own word (RFC 3261 §13.3.1)."""

from __future__ import annotations

import pytest

from sipstack import headers as h
from tests.core.corenode import CALLEE, CALLEE2, CALLER, TWO_TARGETS, A, CoreNode, with_policy
from tests.core.parties import answer, answered, invite, refused, ring, start


def taken_back(node: CoreNode) -> None:
    """As if the caller had said CANCEL."""
    refused(node, 487, 16)
    node.assert_recorded(
        release_cause="CALLER_CANCEL", release_direction="caller", decided_by="caller", sip_status=487, q850=16
    )


def test_invitation_that_is_over_while_it_rings() -> None:
    node = CoreNode()
    sent = start(node, invite(extra="Expires: 3"))
    assert sent.value(h.EXPIRES) is None  # the callee's side need not count, too
    ring(node, sent)
    node.wait(2.9)
    node.book.silence()
    node.wait(0.2)
    cancel = node.book.wire_out("CANCEL ", CALLEE)
    assert cancel.value(h.VIA) == sent.value(h.VIA)
    taken_back(node)
    node.book.wire_in(answer(cancel, 200), CALLEE)
    node.book.wire_in(answer(sent, 487), CALLEE)
    node.book.wire_out("ACK ", CALLEE)
    node.book.silence()


def test_it_counts_from_the_invite_on_over_all_targets() -> None:
    node = CoreNode(TWO_TARGETS)
    start(node, invite(extra="Expires: 5"))
    node.wait(4.1)
    node.book.sent.clear()
    node.wait(0.8)
    node.book.sent.clear()  # repeats of our INVITE
    node.wait(0.2)
    taken_back(node)  # no CANCEL before a provisional (§9.1)
    assert len(node.sent_to(CALLEE2)) >= 1


def test_it_counts_while_the_store_is_asked() -> None:
    node = CoreNode()
    node.looks_up = False
    node.book.wire_in(invite(extra="Expires: 2"), CALLER)
    node.book.wire_out("SIP/2.0 100", CALLER)
    node.wait(2.1)
    taken_back(node)
    node.release_lookup()
    node.book.silence()
    assert node.sent_to(CALLEE) == []


def test_answered_in_time_it_means_nothing_more() -> None:
    node = CoreNode()
    talk = answered(node, message=invite(extra="Expires: 600"))
    talk.from_caller("ACK")
    node.book.wire_out("ACK ", CALLEE)
    node.wait(700)
    node.book.silence()
    talk.hang_up()
    assert node.record["release_cause"] == "NORMAL"


def test_refused_it_leaves_nothing_behind() -> None:
    """The teardown looks for timers before these 600 s are over."""
    node = CoreNode()
    sent = start(node, invite(extra="Expires: 600"))
    node.book.wire_in(answer(sent, 486), CALLEE)
    node.book.wire_out("ACK ", CALLEE)
    refused(node, 486, 17)


@pytest.mark.parametrize("value", ["never", "-1", "3 0", "4294967295", "99999999999999999999", "9" * 5000, "٣", "30"])
def test_ring_timeout_s_is_the_shorter_limit_and_what_is_no_number_says_nothing(value: str) -> None:
    node = CoreNode(with_policy(ring_timeout_s=10))
    sent = start(node, invite(extra=f"Expires: {value}"))
    ring(node, sent)
    node.wait(9.9)
    node.book.silence()
    node.wait(0.2)
    node.book.wire_out("CANCEL ", CALLEE)
    refused(node, 480, 19)
    assert node.record["caller"] == A
