"""One thread writes: neighbours share a commit, and not each other's faults."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from engine.api import writer as module
from engine.api.writer import Writer
from engine.config import Config
from engine.domain.problems import Problem, ProblemCode
from engine.store.crypto import open_key
from engine.store.errors import StoreError


@pytest.fixture
def path(config: Config) -> Path:
    return config.data_dir / "bindings.db"


@pytest.fixture
async def begun() -> list[str]:
    return []


@pytest.fixture
async def writer(path: Path, config: Config, begun: list[str]) -> Iterator[Writer]:  # type: ignore[misc]
    writer = Writer(path, open_key(config.data_dir), lambda _connection: begun.append("transaction"))
    yield writer
    writer.stop()


def note(name: str) -> Callable[[sqlite3.Connection], str]:
    def work(connection: sqlite3.Connection) -> str:
        connection.execute("INSERT INTO meta VALUES (?, '')", (name,))
        return name

    return work


def noted(path: Path) -> set[str]:
    with closing(sqlite3.connect(path)) as connection:
        return {name for (name,) in connection.execute("SELECT name FROM meta WHERE name LIKE 'n%'")}


async def test_what_has_queued_shares_a_commit(writer: Writer, path: Path, begun: list[str]) -> None:
    answers = await asyncio.gather(*(writer.run(note(f"n{number}")) for number in range(600)))
    assert answers == [f"n{number}" for number in range(600)]
    assert noted(path) == set(answers)
    assert 3 <= len(begun) < 60  # 256 share one at the most


async def test_a_refused_one_leaves_nothing_and_harms_nobody(writer: Writer, path: Path) -> None:
    def refused(connection: sqlite3.Connection) -> None:
        note("n-refused")(connection)
        raise Problem(ProblemCode.ILLEGAL_ARGUMENT, "x", "no")

    def broken(connection: sqlite3.Connection) -> None:
        note("n-broken")(connection)
        connection.execute("SELECT * FROM nothing")

    def faulty(connection: sqlite3.Connection) -> None:
        note("n-faulty")(connection)
        raise KeyError("a bug")

    found = await asyncio.gather(
        writer.run(note("n1")), writer.run(refused), writer.run(note("n2")), writer.run(broken), writer.run(faulty),
        writer.run(note("n1")), writer.run(note("n3")), return_exceptions=True,
    )  # fmt: skip
    kinds = [type(one) for one in found]
    assert kinds == [str, Problem, str, StoreError, KeyError, StoreError, str]
    assert noted(path) == {"n1", "n2", "n3"}


async def test_another_writer_is_waited_for_and_then_told(
    writer: Writer, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        waiting = asyncio.create_task(writer.run(note("n1")))
        await asyncio.sleep(0.1)
        assert not waiting.done()
        other.execute("ROLLBACK")
        assert await waiting == "n1"
        writer._connection.execute("PRAGMA busy_timeout = 50")
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(Problem, match="another process is writing") as refused:
            await writer.run(note("n2"))
        assert refused.value.code is ProblemCode.OVERLOAD
        other.execute("ROLLBACK")
    assert await writer.run(note("n3")) == "n3"


async def test_too_many_are_not_kept_waiting(writer: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_QUEUED", 5)
    found = await asyncio.gather(*(writer.run(note(f"n{number}")) for number in range(8)), return_exceptions=True)
    assert [type(one) for one in found] == [str] * 5 + [Problem] * 3


async def test_who_hangs_up_does_not_undo_it(writer: Writer, path: Path) -> None:
    asked = asyncio.create_task(writer.run(note("n1")))
    await asyncio.sleep(0)
    asked.cancel()
    assert await writer.run(note("n2")) == "n2"
    assert noted(path) == {"n1", "n2"}


async def test_what_has_queued_is_written_at_the_end(path: Path, config: Config) -> None:
    writer = Writer(path, open_key(config.data_dir), lambda _connection: None)
    asked = [asyncio.create_task(writer.run(note(f"n{number}"))) for number in range(20)]
    await asyncio.sleep(0)
    writer.stop()
    assert len(await asyncio.gather(*asked)) == len(noted(path)) == 20
