"""The same call over UDP, TCP and TLS, in all pairs: RFC 3261 §18."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from scenarios.rig.binding import BLOCK, Bound
from scenarios.rig.node import Node
from scenarios.rig.place import Place
from scenarios.rig.sipp import Sipp
from sipstack import headers as h
from sipstack.message import Message
from tests.e2e.datagrams import request
from tests.e2e.ends import SDP, End, Party, StreamEnd, UdpEnd, answered, ask, call, hang_up
from tests.e2e.stopwatch import stopwatch
from tests.e2e.stories import A
from tests.sipstack.certificates import Authority

TCP = Bound(f"{BLOCK}0071", A, "13100131000")
TLS = Bound(f"{BLOCK}0072", A, "13200132000")
UDP = Bound(f"{BLOCK}0073", A, "13900139000")
BOUND = {"UDP": UDP, "TCP": TCP, "TLS": TLS}
PORTS = {"UDP": 5060, "TCP": 5060, "TLS": 5061}

Opened = Callable[[str, str], End]


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def node(make_node: Callable[..., Node], place: Place, authority: Authority) -> Node:
    certificate, key = authority.issue("node", f"ip:{place.node}")
    made = make_node(
        extra=(
            f'[[listen]]\ntransport = "tcp"\naddress = "{place.node}:5060"\n'
            f'[[listen]]\ntransport = "tls"\naddress = "{place.node}:5061"\ncertificate = "{certificate}"\n'
            f'private_key = "{key}"\nserver_ca = "{authority.file}"\n'
            f'[[peer]]\nname = "tcp"\ntargets = ["sip:{place.callee}:5060;transport=tcp"]\n'
            f'[[peer]]\nname = "tls"\ntargets = ["sip:{place.callee}:5061;transport=tls"]\n'
            '[[route]]\nname = "to-tcp"\ncalled = "^131"\npeers = ["tcp"]\n'
            '[[route]]\nname = "to-tls"\ncalled = "^132"\npeers = ["tls"]\n'
        )
    )
    made.bind(TCP, TLS, UDP)
    return made


@pytest.fixture
def opened(place: Place, authority: Authority) -> Iterator[Opened]:
    """Opens the end of a host over a transport."""
    ends: list[End] = []

    def open_end(transport: str, host: str) -> End:
        if transport == "UDP":
            ends.append(UdpEnd(host, place.node))
        else:
            client = server = None
            if transport == "TLS":
                client = ssl.create_default_context(cafile=authority.file)
                server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                server.load_cert_chain(*authority.issue(f"end-{host}", f"ip:{host}"))
            ends.append(StreamEnd(host, place.node, PORTS[transport], PORTS[transport], client, server))
        return ends[-1]

    yield open_end
    for end in ends:
        end.close()


def says(message: Message) -> list[str]:
    """Transports that it names as the node's: in Via, and in Contact."""
    via = message.line(h.VIA).partition(" SIP/2.0/")[2].partition(" ")[0] if message.is_request else ""
    contact = (message.value(h.CONTACT) or "").partition(";transport=")[2].strip("<>").upper() or "UDP"
    return [via, contact] if via else [contact]


@pytest.mark.parametrize("callee_by", ["UDP", "TCP", "TLS"])
@pytest.mark.parametrize("caller_by", ["UDP", "TCP", "TLS"])
def test_call(node: Node, place: Place, opened: Opened, caller_by: str, callee_by: str) -> None:
    node.start()
    assert node.stdout == f"veil700 ready sip=udp:{place.node}:5060,tcp:{place.node}:5060,tls:{place.node}:5061\n"
    bound = BOUND[callee_by]
    caller, callee = opened(caller_by, place.caller), opened(callee_by, place.callee)
    invite, ok = call(Party(A, caller), Party(bound.b, callee), bound.x)
    assert (says(invite), says(ok)) == ([callee_by, callee_by], [caller_by])
    (record,) = node.records()
    assert (record["release_cause"], record["release_direction"]) == ("NORMAL", "callee")


@pytest.mark.parametrize("transport", ["UDP", "TCP", "TLS"])
def test_same_answer_over_every_transport(node: Node, place: Place, opened: Opened, transport: str) -> None:
    """Requirement 1."""
    node.start()
    asked = request("OPTIONS", f"sip:{place.node}", "192.0.2.9:9", "same")
    first = opened("UDP", place.caller)
    first.send(asked.replace(b"9:9;", b"9:9;rport;"))
    over_udp = first.receive()
    end = opened(transport, place.caller) if transport != "UDP" else first
    end.send(
        asked.replace(b"SIP/2.0/UDP", f"SIP/2.0/{transport}".encode())
        .replace(b"9:9;", b"9:9;rport;")
        .replace(b"same", b"then")
    )
    answer = end.receive()
    assert (answer.status, answer.values(h.ALLOW), answer.named("Accept")) == (
        200,
        over_udp.values(h.ALLOW),
        over_udp.named("Accept"),
    )
    assert answer.values(h.SUPPORTED) == over_udp.values(h.SUPPORTED)


@pytest.mark.parametrize("transport", ["TCP", "TLS"])
def test_connection_of_an_unknown_source_is_closed(node: Node, place: Place, opened: Opened, transport: str) -> None:
    node.start()
    end = opened(transport, place.stranger)
    assert isinstance(end, StreamEnd)
    end.send(request("OPTIONS", f"sip:{place.node}", "192.0.2.9:9", "unknown"))
    assert end.connection is not None
    assert end.connection.recv(100) == b""
    assert node.status()["counters"]["unknown_source"] == 1


@pytest.mark.parametrize("transport", ["TCP", "TLS"])
def test_nobody_at_a_stream_target_is_told_at_once(node: Node, place: Place, opened: Opened, transport: str) -> None:
    """Requirement 11."""
    node.start()
    caller = Party(A, opened("UDP", place.caller))
    took = stopwatch(node)
    ask(caller, BOUND[transport].x)
    caller.take("SIP/2.0 480")
    assert took() < 1.0
    assert node.records()[0]["release_cause"] == "ALL_TARGETS_FAILED"


@pytest.mark.parametrize(
    ("signed_by", "subject", "days", "reason"),
    [
        ("authority", "dns:core.example", 30, "its certificate is not for {callee}"),
        ("authority", "ip:{callee}", -2, "certificate has expired"),
        ("stranger", "ip:{callee}", 30, "unable to get local issuer certificate"),
    ],
    ids=["of another", "expired", "of an unknown authority"],
)
def test_target_that_does_not_prove_who_it_is_sees_nothing(
    node: Node, place: Place, tmp_path: Path, authority: Authority, signed_by: str, subject: str, days: int, reason: str
) -> None:
    """Requirement 12: the caller is refused, the log says why once, and the socket has seen a handshake only."""
    signer = authority if signed_by == "authority" else Authority(tmp_path, signed_by)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(*signer.issue("callee", subject.format(callee=place.callee), days=days))
    callee = StreamEnd(place.callee, place.node, PORTS["TLS"], server=server)
    node.start()
    caller = Party(A, UdpEnd(place.caller, place.node))
    with ThreadPoolExecutor() as threads:
        for number in (1, 2):
            seen = threads.submit(seen_by, callee)
            identity = [f"From: <sip:{A}@{caller.address}>;tag=t{number}", f"To: <sip:{TLS.x}@veil.example>"]
            caller.ask("INVITE", f"sip:{TLS.x}@veil.example", [*identity, f"Call-ID: {number}", "CSeq: 1 INVITE"], SDP)
            caller.take("SIP/2.0 480")
            assert seen.result() == b""
    caller.end.close()
    callee.close()
    told = [line for line in node.stderr.splitlines() if "no connection" in line]
    assert len(told) == 1
    assert f"tls:{place.callee}:5061" in told[0]
    assert reason.format(callee=place.callee) in told[0]


def seen_by(end: StreamEnd) -> bytes:
    """What the node sends on the connection that it opens, once it is TLS."""
    try:
        end.accept()
        assert end.connection is not None
        return end.connection.recv(100)
    except OSError:  # the handshake has failed
        return b""


@pytest.mark.parametrize(("caller_by", "callee_by"), [("t1", "t1"), ("t1", "u1"), ("u1", "t1"), ("tn", "t1")])
def test_calls_of_sipp(node: Node, place: Place, sipp: Callable[..., Sipp], caller_by: str, callee_by: str) -> None:
    """`-t t1` is one connection for all calls, `-t tn` one for each."""
    node.start()
    bound = TCP if callee_by == "t1" else UDP
    callee = sipp("answered/uas", place.callee, calls=5, options=("-t", callee_by))
    caller = sipp(
        "answered/uac", place.caller, target=f"{place.node}:5060", rows=[(bound.x, A)], calls=5, rate=5,
        options=("-t", caller_by),
    )  # fmt: skip
    assert (caller.wait().successful, callee.wait().successful) == (5, 5)
    assert [record["release_cause"] for record in node.records()] == ["NORMAL"] * 5


@pytest.mark.parametrize("transport", ["TCP", "TLS"])
def test_answer_finds_who_has_closed_its_connection(node: Node, place: Place, opened: Opened, transport: str) -> None:
    """Requirement 5: a new connection to the port of its Via; later requests go where its Contact says."""
    node.start()
    end = opened(transport, place.caller)
    assert isinstance(end, StreamEnd)
    caller, callee = Party(A, end), Party(UDP.b, opened("UDP", place.callee))
    ask(caller, UDP.x)
    invite = callee.take("INVITE ")
    end.drop()
    answered(caller, callee, invite)
    assert end.accepted == 1
    end.drop()
    hang_up(caller, callee, invite)
    assert end.accepted == 2
    assert [record["release_cause"] for record in node.records()] == ["NORMAL"]


@pytest.mark.parametrize("has_tcp", [True, False])
def test_long_invite(node: Node, place: Place, opened: Opened, has_tcp: bool) -> None:
    """Requirement 6: over TCP, and over UDP to who refuses that."""
    node.start()
    caller = Party(A, opened("UDP", place.caller))
    by_udp = Party(UDP.b, opened("UDP", place.callee))
    callee = Party(UDP.b, opened("TCP", place.callee)) if has_tcp else by_udp
    ask(caller, UDP.x, body=SDP + "".join(f"a=fmtp:{number} mode=1;octet-align=1\r\n" for number in range(96, 127)))
    invite = callee.take("INVITE ")
    assert len(invite.to_bytes()) > 1300
    assert says(invite) == ["TCP" if has_tcp else "UDP", "UDP"]
    callee.answer(invite, 486)
    callee.take("ACK ")
    caller.take("SIP/2.0 486")
