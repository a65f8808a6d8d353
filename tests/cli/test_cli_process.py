"""The commands beside a running node, and as processes: signals, pipes, closed outputs."""

from __future__ import annotations

import re
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.commands import (
    INVENTORY,
    PROGRAM,
    ROOT,
    Done,
    Run,
    X,
    bind_words,
    csv_file,
    ended,
    process,
)
from tests.sipstack.endpoint_rig import own_address


@pytest.fixture
def node(file: Path, request: pytest.FixtureRequest) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A node started by the verb `run`, and its ready line."""
    file.write_text(
        f'[node]\ndata_dir = "data"\n[[listen]]\naddress = "{own_address(request)}:5060"\n'
        f'[inventory]\nfile = "{INVENTORY}"\n[[peer]]\nname = "core"\nmatch = ["127.23.5.2"]\n'
    )
    started = process("run", "--config", file)
    assert started.stdout is not None
    ready, _, _ = select.select([started.stdout], [], [], 60)
    line = started.stdout.readline() if ready else ""
    yield started, line
    if started.poll() is None:
        started.kill()
    ended(started)


def test_the_verbs_work_beside_a_running_node(node: tuple[subprocess.Popen[str], str], run: Run, file: Path) -> None:
    started, line = node
    assert re.fullmatch(r"veil700 ready sip=udp:127\.[\d.]+:5060\n", line)
    subs_id = run(*bind_words()).out.strip()
    assert run("bindings", "list", "--json").json[0]["subs_id"] == subs_id
    assert run("cdr", "verify").status == 0
    assert run("cdr", "export") == Done(0, "", "")

    status = run("status", "--json").json
    assert {
        "node",
        "state",
        "compiled",
        "uptime_s",
        "calls",
        "attempts",
        "records",
        "spooled",
        "peers",
        "uss_kb",
        "kept",
        "counters",
    } <= set(status)
    assert (status["node"], status["calls"], status["records"]) == ("veil-1", 0, 0)
    shown = run("status").out
    assert re.search(r"^node +veil-1$", shown, re.MULTILINE)
    assert re.search(r"^counters$\n  \w+ +0$", shown, re.MULTILINE)

    assert run("calls", "--json").json == {"calls": []}
    assert run("calls").out.split()[:3] == ["record_id", "kind", "state"]

    started.send_signal(signal.SIGTERM)
    assert started.wait(60) == 0
    assert run("status").err == f"veil700: {file.parent}/data/control-0.sock: no node runs here\n"


def test_calls_are_shown_as_a_table(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    call = {"record_id": "r1", "kind": "voice", "state": "TALKING", "tel_x": X, "caller": "138****8000",
            "callee": "139****9000", "ingress_peer": "a\x1b[2J", "egress_peer": "b", "age_s": 1.5}  # fmt: skip
    monkeypatch.setattr("engine.cli.node.ask", lambda _data_dir, _verb: {"calls": [call]})
    _, row = run("calls").out.splitlines()
    assert row.split() == ["r1", "voice", "TALKING", X, "138****8000", "139****9000", "a?[2J", "b", "1.5"]


def test_interrupted_is_quiet(file: Path) -> None:
    (file.parent / "data").mkdir()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(file.parent / "data" / "control-0.sock"))
        server.listen()
        server.settimeout(60)
        started = process("status", "--config", file)
        connection, _ = server.accept()  # it waits for an answer that never comes
        started.send_signal(signal.SIGINT)
        assert ended(started) == Done(130, "", "")
        connection.close()


def test_a_reader_that_leaves_is_no_error_to_speak_of(stocked: Run, file: Path, tmp_path: Path) -> None:
    bindings = csv_file(tmp_path / "b.csv", *({"tel_x": f"70012345678{n:04}"} for n in range(3000)))
    assert stocked("bindings", "import", bindings).out == "imported 3000, bad 0\n"
    started = process("bindings", "export", "--config", file)
    assert started.stdout is not None
    assert started.stdout.readline().startswith("mode,tel_x")
    started.stdout.close()
    assert started.stderr is not None
    assert (started.stderr.read(), started.wait(60)) == ("", 1)
    started.stderr.close()


def test_a_full_disk_is_one_line(file: Path) -> None:
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        done = ended(process("config", "show", "--config", file, stdout=full))
    assert done == Done(1, "", "veil700: output: No space left on device\n")


def test_closed_outputs_do_no_harm(file: Path) -> None:
    command = f'exec "$0" -c "$1" check --config {file} >&- 2>&-'
    done = subprocess.run(["/bin/sh", "-c", command, sys.executable, PROGRAM], cwd=ROOT, timeout=60, check=False)
    assert done.returncode == 0


def test_the_status_of_a_process(file: Path) -> None:
    assert ended(process("check", "--config", file)).status == 0
    assert ended(process("status", "--config", file)).status == 1
    assert ended(process("nonsense", "--config", file)).status == 2
    missing = file.with_name("absent.toml")
    done = ended(process("run", "--config", missing))
    assert done == Done(2, "", f"{missing}: No such file or directory\n")


def test_names_are_shown_with_what_the_dns_says(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [
        {"target": "sip:a.example", "addresses": ["udp:192.0.2.1:5060 priority 0 weight 1", "b"], "fault": ""},
        {"target": "sip:b.example", "addresses": [], "fault": "A b.example: SERVFAIL\x1b"},
    ]
    monkeypatch.setattr("engine.cli.node.ask", lambda _data_dir, _verb: {"node": "n", "targets": names})
    shown = run("status").out.splitlines()
    place = shown.index("targets")
    assert shown[place + 1 : place + 3] == [
        "  sip:a.example  udp:192.0.2.1:5060 priority 0 weight 1; b",
        "  sip:b.example  A b.example: SERVFAIL?",
    ]
