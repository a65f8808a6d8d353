"""P-Charging-Vector (RFC 7315 §4.6): by which identifier a call is charged, and which networks are named with it.

The networks at both ends, orig-ioi of the request and term-ioi of its answer, stay as they came between two S-CSCFs of
the node's own IMS, which settle by them; everybody else is told of none. Where the identifier was generated
(icid-generated-at) nobody is told: it is a host.
"""

from __future__ import annotations

import re
from typing import Final

from engine.core.copies import text_hides
from engine.core.disclosure import LeakStopped, RequestDraft, ResponseDraft
from engine.core.numbers import masked_identifier
from engine.core.records import CallRecord
from engine.core.settings import ISC, PeerSettings
from engine.core.spelling import holds_number
from engine.core.tokens import ICID_LETTERS, TokenSource
from sipstack import headers as h
from sipstack.grammar import TOKEN
from sipstack.message import ENCODING, ERRORS, Message
from sipstack.uri import parse_params

_ICID: Final = re.compile(r"[A-Za-z0-9\-.!%*_+`'~:@$&=/]+")
# The name of a network, behind "Type 3" or the like where TS 24.229 asks for that: a space, so between quotes.
_IOI: Final = re.compile(r"[A-Za-z0-9\-._ ]+")
_MOST_CHARS: Final = 128  # of either

_NETWORKS: Final = ("orig-ioi", "term-ioi")


def icid_value(message: Message) -> str:
    """The icid-value of a charging vector; "" when there is none that could be written again."""
    found = _params(message).get("icid-value") or ""
    return found if len(found) <= _MOST_CHARS and _ICID.fullmatch(found) else ""


def icid_towards(peer: PeerSettings, request: Message, record: CallRecord, tokens: TokenSource) -> str:
    """The icid-value of what carries `request` to a trunk (RFC 7315 §5.6); "" outside of the trust domain.

    It is a fresh one of letters; only to the S-CSCF of the same IMS it is the one that has come, unless a real number
    can be read in that.
    """
    if not peer.trusted:
        return ""
    keeps = peer.profile is ISC and record.icid_in != "" and record.icid_in == icid_value(request)
    return record.icid_in if keeps else tokens.letters(ICID_LETTERS)


def asked_vector(draft: RequestDraft) -> str:
    """The icid-value, and the networks where the receiver is of the IMS that has named them."""
    if not draft.icid or draft.message is None:
        return ""
    return _row(draft.icid, _networks(draft.message) if draft.from_ims and draft.party.peer.is_ims else "")


def answered_vector(draft: ResponseDraft) -> str:
    """The networks that an answer names, behind the icid-value that its receiver has itself written.

    That one comes back to it whatever it is; the networks are searched here, as text that crosses. Raises LeakStopped.
    """
    message, request, party = draft.message, draft.request, draft.party
    if not draft.from_ims or not party.peer.is_ims or message is None or request is None:
        return ""
    icid, networks = icid_value(request), _networks(message)
    if not icid or not networks:
        return ""
    text = networks.encode(ENCODING, ERRORS)
    for number in (party.hidden, *party.also_hidden):
        if number and (holds_number(text, number) or text_hides(text, number)):
            raise LeakStopped
    return _row(icid, networks)


def _networks(message: Message) -> str:
    """orig-ioi and term-ioi as parameters in our words; one that is no name, or holds a real number, is left out."""
    params = _params(message)
    found = [(name, params.get(name) or "") for name in _NETWORKS]
    return "".join([f";{name}={_quoted(value)}" for name, value in found if _is_name(value)])


def _is_name(value: str) -> bool:
    return len(value) <= _MOST_CHARS and _IOI.fullmatch(value) is not None and masked_identifier(value) == value


def _params(message: Message) -> dict[str, str | None]:
    return parse_params(f";{message.value(h.P_CHARGING_VECTOR) or ''}")


def _row(icid: str, networks: str) -> str:
    return f"P-Charging-Vector: icid-value={_quoted(icid)}{networks}"


def _quoted(value: str) -> str:
    return value if TOKEN.fullmatch(value) else f'"{value}"'
