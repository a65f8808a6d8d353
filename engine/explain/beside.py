"""What a running node looks at beside what is told: its state, its limits, the health of targets, a Route."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from engine.config import Config
from engine.config.values import shown
from engine.core.routing import Hop, shown_address
from engine.core.settings import ISC, PeerSettings
from engine.explain.told import Line

Status = Mapping[str, object]
"""What `veil700 status --json` prints."""

_OF_PEERS: Final = ("max_calls", "max_rate")
_OF_CALLERS: Final = ("caller_max_calls", "caller_max_rate")


def beside(config: Config, comes_from: PeerSettings, hops: Sequence[Hop], status: Status | None) -> Iterator[Line]:
    """`status` is None when no node answers; `hops` are the places that the request would be tried at."""
    yield from _routes(config, comes_from)
    yield from _limits(config, list(dict.fromkeys([comes_from.name, *(hop.peer.name for hop in hops)])))
    yield _state(config, status)
    if status is not None:
        yield from _health(status, hops)


def _routes(config: Config, peer: PeerSettings) -> Iterator[Line]:
    if peer.profile is not ISC:
        return
    result = "not asked: where a Route of the S-CSCF leads on, the request follows that, and no route of this file"
    yield Line("beside", "Route", result, _of_peer(config, peer.name, "profile"))
    result = "not asked: a request that names the other side in its Route or in P-Served-User is refused"
    if peer.served_side.value != "any":
        yield Line("beside", "served side", result, _of_peer(config, peer.name, "served_side"))


def _limits(config: Config, peers: list[str]) -> Iterator[Line]:
    """Those that are set. What is in use of them is not asked for."""
    result = "not asked: what is in use of it, the running node knows"
    by_name = {peer.name: peer for peer in config.peer}
    for name in peers:
        for key in _OF_PEERS:
            if getattr(by_name[name], key):
                yield Line("beside", f"limit {name}", result, _of_peer(config, name, key))
    for key in _OF_CALLERS:
        if value := getattr(config.policy, key):
            yield Line("beside", "limit caller", result, config.places.of("policy", key, value=shown(value)))


def _state(config: Config, status: Status | None) -> Line:
    made_by = config.places.of("node", "data_dir", value=shown(config.node.data_dir))
    if status is None:
        return Line("beside", "node", "none answers here: what is told is of the file and the store alone", made_by)
    told = f"{status['state']}, with {status['config']}"
    if status["config"] != str(config.path):
        told += ", which is not what is told of here"
    elif status["state"] == "draining":
        told += ": it refuses what is new with 503"
    return Line("beside", "node", told, made_by)


def _health(status: Status, hops: Sequence[Hop]) -> Iterator[Line]:
    """As the node knows the places; one that it does not know is of a file that it has not read yet."""
    health = status["health"]
    known = {(one["peer"], one["address"]): one for one in health} if isinstance(health, list) else {}
    for hop in hops:
        address = shown_address(hop.flow)
        found = known.get((hop.peer.name, address))
        told = "not known to the running node" if found is None else _told(found)
        yield Line("beside", f"health {hop.peer.name}", f"{address} is {told}", "status of the running node")


def _told(health: Mapping[str, object]) -> str:
    since = f" since {health['since']}" if health["since"] else ""
    return f"{health['state']}{since}"


def _of_peer(config: Config, name: str, key: str) -> str:
    index = [peer.name for peer in config.peer].index(name)
    return config.places.of("peer", index, key, value=shown(getattr(config.peer[index], key)))
