"""Numbers for the test: canaries bound as `veil700 bind` binds, and unbound whatever happens."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Final

from engine.domain.problems import Problem
from engine.leaktest.errors import RigError
from engine.leaktest.pair import Pair
from engine.store.binding_rules import BindRequest
from engine.store.bindings import BindingStore, open_bindings
from engine.store.crypto import open_key
from engine.store.inventory import numbers_to_bind

BINDINGS: Final = "bindings.db"
ORDER: Final = "leak-test"
LIFE_S: Final = 3600.0  # what is left behind by a kill ends by itself


def free_x(data_dir: Path, random: Random, count: int) -> list[str]:
    """700 numbers out of the blocks that are assigned. RigError when there is none."""
    blocks = numbers_to_bind(data_dir / BINDINGS, open_key(data_dir))
    if not blocks:
        raise RigError("no number block of the inventory is assigned: nothing can be bound")
    return [f"{random.choice(blocks)[0]}{random.randrange(10_000):04d}" for _ in range(count)]


@asynccontextmanager
async def bound(data_dir: Path, pairs: Sequence[Pair]) -> AsyncIterator[None]:
    """The pairs' numbers are bound inside."""
    cipher = open_key(data_dir)
    path = data_dir / BINDINGS
    owners = {prefix: (user, scenario) for prefix, user, scenario in numbers_to_bind(path, cipher)}
    made: list[asyncio.Future[str]] = []
    async with open_bindings(path, cipher) as store:
        try:
            for pair in pairs:
                made.append(asyncio.ensure_future(_bind(store, pair, *owners[pair.x[:11]])))
                await asyncio.shield(made[-1])  # the store goes on with one that is interrupted
            yield
        finally:
            for binding in made:
                with suppress(Problem, RigError):  # somebody has ended it before us, or it was refused
                    await store.unbind(await binding)


async def _bind(store: BindingStore, pair: Pair, user: str, scenario: str) -> str:
    until = datetime.fromtimestamp(time.time() + LIFE_S, UTC).isoformat(timespec="seconds")
    try:
        return await store.bind(BindRequest(
            "AXB", pair.x, "", pair.caller.number, pair.callee.number, "", user, ORDER, scenario or ORDER, until
        ))  # fmt: skip
    except Problem as error:
        raise RigError(f"{pair.name}: the canaries cannot be bound: {error}") from None
