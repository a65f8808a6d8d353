"""Which target is tried when: priorities, weights, names and what the DNS says of them, and what records show of it."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.routing import Routing
from engine.core.settings import (
    CoreSettings,
    ListenerSettings,
    PeerSettings,
    PolicySettings,
    RouteSettings,
    TargetSettings,
)
from engine.core.targets import Draw, TargetTable
from sipstack import headers as h
from sipstack.location import Address, Place
from sipstack.message import Message
from sipstack.parser import parse
from tests.core.corenode import CALLEE, CALLEE2, CALLEE_SIDE, CALLER, CALLER_SIDE, SETTINGS, B, CoreNode
from tests.core.parties import answer, invite, message, refused, send, start, talking
from tests.core.restart import restarted

CORE = Place("core.example")
NUMBER = "13900139000"


def fixed(host: str, priority: int = 0, weight: int | None = None) -> TargetSettings:
    return TargetSettings(f"sip:{host}", host, 5060, "UDP", priority, weight)


def named(place: Place = CORE, priority: int = 0, weight: int | None = None) -> TargetSettings:
    return TargetSettings(f"sip:{place.host}", place.host, place.port, place.transport, priority, weight, place)


def at(host: str, priority: int = 0, weight: float = 0.0, transport: str = "UDP", port: int = 5060) -> Address:
    return Address(transport, host, port, priority, weight)


class Routed:
    """One route to peers of these targets, and what the DNS says."""

    def __init__(self, *peers: tuple[TargetSettings, ...]) -> None:
        settings = CoreSettings(
            "n",
            "veil.example",
            (ListenerSettings("UDP", "10.9.9.9", 5060, "10.9.9.9:5060"),),
            tuple(PeerSettings(f"p{number}", (), targets) for number, targets in enumerate(peers)),
            (RouteSettings("all", "", tuple(f"p{number}" for number in range(len(peers)))),),
            PolicySettings(),
        )
        self.table = TargetTable()
        self.routing = Routing(settings, self.table)

    def resolves(self, *addresses: Address, place: Place = CORE) -> None:
        self.table.tell(place, addresses)
        self.routing.readdress(place)

    def order(self, record_id: str = "r") -> list[str]:
        return [hop.flow.host for hop in self.routing.hops(NUMBER, record_id)]

    def first(self, draws: int = 10_000) -> dict[str, float]:
        """The share of attempts that try each host first."""
        counted = Counter(self.order(f"{number:012x}")[0] for number in range(draws))
        return {host: count / draws for host, count in counted.items()}


# -- as configured -----------------------------------------------------------------------------------------------------


def test_without_weights_targets_are_tried_as_they_stand() -> None:
    routed = Routed((fixed("10.0.0.1"), fixed("10.0.0.2")), (fixed("10.0.0.3"),))
    assert {tuple(routed.order(str(number))) for number in range(50)} == {("10.0.0.1", "10.0.0.2", "10.0.0.3")}
    assert routed.routing.hops(NUMBER, "a") is routed.routing.hops(NUMBER, "b")  # and cost nothing


def test_lower_priorities_come_first_and_peers_in_order() -> None:
    routed = Routed((fixed("10.0.0.1", 2), fixed("10.0.0.2", 1), fixed("10.0.0.4", 1)), (fixed("10.0.0.3"),))
    assert routed.order() == ["10.0.0.2", "10.0.0.4", "10.0.0.1", "10.0.0.3"]
    assert routed.routing.hops(NUMBER) is routed.routing.hops(NUMBER)


def test_weights_share_within_a_priority() -> None:
    routed = Routed((fixed("10.0.0.1", 1, 3), fixed("10.0.0.2", 1, 1), fixed("10.0.0.3", 0, 1), fixed("10.0.0.4", 2)))
    orders = Counter(tuple(routed.order(str(number))) for number in range(10_000))
    one = ("10.0.0.3", "10.0.0.1", "10.0.0.2", "10.0.0.4")
    other = ("10.0.0.3", "10.0.0.2", "10.0.0.1", "10.0.0.4")
    assert set(orders) == {one, other}
    assert abs(orders[one] / 10_000 - 0.75) < 0.02


def test_a_target_without_weight_beside_others_has_none() -> None:
    routed = Routed((fixed("10.0.0.1"), fixed("10.0.0.2", 0, 1), fixed("10.0.0.3", 0, 0)))
    orders = {tuple(routed.order(str(number))) for number in range(200)}
    assert orders == {("10.0.0.2", "10.0.0.1", "10.0.0.3"), ("10.0.0.2", "10.0.0.3", "10.0.0.1")}


# -- names -------------------------------------------------------------------------------------------------------------


def test_a_name_has_no_target_before_it_is_resolved() -> None:
    routed = Routed((named(), fixed("10.0.0.2")))
    assert routed.order() == ["10.0.0.2"]
    routed.resolves(at("10.0.0.1"))
    assert routed.order() == ["10.0.0.1", "10.0.0.2"]
    routed.resolves()
    assert routed.order() == ["10.0.0.2"]


def test_addresses_of_a_name_go_by_priority_and_weight() -> None:
    """Requirement 75: 10,000 draws."""
    routed = Routed((named(),))
    routed.resolves(at("10.0.0.1", 0, 70), at("10.0.0.2", 0, 20), at("10.0.0.3", 0, 10), at("10.0.0.4", 1, 100))
    shares = routed.first()
    assert set(shares) == {"10.0.0.1", "10.0.0.2", "10.0.0.3"}
    for host, share in (("10.0.0.1", 0.7), ("10.0.0.2", 0.2), ("10.0.0.3", 0.1)):
        assert abs(shares[host] - share) < 0.015, shares
    assert all(routed.order(str(number))[-1] == "10.0.0.4" for number in range(100))


def test_the_second_choice_goes_by_weight_too() -> None:
    routed = Routed((named(),))
    routed.resolves(at("10.0.0.1", 0, 50), at("10.0.0.2", 0, 30), at("10.0.0.3", 0, 20))
    orders = [routed.order(str(number)) for number in range(10_000)]
    behind = Counter(order[1] for order in orders if order[0] == "10.0.0.1")
    assert abs(behind["10.0.0.2"] / behind.total() - 0.6) < 0.02


def test_addresses_of_weight_0_share_alike_behind_the_others() -> None:
    routed = Routed((named(),))
    routed.resolves(at("10.0.0.1"), at("10.0.0.2"))
    assert all(abs(share - 0.5) < 0.02 for share in routed.first().values())
    routed.resolves(at("10.0.0.1"), at("10.0.0.2"), at("10.0.0.3", 0, 1))
    assert routed.first() == {"10.0.0.3": 1.0}


def test_all_addresses_of_a_target_come_before_the_next_target() -> None:
    other = Place("other.example")
    routed = Routed((named(CORE, 0, 1), named(other, 0, 1)), (fixed("10.0.0.9"),))
    routed.resolves(at("10.0.0.1", 0, 1), at("10.0.0.2", 1, 1))
    routed.resolves(at("10.0.0.3", 0, 1), at("10.0.0.4", 1, 1), place=other)
    orders = {tuple(routed.order(str(number))) for number in range(100)}
    assert orders == {
        ("10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.9"),
        ("10.0.0.3", "10.0.0.4", "10.0.0.1", "10.0.0.2", "10.0.0.9"),
    }


def test_a_name_without_addresses_draws_nothing() -> None:
    """Its weight is not lost on nobody, and one address alone is tried without a draw."""
    routed = Routed((named(CORE, 0, 1000), fixed("10.0.0.5", 0, 1)))
    assert routed.routing.hops(NUMBER, "a") is routed.routing.hops(NUMBER, "b")
    assert routed.order() == ["10.0.0.5"]


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "224.0.0.1", "255.255.255.255", "240.0.0.1", "0.1.2.3", "::", "ff02::1", "2001:db8::1", "x", ""]
)
def test_addresses_that_reach_nobody_or_too_many_are_no_targets(host: str) -> None:
    """A22: whatever a name server says. 2001:db8::1 has no listener."""
    routed = Routed((named(),))
    routed.resolves(at(host), at("10.0.0.2"))
    assert routed.order() == ["10.0.0.2"]


def test_the_node_itself_is_no_target() -> None:
    routed = Routed((named(),))
    routed.resolves(at("10.9.9.9"), at("10.9.9.9", port=5070), at("10.0.0.1", transport="TCP"))
    assert [(hop.flow.host, hop.flow.port) for hop in routed.routing.hops(NUMBER)] == [("10.9.9.9", 5070)]


def test_two_names_of_one_address_are_one_place() -> None:
    other = Place("other.example")
    routed = Routed((named(CORE, 0, 1), named(other, 0, 1), fixed("10.0.0.1")))
    routed.resolves(at("10.0.0.1"))
    routed.resolves(at("10.0.0.1"), at("10.0.0.2", 1), place=other)
    assert {tuple(routed.order(str(number))) for number in range(50)} == {("10.0.0.1", "10.0.0.2")}


def test_a_hop_says_where_a_name_has_led() -> None:
    routed = Routed((named(), fixed("10.0.0.2")))
    routed.resolves(at("10.0.0.1", port=5070))
    assert [(hop.target.uri, hop.address) for hop in routed.routing.hops(NUMBER)] == [
        ("sip:core.example", "udp:10.0.0.1:5070"),
        ("sip:10.0.0.2", ""),
    ]


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5)), min_size=1, max_size=8),
    st.text(max_size=30),
)
def test_every_address_is_tried_once_in_the_order_of_priorities(given_: list[tuple[int, int]], record_id: str) -> None:
    routed = Routed((named(),))
    addresses = [at(f"10.0.0.{place + 1}", *pair) for place, pair in enumerate(given_)]
    routed.resolves(*addresses)
    order = routed.order(record_id)
    assert sorted(order) == sorted(address.host for address in addresses)
    priorities = {address.host: address.priority for address in addresses}
    assert [priorities[host] for host in order] == sorted(priorities.values())
    assert order == routed.order(record_id)


def test_draws_are_spread_and_repeat_themselves() -> None:
    draw, same = Draw("r"), Draw("r")
    fractions = [draw.fraction() for _ in range(10_000)]
    assert fractions == [same.fraction() for _ in range(10_000)]
    assert 0.0 <= min(fractions) < 0.001 and 0.999 < max(fractions) < 1.0
    tenths = Counter(int(fraction * 10) for fraction in fractions)
    assert all(900 < tenths[tenth] < 1100 for tenth in range(10))
    assert Draw("s").fraction() != Draw("r").fraction()


def test_over_tls_the_certificate_must_have_the_configured_name() -> None:
    """Whoever forges the DNS leads to another host, not to another name."""
    place = Place("core.example", 0, "", True)
    listeners = tuple(ListenerSettings(over, "10.9.9.9", 5060, "10.9.9.9:5060") for over in ("UDP", "TCP", "TLS"))
    fixed_tls = TargetSettings("sips:10.0.0.2", "10.0.0.2", 5061, "TLS")
    peer = PeerSettings("p", (), (named(place), fixed_tls))
    table = TargetTable()
    table.tell(place, (at("10.0.0.1", transport="TLS", port=5061), at("10.0.0.1", 1, transport="TCP")))
    routing = Routing(
        CoreSettings("n", "v.example", listeners, (peer,), (RouteSettings("all", "", ("p",)),), PolicySettings()), table
    )
    flows = [(hop.flow.transport, hop.flow.local, hop.flow.identities) for hop in routing.hops(NUMBER)]
    assert flows == [("TLS", 2, ("core.example",)), ("TCP", 1, ()), ("TLS", 2, ("10.0.0.2",))]


# -- in calls ----------------------------------------------------------------------------------------------------------

NAMED = replace(SETTINGS, peers=(CALLER_SIDE, replace(CALLEE_SIDE, targets=(named(),))))
FIRST = at("127.0.0.13")
SECOND = at("127.0.0.14", 1)


def resolved(*addresses: Address, settings: CoreSettings = NAMED) -> CoreNode:
    node = CoreNode(settings)
    node.service.trunks.resolved(CORE, addresses)
    return node


def test_the_callee_is_called_at_the_domain_and_the_record_has_the_address() -> None:
    node = resolved(FIRST)
    talk = talking(node)
    assert (talk.invite.uri_text, talk.invite.value(h.TO)) == (f"sip:{B}@core.example", f"<sip:{B}@core.example>")
    talk.hang_up()
    node.assert_recorded(
        attempts=(("callee-side", "sip:core.example", 200, 0, 200, "udp:127.0.0.13:5060"),), egress_peer="callee-side"
    )


def test_the_port_of_a_target_stays_in_the_request_uri() -> None:
    place = Place("core.example", 5080)
    node = CoreNode(replace(SETTINGS, peers=(CALLER_SIDE, replace(CALLEE_SIDE, targets=(named(place),)))))
    node.service.trunks.resolved(place, (FIRST,))
    talk = talking(node)
    assert talk.invite.uri_text == f"sip:{B}@core.example:5080"
    talk.hang_up()


def test_the_next_address_of_the_name_is_tried() -> None:
    node = resolved(FIRST, SECOND)
    one = start(node)
    other = goes_on(node, one)
    assert (other.call_id != one.call_id, other.uri_text) == (True, one.uri_text)
    node.assert_recorded(
        attempts=(
            ("callee-side", "sip:core.example", 503, 0, None, "udp:127.0.0.13:5060"),
            ("callee-side", "sip:core.example", 486, 0, None, "udp:127.0.0.14:5060"),
        ),
    )


def goes_on(node: CoreNode, one: Message) -> Message:
    """A 503 of the first address, and a 486 of the second."""
    node.book.wire_in(answer(one, 503), CALLEE)
    node.book.wire_out("ACK ", CALLEE)
    other = node.book.wire_out("INVITE ", CALLEE2)
    node.book.wire_in(answer(other, 486), CALLEE2)
    node.book.wire_out("ACK ", CALLEE2)
    refused(node, 486, 17)
    return other


def test_a_change_in_the_dns_is_for_the_next_attempt() -> None:
    """What is under way goes on as it was decided."""
    node = resolved(FIRST, SECOND)
    one = start(node)
    node.service.trunks.resolved(CORE, (at("127.0.0.99"),))
    goes_on(node, one)


@pytest.mark.parametrize("addresses", [(), (at("224.0.0.1"),)])
def test_a_name_without_an_address_refuses_at_once(addresses: tuple[Address, ...]) -> None:
    """Requirement 78: nobody waits for the DNS, and nothing is said of why (contract §5, ALL_TARGETS_FAILED)."""
    node = resolved(*addresses)
    node.book.wire_in(invite(), CALLER)
    node.book.wire_out("SIP/2.0 100", CALLER)
    refused(node, 480, 31)
    node.assert_recorded(release_cause="ALL_TARGETS_FAILED", decided_by="targets", attempts=(), egress_peer="")


def test_a_message_without_an_address_is_refused_the_same() -> None:
    node = resolved()
    node.book.wire_in(message(), CALLER)
    refused(node, 480, 31)


def test_a_message_goes_to_the_next_address_after_a_503() -> None:
    node = resolved(FIRST, SECOND)
    one = send(node)
    node.book.wire_in(answer(one, 503), CALLEE)
    other = node.book.wire_out("MESSAGE ", CALLEE2)
    node.book.wire_in(answer(other, 200), CALLEE2)
    node.book.wire_out("SIP/2.0 200", CALLER)


def test_a_redirect_to_where_nobody_has_an_address_is_refused() -> None:
    peers = (
        replace(CALLER_SIDE, targets=(named(),)),
        replace(CALLEE_SIDE, follow_redirect=True),
    )
    routes = (RouteSettings("c", "^137", ("caller-side",)), *SETTINGS.routes)
    node = CoreNode(replace(SETTINGS, peers=peers, routes=routes))
    sent = start(node)
    node.book.wire_in(answer(sent, 302, contact="<sip:13700137000@x.example>"), CALLEE)
    node.book.wire_out("ACK ", CALLEE)
    refused(node, 480, 31)
    node.assert_recorded(release_cause="ALL_TARGETS_FAILED")


# -- after a restart ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("weights", [(1, 1), (1, 5), (5, 1)])
def test_an_invite_is_taken_back_where_it_has_gone(weights: tuple[int, int]) -> None:
    first = resolved(at("127.0.0.13", 0, weights[0]), at("127.0.0.14", 0, weights[1]))
    first.book.wire_in(invite(), CALLER)
    first.book.wire_out("SIP/2.0 100", CALLER)
    went = first.book.sent[0].flow
    sent = first.book.wire_out("INVITE ")
    node = restarted(first, NAMED)
    cancels = {parse(one.data).call_id: one.flow for one in node.book.sent}
    assert (len(cancels), cancels[sent.call_id]) == (2, went)


def test_an_invite_is_taken_back_where_the_row_says_though_the_dns_has_changed() -> None:
    first = resolved(FIRST)
    sent = start(first)
    first.service.trunks.resolved(CORE, (at("127.0.0.14"),))
    node = restarted(first, NAMED)
    assert node.book.wire_out("CANCEL ", CALLEE).call_id == sent.call_id
    assert node.book.wire_out("CANCEL ", CALLEE2).call_id != sent.call_id


def test_a_row_cannot_lead_to_what_is_not_configured() -> None:
    routing = CoreNode(NAMED).context.routing
    found = routing.hop_at("callee-side", "sip:core.example", "udp:127.0.0.13:5070")
    assert found is not None and (found.flow.host, found.flow.port) == ("127.0.0.13", 5070)
    for peer, target, address in (
        ("nobody", "sip:core.example", "udp:127.0.0.13:5070"),
        ("callee-side", "sip:other.example", "udp:127.0.0.13:5070"),
        ("callee-side", "sip:core.example", "udp:127.0.0.13:x"),
        ("callee-side", "sip:core.example", "tcp:127.0.0.13:5070"),
        ("callee-side", "sip:core.example", "udp:224.0.0.1:5070"),
        ("callee-side", "sip:core.example", ""),
    ):
        assert routing.hop_at(peer, target, address) is None
