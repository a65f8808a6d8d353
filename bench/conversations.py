"""Conversations of a caller and a callee through the core, recorded so that they can be fed to it again.

What a conversation costs is the work for all the datagrams that come in, and for the timers that they leave behind.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from bench.bare_core import CALLEE, CALLER, UNBOUND_X, A, BareCore, X
from sipstack import headers as h
from sipstack.events import Flow
from sipstack.message import Message, render
from sipstack.parser import parse

# One call begins each millisecond: a thousand a second, as in the measurement with sockets.
SPACING_S: Final = 0.001
START_S: Final = 1000.0  # monotonic; no timer is near zero

SDP: Final = b"""v=0
o=user1 53655765 2353687637 IN IP4 127.0.0.12
s=-
c=IN IP4 127.0.0.12
t=0 0
m=audio 6000 RTP/AVP 8 0 101
a=rtpmap:8 PCMA/8000
a=rtpmap:0 PCMU/8000
a=rtpmap:101 telephone-event/8000
a=fmtp:101 0-15
a=ptime:20
a=sendrecv
""".replace(b"\n", b"\r\n")
HELD_SDP: Final = SDP.replace(b"2353687637", b"2353687638").replace(b"sendrecv", b"sendonly")
TEXT: Final = b"Your parcel waits at the door, code 1234. Please call me back on this number."

Incoming = list[tuple[bytes, Flow, float]]


@dataclass(frozen=True)
class Recording:
    """What came in, datagram by datagram, and what it led to."""

    incoming: Incoming
    calls: int
    sent: int  # datagrams
    commits: int

    def replay(self) -> None:
        """Feeds it to a new core, timers included. Raises RuntimeError when that core does something else."""
        core = BareCore()
        sent = sum(len(core.feed(data, flow, now)) for data, flow, now in self.incoming)
        core.rest()
        if (sent, core.commits) != (self.sent, self.commits):
            raise RuntimeError(f"{sent} sent, {core.commits} commits; recorded: {self.sent}, {self.commits}")


class Ends:
    """Caller and callee of one call: what either says, and what the core sends for it."""

    def __init__(self, core: BareCore, number: int) -> None:
        self._core = core
        self._number = number
        self._now = START_S + number * SPACING_S
        self.incoming: Incoming = []
        self.sent = 0

    def ask(
        self, method: str, cseq: int, to: str = "", user: str = X, body: bytes = b"", branch: str = ""
    ) -> list[Message]:
        """A request of the caller. `to` is the row of a To with tag.

        `branch` names another request whose transaction this one belongs to: CANCEL has the branch of its INVITE, and
        so has the ACK of a refusal (RFC 3261 §9.1, §17.1.1.3).
        """
        kind = "text/plain" if method == "MESSAGE" else "application/sdp"
        lines = [
            f"Via: SIP/2.0/UDP 127.0.0.12:5060;branch=z9hG4bK-1-{self._number}-{branch or f'{method}{cseq}'}",
            f"From: <sip:{A}@127.0.0.12:5060>;tag=1SIPp{self._number}",
            to or f"To: <sip:{user}@127.0.0.11:5060>",
            f"Call-ID: {self._number}-1@127.0.0.12",
            f"CSeq: {cseq} {method}",
            f"Contact: <sip:{A}@127.0.0.12:5060>",
            f"P-Asserted-Identity: <sip:{A}@127.0.0.12:5060>",
            "Max-Forwards: 70",
            "User-Agent: sipp-bench",
            "Allow: INVITE, ACK, CANCEL, BYE, OPTIONS",
            *([f"Content-Type: {kind}"] if body else []),
        ]
        return self._put(render(f"{method} sip:{user}@127.0.0.11:5060 SIP/2.0", lines, body), CALLER)

    def answer(self, request: Message, status: int, tag: str = "", body: bytes = b"") -> list[Message]:
        """A response of the callee."""
        to = request.line(h.TO) + (f";tag={tag}" if tag else "")
        lines = [
            request.line(h.VIA),
            request.line(h.FROM),
            to,
            request.line(h.CALL_ID),
            request.line(h.CSEQ),
            "Contact: <sip:uas@127.0.0.13:5060>",
            *(["Content-Type: application/sdp"] if body else []),
        ]
        return self._put(render(f"SIP/2.0 {status} OK", lines, body), CALLEE)

    def _put(self, data: bytes, flow: Flow) -> list[Message]:
        self.incoming.append((data, flow, self._now))
        sent = self._core.feed(data, flow, self._now)
        self.sent += len(sent)
        return [parse(datagram) for datagram in sent]


# -- the conversations: each plays one call ----------------------------------------------------------------------------


def answered(ends: Ends) -> None:
    """Seven messages in, seven out: the call that is measured with sockets, too."""
    _hang_up(ends, _talk(ends), 2)


def held(ends: Ends) -> None:
    """The same with a re-INVITE that puts the callee on hold."""
    to = _talk(ends)
    _, invite = ends.ask("INVITE", 2, to, body=HELD_SDP)
    _expect(ends.answer(invite, 200, body=SDP), 200)
    ends.ask("ACK", 2, to)
    _hang_up(ends, to, 3)


def cancelled(ends: Ends) -> None:
    """The caller gives up while it rings."""
    _, invite = ends.ask("INVITE", 1, body=SDP)
    ends.answer(invite, 180, "t")
    _, cancel, refusal = ends.ask("CANCEL", 1, branch="INVITE1")
    _expect([refusal], 487)
    ends.answer(cancel, 200)
    ends.answer(invite, 487, "t")
    ends.ask("ACK", 1, refusal.line(h.TO), branch="INVITE1")


def refused(ends: Ends) -> None:
    """Nobody is bound to the number: nothing leaves towards anybody."""
    _, refusal = ends.ask("INVITE", 1, user=UNBOUND_X, body=SDP)
    _expect([refusal], 404)
    ends.ask("ACK", 1, refusal.line(h.TO), UNBOUND_X, branch="INVITE1")


def message(ends: Ends) -> None:
    """One MESSAGE, delivered."""
    (sent,) = ends.ask("MESSAGE", 1, body=TEXT)
    _expect(ends.answer(sent, 200, "t"), 200)


CONVERSATIONS: Final[dict[str, Callable[[Ends], None]]] = {
    play.__name__: play for play in (answered, held, cancelled, refused, message)
}


def record(name: str, calls: int) -> Recording:
    """Plays a conversation that often and keeps what came in. Raises ValueError or RuntimeError when it went wrong."""
    core, incoming, sent = BareCore(), list[tuple[bytes, Flow, float]](), 0
    for number in range(calls):
        ends = Ends(core, number)
        CONVERSATIONS[name](ends)
        incoming += ends.incoming
        sent += ends.sent
    core.rest()
    return Recording(incoming, calls, sent, core.commits)


def _talk(ends: Ends) -> str:
    """From the INVITE to the ACK; the row of the To with the tag that the core gave."""
    _, invite = ends.ask("INVITE", 1, body=SDP)
    ends.answer(invite, 100)
    ends.answer(invite, 180, "t")
    (ok,) = ends.answer(invite, 200, "t", SDP)
    _expect([ok], 200)
    ends.ask("ACK", 1, ok.line(h.TO))
    return ok.line(h.TO)


def _hang_up(ends: Ends, to: str, cseq: int) -> None:
    (bye,) = ends.ask("BYE", cseq, to)
    _expect(ends.answer(bye, 200), 200)


def _expect(sent: list[Message], status: int) -> None:
    if [response.status for response in sent] != [status]:
        raise RuntimeError(f"{[response.status or response.method for response in sent]} instead of {status}")
