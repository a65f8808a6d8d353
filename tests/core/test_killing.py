"""A kill switch that ends calls in progress: both sides hear of it, and the record says why."""

from __future__ import annotations

import pytest

from engine.core.binding import ASK_DECISION
from engine.core.records import Step
from sipstack import headers as h
from tests.core.bound import with_conditions
from tests.core.corenode import CALLEE, CALLER, CoreNode, X
from tests.core.parties import B_SDP, Talk, answer, answered, invite, message, of_invite, refused, ring, start, talking
from tests.core.restart import restarted
from tests.core.test_adoption import LONG_S

KINDS = [
    ("number", X, "NUMBER_FROZEN", 404, 1),
    ("number_block", X[:11], "NUMBER_FROZEN", 404, 1),
    ("business_user", "bu-express", "TENANT_SUSPENDED", 403, 21),
    ("app_platform", "ap-demo", "TENANT_SUSPENDED", 403, 21),
    ("everything", "", "TENANT_SUSPENDED", 403, 21),
]
KIND = pytest.mark.parametrize(("kind", "entity", "cause", "status", "q850"), KINDS)


def kill(node: CoreNode, kind: str = "number", entity: str = X) -> int:
    count, outputs = node.service.release(kind, entity, node.book.now)
    node.book.perform(outputs)
    return count


def is_ended(node: CoreNode, cause: str = "NUMBER_FROZEN") -> None:
    """Both sides have their BYE, and agree."""
    for address in (CALLER, CALLEE):
        bye = node.book.wire_out("BYE ", address)
        assert bye.values(h.REASON) == ["Q.850;cause=21"]
        node.book.wire_in(answer(bye, 200), address)
    node.book.silence()
    node.assert_recorded(
        release_cause=cause, sip_status=200, q850=21, release_direction="platform", decided_by="kill_switch"
    )


@KIND
def test_a_conversation(kind: str, entity: str, cause: str, status: int, q850: int) -> None:
    node = talking(CoreNode()).node
    node.wait(30)
    assert kill(node, kind, entity) == 1
    is_ended(node, cause)
    node.assert_recorded(duration_ms=30_000)


@KIND
def test_a_call_that_rings(kind: str, entity: str, cause: str, status: int, q850: int) -> None:
    node = CoreNode()
    ring(node, start(node))
    assert kill(node, kind, entity) == 1
    node.book.wire_out("CANCEL ", CALLEE)
    refused(node, status, q850)
    node.assert_recorded(release_cause=cause, decided_by="kill_switch", release_direction="platform")


def test_a_call_before_its_ack() -> None:
    talk = answered(CoreNode())
    assert kill(talk.node) == 1
    talk.node.book.wire_out("ACK ", CALLEE)
    far = talk.node.book.wire_out("BYE ", CALLEE)
    talk.node.book.wire_in(answer(far, 200), CALLEE)
    talk.node.book.silence()
    talk.from_caller("ACK")
    near = talk.node.book.wire_out("BYE ", CALLER)
    talk.node.book.wire_in(answer(near, 200), CALLER)
    talk.node.assert_recorded(release_cause="NUMBER_FROZEN", q850=21)


def test_a_call_whose_answer_is_being_recorded() -> None:
    node = CoreNode()
    node.durable = {Step.OPEN, Step.CLOSE}
    node.book.wire_in(answer(start(node), 200, sdp=B_SDP), CALLEE)
    assert kill(node) == 1
    node.book.wire_out("ACK ", CALLEE)
    node.book.wire_in(answer(node.book.wire_out("BYE ", CALLEE), 200), CALLEE)
    refused(node, 404, 1)
    node.assert_recorded(release_cause="NUMBER_FROZEN", answer_time=None)
    node.release_held()


def test_a_call_that_the_store_is_asked_about() -> None:
    node = CoreNode()
    node.looks_up = False
    node.book.wire_in(invite(), CALLER)
    node.book.wire_out("SIP/2.0 100", CALLER)
    assert kill(node, "everything", "") == 1
    refused(node, 403, 21)
    node.release_lookup()
    node.assert_recorded(release_cause="TENANT_SUSPENDED")


def test_a_call_that_the_platform_is_asked_about() -> None:
    node = with_conditions(flags=ASK_DECISION, decision_timeout_ms=800)
    node.book.wire_in(invite(), CALLER)
    node.book.wire_out("SIP/2.0 100", CALLER)
    assert kill(node) == 1
    refused(node, 404, 1)
    assert node.sent_to(CALLEE) == []
    node.assert_recorded(release_cause="NUMBER_FROZEN")


def test_a_call_that_is_being_opened() -> None:
    node = CoreNode()
    node.durable = {Step.CLOSE}
    node.book.wire_in(invite(), CALLER)
    node.book.wire_out("SIP/2.0 100", CALLER)
    assert kill(node) == 1
    refused(node, 404, 1)
    assert node.sent_to(CALLEE) == []
    node.release_held(durable=False)


def test_a_call_of_the_last_run() -> None:
    talk = talking(CoreNode())
    node = talk.node = restarted(talk.node, after_s=LONG_S)
    assert kill(node) == 1
    is_ended(node)


@pytest.mark.parametrize(
    ("kind", "entity"),
    [("number", "700123456780002"), ("number_block", "70012345679"), ("business_user", "bu"), ("app_platform", "ap")],
)
def test_others_talk_on(kind: str, entity: str) -> None:
    talk = talking(CoreNode())
    assert kill(talk.node, kind, entity) == 0
    talk.node.book.silence()
    talk.hang_up()


def test_an_end_that_is_decided_stays() -> None:
    talk: Talk = talking(CoreNode())
    talk.node.durable = set()
    talk.from_caller("BYE")
    talk.node.book.wire_in(answer(talk.node.book.wire_out("BYE ", CALLEE), 200), CALLEE)
    assert kill(talk.node) == 0
    talk.node.release_held()
    talk.node.book.wire_out("SIP/2.0 200", CALLER)
    assert kill(talk.node) == 0
    talk.node.assert_recorded(release_cause="NORMAL", release_direction="caller")


def test_a_cancelled_call_stays_cancelled() -> None:
    node = CoreNode()
    ring(node, start(node))
    node.durable = set()
    node.book.wire_in(of_invite("CANCEL"), CALLER)
    node.book.wire_out("SIP/2.0 200", CALLER)
    node.book.wire_out("CANCEL ", CALLEE)
    assert kill(node) == 0
    node.release_held()
    refused(node, 487, 16)
    node.assert_recorded(release_cause="CALLER_CANCEL")


def test_messages_are_let_be() -> None:
    node = CoreNode()
    node.book.wire_in(message(), CALLER)
    sent = node.book.wire_out("MESSAGE ", CALLEE)
    assert kill(node) == 0
    node.book.wire_in(answer(sent, 200), CALLEE)
    node.book.wire_out("SIP/2.0 200", CALLER)
