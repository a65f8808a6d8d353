"""What a binding was, is kept: each version a row that only its end is ever written into."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import astuple, replace
from pathlib import Path

import pytest

from engine.store.audit import Asker, read_audit
from engine.store.binding_import import COLUMNS, csv_line
from engine.store.bindings import open_bindings
from engine.store.crypto import NumberCipher
from tests.store.bound import EXPIRES_AT, REQUEST, C

Rows = Callable[..., list[sqlite3.Row]]


async def test_history_is_never_overwritten(stocked: Path, cipher: NumberCipher, now: float, rows: Rows) -> None:
    """Expired, bound anew, unbound: each row stays as it was, but for the end of what was ended."""
    time = [now]
    async with open_bindings(stocked, cipher, lambda: time[0]) as store:
        first = await store.bind(REQUEST)
        [before] = map(tuple, rows(stocked, "SELECT * FROM binding"))
        time[0] = EXPIRES_AT + 86_400
        second = await store.bind(replace(REQUEST, tel_b=C, expiration="2026-12-30T00:00:00Z"))
        time[0] += 60.0004
        await store.unbind(second)
    found = rows(stocked, "SELECT * FROM binding ORDER BY id")
    assert tuple(found[0]) == before
    assert [(row["subs_id"], row["valid_from"], row["valid_to"]) for row in found] == [
        (first, now, None), (second, EXPIRES_AT + 86_400, EXPIRES_AT + 86_460.0),
    ]  # fmt: skip


async def test_a_clock_that_is_set_back_ends_nothing_before_it_began(
    stocked: Path, cipher: NumberCipher, now: float, rows: Rows
) -> None:
    time = [now]
    async with open_bindings(stocked, cipher, lambda: time[0]) as store:
        subs_id = await store.bind(REQUEST)
        time[0] -= 3600.0
        await store.unbind(subs_id)
    assert [tuple(row) for row in rows(stocked, "SELECT valid_from, valid_to FROM binding")] == [(now, now)]


async def test_the_clock_is_read_where_no_other_writer_is(
    stocked: Path, cipher: NumberCipher, now: float, tmp_path: Path
) -> None:
    """What waited for another writer begins behind it: never are two in force for one caller at one time."""
    alone: list[bool] = []

    def clock() -> float:
        other = sqlite3.connect(stocked, isolation_level=None, timeout=0)
        with closing(other), suppress(sqlite3.OperationalError):
            other.execute("BEGIN IMMEDIATE")
            alone.append(False)
            return now
        alone.append(True)
        return now

    file = tmp_path / "one.csv"
    file.write_text(
        "\n".join(map(csv_line, (COLUMNS, astuple(replace(REQUEST, tel_x="700123456780002"))[: len(COLUMNS)])))
    )
    async with open_bindings(stocked, cipher, clock) as store:
        await store.unbind(await store.bind(REQUEST))
        assert (await store.import_csv(file)).imported == 1
    assert alone == [True] * 3


async def test_an_export_is_that_of_the_moment_at_which_it_begins(
    stocked: Path, cipher: NumberCipher, now: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It shows what its audit row counts: not what is bound while it is read, and all that is unbound meanwhile."""
    monkeypatch.setattr("engine.store.bindings.PAGE", 1)
    time = [now]
    async with open_bindings(stocked, cipher, lambda: time[0]) as store:
        ids = [await store.bind(replace(REQUEST, tel_x=f"70012345678000{number}")) for number in (1, 2)]
        time[0] += 1.0
        export = store.export(Asker("ops"))
        assert (await anext(export)).startswith("mode,")
        time[0] += 1.0
        await store.unbind(ids[1])
        await store.bind(replace(REQUEST, tel_x="700123456780003"))
        assert [line.split(",")[1] async for line in export] == ["700123456780001", "700123456780002"]
    assert [row.detail for row in read_audit(stocked)][1:] == ["reveal the 2 bindings in force"]


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM binding",
        "UPDATE binding SET tel_a = x'00' WHERE valid_to IS NULL",
        "UPDATE binding SET valid_to = 9e9, tel_x = '700123456789999' WHERE valid_to IS NULL",
        "UPDATE binding SET valid_to = 9e9, rowid = 99 WHERE valid_to IS NULL",
        "UPDATE binding SET valid_to = 1 WHERE valid_to IS NULL",
        "UPDATE binding SET valid_to = NULL",
        "UPDATE binding SET valid_to = valid_to + 1 WHERE valid_to IS NOT NULL",
        "UPDATE binding SET valid_from = 0",
        "INSERT INTO binding (id, subs_id, version, mode, tel_x, tel_y, tel_a, tel_b, group_id, business_user,"
        " app_platform, order_id, scenario, expires_at, valid_from, valid_to, key_id)"
        " SELECT 99, subs_id, version, mode, tel_x, tel_y, tel_a, tel_b, group_id, business_user,"
        " app_platform, order_id, scenario, expires_at, valid_from, valid_to, key_id FROM binding LIMIT 1",
        "UPDATE audit SET actor = 'nobody'",
        "DELETE FROM audit",
    ],
)
async def test_the_store_itself_refuses_to_change_what_was(
    stocked: Path, cipher: NumberCipher, now: float, rows: Rows, statement: str
) -> None:
    async with open_bindings(stocked, cipher, lambda: now) as store:
        ended = await store.bind(REQUEST)
        await store.unbind(ended)
        await store.bind(REQUEST)
        assert [line async for line in store.export(Asker("ops"))]
    before = [list(map(tuple, rows(stocked, f"SELECT * FROM {table}"))) for table in ("binding", "audit")]
    with pytest.raises(sqlite3.IntegrityError, match=r"never changed|never deleted|append-only|UNIQUE"):
        rows(stocked, statement)
    assert before == [list(map(tuple, rows(stocked, f"SELECT * FROM {table}"))) for table in ("binding", "audit")]
