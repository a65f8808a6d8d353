"""How a call comes about: the open row, the INVITE, provisionals, the answer and its ACK."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from engine.core import call_table as t
from engine.core import transit
from engine.core.bodies import crossing_sdp
from engine.core.callee_try import CalleeTry
from engine.core.crossing import RESPONSES
from engine.core.disclosure import LeakStopped, ResponseDraft, build
from engine.core.frozen_call import freeze
from engine.core.given import Given
from engine.core.pair import CALLER, DialogPair
from engine.core.records import ANSWER, OPEN
from engine.core.relay import crossing_ack
from engine.core.session_timer import agreed_interval_s, begin
from engine.core.settings import DIGEST
from sipstack import headers as h
from sipstack.errors import RemoteSipError
from sipstack.message import Message
from sipstack.sdp import CONTENT_TYPE

if TYPE_CHECKING:
    from engine.core.call import Call

_EXPIRES_DIGITS: Final = 9  # thirty years

# What carries a response to the INVITE: looked for once, since it is looked for by two values.
_EARLY_ROWS: Final = RESPONSES[CALLER]["INVITE", 1]
_ANSWER_ROWS: Final = RESPONSES[CALLER]["INVITE", 2]


def heed_expires(call: Call, now: float) -> None:
    """How long the invitation is good for, by the caller's own word (RFC 3261 §13.3.1): as if it said CANCEL then.

    What is no number of seconds, or more of them than any call is given, says nothing. As with a CANCEL, what comes
    after the answer has no effect.
    """
    value = call.request.value(h.EXPIRES) or ""
    if value.isdigit() and value.isascii() and len(value) <= _EXPIRES_DIGITS:
        call.set(t.EXPIRES_TIMER, int(value), now)


def open_row(call: Call, given: Given) -> None:
    """Records the attempt before anything of it leaves (contract §6)."""
    call.commit(OPEN)  # its time runs since the lookup


def send_invite(call: Call, given: Given) -> None:
    """The prepared INVITE leaves."""
    tried, now = call.current, given.now
    assert tried is not None
    policy, wanted_s = call.policy, call.conditions.ring_timeout_s
    ring_s = policy.ring_timeout_s
    if wanted_s and wanted_s < ring_s:
        ring_s = float(wanted_s)
    if call.record.call_out_time is None:
        call.record.call_out_time = call.context.wall(now)
    call.set(t.RING_TIMER, ring_s, now)
    call.set(t.FIRST_RESPONSE_TIMER, policy.first_response_ms / 1000, now)
    tried.start(now)


def give_up_target(call: Call, now: float) -> None:
    """Nothing at all has come from the target in first_response_ms: the next one (contract §4)."""
    tried = call.current
    assert tried is not None
    tried.hop.health.silent(tried.sent_at, now)
    tried.ended(0, now)
    tried.cancel(now)
    call.try_lost(tried, now)


def relay_provisional(call: Call, given: Given) -> None:
    """A 101-199 in a dialog of its own towards the caller; one that would leak stays here, counted."""
    tried, response, now = given.tried, given.message, given.now
    assert tried is not None and response is not None
    if call.rang_at is None and 180 <= response.status <= 189:  # its phone does something (contract §6, ring_time)
        call.rang_at = now
        call.record.ring_time = call.context.wall(now)
    if not tried.may_fork(response):
        call.context.count("forks_refused")
        return
    try:
        pair = tried.pair_for(response)
        data = _response_for_caller(call, pair, response)
    except (LeakStopped, RemoteSipError) as error:
        call.context.count("leak_stopped_provisional")
        if isinstance(error, LeakStopped):
            call.leak_found(f"{response.status} INVITE", call.peer)
        return
    pair.caller.note_rseq(response)
    call.context.respond(call.transaction, response.status, data, now)


def prepare_answer(call: Call, tried: CalleeTry, response: Message) -> bool:
    """Builds the caller's 2xx; False when it may not leave."""
    try:
        pair = tried.pair_for(response)
        call.answer = _response_for_caller(call, pair, response)
        call.session_s = agreed_interval_s(response, call.policy.min_se_s)
    except (LeakStopped, RemoteSipError) as error:
        if isinstance(error, LeakStopped):
            call.leak_found(f"{response.status} INVITE", call.peer)
        return False
    pair.caller.note_allow(call.request)
    pair.callee.note_allow(response)
    call.chosen = pair
    return True


def _response_for_caller(call: Call, pair: DialogPair, response: Message) -> bytes:
    """A response in the caller's dialog of this pair. Raises LeakStopped and RemoteSipError."""
    caller, status = pair.caller, response.status
    draft = ResponseDraft(call.party, call.transaction.head, status, caller.dialog.local_tag, response)
    draft.request = call.request
    peer = pair.callee.party.peer
    draft.from_trusted = peer.trusted and not (call.is_transit and peer.caller is DIGEST)  # no phone asserts anything
    if response.first[h.P_CHARGING_VECTOR] is not None:
        draft.from_ims = peer.is_ims
    draft.body, draft.content_type = crossing_sdp(response, caller.origin), CONTENT_TYPE
    if draft.body and response.first[h.RSEQ] is not None:
        caller.description = draft.body  # sent reliably it counts, and the 2xx has none (RFC 3262 §5)
    if call.is_transit:
        return build(transit.ANSWERS[status // 100], draft)
    return build(_EARLY_ROWS if status < 200 else _ANSWER_ROWS, draft)


def store_answer(call: Call, given: Given) -> None:
    """Records the answer, with all that serving the call on needs, before the caller hears of it (decision 4)."""
    tried, response, now, pair = given.tried, given.message, given.now, call.chosen
    assert tried is not None and response is not None and pair is not None
    call.stop_each(t.OF_RINGING)
    tried.ended(response.status, now)
    call.answered_at = now
    call.record.answer_time = call.context.wall(now)
    for other in tried.pairs.values():
        if other is not pair:
            other.forget(call.context)
    call.commit(ANSWER, freeze(call, now))
    call.wait_for_store(now)


def send_answer(call: Call, given: Given) -> None:
    """The 2xx leaves, and again from T1 to T2 until its ACK, 64*T1 at the longest (RFC 3261 §13.3.1.4)."""
    now = given.now
    timing = call.context.transactions.timing
    call.context.respond(call.transaction, 200, call.answer, now)
    call.awaits_ack = True
    call.repeat_s = timing.t1_s
    call.set(t.REPEAT_TIMER, call.repeat_s, now)
    call.set(t.ACK_TIMER, timing.transaction_s, now)
    begin(call, now)


def repeat_answer(call: Call, now: float) -> None:
    """The 2xx again, the gap doubled up to T2."""
    call.context.respond(call.transaction, 200, call.answer, now)
    call.repeat_s = min(call.repeat_s * 2, call.context.transactions.timing.t2_s)
    call.set(t.REPEAT_TIMER, call.repeat_s, now)


def stop_repeating(call: Call) -> None:
    """The caller has our 2xx, or has had time enough to say so."""
    call.awaits_ack = False
    call.stop(t.REPEAT_TIMER)
    call.stop(t.ACK_TIMER)


def pass_ack(call: Call, given: Given) -> None:
    """The caller's ACK becomes ours to the callee; it may carry the answer of a late offer.

    Without one, the call was acknowledged in another run, and nothing of that is known but that it was.
    """
    stop_repeating(call)
    if given.message is None:
        assume_ack(call)
        return
    assert call.chosen is not None
    call.chosen.caller.heard_at = call.chosen.callee.heard_at = given.now
    if not acknowledge(call, given.message):
        call.leaked("ACK", call.chosen.callee.party.peer, given.now)


def acknowledge(call: Call, request: Message | None) -> bool:
    """Sends our ACK to the callee, built once; False when its body was left out, since it would have shown a number."""
    pair = call.chosen
    assert pair is not None
    is_whole = True
    if not call.ack:
        is_whole = build_ack(call, pair, request)
    call.context.send(call.ack, pair.callee.next_flow())
    return is_whole


def build_ack(call: Call, pair: DialogPair, request: Message | None) -> bool:
    """Builds our ACK of the callee's 2xx; False as `acknowledge`."""
    cseq = pair.caller.seqs[call.cseq]  # of our INVITE
    call.ack, is_whole = crossing_ack(call.context, pair.callee, cseq, request)
    return is_whole


def assume_ack(call: Call) -> None:
    """Our ACK has left in another run: it is built for copies of the callee's 2xx, unless its body is not known.

    Where the answer to the callee's offer is due, an ACK without it would be worse than none (RFC 3261 §13.2.2.4).
    """
    adopted, pair = call.adopted, call.chosen
    assert adopted is not None and pair is not None
    adopted.ack_has_left = True
    if not adopted.is_offer_of_callee:
        build_ack(call, pair, None)


def owes_ack(call: Call) -> bool:
    """True as long as the callee's 2xx has not been acknowledged."""
    return not call.ack and not (call.adopted is not None and call.adopted.ack_has_left)


def acknowledge_again(call: Call) -> None:
    """A copy of the chosen 2xx: the same ACK again, once there is one (RFC 3261 §13.2.2.4)."""
    if call.ack:
        acknowledge(call, None)


def repeat_ack(call: Call, given: Given) -> None:
    """The caller repeats its ACK: the callee may have missed ours too."""
    acknowledge_again(call)


def release_stray(call: Call, given: Given) -> None:
    """A 2xx that nobody waits for any more."""
    assert given.tried is not None and given.message is not None
    given.tried.release(given.message, given.now)
