"""What came of a decision, as values that two configurations can be compared by."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Final, NamedTuple, final

from engine.core.attempt import AttemptBase
from engine.core.binding import Binding
from engine.core.identity import request_uri_for
from engine.core.routing import Hop, Routing
from engine.core.settings import RouteSettings


class Outcome(StrEnum):
    """What happens to a call or message."""

    SENT = "sent"  # to a target
    REFUSED = "refused"  # by a decision of the node, on record
    ANSWERED = "answered"  # by a rule of SIP, or asked for a password: no record
    UNASKED = "not asked"  # the question cannot be put to this configuration; `decided_by` says why


SENT: Final = Outcome.SENT  # a name, for speed


class Place(NamedTuple):
    """One target of the route, as configured."""

    peer: str
    target: str
    priority: int
    weight: int | None  # None: it has none, and is tried where it stands

    def __str__(self) -> str:
        weight = "" if self.weight is None else f", weight {self.weight}"
        return f"{self.peer} {self.target} (priority {self.priority}{weight})"


class Verdict(NamedTuple):
    """Equal verdicts are equal for caller and callee, as far as a configuration has a say in it.

    `cause`, `sip_status`, `q850` and `decided_by` are the node's own refusal, empty or 0 otherwise; `seen_status` and
    `seen_q850` are what the caller gets, 0 when it is sent. `places` are the targets in the order in which they are
    likely to be tried: no lot is drawn. `request_uri` is that for the first of them.
    """

    outcome: Outcome
    cause: str = ""
    decided_by: str = ""
    sip_status: int = 0
    q850: int = 0
    seen_status: int = 0
    seen_q850: int = 0
    subs_id: str = ""
    callee: str = ""
    presented_number: str = ""  # "" in transit
    route: str = ""
    places: tuple[Place, ...] = ()
    request_uri: str = ""


_Way = tuple[tuple[Place, ...], Hop]


@final
class Ways:
    """The places of each route of one configuration, in the order of `Verdict.places`; made once each."""

    def __init__(self, routing: Routing) -> None:
        self._routing = routing
        self._known: dict[tuple[str, bool, bool], _Way] = {}

    def of(self, route: RouteSettings, attempt: AttemptBase) -> _Way:
        """The places of a route that `attempt` may go to, and one hop of the first of them."""
        key = (route.name, attempt.is_transit, attempt.is_secure)
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = _way(route, attempt.choice.hops)
        return known


def _way(route: RouteSettings, hops: Sequence[Hop]) -> _Way:
    """The drawn order taken back: by peer, priority and weight, then as configured."""
    first: dict[Place, Hop] = {}
    for hop in hops:
        target = hop.target
        first.setdefault(Place(hop.peer.name, target.uri, target.priority, target.weight), hop)
    configured = {(hop.peer.name, target.uri): place for hop in hops for place, target in enumerate(hop.peer.targets)}

    def rank(place: Place) -> tuple[int, int, int, int]:
        weight = -(place.weight or 0)
        return route.peers.index(place.peer), place.priority, weight, configured[place.peer, place.target]

    places = tuple(sorted(first, key=rank))
    return places, first[places[0]]


def verdict_of(attempt: AttemptBase, ways: Ways) -> Verdict:
    """Of an attempt that has been decided."""
    found, record, refusal = attempt.facts.found, attempt.record, attempt.refusal
    callee = found.callee if isinstance(found, Binding) else ""
    if refusal is not None:
        status, q850 = attempt.seen_by_caller(refusal)
        return Verdict(
            Outcome.REFUSED, refusal.cause.value, refusal.decided_by, refusal.status, refusal.q850, status, q850,
            record.subs_id, callee, record.presented_number,
        )  # fmt: skip
    route = attempt.context.routing.route_of(callee, attempt.is_transit)
    if route is None or attempt.service_route is not None:
        hop = attempt.choice.hops[0]
        places: tuple[Place, ...] = (Place(hop.peer.name, hop.target.uri, 0, None),)
        name = "Route"
    else:
        places, hop = ways.of(route, attempt)
        name = route.name
    uri = request_uri_for(callee, hop)
    return Verdict(
        SENT, "", "", 0, 0, 0, 0, record.subs_id, callee, record.presented_number, name, places, uri
    )  # fmt: skip
