"""What a run has come to, and what went over the wire."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import IO, Final

from sipstack.scenario.tally import Tally

# SIPp's own exit codes.
ALL_WELL: Final = 0
A_CALL_FAILED: Final = 1
TIMED_OUT: Final = 97  # before the first call was through
NO_CALLS: Final = 99
FATAL: Final = 255
CANNOT_BIND: Final = 254


@dataclass(frozen=True, slots=True)
class Exchanged:
    """One datagram. `at_s` are monotonic seconds."""

    at_s: float
    is_sent: bool
    data: bytes


@dataclass(frozen=True, slots=True)
class Report:
    """How a run has ended. `exit_code` is what SIPp would exit with.

    `retransmissions` were sent by us; `unexpected` messages failed their call; `out_of_call` ones belong to no call;
    `shed` datagrams came faster than they could be played.
    """

    exit_code: int
    successful: int
    failed: int
    retransmissions: int
    unexpected: int
    failures: list[str] = field(default_factory=list)
    out_of_call: int = 0
    shed: int = 0


def report_of(tally: Tally, shed: int, *, fatal: bool, timed_out: bool) -> Report:
    """The figures at the end of a run."""
    if fatal:
        code = FATAL
    elif tally.failed:
        code = A_CALL_FAILED
    elif tally.successful:
        code = ALL_WELL
    else:
        code = TIMED_OUT if timed_out else NO_CALLS
    return Report(code, tally.successful, tally.failed, tally.retransmissions, tally.unexpected, list(tally.failures),
                  tally.out_of_call, shed)  # fmt: skip


class TraceFile:
    """What `-trace_msg` writes, in SIPp's format. OSError when it cannot be written.

    A new file is its owner's alone: the messages of a party hold its real number.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: IO[bytes] = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb")

    def __enter__(self) -> TraceFile:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with self._named():
            self._file.close()

    def write(self, exchanged: Exchanged) -> None:
        """Appends one datagram, under the wall clock of now."""
        now = datetime.now().astimezone().replace(tzinfo=None).isoformat(" ", "microseconds")
        size = len(exchanged.data)
        title = f"UDP message sent ({size} bytes)" if exchanged.is_sent else f"UDP message received [{size}] bytes "
        with self._named():
            self._file.write(f"{'-' * 47} {now}\n{title}:\n\n".encode() + exchanged.data + b"\n")

    @contextmanager
    def _named(self) -> Iterator[None]:
        """An error of an open file does not say which one."""
        try:
            yield
        except OSError as error:
            error.filename = str(self._path)
            raise
