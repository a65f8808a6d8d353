"""A node with two workers hands out its traffic as one: all messages once, masked alike, and what is missing told."""

from __future__ import annotations

import itertools
import json
import os
import signal
import socket
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import pytest

from engine.control.protocol import socket_path
from engine.leaktest.scan import Scanner
from engine.workers.places import worker_socket
from scenarios.rig.binding import Bound
from scenarios.rig.node import Node
from scenarios.rig.place import Place
from tests.capture.messages import semi_octets
from tests.e2e.capturing import WAIT_S, Capturing, Started
from tests.e2e.ends import SDP, Party, StreamEnd, UdpEnd, call
from tests.e2e.stories import A, B
from tests.e2e.test_workers import all_are_back, with_workers
from tests.e2e.waiting import wait_for

BOUND: Final = [Bound(f"70012345678{number:04}", A, B) for number in (30, 31)]  # of workers 0 and 1
OF_A_CALL: Final = 11  # messages, in and out


@pytest.fixture
def node(make_node: Callable[..., Node], place: Place) -> Node:
    """It repeats nothing, however long its parties take on a busy machine: messages are counted."""
    listener = f'[[listen]]\ntransport = "tcp"\naddress = "{place.node}:5060"\n'
    made = with_workers(make_node(extra=f"[sip]\nt1_ms = 10_000\n{listener}"))
    made.bind(*BOUND)
    made.start()
    return made


def found_in(capture: Capturing, *numbers: str) -> list[dict[str, str]]:
    """The packets in which one of them stands in any spelling, and how."""
    scanner = Scanner()
    for number in numbers:
        scanner.add(number)
    return [found for one in capture.read().packets if (found := scanner.find(one.payload))]


def asked_at(path: Path, request: dict[str, object]) -> Any:
    """The first line of the answer."""
    with closing(socket.socket(socket.AF_UNIX)) as client:
        client.settimeout(WAIT_S)
        client.connect(str(path))
        client.sendall(json.dumps(request).encode() + b"\n")
        return json.loads(client.makefile("rb").readline())


def test_calls_of_both_are_in_one_file(captured: Started, parties: tuple[Party, Party], node: Node) -> None:
    capture = captured("--calls", "2", "--json")
    for number, bound in enumerate(BOUND):
        call(*parties, bound.x, f"call-{number}")
    told = capture.json()
    assert told["ended"] == "the calls have ended"
    assert (told["seen"], told["lost"], told["withheld"], told["gaps"]) == (2 * OF_A_CALL, 0, 0, 0)
    packets = capture.read().packets
    assert len({one.payload for one in packets}) == len(packets) == 2 * OF_A_CALL
    assert [one.at_us for one in packets] == sorted(one.at_us for one in packets)
    assert [worker["attempts"] for worker in node.status()["workers"]] == [1, 1]
    assert not node.stderr


def test_a_number_is_masked_alike_by_both(captured: Started, parties: tuple[Party, Party]) -> None:
    capture = captured("--calls", "2", "--json")
    for number, bound in enumerate(BOUND):
        call(*parties, bound.x, f"call-{number}")
    capture.json()
    assert found_in(capture, A, B) == []
    texts = [one.payload.decode() for one in capture.read().packets]
    came = {text.partition("From: <sip:")[2][:11] for text in texts if text.startswith(f"INVITE sip:{BOUND[0].x[:11]}")}
    called = {text[11:22] for text in texts if text.startswith("INVITE sip:1")}
    assert len(came) == len(called) == 1 and came != called
    assert all(number.startswith("169") for number in came | called)


def test_what_one_has_seen_is_not_shown_by_the_other(captured: Started, parties: tuple[Party, Party]) -> None:
    """A message to one worker has a number in clear, one to the other has it in semi-octets, which read as anything."""
    stranger = "13712345678"
    capture = captured("--json")
    caller, _ = parties
    hidden = semi_octets(stranger).hex(":")
    rows_of = ("Subject: none", f"User-to-User: 04:{hidden}:af;encoding=hex")
    for bound, who, row in zip(BOUND, (stranger, A), rows_of, strict=True):
        rows = [f"From: <sip:{who}@x>;tag=a", f"To: <sip:{bound.x}@x>", f"Call-ID: {who}", "CSeq: 1 OPTIONS", row]
        caller.ask("OPTIONS", f"sip:{bound.x}@veil.example", rows, SDP)
        caller.take("SIP/2.0 ")
    capture.await_messages(4)
    assert json.loads(capture.interrupt()[1])["shown"] == 4
    assert found_in(capture, stranger, A) == []
    [row] = [row for one in capture.read().packets for row in one.payload.decode().split("\r\n") if "encoding=" in row]
    assert len(row) == len(rows_of[1]) and hidden not in row


def test_what_is_handed_over_is_shown_once(captured: Started, place: Place, node: Node) -> None:
    """A connection stays with one worker, and so does an odd spelling come to the first one."""
    capture = captured("--calls", "2", "--json")
    with closing(StreamEnd(place.caller, place.node)) as caller, closing(UdpEnd(place.callee, place.node)) as callee:
        for number, bound in enumerate(BOUND):
            call(Party(A, caller), Party(B, callee), f"{bound.x[:3]}-{bound.x[3:]}", f"call-{number}")
    told = capture.json()
    assert (told["shown"], told["seen"]) == (2 * OF_A_CALL, 2 * OF_A_CALL)
    assert node.status()["counters"]["handed_on"] > 4
    assert len({one.payload for one in capture.read().packets}) == 2 * OF_A_CALL
    assert found_in(capture, A, B) == []


def test_filters(captured: Started, parties: tuple[Party, Party], place: Place) -> None:
    captures = {
        words: captured(*words, name=words[1])
        for words in (("--peer", "callee-side"), ("--number", A), ("--number", BOUND[1].x), ("--number", "13700137000"))
    }
    for number, bound in enumerate(BOUND):
        call(*parties, bound.x, f"call-{number}")
    wanted = {"callee-side": 10, A: 22, BOUND[1].x: 11, "13700137000": 0}
    for words, capture in captures.items():
        capture.await_messages(wanted[words[1]])
    time.sleep(1.0)  # what must not be in them has had its time
    counts = {}
    for words, capture in captures.items():
        assert capture.interrupt()[0] == 0
        counts[words[1]] = len(capture.read().packets)
    assert counts == wanted


def test_its_limits(captured: Started, node: Node, tmp_path: Path) -> None:
    done = node.command("capture", "--out", tmp_path / "none", "--peer", "nobody")
    assert (done.returncode, '--peer: there is no peer "nobody"' in done.stderr) == (1, True)
    first, *_ = [captured(name=f"{number}") for number in range(4)]
    done = node.command("capture", "--out", tmp_path / "fifth")
    assert (done.returncode, "4 captures are at work already" in done.stderr) == (1, True)
    first.interrupt()
    assert node.command("capture", "--out", tmp_path / "fifth", "--for", "1s").returncode == 0


def test_reveal_shows_numbers_and_is_audited(captured: Started, parties: tuple[Party, Party], node: Node) -> None:
    capture = captured("--calls", "1", "--json", "--reveal", "--reason", "complaint 4711")
    [*_, row] = json.loads(node.command("audit", "list", "--json").stdout)  # before anything is shown
    assert (row["action"], row["reason"], row["detail"]) == (
        "capture", "complaint 4711", "reveal messages, for 604800 s, 1 calls",
    )  # fmt: skip
    call(*parties, BOUND[1].x)
    capture.json()
    assert f"<sip:{A}@" in capture.read().packets[0].payload.decode()


def test_nobody_else_has_the_messages_of_a_worker(node: Node) -> None:
    for place in (0, 1):
        path = worker_socket(node.data_dir, place)
        for request in ({"verb": "feed"}, {"verb": "feed", "secret": "0" * 64}, {"verb": "parties", "secret": ""}):
            assert asked_at(path, request) == {"error": "for the supervisor alone"}
        assert asked_at(path, {"verb": "capture"})["error"].startswith("unknown verb")


def is_captured_again(capture: Capturing, caller: Party, number: int) -> bool:
    """What its next process does before it is asked for it is missing."""
    rows = [f"From: <sip:{A}@x>;tag=a", f"To: <sip:{BOUND[0].x}@x>", f"Call-ID: back-{number}", "CSeq: 1 OPTIONS"]
    caller.ask("OPTIONS", f"sip:{BOUND[0].x}@veil.example", rows)
    caller.take("SIP/2.0 ")
    return b"Call-ID: back-" in capture.file.read_bytes()


def test_a_worker_that_ends_is_told_and_its_part_goes_on(
    captured: Started, parties: tuple[Party, Party], node: Node
) -> None:
    capture = captured("--json")
    call(*parties, BOUND[0].x, "call-1")
    capture.await_messages(OF_A_CALL)  # what it did last would be missing
    os.kill(all_are_back(node, 0)[0], signal.SIGKILL)
    assert capture.process.stderr is not None
    assert (
        capture.process.stderr.readline() == "veil700: a worker is away: what it does until it is back may be missing\n"
    )
    call(*parties, BOUND[1].x, "call-2")
    assert wait_for(lambda: all_are_back(node, 1))
    tries = itertools.count()
    assert wait_for(lambda: is_captured_again(capture, parties[0], next(tries)))
    call(*parties, BOUND[0].x, "call-3")
    assert wait_for(lambda: b"Call-ID: call-3" in capture.file.read_bytes())
    status, out, err = capture.interrupt()
    told = json.loads(out)
    assert (status, err, told["gaps"]) == (0, "", 1)
    file = capture.read()
    assert "; 1 times a worker was away, and what it did may be missing" in file.end_comment
    texts = [one.payload.decode() for one in file.packets]
    came = [text for text in texts if text.startswith(f"INVITE sip:{BOUND[0].x[:11]}")]
    assert [text.partition("Call-ID: ")[2][:6] for text in came] == ["call-1", "call-2", "call-3"]
    assert len({text.partition("From: <sip:")[2][:11] for text in came}) == 1
    assert found_in(capture, A, B) == []


def test_a_worker_that_is_away_is_told_at_the_start(captured: Started, node: Node) -> None:
    pids = all_are_back(node, 0)
    os.kill(pids[1], signal.SIGSTOP)
    try:
        capture = captured("--for", "1s", "--json")
        status, out, err = capture.end()
    finally:
        os.kill(pids[1], signal.SIGCONT)
    assert (status, err) == (0, "veil700: a worker is away: what it does until it is back may be missing\n")
    assert json.loads(out)["gaps"] == 1


def test_the_end_of_the_node_is_told(captured: Started, node: Node) -> None:
    capture = captured("--json")
    node.stop()
    status, out, err = capture.end()
    assert (status, err) == (1, "")
    assert (json.loads(out)["ended"], json.loads(out)["gaps"]) == ("the node has stopped", 0)


def test_who_does_not_read_loses_messages_and_holds_up_nothing(
    parties: tuple[Party, Party], node: Node, place: Place
) -> None:
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
        for number, bound in enumerate(BOUND):
            call(*parties, bound.x, f"call-{number}")
        lines = reader.makefile("rb")
        lost = next(counts["lost"] for line in lines if (counts := json.loads(line)).get("lost"))
        assert 0 < lost < 9000
    assert node.status()["counters"]["faults"] == 0
