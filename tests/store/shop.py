"""A stocked bindings.db with a binder on it, and what tests want to know of it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any

from engine.domain.problems import Problem
from engine.store.audit import Asker
from engine.store.binder import Binder, Bound
from engine.store.binding_rules import BindRequest
from engine.store.crypto import NumberCipher, open_key
from engine.store.database import BINDINGS, open_database, transaction
from engine.store.groups import Groups
from engine.store.number_memory import RecentCallers
from engine.store.rows import utc_text
from tests.store.bound import REQUEST
from tests.store.stocks import stock

DAY_S = 86_400.0
STOCK = """
UPDATE scenario SET modes = '["AXB", "AXYB", "GXB", "GXYB"]';
INSERT INTO number_pool VALUES ('any', 'ap-demo', 'bu-express', 'active', 'random', 'last_caller', 3600);
INSERT INTO number_pool VALUES ('same', 'ap-demo', 'bu-express', 'active', 'sticky', 'sequential', 3600);
INSERT INTO number_pool VALUES ('oldest', 'ap-demo', 'bu-express', 'active', 'least_recently_used', 'default_a', 3600);
INSERT INTO number_pool VALUES ('paused', 'ap-demo', 'bu-express', 'paused', 'random', 'last_caller', 3600);
INSERT INTO pool_block SELECT key, '70012345678' FROM number_pool;
"""


@dataclass
class Shop:
    """Each act is a transaction of its own, at `now`."""

    connection: sqlite3.Connection
    cipher: NumberCipher
    now: float
    binder: Binder
    random: Random = field(default_factory=lambda: Random(1))

    def ask(self, **changes: Any) -> BindRequest:
        """AXB of A and B through X for seven days, unless said otherwise."""
        usual = {"expiration": utc_text(self.now + 7 * DAY_S)}
        if changes.get("mode", "AXB").startswith("G"):
            usual["tel_a"] = ""
        return replace(REQUEST, **(usual | changes))

    def bind(self, **changes: Any) -> Bound:
        return self.do(lambda: self.binder.bind(self.ask(**changes), self.now))

    def do(self, work: Callable[[], Any]) -> Any:
        with transaction(self.connection):
            return work()

    def refused(self, **changes: Any) -> str:
        """The code and the words with which a request is refused; "" when it is not. Nothing is written then."""
        before = list(self.connection.iterdump())
        try:
            self.bind(**changes)
        except Problem as problem:
            assert list(self.connection.iterdump()) == before
            return f"{problem.code} {problem}"
        return ""

    def groups(self) -> Groups:
        return Groups(self.connection, self.cipher, self.binder, Asker("tester"))

    def group(self, *members: str, group_id: str = "g-1", business_user: str = "bu-express") -> str:
        groups = self.groups()
        made = self.do(lambda: groups.create(business_user, "couriers", members, self.now, group_id))
        return str(made.group_id)

    def run(self, statement: str, *parameters: object) -> list[tuple[Any, ...]]:
        return self.connection.execute(statement, parameters).fetchall()

    def targets(self, subs_id: str) -> set[tuple[str, str, str, str, int]]:
        """x, caller, callee, presented, flags of each target."""
        rows = self.run("SELECT x, caller, callee, presented, flags FROM target WHERE subs_id = ?", subs_id)
        clear = self.cipher.decrypt
        return {
            (x, clear(caller, "target.caller"), clear(callee, "target.callee"), presented, flags)
            for x, caller, callee, presented, flags in rows
        }


@contextmanager
def open_shop(data_dir: Path, inventory: str, now: float) -> Iterator[Shop]:
    """A shop on a folder of its own."""
    stock(data_dir, inventory)
    with working_shop(data_dir, now) as shop:
        shop.connection.executescript(STOCK)
        yield shop


@contextmanager
def working_shop(data_dir: Path, now: float) -> Iterator[Shop]:
    """A shop on a folder that has been one before."""
    cipher = open_key(data_dir)
    recent = RecentCallers(data_dir / "records.db", cipher)
    with closing(open_database(data_dir / "bindings.db", BINDINGS, cipher)) as connection, closing(recent):
        random = Random(1)
        yield Shop(connection, cipher, now, Binder(connection, cipher, recent, random.randrange), random)
