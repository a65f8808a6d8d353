"""Questions over the socket to a platform on HTTPS: what comes back is what the node hears."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import stat
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from engine.api.app import Api
from engine.api.hooks.asking import MAX_WAITING
from engine.api.outbound import MAX_CONNECTIONS, signature
from engine.config import Config
from engine.hook_client import SOCKET
from tests.hooks.conftest import StartPlatform, set_hook
from tests.hooks.platforms import HOST, Asked, Behaviour, context_for, response, says, silent
from tests.sipstack.certificates import Authority

WAIT_S = 60.0
UNTIL = "2099-01-31T08:00:00+08:00"
UNTIL_AT = 4073500800.0


class Node:
    """Its end of the socket."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self._last = 0

    def put(self, kind: str, /, **more: Any) -> int:
        self._last += 1
        asked = {
            "id": self._last, "kind": kind, "app_platform": "ap-one", "business_user": "bu-one", "subs_id": "s1",
            "order_id": "order-1", "record_id": "r1", "tel_x": "700123456710001", "caller": "138****8000",
            "is_message": False,
        }  # fmt: skip
        self.writer.write(json.dumps(asked | more).encode() + b"\n")
        return self._last

    async def hear(self) -> dict[str, Any]:
        async with asyncio.timeout(WAIT_S):
            said: dict[str, Any] = json.loads(await self.reader.readline())
        return said

    async def ask(self, kind: str, /, **more: Any) -> dict[str, Any]:
        key = self.put(kind, **more)
        said = await self.hear()
        assert said.pop("id") == key
        return said


@pytest.fixture
async def node(api: Api, config: Config) -> AsyncIterator[Node]:
    reader, writer = await asyncio.open_unix_connection(config.data_dir / SOCKET)
    yield Node(reader, writer)
    writer.close()


SILENCE = {"verdict": "none"}
DENIED = {"verdict": "deny", "until_at": 0.0, "callee": "", "presented": "", "max_call_s": 0, "ring_timeout_s": 0}
ALLOWED = DENIED | {"verdict": "allow"}


async def test_a_decision_is_asked_for_signed_and_answered(
    node: Node, config: Config, start_platform: StartPlatform
) -> None:
    answer = {
        "allow": True, "callee": "+86 137-0013-7000", "presented": "700123456710009", "max_duration": 60,
        "ring_timeout": 20,
    }  # fmt: skip
    platform = await start_platform(says(answer))
    secret = set_hook(config, "decision", platform.url)
    assert await node.ask("decision") == ALLOWED | {
        "callee": "13700137000", "presented": "700123456710009", "max_call_s": 60, "ring_timeout_s": 20,
    }  # fmt: skip
    (asked,) = platform.asked
    told = asked.json
    assert len(told.pop("id")) == 32
    assert told == {
        "kind": "decision", "app_platform": "ap-one", "business_user": "bu-one", "order_id": "order-1",
        "is_test": False, "subs_id": "s1", "record_id": "r1", "tel_x": "700123456710001", "caller": "138****8000",
        "is_message": False,
    }  # fmt: skip
    at = asked.headers["x-veil-time"]
    assert asked.headers["x-veil-signature"] == signature(secret.encode(), at, asked.body)
    assert asked.headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    ("kind", "answer", "said"),
    [
        ("decision", {"allow": True}, ALLOWED),
        ("decision", {"allow": False}, DENIED),
        ("decision", {"allow": False, "callee": "13700137000"}, DENIED),
        ("decision", {"allow": True, "until": "2020-01-01T00:00:00Z"}, DENIED),
        ("decision", {"allow": True, "until": UNTIL}, ALLOWED | {"max_call_s": 86_400}),
        ("decision", {"allow": True, "until": UNTIL, "max_duration": 7}, ALLOWED | {"max_call_s": 7}),
        ("order", {"verified": True, "until": UNTIL, "proof": "p"}, ALLOWED | {"until_at": UNTIL_AT}),
        ("order", {"verified": False}, DENIED),
        ("order", {"verified": True, "until": "2020-01-01T00:00:00Z"}, DENIED),
    ],
)
async def test_answers(
    node: Node, config: Config, start_platform: StartPlatform, kind: str, answer: object, said: dict[str, Any]
) -> None:
    platform = await start_platform(says(answer))
    set_hook(config, kind, platform.url)
    assert await node.ask(kind) == said


@pytest.mark.parametrize(
    "answer",
    [
        b"", b"no json", b"[]", b"true", b"{}", b'{"allow": true', b"[" * 16_000,
        {"allow": 1}, {"allow": "true"}, {"allow": None}, {"verified": True}, {"allow": True, "max_duraton": 60},
        {"allow": True, "max_duration": 0}, {"allow": True, "max_duration": "6"}, {"allow": True, "ring_timeout": 601},
        {"allow": True, "max_duration": 86_401}, {"allow": True, "callee": "nobody"},
        {"allow": True, "callee": 13700137000},
        {"allow": True, "callee": "700123456710009"}, {"allow": True, "presented": "13700137000"},
        {"allow": True, "until": "2099-01-31T08:00:00"}, {"allow": True, "until": "2099-13-31T08:00:00Z"},
        {"allow": True, "until": 4073500800},
    ],
)  # fmt: skip
async def test_what_cannot_be_read_whole_is_silence(
    node: Node, config: Config, start_platform: StartPlatform, answer: object
) -> None:
    platform = await start_platform(says(answer))
    set_hook(config, "decision", platform.url)
    assert await node.ask("decision") == SILENCE
    assert len(platform.asked) == 1


@pytest.mark.parametrize(
    "behaviour",
    [
        says({"allow": True}, "500 Internal Server Error"), says({"allow": True}, "201 Created"),
        says({"allow": True}, "404 Not Found"),
        says({"allow": True}, "200 OK", "Content-Encoding: gzip"), says({"allow": True, "pad": "x" * 20_000}),
        says(b'{"allow": true}' + b" " * 20_000), says({"allow": True}, "200 OK", "X-Long: " + "x" * 10_000),
    ],
)  # fmt: skip
async def test_answers_of_http_that_are_none(
    node: Node, config: Config, start_platform: StartPlatform, behaviour: Behaviour
) -> None:
    platform = await start_platform(behaviour)
    set_hook(config, "decision", platform.url)
    assert await node.ask("decision") == SILENCE
    assert len(platform.asked) == 1


async def test_redirects_are_not_followed(node: Node, config: Config, start_platform: StartPlatform) -> None:
    other = await start_platform(says({"allow": True}))
    platform = await start_platform(says(b"", "307 Temporary Redirect", f"Location: {other.url}"))
    set_hook(config, "decision", platform.url)
    assert await node.ask("decision") == SILENCE
    assert (len(platform.asked), other.asked) == (1, [])


async def _noise(_asked: Asked, _writer: asyncio.StreamWriter) -> bytes:
    return b"\x00\xff SIP/2.0 200 OK\r\n\r\n"


async def _drip(_asked: Asked, writer: asyncio.StreamWriter) -> None:
    for byte in response(b'{"allow": true}'):
        writer.write(bytes((byte,)))
        await asyncio.sleep(0.02)


@pytest.mark.parametrize("behaviour", [silent, _drip])
async def test_whoever_takes_too_long_has_said_nothing(
    node: Node, config: Config, start_platform: StartPlatform, behaviour: Behaviour
) -> None:
    """The shorter of the two times counts, and whoever drips has not come to an end then."""
    platform = await start_platform(behaviour)
    for hook_ms, asked_ms in ((300, 3000), (3000, 100)):
        set_hook(config, "decision", platform.url, hook_ms)
        shorter_ms = min(hook_ms, asked_ms)
        begun = time.monotonic()
        said = await node.ask("decision", timeout_ms=asked_ms, is_test=True)
        assert shorter_ms / 1000 - 0.01 < time.monotonic() - begun
        assert (said["verdict"], said["reason"]) == ("none", f"no answer within {shorter_ms} ms")
        assert await node.ask("decision", timeout_ms=asked_ms) == SILENCE


async def test_noise_is_silence_at_once(node: Node, config: Config, start_platform: StartPlatform) -> None:
    platform = await start_platform(_noise)
    set_hook(config, "decision", platform.url)
    said = await node.ask("decision", is_test=True)
    assert said["verdict"] == "none" and "no answer within" not in said["reason"]  # it was not waited for
    assert await node.ask("decision") == SILENCE


@pytest.mark.parametrize(
    ("subjects", "days", "reason"),
    [
        ((f"ip:{HOST}",), -1, "certificate has expired"),
        (("ip:127.0.0.2",), 30, "IP address mismatch, certificate is not valid for '127.0.0.1'."),
        (("dns:localhost",), 30, "IP address mismatch, certificate is not valid for '127.0.0.1'."),
    ],
)
async def test_certificates_that_are_none_for_it(
    node: Node, config: Config, authority: Authority, start_platform: StartPlatform, subjects: tuple[str, ...],
    days: int, reason: str,
) -> None:  # fmt: skip
    context = context_for(authority, "wrong", *subjects, days=days)
    platform = await start_platform(says({"allow": True}), context=context)
    set_hook(config, "decision", platform.url)
    said = await node.ask("decision", is_test=True)
    assert (said["verdict"], said["reason"]) == ("none", f"certificate: {reason}")
    assert platform.asked == []


async def test_a_certificate_of_nobody_we_know(
    node: Node, config: Config, authority: Authority, start_platform: StartPlatform
) -> None:
    folder = authority.file.parent / "other"
    folder.mkdir()
    context = context_for(Authority(folder, "stranger"), "strange", f"ip:{HOST}")
    platform = await start_platform(says({"allow": True}), context=context)
    set_hook(config, "decision", platform.url)
    assert await node.ask("decision") == SILENCE
    assert platform.asked == []


async def test_no_tls_where_it_must_be(node: Node, config: Config) -> None:
    async def plain(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(response(b'{"allow": true}'))
        writer.close()

    server = await asyncio.start_server(plain, HOST, 0)
    set_hook(config, "decision", f"https://{HOST}:{server.sockets[0].getsockname()[1]}/ask")
    said = await node.ask("decision", is_test=True)
    assert (said["verdict"], said["reason"]) == ("none", "no TLS")
    server.close()


async def test_nobody_there(node: Node, config: Config) -> None:
    with socket.socket() as taken:  # that nobody else listens there meanwhile
        taken.bind((HOST, 0))
        set_hook(config, "decision", f"https://{HOST}:{taken.getsockname()[1]}/ask")
        said = await node.ask("decision", is_test=True)
    assert (said["verdict"], said["reason"]) == ("none", "cannot connect: Connection refused")


async def test_no_hook_is_silence(node: Node) -> None:
    assert await node.ask("decision") == SILENCE


async def test_connections_are_used_again(node: Node, config: Config, start_platform: StartPlatform) -> None:
    platform = await start_platform(says({"allow": True}))
    set_hook(config, "decision", platform.url)
    for _ in range(5):
        assert await node.ask("decision") == ALLOWED
    assert platform.connections == 1
    platform.hang_up()
    assert await node.ask("decision") == ALLOWED


async def test_a_connection_that_ends_with_the_question_is_not_the_end(
    node: Node, config: Config, start_platform: StartPlatform
) -> None:
    asked_twice: list[str] = []

    async def once(asked: Asked, writer: asyncio.StreamWriter) -> bytes:
        if len(platform.asked) == 2:
            writer.transport.abort()
        asked_twice.append(asked.json["id"])
        return response(b'{"allow": true}')

    platform = await start_platform(once)
    set_hook(config, "decision", platform.url)
    assert await node.ask("decision") == ALLOWED
    assert await node.ask("decision") == ALLOWED
    assert len(asked_twice) == 3 and asked_twice[1] == asked_twice[2] != asked_twice[0]


async def test_a_silent_platform_holds_up_nobody_else(
    node: Node, config: Config, start_platform: StartPlatform
) -> None:
    mute, other = await start_platform(silent, plain=True), await start_platform(says({"allow": True}))
    set_hook(config, "decision", mute.url)
    set_hook(config, "decision", other.url, app_platform="ap-two")
    hanging = {node.put("decision") for _ in range(MAX_WAITING + 1)}
    beyond = await node.hear()
    assert beyond.pop("id") == max(hanging) and beyond == SILENCE
    async with asyncio.timeout(WAIT_S):
        while len(mute.asked) < MAX_CONNECTIONS:
            await asyncio.sleep(0)
    for _ in range(20):  # what still hangs is not heard meanwhile
        key = node.put("decision", app_platform="ap-two")
        assert (await node.hear()) == {"id": key} | ALLOWED
    assert mute.connections == MAX_CONNECTIONS
    mute.behaviour = says({"allow": True})
    mute.hang_up()  # those that had been put go once more
    heard = [await node.hear() for _ in range(MAX_WAITING)]
    assert {said.pop("id") for said in heard} == hanging - {max(hanging)} and heard == [ALLOWED] * MAX_WAITING
    assert await node.ask("decision") == ALLOWED  # and it is asked again


@pytest.mark.parametrize(
    "line", [b"no json\n", b"[1]\n", b'{"id": "1"}\n', b'{"id": true}\n', b"[" * 60_000 + b"\n", b"\n"]
)
async def test_noise_on_the_socket_is_not_heard(node: Node, line: bytes) -> None:
    node.writer.write(line)
    assert await node.ask("decision") == SILENCE


@pytest.mark.parametrize(
    "wrong", [{"kind": "other"}, {"timeout_ms": 3001}, {"timeout_ms": -1}, {"tel_x": 7}, {"is_message": 1},
              {"order_id": "x" * 257}]
)  # fmt: skip
async def test_questions_that_cannot_be_put(
    node: Node, config: Config, start_platform: StartPlatform, wrong: dict[str, Any]
) -> None:
    platform = await start_platform(says({"allow": True}))
    set_hook(config, "decision", platform.url)
    assert await node.ask("decision", **wrong) == SILENCE
    assert platform.asked == []


async def test_only_the_owner_reaches_the_socket(api: Api, config: Config) -> None:
    assert stat.S_IMODE(os.stat(config.data_dir / SOCKET).st_mode) == 0o600
