"""The proof over many bindings takes time, but no memory: ten million need what forty thousand need."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import Any

import pytest

from scenarios.rig.node import Node
from tests.cli.commands import ROOT
from tests.e2e.many import fill, forget, many_bindings

PEAK_KIB = 100 * 1024
# The peak of this process alone: what the system counts for a child begins with its parent's.
MEASURED = (
    "import sys; from engine.cli import run_cli; status = run_cli(sys.argv[1:]);"
    "sys.stderr.write(next(line for line in open('/proc/self/status') if line.startswith('VmHWM')));"
    "sys.exit(status)"
)


def proved(node: Node, count: int) -> int:
    """The peak of its memory in KiB."""
    begin = time.monotonic()
    words = (sys.executable, "-c", MEASURED, "--config", str(node.config), "inventory", "verify")
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    took_s = time.monotonic() - begin
    assert done.stdout == f"all invariants hold: {count} bindings, {count} numbers, 0 records\n", done.stderr
    peak_kib = int(done.stderr.split()[1])
    print(f"{count} bindings proved in {took_s:.0f} s with {peak_kib} KiB at most")
    return peak_kib


def test_forty_thousand(make_node: Any) -> None:
    node: Node = make_node()
    fill(node, 40_000)
    assert proved(node, 40_000) < PEAK_KIB


@pytest.mark.alone
@pytest.mark.long
@pytest.mark.timeout(7200)
def test_ten_million(make_node: Any) -> None:
    node, bindings = many_bindings(make_node)
    peak_kib = proved(node, bindings)
    forget(node)
    assert peak_kib < PEAK_KIB
