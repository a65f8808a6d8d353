"""Where a message comes from and where it goes: peers by source, routes by called number, next hops of dialogs."""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final, final

from engine.core.health import AddressHealth, Health
from engine.core.listeners import Listeners
from engine.core.settings import CoreSettings, PeerSettings, RouteSettings, TargetSettings
from engine.core.targets import Draw, Fixed, InOrder, Plan, TargetTable, plan_of_addresses, plan_of_targets
from sipstack.events import Flow
from sipstack.grammar import USUAL_SIP_URI
from sipstack.location import DEFAULT_PORTS, Address, Place
from sipstack.uri import SipUri, parse_uri, uri_host

# Sources remembered: past this many, the memory starts anew instead of growing.
_MAX_REMEMBERED_SOURCES: Final = 4096


@final
class Hop:
    """One place to try: a target of a peer, or one address of it where it is a name."""

    __slots__ = ("address", "flow", "health", "name", "peer", "target")

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
        self.pattern: Final = re.compile(settings.called, re.ASCII)
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
            source = (flow.host, flow.port)
        elif flow.transport == "TLS" and self._by_name:
            return self._peer_by_certificate(flow)
        else:
            source = (flow.host, 0)
        remembered = self._remembered.get(source)
        if remembered is not None or source in self._remembered:
            return remembered
        found = self.source_of(*source)
        peer = None if found is None or found.peer.tls_names else found.peer
        if len(self._remembered) >= _MAX_REMEMBERED_SOURCES:
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
            if route.pattern.search(called):
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
        names = (target.host if target.place is not None else _canonical(at.host),) if at.transport == "TLS" else ()
        flow = Flow(at.transport, at.host, at.port, self.listeners.index_for(at.transport, at.host), names)
        return Hop(peer, target, flow, self._health.of(at.transport, at.host, at.port))

    def _may_reach(self, found: Address) -> bool:
        """False for an address that reaches nobody, too many, or the node itself, whatever the DNS says."""
        address = address_of(found.host)
        if address is None or address.is_multicast or address.is_unspecified or not _is_unicast(address):
            return False
        return self.listeners.index_for(found.transport, found.host) >= 0 and not self.listeners.is_own(
            found.transport, found.host, found.port
        )

    def route_of(self, called: str, is_transit: bool = False) -> RouteSettings | None:
        """The first route that matches a canonical national number; of those with `transit` where that is wanted."""
        for route in self._transits if is_transit else self._routes:
            if route.pattern.search(called):
                return route.settings
        return None

    def _add_source(self, source: Source) -> None:
        entry = source.entry
        if "/" in entry:
            self._by_network.append((ip_network(entry, strict=False), source))
        elif (parts := _split_port(entry))[1]:
            self._by_source[(_canonical(parts[0]), int(parts[1]))] = source
        else:
            self._by_address[_canonical(entry)] = source

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


@lru_cache(maxsize=_MAX_REMEMBERED_SOURCES)
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


def _canonical(host: str) -> str:
    address = address_of(host)
    return host if address is None else str(address)


def flow_to(uri: str, known: Flow, listeners: Listeners, peer: PeerSettings | None = None) -> Flow:
    """Where a request to `uri` goes: to its address by its transport, where those may be; else to `known`.

    `known` is where the dialog's own messages came from, or were first sent to. A host name, or an address that reaches
    nobody or too many in a Contact or Record-Route takes us nowhere: the request goes to `known`. So it does instead of
    to this machine or its own link when the party itself is neither: no party sends us into the node's own services
    (metadata, control). A URI that names no transport means that of `known`, and so does one whose transport no
    listener speaks; but what is asked for by a sips URI leaves over TLS or not at all (RFC 3261 §26.2.2). A `peer` that
    is not trusted takes us to hosts of its own only: nobody outside chooses which machines here are sent something.
    """
    usual = USUAL_SIP_URI.fullmatch(uri) if known.transport == "UDP" else None
    if usual is not None and usual[2] == known.host and usual[4] is None and int(usual[3] or 5060) == known.port:
        return known  # nearly always: a phone is where it says
    parsed = parse_uri(uri)
    if not isinstance(parsed, SipUri):
        return known
    host = _reachable(parsed.host, known.host)
    if host and host != known.host and peer is not None and not peer.trusted and not _is_host_of(peer, host):
        host = ""
    if (parsed.params or parsed.scheme != "sip") and (transport := _transport_of(parsed)) not in ("", known.transport):
        local = listeners.index_for(transport, known.host)
        if parsed.scheme == "sips":
            port = parsed.port or DEFAULT_PORTS["TLS"]
            return Flow("TLS", host or known.host, port, max(local, 0), (parsed.host.strip("[]").lower(),))
        if host and local >= 0:
            return Flow(transport, host, parsed.port or DEFAULT_PORTS[transport], local, known.identities)
    if not host:
        return known
    transport = known.transport
    port = parsed.port or DEFAULT_PORTS[transport]
    if transport == "UDP":
        return Flow(transport, host, port, known.local)
    if host == known.host:
        if known.reply_port:  # its own connection, and where it listens when that has gone (RFC 5923 §3)
            return Flow(transport, host, known.port, known.local, known.identities, port)
        return Flow(transport, host, port, known.local, known.identities)
    return Flow(transport, host, port, known.local, (*known.identities, host))


def _is_host_of(peer: PeerSettings, host: str) -> bool:
    """True for the address of one of its targets, and for one that its `match` covers, whatever the port."""
    places = (entry if "/" in entry else _canonical(_split_port(entry)[0]) for entry in peer.match)
    is_there = any(ip_address(host) in ip_network(place, strict=False) for place in places)
    return is_there or any(target.host == host for target in peer.targets)


def _split_port(entry: str) -> tuple[str, str]:
    """Address and port of an entry of `match`; "" where it names none: "2001:db8::1" does not."""
    host, _, port = entry.rpartition(":")
    return (host, port) if host[-1:] == "]" or entry.count(":") == 1 else (entry, "")


def _transport_of(uri: SipUri) -> str:
    """As in Flow; "" when it names none that we speak. Of a sips URI it is TLS (RFC 3261 §26.2.2)."""
    if uri.scheme == "sips":
        return "TLS"
    named = (uri.param("transport") or "").upper()
    return named if named in DEFAULT_PORTS else ""


@lru_cache(maxsize=_MAX_REMEMBERED_SOURCES)
def _reachable(host: str, near: str) -> str:
    """The address that `host` is, when a party that was seen at `near` may send us there; else ""."""
    address = address_of(host)
    return "" if address is None or not _may_send_to(address, address_of(near)) else str(address)


def _may_send_to(address: IPv4Address | IPv6Address, near: IPv4Address | IPv6Address | None) -> bool:
    if near is None or address.version != near.version or address.is_multicast or address.is_unspecified:
        return False
    if not _is_unicast(address):
        return False
    return (near.is_loopback or not address.is_loopback) and (near.is_link_local or not address.is_link_local)


def _is_unicast(address: IPv4Address | IPv6Address) -> bool:
    """False for 240/4 with the broadcast address, and 0/8 (RFC 6890)."""
    return isinstance(address, IPv6Address) or not (address.is_reserved or address in _THIS_NETWORK)


_THIS_NETWORK: Final = IPv4Network("0.0.0.0/8")


def shown_address(at: Flow | Address) -> str:
    """Where something is sent, for people and records: "udp:192.0.2.1:5060", "tls:[2001:db8::1]:5061"."""
    return f"{at.transport.lower()}:{uri_host(at.host)}:{at.port}"


def hosts_of(uris: list[str]) -> set[str]:
    """The hosts of SIP URIs: names in lower case, addresses as `address_of` writes them."""
    return {_canonical(parsed.host).lower() for uri in uris if isinstance(parsed := parse_uri(uri), SipUri)}
