"""kill -9 under load, again and again: calls outlive their process, and the books agree with both ends."""

from __future__ import annotations

import random
import re
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import pytest

from scenarios.rig.binding import BLOCK, Bound
from scenarios.rig.node import Node
from scenarios.rig.place import INBOX_PORT
from scenarios.rig.seen import by_call_id, ladder
from scenarios.rig.sipp import Sipp
from tests.e2e.kill_books import Call, calls_of, doubled, misfits, numbers_shown

CALL_RATE: Final = 100  # per second
MESSAGE_RATE: Final = 20
T1_MS: Final = 100  # 64*T1 is 6.4 s: what lost an end in a kill is over within a test
SETTLED_S: Final = 60.0  # 64*T1 of a callee, and some
NUMBERS: Final = 10_000  # in the block
CALLED: Final = 8_000  # of them; the others get messages. SIPp begins anew behind the last.
LIMIT_S: Final = 400
PATIENCE: Final = 12  # quarters of a second, twice, that a caller waits longer than its callee talks
REACHED: Final = 0.99  # of the calls that talked at a kill are ended by BYE through a later process

LENIENT: Final = ("-default_behaviors", "none")  # what comes unexpected is no reason to give a call up
PATIENT: Final = (*LENIENT, "-max_invite_retrans", "12")  # a 2xx is repeated for 64*T1 (RFC 3261 §13.3.1.4)
FREE_BLOCK: Final = "70012345679"
REASON_TO_BE_THERE: Final = "a run in which nothing was interrupted proves nothing"
CONFIG: Final = f"""
[sip]
t1_ms = {T1_MS}

[[peer]]
name = "hangs-up"
targets = ["sip:{{callee}}:5060"]

[[route]]
name = "to-those-who-hang-up"
called = "^134"
peers = ["hangs-up"]
"""


@dataclass(frozen=True)
class Plan:
    """One run."""

    seed: int
    kills: int
    gap_s: float  # from a start to the next kill, at most
    longest_s: int  # that a call lasts
    rate: int = CALL_RATE


# Kills what is to be killed; when it did, in seconds since the epoch.
Kill = Callable[[Node, Plan, random.Random], list[float]]

SHORT: Final = Plan(seed=700, kills=5, gap_s=2.0, longest_s=4)
LONG: Final = [Plan(seed, kills=50, gap_s=4.0, longest_s=8) for seed in (701, 702)]


@pytest.mark.alone
@pytest.mark.timeout(120)
def test_calls_survive_five_kills(make_node: Any, sipp: Any, place: Any) -> None:
    run(SHORT, make_node(extra=place.filled(CONFIG)), sipp, place)


@pytest.mark.long
@pytest.mark.alone
@pytest.mark.timeout(900)
@pytest.mark.parametrize("plan", LONG, ids=lambda plan: f"seed {plan.seed}")
def test_calls_survive_fifty_kills(make_node: Any, sipp: Any, place: Any, plan: Plan) -> None:
    run(plan, make_node(extra=place.filled(CONFIG)), sipp, place)


def run(plan: Plan, node: Node, sipp: Any, place: Any, kill: Kill | None = None) -> None:
    """Calls and messages, kills among them, and then the books."""
    chance = random.Random(plan.seed)
    calls = [called(n, plan, chance) for n in range(CALLED)]
    messages = [bound(n, "136", 0) for n in range(CALLED, NUMBERS)]
    node.import_bindings([each for each, _ in calls if each.x.startswith(BLOCK)] + messages)
    node.start()
    callee = sipp("uas_talks_through_kills", place.callee, calls=None, timeout_s=LIMIT_S, options=PATIENT)
    inbox = sipp("uas_message_slowly", place.callee, port=INBOX_PORT, calls=None, timeout_s=LIMIT_S)
    caller = sipp(
        "uac_talks_through_kills", place.caller, target=place.node, rows=[(e.x, e.a, *rest) for e, rest in calls],
        calls=None, rate=plan.rate, timeout_s=LIMIT_S, options=LENIENT,
    )  # fmt: skip
    sender = sipp(
        "uac_message_through_kills", place.caller, port=INBOX_PORT, target=place.node,
        rows=[(each.x, each.a) for each in messages], calls=None, rate=MESSAGE_RATE, timeout_s=LIMIT_S,
        options=("-recv_timeout", "8000"),
    )  # fmt: skip
    moments_s = (kill or kill_and_restart)(node, plan, chance)
    for side in (caller, sender):
        figures = side.finish()
        print(f"{side.scenario}: {figures.successful} through, {figures.failed} failed")
    settle(node, callee)
    callee.end()
    inbox.end()
    assert node.stop() == 0
    check_books(node, caller, callee, sender, moments_s, plan.rate)
    check_numbers(caller, callee, [each for each, _ in calls])
    check_numbers(sender, inbox, messages)


def bound(number: int, prefix: str, seconds: int, block: str = BLOCK) -> Bound:
    """The binding of a number of the block, to people that no other binding has; the callee's tells `seconds`."""
    return Bound(
        f"{block}{number:04}", f"138{number * 7919 % 10**8:08}", f"{prefix}{seconds}{number * 6101 % 10**7:07}"
    )


def called(number: int, plan: Plan, chance: random.Random) -> tuple[Bound, tuple[str, str]]:
    """Who is called, and what the caller does: of ten calls one goes to nobody, three are ended by the callee, three
    are changed in their middle."""
    kind, lasts_s = number % 10, chance.randint(1, plan.longest_s)
    half = str(2 * lasts_s)  # in quarters of a second
    if kind == 0:
        return bound(number, "139", lasts_s, FREE_BLOCK), (half, "0")
    if kind in (1, 4, 7):
        return bound(number, "134", lasts_s), (str(2 * lasts_s + PATIENCE), "0")
    return bound(number, "139", lasts_s), (half, str(int(kind in (2, 5, 8))))


def kill_and_restart(node: Node, plan: Plan, chance: random.Random) -> list[float]:
    """Kills the node at seeded moments and starts it again at once; when it did, in seconds since the epoch."""
    done = []
    for _ in range(plan.kills):
        time.sleep(chance.uniform(0.0, plan.gap_s))  # the moment itself is what is tested
        done.append(time.time())
        node.kill()
        node.start()
    return done


def settle(node: Node, callee: Sipp) -> None:
    """Waits until nothing is in progress; a callee repeats its 2xx until somebody takes it."""
    deadline = time.monotonic() + SETTLED_S
    while (left := node.calls() or left_behind(callee)) and time.monotonic() < deadline:
        time.sleep(0.5)
    assert not left, f"calls that nobody ends: {left}"


def left_behind(callee: Sipp) -> dict[str, list[str]]:
    """Callees that have answered, and heard of no end."""
    return {i: ladder(seen) for i, seen in by_call_id(callee.messages).items() if not Call((), seen).has_ended}


def check_books(node: Node, caller: Sipp, callee: Sipp, sender: Sipp, moments_s: list[float], rate: int) -> None:
    """One record for each attempt that was answered or refused, as the ends saw it; nothing is left open."""
    report = node.verify()
    assert report.is_clean, report
    assert [each.open for each in report.nodes] == [0]
    assert re.findall(r"\bfault\b.*", node.stderr) == []
    records = node.records()
    assert doubled(records) == []
    by_id = {record["caller_call_id"]: record for record in records}
    calls = calls_of(caller.messages, callee.messages, records)
    attempts = calls | calls_of(sender.messages, (), records)
    told = {call_id: call for call_id, call in attempts.items() if call.told}
    causes = Counter(record["release_cause"] for record in records)
    print(len(attempts), "attempts,", dict(Counter(call.told for call in attempts.values())), "told,", dict(causes))
    assert [call_id for call_id in told if call_id not in by_id] == []
    assert [call_id for call_id in by_id if call_id not in attempts] == []
    assert {i: found for i, call in told.items() if (found := misfits(call, by_id[i]))} == {}
    check_ends(calls, callee, moments_s, rate)
    assert min(causes["NO_BINDING"], causes["NORMAL"]) > len(moments_s), REASON_TO_BE_THERE
    assert len(told) > len(attempts) * 0.5, REASON_TO_BE_THERE


def check_ends(calls: dict[str, Call], callee: Sipp, moments_s: list[float], rate: int) -> None:
    """No end is left in a call that the other one has left, and calls outlive the process that they began on."""
    interrupted = [call for call in calls.values() if any(call.talked_at(moment_s) for moment_s in moments_s)]
    lost = [call for call in interrupted if not call.is_released]
    print(f"{len(interrupted)} calls talked at a kill, {len(lost)} of them were not ended by BYE")
    assert len(interrupted) > len(moments_s) * rate / 5, REASON_TO_BE_THERE
    assert len(lost) <= len(interrupted) * (1 - REACHED), [ladder(call.caller) for call in lost[:5]]
    assert {i: ladder(call.caller) for i, call in calls.items() if not call.has_ended} == {}
    assert left_behind(callee) == {}


def check_numbers(calling: Sipp, answering: Sipp, bindings: list[Bound]) -> None:
    """No real number crossed in any byte, whatever was interrupted."""
    shown, looked_at = numbers_shown(calling, answering, {each.x: (each.a, each.b) for each in bindings})
    assert shown == []
    assert looked_at > 100, REASON_TO_BE_THERE
