"""The Route of an S-CSCF may name any port of its hosts: what is known of addresses that fail had no bound."""

from __future__ import annotations

from engine.core.health import MOST_ADDRESSES, Health


def test_addresses_that_fail_are_forgotten_as_well() -> None:
    health = Health()
    for port in range(1, 3 * MOST_ADDRESSES):
        health.of("UDP", "127.0.0.15", port).unreachable(0.0, 1.0)
        assert len(health._known) <= MOST_ADDRESSES
    last = 3 * MOST_ADDRESSES - 1
    assert not health.is_usable("UDP", "127.0.0.15", last, 1.0)  # the latest is known
    assert health.is_usable("UDP", "127.0.0.15", 1, 1.0)
