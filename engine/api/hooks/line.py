"""The Unix socket on which the node asks: one JSON line a question, one an answer, in any order."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from pathlib import Path
from typing import Any, Final, final

from engine.api.hooks.asking import Question, Reply
from engine.api.hooks.broker import Hooks
from engine.core.numbers import mask
from engine.store.hooks import KINDS, MAX_TIMEOUT_MS

MAX_LINE_BYTES: Final = 64 * 1024
MAX_OPEN: Final = 4000  # questions of one connection
MAX_UNREAD_BYTES: Final = 1024 * 1024  # that the node does not take: then it is gone
MAX_TEXT: Final = 256

_TEXTS: Final = ("kind", "app_platform", "business_user", "subs_id", "order_id", "record_id", "tel_x", "caller")
_FLAGS: Final = ("is_message", "is_test")


@final
class HookLine:
    """The socket's server; only its owner can reach it (mode 0600)."""

    def __init__(self, path: Path, hooks: Hooks) -> None:
        self._path = path
        self._hooks = hooks
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Opens it; one that a killed process left behind is replaced. Raises OSError."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._path)
        old = os.umask(0o177)
        try:
            self._server = await asyncio.start_unix_server(self._serve, self._path, limit=MAX_LINE_BYTES)
        except OSError as error:
            raise OSError(f"cannot listen on {self._path}: {error.strerror or error}") from None
        finally:
            os.umask(old)

    async def close(self) -> None:
        """No more questions; whoever waits hears nothing."""
        if self._server is not None:
            self._server.close()
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._path)
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        own = asyncio.current_task()
        assert own is not None
        self._tasks.add(own)
        asked: set[asyncio.Task[None]] = set()
        try:
            while line := await reader.readline():
                self._take(line, writer, asked)
        except (OSError, ValueError):  # the second one: a line without end
            pass
        finally:
            self._tasks.discard(own)
            writer.close()
            for task in asked:
                task.cancel()
            if asked:
                await asyncio.wait(asked)

    def _take(self, line: bytes, writer: asyncio.StreamWriter, asked: set[asyncio.Task[None]]) -> None:
        key, question = _read(line)
        if key is None:
            return
        if question is None or len(asked) >= MAX_OPEN:
            _write(writer, key, Reply(None, "this question cannot be put"), False)
            return
        task = asyncio.get_running_loop().create_task(self._answer(key, question, writer))
        asked.add(task)
        task.add_done_callback(asked.discard)

    async def _answer(self, key: int, question: Question, writer: asyncio.StreamWriter) -> None:
        reply = Reply(None, "a fault")
        try:
            reply = await self._hooks.ask(question)
        finally:
            _write(writer, key, reply, question.is_test)


def _read(line: bytes) -> tuple[int | None, Question | None]:
    """The id of a question, None where there is none, and the question, None where it cannot be put."""
    try:
        said: Any = json.loads(line)
    except (ValueError, RecursionError):
        return None, None
    key = said.get("id") if isinstance(said, dict) else None
    if type(key) is not int:
        return None, None
    texts = {name: said.get(name, "") for name in _TEXTS}
    flags = {name: said.get(name, False) for name in _FLAGS}
    timeout_ms = said.get("timeout_ms", 0)
    is_right = (
        all(isinstance(text, str) and len(text) <= MAX_TEXT for text in texts.values())
        and all(isinstance(flag, bool) for flag in flags.values())
        and type(timeout_ms) is int
        and 0 <= timeout_ms <= MAX_TIMEOUT_MS
        and texts["kind"] in KINDS
    )
    return key, Question(**texts, **flags, timeout_ms=timeout_ms) if is_right else None


def _write(writer: asyncio.StreamWriter, key: int, reply: Reply, is_test: bool) -> None:
    """An answer that cannot be read is silence to the node: it has no word for that."""
    transport = writer.transport
    if transport.is_closing():
        return
    if transport.get_write_buffer_size() > MAX_UNREAD_BYTES:
        transport.abort()
        return
    told: dict[str, object] = {"id": key, "verdict": "none"}
    word = reply.word
    if word is not None:
        told["verdict"] = "allow" if word.is_yes else "deny"
        told |= {
            "until_at": word.until_at, "callee": word.callee, "presented": word.presented,
            "max_call_s": word.max_call_s, "ring_timeout_s": word.ring_timeout_s,
        }  # fmt: skip
    if is_test:
        told |= {"reason": reply.reason, "took_ms": reply.took_ms}
        if word is not None:
            told |= {"callee": mask(word.callee) if word.callee else "", "proof": word.proof}
    writer.write(json.dumps(told).encode() + b"\n")
