"""Connections whose requests never come whole, and more of them than there may be, on a server of the test's own."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
import uvicorn

from engine.api import connections
from engine.api.connections import AlibabaConnection, Connection
from engine.api.gate import Receive, Scope, Send, TooLong, read_body
from scenarios.rig.place import Place

LIMIT = 3
WHOLE = b"POST /%s HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody"


class Served:
    """It answers with the body; under /slow when it is told to."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.cut_off = asyncio.Event()
        self.go_on = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            body = await read_body(dict(scope["headers"]), receive, 1000)
        except TooLong:
            self.cut_off.set()
            return
        self.bodies.append(body)
        if scope["path"] == "/slow":
            await self.go_on.wait()
        fields = [(b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": fields})
        await send({"type": "http.response.body", "body": body})


@pytest.fixture
def protocol() -> type[Connection]:
    return Connection


@pytest.fixture
async def served(place: Place, monkeypatch: pytest.MonkeyPatch, protocol: type[Connection]) -> AsyncIterator[Served]:
    monkeypatch.setattr(connections, "REQUEST_S", 0.3)
    served = Served()
    options = uvicorn.Config(
        served, host=place.node, port=8700, http=protocol, ws="none", lifespan="off", log_config=None,
        limit_concurrency=LIMIT,
    )  # fmt: skip
    server = uvicorn.Server(options)
    server.config.load()
    server.lifespan = options.lifespan_class(options)
    await server.startup()
    yield served
    served.go_on.set()
    await server.shutdown()


async def connect(place: Place, sent: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """What is sent is there before the server looks: however busy the machine is, its time is not over by then."""
    opened = socket.create_connection((place.node, 8700))
    opened.sendall(sent)
    return await asyncio.open_connection(sock=opened)


@pytest.mark.parametrize(
    "sent",
    [b"", b"\r\n", b"POST / HT", b"POST / HTTP/1.1\r\nHost: x\r\n", WHOLE[:-2] % b"", WHOLE % b"" + b"GET"],
    ids=["nothing", "an empty line", "half a line", "half a header", "half a body", "half of the second"],
)
async def test_what_does_not_come_whole_is_not_waited_for(served: Served, place: Place, sent: bytes) -> None:
    reader, writer = await connect(place, sent)
    async with asyncio.timeout(60):
        found = await reader.read()
    writer.close()
    is_second = sent.endswith(b"GET")
    assert (found.count(b"200 OK"), served.bodies) == ((1, [b"body"]) if is_second else (0, []))
    if b"bo" in sent and not is_second:
        async with asyncio.timeout(60):
            await served.cut_off.wait()


async def test_an_octet_now_and_then_is_no_more_time(served: Served, place: Place) -> None:
    reader, writer = await connect(place, b"POST / HTTP/1.1\r\nX: ")

    async def drip() -> None:
        while True:
            writer.write(b"x")
            await asyncio.sleep(0.05)

    dripping = asyncio.create_task(drip())
    async with asyncio.timeout(60):
        with suppress(ConnectionError):
            assert await reader.read() == b""
    dripping.cancel()
    writer.close()


@pytest.mark.parametrize("octets", [4, -2], ids=["half a line", "half a body"])
async def test_a_slow_answer_is_waited_for_and_so_is_what_stands_behind(
    served: Served, place: Place, octets: int
) -> None:
    behind = WHOLE % b""
    reader, writer = await connect(place, WHOLE % b"slow" + behind[:octets])
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1):
            await reader.read(1)
    assert served.bodies == [b"body"]
    served.go_on.set()
    writer.write(behind[octets:])
    async with asyncio.timeout(60):
        for _ in range(2):
            await reader.readuntil(b"body")
    assert served.bodies == [b"body", b"body"]
    writer.close()


async def test_a_connection_rests_for_longer(served: Served, place: Place) -> None:
    reader, writer = await connect(place, WHOLE % b"")
    await reader.readuntil(b"body")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1):
            await reader.read(1)
    writer.write(WHOLE % b"")
    async with asyncio.timeout(60):
        await reader.readuntil(b"body")
    writer.close()


async def one_too_many(served: Served, place: Place) -> tuple[bytes, dict[str, object]]:
    """Header and body of what it is told."""
    others = [await connect(place, WHOLE % b"slow") for _ in range(LIMIT - 1)]
    async with asyncio.timeout(60):
        while len(served.bodies) < LIMIT - 1:
            await asyncio.sleep(0.01)
        reader, writer = await connect(place, WHOLE % b"")
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    for _, opened in (*others, (reader, writer)):
        opened.close()
    assert head.startswith(b"HTTP/1.1 503 ")
    assert b"connection: close" in head.lower().split(b"\r\n") and b"retry-after: " in head.lower()
    return head, json.loads(body)


async def test_one_connection_too_many_is_told_so_in_a_problem_document(served: Served, place: Place) -> None:
    head, told = await one_too_many(served, place)
    assert b"content-type: application/problem+json" in head.lower().split(b"\r\n")
    assert told["code"] == "OVERLOAD"


@pytest.mark.parametrize("protocol", [AlibabaConnection])
async def test_the_sdks_of_alibaba_are_told_so_as_they_know_it(served: Served, place: Place) -> None:
    head, told = await one_too_many(served, place)
    assert b"content-type: application/json" in head.lower().split(b"\r\n")
    assert (told["Code"], told["Message"]) == ("ServiceUnavailable", "There are too many connections.")
    assert told["RequestId"] and told["HostId"] == "x"
