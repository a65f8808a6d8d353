"""A contract that is ended early: what was bound is served to its end, and nothing new is bound or renewed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from engine.core.binding import Binding, is_expired
from engine.domain.problems import Problem
from engine.store.audit import Asker
from engine.store.binder import Change
from engine.store.binding_reader import BindingReader
from engine.store.invariants import BindingInvariants
from engine.store.moves import Wish, move
from engine.store.rows import utc_text
from tests.store.bound import A, B, X
from tests.store.conftest import INVENTORY
from tests.store.shop import DAY_S, Shop, open_shop

OTHER = "13600136000"


@pytest.fixture
def shop(data_dir: Path, now: float) -> Iterator[Shop]:
    with open_shop(data_dir, INVENTORY, now) as shop:
        shop.run("UPDATE assignment SET from_at = 0")
        yield shop


def terminate(shop: Shop) -> None:
    contracts = shop.run("SELECT id FROM contract")
    for (contract,) in contracts:
        shop.do(lambda key=contract: move(shop.connection, "contract", key, Wish("terminated"), Asker("t"), shop.now))


def test_an_order_that_runs_is_served_to_its_end(shop: Shop, data_dir: Path) -> None:
    bound = shop.bind()
    terminate(shop)
    shop.now += 3600
    with closing(BindingReader(data_dir / "bindings.db", shop.cipher)) as reader:
        found = reader.find(X, A, shop.now)
        assert isinstance(found, Binding) and (found.callee, found.expires_at) == (B, bound.expires_at)
        shop.do(lambda: shop.binder.update(bound.subs_id, Change(tel_a=OTHER), shop.now))
        found = reader.find(X, OTHER, shop.now)
        assert isinstance(found, Binding) and (found.callee, found.expires_at) == (B, bound.expires_at)
        assert is_expired(found, bound.expires_at)
    assert list(BindingInvariants(shop.connection, shop.cipher, shop.now).findings()) == []


def test_nothing_is_bound_or_renewed_any_more(shop: Shop) -> None:
    bound = shop.bind()
    terminate(shop)
    assert shop.refused(tel_a=OTHER).startswith("CONTRACT_NOT_IN_FORCE ")
    longer = Change(expiration=utc_text(bound.expires_at + DAY_S))
    with pytest.raises(Problem) as refused:
        shop.do(lambda: shop.binder.update(bound.subs_id, longer, shop.now))
    assert refused.value.code == "CONTRACT_NOT_IN_FORCE"
