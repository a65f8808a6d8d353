"""What a conversation has shown: whether each place was really driven, and what came out that must not.

Nothing here knows how the element works. It is judged by the bytes that the parties received.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, final

from engine.leaktest.canaries import Canary
from engine.leaktest.pair import Address, Pair, shown
from engine.leaktest.scan import Reading, Scanner, readings
from engine.leaktest.talk import Event, Talk
from engine.leaktest.wires import CALLEE, CALLER
from sipstack import headers as h
from sipstack.message import Message

# Media goes from one end to the other until it is anchored: these lines say where.
_MEDIA_LINES: Final = (b"c=", b"a=candidate:", b"a=remote-candidates:")
_SHORTEST: Final = 8  # an identifier that is shorter may be equal by chance
_BRANCH: Final = re.compile(r";\s*branch=([^;\s,]+)")
_SESSION: Final = re.compile(rb"^o=\S+ (\d+) ", re.MULTILINE)
_ICID: Final = re.compile(r'icid-value="?([^";\s]+)')

HOST: Final = "topology/host"
MADE: Final = "topology/identifiers made by the element"

# Where a number stands that nobody has planted there: the fields that the parties' own messages have it in.
_USUAL: Final = {
    "from": "identity/From user", "to": "identity/From user", "contact": "identity/Contact user",
    "p-asserted-identity": "identity/P-Asserted-Identity user",
}  # fmt: skip


_BODIES: Final = ("body", "text", "SDP", "Content-Type")


class Outcome(StrEnum):
    """What became of a message with a canary in it."""

    RELAYED = "relayed"
    KEPT = "kept"  # the element went on without sending anything to the other side
    REFUSED = "refused"
    NOT_ASKED = "not asked"  # of an answer: the element did not let the question through
    NOT_DRIVEN = "not driven"


@final
@dataclass(frozen=True, slots=True)
class Leak:
    """Something of one party that came to the other one."""

    place: str
    point: str  # the message into which it was put, "" for what is in all of them
    by: str  # whose it is
    seen_in: str  # "INVITE: From"
    spelling: str
    passed_by: str = ""  # the key of the configuration that lets it through


def outcome(talk: Talk, at: int) -> Outcome:
    """What the element did with the message that is event number `at`."""
    draft, by = talk.events[at].sent, talk.events[at].party
    assert draft is not None
    later = [event for event in talk.events[at + 1 :] if event.arrival is not None]
    if not draft.is_request or draft.start.startswith("ACK "):
        if any(event.party != by for event in later):
            return Outcome.RELAYED
        return Outcome.KEPT if later else Outcome.NOT_DRIVEN
    call_id, cseq = draft.get("Call-ID"), draft.get("CSeq")
    relayed = False
    for event in later:
        message = event.arrival.message if event.arrival is not None else None
        if event.party != by:
            relayed = relayed or message is None or message.status == 0
        elif message is not None and message.status >= 200 and _answers(message, call_id, cseq):
            if relayed:
                return Outcome.RELAYED
            return Outcome.REFUSED if message.status >= 300 else Outcome.KEPT
    return Outcome.NOT_DRIVEN


def _answers(message: Message, call_id: str, cseq: str) -> bool:
    return message.call_id == call_id and f"{message.cseq} {message.method}" == cseq


def _is_probe(event: Event) -> bool:
    message = event.arrival.message if event.arrival is not None else None
    return message is not None and message.method == "OPTIONS" and message.status > 0


@final
class Judge:
    """Knows all canaries of a run, and looks for them in what a conversation brought."""

    __slots__ = ("_canaries", "_scanner")

    def __init__(self) -> None:
        self._canaries: dict[str, Canary] = {}
        self._scanner = Scanner()

    def know(self, canary: Canary) -> None:
        self._canaries[canary.value] = canary
        self._scanner.add(canary.value)

    def leaks(self, talk: Talk) -> list[Leak]:
        """All that either party received of the other one; once for each place and field."""
        found: dict[Leak, None] = {}
        for canary in talk.values:
            self.know(canary)
        for event in talk.events:
            if event.arrival is None:
                continue
            other = CALLEE if event.party == CALLER else CALLER
            texts = readings(event.arrival.data)
            for leak in (*self._values(talk, event, other, texts), *_hosts(talk.pair, event, other, texts)):
                found[_allowed(leak, talk.pair)] = None
        for leak in _shared(talk):
            found[leak] = None
        return list(found)

    def _values(self, talk: Talk, event: Event, other: str, texts: list[Reading]) -> Iterator[Leak]:
        assert event.arrival is not None
        found = {
            value: spelling
            for value, spelling in self._scanner.find_in(texts).items()
            if self._canaries[value].by == other
        }
        fields = self._fields(event.arrival.data) if found else {}
        for value, spelling in found.items():
            canary = self._canaries[value]
            for field in fields.get(value, ["body"]):
                seen_in = f"{_name(event)}: {field}"
                from_where = [(canary.place, canary.point)] if canary.place else _own_places(talk, event, other, field)
                for place, point in from_where:
                    yield Leak(place, point, other, seen_in, spelling, _of_networks(value, field, talk.pair))

    def _fields(self, data: bytes) -> dict[str, list[str]]:
        """The fields in which each value stands; one that stands in no field alone is missing."""
        head, _, body = data.partition(b"\r\n\r\n")
        parts = [(_field(row), row) for row in head.split(b"\r\n")]
        parts += [(_line(line), line) for line in body.split(b"\r\n")]
        found: dict[str, list[str]] = {}
        for name, part in parts:
            for value in self._scanner.find(part):
                if name not in (names := found.setdefault(value, [])):
                    names.append(name)
        return found


def _of_networks(value: str, field: str, pair: Pair) -> str:
    """The key that lets the name of a network, which is no number, be told within one IMS; else ""."""
    is_named = not value.isdigit() and field.lower() == "p-charging-vector"
    return "profile" if is_named and pair.caller.is_ims and pair.callee.is_ims else ""


def _field(row: bytes) -> str:
    """The name of a header row, or "start line"."""
    name, colon, _ = row.partition(b":")
    return name.decode("latin-1") if colon and b" " not in name else "start line"


def _line(line: bytes) -> str:
    """A line of a body, by its letter where it is one of SDP."""
    return f"body {line[:2].decode()}" if line[1:2] == b"=" and line[:1].isalpha() else "body"


def _own_places(talk: Talk, event: Event, by: str, field: str) -> list[tuple[str, str]]:
    """Which places the sender's own number can have come from that stands in `field`: those written before `event`."""
    at = next(index for index, each in enumerate(talk.events) if each is event)
    candidates = [planted for planted in talk.planted if planted.own and planted.by == by and planted.at < at]
    written = [planted for planted in candidates if _is_in(planted.place.header, field)]
    usual = _USUAL.get(field.lower(), "identity/number elsewhere")
    return [(planted.place.name, planted.point) for planted in written] or [(usual, "")]


def _is_in(header: str, field: str) -> bool:
    """True when what was written into `header` may have been read in `field`."""
    if field.startswith("body"):
        return header in _BODIES
    return header == "Request-URI" if field == "start line" else header.lower() == field.lower()


def _name(event: Event) -> str:
    message = event.arrival.message if event.arrival is not None else None
    if message is None:
        return "bytes that are no message"
    return f"{message.status} to {message.method}" if message.status else message.method


def _hosts(pair: Pair, event: Event, other: str, texts: list[Reading]) -> Iterator[Leak]:
    """The other party's address anywhere but where media goes."""
    assert event.arrival is not None
    pattern = _host_pattern(pair.side(other).address, pair)
    if event.arrival.is_at_target or not any(pattern.search(text) for _, text, _ in texts):
        return
    head, _, body = event.arrival.data.partition(b"\r\n\r\n")
    lines = [(_field(row), row) for row in head.split(b"\r\n")]
    lines += [(_line(line), line) for line in body.split(b"\r\n") if not line.startswith(_MEDIA_LINES)]
    for field, line in lines:
        spelling = next((spelling for spelling, text, _ in readings(line) if pattern.search(text)), "")
        if spelling:
            yield Leak(HOST, "", other, f"{_name(event)}: {field}", spelling)


def _host_pattern(address: Address, pair: Pair) -> re.Pattern[str]:
    """The address; with its port where the element has, or the other party has, the same host."""
    host, _ = address
    others = [pair.element[0], *(side.address[0] for side in (pair.caller, pair.callee) if side.address != address)]
    text = shown(address) if host in others else host
    return re.compile(r"(?<![0-9.])" + re.escape(text) + r"(?![0-9])")


def _shared(talk: Talk) -> Iterator[Leak]:
    """What the element itself made for one side and showed to the other too."""
    made = {party: dict(_identifiers(talk, party)) for party in (CALLER, CALLEE)}
    own = {canary.value for canary in talk.values}
    for event in talk.events:
        if event.arrival is None or _is_probe(event):
            continue
        other = CALLEE if event.party == CALLER else CALLER
        text = event.arrival.data.decode("latin-1")
        for value, kind in made[other].items():
            if value not in own and value not in made[event.party] and value in text:
                yield Leak(MADE, "", other, f"{_name(event)}: {kind}", "plain")
        for value, kind in made[event.party].items():
            if value in made[other] and value not in own:
                yield Leak(MADE, "", other, f"{_name(event)}: {kind}", "plain")


def _identifiers(talk: Talk, party: str) -> Iterator[tuple[str, str]]:
    """(value, what it is) of what tells dialogs apart in the messages that came to this party."""
    for event in talk.events:
        if event.arrival is None or event.party != party or event.arrival.message is None:
            continue
        for value, kind in _named(event.arrival.message):
            if len(value) >= _SHORTEST:
                yield value, kind


def _named(message: Message) -> Iterator[tuple[str, str]]:
    if message.status == 0:
        yield message.call_id, "Call-ID"
        yield str(message.cseq), "CSeq"
        yield message.from_tag, "tag"
        for value in message.values(h.VIA)[:1]:
            for branch in _BRANCH.findall(value):
                yield branch, "branch"
    else:
        yield message.to_tag, "tag"
    for session in _SESSION.findall(message.body):
        yield session.decode(), "o= session id"
    for line in message.lines:
        for value in _ICID.findall(line):
            yield value, "icid-value"


def _allowed(leak: Leak, pair: Pair) -> Leak:
    """The same, naming the key of the configuration by which the operator lets it through."""
    towards = pair.side(CALLEE if leak.by == CALLER else CALLER)
    field = leak.seen_in.partition(": ")[2].lower()
    if field in (name.lower() for name in towards.pass_headers):
        return Leak(leak.place, leak.point, leak.by, leak.seen_in, leak.spelling, "pass_headers")
    if pair.relays_text and leak.place.startswith(("text/", "sms/TP-UD")) and field.startswith("body"):
        return Leak(leak.place, leak.point, leak.by, leak.seen_in, leak.spelling, "message_text")
    return leak


def known(pairs: Iterable[Pair]) -> Mapping[str, Canary]:
    """The parties' own numbers, which have no place of their own."""
    found: dict[str, Canary] = {}
    for pair in pairs:
        found[pair.caller.number] = Canary(pair.caller.number, "", "", CALLER)
        found[pair.callee.number] = Canary(pair.callee.number, "", "", CALLEE)
    return found
