"""Requirements 75 to 78: failover and names."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import pytest

from scenarios.rig.binding import BLOCK, Bound
from scenarios.rig.place import PORT, Place
from tests.conformance.conftest import RigFactory
from tests.conformance.message import text_for_x
from tests.conformance.talk import Call
from tests.e2e.stopwatch import stopwatch
from tests.sipstack.dns_stub import DnsStub

SHARED: Final = 150  # messages over two servers
LOST: Final = {"152": "silent", "153": "broken", "155": "unknown"}


@pytest.fixture
def dns() -> Iterator[DnsStub]:
    """A server whose zone is empty."""
    stub = DnsStub("127.0.0.1")
    yield stub
    stub.close()


def trunk(name: str, target: str, called: str) -> str:
    """A peer with one target, and the route to it."""
    return (
        f'[[peer]]\nname = "{name}"\ntargets = ["{target}"]\n'
        f'[[route]]\nname = "to-{name}"\ncalled = "^{called}"\npeers = ["{name}"]\n'
    )


def asks(stub: DnsStub, timeout_ms: int) -> str:
    return f'[dns]\nservers = ["{stub.shown}"]\ntimeout_ms = {timeout_ms}\n'


def test_req_075_names_of_targets(make_rig: RigFactory, dns: DnsStub) -> None:
    """RFC 3263 §4.1; §4.2; RFC 2782: a name leads by NAPTR to SRV, and by their priorities and weights to addresses;
    with a port only its addresses are asked for, and an address asks for nothing.

    Checked: against a DNS server that counts what it is asked; 150 messages over two servers with the weights 3 and 1
    are split by these within 15 points, and none of them asks the DNS. tests/core/test_targets.py has ten thousand
    draws.
    """

    dns.ttl_s = 3600  # longer than this takes

    def settings(place: Place) -> str:
        dns.zone |= {
            "NAPTR core.example": ['10 10 "s" "SIP+D2U" "" _sip._udp.core.example'],
            "SRV _sip._udp.core.example": [f"1 3 {PORT} one.example", f"1 1 {PORT} two.example", "2 0 9 two.example"],
            "A one.example": [place.second],
            "A two.example": [place.callee],
            "A port.example": [place.callee],
        }
        named = trunk("named", "sip:core.example", "134") + trunk("with-port", f"sip:port.example:{PORT}", "133")
        return asks(dns, 5000) + named

    rig = make_rig(settings, "134")
    first, other = rig.party("second", rig.place.second, PORT, rig.callee.number), rig.callee
    before = dict(dns.asked)
    assert set(before) == set(dns.zone)
    counts = {first.name: 0, other.name: 0}
    for _ in range(SHARED):
        rig.caller.send(text_for_x(rig, b"hello"))
        assert rig.until(lambda: first.fresh + other.fresh != [])
        at = first if first.fresh else other
        at.send(at.answer(at.fresh.pop(), 200))
        rig.hear(rig.caller, "200 MESSAGE")
        counts[at.name] += 1
    assert 0.6 * SHARED < counts[first.name] < 0.9 * SHARED
    assert dict(dns.asked) == before


def test_req_078_dns_that_fails(make_rig: RigFactory, dns: DnsStub) -> None:
    """RFC 3263 §4; RFC 3261 §8.1.2: a target whose name is not found is one that has failed; nothing waits for the DNS.

    Checked: a server that is silent about one name, says SERVFAIL of another and knows nothing of a third: calls to
    each are refused 480 in less than half a second, and calls to an address go on beside them.
    """
    dns.faults |= {"": "silent"}
    dns.faults |= {f"{kind} {name}broken.example": "servfail" for kind, name in (("NAPTR", ""), ("A", ""))}
    dns.faults |= {f"SRV _sip._{way}.broken.example": "servfail" for way in ("udp", "tcp")}
    for kind in ("NAPTR unknown", "SRV _sip._udp.unknown", "SRV _sip._tcp.unknown", "A unknown"):
        dns.faults[f"{kind}.example"] = "known to be none"
    extra = asks(dns, 200) + "".join(trunk(name, f"sip:{name}.example", prefix) for prefix, name in LOST.items())
    rig = make_rig(extra)
    for number, prefix in enumerate(LOST, 10):
        x = f"{BLOCK}{number:04}"
        rig.node.bind(Bound(x, rig.caller.number, rig.canaries.number(prefix)))
        call, beside = Call(rig, x), Call(rig)
        took = stopwatch(rig.node)
        rig.caller.send(call.invite())
        refused = call.refused()
        took_s = took()
        assert (refused.status, refused.value("Reason")) == (480, "Q.850;cause=31")
        assert took_s < 0.5
        beside.talk().hang_up()
    rig.hears_nothing(rig.callee)
