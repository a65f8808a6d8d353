"""The files of `-trace_...`, in SIPp's formats and under its names. Nothing in them is masked: each is its owner's."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import IO, Final, final

from sipstack.scenario.model import Element
from sipstack.scenario.received import Received
from sipstack.scenario.report import Ended, Exchanged
from sipstack.scenario.screen import all_screens
from sipstack.scenario.stat_file import Standing, StatRows, counts_header, counts_row, wall


class Trace(Enum):
    """What a file holds; the value is the end of its name."""

    MESSAGES = "_messages.log"
    SHORT = "_shortmessages.log"
    ERRORS = "_errors.log"
    LOGS = "_logs.log"
    CALLS = "_calldebug.log"
    SCREEN = "_screen.log"
    STATISTICS = "_.csv"
    COUNTS = "_counts.csv"
    TIMES = "_rtt.csv"
    CODES = "_error_codes.csv"


@dataclass(frozen=True, slots=True)
class TraceSettings:
    """Which files are written. `response_names` are the times that a scenario measures."""

    files: Mapping[Trace, Path] = field(default_factory=dict)
    appends: frozenset[Trace] = frozenset()
    delimiter: str = ";"
    times_every: int = 200
    transport: str = "UDP"
    response_names: tuple[str, ...] = ()


_NO_FILES: Final = TraceSettings()


@final
class Traces:
    """Opens its files at once; OSError, which names the file, when one cannot be written."""

    def __init__(self, settings: TraceSettings = _NO_FILES) -> None:
        self._settings = settings
        self._files: dict[Trace, IO[bytes]] = {}
        self._rows = StatRows(settings.response_names, settings.delimiter)
        self._has_header = False
        self._times: list[str] = []
        self._codes: dict[int, int] = {}
        try:
            for trace, path in settings.files.items():
                how = os.O_APPEND if trace in settings.appends else os.O_TRUNC
                with _named(path):
                    self._files[trace] = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | how, 0o600), "wb")
        except OSError:
            self.close()
            raise
        self._write(Trace.TIMES, f"Date_ms{settings.delimiter}response_time_ms{settings.delimiter}rtd_no\n")
        self._write(Trace.ERRORS, "The following events occurred:\n")

    @property
    def watches_messages(self) -> bool:
        """False when no file wants to know of each message."""
        return Trace.MESSAGES in self._files or Trace.SHORT in self._files

    def has(self, trace: Trace) -> bool:
        """Whether there is such a file."""
        return trace in self._files

    def exchanged(self, exchanged: Exchanged, unix_s: float) -> None:
        """A message has come or gone."""
        data = exchanged.data
        if Trace.MESSAGES in self._files:
            stamp, transport = wall(unix_s).replace("\t", " ", 1).partition("\t")[0], self._settings.transport
            title = f"{transport} message sent ({len(data)} bytes)"
            if not exchanged.is_sent:
                title = f"{transport} message received [{len(data)}] bytes "
            self._put(Trace.MESSAGES, f"{'-' * 47} {stamp}\n{title}:\n\n".encode() + data + b"\n")
        if Trace.SHORT in self._files:
            message = Received(data)
            direction, (number, method) = "S" if exchanged.is_sent else "R", message.cseq
            row = (wall(unix_s), direction, message.call_id, f"CSeq:{number} {method}", message.start_line)
            self._write(Trace.SHORT, "\t".join(row) + "\n")

    def ended(self, ended: Ended, unix_s: float) -> None:
        """A call is through; one that has failed is told from its beginning."""
        if not ended.failure:
            return
        self.error(f"call {ended.call_id}: {ended.failure}", unix_s)
        if Trace.CALLS not in self._files:
            return
        began_s = ended.seen[0].at_s if ended.seen else 0.0
        self._write(Trace.CALLS, f"{'-' * 79}\nCall debugging information for call {ended.call_id}:\n")
        for one in ended.seen:
            what = "sent" if one.is_sent else "received"
            self._put(Trace.CALLS, f"after {one.at_s - began_s:.6f} s {what}:\n".encode() + one.data + b"\n")
        self._write(Trace.CALLS, f"{wall(unix_s)} {ended.failure}\n")

    def error(self, text: str, unix_s: float) -> None:
        """What has gone wrong."""
        self._write(Trace.ERRORS, f"{wall(unix_s)}: {text}\n")

    def log(self, text: str) -> None:
        """What `<log>` says."""
        self._write(Trace.LOGS, f"{text}\n")

    def responded(self, name: str, seconds: float, elapsed_s: float) -> None:
        """A response time; they are written so many at a time."""
        mark = self._settings.delimiter
        self._times.append(f"{elapsed_s * 1000:.3f}{mark}{seconds * 1000:.3f}{mark}{name}\n")
        if len(self._times) >= self._settings.times_every:
            self._flush_times()

    def snapshot(self, at: Standing) -> None:
        """A row for each file that has one each period."""
        if not self._has_header:
            self._write(Trace.STATISTICS, self._rows.header(at.tally))
            self._write(Trace.COUNTS, counts_header(at.scenario, self._settings.delimiter))
            self._has_header = True
        self._write(Trace.STATISTICS, self._rows.row(at))
        self._write(Trace.COUNTS, counts_row(at, self._settings.delimiter))
        refusals = at.tally.refusals
        codes = [str(status) for status in refusals for _ in range(refusals[status] - self._codes.get(status, 0))]
        self._codes = dict(refusals)
        mark = self._settings.delimiter
        self._write(Trace.CODES, mark.join((wall(at.now_unix_s), f"{at.elapsed_s:.6f}", *codes)) + mark + "\n")
        self._flush_times()
        for file in self._files.values():
            file.flush()

    def screens(self, at: Standing) -> None:
        """All screens."""
        self._write(Trace.SCREEN, "\n".join(all_screens(at)) + "\n")

    def finish(self, at: Standing) -> None:
        """The last rows, and the screens."""
        self.snapshot(at)
        self.screens(at)

    def close(self) -> None:
        """Closes all files."""
        for trace, file in self._files.items():
            with _named(self._settings.files[trace]):
                file.close()

    def _flush_times(self) -> None:
        rows, self._times = self._times, []
        self._write(Trace.TIMES, "".join(rows))

    def _write(self, trace: Trace, text: str) -> None:
        if text and trace in self._files:
            self._put(trace, text.encode(errors="replace"))

    def _put(self, trace: Trace, data: bytes) -> None:
        file = self._files.get(trace)
        if file is not None:
            with _named(self._settings.files[trace]):
                file.write(data)


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """An error of an open file does not say which one."""
    try:
        yield
    except OSError as error:
        error.filename = str(path)
        raise


def names_of_times(elements: Sequence[Element]) -> tuple[str, ...]:
    """The response times that a scenario measures, in the order in which it names them."""
    named = [name for element in elements for name in (element.start_rtd, element.rtd) if name is not None]
    return tuple(dict.fromkeys(named))
