"""The order in which targets are tried: by priority, by weight within one priority, else as they are configured.

What is drawn follows from the attempt's record_id: there is no state, and another run of the node, which takes back
what this one has sent (`lost_tries`), draws the same. Whoever calls has no say in a record_id.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING, Final, final

from engine.core.settings import TargetSettings
from sipstack.location import Address, Place

if TYPE_CHECKING:
    from engine.core.routing import Hop

_MASK: Final = 2**64 - 1


@final
class TargetTable:
    """The addresses of names, as they were last told. They outlive a change of the configuration."""

    __slots__ = ("_found",)

    def __init__(self) -> None:
        self._found: dict[Place, tuple[Address, ...]] = {}

    def addresses(self, place: Place) -> tuple[Address, ...]:
        """What is known of a name; () when nothing is, or it has none."""
        return self._found.get(place, ())

    def copy(self) -> TargetTable:
        """What is known now, for another thread."""
        made = TargetTable()
        made._found = self._found.copy()
        return made

    def all(self) -> list[tuple[Place, tuple[Address, ...]]]:
        """Every name that is known, with what is known of it."""
        return list(self._found.items())

    def changed_since(self, copy: TargetTable) -> list[Place]:
        """The names of which something else has been told since then."""
        return [place for place, addresses in self._found.items() if addresses != copy.addresses(place)]

    def tell(self, place: Place, addresses: tuple[Address, ...]) -> bool:
        """Takes the addresses of a name; False when they are those that were known."""
        if addresses == self._found.get(place):
            return False
        self._found[place] = addresses
        return True


@final
class Draw:
    """Numbers by chance that follow from a text: the same from the same text."""

    __slots__ = ("_state",)

    def __init__(self, text: str) -> None:
        self._state = int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big")

    def fraction(self) -> float:
        """At least 0, less than 1 (the generator is splitmix64)."""
        self._state = (self._state + 0x9E3779B97F4A7C15) & _MASK
        mixed = self._state
        mixed = (mixed ^ mixed >> 30) * 0xBF58476D1CE4E5B9 & _MASK
        mixed = (mixed ^ mixed >> 27) * 0x94D049BB133111EB & _MASK
        return float((mixed ^ mixed >> 31) >> 11) / 2**53


class Plan:
    """Some targets and the rule for their order."""

    __slots__ = ()

    @property
    def fixed(self) -> list[Hop] | None:
        """The order, when it is always the same; else None."""
        raise NotImplementedError

    def put(self, hops: list[Hop], draw: Draw) -> None:
        """Appends the targets in the order of one attempt."""
        raise NotImplementedError


@final
class InOrder(Plan):
    """One part after the other."""

    __slots__ = ("_parts",)

    def __init__(self, parts: list[Plan]) -> None:
        self._parts: Final = parts

    @property
    def fixed(self) -> list[Hop] | None:
        """All parts, when each of them has a fixed order."""
        found: list[Hop] = []
        for part in self._parts:
            hops = part.fixed
            if hops is None:
                return None
            found += hops
        return found

    def put(self, hops: list[Hop], draw: Draw) -> None:
        """Each in its turn."""
        for part in self._parts:
            part.put(hops, draw)


@final
class Fixed(Plan):
    """Targets that stand in their order."""

    __slots__ = ("_hops",)

    def __init__(self, hops: list[Hop]) -> None:
        self._hops: Final = hops

    @property
    def fixed(self) -> list[Hop] | None:
        """They themselves."""
        return self._hops

    def put(self, hops: list[Hop], draw: Draw) -> None:
        """As they stand."""
        hops += self._hops


@final
class ByWeight(Plan):
    """Parts of one priority: each is first as often as its weight says (RFC 2782).

    Those of weight 0 come behind all others, and share alike among themselves: unlike in RFC 2782 they are never drawn
    while one with a weight is there.
    """

    __slots__ = ("_parts", "_total", "_weights")

    def __init__(self, parts: list[Plan], weights: list[float]) -> None:
        """Without a part that has no targets: it would draw the share of its weight for nobody."""
        some = [index for index, part in enumerate(parts) if part.fixed != []]
        self._parts: Final = [parts[index] for index in some]
        self._weights: Final = [weights[index] for index in some]
        self._total: Final = sum(self._weights)

    @property
    def fixed(self) -> list[Hop] | None:
        """Of less than two parts."""
        return [] if not self._parts else self._parts[0].fixed if len(self._parts) == 1 else None

    def put(self, hops: list[Hop], draw: Draw) -> None:
        """The first one drawn, then the others among themselves."""
        parts, weights, total = self._parts.copy(), self._weights.copy(), self._total
        while len(parts) > 1:
            place = _drawn(weights, total, draw.fraction())
            total -= weights.pop(place)
            parts.pop(place).put(hops, draw)
        for part in parts:
            part.put(hops, draw)


def _drawn(weights: list[float], total: float, fraction: float) -> int:
    """The place of one of them; `total` is their sum, as exactly as subtraction leaves it."""
    mark = fraction * total
    last = -1
    for place, weight in enumerate(weights):
        if weight > 0.0:
            last = place
            mark -= weight
            if mark < 0.0:
                return place
    return last if last >= 0 else int(fraction * len(weights))


def plan_of_addresses(hops: list[Hop], addresses: Sequence[Address]) -> Plan:
    """The plan of one name: `hops` are its `addresses`, in the order of their priorities."""
    ranks = sorted({address.priority for address in addresses})
    parts: list[Plan] = []
    for rank in ranks:
        of_rank = [(hop, address) for hop, address in zip(hops, addresses, strict=True) if address.priority == rank]
        parts.append(ByWeight([Fixed([hop]) for hop, _ in of_rank], [address.weight for _, address in of_rank]))
    return InOrder(parts)


def plan_of_targets(plans: list[Plan], targets: Sequence[TargetSettings]) -> Plan:
    """The plan of one peer: `plans` are those of its `targets`.

    Where no target of a priority has a weight, they are tried as they stand; where one has, the others have 0.
    """
    parts: list[Plan] = []
    for priority in sorted({target.priority for target in targets}):
        pairs = [(plan, one) for plan, one in zip(plans, targets, strict=True) if one.priority == priority]
        some = [plan for plan, _ in pairs]
        if all(target.weight is None for _, target in pairs):
            parts.append(InOrder(some))
        else:
            parts.append(ByWeight(some, [float(target.weight or 0) for _, target in pairs]))
    return InOrder(parts)
