"""Starts a node that confirms every record at once and writes none: what is left of a call without its durable steps.

Takes the arguments of `veil700`. Only the benchmark has this: the product cannot be told to do so. What passes between
the loop and the writer's process is a part of what the steps cost, so this writer has none and answers in the loop. The
process is there, and has nothing to do.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Callable
from typing import final
from unittest.mock import patch

import engine.main
import engine.sip_part
from engine.core.records import CLOSE, Step
from engine.recording.client import Done
from engine.recording.frames import Hello


@final
class NullWriter:
    """To the node it is a `RecordWriter` whose store is never down."""

    spooled = 0
    lost = 0
    fault = ""
    load_fault = ""
    feed_fault = ""
    unloaded_bytes = 0
    damaged = 0
    is_overloaded = False

    def __init__(
        self, _lobby: socket.socket, stream: socket.socket, _hello: Hello, on_done: Callable[[Done], None],
        _tell: Callable[[str], None],
    ) -> None:  # fmt: skip
        self._stream = stream
        self._on_done = on_done
        self._loop = asyncio.get_running_loop()
        self._done: Done = []
        self.written = 0

    def start(self) -> None:
        """There is nothing to start."""

    def submit(self, step: Step, _values: object, _extra: object, token: object) -> bool:
        """Durable on the next turn of the loop; steps of one turn are told together."""
        if not self._done:
            self._loop.call_soon(self._tell)
        self._done.append((token, True))
        self.written += step is CLOSE
        return True

    def _tell(self) -> None:
        done, self._done = self._done, []
        self._on_done(done)

    def stop(self) -> None:
        """There is nothing to write."""
        self._stream.close()


def main() -> int:
    """`veil700`, but for its writer."""
    with patch.object(engine.sip_part, "RecordWriter", NullWriter):
        return engine.main.main()


if __name__ == "__main__":
    sys.exit(main())
