"""How long a challenge is good for, for whom and how often; and who guesses (RFC 7616 §5)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine.core import authentication
from engine.core.authentication import FAILURE_WINDOW_S, MAX_FAILURES, NONCE_LIFE_S, Failures, UsedNonces
from engine.core.context import Run
from sipstack.digest import Challenge
from tests.core.corenode import CALLEE, CALLER, FIRST_RUN, CoreNode
from tests.core.parties import answer, invite, message, start
from tests.core.passwords import (
    PASSWORD,
    USER,
    account,
    acknowledged,
    challenge_of,
    challenged,
    logged_in,
    with_accounts,
    with_credentials,
)

SECOND_HOST = "127.0.0.22:5060"


def forbidden(node: CoreNode, data: bytes) -> None:
    node.book.wire_in(data, CALLER)
    response = node.book.wire_out("SIP/2.0 403 ", CALLER)
    node.book.silence()
    acknowledged(node, response, data)


# -- nonces ------------------------------------------------------------------------------------------------------------


def test_a_nonce_lives_for_a_minute() -> None:
    node = CoreNode(with_accounts())
    challenge = challenge_of(challenged(node))
    node.wait(NONCE_LIFE_S - 0.1)
    start(node, with_credentials(invite(), challenge))


def test_a_nonce_that_is_older_is_stale() -> None:
    node = CoreNode(with_accounts())
    challenge = challenge_of(challenged(node))
    node.wait(NONCE_LIFE_S)
    node.book.wire_in(with_credentials(invite(), challenge), CALLER)
    response = node.book.wire_out("SIP/2.0 401 ", CALLER)
    assert challenge_of(response).stale
    assert "credentials_refused" not in node.counters
    start(node, with_credentials(invite(), challenge_of(response), step=2))


def test_a_nonce_is_good_for_one_host() -> None:
    settings = with_accounts()
    peers = tuple(replace(p, match=(*p.match, "127.0.0.22")) if p.name == "caller-side" else p for p in settings.peers)
    node = CoreNode(replace(settings, peers=peers))
    challenge = challenge_of(challenged(node))
    node.book.wire_in(with_credentials(invite(), challenge), SECOND_HOST)
    assert challenge_of(node.book.wire_out("SIP/2.0 401 ", SECOND_HOST)).stale


def test_a_nonce_is_good_for_one_peer() -> None:
    """Both trunks have the same user behind the same host; the most specific entry is the other one's."""
    settings = with_accounts(account(), account(peer="other"))
    other = replace(settings.peers[0], name="other", match=("127.0.0.12:5070",), targets=())
    node = CoreNode(replace(settings, peers=(*settings.peers, other)))
    challenge = challenge_of(challenged(node))
    node.book.wire_in(with_credentials(invite(), challenge), "127.0.0.12:5070")
    assert challenge_of(node.book.wire_out("SIP/2.0 401 ")).stale


def test_a_nonce_of_the_last_run_is_stale() -> None:
    before, node = CoreNode(with_accounts()), CoreNode(with_accounts(), run=Run("boot", 2, FIRST_RUN.key))
    challenge = challenge_of(challenged(before))
    challenged(node)
    node.book.wire_in(with_credentials(invite(), challenge), CALLER)
    assert challenge_of(node.book.wire_out("SIP/2.0 401 ", CALLER)).stale


def test_a_request_that_was_listened_to_cannot_be_sent_again() -> None:
    """Other branch, other Call-ID, the same credentials: the number of the nonce has been used."""
    node = CoreNode(with_accounts())
    first = logged_in(node)
    node.book.wire_out("SIP/2.0 100", CALLER)
    sent = node.book.wire_out("INVITE ", CALLEE)
    copy = first.replace(b"branch=z9hG4bK-a1n", b"branch=z9hG4bK-copied").replace(b"1-4711@", b"2-4711@")
    node.book.wire_in(copy, CALLER)
    assert challenge_of(node.book.wire_out("SIP/2.0 401 ", CALLER)).stale
    assert node.counters["nonces_reused"] == 1
    node.book.wire_in(answer(sent, 486), CALLEE)


@pytest.mark.parametrize(("count", "taken"), [(1, False), (2, False), (3, True), (0xFFFFFFFF, True), (0, False)])
def test_a_nonce_may_be_used_again_with_a_higher_number(count: int, taken: bool) -> None:
    node = CoreNode(with_accounts())
    challenge = challenge_of(challenged(node, message()))
    first = with_credentials(message(), challenge, count=2)
    node.book.wire_in(first, CALLER)
    node.book.wire_in(answer(node.book.wire_out("MESSAGE ", CALLEE), 200), CALLEE)
    node.book.wire_out("SIP/2.0 200", CALLER)
    node.book.wire_in(with_credentials(message(), challenge, count=count, step=2), CALLER)
    if taken:
        node.book.wire_in(answer(node.book.wire_out("MESSAGE ", CALLEE), 200), CALLEE)
        node.book.wire_out("SIP/2.0 200", CALLER)
    else:
        assert challenge_of(node.book.wire_out("SIP/2.0 401 ", CALLER)).stale


def test_used_nonces_are_forgotten_with_their_life() -> None:
    used = UsedNonces()
    for second in range(100, 100 + 3 * NONCE_LIFE_S):
        assert used.take(f"nonce {second}", second, 1, float(second))
        assert not used.take(f"nonce {second}", second, 1, float(second))
        assert len(used) <= NONCE_LIFE_S + 2 * authentication._SLOT_S


@pytest.mark.pure
def test_when_there_is_no_room_the_oldest_nonces_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(authentication, "MAX_NONCES", 3)
    used = UsedNonces()
    for second in (100, 110, 120):
        assert used.take(f"nonce {second}", second, 1, 120.0)
    assert used.take("nonce 130", 130, 1, 130.0)
    assert len(used) == 3
    assert not used.take("nonce 100", 100, 2, 130.0)  # it may have been used up to any number
    assert not used.take("never seen", 101, 1, 130.0)
    assert used.take("nonce 110", 110, 2, 130.0)
    assert not used.take("nonce 110", 110, 2, 130.0)
    assert not used.take("older than all", 107, 1, 130.0)
    assert len(used) == 3


# -- guessing ----------------------------------------------------------------------------------------------------------


def test_who_guesses_too_often_is_not_looked_at_for_a_while() -> None:
    node = CoreNode(with_accounts())
    challenge = challenge_of(challenged(node, message()))
    for number in range(MAX_FAILURES):
        node.book.wire_in(with_credentials(message(), challenge, password=str(number), step=number + 1), CALLER)
        challenge = challenge_of(node.book.wire_out("SIP/2.0 401 ", CALLER))
    for user, password in ((USER, PASSWORD), (USER, "wrong")):  # right or wrong: it is not said
        node.book.wire_in(with_credentials(message(), challenge, user, password, step=20), CALLER)
        node.book.wire_out("SIP/2.0 403 ", CALLER)
    node.book.silence()
    assert (node.counters["credentials_refused"], node.counters["credentials_locked"]) == (MAX_FAILURES, 2)
    assert node.begun == 0
    node.wait(FAILURE_WINDOW_S)
    challenge = challenge_of(challenged(node, message()))
    node.book.wire_in(with_credentials(message(), challenge, step=30), CALLER)
    node.book.wire_out("MESSAGE ", CALLEE)


def test_an_unknown_user_that_guesses_too_often_is_answered_alike() -> None:
    node = CoreNode(with_accounts())
    challenge = challenge_of(challenged(node, message()))
    for number in range(MAX_FAILURES):
        node.book.wire_in(with_credentials(message(), challenge, "nobody", step=number + 1), CALLER)
        challenge = challenge_of(node.book.wire_out("SIP/2.0 401 ", CALLER))
    forbidden(node, with_credentials(message(), challenge, "nobody", step=20))
    node.book.wire_in(with_credentials(message(), challenge, step=30), CALLER)  # another user of the host is free
    node.book.wire_out("MESSAGE ", CALLEE)


def test_who_cannot_hear_a_challenge_cannot_lock_anybody() -> None:
    """Forged sources have no nonce of that host: nothing is counted against its user."""
    node = CoreNode(with_accounts())
    for number in range(MAX_FAILURES + 1):
        node.book.wire_in(with_credentials(message(), Challenge("veil.example", "guess"), step=number + 1), CALLER)
        node.book.wire_out("SIP/2.0 401 ", CALLER)
    assert "credentials_refused" not in node.counters


@pytest.mark.pure
def test_failures_are_counted_in_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(authentication, "MAX_FAILING", 3)
    failures = Failures()
    for number in range(10):
        failures.note(("p", "h", str(number)), 1.0)
    assert len(failures) <= 3 + 1
