"""What each kind of message for a party is made of: one table for each, and the functions that its rows name.

`REQUESTS` is asked by the receiving side and the method, `RESPONSES` by the method and the class of the status. A
field that a table does not name does not cross. Whoever lets a field through adds a row here and nothing else;
`tests/core/test_gate_mutation.py` then wants to see that a row which copied what came would be noticed.
"""

from __future__ import annotations

import re
from typing import Final

from engine.core.capabilities import ACCEPT, ALLOW, ALLOW_WITH_TRANSFER, CROSSING_OPTIONS, INSTEAD
from engine.core.charging import answered_vector, asked_vector
from engine.core.disclosure import (
    CHECKED,
    NEW,
    OWN,
    TRANSLATED,
    TYPE_ROWS,
    VARIOUS,
    Draft,
    RequestDraft,
    ResponseDraft,
    Row,
    Rows,
)
from engine.core.domain_fields import asserted_service, disposition, early_media, service_route
from engine.core.features import FEATURE_MARK, feature_tags, wanted_features
from engine.core.oc import ANNOUNCED
from engine.core.spelling import MOST_COUNT
from engine.core.transfer import refer_sub
from sipstack import headers as h
from sipstack.fields import option_tags, parse_number
from sipstack.message import Message
from sipstack.uri import parse_params

MAX_FORWARDS: Final = 70
_FORWARDS: Final = [f"\r\nMax-Forwards: {came - 1}\r\n" for came in range(256)]  # by what came

_RPORT: Final = ";rport"
_RPORT_AND_LOAD: Final = f"{_RPORT}{ANNOUNCED}"
_USUAL_MIN_SE: Final = 90  # seconds; what a request without Min-SE means (RFC 4028 §5)

# The breadth that a request begins with (RFC 5393 §5.3.3); two digits are no number of anybody.
_MOST_BREADTH: Final = 60

# Three years. A refreshed session repeats the seconds that were asked for (RFC 4028 §9), so they must not be able to
# spell a number: the other side's echo of a guess would be stopped exactly when the guess is right.
MOST_SECONDS: Final = MOST_COUNT

# Nothing of it may stand in a row that we send: controls, and what logs and files take for the end of a line.
UNPRINTABLE: Final = re.compile("[\0-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029]")


def reason_line(q850: int) -> str:
    """Our Reason row (RFC 3326); it says nothing but the number of the cause."""
    return f"Reason: Q.850;cause={q850}"


# -- rows of requests --------------------------------------------------------------------------------------------------


def _start(draft: RequestDraft) -> str:
    """What every request begins with, up to its CSeq, in one piece.

    Via is that of the listener which the request leaves by. Max-Forwards is one less than came, 70 where none came and
    in requests that are ours alone (RFC 7332 §4). The route set is the receiver's own, From says the 700 number, all
    else but To is of this dialog alone.
    """
    dialog, method, message = draft.dialog, draft.method, draft.message
    came = None if message is None else message.max_forwards()
    forwards = _FORWARDS[MAX_FORWARDS + 1 if came is None else came]
    via = draft.context.listeners.all[draft.flow.local].request_via
    end = _RPORT_AND_LOAD if draft.party.peer.overload_control else _RPORT
    rows = dialog.request_rows(method, draft.seq)
    return f"{method} {dialog.request_uri()}{via}{draft.branch}{end}{forwards}{rows}"  # few pieces: each costs


def _asserted_identity(draft: RequestDraft) -> str:
    """The 700 number, to a trunk of the trust domain only (RFC 3325 §5)."""
    return f"P-Asserted-Identity: {draft.identity}" if draft.party.peer.trusted else ""


def _in_reply_to(draft: RequestDraft) -> str:
    """The receiver's own Call-ID of the short message that a report is about."""
    return f"In-Reply-To: {draft.in_reply_to}"


def _rack(draft: RequestDraft) -> str:
    return f"RAck: {draft.rack}"


def _refer_to(draft: RequestDraft) -> str:
    return f"Refer-To: {draft.refer_to}" if draft.refer_to else ""


def _event(draft: RequestDraft) -> str:
    """What the receiver itself has numbered: its guess in it must not be told from a hit."""
    return f"Event: refer;id={draft.event_id}" if draft.event_id else ""


def _subscription_state(draft: RequestDraft) -> str:
    return f"Subscription-State: {draft.subscription_state}" if draft.subscription_state else ""


def _own_session(draft: RequestDraft) -> str:
    """The interval that the node itself goes on with (RFC 4028 §7.4): whom it tells this, it will refresh."""
    if not draft.session_s:
        return ""
    least = draft.context.settings.policy.min_se_s
    row = f"Supported: timer\r\nSession-Expires: {draft.session_s};refresher=uac"
    return row if least == _USUAL_MIN_SE else f"{row}\r\nMin-SE: {least}"


def _accept(draft: RequestDraft) -> str:
    return ACCEPT


# -- rows of responses -------------------------------------------------------------------------------------------------


def _head(draft: ResponseDraft) -> str:
    """Our phrase, our tag, and for the rest what the receiver wrote itself (RFC 3261 §8.2.6.2)."""
    return draft.head.text(draft.status, draft.to_tag)


def _record_routes(draft: ResponseDraft) -> str:
    """The receiver's own Record-Route rows, back to it (RFC 3261 §12.1.1)."""
    request = draft.request
    if request is None or request.first[h.RECORD_ROUTE] is None:
        return ""
    return "\r\n".join([f"Record-Route: {value}" for value in request.values(h.RECORD_ROUTE)])


def _retry_after(draft: ResponseDraft) -> str:
    return f"Retry-After: {draft.retry_after_s}" if draft.retry_after_s else ""


def _wanted_interval(draft: ResponseDraft) -> str:
    """What a 422 of the callee asks for (RFC 4028 §6), read by `engine.core.session_timer`: too short for a number."""
    return f"Min-SE: {draft.min_se_s}" if draft.min_se_s else ""


# -- rows of both ------------------------------------------------------------------------------------------------------


def _contact(draft: Draft) -> str:
    """Ours, with those feature tags of the other side's that are in our list."""
    message = draft.message
    came = None if message is None else message.first[h.CONTACT]
    if came is None or "+" not in came or FEATURE_MARK not in came.lower():
        return draft.party.contact
    return draft.party.contact + "".join([f";{tag}" for tag in feature_tags(came)])


def _allow(draft: Draft) -> str:
    return ALLOW_WITH_TRANSFER if draft.party.may_transfer else ALLOW


def _refer_sub(draft: Draft) -> str:
    assert draft.message is not None
    value = refer_sub(draft.message)
    return f"Refer-Sub: {value}" if value else ""


def _reason(draft: Draft) -> str:
    return reason_line(draft.q850) if draft.q850 else ""


def _content_type(draft: Draft) -> str:
    if not draft.body:
        return ""
    row = TYPE_ROWS.get(draft.content_type)
    return f"Content-Type: {draft.content_type}" if row is None else row


def _passed(draft: Draft) -> str:
    """What the receiver's `pass_headers` names; a row with a control character stays behind."""
    names, message = draft.party.peer.pass_headers, draft.message
    if not names or message is None:
        return ""
    rows = [f"{name}: {value}" for name in names for value in message.named(name) if not UNPRINTABLE.search(value)]
    return "\r\n".join(rows)


# -- rows made from one field of the other side's ----------------------------------------------------------------------


def _supported(draft: Draft) -> str:
    return _options(draft, h.SUPPORTED)


def _require(draft: Draft) -> str:
    return _options(draft, h.REQUIRE)


def _options(draft: Draft, header: int) -> str:
    assert draft.message is not None
    named = option_tags(draft.message.values(header))
    tags = [tag for tag in CROSSING_OPTIONS if tag in named]
    return f"{h.CANONICAL[header]}: {', '.join(tags)}" if tags else ""


def _rseq(draft: Draft) -> str:
    return f"RSeq: {_number(draft, h.RSEQ)}"


def _min_se(draft: Draft) -> str:
    return f"Min-SE: {min(_number(draft, h.MIN_SE), MOST_SECONDS)}"


def _asked_retry_after(draft: Draft) -> str:
    return f"Retry-After: {min(_number(draft, h.RETRY_AFTER), MOST_SECONDS)}"


def _asked_min_se(draft: RequestDraft) -> str:
    return f"Min-SE: {max(min(_number(draft, h.MIN_SE), MOST_SECONDS), draft.context.settings.policy.min_se_s)}"


def _asked_session(draft: RequestDraft) -> str:
    """Never less than the node takes, and the far end is told that (RFC 4028 §8.1), unless all know it (§5)."""
    least = draft.context.settings.policy.min_se_s
    row = _session(draft, least)
    if least == _USUAL_MIN_SE or draft.message is None or draft.message.first[h.MIN_SE] is not None:
        return row
    return f"{row}\r\nMin-SE: {least}"


def _agreed_session(draft: Draft) -> str:
    return _session(draft, 0)


def _session(draft: Draft, least: int) -> str:
    assert draft.message is not None
    params = (draft.message.first[h.SESSION_EXPIRES] or "").partition(";")[2]
    refresher = (parse_params(f";{params}").get("refresher") or "").lower()
    row = f"Session-Expires: {max(min(_number(draft, h.SESSION_EXPIRES), MOST_SECONDS), least)}"
    return f"{row};refresher={refresher}" if refresher in ("uac", "uas") else row


def _accept_contact(draft: Draft) -> str:
    assert draft.message is not None
    values = wanted_features(draft.message)
    return f"Accept-Contact: {', '.join(values)}" if values else ""


def _max_breadth(draft: Draft) -> str:
    """As it came (RFC 5393 §5.3): one target is tried at a time, so nothing of it is used up here."""
    return f"Max-Breadth: {min(_number(draft, h.MAX_BREADTH), _MOST_BREADTH)}"


def _number(draft: Draft, header: int) -> int:
    assert draft.message is not None
    return leading_number(draft.message, header)


def leading_number(message: Message, header: int) -> int:
    """The number that a field begins with. Raises RemoteSipError when it is none."""
    value = (message.first[header] or "").partition(";")[0]
    if header == h.RETRY_AFTER:
        value = value.partition("(")[0]  # a comment may stand behind the seconds (RFC 3261 §20.33)
    return parse_number(value.strip(" \t"), 2**32, h.CANONICAL[header])


# -- the tables --------------------------------------------------------------------------------------------------------

_REQUEST: Final = (Row("Request-URI, Via, Max-Forwards, Route, From, To, Call-ID, CSeq", TRANSLATED, _start),)
_RESPONSE: Final = (Row("Status-Line, Via, From, To, Call-ID, CSeq", OWN, _head),)
_CONTACT: Final = Row("Contact", TRANSLATED, _contact)
_ASSERTED: Final = Row("P-Asserted-Identity", TRANSLATED, _asserted_identity)
_ALLOW: Final = Row("Allow", NEW, _allow)
_REASON: Final = Row("Reason", NEW, _reason)
_RECORD_ROUTE: Final = Row("Record-Route", OWN, _record_routes)
_OPTIONS: Final = (
    Row("Supported", TRANSLATED, _supported, h.SUPPORTED),
    Row("Require", TRANSLATED, _require, h.REQUIRE),
)
_INTERVAL: Final = Row("Session-Expires", TRANSLATED, _agreed_session, h.SESSION_EXPIRES)
_LEAST_INTERVAL: Final = Row("Min-SE", TRANSLATED, _min_se, h.MIN_SE)
_RSEQ: Final = Row("RSeq", TRANSLATED, _rseq, h.RSEQ)
_RACK: Final = Row("RAck", OWN, _rack)  # the receiver's own RSeq (`PairSide`), so not searched (decision 7)
_LATER: Final = Row("Retry-After", TRANSLATED, _asked_retry_after, h.RETRY_AFTER)
_REFER_SUB: Final = Row("Refer-Sub", TRANSLATED, _refer_sub, VARIOUS)
_BODY: Final = Row("Content-Type", TRANSLATED, _content_type, VARIOUS)
_EARLY: Final = Row("P-Early-Media", TRANSLATED, early_media, h.P_EARLY_MEDIA)
_BREADTH: Final = Row("Max-Breadth", TRANSLATED, _max_breadth, h.MAX_BREADTH)
_ACCEPT: Final = Row("Accept-Contact", TRANSLATED, _accept_contact, h.ACCEPT_CONTACT)
_CHARGING: Final = Row("P-Charging-Vector", TRANSLATED, asked_vector, h.P_CHARGING_VECTOR)
_CHARGED: Final = Row("P-Charging-Vector", TRANSLATED, answered_vector)  # searches what of it is not the receiver's
_PASSED: Final = Row("pass_headers", CHECKED, _passed, VARIOUS)

_NEGOTIATION: Final = (
    *_OPTIONS,
    Row("Session-Expires", TRANSLATED, _asked_session, h.SESSION_EXPIRES),
    Row("Min-SE", TRANSLATED, _asked_min_se, h.MIN_SE),
    _EARLY,
)
# Of a request that has no dialog yet.
_FIRST: Final = (
    Row("Route", CHECKED, service_route, h.ROUTE),
    _ASSERTED,
    Row("P-Asserted-Service", TRANSLATED, asserted_service, h.P_ASSERTED_SERVICE),
    _ACCEPT,
    Row("Request-Disposition", TRANSLATED, disposition, h.REQUEST_DISPOSITION),
    _CHARGING,
    _BREADTH,
)
_WITHIN: Final = {
    "INVITE": (*_REQUEST, _CONTACT, _ALLOW, *_NEGOTIATION, _PASSED, _BODY),
    "UPDATE": (*_REQUEST, _CONTACT, _ALLOW, *_NEGOTIATION, _PASSED, _BODY),
    "PRACK": (*_REQUEST, _RACK, _PASSED, _BODY),
    "INFO": (*_REQUEST, _PASSED, _BODY),
    "REFER": (
        *_REQUEST,
        _CONTACT,
        _ALLOW,
        Row("Refer-To", TRANSLATED, _refer_to, VARIOUS),
        _REFER_SUB,
        _PASSED,
    ),
    "NOTIFY": (
        *_REQUEST,
        _CONTACT,
        _ALLOW,
        Row("Event", OWN, _event),
        Row("Subscription-State", TRANSLATED, _subscription_state, VARIOUS),
        _PASSED,
        _BODY,
    ),
    "ACK": (*_REQUEST, _BODY),
    "BYE": (*_REQUEST, _REASON),
}

# The first INVITE of a call and a MESSAGE go to the callee, a report to whoever has sent its short message.
INVITE: Final = Rows[RequestDraft](*_REQUEST, _CONTACT, *_FIRST, _ALLOW, *_NEGOTIATION, _PASSED, _BODY)
MESSAGE: Final = Rows[RequestDraft](*_REQUEST, *_FIRST, _PASSED, _BODY)
REPORT: Final = Rows[RequestDraft](*_REQUEST, _ASSERTED, Row("In-Reply-To", OWN, _in_reply_to), _BODY)

# Within a dialog: by the receiving side (`engine.core.pair`) and the method.
REQUESTS: Final[tuple[dict[str, Rows[RequestDraft]], ...]] = (
    {method: Rows[RequestDraft](*table) for method, table in _WITHIN.items()},
    {method: Rows[RequestDraft](*table) for method, table in _WITHIN.items()},
)

# Within a dialog, and nobody's but the node's: the same key. The body is what this side has been sent before, or the
# answer of the other one to that.
_REFRESH: Final = (*_REQUEST, _CONTACT, _ALLOW, Row("Supported, Session-Expires, Min-SE", NEW, _own_session))
_OWN: Final = {
    "INVITE": (*_REFRESH, _BODY),
    "UPDATE": _REFRESH,
    "OPTIONS": (*_REQUEST, Row("Accept", NEW, _accept)),
}
OWN_REQUESTS: Final[tuple[dict[str, Rows[RequestDraft]], ...]] = (
    {method: Rows[RequestDraft](*table) for method, table in _OWN.items()},
    {method: Rows[RequestDraft](*table) for method, table in _OWN.items()},
)

_RINGING: Final = (*_RESPONSE, _CONTACT, _RECORD_ROUTE, _ALLOW, _CHARGED, *_OPTIONS, _RSEQ, _EARLY, _PASSED, _BODY)
_ANSWERED: Final = (*_RESPONSE, _CONTACT, _RECORD_ROUTE, _ALLOW, _CHARGED, *_OPTIONS, _INTERVAL, _PASSED, _BODY)
_UPDATED: Final = (*_RESPONSE, _CONTACT, _ALLOW, *_OPTIONS, _INTERVAL, _EARLY, _PASSED, _BODY)
_ACKNOWLEDGED: Final = (*_RESPONSE, *_OPTIONS, _EARLY, _PASSED, _BODY)
_TAKEN: Final = (*_RESPONSE, *_OPTIONS, _PASSED)
_FAILED: Final = (*_RESPONSE, *INSTEAD, _LEAST_INTERVAL, _LATER, _PASSED)
_DECLINED: Final = (*_RESPONSE, *INSTEAD, _LATER, _PASSED)
_ANSWERS: Final = {
    ("INVITE", 1): _RINGING,
    ("INVITE", 2): _ANSWERED,
    ("UPDATE", 2): _UPDATED,
    ("PRACK", 2): _ACKNOWLEDGED,
    ("INFO", 2): _TAKEN,
    ("REFER", 2): (*_RESPONSE, _CONTACT, _ALLOW, _REFER_SUB, _PASSED),
    ("NOTIFY", 2): (*_RESPONSE, _CONTACT, _ALLOW, _PASSED),
    **{(method, status): _FAILED for method in ("INVITE", "UPDATE", "PRACK", "INFO") for status in (4, 5, 6)},
    **{(method, status): _DECLINED for method in ("REFER", "NOTIFY") for status in (4, 5, 6)},
}

# What carries a response of the other side: by the receiving side, then by the method and the class of the status.
RESPONSES: Final[tuple[dict[tuple[str, int], Rows[ResponseDraft]], ...]] = (
    {kind: Rows[ResponseDraft](*table) for kind, table in _ANSWERS.items()},
    {kind: Rows[ResponseDraft](*table) for kind, table in _ANSWERS.items()},
)

# The end of an attempt, for the caller: of the other side's words nothing is told but the interval that it wants.
REFUSED: Final = Rows[ResponseDraft](
    *_RESPONSE, _REASON, Row("Retry-After", NEW, _retry_after), Row("Min-SE", TRANSLATED, _wanted_interval)
)
MESSAGE_DELIVERED: Final = Rows[ResponseDraft](*_RESPONSE)
