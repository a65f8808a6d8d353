"""A disk and a clock that misbehave on command, for one node: no root, no mount, and in the middle of a run."""

from __future__ import annotations

import mmap
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from scenarios.rig.node import Node

SOURCE: Final = Path(__file__).parent / "c" / "misbehave.c"

# The page that the node shares with the test: int64 each, in the order of the enum in misbehave.c.
_FIELDS: Final = ("write_errno", "sync_errno", "sync_delay_ms", "read_errno", "clock_offset_s", "hits")
_BYTES: Final = 8


def built(folder: Path) -> Path:
    """The library; a compiler that is missing is an error, for a test must not pass since nothing went wrong."""
    library = folder / "misbehave.so"
    if not library.exists():
        command = ["cc", "-O2", "-Wall", "-Werror", "-shared", "-fPIC", "-o", library, SOURCE, "-ldl"]
        subprocess.run(command, check=True, capture_output=True, text=True)
    return library


class Misbehaviour:
    """What goes wrong with the files in one node's data folder, and with its wall clock."""

    def __init__(self, library: Path, node: Node, unreadable: str = "bindings.db") -> None:
        """Before the node is started. Errors of reading hit only files whose name has `unreadable` in it."""
        page = node.folder / "misbehave.page"
        page.write_bytes(bytes(mmap.PAGESIZE))
        with page.open("r+b") as file:
            self._page = mmap.mmap(file.fileno(), mmap.PAGESIZE)
        node.environment = {
            "LD_PRELOAD": str(library), "MISBEHAVE_PAGE": str(page), "MISBEHAVE_FOLDER": f"{node.data_dir}/",
            "MISBEHAVE_UNREADABLE": unreadable,
        }  # fmt: skip

    @contextmanager
    def on(self, **faults: int) -> Iterator[None]:
        """The named faults, until the end of the block. Not one call of the node hit: the test proves nothing."""
        before = self.hits
        for name, value in faults.items():
            self._set(name, value)
        try:
            yield
            assert self.hits > before, f"{faults}: nothing was hit"
        finally:
            for name in faults:
                self._set(name, 0)

    def step_clock(self, seconds: int) -> None:
        """The node's wall clock stands so far from the machine's, from now on."""
        self._set("clock_offset_s", seconds)

    @property
    def hits(self) -> int:
        """How many calls of the node have met a fault so far."""
        return self._get("hits")

    def _set(self, name: str, value: int) -> None:
        struct.pack_into("=q", self._page, _FIELDS.index(name) * _BYTES, value)

    def _get(self, name: str) -> int:
        found: int = struct.unpack_from("=q", self._page, _FIELDS.index(name) * _BYTES)[0]
        return found
