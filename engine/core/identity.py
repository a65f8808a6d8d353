"""Reading numbers from a request, and writing addresses that carry a number."""

from __future__ import annotations

from engine.core.numbers import UNKNOWN, Dialled, DialledKind, read_number
from engine.core.routing import Hop
from engine.core.settings import DIGEST, TEL, CallerSource, PeerSettings
from engine.core.wire_forms import wire_user
from sipstack import headers as h
from sipstack.errors import RemoteSipError
from sipstack.fields import split_list
from sipstack.message import Message
from sipstack.scan import usual_user
from sipstack.uri import SipUri, TelUri, Uri, parse_name_addr, parse_uri


def number_of(uri: Uri | None, peer: PeerSettings) -> Dialled:
    """The number that a URI of this peer names, by its rules and format; unknown for URIs that name none."""
    if isinstance(uri, SipUri):
        return read_number(uri.user, peer.number_format, peer.rules_in)
    if isinstance(uri, TelUri):
        return read_number(uri.number + uri.params, peer.number_format, peer.rules_in)
    return UNKNOWN


def caller_of(request: Message, peer: PeerSettings) -> Dialled:
    """The caller's number, read where the peer's `caller` says (contract §4).

    P-Asserted-Identity stands before From; when it is there, it alone counts. Two values that name different numbers
    name nobody (RFC 3325 §9.1 allows one sip and one tel URI of the same user). From a peer outside of the trust
    domain it is taken as if it were not there (RFC 3325 §5). Who must show a password is not read from a field at all
    (`engine.core.accounts`).
    """
    asserted = request.values(h.P_ASSERTED_IDENTITY) if peer.trusted else []
    if peer.caller is CallerSource.FROM or (peer.caller is CallerSource.PAI_OR_FROM and not asserted):
        return _number_in(request.value(h.FROM) or "", peer)
    if peer.caller is DIGEST:
        return UNKNOWN
    if len(asserted) == 1 and (user := usual_user(asserted[0])):  # nearly always
        return read_number(user, peer.number_format, peer.rules_in)
    found = UNKNOWN
    for value in [value for row in asserted for value in split_list(row)]:
        number = _number_in(value, peer)
        if number.kind is DialledKind.UNKNOWN:
            continue
        if found.kind is not DialledKind.UNKNOWN and found != number:
            return UNKNOWN
        found = number
    return found


def _number_in(value: str, peer: PeerSettings) -> Dialled:
    user = usual_user(value)
    if user:  # nearly always
        return read_number(user, peer.number_format, peer.rules_in)
    try:
        return number_of(parse_uri(parse_name_addr(value).uri), peer)
    except RemoteSipError:
        return UNKNOWN


def request_uri_for(number: str, hop: Hop) -> str:
    """The Request-URI for a real number at a target of a peer."""
    user = wire_user(number, hop.peer)
    return _tel_uri(user) if hop.peer.number_format is TEL else f"{hop.uri_start}{user}{hop.uri_end}"


def to_value_for(number: str, hop: Hop) -> str:
    """The To value for a real number: its address without a port."""
    user = wire_user(number, hop.peer)
    return f"<{_tel_uri(user)}>" if hop.peer.number_format is TEL else f"<sip:{user}{hop.to_end}"


def real_uri(number: str, peer: PeerSettings, domain: str) -> str:
    """The address of a real number at our domain, whoever's it is: that of a service centre, or to be called."""
    return address_of(wire_user(number, peer), peer, domain)


def address_of(user: str, peer: PeerSettings, domain: str) -> str:
    """The address of a number that is spelled as this peer has it."""
    return f"<{_tel_uri(user)}>" if peer.number_format is TEL else f"<sip:{user}@{domain}>"


def _tel_uri(user: str) -> str:
    """A number without `+` is a local one, which must say where (RFC 3966 §5.1.5)."""
    return f"tel:{user}" if user.startswith("+") else f"tel:{user};phone-context=+86"


def presented_uri(number: str, peer: PeerSettings, domain: str) -> str:
    """The address of a 700 number: exactly 15 digits, no display name, never +86 before them (contract §5)."""
    if peer.number_format is TEL:
        return f"<tel:{number};phone-context=+86>"
    return f"<sip:{number}@{domain}>"
