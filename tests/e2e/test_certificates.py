"""Two trunks behind one address, each known by its certificate (RFC 5922 §7; A27)."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from scenarios.rig.binding import BLOCK, Bound
from scenarios.rig.node import Node
from scenarios.rig.place import Place
from tests.e2e.ends import Party, StreamEnd, UdpEnd, call
from tests.e2e.stories import A
from tests.sipstack.certificates import Authority

BOUND = Bound(f"{BLOCK}0074", A, "13900139000")
TRUNK = '[[peer]]\nname = "{name}"\ntls_names = ["{name}.example"]\n'


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def node(make_node: Callable[..., Node], place: Place, authority: Authority) -> Node:
    certificate, key = authority.issue("node", f"ip:{place.node}")
    listen = (
        f'[[listen]]\ntransport = "tls"\naddress = "{place.node}:5061"\ncertificate = "{certificate}"\n'
        f'private_key = "{key}"\nclient_ca = "{authority.file}"\n'
    )
    made = make_node(extra=listen + TRUNK.format(name="north") + TRUNK.format(name="south"))
    made.bind(BOUND)
    made.start()
    return made


@pytest.fixture
def callee(place: Place) -> Iterator[Party]:
    end = UdpEnd(place.callee, place.node)
    yield Party(BOUND.b, end)
    end.close()


@pytest.fixture
def showing(place: Place, authority: Authority) -> Iterator[Callable[..., Party]]:
    """The caller, behind an address of no peer, with a certificate for these names."""
    ends: list[StreamEnd] = []

    def shown(*names: str) -> Party:
        client = ssl.create_default_context(cafile=authority.file)
        client.load_cert_chain(*authority.issue("caller", *names))
        server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        ends.append(StreamEnd(place.second, place.node, 5061, 5061, client, server))
        return Party(A, ends[-1])

    yield shown
    for end in ends:
        end.close()


@pytest.mark.parametrize("name", ["north", "south"])
def test_who_calls_is_told_by_its_certificate(
    node: Node, showing: Callable[..., Party], callee: Party, name: str
) -> None:
    call(showing(f"dns:{name}.example"), callee, BOUND.x)
    (record,) = node.records()
    assert (record["ingress_peer"], record["release_cause"]) == (name, "NORMAL")


@pytest.mark.parametrize(
    "names", [("dns:west.example",), ("dns:*.example",), ("dns:north.example", "dns:south.example")]
)
def test_a27_another_certificate_of_the_same_authority_is_nobodys(
    node: Node, showing: Callable[..., Party], names: tuple[str, ...]
) -> None:
    caller = showing(*names)
    rows = [f"From: <sip:{A}@x.example>;tag=a", f"To: <sip:{BOUND.x}@veil.example>", "Call-ID: c", "CSeq: 1 INVITE"]
    caller.ask("INVITE", f"sip:{BOUND.x}@veil.example", rows)
    assert isinstance(caller.end, StreamEnd) and caller.end.connection is not None
    assert caller.end.connection.recv(1) == b""  # closed, and not a word
    assert node.status()["counters"]["unknown_source"] == 1
    node.stop()
    assert node.records() == []
