"""REFER and NOTIFY in a call whose two peers both allow transfers (`allow_transfer`): what of them crosses.

One peer's word is not enough: the side that asks must be one whose requests of this kind mean anything here, and the
side that is asked to call somebody must want to be asked. Towards both the node then says so in Allow; in any other
call, and outside of calls, the two methods are answered 405 like all that the node does not know (RFC 3261 §8.2.1).

Refer-To (RFC 3515 §2.1) crosses as a number in our own writing: a 700 number, which is decided like any other when it
is called, or a service number, which is nobody's own. A subscriber's number never does, whoever's it is: the one who
asks would show himself or a third party by it. Refer-To with header fields (Replaces and the like) or another method
than INVITE is refused, since without them it would ask for something else. Referred-By, Target-Dialog and all the rest
stay behind. A report (RFC 3515 §2.4.5) crosses as its state and its status code, with our own phrase; the number of
the REFER that it belongs to is mapped from one dialog to the other. When the call ends, the reports end with it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from engine.core.body_parts import taken_parts
from engine.core.identity import number_of, presented_uri, real_uri
from engine.core.numbers import PRIVACY, REAL
from engine.core.settings import PeerSettings
from engine.core.spelling import LONG_FROM, MOST_COUNT
from sipstack.errors import RemoteSipError
from sipstack.fields import SEQUENCE_LIMIT, parse_number, split_list
from sipstack.message import Message
from sipstack.response import REASON_PHRASES, reason_phrase
from sipstack.uri import SipUri, parse_name_addr, parse_params, parse_uri

if TYPE_CHECKING:
    from engine.core.disclosure import Party
    from engine.core.pair import DialogPair

TRANSFER: Final = ("REFER", "NOTIFY")
ALLOW_EVENTS: Final = "Allow-Events: refer"  # in a 489 (RFC 6665 §4.1.3)

REPORT_TYPE: Final = "message/sipfrag"
_STATES: Final = ("active", "pending", "terminated")
_REASONS: Final = ("deactivated", "probation", "rejected", "timeout", "giveup", "noresource", "invariant")

# Of one side, whose reports are still to come. The oldest is forgotten when one more is asked for.
_MOST_REFERENCES: Final = 8


def may_transfer(pair: DialogPair) -> bool:
    """True when the peers of both sides allow it."""
    return pair.callee.party.may_transfer


# -- REFER -------------------------------------------------------------------------------------------------------------


def refer_to(request: Message, sender: PeerSettings, receiver: Party, domain: str) -> str:
    """The address that a REFER asks to call, for the receiver. Raises RemoteSipError: 400, or 403 for what may not be.

    All that is refused for its number is refused alike, so that nobody can find out whose number it is.
    """
    if request.body:
        taken_parts(request, ())  # a body of REFER means nothing (RFC 3515 §2.3), unless it must be read
    value = _only(request, "Refer-To")
    if len(split_list(value)) > 1:
        raise RemoteSipError("more than one Refer-To")  # RFC 3515 §2.4.2
    uri = parse_uri(parse_name_addr(value).uri)
    if isinstance(uri, SipUri) and (uri.headers or (uri.param("method") or "INVITE").upper() != "INVITE"):
        raise RemoteSipError("Refer-To asks for more than a call", 403)
    dialled = number_of(uri, sender)
    number = dialled.number
    hidden = (receiver.hidden, *receiver.also_hidden)
    if not any(one and one in number for one in hidden):  # a 700 number may be made up to hold the sender's own
        if dialled.kind is PRIVACY:
            return presented_uri(number, receiver.peer, domain)
        if dialled.kind is REAL and len(number) < LONG_FROM:
            return real_uri(number, receiver.peer, domain)
    raise RemoteSipError("Refer-To is no number that may cross", 403)


def refer_sub(message: Message) -> str:
    """Refer-Sub (RFC 4488 §4) of a REFER or its 2xx: "true", "false", or "" when there is none that can be read."""
    values = [value.partition(";")[0].strip(" \t").lower() for value in message.named("Refer-Sub")]
    return values[0] if len(values) == 1 and values[0] in ("true", "false") else ""


def remember(references: dict[int, int], ours: int, theirs: int) -> None:
    """Notes a REFER that has crossed: its number in our dialog with the far side, and its sender's own."""
    if len(references) >= _MOST_REFERENCES:
        del references[next(iter(references))]
    references[ours] = theirs


# -- NOTIFY ------------------------------------------------------------------------------------------------------------


def is_report(request: Message) -> bool:
    """True for a NOTIFY of the event package `refer`, the only one there is here."""
    events = request.named("Event")
    return len(events) == 1 and events[0].partition(";")[0].strip(" \t").lower() == "refer"


def reference_of(request: Message, references: dict[int, int]) -> int:
    """The REFER that a NOTIFY reports on, by its number in our dialog with the NOTIFY's sender (RFC 3515 §2.4.6).

    Without an id it is the first one. Raises RemoteSipError: 481 when there is none (RFC 6665 §4.1.3).
    """
    params = _only(request, "Event").partition(";")[2]
    text = parse_params(f";{params}").get("id")
    number = next(iter(references), -1) if text is None else parse_number(text, SEQUENCE_LIMIT, "Event")
    if number not in references:
        raise RemoteSipError("no such subscription", 481)
    return number


def crossing_state(request: Message) -> str:
    """Subscription-State (RFC 6665 §8.2.3) written anew. Raises RemoteSipError when it is missing or unknown."""
    state, params = _state(request)
    if state not in _STATES:
        raise RemoteSipError("Subscription-State is unknown")
    found = parse_params(f";{params}")
    reason = (found.get("reason") or "").lower()
    if state == "terminated":
        return f"{state};reason={reason}" if reason in _REASONS else state
    expires = found.get("expires")
    if expires is None:
        return state
    return f"{state};expires={min(parse_number(expires, 2**32, 'Subscription-State'), MOST_COUNT)}"


def crossing_report(request: Message) -> tuple[bytes, str]:
    """The report as its status line with our phrase, and its media type; (b"", "") without a body.

    A code that has no phrase of ours crosses as the x00 of its class. Raises RemoteSipError (415) for anything else
    that must be read.
    """
    if not request.body:
        return b"", ""
    parts = taken_parts(request, (REPORT_TYPE,))
    if not parts:
        return b"", ""
    version, _, rest = parts[0].content.partition(b"\n")[0].rstrip(b"\r").partition(b" ")
    code = rest[:3]
    is_status_line = version.upper() == b"SIP/2.0" and code.isdigit() and len(code) == 3 and rest[3:4] in (b"", b" ")
    if len(parts) > 1 or not is_status_line:
        raise RemoteSipError("report holds no status line", 415)
    status = int(code)
    if not 100 <= status < 700:
        raise RemoteSipError("report holds no status", 415)
    if status not in REASON_PHRASES:
        status = status // 100 * 100
    return f"SIP/2.0 {status} {reason_phrase(status)}\r\n".encode(), f"{REPORT_TYPE};version=2.0"


# -- how they end ------------------------------------------------------------------------------------------------------


def settle(references: dict[int, int], number: int, request: Message, response: Message) -> None:
    """Forgets a REFER of which no report can come any more: refused, without a subscription, or reported to the end."""
    if request.method == "REFER":
        is_over = response.status >= 300 or refer_sub(response) == "false"
    else:
        is_over = response.status == 481 or _state(request)[0] == "terminated"
    if is_over:
        references.pop(number, None)


def _state(request: Message) -> tuple[str, str]:
    state, _, params = _only(request, "Subscription-State").partition(";")
    return state.strip(" \t").lower(), params


def _only(request: Message, name: str) -> str:
    rows = request.named(name)
    if len(rows) != 1:
        raise RemoteSipError(f"{name} is missing, or stands twice")
    return rows[0]
