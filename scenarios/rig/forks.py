"""Nodes without the half second of processor that each of them would take to load.

A process that has loaded what a node is made of forks for each start: what a node does itself, from its configuration
on, it does as ever. Its memory is shared with the others: who measures that starts a node that loads for itself.
"""

from __future__ import annotations

import atexit
import gc
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Final, final

ROOT: Final = Path(__file__).resolve().parents[2]
_MOST_BYTES: Final = 65536  # of the words of one start
_OF_ONE_TEST: Final = "PYTEST_CURRENT_TEST"  # nothing that a node reads


@final
class Forked:
    """A node that was forked; as much of `subprocess.Popen` as its tests use."""

    def __init__(self, line: socket.socket, stdout: IO[bytes] | None) -> None:
        self._line = line
        self._lock = threading.Lock()
        self.stdout = stdout
        self.returncode: int | None = None
        self.pid: Final = int(line.recv(64))

    def __del__(self) -> None:
        self._line.close()

    def poll(self) -> int | None:
        """The exit status; None while it runs."""
        return self._look(0.0)

    def wait(self, timeout: float | None = None) -> int:
        """The exit status, once it has ended. Raises TimeoutExpired."""
        status = self._look(timeout)
        if status is None:
            assert timeout is not None
            raise subprocess.TimeoutExpired("veil700 run", timeout)
        return status

    def send_signal(self, number: int) -> None:
        """Nothing, where it has ended."""
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        """At once."""
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        """As a service manager does."""
        self.send_signal(signal.SIGTERM)

    def _look(self, wait_s: float | None) -> int | None:
        with self._lock:
            if self.returncode is None and select.select([self._line], [], [], wait_s)[0]:
                told = self._line.recv(64)
                assert told, "the process that forks nodes has ended"
                self.returncode = int(told)
            return self.returncode


@final
class Forks:
    """The process that forks, for all tests of one process; started with the first node."""

    def __init__(self) -> None:
        self._control: socket.socket | None = None
        self._environment: dict[str, str] = {}

    def suits(self, environment: Mapping[str, str]) -> bool:
        """False where a node is to be given something that is looked at before anything else of it runs."""
        return not environment and (self._control is None or _environment() == self._environment)

    def start(self, *words: str, stdout: int | IO[bytes], stderr: IO[bytes]) -> Forked:
        """`veil700` with these words."""
        control = self._control or self._begin()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        read: IO[bytes] | None = None
        with theirs, open(os.devnull, "r+b") as null:
            if stdout == subprocess.PIPE:
                number, written = os.pipe()
                read = os.fdopen(number, "rb", 0)
            else:
                written = os.dup(stdout if isinstance(stdout, int) else stdout.fileno())
            try:
                passed = [null.fileno(), written, stderr.fileno(), theirs.fileno()]
                socket.send_fds(control, [json.dumps(words).encode()], passed)
            finally:
                os.close(written)
        return Forked(ours, read)

    def _begin(self) -> socket.socket:
        self._environment = _environment()
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            number = str(theirs.fileno())
            command = [sys.executable, "-m", "scenarios.rig.forks", number]
            process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, pass_fds=(theirs.fileno(),))
        atexit.register(self._end, process)
        return self._control

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        if self._control is not None:
            self._control.close()
        process.wait()


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != _OF_ONE_TEST}


def forked_words(control: socket.socket) -> list[str] | None:
    """Returns in each process that it forks, with the words of that start; None when nobody is left who wants one."""
    poll = select.poll()
    poll.register(control, select.POLLIN)
    running: dict[int, tuple[int, socket.socket]] = {}
    while True:
        for descriptor, _ in poll.poll():
            if descriptor != control.fileno():
                poll.unregister(descriptor)
                os.close(descriptor)
                pid, line = running.pop(descriptor)
                _, status = os.waitpid(pid, 0)
                with line, suppress(OSError):  # nobody waits for it any more
                    line.send(str(os.waitstatus_to_exitcode(status)).encode())
                continue
            data, passed, _, _ = socket.recv_fds(control, _MOST_BYTES, 4)
            if not data:
                return None
            pid = os.fork()
            if not pid:
                for number, inherited in enumerate(passed[:3]):
                    os.dup2(inherited, number)
                for one in (control, *(line for _, line in running.values())):
                    one.detach()
                os.closerange(3, os.sysconf("SC_OPEN_MAX"))
                words: list[str] = json.loads(data)
                return words
            line = socket.socket(fileno=passed[3])
            line.send(str(pid).encode())
            for inherited in passed[:3]:
                os.close(inherited)
            ended = os.pidfd_open(pid)
            poll.register(ended, select.POLLIN)
            running[ended] = pid, line


def main() -> int:
    """The exit status, of the process that forks and of each node."""
    gc.disable()
    import engine.node  # noqa: F401  # what is loaded before a fork is shared by all
    from engine.main import main as veil700

    gc.freeze()
    gc.enable()
    words = forked_words(socket.socket(fileno=int(sys.argv[1])))
    if words is None:
        return 0
    sys.argv[1:] = words
    return veil700()


if __name__ == "__main__":
    sys.exit(main())
