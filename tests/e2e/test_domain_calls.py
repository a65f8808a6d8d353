"""Real calls under what the 700 domain asks for: a kill switch, and an app platform that decides."""

from __future__ import annotations

import contextlib
import json
import socket
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engine.core.binding import ASK_DECISION, ASK_ORDER, DECISION_OPEN
from engine.hook_client import SOCKET
from engine.store.database import BINDINGS, open_database
from engine.store.hooks import MAX_TIMEOUT_MS, Hook, put_hook
from scenarios.rig.binding import Bound
from scenarios.rig.node import Node
from scenarios.rig.place import Place
from sipstack import headers as h
from tests.e2e.ends import WAIT_S, Party, UdpEnd, answered, ask
from tests.e2e.stopwatch import stopwatch
from tests.e2e.waiting import wait_for

X = "700123456780031"
A, B = "13800138000", "13900139000"
BOUND = Bound(X, A, B)
QUIET_S = 0.3  # so long nothing may come that must not

NodeFactory = Callable[..., Node]


class Phones:
    """Both parties of the binding, on a node that runs."""

    def __init__(self, node: Node, place: Place) -> None:
        self.node = node
        self.caller = Party(A, UdpEnd(place.caller, place.node))
        self.callee = Party(B, UdpEnd(place.callee, place.node))

    def set(self, sql: str, *parameters: object) -> None:
        """Another process changes the store."""
        connection = sqlite3.connect(self.node.data_dir / "bindings.db", isolation_level=None, timeout=10)
        try:
            connection.execute(sql, parameters)
        finally:
            connection.close()

    def grants_time(self, kind: str) -> None:
        """To the platform: as much as one may have. On a busy machine its answer may take longer than usual."""
        cipher = self.node.cipher()
        with contextlib.closing(open_database(self.node.data_dir / "bindings.db", BINDINGS, cipher)) as connection:
            put_hook(connection, cipher, Hook("ap-test", kind, "https://127.0.0.1/ask", MAX_TIMEOUT_MS), renews=True)

    def is_refused(self, status: int, call_id: str = "call-1") -> None:
        """The caller hears so, and the callee nothing."""
        ask(self.caller, X, call_id)
        self.caller.take(f"SIP/2.0 {status}")
        self.hears_nothing()

    def forget(self) -> None:
        """Repeats that have come while a command was running."""
        for party in (self.caller, self.callee):
            party.end.opened.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                while True:
                    party.end.receive()
            party.end.opened.settimeout(WAIT_S)

    def hears_nothing(self) -> None:
        self.callee.end.opened.settimeout(QUIET_S)
        with pytest.raises(TimeoutError):
            self.callee.end.receive()
        self.callee.end.opened.settimeout(WAIT_S)

    def record(self) -> dict[str, Any]:
        (*_, last) = self.node.records()
        return last


@pytest.fixture
def phones(make_node: NodeFactory, place: Place) -> Iterator[Phones]:
    node = make_node()
    node.bind(BOUND)
    node.start()
    made = Phones(node, place)
    yield made
    made.caller.end.close()
    made.callee.end.close()


def test_a_kill_switch_ends_the_call_and_the_next_one_finds_it(phones: Phones) -> None:
    ask(phones.caller, X)
    answered(phones.caller, phones.callee, phones.callee.take("INVITE "))
    done = phones.node.command("kill", "number", X, "--release-calls", "--reason", "complaint 17", "--json")
    assert (done.returncode, json.loads(done.stdout)["released"]) == (0, 1), done.stderr
    for party in (phones.caller, phones.callee):
        bye = party.take("BYE ")
        assert "Reason: Q.850;cause=21" in bye.lines
        party.answer(bye, 200)
    wait_for(lambda: not phones.node.calls())
    found = phones.record()
    assert (found["release_cause"], found["release_direction"], found["decided_by"], found["sip_status"]) == (
        "NUMBER_FROZEN", "platform", "kill_switch", 200,
    )  # fmt: skip
    phones.forget()
    phones.is_refused(404, "call-2")
    assert (phones.record()["release_cause"], phones.record()["decided_by"]) == ("NUMBER_FROZEN", "unrestricted")
    assert phones.node.command("restore", "number", X, "--reason", "cleared").returncode == 0
    phones.forget()
    ask(phones.caller, X, "call-3")
    invite = phones.callee.take("INVITE ")
    phones.callee.answer(invite, 486)
    phones.caller.take("SIP/2.0 486")


def test_without_the_option_the_call_talks_on(phones: Phones) -> None:
    ask(phones.caller, X)
    answered(phones.caller, phones.callee, phones.callee.take("INVITE "))
    assert phones.node.command("kill", "everything", "--reason", "exercise").returncode == 0
    phones.hears_nothing()
    assert [call["state"] for call in phones.node.calls()] == ["Talking"]
    phones.is_refused(403, "call-2")
    assert phones.record()["release_cause"] == "TENANT_SUSPENDED"


def test_calls_are_released_by_a_node_that_runs(make_node: NodeFactory) -> None:
    node = make_node()
    node.bind(BOUND)
    done = node.command("kill", "number", X, "--release-calls", "--reason", "why")
    assert (done.returncode, done.stdout) == (1, f"number {X}: killed\n")
    assert done.stderr.endswith("control-0.sock: no node runs here\n")


GROUP_X, GROUP_Y = "700123456780041", "700123456780042"
COLLEAGUE = "13800138001"


@pytest.mark.parametrize("y", ["", GROUP_Y], ids=["GXB", "GXYB"])
def test_b_calls_back_whoever_has_called_last_also_after_a_restart(
    make_node: NodeFactory, place: Place, y: str
) -> None:
    node = make_node()
    node.bind(Bound(GROUP_X, A, B, y=y, colleagues=(COLLEAGUE,), callback="last_caller"))
    node.start()
    phones = Phones(node, place)
    colleague = replace(phones.caller, number=COLLEAGUE)

    def b_reaches(number: str, call_id: str) -> None:
        ask(phones.callee, GROUP_X, call_id)
        invite = phones.caller.take(f"INVITE sip:{number}@")
        assert (invite.value(h.FROM) or "").startswith(f"<sip:{y or GROUP_X}@veil.example>")
        phones.caller.answer(invite, 486)
        phones.callee.take("SIP/2.0 486")
        record = phones.record()
        assert (record["group_member"], record["callee"], record["mode"]) == (number, number, "GXYB" if y else "GXB")
        phones.forget()

    b_reaches(A, "call-1")  # nobody has called yet: the first member
    ask(colleague, y or GROUP_X, "call-2")
    invite = phones.callee.take("INVITE ")
    assert (invite.value(h.FROM) or "").startswith(f"<sip:{GROUP_X}@veil.example>")
    phones.callee.answer(invite, 486)
    colleague.take("SIP/2.0 486")
    phones.forget()
    b_reaches(COLLEAGUE, "call-3")
    assert node.stop() == 0
    node.start()
    b_reaches(COLLEAGUE, "call-4")
    phones.caller.end.close()
    phones.callee.end.close()


class FakePlatform(threading.Thread):
    """The process beside the node, as far as a call knows it."""

    def __init__(self, path: Path, says: dict[str, object] | None) -> None:
        super().__init__(daemon=True)
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(str(path))
        self._socket.listen()
        self.says = says
        self.asked: list[dict[str, Any]] = []
        self.start()

    def run(self) -> None:
        try:
            connection, _ = self._socket.accept()
        except OSError:
            return
        with connection, connection.makefile("rwb") as lines:
            for line in lines:
                asked = json.loads(line)
                self.asked.append(asked)
                if self.says is not None:
                    lines.write(json.dumps({"id": asked["id"], **self.says}).encode() + b"\n")
                    lines.flush()

    def close(self) -> None:
        self._socket.close()


@pytest.mark.parametrize(
    ("flags", "says", "status", "cause"),
    [
        (ASK_ORDER, {"verdict": "allow", "until_at": 0}, 486, "BUSY"),
        (ASK_ORDER, {"verdict": "deny"}, 403, "ORDER_UNVERIFIED"),
        (ASK_ORDER, None, 403, "VERIFY_TIMEOUT"),
        (ASK_DECISION, {"verdict": "allow"}, 486, "BUSY"),
        (ASK_DECISION, {"verdict": "deny"}, 403, "HOOK_CLOSED"),
        (ASK_DECISION, {"verdict": "allow", "presented": "700999999990001"}, 403, "HOOK_CLOSED"),
        (ASK_DECISION, None, 403, "HOOK_CLOSED"),
        (ASK_DECISION | DECISION_OPEN, None, 486, "BUSY"),
    ],
)
def test_the_platform_is_asked(
    phones: Phones, flags: int, says: dict[str, object] | None, status: int, cause: str
) -> None:
    phones.set("UPDATE target SET flags = ?", flags)
    if says is not None:
        phones.grants_time("order" if flags == ASK_ORDER else "decision")
    platform = FakePlatform(phones.node.data_dir / SOCKET, says)
    begun = time.monotonic()
    if status == 486:
        ask(phones.caller, X)
        phones.callee.answer(phones.callee.take("INVITE "), 486)
        phones.caller.take("SIP/2.0 486")
    else:
        ask(phones.caller, X)
        phones.caller.take(f"SIP/2.0 {status}")
    assert says is not None or time.monotonic() - begun > 0.7
    if status != 486:
        phones.hears_nothing()
    assert phones.record()["release_cause"] == cause
    (asked,) = platform.asked
    assert (asked["kind"], asked["tel_x"], asked["caller"]) == (
        "order" if flags == ASK_ORDER else "decision", X, "138****8000",
    )  # fmt: skip
    assert A not in json.dumps(platform.asked) and B not in json.dumps(platform.asked)
    platform.close()


def test_nobody_there_is_silence_at_once(phones: Phones) -> None:
    phones.set("UPDATE target SET flags = ?", ASK_DECISION)
    took = stopwatch(phones.node)
    phones.is_refused(403)
    assert took() < 0.8 + QUIET_S
    assert phones.record()["release_cause"] == "HOOK_CLOSED"
    assert phones.node.status()["counters"]["hooks_unanswered"] == 1
