"""Kamailio as a process of its own on a configuration of the test's."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path
from typing import Final

from scenarios.rig.place import PORT
from scenarios.rig.sipp import is_bound

START_S: Final = 60.0


class Kamailio:
    """What it writes lies beside its configuration; `defines` are the names that it is to take as defined."""

    def __init__(self, config: Path, *defines: str) -> None:
        self._config, self._folder = config, config.parent
        self._defines = [word for name in defines for word in ("-A", name)]
        self._log = self._folder / "log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> str:
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def check(self) -> subprocess.CompletedProcess[bytes]:
        """Kamailio's own check of the file."""
        return subprocess.run(
            ["kamailio", "-c", "-f", self._config, "-Y", self._folder, *self._defines],
            capture_output=True, timeout=START_S, check=False,
        )  # fmt: skip

    def start(self, host: str) -> None:
        """Returns once it has its socket at `host` and takes messages."""
        pid = self._folder / "pid"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                ["kamailio", "-f", self._config, "-DD", "-E", "-m", "32", "-M", "4", "-P", pid, "-Y", self._folder,
                 *self._defines],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        deadline = time.monotonic() + START_S
        while not is_bound(host, PORT) or not pid.exists():
            assert self._process.poll() is None and time.monotonic() < deadline, self.log
            time.sleep(0.02)

    def close(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(START_S)
