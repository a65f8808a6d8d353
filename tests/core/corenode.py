"""A core without I/O for conversation tests: a store of a few bindings, records that become durable when told to.

Each node is looked at after its test (conftest.py): see `CoreNode.assert_rests`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import replace
from typing import ClassVar

from engine.core.asking import AskHook, HookAnswer
from engine.core.attempt import AttemptBase
from engine.core.binding import Binding, Miss
from engine.core.context import Run
from engine.core.outputs import CommitRecord, FaultFound, InProgress, LeakFound, LookUpBinding, TargetChanged
from engine.core.records import RECORD_COLUMNS, Step
from engine.core.service import CallService
from engine.core.settings import (
    CoreSettings,
    ListenerSettings,
    PeerSettings,
    PolicySettings,
    RouteSettings,
    TargetSettings,
)
from engine.core.tokens import TokenSource
from sipstack import headers as h
from sipstack.events import Output
from sipstack.fields import split_list
from sipstack.message import Message
from sipstack.parser import parse
from sipstack.testing.playbook import Playbook
from sipstack.timers import Timing
from sipstack.transactions import Transactions

A = "13800138000"
B = "13900139000"
X = "700123456780001"
CENTRE_A = "13800100500"  # the service centre behind the caller's peer
CENTRE_B = "13800200500"
NODE = "127.0.0.11:5060"
CALLER = "127.0.0.12:5060"
CALLEE = "127.0.0.13:5060"
CALLEE2 = "127.0.0.14:5060"
STRANGER = "127.0.0.99:5060"  # matches no peer
CALL_ID = "1-4711@127.0.0.12"
WALL_AT_START = 1_790_000_000.0
NUMBERS_OF_OURS = 200_000_000  # CSeq numbers of the node have nine digits and begin with 2
HOST = re.compile(r"(?:@|SIP/2\.0/UDP |sips?:)([A-Za-z0-9.-]+)(?=[:;>,]|$)")
BRANCH = re.compile(r"branch=([^;,]+)")
ICID = re.compile(r'icid-value="?([^;"]+)')
FIRST_RUN = Run("boot", 1, hashlib.sha256(b"key").digest())
LONGEST_S = 400.0  # longer than any timer may keep anything of a call that has ended


def target(address: str) -> TargetSettings:
    host, _, port = address.rpartition(":")
    return TargetSettings(f"sip:{address}", host, int(port))


CALLER_SIDE = PeerSettings("caller-side", ("127.0.0.12",), (target(CALLER),), sms_centres=(CENTRE_A,))
CALLEE_SIDE = PeerSettings("callee-side", ("127.0.0.13", "127.0.0.14"), (target(CALLEE),), sms_centres=(CENTRE_B,))

SETTINGS = CoreSettings(
    node="veil-test",
    domain="veil.example",
    listeners=(ListenerSettings("UDP", "127.0.0.11", 5060, NODE),),
    peers=(CALLER_SIDE, CALLEE_SIDE),
    routes=(
        RouteSettings("a", f"^{A}$", ("caller-side",)),
        RouteSettings("mobiles", "^1[3-9][0-9]{9}$", ("callee-side",)),
    ),
    policy=PolicySettings(),
)
TWO_TARGETS = replace(SETTINGS, peers=(CALLER_SIDE, replace(CALLEE_SIDE, targets=(target(CALLEE), target(CALLEE2)))))


def with_trunk(name: str, settings: CoreSettings = SETTINGS, **changes: object) -> CoreSettings:
    """`settings`, where one of the trunks, "caller-side" or "callee-side", is another."""
    peers = [replace(p, **changes) if p.name == name else p for p in settings.peers]  # type: ignore[arg-type]
    return replace(settings, peers=tuple(peers))


def with_policy(settings: CoreSettings = SETTINGS, **changes: object) -> CoreSettings:
    return replace(settings, policy=replace(settings.policy, **changes))  # type: ignore[arg-type]


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

    made: ClassVar[list[CoreNode]] = []  # by the test that is running
    hides = True  # False: its calls are transit, and show who calls whom
    shares: ClassVar[tuple[str, ...]] = ()  # names of identifiers that both sides may have

    def __init__(
        self, settings: CoreSettings = SETTINGS, bindings: tuple[Binding, ...] | None = None, run: Run = FIRST_RUN
    ) -> None:
        tokens = TokenSource(seeded(f"core{run.epoch}"))
        self.service = CallService(settings, Transactions(Timing()), tokens, run)
        self.service.set_wall_clock(WALL_AT_START - Playbook.START_S)
        self.context = self.service._context
        pair = (axb(), axb(caller=B, callee=A))
        self.bindings = {(b.tel_x, b.caller): b for b in (pair if bindings is None else bindings)}
        self.store_gives_up = (
            False  # True: the writer stays silent until it is given up, so the order of rows says nothing
        )
        self.store_answers = True  # False: the lookup says that it cannot
        self.looks_up = True  # False: lookups wait in `lookups`
        self.lookups: list[LookUpBinding] = []
        self.asked: list[AskHook] = []  # questions to the app platform that wait
        self.durable: set[Step] = {Step.OPEN, Step.ANSWER, Step.CLOSE, Step.CHANGE}  # steps that become durable at once
        self.held: list[CommitRecord] = []
        self.steps: list[tuple[Step, dict[str, object]]] = []
        self.stored: list[CommitRecord] = []  # steps that are durable: what another run finds
        self.before = 0  # attempts of earlier runs that have left a row
        self.decided: dict[tuple[InProgress, Step], int] = {}  # how much had been sent when the store spoke
        self.echoes: set[bytes] = (
            set()
        )  # answers that tell a party nothing but what it wrote itself, though not of itself
        self.faults: list[Exception] = []  # those of ours that were caught
        self.leaks: list[tuple[str, str, str]] = []  # what the log is told of: record, message, trunk
        self.targets: list[tuple[str, str]] = []  # what the log is told of: address, state
        self.book = Playbook(self.service, self._execute)
        CoreNode.made.append(self)

    # -- the shell -------------------------------------------------------------------------------------------------

    def _execute(self, output: Output) -> list[Output]:
        if isinstance(output, LookUpBinding):
            if not self.looks_up:
                self.lookups.append(output)
                return []
            return self.service.binding_looked_up(output, self._find(output), self.book.now)
        if isinstance(output, LeakFound):
            self.leaks.append((output.record_id, output.message, output.peer))
            return []
        if isinstance(output, AskHook):
            self.asked.append(output)
            return []
        if isinstance(output, FaultFound):
            self.faults.append(output.fault)
            return []
        if isinstance(output, TargetChanged):
            self.targets.append((output.address, output.state))
            return []
        assert isinstance(output, CommitRecord)
        self.steps.append((output.step, dict(zip(RECORD_COLUMNS, output.values, strict=True))))
        if output.step is Step.KEEP:
            return []
        if output.step in self.durable:
            return self._committed(output, True)
        self.held.append(output)
        return []

    def _committed(self, output: CommitRecord, durable: bool) -> list[Output]:
        if durable:
            self.stored.append(output)
        self.decided.setdefault((output.attempt, output.step), len(self.book.log))  # opened again by a redirect
        return self.service.record_committed(output.attempt, output.step, durable, self.book.now)

    def _find(self, query: LookUpBinding) -> Binding | Miss | None:
        if not self.store_answers:
            return None
        found = self.bindings.get((query.x, query.caller))
        if found is not None:
            return found
        return Miss.NOT_A_PARTY if any(x == query.x for x, _ in self.bindings) else Miss.UNBOUND

    def release_lookup(self) -> None:
        """The store answers the oldest lookup that it was asked."""
        query = self.lookups.pop(0)
        self.book.perform(self.service.binding_looked_up(query, self._find(query), self.book.now))

    def platform_says(self, answer: HookAnswer | None) -> AskHook:
        """The app platform answers the oldest question, or cannot be asked."""
        question = self.asked.pop(0)
        self.book.perform(self.service.hook_answered(question, answer, self.book.now))
        return question

    def release_held(self, durable: bool = True) -> None:
        """The writer comes back with the oldest step that it was given."""
        self.book.perform(self._committed(self.held.pop(0), durable))

    def transport_fails(self, address: str) -> None:
        """The shell hears that what was last sent to an address has not arrived."""
        host, _, port = address.rpartition(":")
        last = next(s for s in reversed(self.book.log) if (s.flow.host, s.flow.port) == (host, int(port)))
        self.book.perform(self.service.transport_failed(last.flow, self.book.now, last.data))

    def wait(self, seconds: float) -> None:
        self.book.at(self.book.now - Playbook.START_S + seconds)

    # -- what can be seen ------------------------------------------------------------------------------------------

    @property
    def counters(self) -> dict[str, int]:
        return self.service.counters

    @property
    def begun(self) -> int:
        """Attempts of this run, without those that it has adopted."""
        return sum(self.counters.get(f"attempts_{kind}", 0) for kind in ("voice", "message"))

    @property
    def records(self) -> list[dict[str, object]]:
        """Closed records, in order; one that could not be written is what was kept of it."""
        ends = [values for step, values in self.steps if step in (Step.CLOSE, Step.KEEP)]
        return list({values["record_id"]: values for values in ends}.values())

    @property
    def record(self) -> dict[str, object]:
        """The only record."""
        assert len(self.records) == 1, self.records
        return self.records[0]

    def assert_recorded(self, **expected: object) -> None:
        """The only record has these values; of `attempts` the address is left out where the target says it."""
        found = {name: self.record[name] for name in expected}
        if "attempts" in found:
            tries = found["attempts"]
            assert isinstance(tries, tuple)
            found["attempts"] = tuple(tried if tried[5] else tried[:5] for tried in tries)
        assert found == expected, [(name, found[name]) for name in expected if found[name] != expected[name]]

    def sent_to(self, address: str) -> list[bytes]:
        """All bytes that ever left towards an address."""
        host, _, port = address.rpartition(":")
        flow = (host, int(port))
        return [s.data for s in self.book.log if (s.flow.host, s.flow.port) == flow and s.data not in self.echoes]

    # -- what holds for every conversation -------------------------------------------------------------------------

    def assert_rests(self) -> None:
        """Long after the last call: no state, no leak, nothing impossible, a record per attempt, in durable order."""
        assert_nothing_crossed(self)
        attempts = self.begun
        self.wait(LONGEST_S)
        assert_nothing_crossed(self)
        context = self.context
        left = [*context.attempts, *context.dialogs, *context.reports, *context.transactions._context.merged]
        assert not left
        assert (len(context.transactions), len(context.wheel), len(context.transactions.wheel)) == (0, 0, 0)
        assert [name for name in self.counters if name.startswith("unexpected")] == []
        attempts += self.before
        assert len(self.records) == attempts
        assert len({record["record_id"] for record in self.records}) == attempts
        if not self.store_gives_up:
            self._assert_durable_order()

    def _assert_durable_order(self) -> None:
        """Nothing to the other side before the open row, no 2xx before the answered one, no refusal before the end."""
        for attempt in {attempt for attempt, _ in self.decided if isinstance(attempt, AttemptBase)}:
            opened, answered, closed = (
                self.decided.get((attempt, step), len(self.book.log)) for step in (Step.OPEN, Step.ANSWER, Step.CLOSE)
            )
            for place, sent in enumerate(self.book.log):
                if sent.data in self.echoes:
                    continue
                message = parse(sent.data)
                branch = message.top_via.branch if message.top_via is not None else ""
                if message.is_request and len(self.records) == 1:
                    to_caller = sent.flow.host == attempt.transaction.source.host
                    assert to_caller or place >= opened, f"{message.method} left before the open row"
                elif message.is_final and (branch, message.method) == (
                    attempt.record.caller_branch,
                    attempt.transaction.method,
                ):
                    has_step = message.method == "INVITE" or (attempt, Step.ANSWER) in self.decided
                    needed = answered if message.status < 300 and has_step else closed
                    assert place >= needed, f"{message.status} left before its row"


def assert_nothing_crossed(node: CoreNode) -> None:
    """No byte sent to one side holds the other's number, name, Call-ID, tag, branch or host (outside of SDP's c=)."""
    if not node.hides:
        return
    for data in [*node.sent_to(CALLEE), *node.sent_to(CALLEE2)]:
        for secret in (A, "Zhang", "a-tag", "z9hG4bK-a", CALL_ID, "127.0.0.12"):
            assert secret.encode() not in data, data
    for data in node.sent_to(CALLER):
        for secret in (B, "Li Si", "b-tag", "z9hG4bK-b", "127.0.0.13", "127.0.0.14"):
            assert secret.encode() not in data, data
    to_callee = [*node.sent_to(CALLEE), *node.sent_to(CALLEE2)]
    assert_no_correlator(
        [parse(data) for data in node.sent_to(CALLER)], [parse(data) for data in to_callee], node.shares
    )


def assert_no_correlator(caller_side: list[Message], callee_side: list[Message], shares: tuple[str, ...] = ()) -> None:
    """Nothing by which a message of one side can be told to belong to one of the other: read as what it is."""
    ones, others = identifiers_of(caller_side), identifiers_of(callee_side)
    for name, found in ones.items():
        shared = found & others[name] if name not in shares else set()
        assert not shared, f"both sides have the {name} {shared}"


def identifiers_of(messages: list[Message]) -> dict[str, set[str]]:
    """Everything in the messages for one side that names a dialog, a transaction, a session or a host.

    What the parties number themselves (CSeq below 200000000) may meet by chance; what the node draws may not.
    """
    found: dict[str, set[str]] = {
        name: set() for name in ("Call-ID", "tag", "branch", "host", "CSeq", "Session-ID", "icid-value")
    }
    for message in messages:
        found["Call-ID"].add(message.call_id)
        found["tag"] |= {message.from_tag, message.to_tag} - {""}
        if message.cseq >= NUMBERS_OF_OURS:
            found["CSeq"].add(str(message.cseq))
        vias = [via for row in message.values(h.VIA) for via in split_list(row)]
        found["branch"] |= {match[1] for via in vias if (match := BRANCH.search(via))}
        routes = [row for header in (h.RECORD_ROUTE, h.ROUTE, h.CONTACT) for row in message.values(header)]
        hosts = {match[1] for text in vias + routes for match in HOST.finditer(text)}
        found["host"] |= hosts - {NODE.partition(":")[0]}
        found["Session-ID"] |= set(message.named("Session-ID"))
        found["icid-value"] |= {match[1] for row in message.values(h.P_CHARGING_VECTOR) if (match := ICID.search(row))}
    return found
