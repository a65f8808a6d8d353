"""One writer of records for each data folder."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path
from typing import Final

from engine.store.errors import StoreError

LOOK_S: Final = 0.02
_TEXT_BYTES: Final = 64


def lock_records(path: Path, leftover_wait_s: float = 0.0) -> int:
    """Become the only writer of records.db, at `path`, until the descriptor is closed or the process ends.

    StoreError while another process, or another part of this one, is its writer. Where that one was started by a
    process that is gone it ends by itself, and is waited for. The lock is a file of its own: closing a second
    descriptor of the database would drop the locks that SQLite holds on it.
    """
    lock = path.with_suffix(".lock")
    try:
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StoreError(f"{lock}: {error.strerror}") from None
    until_s = time.monotonic() + leftover_wait_s
    while not _locked(descriptor):
        is_leftover = _is_leftover(os.pread(descriptor, _TEXT_BYTES, 0))
        if not is_leftover or time.monotonic() >= until_s:
            os.close(descriptor)
            what = "a node that is gone has not finished" if is_leftover else "another node is running"
            raise StoreError(f"{path}: {what} on this folder")
        time.sleep(LOOK_S)
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()} {os.getppid()}".encode(), 0)
    except OSError:
        pass  # a full disk: whoever comes next takes the writer for one that is wanted
    return descriptor


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _is_leftover(text: bytes) -> bool:
    """True when the process that holds the lock has lost the one that had started it, or has just ended itself."""
    holder, _, parent = text.decode("ascii", "replace").partition(" ")
    try:
        with open(f"/proc/{int(holder)}/stat", encoding="utf-8", errors="replace") as file:
            return int(file.read().rpartition(")")[2].split()[1]) != int(parent)
    except FileNotFoundError:
        return True
    except (OSError, ValueError, IndexError):
        return False
