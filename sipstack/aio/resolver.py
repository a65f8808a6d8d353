"""Keeps the addresses of names fresh, in the background: nobody who sends ever waits for the DNS (RFC 3263).

For each name there is one task. It asks before what it knows runs out, and tells what it has found. Where no server
answers, what was known counts on for a stated time; an answer that there is nothing counts at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple, final

from sipstack.aio.dns_client import DnsClient
from sipstack.location import Address, DnsSettings, LookupFailed, Place, Query, Reach, Records, locate

# What is left of a record's life when it is asked for again: a fifth.
_REFRESHED_AT: Final = 0.8

# "There is no such name" is believed for so long at the most, whatever the zone says: somebody may have made it since.
MAX_NEGATIVE_TTL_S: Final = 60.0

# Under way at the same time, each with a socket: a configuration of a thousand names must not ask for all at once.
MAX_QUERIES: Final = 32


class Found(NamedTuple):
    """What is known of a place."""

    addresses: tuple[Address, ...]
    fault: str = ""  # why there are none, or why they are old ones; one line


class _Known(NamedTuple):
    records: Records
    due_at: float  # when it is asked for again
    usable_until: float


Told = Callable[[Place, Found], None]


@final
class Resolver:
    """The tasks of all names, and what they know. Everything happens in the loop's thread."""

    def __init__(
        self, reach: Reach, settings: DnsSettings, told: Told, on_fault: Callable[[Exception], None] | None = None
    ) -> None:
        """`told` hears of each place after each look; `on_fault` of what was raised there or by us: a bug, after which
        the name is looked up again. LookupFailed when there is no server to ask."""
        self._reach = reach
        self._settings = settings
        self._told = told
        self._on_fault = on_fault
        self._client = DnsClient(settings.servers, settings.timeout_s)
        self._loop = asyncio.get_running_loop()
        self._turns = asyncio.Semaphore(MAX_QUERIES)
        self._known: dict[Query, _Known] = {}
        self._tasks: dict[Place, asyncio.Task[None]] = {}
        self._first: dict[Place, asyncio.Event] = {}  # set when a place has been looked up once

    def watch(self, places: Iterable[Place]) -> None:
        """From now on these are kept fresh, and no others."""
        wanted = set(places)
        for place in set(self._tasks) - wanted:
            self._tasks.pop(place).cancel()
            del self._first[place]
        for place in wanted - set(self._tasks):
            self._first[place] = asyncio.Event()
            self._tasks[place] = self._loop.create_task(self._keep(place, self._first[place]))

    async def first_looks(self, within_s: float) -> bool:
        """Waits until each place has been looked up once, found or not; False when the time is over before that."""
        waits = [asyncio.ensure_future(event.wait()) for event in self._first.values()]
        if not waits:
            return True
        _, missing = await asyncio.wait(waits, timeout=within_s)
        for wait in missing:
            wait.cancel()
        return not missing

    async def stop(self) -> None:
        """Ends all tasks."""
        tasks = list(self._tasks.values())
        self.watch(())
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _keep(self, place: Place, first: asyncio.Event) -> None:
        """Until it is cancelled, or sees that it was: before Python 3.12 a wait that ends at that moment hides it."""
        while self._first.get(place) is first:
            try:
                found, due_at = await self._look(place)
                if self._first.get(place) is not first:
                    return
                self._told(place, found)
            except Exception as fault:  # a task that ends here would leave its name with old addresses for good
                due_at = 0.0
                if self._on_fault is not None:
                    self._on_fault(fault)
            first.set()
            self._forget_old()
            await asyncio.sleep(max(due_at - self._loop.time(), self._settings.min_ttl_s * _REFRESHED_AT))

    async def _look(self, place: Place) -> tuple[Found, float]:
        """What is known of a place now, and when it must be looked at again."""
        procedure = locate(place, self._reach)
        due_at = self._loop.time() + self._settings.max_ttl_s
        fault = ""
        try:
            query = next(procedure)
            while True:
                try:
                    known, failure = await self._answer(query)
                except LookupFailed as error:
                    fault, due_at = str(error), self._loop.time()
                    query = procedure.throw(error)
                    continue
                fault = failure or fault
                due_at = min(due_at, known.due_at)
                query = procedure.send(known.records)
        except StopIteration as done:
            addresses: Sequence[Address] = done.value
        except LookupFailed:
            addresses = ()
        return Found(tuple(addresses), fault or ("" if addresses else "the name has no address")), due_at

    async def _answer(self, query: Query) -> tuple[_Known, str]:
        """The answer to a query: the one that is known while it is good, else a new one; else the old one, and why."""
        known = self._known.get(query)
        if known is not None and self._loop.time() < known.due_at:
            return known, ""
        settings = self._settings
        try:
            async with self._turns:
                answer = await self._client.ask(query)
        except LookupFailed as error:
            if known is None or self._loop.time() >= known.usable_until:
                raise
            return known, str(error)
        most_s = settings.max_ttl_s if answer.records else min(settings.max_ttl_s, MAX_NEGATIVE_TTL_S)
        good_s = min(max(float(answer.ttl_s), settings.min_ttl_s), most_s)
        now = self._loop.time()
        known = _Known(answer.records, now + good_s * _REFRESHED_AT, now + good_s + settings.stale_s)
        self._known[query] = known
        return known, ""

    def _forget_old(self) -> None:
        now = self._loop.time()
        for query in [query for query, known in self._known.items() if known.usable_until <= now]:
            del self._known[query]


async def look_up_once(
    places: Iterable[Place], reach: Reach, settings: DnsSettings, within_s: float
) -> dict[Place, Found]:
    """What is found of each place in the time given, for who does not stay. LookupFailed as `Resolver`."""
    found: dict[Place, Found] = {}
    resolver = Resolver(reach, settings, lambda place, what: found.update({place: what}))
    resolver.watch(places)
    try:
        await resolver.first_looks(within_s)
    finally:
        await resolver.stop()
    return found
