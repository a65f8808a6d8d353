"""Asking over the Unix socket: answers, silence, and another end that behaves badly."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from engine import hook_client
from engine.core.asking import AskHook, HookAnswer
from engine.core.attempt import AttemptBase
from engine.core.records import CallRecord
from engine.hook_client import HookClient
from tests.core.corenode import CALLER, CoreNode
from tests.core.parties import message

WAIT_S = 30.0  # for a machine that is busy with other tests
Reply = Callable[[dict[str, Any]], object]  # an object to send as JSON, bytes as they are, None for nothing


def question(record_id: str = "r1") -> AskHook:
    record = CallRecord(record_id, "veil-1", "voice")
    record.app_platform, record.business_user, record.subs_id = "ap-demo", "bu-express", "s1"
    record.order_id, record.tel_x, record.caller = "order-1", "700123456780001", "13800138000"
    node = CoreNode()
    node.looks_up = False
    node.book.wire_in(message(), CALLER)
    (attempt,) = node.service.attempts
    assert isinstance(attempt, AttemptBase)
    attempt.record = record
    return AskHook(attempt, "decision", 800)


class Heard:
    """What the core is told."""

    def __init__(self, client: HookClient) -> None:
        self.answers: list[tuple[str, HookAnswer | None]] = []
        self._changed = asyncio.Event()
        client.attach(self._take)

    def _take(self, asked: AskHook, answer: HookAnswer | None) -> None:
        asked.is_answered = True
        self.answers.append((asked.record_id, answer))
        self._changed.set()

    async def until(self, count: int) -> None:
        async with asyncio.timeout(WAIT_S):
            while len(self.answers) < count:
                self._changed.clear()
                await self._changed.wait()


class Platform:
    """The other end of the socket."""

    def __init__(self, path: Path, reply: Reply) -> None:
        self.path = path
        self.reply = reply
        self.asked: list[dict[str, Any]] = []
        self.connections = 0
        self._server: asyncio.Server | None = None
        self._open: list[asyncio.StreamWriter] = []

    async def start(self) -> Platform:
        self._server = await asyncio.start_unix_server(self._serve, self.path)
        return self

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._open.append(writer)
        while line := await reader.readline():
            asked = json.loads(line)
            self.asked.append(asked)
            said = self.reply(asked)
            if said is not None:
                writer.write(said if isinstance(said, bytes) else json.dumps(said).encode() + b"\n")

    def drop(self) -> None:
        for writer in self._open:
            writer.close()
        self._open.clear()

    async def stop(self) -> None:
        self.drop()
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
        self.path.unlink(missing_ok=True)


Start = Callable[[Reply], Awaitable[Platform]]


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[HookClient]:
    made = HookClient(tmp_path / "hooks-1.sock")
    yield made
    await made.close()


@pytest.fixture
async def platform(tmp_path: Path) -> AsyncIterator[Start]:
    made: list[Platform] = []

    async def start(reply: Reply) -> Platform:
        made.append(await Platform(tmp_path / "hooks-1.sock", reply).start())
        return made[-1]

    yield start
    for one in made:
        await one.stop()


def allow(asked: dict[str, Any]) -> object:
    return {"id": asked["id"], "verdict": "allow"}


async def test_a_question_and_its_answer(client: HookClient, platform: Start) -> None:
    heard = Heard(client)
    said = {
        "verdict": "allow", "until_at": 12.5, "callee": "13700137000", "presented": "700123456780009",
        "max_call_s": 60, "ring_timeout_s": 7,
    }  # fmt: skip
    other = await platform(lambda asked: {"id": asked["id"], **said})
    client.ask(question())
    await heard.until(1)
    ((_, answer),) = heard.answers
    assert answer is not None
    assert (answer.is_yes, answer.until_at, answer.callee, answer.presented) == (
        True, 12.5, "13700137000", "700123456780009",
    )  # fmt: skip
    assert (answer.max_call_s, answer.ring_timeout_s) == (60, 7)
    assert other.asked == [{
        "id": 1, "kind": "decision", "app_platform": "ap-demo", "business_user": "bu-express", "subs_id": "s1",
        "order_id": "order-1", "record_id": "r1", "tel_x": "700123456780001", "caller": "138****8000",
        "is_message": False, "timeout_ms": 800,
    }]  # fmt: skip


async def test_one_connection_serves_many_and_answers_come_in_any_order(client: HookClient, platform: Start) -> None:
    heard = Heard(client)
    waiting: list[dict[str, Any]] = []

    def reply(asked: dict[str, Any]) -> object:
        waiting.append(asked)
        if len(waiting) < 3:
            return None
        lines = [json.dumps({"id": one["id"], "verdict": "deny"}).encode() for one in reversed(waiting)]
        return b"\n".join([*lines, b""])

    other = await platform(reply)
    for record_id in ("r1", "r2", "r3"):
        client.ask(question(record_id))
    await heard.until(3)
    assert [record_id for record_id, _ in heard.answers] == ["r3", "r2", "r1"]
    assert all(answer is not None and not answer.is_yes for _, answer in heard.answers)
    assert other.connections == 1


async def test_whoever_is_not_there_says_nothing_at_once(client: HookClient) -> None:
    heard = Heard(client)
    client.ask(question())
    client.ask(question("r2"))
    await heard.until(2)
    assert heard.answers == [("r1", None), ("r2", None)]
    assert client.unanswered == 2


async def test_a_path_that_is_too_long_is_nobody(tmp_path: Path) -> None:
    client = HookClient(tmp_path / ("x" * 200))
    heard = Heard(client)
    client.ask(question())
    await heard.until(1)
    assert heard.answers == [("r1", None)]


async def test_a_connection_that_is_lost_is_silence_and_is_made_again(client: HookClient, platform: Start) -> None:
    heard = Heard(client)
    other = await platform(lambda asked: None)
    client.ask(question())
    async with asyncio.timeout(WAIT_S):
        while not other.asked:
            await asyncio.sleep(0)
    other.drop()
    await heard.until(1)
    assert heard.answers == [("r1", None)]
    other.reply = allow
    client.ask(question("r2"))
    await heard.until(2)
    record_id, answer = heard.answers[1]
    assert record_id == "r2" and answer is not None and answer.is_yes
    assert other.connections == 2


@pytest.mark.parametrize(
    "said",
    [
        {"verdict": "maybe"},
        {},
        {"verdict": "allow", "until_at": "tomorrow"},
        {"verdict": "allow", "until_at": True},
        {"verdict": "allow", "callee": 13700137000},
        {"verdict": "allow", "presented": "7" * 33},
        {"verdict": "allow", "max_call_s": -1},
        {"verdict": "allow", "ring_timeout_s": "7"},
    ],
)
async def test_what_cannot_be_read_is_silence(client: HookClient, platform: Start, said: dict[str, object]) -> None:
    heard = Heard(client)
    await platform(lambda asked: {"id": asked["id"], **said})
    client.ask(question())
    await heard.until(1)
    assert heard.answers == [("r1", None)]


@pytest.mark.parametrize(
    "noise", [b"no json\n", b"[1]\n", b'{"id": "1"}\n', b'{"id": 77, "verdict": "allow"}\n', b"[" * 60_000 + b"\n"]
)
async def test_noise_before_an_answer_is_not_heard(client: HookClient, platform: Start, noise: bytes) -> None:
    heard = Heard(client)
    await platform(lambda asked: noise + json.dumps(allow(asked)).encode() + b"\n")
    client.ask(question())
    await heard.until(1)
    assert heard.answers[0][1] is not None


async def test_a_line_without_end_ends_the_connection(client: HookClient, platform: Start) -> None:
    heard = Heard(client)
    await platform(lambda asked: b"x" * (hook_client.MAX_LINE_BYTES + 1))
    client.ask(question())
    await heard.until(1)
    assert heard.answers == [("r1", None)]


async def test_questions_are_bounded(client: HookClient, platform: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hook_client, "MAX_WAITING", 3)
    heard = Heard(client)
    await platform(lambda asked: None)
    first = [question(f"r{number}") for number in range(3)]
    for one in first:
        client.ask(one)
    client.ask(question("r3"))
    assert heard.answers == [("r3", None)]
    first[0].is_answered = True  # its time is over
    client.ask(question("r4"))
    assert heard.answers == [("r3", None)]
