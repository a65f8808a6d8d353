"""Reports on short messages whose node was killed or stopped in between: matched by the next run, passed on once."""

from __future__ import annotations

import pytest

from engine.core.report_relay import read_entry
from engine.core.settings import CoreSettings
from sipstack.message import Message
from sipstack.testing.playbook import Playbook
from tests.core.corenode import CALLEE, CALLER, SETTINGS, WALL_AT_START, A, B, CoreNode, with_trunk
from tests.core.parties import answer
from tests.core.sms import delivered, ended, passed, reference_of, report, rp_ack, send, submitted, turned_away

CALL_ID = "1-4711@127.0.0.12"


def restarted(after_s: float, settings: CoreSettings = SETTINGS, data: bytes = b"") -> tuple[CoreNode, Message]:
    """A node that has adopted what another one has left, so long after the 202; and what that one had sent."""
    first = CoreNode()
    sent = send(first, data)
    (pending,) = first.context.reports.values()
    record, entry = pending.record, read_entry(list(pending.entry.stored()))
    CoreNode.made.remove(first)  # it is dead
    second = CoreNode(settings)
    second.before = 1
    second.service.set_wall_clock(WALL_AT_START - Playbook.START_S + after_s)
    second.service.last_run.adopt_reports([(record, entry)], set(), second.book.now)
    return second, sent


@pytest.mark.parametrize("from_mobile", [True, False])
def test_report_after_a_restart_is_matched_and_passed_on(from_mobile: bool) -> None:
    node, sent = restarted(20, data=submitted() if from_mobile else delivered())
    relayed = passed(node, rp_ack(reference_of(sent), not from_mobile), sent)
    assert relayed.body == rp_ack(9, not from_mobile)
    assert relayed.named("In-Reply-To") == [CALL_ID]
    node.assert_recorded(release_cause="NORMAL", caller=A, callee=B, callee_call_id=sent.call_id)


@pytest.mark.parametrize(("after_s", "left_s"), [(20.0, 25.0), (300.0, 0.0), (-3600.0, 45.0)])
def test_what_is_left_of_its_time(after_s: float, left_s: float) -> None:
    """Past its time at once; a clock that has gone back gives no more than the whole of it."""
    node, _ = restarted(after_s)
    if left_s:
        node.wait(left_s - 0.5)
        assert node.records == []
    node.wait(1)
    node.assert_recorded(release_cause="UNREACHABLE", decided_by="report_timer")


def test_repeat_of_the_rp_data_after_a_restart_gets_its_202_again() -> None:
    node, sent = restarted(2)
    node.book.wire_in(submitted(), CALLER)
    node.book.wire_out("SIP/2.0 202", CALLER)
    node.book.silence()
    passed(node, rp_ack(reference_of(sent), False), sent)


def test_report_whose_peer_is_gone_is_stopped() -> None:
    node, sent = restarted(2, with_trunk("caller-side", targets=()))
    turned_away(node, report(rp_ack(reference_of(sent), False), sent), status=403)
    ended(node)


def test_repeat_of_a_report_after_a_restart_is_answered_and_not_passed_on() -> None:
    node = CoreNode()
    sent = send(node)
    passed(node, rp_ack(reference_of(sent), False), sent)
    second = CoreNode()
    second.service.last_run.adopt_reports([], {sent.call_id}, second.book.now)
    turned_away(second, report(rp_ack(reference_of(sent), False), sent), status=202)
    second.service.last_run.forget()
    turned_away(second, report(rp_ack(reference_of(sent), False), sent, branch="z9hG4bK-br2"))


def test_a_stop_does_not_wait_for_reports() -> None:
    node = CoreNode()
    node.book.wire_in(submitted(), CALLER)
    sent = node.book.wire_out("MESSAGE ", CALLEE)
    assert node.service.unfinished == 1
    node.book.wire_in(answer(sent, 202), CALLEE)
    node.book.wire_out("SIP/2.0 202", CALLER)
    assert (node.service.unfinished, len(node.service.attempts)) == (0, 1)
