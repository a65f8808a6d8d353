"""A leak-test that is interrupted while the store binds: what the store then still commits is unbound, too."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from engine.leaktest.bound import bound
from engine.leaktest.pair import Pair, Trunk
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


def test_nothing_stays_bound(stocked: Run, file: Path) -> None:
    came = [asyncio.run(interrupted(file.parent / "data", rounds)) for rounds in (0, 1, 2, 4, 8, 16, 32, 64, 128, 4096)]
    assert not came[0]
    assert " active " not in stocked("bindings", "list").out
    assert stocked("bindings", "list").out.count("leak-test") > 1
