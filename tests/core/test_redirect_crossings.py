"""Phones on a link that loses, doubles and reorders, the first of which sends the call on: every call ends right."""

from __future__ import annotations

from random import Random

import pytest

from engine.core.attempt import STORE_WAIT_S
from engine.core.records import Step
from sipstack.testing.link import LossyLink
from sipstack.testing.playbook import flow_of
from tests.core.corenode import CALLEE, CALLEE2, CALLER, NODE, A, B, with_policy
from tests.core.parties import B_SDP, SDP, invite
from tests.core.phone import Phone
from tests.core.test_crossings import LinkedNode, assert_rest, ends_of, plans
from tests.core.test_redirect import FOLLOWING, C

SHORT_CALLS = with_policy(FOLLOWING, max_call_s=60, ring_timeout_s=20)


def one_call(seed: int) -> str:
    """A call, its redirect and its end, all of it drawn from `seed`; returns whom it reached and how it ended."""
    random = Random(seed)
    link = LossyLink(
        seed, random.choice([0, 0, 0.05, 0.2]), random.choice([0, 0.1, 0.5]), random.choice([0.001, 0.05, 0.3])
    )
    store_s, failing = random.choice([0, 0, 0.01, 0.3, 1.0, 7.0]), random.choice([0, 0, 0, 0, 0.2])
    node = LinkedNode(link, seed, store_s, failing, SHORT_CALLS)
    caller_plan, first_plan, _ = plans(random)
    _, second_plan, _ = plans(random)
    first_plan.status = random.choice([302, 302, 302, 301, 200])
    caller = Phone(CALLER, A, "a", flow_of(NODE), SDP, caller_plan, seed)
    first = Phone(CALLEE, C, "b", flow_of(NODE), B_SDP, first_plan, seed)  # its Contact names C
    second = Phone(CALLEE2, C, "b", flow_of(NODE), B_SDP.replace(B, C), second_plan, seed)
    phones = (caller, first, second)
    for phone in phones:
        flow = flow_of(phone.address)
        link.join((flow.host, flow.port), phone, lambda output: [])
    link.perform(("127.0.0.12", 5060), caller.call(invite(), "z9hG4bK-a1", link.now))
    link.run(300)

    assert_rest(phones)
    for address, secret in ((CALLER, C), (CALLEE2, B)):
        assert not any(secret.encode() in data for data in node.sent_to(address))
    node.store_gives_up = store_s > STORE_WAIT_S
    node.assert_rests()
    if not node.records:
        return "never heard of"
    steps = [step for step, _ in node.steps]
    assert steps == sorted(steps) and steps.count(Step.ANSWER) <= 1 and steps[-1] in (Step.CLOSE, Step.KEEP)
    assert steps.count(Step.OPEN) <= 2 and (steps.count(Step.OPEN) == 2 or not second.called)
    record = node.record
    assert record["callee"] in ("", C if node.sent_to(CALLEE2) else B)  # "" while the store was asked
    if caller.finals and not failing and store_s < STORE_WAIT_S:
        assert caller.finals == {record["sip_status"]}
    return f"{record['callee']} {record['release_cause']}"


@pytest.mark.parametrize("block", range(4))
def test_whatever_crosses_a_redirect_every_call_ends_once_and_right(block: int) -> None:
    ends = ends_of(one_call, block)
    assert min(ends[f"{C} NORMAL"], ends[f"{C} CALLER_CANCEL"], ends[f"{B} CALLER_CANCEL"]) > 0, ends
