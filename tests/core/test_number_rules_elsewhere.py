"""Number rules wherever else a peer names a number: passwords, redirects, transfers, short messages of 3GPP."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine.core.number_rules import NumberRule, NumberRules
from engine.core.settings import CoreSettings, MessageText
from tests.core.corenode import CALLEE, CALLEE2, CALLER, A, B, CoreNode, with_policy, with_trunk
from tests.core.parties import Talk, answer, invite, start
from tests.core.passwords import account, acknowledged, logged_in, with_accounts
from tests.core.sms import (
    deliver,
    delivered,
    ended,
    gsm7,
    passed,
    reference_of,
    rp_ack,
    send,
    submit,
    submitted,
    tpdu_of,
)
from tests.core.test_redirect import FOLLOWING, C, answered_by_c, contact, hang_up, redirect
from tests.core.test_sms_report import with_text

SHORT_A = A[3:]  # 00138000
SHORT_B = B[3:]
SHORT_C = C[3:]


def adding(digits: str) -> NumberRules:
    return NumberRules("adding", (NumberRule(length=8, add=digits),))


def with_rules(settings: CoreSettings, name: str, digits: str, **more: object) -> CoreSettings:
    """The same settings, but that a trunk leaves these digits of its own party's number away."""
    peers = [
        replace(p, rules_in=adding(digits), **more) if p.name == name else p  # type: ignore[arg-type]
        for p in settings.peers
    ]
    return replace(settings, peers=tuple(peers))


# -- passwords ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("user", "may_call"), [(SHORT_A, True), (SHORT_B, False)])
def test_whoever_shows_a_password_is_read_by_rules(user: str, may_call: bool) -> None:
    settings = with_rules(with_accounts(account(A, "13700137000")), "caller-side", "138")
    node = CoreNode(settings)
    again = logged_in(node, invite(caller=user).replace(b"+86", b""))
    node.book.wire_out("SIP/2.0 100", CALLER)
    if may_call:
        sent = node.book.wire_out("INVITE ", CALLEE)
        node.book.wire_in(answer(sent, 486), CALLEE)
        assert node.record["caller"] == A
    else:
        acknowledged(node, node.book.wire_out("SIP/2.0 403 ", CALLER), again)
        node.assert_recorded(release_cause="NOT_IN_CALLER_SET")


# -- redirects and transfers -------------------------------------------------------------------------------------------


def test_a_redirect_is_followed_by_rules_and_both_callees_are_hidden_in_them() -> None:
    settings = with_rules(FOLLOWING, "callee-side", "137")
    settings = with_rules(settings, "other-side", "137")
    caller_side, *others = settings.peers
    node = CoreNode(replace(settings, peers=(replace(caller_side, pass_headers=("X-Note",)), *others)))
    first = start(node)
    redirect(node, first, contact(SHORT_C))
    second = node.book.wire_out(f"INVITE sip:{C}@127.0.0.14:5060 SIP/2.0", CALLEE2)
    node.book.wire_in(answer(second, 183, "c-tag", f"X-Note: {SHORT_C}", who=C), CALLEE2)
    node.book.silence()
    assert node.counters["leak_stopped_provisional"] == 1
    hang_up(node, answered_by_c(node, first, second))
    node.assert_recorded(callee=C, release_cause="NORMAL")


@pytest.mark.parametrize("named", [SHORT_A, f"7001{SHORT_A}111"])
def test_a_short_number_that_rules_make_a_long_one_of_is_nobody_to_be_called(named: str) -> None:
    """A service number may be named; what a rule makes a subscriber of is one. Nor may a 700 number hold it."""
    allowing = with_trunk("callee-side", allow_transfer=True)
    settings = with_rules(allowing, "caller-side", "138", allow_transfer=True)
    node = CoreNode(settings)
    sent = start(node)
    node.book.wire_in(answer(sent, 200, sdp="v=0\no=- 1 1 IN IP4 127.0.0.13\ns=-\nc=IN IP4 10.9.2.3\nt=0 0"), CALLEE)

    talk = Talk(node, sent, node.book.wire_out("SIP/2.0 200", CALLER))
    talk.from_caller("ACK")
    node.book.wire_out("ACK ", CALLEE)
    talk.from_caller("REFER", f"Contact: <sip:127.0.0.12>\nRefer-To: <sip:{named}@10.66.77.88>")
    node.book.wire_out("SIP/2.0 403", CALLER)
    talk.hang_up()


# -- short messages of 3GPP --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [0x81, 0xA1])
def test_the_sender_of_a_delivered_one_is_read_by_rules(kind: int) -> None:
    node = CoreNode(with_rules(with_trunk("callee-side"), "caller-side", "138"))
    sent = send(node, delivered(deliver(SHORT_A, kind=kind)))
    assert node.context.reports
    passed(node, rp_ack(reference_of(sent), True), sent)
    node.assert_recorded(caller=A, callee=B, release_cause="NORMAL")


def test_its_text_is_masked_as_its_trunk_spells_the_sender() -> None:
    node = CoreNode(with_rules(with_trunk("callee-side"), "caller-side", "138"))
    sent = send(node, submitted(submit(text=f"call {SHORT_A}"), who=SHORT_A))
    assert gsm7(f"call {SHORT_A}") not in tpdu_of(sent) and gsm7("call 00****00") in tpdu_of(sent)
    ended(node)


@pytest.mark.parametrize(("says", "told"), [(MessageText.MASK, "by 00****00"), (MessageText.RELAY, f"by {SHORT_B}")])
def test_a_report_names_the_callee_only_where_texts_are_relayed(says: MessageText, told: str) -> None:
    node = CoreNode(with_policy(with_rules(with_trunk("caller-side"), "callee-side", "139"), message_text=says))
    sent = send(node)
    relayed = passed(node, with_text(reference_of(sent), f"by {SHORT_B}"), sent)
    assert relayed.body == with_text(9, told)
