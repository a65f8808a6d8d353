"""A trunk that asks whoever is in the way to know Privacy (RFC 3323 §4.3) was answered 420, by a node made for it."""

from __future__ import annotations

import pytest

from sipstack import headers as h
from tests.core.corenode import CALLER, CoreNode
from tests.core.parties import invite, start


@pytest.mark.parametrize("asked", ["Proxy-Require: privacy", "Proxy-Require: Privacy\nPrivacy: id;critical"])
def test_who_asks_for_privacy_on_the_way_is_given_it(asked: str) -> None:
    sent = start(CoreNode(), invite(extra=asked))
    assert sent.first[h.PROXY_REQUIRE] is None and sent.first[h.PRIVACY] is None


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        ("Require: privacy", 420),
        ("Proxy-Require: privacy, foo", 420),
        ("Proxy-Require: privacy\nPrivacy: session;critical", 500),
    ],
)
def test_what_else_it_asks_for_counts(asked: str, status: int) -> None:
    node = CoreNode()
    node.book.wire_in(invite(extra=asked), CALLER)
    node.book.wire_out(f"SIP/2.0 {status}", CALLER)
    node.book.silence()
