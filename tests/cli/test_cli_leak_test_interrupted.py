"""A leak-test that is interrupted while the store binds: what the store then still commits is unbound, too."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest

from engine.leaktest.bound import bound
from engine.leaktest.pair import Pair, Trunk
from engine.store.binding_rules import BindRequest
from engine.store.bindings import BindingStore
from tests.cli.commands import A, B, Run, X

PAIR = Pair(
    ("127.0.0.1", 5060), Trunk("caller-side", ("127.0.0.2", 5060), A), Trunk("callee-side", ("127.0.0.3", 5060), B), X
)


async def interrupted(data_dir: Path, rounds: int) -> bool:
    """Whether the numbers had been bound when the end came, so many rounds of the loop behind the begin."""
    came = False

    async def hold() -> None:
        nonlocal came
        async with bound(data_dir, [PAIR]):
            came = True
            await asyncio.Event().wait()

    task = asyncio.ensure_future(hold())
    for _ in range(rounds):
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    return came


def test_nothing_stays_bound_wherever_the_end_comes(stocked: Run, file: Path) -> None:
    came = [asyncio.run(interrupted(file.parent / "data", rounds)) for rounds in (0, 1, 2, 4, 8, 16, 32, 64, 128)]
    assert not came[0]
    assert " active " not in stocked("bindings", "list").out


def test_what_the_store_is_just_binding_is_unbound(stocked: Run, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another writer holds the store until the end has come: what was asked for before is bound only then."""
    other = sqlite3.connect(file.parent / "data" / "bindings.db", isolation_level=None)
    bind, asked = BindingStore.bind, asyncio.Event()

    async def held_up(store: BindingStore, request: BindRequest) -> str:
        other.execute("BEGIN IMMEDIATE")
        asked.set()
        return await bind(store, request)

    async def end_meanwhile() -> None:
        task = asyncio.ensure_future(_hold(file.parent / "data"))
        await asked.wait()
        task.cancel()
        await asyncio.sleep(0)
        other.execute("COMMIT")
        with pytest.raises(asyncio.CancelledError):
            await task

    monkeypatch.setattr(BindingStore, "bind", held_up)
    asyncio.run(end_meanwhile())
    other.close()
    told = stocked("bindings", "list").out
    assert told.count("leak-test") == 1
    assert " unbound " in told


async def _hold(data_dir: Path) -> None:
    async with bound(data_dir, [PAIR]):
        await asyncio.Event().wait()
