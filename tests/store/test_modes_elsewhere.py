"""Bindings of the other modes in the import, the list, the export and the trace."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.store.audit import Asker
from engine.store.binding_import import COLUMNS
from engine.store.bindings import open_bindings
from engine.store.rows import utc_text
from engine.store.trace import Question, Trace
from tests.store.bound import A, B, C, X
from tests.store.conftest import INVENTORY
from tests.store.shop import DAY_S, Shop, open_shop

Y = "700123456780002"
D = "13600136000"


@pytest.fixture
def shop(data_dir: Path, now: float) -> Iterator[Shop]:
    with open_shop(data_dir, INVENTORY, now) as shop:
        yield shop


def test_all_modes_are_imported_listed_and_exported(shop: Shop, data_dir: Path, tmp_path: Path) -> None:
    shop.group(A, C)
    until = utc_text(shop.now + DAY_S)
    rest = f"bu-express,1,express,{until}"
    lines = [
        ",".join(COLUMNS),
        f"GXYB,{X},{Y},,{B},g-1,{rest}",
        f"AXYB,700123456780003,700123456780004,{A},{B},,{rest}",
        f"AXB,700123456780005,,{A},{B},,{rest}",
        f"AXB,{X},,{A},{D},,{rest}",
        f"GXB,700123456780006,,,{A},g-1,{rest}",
    ]
    file = tmp_path / "modes.csv"
    file.write_text("\n".join(lines))

    async def through_the_store() -> tuple[list[str], list[str], list[str]]:
        async with open_bindings(data_dir / "bindings.db", shop.cipher, lambda: shop.now) as store:
            report = await store.import_csv(file, skip_bad=True)
            listed = [f"{row.mode} {row.tel_a} {row.group_id}" async for row in store.list()]
            return report.lines, listed, [line async for line in store.export(Asker("ops", "moved"))]

    bad, listed, exported = asyncio.run(through_the_store())
    assert bad == [
        "line 5: tel_x: 700123456780001 is already bound for 138****8000, by line 2",
        "line 6: tel_b: is a member of the group: the two sides must differ",
    ]
    assert sorted(listed) == ["AXB 138****8000 ", "AXYB 138****8000 ", "GXYB  g-1"]
    assert sorted(exported[1:]) == sorted(lines[1:4])


def test_a_trace_of_y_tells_who_was_in_the_group_then(shop: Shop, data_dir: Path) -> None:
    shop.group(A, C)
    begun = shop.now
    bound = shop.bind(mode="GXYB", group_id="g-1", tel_y=Y)
    shop.now += 100.0
    shop.do(lambda: shop.groups().edit("g-1", "overwrite", [C, D], shop.now))
    shop.now += 100.0
    for number in (X, Y):
        for at_s, members in ((begun, (A, C)), (begun + 99.0, (C, A)), (begun + 100.0, (C, D)), (shop.now, (C, D))):
            [found] = Trace(data_dir, shop.cipher, Question(number, at_s, 60.0)).bindings
            assert (found.subs_id, found.tel_x, found.tel_y, found.tel_a, found.tel_b) == (bound.subs_id, X, Y, "", B)
            assert set(found.members) == set(members)
