"""`bindings import`: a CSV file of any size into the store, all or nothing, every bad line by its number."""

from __future__ import annotations

import csv
import io
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Final, final

from engine.core.numbers import mask
from engine.store.binding_rows import (
    HOLDER,
    INSERT_BINDING,
    INSERT_TARGET,
    Row,
    binding_row,
    new_subs_id,
    target_rows,
)
from engine.store.binding_rules import BindRequest, Premises, Terms, check, shown
from engine.store.crypto import NumberCipher
from engine.store.database import BINDINGS, open_database, store_errors
from engine.store.errors import BindRefused, StoreError

COLUMNS: Final = (
    "mode", "tel_x", "tel_y", "tel_a", "tel_b", "group_id", "business_user", "order_id", "scenario",
    "expiration",
)  # fmt: skip
BATCH: Final = 10_000  # lines written at a time, sorted by X: neighbours share pages
CACHE_KIB: Final = 65_536  # page cache of the import; what does not fit goes into the write-ahead log early
MAX_LINE: Final = 65_536  # characters read at a time: a file without line ends must not fill the memory
MAX_REPORTED: Final = 1_000  # bad lines told one by one; the others are counted

Progress = Callable[[int, int], None]  # lines done, bytes done
_Line = tuple[int, BindRequest, Terms]


@final
@dataclass(slots=True)
class ImportReport:
    """What became of a file. `lines`: "line 7: tel_a: ...", at most MAX_REPORTED of `bad`."""

    imported: int = 0
    bad: int = 0
    lines: list[str] = field(default_factory=list)

    def add(self, number: int, reason: object) -> None:
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
    path: Path, cipher: NumberCipher, file: Path, wall_s: float, skip_bad: bool = False,
    progress: Progress | None = None, cancelled: threading.Event | None = None,
) -> ImportReport:  # fmt: skip
    """Import `file` into bindings.db at `wall_s`, in one transaction that readers do not notice.

    With a bad line nothing is imported, unless `skip_bad`. `progress` is called in this thread after each
    batch. StoreError when a file cannot be used, when its header is wrong, or when the import was cancelled.
    """
    try:
        source = file.open("rb")
    except OSError as error:
        raise StoreError(f"{file}: {error.strerror}") from None
    with source:
        connection = open_database(path, BINDINGS, cipher)
        try:
            with store_errors(path):
                connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
                return _Import(connection, cipher, wall_s).run(file, source, skip_bad, progress, cancelled)
        finally:
            connection.close()


@final
class _Import:
    """One import, from BEGIN to COMMIT or ROLLBACK."""

    def __init__(self, connection: sqlite3.Connection, cipher: NumberCipher, wall_s: float) -> None:
        self._connection = connection
        self._cipher = cipher
        self._wall_s = wall_s
        self._report = ImportReport()
        # The line number is added to it: ids are unique without drawing a million, and tell the line that
        # took a target.
        self._first_id = int(new_subs_id(wall_s), 16) & ~0xFFFF_FFFF_FFFF

    def run(
        self, file: Path, source: BinaryIO, skip_bad: bool, progress: Progress | None,
        cancelled: threading.Event | None,
    ) -> ImportReport:  # fmt: skip
        report = self._report
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            premises = self._premises()
            batch: list[_Line] = []
            done = 0
            for number, request in _requests(file, source, report):
                done += 1
                try:
                    batch.append((number, request, check(request, premises, self._wall_s)))
                except BindRefused as error:
                    report.add(number, error)
                if done % BATCH == 0:
                    self._write(batch)
                    batch = []
                    _stop_if(cancelled, file)
                    if progress is not None:
                        progress(done, source.tell())
            self._write(batch)
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

    def _premises(self) -> Premises:
        execute = self._connection.execute
        blocks = execute("SELECT prefix, state, business_user FROM number_block")
        users = execute("SELECT id, app_platform FROM business_user")
        return Premises({prefix: (state, user) for prefix, state, user in blocks}, dict(users))

    def _write(self, batch: list[_Line]) -> None:
        """A batch at once; line by line only when some target is taken."""
        batch.sort(key=lambda line: line[1].tel_x)
        self._connection.execute("SAVEPOINT batch")
        targets = [row for line in batch for row in self._targets(line)]
        if targets and self._connection.executemany(INSERT_TARGET, targets).rowcount != len(targets):
            self._connection.execute("ROLLBACK TO batch")
            batch.sort(key=lambda line: line[0])  # of two lines that want one target the first gets it
            batch = [line for line in batch if self._is_written(line)]
        self._connection.executemany(INSERT_BINDING, [self._binding(line) for line in batch])
        self._connection.execute("RELEASE batch")
        self._report.imported += len(batch)

    def _is_written(self, line: _Line) -> bool:
        """Write both targets of a line, or none and report who has one of them."""
        number, request, terms = line
        execute = self._connection.execute
        execute("SAVEPOINT line")
        for real, row in zip((terms.tel_a, terms.tel_b), self._targets(line), strict=True):
            if execute(INSERT_TARGET, row).rowcount != 1:
                execute("ROLLBACK TO line")
                execute("RELEASE line")
                whose = self._whose(execute(HOLDER, row[:2]).fetchone()[0])
                self._report.add(number, f"tel_x: {request.tel_x} has a target for {mask(real)}: {whose}")
                return False
        execute("RELEASE line")
        return True

    def _whose(self, subs_id: str) -> str:
        number = int(subs_id, 16) - self._first_id
        return f"line {number}" if 0 < number < 1 << 48 else f"binding {subs_id}"

    def _subs_id(self, number: int) -> str:
        return f"{self._first_id + number:032x}"

    def _targets(self, line: _Line) -> tuple[Row, Row]:
        number, request, terms = line
        return target_rows(self._subs_id(number), request, terms, self._cipher, self._wall_s)

    def _binding(self, line: _Line) -> Row:
        number, request, terms = line
        return binding_row(self._subs_id(number), request, terms, self._cipher, self._wall_s)


def _stop_if(cancelled: threading.Event | None, file: Path) -> None:
    """Nobody waits for the import any more: nothing of it stays."""
    if cancelled is not None and cancelled.is_set():
        raise StoreError(f"{file}: import cancelled, nothing was imported")


def _requests(file: Path, source: BinaryIO, report: ImportReport) -> Iterator[tuple[int, BindRequest]]:
    """The lines of the file with their numbers; one that is no CSV or has too few values is reported."""
    # Bytes that are no UTF-8 become characters that no rule accepts.
    text = io.TextIOWrapper(source, encoding="utf-8-sig", errors="surrogateescape", newline="")
    try:
        reader = csv.reader(iter(lambda: text.readline(MAX_LINE), ""), strict=True)
        try:
            order = _order(file, next(reader, []))
        except csv.Error as error:
            raise StoreError(f"{file}: line 1: not CSV: {error}") from None
        while True:
            number = reader.line_num + 1  # a quoted value may span lines: the first one counts
            try:
                values = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                report.add(number, f"not CSV: {error}")
                continue
            if not values:
                continue
            if len(values) != len(COLUMNS):
                report.add(number, f"{len(values)} values instead of {len(COLUMNS)}")
                continue
            yield number, BindRequest(*[values[at].strip() for at in order])
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
