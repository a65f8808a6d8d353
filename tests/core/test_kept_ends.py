"""An end that the store did not take is kept as it was told (contract §6, step KEEP)."""

from __future__ import annotations

import pytest

from engine.core.records import Step
from sipstack import headers as h
from tests.core.corenode import CALLEE, CALLER, CoreNode
from tests.core.parties import answer, invite, refused, start, talking


def kept(node: CoreNode) -> dict[str, object]:
    """What the writer was given to keep: once, and last."""
    steps = [step for step, _ in node.steps]
    assert steps.count(Step.KEEP) == 1 and steps[-1] is Step.KEEP
    return node.steps[-1][1]


@pytest.mark.parametrize("silent", [False, True])
def test_a_refusal_by_policy_that_left_as_500_is_recorded_so(silent: bool) -> None:
    node = CoreNode(bindings=())
    node.durable = set()
    node.store_gives_up = silent
    node.book.wire_in(invite(), CALLER)
    node.book.wire_out("SIP/2.0 100", CALLER)
    if silent:
        node.book.at(5.01)
    else:
        node.release_held(durable=False)
    refused(node, 500, 41)
    record = kept(node)
    told = (record["release_cause"], record["sip_status"], record["q850"], record["decided_by"])
    assert told == ("INTERNAL", 500, 41, "store")
    assert record["release_direction"] == "platform"


def test_what_the_callee_said_is_kept_as_it_is() -> None:
    node = CoreNode()
    node.durable = {Step.OPEN}
    sent = start(node)
    node.book.wire_in(answer(sent, 486), CALLEE)
    node.book.wire_out("ACK ", CALLEE)
    node.release_held(durable=False)
    refused(node, 486, 17)
    record = kept(node)
    assert (record["release_cause"], record["sip_status"], record["decided_by"]) == ("BUSY", 486, "callee")


@pytest.mark.parametrize("silent", [False, True])
def test_the_end_of_an_answered_call_is_kept(silent: bool) -> None:
    node = CoreNode()
    node.durable = {Step.OPEN, Step.ANSWER}
    talk = talking(node)
    talk.from_caller("BYE")
    bye = node.book.wire_out("BYE ", CALLEE)
    node.book.wire_in(answer(bye, 200), CALLEE)
    if silent:
        node.book.at(5.01)
    else:
        node.release_held(durable=False)
    node.book.wire_out("SIP/2.0 200", CALLER)
    record = kept(node)
    assert (record["release_cause"], record["sip_status"]) == ("NORMAL", 200)


def test_an_end_that_is_durable_is_not_kept() -> None:
    node = CoreNode(bindings=())
    node.book.wire_in(invite(), CALLER)
    node.book.wire_out("SIP/2.0 100", CALLER)
    refused(node, 404, 1)
    assert [step for step, _ in node.steps] == [Step.CLOSE]


def test_new_calls_are_refused_while_the_store_is_behind() -> None:
    node = CoreNode()
    node.service.intake.is_store_behind = True
    node.durable = set()
    node.book.wire_in(invite(), CALLER)
    node.release_held(durable=False)  # the writer takes no step of a call that has sent nothing
    assert refused(node, 503, 42).value(h.RETRY_AFTER) == "5"
    record = kept(node)
    assert (record["release_cause"], record["decided_by"]) == ("OVERLOAD", "store")
    assert node.sent_to(CALLEE) == []
