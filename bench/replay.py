"""What one call costs in the core: a recorded conversation, fed to it again without sockets, store or disk.

    .venv/bin/python bench/replay.py [--calls 2000] [--rounds 9] [--json]

One call is seven messages in (INVITE, 100, 180, 200, ACK, BYE, 200) and seven out. The identifiers that the core makes
come from a seed, so that the same answers fit in every round. Lookups and commits are answered at once: measured are
parsing, transactions, decision, gate and building. CPU time, the smallest of the rounds.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import time
from collections.abc import Callable

from engine.core.binding import Binding
from engine.core.outputs import CommitRecord, LookUpBinding
from engine.core.service import CallService
from engine.core.settings import CoreSettings, PeerSettings, PolicySettings, RouteSettings, TargetSettings
from engine.core.tokens import TokenSource
from sipstack import headers as h
from sipstack.events import Flow, Output, SendMessage
from sipstack.message import Message, render
from sipstack.parser import parse
from sipstack.timers import Timing
from sipstack.transactions import Transactions

CALLER, CALLEE = Flow("UDP", "127.0.0.12", 5060), Flow("UDP", "127.0.0.13", 5060)
A, B, X = "13800138000", "13900139000", "700123456780001"
SDP = b"""v=0
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
Incoming = list[tuple[bytes, Flow, float]]


def settings() -> CoreSettings:
    """Two trunks and one route."""
    caller = PeerSettings("caller-side", ("127.0.0.12",), (TargetSettings("sip:127.0.0.12:5060", "127.0.0.12", 5060),))
    callee = PeerSettings("callee-side", ("127.0.0.13",), (TargetSettings("sip:127.0.0.13:5060", "127.0.0.13", 5060),))
    route = RouteSettings("mobiles", "^1[3-9][0-9]{9}$", ("callee-side",))
    return CoreSettings("bench", "veil.example", "127.0.0.11:5060", (caller, callee), (route,), PolicySettings())


def seeded() -> Callable[[int], bytes]:
    """Random bytes, the same in every round."""
    counter = [0]

    def draw(count: int) -> bytes:
        counter[0] += 1
        return hashlib.shake_128(counter[0].to_bytes(8, "big")).digest(count)

    return draw


class Core:
    """The core with a store of one binding that answers at once."""

    def __init__(self) -> None:
        self.service = CallService(settings(), Transactions(Timing()), TokenSource(seeded()))
        self.binding = Binding("s", 1, "AXB", X, "", A, B, X, "ap", "bu", "o", "express", 1e12)
        self.records = 0

    def feed(self, data: bytes, flow: Flow, now: float) -> list[bytes]:
        """One datagram in; the datagrams that the core sends for it."""
        sent: list[bytes] = []
        self._perform(self.service.receive(data, flow, now), now, sent)
        return sent

    def _perform(self, outputs: list[Output], now: float, sent: list[bytes]) -> None:
        for output in outputs:
            if isinstance(output, SendMessage):
                sent.append(output.data)
            elif isinstance(output, LookUpBinding):
                self._perform(self.service.binding_looked_up(output, self.binding, now), now, sent)
            elif isinstance(output, CommitRecord):
                self.records += 1
                self._perform(self.service.record_committed(output.attempt, output.step, True, now), now, sent)


def record(calls: int) -> Incoming:
    """Plays the calls once and keeps what came in."""
    core, incoming = Core(), list[tuple[bytes, Flow, float]]()

    def put(data: bytes, flow: Flow, now: float) -> list[Message]:
        incoming.append((data, flow, now))
        return [parse(sent) for sent in core.feed(data, flow, now)]

    for number in range(calls):
        now = 1000.0 + number * 0.001
        _, invite = put(_request("INVITE", number, 1, f"To: <sip:{X}@127.0.0.11:5060>", X, SDP), CALLER, now)
        put(_answer(invite, 100, ""), CALLEE, now)
        put(_answer(invite, 180, "t"), CALLEE, now)
        (answer,) = put(_answer(invite, 200, "t", SDP), CALLEE, now)
        to = answer.line(h.TO)
        put(_request("ACK", number, 1, to, X), CALLER, now)
        (bye,) = put(_request("BYE", number, 2, to, X), CALLER, now)
        (done,) = put(_answer(bye, 200, ""), CALLEE, now)
        assert done.status == 200
    return incoming


def _request(method: str, number: int, cseq: int, to: str, user: str, body: bytes = b"") -> bytes:
    lines = [
        f"Via: SIP/2.0/UDP 127.0.0.12:5060;branch=z9hG4bK-1-{number}-{method}",
        f"From: <sip:{A}@127.0.0.12:5060>;tag=1SIPp{number}",
        to,
        f"Call-ID: {number}-1@127.0.0.12",
        f"CSeq: {cseq} {method}",
        f"Contact: <sip:{A}@127.0.0.12:5060>",
        f"P-Asserted-Identity: <sip:{A}@127.0.0.12:5060>",
        "Max-Forwards: 70",
        "User-Agent: sipp-bench",
        "Allow: INVITE, ACK, CANCEL, BYE, OPTIONS",
    ]
    if body:
        lines.append("Content-Type: application/sdp")
    return render(f"{method} sip:{user}@127.0.0.11:5060 SIP/2.0", lines, body)


def _answer(request: Message, status: int, tag: str, body: bytes = b"") -> bytes:
    to = request.line(h.TO) + (f";tag={tag}" if tag else "")
    lines = [request.line(h.VIA), request.line(h.FROM), to, request.line(h.CALL_ID), request.line(h.CSEQ)]
    lines.append("Contact: <sip:uas@127.0.0.13:5060>")
    if body:
        lines.append("Content-Type: application/sdp")
    return render(f"SIP/2.0 {status} OK", lines, body)


def main() -> int:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    incoming = record(options.calls)
    best = float("inf")
    for _ in range(options.rounds):
        core = Core()
        start = time.process_time()
        for data, flow, now in incoming:
            core.feed(data, flow, now)
        best = min(best, time.process_time() - start)
        assert core.records == 3 * options.calls
    figure = {
        "calls": options.calls,
        "rounds": options.rounds,
        "core_us_per_call": round(best / options.calls * 1e6, 1),
    }
    print(json.dumps(figure) if options.json else f"{figure['core_us_per_call']} µs of CPU per call in the core")
    return 0


if __name__ == "__main__":
    sys.exit(main())
