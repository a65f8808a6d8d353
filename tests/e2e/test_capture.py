"""A running node hands out its own traffic: what is in the file, what is not, and how a capture ends."""

from __future__ import annotations

import base64
import json
import os
import pty
import re
import signal
import socket
import ssl
import stat
import subprocess
import sys
from contextlib import closing, suppress
from pathlib import Path

import pytest

from engine.control.protocol import socket_path
from engine.leaktest.scan import Scanner
from scenarios.rig.binding import BLOCK, Bound
from scenarios.rig.node import ROOT, Node
from scenarios.rig.place import Place
from sipstack.pcap import read_datagrams, read_sip
from tests.capture.messages import semi_octets
from tests.e2e.capturing import WAIT_S, Capturing, Started
from tests.e2e.conftest import NodeFactory
from tests.e2e.ends import SDP, Party, StreamEnd, call
from tests.e2e.stories import BINDING, A, B, X
from tests.e2e.waiting import wait_for
from tests.sipstack.certificates import Authority


@pytest.fixture
def node(make_node: NodeFactory) -> Node:
    """It repeats nothing, however long its parties take on a busy machine: messages are counted."""
    made = make_node(extra="[sip]\nt1_ms = 10_000\n")
    made.bind(BINDING)
    made.start()
    return made


def test_a_call_as_it_came_and_went(captured: Started, parties: tuple[Party, Party], place: Place, node: Node) -> None:
    capture = captured("--calls", "1", "--json")
    call(*parties, X)
    told = capture.json()
    assert (told["ended"], told["lost"], told["withheld"]) == ("the calls have ended", 0, 0)
    packets = capture.read().packets
    caller, callee, ours = (place.caller, 5060), (place.callee, 5060), (place.node, 5060)
    firsts = [(one.source, one.destination, one.payload.partition(b" sip:")[0][:11]) for one in packets]
    # Who has said BYE is answered after 0.2 s though the other end has not answered yet.
    assert [*firsts[:9], *sorted(firsts[9:], key=lambda one: one[0] == ours)] == [
        (caller, ours, b"INVITE"), (ours, caller, b"SIP/2.0 100"), (ours, callee, b"INVITE"),
        (callee, ours, b"SIP/2.0 200"), (ours, caller, b"SIP/2.0 200"), (caller, ours, b"ACK"),
        (ours, callee, b"ACK"), (callee, ours, b"BYE"), (ours, caller, b"BYE"),
        (caller, ours, b"SIP/2.0 200"), (ours, callee, b"SIP/2.0 200"),
    ]  # fmt: skip
    assert [one.direction for one in packets] == ["in" if one[1] == ours else "out" for one in firsts]
    assert told["shown"] == told["seen"] == len(packets)
    assert [one.payload for one in read_datagrams(capture.file.read_bytes())] == [one.payload for one in packets]
    assert [one.at_us for one in packets] == sorted(one.at_us for one in packets)
    assert stat.S_IMODE(os.stat(capture.file).st_mode) == 0o600
    assert not node.stderr


def test_no_real_number_is_in_the_file(captured: Started, parties: tuple[Party, Party]) -> None:
    capture = captured("--calls", "1", "--json")
    call(*parties, X)
    assert capture.json()["shown"] == 11
    scanner = Scanner()
    scanner.add(A)
    scanner.add(B)
    packets = capture.read().packets
    assert [found for one in packets if (found := scanner.find(one.payload))] == []
    assert scanner.find(capture.file.read_bytes()) == {}
    texts = [one.payload.decode() for one in packets]
    assert all(X in text for text in texts)
    [invite, sent] = [text for text in texts if text.startswith("INVITE ")]
    pseudonym = invite.partition("<sip:")[2][:11]
    assert pseudonym.startswith("169") and f"sip:{pseudonym}@" in texts[4]
    called = sent.partition("sip:")[2][:11]
    assert called.startswith("169") and called != pseudonym
    for text in texts:
        head, _, body = text.partition("\r\n\r\n")
        assert f"Content-Length: {len(body)}" in head


def test_reveal_shows_numbers_and_is_audited(captured: Started, parties: tuple[Party, Party], node: Node) -> None:
    capture = captured("--calls", "1", "--json", "--reveal", "--reason", "complaint 4711", "--number", A)
    [*_, row] = json.loads(node.command("audit", "list", "--json").stdout)  # before anything is shown
    assert (row["action"], row["reason"]) == ("capture", "complaint 4711")
    assert row["detail"] == "reveal messages, for 604800 s, 1 calls, number 138****8000"
    call(*parties, X)
    capture.json()
    texts = [one.payload.decode() for one in capture.read().packets]
    assert f"<sip:{A}@" in texts[0] and any(f"sip:{B}@" in text for text in texts)
    assert capture.read().comment.startswith("real numbers in clear")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_leaves_a_whole_file_and_no_tap(
    captured: Started, parties: tuple[Party, Party], node: Node, number: signal.Signals
) -> None:
    capture = captured()
    call(*parties, X)
    status, out, err = capture.interrupt(number)
    assert (status, err) == (0, "")
    assert "ended     interrupted" in out
    assert capture.read().end_comment.startswith("interrupted; ")
    call(*parties, X, "call-2")
    assert node.status()["counters"]["faults"] == 0


def test_a_command_that_is_killed_leaves_what_it_had(captured: Started, parties: tuple[Party, Party]) -> None:
    capture = captured()
    call(*parties, X)
    size = wait_for(lambda: capture.file.stat().st_size > 5000 and capture.file.stat().st_size, WAIT_S)
    capture.process.kill()
    capture.end()
    assert size <= capture.file.stat().st_size
    assert read_datagrams(capture.file.read_bytes())
    call(*parties, X, "call-2")


def test_the_end_of_the_node_is_told(captured: Started, node: Node) -> None:
    capture = captured()
    node.stop()
    status, out, err = capture.end()
    assert (status, err) == (1, "")
    assert "the node has stopped" in out


def test_the_death_of_the_node_is_told(captured: Started, node: Node) -> None:
    capture = captured()
    node.stop(signal.SIGKILL)
    status, out, _ = capture.end()
    assert (status, "the node went away" in out) == (1, True)
    assert capture.read().end_comment.startswith("the node went away")


def test_a_terminal_shows_how_far_it_is(node: Node, parties: tuple[Party, Party], tmp_path: Path) -> None:
    ours, its = pty.openpty()
    command = [sys.executable, "-m", "engine.main", "--config", node.config, "capture", "--out", tmp_path / "c.pcapng"]
    with os.fdopen(ours, "rb", buffering=0) as screen:
        process = subprocess.Popen([*command, "--calls", "1"], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=its)
        os.close(its)
        try:
            seen = b""
            while b"capturing into" not in seen:
                seen += screen.read(4096)
            call(*parties, X)
            assert process.wait(WAIT_S) == 0
            with suppress(OSError):  # what a terminal says whose other side is closed
                while more := screen.read(4096):
                    seen += more
        finally:
            process.kill()
            process.wait()
    assert re.search(rb"[1-9]\d* messages seen, [1-9]\d* written", seen)


def test_a_file_that_is_there_stays(node: Node, tmp_path: Path) -> None:
    file = tmp_path / "there"
    file.write_text("mine")
    done = node.command("capture", "--out", file, "--for", "1s")
    assert (done.returncode, done.stdout) == (2, "")
    assert "there is such a file" in done.stderr
    assert file.read_text() == "mine"
    assert node.command("capture", "--out", file, "--for", "1s", "--force").returncode == 0
    assert file.read_bytes().startswith(b"\x0a\x0d\x0d\x0a")


def test_no_file_is_made_when_nothing_can_be_captured(node: Node, tmp_path: Path) -> None:
    file = tmp_path / "none"
    done = node.command("capture", "--out", file, "--peer", "nobody")
    assert (done.returncode, '--peer: there is no peer "nobody"' in done.stderr) == (1, True)
    node.stop()
    done = node.command("capture", "--out", file)
    assert (done.returncode, "no node runs here" in done.stderr) == (1, True)
    assert not file.exists()


def test_four_at_once(captured: Started, node: Node, tmp_path: Path) -> None:
    first, *_ = [captured(name=f"{number}") for number in range(4)]
    done = node.command("capture", "--out", tmp_path / "fifth")
    assert (done.returncode, "4 captures are at work already" in done.stderr) == (1, True)
    first.interrupt()
    assert node.command("capture", "--out", tmp_path / "fifth", "--for", "1s").returncode == 0


def test_filters(captured: Started, parties: tuple[Party, Party], place: Place) -> None:
    """One leg of a peer; both legs of a number, whoever has it; nothing of another one."""
    captures = {
        words: captured(*words, "--calls", "1", name=words[1])
        for words in (("--peer", "callee-side"), ("--number", A), ("--number", X), ("--number", "13700137000"))
    }
    call(*parties, X)
    for words, capture in captures.items():
        status, _, _ = capture.interrupt() if words[1] == "13700137000" else capture.end()
        assert status == 0
    packets = {words[1]: capture.read().packets for words, capture in captures.items()}
    assert all(place.callee in (one.source[0], one.destination[0]) for one in packets["callee-side"])
    counts = {name: len(found) for name, found in packets.items()}
    assert counts == {"callee-side": 5, A: 11, X: 11, "13700137000": 0}


def test_who_does_not_read_loses_messages_and_holds_up_nothing(
    captured: Started, parties: tuple[Party, Party], node: Node, place: Place
) -> None:
    """A reader that stops: 4096 messages and what the sockets hold wait for it, more are lost."""
    with closing(socket.socket(socket.AF_UNIX)) as reader:
        reader.settimeout(WAIT_S)
        reader.connect(str(socket_path(node.data_dir)))
        reader.sendall(b'{"verb": "capture"}\n')
        assert reader.recv(100).startswith(b'{"capturing"')
        with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as stranger:
            stranger.bind((place.stranger, 5060))
            for index in range(9000):
                stranger.sendto(b"SIP/2.0 200 OK\r\nX: " + b"x" * 600 + b"%d" % index, (place.node, 5060))
                if index % 100 == 0:
                    node.status()  # so that no datagram is lost before
        call(*parties, X)
        lines = reader.makefile("rb")
        lost = next(counts["lost"] for line in lines if (counts := json.loads(line)).get("lost"))
        assert 0 < lost < 9000
    assert node.status()["counters"]["faults"] == 0


@pytest.mark.parametrize(
    "words",
    [{"for_s": 0}, {"for_s": "x"}, {"calls": -1}, {"calls": True}, {"number": "1234"}, {"peer": 7}, {"reveal": True}],
)
def test_a_request_that_is_wrong_is_refused(node: Node, words: dict[str, object]) -> None:
    with closing(socket.socket(socket.AF_UNIX)) as client:
        client.settimeout(WAIT_S)
        client.connect(str(socket_path(node.data_dir)))
        client.sendall(json.dumps({"verb": "capture"} | words).encode() + b"\n")
        assert set(json.loads(client.makefile("rb").readline())) == {"error"}


def test_a_pipe_whose_reader_has_gone_ends_it(node: Node) -> None:
    """There is no traffic at all."""
    command = [sys.executable, "-m", "engine.main", "--config", node.config, "capture", "--out", "-"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None and process.stderr is not None
    assert process.stdout.read(4) == b"\x0a\x0d\x0d\x0a"
    process.stdout.close()
    assert process.wait(WAIT_S) == 1
    assert process.stderr.read() == b"veil700: capturing into stdout; Ctrl-C ends it\n"
    process.stderr.close()


# What the parties write beside what a call needs: the numbers of both in every spelling, and nobody's.
STRANGER = "13712345678"


def rows_of(number: str) -> list[str]:
    """Spellings of a number in fields that do not cross: from whom they come is all the same."""
    hidden = base64.b64encode(f"tel {number}".encode()).decode()
    in_json = "".join([f"\\u{ord(digit):04x}" for digit in number])
    wide = "".join([chr(0xFF10 + int(digit)) for digit in number])
    parts = (number[:3], number[3:7], number[7:])
    return [
        f'P-Preferred-Identity: "{" ".join(parts)}" <tel:+86-{"-".join(parts)}>',
        f"Remote-Party-ID: <sip:{quote_all(number)}@x>;party=calling",
        f"Diversion: <sip:0086{number}@x>",
        f"User-to-User: 04{semi_octets(number).hex()}af;encoding=hex",
        f"X-Hex: {number.encode().hex()}",
        f"X-Base64: {hidden}",
        f'X-Json: "tn": "{in_json}"',
        f"X-Wide: {wide}",
        f'Authorization: Digest username="{number}@ims", response="{"c7" * 16}"',
    ]


def quote_all(number: str) -> str:
    return "".join(f"%{ord(digit):02X}" for digit in number)


def test_canaries_in_every_spelling(captured: Started, parties: tuple[Party, Party], node: Node) -> None:
    capture = captured("--json", "--for", "20s")
    caller, callee = parties
    rows = [f"From: <sip:{A}@x>;tag=a", f"To: <sip:{X}@veil.example>", "Call-ID: canaries", "CSeq: 1 INVITE"]
    more = [row for number in (A, B, STRANGER) for row in rows_of(number)]
    caller.ask("INVITE", f"sip:{X}@veil.example", [*rows, *more], SDP)
    invite = callee.take("INVITE ")
    for row in rows_of(A):
        name, _, value = row.partition(": ")
        callee.end.send(f"OPTIONS sip:{X}@x SIP/2.0\r\n{name}: {value}\r\nSubject: {B}\r\n\r\n".encode())
    callee.answer(invite, 486)
    caller.take("SIP/2.0 486")
    told = capture.json()
    scanner = Scanner()
    for number in (A, B, STRANGER):
        scanner.add(number)
    packets = capture.read().packets
    assert [found for one in packets if (found := scanner.find(one.payload))] == []
    assert (told["withheld"], told["lost"], told["shown"]) == (0, 0, told["seen"])
    [first, *_] = [one.payload.decode() for one in packets]
    assert 'response="' + "0" * 32 in first and 'response="c7' not in first
    assert f"Content-Length: {len(SDP)}" in first and first.endswith(SDP)


def test_streams_are_shown_in_clear(make_node: NodeFactory, place: Place, tmp_path: Path) -> None:
    """TLS to the node, TCP from it."""
    authority = Authority(tmp_path)
    certificate, key = authority.issue("node", f"ip:{place.node}")
    node = make_node(
        extra=(
            f'[sip]\nt1_ms = 10_000\n[[listen]]\ntransport = "tcp"\naddress = "{place.node}:5060"\n'
            f'[[listen]]\ntransport = "tls"\naddress = "{place.node}:5061"\ncertificate = "{certificate}"\n'
            f'private_key = "{key}"\n[[peer]]\nname = "tcp"\ntargets = ["sip:{place.callee}:5060;transport=tcp"]\n'
            '[[route]]\nname = "to-tcp"\ncalled = "^131"\npeers = ["tcp"]\n'
        )
    )
    bound = Bound(f"{BLOCK}0071", A, "13100131000")
    node.bind(bound)
    node.start()
    context = ssl.create_default_context(cafile=authority.file)
    with (
        closing(Capturing(node, tmp_path / "streams", "--calls", "1", "--json")) as capture,
        closing(StreamEnd(place.caller, place.node, 5061, 5061, context)) as caller,
        closing(StreamEnd(place.callee, place.node)) as callee,
    ):
        call(Party(A, caller), Party(bound.b, callee), bound.x)
        assert capture.json()["shown"] == 11
        messages = read_sip(capture.file.read_bytes()).messages
        assert [one.data for one in messages] == [one.payload for one in capture.read().packets]
        assert {one.transport for one in messages} == {"TCP"}
        assert {port for one in messages for _, port in (one.source, one.destination)} >= {5060, 5061}
        assert messages[0].data.startswith(b"INVITE ") and A.encode() not in messages[0].data
