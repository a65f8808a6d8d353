"""What a start says: to whoever waits for the node, to tools, and in the log."""

from __future__ import annotations

import os
import secrets
import sys
import time
from functools import cache
from pathlib import Path
from typing import Any

from engine.config import Config
from engine.control.server import ControlServer
from engine.deciding.expects import failing_expects


class StartError(Exception):
    """The node cannot start; the text is one clear line."""


def tell(line: str) -> None:
    """One line on stdout, without a buffer that the end of the interpreter would try to write once more.

    Raises StartError.
    """
    if sys.stdout is None:
        return  # closed by whoever started us
    try:
        os.write(sys.stdout.fileno(), f"{line}\n".encode())
    except OSError as error:
        raise StartError(f"cannot write to stdout: {error.strerror}") from None


async def start_control(control: ControlServer) -> None:
    """Raises StartError."""
    try:
        await control.start()
    except OSError as error:
        raise StartError(f"cannot open the control socket: {error}") from None


def tell_failing_expects(config: Config, log: Any) -> None:
    """A start goes on with them: what the file expects may hold again when a binding is made."""
    for fault in failing_expects(config, time.time()):
        log.warning("an expect of the configuration does not hold", reason=fault)


@cache
def boot_id() -> str:
    """Names the start of the machine, since which the monotonic clock counts; where nothing does, this run alone."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return secrets.token_hex(16)
