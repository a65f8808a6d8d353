"""The keeper of a process: what is ready, what is not, the pauses before another start, and the ways to end it."""

from __future__ import annotations

import asyncio
import sys
import time
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, Final

import pytest

from engine.keeper import MAX_WORD, Habits, Keeper, NotStarted, Words
from tests.e2e.waiting import is_there
from tests.sipstack.endpoint_rig import later

HABITS: Final = Habits(ready_s=60.0, first_pause_s=0.01, longest_pause_s=0.04, steady_s=60.0)
WAIT_S: Final = 30.0  # for a machine that is busy with other tests
WORDS: Final = Words("has ended", "is absent", "is back", "cannot start it: ", "it says: ", "it")

# Until its stdin ends, or somebody writes there.
SERVES: Final = "print('ready one two', flush=True); import sys; sys.stdin.readline()"
DIES: Final = "print('ready', flush=True)"
DEAF: Final = "import signal, time; signal.signal(15, signal.SIG_IGN); print('ready', flush=True); time.sleep(60)"
WAITS: Final = "import sys; sys.stdin.readline(); print('ready', flush=True)"  # until it is told to go on
SILENT: Final = "import time; time.sleep(60)"


class Made:
    """A keeper whose processes run these programs one after the other, then the last one; what it has logged."""

    def __init__(self, *programs: str, habits: Habits = HABITS, fields: Any = None, stderr: int | None = None) -> None:
        self.programs = list(programs)
        self.children: list[Process] = []
        self.logged: list[tuple[str, dict[str, object]]] = []
        self.stderr = stderr
        self.keeper = Keeper(habits, WORDS, self._launch, self._log, fields)

    async def _launch(self) -> Process:
        program = self.programs.pop(0) if len(self.programs) > 1 else self.programs[0]
        if not program:
            raise OSError(11, "no room")
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-S", "-c", program, stdin=PIPE, limit=MAX_WORD, stderr=self.stderr,
            stdout=PIPE if self.stderr is None else DEVNULL,
        )  # fmt: skip
        self.children.append(child)
        return child

    def _log(self, line: str, **fields: object) -> None:
        self.logged.append((line, fields))

    def pauses(self) -> list[object]:
        return [fields["next_start_s"] for line, fields in self.logged if line == "has ended"]

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(WAIT_S):
            while not holds():
                await asyncio.sleep(0.005)


@asynccontextmanager
async def kept(*programs: str, **more: Any) -> AsyncIterator[Made]:
    """Nothing of it is left behind the test."""
    made = Made(*programs, **more)
    try:
        yield made
    finally:
        await made.keeper.wait_let_go()
        for child in made.children:
            with suppress(ProcessLookupError):
                child.kill()
            await child.wait()


async def refused(*programs: str, **more: Any) -> str:
    """What a start that fails says; nothing is left of it."""
    async with kept(*programs, **more) as made:
        with pytest.raises(NotStarted) as raised:
            await made.keeper.start()
        assert (made.keeper.pid, made.keeper.is_ready, made.keeper.state) == (0, False, "down")
        assert [child.returncode for child in made.children if child.returncode is None] == []
        return str(raised.value)


def test_it_is_there_when_it_has_said_so() -> None:
    async def story() -> None:
        async with kept(SERVES) as made:
            keeper = made.keeper
            await keeper.start()
            assert (keeper.said, keeper.state, keeper.restarts) == ("one two", "running", 0)
            assert keeper.pid == made.children[0].pid and keeper.since.endswith("Z")

    asyncio.run(story())


def test_one_that_says_nothing_is_there_at_once() -> None:
    async def story() -> None:
        async with kept(SILENT, habits=replace(HABITS, ready_s=None)) as made:
            await made.keeper.start()
            assert made.keeper.pid == made.children[0].pid

    asyncio.run(story())


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("", "cannot start it: no room"),
        ("pass", "it ended before it was ready"),
        ("print('failed no such file', flush=True); import time; time.sleep(60)", "it says: no such file"),
        ("print('readyish')", "it says: readyish"),
        (f"print('ready ' + 'x' * {2 * MAX_WORD}, flush=True); import time; time.sleep(60)",
         "it does not say that it is ready"),
    ],
)  # fmt: skip
def test_a_start_that_fails_says_why_and_leaves_nothing(program: str, said: str) -> None:
    assert asyncio.run(refused(program)) == said


def test_one_that_takes_too_long_is_ended() -> None:
    assert asyncio.run(refused(SILENT, habits=replace(HABITS, ready_s=0.3))) == "it is not ready after 0 s"


def test_a_start_that_is_cancelled_leaves_nothing() -> None:
    async def story() -> None:
        async with kept(SILENT) as made:
            starting = asyncio.create_task(made.keeper.start())
            await made.until(lambda: bool(made.children))
            await asyncio.sleep(0.05)
            starting.cancel()
            await asyncio.wait({starting})
            assert starting.cancelled()
            assert made.children[0].returncode is not None

    asyncio.run(story())


def test_one_that_dies_is_started_again_and_that_is_said() -> None:
    async def story() -> None:
        async with kept(SERVES, fields=lambda said: {"url": said}) as made:
            await made.keeper.start()
            made.children[0].kill()
            await made.until(lambda: len(made.logged) == 2)
            assert made.logged == [
                ("has ended", {"status": -9, "next_start_s": 0.01}),
                ("is back", {"url": "one two", "restarts": 1}),
            ]
            assert list(made.logged[0][1]) == ["status", "next_start_s"]
            assert made.keeper.pid == made.children[1].pid

    asyncio.run(story())


def test_what_it_says_on_its_stderr_is_the_reason_of_its_end() -> None:
    async def story() -> None:
        program = "import os; os.write(2, b'no room on the disk\\n'); raise SystemExit(1)"
        async with kept(program, SILENT, habits=replace(HABITS, ready_s=None), stderr=PIPE) as made:
            await made.keeper.start()
            await made.until(lambda: len(made.children) == 2)
            assert made.logged[0] == (
                "has ended", {"status": 1, "reason": "no room on the disk", "next_start_s": 0.01}
            )  # fmt: skip
            assert list(made.logged[0][1]) == ["status", "reason", "next_start_s"]

    asyncio.run(story())


def test_pauses_double_up_to_the_longest() -> None:
    async def story() -> None:
        async with kept(DIES) as made:
            await made.keeper.start()
            await made.until(lambda: len(made.pauses()) == 5)
            assert made.pauses() == [0.01, 0.02, 0.04, 0.04, 0.04]

    asyncio.run(story())


def test_behind_one_that_has_served_for_long_the_pause_is_the_first_one_again(monkeypatch: Any) -> None:
    clock_s = 1000.0
    monkeypatch.setattr("engine.keeper.time", SimpleNamespace(monotonic=lambda: clock_s, time=time.time))

    async def story() -> None:
        nonlocal clock_s
        async with kept(DIES, DIES, SERVES) as made:
            await made.keeper.start()
            await made.until(lambda: made.logged[-1:] == [("is back", {"restarts": 2})])
            clock_s += HABITS.steady_s
            made.children[-1].kill()
            await made.until(lambda: len(made.pauses()) == 3)
            assert made.pauses() == [0.01, 0.02, 0.01]

    asyncio.run(story())


def test_one_that_has_served_for_long_and_does_not_come_up_again_is_not_tried_ever_faster(monkeypatch: Any) -> None:
    clock_s = 1000.0
    monkeypatch.setattr("engine.keeper.time", SimpleNamespace(monotonic=lambda: clock_s, time=time.time))

    async def story() -> None:
        nonlocal clock_s
        async with kept(SERVES, "print('failed no')", "", "print('failed no')") as made:
            await made.keeper.start()
            clock_s += HABITS.steady_s
            made.children[0].kill()
            await made.until(lambda: len(made.pauses()) == 4)
            assert made.pauses() == [0.01, 0.02, 0.04, 0.04]
            reasons = [fields["reason"] for line, fields in made.logged if line == "is absent"]
            assert reasons == ["it says: no", "cannot start it: no room", "it says: no"]
            assert made.keeper.restarts == 3

    asyncio.run(story())


def test_it_ends_as_it_is_told_to_and_is_not_started_again() -> None:
    async def story() -> None:
        async with kept(SERVES) as made:
            await made.keeper.start()
            await made.keeper.stop(lambda child: child.stdin.write(b"end\n"))  # type: ignore[union-attr]
            assert made.children[0].returncode == 0
            await asyncio.sleep(0.05)
            assert (len(made.children), made.logged, made.keeper.pid) == (1, [], 0)
            await made.keeper.stop(Process.terminate)  # there is nobody any more

    asyncio.run(story())


def test_one_that_does_not_hear_is_killed() -> None:
    async def story() -> None:
        async with kept(DEAF) as made:
            await made.keeper.start()
            await made.keeper.stop(Process.terminate, 0.1)
            assert made.children[0].returncode == -9
            assert not is_there(made.children[0].pid)

    asyncio.run(story())


def test_one_that_is_let_go_while_it_starts_is_no_start() -> None:
    async def story() -> None:
        async with kept(WAITS) as made:
            starting = asyncio.create_task(made.keeper.start())
            await made.until(lambda: bool(made.children))
            made.keeper.let_go()
            made.children[0].stdin.write(b"now\n")  # type: ignore[union-attr]
            await asyncio.wait({starting})
            assert str(starting.exception()) == "the node ends"

    asyncio.run(story())


def test_one_that_is_let_go_between_two_starts_stays_away() -> None:
    async def story() -> None:
        async with kept(DIES, habits=replace(HABITS, first_pause_s=60.0)) as made:
            await made.keeper.start()
            await made.until(lambda: bool(made.pauses()))
            await made.keeper.wait_let_go()
            await later(61.0)
            await asyncio.sleep(0.1)
            assert len(made.children) == 1

    asyncio.run(story())
