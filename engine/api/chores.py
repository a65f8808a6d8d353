"""What the process of the API does by itself: tells of what has expired and is due, removes what is old."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Final, final

from engine.api.desk import Desk
from engine.domain.days import china_day
from engine.domain.problems import Problem
from engine.reports.holidays import calendar
from engine.store.errors import StoreError
from engine.store.events import outbox_done
from engine.store.expiry import (
    FOUND_AT_ONCE,
    ROWS_AT_ONCE,
    find_expired,
    is_expiry_due,
    is_outbox_taken,
    prune_outbox,
    tell_expired,
)
from engine.store.openings import announce_due
from engine.store.requests import are_answers_old, prune_answers

SWEEP_S: Final = 1.0  # so late, at the most, is told that a binding has expired
PRUNE_EVERY: Final = 5  # sweeps


@final
class Chores:
    """For the loop's thread."""

    def __init__(self, desk: Desk, log: Callable[..., None]) -> None:
        self._desk = desk
        self._log = log
        self._is_down = False
        self._alarmed = ""  # the day on which it was last looked

    async def run(self) -> None:
        """The task."""
        turn = 0
        while True:
            try:
                await self.sweep()
                if turn % PRUNE_EVERY == 0:
                    await self.prune()
                await self.alarm()
                self._is_down = False
            except (Problem, StoreError) as error:  # it is done later, and nothing is lost
                if not self._is_down:
                    self._log("the outbox is not served", reason=str(error))
                self._is_down = True
            turn += 1
            await asyncio.sleep(SWEEP_S)

    async def sweep(self) -> None:
        """Tells of all that has expired until now. Problem, StoreError."""
        now_s = self._desk.now()
        if not self._desk.read(lambda connection: is_expiry_due(connection, now_s)):
            return
        are_all = False
        while not are_all:
            found = await self._desk.read_aside(lambda connection: find_expired(connection, now_s))
            are_all = len(found) < FOUND_AT_ONCE
            for at in range(0, max(1, len(found)), ROWS_AT_ONCE):
                few, is_last = found[at : at + ROWS_AT_ONCE], are_all and at + ROWS_AT_ONCE >= len(found)
                await self._desk.write(partial(tell_expired, found=few, are_all=is_last, wall_s=now_s))

    async def alarm(self) -> None:
        """Tells, once a day of China, which openings are to be reported now. Problem, StoreError."""
        now_s = self._desk.now()
        if china_day(now_s) != self._alarmed:
            await self._desk.write(lambda connection: announce_due(connection, calendar(), now_s))
            self._alarmed = china_day(now_s)

    async def prune(self) -> None:
        """Removes rows of the outbox that are in a feed, and old answers. Problem, StoreError."""
        done = self._desk.feed.read(outbox_done)
        while self._desk.read(lambda connection: is_outbox_taken(connection, done)):
            await self._desk.write(lambda connection: prune_outbox(connection, done))
        now_s = self._desk.now()
        while self._desk.read(lambda connection: are_answers_old(connection, now_s)):
            await self._desk.write(lambda connection: prune_answers(connection, now_s))
