"""Phones and a node on a link that loses, doubles and reorders: whatever crosses whatever, every call ends right."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from heapq import heappop, heappush
from random import Random

import pytest

from engine.core.attempt import STORE_WAIT_S
from engine.core.outputs import CommitRecord, LookUpBinding, TargetChanged
from engine.core.records import RECORD_COLUMNS, Step
from engine.core.settings import CoreSettings
from sipstack.events import Flow, Output, SendMessage
from sipstack.testing.link import LossyLink
from sipstack.testing.playbook import flow_of
from tests.core.corenode import CALLEE, CALLEE2, CALLER, NODE, TWO_TARGETS, A, B, CoreNode, with_policy
from tests.core.parties import B_SDP, SDP, invite
from tests.core.phone import Phone, Plan

NODE_ADDRESS = ("127.0.0.11", 5060)
SHORT_CALLS = with_policy(TWO_TARGETS, max_call_s=60, ring_timeout_s=20)


class LinkedBook:
    """Stands in for the playbook: the clock and the log are the link's."""

    def __init__(self, link: LossyLink) -> None:
        self._link = link

    @property
    def now(self) -> float:
        return self._link.now

    @property
    def log(self) -> list[SendMessage]:
        return [SendMessage(data, flow) for source, flow, data in self._link.carried if source == NODE_ADDRESS]


class LinkedNode(CoreNode):
    """A node on a link, with a store that takes its time and may fail."""

    def __init__(
        self, link: LossyLink, seed: int, store_s: float, failing: float, settings: CoreSettings = SHORT_CALLS
    ) -> None:
        super().__init__(settings)
        self.link = link
        self.book = LinkedBook(link)  # type: ignore[assignment]
        self._random = Random(f"store {seed}")
        self._store_s = store_s
        self._failing = failing
        self._coming: list[tuple[float, int, Output]] = []
        self._count = 0
        link.join(NODE_ADDRESS, self, self.execute)

    def wait(self, seconds: float) -> None:
        self.link.run(seconds)

    def receive(self, data: bytes, flow: Flow, now: float) -> list[Output]:
        return self.service.receive(data, flow, now)

    def handle_timer(self, now: float) -> list[Output]:
        out: list[Output] = []
        while self._coming and self._coming[0][0] <= now:
            out += self._come_back(heappop(self._coming)[2])
        return out + self.service.handle_timer(now)

    def next_deadline(self) -> float | None:
        store = self._coming[0][0] if self._coming else None
        return min((time for time in (store, self.service.next_deadline()) if time is not None), default=None)

    def execute(self, output: Output) -> list[Output]:
        """What the store is asked for comes back after a while."""
        if isinstance(output, TargetChanged):
            return []
        if isinstance(output, CommitRecord):
            self.steps.append((output.step, dict(zip(RECORD_COLUMNS, output.values, strict=True))))
            if output.step is Step.KEEP:
                return []
        self._count += 1
        heappush(self._coming, (self.link.now + self._random.uniform(0, self._store_s), self._count, output))
        return []

    def _come_back(self, output: Output) -> list[Output]:
        fails = self._random.random() < self._failing
        if isinstance(output, LookUpBinding):
            return self.service.binding_looked_up(output, None if fails else self._find(output), self.link.now)
        assert isinstance(output, CommitRecord)
        self.store_failed |= fails
        return self._committed(output, not fails)

    store_failed = False


def plans(random: Random) -> tuple[Plan, Plan, Plan | None]:
    """What the caller and the two targets do. The moments lie close to each other, so that things cross."""
    ring_s, more_s = random.uniform(0, 2), random.uniform(0, 2)
    moments = [0.0, ring_s, ring_s + more_s, ring_s + more_s, ring_s + more_s + random.choice([0.1, 3.0]), 20.0, 32.0]

    def at(*kinds: float) -> float:
        return max(0.0, random.choice(kinds or moments) + random.choice([0.0, 0.0, 0.001, 0.02, 0.05, 0.2, 0.5]))

    def sometimes(chance: float, *kinds: float) -> float | None:
        return at(*kinds) if random.random() < chance else None

    def asks() -> list[tuple[float, str]]:
        return [(at(), random.choice(["INFO", "UPDATE", "INVITE"])) for _ in range(random.choice([0, 0, 1, 3]))]

    def callee() -> Plan:
        return Plan(
            rings=[at(ring_s) for _ in range(random.choice([0, 1, 1, 2, 3]))],
            final_s=sometimes(0.9, ring_s + more_s),
            status=random.choice([200] * 8 + [486, 503, 302]),
            second_2xx_s=sometimes(0.3),
            bye_s=sometimes(0.6),
            acks=random.random() < 0.9,
            answers_asks=random.random() < 0.8,
            asks=asks(),
        )

    caller = Plan(
        cancel_s=sometimes(0.3),
        bye_s=sometimes(0.6),
        early_bye=random.random() < 0.3,
        acks=random.random() < 0.85,
        answers_asks=random.random() < 0.8,
        asks=asks(),
    )
    return caller, callee(), callee() if random.random() < 0.5 else None


def assert_rest(phones: Sequence[Phone]) -> None:
    """The caller, who comes first, has one answer; nobody is left in a call or was told of its end twice."""
    assert len(phones[0].finals) <= 1, "the caller was told two things"
    for phone in phones:
        assert phone.in_conversation == [], f"{phone.address} was left in a call"
        assert all(session.byes <= 1 for session in phone.sessions.values()), f"{phone.address} was told twice"


def one_call(seed: int) -> str:
    """A call and its end, all of it drawn from `seed`; returns how it ended."""
    random = Random(seed)
    link = LossyLink(
        seed,
        random.choice([0, 0, 0.05, 0.2, 0.4]),
        random.choice([0, 0.1, 0.5]),
        random.choice([0.001, 0.05, 0.3, 1.5]),
    )
    store_s, failing = random.choice([0, 0, 0.01, 0.3, 1.0, 7.0]), random.choice([0, 0, 0, 0, 0.2])
    node = LinkedNode(link, seed, store_s, failing)
    caller_plan, *callee_plans = plans(random)
    caller = Phone(CALLER, A, "a", flow_of(NODE), SDP, caller_plan, seed)
    phones = [caller]
    for address, plan in zip((CALLEE, CALLEE2), callee_plans, strict=True):
        if plan is not None:
            phones.append(Phone(address, B, "b", flow_of(NODE), B_SDP, plan, seed))
    for phone in phones:
        flow = flow_of(phone.address)
        link.join((flow.host, flow.port), phone, lambda output: [])
    link.perform(("127.0.0.12", 5060), caller.call(invite(), "z9hG4bK-a1", link.now))
    link.run(300)

    assert_rest(phones)
    node.store_gives_up = store_s > STORE_WAIT_S
    node.assert_rests()
    if not node.records:
        return "never heard of"
    steps = [step for step, _ in node.steps]
    assert steps == sorted(set(steps)) and steps[-1] in (Step.CLOSE, Step.KEEP)
    record = node.record
    if caller.finals and not failing and store_s < STORE_WAIT_S:
        assert caller.finals == {record["sip_status"]}
    return f"{record['release_cause']} by {record['release_direction']}"


def ends_of(call: Callable[[int], str], block: int) -> Counter[str]:
    """How a hundred calls have ended; a seed that fails is named."""
    ends: Counter[str] = Counter()
    for seed in range(100 * block, 100 * block + 100):
        try:
            ends[call(seed)] += 1
        except Exception as error:
            error.add_note(f"one_call({seed})")
            raise
        CoreNode.made.clear()
    return ends


@pytest.mark.parametrize("block", range(8))
def test_whatever_crosses_every_call_ends_once_and_right(block: int) -> None:
    ends = ends_of(one_call, block)
    assert min(ends[f"NORMAL by {side}"] for side in ("caller", "callee")) > 0 < ends["CALLER_CANCEL by caller"], ends


@pytest.mark.long
def test_whatever_crosses_ten_thousand_times() -> None:
    for seed in range(1000, 11000):
        one_call(seed)
        CoreNode.made.clear()
