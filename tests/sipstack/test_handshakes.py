"""Who may begin a TLS handshake, by itself: windows, pools, and hosts that have shown a certificate."""

from __future__ import annotations

import pytest

from sipstack.aio import handshakes
from sipstack.aio.handshakes import Handshakes


def pool_of(host: str) -> str | None:
    """Trunks are trusted, phones are one untrusted peer's, the others are nobody's."""
    return None if host.startswith("trunk") else "phones" if host.startswith("phone") else ""


def begun(shares: Handshakes, name: str, hosts: int, now: float) -> int:
    return sum(shares.may_begin(f"{name}-{number}", now) for number in range(hosts))


def test_each_pool_has_its_own_share_and_the_trusted_have_none() -> None:
    shares = Handshakes(10, 5, pool_of)
    assert begun(shares, "stranger", 50, 100.0) == 5
    assert begun(shares, "phone", 50, 100.5) == 5
    assert begun(shares, "trunk", 50, 100.5) == 50
    assert begun(shares, "stranger", 50, 100.99) == 0
    assert begun(shares, "stranger", 50, 101.0) == 5


def test_one_host_has_its_share_whoever_it_is() -> None:
    shares = Handshakes(3, 1000, pool_of)
    for host in ("trunk-1", "stranger-1"):
        assert sum(shares.may_begin(host, 100.0) for _ in range(50)) == 3


def test_one_host_that_begins_too_often_takes_nothing_from_the_others_of_its_pool() -> None:
    shares = Handshakes(3, 10, pool_of)
    assert sum(shares.may_begin("stranger-x", 100.0) for _ in range(50)) == 3
    assert begun(shares, "stranger", 50, 100.0) == 7


def test_who_has_shown_a_certificate_is_in_no_pool_until_it_shows_none() -> None:
    shares = Handshakes(100, 5, pool_of)
    shares.ended("stranger-60", True)
    assert begun(shares, "stranger", 50, 100.0) == 5
    assert shares.may_begin("stranger-60", 100.0)
    shares.ended("stranger-60", False)
    assert not shares.may_begin("stranger-60", 100.0)


def test_who_has_shown_it_longest_ago_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handshakes, "MAX_PROVEN", 2)
    shares = Handshakes(100, 1, pool_of)
    for host in ("a", "b", "a", "c"):  # b is the oldest then
        shares.ended(host, True)
    assert shares.may_begin("other", 100.0)
    assert [shares.may_begin(host, 100.0) for host in ("a", "b", "c")] == [True, False, True]
