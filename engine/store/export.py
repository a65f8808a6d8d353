"""`cdr export`: records as lines, oldest first; revealing real numbers leaves an audit row."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, final

import aiosqlite

from engine.core.records import FIELDS
from engine.store.aio import connected
from engine.store.anchors import DAY_S, day_number
from engine.store.archive_reader import Archive, gone_up_to
from engine.store.audit import Asker, audit_row, write_audit
from engine.store.binding_import import csv_line
from engine.store.crypto import NumberCipher
from engine.store.database import open_read_only, store_errors
from engine.store.errors import StoreError
from engine.store.record_forms import ExportFormat, line_maker
from engine.store.record_numbers import show_numbers
from engine.store.rows import NEVER, utc_period
from engine.store.settlement import Sums

Progress = Callable[[int, int], None]  # records read, of how many

PAGE: Final = 1000  # records read at a time: no read transaction stays open while a consumer works
_OPEN_QUERY: Final = "SELECT count(*) FROM call_open WHERE call_time >= ? AND call_time < ?"
_PURGES: Final = "SELECT count(*) FROM purge"
_IN_PERIOD: Final = "call_time >= ? AND call_time < ?"
_NOT_ARCHIVED: Final = " AND NOT (node = ? AND seq <= ?)"
_ALL_ROWS: Final = 2**63 - 1


@asynccontextmanager
async def open_records(
    data_dir: Path, cipher: NumberCipher, clock: Callable[[], float] = time.time, archive: Archive | None = None
) -> AsyncIterator[RecordReader]:
    """Reader on records.db in `data_dir`, behind an archive if there is one, closed at the end.

    StoreError when there is no records.db, or it does not continue the archive.
    """
    path = data_dir / "records.db"
    gone: list[str] = []

    def opened() -> sqlite3.Connection:
        connection = open_read_only(path, cipher, any_thread=True)
        try:
            with store_errors(path):
                if archive is not None:
                    archive.check_seam(connection)
                gone.append(gone_up_to(connection, archive))
        except BaseException:
            connection.close()
            raise
        return connection

    async with connected(opened) as connection:
        yield RecordReader(connection, path, cipher, clock, archive, gone[0])


@final
class RecordReader:
    """Reads the records of an archive, if there is one, then `cdr` while the node goes on writing."""

    def __init__(
        self, connection: aiosqlite.Connection, path: Path, cipher: NumberCipher, clock: Callable[[], float],
        archive: Archive | None, gone_up_to: str,
    ) -> None:  # fmt: skip
        """`gone_up_to`: the last day of which records are in neither, "" for none."""
        self._connection = connection
        self._path = path
        self._cipher = cipher
        self._clock = clock
        self._archive = archive
        self._gone_up_to = gone_up_to
        archived = {} if archive is None else archive.last
        self._where = _IN_PERIOD + _NOT_ARCHIVED * len(archived)
        self._archived = tuple(value for node, last in archived.items() for value in (node, last.last_seq))

    async def export(
        self, form: ExportFormat, since_s: float | None = None, until_s: float | None = None,
        asker: Asker | None = None, utc_offset_s: int = 0,
    ) -> AsyncIterator[str]:  # fmt: skip
        """Lines without line ends, in the order in which the attempts ended; CSV begins with a header.

        `since_s` (inclusive) and `until_s` (exclusive) are seconds since the epoch and compared with
        `call_time`. Real numbers are shown to an `asker`: an audit row that says who, why and which records is durable
        before the first line, and records that end later are not among them. asterisk-csv knows only calls, its times
        are `utc_offset_s` from UTC. StoreError as it comes.
        """
        since, until = utc_period(since_s, until_s)
        last = _ALL_ROWS if asker is None else await self._audited(asker, since, until)
        if form is ExportFormat.CSV:
            yield csv_line(FIELDS)
        line_of = line_maker(form, utc_offset_s)
        async for record in self._records(FIELDS, last, since, until):
            if form is ExportFormat.ASTERISK_CSV and record["kind"] != "voice":
                continue
            show_numbers(self._cipher, record, asker is not None)
            try:
                line = line_of(record)
            except ValueError:  # no list of attempts, or no time: not as it was written
                raise StoreError(f"{record['record_id']}: damaged: see cdr verify") from None
            yield line

    async def _audited(self, asker: Asker, since: str, until: str) -> int:
        """Writes down who is about to see which records; the row of the last one."""
        count, first_id, last_id = self._in_archive(since, until)
        query = (
            f"WITH span AS (SELECT count(*) AS n, min(rowid) AS a, max(rowid) AS z FROM cdr WHERE {self._where})"
            " SELECT n, z, (SELECT record_id FROM cdr WHERE rowid = a), (SELECT record_id FROM cdr WHERE rowid = z)"
            " FROM span"
        )
        with store_errors(self._path):
            found = await self._connection.execute_fetchall(query, (since, until, *self._archived))
        ((more, last_row, first_left, last_left),) = found
        count, first_id, last_id = count + more, first_id or first_left, last_left or last_id
        span = f" from {first_id} to {last_id}" if count else ""
        period = f"since={since or '-'} until={'-' if until == NEVER else until}"
        row = audit_row(self._clock(), asker, "cdr.export", f"reveal {count} records{span}, {period}")
        await asyncio.to_thread(write_audit, self._path.with_name("bindings.db"), self._cipher, row)
        return int(last_row or 0)

    def _in_archive(self, since: str, until: str) -> tuple[int, str, str]:
        """How many records of a period the archive has, and the ids of the first and the last of them."""
        count, first_id, last_id = 0, "", ""
        if self._archive is not None:
            for record in self._archive.records(("record_id", "call_time"), since, until):
                count, first_id, last_id = count + 1, first_id or record["record_id"], record["record_id"]
        return count, first_id, last_id

    async def settle(self, sums: Sums, since_s: float, until_s: float, progress: Progress | None = None) -> int:
        """Add up the records of a time, as `export` takes it; how many attempts of it are still open.

        StoreError as it comes, and when records of that time are no longer there.
        """
        purges = await self._number(_PURGES)
        if gone := self.purged_since(since_s):
            raise StoreError(f"{self._path}: records up to {gone} were purged: name their archive")
        period = utc_period(since_s, until_s)
        total = 0
        if progress is not None:
            in_table = await self._number(f"SELECT count(*) FROM cdr WHERE {self._where}", *period, *self._archived)
            total = self._in_archive(*period)[0] + in_table
        done = 0
        async for record in self._records(sums.needed, _ALL_ROWS, *period):
            sums.add(record)
            done += 1
            if progress is not None and done % PAGE == 0:
                progress(done, total)
        if await self._number(_PURGES) != purges:
            raise StoreError(f"{self._path}: a purge has begun meanwhile: try again")
        return await self._number(_OPEN_QUERY, *period)

    def purged_since(self, since_s: float | None) -> str:
        """Up to which day (UTC) records were purged that the archive has not; "" when none is as young as `since_s`."""
        if self._gone_up_to and (since_s or 0) < (day_number(self._gone_up_to) + 1) * DAY_S:
            return self._gone_up_to
        return ""

    async def _number(self, query: str, *values: object) -> int:
        with store_errors(self._path):
            ((number,),) = await self._connection.execute_fetchall(query, values)
        return int(number)

    async def _records(
        self, columns: tuple[str, ...], last_row: int, since: str, until: str
    ) -> AsyncIterator[dict[str, Any]]:
        """Those of the archive, and what the table has behind them up to a row.

        No read transaction stays open meanwhile: a consumer may take its time.
        """
        if self._archive is not None:
            for record in self._archive.records(columns, since, until):
                yield record
        query = (
            f"SELECT rowid, {', '.join(columns)} FROM cdr WHERE rowid > ? AND rowid <= ? AND {self._where}"
            " ORDER BY rowid LIMIT ?"
        )
        last = 0
        while True:
            with store_errors(self._path):
                page = (last, last_row, since, until, *self._archived, PAGE)
                rows = list(await self._connection.execute_fetchall(query, page))
            for row in rows:
                yield dict(zip(columns, row[1:], strict=True))
            if len(rows) < PAGE:
                return
            last = rows[-1][0]
