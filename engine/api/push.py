"""Events as they are pushed: to each webhook in order, one POST at a time, again until it is taken."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Callable, Sequence
from typing import Any, Final, final

import aiohttp
from yarl import URL

from engine.api.desk import Desk
from engine.api.outbound import Places, make_session, read_whole, reason_of, signed
from engine.domain.problems import Problem
from engine.store.audit import Asker
from engine.store.errors import StoreError
from engine.store.events import Event, events_after, reach
from engine.store.webhooks import Webhook, acknowledge, active_webhooks, note_failure, webhook_with_secret

BATCH: Final = 50  # events in one POST
TIMEOUT_S: Final = 3.0  # over all of it: name, connection, TLS, answer
MAX_ANSWER: Final = 16 * 1024
STORE_PAUSE_S: Final = 1.0

ACTOR: Final = Asker("api", "webhook")


class _Refused(Exception):
    """It was not taken; the text says why, in one line."""


@final
class Push:
    """A task for each webhook that is active. For the loop's thread."""

    def __init__(self, desk: Desk, places: Places, log: Callable[..., None]) -> None:
        """`places`: where webhooks may lie."""
        self._desk = desk
        self._places = places
        self._log = log
        self._context: ssl.SSLContext | None = None
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._is_over = False

    def check(self, url: str) -> None:
        """Raises Problem when nothing may be pushed there."""
        self._places.check(url)

    async def run(self) -> None:
        """The task that begins with all of them."""
        while True:
            try:
                for platform in self._desk.read(active_webhooks):
                    await self.follow(platform)
                return
            except StoreError:
                await asyncio.sleep(STORE_PAUSE_S)

    async def follow(self, app_platform: str) -> None:
        """Its webhook was made or changed. A POST in progress is given up: what is in it goes once more."""
        await self._end(app_platform)
        if not self._is_over:
            self._tasks[app_platform] = asyncio.create_task(self._serve(app_platform))

    async def close(self) -> None:
        """Ends all."""
        self._is_over = True
        for app_platform in list(self._tasks):
            await self._end(app_platform)

    async def _end(self, app_platform: str) -> None:
        task = self._tasks.pop(app_platform, None)
        if task is not None:
            task.cancel()
            await asyncio.wait({task})

    async def _serve(self, app_platform: str) -> None:
        self._context = self._context or ssl.create_default_context()
        async with make_session(self._places, self._context) as session:
            while True:
                try:
                    if not await self._turn(session, app_platform):
                        return
                except (Problem, StoreError):  # where the store is down the requests say so
                    await asyncio.sleep(STORE_PAUSE_S)

    async def _turn(self, session: aiohttp.ClientSession, app_platform: str) -> bool:
        """One POST, or one wait; False when there is nothing to do any more. Problem, StoreError."""
        desk = self._desk
        found = desk.read(lambda connection: webhook_with_secret(connection, desk.cipher, app_platform))
        if found is None or found[0].state != "active":
            return False
        hook, secret = found
        if hook.retry_s is not None and (pause_s := hook.retry_s - desk.now()) > 0:
            await asyncio.sleep(pause_s)
        events = desk.feed.read(lambda connection: events_after(connection, app_platform, hook.acked_seq, BATCH))
        if not events:
            _, last = desk.feed.read(lambda connection: reach(connection, app_platform))
            if last > hook.acked_seq:  # the time of those in between was over
                await desk.write(lambda connection: acknowledge(connection, hook, last))
            else:
                await desk.feed.wait(app_platform, hook.acked_seq, None)
            return True
        fault = await self._post(session, hook, secret, events)
        if not fault:
            await desk.write(lambda connection: acknowledge(connection, hook, events[-1]["seq"]))
            return True
        now_s = desk.now()
        if hook.failing_since_s is None:
            self._log("webhook fails", app_platform=app_platform, reason=fault)
        if await desk.write(lambda connection: note_failure(connection, hook, fault, ACTOR, now_s)):
            self._log("webhook is dead, its events are kept", app_platform=app_platform, reason=fault)
        return True

    async def _post(self, session: aiohttp.ClientSession, hook: Webhook, secret: bytes, events: Sequence[Event]) -> str:
        """Why it was not taken; "" when it was."""
        told = {"app_platform": hook.app_platform, "events": events}
        body = json.dumps(told, ensure_ascii=False, separators=(",", ":")).encode()
        try:
            self._places.check(hook.url)  # the configuration may be another one now
            async with asyncio.timeout(TIMEOUT_S):
                headers = signed(secret, body, self._desk.now())
                async with session.post(URL(hook.url), data=body, headers=headers, allow_redirects=False) as answer:
                    await _must_be_taken(answer)
        except TimeoutError:
            return f"no answer within {TIMEOUT_S:.0f} s"
        except (_Refused, Problem) as error:
            return str(error)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return reason_of(error)
        return ""


async def _must_be_taken(answer: aiohttp.ClientResponse) -> None:
    if answer.status != 200:
        raise _Refused(f"answered with status {answer.status}")
    text = await read_whole(answer, MAX_ANSWER)
    try:
        said: Any = json.loads(text or b"")
    except (ValueError, RecursionError):
        said = None
    if not isinstance(said, dict) or type(said.get("code")) is not int or said["code"] != 0:
        raise _Refused('answered 200 without {"code": 0}')
