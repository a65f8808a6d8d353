"""A node that breaks a promise is found out: each thing that the fuzzer looks at is broken here in turn."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

import pytest

from engine.core.context import CoreContext
from engine.core.outputs import CommitRecord
from engine.core.service import CallService
from sipstack.events import Flow, Output, SendMessage
from tests.core.corenode import B, CoreNode
from tests.fuzz.stage import Case, Twist, play

CALL = Case("call", 0, ())
TEXT = Case("text", 0, ())
FROM_A_STRANGER = Case("text", 0, (Twist(0, "from elsewhere"),))

Change = Callable[[list[Output], Flow], list[Output]]


def sends(monkeypatch: pytest.MonkeyPatch, change: Change) -> None:
    """What the core returns for a message is changed on its way out."""
    receive = CallService.receive

    def changed(self: CallService, data: bytes, flow: Flow, now: float) -> list[Output]:
        return change(receive(self, data, flow, now), flow)

    monkeypatch.setattr("engine.core.service.CallService.receive", changed)


def each(change: Callable[[bytes], bytes]) -> Change:
    def changed(outputs: list[Output], _: Flow) -> list[Output]:
        return [SendMessage(change(o.data), o.flow) if isinstance(o, SendMessage) else o for o in outputs]

    return changed


def burn(outputs: list[Output], _: Flow) -> list[Output]:
    end = time.thread_time() + 0.6
    while time.thread_time() < end:
        pass
    return outputs


NUMBER = "-".join((B[:3], B[3:7], B[7:])).encode()


def put(row: bytes, before: bytes) -> Change:
    return each(lambda data: data.replace(before, row + before))


NOBODY: Final = Flow("UDP", "10.0.0.1", 5060)
BROKEN: Final[dict[str, tuple[Change, Case]]] = {
    "'13900139000'.* crossed to a": (put(b"i=%s\r\n" % NUMBER, b"m=audio"), CALL),
    "zqbravobravo crossed to a": (put(b"X: ZQBRAVOBRAVO\r\n", b"Content-L"), CALL),
    "127.0.0.12 crossed to b": (put(b"X: 127.0.0.12\r\n", b"Content-L"), CALL),
    "datagrams for one": (lambda outputs, _: outputs * 13, CALL),
    "a stranger is answered": (lambda _, flow: [SendMessage(b"SIP/2.0 403 No\r\n", flow)], FROM_A_STRANGER),
    "sent to 10.0.0.1": (lambda *_: [SendMessage(b"x", NOBODY)], TEXT),
    "s of work for": (burn, TEXT),
}


@pytest.mark.parametrize("found", BROKEN)
def test_what_leaves(monkeypatch: pytest.MonkeyPatch, found: str) -> None:
    change, case = BROKEN[found]
    play(case)
    sends(monkeypatch, change)
    with pytest.raises(AssertionError, match=found):
        play(case)


@pytest.mark.parametrize("case", [CALL, TEXT])
def test_a_step_that_is_taken_before_it_is_durable(monkeypatch: pytest.MonkeyPatch, case: Case) -> None:
    committed = CoreNode._committed

    def too_early(self: CoreNode, output: CommitRecord, durable: bool) -> list[Output]:
        self.book.perform(self.service.record_committed(output.attempt, output.step, durable, self.book.now))
        committed(self, output, durable)
        return []

    monkeypatch.setattr("tests.core.corenode.CoreNode._committed", too_early)
    with pytest.raises(AssertionError, match="left before its"):
        play(case)


@pytest.mark.pure
def test_a_fault_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.core.service.CallService._in_dialog", lambda *_: {}["missing"])
    with pytest.raises(KeyError):
        play(CALL)


@pytest.mark.pure
def test_what_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.core.context.CoreContext.leave", lambda *_: None)
    with pytest.raises(AssertionError, match="left"):
        play(TEXT)


@pytest.mark.pure
def test_an_attempt_without_a_record(monkeypatch: pytest.MonkeyPatch) -> None:
    count = CoreContext.count

    def counts_twice(self: CoreContext, name: str) -> None:
        count(self, name)
        count(self, name)

    monkeypatch.setattr("engine.core.context.CoreContext.count", counts_twice)
    with pytest.raises(AssertionError, match="4 attempts, 2 records"):
        play(TEXT)


def test_a_case_tells_all_that_it_needs_to_be_played_again() -> None:
    case = Case("call", 1, (Twist(3, "flip", 7, 9), Twist(5, "pause")))
    assert eval(repr(case)) == case
