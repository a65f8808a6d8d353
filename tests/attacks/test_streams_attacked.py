"""Attacks A5, A6, A11, A18, A19 and A27: on TCP and TLS."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Final

import pytest

from scenarios.rig.place import PORT
from scenarios.rig.seen import Seen
from tests.attacks.after import memory_kb, serves
from tests.conformance.conftest import RigFactory
from tests.conformance.rig import UNBOUND, Rig
from tests.conformance.streams import TCP, TLS_PORT, over_stream
from tests.conformance.talk import Call
from tests.conformance.test_streams import StreamOf
from tests.conformance.test_timers import open_files
from tests.conformance.test_tls import contexts, is_served, tls
from tests.sipstack.certificates import Authority

SETTINGS: Final = TCP + '[[peer]]\nname = "testers"\nmatch = ["{prefix}.128/25"]\n'
SILENT: Final = "[policy]\nfirst_response_ms = 300\n"
GREEDY: Final = TCP + '[[peer]]\nname = "greedy"\nmatch = ["{prefix}.20"]\nmax_rate = 5\n'
RESET: Final = struct.pack("ii", 1, 0)
ENDS_S: Final = 60.0  # for what hundreds of calls leave, on a machine that is busy
GROWTH_KB: Final = 8 * 1024


def test_attack_a05_reset_behind_invites(make_rig: RigFactory, tmp_path: Path) -> None:
    """CVE-2018-7286: callers that send INVITEs and reset their connections at once leave a record for each attempt and
    nothing else.

    Checked: 300 INVITEs on 30 connections over TCP and 200 on 20 over TLS, to a callee that says nothing; each attempt
    that the node counted has its record, and all descriptors are given back.
    """
    authority = Authority(tmp_path)
    rig = make_rig(lambda place: SILENT + tls(authority)(place))
    client = contexts(authority, "caller", f"ip:{rig.caller.host}")[0]
    rig.caller.send(Call(rig).invite())  # what a first call opens for good is open from now on
    assert rig.until(lambda: len(rig.node.records()) == 1 and rig.node.status()["calls"] == 0, ENDS_S)
    before = open_files(rig)
    for number in range(50):
        secured = client if number >= 30 else None
        port = PORT if secured is None else TLS_PORT
        plain = socket.create_connection((rig.place.node, port), ENDS_S, (rig.caller.host, 0))
        opened = plain if secured is None else secured.wrap_socket(plain, server_hostname=rig.place.node)
        over = b"/TCP " if secured is None else b"/TLS "
        with closing(opened):
            opened.sendall(b"".join(Call(rig).invite().replace(b"/UDP ", over, 1) for _ in range(10)))
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    assert rig.until(lambda: rig.node.status()["calls"] == 0 and open_files(rig) <= before, ENDS_S)
    attempts = rig.counter("attempts_voice")
    assert attempts >= 100 and len(rig.node.records()) == attempts
    serves(rig)


def test_attack_a06_flood_of_invites(make_rig: RigFactory) -> None:
    """CVE-2020-28327: a flood of INVITEs on connections that come and go is turned away with 503 and Retry-After beyond
    the limit of the peer, and leaves nothing.

    Checked: 200 INVITEs on 20 connections of a peer that may have 5 a second; each is answered, and has its record.
    """
    rig = make_rig(GREEDY)
    host = rig.place.host(20)
    before, told = open_files(rig), []
    for _ in range(20):
        with closing(StreamOf(rig, host)) as stream:
            data = b"".join(Call(rig, UNBOUND).invite() for _ in range(10))
            stream.opened.sendall(data.replace(b"/UDP ", b"/TCP ").replace(rig.caller.host.encode(), host.encode()))
            finals: list[Seen] = []
            while len(finals) < 10:
                while b"\r\n\r\n" not in stream.rest:
                    chunk = stream.opened.recv(65_536)
                    assert chunk
                    stream.rest += chunk
                head, _, stream.rest = stream.rest.partition(b"\r\n\r\n")
                seen = Seen(0.0, False, head + b"\r\n\r\n")
                if seen.status >= 200:
                    finals.append(seen)
            told += finals
    over = [seen for seen in told if seen.status == 503]
    assert len(over) > 100 and all(int(seen.value("Retry-After")) > 0 for seen in over)
    assert rig.until(lambda: open_files(rig) <= before + 1, ENDS_S)
    assert len(rig.node.records()) == rig.counter("attempts_voice") == 200
    serves(rig)


@pytest.mark.parametrize(
    "row",
    ["4294967328", "-1", "1e3", "0x10", "+5", "1_0", "5, 5", "5\r\nContent-Length: 6", "5\r\nl: 0", "\u0665", "", "5 5",
     "99999999999999999999"],
)  # fmt: skip
def test_attack_a11_smuggled_request(rig: Rig, row: str) -> None:
    """CVE-2026-23457: where Content-Length is no number, is too great or stands twice, what follows may be a body or a
    request: it is never run; 400, and the connection is closed.

    Checked: thirteen of them in an OPTIONS over TCP, with a whole OPTIONS behind it.
    """
    with closing(StreamOf(rig, rig.place.host(201))) as stream:
        first = stream.asking("first").replace(b"Content-Length: 0", f"Content-Length: {row}".encode())
        stream.opened.sendall(first + stream.asking("hidden"))
        said = stream.until_closed()
        assert said.startswith((b"SIP/2.0 400 ", b"SIP/2.0 513 ")) and b"hidden" not in said
        assert said.count(b"SIP/2.0 ") == 1
    serves(rig)


@pytest.mark.parametrize("start", [b"OPTIONS ", b"OPTIONS sip:x SIP/2.0\r\nX: ", b"", b"\0"])
def test_attack_a18_line_without_end(rig: Rig, start: bytes) -> None:
    """CVE-2021-1000005: a line that never ends costs its connection at the limit of a head, and no memory.

    Checked: ten connections, each with a mebibyte of one line; descriptors and memory afterwards.
    """
    files, memory = open_files(rig), memory_kb(rig)
    for _ in range(10):
        with closing(StreamOf(rig, rig.place.host(202))) as stream, contextlib.suppress(ConnectionError):
            stream.opened.sendall(start + b"a" * 1_048_576)
            stream.until_closed()
    assert rig.until(lambda: open_files(rig) <= files + 1, ENDS_S)
    assert memory_kb(rig) - memory < GROWTH_KB
    serves(rig)


@pytest.fixture
def dribbling() -> Iterator[list[socket.socket]]:
    """Connections that get an octet each, again and again."""
    opened: list[socket.socket] = []
    over = threading.Event()

    def dribble() -> None:
        while not over.wait(0.05):
            for connection in list(opened):
                with contextlib.suppress(OSError):
                    connection.send(b"O")

    thread = threading.Thread(target=dribble)
    thread.start()
    yield opened
    over.set()
    thread.join()
    for connection in opened:
        connection.close()


def test_attack_a19_idle_and_dribbling(make_rig: RigFactory, dribbling: list[socket.socket]) -> None:
    """AST-2016-005: connections that say nothing, or an octet at a time, take nothing from others; one host has its
    share of connections only.

    Checked: 1100 connections of a stranger and 100 of a peer, half of each dribbling: 1100 at the most stay; a call
    over TCP and UDP beside them. How long a message may take is in tests/sipstack/test_stream_limits.py.
    """
    rig = make_rig(SETTINGS)
    Call(rig).talk().hang_up()
    over_stream(rig, rig.caller).connect()
    before = open_files(rig)
    with ExitStack() as idle:
        for host, count in ((rig.place.stranger, 1100), (rig.place.host(140), 100)):
            for number in range(count):
                connection = socket.create_connection((rig.place.node, PORT), ENDS_S, (host, 0))
                (dribbling.append if number % 2 else idle.enter_context)(connection)
        Call(rig).talk().hang_up()
        serves(rig)
        assert open_files(rig) - before <= 1100 + 10


HELLO: Final = b"\x16\x03\x01\x40\x00\x01\x10\x00\x00\x03\x03" + bytes(16_373)  # a ClientHello of a mebibyte begins


def test_attack_a27_tls(make_rig: RigFactory, tmp_path: Path) -> None:
    """AST-2016-005; RFC 8996 §4: handshakes that are not ended hold nobody up, old versions of TLS are not spoken, and
    a certificate of another one does not make its holder the peer.

    Checked: 200 connections that begin a handshake, half with a ClientHello of a mebibyte; TLS 1.0 and 1.1; the
    certificate of another authority, of another name and of the peer; a call over TLS beside all of them.
    """
    authority, stranger = Authority(tmp_path), Authority(tmp_path, "stranger")
    shown = f'client_ca = "{authority.file}"\n[[peer]]\nname = "north"\ntls_names = ["sip.north.example"]\n'
    rig = make_rig(tls(authority, shown))
    with ExitStack() as stack:
        for number in range(200):
            address = (rig.place.node, TLS_PORT)
            begun = stack.enter_context(socket.create_connection(address, ENDS_S, (rig.place.host(22), 0)))
            with contextlib.suppress(OSError):
                begun.sendall(HELLO if number % 2 else b"\x16")
        for version in (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1):
            old = contexts(authority, "old", "dns:sip.north.example", shows=True)
            assert old[0] is not None
            old[0].set_ciphers("ALL:@SECLEVEL=0")
            with pytest.warns(DeprecationWarning, match="TLSVersion"):
                old[0].minimum_version = old[0].maximum_version = version
            assert not is_served(rig, old)
        for signer, name, is_right in (
            (stranger, "dns:sip.north.example", False), (authority, "dns:sip.south.example", False),
            (authority, "dns:sip.north.example", True),
        ):  # fmt: skip
            presented = contexts(signer, f"shown-{is_right}-{name[4:]}", name, shows=True)
            assert presented[0] is not None
            presented[0].load_verify_locations(authority.file)
            assert is_served_from(rig, presented[0], rig.place.host(23)) == is_right, name
        over_stream(rig, rig.caller, contexts(authority, "caller", f"ip:{rig.caller.host}", shows=True))
        Call(rig).talk().hang_up()
    serves(rig)


def is_served_from(rig: Rig, client: ssl.SSLContext, host: str) -> bool:
    """True when an OPTIONS over TLS from a host that no address of a peer covers is answered."""
    opened = socket.create_connection((rig.place.node, TLS_PORT), ENDS_S, (host, 0))
    try:
        with client.wrap_socket(opened, server_hostname=rig.place.node) as secured:
            asking = (
                f"OPTIONS sip:{rig.place.node} SIP/2.0\r\nVia: SIP/2.0/TLS {host};branch=z9hG4bKserved\r\n"
                f"From: <sip:{host}>;tag=a\r\nTo: <sip:{rig.place.node}>\r\nCall-ID: served\r\nCSeq: 1 OPTIONS\r\n"
                "Content-Length: 0\r\n\r\n"
            )
            secured.sendall(asking.encode())
            return secured.recv(100) != b""
    except (ssl.SSLError, ConnectionError):
        return False
