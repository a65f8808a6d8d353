"""SQLite keeps no account of its memory in the processes that calls and records go through."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec

import pytest

from engine.store import uncounted
from engine.store.uncounted import MODULE, leave_uncounted

_USED = """
import ctypes, sqlite3, _sqlite3
connection = sqlite3.connect(":memory:")
connection.execute("CREATE TABLE words (word TEXT)")
connection.execute("INSERT INTO words VALUES (?)", ("word",))
assert connection.execute("SELECT * FROM words").fetchall() == [("word",)]
print(ctypes.CDLL(_sqlite3.__file__).sqlite3_memory_used())
"""


def used(before: str) -> int:
    """Bytes that SQLite tells of in a process that has begun with this."""
    command = [sys.executable, "-c", before + _USED]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


@pytest.fixture
def module_of_its_own() -> None:
    spec = find_spec(MODULE)
    if spec is None or not spec.has_location:
        pytest.skip("Python has its SQLite within itself")


@pytest.mark.usefixtures("module_of_its_own")
@pytest.mark.parametrize("module", ["engine.recording.__main__", "engine.sip_part"])
def test_it_is_told_before_it_begins(module: str) -> None:
    assert used(f"import {module}") == 0


@pytest.mark.usefixtures("module_of_its_own")
def test_who_is_too_late_changes_nothing() -> None:
    assert used("import sqlite3, engine.store.uncounted as late; assert not late.leave_uncounted()") > 0


@pytest.mark.parametrize("module", ["no_such_module", "antigravity", "xxsubtype", "_zoneinfo"])
def test_without_that_module_all_stays_as_it_is(monkeypatch: pytest.MonkeyPatch, module: str) -> None:
    """There is none, it is no library, is built in, or has no SQLite."""
    monkeypatch.setattr(uncounted, "MODULE", module)
    monkeypatch.delitem(sys.modules, module, raising=False)
    assert not leave_uncounted()
