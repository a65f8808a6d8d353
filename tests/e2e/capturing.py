"""`veil700 capture` beside a node, as a process of its own."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from scenarios.rig.node import ROOT, Node
from sipstack.pcap import read_datagrams
from tests.e2e.waiting import wait_for
from tests.sipstack.pcapng_reader import Capture, read_pcapng

WAIT_S = 30.0


class Capturing:
    """A command at work; it has told that it is, so the tap is open."""

    def __init__(self, node: Node, file: Path, *words: str) -> None:
        self.file = file
        self.process = subprocess.Popen(
            ["/bin/sh", "-c", 'trap "" INT; exec "$@"', "sh",  # as a script starts what runs beside it
             sys.executable, "-m", "engine.main", "--config", node.config, "capture", "--out", file, *words],
            cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self.process.stderr is not None
        self.told = self.process.stderr.readline()
        assert self.told.startswith("veil700: capturing into "), self.told

    def interrupt(self, number: signal.Signals = signal.SIGINT) -> tuple[int, str, str]:
        """Ctrl-C, or another signal; exit status and outputs."""
        self.process.send_signal(number)
        return self.end()

    def end(self) -> tuple[int, str, str]:
        """When it ends by itself."""
        out, err = self.process.communicate(timeout=WAIT_S)
        return self.process.returncode, out, err

    def json(self) -> Any:
        """What it has told with --json, once it has ended."""
        status, out, err = self.end()
        assert (status, err) == (0, ""), err
        return json.loads(out)

    def read(self) -> Capture:
        """The file."""
        return read_pcapng(self.file.read_bytes())

    def await_messages(self, count: int) -> None:
        """Until so many stand in the file; it is still written."""
        assert wait_for(lambda: len(read_datagrams(self.file.read_bytes())) >= count)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()


Started = Callable[..., Capturing]
