"""A running node takes another configuration: whole or not at all, and never to the harm of a call."""

from __future__ import annotations

import signal
import time
from collections import Counter
from pathlib import Path
from typing import Any, Final

import pytest

from scenarios.rig.node import Node, unsound
from scenarios.rig.place import Place
from tests.e2e.datagrams import answer_to_options, request, udp_socket
from tests.e2e.stories import BINDING, A, X, many

ROUTE: Final = 'name = "to-callees"\ncalled = "^139"\npeers = ["callee-side"]'
SECOND: Final = '\n[[peer]]\nname = "other-side"\ntargets = ["sip:{second}:5060"]\n'
RELOADS: Final = 10
CALLS: Final = 300
WITHIN_S: Final = 60.0  # for what a node owes, on a machine that is busy with other tests


def change(node: Node, old: str, new: str) -> None:
    """Writes another configuration, as an engineer's editor does."""
    text = node.config.read_text()
    assert old in text
    node.config.write_text(text.replace(old, new))


def taken(*changes: str) -> str:
    """What `veil700 reload` says when it has been done."""
    lines = [f"changed: {change}\n" for change in changes or ["nothing in the file"]]
    return "".join(["reloaded; inventory and certificates read again\n", *lines])


def reload(node: Node) -> tuple[int, str, str]:
    """`veil700 reload`: status, what was said, and what was wrong."""
    done = node.command("reload")
    return done.returncode, done.stdout, done.stderr


def awaited(node: Node, text: str, count: int = 1) -> None:
    """Returns once the node has written a text so many times."""
    until = time.monotonic() + WITHIN_S
    while node.stderr.count(text) < count:
        assert time.monotonic() < until, node.stderr
        time.sleep(0.02)


@pytest.fixture
def node(make_node: Any, place: Place) -> Node:
    """A running node whose configuration knows a second callee's trunk that no route leads to."""
    made: Node = make_node(extra=place.filled(SECOND))
    made.bind(BINDING)
    made.start()
    return made


@pytest.mark.paced
def test_a_route_moves_to_and_fro_under_load(node: Node, sipp: Any, place: Place, tmp_path: Path) -> None:
    calls = many(1, CALLS, "139")
    node.import_bindings(calls)
    first = sipp("answered/uas", place.callee, calls=None)
    second = sipp("answered/uas", place.second, calls=None)
    rows = [(bound.x, bound.a) for bound in calls]
    caller = sipp("answered/uac", place.caller, target=place.node, rows=rows, calls=CALLS, rate=50, timeout_s=60)
    there, back = '["callee-side"]', '["other-side"]'
    for _ in range(RELOADS // 2):
        for old, new in ((there, back), (back, there)):
            change(node, f'called = "^139"\npeers = {old}', f'called = "^139"\npeers = {new}')
            assert reload(node) == (0, taken("route to-callees: peers"), "")
    figures = caller.wait()
    assert figures.successful > CALLS / 2, figures.errors  # of a busy machine a node may have too little for all
    first.close()
    second.close()
    node.settle()
    records = node.records()
    assert len(records) == CALLS
    served = [record for record in records if record["decided_by"] != "load"]
    assert {record["release_cause"] for record in served} == {"NORMAL"}
    assert Counter(record["egress_peer"] for record in served).keys() == {"callee-side", "other-side"}
    assert unsound(node.status()["counters"]) == {}


def test_a_call_in_progress_outlives_its_peer(node: Node, sipp: Any, place: Place) -> None:
    callee = sipp("answered/uas", place.callee, timeout_s=60)
    caller = sipp("answered/uac", place.caller, target=place.node, rows=[(X, A)], talk_ms=10_000, timeout_s=60)
    while not any(call["answered"] for call in node.calls()):
        time.sleep(0.02)
    text = node.config.read_text()
    start = text.index('[[peer]]\nname = "callee-side"')
    node.config.write_text(text[:start] + text[text.index('[[peer]]\nname = "inbox"') :])
    change(node, 'called = "^139"\npeers = ["callee-side"]', 'called = "^139"\npeers = ["other-side"]')
    assert reload(node) == (0, taken("peer callee-side: removed", "route to-callees: peers"), "")
    assert "callee-side" not in node.status()["peers"]
    for run in (caller, callee):
        figures = run.wait()
        assert (figures.successful, figures.failed) == (1, 0), figures.errors
    [record] = node.records()
    assert (record["release_cause"], record["egress_peer"]) == ("NORMAL", "callee-side")


def test_a_bad_file_changes_nothing(node: Node) -> None:
    good = node.config.read_text()
    change(node, '[[route]]\nname = "to-callees"', '[[route]]\nnamee = "to-callees"')
    node.process.send_signal(signal.SIGHUP)  # type: ignore[union-attr]
    awaited(node, "not reloaded, nothing has changed")
    assert 'route.namee: unknown key, did you mean "name"?' in node.stderr or "unknown key" in node.stderr
    status, said, wrong = reload(node)
    assert (status, said) == (2, "")
    assert "unknown key" in wrong
    node.config.write_text(good)
    assert reload(node) == (0, taken(), "")


def test_a_key_that_wants_a_restart_is_named(node: Node) -> None:
    change(node, 'name = "veil-test"', 'name = "veil-other"')
    change(node, 'called = "^139"', 'called = "^1398"')
    status, said, wrong = reload(node)
    assert (status, said) == (1, "")
    line = node.config.read_text().partition('name = "veil-other"')[0].count("\n") + 1
    assert wrong == f"{node.config}:{line}: node.name: a changed value wants a restart\n"
    change(node, "veil-other", "veil-test")
    assert reload(node) == (0, taken("route to-callees: called"), "")  # which it had not taken the first time
    awaited(node, "changed='route to-callees: called'")


def test_an_expect_that_does_not_hold_is_not_taken_but_does_not_stop_a_start(node: Node) -> None:
    """What ran goes on running; a start has nothing to go back to, and warns."""
    good = node.config.read_text()
    expect = '[[expect]]\ncaller = "13800138000"\ncalled = "700123456780001"\noutcome = "sent"\npeer = "caller-side"\n'
    node.config.write_text(f"{good}\n{expect}")
    status, said, wrong = reload(node)
    line = node.config.read_text().partition("outcome")[0].count("\n") + 1
    fault = f'{node.config}:{line}: expect.outcome: expected "sent", got "refused" (NO_BINDING, decided by bound)'
    assert (status, said, wrong) == (1, "", f"{fault}\n")
    node.config.write_text(f"{good}\n{expect.replace('sent', 'refused')}")
    assert reload(node) == (0, taken(), "")
    assert node.stop() == 0
    node.config.write_text(f"{good}\n{expect}")
    node.start()
    awaited(node, f"reason='{fault}'")


def test_the_inventory_is_applied_again(node: Node) -> None:
    node.inventory.write_text(node.inventory.read_text().replace('state = "active"', 'state = "active" x', 1))
    status, said, wrong = reload(node)
    assert (status, said) == (1, "")
    assert "inventory.toml" in wrong


def test_a_storm_of_signals_ends_with_the_last_file(node: Node) -> None:
    assert node.process is not None
    for last in range(50):
        change(node, f'called = "^139{"" if last == 0 else last - 1}"', f'called = "^139{last}"')
        node.process.send_signal(signal.SIGHUP)
    awaited(node, "configuration reloaded")
    until = time.monotonic() + WITHIN_S
    while reload(node) != (0, taken(), ""):
        assert time.monotonic() < until
    with udp_socket(node.place.caller) as probe:
        assert answer_to_options(probe, node.place.node, "after").startswith(b"SIP/2.0 200 ")


def test_drain_and_back(node: Node) -> None:
    place = node.place
    assert node.command("drain").stdout == "draining, 0 in progress\n"
    assert node.status()["state"] == "draining"
    with udp_socket(place.caller) as end:
        answer = answer_to_options(end, place.node, "drained")
        assert answer.startswith(b"SIP/2.0 503 ")
        assert b"\r\nRetry-After: 5\r\n" in answer
        end.sendto(request("INVITE", f"sip:{X}@{place.node}", f"{place.caller}:5060", "new"), (place.node, 5060))
        while not (answer := end.recv(65_536)).startswith(b"SIP/2.0 5"):
            pass
        assert answer.startswith(b"SIP/2.0 503 ")
        assert node.command("drain", "--off").stdout.startswith("running, ")
        assert answer_to_options(end, place.node, "again").startswith(b"SIP/2.0 200 ")


def test_another_file_is_not_what_the_node_reads(node: Node) -> None:
    other = node.folder / "other.toml"
    other.write_text(node.config.read_text())
    done = node.command("--config", other, "reload")
    assert (done.returncode, done.stdout) == (1, "")
    assert f"the node runs with {node.config}" in done.stderr
