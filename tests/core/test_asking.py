"""The app platform is asked: what it says counts, its silence refuses, and what may come in between does."""

from __future__ import annotations

import pytest

from engine.core.asking import HookAnswer
from engine.core.binding import ASK_DECISION, ASK_ORDER, CALLEE_VERIFIED, DECISION_OPEN
from engine.core.call import Call
from engine.core.records import Step
from sipstack import headers as h
from tests.core.bound import C, said, with_conditions
from tests.core.corenode import CALLEE, CALLER, WALL_AT_START, A, B, CoreNode, X, axb, with_policy
from tests.core.parties import answer, invite, message, of_invite, refused, ring, start

YES, NO = HookAnswer(True), HookAnswer(False)
ORDER = {"flags": ASK_ORDER, "order_state": "unverified", "order_timeout_ms": 300}
DECISION = {"flags": ASK_DECISION, "decision_timeout_ms": 800, "blocks": (X[:11],)}
BOTH = {**ORDER, **DECISION, "flags": ASK_ORDER | ASK_DECISION}
OTHER_X = f"{X[:11]}9999"


def asked(node: CoreNode, kind: str = "voice", number: int = 1) -> None:
    """An attempt that waits for the platform."""
    if kind == "voice":
        node.book.wire_in(invite(branch=f"z9hG4bK-a{number}"), CALLER)
        node.book.wire_out("SIP/2.0 100", CALLER)
    else:
        node.book.wire_in(message(branch=f"z9hG4bK-am{number}"), CALLER)
    node.book.silence()
    assert [attempt.state_name for attempt in node.service.attempts] == ["Asking"]
    assert node.sent_to(CALLEE) == [] and node.steps == []


def goes_through(node: CoreNode, kind: str = "voice", callee: str = B) -> None:
    method = "INVITE" if kind == "voice" else "MESSAGE"
    sent = node.book.wire_out(f"{method} sip:{callee}@127.0.0.13:5060 ", CALLEE)
    node.book.wire_in(answer(sent, 486, who=callee), CALLEE)
    if kind == "voice":
        node.book.wire_out("ACK ", CALLEE)
        refused(node, 486, 17)
    else:
        node.book.wire_out("SIP/2.0 486", CALLER)
    node.assert_recorded(release_cause="BUSY", callee=callee)


def is_refused(node: CoreNode, cause: str, decided_by: str, kind: str = "voice") -> None:
    final = node.book.wire_out("SIP/2.0 403", CALLER)
    assert final.values(h.REASON) == ["Q.850;cause=21"]
    if kind == "voice":
        node.book.wire_in(of_invite("ACK", final.to_tag), CALLER)
    node.book.silence()
    assert node.sent_to(CALLEE) == []
    node.assert_recorded(
        release_cause=cause, decided_by=decided_by, release_direction="platform", sip_status=403, call_out_time=None,
        subs_id="subs-1",
    )  # fmt: skip


KINDS = pytest.mark.parametrize("kind", ["voice", "message"])


@KINDS
@pytest.mark.parametrize("conditions", [ORDER, DECISION], ids=["order", "decision"])
def test_yes_lets_it_pass(kind: str, conditions: dict[str, object]) -> None:
    node = with_conditions(**conditions)
    asked(node, kind)
    question = node.platform_says(YES)
    assert (question.kind, question.subs_id, question.order_id, question.x, question.caller, question.is_message) == (
        "order" if conditions is ORDER else "decision", "subs-1", "order-1", X, "138****8000", kind == "message",
    )  # fmt: skip
    assert (question.app_platform, question.business_user) == ("ap-demo", "bu-express")
    goes_through(node, kind)


@KINDS
@pytest.mark.parametrize(
    ("conditions", "said_no", "cause", "decided_by"),
    [
        (ORDER, NO, "ORDER_UNVERIFIED", "order_hook"),
        (ORDER, None, "VERIFY_TIMEOUT", "order_hook"),
        (DECISION, NO, "HOOK_CLOSED", "decision_hook"),
        (DECISION, None, "HOOK_CLOSED", "decision_hook"),
    ],
)
def test_no_and_silence_refuse(
    kind: str, conditions: dict[str, object], said_no: HookAnswer | None, cause: str, decided_by: str
) -> None:
    node = with_conditions(**conditions)
    asked(node, kind)
    node.platform_says(said_no)
    is_refused(node, cause, decided_by, kind)


@KINDS
@pytest.mark.parametrize(
    ("conditions", "after_s", "cause", "decided_by"),
    [(ORDER, 0.3, "VERIFY_TIMEOUT", "order_hook"), (DECISION, 0.8, "HOOK_CLOSED", "decision_hook")],
)
def test_the_core_has_its_own_timer(
    kind: str, conditions: dict[str, object], after_s: float, cause: str, decided_by: str
) -> None:
    node = with_conditions(**conditions)
    asked(node, kind)
    node.wait(after_s - 0.01)
    node.book.silence()
    node.wait(0.02)
    is_refused(node, cause, decided_by, kind)
    node.platform_says(YES)  # too late
    node.book.silence()


@KINDS
@pytest.mark.parametrize("says", ["nothing", "fails"])
def test_silence_on_a_decision_may_let_pass(kind: str, says: str) -> None:
    node = with_conditions(**{**DECISION, "flags": ASK_DECISION | DECISION_OPEN})
    asked(node, kind)
    if says == "nothing":
        node.wait(0.81)
    else:
        node.platform_says(None)
    goes_through(node, kind)


def test_no_is_no_where_silence_lets_pass() -> None:
    node = with_conditions(**{**DECISION, "flags": ASK_DECISION | DECISION_OPEN})
    asked(node)
    node.platform_says(NO)
    is_refused(node, "HOOK_CLOSED", "decision_hook")


@KINDS
def test_the_order_first_and_then_the_decision(kind: str) -> None:
    node = with_conditions(**BOTH)
    asked(node, kind)
    assert node.platform_says(HookAnswer(True, WALL_AT_START + 60)).kind == "order"
    node.book.silence()
    assert [question.kind for question in node.asked] == ["decision"]
    assert [attempt.state_name for attempt in node.service.attempts] == ["Asking"]
    node.wait(0.79)  # its time begins anew
    node.platform_says(YES)
    goes_through(node, kind)


def test_of_an_order_that_is_not_true_no_decision_is_asked() -> None:
    node = with_conditions(**BOTH)
    asked(node)
    node.platform_says(NO)
    assert node.asked == []
    is_refused(node, "ORDER_UNVERIFIED", "order_hook")


def again(number: int) -> bytes:
    return message(branch=f"z9hG4bK-am{number}").replace(b"CSeq: 7", b"CSeq: %d" % (7 + number))


def test_a_verified_order_is_not_asked_about_again_until_its_proof_is_over() -> None:
    node = with_conditions(**ORDER)
    asked(node, "message")
    node.platform_says(HookAnswer(True, WALL_AT_START + 60))
    sent = node.book.wire_out("MESSAGE ", CALLEE)
    node.book.wire_in(answer(sent, 200), CALLEE)
    node.book.wire_out("SIP/2.0 200", CALLER)
    node.wait(59)
    node.book.wire_in(again(2), CALLER)
    sent = node.book.wire_out("MESSAGE ", CALLEE)
    node.book.wire_in(answer(sent, 200), CALLEE)
    node.book.wire_out("SIP/2.0 200", CALLER)
    node.wait(2)
    node.book.wire_in(again(3), CALLER)
    node.book.silence()
    node.platform_says(NO)
    node.book.wire_out("SIP/2.0 403", CALLER)


@pytest.mark.parametrize(("state", "cause"), [("closed", "ORDER_UNVERIFIED"), ("forged", "ORDER_UNVERIFIED")])
def test_an_order_that_is_over_is_not_asked_about(state: str, cause: str) -> None:
    node = with_conditions(**{**ORDER, "order_state": state})
    node.book.wire_in(invite(), CALLER)
    node.book.wire_out("SIP/2.0 100", CALLER)
    is_refused(node, cause, "order_not_over")
    assert node.asked == []


def test_a_verified_order_is_not_asked_about() -> None:
    node = with_conditions(**{**ORDER, "order_state": "verified"})
    node.book.wire_in(message(), CALLER)
    goes_through(node, "message")


# -- in between --------------------------------------------------------------------------------------------------------


def test_cancel_in_between() -> None:
    node = with_conditions(**DECISION)
    asked(node)
    node.book.wire_in(of_invite("CANCEL"), CALLER)
    node.book.wire_out("SIP/2.0 200", CALLER)
    refused(node, 487, 16)
    node.platform_says(YES)
    node.book.silence()
    assert node.sent_to(CALLEE) == []
    node.assert_recorded(release_cause="CALLER_CANCEL")


def test_repeats_in_between() -> None:
    node = with_conditions(**DECISION)
    asked(node)
    node.book.wire_in(invite(), CALLER)
    node.book.wire_out("SIP/2.0 100", CALLER)
    node.book.silence()
    assert len(node.asked) == 1
    node.platform_says(YES)
    goes_through(node)


def test_a_second_answer_changes_nothing() -> None:
    node = with_conditions(**DECISION)
    asked(node)
    question = node.asked[0]
    node.platform_says(YES)
    node.book.perform(node.service.hook_answered(question, NO, node.book.now))
    goes_through(node)


def test_the_open_row_still_has_its_time() -> None:
    node = with_conditions(**DECISION)
    asked(node)
    node.durable = {Step.CLOSE}
    node.wait(0.5)
    node.platform_says(YES)
    node.wait(4.9)
    node.book.silence()
    node.wait(0.2)
    refused(node, 500, 41)
    node.assert_recorded(release_cause="INTERNAL")
    node.release_held(durable=False)


# -- the platform holds the binding ------------------------------------------------------------------------------------


def test_the_decision_may_name_another_callee_and_another_number() -> None:
    node = with_conditions(**DECISION)
    asked(node)
    node.platform_says(HookAnswer(True, callee=C, presented=OTHER_X))
    sent = node.book.wire_out(f"INVITE sip:{C}@127.0.0.13:5060 ", CALLEE)
    assert (sent.value(h.FROM) or "").startswith(f"<sip:{OTHER_X}@veil.example>;tag=")
    node.book.wire_in(answer(sent, 486, who=C), CALLEE)
    node.book.wire_out("ACK ", CALLEE)
    refused(node, 486, 17)
    node.assert_recorded(callee=C, presented_number=OTHER_X, tel_x=X)


@pytest.mark.parametrize(
    "given",
    [
        {"presented": "700999999990001"},  # a block of somebody else
        {"presented": C},  # no 700 number
        {"presented": f"{X[:11]}99"},  # too short
        {"presented": f"{X[:11]}99999"},  # too long
        {"callee": A},  # the caller
        {"callee": "+8613700137000"},  # not canonical
        {"callee": X},
        {"callee": "nobody"},
        *({"callee": short} for short in ("110", "120", "12345", "95588", "10086", "106575000")),
    ],
)
def test_what_the_decision_may_not_name(given: dict[str, str]) -> None:
    node = with_conditions(**DECISION)
    asked(node)
    node.platform_says(HookAnswer(True, **given))
    is_refused(node, "HOOK_CLOSED", "decision_hook")


@pytest.mark.parametrize(("own", "said_s", "patience"), [(0, 20, 20), (30, 20, 20), (10, 20, 10), (10, 0, 10)])
def test_the_decision_may_say_how_long_a_phone_rings(own: int, said_s: int, patience: int) -> None:
    node = with_conditions(**DECISION, ring_timeout_s=own)
    asked(node)
    node.platform_says(HookAnswer(True, ring_timeout_s=said_s))
    ring(node, node.book.wire_out("INVITE ", CALLEE))
    node.wait(patience - 0.1)
    node.book.silence()
    node.wait(0.1)
    node.book.wire_out("CANCEL ", CALLEE)
    node.book.wire_out("SIP/2.0 480", CALLER)
    node.assert_recorded(release_cause="NO_ANSWER", decided_by="ring_timer")


@pytest.mark.parametrize(("own", "said_s", "longest"), [(0, 20, 20), (30, 20, 20), (10, 20, 10), (0, 9000, 600)])
def test_the_decision_may_say_how_long_a_call_lasts(own: int, said_s: int, longest: int) -> None:
    node = with_conditions(with_policy(max_call_s=600.0), **DECISION, max_call_s=own)
    asked(node)
    node.platform_says(HookAnswer(True, max_call_s=said_s))
    (call,) = node.service.attempts
    assert isinstance(call, Call) and call.max_call_s == longest


def test_without_a_block_no_other_number_is_shown() -> None:
    node = with_conditions(**{**DECISION, "blocks": ()})
    asked(node)
    node.platform_says(HookAnswer(True, presented=OTHER_X))
    is_refused(node, "HOOK_CLOSED", "decision_hook")


def test_of_another_callee_the_real_name_is_not_known() -> None:
    node = with_conditions(**{**DECISION, "flags": ASK_DECISION | CALLEE_VERIFIED})
    asked(node)
    node.platform_says(HookAnswer(True, callee=C))
    is_refused(node, "REALNAME_MISSING", "decision_hook")


def test_a_number_of_a_party_is_not_shown_within_a_700_number() -> None:
    short = "95588"
    block = f"700{short}{'1' * 3}"
    there = axb(callee=short)._replace(conditions=said(**{**DECISION, "blocks": (block,)}))
    node = CoreNode(bindings=(there,))
    asked(node)
    node.platform_says(HookAnswer(True, presented=f"{block}0001"))
    is_refused(node, "HOOK_CLOSED", "decision_hook")


def test_nothing_is_asked_of_most() -> None:
    node = CoreNode()
    start(node)
    assert node.asked == []
