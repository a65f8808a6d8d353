"""What the operations work with: who asks, the connection that reads, the thread that writes, and the audit."""

from __future__ import annotations

import asyncio
import hashlib
import json
import secrets
import sqlite3
from collections.abc import Callable
from contextlib import closing
from typing import Final, TypeVar, cast, final

from fastapi import Request, Response

from engine.api.auth import Caller, Keys
from engine.api.feed_watch import FeedWatch
from engine.api.gate import BODY, CALLER, KEY
from engine.api.writer import Operation, Writer
from engine.config import Config
from engine.domain.problems import Problem, ProblemCode
from engine.store.api_keys import Role
from engine.store.audit import Asker, insert_audit
from engine.store.binder import Binder
from engine.store.bulk_binder import BulkBinder
from engine.store.crypto import NumberCipher
from engine.store.database import open_read_only, store_errors
from engine.store.number_memory import RecentCallers
from engine.store.requests import once, was_answered

T = TypeVar("T")

NO_SUCH_THING: Final = "there is no such thing"  # to a platform, also of what is another's

READ_BUSY_MS: Final = 500
MAX_KEY: Final = 64  # characters of an Idempotency-Key


@final
class Desk:
    """One for the process. Reading is done at once, in the loop's thread: every read is short, or goes by pages."""

    def __init__(
        self, config: Config, cipher: NumberCipher, writer: Writer, reader: sqlite3.Connection, keys: Keys,
        clock: Callable[[], float],
    ) -> None:  # fmt: skip
        self.config: Final = config
        self.cipher: Final = cipher
        self.keys: Final = keys
        self.now: Final = clock  # seconds since the epoch
        self._writer = writer
        self._reader = reader
        self._recent = RecentCallers(config.data_dir / "records.db", cipher)
        self.bindings_path: Final = config.data_dir / "bindings.db"
        self.records_path: Final = config.data_dir / "records.db"
        self.feed: Final = FeedWatch(self.records_path, cipher)

    def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """What `work` finds in bindings.db. StoreError."""
        with store_errors(self.bindings_path):
            return work(self._reader)

    async def read_aside(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """What `work` finds in bindings.db where it has to look long: in a thread, and on a connection of its own."""

        def aside() -> T:
            with store_errors(self.bindings_path), closing(self._bindings()) as connection:
                return work(connection)

        return await asyncio.to_thread(aside)

    def read_records(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """What `work` finds in records.db. StoreError, also while no node has made it."""
        with store_errors(self.records_path), closing(self._records()) as connection:
            return work(connection)

    def _bindings(self) -> sqlite3.Connection:
        return open_read_only(self.bindings_path, self.cipher, busy_ms=READ_BUSY_MS)

    def _records(self) -> sqlite3.Connection:
        return open_read_only(self.records_path, self.cipher, busy_ms=READ_BUSY_MS)

    def binder(self, connection: sqlite3.Connection) -> Binder:
        """What makes, changes and ends bindings, in the thread that writes."""
        return Binder(connection, self.cipher, self._recent, secrets.randbelow)

    def bulk_binder(self, connection: sqlite3.Connection, wall_s: float) -> BulkBinder:
        """What makes many."""
        return BulkBinder(connection, self.cipher, self._recent, secrets.randbelow, wall_s)

    def charge(self, request: Request, count: int) -> None:
        """Counts what a request is worth beyond one (`Keys.charge`)."""
        self.keys.charge(request.scope[KEY], count)

    async def may_reveal(self, who: Caller, reveal: bool, reason: str, action: str, detail: str) -> None:
        """Where somebody wants to see real numbers that are not his: writes down who, what and why. Problem."""
        if not reveal or who.role is Role.PLATFORM:
            return
        if not reason.strip():
            raise Problem(ProblemCode.ILLEGAL_ARGUMENT, "reason", "missing: who looks at real numbers says why")
        await self.write(lambda connection: audited(connection, who, self.now(), action, f"reveal {detail}", reason))

    def close(self) -> None:
        """When the writer has ended."""
        self._recent.close()
        self.feed.close()

    async def write(self, operation: Operation[T]) -> T:
        """What the operation returns, once it is durable (`Writer.run`)."""
        return await self._writer.run(operation)


def desk(request: Request) -> Desk:
    """The desk of the application."""
    return cast(Desk, request.app.state.desk)


def caller(request: Request) -> Caller:
    """Who asks."""
    return cast(Caller, request.scope[CALLER])


def body(request: Request) -> bytes:
    """What was sent."""
    return cast(bytes, request.scope[BODY])


def audited(
    connection: sqlite3.Connection, who: Caller, wall_s: float, action: str, detail: str, reason: str = ""
) -> None:
    """Writes down what was done, in the transaction that does it; no real number may stand in `detail`."""
    insert_audit(connection, wall_s, Asker(who.actor, reason), action, detail)


def own_platform(who: Caller, named: str) -> str:
    """The platform that a request is about: a platform's own, and nobody else's; an operator must name one. Problem."""
    if who.role is Role.PLATFORM:
        if named and named != who.app_platform:
            raise Problem(ProblemCode.NOT_FOUND, "app_platform", "there is none of this name")
        return who.app_platform
    if not named:
        raise Problem(ProblemCode.ILLEGAL_ARGUMENT, "app_platform", "missing")
    return named


def must_own(who: Caller, app_platform: str, field: str) -> None:
    """Problem NOT_FOUND where a platform asks for what is another's: it cannot tell that from what is not there."""
    if who.role is Role.PLATFORM and app_platform != who.app_platform:
        raise Problem(ProblemCode.NOT_FOUND, field, NO_SUCH_THING)


def answer(content: object, status: int = 200) -> Response:
    """An answer as JSON."""
    return answer_text(json_text(content), status)


def answer_text(text: str, status: int = 200) -> Response:
    """An answer that is JSON already."""
    return Response(text.encode("utf-8", "backslashreplace"), status, None, "application/json")


async def done(request: Request, work: Callable[[sqlite3.Connection], object], status: int = 200) -> Response:
    """Does `work` in the thread that writes, and answers with what it returns, as JSON, once that is durable.

    Problem, StoreError.
    """
    return answer(await desk(request).write(work), status)


async def written(
    request: Request, work: Callable[[sqlite3.Connection], object], status: int = 200, req_id: str = ""
) -> Response:
    """`done` for an operation that is repeatable: with an Idempotency-Key, or the `req_id` of a body, it is done once
    (`engine.store.requests.once`). No real number may stand in the answer, since it is kept.
    """
    table = desk(request)
    key = request.headers.get("idempotency-key", req_id or None)
    if key is None:
        return await done(request, work, status)
    text = await table.write(_kept(request, key, work, status, table.now()))
    return Response(text.encode(), status, None, "application/json")


def is_repeated(request: Request, req_id: str = "") -> bool:
    """True when `written` has an answer for it already."""
    key = request.headers.get("idempotency-key", req_id or None)
    who = caller(request)
    whose = who.app_platform or who.actor
    return key is not None and desk(request).read(lambda connection: was_answered(connection, whose, key))


def _kept(
    request: Request, key: str, work: Callable[[sqlite3.Connection], object], status: int, wall_s: float
) -> Operation[str]:
    if not 0 < len(key) <= MAX_KEY or not key.isprintable():
        raise Problem(ProblemCode.ILLEGAL_ARGUMENT, "Idempotency-Key", f"must be 1 to {MAX_KEY} printable characters")
    who = caller(request)
    whose = who.app_platform or who.actor
    head = f"{request.method} {request.url.path}\n".encode()
    digest = hashlib.sha256(head + body(request)).digest()

    def operation(connection: sqlite3.Connection) -> str:
        return once(connection, whose, key, digest, lambda: (status, json_text(work(connection))), wall_s)[1]

    return operation


def json_text(content: object) -> str:
    """As answers are written."""
    return json.dumps(content, ensure_ascii=False, separators=(",", ":"))
