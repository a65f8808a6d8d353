"""Two workers serve as one node: what one of them alone would do, both do together."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from scenarios.rig.binding import Bound
from scenarios.rig.node import ROOT, Node, unsound
from scenarios.rig.place import INBOX_PORT, Place
from scenarios.rig.privacy import CALLEE_CANARY, CALLER_CANARY, Side
from sipstack.message import Message
from tests.e2e.ends import acknowledge_ok, answered, ask, hang_up
from tests.e2e.stories import assert_private, many
from tests.e2e.test_api_calls import acknowledge
from tests.e2e.test_domain_calls import A, B, Phones
from tests.e2e.test_kills_survived import CONFIG, Plan, run
from tests.e2e.test_reload import change, reload, taken
from tests.e2e.test_sipp_load import check_records, told_by_x
from tests.e2e.waiting import is_there, processes, wait_for

COUNT: Final = 40  # numbers that are called, and numbers that are written to
RATE: Final = 20


def with_workers(node: Node, workers: int = 2) -> Node:
    """The same node, served by so many."""
    node.config.write_text(node.config.read_text().replace("[node]\n", f"[node]\nworkers = {workers}\n", 1))
    return node


@pytest.mark.paced
def test_calls_and_messages_are_spread_over_both(make_node: Any, sipp: Any, place: Any) -> None:
    node = with_workers(make_node())
    calls, messages = many(0, COUNT, "139"), many(COUNT, COUNT, "136")
    node.import_bindings(calls + messages)
    node.start()
    callee = sipp("answered/uas", place.callee, calls=COUNT)
    inbox = sipp("message/uas", place.callee, port=INBOX_PORT, calls=COUNT)
    rows = [(b.x, b.a) for b in calls]
    caller = sipp("answered/uac", place.caller, rows=rows, calls=COUNT, target=place.node, rate=RATE)
    rows = [(b.x, b.a) for b in messages]
    sender = sipp("message/uac", place.caller, port=INBOX_PORT, rows=rows, calls=COUNT, target=place.node, rate=RATE)
    for run_of in (caller, sender, callee, inbox):
        figures = run_of.wait()
        assert (figures.successful, figures.failed) == (COUNT, 0), figures.errors
    status = node.status()
    assert [worker["attempts"] for worker in status["workers"]] == [COUNT, COUNT]
    assert (status["attempts"], status["records"], status["complete"]) == (2 * COUNT, 2 * COUNT, True)
    assert unsound(status["counters"]) == {}
    assert status["counters"]["handed_dropped"] == 0
    assert node.stop() == 0
    told = told_by_x(caller.messages, callee.messages) | told_by_x(sender.messages, inbox.messages)
    bound = {b.x: b for b in calls + messages}
    check_records(node, place, bound, told)
    for x, both in told.items():
        calling = Side(both.caller, place.caller, bound[x].a, CALLER_CANARY)
        assert_private(calling, Side(both.callee, place.callee, bound[x].b, CALLEE_CANARY))


def all_are_back(node: Node, restarts: int) -> list[int]:
    """The processes of the workers, once so many have been started in the place of others; [] until then."""
    workers = node.status()["workers"]
    is_so = sum(worker["restarts"] for worker in workers) == restarts
    return [worker["pid"] for worker in workers] if is_so and all(worker["pid"] for worker in workers) else []


def kill_a_worker(node: Node, plan: Plan, chance: Any) -> list[float]:
    """Kills one or the other at seeded moments, when the last one that was killed is back."""
    done: list[float] = []
    for _ in range(plan.kills):
        there = wait_for(lambda: all_are_back(node, len(done)))
        time.sleep(chance.uniform(0.0, plan.gap_s))  # the moment itself is what is tested
        done.append(time.time())
        os.kill(chance.choice(there), signal.SIGKILL)
    assert wait_for(lambda: all_are_back(node, plan.kills))
    return done


@pytest.mark.alone
@pytest.mark.timeout(180)
def test_calls_survive_kills_of_a_worker(make_node: Any, sipp: Any, place: Any) -> None:
    plan = Plan(seed=711, kills=3, gap_s=3.0, longest_s=4, rate=40)
    run(plan, with_workers(make_node(extra=place.filled(CONFIG))), sipp, place, kill_a_worker)


FIRST: Final = [Bound("700123456780030", A, B), Bound("700123456780031", A, B)]  # of workers 0 and 1


@pytest.fixture
def node(make_node: Any) -> Node:
    """With two workers and a number of each; not started."""
    made = with_workers(make_node())
    made.bind(*FIRST)
    return made


@pytest.fixture
def phones(node: Node, place: Place) -> Iterator[Phones]:
    node.start()
    made = Phones(node, place)
    yield made
    made.caller.end.close()
    made.callee.end.close()


def calls_of_both(phones: Phones) -> dict[str, Message]:
    """A call that rings in each worker: the INVITE that the callee has got of each."""
    invites = {}
    for bound in FIRST:
        ask(phones.caller, bound.x, f"call-{bound.x}")
        invites[bound.x] = phones.callee.take("INVITE ")
        phones.callee.answer(invites[bound.x], 180)
        phones.caller.take("SIP/2.0 180")
    return invites


def heard_again(phones: Phones) -> None:
    """The 200 that the next process repeats, since it does not know of the ACK, is acknowledged once more."""
    acknowledge_ok(phones.caller, phones.caller.take("SIP/2.0 200", again=True))
    phones.callee.take("ACK ", again=True)
    phones.forget()


def test_in_setup_is_node_restart_and_the_others_notice_nothing(phones: Phones) -> None:
    invites = calls_of_both(phones)
    os.kill(all_are_back(phones.node, 0)[0], signal.SIGKILL)
    cancel = phones.callee.take("CANCEL ")
    assert cancel.call_id == invites[FIRST[0].x].call_id
    answered(phones.caller, phones.callee, invites[FIRST[1].x])
    assert wait_for(lambda: all_are_back(phones.node, 1))
    assert [call["tel_x"] for call in phones.node.calls()] == [FIRST[1].x]
    record = phones.record()
    assert (record["tel_x"], record["release_cause"]) == (FIRST[0].x, "NODE_RESTART")


def test_an_answered_call_goes_on_in_the_next_process(phones: Phones) -> None:
    invites = calls_of_both(phones)
    answered(phones.caller, phones.callee, invites[FIRST[0].x])
    os.kill(all_are_back(phones.node, 0)[0], signal.SIGKILL)
    assert wait_for(lambda: all_are_back(phones.node, 1))
    assert sorted((call["tel_x"], call["state"]) for call in phones.node.calls()) == [
        (FIRST[0].x, "Answered"), (FIRST[1].x, "Ringing"),
    ]  # fmt: skip
    heard_again(phones)
    hang_up(phones.caller, phones.callee, invites[FIRST[0].x])
    assert (phones.record()["tel_x"], phones.record()["release_cause"]) == (FIRST[0].x, "NORMAL")


def test_a_reload_is_taken_by_all_or_by_none(phones: Phones) -> None:
    node = phones.node
    change(node, 'called = "^139"', 'called = "^1399"')
    assert reload(node) == (0, taken("route to-callees: called"), "")
    for number, bound in enumerate(FIRST):
        ask(phones.caller, bound.x, f"no-route-{number}")
        acknowledge(phones.caller, phones.caller.take("SIP/2.0 404"))
    good = node.config.read_text()
    change(node, 'called = "^1399"', 'called = "("')
    os.kill(node.process.pid, signal.SIGHUP)  # type: ignore[union-attr]
    assert wait_for(lambda: "not reloaded, nothing has changed" in node.stderr)
    for place, pid in enumerate(all_are_back(node, 0)):  # who is started again runs with what is in force
        os.kill(pid, signal.SIGKILL)
        assert wait_for(lambda: all_are_back(node, place + 1))  # noqa: B023
    node.config.write_text(good)
    assert reload(node) == (0, taken(), "")
    change(node, 'called = "^1399"', 'called = "^139"')
    assert reload(node) == (0, taken("route to-callees: called"), "")
    phones.forget()
    calls_of_both(phones)


def test_a_drained_node_has_no_worker_that_takes_calls(phones: Phones) -> None:
    assert phones.node.command("drain").stdout == "draining, 0 in progress\n"
    os.kill(all_are_back(phones.node, 0)[0], signal.SIGKILL)
    assert wait_for(lambda: all_are_back(phones.node, 1))
    for number, bound in enumerate(FIRST):
        ask(phones.caller, bound.x, f"drained-{number}")
        acknowledge(phones.caller, phones.caller.take("SIP/2.0 503"))
    assert phones.node.status()["state"] == "draining"
    assert phones.node.command("drain", "--off").stdout == "running, 0 in progress\n"
    phones.forget()
    calls_of_both(phones)


def test_a_stop_waits_for_the_calls_of_both_and_a_second_one_for_none(phones: Phones) -> None:
    node = phones.node
    invites = calls_of_both(phones)
    for bound in FIRST:
        answered(phones.caller, phones.callee, invites[bound.x])
    assert node.process is not None
    node.process.terminate()
    time.sleep(0.5)  # it stays
    assert node.process.poll() is None
    hang_up(phones.caller, phones.callee, invites[FIRST[0].x])
    time.sleep(0.5)
    assert node.process.poll() is None
    node.process.terminate()
    assert node.wait() == 0
    assert node.stderr.count("calls still open, served on by the next start") == 1
    node.start()
    assert [(call["tel_x"], call["state"]) for call in node.calls()] == [(FIRST[1].x, "Answered")]
    heard_again(phones)
    hang_up(phones.caller, phones.callee, invites[FIRST[1].x])
    assert sorted(record["release_cause"] for record in node.records()) == ["NORMAL", "NORMAL"]


def test_no_worker_outlives_a_supervisor_that_is_killed(phones: Phones) -> None:
    invites = calls_of_both(phones)
    answered(phones.caller, phones.callee, invites[FIRST[1].x])
    workers = all_are_back(phones.node, 0)
    phones.node.kill()
    assert wait_for(lambda: not any(Path(f"/proc/{pid}/cmdline").exists() for pid in workers))
    phones.node.start()
    assert [call["tel_x"] for call in phones.node.calls()] == [FIRST[1].x]


def worker_in_its_start(node: Node) -> int:
    """The process of a worker that is not ready; 0 for none."""
    assert node.process is not None
    of_node = Path(f"/proc/{node.process.pid}/task/{node.process.pid}/children").read_text().split()
    ready = {worker["pid"] for worker in node.status()["workers"]}
    workers = processes("", b"engine.workers.child")
    return next((pid for pid in workers if str(pid) in of_node and pid not in ready), 0)


def test_no_worker_in_its_start_outlives_it_either(node: Node) -> None:
    """It waits for the process of the records, and not yet for the end of its stdin: the kernel has to end it."""
    node.start()
    writer = node.status()["writer"]["pid"]
    os.kill(writer, signal.SIGSTOP)
    try:
        os.kill(all_are_back(node, 0)[0], signal.SIGKILL)
        pid = wait_for(lambda: worker_in_its_start(node))
        time.sleep(1.0)  # it is as far as it comes
        node.kill()
        wait_for(lambda: not is_there(pid))
    finally:
        os.kill(writer, signal.SIGCONT)


def test_a_limit_is_one_for_both(make_node: Any, sipp: Any, place: Place) -> None:
    """Ten callers at once over a trunk that may have five calls: at the most one more is let through."""
    node = with_workers(make_node())
    node.config.write_text(
        node.config.read_text().replace('name = "caller-side"', 'name = "caller-side"\nmax_calls = 5', 1)
    )
    calls = many(0, 10, "139")
    node.import_bindings(calls)
    node.start()
    sipp("answered/uas", place.callee, calls=None)
    rows = [(bound.x, bound.a) for bound in calls]
    caller = sipp("answered/uac", place.caller, target=place.node, rows=rows, calls=10, rate=50, talk_ms=3000)
    assert caller.wait().successful in (5, 6)
    causes = [record["release_cause"] for record in node.records()]
    assert sorted(set(causes)) == ["NORMAL", "OVERLOAD"]
    assert causes.count("NORMAL") == caller.wait().successful


def test_a_number_that_is_killed_loses_its_calls_whoever_has_them(phones: Phones) -> None:
    invites = calls_of_both(phones)
    for bound in FIRST:
        answered(phones.caller, phones.callee, invites[bound.x])
    done = phones.node.command("kill", "everything", "--release-calls", "--reason", "exercise", "--json")
    assert done.returncode == 0, done.stderr
    assert '"released": 2' in done.stdout


@pytest.mark.long
@pytest.mark.alone
@pytest.mark.timeout(600)
def test_the_leak_test_goes_through_a_node_with_two(make_node: Any) -> None:
    node = with_workers(make_node())
    node.start()
    words = [sys.executable, "-m", "engine.main", "--config", node.config, "leak-test", "--running"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=580, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert sum(worker["attempts"] for worker in node.status()["workers"]) > 50


def test_workers_end_with_a_start_that_fails(make_node: Any, place: Place) -> None:
    """A second node on the same addresses and another folder: nothing of it is left."""
    first, second = with_workers(make_node("one")), with_workers(make_node("two"))
    first.start()
    assert second.launch() == "ended"
    assert second.wait() == 1
    assert "cannot listen on" in second.stderr
    wait_for(lambda: not processes(str(second.folder)))
    assert first.status()["state"] == "running"
