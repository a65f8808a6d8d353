"""Most tests' nodes are forked from a process that has loaded them; to a test they are processes like any other."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

import pytest

from scenarios.rig.node import Node
from tests.e2e.conftest import NodeFactory


def is_forked(node: Node) -> bool:
    assert node.process is not None
    return b"engine.main" not in Path(f"/proc/{node.process.pid}/cmdline").read_bytes()


def test_its_end_is_told_whatever_it_was(make_node: NodeFactory) -> None:
    node = make_node()
    for by, status in ((signal.SIGTERM, 0), (signal.SIGKILL, -signal.SIGKILL)):
        node.start()
        assert node.process is not None and is_forked(node)
        assert node.process.poll() is None
        with pytest.raises(subprocess.TimeoutExpired):
            node.process.wait(0.01)
        assert node.stop(by) == status
    assert node.stdout.startswith("veil700 ready sip=")


def test_what_it_says_of_a_start_that_fails_is_its_own(make_node: NodeFactory) -> None:
    first, second = make_node(), make_node("second")
    first.start()
    assert (second.launch(), second.wait()) == ("ended", 1)
    assert second.stderr.startswith("veil700: cannot listen on") and first.stderr == ""


def test_one_that_ends_leaves_the_others(make_node: NodeFactory) -> None:
    first, second = make_node(), make_node("second")
    second.config.write_text(
        second.config.read_text().replace(f"{second.place.node}:5060", f"{second.place.node}:5075")
    )
    first.start()
    second.start()
    assert (second.stop(), first.process is not None and first.process.poll()) == (0, None)
    assert first.status()["calls"] == 0
    assert first.stop() == 0


def test_who_has_an_environment_of_his_own_loads_for_himself(
    make_node: NodeFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = make_node()
    node.start()
    assert is_forked(node) and node.stop() == 0
    node.environment["LD_DEBUG_OUTPUT"] = "/dev/null"
    node.start()
    assert not is_forked(node) and node.stop() == 0
    node.environment.clear()
    monkeypatch.setenv("TZ", "Asia/Shanghai")
    node.start()
    assert not is_forked(node) and node.stop() == 0
