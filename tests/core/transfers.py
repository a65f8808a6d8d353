"""The two ends of a conversation in which calls may be handed over: what each says, and what it hears."""

from __future__ import annotations

from sipstack.message import Message
from tests.core.corenode import CALLEE, CALLER, A, B, CoreNode
from tests.core.parties import Talk, answer, talking
from tests.core.test_refused_methods import BOTH_ALLOW

OTHER_X = "700123456780009"
CANARY_HOST = "10.66.77.88"
A_CONTACT = f"<sip:{A}@127.0.0.12:5060>"
B_CONTACT = f"<sip:{B}@127.0.0.13:5060>"


class End:
    """One end of a conversation, and the node's places on both sides of it."""

    def __init__(self, talk: Talk, side: str) -> None:
        self.talk, self.node = talk, talk.node
        is_caller = side == "caller"
        self.near, self.far = (CALLER, CALLEE) if is_caller else (CALLEE, CALLER)
        self._send, self._contact = (talk.from_caller, A_CONTACT) if is_caller else (talk.from_callee, B_CONTACT)
        self.is_caller = is_caller

    @property
    def other(self) -> End:
        return End(self.talk, "callee" if self.is_caller else "caller")

    @property
    def seq(self) -> int:
        """The number of the last request that it has sent."""
        return self.talk.caller_seq if self.is_caller else self.talk.callee_seq

    def send(self, method: str, extra: str, cseq: int = 0) -> None:
        self._send(method, extra=f"Contact: {self._contact}\n{extra.strip()}", cseq=cseq)

    def answers(self, request: Message, status: int, extra: str = "") -> None:
        """It answers what the node has sent it."""
        who = A if self.is_caller else B
        self.node.book.wire_in(answer(request, status, extra=extra, contact=self._contact, who=who), self.near)

    def refers(self, target: str = f"<sip:{OTHER_X}@10.66.77.88>", rows: str = "") -> Message:
        """Asks the other side to call somebody; returns what the other side is asked."""
        self.send("REFER", f"Refer-To: {target}\n{rows}")
        return self.node.book.wire_out("REFER ", self.far)

    def hears(self, start_line: str) -> Message:
        return self.node.book.wire_out(start_line, self.near)


def report(number: int | None, status: str = "SIP/2.0 200 OK", state: str = "active;expires=60") -> str:
    event = "refer" if number is None else f"refer;id={number}"
    body = f"Content-Type: message/sipfrag;version=2.0\n\n{status}" if status else ""
    return f"Event: {event}\nSubscription-State: {state}\n{body}"


def transferring(side: str = "caller") -> End:
    return End(talking(CoreNode(BOTH_ALLOW)), side)
