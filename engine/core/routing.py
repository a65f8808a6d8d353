"""Where a message comes from and where it goes: peers by source, routes by called number, next hops of dialogs."""

from __future__ import annotations

import re
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Final, final

from engine.core.settings import CoreSettings, PeerSettings, TargetSettings
from sipstack.events import Flow
from sipstack.uri import SipUri, parse_uri

# Sources remembered: past this many, the memory starts anew instead of growing.
_MAX_REMEMBERED_SOURCES: Final = 4096


@final
class Hop:
    """One place to try: a target of a peer."""

    __slots__ = ("peer", "target")

    def __init__(self, peer: PeerSettings, target: TargetSettings) -> None:
        self.peer = peer
        self.target = target

    @property
    def flow(self) -> Flow:
        """Where requests to this target are sent."""
        return Flow("UDP", self.target.host, self.target.port)


@final
class Routing:
    """The peers and routes of one configuration."""

    __slots__ = ("_by_address", "_by_network", "_by_source", "_peers", "_remembered", "_routes")

    def __init__(self, settings: CoreSettings) -> None:
        self._peers = {peer.name: peer for peer in settings.peers}
        self._routes = [(re.compile(route.called, re.ASCII), route.peers) for route in settings.routes]
        self._by_source: dict[tuple[str, int], PeerSettings] = {}
        self._by_address: dict[str, PeerSettings] = {}
        self._by_network: list[tuple[IPv4Network | IPv6Network, PeerSettings]] = []
        self._remembered: dict[tuple[str, int], PeerSettings | None] = {}
        for peer in settings.peers:
            for entry in peer.match:
                self._add_source(entry, peer)
        self._by_network.sort(key=lambda pair: pair[0].prefixlen, reverse=True)

    def peer_of(self, host: str, port: int) -> PeerSettings | None:
        """The peer that a source belongs to, the most specific entry winning; None for an unknown one."""
        source = (host, port)
        if source in self._remembered:
            return self._remembered[source]
        peer = self._by_source.get(source) or self._by_address.get(host) or self._by_containing_network(host)
        if len(self._remembered) >= _MAX_REMEMBERED_SOURCES:
            self._remembered.clear()
        self._remembered[source] = peer
        return peer

    def hops(self, called: str) -> list[Hop]:
        """The targets for a canonical national number, in failover order: the first route that matches; [] for none."""
        for pattern, names in self._routes:
            if pattern.search(called):
                return [Hop(self._peers[name], target) for name in names for target in self._peers[name].targets]
        return []

    def _add_source(self, entry: str, peer: PeerSettings) -> None:
        if "/" in entry:
            self._by_network.append((ip_network(entry, strict=False), peer))
            return
        host, colon, port = entry.rpartition(":")
        if entry.startswith("[") and not entry.endswith("]"):
            self._by_source[(host.strip("[]"), int(port))] = peer
        elif colon and entry.count(":") == 1:
            self._by_source[(host, int(port))] = peer
        else:
            self._by_address[entry.strip("[]")] = peer

    def _by_containing_network(self, host: str) -> PeerSettings | None:
        try:
            address = ip_address(host)
        except ValueError:
            return None
        for network, peer in self._by_network:
            if address.version == network.version and address in network:
                return peer
        return None


def flow_to(uri: str, fallback: Flow) -> Flow:
    """Where a request to `uri` goes: its address when it is one that may be sent to, else `fallback`.

    A host name, a multicast, broadcast or unspecified address in a Contact or Record-Route takes us nowhere: the
    request goes to where the dialog's own messages came from.
    """
    parsed = parse_uri(uri)
    if not isinstance(parsed, SipUri):
        return fallback
    host = parsed.host.strip("[]")
    try:
        address = ip_address(host)
    except ValueError:
        return fallback
    if address.is_multicast or address.is_unspecified or host == "255.255.255.255":
        return fallback
    return Flow(fallback.transport, host, parsed.port or 5060)


def hosts_of(uris: list[str]) -> set[str]:
    """The hosts of SIP URIs, in lower case and without brackets."""
    return {parsed.host.strip("[]").lower() for uri in uris if isinstance(parsed := parse_uri(uri), SipUri)}
