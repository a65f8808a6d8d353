"""A large import beside a node that carries 100 calls/s: no call fails, and what is new counts at once."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from engine.store.binding_import import COLUMNS
from scenarios.rig.binding import Bound
from scenarios.rig.engine import Counted
from scenarios.rig.node import ROOT, Node, unsound
from tests.e2e.stories import many

ANSWERS, CALLS = "answered/uas", "answered/uac"  # what SIPp does on either side

CALLS_PER_S = 100
CALLING = 3000  # bindings that calls go through, over and over
BLOCK_SIZE = 10_000
MILLION_WITHIN_S = 60.0

_BLOCK = """
[[number_block]]
prefix = "{}"
operator = "1"
app_platform = "ap-test"
business_user = "bu-test"
certificate_no = "CERT-1"
state = "assigned"
"""


def write_bindings(file: Path, blocks: list[str], per_block: int) -> Bound:
    """Writes a file to import, with neighbours far apart, and returns the binding in its last line."""
    [bound] = many(per_block - 1, 1, "139", blocks[-1])
    with file.open("w") as lines:
        print(",".join(COLUMNS), file=lines)
        for number in range(per_block):
            a, b = f"138{number * 7919 % 10**8:08}", f"139{number * 6101 % 10**8:08}"
            for block in blocks:
                print(
                    f"AXB,{block}{number:04},,{a},{b},,bu-test,{block}-{number},express,{bound.expiration}", file=lines
                )
    return bound


def run(node: Node, *words: str | Path) -> tuple[float, str]:
    """Runs a command to its good end: seconds that it took, and what it printed."""
    start = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "engine.main", "--config", node.config, *words],
        cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    return time.monotonic() - start, done.stdout


def import_beside_calls(make_node: Any, sipp: Any, place: Any, folder: Path, blocks: int, per_block: int) -> float:
    """Seconds that the import took. The calls begin before it and end after it."""
    node: Node = make_node()
    prefixes = [f"7001000{number:04}" for number in range(blocks)]
    with node.inventory.open("a") as inventory:
        inventory.writelines(_BLOCK.format(prefix) for prefix in prefixes)
    calling = many(0, CALLING, "139")
    node.import_bindings(calling)
    file = folder / "many.csv"
    last = write_bindings(file, prefixes, per_block)
    node.start()
    answering = sipp(ANSWERS, place.callee, calls=None, timeout_s=600)
    caller = sipp(
        CALLS, place.caller, target=place.node, rate=CALLS_PER_S, rows=[(b.x, b.a) for b in calling], calls=None,
        timeout_s=600,
    )  # fmt: skip
    seconds, printed = run(node, "bindings", "import", file)
    assert caller.process.poll() is None, "the calls have ended before the import"
    caller.process.send_signal(signal.SIGUSR1)  # no new calls
    counted = caller.wait()
    print(f"{blocks * per_block} bindings in {seconds:.1f} s beside {counted}: {printed.strip()}")
    assert (counted.exit_status, counted.failed) == (0, 0)
    assert counted.successful > CALLS_PER_S * seconds / 2
    call_of_new = sipp(CALLS, place.caller, target=place.node, rows=[(last.x, last.a)], port=5080)
    assert call_of_new.wait() == Counted(0, 1, 0, 0, 0, "")
    answering.end()

    status = node.status()
    assert unsound(status["counters"]) == {}
    assert (status["records"], status["calls"], status["spooled"]) == (counted.successful + 1, 0, 0)
    assert node.stop() == 0
    assert node.stderr == ""
    assert node.verify().is_clean
    records = node.records()
    assert {record["release_cause"] for record in records} == {"NORMAL"}
    assert records[-1]["tel_x"] == last.x
    return seconds


@pytest.mark.alone
def test_twenty_thousand(make_node: Any, sipp: Any, place: Any, tmp_path: Path) -> None:
    import_beside_calls(make_node, sipp, place, tmp_path, blocks=4, per_block=5000)


@pytest.mark.alone
@pytest.mark.long
@pytest.mark.timeout(900)
def test_a_million_within_a_minute(make_node: Any, sipp: Any, place: Any, tmp_path: Path) -> None:
    seconds = import_beside_calls(make_node, sipp, place, tmp_path, blocks=100, per_block=BLOCK_SIZE)
    assert seconds < MILLION_WITHIN_S
