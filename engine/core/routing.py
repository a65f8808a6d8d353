"""Where a message comes from and where it goes: peers by source, routes by called number, next hops of dialogs."""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final, final

from engine.core.health import AddressHealth, Health
from engine.core.listeners import Listeners
from engine.core.settings import CoreSettings, PeerSettings, RouteSettings, TargetSettings
from sipstack.events import Flow
from sipstack.uri import SipUri, parse_uri

# Sources remembered: past this many, the memory starts anew instead of growing.
_MAX_REMEMBERED_SOURCES: Final = 4096


@final
class Hop:
    """One place to try: a target of a peer."""

    __slots__ = ("flow", "health", "name", "peer", "target")

    def __init__(self, peer: PeerSettings, target: TargetSettings, local: int, health: AddressHealth) -> None:
        self.peer: Final = peer
        self.target: Final = target
        self.flow: Final = Flow(target.transport, target.host, target.port, local)  # where its requests are sent
        self.health: Final = health  # of that address
        self.name: Final = f"{peer.name} {health.address}"  # of no other place of a route; the same after a restart


@final
class Source:
    """One entry of a peer's `match`, as configured."""

    __slots__ = ("entry", "peer")

    def __init__(self, entry: str, peer: PeerSettings) -> None:
        self.entry = entry
        self.peer = peer


@final
class Routing:
    """The peers, routes and listeners of one configuration."""

    __slots__ = ("_by_address", "_by_network", "_by_source", "_health", "_remembered", "_routes", "listeners")

    def __init__(self, settings: CoreSettings, health: Health | None = None) -> None:
        """`health` is what is known of the addresses; nothing when it is left out."""
        self.listeners: Final = Listeners(settings.listeners)
        self._health: Final = Health() if health is None else health
        peers = {peer.name: peer for peer in settings.peers}
        self._routes = [
            (
                re.compile(route.called, re.ASCII),
                route,
                [hop for name in route.peers for hop in self.hops_of(peers[name])],
            )
            for route in settings.routes
        ]
        self._by_source: dict[tuple[str, int], Source] = {}
        self._by_address: dict[str, Source] = {}
        self._by_network: list[tuple[IPv4Network | IPv6Network, Source]] = []
        self._remembered: dict[tuple[str, int], PeerSettings | None] = {}
        for peer in settings.peers:
            for entry in peer.match:
                self._add_source(Source(entry, peer))
        self._by_network.sort(key=lambda pair: pair[0].prefixlen, reverse=True)

    def peer_of(self, host: str, port: int) -> PeerSettings | None:
        """The peer that a source belongs to, the most specific entry winning; None for an unknown one."""
        source = (host, port)
        remembered = self._remembered
        if source in remembered:
            return remembered[source]
        found = self.source_of(host, port)
        peer = None if found is None else found.peer
        if len(self._remembered) >= _MAX_REMEMBERED_SOURCES:
            self._remembered.clear()
        self._remembered[source] = peer
        return peer

    def hops(self, called: str) -> list[Hop]:
        """The targets for a canonical national number, in failover order: the first route that matches; [] for none.

        The list is the route's own: it is read, never changed.
        """
        for pattern, _, hops in self._routes:
            if pattern.search(called):
                return hops
        return []

    def hops_of(self, peer: PeerSettings) -> list[Hop]:
        """The targets of a peer, in order, as far as a listener can send to them; each address once."""
        hops: dict[AddressHealth, Hop] = {}
        for target in peer.targets:
            local = self.listeners.index_for(target.transport, target.host)
            health = self._health.of(target.transport, target.host, target.port)
            if local >= 0 and health not in hops:
                hops[health] = Hop(peer, target, local, health)
        return list(hops.values())

    def route_of(self, called: str) -> RouteSettings | None:
        """The first route that matches a canonical national number."""
        for pattern, route, _ in self._routes:
            if pattern.search(called):
                return route
        return None

    def _add_source(self, source: Source) -> None:
        entry = source.entry
        if "/" in entry:
            self._by_network.append((ip_network(entry, strict=False), source))
            return
        host, _, port = entry.rpartition(":")
        if (entry.startswith("[") and not entry.endswith("]")) or entry.count(":") == 1:
            self._by_source[(_canonical(host), int(port))] = source
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


def flow_to(uri: str, fallback: Flow) -> Flow:
    """Where a request to `uri` goes: its address when it is one that may be sent to, else `fallback`.

    A host name, or an address that reaches nobody or too many in a Contact or Record-Route takes us nowhere: the
    request goes to where the dialog's own messages came from. So it does instead of to this machine or its own link
    when the party itself is neither: no party sends us into the node's own services (metadata, control).
    """
    parsed = parse_uri(uri)
    if not isinstance(parsed, SipUri):
        return fallback
    host = _reachable(parsed.host, fallback.host)
    return Flow(fallback.transport, host, parsed.port or 5060, fallback.local) if host else fallback


@lru_cache(maxsize=_MAX_REMEMBERED_SOURCES)
def _reachable(host: str, near: str) -> str:
    """The address that `host` is, when a party that was seen at `near` may send us there; else ""."""
    address = address_of(host)
    return "" if address is None or not _may_send_to(address, address_of(near)) else str(address)


def _may_send_to(address: IPv4Address | IPv6Address, near: IPv4Address | IPv6Address | None) -> bool:
    if near is None or address.version != near.version or address.is_multicast or address.is_unspecified:
        return False
    if isinstance(address, IPv4Address) and (address.is_reserved or address in _THIS_NETWORK):
        return False  # 240/4 with the broadcast address, and 0/8 (RFC 6890)
    return (near.is_loopback or not address.is_loopback) and (near.is_link_local or not address.is_link_local)


_THIS_NETWORK: Final = IPv4Network("0.0.0.0/8")


def hosts_of(uris: list[str]) -> set[str]:
    """The hosts of SIP URIs: names in lower case, addresses as `address_of` writes them."""
    return {_canonical(parsed.host).lower() for uri in uris if isinstance(parsed := parse_uri(uri), SipUri)}
