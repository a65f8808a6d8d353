"""OPTIONS to the targets of peers that want it: is anybody there (RFC 3261 §11)?

A probe names no number and belongs to no call. Any final answer shows that somebody is there, a refusal too: whoever
does not know OPTIONS, or wants to know who we are, has read it. Two do not: 408 is what a proxy says whose own next hop
is silent, and 503 says that nothing else shall be sent there, for as long as its Retry-After says.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

from engine.core.attempt import RequestOwner
from engine.core.crossing import OWN_REQUESTS
from engine.core.disclosure import Party, RequestDraft, build
from engine.core.health import DOWN, AddressHealth, retry_after_s
from engine.core.pair import CALLEE
from sipstack.client_transaction import ClientTransaction
from sipstack.dialog import Dialog, DialogId
from sipstack.events import Flow
from sipstack.message import Message
from sipstack.timers import SECONDS, Timer
from sipstack.uri import uri_host

if TYPE_CHECKING:
    from engine.core.context import CoreContext
    from engine.core.routing import Hop

# What counts as no answer: see above.
_LOST: Final = (408, 503)

# The probes of many addresses are spread over this time after a start, then over a fifth of their interval.
_SPREAD_S: Final = 1 * SECONDS
_JITTER: Final = 0.2

# Timer codes
_DUE: Final = 0
_UNANSWERED: Final = 1


@final
class Probe(RequestOwner):
    """One address that is asked again and again. `hop` leads there for one of the peers that want it."""

    __slots__ = ("_context", "_due", "_in_a_row", "_limit", "_sent_at", "_transaction", "_was_there", "hop")

    def __init__(self, context: CoreContext, hop: Hop, now: float) -> None:
        """The first question comes within a second."""
        self._context = context
        self.hop = hop
        self._transaction: ClientTransaction | None = None  # whose answer is awaited
        self._sent_at = 0.0
        self._was_there = True  # what the last probes have met, and how many of them in a row
        self._in_a_row = 0
        self._limit: Timer | None = None
        self._due: Timer | None = context.wheel.set(now, _SPREAD_S * context.tokens.fraction(), self, _DUE)

    def timer_fired(self, code: int, now: float) -> None:
        """The time has come to ask, or the time for the answer is over."""
        if code == _DUE:
            self._ask(now)
        else:
            self._give_up(now)

    def _ask(self, now: float) -> None:
        context, peer = self._context, self.hop.peer
        interval_s = peer.options_interval_s * (1 - _JITTER / 2 + _JITTER * context.tokens.fraction())
        self._due = context.wheel.set(now, interval_s, self, _DUE)
        wait_s = min(context.settings.policy.first_response_ms / 1000, interval_s / 2)
        self._limit = context.wheel.replace(self._limit, now, wait_s, self, _UNANSWERED)
        self._transaction = _options(context, self.hop, self)
        self._sent_at = now
        context.count("probes_sent")
        context.start(self._transaction, now)

    def responded(self, transaction: ClientTransaction, response: Message, flow: Flow, now: float) -> None:
        """Only the final answer counts."""
        if transaction is self._transaction and response.is_final:
            self._settle()
            if response.status == 503:
                self.hop.health.overloaded(self._sent_at, retry_after_s(response), "", now)
            self._count(response.status not in _LOST, now)

    def failed(self, transaction: ClientTransaction, now: float) -> None:
        """The transport could not send."""
        self.unanswered(transaction, now)

    def unanswered(self, transaction: ClientTransaction, now: float) -> None:
        """64*T1 of silence, where that is the shorter time."""
        if transaction is self._transaction:
            self._settle()
            self._count(False, now)

    def _give_up(self, now: float) -> None:
        """No answer in the time that a target has for its first one."""
        self._drop()
        self._count(False, now)

    def _count(self, is_there: bool, now: float) -> None:
        self._in_a_row = self._in_a_row + 1 if is_there is self._was_there else 1
        self._was_there = is_there
        peer = self.hop.peer
        if not is_there:
            self._context.count("probes_lost")
        if self._in_a_row >= (peer.options_up_after if is_there else peer.options_down_after):
            self.hop.health.probed(is_there, now)

    def stop(self, now: float) -> None:
        """Nobody wants to know any more: what only probes could bring back is as good as any other."""
        self._drop()
        if self._due is not None:
            self._due.cancel()
        if self.hop.health.state == DOWN:
            self.hop.health.probed(True, now)

    def _drop(self) -> None:
        if self._transaction is not None:
            self._context.transactions.drop(self._transaction)
        self._settle()

    def _settle(self) -> None:
        self._transaction = None
        if self._limit is not None:
            self._limit.cancel()
            self._limit = None


def _options(context: CoreContext, hop: Hop, owner: Probe) -> ClientTransaction:
    """An OPTIONS for whoever is at the address, from the node itself: there is no user part in it."""
    tokens, flow, target = context.tokens, hop.flow, hop.target
    tag, seq = tokens.tag(), tokens.first_cseq()
    host = uri_host(target.host)
    dialog = Dialog(
        DialogId(tokens.call_id(), tag, ""), f"<sip:{context.settings.domain}>;tag={tag}", f"<sip:{host}>", seq, -1
    )
    scheme = "sips" if target.is_secure else "sip"
    dialog.remote_target = f"{scheme}:{host}:{target.port}" if target.port else f"{scheme}:{host}"
    draft = RequestDraft(context, Party(CALLEE, hop.peer, "", ""), dialog, flow, ("OPTIONS", seq))
    return ClientTransaction("OPTIONS", draft.branch, build(OWN_REQUESTS[CALLEE]["OPTIONS"], draft), flow, owner)


@final
class Probes:
    """The addresses that are asked: those of peers with an `options_interval_s`, each once."""

    __slots__ = ("_context", "_known")

    def __init__(self, context: CoreContext) -> None:
        self._context = context
        self._known: dict[AddressHealth, Probe] = {}

    def follow(self, now: float) -> None:
        """Asks whom settings and names lead to now, and nobody else; who is asked already goes on as before."""
        wanted: dict[AddressHealth, Hop] = {}
        for peer in self._context.settings.peers:
            for hop in self._context.routing.hops_of(peer.name, "") if peer.options_interval_s else ():
                other = wanted.get(hop.health)
                if other is None or peer.options_interval_s < other.peer.options_interval_s:
                    wanted[hop.health] = hop
        for health in [health for health in self._known if health not in wanted]:
            self._known.pop(health).stop(now)
        for health, hop in wanted.items():
            known = self._known.get(health)
            if known is None:
                self._known[health] = Probe(self._context, hop, now)
            else:
                known.hop = hop

    def stop(self, now: float) -> None:
        """Asks nobody any more."""
        for probe in self._known.values():
            probe.stop(now)
        self._known.clear()

    def asks(self, health: AddressHealth) -> bool:
        """True for an address that is probed."""
        return health in self._known
