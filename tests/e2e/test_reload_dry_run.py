"""`reload --dry-run`: what would change in the file and for the calls of the last hour, and nothing does."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from contextlib import closing

import pytest

from engine.config import load
from engine.deciding import Question, arrival_of
from scenarios.rig.node import ROOT, Node
from tests.e2e.conftest import NodeFactory
from tests.e2e.stories import BINDING, A, X


@pytest.fixture
def node(make_node: NodeFactory) -> Node:
    """One that has refused two calls: their callee's trunk does not answer."""
    made = make_node()
    made.bind(BINDING)
    made.start()
    for _ in range(2):
        arrival = arrival_of(load(made.config).core_settings(), Question(A, X, peer="caller-side"))
        with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as phone:
            phone.bind((arrival.flow.host, arrival.flow.port))
            phone.settimeout(60.0)
            phone.sendto(arrival.data, (made.place.node, 5060))
            while phone.recv(65_535).startswith(b"SIP/2.0 1"):
                pass
    made.settle()
    return made


def line_of(text: str, wanted: str, after: str = "") -> int:
    place = text.index(wanted, text.index(after))
    return text.count("\n", 0, place) + 1


def test_nothing_in_the_file_changes_nothing(node: Node) -> None:
    done = node.command("reload", "--dry-run")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[:2] == [
        "would be taken; inventory and certificates would be read again", "would change: nothing in the file",
    ]  # fmt: skip
    assert done.stdout.splitlines()[-1] == "nothing changes"


def test_effects_and_lines_are_told_and_nothing_is_taken(node: Node) -> None:
    before = node.status()["config_read"]
    text = node.config.read_text().replace(
        'name = "callee-side"\n', 'name = "callee-side"\nnumber_format = "plus"\n', 1
    )
    node.config.write_text(text)
    done = node.command("reload", "--dry-run")
    assert (done.returncode, done.stderr) == (1, "")
    line = line_of(text, "number_format", 'name = "callee-side"')
    assert f"would change: {node.config}:{line}: peer callee-side: number_format\n" in done.stdout
    assert "1 change (2 in all)" in done.stdout
    assert f"-> sip:+86CALLEE@{node.place.callee}:5060\n" in done.stdout
    assert A not in done.stdout
    told = json.loads(node.command("reload", "--dry-run", "--json").stdout)
    assert [group["calls"] for group in told["effects"]["groups"]] == [2]
    assert node.status()["config_read"] == before
    assert node.command("reload").returncode == 0
    assert node.command("reload", "--dry-run").returncode == 0  # it is the one in force now


def test_what_cannot_be_told_is_not_said_to_change_anything(node: Node) -> None:
    other = node.config.with_name("other.toml")
    other.write_text(node.config.read_text())
    command = [sys.executable, "-m", "engine.main", "--config", other, "reload", "--dry-run"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"veil700: {other}: the node runs with {node.config}, which is what it reads\n"
    node.stop()
    done = node.command("reload", "--dry-run")
    assert (done.returncode, done.stdout) == (2, "")
    assert "no node runs here" in done.stderr
    assert node.command("reload").returncode == 1


def test_what_wants_a_restart_would_not_be_taken(node: Node) -> None:
    node.config.write_text(node.config.read_text().replace('name = "veil-test"', 'name = "other"', 1))
    done = node.command("reload", "--dry-run")
    line = line_of(node.config.read_text(), 'name = "other"')
    assert done.returncode == 1
    assert done.stderr == f"{node.config}:{line}: node.name: a changed value wants a restart\n"
    assert done.stdout.startswith(f"nothing would be taken\nwould change: {node.config}:{line}: node: name\n")
