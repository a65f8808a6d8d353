"""Calls that another run of the node has answered: made again from what the store holds, and served on.

The parties notice nothing but numbers that skip: what the last run has sent since the call was frozen is not known, so
CSeq and description versions go on SKIPPED further for each run since then. A young call may lack its ACK, or even its
2xx: the 2xx is sent again from T1 to T2 until an ACK comes, as if it were sent for the first time (RFC 3261 §13.3.1.4);
a caller that had acknowledged it does so again (§13.2.2.4). What was answered more than 64*T1 ago is past that; what of
a call that is nearly so old, says `Adopted`.
"""

from __future__ import annotations

from typing import Final, final

from engine.core import call_setup as setup
from engine.core import call_table as t
from engine.core.attempt_record import number_called
from engine.core.call import Call
from engine.core.call_end import forget
from engine.core.context import CoreContext
from engine.core.disclosure import Party
from engine.core.frozen_call import FrozenCall, FrozenFlow, FrozenSide, invite_of
from engine.core.given import Given
from engine.core.numbers import UNKNOWN
from engine.core.outputs import CommitRecord, FaultFound, InProgress
from engine.core.pair import CALLEE, CALLER, DialogPair, PairSide
from engine.core.policy import Facts
from engine.core.records import CLOSE, KEEP, NODE_RESTART_ANSWERED, CallRecord, ReleaseCause, Step
from engine.core.session_bodies import OriginRewriter
from engine.core.session_timer import begin
from engine.core.settings import PeerSettings
from sipstack.dialog import Dialog, DialogId
from sipstack.events import Flow
from sipstack.server_transaction import ServerTransaction

# More requests than one run of the node sends in one dialog between two changes of its row.
SKIPPED: Final = 65_536

_NODE_RESTART: Final = ReleaseCause.NODE_RESTART.value


def adopt_or_close(context: CoreContext, record: CallRecord, frozen: FrozenCall, now: float) -> None:
    """Takes the call over. A fault in that, or in what is stored, costs this call and not the start of the node."""
    said = len(context.out)
    try:
        adopt(context, record, frozen, now)
    except Exception as fault:
        del context.out[said:]
        note_fault(context, fault)
        half_made = context.attempts.get(record.record_id)
        context.leave(record.record_id)
        if isinstance(half_made, Call):
            forget(half_made, now)
        NotAdopted(context, record).close(now)


def note_fault(context: CoreContext, fault: Exception) -> None:
    """An attempt of another run cannot be dealt with: each is counted, and the first says where."""
    if "adoptions_failed" not in context.counters:
        context.out.append(FaultFound(fault))
    context.count("adoptions_failed")


@final
class Adopted:
    """Whether the caller has acknowledged in another run, when it does not do so in this one.

    It need not: 64*T1 after the first 2xx that it had, it takes no notice of more (Timer M, RFC 6026 §7.2; RFC 3261
    §13.2.2.4), and the first copies that this run sends may be lost. So whoever has said anything in the dialog since
    has our 2xx. Of a call that was older than 32*T1 it is known without that, unless the callee still asks for its ACK:
    it would as long as it had none, and in the end hang up by itself.
    """

    __slots__ = ("_at", "ack_has_left", "callee_asks", "is_offer_of_callee", "is_old")

    def __init__(self, frozen: FrozenCall, now: float) -> None:
        self._at = now
        self.is_old = False
        self.callee_asks = False  # it has sent its 2xx again
        self.ack_has_left = False  # in another run
        origin = frozen.callee.origin
        # Nothing had been described to it, so its 2xx makes the offer, and the caller's ACK the answer (§13.2.1).
        self.is_offer_of_callee = origin.version < origin.session_id

    def was_acknowledged(self, call: Call) -> bool:
        """Decides, when 64*T1 have gone in which the 2xx was sent again."""
        assert call.chosen is not None
        return call.chosen.caller.heard_at > self._at or (self.is_old and not self.callee_asks)


@final
class NotAdopted(InProgress):
    """A call of another run that cannot be served on: nobody hears of its end, but the record does."""

    __slots__ = ("_context",)

    def __init__(self, context: CoreContext, record: CallRecord) -> None:
        self._context = context
        self.record = record

    @property
    def state_name(self) -> str:
        """It has none of a table: it has ended."""
        return "Ended"

    def close(self, now: float) -> None:
        """Records the end. Only the wall clock can be trusted to say how long it talked."""
        record, wall_s = self.record, self._context.wall(now)
        record.release_time = wall_s
        record.duration_source = "wall"
        record.set_durations(record.ring_time, record.answer_time, wall_s)
        record.release_cause, record.release_direction, record.decided_by = _NODE_RESTART, "platform", ""
        record.sip_status, record.q850 = NODE_RESTART_ANSWERED
        self._context.enter(self)
        self._context.out.append(CommitRecord(self, CLOSE, record.snapshot()))

    def committed(self, step: Step, durable: bool, now: float) -> None:
        """It is recorded, or kept until it can be."""
        self._context.leave(self.record.record_id)
        if not durable:
            self._context.out.append(CommitRecord(self, KEEP, self.record.snapshot()))


def adopt(context: CoreContext, record: CallRecord, frozen: FrozenCall, now: float) -> Call:
    """Takes the call over. One with a peer that is configured no more is ended on both sides at once."""
    peers = {peer.name: peer for peer in context.settings.peers}
    caller_peer, callee_peer = (_peer(peers, side.peer) for side in (frozen.caller, frozen.callee))
    pair = _pair(context, record, frozen, caller_peer, callee_peer)
    transaction = _transaction(context, frozen, caller_peer)
    facts = Facts(UNKNOWN, UNKNOWN, caller_peer, context.wall(now))  # decided upon long ago
    call = Call(context, transaction, caller_peer, pair.caller.dialog, (facts, record))
    call.party = pair.caller.party
    call.chosen = pair
    call.answer = frozen.answer
    call.session_s = frozen.session_s
    if frozen.max_call_s:
        call.max_call_s = min(call.max_call_s, frozen.max_call_s)
    call.adopted = Adopted(frozen, now)
    pair.register(context, call)
    age_s = _set_times(call, frozen, now)
    _go_on(call, age_s, now)
    assert call.answered_at is not None
    for side in pair.sides:
        side.heard_at = min(call.answered_at + frozen.known_at - frozen.answered_at, now)
    if caller_peer.name not in peers or callee_peer.name not in peers:
        call.step(t.PEER_GONE, Given(now))
    return call


def _peer(peers: dict[str, PeerSettings], name: str) -> PeerSettings:
    return peers.get(name) or PeerSettings(name, (), (), trusted=False)


def _pair(
    context: CoreContext, record: CallRecord, frozen: FrozenCall, caller_peer: PeerSettings, callee_peer: PeerSettings
) -> DialogPair:
    skipped = SKIPPED * max(context.run.epoch - frozen.epoch, 0)
    to_caller = _flow(context, frozen.caller.flow, caller_peer)
    to_callee = _flow(context, frozen.callee.flow, callee_peer)
    origin = OriginRewriter(frozen.callee.origin.session_id, context.address(to_callee))
    opposite = origin.opposite(frozen.caller.origin.session_id, context.address(to_caller))
    sides = []
    for side, values, peer, flow, contact, rewriter in (
        (CALLER, frozen.caller, caller_peer, to_caller, number_called(record), opposite),
        (CALLEE, frozen.callee, callee_peer, to_callee, record.presented_number, origin),
    ):
        rewriter.thaw(values.origin, skipped)
        party = Party(side, peer, values.hidden, context.contact(flow, contact, _is_secure(values)), values.also_hidden)
        party.may_transfer = frozen.may_transfer and caller_peer.allow_transfer and callee_peer.allow_transfer
        made = PairSide(_dialog(values, skipped), party, flow, rewriter, context.listeners)
        sides.append(_thawed(made, values))
    return DialogPair(*sides)


def _is_secure(values: FrozenSide) -> bool:
    """A dialog that sips URIs hold together."""
    return (
        values.flow[0] == "TLS" and (values.route_set or (values.remote_target,))[0].lower().lstrip("<")[:5] == "sips:"
    )


def _dialog(values: FrozenSide, skipped: int) -> Dialog:
    identity = DialogId(values.call_id, values.local_tag, values.remote_tag)
    dialog = Dialog(identity, values.local, values.remote, values.local_seq + skipped, values.remote_seq)
    dialog.remote_target = values.remote_target
    dialog.route_set = list(values.route_set)
    return dialog


def _thawed(side: PairSide, values: FrozenSide) -> PairSide:
    side.seqs = dict(values.seqs)
    side.references = dict(values.references)
    side.rseqs = frozenset(values.rseqs)
    side.takes = values.takes
    return side


def _flow(context: CoreContext, values: FrozenFlow, peer: PeerSettings) -> Flow:
    """By the same listener as in the other run; what none can carry any more fails when it is to be sent."""
    transport, host, port, address = values
    names = _names(peer, host) if transport == "TLS" else ()
    return Flow(transport, host, port, max(context.listeners.index_of(transport, host, address), 0), names)


def _names(peer: PeerSettings, host: str) -> tuple[str, ...]:
    """Whom the certificate of who answers there must name: what is configured of its peer, else the host's address.

    What it had proven in the other run is not stored.
    """
    targets = [target for target in peer.targets if target.transport in ("TLS", "")]
    names = [*peer.tls_names, *[target.host for target in targets if target.place is not None]]
    if not names or host in [target.host for target in targets]:
        names.append(host)
    return tuple(dict.fromkeys(names))


def _transaction(context: CoreContext, frozen: FrozenCall, peer: PeerSettings) -> ServerTransaction:
    transaction = ServerTransaction(invite_of(frozen), _flow(context, frozen.caller.flow, peer))
    transaction.flow = _flow(context, frozen.answer_flow, peer)
    return transaction


def _set_times(call: Call, frozen: FrozenCall, now: float) -> float:
    """Monotonic seconds go on over a restart of the node, not over one of the machine: then the wall clock counts.

    Returns how long ago the call was answered, in seconds; below 0 for a clock that was set back so far.
    """
    run, record = call.context.run, call.record
    if frozen.boot_id == run.boot_id and frozen.answered_at <= now:
        call.answered_at, call.rang_at = frozen.answered_at, frozen.rang_at
        return now - frozen.answered_at
    record.duration_source = "wall"
    talked_s = call.context.wall(now) - (record.answer_time or 0.0)
    call.answered_at = now - max(talked_s, 0.0)
    if frozen.rang_at is not None:
        call.rang_at = call.answered_at - (frozen.answered_at - frozen.rang_at)
    return talked_s


def _go_on(call: Call, age_s: float, now: float) -> None:
    transactions, adopted = call.context.transactions, call.adopted
    assert adopted is not None
    longest_s = transactions.timing.transaction_s
    if 0.0 <= age_s < longest_s:
        adopted.is_old = age_s >= longest_s / 2
        call.state = t.ANSWERED
        transactions.take_over(call.transaction)
        setup.send_answer(call, Given(now))
    else:
        call.state = t.TALKING
        setup.assume_ack(call)
    begin(call, now, at_once=True)
