"""The rig on an element that forwards everything: it can fail, names places, and takes for driven only what was."""

from __future__ import annotations

import pytest

from engine.leaktest.errors import RigError
from engine.leaktest.judge import HOST, MADE
from engine.leaktest.rig import PLACES, Verdict
from scenarios.rig.place import Place
from tests.leaktest.elements import forwarder, pair_at, table_of


async def test_a_proxy_that_changes_nothing_leaks_each_place(place: Place) -> None:
    pair = pair_at(place)
    async with forwarder(place):
        table = await table_of(pair, "history/Div*")
    rows = {(row.place, row.by): row for row in table.rows.values()}
    assert not table.is_clean
    for by in ("caller", "callee"):
        row = rows["history/Diversion", by]
        assert row.verdict is Verdict.LEAK
        assert {leak.seen_in.partition(": ")[2] for leak in row.leaks} == {"Diversion"}
        assert {"INVITE", "BYE"} <= set(row.outcomes) or by == "callee"
    for name in ("identity/From user", "topology/Call-ID", "sdp/o= user name", HOST, "message/INVITE"):
        assert rows[name, "caller"].verdict is Verdict.LEAK, name
    for name in ("topology/tag", "identity/Contact user", HOST, "message/302 to INVITE"):
        assert rows[name, "callee"].verdict is Verdict.LEAK, name


async def test_what_the_operator_lets_through_is_no_leak(place: Place) -> None:
    """By name, and towards that side only: the same field in the other direction is one."""
    pair = pair_at(place, pass_headers=("diversion",))
    async with forwarder(place):
        table = await table_of(pair, "history/Diversion")
    row = table.row(pair.name, "history/Diversion", "caller")
    assert row.verdict is Verdict.PASSED
    assert {leak.passed_by for leak in row.leaks} == {"pass_headers"}
    assert table.row(pair.name, "history/Diversion", "callee").verdict is Verdict.LEAK


async def test_what_is_lost_on_the_way_was_not_driven(place: Place) -> None:
    async with forwarder(place, drops=b"PUBLISH "):
        table = await table_of(pair_at(place), "about/Subject")
    row = table.row("left > right", "message/PUBLISH outside a dialog", "caller")
    assert row.verdict is Verdict.NOT_DRIVEN
    assert row.why == "the element said nothing to it"


async def test_an_element_that_takes_no_calls_is_not_called_tight(place: Place) -> None:
    async with forwarder(place, drops=b"INVITE "):
        with pytest.raises(RigError, match="left > right: a plain call does not get through: no INVITE has come"):
            await table_of(pair_at(place), "about/Subject")


def test_each_place_has_a_name_of_its_own() -> None:
    names = [place.name for place in PLACES]
    assert len(names) == len(set(names))
    assert MADE not in names
