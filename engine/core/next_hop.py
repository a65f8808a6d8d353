"""Where a request within a dialog goes: what its target or route names, as far as that may be."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final

from engine.core.listeners import Listeners
from engine.core.routing import MAX_REMEMBERED_SOURCES, address_of, canonical, is_unicast, split_port
from engine.core.settings import PeerSettings
from sipstack.events import Flow
from sipstack.location import DEFAULT_PORTS
from sipstack.uri import SipUri, parse_uri

_MOST_PORT_DIGITS: Final = 5


def flow_to(uri: str, known: Flow, listeners: Listeners, peer: PeerSettings | None = None) -> Flow:
    """Where a request to `uri` goes: to its address by its transport, where those may be; else to `known`.

    `known` is where the dialog's own messages came from, or were first sent to. A host name, or an address that reaches
    nobody or too many in a Contact or Record-Route takes us nowhere: the request goes to `known`. So it does instead of
    to this machine or its own link when the party itself is neither: no party sends us into the node's own services
    (metadata, control). A URI that names no transport means that of `known`, and so does one whose transport no
    listener speaks; but what is asked for by a sips URI leaves over TLS or not at all (RFC 3261 §26.2.2). A `peer` that
    is not trusted takes us to hosts of its own only: nobody outside chooses which machines here are sent something.
    """
    if known.transport == "UDP" and _is_at(uri, known.host, known.port):
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


def _is_at(uri: str, host: str, port: int) -> bool:
    """True for `sip:user@host:port` and nothing else, of letters, digits and a plus; 5060 may be left out.

    By hand: an expression and its groups cost seven times as much.
    """
    at = uri.find("@")
    if at < 0 or not uri.startswith("sip:") or not uri[5 if uri.startswith("sip:+") else 4 : at].isalnum():
        return False
    colon = uri.rfind(":")
    if colon < at:
        return port == DEFAULT_PORTS["UDP"] and uri[at + 1 :] == host
    digits = len(uri) - colon - 1
    if not 1 <= digits <= _MOST_PORT_DIGITS or uri[at + 1 : colon] != host or uri[colon + 1] == "0":
        return False
    named = 0
    for place in range(colon + 1, len(uri)):
        digit = ord(uri[place]) - 0x30
        if not 0 <= digit <= 9:
            return False
        named = named * 10 + digit
    return named == port


def _is_host_of(peer: PeerSettings, host: str) -> bool:
    """True for the address of one of its targets, and for one that its `match` covers, whatever the port."""
    places = (entry if "/" in entry else canonical(split_port(entry)[0]) for entry in peer.match)
    is_there = any(ip_address(host) in ip_network(place, strict=False) for place in places)
    return is_there or any(target.host == host for target in peer.targets)


def _transport_of(uri: SipUri) -> str:
    """As in Flow; "" when it names none that we speak. Of a sips URI it is TLS (RFC 3261 §26.2.2)."""
    if uri.scheme == "sips":
        return "TLS"
    named = (uri.param("transport") or "").upper()
    return named if named in DEFAULT_PORTS else ""


@lru_cache(maxsize=MAX_REMEMBERED_SOURCES)
def _reachable(host: str, near: str) -> str:
    """The address that `host` is, when a party that was seen at `near` may send us there; else ""."""
    address = address_of(host)
    return "" if address is None or not _may_send_to(address, address_of(near)) else str(address)


def _may_send_to(address: IPv4Address | IPv6Address, near: IPv4Address | IPv6Address | None) -> bool:
    if near is None or address.version != near.version or address.is_multicast or address.is_unspecified:
        return False
    if not is_unicast(address):
        return False
    return (near.is_loopback or not address.is_loopback) and (near.is_link_local or not address.is_link_local)


def hosts_of(uris: list[str]) -> set[str]:
    """The hosts of SIP URIs: names in lower case, addresses as `address_of` writes them."""
    return {canonical(parsed.host).lower() for uri in uris if isinstance(parsed := parse_uri(uri), SipUri)}
