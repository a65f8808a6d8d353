"""The process that writes records is killed, told to end, or left behind: nothing that was confirmed is missing."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

import pytest

from scenarios.rig.node import Node
from tests.e2e.loaded import BYE_S, UNDISTURBED, Load
from tests.e2e.waiting import is_there, wait_for

RATE = 40  # calls per second
BEFORE_S = 1.5
BACK_S = 0.5  # behind the moment at which the node says that it writes again


def writer_of(node: Node) -> dict[str, Any]:
    found: dict[str, Any] = node.status()["writer"]
    return found


@pytest.mark.paced
def test_it_is_killed_under_load(make_node: Any, sipp: Any) -> None:
    """Calls in progress go on, new ones are refused until there is another one, and each has its record."""
    load = Load(make_node(), sipp, RATE, 7.0)
    load.start()
    time.sleep(BEFORE_S)
    killed_s = time.time()
    pid = writer_of(load.node)["pid"]
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: writer_of(load.node)["pid"] not in (0, pid) and not load.node.status()["store_fault"])
    back_s = time.time()
    print(f"back after {back_s - killed_s:.2f} s")
    load.wait()
    assert writer_of(load.node)["restarts"] == 1
    load.check_node()
    load.check_records()
    assert "the process that writes records has ended" in load.node.stderr
    assert {account.status for account in load.accounts} <= UNDISTURBED | {500}
    assert {account.status for account in load.asked(back_s + BACK_S + load.late_s)} == UNDISTURBED
    assert {account.status for account in load.asked(before_s=killed_s - 0.3 - load.late_s)} == UNDISTURBED
    assert load.hung_up() < BYE_S
    assert load.node.verify().is_clean


def test_what_is_meant_for_the_node_does_not_end_it(make_node: Any) -> None:
    """A terminal and a service manager send their signals to all processes of a node."""
    node: Node = make_node()
    node.start()
    pid = writer_of(node)["pid"]
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        os.kill(pid, number)
    assert (writer_of(node)["pid"], node.status()["store_fault"]) == (pid, "")
    assert node.stop() == 0
    assert not is_there(pid) and node.stderr == ""


def test_it_does_not_outlive_its_node(make_node: Any) -> None:
    """A start right behind the kill waits for it."""
    node: Node = make_node()
    node.start()
    pid = writer_of(node)["pid"]
    os.kill(pid, signal.SIGSTOP)
    node.kill()
    assert is_there(pid)
    os.kill(pid, signal.SIGCONT)
    node.start()
    assert not is_there(pid)
    assert node.stop() == 0


def test_its_memory_is_not_dumped(make_node: Any) -> None:
    node: Node = make_node()
    node.start()
    with open(f"/proc/{writer_of(node)['pid']}/limits", encoding="ascii") as file:
        (limit,) = [line for line in file if line.startswith("Max core file size")]
    assert limit.split()[4:6] == ["0", "0"]
