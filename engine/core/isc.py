"""As an application server of an IMS: the Route that the S-CSCF of a peer with profile `isc` sends with a request.

Its first entry is the node's own and is taken off (RFC 3261 §16.4). What stands behind it is the S-CSCF's: the request
of the other dialog is sent there and carries it as it came, since by the user part or a parameter of it the S-CSCF
finds the dialog that it has begun (the original dialog identifier, TS 24.229 §5.4.3.4, §5.7.5). An entry that leads
anywhere but to a place of that peer ends the attempt: whoever writes a Route must not choose where the node sends.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

from engine.core.next_hop import flow_to
from engine.core.policy import Refusal
from engine.core.records import ReleaseCause
from engine.core.routing import Hop
from engine.core.settings import CoreSettings, PeerSettings, ServedSide
from sipstack import headers as h
from sipstack.events import Flow
from sipstack.fields import split_list
from sipstack.location import DEFAULT_PORTS
from sipstack.message import Message
from sipstack.uri import SipUri, parse_name_addr, parse_params, parse_uri

if TYPE_CHECKING:
    from engine.core.context import CoreContext

# An S-CSCF adds one entry; a few more may stand behind it in the same core.
MAX_ROUTES: Final = 8

_FORBIDDEN: Final = (403, 21)
NOT_FOLLOWED: Final = Refusal(ReleaseCause.NO_ROUTE, "service_route", _FORBIDDEN)
_WRONG_SIDE: Final = Refusal(ReleaseCause.NO_ROUTE, "served_side", _FORBIDDEN)

# How the side that is served is written: in the node's own Route entry, as its user part or as a parameter, and as
# sescase in P-Served-User (RFC 5502 §4.2).
_SIDES: Final = ("orig", "term")
_SERVED_USER: Final = "P-Served-User"


@final
class ServiceRoute:
    """Where the request of the other dialog goes instead of to the targets of a route."""

    __slots__ = ("hops", "values")

    def __init__(self, values: tuple[str, ...], hops: list[Hop]) -> None:
        self.values: Final = values  # of the Route rows that it carries
        self.hops: Final = hops  # at least one


def service_route(
    context: CoreContext, request: Message, peer: PeerSettings, came: Flow, record_id: str
) -> ServiceRoute | Refusal | None:
    """What the Route of a request that came from the S-CSCF `peer` by `came` says; None: nothing behind our own entry.

    A Refusal when it is not ours to follow, or serves a side that this peer is not configured for. Raises
    RemoteSipError for an entry that is malformed.
    """
    entries = [entry for row in request.values(h.ROUTE) for entry in split_list(row)]
    if len(entries) > MAX_ROUTES:
        return NOT_FOLLOWED
    addresses = [parse_name_addr(entry) for entry in entries]
    uris = [_loose(address.uri) for address in addresses]
    own = uris[0] if uris else None
    if own is None or not _is_own(own, context.settings):
        return NOT_FOLLOWED
    if not _serves(own, request, peer.served_side):
        return _WRONG_SIDE
    hops: list[Hop] = []
    for uri in reversed(uris[1:]):
        hops = _places(context, uri, peer, came, record_id) if uri is not None else []
        if not hops:
            return NOT_FOLLOWED
    values = tuple([f"<{address.uri}>{address.params}" for address in addresses[1:]])
    if not all(value.isascii() and value.isprintable() for value in values):
        return NOT_FOLLOWED
    return ServiceRoute(values, hops) if hops else None


def _loose(text: str) -> SipUri | None:
    """The URI of a Route entry; None for one that is no SIP URI, or of a strict router, which an S-CSCF is not."""
    uri = parse_uri(text)
    return uri if isinstance(uri, SipUri) and uri.param("lr") is not None else None


def _is_own(uri: SipUri, settings: CoreSettings) -> bool:
    """True for the node's domain, and for the address of a listener: as it is bound or as it is advertised."""
    host = uri.host.strip("[]").lower()
    if host == settings.domain.lower():
        return True
    port = uri.port or DEFAULT_PORTS["TLS" if uri.scheme == "sips" else "UDP"]
    for one in settings.listeners:
        name, _, number = one.advertise.rpartition(":")
        if (host, port) in ((one.host, one.port), (name.strip("[]").lower(), int(number))):
            return True
    return False


def _serves(own: SipUri, request: Message, expected: ServedSide) -> bool:
    """False when the sides that are named are two, or not the one that is configured; naming none says nothing."""
    named = {side for side in _SIDES if own.user.lower() == side or own.param(side) is not None}
    for value in request.named(_SERVED_USER):
        case = (parse_params(parse_name_addr(value).params).get("sescase") or "").lower()
        if case:
            named.add(case)
    return len(named) <= 1 and (expected is ServedSide.ANY or named <= {expected.value})


def _is_meant(uri: SipUri, flow: Flow) -> bool:
    """False for a place of the name that has another port or transport than the entry says."""
    transport = "TLS" if uri.scheme == "sips" else (uri.param("transport") or flow.transport).upper()
    return transport == flow.transport and uri.port in (0, flow.port)


def _places(context: CoreContext, uri: SipUri, peer: PeerSettings, came: Flow, record_id: str) -> list[Hop]:
    """The places of the peer that a Route entry leads to; [] for none: a name must be one of its targets.

    A port or transport that the entry names must be that of the place.
    """
    routing = context.routing
    known = routing.hops_of(peer.name, record_id)
    host = uri.host.strip("[]").lower()
    named = [hop for hop in known if hop.target.place is not None and hop.target.host.lower() == host]
    if named:
        return [hop for hop in named if _is_meant(uri, hop.flow)]
    flow = flow_to(str(uri), came, routing.listeners)
    if flow.host != host or (uri.param("transport") or flow.transport).upper() != flow.transport:
        return []  # a name, an address where no party may send the node to, or a transport that nobody listens on
    port = flow.reply_port or flow.port
    for hop in known:
        if (hop.flow.transport, hop.flow.host, hop.flow.port) == (flow.transport, flow.host, port):
            return [hop]
    beside = routing.hop_beside(peer, flow)
    return [] if beside is None else [beside]
