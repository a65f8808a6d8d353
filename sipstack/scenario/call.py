"""One call on its way through a scenario. No socket and no clock: time comes in, messages, commands and a deadline
come out.
"""

from __future__ import annotations

from typing import Final, final

from sipstack.digest import CHALLENGES
from sipstack.scenario.commands import Output, SendCmd
from sipstack.scenario.defaults import ABORT_COMMAND, DEFAULTS
from sipstack.scenario.expecting import doing_at, expected_at, hearing_at, passed
from sipstack.scenario.keywords import render
from sipstack.scenario.media import media_addresses
from sipstack.scenario.model import Element, Index, Nop, Optional, Pause, Recv, Scenario, Send, TellTwin
from sipstack.scenario.outgoing import Outgoing
from sipstack.scenario.perform import CallStopped, CheckFailed, Doing, perform
from sipstack.scenario.received import Received, route_set
from sipstack.scenario.rules import Rules
from sipstack.scenario.tally import Failure, Tally
from sipstack.scenario.template import Template
from sipstack.scenario.values import CallFault, Moment, Values
from sipstack.scenario.variables import as_number, is_set
from sipstack.scenario.waiting import Stopwatch, longest_wait, pause_s

# Elements without a wait in a row: more of them go round in circles.
_MAX_STEPS: Final = 1000
_ANSWERED_ALWAYS: Final = frozenset(("INFO", "NOTIFY", "OPTIONS", "UPDATE"))
_NO_INCREASE: Final = frozenset(("", "ACK", "CANCEL"))


@final
class Call:
    """Feed it with `start`, `receive`, `hear` and `timer`; then take `outputs`, look at `deadline` and `has_ended`."""

    def __init__(self, scenario: Scenario, rules: Rules, values: Values, tally: Tally) -> None:
        self.scenario = scenario
        self._elements = scenario.elements
        self._rules = rules
        self._values = values
        self._tally = tally
        self._index: Index = 0
        self._jump_to: Index | None = None
        self._pause_until: float | None = None
        self._restored_pause: float | None = None  # of the element that comes next
        self._receive_until: float | None = None
        self._on_receive_timeout: Index | None = None
        self._out = Outgoing(rules, values, tally)
        self._transactions: dict[str, str] = {}
        self._stopwatch = Stopwatch()
        self._queued: Received | None = None  # what `_unexp.main` is to look at
        self._invite_cseq: int | None = None  # of the last INVITE that has come
        self._failed: tuple[str, Failure] | None = None  # a check: the call goes on, and has failed at its end
        self.failure = ""  # why it has failed, once it has ended
        self.has_ended = False

    @property
    def call_id(self) -> str:
        """As text, one character a byte."""
        return self._values.call_id

    @property
    def outputs(self) -> list[Output]:
        """Messages and commands since it was last emptied, in the order in which they are to be carried out."""
        return self._out.outputs

    @outputs.setter
    def outputs(self, outputs: list[Output]) -> None:
        self._out.outputs = outputs

    @property
    def deadline(self) -> float | None:
        """When `timer` is due."""
        times = (self._pause_until, self._receive_until, self._out.again_at)
        return None if self.has_ended else min((at for at in times if at is not None), default=None)

    # ------------------------------------------------------------------ what happens

    def start(self, now: float) -> None:
        """Plays up to the first wait."""
        self._stopwatch.start(now)
        self._run(now)

    def timer(self, now: float) -> None:
        """The deadline has come."""
        if self._out.again_at is not None and self._out.again_at <= now:
            self._retransmit(now)
        if self.has_ended:
            return
        if self._pause_until is not None and self._pause_until <= now:
            self._run(now)
        elif self._receive_until is not None and self._receive_until <= now:
            self._receive_timed_out(now)

    def receive(self, message: Received, now: float) -> None:
        """A message with the Call-ID of this call."""
        if self._rules.ignores_in_pauses and isinstance(self._element(), Pause):
            return
        if (index := self._out.answers.taken_at(message)) is not None:
            self._tally.elements[index].retransmissions += 1
            self._out.answer_again(message)
            return
        if message.status and message.to_tag:
            self._values.peer_tag = message.to_tag
        if message.method == "INVITE":
            self._invite_cseq = message.cseq[0]
        elif message.method == "ACK":
            self._out.acknowledged()
            if self._rules.checks_ack and self._invite_cseq not in (None, message.cseq[0]):
                self._end(self._where("the CSeq of ACK is not that of the INVITE"), Failure.REJECTED)
                return
        self._find_place(message, now, may_jump=True)

    def hear(self, text: str, source: str, now: float) -> None:
        """A text of the twin, or of the peer of that name, with the Call-ID of this call."""
        if f"internal-cmd: {ABORT_COMMAND}" in text:
            self._abort(self._where("the twin has given up"), now, Failure.REJECTED, tells_twin=False)
            return
        found = hearing_at(self._elements, self._index)
        if found is None or (found[1].source and found[1].source != source):
            self._end(self._where(f"a text of the twin{doing_at(self._element())}"), Failure.REJECTED)
            return
        index, element = found
        self._tally.elements[index].messages += 1
        self._stopwatch.passes(element, self._tally, now)
        if self._perform(element, text.rstrip("\r\n"), now):
            self._go_on(element, index)
            self._run(now)

    def give_up(self, reason: str, now: float, kind: Failure = Failure.REJECTED) -> None:
        """Ends the call as failed, unless it only waits for repeats; what a polite end needs is in `outputs`."""
        element = self._element()
        if self.has_ended:
            return
        if isinstance(element, Pause) and element.is_timewait:
            self._end_well()
        else:
            self._abort(self._where(reason), now, kind)

    # ------------------------------------------------------------------ walking

    def _element(self) -> Element | None:
        return self._elements[self._index] if self._index < len(self._elements) else None

    def _run(self, now: float) -> None:
        """Plays until something must be waited for, or the end."""
        for _ in range(_MAX_STEPS):
            if self.has_ended:
                return
            element = self._element()
            if element is None:
                self._end_well()
                return
            if self._is_played(element) and not self._step(element, now):
                return
            self._go_on(element, self._index)
        self._end(self._where("goes round in circles"))

    def _is_played(self, element: Element) -> bool:
        """What `condexec` says."""
        wanted = not element.condexec_inverse
        return element.condexec is None or is_set(self._values.variable(element.condexec)) is wanted

    def _step(self, element: Element, now: float) -> bool:
        """True when the element is done with."""
        if isinstance(element, Send | TellTwin):
            if self._out.is_busy:
                return False
            return self._send(element, now) if isinstance(element, Send) else self._tell(element, now)
        if isinstance(element, Pause):
            if self._pause_until is None and not self._begin_pause(element, now):
                return False
            return self._pause_until is None or self._pause_until <= now
        if isinstance(element, Nop):
            self._stopwatch.passes(element, self._tally, now)
            return self._perform(element, self._out.last, now)
        if self._queued is not None and isinstance(element, Recv):
            queued, self._queued = self._queued, None
            self._find_place(queued, now, may_jump=False)
        elif self._receive_until is None:
            wait = longest_wait(self._elements, self._index, self._rules, self._values)
            if wait is not None:
                self._receive_until, self._on_receive_timeout = now + wait[0], wait[1]
        return False

    def _begin_pause(self, element: Pause, now: float) -> bool:
        self._tally.elements[self._index].messages += 1
        self._pause_until = now + pause_s(element, self._rules, self._values)
        self._stopwatch.passes(element, self._tally, now)
        return self._perform(element, self._out.last, now)

    def _go_on(self, element: Element, index: Index) -> None:
        """From `element`, which is done with, to where a jump leads, the label of `next`, or the one behind it."""
        target = self._jump_to
        if target is None and self._may_branch(element):
            is_lucky = element.chance is None or self._values.shared.random.random() < element.chance
            target = element.next if is_lucky else None
        self._index, self._jump_to = index + 1 if target is None else target, None
        self._pause_until, self._restored_pause = self._restored_pause, None
        self._receive_until = None

    def _may_branch(self, element: Element) -> bool:
        return element.test is None or is_set(self._values.variable(element.test))

    def _jump(self, label: Index | None, reason: str, now: float, kind: Failure) -> None:
        """To the label of `ontimeout`; without one, or with one at the very end, the call has failed."""
        self._out.again_at = None
        self._receive_until = self._pause_until = None
        if label is None or label >= len(self._elements):
            self._abort(reason, now, kind)
        else:
            self._index = label
            self._run(now)

    def _moment(self, now: float) -> Moment:
        return Moment(self._index, int((now - self._rules.began_s) * 1000))

    def _perform(self, element: Element, text: str, now: float) -> bool:
        """Carries out the actions; False when the call has ended by them."""
        if not element.actions:
            return True
        rules = self._rules
        doing = Doing(text, self._values, self._moment(now), self.outputs, rules.say, rules.log, len(self._elements))
        try:
            perform(element.actions, doing)
        except CheckFailed as failed:
            self._failed = self._failed or (self._where(str(failed), element), failed.kind)
        except CallStopped as stopped:
            self._end(self._where(str(stopped), element))
            return False
        except CallFault as fault:
            self._abort(self._where(str(fault), element), now, Failure.REJECTED)
            return False
        self._jump_to = doing.jump_to
        if doing.pause_until_ms is not None:
            self._restored_pause = rules.began_s + doing.pause_until_ms / 1000
        return True

    # ------------------------------------------------------------------ sending

    def _send(self, element: Send, now: float) -> bool:
        self._stopwatch.passes(element, self._tally, now)
        if element.method not in _NO_INCREASE:
            self._values.cseq += 1
        text = self._made(element.text, now, Failure.CANNOT_SEND)
        if text is None:
            return False
        if element.start_txn is not None:
            self._transactions[element.start_txn] = Received(text.encode("latin-1", "replace")).branch
        self._out.send(text, element, self._index, now)
        return self._perform(element, text, now)

    def _made(self, template: Template, now: float, kind: Failure) -> str | None:
        """A text with everything in its place; None when it cannot be made, and the call has ended by that."""
        try:
            return render(template, self._values, self._moment(now))
        except CallFault as fault:
            self._end(self._where(str(fault)), kind)
            return None

    def _tell(self, element: TellTwin, now: float) -> bool:
        text = self._made(element.text, now, Failure.CMD_NOT_SENT)
        if text is None:
            return False
        self.outputs.append(SendCmd(text, element.dest))
        self._tally.elements[self._index].messages += 1
        self._stopwatch.passes(element, self._tally, now)
        return self._perform(element, text, now)

    def _retransmit(self, now: float) -> None:
        element = self._elements[self._out.last_index]
        assert isinstance(element, Send)
        reason = self._out.repeat(element, now)
        if reason:
            self._jump(element.on_timeout, self._where(reason, element), now, Failure.MAX_RETRANS)

    # ------------------------------------------------------------------ receiving

    def _find_place(self, message: Received, now: float, *, may_jump: bool) -> None:
        found = expected_at(self._elements, self._index, message, self._transactions)
        if found is not None:
            if not self._out.loses(found[1], found[0]):
                self._take(message, found[1], found[0], now)
            return
        for element in passed(self._elements, self._index, message, self._transactions):
            if element.response_txn is not None or self._out.answers.acknowledges(message):
                self._out.answer_again(message)
                return
        if not (may_jump and self._interrupt(message, now)):
            self._unexpected(message, now)

    def _take(self, message: Received, element: Recv, index: Index, now: float) -> None:
        """A message that was waited for. As in SIPp, its actions still see the message before it as the last one."""
        values = self._values
        self._tally.elements[index].messages += 1
        self._stopwatch.passes(element, self._tally, now)
        if not element.ignores_sdp:
            values.media_to.update(media_addresses(message))
        if not self._perform(element, message.text, now):
            return
        values.cseq = max(values.cseq, message.cseq[0]) if message.method else values.cseq
        self._out.answered(message, index, now)
        if element.records_routes and not values.routes:
            values.routes, values.next_url = route_set(message)
        if element.keeps_challenge and message.status in CHALLENGES:
            values.challenge, values.nonce_count = (message.status, message), 0
        if not element.advances:
            return
        self._out.answers.take(message, index)
        values.last = message
        jumps = self._jump_to is not None or (element.next is not None and self._may_branch(element))
        ends = self._index <= index == len(self._elements) - 1
        if element.optional is Optional.NO or jumps or ends:
            self._go_on(element, index)
            self._run(now)
        elif isinstance(self._element(), Send | TellTwin):
            self._run(now)  # it may have waited for an end of retransmission

    def _receive_timed_out(self, now: float) -> None:
        element = self._elements[self._index]
        self._tally.elements[self._index].timeouts += 1
        reason = self._where(f"waited too long for {element.shown}", element)
        self._jump(self._on_receive_timeout, reason, now, Failure.RECV_TIMEOUT)

    # ------------------------------------------------------------------ what is not expected

    def _interrupt(self, message: Received, now: float) -> bool:
        """To the label `_unexp.main`, which looks at the message; False when there is none, or the call is there."""
        scenario, values = self.scenario, self._values
        if scenario.on_unexpected is None:
            return False
        if scenario.return_variable is not None:
            if as_number(values.variable(scenario.return_variable)):
                return False
            values.assign(scenario.return_variable, float(self._index))
        if scenario.pause_variable is not None:
            until_ms = 0 if self._pause_until is None else self._moment(self._pause_until).elapsed_ms
            values.assign(scenario.pause_variable, float(until_ms))
        self._index, self._queued = scenario.on_unexpected, message
        self._pause_until = self._receive_until = None
        self._run(now)
        return True

    def _unexpected(self, message: Received, now: float) -> None:
        rules = self._rules
        self._tally.refused(message.status)
        self._tally.elements[min(self._index, len(self._elements) - 1)].unexpected += 1
        what = f"{message.status} {message.cseq[1]}" if message.status else message.method or "something that is no SIP"
        reason = self._where(f"unexpected {what}{doing_at(self._element())}")
        if message.method == "PING":
            if rules.answers_ping:
                self._answer(message, now)
        elif rules.answers_all and message.method in _ANSWERED_ALWAYS:
            self._tally.auto_answered += 1
            self._answer(message, now)
        elif rules.gives_up and message.method in ("BYE", "CANCEL"):
            if rules.ends_politely:
                self._answer(message, now)
            self._end(reason, Failure.UNEXPECTED)
        elif rules.gives_up:
            self._values.last = message
            self._abort(reason, now, Failure.UNEXPECTED)

    def _answer(self, message: Received, now: float) -> None:
        before, self._values.last = self._values.last, message
        self._say("200", now)
        self._values.last = before

    def _say(self, name: str, now: float) -> None:
        """One of the messages that stand in no scenario."""
        template = self.scenario.defaults.get(name, DEFAULTS[name])
        try:
            text = render(template, self._values, self._moment(now))
        except CallFault:
            return  # the other side made it too long: the call has failed already
        if name == "3pcc_abort":
            self.outputs.append(SendCmd(text))
        else:
            self._out.put(text)

    # ------------------------------------------------------------------ ends

    def _abort(self, reason: str, now: float, kind: Failure, *, tells_twin: bool = True) -> None:
        """Fails the call. A caller takes back what it has begun, as SIPp does."""
        last = self._values.last
        if tells_twin and self.scenario.uses_twin and self._index > 0:
            self._say("3pcc_abort", now)
        if self._rules.ends_politely and not self.scenario.is_server and last is not None:
            for name in self._out.farewell(last):
                self._say(name, now)
        self._end(reason, kind)

    def _where(self, reason: str, element: Element | None = None) -> str:
        """A reason with the line of the scenario that it is about."""
        element = element or self._elements[min(self._index, len(self._elements) - 1)]
        return f"{self.scenario.path}:{element.line}: {reason}"

    def _end_well(self) -> None:
        if self._failed is None:
            self.has_ended = True
            self._tally.successful += 1
        else:
            self._end(*self._failed)

    def _end(self, failure: str, kind: Failure = Failure.REJECTED) -> None:
        self.has_ended = True
        self.failure = failure
        self._tally.fail(failure, kind)
