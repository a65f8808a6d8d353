"""The node shows its own password to a trunk that asks for it: once, and to nobody else (RFC 3261 §22.2; A7, A16)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipstack.digest import MD5, SHA_512_256, Challenge, challenge_value
from sipstack.parser import parse
from tests.core.corenode import CALLEE, CALLEE2, CALLER, B, CoreNode, with_trunk
from tests.core.logins import (
    ASKED,
    FIRST,
    PASSWORD,
    REALM,
    USER,
    asks,
    is_shown,
    logged_in,
    talking,
    two_targets,
    with_login,
)
from tests.core.parties import B_SDP, Talk, answer, invite, of_invite, refused, ring, start, trying

# -- a call ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [401, 407])
def test_a_call_is_one_try_whatever_it_was_asked(status: int) -> None:
    node = CoreNode(with_login())
    talk = talking(node, logged_in(node, status))
    talk.hang_up()
    node.assert_recorded(attempts=(("callee-side", FIRST, 200, 0, 200),), release_cause="NORMAL", callee=B)
    assert len([step for step, _ in node.steps]) == 3
    assert PASSWORD.encode() not in b"".join(sent.data for sent in node.book.log)
    assert USER.encode() + b'"' not in b"".join(node.sent_to(CALLER))


def test_who_asks_is_there() -> None:
    node = CoreNode(with_login())
    start(node)
    node.transport_fails(CALLEE)
    refused(node, 480, 31)
    data = invite(branch="z9hG4bK-a2").replace(b"Call-ID: 1-", b"Call-ID: 2-")
    node.book.wire_in(data, CALLER)
    node.book.wire_out("SIP/2.0 100", CALLER)
    node.book.wire_in(asks(node.book.wire_out("INVITE ", CALLEE)), CALLEE)
    assert [state for _, state in node.targets] == ["unreachable", "up"]
    node.book.wire_out("ACK ", CALLEE)
    node.book.wire_in(answer(node.book.wire_out("INVITE ", CALLEE), 486), CALLEE)
    node.book.wire_out("ACK ", CALLEE)
    node.book.wire_out("SIP/2.0 486", CALLER)


def test_what_still_comes_of_the_first_request_is_absorbed() -> None:
    node = CoreNode(with_login())
    sent = start(node)
    node.book.wire_in(asks(sent), CALLEE)
    ack = node.book.wire_out("ACK ", CALLEE)
    again = node.book.wire_out("INVITE ", CALLEE)
    node.book.wire_in(asks(sent), CALLEE)  # a copy
    assert node.book.wire_out("ACK ", CALLEE).to_bytes() == ack.to_bytes()
    node.book.wire_in(answer(sent, 200), CALLEE)
    node.book.silence()
    node.book.at(0.5)
    assert node.book.wire_out("INVITE ", CALLEE).to_bytes() == again.to_bytes()  # Timer A, begun anew
    node.book.wire_in(answer(again, 486), CALLEE)
    assert node.book.wire_out("ACK ", CALLEE).named("Authorization") == again.named("Authorization")
    refused(node, 486, 17)
    node.assert_recorded(attempts=(("callee-side", FIRST, 486, 500, None),))


def test_a_caller_that_cancels_takes_back_the_second_request() -> None:
    node = CoreNode(with_login())
    again = logged_in(node)
    trying(node, again)
    node.book.wire_in(of_invite("CANCEL"), CALLER)
    node.book.wire_out("SIP/2.0 200", CALLER)
    cancel = node.book.wire_out("CANCEL ", CALLEE)
    assert again.top_via is not None and cancel.top_via is not None
    assert (cancel.top_via.branch, cancel.cseq) == (again.top_via.branch, again.cseq)
    assert not cancel.named("Authorization")
    node.book.wire_out("SIP/2.0 487", CALLER)
    node.book.wire_in(answer(cancel, 200), CALLEE)
    node.book.wire_in(answer(again, 487), CALLEE)
    node.book.wire_out("ACK ", CALLEE)


def test_who_has_cancelled_shows_no_password_any_more() -> None:
    node = CoreNode(with_login())
    sent = start(node)
    node.book.wire_in(of_invite("CANCEL"), CALLER)
    node.book.wire_out("SIP/2.0 200", CALLER)
    node.book.wire_out("SIP/2.0 487", CALLER)
    node.book.wire_in(asks(sent), CALLEE)
    node.book.wire_out("ACK ", CALLEE)
    node.book.silence()


def test_the_second_request_has_the_whole_time_for_a_first_answer() -> None:
    node = CoreNode(with_login())
    sent = start(node)
    node.book.at(3.0)
    node.book.sent.clear()
    node.book.wire_in(asks(sent), CALLEE)
    node.book.wire_out("ACK ", CALLEE)
    again = node.book.wire_out("INVITE ", CALLEE)
    node.book.at(6.9)
    trying(node, again)
    node.book.sent.clear()
    node.book.at(10.0)
    node.book.silence()
    node.book.wire_in(answer(again, 486), CALLEE)
    node.book.wire_out("ACK ", CALLEE)
    refused(node, 486, 17)


def test_a_trunk_that_says_nothing_more_is_followed_by_the_next_target() -> None:
    node = CoreNode(two_targets())
    logged_in(node)
    node.book.at(3.9)
    node.book.sent.clear()
    node.book.at(4.1)
    node.book.wire_out("INVITE ", CALLEE2)


def test_another_answer_in_the_same_call_is_ended_with_the_right_numbers() -> None:
    """A fork of the second INVITE: its ACK and BYE are in that one's numbers, and the ACK shows the password."""
    node = CoreNode(with_login())
    again = logged_in(node)
    talk = talking(node, again)
    node.book.wire_in(answer(again, 200, "other"), CALLEE)
    ack = node.book.wire_out("ACK ", CALLEE)
    bye = node.book.wire_out("BYE ", CALLEE)
    assert (ack.cseq, bye.cseq, ack.to_tag) == (again.cseq, again.cseq + 1, "other")
    assert ack.named("Authorization") == again.named("Authorization")
    node.book.wire_in(asks(bye), CALLEE)
    is_shown(bye, node.book.wire_out("BYE ", CALLEE))
    talk.hang_up()


# -- A7 ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stale", [False, True])
@pytest.mark.parametrize("status", [401, 407])
def test_a7_a_trunk_that_asks_for_ever_is_answered_once(status: int, stale: bool) -> None:
    """CVE-2020-28242: another nonce each time, and nothing is ever good enough."""
    node = CoreNode(with_login())
    again = logged_in(node)
    node.book.wire_in(asks(again, replace(ASKED, nonce="another", stale=stale), status=status), CALLEE)
    node.book.wire_out("ACK ", CALLEE)
    refused(node, 480, 31)
    node.assert_recorded(release_cause="ALL_TARGETS_FAILED", attempts=(("callee-side", FIRST, status, 0, None),))
    assert (node.counters["logins_sent"], node.counters["logins_refused"]) == (1, 1)


def test_a7_each_target_is_answered_once() -> None:
    node = CoreNode(two_targets())
    node.book.wire_in(asks(logged_in(node), replace(ASKED, nonce="another")), CALLEE)
    node.book.wire_out("ACK ", CALLEE)
    second = node.book.wire_out("INVITE ", CALLEE2)
    assert not second.named("Authorization")
    node.book.wire_in(asks(second), CALLEE2)
    node.book.wire_out("ACK ", CALLEE2)
    again = node.book.wire_out("INVITE ", CALLEE2)
    is_shown(second, again)
    node.book.wire_in(asks(again), CALLEE2)
    node.book.wire_out("ACK ", CALLEE2)
    refused(node, 480, 31)


# -- A16 ---------------------------------------------------------------------------------------------------------------


def unanswered(node: CoreNode, *challenges: Challenge, status: int = 407, source: str = CALLEE) -> None:
    sent = start(node)
    node.book.wire_in(asks(sent, *challenges, status=status), source)
    node.book.wire_out("ACK ", CALLEE)
    refused(node, 480, 31)
    assert "logins_sent" not in node.counters
    assert b"uthorization" not in b"".join(one.data for one in node.book.log)


def test_a16_another_realm_is_not_answered() -> None:
    """CVE-2021-41158: a callee behind the trunk asks for the password itself."""
    node = CoreNode(with_login())
    unanswered(node, replace(ASKED, realm="rogue.example"))
    assert node.counters["challenges_foreign"] == 1


def test_a16_without_a_realm_the_peer_is_believed() -> None:
    node = CoreNode(with_trunk("callee-side", username=USER, password=PASSWORD))
    sent = start(node)
    node.book.wire_in(asks(sent, replace(ASKED, realm="any.example")), CALLEE)
    node.book.wire_out("ACK ", CALLEE)
    assert 'realm="any.example"' in node.book.wire_out("INVITE ", CALLEE).named("Authorization")[0]


def test_a16_an_answer_from_elsewhere_is_not_believed() -> None:
    """Another host that knows the branch; the request went to the trunk."""
    unanswered(CoreNode(with_login()), source=CALLEE2)


def test_a16_a_peer_without_a_password_is_sent_none() -> None:
    unanswered(CoreNode(with_login("caller-side")))


def test_a16_a_phone_behind_the_trunk_gets_no_password() -> None:
    """The dialog's target is the phone's own address: its challenge of the BYE is not the trunk's."""
    node = CoreNode(with_login())
    again = logged_in(node)
    node.book.wire_in(answer(again, 200, sdp=B_SDP, contact=f"<sip:{B}@127.0.0.14:5060>"), CALLEE)
    talk = Talk(node, again, node.book.wire_out("SIP/2.0 200", CALLER))
    talk.from_caller("ACK")
    node.book.wire_out("ACK ", CALLEE2)
    talk.from_caller("BYE")
    bye = node.book.wire_out("BYE ", CALLEE2)
    node.book.wire_in(asks(bye), CALLEE2)
    node.book.wire_out("SIP/2.0 200", CALLER)
    node.book.silence()
    assert node.counters["challenges_foreign"] == 1
    node.assert_recorded(attempts=(("callee-side", FIRST, 200, 0, 401),))


# -- which challenge ---------------------------------------------------------------------------------------------------


def test_the_strongest_is_answered() -> None:
    node = CoreNode(with_login())
    sent = start(node)
    node.book.wire_in(asks(sent, replace(ASKED, algorithm=MD5), replace(ASKED, algorithm=SHA_512_256), ASKED), CALLEE)
    node.book.wire_out("ACK ", CALLEE)
    again = node.book.wire_out("INVITE ", CALLEE)
    is_shown(sent, again)
    assert f"algorithm={SHA_512_256}" in again.named("Authorization")[0]


@pytest.mark.parametrize(
    ("asked", "algorithm"), [(("MD5",), None), (("MD5", "SHA-256"), "SHA-256"), (("MD5", "SHA-3"), None)]
)
def test_md5_is_not_answered_where_the_peer_leaves_it_out(asked: tuple[str, ...], algorithm: str | None) -> None:
    """Whoever takes the stronger challenge away on the way gains nothing."""
    node = CoreNode(with_login(digest_algorithms=("SHA-256",)))
    sent = start(node)
    node.book.wire_in(asks(sent, *(replace(ASKED, algorithm=one) for one in asked)), CALLEE)
    node.book.wire_out("ACK ", CALLEE)
    if algorithm is None:
        refused(node, 480, 31)
        assert (node.counters["challenges_foreign"], node.counters.get("logins_sent")) == (1, None)
    else:
        assert f"algorithm={algorithm}" in node.book.wire_out("INVITE ", CALLEE).named("Authorization")[0]


def test_a_challenge_that_cannot_be_read_hides_no_other() -> None:
    node = CoreNode(with_login())
    sent = start(node)
    rows = f"WWW-Authenticate: Digest realm\nWWW-Authenticate: {challenge_value(ASKED)}"
    node.book.wire_in(answer(sent, 401, extra=rows), CALLEE)
    node.book.wire_out("ACK ", CALLEE)
    is_shown(sent, node.book.wire_out("INVITE ", CALLEE))


def test_auth_int_is_answered_where_nothing_else_is_offered() -> None:
    node = CoreNode(with_login())
    sent = start(node)
    node.book.wire_in(asks(sent, replace(ASKED, qop=("auth-int",))), CALLEE)
    node.book.wire_out("ACK ", CALLEE)
    again = node.book.wire_out("INVITE ", CALLEE)
    is_shown(sent, again)
    assert "qop=auth-int" in again.named("Authorization")[0]


@pytest.mark.parametrize(
    "rows",
    ["", "WWW-Authenticate: Basic realm=x", "WWW-Authenticate: Digest realm", "WWW-Authenticate: Digest \x01",
     f"WWW-Authenticate: {challenge_value(replace(ASKED, algorithm='SHA-3'))}",
     f"Proxy-Authenticate: {challenge_value(ASKED)}"],
)  # fmt: skip
def test_what_cannot_be_answered_is_a_failure(rows: str) -> None:
    node = CoreNode(with_login())
    sent = start(node)
    node.book.wire_in(answer(sent, 401, extra=rows), CALLEE)
    if "\x01" not in rows:
        node.book.wire_out("ACK ", CALLEE)
        refused(node, 480, 31)


def test_who_has_rung_is_asked_for_nothing_more() -> None:
    """Its early dialog is told to the caller, and a second INVITE would be another one."""
    node = CoreNode(with_login())
    sent = start(node)
    ring(node, sent)
    node.book.wire_in(asks(sent, tag="b-tag"), CALLEE)
    node.book.wire_out("ACK ", CALLEE)
    refused(node, 480, 31)


@given(st.text(st.characters(codec="utf-8", exclude_characters="\r\n\0"), max_size=80))
def test_whatever_a_trunk_asks_does_nothing_but_fail(text: str) -> None:
    """The call goes on to its end, and no row of ours is torn by what was asked."""
    node = CoreNode(with_login())
    sent = start(node)
    node.book.wire_in(
        answer(sent, 401, extra=f'WWW-Authenticate: Digest realm="{REALM}",nonce="n",opaque="{text}"'), CALLEE
    )
    for one in node.book.log:
        if one.data.startswith(b"INVITE"):
            assert len(parse(one.data).named("Authorization")) == (one.data != node.book.log[1].data)
