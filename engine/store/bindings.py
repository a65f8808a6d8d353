"""Bindings: the store behind commands and API. What a call reads of them: `engine.store.binding_reader`."""

from __future__ import annotations

import asyncio
import os
import secrets
import sqlite3
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar, final

import aiosqlite

from engine.core.numbers import mask
from engine.store.aio import connected
from engine.store.audit import Asker, audit_row, write_audit
from engine.store.binder import Binder
from engine.store.binding_import import COLUMNS, ImportReport, Progress, csv_line, import_bindings
from engine.store.binding_rules import BindRequest
from engine.store.crypto import NumberCipher
from engine.store.database import BINDINGS, open_database, store_errors, transaction
from engine.store.number_memory import RecentCallers
from engine.store.rows import utc_text

IMPORT_NICENESS: Final = 5  # a third of the weight of a node, where both want one processor
PAGE: Final = 1000  # rows read at a time: no read transaction stays open while a consumer works

_LIST: Final = (
    "SELECT id, subs_id, version, mode, tel_x, tel_y, tel_a, tel_b, group_id, business_user, app_platform,"
    " order_id, scenario, expires_at, valid_from, valid_to, ended_because FROM binding WHERE id > ?"
    " ORDER BY id LIMIT ?"
)
# As of one moment: what is bound or unbound while an export is read changes nothing of it.
_IN_FORCE_AT: Final = "(valid_to IS NULL OR valid_to > ?) AND expires_at > ?"
_EXPORT: Final = (
    "SELECT id, mode, tel_x, tel_y, tel_a, tel_b, group_id, business_user, order_id, scenario, expires_at"
    f" FROM binding WHERE {_IN_FORCE_AT} AND id <= ? AND id > ? ORDER BY id LIMIT ?"
)
_EXTENT: Final = f"SELECT count(*), coalesce(max(id), 0) FROM binding WHERE {_IN_FORCE_AT}"

T = TypeVar("T")


@final
@dataclass(frozen=True, slots=True)
class BindingRow:
    """A binding as it is listed; tel_a and tel_b masked."""

    subs_id: str
    version: int
    mode: str
    tel_x: str
    tel_y: str
    tel_a: str
    tel_b: str
    group_id: str
    business_user: str
    app_platform: str
    order_id: str
    scenario: str
    expiration: str  # this and the next: RFC 3339 UTC
    created: str
    state: str  # active | expired | unbound | replaced (by a newer version) | revoked
    ended: str  # empty while not unbound


@asynccontextmanager
async def open_bindings(
    path: Path, cipher: NumberCipher, clock: Callable[[], float] = time.time, announces: bool = False
) -> AsyncIterator[BindingStore]:
    """The store on bindings.db (made when missing), closed at the end; `clock`: seconds since the epoch.

    `announces`: whether the platforms' feeds are told what is done.
    """
    opened: list[sqlite3.Connection] = []

    def open_connection() -> sqlite3.Connection:
        opened.append(open_database(path, BINDINGS, cipher, any_thread=True))
        return opened[0]

    async with connected(open_connection) as connection:
        with closing(RecentCallers(path.with_name("records.db"), cipher)) as recent:
            binder = Binder(opened[0], cipher, recent, secrets.randbelow, announces)
            yield BindingStore(connection, opened[0], path, cipher, clock, binder, announces)


@final
class BindingStore:
    """Makes, ends and lists bindings; for several tasks at once. StoreError when the store cannot be used."""

    def __init__(
        self, connection: aiosqlite.Connection, opened: sqlite3.Connection, path: Path, cipher: NumberCipher,
        clock: Callable[[], float], binder: Binder, announces: bool,
    ) -> None:  # fmt: skip
        """`opened` is what `connection` works on."""
        self._connection = connection
        self._opened = opened
        self._path = path
        self._cipher = cipher
        self._clock = clock
        self._binder = binder
        self._announces = announces
        self._lock = asyncio.Lock()  # the connection has one transaction, the tasks are many

    async def bind(self, request: BindRequest) -> str:
        """Write one binding; its `subs_id`. Problem when it breaks a rule."""
        return (await self.write(lambda binder, _, wall_s: binder.bind(request, wall_s))).subs_id

    async def unbind(self, subs_id: str) -> None:
        """End a binding: calls in progress go on, new ones find nothing. Problem when it is not there."""
        await self.write(lambda binder, _, wall_s: binder.unbind(subs_id, wall_s))

    async def write(self, work: Callable[[Binder, sqlite3.Connection, float], T]) -> T:
        """`work` in a transaction of its own, in another thread: all of it, or nothing where it raises.

        It gets the binder, its connection and the time. Who is cancelled has it done nevertheless.
        """
        async with self._lock:
            task = asyncio.ensure_future(asyncio.to_thread(self._in_transaction, work))
            try:
                return await asyncio.shield(task)
            except asyncio.CancelledError:
                with suppress(Exception):
                    await task
                raise

    def _in_transaction(self, work: Callable[[Binder, sqlite3.Connection, float], T]) -> T:
        with store_errors(self._path), transaction(self._opened):
            # The clock is read here, where no other writer is: what ends before this begins has ended earlier.
            return work(self._binder, self._opened, self._clock())

    async def list(self) -> AsyncIterator[BindingRow]:
        """All bindings, oldest first, real numbers masked."""
        async for row in self._rows(_LIST, ()):
            listed = list(row[1:])  # in the order of BindingRow
            listed[5] = mask(self._real(row[6], "tel_a"))
            listed[6] = mask(self._real(row[7], "tel_b"))
            expires_at, valid_from, valid_to, because = listed[12:]
            state = "expired" if expires_at <= self._clock() else "active"
            if valid_to is not None:
                state = because or "unbound"
            ended = utc_text(valid_to) if valid_to is not None else ""
            listed[12:] = [utc_text(expires_at), utc_text(valid_from), state, ended]
            yield BindingRow(*listed)

    async def export(self, asker: Asker | None = None) -> AsyncIterator[str]:
        """The bindings in force now as lines of the CSV that `import_csv` reads, header first.

        Real numbers are masked unless somebody asks for them; an audit row says first who, and how many bindings.
        """
        now = self._clock()
        async with self._lock:
            with store_errors(self._path):
                count, last_id = await self._one(_EXTENT, (now, now))
        if asker is not None:
            row = audit_row(now, asker, "bindings.export", f"reveal the {count} bindings in force")
            await asyncio.to_thread(write_audit, self._path, self._cipher, row)
        yield csv_line(COLUMNS)
        async for row in self._rows(_EXPORT, (now, now, last_id)):
            real = [self._real(row[4], "tel_a"), self._real(row[5], "tel_b")]
            if asker is None:
                real = [mask(number) for number in real]
            yield csv_line((*row[1:4], *real, *row[6:10], utc_text(row[10])))

    async def import_csv(self, path: Path, skip_bad: bool = False, progress: Progress | None = None) -> ImportReport:
        """Import a file in a thread, all or nothing: see `import_bindings`. Cancelling rolls it back."""
        cancelled = threading.Event()
        # Linux has a niceness for each thread: calls go first where they share the processors with an import.
        with ThreadPoolExecutor(1, "import", os.nice, (IMPORT_NICENESS,)) as thread:
            work = asyncio.get_running_loop().run_in_executor(
                thread,
                import_bindings,
                self._path,
                self._cipher,
                path,
                self._clock,
                skip_bad,
                progress,
                cancelled,
                self._announces,
            )
            try:
                return await asyncio.shield(work)
            except asyncio.CancelledError:
                cancelled.set()
                with suppress(Exception):
                    await work
                raise

    async def _rows(self, query: str, parameters: tuple[object, ...]) -> AsyncIterator[Any]:
        """All rows of a query that pages by `id`, its last two parameters."""
        last = 0
        while True:
            async with self._lock:
                with store_errors(self._path):
                    rows = list(await self._connection.execute_fetchall(query, (*parameters, last, PAGE)))
            for row in rows:
                yield row
            if len(rows) < PAGE:
                return
            last = rows[-1][0]

    async def _one(self, query: str, parameters: Iterable[object]) -> Any:
        """The first row, or an empty one."""
        return next(iter(await self._connection.execute_fetchall(query, parameters)), ())

    def _real(self, blob: bytes | None, column: str) -> str:
        """ "" for a party that a binding has not: A, where a group is in its place."""
        return "" if blob is None else self._cipher.decrypt(blob, f"binding.{column}")
