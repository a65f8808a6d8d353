"""A disk that is really full: a small tmpfs under the node's data folder and its log, filled up by another program."""

from __future__ import annotations

import ctypes
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from scenarios.rig.node import Node
from tests.e2e.loaded import BYE_S, UNDISTURBED, Load
from tests.e2e.prober import answers_all_the_while
from tests.e2e.stories import put_away

RATE = 40  # calls per second
DISK_KB = 32 * 1024
BESIDE_S = 1.5  # traffic before the disk is full
AFTER_S = 4.0
BACK_S = 1.7  # by then it knows that it is back: it looks once a second, and makes a new file first

_CLONE_NEWNS = 0x00020000  # linux/sched.h

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount; test_faults_disk.py needs no root")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A tmpfs that only this thread and the programs that it starts can see: it goes when they are gone."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNS) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    folder = tmp_path / "small"
    folder.mkdir()
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_KB}k", "tmpfs", folder], check=True)
    yield folder
    subprocess.run(["umount", folder], check=True)


@pytest.fixture
def node(place: Any, small_disk: Path) -> Iterator[Node]:
    made = Node(place, small_disk / "n")
    yield made
    put_away(made)


def fill(disk: Path) -> Path:
    """A file that takes all the room there is."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        while file.write(bytes(4096)):
            pass
    assert os.statvfs(disk).f_bavail == 0
    return filler


@pytest.mark.paced
@pytest.mark.parametrize("full_s", [2.0, pytest.param(20.0, marks=pytest.mark.long)])
def test_full(node: Node, small_disk: Path, sipp: Any, full_s: float) -> None:
    load = Load(node, sipp, RATE, BESIDE_S + full_s + AFTER_S)
    load.start()
    with answers_all_the_while(node):
        time.sleep(BESIDE_S)
        filler = fill(small_disk)
        began_s = time.time()
        time.sleep(full_s)
        status = node.status()
        filler.unlink()
        over_s = time.time()
        load.wait()
    print("status while it was full:", status)
    load.check_node()
    load.check_records()
    # The journal's segment has its room already: only records.db has none, and calls do not wait for that.
    assert (status["load_fault"] != "", status["unloaded_bytes"] > 0) == (True, True)
    assert (status["store_fault"], status["spooled"]) == ("", 0)
    assert {account.status for account in load.asked(began_s, over_s)} == UNDISTURBED
    assert {account.status for account in load.asked(over_s + BACK_S + load.late_s)} == UNDISTURBED
    assert load.hung_up() < BYE_S
