"""`bindings import`: a CSV file of any size into the store, all or nothing, every bad line by its number."""

from __future__ import annotations

import csv
import io
import re
import secrets
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from operator import itemgetter
from pathlib import Path
from typing import BinaryIO, Final, final

from engine.domain.problems import Problem
from engine.store.binding_rules import shown
from engine.store.bulk_binder import BulkBinder
from engine.store.crypto import NumberCipher
from engine.store.database import BINDINGS, open_database, store_errors
from engine.store.errors import StoreError
from engine.store.number_memory import RecentCallers

COLUMNS: Final = (
    "mode", "tel_x", "tel_y", "tel_a", "tel_b", "group_id", "business_user", "order_id", "scenario",
    "expiration",
)  # fmt: skip
BATCH: Final = 20_000  # lines written at a time, sorted by X: neighbours share pages
CACHE_KIB: Final = 131_072  # page cache of the import; what does not fit goes into the write-ahead log early
MAX_LINE: Final = 65_536  # characters read at a time: a file without line ends must not fill the memory
MAX_REPORTED: Final = 1_000  # bad lines told one by one; the others are counted

Progress = Callable[[int, int], None]  # lines done, bytes done

_HOLDER: Final = re.compile(r", by ([0-9a-f]{32})\Z")


@final
@dataclass(slots=True)
class ImportReport:
    """What became of a file. `lines`: "line 7: tel_a: ...", at most MAX_REPORTED of `bad`."""

    imported: int = 0
    bad: int = 0
    lines: list[str] = field(default_factory=list)

    def add(self, number: int, reason: str) -> None:
        """One more bad line."""
        self.bad += 1
        if len(self.lines) < MAX_REPORTED:
            self.lines.append(f"line {number}: {reason}")
        elif self.bad == MAX_REPORTED + 1:
            self.lines.append("")
        if self.bad > MAX_REPORTED:
            self.lines[-1] = f"and {self.bad - MAX_REPORTED} more"


def csv_line(values: Iterable[object]) -> str:
    """One line of CSV without its end."""
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="").writerow(values)
    return buffer.getvalue()


def import_bindings(
    path: Path, cipher: NumberCipher, file: Path, clock: Callable[[], float], skip_bad: bool = False,
    progress: Progress | None = None, cancelled: threading.Event | None = None, announces: bool = False,
) -> ImportReport:  # fmt: skip
    """Import `file` into bindings.db, in one transaction that readers do not notice.

    What it makes is valid from the moment at which that begins; `clock` tells it, in seconds since the epoch.
    With a bad line nothing is imported, unless `skip_bad`. `progress` is called in this thread after each
    batch; `announces`: whether the platforms' feeds are told. StoreError when a file cannot be used, when its header is
    wrong, or when the import was cancelled.
    """
    try:
        source = file.open("rb")
    except OSError as error:
        raise StoreError(f"{file}: {error.strerror}") from None
    with source:
        connection = open_database(path, BINDINGS, cipher)
        recent = RecentCallers(path.with_name("records.db"), cipher)
        with closing(connection), closing(recent), store_errors(path):
            connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
            work = _Import(connection, cipher, recent, clock, announces)
            return work.run(file, source, skip_bad, progress, cancelled)


@final
class _Import:
    """One import, from BEGIN to COMMIT or ROLLBACK."""

    def __init__(
        self, connection: sqlite3.Connection, cipher: NumberCipher, recent: RecentCallers,
        clock: Callable[[], float], announces: bool,
    ) -> None:  # fmt: skip
        """Begins it."""
        self._connection = connection
        self._report = ImportReport()
        self._bad: list[tuple[int, str]] = []  # lines that are none, since the last batch
        connection.execute("BEGIN IMMEDIATE")
        # The clock is read here, where no other writer is: see `BindingStore.bind`.
        self._bulk = BulkBinder(connection, cipher, recent, secrets.randbelow, clock(), announces)

    def run(
        self, file: Path, source: BinaryIO, skip_bad: bool, progress: Progress | None,
        cancelled: threading.Event | None,
    ) -> ImportReport:  # fmt: skip
        report = self._report
        try:
            done = 0
            add = self._bulk.add_values
            for number, values in _lines(file, source, self._bad):
                done += 1
                add(number, values)
                if done % BATCH == 0:
                    self._write()
                    _stop_if(cancelled, file)
                    if progress is not None:
                        progress(done, source.tell())
            self._write()
            _stop_if(cancelled, file)
            if report.bad and not skip_bad:
                report.imported = 0
                self._connection.execute("ROLLBACK")
            else:
                self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise
        if progress is not None:
            progress(done, source.tell())
        return report

    def _write(self) -> None:
        """What has been read since the last time."""
        bad, self._bad[:] = self._bad[:], []
        for number, result in self._bulk.flush():
            if isinstance(result, Problem):
                bad.append((number, _HOLDER.sub(self._whose, str(result))))
            else:
                self._report.imported += 1
        for number, reason in sorted(bad):
            self._report.add(number, reason)

    def _whose(self, found: re.Match[str]) -> str:
        number = self._bulk.number_of(found[1])
        return f", by line {number}" if number else f", by binding {found[1]}"


def _stop_if(cancelled: threading.Event | None, file: Path) -> None:
    """Nobody waits for the import any more: nothing of it stays."""
    if cancelled is not None and cancelled.is_set():
        raise StoreError(f"{file}: import cancelled, nothing was imported")


def _lines(file: Path, source: BinaryIO, bad: list[tuple[int, str]]) -> Iterator[tuple[int, Sequence[str]]]:
    """The lines of the file with their numbers, values in the order of COLUMNS; one that is no CSV or has too few
    values goes into `bad`.
    """
    # Bytes that are no UTF-8 become characters that no rule accepts.
    text = io.TextIOWrapper(source, encoding="utf-8-sig", errors="surrogateescape", newline="")
    try:
        reader = csv.reader(iter(partial(text.readline, MAX_LINE), ""), strict=True)
        try:
            order = _order(file, next(reader, []))
        except csv.Error as error:
            raise StoreError(f"{file}: line 1: not CSV: {error}") from None
        in_order = None if order == list(range(len(COLUMNS))) else itemgetter(*order)
        while True:
            number = reader.line_num + 1  # a quoted value may span lines: the first one counts
            try:
                for values in reader:
                    if len(values) == len(COLUMNS):
                        yield number, values if in_order is None else in_order(values)
                    elif values:
                        bad.append((number, f"{len(values)} values instead of {len(COLUMNS)}"))
                    number = reader.line_num + 1
                return
            except csv.Error as error:
                bad.append((number, f"not CSV: {error}"))
    except OSError as error:
        raise StoreError(f"{file}: {error.strerror or error}") from None
    finally:
        text.detach()


def _order(file: Path, header: list[str]) -> list[int]:
    """Where each of COLUMNS stands in the header."""
    names = [name.strip() for name in header]
    for name in names:
        if name not in COLUMNS:
            raise StoreError(f"{file}: line 1: unknown column {shown(name)}, expected {','.join(COLUMNS)}")
    for name in COLUMNS:
        if names.count(name) != 1:
            raise StoreError(f"{file}: line 1: column {name} must stand there once")
    return [names.index(name) for name in COLUMNS]
