"""What one side of a leg sends and receives, each message once, and how the messages belong to each other."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Final, NamedTuple, final

from sipstack.scenario.captured.calls import Leg, tag_of
from sipstack.scenario.received import Received

# These take the CSeq of another request.
BORROW: Final = frozenset(("ACK", "CANCEL"))
_NO_REQUEST: Final = BORROW | {""}
_LEAN: Final = BORROW | {"PRACK"}  # names it


class Event(NamedTuple):
    """A message as one side has it."""

    at_s: float
    is_sent: bool
    message: Received


@final
class Events:
    """One side of a leg, in order. Places are indexes of `all`."""

    def __init__(self, leg: Leg, *, is_caller: bool) -> None:
        self.is_caller: Final = is_caller
        self.all: Final = list(_once(leg, is_caller))

    def request_of(self, place: int) -> int | None:
        """Where the request stands that a response answers, or the INVITE of an ACK or CANCEL; None when not here."""
        event = self.all[place]
        number, method = event.message.cseq
        wanted = (number, "INVITE" if event.message.method in BORROW else method)
        is_response = event.message.status > 0
        for before in range(place - 1, -1, -1):
            other = self.all[before]
            is_other_side = other.is_sent is not event.is_sent
            if other.message.method == wanted[1] and other.message.cseq == wanted and is_other_side is is_response:
                return before
        return None

    def last_received(self, place: int) -> int | None:
        """Where the message stands that has come last before one."""
        return next((before for before in range(place - 1, -1, -1) if not self.all[before].is_sent), None)

    def named(self, place: int) -> int | None:
        """Where the last message stands in which the other side has shown the tag that a request names it by; None for
        a tag that it has not shown."""
        tag = self.all[place].message.to_tag
        return next((at for at in self._shown(place) if _tag_of_sender(self.all[at].message) == tag), None)

    def names_latest(self, place: int) -> bool:
        """True when a request names it by what a scenario takes for the peer's tag there: that of the last response
        with one, whatever it answers."""
        shown = (self.all[at].message for at in self._shown(place))
        return next((one.to_tag for one in shown if one.status), "") == self.all[place].message.to_tag

    def _shown(self, place: int) -> Iterator[int]:
        """Where the other side has shown a tag, the last one first."""
        for at in range(place - 1, -1, -1):
            if not self.all[at].is_sent and _tag_of_sender(self.all[at].message):
                yield at

    def acknowledges_success(self, place: int) -> bool:
        """True for an ACK to a 2xx (RFC 3261 §13.2.2.4); any other one belongs to its INVITE's transaction."""
        wanted = (self.all[place].message.cseq[0], "INVITE")
        return any(
            200 <= one.message.status < 300 and one.message.cseq == wanted
            for one in self.all[:place]
            if not one.is_sent
        )

    def reliable(self, place: int) -> int | None:
        """Where the response stands that a PRACK is for (RFC 3262 §7.2)."""
        words = self.all[place].message.value("RAck").split()
        for before in range(place - 1, -1, -1):
            one = self.all[before]
            if words[:1] and not one.is_sent and one.message.status and one.message.value("RSeq") == words[0]:
                return before
        return None

    def counted(self, start: int, end: int) -> int:
        """Requests that are sent behind `start`, up to `end` with it, and have a CSeq of their own."""
        between = self.all[start + 1 : end + 1]
        return sum(one.is_sent and bool(one.message.method) and one.message.method not in BORROW for one in between)

    @property
    def lowest_cseq(self) -> int:
        """The lowest number in a CSeq that this side has sent."""
        return min(one.message.cseq[0] for one in self.all if one.is_sent and one.message.method)

    @property
    def is_counted(self) -> bool:
        """True when each request of this side has the next CSeq, and none that comes would move a counter between an
        INVITE and what takes its CSeq."""
        numbers = [one.message.cseq[0] for one in self.all if one.is_sent and one.message.method not in _NO_REQUEST]
        if any(after != before + 1 for before, after in pairwise(numbers)):
            return False
        for place, one in enumerate(self.all):
            if not one.is_sent or one.message.method not in _LEAN:
                continue
            start = self.request_of(place) or 0
            if any(not other.is_sent and other.message.method for other in self.all[start:place]):
                return False
        return True


def _once(leg: Leg, is_caller: bool) -> Iterator[Event]:
    """Without repeats, and without responses to what is not in the capture."""
    seen: set[tuple[object, ...]] = set()
    asked: set[tuple[bool, tuple[int, str]]] = set()
    for at_s, from_caller, message in leg.exchanges:
        key = _key(from_caller, message)
        if key in seen:
            continue
        seen.add(key)
        if message.method:
            asked.add((from_caller, message.cseq))
        elif (not from_caller, message.cseq) not in asked:
            continue
        yield Event(at_s, from_caller is is_caller, message)


def _tag_of_sender(message: Received) -> str:
    return tag_of(message.value("From")) if message.method else message.to_tag


def _key(from_caller: bool, message: Received) -> tuple[object, ...]:
    """Equal for a message and its repeats. An ACK that is sent again may have another branch."""
    branch = "" if message.method == "ACK" else message.branch
    return (
        from_caller, message.method or message.status, message.cseq, branch, message.to_tag, message.value("RSeq"),
        message.body,
    )  # fmt: skip
