"""leak-test as a command: what it refuses, whose node it drives, and what it says."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from engine.cli import run_cli
from scenarios.rig.node import Node
from scenarios.rig.place import Place
from tests.cli.commands import ROOT, Done, Run, ended, process
from tests.e2e.conftest import make_node, place, places
from tests.e2e.waiting import processes, wait_for

__all__ = ["make_node", "place", "places"]

pytestmark = pytest.mark.timeout(300)  # some of them place hundreds of calls, one behind the other

PEER = """
[[peer]]
name = "core"
match = ["10.0.0.0/8"]
targets = ["sip:10.0.0.1:5080"]
{extra}

[[route]]
name = "all"
called = "."
peers = ["core"]
"""


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--own", "--running"], "veil700: --running and --own exclude one another"),
        (["--places", "sdb/*"], "veil700: --places: no place has a name like 'sdb/*'; their groups: about, body, "),
        (["--seed", "-1"], "veil700 leak-test: Invalid value for '--seed': "),
        (["--own"], "veil700: leak-test: {file}: no peer has both match and targets to call through"),
        (["--running"], "veil700: leak-test: {folder}/data/control-0.sock: no node runs here"),
    ],
)
def test_what_cannot_be_is_one_line_and_status_2(run: Run, file: Path, words: list[str], line: str) -> None:
    done = run("leak-test", *words)
    assert done.status == 2 and done.out == ""
    [said] = done.told
    assert said.startswith(line.format(file=file, folder=file.parent))


def test_a_node_of_its_own_on_the_same_configuration(run: Run, file: Path) -> None:
    """Its targets are elsewhere; nothing of it is written or sent to. What the operator passes is said."""
    file.write_text(file.read_text() + PEER.format(extra='pass_headers = ["Subject"]'))
    done = run("leak-test", "--places", "about/S[eu][sb][sj]*", "--seed", "7", "--json")
    assert done.json["seed"] == 7
    assert done.json["driven"].startswith("a node of the test's own on the same configuration, moved onto loopback (")
    subjects = [row for row in done.json["rows"] if row["place"] == "about/Subject"]
    assert {(row["pair"], row["direction"], row["verdict"]) for row in subjects} == {
        ("core > core", "caller > callee", "passed"), ("core > core", "callee > caller", "passed"),
    }  # fmt: skip
    assert {leak["passed_by"] for row in subjects for leak in row["leaks"]} == {"pass_headers"}
    assert {row["verdict"] for row in done.json["rows"] if row["place"] == "about/Session-ID"} == {"ok"}
    assert done.status == 0 and done.json["clean"] is True
    assert not (file.parent / "data").exists()


def test_names_of_networks_are_passed_within_one_ims(run: Run, file: Path) -> None:
    file.write_text(file.read_text() + PEER.format(extra='profile = "isc"'))
    done = run("leak-test", "--places", "about/P-Charging-*", "--seed", "7", "--json")
    rows = [row for row in done.json["rows"] if row["place"] == "about/P-Charging-Vector"]
    assert {leak["passed_by"] for row in rows for leak in row["leaks"]} == {"profile"}
    assert {leak["seen_in"].partition(": ")[2] for row in rows for leak in row["leaks"]} == {"P-Charging-Vector"}
    assert done.status == 0 and done.json["clean"] is True


def test_who_must_show_a_password_or_a_certificate_is_driven_without(run: Run, file: Path) -> None:
    extra = """caller = "digest"
trusted = false
tls_names = ["core.example"]
username = "veil"
password = "secret"
[[account]]
user = "a"
peer = "core"
numbers = ["13800138000"]
password = "secret"
[[listen]]
transport = "udp"
address = "127.0.0.1:5060"
[[listen]]
transport = "tls"
address = "127.0.0.1:5061"
certificate = "veil.toml"
private_key = "veil.toml"
client_ca = "veil.toml"
"""
    file.write_text(file.read_text() + PEER.format(extra=extra))
    done = run("leak-test", "--places", "about/Subject", "--json")
    assert [row["pair"] for row in done.json["rows"] if row["place"] == "about/Subject"] == ["core > core"] * 2
    assert not any(row["leaks"] for row in done.json["rows"])
    assert done.json["rows"][0]["messages"]["INVITE"] == ["relayed", "relayed"]


def test_the_node_that_runs(make_node: Any, place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    """It is driven, its numbers are unbound at the end, and the calls stand in its records."""
    node: Node = make_node()
    node.bind()
    node.start()
    done = leak_test(node, capsys, "--running", "--places", "history/Diversion", "--json")
    assert done.json["driven"] == "the node that runs"
    assert (done.status, [row for row in done.json["rows"] if row["leaks"]]) == (0, [])
    assert {row["verdict"] for row in done.json["rows"]} == {"ok", "refused", "not asked"}
    assert "caller-side > callee-side" in {row["pair"] for row in done.json["rows"]}
    listed = node.command("bindings", "list").stdout
    assert "leak-test" in listed and " active " not in listed
    assert node.records()


def test_no_place_leaks_on_the_default_configuration(capsys: pytest.CaptureFixture[str]) -> None:
    """Every place, both ways: nothing comes out, and nothing was left undriven."""
    status = run_cli(["leak-test", "--own", "--config", str(ROOT / "configs" / "embedded.toml"), "--json"])
    done = Done(status, *capsys.readouterr())
    wrong = [row for row in done.json["rows"] if row["verdict"] not in ("ok", "refused", "not asked")]
    assert (done.status, wrong) == (0, [])
    assert len(done.json["rows"]) > 450


def test_what_was_bound_is_unbound_when_it_is_interrupted(make_node: Any, capsys: pytest.CaptureFixture[str]) -> None:
    node: Node = make_node()
    node.bind()
    node.start()

    def bindings() -> str:
        assert run_cli(["bindings", "list", "--config", str(node.config)]) == 0
        return capsys.readouterr().out

    for number in (signal.SIGINT, signal.SIGTERM):
        started = process("leak-test", "--config", node.config, "--running")
        while " active " not in bindings():
            assert started.poll() is None
            time.sleep(0.02)
        started.send_signal(number)
        done = ended(started)
        assert (done.status, done.out, done.err) == (130, "", "")
        assert " active " not in bindings()


def test_a_call_that_stands_when_it_is_interrupted_is_hung_up(make_node: Any) -> None:
    """Else it would talk on in the node until `max_call_s`, between two phones that are gone."""
    node: Node = make_node()
    node.bind()
    node.start()
    started = process("leak-test", "--config", node.config, "--running")
    while "Talking" not in {call["state"] for call in node.calls()}:
        assert started.poll() is None
        time.sleep(0.02)
    started.send_signal(signal.SIGINT)
    assert ended(started).status == 130
    wait_for(lambda: node.calls() == [], 60.0)  # the end of its record may still be on its way


def test_its_own_node_is_not_left_behind_by_several_interrupts(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One comes while a node that hangs is waited for."""
    file.write_text(file.read_text() + PEER.format(extra=""))
    with TemporaryDirectory() as folder:  # the path of pytest is too long for a socket's name
        monkeypatch.setenv("TMPDIR", folder)
        started = process("leak-test", "--config", file, "--own")
        while not list(Path(folder).glob("*/var/control-0.sock")):
            assert started.poll() is None
        # What the node has just forked, and what becomes another program, is no second node.
        (node,) = wait_for(lambda: found if len(found := processes(folder, b"engine.main")) == 1 else [], 60.0)
        os.kill(node, signal.SIGSTOP)
        while started.poll() is None:
            started.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                started.wait(0.2)
        ended(started)
        with suppress(AssertionError):  # who writes its records ends behind it
            wait_for(lambda: not processes(folder), 60.0)
        left = processes(folder)
        for process_id in left:
            os.kill(process_id, signal.SIGKILL)
    assert not left


def leak_test(node: Node, capsys: pytest.CaptureFixture[str], *words: str) -> Done:
    capsys.readouterr()
    status = run_cli(["leak-test", "--config", str(node.config), *words])
    return Done(status, *capsys.readouterr())
