"""The operator's running node: where the test's parties can take the places of his, on this machine."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from ipaddress import IPv4Network, IPv6Network
from random import Random
from typing import Final

from engine.config import values
from engine.config.models import Config, Peer
from engine.control.client import ControlError, ask
from engine.core.routing import Routing
from engine.leaktest.bound import bound, free_x
from engine.leaktest.canaries import Canaries
from engine.leaktest.chosen import combinations, trunk
from engine.leaktest.errors import RigError
from engine.leaktest.own import is_free
from engine.leaktest.pair import Address, Pair, shown

_DRAWS: Final = 200  # numbers drawn until one takes the wanted route
_HOSTS: Final = 30  # addresses tried in a network
_LOOPBACK: Final = IPv4Network("127.0.0.0/8")


def why_not(config: Config, random: Random) -> str:
    """Why the running node cannot be driven; "" when it can."""
    try:
        ask(config.data_dir, "status")
        _pairs(config, random)
    except (ControlError, RigError) as error:
        return str(error)
    return ""


@asynccontextmanager
async def running_node(config: Config, random: Random) -> AsyncIterator[list[Pair]]:
    """The pairs that can be driven through the node that runs, bound inside. RigError, ControlError."""
    ask(config.data_dir, "status")
    pairs = _pairs(config, random)
    async with bound(config.data_dir, pairs):
        yield pairs


def _pairs(config: Config, random: Random) -> list[Pair]:
    routing = Routing(config.core_settings())
    listen = config.listen_address
    canaries = Canaries(random)
    found: list[Pair] = []
    why = "no route leads to a peer whose requests are taken too"
    chosen = combinations(config)
    numbers = free_x(config.data_dir, random, len(chosen))
    for (caller, callee), x in zip(chosen, numbers, strict=True):
        target = values.target(callee.targets[0])
        seat = (str(target.address), target.port)
        called = _routed(routing, callee, canaries)
        if not is_free(seat):
            why = f"{shown(seat)}, the target of {callee.name}, is no free address of this machine"
        elif not called:
            why = f"no mobile number of those tried takes a route to {callee.name}"
        elif (address := _caller_seat(routing, caller, seat, random)) is None:
            why = f"no source of {caller.name} is a free address of this machine"
        else:
            found.append(Pair(
                _element(listen), trunk(caller, address, canaries.number()), trunk(callee, seat, called), x,
                config.policy.message_text == "relay",
            ))  # fmt: skip
    if not found:
        raise RigError(why)
    return found


def _element(listen: Address) -> Address:
    """Where the node is reached from this machine."""
    return {"0.0.0.0": ("127.0.0.1", listen[1]), "::": ("::1", listen[1])}.get(listen[0], listen)  # noqa: S104


def _routed(routing: Routing, callee: Peer, canaries: Canaries) -> str:
    """A number that is first tried at this peer, "" when none of those drawn is."""
    for _ in range(_DRAWS):
        number = canaries.number()
        hops = routing.hops(number)
        if hops and hops[0].peer.name == callee.name:
            return number
    return ""


def _caller_seat(routing: Routing, caller: Peer, taken: Address, random: Random) -> Address | None:
    """A free address of this machine from which the node takes requests as this peer's."""
    for entry in caller.match:
        match = values.match_entry(entry)
        for host in _hosts(match.network, random):
            address = (host, match.port or 5070)
            peer = routing.peer_of(*address)
            is_its = peer is not None and peer.name == caller.name
            if host != taken[0] and is_its and is_free(address):
                return address
    return None


def _hosts(network: IPv4Network | IPv6Network, random: Random) -> Iterator[str]:
    """Addresses of a network that may be this machine's."""
    if network.num_addresses == 1:
        yield str(network.network_address)
    elif isinstance(network, IPv4Network) and network.overlaps(_LOOPBACK):
        inside = network if network.subnet_of(_LOOPBACK) else _LOOPBACK
        for _ in range(_HOSTS):
            yield str(inside[random.randrange(1, inside.num_addresses - 1)])
    else:
        for _ in range(_HOSTS):
            yield str(network[random.randrange(1, network.num_addresses - 1)])
