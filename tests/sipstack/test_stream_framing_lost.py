"""What becomes of a connection on which nobody can tell any more where a message begins."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from sipstack.aio.stream import StreamLimits
from sipstack.events import SendMessage
from tests.sipstack.endpoint_rig import later
from tests.sipstack.stream_rig import StreamRig, connected, ended


async def test_who_has_lost_the_framing_hears_why_though_it_goes_on_sending(host: str) -> None:
    """Octets that lie unread when a connection is closed make it a reset, and the answer may be gone with it."""
    rig = StreamRig(host)
    rig.core.answer = lambda data, flow: [SendMessage(b"SIP/2.0 513 ", flow)]
    with await connected(rig, host) as peer:
        await asyncio.get_running_loop().sock_sendall(
            peer, b"OPTIONS sip:a SIP/2.0\r\nl: 70000\r\n\r\n" + b"x" * 70_000
        )
        assert await ended(peer) == b"SIP/2.0 513 "
    await rig.until_connections(0)
    assert (len(rig.core.calls), rig.transport.counters) == (1, {"framing_lost": 1})
    await rig.close()


@pytest.mark.parametrize("sends", [0, 200_000])
async def test_who_has_lost_the_framing_and_does_not_close_is_closed(host: str, sends: int) -> None:
    rig = StreamRig(host, StreamLimits(message_s=60.0, max_unsent_bytes=100_000))
    with await connected(rig, host) as peer:
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(peer, b"OPTIONS sip:a SIP/2.0\r\nl: x\r\n\r\n")
        assert await ended(peer) == b""
        with contextlib.suppress(ConnectionError):
            await loop.sock_sendall(peer, b"x" * sends)
        if not sends:
            await later(61.0, rig.transport)
        await rig.until_connections(0)
    assert rig.transport.counters == {"framing_lost": 1} | ({} if sends else {"timed_out": 1})
    await rig.close()
