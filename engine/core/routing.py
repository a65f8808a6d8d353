"""Where a message comes from and where it goes: peers by source, routes by called number."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final, final

from engine.core.called_pattern import CalledPattern
from engine.core.health import AddressHealth, Health
from engine.core.listeners import Listeners
from engine.core.settings import CoreSettings, PeerSettings, RouteSettings, TargetSettings
from engine.core.targets import Draw, Fixed, InOrder, Plan, TargetTable, plan_of_addresses, plan_of_targets
from sipstack.events import Flow
from sipstack.location import Address, Place
from sipstack.uri import uri_host

# Sources remembered: past this many, the memory starts anew instead of growing.
MAX_REMEMBERED_SOURCES: Final = 4096


@final
class Hop:
    """One place to try: a target of a peer, or one address of it where it is a name.

    `uri_start`, `uri_end` and `to_end` stand around a user: a Request-URI for it at the target, and the end of a To.
    """

    __slots__ = ("address", "flow", "health", "name", "peer", "target", "to_end", "uri_end", "uri_start")

    def __init__(
        self, peer: PeerSettings, target: TargetSettings, flow: Flow, health: AddressHealth, is_target: bool = True
    ) -> None:
        """`flow` is where its requests are sent, `health` that of this address. Not `is_target`: it is not configured
        as one, and `target` tells what it would be."""
        self.peer: Final = peer
        self.target: Final = target
        self.flow: Final = flow
        self.health = health  # another object's, once the tables that it stands in are in force
        self.name: Final = f"{peer.name} {health.address}"  # of no other place of a route; the same after a restart
        # What records add to a name: "udp:192.0.2.1:5060". An address that is configured is there already.
        self.address: Final = "" if target.place is None and is_target else health.address
        host = uri_host(target.host)
        port = f":{target.port}" if target.port else ""  # a name without one stays so: it is looked up as a domain
        self.uri_start: Final = "sips:" if target.is_secure else "sip:"
        self.uri_end: Final = f"@{host}{port}"
        self.to_end: Final = f"@{host}>"


@final
class Source:
    """One entry of a peer's `match`, as configured."""

    __slots__ = ("entry", "peer")

    def __init__(self, entry: str, peer: PeerSettings) -> None:
        self.entry = entry
        self.peer = peer


@final
class _Route:
    """One route. `hops` are the targets of all its peers when their order is always the same.

    `repeats`: several targets of one peer lead to the same place.
    """

    __slots__ = ("hops", "pattern", "plan", "repeats", "settings")

    def __init__(self, settings: RouteSettings) -> None:
        self.settings: Final = settings
        self.pattern: Final = CalledPattern(settings.called)
        self.plan: Plan = Fixed([])
        self.hops: list[Hop] | None = []
        self.repeats = False


@final
class Routing:
    """The peers, routes and listeners of one configuration."""

    __slots__ = (
        "_by_address",
        "_by_name",
        "_by_network",
        "_by_source",
        "_health",
        "_last_host",
        "_last_peer",
        "_last_port",
        "_peers",
        "_plans",
        "_remembered",
        "_routes",
        "_table",
        "_transits",
        "listeners",
    )

    def __init__(self, settings: CoreSettings, table: TargetTable | None = None, health: Health | None = None) -> None:
        """`table` has the addresses of targets that are names, `readdress` when they have changed. `health` is what is
        known of addresses. Without them nothing is known."""
        self.listeners: Final = Listeners(settings.listeners)
        self._table = TargetTable() if table is None else table
        self._health = Health() if health is None else health
        self._peers = {peer.name: peer for peer in settings.peers}
        self._plans: dict[str, Plan] = {name: self._plan_of(peer) for name, peer in self._peers.items()}
        self._routes = [_Route(route) for route in settings.routes]
        self._transits = [route for route in self._routes if route.settings.transit]
        for route in self._routes:
            self._plan_route(route)
        self._by_source: dict[tuple[str, int], Source] = {}
        self._by_address: dict[str, Source] = {}
        self._by_network: list[tuple[IPv4Network | IPv6Network, Source]] = []
        self._by_name = {name: peer for peer in settings.peers for name in peer.tls_names}
        self._remembered: dict[tuple[str, int], PeerSettings | None] = {}
        # The datagram before this one, nearly always from the same trunk: two comparisons in the place of a key.
        self._last_host, self._last_port = "", -1
        self._last_peer: PeerSettings | None = None
        for peer in settings.peers:
            for entry in peer.match:
                self._add_source(Source(entry, peer))
        self._by_network.sort(key=lambda pair: pair[0].prefixlen, reverse=True)

    def enter_force(self, table: TargetTable, health: Health) -> None:
        """From now on it goes by these: made beside the calls, it was made of a copy of the one and without the other.

        It takes a twentieth of the time that the making takes.
        """
        made_of, self._table, self._health = self._table, table, health
        hops: list[Hop] = []
        for plan in self._plans.values():
            plan.put(hops, Draw(""))
        for hop in hops:
            hop.health = health.of(hop.flow.transport, hop.flow.host, hop.flow.port)
        for place in table.changed_since(made_of):
            self.readdress(place)

    def peer_of(self, flow: Flow) -> PeerSettings | None:
        """The peer that a source belongs to, the most specific entry winning; None for an unknown one.

        The port of a connection says nothing: entries with a port are for UDP (contract §4). A peer with `tls_names` is
        known by its certificate.
        """
        if flow.transport == "UDP":
            if flow.port != self._last_port or flow.host != self._last_host:
                self._last_peer = self._peer_at(flow.host, flow.port)
                self._last_host, self._last_port = flow.host, flow.port
            return self._last_peer
        if flow.transport == "TLS" and self._by_name:
            return self._peer_by_certificate(flow)
        return self._peer_at(flow.host, 0)

    def _peer_at(self, host: str, port: int) -> PeerSettings | None:
        """Whose an address is; port 0 for that of a connection."""
        source = (host, port)
        remembered = self._remembered.get(source)
        if remembered is not None or source in self._remembered:
            return remembered
        found = self.source_of(host, port)
        peer = None if found is None or found.peer.tls_names else found.peer
        if len(self._remembered) >= MAX_REMEMBERED_SOURCES:
            self._remembered.clear()
        self._remembered[source] = peer
        return peer

    def _peer_by_certificate(self, flow: Flow) -> PeerSettings | None:
        """Whose names have been proven, at an address of its `match` if it has any; else by the address alone.

        An address of a peer with `tls_names` is nobody's without its certificate; names of two peers are in doubt.
        """
        proven = {self._by_name[name].name for name in flow.identities if name in self._by_name}
        found = self.source_of(flow.host, 0)
        if not proven:
            return None if found is None or found.peer.tls_names else found.peer
        peer = self._peers[proven.pop()]
        is_there = not peer.match or (found is not None and found.peer is peer)
        return peer if is_there and not proven else None

    def readdress(self, place: Place) -> None:
        """Takes the addresses of a name anew: for the peers that have it as a target, and for the routes to them."""
        changed = {name for name, peer in self._peers.items() if any(target.place == place for target in peer.targets)}
        self._plans.update({name: self._plan_of(self._peers[name]) for name in changed})
        for route in self._routes:
            if not changed.isdisjoint(route.settings.peers):
                self._plan_route(route)

    def _plan_route(self, route: _Route) -> None:
        route.plan = InOrder([self._plans[name] for name in route.settings.peers])
        fixed = route.plan.fixed
        route.hops = None if fixed is None else _each_once(fixed)
        every: list[Hop] = []
        route.plan.put(every, Draw(""))
        route.repeats = len(_each_once(every)) < len(every)

    def hops(self, called: str, record_id: str = "", is_transit: bool = False) -> list[Hop]:
        """The targets for a canonical national number, in the order in which the attempt `record_id` tries them.

        Those of the first route that matches; [] for none, or when there is no address of any. The list may be the
        route's own: it is read, never changed.
        """
        for route in self._transits if is_transit else self._routes:
            if route.pattern.takes(called):
                hops = route.hops
                if hops is None:
                    hops = []
                    route.plan.put(hops, Draw(record_id))
                    if route.repeats:
                        hops = _each_once(hops)
                return hops
        return []

    def hops_of(self, peer: str, record_id: str) -> list[Hop]:
        """The targets of the peer of this name, in the order in which what belongs to `record_id` tries them."""
        found: list[Hop] = []
        plan = self._plans.get(peer)
        if plan is not None:
            plan.put(found, Draw(record_id))
        return _each_once(found)

    def leads_to(self, peer: str, host: str) -> bool:
        """True when a target of the peer of this name is at this address."""
        return any(hop.flow.host == host for hop in self.hops_of(peer, ""))

    def needs_no_proof(self, peer: str, host: str) -> bool:
        """True when this address is one of its targets, and the peer need not show a certificate."""
        settings = self._peers.get(peer)
        return settings is not None and not settings.tls_names and self.leads_to(peer, host)

    def hop_at(self, peer: str, target: str, address: str) -> Hop | None:
        """A place that was tried by another run: names of records. None when it is not configured any more."""
        settings = self._peers.get(peer)
        if settings is None:
            return None
        if not address:
            return next((hop for hop in self.hops_of(peer, "") if hop.target.uri == target), None)
        transport, _, socket = address.partition(":")
        host, _, port = socket.rpartition(":")
        if not port.isdigit():
            return None
        found = Address(transport.upper(), host.strip("[]"), int(port), 0, 0.0)
        for one in settings.targets:
            if one.uri == target and one.place is not None:
                return self._hop(settings, one, found) if self._may_reach(found) else None
        local = self.listeners.index_for(found.transport, found.host)
        if local < 0:
            return None
        names = (found.host,) if found.transport == "TLS" else ()
        beside = self.hop_beside(settings, Flow(found.transport, found.host, found.port, local, names))
        return beside if beside is not None and beside.target.uri == target else None

    def hop_beside(self, peer: PeerSettings, flow: Flow) -> Hop | None:
        """A place of a peer that is none of its targets; None where its `match` does not have that address."""
        port = flow.reply_port or flow.port
        source = self.source_of(flow.host, port)
        if source is None or source.peer.name != peer.name:
            return None
        if not self._may_reach(Address(flow.transport, flow.host, port, 0, 0.0)):
            return None
        parameter = "" if flow.transport == "UDP" else f";transport={flow.transport.lower()}"
        target = TargetSettings(f"sip:{uri_host(flow.host)}:{port}{parameter}", flow.host, port, flow.transport)
        return Hop(peer, target, flow, self._health.of(flow.transport, flow.host, port), is_target=False)

    def _plan_of(self, peer: PeerSettings) -> Plan:
        return plan_of_targets([self._plan_of_target(peer, target) for target in peer.targets], peer.targets)

    def _plan_of_target(self, peer: PeerSettings, target: TargetSettings) -> Plan:
        """Its addresses, as far as a listener can send to them."""
        if target.place is None:
            at = Address(target.transport, target.host, target.port, 0, 0.0)
            return Fixed([self._hop(peer, target, at)] if self.listeners.index_for(at.transport, at.host) >= 0 else [])
        addresses = [address for address in self._table.addresses(target.place) if self._may_reach(address)]
        return plan_of_addresses([self._hop(peer, target, address) for address in addresses], addresses)

    def _hop(self, peer: PeerSettings, target: TargetSettings, at: Address) -> Hop:
        # What is configured, not what the DNS has led to, must be in the certificate of who answers there.
        names = (target.host if target.place is not None else canonical(at.host),) if at.transport == "TLS" else ()
        flow = Flow(at.transport, at.host, at.port, self.listeners.index_for(at.transport, at.host), names)
        return Hop(peer, target, flow, self._health.of(at.transport, at.host, at.port))

    def _may_reach(self, found: Address) -> bool:
        """False for an address that reaches nobody, too many, or the node itself, whatever the DNS says."""
        address = address_of(found.host)
        if address is None or address.is_multicast or address.is_unspecified or not is_unicast(address):
            return False
        return self.listeners.index_for(found.transport, found.host) >= 0 and not self.listeners.is_own(
            found.transport, found.host, found.port
        )

    def route_of(self, called: str, is_transit: bool = False) -> RouteSettings | None:
        """The first route that matches a canonical national number; of those with `transit` where that is wanted."""
        for route in self._transits if is_transit else self._routes:
            if route.pattern.takes(called):
                return route.settings
        return None

    def _add_source(self, source: Source) -> None:
        entry = source.entry
        if "/" in entry:
            self._by_network.append((ip_network(entry, strict=False), source))
        elif (parts := split_port(entry))[1]:
            self._by_source[(canonical(parts[0]), int(parts[1]))] = source
        else:
            self._by_address[canonical(entry)] = source

    def source_of(self, host: str, port: int) -> Source | None:
        """The entry that a source falls under: its address with the port, its address, or the smallest network."""
        address = address_of(host)
        if address is None:
            return None
        host = str(address)
        known = self._by_source.get((host, port)) or self._by_address.get(host)
        if known is not None:
            return known
        for network, source in self._by_network:
            if address.version == network.version and address in network:
                return source
        return None


def _each_once(hops: list[Hop]) -> list[Hop]:
    """Without those that lead a peer's requests to where an earlier one leads them."""
    found: dict[str, Hop] = {}
    for hop in hops:
        found.setdefault(hop.name, hop)
    return list(found.values())


@lru_cache(maxsize=MAX_REMEMBERED_SOURCES)
def address_of(host: str) -> IPv4Address | IPv6Address | None:
    """The address that a host is, without brackets and zone; None for a name.

    An IPv4 address in the IPv6 form that sockets for both give it is that IPv4 address (RFC 4291 §2.5.5.2).
    """
    try:
        address = ip_address(host.strip("[]").partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return address if mapped is None else mapped


def canonical(host: str) -> str:
    """An address as `address_of` writes it; a name as it is."""
    address = address_of(host)
    return host if address is None else str(address)


def split_port(entry: str) -> tuple[str, str]:
    """Address and port of an entry of `match`; "" where it names none: "2001:db8::1" does not."""
    host, _, port = entry.rpartition(":")
    return (host, port) if host[-1:] == "]" or entry.count(":") == 1 else (entry, "")


def is_unicast(address: IPv4Address | IPv6Address) -> bool:
    """False for 240/4 with the broadcast address, and 0/8 (RFC 6890)."""
    return isinstance(address, IPv6Address) or not (address.is_reserved or address in _THIS_NETWORK)


_THIS_NETWORK: Final = IPv4Network("0.0.0.0/8")


def shown_address(at: Flow | Address) -> str:
    """Where something is sent, for people and records: "udp:192.0.2.1:5060", "tls:[2001:db8::1]:5061"."""
    return f"{at.transport.lower()}:{uri_host(at.host)}:{at.port}"
