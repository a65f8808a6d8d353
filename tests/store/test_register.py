"""What the register says of a moment, however many bindings there are."""

from __future__ import annotations

import sqlite3
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.store.audit import Asker
from engine.store.register import Numbers, numbers_at
from engine.store.restrictions import move_number
from tests.store.conftest import INVENTORY
from tests.store.shop import DAY_S, Shop, open_shop

BLOCK = "70012345678"
MANY = 20_000  # bindings, two of each number
ROOM = 200_000  # bytes: numbers kept as texts took eight times as much

_FILL = (
    "WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < ?3 - 1)"
    " INSERT INTO binding (subs_id, version, mode, tel_x, tel_y, group_id, business_user, app_platform, order_id,"
    " scenario, expires_at, valid_from, key_id) SELECT 's' || i, 1, 'AXB', ?1 || printf('%04d', i % 10000), '', '',"
    " 'bu', 'ap', 'o', 'express', ?2 + 1000, ?2, 'k' FROM n"
)


@pytest.fixture
def shop(data_dir: Path, now: float) -> Iterator[Shop]:
    with open_shop(data_dir, INVENTORY, now) as shop:
        yield shop


def seen(connection: sqlite3.Connection, since_s: float, wall_s: float) -> Numbers:
    return numbers_at(connection, since_s, wall_s)[BLOCK]


def test_a_number_is_in_use_before_it_cools_and_restricted_before_all(shop: Shop) -> None:
    began = shop.now
    shop.bind(tel_x=f"{BLOCK}0001")
    first = shop.bind(tel_x=f"{BLOCK}0001", tel_a="13700137000", tel_b="13600136000")
    second = shop.bind(mode="AXYB", tel_x=f"{BLOCK}0002", tel_y=f"{BLOCK}0003")
    shop.now += 100
    for bound in (first, second):
        shop.do(lambda ended=bound: shop.binder.unbind(ended.subs_id, shop.now))
    at = shop.now + 1
    assert seen(shop.connection, began, at) == Numbers(in_use=1, cooling=2, restricted=0, bindings_made=3)
    assert seen(shop.connection, at, shop.now + 3 * DAY_S) == Numbers(in_use=1)
    for number in (f"{BLOCK}0001", f"{BLOCK}0003"):
        shop.do(lambda x=number: move_number(shop.connection, x, "locked", Asker("tester"), shop.now))
    assert seen(shop.connection, began, at) == Numbers(in_use=0, cooling=1, restricted=2, bindings_made=3)


def test_what_is_remembered_does_not_grow_with_the_bindings(shop: Shop) -> None:
    shop.run(_FILL, BLOCK, shop.now, MANY)
    tracemalloc.start()
    try:
        found = seen(shop.connection, shop.now, shop.now + 500)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert found == Numbers(in_use=10_000, bindings_made=MANY)
    assert peak < ROOM
