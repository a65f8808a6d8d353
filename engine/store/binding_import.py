"""`bindings import`: a CSV file of any size into the store, all or nothing, every bad line by its number."""

from __future__ import annotations

import csv
import io
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from operator import itemgetter
from pathlib import Path
from typing import BinaryIO, Final, final

from engine.core.numbers import mask
from engine.store.binding_rows import (
    HOLDER,
    INSERT_BINDING,
    INSERT_NEW_TARGET,
    INSERT_TARGET,
    Row,
    make_rows,
    new_subs_id,
    whole_ms,
)
from engine.store.binding_rules import BindRequest, Premises, QuickCheck, Terms, check, shown
from engine.store.crypto import NumberCipher
from engine.store.database import BINDINGS, open_database, store_errors
from engine.store.errors import BindRefused, StoreError

COLUMNS: Final = (
    "mode", "tel_x", "tel_y", "tel_a", "tel_b", "group_id", "business_user", "order_id", "scenario",
    "expiration",
)  # fmt: skip
BATCH: Final = 20_000  # lines written at a time, sorted by X: neighbours share pages
CACHE_KIB: Final = 131_072  # page cache of the import; what does not fit goes into the write-ahead log early
MAX_LINE: Final = 65_536  # characters read at a time: a file without line ends must not fill the memory
MAX_REPORTED: Final = 1_000  # bad lines told one by one; the others are counted

Progress = Callable[[int, int], None]  # lines done, bytes done
_Line = tuple[str, int, Terms]  # X, number of the line, what it says
_number = itemgetter(1)


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
    path: Path, cipher: NumberCipher, file: Path, clock: Callable[[], float], skip_bad: bool = False,
    progress: Progress | None = None, cancelled: threading.Event | None = None,
) -> ImportReport:  # fmt: skip
    """Import `file` into bindings.db, in one transaction that readers do not notice.

    What it makes is valid from the moment at which that begins; `clock` tells it, in seconds since the epoch.
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
                return _Import(connection, cipher, clock).run(file, source, skip_bad, progress, cancelled)
        finally:
            connection.close()


@final
class _Import:
    """One import, from BEGIN to COMMIT or ROLLBACK."""

    def __init__(self, connection: sqlite3.Connection, cipher: NumberCipher, clock: Callable[[], float]) -> None:
        """Begins it."""
        self._connection = connection
        self._cipher = cipher
        self._report = ImportReport()
        connection.execute("BEGIN IMMEDIATE")
        self._wall_s = whole_ms(clock())  # read here, where no other writer is: see `BindingStore.bind`
        # The line number is added to it: ids are unique without drawing a million, and tell the line that
        # took a target.
        self._first_id = int(new_subs_id(self._wall_s), 16) & ~0xFFFF_FFFF_FFFF

    def run(
        self, file: Path, source: BinaryIO, skip_bad: bool, progress: Progress | None,
        cancelled: threading.Event | None,
    ) -> ImportReport:  # fmt: skip
        report = self._report
        try:
            premises = self._premises()
            batch: list[_Line] = []
            done = 0
            quick = QuickCheck(premises, self._wall_s).terms
            for number, values in _lines(file, source, report):
                done += 1
                terms = quick(values) or self._check(number, values, premises)
                if terms is not None:
                    batch.append((terms.tel_x, number, terms))
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

    def _check(self, number: int, values: Sequence[str], premises: Premises) -> Terms | None:
        """The terms of a line by the full rules; one that breaks a rule is reported."""
        try:
            return check(BindRequest(*[value.strip() for value in values]), premises, self._wall_s)
        except BindRefused as error:
            self._report.add(number, error)
            return None

    def _write(self, batch: list[_Line]) -> None:
        """A batch at once; line by line only when some target is taken."""
        if not batch:
            return
        batch.sort()
        subs_ids = [self._subs_id(number) for _, number, _ in batch]
        bindings, targets = make_rows(subs_ids, [terms for _, _, terms in batch], self._cipher, self._wall_s)
        self._connection.execute("SAVEPOINT batch")
        if not self._all_fit(targets):
            self._connection.execute("ROLLBACK TO batch")
            pairs = zip(batch, zip(targets[::2], targets[1::2], strict=True), strict=True)
            in_order = sorted(pairs, key=lambda pair: _number(pair[0]))  # of two lines the first gets the target
            written = {self._subs_id(_number(line)) for line, rows in in_order if self._is_written(line, rows)}
            bindings = [row for row in bindings if row[0] in written]
        bindings.sort(key=itemgetter(0))  # as they stand in the file: both keys of the table grow at their ends
        self._connection.executemany(INSERT_BINDING, bindings)
        self._connection.execute("RELEASE batch")
        self._report.imported += len(bindings)

    def _all_fit(self, targets: list[Row]) -> bool:
        """Write all of them; False when some target is taken, and all must be rolled back."""
        try:
            self._connection.executemany(INSERT_NEW_TARGET, targets)
        except sqlite3.IntegrityError:  # perhaps by one that has expired, and gives way
            self._connection.execute("ROLLBACK TO batch")
            rows = [(*row, self._wall_s) for row in targets]
            return self._connection.executemany(INSERT_TARGET, rows).rowcount == len(targets)
        return True

    def _is_written(self, line: _Line, rows: tuple[Row, Row]) -> bool:
        """Write both targets of a line, or none and report who has one of them."""
        tel_x, number, terms = line
        execute = self._connection.execute
        execute("SAVEPOINT line")
        for real, row in zip((terms.tel_a, terms.tel_b), rows, strict=True):
            if execute(INSERT_TARGET, (*row, self._wall_s)).rowcount != 1:
                execute("ROLLBACK TO line")
                execute("RELEASE line")
                whose = self._whose(execute(HOLDER, row[:2]).fetchone()[0])
                self._report.add(number, f"tel_x: {tel_x} is already bound for {mask(real)}, by {whose}")
                return False
        execute("RELEASE line")
        return True

    def _whose(self, subs_id: str) -> str:
        number = int(subs_id, 16) - self._first_id
        return f"line {number}" if 0 < number < 1 << 48 else f"binding {subs_id}"

    def _subs_id(self, number: int) -> str:
        return f"{self._first_id + number:032x}"


def _stop_if(cancelled: threading.Event | None, file: Path) -> None:
    """Nobody waits for the import any more: nothing of it stays."""
    if cancelled is not None and cancelled.is_set():
        raise StoreError(f"{file}: import cancelled, nothing was imported")


def _lines(file: Path, source: BinaryIO, report: ImportReport) -> Iterator[tuple[int, Sequence[str]]]:
    """The lines of the file with their numbers, values in the order of COLUMNS; one that is no CSV or has too few
    values is reported.
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
                        report.add(number, f"{len(values)} values instead of {len(COLUMNS)}")
                    number = reader.line_num + 1
                return
            except csv.Error as error:
                report.add(number, f"not CSV: {error}")
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
