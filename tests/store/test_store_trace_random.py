"""Any history of binding, unbinding, expiring and binding anew: the trace of any moment is what a plain model says."""

from __future__ import annotations

import asyncio
import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.core.binding import Binding, is_expired
from engine.domain.problems import Problem
from engine.store.binding_reader import BindingReader
from engine.store.bindings import BindingStore, open_bindings
from engine.store.crypto import NumberCipher, open_key
from engine.store.inventory import apply_inventory, read_inventory
from engine.store.rows import utc_text
from engine.store.trace import Question, Trace
from tests.store.bound import REQUEST
from tests.store.conftest import INVENTORY, NOW

XS = ("700123456780001", "700123456780002")
PEOPLE = ("13800138000", "13900139000", "13700137000")

SECONDS = st.integers(1, 400_000).map(lambda ms: ms / 1000)
BIND = st.tuples(st.just("bind"), SECONDS, st.sampled_from(XS), st.permutations(PEOPLE), st.integers(61, 700))
UNBIND = st.tuples(st.just("unbind"), SECONDS, st.integers(0, 20))


@dataclass
class Held:
    """A binding as the model remembers it."""

    subs_id: str
    x: str
    parties: tuple[str, str]
    since_s: float
    expires_s: float
    ended_s: float | None = None

    def holds(self, at_s: float) -> bool:
        return self.since_s <= at_s < min(self.expires_s, self.ended_s or self.expires_s)


@dataclass
class History:
    """What was done, and what calls found at each moment between."""

    clock_s: float = NOW
    held: list[Held] = field(default_factory=list)
    found: list[tuple[float, str, str, str]] = field(default_factory=list)  # time, x, caller, subs_id or ""

    def of(self, x: str, at_s: float) -> list[Held]:
        return [held for held in self.held if held.x == x and held.holds(at_s)]

    async def bind(self, store: BindingStore, x: str, parties: tuple[str, str], ttl_s: int) -> None:
        expires_s = float(int(self.clock_s) + ttl_s + 1)
        request = replace(REQUEST, tel_x=x, tel_a=parties[0], tel_b=parties[1], expiration=utc_text(expires_s))
        # Nothing here lasts so long that X would cool down.
        others = [held for held in self.held if held.x == x and set(parties) & set(held.parties)]
        is_taken = any(held.holds(self.clock_s) or set(parties) != set(held.parties) for held in others)
        try:
            subs_id = await store.bind(request)
        except Problem:
            assert is_taken
        else:
            assert not is_taken
            self.held.append(Held(subs_id, x, parties, self.clock_s, expires_s))

    async def unbind(self, store: BindingStore, number: int) -> None:
        if not self.held:
            return
        held = self.held[number % len(self.held)]
        try:
            await store.unbind(held.subs_id)
        except Problem:
            assert held.ended_s is not None
        else:
            assert held.ended_s is None
            held.ended_s = self.clock_s

    def look_up(self, reader: BindingReader) -> None:
        for x in XS:
            for caller in PEOPLE:
                found = reader.find(x, caller, self.clock_s)
                is_bound = isinstance(found, Binding) and not is_expired(found, self.clock_s)
                self.found.append((self.clock_s, x, caller, found.subs_id if is_bound else ""))  # type: ignore[union-attr]


async def play(path: Path, cipher: NumberCipher, steps: list[tuple[object, ...]]) -> History:
    history = History()
    reader = BindingReader(path, cipher)
    async with open_bindings(path, cipher, lambda: history.clock_s) as store:
        for what, seconds, *words in steps:
            history.clock_s = round(history.clock_s + seconds, 3)  # type: ignore[operator]
            if what == "bind":
                x, people, ttl_s = words
                await history.bind(store, x, tuple(people[:2]), ttl_s)  # type: ignore[arg-type, index]
            else:
                await history.unbind(store, *words)  # type: ignore[arg-type]
            history.look_up(reader)
    reader.close()
    return history


@given(st.lists(st.one_of(BIND, BIND, UNBIND), min_size=3, max_size=14), st.lists(SECONDS, min_size=3, max_size=8))
@settings(max_examples=25, deadline=None)
def test_the_trace_of_any_moment(steps: list[tuple[object, ...]], later: list[float]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        data_dir = Path(folder)
        path, cipher = data_dir / "bindings.db", open_key(data_dir)
        file = data_dir / "inventory.toml"
        file.write_text(INVENTORY)
        apply_inventory(path, cipher, read_inventory(file))
        history = asyncio.run(play(path, cipher, steps))

        def told(x: str, at_s: float) -> dict[str, tuple[str, str]]:
            found = Trace(data_dir, cipher, Question(x, at_s, 0.0)).bindings
            return {bound.subs_id: (bound.tel_a, bound.tel_b) for bound in found}

        edges = [time for held in history.held for time in (held.since_s, held.expires_s, held.ended_s or NOW)]
        for at_s in [round(NOW + 10 * seconds, 3) for seconds in later] + edges + [edge - 0.001 for edge in edges]:
            for x in XS:
                assert told(x, at_s) == {held.subs_id: held.parties for held in history.of(x, at_s)}
        for at_s, x, caller, subs_id in history.found:
            assert [one for one, parties in told(x, at_s).items() if caller in parties] == [subs_id] * bool(subs_id)
