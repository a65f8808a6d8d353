"""The request that a question is about, as a phone behind one of the peers would send it, and where it comes from."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final, final
from urllib.parse import quote

from engine.config import values
from engine.core.identity import address_of, presented_uri
from engine.core.numbers import PRIVACY, Dialled, canonical_real, is_privacy_number
from engine.core.policy import Facts, caller_entitled
from engine.core.routing import Routing
from engine.core.settings import CoreSettings, ListenerSettings, NumberFormat, PeerSettings
from engine.core.tokens import TokenSource
from engine.core.wire_forms import arriving_user
from sipstack.errors import RemoteSipError
from sipstack.events import Flow
from sipstack.limits import MAX_HEAD_BYTES
from sipstack.message import render
from sipstack.uri import parse_name_addr, uri_host

METHODS: Final = ("INVITE", "MESSAGE")
TEXT: Final = "test"  # of a message, when the question has none

# Addresses and ports of a `match` entry that are tried until one belongs to its peer, and to no more specific entry.
_MAX_HOSTS: Final = 1024
_PORTS: Final = (5060, 5062)
_ANYWHERE: Final = "192.0.2.1"  # of nobody (RFC 5737): where a peer that is known by its certificate alone comes from

# Of the head of a request; twice as much is a refusal of the parser, for what it reads and for what we make of it.
_MAX_HEAD_BYTES: Final = MAX_HEAD_BYTES // 2
_MAX_DATAGRAM_BYTES: Final = 65_507  # over UDP and IPv4

_URI_SCHEMES: Final = ("sip:", "sips:", "tel:")
_USER_CHARS: Final = "-_.!~*'()&=+$,;?/%"  # what stands as it is in the user part of a SIP URI (RFC 3261 §25.1)

SDP: Final = (
    "v=0\r\no=- 1 1 IN {family} {host}\r\ns=-\r\nc=IN {family} {host}\r\nt=0 0\r\n"
    "m=audio 40000 RTP/AVP 8\r\na=rtpmap:8 PCMA/8000\r\n"
)


class QuestionFault(Exception):
    """The question cannot be asked so; one line, `what: reason`, without a number in it."""


@final
@dataclass(frozen=True, slots=True)
class Arrived:
    """A request as it came to a node once: its octets, and the addresses of both ends of its way."""

    transport: str  # as in Flow: UDP, TCP
    source: tuple[str, int]
    destination: tuple[str, int]
    data: bytes


@final
@dataclass(frozen=True, slots=True)
class Question:
    """Who calls whom. `caller` in any spelling of a number, `called` as dialled: digits, or a whole URI."""

    caller: str
    called: str
    method: str = "INVITE"
    peer: str | None = None  # the trunk that it comes from; None: the one that can be told from the caller
    text: str = TEXT  # of a MESSAGE
    headers: tuple[str, ...] = ()  # further header rows, `Name: value`
    arrived: Arrived | None = None  # the request itself: then all else is only told


@final
@dataclass(frozen=True, slots=True)
class Arrival:
    """A request on its way in."""

    peer: PeerSettings
    chosen: str  # why this peer
    entry: str  # of its `match`, under which the source falls; where it has none, of its `tls_names`
    flow: Flow
    data: bytes


@final
class Arrivals:
    """Makes requests of questions about one configuration."""

    def __init__(self, settings: CoreSettings, routing: Routing | None = None) -> None:
        """`routing`: that of `settings`, where there is one already."""
        self._settings = settings
        self._routing = Routing(settings) if routing is None else routing
        self._sources: dict[str, tuple[str, Flow]] = {}

    def of(self, question: Question) -> Arrival:
        """The request of a question. QuestionFault when it is none, or when the peer cannot be told."""
        if question.arrived is not None:
            return self._as_it_came(question.arrived)
        _check(question)
        peer, chosen = self.peer_of(question)
        entry, flow = self.source_of(peer)
        data = _request(question, peer, flow, self._settings.domain)
        if data.index(b"\r\n\r\n") > _MAX_HEAD_BYTES or len(data) > _MAX_DATAGRAM_BYTES:
            raise QuestionFault(f"called: with all the rest longer than a request can be ({len(data)} bytes)")
        return Arrival(peer, chosen, entry, flow, data)

    def peer_of(self, question: Question) -> tuple[PeerSettings, str]:
        """The peer that sends, and why it is this one. QuestionFault when it cannot be told."""
        return _peer_of(self._settings, self._routing, question)

    def source_of(self, peer: PeerSettings) -> tuple[str, Flow]:
        """An address of a peer, and the entry that says so. QuestionFault when there is none."""
        found = self._sources.get(peer.name)
        if found is None:
            found = self._sources[peer.name] = _source_of(self._routing, peer)
        return found

    def _as_it_came(self, arrived: Arrived) -> Arrival:
        flow = _flow_of(self._settings.listeners, arrived)
        peer = self._routing.peer_of(flow)
        if peer is None:
            raise QuestionFault("source: it belongs to no peer")
        return Arrival(peer, "its source", "", flow, arrived.data)


def arrival_of(settings: CoreSettings, question: Question) -> Arrival:
    """The request of one question. QuestionFault as `Arrivals.of`."""
    return Arrivals(settings).of(question)


def _check(question: Question) -> None:
    for what, text in (("caller", question.caller), ("called", question.called)):
        if not text.strip() or not text.isprintable():
            raise QuestionFault(f"{what}: empty, or with a character that does not print")
    if question.called.lower().startswith(_URI_SCHEMES):
        _check_uri(question.called)
    if question.method not in METHODS:
        raise QuestionFault(f"method: {values.shown(question.method)} is neither INVITE nor MESSAGE")
    for row in question.headers:
        name, colon, value = row.partition(":")
        if not colon or not value.isprintable():
            raise QuestionFault("header: must be one row, written as Name: value")
        try:
            values.passed_header(name)
        except ValueError as error:
            raise QuestionFault(f"header: {error}") from None


def _check_uri(called: str) -> None:
    """The node answers with the To that it was sent: one that it cannot read is answered with what no phone can."""
    if " " in called or not called.isascii():
        raise QuestionFault("called: a URI has no blanks, and nothing but ASCII")
    try:
        parse_name_addr(f"<{called}>")
    except RemoteSipError:
        raise QuestionFault("called: a URI is not empty, and has no quotes and angle brackets") from None


# -- the peer, and an address of it ------------------------------------------------------------------------------------


def _peer_of(settings: CoreSettings, routing: Routing, question: Question) -> tuple[PeerSettings, str]:
    """The peer that sends, and why it is this one."""
    senders = [peer for peer in settings.peers if peer.match or peer.tls_names]
    if question.peer is not None:
        for peer in settings.peers:
            if peer.name == question.peer:
                return peer, "as asked"
        known = [peer.name for peer in settings.peers]
        near = values.suggestion(question.peer, known, values.ALIKE)
        raise QuestionFault(f"peer: there is no peer {values.shown(question.peer)}{near}")
    if len(senders) == 1:
        return senders[0], "the only one that sends"
    likely = _likely_peers(routing, question.caller, senders)
    if len(likely) == 1:
        return likely[0], "the caller's number belongs there"
    if not senders:
        raise QuestionFault("peer: no peer has a match or tls_names, so nothing comes in")
    raise QuestionFault(f"peer: say which one it comes from: {', '.join(peer.name for peer in senders)}")


def _likely_peers(routing: Routing, caller: str, senders: list[PeerSettings]) -> list[PeerSettings]:
    """The senders that serve a 700 caller, or that the route to a real one leads to."""
    if is_privacy_number(caller):
        number = Dialled(PRIVACY, caller)
        return [peer for peer in senders if caller_entitled(Facts(number, number, peer, 0.0)) is None]
    real = canonical_real(caller)
    route = routing.route_of(real) if real is not None else None
    reached = route.peers if route is not None else ()
    return [peer for peer in senders if peer.name in reached]


def _source_of(routing: Routing, peer: PeerSettings) -> tuple[str, Flow]:
    """An address from which a request is this peer's, and the entry that says so. QuestionFault when there is none."""
    for entry in peer.match:
        for host, port in _sources_in(entry):
            source = routing.source_of(host, port)
            if source is not None and source.peer is peer:
                return source.entry, _flow(routing, host, port, peer.tls_names)
    if not peer.match and peer.tls_names:
        return peer.tls_names[0], _flow(routing, _ANYWHERE, _PORTS[0], peer.tls_names)
    if not peer.match:
        raise QuestionFault(f"peer: {peer.name} has no match, so nothing comes from it")
    raise QuestionFault(f"peer: the sources of {peer.name} belong to more specific entries of other peers")


def _flow(routing: Routing, host: str, port: int, tls_names: tuple[str, ...]) -> Flow:
    """To the first listener that such a source can reach; over TLS with a certificate where one is asked for."""
    listeners = routing.listeners.all
    if tls_names:
        return Flow("TLS", host, port, max(routing.listeners.index_for("TLS", host), 0), tls_names[:1])
    local = next((index for index, one in enumerate(listeners) if one.is_ipv6 is (":" in host)), 0)
    return Flow(listeners[local].transport, host, port, local)


def _flow_of(listeners: tuple[ListenerSettings, ...], arrived: Arrived) -> Flow:
    """By the listener that it was sent to; where there is none, by the first that could have taken it."""
    host, port = arrived.source
    wanted = f"{uri_host(arrived.destination[0])}:{arrived.destination[1]}"
    is_datagram = arrived.transport == "UDP"
    alike = [index for index, one in enumerate(listeners) if (one.transport == "UDP") is is_datagram]
    for index in alike:
        one = listeners[index]
        if wanted in (one.advertise, f"{uri_host(one.host)}:{one.port}"):
            return Flow(one.transport, host, port, index)
    index = next((index for index in alike if (":" in listeners[index].host) is (":" in host)), 0)
    return Flow(arrived.transport, host, port, index)


def _sources_in(entry: str) -> Iterator[tuple[str, int]]:
    match = values.match_entry(entry)
    ports = _PORTS if match.port is None else (match.port,)
    for address in islice(match.network.hosts(), _MAX_HOSTS):
        for port in ports:
            yield str(address), port


# -- the request -------------------------------------------------------------------------------------------------------


def _request(question: Question, peer: PeerSettings, flow: Flow, domain: str) -> bytes:
    """A plain INVITE with an offer, or a MESSAGE with a text, as RFC 3261 and RFC 3428 ask for it."""
    tokens = TokenSource(secrets.token_bytes)
    host = uri_host(flow.host)
    uri = request_uri(question.called, peer, domain)
    caller = caller_address(question.caller, peer, host)
    is_call = question.method == "INVITE"
    lines = [
        f"Via: SIP/2.0/{flow.transport} {host}:{flow.port};branch={tokens.branch()};rport",
        "Max-Forwards: 70",
        f"From: {caller};tag={tokens.tag()}",
        f"To: <{uri}>",
        f"Call-ID: {tokens.call_id()}",
        f"CSeq: 1 {question.method}",
    ]
    if is_call:
        lines.append(f"Contact: <sip:{host}:{flow.port}>")
    if peer.trusted:
        lines.append(f"P-Asserted-Identity: {caller}")
    lines += question.headers
    lines.append(f"Content-Type: {'application/sdp' if is_call else 'text/plain;charset=UTF-8'}")
    offer = SDP.format(family="IP6" if ":" in flow.host else "IP4", host=flow.host)
    body = offer if is_call else question.text
    return render(f"{question.method} {uri} SIP/2.0", lines, body.encode("utf-8", "surrogateescape"))


def request_uri(called: str, peer: PeerSettings, domain: str) -> str:
    """The called number as this trunk would carry it; a URI as it stands."""
    if called.lower().startswith(_URI_SCHEMES):
        return called
    if peer.number_format is NumberFormat.TEL:
        context = "" if called.startswith("+") else ";phone-context=+86"  # RFC 3966 §5.1.5
        return f"tel:{quote(called, safe='+-.()*#%')}{context}"
    user = called if called.isascii() and called.isdigit() else quote(called, safe=_USER_CHARS)
    return f"sip:{user}@{domain};user=phone"


def caller_address(caller: str, peer: PeerSettings, host: str) -> str:
    """The caller's number at `host` as this trunk writes it; what is no number, as it was given."""
    if is_privacy_number(caller):
        return presented_uri(caller, peer, host)
    real = canonical_real(caller)
    if real is not None:
        return address_of(arriving_user(real, peer.number_format, peer.rules_in), peer, host)
    return f"<sip:{quote(caller, safe=_USER_CHARS)}@{host}>"
