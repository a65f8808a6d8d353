"""Where messages come from and go to: the most specific source, the first route, next hops that may be sent to."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core import routing
from engine.core.listeners import Listeners
from engine.core.routing import Routing, address_of, hosts_of
from engine.core.settings import (
    CoreSettings,
    ListenerSettings,
    PeerSettings,
    PolicySettings,
    RouteSettings,
    TargetSettings,
)
from sipstack.errors import RemoteSipError
from sipstack.events import Flow
from sipstack.uri import SipUri, parse_uri
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


@pytest.mark.pure
def test_answers_stay_right_when_they_are_remembered_and_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routing, "_MAX_REMEMBERED_SOURCES", 3)
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


# -- next hops ---------------------------------------------------------------------------------------------------------

ALL = Listeners(
    (
        ListenerSettings("UDP", "192.0.2.1", 5060, "192.0.2.1:5060"),
        ListenerSettings("TCP", "192.0.2.1", 5060, "192.0.2.1:5060"),
        ListenerSettings("TLS", "192.0.2.1", 5061, "192.0.2.1:5061"),
        ListenerSettings("UDP", "2001:db8::1", 5060, "[2001:db8::1]:5060"),
    )
)
ONLY_UDP = Listeners((ListenerSettings("UDP", "192.0.2.1", 5060, "192.0.2.1:5060"),))


def flow_to(uri: str, known: Flow, listeners: Listeners = ALL) -> Flow:
    return routing.flow_to(uri, known, listeners)


FALLBACK = Flow("UDP", "192.0.2.12", 5062)
FALLBACK6 = Flow("UDP", "2001:db8::12", 5062)
LOOPBACK = Flow("UDP", "127.0.0.12", 5060)


@pytest.mark.parametrize(
    ("uri", "host", "port"),
    [
        ("sip:a@198.51.100.9", "198.51.100.9", 5060),
        ("sip:a@198.51.100.9:5070", "198.51.100.9", 5070),
        ("sip:a@198.51.100.9:5071;transport=udp", "198.51.100.9", 5071),
        ("sip:a@198.51.100.9:5071;transport=sctp", "198.51.100.9", 5071),
        ("sip:198.51.100.9;lr", "198.51.100.9", 5060),
        ("sip:a@10.0.0.1;maddr=224.0.0.1", "10.0.0.1", 5060),
        ("sip:a@[::ffff:198.51.100.9]:5070", "198.51.100.9", 5070),
    ],
)
def test_flow_to_an_address(uri: str, host: str, port: int) -> None:
    assert flow_to(uri, FALLBACK) == Flow("UDP", host, port)


def test_flow_over_ipv6() -> None:
    assert flow_to("sip:a@[2001:DB8:0::1]:5070", FALLBACK6) == Flow("UDP", "2001:db8::1", 5070)


@pytest.mark.parametrize(
    "uri",
    [
        "sip:a@phone.customer.example",
        "sip:a@localhost:5070",
        "tel:+8613800138000",
        "mailto:a@example.com",
        "sip:a@224.0.0.1",
        "sip:a@239.255.255.250:1900",
        "sip:a@255.255.255.255",
        "sip:a@240.0.0.1",
        "sip:a@0.0.0.0",
        "sip:a@0.1.2.3",
        "sip:a@127.0.0.1",
        "sip:a@127.255.255.254:8700",
        "sip:a@169.254.169.254:80",
        "sip:a@[::]",
        "sip:a@[::1]",
        "sip:a@[ff02::1]",
        "sip:a@[fe80::1]",
        "sip:a@[2001:db8::1]",  # the node's socket is of the other family
        "sip:a@[::ffff:127.0.0.1]",
        "sip:a@[::ffff:255.255.255.255]",
        "sip:a@[::ffff:224.0.0.1]",
        "sip:a@[::ffff:169.254.169.254]",
        "sip:a@2130706433",  # 127.0.0.1 for those who read numbers so
        "sip:a@127.1",
        "sip:a@0177.0.0.1",
    ],
)
def test_what_may_not_be_sent_to_takes_us_nowhere(uri: str) -> None:
    """A22, A23: no packet to a broadcast, multicast, loopback or metadata address because a party wrote it."""
    assert flow_to(uri, FALLBACK) is FALLBACK


def test_another_port_of_the_same_host_is_another_place() -> None:
    assert flow_to("sip:a@198.51.100.9:5070", Flow("UDP", "198.51.100.9", 5060)) == Flow("UDP", "198.51.100.9", 5070)
    assert flow_to("sip:a@198.51.100.9", Flow("UDP", "198.51.100.9", 5070)) == Flow("UDP", "198.51.100.9", 5060)


def test_loopback_and_link_local_among_themselves() -> None:
    assert flow_to("sip:a@127.0.0.13:5070", LOOPBACK) == Flow("UDP", "127.0.0.13", 5070)
    assert flow_to("sip:a@198.51.100.9", LOOPBACK) == Flow("UDP", "198.51.100.9", 5060)
    assert flow_to("sip:a@169.254.1.2", Flow("UDP", "169.254.1.1", 5060)) == Flow("UDP", "169.254.1.2", 5060)
    assert flow_to("sip:a@169.254.1.2", LOOPBACK) is LOOPBACK


def test_ipv6_does_not_go_to_ipv4() -> None:
    assert flow_to("sip:a@198.51.100.9", FALLBACK6) is FALLBACK6
    assert flow_to("sip:a@[::ffff:198.51.100.9]", FALLBACK6) is FALLBACK6
    assert flow_to("sip:a@[::1]", FALLBACK6) is FALLBACK6
    assert flow_to("sip:a@[ff05::2]", FALLBACK6) is FALLBACK6
    assert flow_to("sip:a@[::]", FALLBACK6) is FALLBACK6


def test_transport_of_the_dialog_stays_where_none_is_named_or_none_can_be_had() -> None:
    assert flow_to("sip:a@198.51.100.9", Flow("TCP", "192.0.2.12", 1, 1)) == Flow("TCP", "198.51.100.9", 5060, 1)
    assert flow_to("sip:a@198.51.100.9", Flow("TLS", "192.0.2.12", 1, 2)) == Flow("TLS", "198.51.100.9", 5061, 2)
    assert flow_to("sip:a@198.51.100.9;transport=tcp", FALLBACK, ONLY_UDP) == Flow("UDP", "198.51.100.9", 5060)
    assert flow_to("sip:a@[2001:db8::2];transport=tcp", FALLBACK6) == Flow("UDP", "2001:db8::2", 5060)


def test_transport_that_is_named_is_taken() -> None:
    """RFC 3263 §4.1."""
    assert flow_to("sip:a@198.51.100.9;transport=TCP", FALLBACK) == Flow("TCP", "198.51.100.9", 5060, 1)
    assert flow_to("sip:a@198.51.100.9;lr;transport=tls", FALLBACK) == Flow("TLS", "198.51.100.9", 5061, 2)
    assert flow_to("sip:a@198.51.100.9:7;transport=udp", Flow("TLS", "192.0.2.12", 1, 2)) == Flow(
        "UDP", "198.51.100.9", 7
    )
    assert flow_to("sip:a@phone.example;transport=tcp", FALLBACK) is FALLBACK


@pytest.mark.parametrize("listeners", [ALL, ONLY_UDP])
@pytest.mark.parametrize("host", ["198.51.100.9", "phone.example", "127.0.0.1"])
@pytest.mark.parametrize("known", [FALLBACK, Flow("TCP", "192.0.2.12", 1, 1), Flow("TLS", "192.0.2.12", 1, 2)])
def test_sips_never_leaves_but_over_tls(listeners: Listeners, host: str, known: Flow) -> None:
    """RFC 3261 §26.2.2: without a listener for it there is no such transport, and the request fails."""
    for params in ("", ";transport=udp", ";transport=tcp"):
        flow = flow_to(f"sips:a@{host}{params}", known, listeners)
        assert flow.transport == "TLS"
        assert flow.host == ("198.51.100.9" if host == "198.51.100.9" else "192.0.2.12")
        assert flow is known or host in flow.identities


def test_connection_that_a_party_has_opened_is_used_again() -> None:
    """RFC 5923 §3: as long as it stands; and then it is called where it says that it listens."""
    came = Flow("TLS", "192.0.2.12", 40_000, 2, ("core.example",), 5061)
    there = flow_to("sip:a@192.0.2.12:5071;transport=tls", came)
    assert (there.transport, there.port, there.reply_port, there.local) == ("TLS", 40_000, 5071, 2)
    assert there.identities == ("core.example",)
    elsewhere = flow_to("sip:a@192.0.2.13:5071", came)
    assert (elsewhere.port, elsewhere.reply_port) == (5071, 0)
    assert set(elsewhere.identities) == {"core.example", "192.0.2.13"}
    opened = Flow("TLS", "192.0.2.12", 5061, 2, ("core.example",))
    assert flow_to("sip:a@192.0.2.12:5071", opened) == Flow("TLS", "192.0.2.12", 5071, 2)
    assert flow_to("sip:a@192.0.2.12:5071", opened).identities == ("core.example",)


@given(st.ip_addresses(), st.none() | st.integers(1, 65535))
def test_any_address_gives_a_unicast_flow_of_the_same_family(address: object, port: int | None) -> None:
    text = f"[{address}]" if ":" in str(address) else str(address)
    uri = f"sip:a@{text}" + (f":{port}" if port else "")
    for fallback in (FALLBACK, FALLBACK6):
        flow = flow_to(uri, fallback)
        found = address_of(flow.host)
        assert found is not None and str(found) == flow.host
        assert found.version == (4 if fallback is FALLBACK else 6)
        assert not (found.is_multicast or found.is_loopback or found.is_unspecified or found.is_link_local)
        assert flow is fallback or flow.port == (port or 5060)


@given(st.from_regex(r"sip:[a-z0-9.@\[\]:;=%]{0,40}", fullmatch=True))
def test_whatever_the_parser_takes_has_a_next_hop(uri: str) -> None:
    try:
        parse_uri(uri)
    except RemoteSipError:
        return
    assert flow_to(uri, FALLBACK).host.count(".") == 3


# -- hosts of a dialog -------------------------------------------------------------------------------------------------


def test_hosts_of_uris() -> None:
    uris = [
        "sip:a@PBX.example;lr",
        "sip:198.51.100.9:5070",
        "sip:a@[2001:DB8:0::1]",
        "sip:[::ffff:10.0.0.1]",
        "tel:+8613800138000",
        "mailto:x@y",
    ]
    assert hosts_of(uris) == {"pbx.example", "198.51.100.9", "2001:db8::1", "10.0.0.1"}
    assert hosts_of([]) == set()


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


def test_hosts_are_read_as_the_parser_reads_them() -> None:
    uri = parse_uri("sip:evil:10.0.0.1@host.example")
    assert isinstance(uri, SipUri) and hosts_of([str(uri)]) == {"host.example"}


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
