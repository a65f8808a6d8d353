"""Asking the app platforms: one JSON line over a Unix socket to the process that knows where they are.

Whoever is not there says nothing: then the attempt is refused at once, or goes on where its binding says so. Nothing
waits for a connection longer than the core's own timer.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, final

from engine.core.asking import AskHook, HookAnswer

SOCKET: Final = "hooks-1.sock"  # in the data folder
MAX_WAITING: Final = 2_000  # questions; beyond them nobody is asked
MAX_UNSENT_BYTES: Final = 1024 * 1024  # that the other process has not read
MAX_LINE_BYTES: Final = 64 * 1024

_ALLOW: Final = "allow"
_DENY: Final = "deny"
_MAX_TEXT: Final = 32  # characters of a number

Answered = Callable[[AskHook, HookAnswer | None], None]


@final
class HookClient:
    """One connection, made when a question asks for it and again after it was lost. For the loop's thread."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._answered: Answered = _to_nobody
        self._waiting: dict[int, AskHook] = {}
        self._unsent: list[bytes] = []  # while the connection is being made
        self._last_id = 0
        self._writer: asyncio.StreamWriter | None = None
        self._task: asyncio.Task[None] | None = None
        self.unanswered = 0  # questions that could not be put, or that nobody has answered

    def attach(self, answered: Answered) -> None:
        """Who hears the answers."""
        self._answered = answered

    def ask(self, question: AskHook) -> None:
        """Puts a question; the answer may come before this returns, when nobody can be asked."""
        if len(self._waiting) >= MAX_WAITING:
            self._waiting = {key: one for key, one in self._waiting.items() if not one.is_answered}
        writer = self._writer
        if len(self._waiting) >= MAX_WAITING or (
            writer is not None and writer.transport.get_write_buffer_size() > MAX_UNSENT_BYTES
        ):
            self._say_nothing(question)
            return
        self._last_id += 1
        self._waiting[self._last_id] = question
        line = _line(self._last_id, question)
        if writer is not None:
            writer.write(line)
            return
        self._unsent.append(line)
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._talk())

    async def close(self) -> None:
        """Nobody is asked any more."""
        task = self._task
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def _talk(self) -> None:
        """Connects, puts what waits, hears answers until the other end goes."""
        try:
            reader, writer = await asyncio.open_unix_connection(self._path, limit=MAX_LINE_BYTES)
        except (OSError, ValueError):  # the second one: a path that is too long for a socket
            self._task = None
            self._give_up()
            return
        try:
            self._writer = writer
            writer.writelines(self._unsent)
            self._unsent.clear()
            while line := await reader.readline():
                self._heard(line)
        except (OSError, ValueError):  # the second one: a line without end
            pass
        finally:
            self._writer = self._task = None
            writer.close()
            self._give_up()

    def _heard(self, line: bytes) -> None:
        try:
            said = json.loads(line)
        except (ValueError, RecursionError):
            return
        key = said.get("id") if isinstance(said, dict) else None
        question = self._waiting.pop(key, None) if type(key) is int else None
        if question is None:
            return
        answer = _read(said)
        if answer is None:
            self._say_nothing(question)
        else:
            self._answered(question, answer)

    def _give_up(self) -> None:
        """Nobody is there: silence, at once."""
        waiting, self._waiting = self._waiting, {}
        self._unsent.clear()
        for question in waiting.values():
            self._say_nothing(question)

    def _say_nothing(self, question: AskHook) -> None:
        if not question.is_answered:
            self.unanswered += 1
        self._answered(question, None)


def _to_nobody(question: AskHook, answer: HookAnswer | None) -> None:
    """Before it is attached nothing is asked."""


def _line(key: int, question: AskHook) -> bytes:
    told = {
        "id": key,
        "kind": question.kind,
        "app_platform": question.app_platform,
        "business_user": question.business_user,
        "subs_id": question.subs_id,
        "order_id": question.order_id,
        "record_id": question.record_id,
        "tel_x": question.x,
        "caller": question.caller,
        "is_message": question.is_message,
        "timeout_ms": question.timeout_ms,
    }
    return json.dumps(told).encode() + b"\n"


def _read(said: dict[str, Any]) -> HookAnswer | None:
    """An answer that can be read whole; what can not is silence."""
    verdict, until_at = said.get("verdict"), said.get("until_at", 0)
    callee, presented = said.get("callee", ""), said.get("presented", "")
    limits = said.get("max_call_s", 0), said.get("ring_timeout_s", 0)
    if verdict not in (_ALLOW, _DENY) or type(until_at) not in (int, float):
        return None
    if not all(type(limit) is int and limit >= 0 for limit in limits):
        return None
    if not all(isinstance(text, str) and len(text) <= _MAX_TEXT for text in (callee, presented)):
        return None
    return HookAnswer(verdict == _ALLOW, float(until_at), callee, presented, *limits)
