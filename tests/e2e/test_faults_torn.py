"""The last page before a power cut is torn: only what stood in it is gone, the node says so, and goes on."""

from __future__ import annotations

import random
import sqlite3
import time
from contextlib import closing
from typing import Any

import pytest

from scenarios.rig.node import Node
from tests.e2e.accounts import accounts_of, told_otherwise, unrecorded
from tests.e2e.loaded import Load

RATE = 40  # calls per second
RUN_S = 3.0
GROUP_AT_MOST = 8  # steps that are gone with one group, at this rate
BEHIND_S = 0.5
SOON_OVER = "[sip]\nt1_ms = 20\n[policy]\nmax_call_s = 3\n"
ENDS_S = 10.0
DROPPED = "were not written to their end, and are dropped"


def tear(node: Node, chance: random.Random) -> str:
    """Damages the end of the journal: cut off, zeroed or garbled somewhere in its last group; what was done."""
    segment = max((node.data_dir / "journal").glob("*.segment"))
    data = segment.read_bytes()
    written = data.rstrip(b"\0")
    last = written.rindex(b"GRP1")
    at = chance.randrange(last + 1, len(written))
    how = chance.choice(("cut off", "zeroed", "garbled"))
    if how == "cut off":
        segment.write_bytes(data[:at])
    elif how == "zeroed":
        segment.write_bytes(data[:at] + bytes(len(data) - at))
    else:
        noise = chance.randbytes(len(written) - at)
        segment.write_bytes(data[:at] + noise + data[len(written) :])
    return f"{how} at {at - last} of {len(written) - last}"


def wait_for_the_end(node: Node) -> None:
    """Callers that are gone hang up no more: their calls are over when they have lasted long enough."""
    end = time.monotonic() + ENDS_S
    while left := node.calls():
        assert time.monotonic() < end, left
        time.sleep(0.05)


@pytest.mark.alone
@pytest.mark.long
@pytest.mark.parametrize("seed", range(8))
def test_torn_tail(make_node: Any, sipp: Any, seed: int) -> None:
    load = Load(make_node(extra=SOON_OVER), sipp, RATE, 60.0)
    node = load.node
    load.start()
    time.sleep(RUN_S)
    with closing(sqlite3.connect(node.data_dir / "records.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")  # what comes now stands in the journal alone
        time.sleep(BEHIND_S)
        node.kill()
    load.caller.close()
    load.metronome.end()
    print(tear(node, random.Random(seed)))
    node.start()
    assert node.stderr.count(DROPPED) == 1, node.stderr
    wait_for_the_end(node)
    load.callee.end()
    node.kill()
    node.start()
    assert node.stderr.count(DROPPED) == 1, "it is said once"
    assert node.stop() == 0
    accounts = accounts_of(node, load.caller.messages)
    assert len(accounts) > RATE * RUN_S * 0.8
    gone = [account for account in accounts if account.record is None]
    assert len(gone) <= GROUP_AT_MOST
    assert len(unrecorded(accounts)) + len(told_otherwise(accounts)) <= GROUP_AT_MOST
