"""Bindings: the store behind commands and API. What a call reads of them: `engine.store.binding_reader`."""

from __future__ import annotations

import asyncio
import os
import re
import sqlite3
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, final

import aiosqlite

from engine.core.numbers import mask
from engine.store.aio import connected
from engine.store.audit import Asker, audit_row, write_audit
from engine.store.binding_import import COLUMNS, ImportReport, Progress, csv_line, import_bindings
from engine.store.binding_rows import HOLDER, INSERT_BINDING, INSERT_TARGET, make_rows, new_subs_id, whole_ms
from engine.store.binding_rules import BLOCK_DIGITS, BindRequest, Premises, check, shown
from engine.store.crypto import NumberCipher
from engine.store.database import BINDINGS, open_database, store_errors
from engine.store.errors import BindRefused
from engine.store.rows import utc_text

IMPORT_NICENESS: Final = 5  # a third of the weight of a node, where both want one processor
PAGE: Final = 1000  # rows read at a time: no read transaction stays open while a consumer works

_LIST: Final = (
    "SELECT id, subs_id, version, mode, tel_x, tel_y, tel_a, tel_b, group_id, business_user, app_platform,"
    " order_id, scenario, expires_at, valid_from, valid_to FROM binding WHERE id > ?"
    " ORDER BY id LIMIT ?"
)
# As of one moment: what is bound or unbound while an export is read changes nothing of it.
_IN_FORCE_AT: Final = "(valid_to IS NULL OR valid_to > ?) AND expires_at > ?"
_EXPORT: Final = (
    "SELECT id, mode, tel_x, tel_y, tel_a, tel_b, group_id, business_user, order_id, scenario, expires_at"
    f" FROM binding WHERE {_IN_FORCE_AT} AND id <= ? AND id > ? ORDER BY id LIMIT ?"
)
_EXTENT: Final = f"SELECT count(*), coalesce(max(id), 0) FROM binding WHERE {_IN_FORCE_AT}"
_NEWEST: Final = "SELECT id, tel_x, valid_from, valid_to FROM binding WHERE subs_id = ? ORDER BY version DESC LIMIT 1"

_SUBS_ID: Final = re.compile(r"[0-9a-f]{32}")


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
    state: str  # active | expired | unbound
    ended: str  # empty while not unbound


@asynccontextmanager
async def open_bindings(
    path: Path, cipher: NumberCipher, clock: Callable[[], float] = time.time
) -> AsyncIterator[BindingStore]:
    """The store on bindings.db (made when missing), closed at the end; `clock`: seconds since the epoch."""
    async with connected(lambda: open_database(path, BINDINGS, cipher, any_thread=True)) as connection:
        yield BindingStore(connection, path, cipher, clock)


@final
class BindingStore:
    """Makes, ends and lists bindings; for several tasks at once. StoreError when the store cannot be used."""

    def __init__(
        self, connection: aiosqlite.Connection, path: Path, cipher: NumberCipher, clock: Callable[[], float]
    ) -> None:
        self._connection = connection
        self._path = path
        self._cipher = cipher
        self._clock = clock
        self._lock = asyncio.Lock()  # the connection has one transaction, the tasks are many

    async def bind(self, request: BindRequest) -> str:
        """Write one binding, both directions; its `subs_id`. BindRefused when it breaks a rule."""
        async with self._transaction() as connection:
            # Read here, where no other writer is: what ends before this begins has ended earlier.
            wall_s = whole_ms(self._clock())
            subs_id = new_subs_id(wall_s)
            terms = check(request, await self._premises(request), wall_s)
            [binding], targets = make_rows([subs_id], [terms], self._cipher, wall_s)
            for number, row in zip((terms.tel_a, terms.tel_b), targets, strict=True):
                cursor = await connection.execute(INSERT_TARGET, (*row, wall_s))
                if cursor.rowcount != 1:
                    holder = await self._one(HOLDER, row[:2])
                    raise BindRefused(
                        f"tel_x: {request.tel_x} is already bound for {mask(number)}, by {holder[0]}: "
                        "veil700 unbind ends that binding"
                    )
            await connection.execute(INSERT_BINDING, binding)
        return subs_id

    async def unbind(self, subs_id: str) -> None:
        """End a binding: calls in progress go on, new ones find nothing. BindRefused when it is not there."""
        async with self._transaction() as connection:
            row = await self._one(_NEWEST, (subs_id,))
            if not row:
                raise BindRefused(f"subs_id: {_quoted(subs_id)} is no binding")
            binding_id, tel_x, valid_from, valid_to = row
            if valid_to is not None:
                raise BindRefused(f"subs_id: {_quoted(subs_id)} has ended already")
            # A clock that was set back ends nothing before it began.
            end = max(whole_ms(self._clock()), valid_from)
            await connection.execute("UPDATE binding SET valid_to = ? WHERE id = ?", (end, binding_id))
            await connection.execute("DELETE FROM target WHERE x = ? AND subs_id = ?", (tel_x, subs_id))

    async def list(self) -> AsyncIterator[BindingRow]:
        """All bindings, oldest first, real numbers masked."""
        async for row in self._rows(_LIST, ()):
            listed = list(row[1:])  # in the order of BindingRow
            listed[5] = mask(self._real(row[6], "tel_a"))
            listed[6] = mask(self._real(row[7], "tel_b"))
            expires_at, valid_from, valid_to = listed[12:]
            state = "unbound" if valid_to is not None else "expired" if expires_at <= self._clock() else "active"
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
                thread, import_bindings, self._path, self._cipher, path, self._clock, skip_bad, progress, cancelled
            )
            try:
                return await asyncio.shield(work)
            except asyncio.CancelledError:
                cancelled.set()
                with suppress(Exception):
                    await work
                raise

    async def _premises(self, request: BindRequest) -> Premises:
        """The rows of the inventory that this request is about."""
        prefix, user = request.tel_x[:BLOCK_DIGITS], request.business_user
        block = await self._one("SELECT state, business_user FROM number_block WHERE prefix = ?", (prefix,))
        tenant = await self._one("SELECT app_platform FROM business_user WHERE id = ?", (user,))
        return Premises({prefix: block} if block else {}, {user: tenant[0]} if tenant else {})

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

    def _real(self, blob: bytes, column: str) -> str:
        return self._cipher.decrypt(blob, f"binding.{column}")

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[aiosqlite.Connection]:
        async with self._lock:
            with store_errors(self._path):
                await self._connection.execute("BEGIN IMMEDIATE")
                try:
                    yield self._connection
                    await self._connection.execute("COMMIT")
                except BaseException:
                    with suppress(sqlite3.Error):
                        await self._connection.execute("ROLLBACK")
                    raise


def _quoted(subs_id: str) -> str:
    """A subs_id as an error may quote it; one of our form is whole, also where it has a long run of digits."""
    return repr(subs_id) if _SUBS_ID.fullmatch(subs_id) else shown(subs_id)
