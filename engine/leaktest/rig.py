"""The run: which conversation drives which places, and the table that comes of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from fnmatch import fnmatchcase
from random import Random
from typing import Final, final

from engine.leaktest.bodies import BODIES, SDP_LINES, SHORT_MESSAGES, TEXTS
from engine.leaktest.canaries import Canaries
from engine.leaktest.errors import RigError
from engine.leaktest.flows import BUSY_FLOW, FLOWS, Flow, Stuck
from engine.leaktest.judge import HOST, MADE, Judge, Leak, Outcome, known, outcome
from engine.leaktest.pair import Pair
from engine.leaktest.phone import first_request
from engine.leaktest.places import GIVEN, HEADERS, REPORT, RESPONSE, Place
from engine.leaktest.talk import Talk, Work
from engine.leaktest.wires import CALLEE, CALLER, Wires

Progress = Callable[[int, int], None]

PLACES: Final = (*HEADERS, *SDP_LINES, *BODIES, *TEXTS, *SHORT_MESSAGES)
ALWAYS: Final = (*(place.name for place in GIVEN), HOST, MADE, "identity/number elsewhere")

# Refusals are all treated alike: in these the sender's own number is tried as well.
OWN_IN_RESPONSES: Final = frozenset(("180", "183", "181 to INVITE", "200 to INVITE", "200 after CANCEL", "200 to BYE",
                                     "200 to re-INVITE", "200 to UPDATE", "200 to INFO", "200 to PRACK",
                                     "302 to INVITE", "380 to INVITE", "486 to INVITE", "200 to MESSAGE"))  # fmt: skip

_TOGETHER: Final = 90  # places in one message: some 10 KiB of head
_PROBE_S: Final = 1.0
_LATE_S: Final = 1.5  # a repeat of what was not answered comes 500 ms behind it, and 1000 ms behind that
_PLAIN_TRIES: Final = 3  # the store may be busy with the binding that has just been made
_DIRECTIONS: Final = {CALLER: "caller > callee", CALLEE: "callee > caller"}


class Verdict(StrEnum):
    """Of one row."""

    OK = "ok"
    REFUSED = "refused"
    PASSED = "passed"
    LEAK = "LEAK"
    NOT_ASKED = "not asked"
    NOT_DRIVEN = "not driven"


@final
@dataclass(slots=True)
class Row:
    """One place, or one kind of message, between two trunks in one direction."""

    pair: str
    place: str
    by: str
    outcomes: dict[str, list[Outcome]] = field(default_factory=dict)  # message -> what became of it
    leaks: list[Leak] = field(default_factory=list)
    why: str = ""  # of "not driven"

    @property
    def direction(self) -> str:
        return _DIRECTIONS[self.by]

    @property
    def verdict(self) -> Verdict:
        """The worst of what has been seen."""
        if any(not leak.passed_by for leak in self.leaks):
            return Verdict.LEAK
        seen = [each for outcomes in self.outcomes.values() for each in outcomes]
        if not seen or Outcome.NOT_DRIVEN in seen:
            return Verdict.NOT_DRIVEN
        if self.leaks:
            return Verdict.PASSED
        kinds = set(seen) - {Outcome.NOT_ASKED}
        if not kinds:
            return Verdict.NOT_ASKED
        return Verdict.REFUSED if kinds == {Outcome.REFUSED} else Verdict.OK

    def count(self, wanted: Outcome) -> int:
        return sum(outcomes.count(wanted) for outcomes in self.outcomes.values())


@final
@dataclass(slots=True)
class Table:
    """All rows of a run, by pair, place and direction."""

    rows: dict[tuple[str, str, str], Row] = field(default_factory=dict)

    def row(self, pair: str, place: str, by: str) -> Row:
        return self.rows.setdefault((pair, place, by), Row(pair, place, by))

    def of(self, *verdicts: Verdict) -> list[Row]:
        return [row for row in self.rows.values() if row.verdict in verdicts]

    @property
    def is_clean(self) -> bool:
        """True when nothing leaked and everything was driven."""
        return bool(self.rows) and not self.of(Verdict.LEAK, Verdict.NOT_DRIVEN)


@final
class Rig:
    """Drives the places through the element, one conversation after the other."""

    def __init__(self, pairs: Sequence[Pair], wanted: str, random: Random) -> None:
        """`wanted` is a pattern of the shell for names of places: see `check_places`."""
        self._pairs = pairs
        self._places = tuple(place for place in PLACES if fnmatchcase(place.name, wanted))
        self._always = tuple(name for name in ALWAYS if fnmatchcase(name, wanted))
        avoid = [number for pair in pairs for number in (pair.x, pair.caller.number, pair.callee.number)]
        self._canaries = Canaries(random, avoid)
        self._judge = Judge()
        for canary in known(pairs).values():
            self._judge.know(canary)
        self._known: set[str] = set()
        self._plain: dict[tuple[str, str, str], Outcome] = {}  # what becomes of messages without canaries
        self.table = Table()
        self.talks = 0

    async def run(self, progress: Progress) -> Table:
        """All conversations between all pairs. RigError when a plain call does not get through."""
        works = list(self._works())
        total = len(works) * len(self._pairs)
        before: frozenset[int] = frozenset()
        for pair in self._pairs:
            wires = Wires(pair.element, before)
            try:
                for party in (CALLER, CALLEE):
                    await wires.open(party, pair.side(party).address)
                await self._check_plain(pair, wires)
                for work in works:
                    await self._drive(pair, wires, work)
                    self.talks += 1
                    progress(self.talks, total)
                await self._wait_for_late_ones(pair, wires)
            finally:
                await wires.close()
            before |= wires.received
        return self.table

    def _works(self) -> Iterable[Work]:
        """What is to be driven: many places in one message where the element will hardly refuse them."""
        for flow in FLOWS:
            yield Work(flow.name)
            for point, by, kind in flow.points:
                fitting = [place for place in self._places if place.on & {point, kind}]
                together = [place for place in fitting if not place.alone]
                for own in (False, True) if kind != RESPONSE or point in OWN_IN_RESPONSES else (False,):
                    chosen = [place for place in together if (place.own if own else place.foreign)]
                    for at in range(0, len(chosen), _TOGETHER):
                        yield Work(flow.name, point, by, tuple(chosen[at : at + _TOGETHER]), own)
                    for place in fitting:
                        if place.alone and (place.own if own else place.foreign) and _is_worth(place, point, own):
                            yield Work(flow.name, point, by, (place,), own)

    async def _wait_for_late_ones(self, pair: Pair, wires: Wires) -> None:
        """What comes behind the last conversation belongs to this pair; the next one may have the same addresses."""
        talk = Talk(pair, wires, self._canaries, Work(FLOWS[0].name), self._known)
        await talk.wait((CALLER, lambda _: False), within_s=_LATE_S)
        talk.drain()
        self._note_leaks(pair, talk)

    async def _check_plain(self, pair: Pair, wires: Wires) -> None:
        """A call with nothing hidden in it must get through: else every place would be called refused."""
        why = ""
        for _ in range(_PLAIN_TRIES):
            _, why = await self._hold(pair, wires, Work(FLOWS[0].name))
            if not why:
                return
        raise RigError(f"{pair.name}: a plain call does not get through: {why}")

    async def _drive(self, pair: Pair, wires: Wires, work: Work) -> None:
        """One conversation and its rows. Places that the element refuses together are driven in halves."""
        usual = self._plain.get((work.flow, work.point, work.by))
        if usual is Outcome.NOT_ASKED:
            return
        talk, why = await self._hold(pair, wires, work)
        self._note_leaks(pair, talk)
        if not work.places:
            self._note_given(pair, talk, why)
            return
        at = talk.points.get((work.point, work.by))
        became = Outcome.NOT_DRIVEN if at is None else outcome(talk, at)
        if len(work.places) > 1 and became in (Outcome.REFUSED, Outcome.NOT_DRIVEN) and became is not usual:
            half = len(work.places) // 2
            for places in (work.places[:half], work.places[half:]):
                await self._drive(pair, wires, Work(work.flow, work.point, work.by, places, work.own))
            return
        written = [planted.place for planted in talk.planted] if at is not None else work.places
        for place in written:
            for name in (place.name, f"message/{work.point}"):
                row = self.table.row(pair.name, name, work.by)
                row.outcomes.setdefault(work.point, []).append(became)
                if became is Outcome.NOT_DRIVEN:
                    row.why = why or "the element said nothing to it"

    async def _hold(self, pair: Pair, wires: Wires, work: Work) -> tuple[Talk, str]:
        """Holds a conversation to its end; what kept it from going on, or ""."""
        flow = _flow(work.flow)
        talk = Talk(pair, wires, self._canaries, work, self._known)
        why = ""
        try:
            await _to_its_end(flow.play(talk))
        except Stuck as stuck:
            why = str(stuck)
        await _probe(talk)
        talk.drain()
        self._known |= talk.call_ids()
        if work.flow == BUSY_FLOW:  # an element sends nothing more to a callee who has said so twice in a row
            await self._hold(pair, wires, Work(FLOWS[0].name))
        return talk, why

    def _note_given(self, pair: Pair, talk: Talk, why: str) -> None:
        """What the parties' own messages hold each time."""
        for point, by, kind in _flow(talk.work.flow).points:
            at = talk.points.get((point, by))
            became = Outcome.NOT_DRIVEN if at is None else outcome(talk, at)
            if at is None and kind in (RESPONSE, REPORT) and not why:
                became = Outcome.NOT_ASKED
                self.table.row(pair.name, f"message/{point}", by).outcomes.setdefault(point, []).append(became)
            self._plain[talk.work.flow, point, by] = became
        heard = {event.party for event in talk.events if event.arrival is not None}
        for by in (CALLER, CALLEE):
            if not any(event.sent is not None and event.party == by for event in talk.events):
                continue
            became = Outcome.RELAYED if heard - {by} else Outcome.KEPT if heard else Outcome.NOT_DRIVEN
            for name in self._always:
                row = self.table.row(pair.name, name, by)
                row.outcomes.setdefault(talk.work.flow, []).append(became)
                row.why = why if became is Outcome.NOT_DRIVEN else row.why

    def _note_leaks(self, pair: Pair, talk: Talk) -> None:
        for leak in self._judge.leaks(talk):
            names = [leak.place]
            if leak.point and leak.place not in ALWAYS:
                names.append(f"message/{leak.point}")
            for name in names:
                row = self.table.row(pair.name, name, leak.by)
                if leak not in row.leaks:
                    row.leaks.append(leak)


def check_places(wanted: str) -> None:
    """RigError when no place has a name like `wanted`, a pattern of the shell."""
    names = (*(place.name for place in PLACES), *ALWAYS)
    if not any(fnmatchcase(name, wanted) for name in names):
        groups = sorted({name.partition("/")[0] for name in names})
        raise RigError(f"no place has a name like {wanted!r}; their groups: {', '.join(groups)}")


def _is_worth(place: Place, point: str, own: bool) -> bool:
    """The sender's own number in a body of its own message: where bodies are at home."""
    return not own or not place.name.startswith("body/") or point in ("INVITE", "200 to INVITE", "INFO", "MESSAGE")


def _flow(name: str) -> Flow:
    return next(flow for flow in FLOWS if flow.name == name)


async def _to_its_end(conversation: Awaitable[None]) -> None:
    """Awaits it, and plays it to its end when cancelled meanwhile: a call left standing would talk on in the node."""
    playing = asyncio.ensure_future(conversation)
    try:
        await asyncio.shield(playing)
    except asyncio.CancelledError:
        with suppress(Stuck):
            await playing
        raise


async def _probe(talk: Talk) -> None:
    """An OPTIONS behind everything else: its answer says that the element has read what came before."""
    draft, _ = first_request(talk, "OPTIONS", about="probe")
    work, talk.work = talk.work, Work(talk.work.flow)
    talk.send(CALLER, draft, "probe")
    await talk.wait((CALLER, lambda message: message.method == "OPTIONS" and message.status >= 200), within_s=_PROBE_S)
    talk.work = work
