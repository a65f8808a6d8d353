"""SQLite keeps no account of its memory in the processes that calls and records go through."""

from __future__ import annotations

import ctypes
import subprocess
import sys

import pytest

from engine.store import uncounted
from engine.store.uncounted import LIBRARY, leave_uncounted

_USED = f"""
import ctypes, sqlite3
connection = sqlite3.connect(":memory:")
connection.execute("CREATE TABLE words (word TEXT)")
connection.execute("INSERT INTO words VALUES (?)", ("word",))
assert connection.execute("SELECT * FROM words").fetchall() == [("word",)]
print(ctypes.CDLL("{LIBRARY}").sqlite3_memory_used())
"""


def used(before: str) -> int:
    """Bytes that SQLite tells of in a process that has begun with this."""
    command = [sys.executable, "-c", before + _USED]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


@pytest.fixture
def system_library() -> None:
    try:
        ctypes.CDLL(LIBRARY)
    except OSError:
        pytest.skip("Python has an SQLite of its own")


@pytest.mark.usefixtures("system_library")
@pytest.mark.parametrize("module", ["engine.recording.__main__", "engine.sip_part"])
def test_it_is_told_before_it_begins(module: str) -> None:
    assert used(f"import {module}") == 0


@pytest.mark.usefixtures("system_library")
def test_who_is_too_late_changes_nothing() -> None:
    assert used("import sqlite3, engine.store.uncounted as late; assert not late.leave_uncounted()") > 0


def test_without_that_library_all_stays_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uncounted, "LIBRARY", "libnothing.so.0")
    assert not leave_uncounted()
