"""What each kind of message for a party is made of: one table for each, and the functions that its rows name.

`REQUESTS` is asked by the receiving side and the method, `RESPONSES` by the method and the class of the status. A
field that a table does not name does not cross. Whoever lets a field through adds a row here and nothing else;
`tests/core/test_gate_mutation.py` then wants to see that a row which copied what came would be noticed.
"""

from __future__ import annotations

import re
from typing import Final

from engine.core.disclosure import CHECKED, NEW, OWN, TRANSLATED, VARIOUS, Draft, RequestDraft, ResponseDraft, Row, Rows
from engine.core.spelling import LONG_FROM
from engine.core.transfer import refer_sub
from sipstack import headers as h
from sipstack.fields import option_tags, parse_number
from sipstack.grammar import TOKEN
from sipstack.message import Message
from sipstack.uri import parse_params

ALLOW: Final = "Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, MESSAGE, PRACK, UPDATE, INFO"
ALLOW_WITH_TRANSFER: Final = f"{ALLOW}, REFER, NOTIFY"
MAX_FORWARDS: Final = 70

# Option tags that mean the same to both ends when they cross (contract §5).
CROSSING_OPTIONS: Final = ("100rel", "timer", "precondition")

# Three years. A refreshed session repeats the seconds that were asked for (RFC 4028 §9), so they must not be able to
# spell a number: the other side's echo of a guess would be stopped exactly when the guess is right.
_MOST_SECONDS: Final = 10 ** (LONG_FROM - 1) - 1

# Nothing of it may stand in a row that we send: controls, and what logs and files take for the end of a line.
_UNPRINTABLE: Final = re.compile("[\0-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029]")


def unsupported_options(message: Message) -> list[str]:
    """Option tags required and not crossing: 420 (contract §5). What is no token is not repeated."""
    if message.first[h.REQUIRE] is None and message.first[h.PROXY_REQUIRE] is None:
        return []
    tags = option_tags(message.values(h.REQUIRE) + message.values(h.PROXY_REQUIRE))
    return [tag if TOKEN.fullmatch(tag) else "malformed" for tag in tags if tag not in CROSSING_OPTIONS]


def reason_line(q850: int) -> str:
    """Our Reason row (RFC 3326); it says nothing but the number of the cause."""
    return f"Reason: Q.850;cause={q850}"


# -- rows of requests --------------------------------------------------------------------------------------------------


def _request_line(draft: RequestDraft) -> str:
    return f"{draft.method} {draft.dialog.request_uri()} SIP/2.0"


def _via(draft: RequestDraft) -> str:
    return draft.context.via(draft.branch)


def _max_forwards(draft: RequestDraft) -> str:
    """One less than came, 70 where none came and in requests that are ours alone (RFC 7332 §4)."""
    left = None if draft.message is None else draft.message.max_forwards()
    return f"Max-Forwards: {MAX_FORWARDS if left is None else left - 1}"


def _of_dialog(draft: RequestDraft) -> str:
    """The route set is the receiver's own, From says the 700 number, all else but To is of this dialog alone."""
    return "\r\n".join(draft.dialog.request_lines(draft.method, draft.seq))


def _asserted_identity(draft: RequestDraft) -> str:
    """The 700 number, to a trunk of the trust domain only (RFC 3325 §5)."""
    return f"P-Asserted-Identity: {draft.identity}" if draft.party.peer.trusted else ""


def _rack(draft: RequestDraft) -> str:
    return f"RAck: {draft.rack}"


def _refer_to(draft: RequestDraft) -> str:
    return f"Refer-To: {draft.refer_to}" if draft.refer_to else ""


def _event(draft: RequestDraft) -> str:
    """What the receiver itself has numbered: its guess in it must not be told from a hit."""
    return f"Event: refer;id={draft.event_id}" if draft.event_id else ""


def _subscription_state(draft: RequestDraft) -> str:
    return f"Subscription-State: {draft.subscription_state}" if draft.subscription_state else ""


# -- rows of responses -------------------------------------------------------------------------------------------------


def _head(draft: ResponseDraft) -> str:
    """Our phrase, our tag, and for the rest what the receiver wrote itself (RFC 3261 §8.2.6.2)."""
    return "\r\n".join(draft.head.rows(draft.status, draft.to_tag))


def _record_routes(draft: ResponseDraft) -> str:
    """The receiver's own Record-Route rows, back to it (RFC 3261 §12.1.1)."""
    request = draft.request
    if request is None or request.first[h.RECORD_ROUTE] is None:
        return ""
    return "\r\n".join([f"Record-Route: {value}" for value in request.values(h.RECORD_ROUTE)])


def _retry_after(draft: ResponseDraft) -> str:
    return f"Retry-After: {draft.retry_after_s}" if draft.retry_after_s else ""


# -- rows of both ------------------------------------------------------------------------------------------------------


def _contact(draft: Draft) -> str:
    return draft.party.contact


def _allow(draft: Draft) -> str:
    return ALLOW_WITH_TRANSFER if draft.party.may_transfer else ALLOW


def _refer_sub(draft: Draft) -> str:
    assert draft.message is not None
    value = refer_sub(draft.message)
    return f"Refer-Sub: {value}" if value else ""


def _reason(draft: Draft) -> str:
    return reason_line(draft.q850) if draft.q850 else ""


def _content_type(draft: Draft) -> str:
    return f"Content-Type: {draft.content_type}" if draft.body else ""


def _passed(draft: Draft) -> str:
    """What the receiver's `pass_headers` names; a row with a control character stays behind."""
    names, message = draft.party.peer.pass_headers, draft.message
    if not names or message is None:
        return ""
    rows = [f"{name}: {value}" for name in names for value in message.named(name) if not _UNPRINTABLE.search(value)]
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
    return f"Min-SE: {min(_number(draft, h.MIN_SE), _MOST_SECONDS)}"


def _asked_retry_after(draft: Draft) -> str:
    return f"Retry-After: {min(_number(draft, h.RETRY_AFTER), _MOST_SECONDS)}"


def _session_expires(draft: Draft) -> str:
    assert draft.message is not None
    params = (draft.message.first[h.SESSION_EXPIRES] or "").partition(";")[2]
    refresher = (parse_params(f";{params}").get("refresher") or "").lower()
    row = f"Session-Expires: {min(_number(draft, h.SESSION_EXPIRES), _MOST_SECONDS)}"
    return f"{row};refresher={refresher}" if refresher in ("uac", "uas") else row


def _number(draft: Draft, header: int) -> int:
    """The number that a field begins with. Raises RemoteSipError when it is none."""
    assert draft.message is not None
    value = (draft.message.first[header] or "").partition(";")[0]
    if header == h.RETRY_AFTER:
        value = value.partition("(")[0]  # a comment may stand behind the seconds (RFC 3261 §20.33)
    return parse_number(value.strip(" \t"), 2**32, h.CANONICAL[header])


# -- the tables --------------------------------------------------------------------------------------------------------

_REQUEST: Final = (
    Row("Request-URI", TRANSLATED, _request_line),
    Row("Via", NEW, _via),
    Row("Max-Forwards", TRANSLATED, _max_forwards),
    Row("Route, From, To, Call-ID, CSeq", TRANSLATED, _of_dialog),
)
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
_INTERVAL: Final = Row("Session-Expires", TRANSLATED, _session_expires, h.SESSION_EXPIRES)
_LEAST_INTERVAL: Final = Row("Min-SE", TRANSLATED, _min_se, h.MIN_SE)
_RSEQ: Final = Row("RSeq", TRANSLATED, _rseq, h.RSEQ)
_RACK: Final = Row("RAck", TRANSLATED, _rack, h.RACK)
_LATER: Final = Row("Retry-After", TRANSLATED, _asked_retry_after, h.RETRY_AFTER)
_REFER_SUB: Final = Row("Refer-Sub", TRANSLATED, _refer_sub, VARIOUS)
_BODY: Final = Row("Content-Type", TRANSLATED, _content_type, VARIOUS)
_PASSED: Final = Row("pass_headers", CHECKED, _passed, VARIOUS)

_NEGOTIATION: Final = (*_OPTIONS, _INTERVAL, _LEAST_INTERVAL)
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

# The first INVITE of a call and a MESSAGE: they go to the callee.
INVITE: Final = Rows[RequestDraft](*_REQUEST, _CONTACT, _ASSERTED, _ALLOW, *_NEGOTIATION, _PASSED, _BODY)
MESSAGE: Final = Rows[RequestDraft](*_REQUEST, _ASSERTED, _PASSED, _BODY)

# Within a dialog: by the receiving side (`engine.core.pair`) and the method.
REQUESTS: Final[tuple[dict[str, Rows[RequestDraft]], ...]] = (
    {method: Rows[RequestDraft](*table) for method, table in _WITHIN.items()},
    {method: Rows[RequestDraft](*table) for method, table in _WITHIN.items()},
)

_RINGING: Final = (*_RESPONSE, _CONTACT, _RECORD_ROUTE, _ALLOW, *_OPTIONS, _RSEQ, _PASSED, _BODY)
_AGREED: Final = (*_RESPONSE, _CONTACT, _RECORD_ROUTE, _ALLOW, *_OPTIONS, _INTERVAL, _PASSED, _BODY)
_DONE: Final = (*_RESPONSE, *_OPTIONS, _PASSED, _BODY)
_FAILED: Final = (*_RESPONSE, _LEAST_INTERVAL, _LATER, _PASSED)
_DECLINED: Final = (*_RESPONSE, _LATER, _PASSED)
_ANSWERS: Final = {
    ("INVITE", 1): _RINGING,
    ("INVITE", 2): _AGREED,
    ("UPDATE", 2): _AGREED,
    ("PRACK", 2): _DONE,
    ("INFO", 2): _DONE,
    ("REFER", 2): (*_RESPONSE, _CONTACT, _ALLOW, _REFER_SUB, _PASSED),
    ("NOTIFY", 2): (*_RESPONSE, _CONTACT, _ALLOW, _PASSED),
    **{(method, status): _FAILED for method in ("INVITE", "UPDATE", "PRACK", "INFO") for status in (3, 4, 5, 6)},
    **{(method, status): _DECLINED for method in ("REFER", "NOTIFY") for status in (3, 4, 5, 6)},
}

# What carries a response of the other side: by the receiving side, then by the method and the class of the status.
RESPONSES: Final[tuple[dict[tuple[str, int], Rows[ResponseDraft]], ...]] = (
    {kind: Rows[ResponseDraft](*table) for kind, table in _ANSWERS.items()},
    {kind: Rows[ResponseDraft](*table) for kind, table in _ANSWERS.items()},
)

# The end of an attempt, for the caller: the other side's words for it are not asked.
REFUSED: Final = Rows[ResponseDraft](*_RESPONSE, _REASON, Row("Retry-After", NEW, _retry_after))
MESSAGE_DELIVERED: Final = Rows[ResponseDraft](*_RESPONSE)
