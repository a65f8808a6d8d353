"""The library that lets a disk misbehave: each fault does what it says, to the files of one folder only."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from scenarios.rig.node import Node
from tests.e2e.misbehave import Misbehaviour, built

TRIES = """
import os, sys
folder, elsewhere = sys.argv[1:]
def told(name, action):
    try:
        print(name, action() or "done")
    except OSError as error:
        print(name, error.errno)
places = (("below", folder), ("elsewhere", elsewhere))
files = [(name, where, os.open(f"{where}/there", os.O_RDWR)) for name, where in places]
print("opened", flush=True)
input()
for name, where, file in files:
    told(f"{name}.write", lambda: os.write(file, b"x") and None)
    told(f"{name}.pwrite", lambda: os.pwrite(file, b"x", 0) and None)
    told(f"{name}.through", lambda: os.pwritev(file, [b"x"], 0, os.RWF_DSYNC) and None)
    told(f"{name}.grow", lambda: os.truncate(file, 8192))
    told(f"{name}.shrink", lambda: os.truncate(file, 1))
    told(f"{name}.read", lambda: os.pread(file, 1, 0) and None)
    told(f"{name}.fsync", lambda: os.fsync(file))
    told(f"{name}.fdatasync", lambda: os.fdatasync(file))
    told(f"{name}.new", lambda: os.close(os.open(f"{where}/new", os.O_RDWR | os.O_CREAT)))
    told(f"{name}.unlink", lambda: os.unlink(f"{where}/other"))
"""
WRITES = ("write", "pwrite", "through", "grow")


def told(misbehaviour: Misbehaviour, node: Node, elsewhere: Path, **faults: int) -> dict[str, str]:
    """What a program is told by its calls, those that did not simply work."""
    for folder in (node.data_dir, elsewhere):
        folder.mkdir(exist_ok=True)
        (folder / "new").unlink(missing_ok=True)
        (folder / "there").write_bytes(b"there")
        (folder / "other").write_bytes(b"other")
    with subprocess.Popen(
        [sys.executable, "-c", TRIES, node.data_dir, elsewhere], env={**os.environ, **node.environment},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as program:  # fmt: skip
        assert program.stdout is not None
        assert program.stdout.readline() == "opened\n"
        with misbehaviour.on(**faults):
            said, _ = program.communicate("\n")
    assert program.returncode == 0
    return {name: words for name, words in (line.split() for line in said.splitlines()) if words != "done"}


@pytest.mark.parametrize(
    ("fault", "refused"),
    [
        ({"write_errno": errno.ENOSPC}, (*WRITES, "new")),
        ({"write_errno": errno.EIO}, (*WRITES, "shrink")),
        ({"write_errno": errno.EROFS}, (*WRITES, "shrink", "new", "unlink")),
        ({"sync_errno": errno.EIO}, ("through", "fsync", "fdatasync")),
        ({"read_errno": errno.EIO}, ("read",)),
        ({"sync_delay_ms": 1}, ()),
    ],
)
def test_each_fault(
    make_node: Callable[..., Node], tmp_path: Path, fault: dict[str, int], refused: tuple[str, ...]
) -> None:
    node = make_node()
    misbehaviour = Misbehaviour(built(tmp_path), node, unreadable="there")
    number = str(next(iter(fault.values())))
    assert told(misbehaviour, node, tmp_path / "elsewhere", **fault) == {f"below.{name}": number for name in refused}


def test_clock(make_node: Callable[..., Node], tmp_path: Path) -> None:
    node = make_node()
    misbehaviour = Misbehaviour(built(tmp_path), node)
    for offset_s in (3600, -3600, 0):
        misbehaviour.step_clock(offset_s)
        done = subprocess.run(
            [sys.executable, "-c", "import time; print(time.time(), time.monotonic())"],
            env={**os.environ, **node.environment}, capture_output=True, text=True, check=True,
        )  # fmt: skip
        wall_s, monotonic_s = map(float, done.stdout.split())
        assert abs(wall_s - time.time() - offset_s) < 60
        assert abs(monotonic_s - time.monotonic()) < 60
