"""Whether the node takes a new attempt at all: asked before anything of it is decided."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

from engine.core.asking import Orders
from engine.core.binding import Binding
from engine.core.calls_of_day import DAY_LIMIT, CallsOfDay
from engine.core.limits import Limits
from engine.core.oc import LoadTeller, Throttles, heeds
from engine.core.overload import LoadControl
from engine.core.policy import Facts, Refusal
from engine.core.records import ReleaseCause
from engine.core.settings import PeerSettings, PolicySettings

if TYPE_CHECKING:
    from engine.core.outputs import InProgress
    from engine.core.records import CallRecord
    from sipstack.message import Message

# Seconds in Retry-After, by what has decided: a limit or a load lets others pass the next moment, a node that stops or
# a store that is behind wants a while (RFC 3261 §21.5.4 has the whole peer wait).
_SOON_S: Final = 1
LATER_S: Final = 5

# So many datagrams that are dropped unread take as long as the seven messages of a call (measured: 3 to 7 us each, and
# 500 us), and so many in a tick are no flood.
_STRANGERS_AN_ATTEMPT: Final = 70
_FEW_STRANGERS: Final = 50

_DRAIN: Final = Refusal(ReleaseCause.OVERLOAD, "drain")
_STORE: Final = Refusal(ReleaseCause.OVERLOAD, "store")
_LOAD: Final = Refusal(ReleaseCause.OVERLOAD, "load")
PEER_LOAD: Final = Refusal(ReleaseCause.OVERLOAD, "peer_load")
PEER_LIMIT: Final = Refusal(ReleaseCause.OVERLOAD, "peer_limit")
_RATE_LIMITED: Final = Refusal(ReleaseCause.RATE_LIMITED, "caller_limit")
_DAY_LIMITED: Final = Refusal(ReleaseCause.RATE_LIMITED, DAY_LIMIT)
_RETRY_AFTER_S: Final = {"drain": LATER_S, "store": LATER_S}


@final
class Intake:
    """What stands against new calls and messages; those in progress go on whatever it says."""

    __slots__ = (
        "_seen",
        "attempts",
        "calls_of_day",
        "is_draining",
        "is_store_behind",
        "limits",
        "load",
        "orders",
        "strangers",
        "teller",
        "throttles",
    )

    def __init__(self, attempts: dict[str, InProgress]) -> None:
        """`attempts` is the table of what is in progress, by record id."""
        self.is_draining = False
        self.is_store_behind = False  # the store takes only what belongs to calls in progress
        self.limits: Final = Limits(attempts)
        self.load: Final = LoadControl()
        self.calls_of_day: Final = CallsOfDay()
        self.orders: Final = Orders()
        self.attempts = 0  # of peers
        self.strangers = 0  # datagrams that were dropped unread (`engine.core.strangers`)
        self._seen = (0, 0)  # both, when the load was looked at last
        self.teller: Final = LoadTeller(self.load)
        self.throttles: Final = Throttles()

    def observe(self, wait_s: float) -> None:
        """Called every TICK_S with the seconds that the oldest message has been waiting.

        What strangers have piled up before it is no load of the peers': to turn their calls away would not shorten it,
        and would give a stranger what he wants.
        """
        attempts, strangers = self.attempts - self._seen[0], self.strangers - self._seen[1]
        self._seen = (self.attempts, self.strangers)
        self.load.observe(0.0 if strangers > _FEW_STRANGERS + _STRANGERS_AN_ATTEMPT * attempts else wait_s)

    def objection(self, peer: PeerSettings, kind: str, request: Message, now: float) -> Refusal | None:
        """Why a new attempt of this kind ("voice", "message") from a peer is turned away; None: it is not."""
        if self.is_draining:
            return _DRAIN
        if self.is_store_behind:
            return _STORE
        if self.load.share and self.load.turns_away(peer.trusted and heeds(request)):
            return _LOAD
        if (peer.max_calls or peer.max_rate) and not self.limits.admits(peer, kind, now):
            return PEER_LIMIT
        return None

    def objection_to_caller(self, policy: PolicySettings, record: CallRecord, now: float) -> Refusal | None:
        """Why the caller of an attempt that is being decided is refused; None: it is not."""
        return None if self.limits.admits_caller(policy, record, now) else _RATE_LIMITED

    def objection_to_day(self, found: Binding, facts: Facts) -> Refusal | None:
        """Why a caller is refused who may call X so many times a day; None: he is not."""
        said = found.conditions
        x, caller, count = found.tel_x, facts.caller.number, said.calls_recorded
        is_admitted = self.calls_of_day.admits(x, caller, said.calls_per_day, facts.wall_s, count)
        return None if is_admitted else _DAY_LIMITED


def retry_after_s(refusal: Refusal) -> int:
    """Seconds after which to try again; 0 for a refusal that says nothing of it."""
    return _RETRY_AFTER_S.get(refusal.decided_by, _SOON_S) if refusal.cause is ReleaseCause.OVERLOAD else 0
