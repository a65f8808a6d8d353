"""One call on its way through a scenario. No socket and no clock: time comes in, datagrams and a deadline come out."""

from __future__ import annotations

import re
from typing import Final, final

from sipstack.scenario.actions import perform
from sipstack.scenario.defaults import ACK, ANSWER, BYE, CANCEL
from sipstack.scenario.keywords import Moment, Values, render
from sipstack.scenario.model import Element, Index, Nop, Optional, Pause, Recv, Scenario, Send, Template
from sipstack.scenario.received import Received, route_set
from sipstack.scenario.rules import Rules
from sipstack.scenario.tally import Failure, Tally

# Elements without a wait in a row: more of them go round in circles.
_MAX_STEPS: Final = 1000
# Messages of which a repeat is known again; a call of a scenario has far fewer.
_MAX_REMEMBERED: Final = 256
_STOPS_RETRANSMISSION: Final = frozenset(("ACK", "CANCEL", "BYE", "PRACK"))
_ANSWERED_ALWAYS: Final = frozenset(("INFO", "NOTIFY", "OPTIONS", "UPDATE"))
_CSEQ: Final = re.compile(r"^CSeq[ \t]*:[ \t]*(\d{1,10})[ \t]+(\S+)", re.IGNORECASE | re.MULTILINE)


@final
class Call:
    """Feed it with `start`, `receive` and `timer`; then take `outputs`, look at `deadline` and `has_ended`."""

    def __init__(self, scenario: Scenario, rules: Rules, values: Values, tally: Tally) -> None:
        self._scenario = scenario
        self._rules = rules
        self._values = values
        self._tally = tally
        self._index: Index = 0
        self._pause_until: float | None = None
        self._receive_until: float | None = None
        self._on_receive_timeout: Index | None = None
        self._retrans_at: float | None = None
        self._retrans_delay_s = 0.0
        self._retrans_count = 0
        self._last_sent = ""
        self._last_sent_index: Index = -1
        self._seen: dict[int, Index] = {}  # where each was taken
        self._answers: dict[tuple[int, str], str] = {}  # by CSeq: our last response, or under "ACK" our ACK
        self._transactions: dict[str, str] = {}
        self._is_established = False
        self._owes_ack = False
        self._failure = ""
        self.outputs: list[bytes] = []
        self.failure = ""  # why it has failed, once it has ended
        self.has_ended = False

    @property
    def call_id(self) -> str:
        """As text, one character a byte."""
        return self._values.call_id

    @property
    def deadline(self) -> float | None:
        """When `timer` is due."""
        times = (self._pause_until, self._receive_until, self._retrans_at)
        return None if self.has_ended else min((at for at in times if at is not None), default=None)

    # ------------------------------------------------------------------ what happens

    def start(self, now: float) -> None:
        """Plays up to the first wait."""
        self._run(now)

    def timer(self, now: float) -> None:
        """The deadline has come."""
        if self._retrans_at is not None and self._retrans_at <= now:
            self._retransmit(now)
        if self.has_ended:
            return
        if self._pause_until is not None and self._pause_until <= now:
            self._run(now)
        elif self._receive_until is not None and self._receive_until <= now:
            self._receive_timed_out(now)

    def receive(self, message: Received, now: float) -> None:
        """A message with the Call-ID of this call."""
        if self._is_repeat(message):
            return
        if message.status and message.to_tag:
            self._values.peer_tag = message.to_tag
        if message.method == "ACK":
            self._is_established = True
        index = self._expected_at(message)
        if index is None:
            if not self._is_late(message):
                self._unexpected(message, now)
            return
        element = self._scenario.elements[index]
        assert isinstance(element, Recv)
        self._take(message, element, index, now)

    def give_up(self, reason: str, now: float, kind: Failure = Failure.REJECTED) -> None:
        """Ends the call as failed; what a polite end needs is in `outputs`."""
        if not self.has_ended:
            self._abort(self._where(reason), now, kind)

    # ------------------------------------------------------------------ walking

    def _run(self, now: float) -> None:
        """Plays until something must be waited for, or the end."""
        for _ in range(_MAX_STEPS):
            if self.has_ended:
                return
            if self._index >= len(self._scenario.elements):
                self._end(self._failure)
                return
            element = self._scenario.elements[self._index]
            if not self._step(element, now):
                return
            self._go_on(element, self._index)
        self._end(self._where("goes round in circles"))

    def _step(self, element: Element, now: float) -> bool:
        """True when the element is done with."""
        if isinstance(element, Send):
            # A message that is repeated until it is answered holds up those behind it.
            return self._retrans_at is None and self._send(element, now)
        if isinstance(element, Pause):
            if self._pause_until is None:
                self._tally.elements[self._index].messages += 1
                length_s = self._rules.pause_s if element.duration_s is None else element.duration_s
                self._pause_until = now + length_s
            return self._pause_until <= now
        if isinstance(element, Nop):
            return self._perform(element, self._last_sent, now)
        if self._receive_until is None:
            self._set_receive_timeout(now)
        return False

    def _go_on(self, element: Element, index: Index) -> None:
        """From `element`, which is done with, to the one behind it or to its label."""
        target = self._target(element)
        self._index = index + 1 if target is None else target
        self._pause_until = None
        self._receive_until = None

    def _target(self, element: Element) -> Index | None:
        """Where the label of `next` stands, when it is to be taken."""
        taken = element.test is None or element.test in self._values.variables
        return element.next if taken else None

    def _jump(self, label: Index | None, reason: str, now: float, kind: Failure) -> None:
        """To the label of `ontimeout`; without one, or with one at the very end, the call has failed."""
        self._retrans_at = self._receive_until = self._pause_until = None
        if label is None or label >= len(self._scenario.elements):
            self._abort(reason, now, kind)
        else:
            self._index = label
            self._run(now)

    def _moment(self, now: float, index: Index) -> Moment:
        return Moment(index, int((now - self._rules.began_s) * 1000), self._rules.wall())

    def _perform(self, element: Element, text: str, now: float) -> bool:
        if element.actions:
            try:
                wrong = perform(element.actions, text, self._values, self._moment(now, self._index), self._rules.say)
            except OverflowError as error:
                wrong = str(error)
            if wrong:
                self._failure = self._where(wrong, element)
        return True

    # ------------------------------------------------------------------ sending

    def _send(self, element: Send, now: float) -> bool:
        if element.method not in ("", "ACK", "CANCEL"):
            self._values.cseq += 1
        try:
            text = render(element.text, self._values, self._moment(now, self._index))
        except OverflowError as error:
            self._end(self._where(str(error)))
            return False
        if element.start_txn is not None:
            self._transactions[element.start_txn] = Received(text.encode("latin-1", "replace")).branch
        self._put(text)
        self._tally.elements[self._index].messages += 1
        self._last_sent, self._last_sent_index = text, self._index
        if element.retrans_s is not None and self._rules.retransmits:
            self._retrans_at = now + element.retrans_s
            self._retrans_delay_s = element.retrans_s
            self._retrans_count = 0
        return self._perform(element, text, now)

    def _put(self, text: str) -> None:
        """Sends, and remembers what a repeat from the other side is answered with."""
        self.outputs.append(text.encode("latin-1", "replace"))
        is_ack = text.startswith("ACK ")
        if is_ack:
            self._is_established, self._owes_ack = True, False
        found = _CSEQ.search(text) if is_ack or text.startswith("SIP/2.0 ") else None
        if found is not None and len(self._answers) < _MAX_REMEMBERED:
            self._answers[int(found[1]), found[2].upper()] = text

    def _retransmit(self, now: float) -> None:
        is_invite = self._last_sent.startswith("INVITE ")
        allowed = self._rules.max_invite_retrans if is_invite else self._rules.max_other_retrans
        self._retrans_count += 1
        if self._retrans_count > allowed:
            element = self._scenario.elements[self._last_sent_index]
            assert isinstance(element, Send)
            reason = self._where(f"no answer after {allowed} retransmissions", element)
            self._tally.elements[self._last_sent_index].timeouts += 1
            self._jump(element.on_timeout, reason, now, Failure.MAX_RETRANS)
            return
        self._retrans_delay_s *= 2
        if not is_invite:
            self._retrans_delay_s = min(self._retrans_delay_s, self._rules.t2_s)
        self._retrans_at = now + self._retrans_delay_s
        self.outputs.append(self._last_sent.encode("latin-1", "replace"))
        self._tally.retransmissions += 1
        self._tally.elements[self._last_sent_index].retransmissions += 1

    # ------------------------------------------------------------------ receiving

    def _is_repeat(self, message: Received) -> bool:
        """True for the very bytes of an earlier message: it gets the same answer again, if it had one."""
        index = self._seen.get(self._key(message))
        if index is None:
            return False
        self._tally.elements[index].retransmissions += 1
        self._answer_again(message)
        return True

    def _key(self, message: Received) -> int:
        """What makes a repeat known: its bytes, or loosely the fields of RFC 2543 §11.5."""
        if not self._rules.compares_loosely:
            return hash(message.text)
        return hash((message.start_line, *(message.value(name) for name in ("From", "To", "CSeq"))))

    def _answer_again(self, message: Received) -> None:
        number, method = message.cseq
        kind = method if message.method else "ACK" if method == "INVITE" and message.status >= 200 else ""
        answer = self._answers.get((number, kind)) if message.method != "ACK" else None
        if answer is not None:
            self.outputs.append(answer.encode("latin-1", "replace"))
            self._tally.retransmissions += 1

    def _expected_at(self, message: Received) -> Index | None:
        """The element that waits for this message, as SIPp looks for it.

        From where the call stands over optional elements to the first that is not; then backwards over optional ones,
        and over all to those that are optional everywhere.
        """
        elements = self._scenario.elements
        for index in range(self._index, len(elements)):
            element = elements[index]
            if self._fits(element, index, message):
                return index
            if not isinstance(element, Recv) or element.optional is Optional.NO:
                break
        is_unbroken = True
        for index in range(min(self._index, len(elements)) - 1, -1, -1):
            element = elements[index]
            optional = element.optional if isinstance(element, Recv) else Optional.NO
            is_unbroken = is_unbroken and optional is not Optional.NO
            if (is_unbroken or optional is Optional.GLOBAL) and self._fits(element, index, message):
                return index
        return None

    def _fits(self, element: Element, index: Index, message: Received) -> bool:
        if not isinstance(element, Recv):
            return False
        if element.status:
            if element.status != message.status:
                return False
            if element.response_txn is not None:
                branch = self._transactions.get(element.response_txn)
                return branch is not None and branch == message.branch
            return index == 0 or message.cseq[1] in element.methods
        if element.pattern is not None:
            return bool(message.method) and element.pattern.search(message.method) is not None
        return element.request == message.method

    def _is_late(self, message: Received) -> bool:
        """True for a response that an element of the past waited for: an INVITE's is acknowledged once more."""
        for index in range(min(self._index, len(self._scenario.elements)) - 1, -1, -1):
            element = self._scenario.elements[index]
            if message.status and self._fits(element, index, message):
                assert isinstance(element, Recv)
                acknowledges = (message.cseq[0], "ACK") in self._answers and message.cseq[1] == "INVITE"
                if acknowledges or element.response_txn is not None:
                    self._answer_again(message)
                    return True
        return False

    def _take(self, message: Received, element: Recv, index: Index, now: float) -> None:
        """A message that was waited for."""
        if len(self._seen) < _MAX_REMEMBERED:
            self._seen[self._key(message)] = index
        self._tally.elements[index].messages += 1
        self._values.last = message
        self._values.cseq = max(self._values.cseq, message.cseq[0])
        self._stop_retransmitting(message, index, now)
        self._owes_ack = self._owes_ack or message.status == 200
        if element.records_routes and not self._values.routes:
            self._values.routes, self._values.next_url = route_set(message)
        self._perform(element, message.text, now)
        if element.optional is Optional.NO or self._target(element) is not None:
            self._go_on(element, index)
            self._run(now)
        elif isinstance(self._scenario.elements[self._index], Send):
            self._run(now)  # it may have waited for an end of retransmission

    def _stop_retransmitting(self, message: Received, index: Index, now: float) -> None:
        is_answer = message.status > 0 or message.method in _STOPS_RETRANSMISSION
        if self._retrans_at is None or not is_answer or index <= self._last_sent_index:
            return
        if 0 < message.status < 200 and message.cseq[1] != "INVITE":
            self._retrans_delay_s = self._rules.t2_s
            self._retrans_at = now + self._retrans_delay_s
        else:
            self._retrans_at = None

    def _set_receive_timeout(self, now: float) -> None:
        """The shortest time of the elements that wait together."""
        for element in self._scenario.elements[self._index :]:
            if not isinstance(element, Recv):
                return
            timeout_s = element.timeout_s if element.timeout_s is not None else self._rules.recv_timeout_s
            if timeout_s and (self._receive_until is None or now + timeout_s < self._receive_until):
                self._receive_until = now + timeout_s
                self._on_receive_timeout = element.on_timeout
            if element.optional is Optional.NO:
                return

    def _receive_timed_out(self, now: float) -> None:
        element = self._scenario.elements[self._index]
        shown = element.shown if isinstance(element, Recv) else "a message"
        self._tally.elements[self._index].timeouts += 1
        reason = self._where(f"waited too long for {shown}", element)
        self._jump(self._on_receive_timeout, reason, now, Failure.RECV_TIMEOUT)

    # ------------------------------------------------------------------ ends

    def _unexpected(self, message: Received, now: float) -> None:
        self._tally.unexpected += 1
        self._tally.elements[min(self._index, len(self._scenario.elements) - 1)].unexpected += 1
        what = f"{message.status} {message.cseq[1]}" if message.status else message.method or "something that is no SIP"
        reason = self._where(f"unexpected {what}{self._doing()}")
        if message.method == "PING":
            if self._rules.answers_ping:
                self._answer(message, now)
        elif self._rules.answers_all and message.method in _ANSWERED_ALWAYS:
            self._tally.auto_answered += 1
            self._answer(message, now)
        elif self._rules.gives_up and message.method in ("BYE", "CANCEL"):
            if self._rules.ends_politely:
                self._answer(message, now)
            self._end(reason, Failure.UNEXPECTED)
        elif self._rules.gives_up:
            self._values.last = message
            self._abort(reason, now, Failure.UNEXPECTED)

    def _doing(self) -> str:
        """For a person: what the call is at."""
        elements = self._scenario.elements
        element = elements[self._index] if self._index < len(elements) else None
        if isinstance(element, Recv):
            return f" while waiting for {element.shown}"
        return " in a pause" if isinstance(element, Pause) else " before a message could be sent"

    def _answer(self, message: Received, now: float) -> None:
        before, self._values.last = self._values.last, message
        self._say(ANSWER, now)
        self._values.last = before

    def _say(self, template: Template, now: float) -> None:
        """One of the messages that stand in no scenario."""
        try:
            self._put(render(template, self._values, self._moment(now, self._index)))
        except OverflowError:
            return  # the other side made it too long: the call has failed already

    def _abort(self, reason: str, now: float, kind: Failure) -> None:
        """Fails the call. A caller takes back what it has begun, as SIPp does."""
        last = self._values.last
        if self._rules.ends_politely and not self._scenario.is_server and last is not None:
            if self._is_established or not self._last_sent.startswith("INVITE "):
                self._say(BYE, now)
            elif last.status >= 300:  # a final answer: too late for CANCEL (RFC 3261 §9.1)
                self._say(ACK, now)
            elif self._owes_ack:
                self._say(ACK, now)
                self._say(BYE, now)
            else:
                self._say(CANCEL, now)
        self._end(reason, kind)

    def _where(self, reason: str, element: Element | None = None) -> str:
        """A reason with the line of the scenario that it is about."""
        elements = self._scenario.elements
        element = element or elements[min(self._index, len(elements) - 1)]
        return f"{self._scenario.path}:{element.line}: {reason}"

    def _end(self, failure: str, kind: Failure = Failure.REJECTED) -> None:
        self.has_ended = True
        self.failure = failure
        if failure:
            self._tally.fail(failure, kind)
        else:
            self._tally.successful += 1
