"""Elements under test that are no veil700, and the pair of parties around them."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random

from engine.leaktest.pair import Pair, Trunk
from engine.leaktest.rig import Rig, Table
from scenarios.rig.place import PORT, Place

X = "700123456780001"
A = "15438001111"
B = "15439002222"


def pair_at(place: Place, *, pass_headers: tuple[str, ...] = ()) -> Pair:
    caller = Trunk("left", (place.caller, PORT), A)
    callee = Trunk("right", (place.callee, PORT), B, pass_headers=pass_headers)
    return Pair((place.node, PORT), caller, callee, X)


async def table_of(pair: Pair, places: str) -> Table:
    rig = Rig([pair], places, Random(7))
    return await rig.run(lambda done, total: None)


class Forwarder(asyncio.DatagramProtocol):
    """A proxy that changes nothing: requests go to the other party, responses back along the Via rows."""

    def __init__(self, place: Place, drops: bytes) -> None:
        self._place = place
        self._drops = drops

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.DatagramTransport = transport  # type: ignore[assignment]

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if self._drops and data.startswith(self._drops):
            return
        here = self._place.node.encode()
        if data.startswith(b"SIP/2.0 "):
            data = re.sub(rb"Via: SIP/2.0/UDP " + re.escape(here) + rb"[^\r]*\r\n", b"", data, count=1)
            other = self._place.callee if addr[0] == self._place.caller else self._place.caller
            self._transport.sendto(data, (other, PORT))
            return
        if data.startswith(b"OPTIONS "):
            self._transport.sendto(re.sub(rb"^.*?\r\n", b"SIP/2.0 200 OK\r\n", data, count=1), addr)
            return
        branch = re.search(rb"branch=([^\r;]+)", data)
        assert branch is not None
        via = b"Via: SIP/2.0/UDP " + here + b":5060;branch=" + branch[1] + b"-f\r\n"
        other = self._place.callee if addr[0] == self._place.caller else self._place.caller
        self._transport.sendto(data.replace(b"\r\nVia:", b"\r\n" + via + b"Via:", 1), (other, PORT))


@asynccontextmanager
async def forwarder(place: Place, *, drops: bytes = b"") -> AsyncIterator[None]:
    """Runs inside. `drops` is how messages begin that it loses."""
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(lambda: Forwarder(place, drops), local_addr=(place.node, PORT))
    try:
        yield
    finally:
        transport.close()
        await asyncio.sleep(0)
