"""Calls whose platform is asked over HTTPS by node and API process: what a platform says, and how it may fail."""

from __future__ import annotations

import asyncio
import json
import os
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

from engine.core.binding import ASK_DECISION, ASK_ORDER, DECISION_OPEN
from engine.store.database import BINDINGS, open_database
from engine.store.hooks import Hook, put_hook
from scenarios.rig.binding import Bound
from scenarios.rig.node import Node
from scenarios.rig.place import Place
from tests.e2e.ends import UdpEnd, ask
from tests.e2e.stopwatch import stopwatch
from tests.e2e.test_domain_calls import BOUND, QUIET_S, A, B, Phones, X
from tests.hooks.platforms import HOST, Behaviour, Platform, context_for, response, says, silent, trust

C = "13900139777"
OTHER_X = "700123456780032"
HOOK_MS = 2000  # that a platform has, where its silence is waited for: on a busy machine it must hear the question
REFUSED_WITHIN_S = 2.9  # sooner than with the longest time that one may have
MEASURED = 100  # calls
HANGING = 50

T = TypeVar("T")


class Asked:
    """A platform in a thread of its own, and the hook that leads to it."""

    def __init__(self, node: Node, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.node = node
        self.authority = trust(folder, monkeypatch)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self._context = context_for(self.authority, "platform", f"ip:{HOST}")
        self.platform = self._run(Platform(silent).start(self._context))

    def says(self, behaviour: Behaviour) -> None:
        self.platform.behaviour = behaviour

    def shows(self, subject: str, days: int) -> None:
        """Another certificate, from now on."""
        self._context.load_cert_chain(*self.authority.issue("other", subject, days=days))

    def set(self, kind: str, timeout_ms: int = 3000) -> None:
        """The longest time that a hook may have, where its end is not waited for."""
        cipher = self.node.cipher()
        connection = open_database(self.node.data_dir / "bindings.db", BINDINGS, cipher)
        put_hook(connection, cipher, Hook("ap-test", kind, self.platform.url, timeout_ms), renews=True)
        connection.close()

    def close(self) -> None:
        self._run(self.platform.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self, work: Awaitable[T]) -> T:
        async def done() -> T:
            return await work

        return asyncio.run_coroutine_threadsafe(done(), self._loop).result(60)


@pytest.fixture
def asked(
    make_node: Callable[..., Node], place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Asked]:
    node = make_node(extra=f'[api]\naddress = "{place.node}:8700"\nwebhook_hosts = ["{HOST}"]\n')
    node.bind(BOUND, Bound(OTHER_X, A, B))
    made = Asked(node, tmp_path, monkeypatch)
    node.environment["SSL_CERT_FILE"] = os.environ["SSL_CERT_FILE"]
    node.start()
    yield made
    made.close()


@pytest.fixture
def phones(asked: Asked, place: Place) -> Iterator[Phones]:
    made = Phones(asked.node, place)
    yield made
    made.caller.end.close()
    made.callee.end.close()


def flags(phones: Phones, value: int, x: str = X) -> None:
    phones.set("UPDATE target SET flags = ? WHERE x = ?", value, x)


def hears(phones: Phones, status: int, call_id: str) -> None:
    """The caller's final answer; those of calls before may be repeated meanwhile."""
    heard = phones.caller.end.receive()
    while heard.call_id != call_id or heard.status == 100:
        heard = phones.caller.end.receive()
    assert heard.status == status


def refused_after_s(phones: Phones, call_id: str = "call-1") -> float:
    """The caller hears 403, the callee nothing."""
    took = stopwatch(phones.node)
    ask(phones.caller, X, call_id)
    hears(phones, 403, call_id)
    took_s = took()
    phones.hears_nothing()
    return took_s


def busy(phones: Phones, callee: str = B, call_id: str = "call-1") -> Any:
    """The callee is called, and is busy; the INVITE that came."""
    ask(phones.caller, X, call_id)
    invite = phones.callee.take(f"INVITE sip:{callee}@")
    phones.callee.answer(invite, 486)
    hears(phones, 486, call_id)
    return invite


@pytest.mark.parametrize(
    ("kind", "flag", "cause"),
    [("order", ASK_ORDER, "VERIFY_TIMEOUT"), ("decision", ASK_DECISION, "HOOK_CLOSED")],
)
def test_a_hook_that_never_answers(asked: Asked, phones: Phones, kind: str, flag: int, cause: str) -> None:
    asked.set(kind, HOOK_MS)
    flags(phones, flag)
    begun = time.monotonic()
    assert refused_after_s(phones) < REFUSED_WITHIN_S
    assert time.monotonic() - begun > HOOK_MS / 1000 - 0.05 + QUIET_S
    record = phones.record()
    assert (record["release_cause"], record["call_out_time"]) == (cause, None)
    (question,) = asked.platform.asked
    assert question.json["record_id"] == record["record_id"]
    assert A.encode() not in question.body and B.encode() not in question.body


async def _drip(_asked: object, writer: asyncio.StreamWriter) -> None:
    for byte in response(b'{"allow": true}'):
        if not writer.is_closing():
            writer.write(bytes((byte,)))
        await asyncio.sleep(0.05)


@pytest.mark.parametrize(
    "behaviour",
    [says({"allow": True}, "500 Internal Server Error"), says({"allow": True}, "202 Accepted"), says(b"\xff" * 100),
     says({"allow": "yes"}), _drip],
    ids=["500", "202", "garbage", "form", "drip"],
)  # fmt: skip
def test_what_is_no_answer_refuses_and_passes_only_where_that_is_said(
    asked: Asked, phones: Phones, behaviour: Behaviour
) -> None:
    asked.set("decision", HOOK_MS)
    asked.says(behaviour)
    flags(phones, ASK_DECISION)
    assert refused_after_s(phones) < REFUSED_WITHIN_S
    assert phones.record()["release_cause"] == "HOOK_CLOSED"
    flags(phones, ASK_DECISION | DECISION_OPEN)
    phones.forget()
    busy(phones, call_id="call-2")


@pytest.mark.parametrize(("subject", "days"), [(f"ip:{HOST}", -1), ("ip:127.0.0.2", 30)], ids=["old", "another's"])
def test_a_certificate_that_is_none(asked: Asked, phones: Phones, subject: str, days: int) -> None:
    asked.set("decision")
    asked.says(says({"allow": True}))
    asked.shows(subject, days)
    flags(phones, ASK_DECISION)
    assert refused_after_s(phones) < REFUSED_WITHIN_S
    assert asked.platform.asked == []
    done = asked.node.command("hook", "test", "decision", "--app-platform", "ap-test")
    assert done.returncode == 1 and done.stdout.startswith("no answer: certificate: ")


def test_no_is_no_where_silence_lets_pass(asked: Asked, phones: Phones) -> None:
    asked.set("decision")
    flags(phones, ASK_DECISION | DECISION_OPEN)
    asked.says(says({"allow": False}))
    assert refused_after_s(phones) < REFUSED_WITHIN_S
    asked.says(silent)
    asked.set("decision", 800)
    phones.forget()
    busy(phones, call_id="call-2")


def test_the_platform_names_the_callee_and_the_number_for_each_call(asked: Asked, phones: Phones) -> None:
    asked.set("decision")
    asked.says(says({"allow": True, "callee": f"+86 {C}", "presented": OTHER_X, "max_duration": 60}))
    flags(phones, ASK_DECISION)
    invite = busy(phones, C)
    assert any(line.startswith("From: ") and OTHER_X in line for line in invite.lines)
    record = phones.record()
    assert (record["callee"], record["presented_number"], record["tel_x"]) == (C, OTHER_X, X)
    asked.says(says({"allow": True, "presented": "700999999990001"}))  # somebody else's block
    phones.forget()
    refused_after_s(phones, "call-2")
    assert phones.record()["release_cause"] == "HOOK_CLOSED"


def test_an_order_is_asked_about_once(asked: Asked, phones: Phones) -> None:
    asked.set("order")
    asked.says(says({"verified": True, "until": "2099-01-31T08:00:00+08:00", "proof": "waybill 17"}))
    flags(phones, ASK_ORDER)
    busy(phones)
    phones.forget()
    busy(phones, call_id="call-2")
    assert len(asked.platform.asked) == 1
    asked.says(says({"verified": False}))
    phones.set("DELETE FROM service_order")
    assert asked.node.stop() == 0  # what the node remembers itself goes with it
    asked.node.start()
    phones.forget()
    refused_after_s(phones, "call-3")
    assert phones.record()["release_cause"] == "ORDER_UNVERIFIED"


def test_a_hook_is_tried(asked: Asked) -> None:
    test = ("hook", "test", "decision", "--app-platform", "ap-test")
    done = asked.node.command(*test)
    assert (done.returncode, done.stdout) == (1, "no answer: there is no such hook\n")
    asked.set("decision")
    asked.says(says({"allow": True, "callee": C, "max_duration": 60}))
    done = asked.node.command(*test)
    assert done.returncode == 0 and done.stdout.startswith("allow after "), done.stderr
    assert done.stdout.endswith(" ms callee=139****9777 max_duration=60\n")
    said = json.loads(asked.node.command(*test, "--json").stdout)
    assert (said["verdict"], said["callee"]) == ("allow", "139****9777")
    assert [question.json["is_test"] for question in asked.platform.asked] == [True, True]
    asked.says(silent)
    asked.set("decision", 800)
    done = asked.node.command(*test)
    assert (done.returncode, done.stdout) == (1, "no answer: no answer within 800 ms\n")
    asked.node.stop()
    done = asked.node.command(*test)
    assert done.returncode == 1 and done.stderr.endswith("hooks-1.sock: no API process runs here\n")


def setup_times_ms(phones: Phones, series: str) -> list[float]:
    """From the caller's INVITE to that of the callee, sorted."""
    times: list[float] = []
    for number in range(MEASURED):
        call_id = f"{series}-{number}"
        begun = time.monotonic()
        ask(phones.caller, X, call_id)
        invite = phones.callee.end.receive()
        while invite.method != "INVITE":  # the ACK of the call before
            invite = phones.callee.end.receive()
        times.append((time.monotonic() - begun) * 1000)
        phones.callee.answer(invite, 486)
        hears(phones, 486, call_id)
    return sorted(times)


@pytest.mark.alone
def test_calls_beside_questions_that_hang(asked: Asked, phones: Phones, place: Place) -> None:
    """Their setup takes as long as without."""
    asked.set("decision", 3000)
    flags(phones, ASK_DECISION, OTHER_X)
    setup_times_ms(phones, "first")  # what is done once is done
    without = setup_times_ms(phones, "without")
    other = UdpEnd(place.caller, place.node, 5061)
    hanging = type(phones.caller)(A, other)
    for number in range(HANGING):
        ask(hanging, OTHER_X, f"hanging-{number}")
    deadline = time.monotonic() + 2
    while len(asked.platform.asked) < HANGING:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    beside = setup_times_ms(phones, "beside")
    assert sum(call["state"] == "Asking" for call in asked.node.calls()) == HANGING
    p50, p99 = MEASURED // 2, MEASURED * 99 // 100 - 1
    print(
        f"ms: without p50 {without[p50]:.1f} p99 {without[p99]:.1f}, beside p50 {beside[p50]:.1f} p99 {beside[p99]:.1f}"
    )
    assert beside[p50] < 2 * without[p50] + 5
    other.close()
