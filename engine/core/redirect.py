"""A 3xx of the callee's side that is followed: of its Contacts one number, decided and routed like the first.

What a peer with `follow_redirect` answers is a number and nothing else: the host of its Contact, its parameters and
header fields never count, and neither the caller nor the new callee learns of any of it (contract §4, RFC 3261 §8.1.3.4
as a choice of this node's own). The numbers are read in the order of their q; the first is taken or refused, and no
other of that answer: if the caller's own number, or an earlier callee's, were passed over, whoever redirects could name
a guess, and behind it a phone of his own that rings when the guess is right. A 700 number is none: it would be another
binding, for whoever redirects.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from engine.core import call_table as t
from engine.core.attempt import unroutable
from engine.core.binding import CALLEE_VERIFIED, Binding
from engine.core.choice import Choice
from engine.core.identity import number_of
from engine.core.numbers import REAL
from engine.core.policy import Facts, Refusal, refusal_after_lookup
from engine.core.records import OPEN, ReleaseCause
from engine.core.settings import PeerSettings
from sipstack import headers as h
from sipstack.errors import RemoteSipError
from sipstack.fields import split_list
from sipstack.message import Message
from sipstack.uri import parse_name_addr, parse_uri

if TYPE_CHECKING:
    from engine.core.attempt import AttemptBase
    from engine.core.call import Call
    from engine.core.given import Given

# In one attempt; the next 3xx is refused.
MAX_REDIRECTS: Final = 5

# A 305 names a proxy and a 380 another service (RFC 3261 §21.3): neither is another place of the callee.
_FOLLOWED: Final = (300, 301, 302)

_FORWARDING_REFUSED: Final = Refusal(ReleaseCause.FORWARDING_REFUSED, "callee")
_FULL_Q: Final = 1.0  # a Contact without q (RFC 3261 §20.10)


def follow(attempt: AttemptBase, peer: PeerSettings, response: Message) -> Refusal | None:
    """Turns the attempt to the number that a 3xx of `peer` names: `facts.found` and `choice` are then the new callee's.

    The Refusal that ends the attempt when there is none that may be called; nothing has changed then.
    """
    found = attempt.facts.found
    assert isinstance(found, Binding)
    if attempt.is_transit or not peer.follow_redirect or response.status not in _FOLLOWED:
        return _FORWARDING_REFUSED
    if len(attempt.left_callees) >= MAX_REDIRECTS:
        return _FORWARDING_REFUSED
    others = [number for number in _numbers(response, peer) if number != found.callee]
    if not others or others[0] in attempt.left_callees:  # it has been called already (§8.1.3.4)
        return _FORWARDING_REFUSED
    number = others[0]
    turned = found._replace(callee=number)
    refused = _refused(attempt, turned)
    if refused is None:
        attempt.facts.found = turned
        attempt.left_callees = (*attempt.left_callees, found.callee)
        attempt.choice = Choice(attempt.hops_to(number))
        attempt.first_try = len(attempt.record.attempts)
    return refused


def _refused(attempt: AttemptBase, turned: Binding) -> Refusal | None:
    """The steps that the first callee has passed, for another one."""
    if turned.callee in turned.tel_x or turned.callee in turned.presented:
        return Refusal(ReleaseCause.LEAK_STOPPED, "disclosure")  # as `bind` refuses such a pair: X would show it
    known = attempt.facts
    facts = Facts(known.called, known.caller, known.peer, known.wall_s, known.is_message)
    facts.found = turned
    refusal = refusal_after_lookup(facts)
    if refusal is None and (turned.conditions.has_blacklist or turned.conditions.flags & CALLEE_VERIFIED):
        refusal = _FORWARDING_REFUSED  # the store has not been asked about that number
    if refusal is None and not attempt.hops_to(turned.callee):
        refusal = unroutable(attempt.context, turned.callee)
    return refusal


def _numbers(response: Message, peer: PeerSettings) -> list[str]:
    """The real numbers of all Contacts that can be read, the highest q first (RFC 3261 §20.10)."""
    found: list[tuple[float, str]] = []
    for row in response.values(h.CONTACT):
        for value in _values(row):
            try:
                address = parse_name_addr(value)
                dialled = number_of(parse_uri(address.uri), peer)
            except RemoteSipError:
                continue
            if dialled.kind is REAL:
                found.append((-_q(address.param("q")), dialled.number))
    return [number for _, number in sorted(found, key=lambda pair: pair[0])]


def _values(row: str) -> list[str]:
    try:
        return split_list(row)
    except RemoteSipError:
        return []


def _q(value: str | None) -> float:
    """A qvalue (RFC 3261 §25.1); what is none counts as if it were not there."""
    text = value or ""
    if len(text) > 5 or not text.isascii() or not text.replace(".", "", 1).isdigit():
        return _FULL_Q
    return min(float(text), _FULL_Q)


# -- a call ------------------------------------------------------------------------------------------------------------


def open_row_again(call: Call, given: Given) -> None:
    """Records whom the call goes to now, before that callee hears of it (contract §6); its early dialogs are over."""
    assert given.tried is not None
    call.stop_each(t.OF_RINGING)
    for pair in given.tried.pairs.values():
        pair.forget(call.context)
    write_callee(call)
    call.commit(OPEN)
    call.wait_for_store(given.now)


# -- the record --------------------------------------------------------------------------------------------------------


def write_callee(attempt: AttemptBase) -> None:
    """Writes into the record whom the attempt goes to now."""
    found = attempt.facts.found
    assert isinstance(found, Binding)
    attempt.record.callee = found.callee


def take_back(attempt: AttemptBase) -> None:
    """The new callee has heard nothing after all: the record ends with the last one that has."""
    record = attempt.record
    record.attempts.pop()
    last = record.attempts[-1]
    if record.group_member == record.callee:
        record.group_member = attempt.left_callees[-1]
    record.callee = attempt.left_callees[-1]
    record.egress_peer, record.callee_call_id = last.peer, last.call_id
