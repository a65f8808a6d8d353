"""Requests before anything of them crosses: what SIP's own rules answer, and what a call has no room for now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from engine.core.capabilities import CROSSING_OPTIONS, UNSUPPORTED_TYPE, accept_line
from engine.core.disclosure import LeakStopped
from engine.core.pair import CALLER, DialogPair
from engine.core.refresh import is_asking
from engine.core.relay import Relay, refuse
from engine.core.session_timer import REFRESHING, TOO_SMALL, is_too_small, min_se_line
from engine.core.transfer import ALLOW_EVENTS, is_report
from sipstack import headers as h
from sipstack.errors import RemoteSipError
from sipstack.fields import option_tags
from sipstack.grammar import TOKEN
from sipstack.message import Message
from sipstack.server_transaction import ServerTransaction

if TYPE_CHECKING:
    from engine.core.call import Call

# What RFC 3323 §4.2, RFC 3325 §9.3 and RFC 7044 §10.1 ask for and every call is given.
_PRIVACY_GIVEN: Final = frozenset(("critical", "header", "history", "id", "user", ""))

# In Proxy-Require: who stands in the way must know what Privacy means (RFC 3323 §4.3). This node does.
_PRIVACY_OPTION: Final = "privacy"

_GLARE_RETRY_AFTER_S: Final = 5  # RFC 3261 §14.2 asks for 0 to 10


def objection(request: Message, min_se_s: int) -> tuple[int, tuple[str, ...]] | None:
    """What any request is refused for, in a dialog or outside: the status, and rows that say more.

    Raises RemoteSipError when a field of it is malformed.
    """
    first = request.first
    if first[h.REQUIRE] is not None or first[h.PROXY_REQUIRE] is not None:
        unsupported = unsupported_options(request)
        if unsupported:
            return 420, (f"Unsupported: {', '.join(unsupported)}",)
    if first[h.PRIVACY] is not None and privacy_unmet(request):
        return 500, ()
    if request.forwards <= 0 and request.max_forwards() == 0:
        return 483, ()
    if request.method in REFRESHING and is_too_small(request, min_se_s):
        return TOO_SMALL, (min_se_line(min_se_s),)
    return None


def unsupported_options(message: Message) -> list[str]:
    """Option tags required and not crossing: 420 (contract §5). What is no token is not repeated."""
    tags = option_tags(message.values(h.REQUIRE))
    tags += [tag for tag in option_tags(message.values(h.PROXY_REQUIRE)) if tag != _PRIVACY_OPTION]
    return [tag if TOKEN.fullmatch(tag) else "malformed" for tag in tags if tag not in CROSSING_OPTIONS]


def privacy_unmet(message: Message) -> bool:
    """True when privacy that this node cannot give is `critical`: 500 (RFC 3323 §4.2 and §5).

    Identities and headers are hidden from the other party always, whoever asks; the addresses of media are not.
    """
    asked = {
        word.strip(" \t") for row in message.values(h.PRIVACY) for word in row.lower().replace(",", ";").split(";")
    }
    return "critical" in asked and not asked <= _PRIVACY_GIVEN


def relay(call: Call, pair: DialogPair, side: int, transaction: ServerTransaction, now: float) -> None:
    """Carries a request of one side to the other, or says why not."""
    request = transaction.request
    found = objection(request, call.policy.min_se_s)
    if found is not None:
        status, rows = found
        refuse(call, transaction, status, now, *rows)
        return
    if not _has_room(call, pair, side, transaction, now):
        return
    try:
        started = Relay(call, pair, side, transaction)
    except LeakStopped:
        call.context.count("leak_stopped_in_dialog")
        refuse(call, transaction, 403, now)
        call.leaked(request.method, pair.sides[1 - side].party.peer, now)
    except RemoteSipError as error:
        lines = (accept_line(request.method),) if error.status_hint == UNSUPPORTED_TYPE else ()
        refuse(call, transaction, error.status_hint, now, *lines)
    else:
        started.start(now)


def _has_room(call: Call, pair: DialogPair, side: int, transaction: ServerTransaction, now: float) -> bool:
    """False when the request cannot be carried now, or means nothing in this call; it has its answer then."""
    method = transaction.method
    if method in REFRESHING and is_asking(call):
        refuse(call, transaction, 491, now)  # it meets one of the node's own
        return False
    if method == "INVITE":
        return _may_invite(call, pair, side, transaction, now)
    if method == "UPDATE":
        return _may_update(call, pair, side, transaction, now)
    if method == "REFER" and call.awaits_answer:
        refuse(call, transaction, 403, now)  # there is no conversation yet that could be handed over
        return False
    if method == "NOTIFY" and not is_report(transaction.request):
        refuse(call, transaction, 489, now, ALLOW_EVENTS)
        return False
    return True


def _may_invite(call: Call, pair: DialogPair, side: int, transaction: ServerTransaction, now: float) -> bool:
    """One INVITE at a time: 500 to the side whose own one has no answer yet, 491 to all others (§14.2)."""
    pending = pair.pending_invite
    if call.is_talking and (pending is None or not pending.is_pending):
        return True
    awaits_own = call.awaits_answer if pending is None else pending.awaits_answer
    if awaits_own and side == (CALLER if pending is None else pending.side):
        refuse(call, transaction, 500, now, f"Retry-After: {_GLARE_RETRY_AFTER_S}")
    else:
        refuse(call, transaction, 491, now)
    return False


def _may_update(call: Call, pair: DialogPair, side: int, transaction: ServerTransaction, now: float) -> bool:
    """One UPDATE of a side at a time, and no two offers that cross (RFC 3311 §5.2)."""
    own, other = pair.sides[side].pending_update, pair.sides[1 - side].pending_update
    if own is not None and own.awaits_answer:
        refuse(call, transaction, 500, now, f"Retry-After: {_GLARE_RETRY_AFTER_S}")
    elif other is not None and other.awaits_answer and other.has_body and transaction.request.body:
        refuse(call, transaction, 491, now)
    else:
        return True
    return False
