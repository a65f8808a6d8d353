"""What a call sends, sends again and loses on purpose, and what it has settled with the other side by that."""

from __future__ import annotations

from typing import Final, final

from sipstack.scenario.answers import Answers
from sipstack.scenario.commands import Output
from sipstack.scenario.defaults import farewell
from sipstack.scenario.model import Element, Index, Send
from sipstack.scenario.received import Received
from sipstack.scenario.rules import Rules
from sipstack.scenario.tally import Tally
from sipstack.scenario.values import Values

_STOPS_RETRANSMISSION: Final = frozenset(("ACK", "CANCEL", "BYE", "PRACK"))


@final
class Outgoing:
    """Of one call. `again_at` is when the last message goes out again (RFC 3261 §17.1, with SIPp's limits)."""

    def __init__(self, rules: Rules, values: Values, tally: Tally) -> None:
        self._rules = rules
        self._values = values
        self._tally = tally
        self._delay_s = 0.0
        self._count = 0
        self._is_established = False
        self._owes_ack = False
        self.answers = Answers(is_loose=rules.compares_loosely)
        self.outputs: list[Output] = []
        self.last = ""  # of the scenario's messages
        self.last_index: Index = -1
        self.again_at: float | None = None

    @property
    def is_busy(self) -> bool:
        """A message that is repeated until it is answered holds up those behind it."""
        return self.again_at is not None

    def send(self, text: str, element: Send, index: Index, now: float) -> None:
        """A message of the scenario."""
        self.put(text, is_lost=self.loses(element, index))
        self._tally.elements[index].messages += 1
        self.last, self.last_index = text, index
        if element.retrans_s is not None and self._rules.retransmits:
            self.again_at, self._delay_s, self._count = now + element.retrans_s, element.retrans_s, 0

    def put(self, text: str, *, is_lost: bool = False) -> None:
        """Sends, and remembers what a repeat from the other side is answered with."""
        if text.startswith("ACK "):
            self._is_established, self._owes_ack = True, False
        self.answers.sent(text)
        if not is_lost:
            self.outputs.append(text.encode("latin-1", "replace"))

    def loses(self, element: Element, index: Index) -> bool:
        """True when a message of this element is thrown away on purpose."""
        percent = self._rules.lost_percent if element.lost_percent is None else element.lost_percent
        if not percent or self._values.shared.random.random() * 100 >= percent:
            return False
        self._tally.elements[index].lost += 1
        return True

    def repeat(self, element: Send, now: float) -> str:
        """The time has come; "", or why it does not go out any more."""
        is_invite = element.method == "INVITE"
        allowed = self._rules.max_invite_retrans if is_invite else self._rules.max_other_retrans
        counts = self._tally.elements[self.last_index]
        self._count += 1
        if self._count > allowed:
            counts.timeouts += 1
            return f"no answer after {allowed} retransmissions"
        self._delay_s = self._delay_s * 2 if is_invite else min(self._delay_s * 2, self._rules.t2_s)
        self.again_at = now + self._delay_s
        counts.retransmissions += 1
        self._tally.retransmissions += 1
        if not self.loses(element, self.last_index):
            self.outputs.append(self.last.encode("latin-1", "replace"))
        return ""

    def answer_again(self, message: Received) -> None:
        """To a repeat, when there is something to say."""
        answer = self.answers.to(message)
        if answer is not None:
            self.outputs.append(answer.encode("latin-1", "replace"))
            self._tally.retransmissions += 1

    def acknowledged(self) -> None:
        """An ACK has come."""
        self._is_established = True

    def answered(self, message: Received, index: Index, now: float) -> None:
        """The element at `index` has taken a message: it may be the answer to what is repeated."""
        self._owes_ack = self._owes_ack or message.status == 200
        is_answer = message.status > 0 or message.method in _STOPS_RETRANSMISSION
        if self.again_at is None or not is_answer or index <= self.last_index:
            return
        if 0 < message.status < 200 and message.cseq[1] != "INVITE":
            self._delay_s = self._rules.t2_s
            self.again_at = now + self._delay_s
        else:
            self.again_at = None

    def farewell(self, last: Received) -> tuple[str, ...]:
        """What takes back a call, by names of `defaults.DEFAULTS`; `last` is what has come last."""
        is_inviting = self.last.startswith("INVITE ")
        return farewell(last, is_inviting=is_inviting, is_established=self._is_established, owes_ack=self._owes_ack)
