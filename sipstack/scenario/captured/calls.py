"""The calls of a capture: messages to legs, legs to calls.

A leg is what two neighbours say to each other of one call: one Call-ID between two addresses. A call that goes through
a B2BUA has a leg on each side of it, with a Call-ID each; through a proxy it has the same one on both. Where the
capture holds both, the first leg has the caller, and the last one the callee.
"""

from __future__ import annotations

import math
import re
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple, final

from sipstack.pcap import Address, CapturedMessage
from sipstack.scenario.received import Received

METHODS: Final = ("INVITE", "MESSAGE")
_MOST_BEGUN: Final = 32  # legs with one thing in common that another one may go on from
_STATUSES: Final = range(100, 700)
_TAG: Final = re.compile(r";[ \t]*tag[ \t]*=[ \t]*([^;,\s>]+)", re.IGNORECASE)
_USER: Final = re.compile(r"(?:sips?|tel):\+?(?:86)?(\d{3,})", re.IGNORECASE)


class Exchange(NamedTuple):
    """One message of a leg; `from_caller` says which of the two has sent it."""

    at_s: float
    from_caller: bool
    message: Received


@final
@dataclass(slots=True)
class Leg:
    """`caller` and `callee` are the neighbours: where its first request came from and went to."""

    call_id: str
    transport: str
    caller: Address
    callee: Address
    from_tag: str
    exchanges: list[Exchange] = field(default_factory=list)

    @property
    def first(self) -> Received:
        """The request that it begins with."""
        return self.exchanges[0].message

    @property
    def method(self) -> str:
        """INVITE or MESSAGE."""
        return self.first.method

    @property
    def began_s(self) -> float:
        """Seconds since 1970."""
        return self.exchanges[0].at_s

    @property
    def status(self) -> int:
        """The last final status for what it begins with; 0 when there is none."""
        found = [one.message.status for one in self._finals()]
        return found[-1] if found else 0

    @property
    def settled_s(self) -> float:
        """When that came."""
        return max((one.at_s for one in self._finals()), default=math.inf)

    @property
    def numbers(self) -> frozenset[str]:
        """The digits that its first request names the parties by."""
        first = self.first
        texts = (first.start_line, first.value("From"), first.value("To"), first.value("P-Asserted-Identity"))
        return frozenset(found for text in texts for found in _USER.findall(text))

    def _finals(self) -> Iterator[Exchange]:
        asked = {one.message.cseq for one in self.exchanges if one.from_caller and begins(one.message)}
        for one in self.exchanges:
            if not one.from_caller and one.message.status >= 200 and one.message.cseq in asked:
                yield one


@final
@dataclass(frozen=True, slots=True)
class CapturedCall:
    """`inward` has the caller, `outward` the callee: the same leg where the capture has but one. `others` lie between
    them, or were tried in vain."""

    inward: Leg
    outward: Leg
    others: tuple[Leg, ...] = ()

    @property
    def legs(self) -> tuple[Leg, ...]:
        """All of them, each once."""
        both = (self.inward,) if self.inward is self.outward else (self.inward, self.outward)
        return (*both, *self.others)


def tag_of(value: str) -> str:
    """The tag of a From or To; "" when there is none."""
    found = _TAG.search(value)
    return found[1] if found else ""


def calls_of(messages: Iterable[CapturedMessage]) -> list[CapturedCall]:
    """The calls and short messages whose beginning is in the capture, in the order in which they began."""
    legs = sorted(_legs(messages), key=lambda leg: leg.began_s)
    before = _befores(legs)
    behind: dict[int, list[Leg]] = {}
    for leg in legs:
        if id(leg) in before:
            behind.setdefault(id(before[id(leg)]), []).append(leg)
    return [_call(leg, behind) for leg in legs if id(leg) not in before]


def _call(inward: Leg, behind: dict[int, list[Leg]]) -> CapturedCall:
    outward = inward
    passed: list[Leg] = []
    while following := behind.get(id(outward)):
        chosen = max(following, key=lambda leg: (200 <= leg.status < 300, leg.began_s))
        passed += [leg for leg in (outward, *following) if leg is not chosen and leg is not inward]
        outward = chosen
    return CapturedCall(inward, outward, tuple(passed))


# -- legs of messages --------------------------------------------------------------------------------------------------


def _legs(messages: Iterable[CapturedMessage]) -> list[Leg]:
    """By both addresses, else by both hosts: answers and requests need not come from the port of the first request."""
    found: list[Leg] = []
    exact: dict[tuple[str, frozenset[Address]], Leg] = {}
    near: dict[tuple[str, frozenset[str]], Leg] = {}  # the last one between two hosts
    for one in messages:
        message = Received(one.data)
        call_id = message.call_id
        if not call_id or not (message.method or message.status in _STATUSES):
            continue
        ends = call_id, frozenset((one.source, one.destination))
        hosts = call_id, frozenset((one.source[0], one.destination[0]))
        leg = exact.get(ends) or (near.get(hosts) if len(hosts[1]) > 1 else None)
        if leg is None and begins(message):
            tag = tag_of(message.value("From"))
            leg = exact[ends] = near[hosts] = Leg(call_id, one.transport, one.source, one.destination, tag)
            found.append(leg)
        if leg is not None:
            leg.exchanges.append(Exchange(one.at_s, _is_from_caller(leg, message), message))
    return found


def begins(message: Received) -> bool:
    """True for a request that begins a call, or is a short message."""
    return message.method in METHODS and not message.to_tag and message.cseq[1] == message.method


def _is_from_caller(leg: Leg, message: Received) -> bool:
    is_of_caller = tag_of(message.value("From")) == leg.from_tag
    return is_of_caller is bool(message.method)


# -- which leg stands before which -------------------------------------------------------------------------------------


@final
class _Begun:
    """Legs that another one may go on from, the last few by each thing that the two could have in common."""

    def __init__(self) -> None:
        self._legs: dict[tuple[str, str], deque[tuple[float, Leg]]] = {}

    def add(self, leg: Leg) -> None:
        """One more."""
        for place in (("call", leg.call_id), *(("number", number) for number in leg.numbers), ("host", leg.callee[0])):
            self._legs.setdefault(place, deque(maxlen=_MOST_BEGUN)).append((leg.settled_s, leg))

    def before(self, leg: Leg) -> Leg | None:
        """The one that it goes on from: with its Call-ID, else with a number of it, else any; None when there is none,
        or no saying which."""
        numbers = [("number", number) for number in leg.numbers]
        for places in ([("call", leg.call_id)], numbers, [("host", leg.caller[0])]):
            found = {id(one): one for place in places for one in self._waiting(place, leg)}
            exact = [one for one in found.values() if one.callee == leg.caller]
            likely = exact or list(found.values())
            if likely:
                return likely[0] if len(likely) == 1 else None
        return None

    def _waiting(self, place: tuple[str, str], leg: Leg) -> Iterator[Leg]:
        """Those that had no final answer yet, and led to where this one begins."""
        for settled_s, other in self._legs.get(place, ()):
            if settled_s < leg.began_s or other.method != leg.method:
                continue
            if other.callee[0] == leg.caller[0] and other.caller != leg.callee:
                yield other


def _befores(legs: list[Leg]) -> dict[int, Leg]:
    """By the id of a leg the one that it goes on from. `legs` stand in the order in which they began."""
    found: dict[int, Leg] = {}
    begun = _Begun()
    for leg in legs:
        before = begun.before(leg)
        if before is not None:
            found[id(leg)] = before
        begun.add(leg)
    return found
