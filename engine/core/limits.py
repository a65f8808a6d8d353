"""How much of the node one peer or one caller may take: calls at the same time, and new ones in a time.

Rates are kept as one number a key: the time up to which what was admitted is used up (a token bucket, as the generic
cell rate algorithm of ITU-T I.371 keeps it). A bucket holds what its limit admits in one window, and fills evenly. All
is keyed by names, never by settings: a limit that changes applies at once, and what was counted stays.

Calls are counted only once a limit asks for it; the first one that does counts what is in progress, adopted calls too.
Where several workers serve the node (`share`) each tells the others what it has in use. None of them waits for another:
of those that decide at the same instant each may take the last place, so that a limit is passed by one for each of the
other workers at the most.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, Protocol, final

from engine.core.settings import PeerSettings, PolicySettings

if TYPE_CHECKING:
    from engine.core.outputs import InProgress
    from engine.core.records import CallRecord

PEER_WINDOW_S: Final = 1.0  # of max_rate
CALLER_WINDOW_S: Final = 60.0  # of caller_max_rate
MAX_CALLERS: Final = 50_000  # remembered in one window, about 150 bytes each; what is older goes early beyond it

_ROUNDING_S: Final = 1e-9  # sums of intervals must not miss a whole window by the last bit
_VOICE: Final = "voice"


class InUse(NamedTuple):
    """What is in use at one time, as far as a question about one caller wants to know it."""

    calls: dict[str, int]  # in progress, by peer
    rates_s: dict[str, float]  # by peer: in so many seconds nothing of `max_rate` is in use any more
    caller_calls: int
    caller_rate_s: float


class Shared(Protocol):
    """What the other workers of the node have in use."""

    def calls_elsewhere(self, key: str) -> int:
        """In progress in the other workers."""

    def set_calls(self, key: str, count: int) -> None:
        """So many are in progress here."""

    def until(self, key: str) -> float:
        """Up to when the rate of a key is used up, as any worker has said last."""

    def set_until(self, key: str, until: float, now: float) -> None:
        """It is used up to then, by what was admitted here at `now`."""


@final
class Limits:
    """What the peers and callers of one node have in use. `now` is monotonic seconds."""

    __slots__ = (
        "_attempts",
        "_calls",
        "_callers",
        "_callers_before",
        "_callers_since_s",
        "_held",
        "_peers",
        "_shared",
        "is_counting",
    )

    def __init__(self, attempts: dict[str, InProgress]) -> None:
        """`attempts` is the node's own table, by record id: it is read when counting begins."""
        self._attempts = attempts
        self.is_counting = False  # until a limit asks how many calls there are
        self._held: dict[str, list[str]] = {}  # record id -> what the call counts for
        self._calls: dict[str, int] = {}
        self._peers: dict[str, float] = {}
        self._callers: dict[str, float] = {}
        self._callers_before: dict[str, float] = {}  # those of the last window, all full again by its end
        self._callers_since_s = 0.0
        self._shared: Shared | None = None

    def share(self, shared: Shared) -> None:
        """From now on the other workers' counts count here, and this one's there."""
        self._shared = shared

    def count(self) -> None:
        """From now on calls are counted: a limit of this node asks how many there are, here or in another worker."""
        if not self.is_counting:
            self.is_counting = True
            for attempt in self._attempts.values():
                self.began(attempt.record)

    # -- a new attempt -----------------------------------------------------------------------------------------------

    def admits(self, peer: PeerSettings, kind: str, now: float) -> bool:
        """Whether a peer may begin one more call ("voice") or message; the message or call is on its account then."""
        if peer.max_calls and kind == _VOICE and self._count_of(peer.name) >= peer.max_calls:
            return False
        return not peer.max_rate or self._take(self._peers, peer.name, PEER_WINDOW_S, peer.max_rate, now)

    def admits_caller(self, policy: PolicySettings, record: CallRecord, now: float) -> bool:
        """The same for the caller of an attempt, which itself is counted already."""
        key = _caller_key(record)
        if policy.caller_max_calls and record.kind == _VOICE and self._count_of(key) > policy.caller_max_calls:
            return False
        if not policy.caller_max_rate:
            return True
        self._turn(now)
        if key not in self._callers and (before := self._callers_before.get(key)) is not None:
            self._callers[key] = before
        return self._take(self._callers, key, CALLER_WINDOW_S, policy.caller_max_rate, now)

    def takes(self, peer: PeerSettings, record: CallRecord, now: float) -> bool:
        """Whether a call or message may be tried at this peer; it is on its account then, and on no other callee's.

        A peer that has it already, as the caller's side or by another target, pays nothing for it.
        """
        if not (self.is_counting or peer.max_calls or peer.max_rate):
            return True
        if record.attempts and record.attempts[-1].peer == peer.name:
            return True
        if peer.name != record.ingress_peer and not self.admits(peer, record.kind, now):
            return False
        self._move(record, peer.name)
        return True

    # -- calls in progress -------------------------------------------------------------------------------------------

    def began(self, record: CallRecord) -> None:
        """A call is in progress, `is_counting`; messages are not counted."""
        if record.kind == _VOICE:
            keys = [record.ingress_peer, _caller_key(record)]
            if record.egress_peer and record.egress_peer != record.ingress_peer:
                keys.append(record.egress_peer)
            self._held[record.record_id] = keys
            for key in keys:
                self._add(key)

    def ended(self, record_id: str) -> None:
        """It is in progress no more."""
        for key in self._held.pop(record_id, ()):
            self._release(key)

    # -- for questions that are no calls -----------------------------------------------------------------------------

    def in_use(self, peers: list[str], peer: str, caller: str, now: float) -> InUse:
        """By these peers, and by `caller` behind `peer`. Nothing changes by it."""
        key = _key_of(peer, caller)
        until = self._callers.get(key, self._callers_before.get(key, now))
        calls = self._calls if self.is_counting else self._in_progress(peer, caller, key)
        return InUse(
            {name: calls[name] for name in peers if name in calls},
            {name: self._peers[name] - now for name in peers if self._peers.get(name, now) > now},
            calls.get(key, 0),
            max(0.0, until - now),
        )

    def _in_progress(self, peer: str, caller: str, key: str) -> dict[str, int]:
        """The counts of peers and of one caller, where nothing is counted: no limit has asked for it yet."""
        counts: dict[str, int] = {}
        for attempt in self._attempts.values():
            record = attempt.record
            if record.kind != _VOICE:
                continue
            came, goes = record.ingress_peer, record.egress_peer
            counts[came] = counts.get(came, 0) + 1
            if goes and goes != came:
                counts[goes] = counts.get(goes, 0) + 1
            if came == peer and record.caller == caller:
                counts[key] = counts.get(key, 0) + 1
        return counts

    def assume(self, used: InUse, peer: str, caller: str, now: float) -> None:
        """From now on it goes as if so much were in use."""
        key = _key_of(peer, caller)
        self.is_counting = True
        self._calls = {**used.calls, key: used.caller_calls}
        self._peers = {name: now + left_s for name, left_s in used.rates_s.items()}
        self._callers = {key: now + used.caller_rate_s}

    def _move(self, record: CallRecord, peer: str) -> None:
        """The callee's side of a call is now this peer, and not the one that was tried before."""
        keys = self._held.get(record.record_id)
        if keys is None:
            return
        if len(keys) > 2:
            self._release(keys.pop())
        if peer != record.ingress_peer:
            keys.append(peer)
            self._add(peer)

    def _add(self, key: str) -> None:
        count = self._calls.get(key, 0) + 1
        self._calls[key] = count
        if self._shared is not None:
            self._shared.set_calls(key, count)

    def _release(self, key: str) -> None:
        left = self._calls[key] - 1
        if left:
            self._calls[key] = left
        else:
            del self._calls[key]
        if self._shared is not None:
            self._shared.set_calls(key, left)

    def _count_of(self, key: str) -> int:
        self.count()
        here = self._calls.get(key, 0)
        return here if self._shared is None else here + self._shared.calls_elsewhere(key)

    def _take(self, used: dict[str, float], key: str, window_s: float, limit: int, now: float) -> bool:
        """Takes one of the `limit` that a window admits; False when none is left."""
        until = max(now, used.get(key, now))
        if self._shared is not None:
            until = max(until, self._shared.until(key))
        interval_s = window_s / limit
        if until - now > window_s - interval_s + _ROUNDING_S:
            return False
        used[key] = until + interval_s
        if self._shared is not None:
            self._shared.set_until(key, until + interval_s, now)
        return True

    def _turn(self, now: float) -> None:
        """Forgets callers that have said nothing for a window: their buckets are full. Earlier when there are many."""
        if now - self._callers_since_s >= CALLER_WINDOW_S or len(self._callers) >= MAX_CALLERS:
            is_old = now - self._callers_since_s >= 2 * CALLER_WINDOW_S
            self._callers_before = {} if is_old else self._callers
            self._callers = {}
            self._callers_since_s = now


def _caller_key(record: CallRecord) -> str:
    return _key_of(record.ingress_peer, record.caller)


def _key_of(peer: str, caller: str) -> str:
    """One trunk's callers must not use up what those of another may: a name of a peer has no space."""
    return f"{peer} {caller}"
