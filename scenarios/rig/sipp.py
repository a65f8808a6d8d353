"""Real SIPp as caller or callee: runs one scenario file, and reads what SIPp has counted, sent and received."""

from __future__ import annotations

import csv
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

from scenarios.rig.engine import ENDS_S, Counted
from scenarios.rig.errors import RigError
from scenarios.rig.place import PORT
from scenarios.rig.seen import Seen

SIPP: Final = "/usr/bin/sipp"
_MODES: Final = {"udp": "u1", "tcp": "t1"}
_START_S: Final = 30.0  # on a machine that is busy with other tests

_UNEXPECTED: Final = ("FailedUnexpectedMessage", "OutOfCallMsgs", "DeadCallMsgs")
_TIME_WAIT: Final = "06"  # as /proc/net/tcp has it
# A line of dashes with the local time, one that says how many bytes, an empty one; the bytes follow.
_ENTRY: Final = re.compile(rb"-{47} ([^\n]*)\n[A-Z]+ message (sent|received) [(\[](\d+)[^\n]*\n\n")


def require_sipp() -> None:
    """Raises RigError when it is not installed."""
    if not Path(SIPP).exists():
        raise RigError(f"{SIPP} is missing: apt-get install -y sip-tester")


def read_trace(path: Path) -> Iterator[Seen]:
    """What `-trace_msg` has written. Its other entries, about calls that it gives up, repeat what stands there."""
    data = path.read_bytes() if path.exists() else b""
    start = 0
    while found := _ENTRY.search(data, start):
        start = found.end() + int(found[3])
        if start > len(data):
            return  # SIPp was ended while it wrote
        at_s = datetime.fromisoformat(found[1].decode()).astimezone().timestamp()
        yield Seen(at_s, found[2] == b"sent", data[found.end() : start])


class Sipp:
    """One SIPp process. It ends by itself after `calls` calls; `None`: when it is told to."""

    def __init__(
        self, folder: Path, file: Path, host: str, *, port: int = PORT, target: str = "",
        rows: Iterable[Sequence[str]] = (), calls: int | None = 1, rate: int = 50, timeout_s: int = ENDS_S,
        talk_ms: int = 30, options: Sequence[str] = (), limit: int = 0, is_traced: bool = True, transport: str = "udp",
    ) -> None:  # fmt: skip
        """`target` is where a caller calls; `rows` are the fields for injection, one call a row. What it writes goes
        into `folder`. `limit` calls at the same time at most; not `is_traced`: it keeps no messages."""
        require_sipp()
        self.scenario = f"{file.parent.name}/{file.stem}"
        self._base = folder / f"{file.parent.name}-{file.stem}-{host.rpartition('.')[2]}-{port}"
        self.host, self.port = host, port
        self._argv = [
            SIPP, *([target] if target else []), "-sf", str(file), "-i", host, "-p", str(port),
            "-ci", host, "-cp", str(port + 1000), "-t", _MODES[transport], "-nostdin", "-skip_rlimit", "-buff_size",
            "4000000",
            "-timer_resol", "1", "-default_behaviors", "abortunexp", "-timeout", f"{timeout_s}s", "-timeout_error",
            *(["-trace_msg", "-message_file", str(self._file("messages"))] if is_traced else []),
            "-trace_err", "-error_file", str(self._file("errors")),
            "-trace_stat", "-stf", str(self._file("csv")), "-fd", "1", "-d", str(talk_ms), *options,
        ]  # fmt: skip
        lines = [";".join(row) for row in rows]
        if lines:
            self._file("injected").write_text("\n".join(["SEQUENTIAL", *lines, ""]))
            self._argv += ["-inf", str(self._file("injected"))]
        if calls is not None:
            self._argv += ["-m", str(calls)]
        if target:
            self._argv += ["-r", str(rate), "-l", str(limit or max(100, rate * 20))]
        self._timeout_s = timeout_s
        self.process: subprocess.Popen[bytes] | None = None

    def _file(self, suffix: str) -> Path:
        return self._base.with_name(f"{self._base.name}.{suffix}")

    def start(self) -> Sipp:
        """Starts it, and returns once it takes messages."""
        with self._file("screen").open("wb") as screen:
            self.process = subprocess.Popen(
                self._argv, cwd=self._base.parent, stdin=subprocess.DEVNULL, stdout=screen, stderr=screen,
                env={**os.environ, "TERM": "xterm"},
            )  # fmt: skip
        deadline = time.monotonic() + _START_S
        while not is_bound(self.host, self.port):
            if self.process.poll() is not None:
                break  # a caller with few calls may be through already; what is wrong else shows in its figures
            if time.monotonic() > deadline:
                raise RigError(f"SIPp does not start: {self._file('screen').read_text(errors='replace')}")
            time.sleep(0.005)
        return self

    def wait(self) -> Counted:
        """Its figures, once it has ended."""
        assert self.process is not None
        try:
            return self._counted(self.process.wait(self._timeout_s + 10))
        except subprocess.TimeoutExpired:
            raise RigError(f"SIPp plays {self.scenario} and does not end") from None

    def finish(self) -> Counted:
        """Has it place no more calls, and returns its figures once those that it has placed are over."""
        assert self.process is not None
        self.process.send_signal(signal.SIGUSR1)
        return self.wait()

    def end(self) -> Counted:
        """Ends it, whatever it is at, and returns its figures."""
        self.close()
        assert self.process is not None
        return self._counted(self.process.returncode)

    def close(self) -> None:
        """Ends it if it still runs."""
        if self.process is None or self.process.poll() is not None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(5.0)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def _counted(self, exit_status: int) -> Counted:
        rows: list[dict[str, str]] = []
        if self._file("csv").exists():
            with self._file("csv").open(newline="") as file:
                rows = list(csv.DictReader(file, delimiter=";"))
        last = rows[-1] if rows else {}
        errors = self._file("errors")
        return Counted(
            exit_status,
            int(last.get("SuccessfulCall(C)") or 0),
            int(last.get("FailedCall(C)") or 0),
            int(last.get("Retransmissions(C)") or 0),
            sum(int(last.get(f"{name}(C)") or 0) for name in _UNEXPECTED),
            errors.read_text(errors="replace")[-2000:] if errors.exists() else "",
        )

    @property
    def messages(self) -> list[Seen]:
        """All that it has sent and received, in order."""
        return list(read_trace(self._file("messages")))


def is_bound(host: str, port: int) -> bool:
    """True when somebody has this IPv4 address and port, by UDP or TCP; a connection that is over has it no more."""
    wanted = f"{int.from_bytes(socket.inet_aton(host), 'little'):08X}:{port:04X}"
    for protocol in ("udp", "tcp"):
        with open(f"/proc/net/{protocol}", encoding="ascii") as sockets:
            rows = (line.split() for line in sockets)
            if any(row[1] == wanted and row[3] != _TIME_WAIT for row in rows):
                return True
    return False
