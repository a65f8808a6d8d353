"""RFC 3263: which queries a URI takes, in which order, and what comes of their answers. Zones are dictionaries here."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipstack.location import (
    MAX_ADDRESSES,
    MAX_SERVERS,
    Address,
    LookupFailed,
    Naptr,
    Place,
    Query,
    Reach,
    Records,
    Srv,
    locate,
)

UDP4: Reach = frozenset({("UDP", 4)})
ALL4: Reach = frozenset({("UDP", 4), ("TCP", 4), ("TLS", 4)})
BOTH: Reach = frozenset({("UDP", 4), ("UDP", 6)})
U = "_sip._udp.core.example"
T = "_sip._tcp.core.example"
S = "_sips._tcp.core.example"


def naptr(order: int, preference: int, service: str, replacement: str, flags: str = "s") -> Naptr:
    return Naptr(order, preference, flags, service, replacement)


def play(
    place: Place, reach: Reach, zone: dict[str, Records], failing: tuple[str, ...] = ()
) -> tuple[list[str], list[Address]]:
    """The queries, as "KIND name", and the addresses; what the zone does not have, it has no records of."""
    asked: list[str] = []
    procedure = locate(place, reach)
    try:
        query: Query = next(procedure)
        while True:
            key = f"{query.kind} {query.name}"
            asked.append(key)
            query = procedure.throw(LookupFailed(key)) if key in failing else procedure.send(zone.get(key, []))
    except StopIteration as done:
        return asked, done.value


def shown(addresses: list[Address]) -> list[str]:
    return [f"{a.transport} {a.host} {a.port} {a.priority} {a.weight:g}" for a in addresses]


HOSTS: dict[str, Records] = {
    "A one.example": ["10.0.0.1"],
    "A two.example": ["10.0.0.2"],
    "A core.example": ["10.0.0.9"],
}


# -- what the URI itself says ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        (Place("core.example", 5080), "UDP 10.0.0.9 5080 0 0"),
        (Place("core.example", 5080, "TCP"), "TCP 10.0.0.9 5080 0 0"),
        (Place("core.example", 5080, "", True), "TLS 10.0.0.9 5080 0 0"),
        (Place("core.example", 5080, "TLS", True), "TLS 10.0.0.9 5080 0 0"),
    ],
)
def test_with_a_port_only_the_host_is_looked_up(place: Place, expected: str) -> None:
    zone = {**HOSTS, f"SRV {U}": [Srv(0, 0, 5060, "one.example")], "NAPTR core.example": [naptr(1, 1, "SIP+D2T", T)]}
    asked, found = play(place, ALL4, zone)
    assert (asked, shown(found)) == (["A core.example"], [expected])


@pytest.mark.parametrize(("transport", "name"), [("UDP", U), ("TCP", T), ("TLS", S)])
def test_a_transport_in_the_uri_needs_no_naptr(transport: str, name: str) -> None:
    zone = {**HOSTS, f"SRV {name}": [Srv(0, 0, 5070, "one.example")]}
    asked, found = play(Place("core.example", 0, transport), ALL4, zone)
    assert asked == [f"SRV {name}", "A one.example"]
    assert shown(found) == [f"{transport} 10.0.0.1 5070 0 0"]


@pytest.mark.parametrize(("transport", "port"), [("UDP", 5060), ("TCP", 5060), ("TLS", 5061)])
def test_without_srv_records_the_host_has_the_usual_port(transport: str, port: int) -> None:
    _, found = play(Place("core.example", 0, transport), ALL4, HOSTS)
    assert shown(found) == [f"{transport} 10.0.0.9 {port} 0 0"]


# -- NAPTR -------------------------------------------------------------------------------------------------------------


def test_naptr_names_transport_and_srv_records() -> None:
    zone = {
        **HOSTS,
        "NAPTR core.example": [
            naptr(50, 50, "SIP+D2U", "udp.other.example"),
            naptr(50, 10, "sip+d2t", "tcp.other.example"),
        ],
        "SRV tcp.other.example": [Srv(0, 0, 5070, "one.example")],
        "SRV udp.other.example": [Srv(0, 0, 5080, "two.example")],
    }
    asked, found = play(Place("core.example"), ALL4, zone)
    assert asked[:3] == ["NAPTR core.example", "SRV tcp.other.example", "SRV udp.other.example"]
    assert shown(found) == ["TCP 10.0.0.1 5070 0 0", "UDP 10.0.0.2 5080 1 0"]


def test_of_several_orders_only_the_first_counts() -> None:
    zone = {
        **HOSTS,
        "NAPTR core.example": [naptr(20, 1, "SIP+D2U", U), naptr(10, 90, "SIP+D2T", T)],
        f"SRV {T}": [Srv(0, 0, 5070, "one.example")],
        f"SRV {U}": [Srv(0, 0, 5070, "two.example")],
    }
    asked, found = play(Place("core.example"), ALL4, zone)
    assert (f"SRV {U}" in asked, shown(found)) == (False, ["TCP 10.0.0.1 5070 0 0"])


@pytest.mark.parametrize(
    ("record", "why"),
    [
        (naptr(1, 1, "SIP+D2T", T), "no TCP socket"),
        (naptr(1, 1, "SIPS+D2T", S), "no TLS socket"),
        (naptr(1, 1, "SIP+D2S", "sctp.example"), "a transport that nobody has here"),
        (naptr(1, 1, "E2U+sip", "!^.*$!sip:x!"), "another application"),
        (naptr(1, 1, "SIP+D2U", "one.example", "a"), "no flag s"),
        (naptr(1, 1, "", ""), "nothing"),
    ],
)
def test_naptr_records_that_cannot_be_used_are_passed_over(record: Naptr, why: str) -> None:
    zone = {
        **HOSTS,
        "NAPTR core.example": [record, naptr(2, 1, "SIP+D2U", U)],
        f"SRV {U}": [Srv(0, 0, 5070, "one.example")],
    }
    asked, found = play(Place("core.example"), UDP4, zone)
    assert asked == ["NAPTR core.example", f"SRV {U}", "A one.example"], why
    assert shown(found) == ["UDP 10.0.0.1 5070 0 0"]


def test_a_sips_uri_takes_nothing_but_tls() -> None:
    zone = {
        **HOSTS,
        "NAPTR core.example": [naptr(1, 1, "SIP+D2U", U), naptr(2, 1, "SIP+D2T", T), naptr(3, 1, "SIPS+D2T", S)],
        f"SRV {S}": [Srv(0, 0, 5071, "one.example")],
    }
    asked, found = play(Place("core.example", 0, "", True), ALL4, zone)
    assert (asked[1], shown(found)) == (f"SRV {S}", ["TLS 10.0.0.1 5071 0 0"])
    assert shown(play(Place("core.example", 0, "", True), ALL4, HOSTS)[1]) == ["TLS 10.0.0.9 5061 0 0"]
    assert play(Place("core.example", 0, "", True), UDP4, HOSTS)[1] == []  # never without TLS


def test_a_sip_uri_may_be_led_to_tls() -> None:
    zone = {**HOSTS, "NAPTR core.example": [naptr(1, 1, "SIPS+D2T", S)], f"SRV {S}": [Srv(0, 0, 5071, "one.example")]}
    assert shown(play(Place("core.example"), ALL4, zone)[1]) == ["TLS 10.0.0.1 5071 0 0"]


def test_naptr_without_srv_behind_it_keeps_its_transport() -> None:
    _, found = play(Place("core.example"), ALL4, {**HOSTS, "NAPTR core.example": [naptr(1, 1, "SIP+D2T", T)]})
    assert shown(found) == ["TCP 10.0.0.9 5060 0 0"]


# -- SRV ---------------------------------------------------------------------------------------------------------------


def test_without_naptr_the_first_transport_with_srv_records_is_taken() -> None:
    zone = {**HOSTS, f"SRV {T}": [Srv(0, 0, 5070, "one.example")], f"SRV {S}": [Srv(0, 0, 5071, "two.example")]}
    asked, found = play(Place("core.example"), ALL4, zone)
    assert asked == ["NAPTR core.example", f"SRV {U}", f"SRV {T}", "A one.example"]
    assert shown(found) == ["TCP 10.0.0.1 5070 0 0"]


def test_without_any_the_host_takes_udp() -> None:
    asked, found = play(Place("core.example"), ALL4, HOSTS)
    assert asked == ["NAPTR core.example", f"SRV {U}", f"SRV {T}", f"SRV {S}", "A core.example"]
    assert shown(found) == ["UDP 10.0.0.9 5060 0 0"]


def test_priorities_are_counted_from_0_and_weights_stay() -> None:
    zone = {
        **HOSTS,
        f"SRV {U}": [Srv(30, 5, 5060, "two.example"), Srv(10, 7, 5070, "one.example"), Srv(10, 3, 5071, "two.example")],
    }
    _, found = play(Place("core.example"), UDP4, zone)
    assert shown(found) == ["UDP 10.0.0.1 5070 0 7", "UDP 10.0.0.2 5071 0 3", "UDP 10.0.0.2 5060 1 5"]


def test_a_service_that_is_decidedly_not_there_has_no_address() -> None:
    """RFC 2782: a target of the root; the host itself must not be taken instead."""
    asked, found = play(Place("core.example", 0, "UDP"), UDP4, {**HOSTS, f"SRV {U}": [Srv(0, 0, 0, "")]})
    assert (asked, found) == ([f"SRV {U}"], [])


def test_addresses_of_a_server_share_its_weight() -> None:
    zone: dict[str, Records] = {f"SRV {U}": [Srv(0, 6, 5060, "one.example")], "A one.example": ["10.0.0.2", "10.0.0.1"]}
    _, found = play(Place("core.example", 0, "UDP"), UDP4, zone)
    assert shown(found) == ["UDP 10.0.0.1 5060 0 3", "UDP 10.0.0.2 5060 0 3"]


# -- addresses ---------------------------------------------------------------------------------------------------------


def test_only_families_that_there_are_sockets_for_are_asked_for() -> None:
    zone: dict[str, Records] = {"A core.example": ["10.0.0.1"], "AAAA core.example": ["2001:db8::1"]}
    place = Place("core.example", 5060)
    assert play(place, UDP4, zone)[0] == ["A core.example"]
    assert play(place, frozenset({("UDP", 6)}), zone)[0] == ["AAAA core.example"]
    assert [address.host for address in play(place, BOTH, zone)[1]] == ["10.0.0.1", "2001:db8::1"]
    assert play(place, frozenset({("TCP", 4)}), zone) == ([], [])


def test_what_a_zone_can_make_us_do_has_an_end() -> None:
    many: list[Srv] = [Srv(0, 1, 5060, f"h{number}.example") for number in range(500)]
    zone: dict[str, Records] = {f"SRV {U}": many}
    zone |= {f"A h{number}.example": [f"10.0.{number}.{last}" for last in range(10)] for number in range(250)}
    asked, found = play(Place("core.example", 0, "UDP"), UDP4, zone)
    assert (len(asked), len(found)) == (1 + MAX_SERVERS, MAX_ADDRESSES)


# -- no answers --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("failing", ["NAPTR core.example", f"SRV {U}", "A one.example"])
def test_no_answer_is_not_the_same_as_no_records(failing: str) -> None:
    """Whoever keeps an answer from us must not lead us elsewhere."""
    zone = {**HOSTS, f"SRV {U}": [Srv(0, 0, 5070, "one.example")]}
    with pytest.raises(LookupFailed, match=failing):
        play(Place("core.example"), ALL4, zone, (failing,))


def test_of_two_servers_one_is_enough() -> None:
    zone = {**HOSTS, f"SRV {U}": [Srv(0, 1, 5070, "one.example"), Srv(0, 1, 5070, "two.example")]}
    _, found = play(Place("core.example", 0, "UDP"), UDP4, zone, ("A one.example",))
    assert shown(found) == ["UDP 10.0.0.2 5070 0 1"]


# -- whatever a zone says ----------------------------------------------------------------------------------------------

NAMES = st.sampled_from(["core.example", U, T, S, "one.example", "two.example", ""])
NAPTRS = st.builds(
    Naptr,
    st.integers(0, 2),
    st.integers(0, 2),
    st.sampled_from(["s", "S", "u", ""]),
    st.sampled_from(["SIP+D2U", "SIP+D2T", "SIPS+D2T", "sip+d2u", "x"]),
    NAMES,
)
SRVS = st.builds(Srv, st.integers(0, 2), st.integers(0, 3), st.sampled_from([0, 5060, 65535]), NAMES)
HOST = st.sampled_from(["10.0.0.1", "10.0.0.2", "2001:db8::1"])
ANSWERS = st.none() | st.lists(NAPTRS, max_size=4) | st.lists(SRVS, max_size=4) | st.lists(HOST, max_size=3)
PLACES = st.builds(
    Place,
    st.just("core.example"),
    st.sampled_from([0, 5070]),
    st.sampled_from(["", "UDP", "TCP", "TLS"]),
    st.booleans(),
)
REACHES = st.frozensets(st.tuples(st.sampled_from(["UDP", "TCP", "TLS"]), st.sampled_from([4, 6])))


@given(PLACES, REACHES, st.lists(ANSWERS, max_size=30))
def test_whatever_is_answered_the_addresses_are_such_as_may_be_used(
    place: Place, reach: Reach, answers: list[Records | None]
) -> None:
    """None for a query that has no answer. Records of a wrong kind are none."""
    place = place._replace(transport="TLS" if place.is_secure and place.transport else place.transport)
    procedure = locate(place, reach)
    try:
        query = next(procedure)
        for answer in answers:
            query = procedure.throw(LookupFailed("x")) if answer is None else procedure.send(answer)
            assert query.kind in ("NAPTR", "SRV", "A", "AAAA")
    except StopIteration as done:
        found: list[Address] = done.value
        assert {(one.transport, 4) for one in found} <= {(transport, 4) for transport, _ in reach}
        assert [one.priority for one in found] == sorted(one.priority for one in found)
        assert all(one.port for one in found)
        if place.is_secure:
            assert {one.transport for one in found} <= {"TLS"}
        elif place.transport:
            assert {one.transport for one in found} <= {place.transport}
    except LookupFailed:
        assert None in answers
