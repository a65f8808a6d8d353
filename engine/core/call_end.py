"""How a call ends: refusals, BYE from either side, and the end being recorded before it is confirmed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

from engine.core import call_setup as setup
from engine.core import call_table as t
from engine.core.attempt import RequestOwner
from engine.core.crossing import REQUESTS
from engine.core.disclosure import RequestDraft, build
from engine.core.elsewhere import rows_of_cancel
from engine.core.given import Given
from engine.core.login import bye_owner
from engine.core.pair import CALLEE, CALLER, SIDE_NAMES, DialogPair, PairSide
from engine.core.policy import Refusal
from engine.core.records import (
    KEEP,
    KILLED_ANSWERED,
    LEAK_STOPPED_ANSWERED,
    NODE_RESTART_ANSWERED,
    RELEASE,
    ReleaseCause,
)
from engine.core.redirect import take_back
from engine.core.session_timer import last_known, stop
from sipstack.client_transaction import ClientTransaction
from sipstack.events import Flow
from sipstack.message import Message
from sipstack.timers import MILLISECONDS

if TYPE_CHECKING:
    from engine.core.call import Call

# How long the end waits for the far end's answer to the relayed BYE, so that it can stand in the record.
BYE_ANSWER_WAIT_S: Final = 200 * MILLISECONDS
# A BYE is answered by then, recorded or not (contract §6).
BYE_DUE_S: Final = 500 * MILLISECONDS

_REFUSAL_OF_INPUT: Final = {
    t.STORE_FAILED: Refusal(ReleaseCause.INTERNAL, "store"),
    t.CALLER_CANCELLED: Refusal(ReleaseCause.CALLER_CANCEL, "caller"),
    t.CALLER_BYE: Refusal(ReleaseCause.CALLER_CANCEL, "caller"),
    t.RING_TIMEOUT: Refusal(ReleaseCause.NO_ANSWER, "ring_timer"),
    t.LEAKED: Refusal(ReleaseCause.LEAK_STOPPED, "disclosure"),
}
# Cause, SIP status and Q.850 cause, what decided it: looked up once, since enum members are slow keys.
_END_OF_INPUT: Final = {
    event: (cause.value, *RELEASE[cause], decided_by)
    for event, cause, decided_by in (
        (t.CALLER_BYE, ReleaseCause.NORMAL, "caller"),
        (t.CALLEE_BYE, ReleaseCause.NORMAL, "callee"),
        (t.ACK_MISSED, ReleaseCause.NO_ACK, "ack_timer"),
        (t.TIME_OVER, ReleaseCause.MAX_DURATION, "max_call_timer"),
        (t.SESSION_OVER, ReleaseCause.SESSION_EXPIRED, "session_timer"),
    )
}
_END_OF_INPUT[t.LEAKED] = (ReleaseCause.LEAK_STOPPED.value, *LEAK_STOPPED_ANSWERED, "disclosure")
_END_OF_INPUT[t.PEER_GONE] = (ReleaseCause.NODE_RESTART.value, *NODE_RESTART_ANSWERED, "")
_SIDES_THAT_DECIDE: Final = ("caller", "callee")


@final
class ByeSent(RequestOwner):
    """A BYE of ours whose answer the record waits for."""

    __slots__ = ("_call",)

    def __init__(self, call: Call) -> None:
        self._call = call

    def responded(self, transaction: ClientTransaction, response: Message, flow: Flow, now: float) -> None:
        """Whatever the answer is, the dialog is over (RFC 3261 §15.1.1)."""
        if response.status >= 200:
            self._call.record.attempts[-1].bye = response.status
            self._call.step(t.BYE_ANSWERED, Given(now))

    def unanswered(self, transaction: ClientTransaction, now: float) -> None:
        """Nothing came: over all the same."""
        self._call.step(t.BYE_ANSWERED, Given(now))


# -- refusals ----------------------------------------------------------------------------------------------------------


def refuse(call: Call, given: Given) -> None:
    """Records the failure; its final response waits for the row."""
    refusal = _REFUSAL_OF_INPUT.get(given.event) or call.refusal
    assert refusal is not None
    call.refusal = refusal
    call.stop_each(t.OF_SETUP)
    if call.left_callees and call.current is not None and not call.current.sent_at:
        take_back(call)
    direction = refusal.decided_by if refusal.decided_by in _SIDES_THAT_DECIDE else "platform"
    _write_times(call, given.now)
    call.write_end(refusal, direction)
    call.commit_end(given.now)


def cancel_and_refuse(call: Call, given: Given) -> None:
    """The callee is told to stop; the failure is recorded."""
    tried = call.current
    assert tried is not None
    tried.ended(0, given.now)
    tried.cancel(given.now, rows_of_cancel(given.message))
    if given.transaction is not None:
        join_bye(call, given)
    refuse(call, given)


def release_and_refuse(call: Call, given: Given) -> None:
    """The answer may not reach the caller, so it did not happen: the callee is released, the caller refused."""
    _end_side(call, CALLEE, given.now, None)
    call.record.answer_time = None
    call.answered_at = None
    refuse(call, given)


def send_final(call: Call, given: Given) -> None:
    """The failure is on record: the caller hears of it."""
    assert call.refusal is not None
    call.send_refusal(call.refusal, given.now)
    answer_byes(call, given)


def send_unrecorded(call: Call, given: Given) -> None:
    """The store takes no record now; it keeps what is told. A refusal by policy leaves as INTERNAL (contract §6)."""
    assert call.refusal is not None
    call.send_unrecorded(call.refusal, given.now)
    answer_byes(call, given)


# -- BYE ---------------------------------------------------------------------------------------------------------------


def join_bye(call: Call, given: Given) -> None:
    """Its 200 leaves when the end is durable, after 500 ms at the latest (contract §6)."""
    assert given.transaction is not None
    _ask_no_ack(call, given)
    if not call.byes_waiting:
        call.set(t.BYE_DUE_TIMER, BYE_DUE_S, given.now)
    call.byes_waiting.append(given.transaction)


def hold_bye(call: Call, given: Given) -> None:
    """The answer is being recorded: the BYE waits until the caller has had its 2xx."""
    join_bye(call, given)
    call.byes_from |= 1 << given.side
    _decide(call, given)


def relay_bye(call: Call, given: Given) -> None:
    """The BYE goes to the other side at once, as our own request; the record waits a moment for its answer."""
    join_bye(call, given)
    _decide(call, given)
    _end_side(call, 1 - given.side, given.now, ByeSent(call))
    call.set(t.BYE_WAIT_TIMER, BYE_ANSWER_WAIT_S, given.now)


def end_both(call: Call, given: Given) -> None:
    """The platform ends the call."""
    _decide(call, given)
    if given.event == t.ACK_MISSED:
        setup.stop_repeating(call)  # the transaction has timed out: a BYE may come without an ACK (§15)
    _end_side(call, CALLER, given.now, None)
    _end_side(call, CALLEE, given.now, ByeSent(call))
    call.set(t.BYE_WAIT_TIMER, BYE_ANSWER_WAIT_S, given.now)


def close_and_hold(call: Call, given: Given) -> None:
    """The callee hung up before the caller's ACK: the caller's BYE waits for it (§15), the callee's ACK does not."""
    join_bye(call, given)
    _decide(call, given)
    setup.acknowledge(call, None)
    _end_side(call, CALLER, given.now, None)
    call.commit_end(given.now)


def send_answer_and_close(call: Call, given: Given) -> None:
    """The answer came first, so the caller gets it; then the BYE that was held does its work."""
    setup.send_answer(call, given)
    stop(call)
    setup.acknowledge(call, None)
    for side in (CALLER, CALLEE):
        if not call.byes_from >> side & 1:
            _end_side(call, side, given.now, None)
    call.commit_end(given.now)


def close(call: Call, given: Given) -> None:
    """The far end has answered the BYE, or has had its time."""
    call.stop(t.BYE_WAIT_TIMER)
    call.commit_end(given.now)


def keep_end(call: Call, given: Given) -> None:
    """The store takes no record now, and keeps it; the BYEs are answered all the same (contract §6)."""
    call.commit(KEEP)
    answer_byes(call, given)


def answer_byes(call: Call, given: Given) -> None:
    """200 to every BYE that waits."""
    if call.byes_waiting:
        for transaction in call.byes_waiting:
            call.context.respond(transaction, 200, transaction.head.build(200), given.now)
        call.byes_waiting.clear()
        call.stop(t.BYE_DUE_TIMER)
    if call.state == t.ENDED:
        _retire(call, given)


def answer_bye_now(call: Call, given: Given) -> None:
    """A BYE for a call whose end is on record."""
    assert given.transaction is not None
    _ask_no_ack(call, given)
    call.context.respond(given.transaction, 200, given.transaction.head.build(200), given.now)


def reject_bye(call: Call, given: Given) -> None:
    """A BYE where there is no dialog that it could end."""
    assert given.transaction is not None
    call.context.respond(given.transaction, 481, given.transaction.head.build(481), given.now)


def send_held_bye(call: Call, given: Given) -> None:
    """The caller has acknowledged, or has had 64*T1 to do so."""
    setup.stop_repeating(call)
    if call.bye_held:
        call.bye_held = False
        _end_side(call, CALLER, given.now, None)
        if call.state == t.ENDED and call.context.sheds:
            call.shed()


def forget(call: Call, now: float) -> None:
    """64*T1 after the end nothing of the call can come any more.

    The rings of references are taken apart, so that its memory is free at once and no collection has to find it.
    """
    for tried in call.tries:
        tried.drop()
        for pair in tried.pairs.values():
            _let_go(call, pair, now)
        tried.pairs.clear()
    if call.chosen is not None and not call.tries:
        _let_go(call, call.chosen, now)  # of an adopted call, which has no tries
    call.stop_all()
    if call.refresh is not None:
        call.refresh.forget()
        call.refresh = None
    call.tries.clear()
    call.current = None
    call.chosen = None


def _let_go(call: Call, pair: DialogPair, now: float) -> None:
    if pair.pending_invite is not None:
        pair.pending_invite.give_up(now)
        pair.pending_invite = None
    pair.forget(call.context)


def _decide(call: Call, given: Given) -> None:
    """The first terminal event writes the end; later ones change nothing (decision 4)."""
    record = call.record
    if record.release_cause:
        return
    stop(call)
    record.release_cause, record.sip_status, record.q850, decided_by = _END_OF_INPUT.get(given.event) or _killed(call)
    record.decided_by = decided_by
    record.release_direction = decided_by if decided_by in SIDE_NAMES else "platform"
    _write_times(call, last_known(call) if given.event == t.SESSION_OVER else given.now)


def _killed(call: Call) -> tuple[str, int, int, str]:
    assert call.refusal is not None
    return call.refusal.cause.value, *KILLED_ANSWERED, call.refusal.decided_by


def _ask_no_ack(call: Call, given: Given) -> None:
    """A caller that says BYE has our 2xx, or wants none: no more repeats, and no BYE in return."""
    if given.side == CALLER:
        call.bye_held = False
        setup.stop_repeating(call)


def _write_times(call: Call, now: float) -> None:
    call.record.release_time = call.context.wall(now)
    call.record.set_durations(call.rang_at, call.answered_at, now)


def _end_side(call: Call, side: int, now: float, owner: ByeSent | None) -> None:
    """A BYE of ours to one side: acknowledged first on the callee's, never before the ACK on the caller's (§15)."""
    assert call.chosen is not None
    if side == CALLER and call.awaits_ack:
        call.bye_held = True
        return
    if side == CALLEE and setup.owes_ack(call):
        setup.acknowledge(call, None)
    _send_bye(call, call.chosen.sides[side], now, owner)


def _send_bye(call: Call, side: PairSide, now: float, owner: ByeSent | None) -> None:
    draft = RequestDraft(call.context, side.party, side.dialog, side.next_flow(), ("BYE", side.dialog.next_seq()))
    draft.q850 = call.record.q850 or RELEASE[ReleaseCause.INTERNAL][1]
    data = build(REQUESTS[side.party.side]["BYE"], draft)
    call.context.start(ClientTransaction("BYE", draft.branch, data, draft.flow, bye_owner(side, owner)), now)


def _retire(call: Call, given: Given) -> None:
    """Ended and recorded: kept for repeats only."""
    timing = call.context.transactions.timing
    call.context.leave(call.record.record_id)
    call.set_last(t.FORGET_TIMER, timing.transaction_s + timing.t4_s, given.now)
    if call.context.sheds and not call.awaits_ack:  # else its 2xx is repeated, or a BYE is due to the caller
        call.shed()
