"""Callers that must show a password: what they are asked, what is taken, and what is refused (RFC 3261 §22)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core import authentication
from sipstack import headers as h
from sipstack.digest import MD5, SHA_256, Challenge
from sipstack.message import render
from sipstack.parser import parse
from tests.core.corenode import CALLEE, CALLER, STRANGER, A, B, CoreNode, X
from tests.core.parties import answer, invite, message, of_invite, start, target_of
from tests.core.passwords import (
    USER,
    account,
    acknowledged,
    challenge_of,
    challenged,
    challenges_in,
    logged_in,
    with_accounts,
    with_credentials,
)

OTHER = "13700137000"
NOBODY = invite(caller="alice").replace(b"sip:+86alice@", b"sip:alice@")
SECOND_HOST = "127.0.0.22:5060"
REQUESTS = pytest.mark.parametrize("data", [invite(), message()], ids=["INVITE", "MESSAGE"])


# -- the challenge -----------------------------------------------------------------------------------------------------


@REQUESTS
def test_a_request_without_a_password_is_challenged_and_is_no_attempt(data: bytes) -> None:
    node = CoreNode(with_accounts())
    response = challenged(node, data)
    ones = challenges_in(response)
    assert [(one.realm, one.algorithm, one.qop, one.stale) for one in ones] == [
        ("veil.example", SHA_256, ("auth",), False),
        ("veil.example", MD5, ("auth",), False),
    ]
    assert len({one.nonce for one in ones}) == 1
    allowed = {h.VIA, h.FROM, h.TO, h.CALL_ID, h.CSEQ, h.CONTENT_LENGTH, h.OTHER}
    assert set(response.ids) <= allowed and response.to_tag
    acknowledged(node, response, data)
    assert (node.begun, node.steps) == (0, [])
    assert node.counters["challenges_sent"] == 1
    assert "stray_acks" not in node.counters


def test_a_challenge_leaves_nothing_behind_and_is_not_repeated() -> None:
    """RFC 3261 §8.2.7: a lost 401 is made up for by the repeat of the request, with the same To tag."""
    node = CoreNode(with_accounts())
    first = challenged(node)
    assert len(node.context.transactions) == 0
    node.wait(40)
    node.book.silence()
    again = challenged(node)
    assert again.to_tag == first.to_tag
    assert challenge_of(again).nonce != challenge_of(first).nonce
    assert parse(node.sent_to(CALLER)[0]).to_tag != parse(challenge_reply(node, invite(tag="other"))).to_tag


def challenge_reply(node: CoreNode, data: bytes) -> bytes:
    challenged(node, data)
    return node.sent_to(CALLER)[-1]


@pytest.mark.parametrize("data", [invite(sdp=""), message()], ids=["INVITE", "MESSAGE"])
def test_a_challenge_is_larger_than_its_question_by_its_challenges_only(data: bytes) -> None:
    """No more than the two rows and the To tag come on top of what was sent: docs/trust.md says how much."""
    node = CoreNode(with_accounts())
    response = challenged(node, data)
    rows = sum(len(f"WWW-Authenticate: {row}\r\n") for row in response.named("WWW-Authenticate"))
    assert rows <= 320
    assert len(node.sent_to(CALLER)[-1]) <= len(data) + rows
    smallest = b"\r\n".join(
        row
        for row in data.partition(b"\r\n\r\n")[0].split(b"\r\n")
        if row.startswith((b"INVITE", b"MESSAGE", b"Via", b"From", b"To", b"Call-ID", b"CSeq", b"Contact"))
    )
    challenged(node, smallest + b"\r\n\r\n")
    assert len(node.sent_to(CALLER)[-1]) <= len(smallest) + 430


def test_an_unknown_source_hears_nothing_and_is_not_challenged() -> None:
    node = CoreNode(with_accounts())
    node.book.wire_in(invite(), STRANGER)
    node.book.silence()
    assert node.counters["unknown_source"] == 1
    assert "challenges_sent" not in node.counters


@pytest.mark.parametrize("method", ["ACK", "CANCEL"])
def test_neither_ack_nor_cancel_is_challenged(method: str) -> None:
    node = CoreNode(with_accounts())
    node.book.wire_in(of_invite(method), CALLER)
    if method == "CANCEL":
        node.book.wire_out("SIP/2.0 481 ", CALLER)
    node.book.silence()
    assert "challenges_sent" not in node.counters


def test_what_decides_nothing_is_answered_without_a_password() -> None:
    node = CoreNode(with_accounts())
    for method, status in (("OPTIONS", 200), ("REGISTER", 405), ("BYE", 481)):
        node.book.wire_in(of_invite(method, branch=f"z9hG4bK-{method}"), CALLER)
        node.book.wire_out(f"SIP/2.0 {status} ", CALLER)
    node.book.silence()


def test_a_peer_that_need_not_is_not_challenged() -> None:
    node = CoreNode()
    start(node, with_credentials(invite(), Challenge("veil.example", "n", MD5)))
    assert "challenges_sent" not in node.counters


# -- a call ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", [SHA_256, MD5])
def test_a_call_after_a_challenge(algorithm: str) -> None:
    node = CoreNode(with_accounts())
    again = with_credentials(invite(), challenge_of(challenged(node), algorithm))
    sent = start(node, again)
    assert b"uthoriz" not in b"".join(node.sent_to(CALLEE)) and USER.encode() not in b"".join(node.sent_to(CALLEE))
    node.book.wire_in(answer(sent, 486), CALLEE)
    node.book.wire_out("ACK ", CALLEE)
    response = node.book.wire_out("SIP/2.0 486 ", CALLER)
    acknowledged(node, response, again)
    node.assert_recorded(caller=A, callee=B, tel_x=X, caller_cseq=2, release_cause="BUSY", ingress_peer="caller-side")


def test_within_a_dialog_nobody_is_asked_again() -> None:
    """The identifiers of the dialog and its host are known to its party alone; the callee's side has no password."""
    node = CoreNode(with_accounts())
    logged_in(node)
    node.book.wire_out("SIP/2.0 100", CALLER)
    sent = node.book.wire_out("INVITE ", CALLEE)
    node.book.wire_in(answer(sent, 200), CALLEE)
    ok = node.book.wire_out("SIP/2.0 200", CALLER)
    for method, cseq in (("ACK", 2), ("INFO", 3), ("BYE", 4)):
        rows = [
            f"Via: SIP/2.0/UDP 127.0.0.12:5060;branch=z9hG4bK-{method};rport",
            f"From: {ok.value(h.FROM)}",
            f"To: {ok.value(h.TO)}",
            f"Call-ID: {ok.call_id}",
            f"CSeq: {cseq} {method}",
        ]
        node.book.wire_in(render(f"{method} {target_of(ok)} SIP/2.0", rows), CALLER)
        there = node.book.wire_out(f"{method} ", CALLEE)
        if method != "ACK":
            node.book.wire_in(answer(there, 200), CALLEE)
            node.book.wire_out("SIP/2.0 200", CALLER)
    node.assert_recorded(release_cause="NORMAL", caller=A)


def test_a_message_after_a_challenge() -> None:
    node = CoreNode(with_accounts())
    logged_in(node, message())
    sent = node.book.wire_out("MESSAGE ", CALLEE)
    node.book.wire_in(answer(sent, 200), CALLEE)
    node.book.wire_out("SIP/2.0 200", CALLER)
    node.assert_recorded(caller=A, release_cause="NORMAL")


def test_a_short_message_of_3gpp_is_not_taken_for_another_sender() -> None:
    """TP-OA of an RP-DATA would name whomever its sender likes: such a body is refused, unread."""
    node = CoreNode(with_accounts(trusted=True))
    logged_in(node, message("x", "application/vnd.3gpp.sms"))
    node.book.wire_out("SIP/2.0 ", CALLER)
    node.assert_recorded(caller=A, release_cause="LEAK_STOPPED", decided_by="body")


# -- what is not taken -------------------------------------------------------------------------------------------------


@REQUESTS
@pytest.mark.parametrize(
    ("how", "counter"),
    [
        ({"password": "wrong"}, "credentials_refused"),
        ({"user": "nobody"}, "credentials_refused"),
        ({"response": "0" * 64}, "credentials_refused"),
        ({"qop": "auth-int"}, "credentials_refused"),
        ({"qop": "", "cnonce": "", "count": 0}, "credentials_refused"),
        ({"algorithm": "SHA-512-256"}, "credentials_refused"),
        ({"algorithm": "SHA-3"}, "credentials_refused"),
        ({"uri": f"sip:{OTHER}@veil.example"}, "credentials_refused"),
        ({"uri": "sip:operator@veil.example"}, "credentials_refused"),
        ({"uri": "nonsense"}, "credentials_refused"),
        ({"nonce": "a" * 45}, "nonces_stale"),
        ({"nonce": "é" * 45}, "nonces_stale"),
        ({"nonce": "1"}, "nonces_stale"),
        ({"realm": "other.example"}, None),
    ],
)
def test_wrong_credentials_are_challenged_again_and_no_attempt(
    data: bytes, how: dict[str, object], counter: str | None
) -> None:
    node = CoreNode(with_accounts())
    logged_in(node, data, **how)
    response = node.book.wire_out("SIP/2.0 401 ", CALLER)
    node.book.silence()
    assert [one.stale for one in challenges_in(response)] == [counter == "nonces_stale"] * 2
    assert (node.begun, node.steps, node.counters["challenges_sent"]) == (0, [], 2)
    seen = [name for name in node.counters if name.startswith(("credentials_", "nonces_"))]
    assert seen == ([counter] if counter else [])


@pytest.mark.parametrize("qop", [(), ("auth-int",)])
def test_credentials_of_another_quality_are_wrong_though_the_password_is_right(qop: tuple[str, ...]) -> None:
    node = CoreNode(with_accounts())
    challenge = replace(challenge_of(challenged(node)), qop=qop)
    node.book.wire_in(with_credentials(invite(), challenge), CALLER)
    node.book.wire_out("SIP/2.0 401 ", CALLER)
    assert node.counters["credentials_refused"] == 1


@pytest.mark.parametrize(
    ("called", "uri", "taken"),
    [
        (X, "sip:veil.example", True),
        (X, "sip:127.0.0.11:5060", True),
        (X, "sip:other.example", False),
        (X, "sips:other.example:5061;transport=tcp", False),
        (X, f"sip:{X}@127.0.0.11:5060", True),
        (X, f"tel:{X};phone-context=+86", True),
        (X, "sip:operator@veil.example", False),
        ("operator", "sip:nobody@veil.example", False),
        ("operator", "sip:operator@veil.example;user=phone", True),
    ],
)
def test_credentials_are_for_the_number_that_is_called(called: str, uri: str, taken: bool) -> None:
    node = CoreNode(with_accounts())
    logged_in(node, invite(called), uri=uri)
    node.book.wire_out("SIP/2.0 100 " if taken else "SIP/2.0 401 ", CALLER)


def test_an_unknown_user_is_answered_as_a_wrong_password_is() -> None:
    answers = []
    for how in ({"password": "wrong"}, {"user": "nobody"}):
        node = CoreNode(with_accounts())
        logged_in(node, **how)  # type: ignore[arg-type]
        response = node.book.wire_out("SIP/2.0 401 ", CALLER)
        answers.append([row.replace(challenge_of(response).nonce, "") for row in response.lines])
    assert answers[0] == answers[1]


@pytest.mark.pure
def test_an_unknown_user_is_worked_on_as_long_as_a_known_one(monkeypatch: pytest.MonkeyPatch) -> None:
    worked: list[bool] = []
    matches = authentication.matches
    monkeypatch.setattr(authentication, "matches", lambda *of: worked.append(True) or matches(*of))
    node = CoreNode(with_accounts())
    logged_in(node, user="nobody")
    node.book.wire_out("SIP/2.0 401 ", CALLER)
    assert worked == [True]


@pytest.mark.parametrize("row", ['Digest username="a"', "Digest \xff", "Digest ,"])
def test_credentials_that_cannot_be_read_are_answered_400(row: str) -> None:
    node = CoreNode(with_accounts())
    node.book.wire_in(invite(extra=f"Authorization: {row}"), CALLER)
    response = node.book.wire_out("SIP/2.0 400 ", CALLER)
    node.book.wire_in(of_invite("ACK", response.to_tag), CALLER)
    assert node.begun == 0


def test_credentials_for_other_realms_are_passed_over() -> None:
    """A request may carry those of several servers on its way (RFC 3261 §22.3)."""
    node = CoreNode(with_accounts())
    challenge = challenge_of(challenged(node))
    right = with_credentials(invite(), challenge)
    other = with_credentials(invite(), replace(challenge, realm="other.example"), user="o")
    row = next(row for row in parse(other).lines if row.startswith("Authorization"))
    start_row, _, rest = right.partition(b"\r\n")
    node.book.wire_in(b"\r\n".join([start_row, row.encode(), b"Authorization: Basic eDp5", rest]), CALLER)
    node.book.wire_out("SIP/2.0 100", CALLER)
    node.book.wire_out("INVITE ", CALLEE)


def test_a_password_counts_on_its_own_peer_only() -> None:
    """A trunk's user on another trunk is nobody there."""
    node = CoreNode(with_accounts(account(user="bob"), account(peer="callee-side")))
    logged_in(node)
    node.book.wire_out("SIP/2.0 401 ", CALLER)
    assert node.counters["credentials_refused"] == 1


def test_a_peer_without_accounts_lets_nobody_in() -> None:
    """`veil700 check` refuses it; should it come to be, nobody can call."""
    node = CoreNode(replace(with_accounts(), accounts=()))
    assert challenges_in(challenged(node)) == []


def test_an_account_without_a_hash_of_an_algorithm_is_not_asked_for_it() -> None:
    node = CoreNode(
        with_accounts(account(), account(user="bob", password="p"), replace(account(user="c"), ha1_sha256=""))
    )
    assert [one.algorithm for one in challenges_in(challenged(node))] == [MD5]


@pytest.mark.parametrize("asked", [(MD5,), (SHA_256,), (MD5, SHA_256)])
def test_a_peer_may_be_asked_for_less_or_in_another_order(asked: tuple[str, ...]) -> None:
    settings = with_accounts()
    peers = tuple(replace(peer, digest_algorithms=asked) for peer in settings.peers)
    node = CoreNode(replace(settings, peers=peers))
    ones = challenges_in(challenged(node))
    assert tuple(one.algorithm for one in ones) == asked
    other = replace(ones[0], algorithm=MD5 if asked == (SHA_256,) else SHA_256)
    node.book.wire_in(with_credentials(invite(), other), CALLER)
    node.book.wire_out("SIP/2.0 401 " if len(asked) == 1 else "SIP/2.0 100 ", CALLER)


def test_new_settings_count_from_the_next_request() -> None:
    node = CoreNode(with_accounts())
    challenge = challenge_of(challenged(node))
    node.context.settings = with_accounts(account(password="another one"))
    node.book.wire_in(with_credentials(invite(), challenge), CALLER)
    response = node.book.wire_out("SIP/2.0 401 ", CALLER)
    start(node, with_credentials(invite(), challenge_of(response), password="another one", step=2))


NOISE = st.text(st.characters(codec="utf-8", exclude_characters="\r\n\0"), max_size=80)
WORDS = (
    'username="alice"', 'realm="veil.example"', f'nonce="{"a" * 45}"', "nc=00000001", 'cnonce="c"', "qop=auth", "nc=x",
    'uri="sip:x"', f'response="{"0" * 64}"', "algorithm=SHA-256", 'nonce="', "qop=", '"', "=",
)  # fmt: skip
PIECES = st.lists(st.sampled_from(WORDS), max_size=10).map(",".join)


@given(NOISE | PIECES)
def test_whatever_stands_in_authorization_is_answered_and_lets_nobody_in(text: str) -> None:
    node = CoreNode(with_accounts())
    node.book.wire_in(message(rows=f"Authorization: Digest {text}"), CALLER)
    (sent,) = node.book.sent
    assert parse(sent.data).status in (400, 401)
    assert (node.begun, sent.data in node.sent_to(CALLER)) == (0, True)
