"""The operator's running node: where the test's parties can take the places of his, on this machine."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from ipaddress import IPv4Network, IPv6Network
from random import Random
from typing import Final, final

from engine.config import targets, values
from engine.config.models import Config
from engine.config.peers import Peer
from engine.control.client import ControlError, ask
from engine.core.routing import Routing
from engine.core.settings import ListenerSettings
from engine.leaktest.bound import bound, free_x
from engine.leaktest.canaries import PREFIX, Canaries
from engine.leaktest.chosen import combinations, trunk
from engine.leaktest.errors import RigError
from engine.leaktest.own import is_free
from engine.leaktest.pair import Address, Pair, shown
from sipstack.events import Flow

_DRAWS: Final = 3  # numbers with each prefix, until one takes the wanted route
_MOBILE: Final = tuple(f"1{second}{third}" for second in range(3, 10) for third in range(10))
_LANDLINE: Final = ("10", "20", "21", "755", "571")
_PORT: Final = 5070  # of the caller, where its trunk names none
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
    """One pair for each combination of trunks of which both ends can be had."""
    seats = _Seats(config, random)
    chosen = combinations(config)
    numbers = free_x(config.data_dir, random, len(chosen))
    found: list[Pair] = []
    for alike, x in zip(chosen, numbers, strict=True):
        for caller, callee in alike:
            pair = seats.pair(caller, callee, x)
            if pair is not None:
                found.append(pair)
                break
    if not found:
        raise RigError(seats.why)
    return found


@final
class _Seats:
    """Finds addresses of this machine for both parties; `why` says what was in the way last."""

    def __init__(self, config: Config, random: Random) -> None:
        self._config = config
        self._routing = Routing(config.core_settings())
        self._element = _element(config.listeners)
        self._relays_text = config.policy.message_text == "relay"
        self._random = random
        self._canaries = Canaries(random)
        self.why = "no peer with sources can reach one with targets"

    def pair(self, caller: Peer, callee: Peer, x: str) -> Pair | None:
        target = targets.target(callee.targets[0])
        seat = (target.host, target.port)
        number = self._routed(callee)
        if caller.caller == "digest" or caller.tls_names:
            self.why = f"{caller.name} must show a password or a certificate, which leak-test does not have"
        elif len(callee.targets) > 1:
            self.why = f"{callee.name} has several targets: what one refuses would be tried at another"
        elif target.address is None:
            self.why = f"{target.uri}, the target of {callee.name}, is a name: nobody can take its place"
        elif target.transport != "UDP":
            self.why = f"{target.uri}, the target of {callee.name}, is not over UDP: leak-test speaks nothing else"
        elif not is_free(seat):
            self.why = f"{shown(seat)}, the target of {callee.name}, is no free address of this machine"
        elif not number:
            self.why = f"no number of those tried is routed to {callee.name}"
        elif (address := self._caller_seat(caller, seat)) is None:
            self.why = f"no source of {caller.name} is a free address of this machine"
        else:
            calling = trunk(self._config, caller, address, self._at_home())
            return Pair(self._element, calling, trunk(self._config, callee, seat, number), x, self._relays_text)
        return None

    def _routed(self, callee: Peer) -> str:
        """A number that is first tried at this peer, "" when none of those drawn is."""
        for prefix in (PREFIX, *_MOBILE, *_LANDLINE):
            for _ in range(_DRAWS):
                number = self._canaries.number(prefix)
                hops = self._routing.hops(number)
                if hops and hops[0].peer.name == callee.name:
                    return number
        return ""

    def _at_home(self) -> str:
        """A number for the caller: one that no route takes, so that nothing sent to it goes to others."""
        for prefix in (PREFIX, *_MOBILE, *_LANDLINE):
            number = self._canaries.number(prefix)
            if not self._routing.hops(number):
                return number
        return self._canaries.number()

    def _caller_seat(self, caller: Peer, taken: Address) -> Address | None:
        """A free address of this machine from which the node takes requests as this peer's."""
        for address in _sources(caller, self._random):
            peer = self._routing.peer_of(Flow("UDP", *address))
            is_its = peer is not None and peer.name == caller.name
            if address[0] not in (taken[0], self._element[0]) and is_its and is_free(address):
                return address
        return None


def _sources(caller: Peer, random: Random) -> Iterator[Address]:
    """Where its requests may come from: first where it takes those of the node, such as reports on short messages."""
    for text in caller.targets:
        target = targets.target(text)
        if target.address is not None:
            yield target.host, target.port
    for entry in caller.match:
        match = values.match_entry(entry)
        for host in _hosts(match.network, random):
            yield host, match.port or _PORT


def _element(listeners: tuple[ListenerSettings, ...]) -> Address:
    """Where the node is reached from this machine over UDP, which is what the test's parties speak. RigError."""
    listener = next((one for one in listeners if one.transport == "UDP"), None)
    if listener is None:
        raise RigError("the node has no listener over UDP")
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(listener.host, listener.host), listener.port  # noqa: S104


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
