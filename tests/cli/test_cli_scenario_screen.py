"""`scenario play` on a terminal, over TLS, and with twins: two processes, as a tester starts them."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import select
import socket
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from tests.cli.commands import PROGRAM, Run, ended, process
from tests.e2e.stories import file_of
from tests.scenario.scenes import document, recv, send
from tests.sipstack.certificates import Authority
from tests.sipstack.endpoint_rig import own_address, raw_socket

WAIT_S = 60.0
ROWS = "SEQUENTIAL\n13900139000;13800138000\n"


@pytest.fixture
def host(request: pytest.FixtureRequest) -> str:
    return own_address(request)


def read_until(descriptor: int, wanted: str) -> str:
    text = ""
    deadline = time.monotonic() + WAIT_S
    while re.search(wanted, text) is None:
        assert time.monotonic() < deadline, text[-300:]
        if select.select([descriptor], [], [], 0.1)[0]:
            text += os.read(descriptor, 65_536).decode(errors="replace")
    return text


def read_to_its_end(descriptor: int) -> None:
    """What a terminal shows must be read, or who writes there waits."""
    with contextlib.suppress(OSError):  # EIO: nobody has it open any more
        while select.select([descriptor], [], [], WAIT_S)[0] and os.read(descriptor, 65_536):
            pass


def test_figures_and_keys_on_a_terminal(tmp_path: Path, host: str) -> None:
    xml = tmp_path / "a.xml"
    xml.write_text(document(send("MESSAGE"), '<pause milliseconds="600000"/>', send("BYE")))
    ours, theirs = pty.openpty()
    words = ["scenario", "play", str(xml), f"{host}:9", "-i", host, "-p", "0", "-r", "1", "-l", "500", "-f", "100ms"]
    started = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *words], stdin=theirs, stderr=theirs, stdout=subprocess.PIPE, text=True,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "120", "LINES": "50"},
    )  # fmt: skip
    os.close(theirs)
    shown = read_until(ours, "Unexpected")
    assert "MESSAGE" in shown
    assert "---------->" in shown
    os.write(ours, b"*****")  # fifty more a second
    read_until(ours, r" ([3-9]\d|\d{3}) open")
    os.write(ours, b"qq")
    read_to_its_end(ours)
    out, _ = started.communicate(timeout=WAIT_S)
    assert started.returncode == 1
    assert "exit_code" in out
    os.close(ours)


def test_a_call_over_tls(run: Run, tmp_path: Path, host: str) -> None:
    certificate, key = Authority(tmp_path).issue("uas", "dns:uas.example")
    (tmp_path / "rows.csv").write_text(ROWS)
    callee = process("scenario", "play", file_of("answered/uas"), "-t", "l1", "-tls_cert", certificate, "-tls_key", key,
                     "-i", host, "-p", 5061, "-m", 2, "-timeout", "60s", "--json")  # fmt: skip
    words = ("scenario", "play", file_of("answered/uac"), f"{host}:5061", "-t", "ln", "-i", host, "-p", 0, "-inf",
             tmp_path / "rows.csv", "-m", 2, "-r", 100, "-timeout", "60s", "-d", 20)  # fmt: skip
    for _ in range(1200):
        with closing(socket.socket()) as probe:
            if probe.connect_ex((host, 5061)) == 0:
                break
        time.sleep(0.05)
    done = run(*words, "-tls_ca", tmp_path / "authority.pem")
    assert done.status == 0, done.err
    assert ended(callee).json["successful"] == 2


def test_twins_of_two_processes(run: Run, tmp_path: Path, host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sipstack.scenario.twin._CONNECT_S", WAIT_S)  # a busy machine needs long to start the other
    with raw_socket(host) as probe:
        twin = f"{host}:{probe.getsockname()[1]}"
    first, second = tmp_path / "first.xml", tmp_path / "second.xml"
    text = "<sendCmd><![CDATA[\nCall-ID: [call_id]\nX: told\n]]></sendCmd>"
    first.write_text(document(text, "<recvCmd/>", send("MESSAGE")))
    second.write_text(document("<recvCmd/>", send("MESSAGE"), text))
    waiting = process("scenario", "play", second, f"{host}:9", "-i", host, "-p", 0, "-m", 3, "-3pcc", twin, "--json")
    done = run("scenario", "play", first, f"{host}:9", "-i", host, "-p", 0, "-m", 3, "-3pcc", twin, "--json")
    assert (done.status, done.json["successful"]) == (0, 3)
    assert ended(waiting).json["successful"] == 3


def test_nobody_listens_where_the_twin_should_be(
    run: Run, tmp_path: Path, host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sipstack.scenario.twin._CONNECT_S", 0.3)
    xml = tmp_path / "a.xml"
    xml.write_text(document("<sendCmd><![CDATA[\nCall-ID: [call_id]\n]]></sendCmd>", "<recvCmd/>", recv("INVITE")))
    done = run("scenario", "play", xml, "-i", host, "-p", 0, "-m", 1, "-3pcc", f"{host}:9", "--json")
    assert (done.status, done.json["exit_code"]) == (1, 254)
    assert done.told == [f"veil700: cannot listen on udp:{host}:0: no twin in time"]
