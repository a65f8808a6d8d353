"""The whole life of bindings, step by step at random, beside a plain model that says what must come of each step."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from engine.domain.problems import Problem
from engine.store.binder import Change
from engine.store.rows import utc_text
from tests.store.conftest import INVENTORY, NOW
from tests.store.shop import DAY_S, Shop, open_shop

XS = tuple(f"70012345678000{number}" for number in range(3))
PEOPLE = tuple(f"1380013800{number}" for number in range(5))
GROUP = "g-1"

Pair = frozenset[str]
X = st.sampled_from(XS)
PERSON = st.sampled_from(PEOPLE)
LIFE_S = st.sampled_from([61.0, 3600.0, 2 * DAY_S])


@dataclass
class Held:
    """A version of a binding, as the model remembers it."""

    subs_id: str
    mode: str
    x: str
    y: str
    side_a: tuple[str, ...]
    tel_b: str
    since_s: float
    expires_s: float
    ended_s: float | None = None
    gone: list[tuple[str, float]] = field(default_factory=list)  # members that have left, and when

    def end_s(self) -> float:
        return self.expires_s if self.ended_s is None else min(self.ended_s, self.expires_s)

    def holds(self, at_s: float) -> bool:
        return at_s < self.end_s() and self.ended_s is None

    def numbers(self) -> set[str]:
        return {self.x, self.y} - {""}

    def pairs(self) -> set[Pair]:
        return {frozenset((member, self.tel_b)) for member in (*self.side_a, *(who for who, _ in self.gone))}

    def targets(self) -> dict[tuple[str, str], tuple[str, str]]:
        """(number, caller) -> (callee, what it sees)."""
        dialled = self.y or self.x
        found = {(dialled, member): (self.tel_b, self.x) for member in self.side_a}
        return found | {(self.x, self.tel_b): (self.side_a[0], dialled)}


class Life(RuleBasedStateMachine):
    """Each step is tried on both; what the one refuses, the other does, for the same kind of reason."""

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        folder = self.stack.enter_context(tempfile.TemporaryDirectory())
        self.shop: Shop = self.stack.enter_context(open_shop(Path(folder) / "var", INVENTORY, NOW))
        self.held: list[Held] = []
        self.members: tuple[str, ...] = ()
        self.restricted: dict[str, str] = {}
        self.platform = "active"

    def teardown(self) -> None:
        self.stack.close()

    # ------------------------------------------------------------------ what the model says

    def objection(self, numbers: set[str], pairs: set[Pair], own: str = "") -> str:
        """Why these pairs may not have these numbers; "" when they may."""
        people = frozenset().union(*pairs)
        cooling = conflict = False
        for held in self.held:
            if held.subs_id == own or not held.numbers() & numbers or held.end_s() + DAY_S <= self.shop.now:
                continue
            if any(pair & people and pair not in pairs for pair in held.pairs()):
                is_now = held.end_s() > self.shop.now
                conflict, cooling = conflict or is_now, cooling or not is_now
        return "BIND_CONFLICT|NUMBER_COOLING" if conflict or cooling else ""

    def taken(self, targets: dict[tuple[str, str], tuple[str, str]], own: str = "") -> bool:
        return any(
            key in targets for held in self.held if held.subs_id != own and self.is_now(held) for key in held.targets()
        )

    def is_now(self, held: Held) -> bool:
        return held.holds(self.shop.now)

    def expected(self, wanted: Held) -> str:
        if self.platform != "active":
            return "PARTNER_IS_CLOSED"
        for number in sorted(wanted.numbers()):
            if self.restricted.get(number):
                return "NUMBER_LOCKED|NUMBER_FROZEN"
        if why := self.objection(wanted.numbers(), wanted.pairs()):
            return why
        return "BIND_CONFLICT" if self.taken(wanted.targets()) else ""

    def tried(self, work: Callable[[], Any]) -> tuple[str, Any]:
        """The code with which something was refused, "" when it was done, and what came of it."""
        try:
            return "", self.shop.do(work)
        except Problem as problem:
            return problem.code, None

    # ------------------------------------------------------------------ steps

    @rule(x=X, y=X, a=PERSON, b=PERSON, mode=st.sampled_from(["AXB", "AXYB", "GXB", "GXYB"]), life_s=LIFE_S)
    def bind(self, x: str, y: str, a: str, b: str, mode: str, life_s: float) -> None:
        side_a = self.members if mode.startswith("G") else (a,)
        y = y if "Y" in mode else ""
        if x == y or b in side_a or not side_a:
            return
        expires_s = round(self.shop.now + life_s, 3)
        wanted = Held("", mode, x, y, side_a, b, self.shop.now, expires_s)
        expected = self.expected(wanted)
        group = {"group_id": GROUP, "tel_a": ""} if mode.startswith("G") else {"tel_a": a}
        request = self.shop.ask(mode=mode, tel_x=x, tel_y=y, tel_b=b, expiration=utc_text(expires_s), **group)
        code, bound = self.tried(lambda: self.shop.binder.bind(request, self.shop.now))
        assert code in expected.split("|")
        if bound is not None:
            wanted.subs_id = bound.subs_id
            self.held.append(wanted)

    @rule(number=st.integers(0, 30))
    def unbind(self, number: int) -> None:
        current = self.newest()
        if not current:
            return
        held = current[number % len(current)]
        code, _ = self.tried(lambda: self.shop.binder.unbind(held.subs_id, self.shop.now))
        assert code == ("" if held.ended_s is None else "ILLEGAL_STATE")
        held.ended_s = self.shop.now if held.ended_s is None else held.ended_s

    @rule(number=st.integers(0, 30), b=PERSON, life_s=st.one_of(st.none(), LIFE_S))
    def change(self, number: int, b: str, life_s: float | None) -> None:
        current = [held for held in self.newest() if self.is_now(held)]
        if not current:
            return
        held = current[number % len(current)]
        if b in held.side_a:
            return
        expires_s = held.expires_s if life_s is None else round(self.shop.now + life_s, 3)
        new = Held(held.subs_id, held.mode, held.x, held.y, held.side_a, b, self.shop.now, expires_s)
        expected = ""
        if self.platform != "active" and expires_s > held.expires_s:
            expected = "PARTNER_IS_CLOSED"
        elif any(self.restricted.get(number) for number in new.numbers()):
            expected = "NUMBER_LOCKED|NUMBER_FROZEN"
        elif why := self.objection(new.numbers(), new.pairs(), held.subs_id):
            expected = why
        elif self.taken(new.targets(), held.subs_id):
            expected = "BIND_CONFLICT"
        change = Change(tel_b=b, expiration=None if life_s is None else utc_text(expires_s))
        code, _ = self.tried(lambda: self.shop.binder.update(held.subs_id, change, self.shop.now))
        assert code in expected.split("|")
        if not code:
            held.ended_s = self.shop.now
            self.held.append(new)

    @rule(members=st.lists(PERSON, min_size=1, max_size=3, unique=True))
    def edit_group(self, members: list[str]) -> None:
        wanted = tuple(members)
        if not self.members:
            self.shop.group(*wanted, group_id=GROUP)
            self.members = wanted
            return
        bound = [held for held in self.newest() if held.mode.startswith("G") and self.is_now(held)]
        came = [who for who in wanted if who not in self.members]
        refused = any(held.tel_b in wanted for held in bound)
        for held in bound:
            new = Held(held.subs_id, held.mode, held.x, held.y, wanted, held.tel_b, self.shop.now, held.expires_s)
            refused = refused or self.taken_after(new, bound, wanted)
            refused = refused or bool(came and self.objection(new.numbers(), new.pairs(), held.subs_id))
        code, _ = self.tried(lambda: self.shop.groups().edit(GROUP, "overwrite", members, self.shop.now))
        assert bool(code) == refused or self.is_close_call(bound)
        if code:
            return
        for held in bound:
            held.gone += [(who, self.shop.now) for who in held.side_a if who not in wanted]
            held.side_a = wanted
        self.members = wanted

    def taken_after(self, new: Held, bound: list[Held], members: tuple[str, ...]) -> bool:
        """Whether somebody who stays as he is has one of the targets."""
        own = {held.subs_id for held in bound}
        return any(
            key in new.targets()
            for held in self.held
            if held.subs_id not in own and self.is_now(held)
            for key in held.targets()
        )

    def is_close_call(self, bound: list[Held]) -> bool:
        """Two bindings of the group on one number: which of their members meet depends on the order of rewriting."""
        numbers = [number for held in bound for number in held.numbers()]
        return len(numbers) != len(set(numbers))

    @rule(x=X, state=st.sampled_from(["", "locked", "frozen"]))
    def restrict(self, x: str, state: str) -> None:
        self.shop.run("DELETE FROM restriction WHERE kind = 'number' AND id = ?", x)
        if state:
            self.shop.run("INSERT INTO restriction VALUES ('number', ?, ?, 0, '', '')", x, state)
        self.restricted[x] = state

    @rule(state=st.sampled_from(["active", "active", "winding_down"]))
    def move_platform(self, state: str) -> None:
        self.shop.run("UPDATE app_platform SET state = ?", state)
        self.platform = state

    @rule(seconds=st.sampled_from([1.0, 62.0, 3600.0, DAY_S, 2 * DAY_S]))
    def wait(self, seconds: float) -> None:
        self.shop.now = round(self.shop.now + seconds, 3)

    def newest(self) -> list[Held]:
        return list({held.subs_id: held for held in self.held}.values())

    # ------------------------------------------------------------------ what always holds

    @invariant()
    def calls_find_what_the_model_says(self) -> None:
        """I1: one target for (number, caller), and it is the right one."""
        shown: dict[tuple[str, str], tuple[str, str]] = {}
        for held in self.held:
            if self.is_now(held):
                for key, found in held.targets().items():
                    assert key not in shown, "the model itself has two"
                    shown[key] = found
        assert dict(self.found()) == shown

    def found(self) -> Iterator[tuple[tuple[str, str], tuple[str, str]]]:
        decrypt = self.shop.cipher.decrypt
        for x, caller, callee, presented in self.shop.run(
            "SELECT x, caller, callee, presented FROM target WHERE expires_at > ?", self.shop.now
        ):
            yield (x, decrypt(caller, "target.caller")), (decrypt(callee, "target.callee"), presented)

    @invariant()
    def numbers_are_700_numbers_of_their_user(self) -> None:
        """I2, I3: X and Y differ, and lie in blocks of the binding's business user; what is shown is one of them."""
        assert self.shop.run("SELECT 1 FROM binding WHERE tel_x = tel_y") == []
        for name in ("tel_x", "tel_y"):
            strays = self.shop.run(
                f"SELECT 1 FROM binding AS b WHERE {name} != '' AND NOT EXISTS (SELECT 1 FROM number_block AS n"
                f" WHERE n.prefix = substr(b.{name}, 1, 11) AND n.business_user = b.business_user)"
            )
            assert strays == []
        assert self.shop.run(
            "SELECT 1 FROM target WHERE presented NOT IN (SELECT tel_x FROM binding UNION SELECT tel_y FROM binding)"
        ) == []  # fmt: skip

    @invariant()
    def lives_are_legal(self) -> None:
        """I4, and a version begins where the one before ends."""
        assert self.shop.run(
            "SELECT 1 FROM binding WHERE version = 1 AND (expires_at <= valid_from + 60 OR"
            " expires_at > valid_from + 2592000)"
        ) == []  # fmt: skip
        assert self.shop.run(
            "SELECT 1 FROM binding AS b JOIN binding AS a ON a.subs_id = b.subs_id AND a.version = b.version - 1"
            " WHERE a.valid_to IS NOT b.valid_from"
        ) == []  # fmt: skip


Life.TestCase.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
TestLife = Life.TestCase
