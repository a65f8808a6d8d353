"""Receivers that answer in pieces, lie or never end; whoever pulls beside them misses nothing, in the same order."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import closing
from typing import Any

import pytest
from aiohttp import web

from engine.api import push
from engine.store import webhooks as table
from engine.store.audit import Asker
from engine.store.database import BINDINGS, open_database, transaction
from engine.store.webhooks import DEAD_AFTER_S, find_webhook, note_failure
from tests.api.asking import Client
from tests.api.receiver import Receiver
from tests.api.test_api_events import NOW_S, Node
from tests.api.test_webhooks import HOOK, api, config, hooked, node, receiver, state, until

__all__ = ["api", "config", "node", "receiver"]

Behaviour = Callable[[asyncio.StreamWriter], Awaitable[None]]
OK = b'{"code": 0}'


class Raw:
    """A server that writes what it likes; `posts` are those that came."""

    def __init__(self, behave: Behaviour) -> None:
        self.behave = behave
        self.posts = 0
        self.url = ""
        self.writers: list[asyncio.StreamWriter] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
                await reader.readexactly(int(head.partition("content-length: ")[2].partition("\r")[0]))
                self.posts += 1
                await self.behave(writer)
                if writer.is_closing():
                    return


@pytest.fixture
async def start() -> AsyncIterator[Callable[[Behaviour], Awaitable[Raw]]]:
    servers: list[tuple[Raw, asyncio.Server]] = []

    async def begin(behave: Behaviour) -> Raw:
        raw = Raw(behave)
        server = await asyncio.start_server(raw.serve, "127.0.0.1", 0)
        servers.append((raw, server))
        raw.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/told"
        return raw

    yield begin
    for raw, server in servers:
        server.close()
        for writer in raw.writers:
            writer.transport.abort()
    await asyncio.sleep(0.05)  # until they are closed


def head(length: int, *fields: str) -> bytes:
    lines = ("HTTP/1.1 200 OK", f"Content-Length: {length}", *fields, "", "")
    return "\r\n".join(lines).encode()


async def in_pieces(writer: asyncio.StreamWriter) -> None:
    for piece in (head(len(OK)), OK[:4], OK[4:9], OK[9:]):
        writer.write(piece)
        await writer.drain()
        await asyncio.sleep(0.05)


async def cut_off(writer: asyncio.StreamWriter) -> None:
    writer.write(head(100) + OK)
    writer.close()


async def too_long(writer: asyncio.StreamWriter) -> None:
    body = b'{"code": 0, "x": "' + b"x" * push.MAX_ANSWER + b'"}'
    writer.write(head(len(body)) + body)


async def more_behind(writer: asyncio.StreamWriter) -> None:
    body = OK + b" " * (2 * push.MAX_ANSWER)
    writer.write(head(len(body)) + body)


async def without_end(writer: asyncio.StreamWriter) -> None:
    writer.write(head(1000) + OK)
    while not writer.is_closing():
        writer.write(b" ")
        await asyncio.sleep(0.02)


async def no_http(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 13800138000 13800138000\r\n\r\n")
    writer.close()


async def test_an_answer_in_pieces_is_an_answer(
    node: Node, platform: Client, start: Callable[[Behaviour], Awaitable[Raw]]
) -> None:
    raw = await start(in_pieces)
    made = await platform.ask("PUT", HOOK, {"url": raw.url})
    begin = int(made.json["acked_seq"])
    node.tell("x1", "x2")
    await until(lambda: find_webhook(node.bindings, "ap-one").acked_seq == begin + 2)
    assert (await state(platform))["last_error"] == ""


@pytest.mark.parametrize("behave", [cut_off, too_long, more_behind, without_end, no_http], ids=lambda one: one.__name__)
async def test_half_an_answer_is_none(
    node: Node, platform: Client, start: Callable[[Behaviour], Awaitable[Raw]], behave: Behaviour,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setattr(push, "TIMEOUT_S", 0.5)
    monkeypatch.setattr(table, "FIRST_PAUSE_S", 0.2)
    monkeypatch.setattr(table, "LAST_PAUSE_S", 0.2)
    raw = await start(behave)
    made = await platform.ask("PUT", HOOK, {"url": raw.url})
    node.tell("x1")
    await until(lambda: raw.posts >= 2)
    shown = await state(platform)
    assert shown["acked_seq"] == made.json["acked_seq"] and shown["last_error"]
    assert "13800138000" not in str(shown["last_error"]) + str(capsys.readouterr())


async def test_what_a_dead_webhook_has_not_taken_is_pulled_and_pushed_when_it_is_back(
    node: Node, platform: Client, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table, "FIRST_PAUSE_S", 0.1)
    monkeypatch.setattr(table, "LAST_PAUSE_S", 0.1)
    receiver.behave = lambda _number: web.Response(status=404)
    begin = await hooked(platform, receiver)
    node.tell("x1", "x2")
    await until(lambda: receiver.posts >= 1)
    hook = find_webhook(node.bindings, "ap-one")
    with closing(open_database(node.records.with_name("bindings.db"), BINDINGS, node.cipher)) as connection:
        with transaction(connection):
            assert not note_failure(connection, hook, "status 404", Asker("api"), NOW_S)
        hook = find_webhook(connection, "ap-one")
        since_s = hook.failing_since_s
        assert since_s is not None
        with transaction(connection):
            assert note_failure(connection, hook, "status 404", Asker("api"), since_s + DEAD_AFTER_S + 1)
    assert find_webhook(node.bindings, "ap-one").state == "dead"
    await until(platform.api._push._tasks["ap-one"].done)  # what was on its way when it died has come to an end
    node.tell("x3")
    pulled = await platform.ask("GET", f"/v1/events?after={begin}")
    assert [row["subject"] for row in pulled.json["items"] if row["kind"] == "number.status"] == ["x1", "x2", "x3"]
    receiver.behave = lambda _number: None
    receiver.events.clear()
    assert (await platform.ask("POST", f"{HOOK}/state", {"state": "active", "reason": "r"})).status == 200
    await until(lambda: receiver.seqs == [begin + 1, begin + 2, begin + 3])


async def test_two_who_pull_and_one_who_is_pushed_to_see_the_same_order_without_a_gap(
    node: Node, platform: Client, receiver: Receiver
) -> None:
    begin = await hooked(platform, receiver)
    count = 200

    async def puller(limit: int) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        while len(found) < count:
            after = begin + len(found)
            answer = await platform.ask("GET", f"/v1/events?after={after}&limit={limit}&wait_s=5")
            assert answer.status == 200
            found += answer.json["items"]
        return found

    pulling = [asyncio.create_task(puller(limit)) for limit in (3, 50)]
    for first in range(0, count, 7):
        node.tell(*(f"x{number}" for number in range(first, min(first + 7, count))))
        node.tell("other", platform="ap-two")
        await asyncio.sleep(0.01)
    one, other = await asyncio.wait_for(asyncio.gather(*pulling), 60)
    await until(lambda: len(receiver.events) >= count)
    assert one == other == receiver.events
    assert [event["seq"] for event in one] == [*range(begin + 1, begin + count + 1)]
    assert [event["subject"] for event in one] == [f"x{number}" for number in range(count)]
    assert receiver.bad == []
