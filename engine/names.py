"""The targets that are names: their addresses are kept fresh beside the calls, and the core is told of each change.

Without such a target nothing of this is loaded (4 MB of a DNS library), and nobody is asked.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final, final

from engine.core.routing import shown_address
from engine.core.settings import CoreSettings, ListenerSettings
from engine.logging import where
from sipstack.location import Address, DnsSettings, LookupFailed, Place, Reach

if TYPE_CHECKING:
    from engine.core.service import CallService
    from sipstack.aio.resolver import Found, Resolver

# A start waits so long for the first answers and then goes on: a node that serves without some of its targets is better
# than one that does not serve while a DNS server is away.
START_WAIT_S: Final = 2.0
COMMAND_WAIT_S: Final = 5.0  # who asks for an explanation waits longer

Log = Callable[..., None]


def places_of(settings: CoreSettings) -> dict[Place, str]:
    """What is to be looked up -> a target that says so, as configured."""
    targets = [target for peer in settings.peers for target in peer.targets]
    return {target.place: target.uri for target in reversed(targets) if target.place is not None}


def reach_of(listeners: Iterable[ListenerSettings]) -> Reach:
    """What the listeners can send to."""
    return frozenset((one.transport, 6 if ":" in one.host else 4) for one in listeners)


@final
class Names:
    """All targets of a node that are names, and what is known of them."""

    def __init__(self, settings: CoreSettings, dns: DnsSettings, log: Log) -> None:
        self._settings = settings
        self._dns = dns
        self._log = log
        self._resolver: Resolver | None = None
        self._service: CallService | None = None
        self._follow: Callable[[], None] = lambda: None
        self._found: dict[Place, Found] = {}

    async def start(self) -> None:
        """Asks for all of them, and waits for the first answers. LookupFailed when there is no server to ask."""
        await self.look_ahead(self._settings)

    async def look_ahead(self, settings: CoreSettings) -> None:
        """Asks for the names of other settings as well, and waits for the first answers. LookupFailed as `start`."""
        places = places_of(settings)
        if not places:
            return
        if self._resolver is None:
            from sipstack.aio.resolver import Resolver

            self._resolver = Resolver(reach_of(settings.listeners), self._dns, self._told, self._fault)
        self._resolver.watch(places | places_of(self._settings))
        if not await self._resolver.first_looks(START_WAIT_S):
            for place in places.keys() - self._found.keys():
                self._log("target has no address yet", target=places[place])

    def follow(self, settings: CoreSettings) -> None:
        """These settings are in force, and their names are the only ones."""
        self._settings = settings
        places = places_of(settings)
        if self._resolver is not None:
            self._resolver.watch(places)
        for place in self._found.keys() - places.keys():
            del self._found[place]

    def attach(self, service: CallService) -> None:
        """From now on the core knows what is known here."""
        self._service = service
        for place, found in self._found.items():
            service.trunks.resolved(place, found.addresses)

    def on_change(self, follow: Callable[[], None]) -> None:
        """`follow` is called whenever the core has been told something new."""
        self._follow = follow

    async def stop(self) -> None:
        """Asks no more."""
        if self._resolver is not None:
            await self._resolver.stop()

    def status(self) -> list[dict[str, object]]:
        """Each target that is a name, with its addresses and why there are none, or old ones."""
        return [
            {"target": target, "addresses": [told_address(one) for one in self._addresses(place)], "fault": fault}
            for place, target in reversed(places_of(self._settings).items())
            for fault in [self._found[place].fault if place in self._found else "no answer yet"]
        ]

    def _addresses(self, place: Place) -> tuple[Address, ...]:
        return self._found[place].addresses if place in self._found else ()

    def _told(self, place: Place, found: Found) -> None:
        """Called by the resolver after each look."""
        before = self._found.get(place)
        self._found[place] = found
        if _condition(found) != (_condition(before) if before is not None else WELL):
            target = places_of(self._settings).get(place, place.host)
            if found.fault:
                self._log("target is not resolved", target=target, reason=found.fault, addresses=len(found.addresses))
            else:
                self._log("target is resolved again", target=target, addresses=len(found.addresses))
        if self._service is not None and self._service.trunks.resolved(place, found.addresses):
            self._follow()

    def _fault(self, fault: Exception) -> None:
        """A bug of ours; the name is looked up again."""
        self._log("fault", kind=type(fault).__name__, where=where(fault))


# What the log is told once: a name with a fault, and whether there are old addresses; not each new reason.
WELL: Final = (False, True)


def _condition(found: Found) -> tuple[bool, bool]:
    return found.fault != "", bool(found.addresses)


def look_up(settings: CoreSettings, dns: DnsSettings) -> dict[Place, tuple[tuple[Address, ...], str]]:
    """What the DNS says now of all targets that are names, and why it says nothing; for commands that do not stay."""
    places = places_of(settings)
    if not places:
        return {}
    from sipstack.aio.resolver import look_up_once

    try:
        found = asyncio.run(look_up_once(places, reach_of(settings.listeners), dns, COMMAND_WAIT_S))
    except LookupFailed as error:
        return dict.fromkeys(places, ((), str(error)))
    return {place: (one.addresses, one.fault) for place, one in found.items()}


def told_address(address: Address) -> str:
    """For people: "udp:192.0.2.1:5060 priority 0 weight 10"."""
    return f"{shown_address(address)} priority {address.priority} weight {address.weight:g}"
