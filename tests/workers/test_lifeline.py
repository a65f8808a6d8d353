"""The kernel ends a process whose parent is gone: three real processes, and nothing else between them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import Final

from tests.e2e.waiting import is_there, wait_for

# It says its number, and then sleeps: nothing that its parent holds open would wake it.
CHILD: Final = """
import os, time
from engine.workers.lifeline import die_with
{}
print(os.getpid(), flush=True)
time.sleep(60)
"""
PARENT: Final = """
import subprocess, sys
with subprocess.Popen([sys.executable, "-c", sys.argv[1]], stdin=subprocess.DEVNULL) as child:
    child.wait()
"""


def child_of_one_killed(line: str) -> int:
    """The child's number, when its parent has been killed by SIGKILL."""
    words = [sys.executable, "-c", PARENT, CHILD.format(line)]
    with subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert is_there(child)
        parent.kill()
    return child


def test_whoever_kills_the_parent_has_killed_the_child() -> None:
    child = child_of_one_killed("die_with(os.getppid())")
    wait_for(lambda: not is_there(child))


def test_without_that_the_child_would_have_stayed() -> None:
    child = child_of_one_killed("")
    try:
        assert is_there(child)
    finally:
        os.kill(child, signal.SIGKILL)


def test_one_whose_parent_was_gone_before_it_asked_ends_at_once() -> None:
    done = subprocess.run([sys.executable, "-c", CHILD.format("die_with(1)")], capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (-signal.SIGKILL, b"")
