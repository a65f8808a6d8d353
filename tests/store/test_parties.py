"""Who opts out: bindings are found beside those who write, and what has changed meanwhile is seen."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from engine.store.audit import Asker
from engine.store.binder import Change
from engine.store.parties import Bindings, find_bindings
from engine.store.subscribers import Subscribers
from tests.store.bound import B, C
from tests.store.conftest import INVENTORY
from tests.store.shop import DAY_S, Shop, open_shop

X2, X3, X4 = "700123456780002", "700123456780003", "700123456780004"
D, E, F = "13600136000", "13500135000", "13400134000"


@pytest.fixture
def shop(data_dir: Path, now: float) -> Iterator[Shop]:
    with open_shop(data_dir, INVENTORY, now) as shop:
        yield shop


def find(shop: Shop, number: str) -> Bindings:
    return find_bindings(shop.connection, shop.cipher, "ap-demo", number, shop.now)


def ended(shop: Shop, number: str, found: Bindings) -> set[str]:
    people = Subscribers(shop.connection, shop.cipher, "ap-demo", Asker("ap-demo"), shop.now)
    told = shop.do(lambda: people.opt_out(number, found, lambda subs_id: shop.binder.unbind(subs_id, shop.now)))
    return set(told)


def test_each_place_of_a_binding_counts_and_nobody_elses(shop: Shop) -> None:
    as_a, as_b = shop.bind(tel_a=B, tel_b=C), shop.bind(tel_x=X2)
    shop.group(B, D)
    as_member = shop.bind(mode="GXB", group_id="g-1", tel_x=X3, tel_b=E)
    others = shop.bind(tel_x=X4, tel_a=D, tel_b=E)
    mine = {as_a.subs_id, as_b.subs_id, as_member.subs_id}
    assert set(find(shop, B).subs_ids) == mine
    assert find_bindings(shop.connection, shop.cipher, "ap-2", B, shop.now).subs_ids == ()
    assert ended(shop, B, find(shop, B)) == mine
    assert shop.run("SELECT DISTINCT subs_id FROM target") == [(others.subs_id,)]
    assert find(shop, B).subs_ids == ()


def test_what_has_expired_is_not_ended(shop: Shop) -> None:
    shop.bind()
    shop.now += 8 * DAY_S
    assert find(shop, B).subs_ids == ()


CHANGES: dict[str, tuple[Callable[[Shop, str], object], bool]] = {
    "another binding": (lambda shop, _: shop.bind(tel_x=X2, tel_a=D, tel_b=F), True),
    "a change to it": (lambda shop, s: shop.do(lambda: shop.binder.update(s, Change(tel_b=F), shop.now)), True),
    "a group": (lambda shop, _: shop.do(lambda: shop.groups().edit("g-1", "add", [F], shop.now)), True),
    "somebody else's": (lambda shop, _: shop.bind(tel_x=X2, tel_a=D, tel_b=E), False),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_comes_after_the_look_and_before_the_end_is_ended(shop: Shop, change: str) -> None:
    plain = shop.bind()
    shop.group(C)
    shop.bind(mode="GXB", group_id="g-1", tel_x=X3, tel_b=E)
    found = find(shop, F)
    assert found.subs_ids == ()
    make, counts = CHANGES[change]
    make(shop, plain.subs_id)
    assert len(ended(shop, F, found)) == counts


def test_what_ends_after_the_look_is_not_ended_twice(shop: Shop) -> None:
    gone, changed = shop.bind(), shop.bind(tel_x=X2)
    found = find(shop, B)
    assert set(found.subs_ids) == {gone.subs_id, changed.subs_id}
    shop.do(lambda: shop.binder.unbind(gone.subs_id, shop.now))
    shop.do(lambda: shop.binder.update(changed.subs_id, Change(tel_b=D), shop.now))
    assert ended(shop, B, found) == set()


def test_the_index_alone_is_looked_at(shop: Shop) -> None:
    plans: list[str] = []
    shop.connection.set_trace_callback(plans.append)
    find(shop, B)
    shop.connection.set_trace_callback(None)
    (scan,) = [sql for sql in plans if "INDEXED BY" in sql]
    (row,) = shop.run(f"EXPLAIN QUERY PLAN {scan}")
    assert row[3] == "SEARCH binding USING INDEX binding_ends (expires_at>?)"
