"""What a worker is told when it is started: a JSON object in a file that is nowhere but in memory.

The configuration goes as text, so that a worker that is started again runs with what is in force, whatever the file
says by then.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from engine.config import Config
from engine.config.loader import load_text
from engine.steering.passed import read_passed


@dataclass(frozen=True)
class Description:
    """Descriptors are numbers that are open in the worker."""

    sockets: str  # `Passed.told`: which worker this is, of how many, and what it listens on
    config_path: str
    data_dir: str
    config_text: str
    is_draining: bool
    counts_fd: int  # the page of shared limits
    records_fd: int  # the connection to the process of the records
    secret: str  # who shows it is the supervisor

    def config(self) -> Config:
        """Raises ConfigError: a file that it names has changed since the supervisor has read it."""
        return load_text(Path(self.config_path), self.config_text, Path(self.data_dir))

    def descriptors(self) -> tuple[int, ...]:
        """All that the worker is to have."""
        return (self.counts_fd, self.records_fd, *read_passed(self.sockets).descriptors)

    def written(self) -> int:
        """A descriptor that its text is read from; the caller closes it."""
        descriptor = os.memfd_create("veil700-worker", os.MFD_CLOEXEC)
        with os.fdopen(os.dup(descriptor), "wb") as file:
            file.write(json.dumps(asdict(self)).encode())
        os.lseek(descriptor, 0, os.SEEK_SET)
        return descriptor


def read_description(descriptor: int) -> Description:
    """What `written` has written; closes the descriptor."""
    with os.fdopen(descriptor, "rb") as file:
        return Description(**json.loads(file.read()))
