"""Where messages come from and go to: the most specific source, the first route, next hops that may be sent to."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core import routing
from engine.core.routing import Routing, address_of
from engine.core.settings import (
    CoreSettings,
    ListenerSettings,
    PeerSettings,
    PolicySettings,
    RouteSettings,
    TargetSettings,
)
from sipstack.events import Flow
from tests.core.corenode import SETTINGS, CoreNode


def target(host: str, port: int = 5060) -> TargetSettings:
    return TargetSettings(f"sip:{host}:{port}", host, port)


def peer(name: str, *match: str, targets: tuple[TargetSettings, ...] = ()) -> PeerSettings:
    return PeerSettings(name, match, targets)


def routed(*peers: PeerSettings, routes: tuple[RouteSettings, ...] = ()) -> Routing:
    listeners = (ListenerSettings("UDP", "0.0.0.0", 5060, "203.0.113.7:5060"),)
    return Routing(CoreSettings("n", "veil.example", listeners, peers, routes, PolicySettings()))


def name_of(found: PeerSettings | None) -> str:
    return "" if found is None else found.name


# -- peers by source ---------------------------------------------------------------------------------------------------

SPECIFIC = (
    peer("all", "0.0.0.0/0", "::/0"),
    peer("ten", "10.0.0.0/8"),
    peer("net", "10.1.0.0/16", "2001:db8::/32"),
    peer("small", "10.1.2.0/30", "2001:db8:1::/48"),
    peer("one", "10.1.2.3", "2001:db8:1::3"),
    peer("port", "10.1.2.3:5070", "[2001:db8:1::3]:5070"),
)


@pytest.mark.parametrize(
    ("host", "port", "expected"),
    [
        ("198.51.100.1", 5060, "all"),
        ("10.9.9.9", 5060, "ten"),
        ("10.1.9.9", 5060, "net"),
        ("10.1.2.2", 5060, "small"),
        ("10.1.2.4", 5060, "net"),
        ("10.1.2.3", 5060, "one"),
        ("10.1.2.3", 5070, "port"),
        ("10.1.2.2", 5070, "small"),
        ("2001:db8:9::1", 5060, "net"),
        ("2001:db8:1::1", 5060, "small"),
        ("2001:db8:1::3", 5060, "one"),
        ("2001:db8:1::3", 5070, "port"),
        ("2001:db9::1", 5060, "all"),
        ("::ffff:10.1.2.3", 5070, "port"),  # as a socket for both families gives an IPv4 source
        ("::ffff:10.9.9.9", 1, "ten"),
        ("fe80::1%eth0", 5060, "all"),
    ],
)
def test_most_specific_source_wins_in_any_order(host: str, port: int, expected: str) -> None:
    for order in (SPECIFIC, SPECIFIC[::-1], *list(permutations(SPECIFIC))[::97]):
        assert name_of(routed(*order).peer_of(Flow("UDP", host, port))) == expected


@pytest.mark.parametrize(
    ("host", "port"),
    [("10.1.2.4", 5060), ("10.1.2.3", 5071), ("::1", 5060), ("host.example", 5060), ("", 5060), ("x", 0)],
)
def test_unknown_source_is_nobody(host: str, port: int) -> None:
    known = routed(peer("a", "10.1.2.3:5070"), peer("b", "198.51.100.0/24"))
    assert known.peer_of(Flow("UDP", host, port)) is None


@pytest.mark.parametrize(
    "entry", ["2001:DB8::0001", "2001:0db8:0:0:0:0:0:1", "2001:db8::1", "[2001:db8::1]", "2001:db8::1/128"]
)
def test_spellings_of_an_ipv6_entry(entry: str) -> None:
    assert name_of(routed(peer("a", entry)).peer_of(Flow("UDP", "2001:db8::1", 5060))) == "a"


def test_a_source_names_the_entry_that_it_falls_under() -> None:
    routing = routed(*SPECIFIC)
    sources = [("10.9.9.9", 5060), ("10.1.2.3", 5060), ("10.1.2.3", 5070), ("2001:db8:1::3", 5070)]
    found = [routing.source_of(*source) for source in sources]
    assert [(source.peer.name, source.entry) for source in found if source is not None] == [
        ("ten", "10.0.0.0/8"), ("one", "10.1.2.3"), ("port", "10.1.2.3:5070"), ("port", "[2001:db8:1::3]:5070"),
    ]  # fmt: skip
    assert routed(SPECIFIC[1]).source_of("11.0.0.1", 5060) is None


def test_an_ipv4_network_holds_no_ipv6_address() -> None:
    assert routed(peer("v4", "0.0.0.0/0")).peer_of(Flow("UDP", "2001:db8::1", 5060)) is None
    assert routed(peer("v6", "::/0")).peer_of(Flow("UDP", "192.0.2.1", 5060)) is None


def test_a_datagram_is_not_taken_for_one_of_the_source_before_it() -> None:
    routing = routed(*SPECIFIC)
    for host, port, expected in (
        ("10.1.2.3", 5060, "one"), ("10.1.2.3", 5070, "port"), ("10.1.2.2", 5070, "small"), ("10.1.2.3", 5060, "one"),
        ("2001:db8:1::3", 5060, "one"), ("10.1.2.3", 5060, "one"), ("10.9.9.9", 5060, "ten"),
    ):  # fmt: skip
        assert name_of(routing.peer_of(Flow("UDP", host, port))) == expected
        assert name_of(routing.peer_of(Flow("UDP", host, port))) == expected
        assert name_of(routing.peer_of(Flow("TCP", host, port))) == name_of(routing.peer_of(Flow("TCP", host, 5060)))


@pytest.mark.pure
def test_answers_stay_right_when_they_are_remembered_and_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routing, "MAX_REMEMBERED_SOURCES", 3)
    known = routed(*SPECIFIC[1:])
    for _ in range(3):
        for last in range(8):
            assert name_of(known.peer_of(Flow("UDP", f"10.9.9.{last}", 5060))) == "ten"
            assert known.peer_of(Flow("UDP", f"198.51.100.{last}", 5060)) is None
        assert name_of(known.peer_of(Flow("UDP", "10.1.2.3", 5070))) == "port"
        assert name_of(known.peer_of(Flow("UDP", "10.1.2.3", 5071))) == "one"
    assert len(known._remembered) <= 3


@given(st.ip_addresses(v=4), st.integers(1, 65535), st.integers(0, 32))
def test_a_network_holds_its_own_addresses(address: object, port: int, prefix: int) -> None:
    """And a longer prefix beats a shorter one, whatever the address."""
    wide, narrow = f"{address}/{prefix}", f"{address}/{min(prefix + 1, 32)}"
    known = routed(peer("wide", wide), peer("narrow", narrow))
    assert name_of(known.peer_of(Flow("UDP", str(address), port))) == ("narrow" if prefix < 32 else "wide")


# -- routes ------------------------------------------------------------------------------------------------------------


def test_first_route_that_matches_wins_and_peers_keep_their_order() -> None:
    one, two = peer("one", targets=(target("10.0.0.1"), target("10.0.0.2"))), peer("two", targets=(target("10.0.0.3"),))
    known = routed(
        one,
        two,
        routes=(
            RouteSettings("special", "^139", ("two",)),
            RouteSettings("mobiles", "^1[3-9][0-9]{9}$", ("one", "two")),
            RouteSettings("rest", ".", ("two", "one")),
        ),
    )
    assert [hop.target.host for hop in known.hops("13900139000")] == ["10.0.0.3"]
    assert [hop.target.host for hop in known.hops("13800138000")] == ["10.0.0.1", "10.0.0.2", "10.0.0.3"]
    assert [hop.peer.name for hop in known.hops("95588")] == ["two", "one", "one"]
    assert known.hops("13800138000")[1].flow == Flow("UDP", "10.0.0.2", 5060)


def test_the_route_that_matches_is_told() -> None:
    routes = (RouteSettings("a", "^13", ("one",)), RouteSettings("b", "^1", ("two",)))
    routing = routed(peer("one"), peer("two"), routes=routes)
    assert (routing.route_of("138"), routing.route_of("158"), routing.route_of("20")) == (*routes, None)


def test_no_route() -> None:
    known = routed(peer("a", targets=(target("10.0.0.1"),)), routes=(RouteSettings("m", "^1[3-9]", ("a",)),))
    assert known.hops("2088888888") == []
    assert routed().hops("13800138000") == []


def test_a_route_without_targets_ends_the_search() -> None:
    """First match wins: it does not fall through to a route that was meant for others."""
    known = routed(
        peer("empty"),
        peer("full", targets=(target("10.0.0.1"),)),
        routes=(RouteSettings("m", "^139", ("empty",)), RouteSettings("all", ".", ("full",))),
    )
    assert known.hops("13900139000") == []


def test_digits_of_other_scripts_match_no_route() -> None:
    known = routed(peer("a", targets=(target("10.0.0.1"),)), routes=(RouteSettings("m", r"^\d+$", ("a",)),))
    assert known.hops("１３９") == [] and len(known.hops("139")) == 1


# -- sources and hosts -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("[2001:DB8::1]", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("host.example", "None"),
        ("", "None"),
        ("192.0.2.256", "None"),
        ("1.2.3", "None"),
    ],
)
def test_address_of(host: str, expected: str) -> None:
    assert str(address_of(host)) == expected


def test_port_of_a_connection_is_no_source() -> None:
    """Contract §4: `address:port` is for UDP."""
    known = routed(peer("port", "10.1.2.3:5070"), peer("one", "10.1.2.3"))
    assert name_of(known.peer_of(Flow("UDP", "10.1.2.3", 5070))) == "port"
    assert name_of(known.peer_of(Flow("TCP", "10.1.2.3", 5070))) == "one"
    assert routed(peer("port", "10.1.2.3:5070")).peer_of(Flow("TLS", "10.1.2.3", 5070)) is None


def test_trusted_peers_share_with_nobody_and_untrusted_ones_among_themselves() -> None:
    """What the node spends on connections; an entry with a port is for UDP, and makes nobody known on a stream."""
    trunk = peer("trunk", "192.0.2.0/24", "198.51.100.9:5060")
    phones = replace(peer("phones", "192.0.2.128/25"), trusted=False)
    node = CoreNode(replace(SETTINGS, peers=(trunk, phones), routes=()))
    pools = [node.service.trunks.pool_of(host) for host in ("192.0.2.1", "192.0.2.130", "198.51.100.9", "203.0.113.1")]
    assert pools == [None, "phones", "", ""]
