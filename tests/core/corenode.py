"""A core without I/O for conversation tests: a store of a few bindings, records that become durable when told to."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace

from engine.core.attempt import AttemptBase
from engine.core.binding import Binding, Miss
from engine.core.outputs import CommitRecord, LookUpBinding
from engine.core.records import RECORD_COLUMNS, Step
from engine.core.service import CallService
from engine.core.settings import CoreSettings, PeerSettings, PolicySettings, RouteSettings, TargetSettings
from engine.core.tokens import TokenSource
from sipstack.events import Output, SendMessage
from sipstack.message import Message
from sipstack.testing.playbook import Playbook, wire
from sipstack.timers import Timing
from sipstack.transactions import Transactions

A = "13800138000"
B = "13900139000"
X = "700123456780001"
NODE = "127.0.0.11:5060"
CALLER = "127.0.0.12:5060"
CALLEE = "127.0.0.13:5060"
CALLEE2 = "127.0.0.14:5060"
WALL_AT_START = 1_790_000_000.0


def target(address: str) -> TargetSettings:
    host, _, port = address.rpartition(":")
    return TargetSettings(f"sip:{address}", host, int(port))


CALLER_SIDE = PeerSettings("caller-side", ("127.0.0.12",), (target(CALLER),))
CALLEE_SIDE = PeerSettings("callee-side", ("127.0.0.13", "127.0.0.14"), (target(CALLEE),))

SETTINGS = CoreSettings(
    node="veil-test",
    domain="veil.example",
    advertise=NODE,
    peers=(CALLER_SIDE, CALLEE_SIDE),
    routes=(
        RouteSettings("a", f"^{A}$", ("caller-side",)),
        RouteSettings("mobiles", "^1[3-9][0-9]{9}$", ("callee-side",)),
    ),
    policy=PolicySettings(),
)


def with_targets(*addresses: str, settings: CoreSettings = SETTINGS) -> CoreSettings:
    """The usual settings with these targets on the callee's side."""
    callee = replace(CALLEE_SIDE, targets=tuple(target(address) for address in addresses))
    return replace(settings, peers=(CALLER_SIDE, callee))


def axb(caller: str = A, callee: str = B, x: str = X, expires_at: float = WALL_AT_START + 86400) -> Binding:
    return Binding(
        "subs-1", 1, "AXB", x, "", caller, callee, x, "ap-demo", "bu-express", "order-1", "express", expires_at
    )


def seeded(seed: str) -> Callable[[int], bytes]:
    """Random bytes that are the same in every run."""
    state = [hashlib.sha256(seed.encode()).digest()]

    def draw(count: int) -> bytes:
        out = b""
        while len(out) < count:
            state[0] = hashlib.sha256(state[0]).digest()
            out += state[0]
        return out[:count]

    return draw


class CoreNode:
    """The core, its bindings, its records, and a playbook that talks to it."""

    def __init__(self, settings: CoreSettings = SETTINGS, bindings: tuple[Binding, ...] | None = None) -> None:
        self.service = CallService(settings, Transactions(Timing()), TokenSource(seeded("core")))
        self.service.set_wall_clock(WALL_AT_START - Playbook.START_S)
        pair = (axb(), axb(caller=B, callee=A))
        self.bindings = {(b.tel_x, b.caller): b for b in (pair if bindings is None else bindings)}
        self.store_answers = True
        self.durable: set[Step] = {Step.OPEN, Step.ANSWER, Step.CLOSE}  # steps that become durable at once
        self.held: list[CommitRecord] = []
        self.steps: list[tuple[Step, dict[str, object]]] = []
        self.book = Playbook(self.service, self._execute)

    def _execute(self, output: Output) -> list[Output]:
        if isinstance(output, LookUpBinding):
            return self.service.binding_looked_up(output, self._find(output), self.book.now)
        assert isinstance(output, CommitRecord)
        self.steps.append((output.step, dict(zip(RECORD_COLUMNS, output.values, strict=True))))
        if output.step in self.durable:
            return self.service.record_committed(output.attempt, output.step, True, self.book.now)
        self.held.append(output)
        return []

    def _find(self, query: LookUpBinding) -> Binding | Miss | None:
        if not self.store_answers:
            return None
        found = self.bindings.get((query.x, query.caller))
        if found is not None:
            return found
        return Miss.NOT_A_PARTY if any(x == query.x for x, _ in self.bindings) else Miss.UNBOUND

    def release_held(self, durable: bool = True) -> None:
        """The writer comes back with the oldest step that it was given."""
        held = self.held.pop(0)
        self.book.perform(self.service.record_committed(held.attempt, held.step, durable, self.book.now))

    @property
    def records(self) -> list[dict[str, object]]:
        """Closed records, in order."""
        return [values for step, values in self.steps if step is Step.CLOSE]

    @property
    def record(self) -> dict[str, object]:
        """The only record."""
        assert len(self.records) == 1, self.records
        return self.records[0]

    def live(self) -> list[AttemptBase]:
        return list(self.service.attempts)

    def sent_to(self, address: str) -> list[bytes]:
        """All bytes that ever left towards an address."""
        host, _, port = address.rpartition(":")
        return [sent.data for sent in self.book.log if (sent.flow.host, sent.flow.port) == (host, int(port))]


SDP = """
v=0
o=13800138000 2890844526 2890844526 IN IP4 127.0.0.12
s=Zhang San
c=IN IP4 10.1.2.3
t=0 0
m=audio 40000 RTP/AVP 8 101
a=rtpmap:8 PCMA/8000
"""


def invite(called: str = X, caller: str = A, branch: str = "z9hG4bKa1", extra: str = "", sdp: str = SDP) -> bytes:
    """The caller's INVITE of reference example-call.md, shortened."""
    body = f"Content-Type: application/sdp\n{extra}\n{sdp.strip()}" if sdp else extra.rstrip("\n") + "\n"
    return wire(
        f"""INVITE sip:{called}@veil.example;user=phone SIP/2.0
        Via: SIP/2.0/UDP 127.0.0.12:5060;branch={branch};rport
        Max-Forwards: 70
        From: "Zhang San" <sip:+86{caller}@core.example>;tag=a-tag
        To: <sip:{called}@veil.example>
        Call-ID: 1-4711@127.0.0.12
        CSeq: 1 INVITE
        Contact: <sip:{caller}@127.0.0.12:5060>
        P-Asserted-Identity: <sip:+86{caller}@core.example>, <tel:+86{caller}>
        Diversion: <sip:{caller}@core.example>;reason=unknown
        Supported: 100rel, timer, replaces, histinfo
        User-Agent: ExamplePhone/1.0 {caller}
        X-Order: {caller}
        {body}"""
    )


def answer(
    request: Message, status: int, tag: str = "b-tag", extra: str = "", sdp: str = "", contact: str = ""
) -> bytes:
    """The callee's response to a request that the node sent it."""
    where = contact or f"<sip:{B}@127.0.0.13:5060>"
    tagged = "" if "tag=" in (request.value(3) or "") or status == 100 else f";tag={tag}"
    rows = [f"Via: {value}" for value in request.values(1)]
    head = "\n".join(
        [
            f"SIP/2.0 {status} Whatever {B}",
            *rows,
            f"From: {request.value(2)}",
            f"To: {request.value(3)}{tagged}",
            f"Call-ID: {request.call_id}",
            f"CSeq: {request.cseq} {request.method}",
            f"Contact: {where}",
            f'P-Asserted-Identity: "Li Si" <tel:+86{B}>',
            f"Server: ExampleCore {B}",
        ]
    )
    tail = f"\nContent-Type: application/sdp\n{extra}\n{sdp.strip()}" if sdp else f"\n{extra}".rstrip("\n")
    return wire(head + tail)


B_SDP = SDP.replace("13800138000", B).replace("127.0.0.12", "127.0.0.13").replace("Zhang San", "Li Si")


def in_dialog(
    method: str, response: Message, cseq: int, branch: str, source: str = CALLER, extra: str = "", sdp: str = ""
) -> bytes:
    """A request of the caller in the dialog that `response` (as it reached the caller) made."""
    target_uri = (response.value(6) or "").strip("<>")
    tail = f"Content-Type: application/sdp\n{extra}\n{sdp.strip()}" if sdp else extra
    return wire(
        f"""{method} {target_uri} SIP/2.0
        Via: SIP/2.0/UDP {source};branch={branch};rport
        Max-Forwards: 70
        From: {response.value(2)}
        To: {response.value(3)}
        Call-ID: {response.call_id}
        CSeq: {cseq} {method}
        {tail}"""
    )


def callee_request(
    method: str, request: Message, cseq: int, branch: str, tag: str = "b-tag", extra: str = "", sdp: str = ""
) -> bytes:
    """A request of the callee in the dialog of `request` (the node's INVITE to it)."""
    target_uri = (request.value(6) or "").strip("<>")
    tail = f"Content-Type: application/sdp\n{extra}\n{sdp.strip()}" if sdp else extra
    return wire(
        f"""{method} {target_uri} SIP/2.0
        Via: SIP/2.0/UDP {CALLEE};branch={branch};rport
        Max-Forwards: 70
        From: {request.value(3)};tag={tag}
        To: {request.value(2)}
        Call-ID: {request.call_id}
        CSeq: {cseq} {method}
        {tail}"""
    )


def assert_nothing_crossed(node: CoreNode, call_ids: tuple[str, ...] = ("1-4711@127.0.0.12",)) -> None:
    """No byte sent to one side holds the other's number, name, Call-ID or tag."""
    for data in node.sent_to(CALLEE):
        assert A.encode() not in data and b"Zhang" not in data and b"a-tag" not in data, data
        assert all(call_id.encode() not in data for call_id in call_ids)
    for data in node.sent_to(CALLER):
        assert B.encode() not in data and b"Li Si" not in data and b"b-tag" not in data, data


def sends(outputs: list[Output]) -> list[SendMessage]:
    return [output for output in outputs if isinstance(output, SendMessage)]
