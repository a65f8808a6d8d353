"""Ten million bindings: a lookup takes no longer for it, and a node starts as soon and stays as small.

VEIL700_MANY_BINDINGS names a folder that keeps them from one run to the next; VEIL700_HOW_MANY asks for fewer:

    VEIL700_MANY_BINDINGS=/var/tmp/many pytest -s -m "long and alone" tests/e2e/test_many_bindings.py

A lookup is what a call waits for in the node's loop: cipher text of the caller, one read of the store, number of the
callee in clear. It is measured in a process of its own on one processor of a machine that does nothing else, and with
the store's pages in memory: one that has to come from a disk takes as long as the disk does.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from typing import Any

import pytest

from scenarios.rig.node import ROOT, Node
from tests.e2e.many import BATCH, fill, forget, many_bindings

LOOKUPS = 100_000
LOOKUP_P99_S = 50e-6
START_S = 5.0
WORKER_KIB = 80 * 1024


def looked_up(node: Node, bindings: int, lookups: int) -> tuple[list[float], list[float], int]:
    """Seconds that each of many lookups took, in order of size; the same of a loop that reads nothing; KiB that the
    process has grown by."""
    words = (sys.executable, "-m", "tests.e2e.lookups", str(node.data_dir), str(bindings), str(lookups))
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    return told["sorted_s"], told["counted_s"], told["own_kib"][1] - told["own_kib"][0]


def run_on(node: Node, bindings: int, lookups: int) -> tuple[float, float, int]:
    """p99 of a lookup and start of the node in seconds, its own memory in KiB once it has looked up so many."""
    took, counting, grown_kib = looked_up(node, bindings, lookups)
    begin = time.monotonic()
    node.start()
    start_s = time.monotonic() - begin
    own_kib = node.status()["uss_kb"] + grown_kib
    assert node.stop() == 0
    size = sum(file.stat().st_size for file in node.data_dir.glob("bindings.db*"))
    median_s, p99_s = took[len(took) // 2], took[int(len(took) * 0.99)]
    idle_s = counting[int(len(counting) * 0.99)]
    print(
        f"{bindings} bindings, {size / 2**20:.0f} MiB; a lookup takes {median_s * 1e6:.1f} us, p99 {p99_s * 1e6:.1f},"
        f" {took[-1] * 1e3:.2f} ms at most"
        f" (a loop of {counting[0] * 1e6:.1f} us that reads nothing: p99 {idle_s * 1e6:.1f});"
        f" start {start_s:.2f} s, {own_kib} KiB; load {os.getloadavg()[0]:.1f}"
    )
    return p99_s, start_s, own_kib


def test_forty_thousand(make_node: Any) -> None:
    node: Node = make_node()
    fill(node, 2 * BATCH)
    _, _, own_kib = run_on(node, 2 * BATCH, 5_000)
    assert own_kib < WORKER_KIB


@pytest.mark.alone
@pytest.mark.long
@pytest.mark.timeout(3600)
def test_ten_million(make_node: Any) -> None:
    node, bindings = many_bindings(make_node)
    p99_s, start_s, own_kib = run_on(node, bindings, LOOKUPS)
    forget(node)
    assert own_kib < WORKER_KIB
    assert start_s < START_S
    assert p99_s < LOOKUP_P99_S
