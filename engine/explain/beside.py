"""What decides beside the file and the store: the node that runs, and what is not asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from engine.config import Config
from engine.config.values import shown
from engine.core.limits import InUse
from engine.core.routing import Hop, shown_address
from engine.core.settings import ISC, PeerSettings
from engine.deciding import Live, told_state
from engine.explain.told import Line

_CALLS: Final = ("max_calls", "caller_max_calls")


def beside(config: Config, comes_from: PeerSettings, hops: Sequence[Hop], node: Live | None) -> Iterator[Line]:
    """`node` is None when none answers; `hops` are the places that the request would be tried at."""
    yield from _routes(config, comes_from)
    used = node.in_use if node is not None and counts(config, node) else None
    yield from _limits(config, list(dict.fromkeys([comes_from.name, *(hop.peer.name for hop in hops)])), used)
    yield _state(config, node)
    if node is not None:
        for hop in hops:
            result = f"{shown_address(hop.flow)} is {told_state(node, hop.flow)}"
            yield Line("beside", f"health {hop.peer.name}", result, "status of the running node")


def counts(config: Config, node: Live) -> bool:
    """True when what a node knows decides here: it runs with this file, changed or not."""
    return node.config == str(config.path)


def _routes(config: Config, peer: PeerSettings) -> Iterator[Line]:
    if peer.profile is not ISC:
        return
    result = "not asked: where a Route of the S-CSCF leads on, the request follows that, and no route of this file"
    yield Line("beside", "Route", result, _of_peer(config, peer.name, "profile"))
    result = "not asked: a request that names the other side in its Route or in P-Served-User is refused"
    if peer.served_side.value != "any":
        yield Line("beside", "served side", result, _of_peer(config, peer.name, "served_side"))


def _limits(config: Config, peers: list[str], used: InUse | None) -> Iterator[Line]:
    """Those that are set, and what is in use of them."""
    by_name = {peer.name: peer for peer in config.peer}
    for name in peers:
        for key in ("max_calls", "max_rate"):
            if getattr(by_name[name], key):
                in_use = None if used is None else (used.calls.get(name, 0), used.rates_s.get(name, 0.0))
                yield Line("beside", f"limit {name}", _told(key, in_use), _of_peer(config, name, key))
    for key in ("caller_max_calls", "caller_max_rate"):
        if value := getattr(config.policy, key):
            in_use = None if used is None else (used.caller_calls, used.caller_rate_s)
            yield Line(
                "beside", "limit caller", _told(key, in_use), config.places.of("policy", key, value=shown(value))
            )


def _told(key: str, in_use: tuple[int, float] | None) -> str:
    if in_use is None:
        return "no node answers: told as if nothing were in use of it"
    calls, rate_s = in_use
    if key in _CALLS:
        return f"{calls} in use"
    return f"all of it is free in {rate_s:.2f} s" if rate_s else "all of it is free"


def _state(config: Config, node: Live | None) -> Line:
    made_by = config.places.of("node", "data_dir", value=shown(config.node.data_dir))
    if node is None:
        return Line("beside", "node", "none answers here: what is told is of the file and the store alone", made_by)
    told = f"{node.state}, with {node.config}"
    if not counts(config, node):
        return Line("beside", "node", f"{told}, which is not what is told of here", made_by)
    if node.text != config.text:
        told += ", as it was before it was changed: --live tells of that"
    if node.state == "draining":
        told += ": it refuses what is new with 503"
    if node.is_store_behind:
        told += ": its store takes no records, so that it refuses what is new with 503"
    if node.shed_share:
        told += f": it turns away {node.shed_share:.0%} of what is new, told as if this were none of those"
    return Line("beside", "node", told, made_by)


def _of_peer(config: Config, name: str, key: str) -> str:
    index = [peer.name for peer in config.peer].index(name)
    return config.places.of("peer", index, key, value=shown(getattr(config.peer[index], key)))
