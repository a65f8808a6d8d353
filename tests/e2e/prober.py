"""Asks a node for OPTIONS all the while, to see whether its loop ever stands still."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from scenarios.rig.node import Node
from scenarios.rig.place import PORT
from tests.e2e.datagrams import request, udp_socket
from tests.e2e.stopwatch import stolen_s

PROBER_PORT: Final = 5090
PERIOD_S: Final = 0.05
SILENCE_S: Final = 30.0  # a longer wait for one answer is as bad as none, on any machine
ANSWERS_WITHIN_S: Final = 0.1  # what a node owes whatever its disk does


class Prober(threading.Thread):
    """20 OPTIONS a second from the caller's trunk, one at a time."""

    def __init__(self, node: Node) -> None:
        super().__init__(name="prober", daemon=True)
        assert node.process is not None
        self._target = (node.place.node, PORT)
        self._stat = Path(f"/proc/{node.process.pid}/task/{node.process.pid}/schedstat")
        self._socket = udp_socket(node.place.caller, PROBER_PORT)
        self._socket.settimeout(SILENCE_S)
        self._ended = threading.Event()
        self.waits_s: list[float] = []

    def run(self) -> None:
        """The thread's body."""
        count = 0
        with self._socket:
            while not self._ended.wait(PERIOD_S):
                count += 1
                self.waits_s.append(self._ask(f"probe-{count}"))

    def _ask(self, call_id: str) -> float:
        """Seconds until the answer, less those for which other programs had the processors."""
        host, port = self._socket.getsockname()
        data = request("OPTIONS", f"sip:{self._target[0]}", f"{host}:{port}", call_id)
        starved_s = self._starved_s()
        began = time.monotonic()
        self._socket.sendto(data, self._target)
        try:
            while f"Call-ID: {call_id}\r\n".encode() not in self._socket.recv(65_536):
                pass  # late, to a probe before
        except TimeoutError:
            pass
        return time.monotonic() - began - (self._starved_s() - starved_s)

    def _starved_s(self) -> float:
        """How long this thread and the node's loop have stood ready to run, and others ran."""
        own = Path(f"/proc/{os.getpid()}/task/{threading.get_native_id()}/schedstat")
        return sum(int(stat.read_text().split()[1]) for stat in (own, self._stat)) / 1e9 + stolen_s()

    def end(self) -> float:
        """Ends it; the longest wait in seconds."""
        self._ended.set()
        self.join()
        return max(self.waits_s)


@contextmanager
def answers_all_the_while(node: Node, within_s: float = ANSWERS_WITHIN_S) -> Iterator[Prober]:
    """Within this block the node answers each OPTIONS within 100 ms, or what is asked for."""
    prober = Prober(node)
    prober.start()
    try:
        yield prober
    finally:
        longest_s = prober.end()
    print(f"{len(prober.waits_s)} OPTIONS, the longest wait {longest_s * 1000:.1f} ms")
    assert len(prober.waits_s) > 10
    assert longest_s < within_s
