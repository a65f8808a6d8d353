"""What calls and messages share: reading, deciding, the record, the refusal."""

from __future__ import annotations

from typing import Final

from engine.core.asking import AskHook, HookAnswer, heed, next_question
from engine.core.attempt_record import write_binding
from engine.core.binding import UNCONDITIONAL, Binding, Conditions, Miss
from engine.core.charging import icid_towards
from engine.core.choice import NOWHERE, Choice
from engine.core.context import CoreContext
from engine.core.crossing import REFUSED
from engine.core.disclosure import Party, RequestDraft, ResponseDraft, build
from engine.core.group_call import first_reachable
from engine.core.health import UP
from engine.core.intake import PEER_LIMIT, PEER_LOAD, retry_after_s
from engine.core.isc import NOT_FOLLOWED, ServiceRoute, service_route
from engine.core.numbers import REAL
from engine.core.outputs import CommitRecord, InProgress, LeakFound, LookUpBinding
from engine.core.pair import CALLER
from engine.core.policy import (
    Facts,
    Refusal,
    called_number,
    refusal_after_lookup,
    refusal_before_lookup,
)
from engine.core.records import KEEP, Attempt, CallRecord, ReleaseCause, Step
from engine.core.routing import Hop
from engine.core.settings import DIGEST, ISC, PeerSettings
from engine.core.transit import NOT_ENTITLED, objection_to_transit, transit_binding
from sipstack import headers as h
from sipstack.client_transaction import ClientTransaction
from sipstack.dialog import Dialog
from sipstack.errors import RemoteSipError
from sipstack.events import Flow
from sipstack.message import Message
from sipstack.server_transaction import ServerTransaction
from sipstack.timers import TimerOwner

# How long a step may wait for the store before the attempt is refused: a caller hears nothing meanwhile.
STORE_WAIT_S: Final = 5.0

# Refusals that tell about the node, not about numbers: never made uniform (contract §4, uniform_refusals).
_ABOUT_THE_NODE: Final = (ReleaseCause.OVERLOAD, ReleaseCause.INTERNAL)

# `decided_by` of ends that the parties, their trunks or their patience decided.
_BY_OTHERS: Final = ("callee", "caller", "targets", "ring_timer", "message_timer")

# In the record of a try (RFC 3261 §8.1.3.1).
TIMED_OUT_STATUS: Final = 408  # 64*T1 of silence
UNSENT_STATUS: Final = 503  # a transport error


# The peer that asks, and the dialog that counts our requests; None: the request is the first with its Call-ID.
Login = tuple[PeerSettings, Dialog | None]


class RequestOwner(TimerOwner):
    """Whoever started a client transaction of ours and hears what becomes of it; some of them set timers.

    One line of bases and no second one beside it: what is compiled calls a method of it without a search.
    """

    __slots__ = ()

    def responded(self, transaction: ClientTransaction, response: Message, flow: Flow, now: float) -> None:
        """A response that the transaction passes up."""
        raise NotImplementedError

    def unanswered(self, transaction: ClientTransaction, now: float) -> None:
        """No final answer in 64*T1."""
        raise NotImplementedError

    @property
    def may_start_again(self) -> bool:
        """False when nobody waits any more for the answer to a request that has not left yet."""
        return True

    def failed(self, transaction: ClientTransaction, now: float) -> None:
        """The transport could not send: like silence, but at once (RFC 3261 §8.1.3.1)."""
        self.unanswered(transaction, now)

    def login(self, transaction: ClientTransaction) -> Login | None:
        """Who may answer a challenge of this request; None: nobody wants it any more, or nobody may."""
        return None

    def sent_again(self, transaction: ClientTransaction, seq: int, credentials: str, now: float) -> None:
        """The challenge has been answered: the number of the request is this now, and its ACK needs this row."""


class AttemptBase(InProgress):
    """An INVITE without To tag or a MESSAGE from a known peer: one record, whatever becomes of it."""

    __slots__ = (
        "_spared",
        "asked",
        "choice",
        "context",
        "facts",
        "first_try",
        "is_transit",
        "is_secure",
        "left_callees",
        "local_tag",
        "party",
        "peer",
        "policy",
        "refusal",
        "request",
        "service_route",
        "transaction",
    )
    __deletable__ = ("facts", "request")  # for mypyc

    def __init__(
        self,
        context: CoreContext,
        transaction: ServerTransaction,
        peer: PeerSettings,
        tag: str,
        known: tuple[Facts, CallRecord],
    ) -> None:
        """`tag` goes into To of its answers; `known` is what `begun` has read, or what the last run has left."""
        self.context = context
        self.transaction = transaction
        self.request: Message = transaction.request
        self.is_secure: Final = is_sips(transaction.request.uri_text)  # TLS is promised all the way (§26.2.2)
        self.peer = peer
        self.policy: Final = context.settings.policy  # as it was when it began: another one is for new attempts
        self.party = Party(CALLER, peer, "", "")
        self.local_tag: Final = tag
        self.choice = NOWHERE  # of places for the present callee
        self.is_transit = False  # relayed with its identities untouched (`engine.core.transit`)
        self.service_route: ServiceRoute | None = None  # of an S-CSCF: goes before the routes
        self.first_try = 0  # how many tries the callees before it have had
        self._spared: Refusal | None = None  # why a hop was passed over
        self.left_callees: tuple[str, ...] = ()  # whom a redirect has led away from, in order
        self.refusal: Refusal | None = None
        self.asked: AskHook | None = None  # what the app platform is asked, or has been asked last
        self.facts, self.record = known
        context.enter(self)

    def begin(self, now: float) -> None:
        """Decides what the numbers alone decide, then asks the store."""
        policy = self.policy
        if self.facts.called.kind is REAL and self.may_pass:
            called = self.facts.called.number
            self.is_transit = self.context.routing.route_of(called, is_transit=True) is not None
        refusal = self._objection_to_transit() if self.is_transit else refusal_before_lookup(self.facts)
        if refusal is None and self.peer.profile is ISC and self.request.first[h.ROUTE] is not None:
            refusal = self._read_route()
        if refusal is None and (policy.caller_max_calls or policy.caller_max_rate):
            refusal = self.context.intake.objection_to_caller(policy, self.record, now)
        if refusal is not None and not self._may_be_legacy(refusal):
            self.refused(refusal, now)
            return
        self.wait_for_store(now)
        self.context.out.append(LookUpBinding(self, self.facts.called.number, self.facts.caller.number))

    def _may_be_legacy(self, refusal: Refusal) -> bool:
        """True for a number that is no 700 number, and may be bound as the one of before: the store knows."""
        is_number = self.facts.called.kind is REAL and refusal.decided_by == called_number.__name__
        return is_number and self.facts.caller.kind is REAL

    @property
    def may_pass(self) -> bool:
        """What is called as a real number may be relayed as it is."""
        return True

    def _objection_to_transit(self) -> Refusal | None:
        try:
            return objection_to_transit(self.request, self.facts)
        except RemoteSipError:
            return NOT_ENTITLED

    def _read_route(self) -> Refusal | None:
        """Takes the Route of an S-CSCF; the Refusal of one that is not followed."""
        came = self.transaction.source if self.transaction.source.transport == "UDP" else self.transaction.flow
        try:
            found = service_route(self.context, self.request, self.peer, came, self.record.record_id)
        except RemoteSipError:
            return NOT_FOLLOWED
        if isinstance(found, Refusal):
            return found
        self.service_route = found
        return None

    def looked_up(self, found: Binding | Miss | None, now: float) -> None:
        """The store's answer; None when it could not answer: refused, never passed through."""
        if self.record.release_cause:
            return  # taken back, or given up, while the store was asked
        if found is None:
            self.refused(Refusal(ReleaseCause.INTERNAL, "lookup"), now)
            return
        if self.facts.called.kind is REAL:
            found = self._bound_as_legacy(found)
        self.facts.found = found
        if isinstance(found, Binding):
            write_binding(self.record, found)
        refusal = None if self.is_transit else self._refusal_by_policy(found)
        if refusal is not None:
            self.refused(refusal, now)
        elif isinstance(found, Binding):
            self._decided(found, now)

    def _bound_as_legacy(self, found: Binding | Miss) -> Binding | Miss | None:
        """Of a number that is no 700 number: it is bound for the time of a change, or in transit, or nobody's."""
        if found is Miss.UNBOUND:
            return transit_binding(self.facts.called.number) if self.is_transit else None
        self.is_transit = False
        return found

    def _refusal_by_policy(self, found: Binding | Miss | None) -> Refusal | None:
        if found is None:
            return called_number(self.facts)
        refusal = refusal_after_lookup(self.facts)
        if refusal is None and isinstance(found, Binding) and found.conditions.calls_per_day:
            refusal = self.context.intake.objection_to_day(found, self.facts)
        return refusal

    def _decided(self, found: Binding, now: float) -> None:
        """All that the node knows lets it pass: the app platform may have its say, and then it is routed."""
        said = found.conditions
        if said is not UNCONDITIONAL and (question := next_question(self, said)) is not None:
            self.asked = question
            self.context.out.append(question)
            self.wait_for_hook(question.timeout_ms / 1000, now)
            return
        hops = self.hops_to(found.callee)
        if not hops and said.members:
            found, hops = first_reachable(self, found)
            self.facts.found = found
            self.record.group_member = found.member
        self.record.callee = found.callee
        if hops:
            self.choice = Choice(hops)
            self.permitted(found, now)
        else:
            self.refused(unroutable(self.context, found.callee), now)

    def hook_answered(self, asked: AskHook, answer: HookAnswer | None, now: float) -> None:
        """What the app platform says; None when it says nothing in time."""
        if asked is not self.asked or asked.is_answered or self.record.release_cause:
            return
        if not isinstance(found := self.facts.found, Binding):
            return
        asked.is_answered = True
        heard = heed(self, asked, answer, found)
        if isinstance(heard, Refusal):
            self.refused(heard, now)
            return
        if heard is not found:
            self.facts.found = heard
            write_binding(self.record, heard)
        self.wait_for_store(now)
        self._decided(heard, now)

    @property
    def conditions(self) -> Conditions:
        """Of its binding; of an attempt that has none, and of a call of another run, there are none."""
        found = self.facts.found
        return found.conditions if isinstance(found, Binding) else UNCONDITIONAL

    def hops_to(self, callee: str) -> list[Hop]:
        """The places for a real number, in order; of a sips request those that make the same promise."""
        if self.service_route is not None:
            hops = self.service_route.hops
        else:
            hops = self.context.routing.hops(callee, self.record.record_id, self.is_transit)
        return [hop for hop in hops if hop.target.is_secure] if self.is_secure else hops

    def wait_for_store(self, now: float) -> None:
        """Gives the store STORE_WAIT_S for the lookup and the open row together; then the attempt is refused."""
        raise NotImplementedError

    def wait_for_hook(self, timeout_s: float, now: float) -> None:
        """Gives the app platform its time; then `hook_answered` hears that it has said nothing."""
        raise NotImplementedError

    def refused(self, refusal: Refusal, now: float) -> None:
        """Nothing is sent to the other side."""
        raise NotImplementedError

    def permitted(self, binding: Binding, now: float) -> None:
        """All steps let it pass, and there is a target."""
        raise NotImplementedError

    def commit(self, step: Step, extra: object = None) -> None:
        """Hands the record as it stands to the writer."""
        self.context.out.append(CommitRecord(self, step, self.record.snapshot(), extra))

    def write_end(self, refusal: Refusal, direction: str) -> None:
        """Writes into the record how it ended, as the caller sees it."""
        record = self.record
        if record.call_out_time is None:  # a try that was prepared and never left is none
            record.attempts.clear()
            record.egress_peer = record.callee_call_id = record.icid_out = ""
        else:
            record.icid_out = record.attempts[-1].icid  # not one that was drawn for a try that never left
        status, q850 = self.seen_by_caller(refusal)
        record.release_cause = refusal.cause.value
        record.sip_status = status
        record.q850 = q850
        record.decided_by = refusal.decided_by
        record.release_direction = direction

    def seen_by_caller(self, refusal: Refusal) -> tuple[int, int]:
        """SIP status and Q.850 cause that leave: the refusal's own, or the uniform ones of this peer."""
        if self.peer.uniform_refusals and _is_policy(refusal):
            return 404, 1
        return refusal.status, refusal.q850

    def send_unrecorded(self, decided: Refusal | None, now: float) -> None:
        """The final response when the store did not take the end, which it keeps as it is told.

        No refusal by policy leaves without its row, and no 2xx, `decided` None: INTERNAL does (contract §6).
        """
        refusal = decided
        if refusal is None or _is_policy(refusal):
            refusal = Refusal(ReleaseCause.INTERNAL, "store")
            self.write_end(refusal, "platform")
        self.commit(KEEP)
        self.send_refusal(refusal, now)

    def send_refusal(self, refusal: Refusal, now: float) -> None:
        """The final response of an attempt that did not come about."""
        status, q850 = self.seen_by_caller(refusal)
        draft = ResponseDraft(self.party, self.transaction.head, status, self.local_tag)
        draft.q850 = q850
        draft.retry_after_s = retry_after_s(refusal)
        draft.min_se_s = refusal.min_se_s
        self.context.count(f"released_{refusal.cause.value.lower()}")
        self.context.respond(self.transaction, status, build(REFUSED, draft), now)

    def leak_found(self, message: str, peer: PeerSettings) -> None:
        """A message for this trunk has not been sent, since it held a number: counted, and said aloud."""
        self.context.count("leaks_stopped")
        self.context.out.append(LeakFound(self.record.record_id, message, peer.name))

    def next_hop(self, now: float) -> Hop | None:
        """The next target that may be tried; None, with the refusal set, when there is none."""
        while (hop := self.choice.next(now)) is not None:
            peer = hop.peer
            if peer.overload_control and self.context.intake.throttles.keeps_back(hop.health.address, now):
                self._spared = PEER_LOAD
            elif not self.context.intake.limits.takes(peer, self.record, now):
                self._spared = PEER_LIMIT
            else:
                if hop.health.state != UP:
                    self.choice.taken(hop, now)
                return hop
            self.context.count(f"passed_over_{self._spared.decided_by}")
        if self._spared is not None and not self.record.attempts:
            self.refusal = self._spared
        else:
            self.refusal = Refusal(ReleaseCause.ALL_TARGETS_FAILED, "targets")
        return None

    def new_try(self, hop: Hop, callee_call_id: str) -> Attempt:
        """Writes into the record that a target is tried."""
        tried = Attempt(hop.peer.name, hop.target.uri, callee_call_id, self.record.icid_out, hop.address)
        self.record.attempts.append(tried)
        self.record.egress_peer = hop.peer.name
        self.record.callee_call_id = callee_call_id
        return tried

    def introduce(self, draft: RequestDraft, peer: PeerSettings) -> None:
        """Says whose request `draft` carries to a trunk: its domain, its charging, the Route of its S-CSCF."""
        draft.from_trusted = self.peer.trusted
        draft.is_proven = self.peer.caller is DIGEST
        if self.peer.trusted and self.request.first[h.P_CHARGING_VECTOR] is not None:
            draft.from_ims = self.peer.is_ims
            draft.icid = self.record.icid_out = icid_towards(peer, self.request, self.record, self.context.tokens)
        if self.service_route is not None:
            draft.routes = self.service_route.values


def is_sips(uri: str) -> bool:
    """True for a URI that asks for TLS all the way."""
    return uri[3:4] != ":" and uri[:5].lower() == "sips:"


def is_promise_broken(request: Message, transaction: ServerTransaction) -> bool:
    """A sips URI that has not come by TLS: it is none that is served there (RFC 3261 §26.2.2)."""
    return transaction.source.transport != "TLS" and is_sips(request.uri_text)


def unroutable(context: CoreContext, callee: str) -> Refusal:
    """Why there is nowhere to send what is for a real number: no route, or one whose targets have no address."""
    if context.routing.route_of(callee) is None:
        return Refusal(ReleaseCause.NO_ROUTE, "route")
    return Refusal(ReleaseCause.ALL_TARGETS_FAILED, "targets")


def _is_policy(refusal: Refusal) -> bool:
    """True for what this node decided about numbers: not what the parties did, nor how the node itself is."""
    return refusal.decided_by not in _BY_OTHERS and refusal.cause not in _ABOUT_THE_NODE
