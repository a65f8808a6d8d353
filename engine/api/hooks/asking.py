"""One question to an app platform: signed, by HTTPS, within its time; and what is known of the hooks that fail."""

from __future__ import annotations

import asyncio
import json
import secrets
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, final

import aiohttp
from yarl import URL

from engine.api.hooks.answers import MAX_ANSWER, Unreadable, Word, read_answer
from engine.api.outbound import Places, make_session, read_whole, reason_of, signed
from engine.domain.problems import Problem
from engine.store.hooks import Target

MAX_WAITING: Final = 256  # questions to one platform; beyond them it is not asked
SAY_AGAIN_S: Final = 60.0  # so often the log hears of a hook that fails on

Log = Callable[..., None]


@final
@dataclass(frozen=True, slots=True)
class Question:
    """What a platform is asked. No real number is in clear."""

    kind: str  # order | decision
    app_platform: str
    business_user: str = ""
    subs_id: str = ""
    order_id: str = ""
    record_id: str = ""
    tel_x: str = ""
    caller: str = ""  # masked
    is_message: bool = False
    is_test: bool = False
    timeout_ms: int = 0  # whoever asks waits no longer; 0: as long as the hook may take

    def body(self, key: str, wall_s: float) -> bytes:
        """As the platform gets it; `key` is another one for each question, and the same when it is put again."""
        told: dict[str, object] = {
            "id": key, "kind": self.kind, "app_platform": self.app_platform, "business_user": self.business_user,
            "order_id": self.order_id, "is_test": self.is_test,
        }  # fmt: skip
        if self.record_id:
            told |= {
                "subs_id": self.subs_id, "record_id": self.record_id, "tel_x": self.tel_x, "caller": self.caller,
                "is_message": self.is_message,
            }  # fmt: skip
        return json.dumps(told, ensure_ascii=False).encode()


@final
@dataclass(frozen=True, slots=True)
class Reply:
    """What came of it: `word` is None for silence, and `reason` says why then."""

    word: Word | None
    reason: str = ""
    took_ms: int = 0


@final
@dataclass(slots=True)
class _Line:
    """To one platform."""

    session: aiohttp.ClientSession
    waiting: int = 0
    trouble: dict[str, tuple[float, str]] = field(default_factory=dict)  # by kind: when the log heard of it, and what


@final
class Asking:
    """The connections to all platforms. For the loop's thread."""

    def __init__(self, places: Places, log: Log, clock: Callable[[], float] = time.time) -> None:
        """`log` is told of hooks that fail and that are back; `clock`: seconds since the epoch."""
        self._places = places
        self._log = log
        self._clock = clock
        self._lines: dict[str, _Line] = {}
        self._context: ssl.SSLContext | None = None

    async def ask(self, question: Question, target: Target) -> Reply:
        """Puts it, and waits for the answer as long as the hook may take; never raises for what the other end does."""
        line = self._line(question.app_platform)
        if line.waiting >= MAX_WAITING:
            return Reply(None, "too many questions wait for this platform")
        line.waiting += 1
        begun = time.monotonic()
        timeout_ms = min(target.timeout_ms, question.timeout_ms or target.timeout_ms)
        word, reason = None, ""
        try:
            async with asyncio.timeout(timeout_ms / 1000):
                word = await self._put(line.session, question, target)
        except TimeoutError:
            reason = f"no answer within {timeout_ms} ms"
        except (Unreadable, Problem) as error:
            reason = str(error)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            reason = reason_of(error)
        finally:
            line.waiting -= 1
        self._note(line, question, reason)
        return Reply(word, reason, round((time.monotonic() - begun) * 1000))

    def trouble(self, app_platform: str, kind: str) -> str:
        """Why its last question got no answer; "" when it did."""
        line = self._lines.get(app_platform)
        return line.trouble.get(kind, (0.0, ""))[1] if line is not None else ""

    async def close(self) -> None:
        """Hangs up."""
        for line in self._lines.values():
            await line.session.close()

    def _line(self, app_platform: str) -> _Line:
        line = self._lines.get(app_platform)
        if line is None:
            self._context = self._context or ssl.create_default_context()
            line = self._lines[app_platform] = _Line(make_session(self._places, self._context))
        return line

    async def _put(self, session: aiohttp.ClientSession, question: Question, target: Target) -> Word:
        self._places.check(target.url)  # the configuration may have changed since it was set
        body = question.body(secrets.token_hex(16), self._clock())
        try:
            answer = await self._post(session, target, body)
        except aiohttp.ClientConnectorError:
            raise
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
            # A connection of before, which the other end was just closing: the same question, once more.
            answer = await self._post(session, target, body)
        return read_answer(question.kind, answer, self._clock())

    async def _post(self, session: aiohttp.ClientSession, target: Target, body: bytes) -> bytes:
        headers = signed(target.secret, body, self._clock())
        async with session.post(URL(target.url), data=body, headers=headers, allow_redirects=False) as response:
            if response.status != 200:
                raise Unreadable(f"status {response.status}")
            if "Content-Encoding" in response.headers:
                raise Unreadable("packed, which was not asked for")
            told = await read_whole(response, MAX_ANSWER)
            if told is None:
                raise Unreadable(f"more than {MAX_ANSWER} bytes")
            return told

    def _note(self, line: _Line, question: Question, reason: str) -> None:
        kind = question.kind
        told_s, before = line.trouble.get(kind, (0.0, ""))
        now = time.monotonic()
        if not reason:
            if before:
                del line.trouble[kind]
                self._log("a hook answers again", app_platform=question.app_platform, kind=kind)
            return
        if not before or now - told_s >= SAY_AGAIN_S:
            told_s = now
            self._log("a hook does not answer", app_platform=question.app_platform, kind=kind, reason=reason)
        line.trouble[kind] = told_s, reason
