"""The API as a process of its own, without a node."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from engine.keeper import READY

PORT = 8700


@dataclass
class Served:
    """It answers at `url`, by the configuration in `file`."""

    url: str
    file: Path


@contextmanager
def serve(folder: Path, host: str, more: str = "") -> Iterator[Served]:
    """It runs inside; `more` is TOML of `[api]`."""
    file = folder / "veil.toml"
    file.write_text(f'[node]\ndata_dir = "var"\n[api]\naddress = "{host}:{PORT}"\n{more}')
    words = [sys.executable, "-m", "engine.api", "--config", str(file)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None and process.stdout is not None
        word = process.stdout.readline().decode().strip()
        assert word.startswith(READY), word
        yield Served(word.removeprefix(f"{READY} "), file)
        process.stdin.close()
        assert process.wait(60) == 0
