"""Plays a conversation whose messages are mutated, and looks at every step whether what must hold holds.

Looked at is what leaves, as the leak test reads it, which knows nothing of the gate; what is durable when it leaves;
how much there is of it, how long it took; and at the end what is left.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from engine.core.outputs import CommitRecord
from engine.core.records import CallRecord, Step
from engine.leaktest.scan import readings
from sipstack import headers as h
from sipstack.errors import RemoteSipError
from sipstack.events import SendMessage
from sipstack.message import Message
from sipstack.parser import parse
from tests.core.corenode import CALLEE, CALLEE2, CALLER, STRANGER, A, B, CoreNode
from tests.core.hostile import FORWARDED
from tests.fuzz.ends import End
from tests.fuzz.talks import MAX_CALL_S, address_of_b, opening, settings_of, steps_of
from tests.fuzz.twists import CHANGES
from tests.own_time import own_cpu_s

ENDS_WITHIN_S: Final = 400.0  # after max_call: whatever is left is gone
WORK_S: Final = 0.5  # of CPU for what one datagram leads to; a usual one takes 0.0005
MOST_DATAGRAMS: Final = 12  # that one datagram leads to at once
PAUSES_S: Final = (0.01, 0.3, 0.6, 1.0, 4.5, 12.0, 33.0, 70.0)
SOURCES: Final = (STRANGER, STRANGER, "127.0.0.12:5070", "127.0.0.13:5070", CALLEE2, CALLER, CALLEE)
_BETWEEN: Final = re.compile(r"(?<=[0-9])[-.() \t/\\\0]+(?=[0-9])")  # the separators of docs/privacy.md
ALL_STEPS: Final = frozenset((Step.OPEN, Step.ANSWER, Step.CLOSE, Step.CHANGE))

# What happens to a message on its way, or to the node meanwhile, besides `twists.CHANGES`.
EVENTS: Final = (
    "lost", "twice", "later", "from elsewhere", "pause", "store waits", "store fails", "store is back", "lookups wait",
    "lookup fails",
    "not delivered",
)  # fmt: skip


@dataclass(frozen=True)
class Twist:
    """One mutation: at which step of the ladder, what, and two numbers that say where and which."""

    at: int
    kind: str
    where: int = 0
    what: int = 0


@dataclass(frozen=True)
class Case:
    """A conversation and what is done to it. Its repr is all that is needed to play it again."""

    talk: str
    variant: int
    twists: tuple[Twist, ...]


def play(case: Case) -> None:
    """Plays it to the end. AssertionError for what does not hold; an exception of the node comes through."""
    stage = Stage(case)
    for at, line in enumerate(steps_of(case.talk)):
        stage.step(line, [twist for twist in case.twists if twist.at == at])
    stage.end()


class Stage:
    """A node between two ends, and what has left it so far."""

    def __init__(self, case: Case) -> None:
        self.settings = settings_of(case.talk, case.variant)
        self.node = CoreNode(self.settings)
        CoreNode.made.remove(self.node)  # looked at here
        self.is_store_bad = False  # from the first moment in which it did not take a row at once
        self.hides = case.talk != "transit"
        self.a, self.b = End("a", CALLER, A, 31_000), End("b", address_of_b(case.talk), B, 52_000)
        self.places = {self.a.host, self.b.host, CALLEE2.partition(":")[0]}
        uri, self.a.rows = opening(case.talk)
        self.a.uri = uri or self.a.uri
        self.secrets = {"a": (B, FORWARDED), "b": (A,)}  # numbers that the end may not be told
        self.seen = 0
        self.delayed: list[tuple[int, bytes, str]] = []  # steps that are still to pass, datagram, source
        self.foreign: set[str] = set()  # Call-IDs of what one side said from the other's address

    # -- what happens ----------------------------------------------------------------------------------------------

    def step(self, line: str, twists: list[Twist]) -> None:
        """One line of the ladder; then whatever has waited for it."""
        who, verb, *words = line.partition("|")[0].split()
        for twist in twists:
            self._befalls(twist)
        if who == "wait":
            self._wait(float(verb))
        else:
            end = self.a if who[0] == "a" else self.b
            rows = [end.filled(row.strip()) for row in line.split("|")[1:]]
            data = _said(end, who, verb, words, rows)
            if data is not None:
                self._sends(end, data, twists)
        due = [one for one in self.delayed if one[0] <= 0]
        self.delayed = [(steps - 1, data, source) for steps, data, source in self.delayed if steps > 0]
        for _, data, source in due:
            self._arrives(data, source)

    def _sends(self, end: End, data: bytes, twists: list[Twist]) -> None:
        copies = [(0, end.address)]
        for twist in twists:
            if twist.kind in CHANGES:
                data = CHANGES[twist.kind](data, twist.where, twist.what, end) or b"\r\n"
            elif twist.kind == "lost":
                copies = copies[1:]
            elif twist.kind == "twice":
                copies.append((twist.what % 4, end.address))
            elif twist.kind == "later":
                copies = [(steps + 1 + twist.what % 4, source) for steps, source in copies]
            elif twist.kind == "from elsewhere":
                copies = [(steps, SOURCES[twist.what % len(SOURCES)]) for steps, _ in copies]
        end.leaves(data)
        for steps, source in copies:
            if source.partition(":")[0] != end.host:
                self._not_its_own(data)
            if steps:
                self.delayed.append((steps, data, source))
            else:
                self._arrives(data, source)

    def _not_its_own(self, data: bytes) -> None:
        """Whoever stands there is told what it seems to have said: of such a Call-ID nothing is private."""
        rows = [row.decode("latin-1") for row in data.split(b"\r\n") if row.lower().startswith((b"call-id", b"i"))]
        self.foreign.update(row.partition(":")[2].strip() for row in rows)

    def _befalls(self, twist: Twist) -> None:
        node = self.node
        if twist.kind == "pause":
            self._wait(PAUSES_S[twist.what % len(PAUSES_S)])
        elif twist.kind == "store waits":
            self.is_store_bad = True
            node.durable = set(ALL_STEPS - {(Step.OPEN, Step.ANSWER, Step.CLOSE, Step.CHANGE)[twist.what % 4]})
        elif twist.kind == "store fails":
            self.is_store_bad = True
            node.durable = set()
            while node.held:
                node.release_held(False)
        elif twist.kind == "store is back":
            self._store_is_back()
        elif twist.kind == "lookups wait":
            node.looks_up = False
        elif twist.kind == "lookup fails":
            node.store_answers = twist.what % 2 == 0
        elif twist.kind == "not delivered" and node.book.log:
            last = node.book.log[-1 - twist.what % min(3, len(node.book.log))]
            node.book.perform(node.service.transport_failed(last.flow, node.book.now, last.data))
        self._look(b"")

    def _store_is_back(self) -> None:
        node = self.node
        node.durable, node.looks_up, node.store_answers = set(ALL_STEPS), True, True
        while node.held or node.lookups:
            if node.held:
                node.release_held()
            else:
                node.release_lookup()
        self._look(b"")

    def _wait(self, seconds: float) -> None:
        self.node.wait(seconds)
        self._look(b"")

    def _arrives(self, data: bytes, source: str) -> None:
        with own_cpu_s() as took:
            self.node.book.wire_in(data, source)
            assert took() < WORK_S, f"{took()} s of work for {len(data)} octets"
        sent = self.node.book.log[self.seen :]
        assert len(sent) <= MOST_DATAGRAMS, f"{len(sent)} datagrams for one"
        if source == STRANGER:
            assert not [one for one in sent if one.flow.host == STRANGER.partition(":")[0]], "a stranger is answered"
        self._look(data)

    # -- what holds ------------------------------------------------------------------------------------------------

    def _look(self, came: bytes) -> None:
        """All that has left since the last look."""
        for sent in self.node.book.log[self.seen :]:
            self.seen += 1
            message = _parsed(sent.data)
            receiver = self._receiver(sent, message)
            self._goes_where_it_may(sent, message, receiver)
            if message is None:  # an answer to what was mangled, with the mangled rows in it
                assert sent.data.startswith((b"SIP/2.0 4", b"SIP/2.0 5")), sent.data
                continue
            if self.hides and self.foreign.isdisjoint((message.call_id, *message.named("In-Reply-To"))):
                self._tells_nothing(receiver, sent.data)
            self._is_recorded(message, self.seen - 1, came)
            receiver.heard.append(message)
        self.node.book.sent.clear()
        assert not self.node.faults, self.node.faults

    def _tells_nothing(self, receiver: End, data: bytes) -> None:
        """No number in any spelling that a person or a program reads back, no word and no host of the other end.

        Words stand in texts, and addresses of the media in descriptions.
        """
        found = [(how, number) for how, text, _ in readings(data) for number in self.secrets[receiver.side]
                 if number in _BETWEEN.sub("", text)]  # fmt: skip
        assert not found, f"{found} crossed to {receiver.side}: {data!r}"
        other = self.b if receiver is self.a else self.a
        head = data.partition(b"\r\n\r\n")[0].lower()
        for secret in (other.word, other.host):
            has_said = secret.encode() in head and any(secret in row for one in receiver.said for row in one.lines)
            assert secret.encode() not in head or has_said, f"{secret} crossed to {receiver.side}: {data!r}"

    def _receiver(self, sent: SendMessage, message: Message | None) -> End:
        """By where it goes; what goes elsewhere is of a dialog whose Call-ID is the caller's own, or not."""
        if sent.flow.host in self.places:
            return self.a if sent.flow.host == self.a.host else self.b
        is_for_a = message is not None and message.call_id in {one.call_id for one in self.a.said}
        return self.a if is_for_a else self.b

    def _goes_where_it_may(self, sent: SendMessage, message: Message | None, receiver: End) -> None:
        """To the ends, and within a dialog to where its end said that it is, if its trunk is trusted."""
        if sent.flow.host in self.places:
            return
        peer = self.settings.peers[0 if receiver is self.a else 1]
        fields = (h.CONTACT, h.RECORD_ROUTE)
        named = [row for one in receiver.said for field in fields for row in one.values(field) if sent.flow.host in row]
        is_within = message is not None and message.is_request and message.to_tag and named
        assert is_within and peer.trusted, f"sent to {sent.flow.host}: {sent.data!r}"

    def _is_recorded(self, message: Message, place: int, came: bytes) -> None:
        """What must be on disk before this may leave was: `place` is how much had left before it."""
        if message.is_request and message.method in ("INVITE", "MESSAGE") and not self._is_within_a_call(message):
            ours = [
                place >= self.node.decided[done.attempt, Step.OPEN]
                for done in self.node.stored
                if done.step is Step.OPEN and message.call_id in _call_ids(done)
            ]
            assert any(ours) or self._is_report(message), f"{message.method} left before its open row"
        elif message.method in ("INVITE", "MESSAGE") and message.is_final and not self._is_within(message):
            self._is_answer_recorded(message, place, came)

    def _is_answer_recorded(self, message: Message, place: int, came: bytes) -> None:
        """A 2xx never leaves before its row; a refusal does while the store takes none, or where it is of bad bytes."""
        if message.status >= 300 and (self.is_store_bad or (came and _parsed(came) is None)):
            return
        kind, branch = (
            ("voice" if message.method == "INVITE" else "message"),
            message.top_via and message.top_via.branch,
        )
        of_it = {done.attempt.record for done in self.node.stored}
        keys = [(record.kind, record.caller_branch, record.caller_call_id) for record in of_it]
        for record, key in zip(of_it, keys, strict=True):
            if key == (kind, branch, message.call_id):
                assert place >= self._place_of(record, message.status < 300), f"{message.status} left before its row"

    def _place_of(self, record: CallRecord, is_success: bool) -> int:
        """How much had left when an attempt was durably answered, or ended."""
        steps = (Step.ANSWER, Step.CLOSE) if is_success else (Step.CLOSE,)
        done = [one for one in self.node.stored if one.attempt.record is record and one.step in steps]
        return min((self.node.decided[one.attempt, one.step] for one in done), default=len(self.node.book.log))

    def _is_within_a_call(self, message: Message) -> bool:
        """A caller of RFC 2543 has no tag; but its Call-ID is its own."""
        return message.to_tag != "" or any(
            one.is_request and one.call_id == message.call_id for one in self.a.said + self.b.said
        )

    def _is_report(self, message: Message) -> bool:
        return message.method == "MESSAGE" and bool(message.named("In-Reply-To"))

    def _is_within(self, message: Message) -> bool:
        """A response to a request of a dialog: its To tag was the node's already."""
        return sum(1 for one in self.a.said + self.b.said if one.to_tag and one.call_id == message.call_id) > 0

    def end(self) -> None:
        """All that is still to come comes; long after it nothing is left, and each attempt has its record."""
        for _, data, source in self.delayed:
            self._arrives(data, source)
        self._store_is_back()
        node = self.node
        self._wait(MAX_CALL_S + ENDS_WITHIN_S)
        context = node.context
        left = [*context.attempts, *context.dialogs, *context.reports, *context.transactions._context.merged]
        assert not left, f"left: {left}"
        sizes = (len(context.transactions), len(context.wheel), len(context.transactions.wheel), len(context.released))
        assert sizes == (0, 0, 0, 0), f"left: {sizes}"
        odd = [name for name in node.counters if name.startswith("unexpected")]
        assert not odd, odd
        ids = [record["record_id"] for record in node.records]
        assert len(ids) == len(set(ids)) == node.begun, f"{node.begun} attempts, {len(ids)} records"
        closes = [id(done.attempt.record) for done in node.stored if done.step is Step.CLOSE]
        assert len(closes) == len(set(closes)), "an attempt has two ends"


def _said(end: End, who: str, verb: str, words: list[str], rows: list[str]) -> bytes | None:
    """What a line of a ladder has an end say."""
    kind = words[-1] if words and words[-1] in ("sdp", "text", "dtmf", "frag", "parts") else ""
    if verb == "answers":
        return end.answers(words[0], int(words[1]), kind, rows, "t" + who[1:])
    if verb in ("calls", "asks"):
        return (end.calls if verb == "calls" else end.asks)(words[0], kind, rows)
    if verb == "acks":
        return end.acks(kind)
    if verb == "reports":
        return end.reports(words[0] == "ok", words[1] == "phone")
    return {"cancels": end.cancels, "shows": end.shows, "submits": end.submits, "delivers": end.delivers}[verb]()


def _call_ids(done: CommitRecord) -> set[str]:
    """What an attempt's tries are known by on the callee's side."""
    record = done.attempt.record
    return {record.callee_call_id, *(tried.call_id for tried in record.attempts)}


def _parsed(data: bytes) -> Message | None:
    try:
        return parse(data)
    except RemoteSipError:
        return None
