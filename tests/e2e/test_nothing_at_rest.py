"""A whole node at work: what it logs, says, exports and leaves on disk holds no real number, nor is its core dumped."""

from __future__ import annotations

import os
import signal
import socket
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import pytest

from engine.cli import run_cli
from engine.core.spelling import holds_number
from engine.store.rows import utc_text
from scenarios.rig.node import Node
from scenarios.rig.place import PORT, Place
from tests.e2e.conftest import NodeFactory
from tests.e2e.datagrams import answer_to_options, request, udp_socket
from tests.e2e.stories import BINDING, A, B, X
from tests.e2e.waiting import is_there, wait_for

SDP: Final = f"v=0\r\no={A} 1 1 IN IP4 127.0.0.1\r\ns={A}\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 8\r\n"
CALL_ID: Final = f"id{A}x"  # a phone may write its number anywhere
MASKED: Final = "id138****8000x"

# Verbs that print what the node knows. None of them reveals.
ASKED: Final = (
    ("status", "--json"),
    ("calls", "--json"),
    ("calls",),
    ("cdr", "export"),
    ("cdr", "export", "--format", "csv"),
    ("bindings", "list"),
    ("bindings", "export"),
    ("audit", "list"),
    ("config", "show"),
)


def spelt(data: bytes) -> list[str]:
    """The parties that `data` names: in clear, backwards, in half octets like short messages, or as integers."""
    return [number for number in (A, B) if any(form in data for form in _forms(number)) or _searched(data, number)]


def _forms(number: str) -> list[bytes]:
    octets = [bytes.fromhex(f"{digits:f<12}") for digits in (number, f"86{number}"[: len(number) + 1])]
    swapped = [bytes((octet >> 4) | (octet & 15) << 4 for octet in one[:-1]) for one in octets]
    wholes = [int(number).to_bytes(8, order) for order in ("big", "little")]
    return [number.encode(), number[::-1].encode(), number.encode("utf-16-le"), *swapped, *wholes]


def _searched(data: bytes, number: str) -> bool:
    """Piece by piece, so that no file is too long for it; a journal is mostly zeros."""
    data = data.replace(bytes(64), b"")
    return any(holds_number(data[at : at + 1_000_100], number) for at in range(0, len(data), 1_000_000))


def assert_silent(node: Node, printed: pytest.CaptureFixture[str]) -> None:
    """Nobody is named: not in a log, not by a command, not in a file of the data folder."""
    assert spelt(node.stderr.encode()) == []
    node.settle()
    printed.readouterr()
    for words in ASKED:
        status = run_cli(["--config", str(node.config), *words])
        assert (words, status, spelt("".join(printed.readouterr()).encode())) == (words, 0, [])
    assert_files_silent(node)


def assert_files_silent(node: Node) -> None:
    """No file holds a number, the journal with the calls in progress neither, and nobody else may read one."""
    assert node.data_dir.stat().st_mode & 0o077 == 0
    files = [path for path in node.data_dir.rglob("*") if path.is_file()]
    assert {"bindings.db", "records.db"} <= {path.name for path in files}
    found = {path.name: (spelt(path.read_bytes()), path.stat().st_mode & 0o077) for path in files}
    public = {"signing_key.pub"}
    assert {name: what for name, what in found.items() if what != ([], 0) and name not in public} == {}


def cut_power(node: Node) -> None:
    """All processes of the node end at once: what is on disk stays as it is."""
    writer = node.status()["writer"]["pid"]
    os.kill(writer, signal.SIGSTOP)
    node.kill()
    os.kill(writer, signal.SIGKILL)
    wait_for(lambda: not is_there(writer))


def receive(end: socket.socket, start: bytes) -> bytes:
    """The next datagram that begins so."""
    while not (data := end.recv(65_536)).startswith(start):
        pass  # a 100, or a repeat
    return data


def ok(invite: bytes, host: str) -> bytes:
    """The callee's 200, which writes its own number wherever it can."""
    rows = [row for row in invite.decode().split("\r\n") if row.startswith(("Via:", "From:", "Call-ID:", "CSeq:"))]
    to = next(row for row in invite.decode().split("\r\n") if row.startswith("To:"))
    body = SDP.replace(A, B)
    return "\r\n".join((
        "SIP/2.0 200 OK", *rows, f"{to};tag=t{B}", f"Contact: <sip:{B}@{host}:{PORT}>", f"Server: {B}",
        "Content-Type: application/sdp", f"Content-Length: {len(body)}", "", body,
    )).encode()  # fmt: skip


def bye(invite: bytes, answer: bytes) -> bytes:
    """The caller's, in the dialog of that answer."""
    to = next(row for row in answer.split(b"\r\n") if row.startswith(b"To:"))
    rows = [to if row.startswith(b"To:") else row for row in invite.partition(b"\r\n\r\n")[0].split(b"\r\n")]
    kept = [row for row in rows if not row.startswith(b"Content-")]
    head = b"\r\n".join([*kept, b"Content-Length: 0", b"", b""])
    return (
        head.replace(b"INVITE sip:", b"BYE sip:")
        .replace(b"CSeq: 1 INVITE", b"CSeq: 2 BYE")
        .replace(b"z9hG4bK", b"z9hG4bKb")
    )


@pytest.mark.timeout(600)  # twenty commands, five starts
def test_no_file_log_or_command_names_a_party(
    make_node: NodeFactory, place: Place, capfd: pytest.CaptureFixture[str]
) -> None:
    """A call in progress, a refused message, a malformed request, kill -9 with a call open, and the next start."""
    # The caller never acknowledges: all that is asked while the call is up must fit into 64*T1, on a busy machine too.
    node = make_node(extra='[log]\nlevel = "debug"\n[sip]\nt1_ms = 3000\n')
    node.bind(BINDING)
    node.start()
    with ExitStack() as ends:
        caller = ends.enter_context(udp_socket(place.caller))
        callee = ends.enter_context(udp_socket(place.callee))
        here, there = f"{place.caller}:{PORT}", (place.node, PORT)
        uri, sdp = f"sip:{X}@{place.node}", "Content-Type: application/sdp\r\n"
        invite = request("INVITE", uri, here, CALL_ID, sdp, SDP.encode())
        caller.sendto(invite, there)
        callee.sendto(ok(receive(callee, b"INVITE"), place.callee), there)
        answer = receive(caller, b"SIP/2.0 200")
        caller.sendto(request("MESSAGE", f"sip:{X[:-1]}9@{place.node}", here, f"m{A}", "", f"call {A}".encode()), there)
        receive(caller, b"SIP/2.0 404")
        caller.sendto(request("INVITE", uri, here, f"bad{A}", f"Max-Forwards: {A}\r\n"), there)
        answer_to_options(caller, place.node, "after-all")
        assert_silent(node, capfd)
        assert "Max core file size        0 " in _limits(node)
        cut_power(node)
        assert any(b"GRP1" in path.read_bytes() for path in (node.data_dir / "journal").iterdir())
        assert_files_silent(node)
        node.start()
        assert receive(caller, b"SIP/2.0 200") == answer  # the call is served on
        node.kill()
        node.start()
        assert receive(caller, b"SIP/2.0 200") == answer
        traced = node.command("trace", "--number", X, "--at", utc_text(time.time()), "--reason", f"call {A}")
        assert A in traced.stdout and B in traced.stdout
        assert_files_silent(node)
        caller.sendto(bye(invite, answer), there)
        while not receive(caller, b"SIP/2.0 200").count(b"BYE"):
            pass
        while node.calls():
            time.sleep(0.01)  # a BYE is answered after 500 ms, recorded or not
        cut_power(node)
        assert_files_silent(node)
        node.start()
        # The repeat of a call from before the start is known by an identifier that is kept masked.
        caller.sendto(invite, there)
        receive(caller, b"SIP/2.0 500")
        assert_silent(node, capfd)
    node.stop()
    records = {record["caller_call_id"]: record for record in node.records()}
    assert set(records) == {MASKED, "m138****8000"}
    assert records[MASKED]["release_cause"] == "NORMAL"
    assert records[MASKED]["caller"] == A
    _without_control(node)


def _limits(node: Node) -> str:
    assert node.process is not None
    return Path(f"/proc/{node.process.pid}/limits").read_text()


def _without_control(node: Node) -> None:
    """What a node that has stopped leaves: the records are exported again, and the files searched."""
    exported = node.command("cdr", "export")
    assert (exported.returncode, spelt(exported.stdout.encode())) == (0, [])
    found = [path.name for path in node.data_dir.iterdir() if path.is_file() and spelt(path.read_bytes())]
    assert found == []
    assert spelt(node.stderr.encode()) == []
