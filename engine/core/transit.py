"""Transit: calls and messages for real numbers, relayed between trunks with their identities as they came.

A route with `transit` takes them. Nothing is hidden, so nothing is searched; for the rest such a call is
a call like any other: two dialogs, rows of tables of its own, a record. A 700 number is never taken: neither as the
called one, in whatever spelling, nor as To; as a caller only from the trunk that serves its block. Who shows a password
is shown as the number that it has proven, and by no word of its own: nobody knows whose the names are that it writes.
Privacy that the caller asks for is given towards a trunk outside of the trust domain (RFC 3323 §5.3, RFC 3325 §7).
"""

from __future__ import annotations

import re
from typing import Final

from engine.core.binding import TRANSIT, Binding
from engine.core.crossing import INVITE as INVITE_FOR_X
from engine.core.crossing import MESSAGE as MESSAGE_FOR_X
from engine.core.crossing import RESPONSES, UNPRINTABLE
from engine.core.disclosure import CHECKED, VARIOUS, Draft, RequestDraft, ResponseDraft, Row, Rows
from engine.core.identity import number_of, presented_uri, real_uri, to_value_for
from engine.core.numbers import PRIVACY, REAL, SEPARATORS, UNKNOWN, Dialled, DialledKind
from engine.core.pair import CALLER
from engine.core.policy import Facts, Refusal
from engine.core.records import ReleaseCause
from engine.core.routing import Hop
from engine.core.settings import DIGEST, PeerSettings
from sipstack import headers as h
from sipstack.errors import RemoteSipError
from sipstack.fields import split_list
from sipstack.message import Message
from sipstack.uri import NameAddr, parse_name_addr, parse_uri

ANONYMOUS: Final = '"Anonymous" <sip:anonymous@anonymous.invalid>'  # RFC 3323 §4.1.1.3
_PRIVACY: Final = ("none", "header", "session", "user", "id", "history", "critical")
_NEVER_EXPIRES: Final = float("inf")

# A 700 number that people would read as one, whatever stands around it.
_SHOWN: Final = re.compile("700[0-9]{12}")
_ESCAPED_DIGIT: Final = re.compile("%3([0-9])")
_WITHOUT_SEPARATORS: Final = str.maketrans("", "", SEPARATORS)

NOT_ENTITLED: Final = Refusal(ReleaseCause.NOT_IN_CALLER_SET, "transit_caller")
_TO_PRIVACY_NUMBER: Final = Refusal(ReleaseCause.NO_ROUTE, "transit_to")


def transit_binding(called: str) -> Binding:
    """What stands in the place of a binding: no X, nobody's number to be hidden."""
    return Binding("", 0, TRANSIT, "", "", "", called, "", "", "", "", "", _NEVER_EXPIRES)


def objection_to_transit(request: Message, facts: Facts) -> Refusal | None:
    """Why a request for a real number is not relayed: one of its identities is a 700 number, or not the caller's own.

    Raises RemoteSipError.
    """
    peer = facts.peer
    identities = [facts.caller, _number_in(request.value(h.FROM) or "", peer)]
    if peer.trusted:
        asserted = [value for row in request.values(h.P_ASSERTED_IDENTITY) for value in split_list(row)]
        identities += [_number_in(value, peer) for value in asserted]
    if not all(_may_call(number, peer) for number in identities):
        return NOT_ENTITLED
    if peer.caller is DIGEST and not _are_proven(identities, facts.caller):
        return NOT_ENTITLED
    to = _number_in(request.value(h.TO) or "", peer)
    return None if to.kind in (REAL, UNKNOWN.kind) else _TO_PRIVACY_NUMBER


def _number_in(value: str, peer: PeerSettings) -> Dialled:
    """The number of an address; one that is beside a 700 number, or hides one, is no number that may be shown."""
    address = parse_name_addr(value)
    number = number_of(parse_uri(address.uri), peer)
    shown = f"{address.display} {address.uri}" if address.display else address.uri
    shown = _ESCAPED_DIGIT.sub(r"\1", shown).translate(_WITHOUT_SEPARATORS)
    if number.kind is PRIVACY:
        shown = shown.replace(number.number, "", 1)
    return Dialled(DialledKind.PRIVACY_LONG, "") if _SHOWN.search(shown) else number


def _are_proven(identities: list[Dialled], caller: Dialled) -> bool:
    """True when whoever has shown a password names its own number, or none (`engine.core.accounts` knows which)."""
    return caller.kind is REAL and all(number.kind is not REAL or number == caller for number in identities)


def _may_call(number: Dialled, peer: PeerSettings) -> bool:
    """True for a real number, for none that can be read, and for a 700 number that the trunk serves."""
    if number.kind is PRIVACY:
        return number.number.startswith(peer.serves_700 or ("-",))
    return number.kind in (REAL, UNKNOWN.kind)


# -- the two parties as the callee sees them ---------------------------------------------------------------------------


def sender(binding: Binding, request: Message, facts: Facts, peer: PeerSettings, domain: str) -> str:
    """From without its tag: the 700 number, in transit what the caller has written. Raises RemoteSipError."""
    if binding.mode != TRANSIT:
        return presented_uri(binding.presented, peer, domain)
    if not peer.trusted and "user" in _asked(request):
        return ANONYMOUS
    if facts.peer.caller is DIGEST:
        return real_uri(facts.caller.number, peer, domain)
    return _written(request.value(h.FROM) or "")


def called_party(binding: Binding, request: Message, facts: Facts, hop: Hop) -> str:
    """To: the callee's number, in transit what the caller has written. Raises RemoteSipError."""
    if binding.mode != TRANSIT or facts.peer.caller is DIGEST:
        return to_value_for(binding.callee, hop)
    return _written(request.value(h.TO) or "")


def _written(value: str) -> str:
    """An address with its display name, without the parameters of its field: a tag is one of them."""
    address: NameAddr = parse_name_addr(value)
    written = f"{address.display.strip()} <{address.uri}>" if address.display.strip() else f"<{address.uri}>"
    if UNPRINTABLE.search(written):
        raise RemoteSipError("an address holds control characters")
    return written


# -- rows --------------------------------------------------------------------------------------------------------------


def _asked(message: Message) -> set[str]:
    """The words of Privacy (RFC 3323 §4.2)."""
    return {word.strip(" \t") for row in message.values(h.PRIVACY) for word in row.lower().replace(",", ";").split(";")}


def _asserted_identity(draft: Draft) -> str:
    """As it came, within the trust domain; to others only where the caller asks for no privacy (RFC 3325 §7)."""
    message = draft.message
    if message is None or not draft.from_trusted:
        return ""
    if not draft.party.peer.trusted and _asked(message) != {"none"}:
        return ""
    values = [value for value in message.values(h.P_ASSERTED_IDENTITY) if not UNPRINTABLE.search(value)]
    return "\r\n".join([f"P-Asserted-Identity: {value}" for value in values])


def _asserted_caller(draft: RequestDraft) -> str:
    """The number that a password has proven, which the node itself asserts (RFC 3325 §5); of others as it came."""
    if not draft.is_proven:
        return _asserted_identity(draft)
    return f"P-Asserted-Identity: {draft.identity}" if draft.party.peer.trusted else ""


def _privacy(draft: Draft) -> str:
    """For who can still give it: towards others it has been given, or there is nothing left to hide."""
    message = draft.message
    if message is None or not draft.party.peer.trusted:
        return ""
    asked = _asked(message)
    words = [word for word in _PRIVACY if word in asked]
    return f"Privacy: {';'.join(words)}" if words else ""


def _content(draft: Draft) -> str:
    """What says how the body of a message is to be read; Content-Type is a row of its own."""
    message = draft.message
    if message is None or not draft.body:
        return ""
    fields = (h.CONTENT_ENCODING, h.CONTENT_DISPOSITION, h.CONTENT_TRANSFER_ENCODING)
    rows = [(field, value) for field in fields for value in message.values(field) if not UNPRINTABLE.search(value)]
    return "\r\n".join([f"{h.CANONICAL[field]}: {value}" for field, value in rows])


_IDENTITY: Final = "P-Asserted-Identity"
_REQUESTED: Final = Row[RequestDraft](_IDENTITY, CHECKED, _asserted_caller, VARIOUS)
_ASKED: Final = Row[RequestDraft]("Privacy", CHECKED, _privacy, h.PRIVACY)
_ANSWERED: Final = Row[ResponseDraft](_IDENTITY, CHECKED, _asserted_identity, h.P_ASSERTED_IDENTITY)
_ANSWER_ASKED: Final = Row[ResponseDraft]("Privacy", CHECKED, _privacy, h.PRIVACY)
_CONTENT: Final = Row[RequestDraft]("Content-Encoding, Content-Disposition", CHECKED, _content, VARIOUS)

INVITE: Final = Rows[RequestDraft](*[row for row in INVITE_FOR_X.table if row.name != _IDENTITY], _REQUESTED, _ASKED)
MESSAGE: Final = Rows[RequestDraft](
    *[row for row in MESSAGE_FOR_X.table if row.name != _IDENTITY], _REQUESTED, _ASKED, _CONTENT
)
ANSWERS: Final = {
    status: Rows[ResponseDraft](*RESPONSES[CALLER]["INVITE", status].table, _ANSWERED, _ANSWER_ASKED)
    for status in (1, 2)
}
