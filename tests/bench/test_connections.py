"""What an idle connection costs in memory stays what docs/transports.md says."""

from __future__ import annotations

import pytest

from bench.connections import measure

TCP_BYTES = 4 * 1024
TLS_BYTES = 32 * 1024


@pytest.mark.parametrize(
    ("tcp", "tls"), [(400, 100), pytest.param(10_000, 2_000, marks=pytest.mark.long)], ids=["few", "many"]
)
def test_idle_connections_are_small(tcp: int, tls: int) -> None:
    over_tcp, over_tls = measure(tcp, tls)
    assert (over_tcp.connections, over_tls.connections) == (tcp, tls)
    assert 500 < over_tcp.bytes_each < TCP_BYTES
    assert over_tcp.bytes_each < over_tls.bytes_each < TLS_BYTES
