"""Where the requests for a SIP URI go: which queries of the DNS it takes, and what their answers mean (RFC 3263 §4).

`locate` asks nobody itself: it is a generator that yields queries and is sent their answers, so that the whole
procedure is played in tests without a socket. Addresses in URIs need none of this.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from typing import Final, NamedTuple

DEFAULT_PORTS: Final = {"UDP": 5060, "TCP": 5060, "TLS": 5061}  # RFC 3261 §19.1.2

# However many records a zone has: so many servers of one domain are looked up, and so many addresses are kept. An
# attempt that has tried a few of them has taken longer than its caller waits.
MAX_SERVERS: Final = 16
MAX_ADDRESSES: Final = 32

# What NAPTR records call the transports (RFC 3263 §4.1).
_SERVICES: Final = {"sip+d2u": "UDP", "sip+d2t": "TCP", "sips+d2t": "TLS"}
_SRV_PREFIX: Final = {"UDP": "_sip._udp.", "TCP": "_sip._tcp.", "TLS": "_sips._tcp."}

# (transport, IP version) of the sockets that there are: nothing is asked that could not be used.
Reach = frozenset[tuple[str, int]]


class LookupFailed(Exception):
    """A query has no answer: no server has spoken in time, or none could. The text says why, on one line."""


class DnsSettings(NamedTuple):
    """How the DNS is asked, and for how long its answers are good."""

    servers: tuple[tuple[str, int], ...] = ()  # (address, port); none: those of the system
    timeout_s: float = 1.0  # for one query at one server
    min_ttl_s: float = 5.0  # an answer is good for so long at least, and after a failure so long nobody asks again
    max_ttl_s: float = 3600.0  # at most
    stale_s: float = 3600.0  # and for so long behind that, where no server answers


class Place(NamedTuple):
    """What a URI says of where its requests go. `host` is a name in small letters, without a dot at its end."""

    host: str
    port: int = 0  # 0: the URI has none
    transport: str = ""  # "UDP", "TCP", "TLS"; "": the URI has none
    is_secure: bool = False  # a sips URI: nothing but TLS will do


class Address(NamedTuple):
    """One address that takes those requests. Lower priorities come first, weights share among equal ones."""

    transport: str
    host: str  # an IP address without brackets
    port: int
    priority: int  # the lowest is tried first
    weight: float


class Query(NamedTuple):
    """A question to the DNS: `kind` is "NAPTR", "SRV", "A" or "AAAA"."""

    kind: str
    name: str


class Naptr(NamedTuple):
    """RFC 3403 §4.1; what is not used here is left out."""

    order: int
    preference: int
    flags: str
    service: str
    replacement: str


class Srv(NamedTuple):
    """RFC 2782. `target` "" stands for the root: the service is decidedly not there."""

    priority: int
    weight: int
    port: int
    target: str


Records = list[Naptr] | list[Srv] | list[str]  # of A and AAAA: the addresses
Procedure = Generator[Query, Records, list[Address]]


class _Server(NamedTuple):
    transport: str
    name: str
    port: int
    priority: int
    weight: int


def locate(place: Place, reach: Reach) -> Procedure:
    """The procedure of RFC 3263 §4.1 and §4.2; it returns the addresses, best first, [] when the DNS knows none.

    Whoever drives it throws LookupFailed into it where a query has no answer. It raises LookupFailed itself when
    nothing was found for that reason.
    """
    usual = place.transport or ("TLS" if place.is_secure else "UDP")
    if place.port:
        return (yield from _addresses([_Server(usual, place.host, place.port, 0, 0)], reach))
    services = [(place.transport, _SRV_PREFIX[place.transport] + place.host)] if place.transport else []
    if not services:
        services = yield from _named_services(place, reach)
    if services:
        usual = services[0][0]
        servers = yield from _servers(services)
    else:
        servers = yield from _guessed_servers(place, reach)
    if servers is None:  # no SRV records (§4.2)
        servers = [_Server(usual, place.host, DEFAULT_PORTS[usual], 0, 0)]
    return (yield from _addresses(servers, reach))


def _named_services(place: Place, reach: Reach) -> Generator[Query, Records, list[tuple[str, str]]]:
    """(transport, name of the SRV records) as NAPTR records give them, best first (RFC 3263 §4.1)."""
    answer = yield Query("NAPTR", place.host)
    usable = []
    for record in answer:
        if isinstance(record, Naptr) and record.flags.lower() == "s":
            transport = _SERVICES.get(record.service.lower(), "")
            if transport in _usable(place, reach):
                usable.append((record.order, record.preference, transport, record.replacement))
    usable.sort()
    # Of several orders only the first counts (RFC 3403 §4.1); preferences within it are one list.
    return [(transport, name) for order, _, transport, name in usable if order == usable[0][0]]


def _usable(place: Place, reach: Reach) -> list[str]:
    """The transports that may carry requests for this URI and that there are sockets for, in the order of RFC 3263."""
    allowed = ("TLS",) if place.is_secure else ("UDP", "TCP", "TLS")
    return [transport for transport in allowed if (transport, 4) in reach or (transport, 6) in reach]


def _servers(services: Iterable[tuple[str, str]]) -> Generator[Query, Records, list[_Server] | None]:
    """The servers of SRV records, those of the first service before all others; None when there are no records."""
    found: list[_Server] | None = None
    for rank, (transport, name) in enumerate(services):
        answer = yield Query("SRV", name)
        for record in answer:
            if isinstance(record, Srv):
                found = found or []
                if record.target and record.port:
                    priority = rank << 16 | record.priority
                    found.append(_Server(transport, record.target, record.port, priority, record.weight))
    return found


def _guessed_servers(place: Place, reach: Reach) -> Generator[Query, Records, list[_Server] | None]:
    """Without NAPTR records: the first transport that has SRV records (RFC 3263 §4.1)."""
    for transport in _usable(place, reach):
        found = yield from _servers([(transport, _SRV_PREFIX[transport] + place.host)])
        if found is not None:
            return found
    return None


def _addresses(servers: list[_Server], reach: Reach) -> Procedure:
    """The addresses of servers; the weight of a server is shared by its addresses.

    Of a server whose name is not answered for, the others take the requests.
    """
    found: list[Address] = []
    failure: LookupFailed | None = None
    servers = sorted(servers, key=lambda server: (server.priority, -server.weight))[:MAX_SERVERS]
    ranks = {priority: rank for rank, priority in enumerate(sorted({server.priority for server in servers}))}
    for server in servers:
        hosts: list[str] = []
        for version, kind in ((4, "A"), (6, "AAAA")):
            if (server.transport, version) not in reach:
                continue
            try:
                answer = yield Query(kind, server.name)
            except LookupFailed as error:
                failure = error
                continue
            hosts += [host for host in answer if isinstance(host, str) and host not in hosts]
        found += [
            Address(server.transport, host, server.port, ranks[server.priority], server.weight / len(hosts))
            for host in sorted(hosts)
        ]
    if failure is not None and not found:
        raise failure
    return found[:MAX_ADDRESSES]
