"""Where a request within a dialog goes: to what its URI names where that may be sent to, else whence it came."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from engine.core import next_hop
from engine.core.listeners import Listeners
from engine.core.next_hop import hosts_of
from engine.core.routing import address_of
from engine.core.settings import ListenerSettings
from sipstack.errors import RemoteSipError
from sipstack.events import Flow
from sipstack.grammar import USUAL_SIP_URI
from sipstack.uri import SipUri, parse_uri

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
    return next_hop.flow_to(uri, known, listeners)


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


@given(
    st.from_regex(r"sips?:[+]?[a-z0-9%.;:]{0,4}@?(192\\.0\\.2\\.(1|12)|h)(:0?[0-9x]{0,6})?(;x=y)?", fullmatch=True),
    st.sampled_from(["192.0.2.1", "192.0.2.12", "h"]),
    st.sampled_from([5060, 5070, 50, 0]),
)
@example("sip:a@192.0.2.1", "192.0.2.1", 5060)
@example("sip:+86@192.0.2.1:5070", "192.0.2.1", 5070)
@example("sip:+@192.0.2.1:5070", "192.0.2.1", 5070)
@example("sip:a@192.0.2.1:05070", "192.0.2.1", 5070)
def test_a_uri_that_names_where_its_party_is_is_told_without_reading_it(uri: str, host: str, port: int) -> None:
    match = USUAL_SIP_URI.fullmatch(uri)
    named = match is not None and match[4] is None and (match[2], int(match[3] or 5060)) == (host, port)
    told = next_hop._is_at(uri, host, port)
    assert told is named or (named and "+" in uri)  # one plus, in front of something: any other is read


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


def test_hosts_are_read_as_the_parser_reads_them() -> None:
    uri = parse_uri("sip:evil:10.0.0.1@host.example")
    assert isinstance(uri, SipUri) and hosts_of([str(uri)]) == {"host.example"}
