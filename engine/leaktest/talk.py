"""One conversation through the element: both parties' messages, what was planted in them, and all that came out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, final

from engine.leaktest.canaries import Canaries, Canary
from engine.leaktest.draft import Draft, Mark
from engine.leaktest.pair import Pair, Trunk, shown
from engine.leaktest.places import Place
from engine.leaktest.wires import CALLEE, CALLER, Arrival, Wires
from sipstack import headers as h
from sipstack.message import Message

Wanted = tuple[str, Callable[[Message], bool]]

ANSWER_S: Final = 2.0  # so long the element may take for its next message: a record waits for the disk


@final
@dataclass(frozen=True, slots=True)
class Event:
    """A message of the conversation in its place in time. `arrival` is None for what a party sent."""

    party: str
    sent: Draft | None
    arrival: Arrival | None


@final
@dataclass(frozen=True, slots=True)
class Planted:
    """A place that was written into a message which has been sent: the event's index."""

    place: Place
    point: str
    by: str
    at: int
    own: bool


@final
@dataclass(slots=True)
class Dialog:
    """One party's view of a dialog: what its next request is made of."""

    party: str
    call_id: str
    local: str
    remote: str
    target: str
    routes: list[str]
    cseq: int


@final
@dataclass(slots=True)
class Work:
    """What a conversation is for: which places at which message, with canaries or with the sender's own number."""

    flow: str
    point: str = ""
    by: str = ""
    places: tuple[Place, ...] = ()
    own: bool = False


@final
@dataclass(slots=True)
class Talk:
    """The state of one conversation. `known` are Call-IDs of earlier ones: what still comes of them is only kept."""

    pair: Pair
    wires: Wires
    canaries: Canaries
    work: Work
    known: set[str]
    events: list[Event] = field(default_factory=list)
    planted: list[Planted] = field(default_factory=list)
    values: list[Canary] = field(default_factory=list)
    points: dict[tuple[str, str], int] = field(default_factory=dict)  # (message, party) -> its event
    _pending: list[Arrival] = field(default_factory=list)
    _seen: set[tuple[str, bytes]] = field(default_factory=set)
    _own: dict[str, dict[str, str]] = field(default_factory=dict)

    # -- what the parties are made of ----------------------------------------------------------------------------

    def given(self, party: str, place: str, point: str = "") -> str:
        """A value of the party's own for this conversation: made once for each place, and planted by being used.

        `point` makes another one for each point: a branch.
        """
        made = self._own.setdefault(party, {})
        key = f"{place}|{point}"
        if key not in made:
            is_count = place in ("topology/CSeq", "sdp/o= session id")
            made[key] = str(self.canaries.count()) if is_count else self.canaries.word()
            self.values.append(Canary(made[key], place, point, party))
        return made[key]

    def trunk(self, party: str) -> Trunk:
        return self.pair.side(party)

    def contact(self, party: str) -> str:
        trunk = self.trunk(party)
        return f"<sip:{trunk.number}@{shown(trunk.address)}>"

    # -- out -----------------------------------------------------------------------------------------------------

    def send(self, party: str, draft: Draft, point: str) -> None:
        """Sends a message, with the canaries in it that this conversation is for."""
        if point == self.work.point and party == self.work.by:
            for place in self.work.places:
                self._plant(party, draft, point, place)
        self.points[point, party] = len(self.events)
        self.events.append(Event(party, draft, None))
        self.wires.send(party, draft.to_bytes())

    def _plant(self, party: str, draft: Draft, point: str, place: Place) -> None:
        own = self.work.own
        number = self.trunk(party).number if own else self.canaries.number()
        mark = Mark(number, self.canaries.word())
        before = (draft.start, list(draft.rows), draft.body)
        place.put(draft, mark)
        if before == (draft.start, draft.rows, draft.body):
            return  # no such field in this message
        self.planted.append(Planted(place, point, party, len(self.events), own))
        self.values.append(Canary(mark.word, place.name, point, party))
        if not own:
            self.values.append(Canary(mark.number, place.name, point, party))

    # -- in ------------------------------------------------------------------------------------------------------

    async def wait(self, *wanted: Wanted, within_s: float = ANSWER_S) -> tuple[str, Message] | None:
        """The next message that one of `wanted` takes, (party, test) each; None when none comes in time.

        What none of them takes is kept for later.
        """
        for arrival in self._pending:
            if arrival.message is not None and _taken(arrival, wanted):
                self._pending.remove(arrival)
                return arrival.party, arrival.message
        deadline = asyncio.get_running_loop().time() + within_s
        while (left := deadline - asyncio.get_running_loop().time()) > 0:
            try:
                async with asyncio.timeout(left):  # before Python 3.12 `wait_for` can swallow that it is cancelled
                    arrival = self._addressed(await self.wires.arrivals.get())
            except TimeoutError:
                return None
            if not self._is_new(arrival) or arrival.message is None:
                continue
            if _taken(arrival, wanted):
                return arrival.party, arrival.message
            self._pending.append(arrival)
        return None

    def drain(self) -> None:
        """Notes what has come and nobody has waited for."""
        while not self.wires.arrivals.empty():
            self._is_new(self._addressed(self.wires.arrivals.get_nowait()))

    def _addressed(self, arrival: Arrival) -> Arrival:
        """Where both parties have one trunk, its target takes requests for either: whom this one is for."""
        message, caller = arrival.message, self.pair.caller
        shares = arrival.party == CALLEE and caller.name == self.pair.callee.name
        if shares and message is not None and message.status == 0 and caller.number in message.uri_text:
            return Arrival(CALLER, arrival.data, message, is_at_target=True)
        return arrival

    def _is_new(self, arrival: Arrival) -> bool:
        """Notes an arrival; False for repeats and for what belongs to an earlier conversation."""
        key = (arrival.party, arrival.data)
        message = arrival.message
        if message is not None and message.call_id in self.known:
            self.events.append(Event(arrival.party, None, arrival))
            if message.status == 0 and message.method != "ACK":
                answer = response(message, 200, "OK", shown(self.trunk(arrival.party).address))
                self.wires.send(arrival.party, answer.to_bytes())
            return False
        if key in self._seen:
            return False
        self._seen.add(key)
        self.events.append(Event(arrival.party, None, arrival))
        return True

    def call_ids(self) -> set[str]:
        """Of all dialogs in it."""
        found = {event.arrival.message.call_id for event in self.events if event.arrival and event.arrival.message}
        return found | {event.sent.get("Call-ID") for event in self.events if event.sent}


def _taken(arrival: Arrival, wanted: tuple[Wanted, ...]) -> bool:
    assert arrival.message is not None
    return any(party == arrival.party and test(arrival.message) for party, test in wanted)


def response(request: Message, status: int, reason: str, sender: str, to_tag: str = "") -> Draft:
    """An answer that copies what a response copies (RFC 3261 §8.2.6.2)."""
    rows = [("Via", value) for value in request.values(h.VIA)]
    rows += [("Record-Route", value) for value in request.values(h.RECORD_ROUTE)]
    to = request.value(h.TO) or ""
    rows.append(("From", request.value(h.FROM) or ""))
    rows.append(("To", f"{to};tag={to_tag}" if to_tag and ";tag=" not in to else to))
    rows.append(("Call-ID", request.call_id))
    rows.append(("CSeq", f"{request.cseq} {request.method}"))
    return Draft(f"SIP/2.0 {status} {reason}", rows, sender)
