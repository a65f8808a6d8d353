"""What `explain` tells of where a request goes: the route, the targets, and those that have lost, with the reason."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from time import perf_counter_ns
from typing import Final

from engine.config import Config
from engine.core.attempt import AttemptBase
from engine.core.binding import Binding
from engine.core.health import STATES
from engine.core.routing import Hop, shown_address
from engine.core.settings import TargetSettings
from engine.deciding import Rehearsal, Resolved
from engine.explain.told import Line
from engine.names import told_address
from sipstack.location import Address

_ENTRIES: Final = 64  # routes behind the one that was taken, of which it is told that they would match as well


def routes(config: Config, attempt: AttemptBase, found: Binding) -> Iterator[Line]:
    """The route that is taken, and why none of the others."""
    start = perf_counter_ns()
    taken = attempt.context.routing.route_of(found.callee, attempt.is_transit)
    took_us = (perf_counter_ns() - start) / 1000
    said = "does not match"
    for index, route in enumerate(config.route):
        made_by = config.places.of("route", index, "called")
        if taken is not None and route.name == taken.name:
            result = f"{route.called} matches {found.callee}: {', '.join(route.peers)}"
            yield Line("route", route.name, result, made_by, took_us)
            break
        if attempt.is_transit and not route.transit:
            yield Line("route", route.name, "passed over: it takes no transit", made_by)
        else:
            yield Line("route", route.name, f"passed over: {route.called} {said} {found.callee}", made_by)
    if taken is None:
        yield Line("route", "none", f"refused, no route matches {found.callee}", config.places.of("route"), took_us)
        return
    for place, route in enumerate(config.route[index + 1 : index + 1 + _ENTRIES], index + 1):
        may_take = route.transit or not attempt.is_transit
        if may_take and re.search(route.called, found.callee, re.ASCII):
            made_by = config.places.of("route", place, "called")
            yield Line("route", route.name, f"passed over: {route.called} matches too, and stands behind", made_by)


def names(config: Config, attempt: AttemptBase, found: Binding, resolved: Resolved) -> Iterator[Line]:
    """What the DNS says of each target of the route that is a name."""
    route = attempt.context.routing.route_of(found.callee, attempt.is_transit)
    for index, peer in enumerate(attempt.context.settings.peers):
        for position, target in enumerate(peer.targets):
            if target.place is None or route is None or peer.name not in route.peers:
                continue
            addresses, fault = resolved.get(target.place, ((), "no answer in time"))
            told = [f"is {', '.join(map(told_address, addresses))}"] if addresses else []
            result = f"{target.uri} {'; '.join([*told, *([fault] if fault else [])])}"
            yield Line("name", peer.name, result, config.places.of("peer", index, "targets", position))


def targets(config: Config, rehearsal: Rehearsal, attempt: AttemptBase) -> Iterator[Line]:
    """The places in the order of this attempt: which is taken, which are passed over and why, which are left."""
    index_of = {peer.name: index for index, peer in enumerate(config.peer)}
    taken = taken_place(rehearsal, attempt)
    is_past = False
    for number, hop in enumerate(attempt.choice.hops, 1):
        where = shown_address(hop.flow)
        if hop is taken:
            when, is_past = _first(hop, attempt) if number == 1 else "taken: those before it are passed over", True
        elif is_past:
            when = f"when those before it fail, number {number}"
        else:
            when = f"passed over: {_why(hop, attempt)}"
        result = f"{hop.target.uri}{_share(hop)}, {when}; next hop {where}"
        position = hop.peer.targets.index(hop.target) if hop.target in hop.peer.targets else 0
        yield Line(
            "target", hop.peer.name, result, config.places.of("peer", index_of[hop.peer.name], "targets", position)
        )
    yield from _without(config, attempt, index_of)


def taken_place(rehearsal: Rehearsal, attempt: AttemptBase) -> Hop | None:
    """The place that the request has been written for; None when all are passed over."""
    hops = attempt.choice.hops
    leaving = rehearsal.request
    if leaving is None:
        refusal = attempt.refusal
        is_stopped = refusal is not None and refusal.decided_by in ("disclosure", "body")
        well = [hop for hop in hops if hop.health.is_usable(0.0)]
        return (well or list(hops))[0] if is_stopped and hops else None
    same = [hop for hop in hops if hop.flow == leaving.flow]
    near = [hop for hop in hops if (hop.flow.host, hop.flow.port) == (leaving.flow.host, leaving.flow.port)]
    return (same or near or list(hops))[0]


def _why(hop: Hop, attempt: AttemptBase) -> str:
    if hop.health.state:
        return f"it is {STATES[hop.health.state]}"
    counted = attempt.context.counters
    reasons = {
        "peer_limit": "max_calls or max_rate of the peer is used up", "peer_load": "it has asked for less",
    }  # fmt: skip
    return next((why for name, why in reasons.items() if f"passed_over_{name}" in counted), "not tried")


def _first(hop: Hop, attempt: AttemptBase) -> str:
    """What is drawn, among targets or among the addresses of one, may come out otherwise when it is asked again."""
    flow, target = hop.flow, hop.target
    have_weights = any(one.weight is not None and one.priority == target.priority for one in hop.peer.targets)
    targets = [one.target for one in attempt.choice.hops if one.peer is hop.peer and one.target is not target]
    is_drawn = have_weights and _shares(target, targets)
    if not is_drawn and target.place is not None:
        addresses = attempt.context.targets.addresses(target.place)
        here = [
            one for one in addresses if (one.transport, one.host, one.port) == (flow.transport, flow.host, flow.port)
        ]
        is_drawn = _shares(here[0], [one for one in addresses if one not in here])
    return "first by lot" if is_drawn else "first"


def _shares(first: TargetSettings | Address, others: Sequence[TargetSettings | Address]) -> bool:
    """True when another one could have been first in its place: those of weight 0 come behind the others."""
    return any(one.priority == first.priority and bool(one.weight) is bool(first.weight) for one in others)


def _share(hop: Hop) -> str:
    target = hop.target
    weight = "" if target.weight is None else f", weight {target.weight}"
    return f" (priority {target.priority}{weight})" if weight or target.priority else ""


def _without(config: Config, attempt: AttemptBase, index_of: Mapping[str, int]) -> Iterator[Line]:
    """Peers of the route that the attempt has no place at."""
    found = attempt.facts.found
    callee = found.callee if isinstance(found, Binding) else ""
    route = attempt.context.routing.route_of(callee, attempt.is_transit)
    some = {hop.peer.name for hop in attempt.choice.hops}
    for name in route.peers if route is not None and attempt.service_route is None else ():
        if name not in some:
            why = (
                "it has no target over TLS, which a sips URI promises"
                if attempt.is_secure
                else "no target can be reached"
            )
            yield Line("target", name, f"passed over: {why}", config.places.of("peer", index_of[name], "targets"))
