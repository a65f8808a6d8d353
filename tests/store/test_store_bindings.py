"""Bindings: what may be bound, what a call finds, and that it finds it at once."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.core.binding import Binding, Miss, is_expired
from engine.domain.problems import Problem
from engine.store.audit import Asker
from engine.store.binding_reader import BindingReader
from engine.store.binding_rules import shown
from engine.store.bindings import open_bindings
from engine.store.crypto import NumberCipher
from engine.store.errors import StoreError
from tests.store.bound import EXPIRES_AT, REQUEST, A, B, C, X

Rows = Callable[..., list[sqlite3.Row]]
IMPORTED_ID = "01a2407b4e12527a9b73000000000002"  # the end counts lines: it looks like a long number


@pytest.fixture
def reader(stocked: Path, cipher: NumberCipher, read_by: Any) -> Iterator[BindingReader]:
    reader = BindingReader(stocked, cipher, make=read_by)
    yield reader
    reader.close()


async def test_a_binding_answers_both_directions(
    stocked: Path, cipher: NumberCipher, reader: BindingReader, now: float
) -> None:
    async with open_bindings(stocked, cipher, lambda: now) as store:
        subs_id = await store.bind(REQUEST)
    there = reader.find(X, A, now)
    back = reader.find(X, B, now)
    assert there == Binding(
        subs_id, 1, "AXB", X, "", A, B, X, "ap-demo", "bu-express", "order-1", "express", EXPIRES_AT
    )
    assert isinstance(there, Binding)
    assert back == there._replace(caller=B, callee=A)


async def test_numbers_are_stored_in_canonical_form(
    stocked: Path, cipher: NumberCipher, reader: BindingReader, now: float
) -> None:
    async with open_bindings(stocked, cipher, lambda: now) as store:
        await store.bind(replace(REQUEST, tel_a="+86 138-0013-8000", tel_b="020-8888 8888"))
    found = reader.find(X, "2088888888", now)
    assert isinstance(found, Binding)
    assert found.callee == A


async def test_what_a_call_finds(stocked: Path, cipher: NumberCipher, reader: BindingReader, now: float) -> None:
    assert reader.find(X, A, now) is Miss.UNBOUND
    async with open_bindings(stocked, cipher, lambda: now) as store:
        subs_id = await store.bind(REQUEST)
        # Committed by another connection: the very next read sees it.
        assert isinstance(reader.find(X, A, now), Binding)
        assert reader.find(X, C, now) is Miss.NOT_A_PARTY
        assert reader.find(X, "", now) is Miss.NOT_A_PARTY
        assert reader.find("700123456780002", A, now) is Miss.UNBOUND
        expired = reader.find(X, A, EXPIRES_AT)
        assert isinstance(expired, Binding)
        assert is_expired(expired, EXPIRES_AT)
        assert reader.find(X, C, EXPIRES_AT) is Miss.UNBOUND, "an expired binding makes nobody a stranger"
        await store.unbind(subs_id)
    assert reader.find(X, A, now) is Miss.COOLING
    assert reader.find(X, B, now) is Miss.COOLING
    assert reader.find(X, C, now) is Miss.UNBOUND


async def test_two_pairs_may_share_x(stocked: Path, cipher: NumberCipher, reader: BindingReader, now: float) -> None:
    async with open_bindings(stocked, cipher, lambda: now) as store:
        first = await store.bind(REQUEST)
        await store.bind(replace(REQUEST, tel_a=C, tel_b="13600136000"))
        await store.unbind(first)
    assert reader.find(X, A, now) is Miss.NOT_A_PARTY
    found = reader.find(X, C, now)
    assert isinstance(found, Binding)
    assert found.callee == "13600136000"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"mode": "AX"}, "mode: 'AX' is none of AXB, AXYB, GXB, GXYB"),
        ({"mode": ""}, "mode: '' is none of AXB, AXYB, GXB, GXYB"),
        ({"mode": "AXYB"}, "mode: scenario express allows AXB, not AXYB"),
        ({"tel_y": "700123456780002"}, "tel_y: mode AXB has none"),
        ({"group_id": "g"}, "group_id: mode AXB has none"),
        ({"tel_x": "70012345678000"}, "tel_x: '700****8000' has 14 digits, a 700 number has 15"),
        ({"tel_x": "70012345678000a"}, "is not a 700 number of 15 digits"),
        ({"tel_x": A}, "tel_x: '138****8000' is not a 700 number of 15 digits"),
        ({"tel_a": ""}, "tel_a: missing"),
        ({"tel_a": X}, "tel_a: '700****0001' is not a number that can be called"),
        ({"tel_b": "12345678901234567890123"}, "tel_b: '123****0123' is not a number that can be called"),
        ({"tel_b": A}, "tel_b: 138****8000 is also tel_a: the two parties must differ"),
        ({"tel_b": "+8613800138000"}, "tel_b: 138****8000 is also tel_a: the two parties must differ"),
        ({"tel_x": "700138001380001"}, "tel_x: contains the number of a party"),
        ({"tel_a": "12345"}, "tel_x: contains the number of a party"),
        ({"business_user": ""}, "business_user: '' is not in the inventory"),
        ({"business_user": A}, "business_user: '138****8000' is not in the inventory"),
        ({"business_user": "bu-other"}, "business_user: bu-other has no contract in force today with ap-demo"),
        ({"tel_x": "700123456790001"}, "block 70012345679, which is granted, not assigned"),
        ({"tel_x": "700999999990001"}, "block 70099999999, which is not in the inventory"),
        ({"order_id": ""}, "order_id: missing"),
        ({"order_id": "x" * 129}, "order_id: 'xxxx"),
        ({"order_id": "a\nb"}, "order_id: 'a\\\\nb' is longer than 128 characters or not printable"),
        ({"scenario": ""}, "scenario: missing"),
        ({"scenario": "parcels"}, "scenario: 'parcels' is not in the inventory"),
        ({"expiration": ""}, "expiration: '' is not an RFC 3339 time"),
        ({"expiration": "2026-12-01"}, "expiration: '2026-12-01' is not an RFC 3339 time"),
        ({"expiration": "2026-12-01T08:00:00"}, "is not an RFC 3339 time"),
        ({"expiration": "2026-13-01T08:00:00Z"}, "is not an RFC 3339 time"),
        ({"expiration": "2026-11-24T01:03:03.456Z"}, "is not more than 60 s from now"),
        ({"expiration": "2020-01-01T00:00:00Z"}, "is not more than 60 s from now"),
        ({"expiration": "2026-12-24T01:02:03.457Z"}, "is more than 2592000 s from now, the longest life that scenario"),
    ],
)
async def test_a_rule_that_is_broken_is_named(
    stocked: Path, cipher: NumberCipher, now: float, changes: dict[str, str], reason: str, rows: Rows
) -> None:
    async with open_bindings(stocked, cipher, lambda: now) as store:
        with pytest.raises(Problem) as caught:
            await store.bind(replace(REQUEST, **changes))
    text = str(caught.value)
    assert reason.replace("\\\\", "\\") in text
    assert "\n" not in text
    assert A not in text
    assert B not in text
    assert rows(stocked, "SELECT * FROM binding") == []
    assert rows(stocked, "SELECT * FROM target") == []


@pytest.mark.parametrize(
    "expiration", ["2026-11-24T01:03:03.457Z", "2026-11-24t09:04:00+08:00", "2026-11-24 01:04:00z"]
)
async def test_a_minute_and_a_moment_is_enough(
    stocked: Path, cipher: NumberCipher, now: float, expiration: str
) -> None:
    async with open_bindings(stocked, cipher, lambda: now) as store:
        assert len(await store.bind(replace(REQUEST, expiration=expiration))) == 32


@pytest.mark.parametrize(("tel_a", "tel_b"), [(A, C), (C, A), (B, C), (C, B), (A, B), (B, A)])
async def test_a_caller_has_one_target_through_x(
    stocked: Path, cipher: NumberCipher, now: float, tel_a: str, tel_b: str, rows: Rows
) -> None:
    async with open_bindings(stocked, cipher, lambda: now) as store:
        subs_id = await store.bind(REQUEST)
        before = rows(stocked, "SELECT * FROM target")
        with pytest.raises(Problem, match=f"is already bound for 13[89]...*, by {subs_id}"):
            await store.bind(replace(REQUEST, tel_a=tel_a, tel_b=tel_b, order_id="order-2"))
    assert rows(stocked, "SELECT * FROM target") == before
    assert len(rows(stocked, "SELECT * FROM binding")) == 1


async def test_an_expired_target_gives_way(
    stocked: Path, cipher: NumberCipher, reader: BindingReader, now: float
) -> None:
    late = EXPIRES_AT + 86_400  # X has cooled down
    async with open_bindings(stocked, cipher, lambda: now) as store:
        await store.bind(REQUEST)
    async with open_bindings(stocked, cipher, lambda: late) as store:
        await store.bind(replace(REQUEST, tel_b=C, expiration="2026-12-30T00:00:00Z"))
    found = reader.find(X, A, late)
    assert isinstance(found, Binding)
    assert found.callee == C
    old = reader.find(X, B, late)
    assert isinstance(old, Binding)
    assert is_expired(old, late)


async def test_many_binds_at_once_do_not_mix(stocked: Path, cipher: NumberCipher, now: float, rows: Rows) -> None:
    """Twenty ask for the same target, in two stores: one gets it."""

    async def ask(store: object, number: int) -> bool:
        try:
            await store.bind(replace(REQUEST, tel_b=f"139001390{number:02d}"))  # type: ignore[attr-defined]
        except Problem:
            return False
        return True

    async with open_bindings(stocked, cipher, lambda: now) as one, open_bindings(stocked, cipher, lambda: now) as two:
        results = await asyncio.gather(*[ask(one if number % 2 else two, number) for number in range(20)])
    assert sum(results) == 1
    assert len(rows(stocked, "SELECT * FROM target")) == 2


async def test_unbinding_what_is_not_bound(stocked: Path, cipher: NumberCipher, now: float) -> None:
    async with open_bindings(stocked, cipher, lambda: now) as store:
        subs_id = await store.bind(REQUEST)
        await store.unbind(subs_id)
        with pytest.raises(Problem, match=f"subs_id: '{subs_id}' has ended already"):
            await store.unbind(subs_id)
        with pytest.raises(Problem, match=f"subs_id: '{IMPORTED_ID}' is no binding"):
            await store.unbind(IMPORTED_ID)
        with pytest.raises(Problem, match="subs_id: 'nobody' is no binding"):
            await store.unbind("nobody")
        await store.bind(REQUEST)  # the pair is free again


async def test_the_list_shows_all_and_hides_numbers(
    stocked: Path, cipher: NumberCipher, now: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.store.bindings.PAGE", 2)
    time = [now]
    async with open_bindings(stocked, cipher, lambda: time[0]) as store:
        ids = [
            await store.bind(
                replace(REQUEST, tel_x=f"70012345678000{number}", expiration=f"2026-12-0{number}T00:00:00Z")
            )
            for number in range(1, 6)
        ]
        await store.unbind(ids[0])
        time[0] = 1_796_083_200.0 + 86_400  # 2026-12-02
        listed = [row async for row in store.list()]
    assert [row.subs_id for row in listed] == ids
    assert [row.state for row in listed] == ["unbound", "expired", "active", "active", "active"]
    assert (listed[2].tel_a, listed[2].tel_b) == ("138****8000", "139****9000")
    assert (listed[2].tel_x, listed[2].app_platform, listed[2].scenario) == ("700123456780003", "ap-demo", "express")
    assert (listed[2].expiration, listed[2].created) == ("2026-12-03T00:00:00.000Z", "2026-11-24T01:02:03.456Z")
    assert (listed[0].ended, listed[2].ended) == ("2026-11-24T01:02:03.456Z", "")


async def test_an_export_is_masked_or_leaves_a_trace(
    stocked: Path, cipher: NumberCipher, now: float, rows: Rows
) -> None:
    async with open_bindings(stocked, cipher, lambda: now) as store:
        await store.bind(REQUEST)
        ended = await store.bind(replace(REQUEST, tel_x="700123456780002"))
        await store.unbind(ended)
        masked = [line async for line in store.export()]
        assert rows(stocked, "SELECT * FROM audit WHERE action != 'inventory.apply'") == []
        clear = [line async for line in store.export(Asker("ops", "moved"))]
    header = "mode,tel_x,tel_y,tel_a,tel_b,group_id,business_user,order_id,scenario,expiration"
    rest = "bu-express,order-1,express,2026-12-01T00:00:00.000Z"
    assert masked == [header, f"AXB,{X},,138****8000,139****9000,,{rest}"]
    assert clear == [header, f"AXB,{X},,{A},{B},,{rest}"]
    audit = rows(stocked, "SELECT at, actor, action, reason, detail FROM audit WHERE action != 'inventory.apply'")
    assert [tuple(row) for row in audit] == [
        ("2026-11-24T01:02:03.456Z", "ops", "bindings.export", "moved", "reveal the 1 bindings in force")
    ]


def test_nothing_of_a_number_is_in_the_file(stocked: Path, cipher: NumberCipher, now: float) -> None:
    async def bind() -> None:
        async with open_bindings(stocked, cipher, lambda: now) as store:
            await store.bind(REQUEST)

    asyncio.run(bind())
    for file in stocked.parent.iterdir():
        content = file.read_bytes()
        assert A.encode() not in content
        assert B.encode() not in content


async def test_a_read_leaves_no_transaction_open(
    stocked: Path, cipher: NumberCipher, reader: BindingReader, now: float
) -> None:
    async with open_bindings(stocked, cipher, lambda: now) as store:
        await store.bind(REQUEST)
    for caller in (A, C, ""):
        reader.find(X, caller, now)
        other = sqlite3.connect(stocked, isolation_level=None)
        other.execute("CREATE TABLE IF NOT EXISTS grow (a)")
        # A reader in a transaction would hold back the log: busy would be 1.
        assert other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0
        other.close()


def test_a_writer_in_the_middle_does_not_stop_a_read(stocked: Path, reader: BindingReader, now: float) -> None:
    other = sqlite3.connect(stocked, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    other.execute(
        "INSERT INTO target VALUES (?, x'00', x'00', ?, 's', 1, 'AXB', '', '', '', '', '', 9e9, '', 0, 0, 0, '')",
        (X, X),
    )
    assert reader.find(X, C, now) is Miss.UNBOUND
    other.execute("COMMIT")
    assert reader.find(X, C, now) is Miss.NOT_A_PARTY
    other.close()


def test_a_store_that_does_not_answer_is_an_error_at_once(stocked: Path, reader: BindingReader, now: float) -> None:
    other = sqlite3.connect(stocked, isolation_level=None)
    other.execute("DROP TABLE target")
    other.close()
    with pytest.raises(StoreError, match=r"bindings\.db: no such table: target"):
        reader.find(X, A, now)


def test_cipher_text_of_another_key_is_an_error(
    stocked: Path, cipher: NumberCipher, reader: BindingReader, now: float
) -> None:
    other = sqlite3.connect(stocked, isolation_level=None)
    row = (X, cipher.encrypt(A, "target.caller"), b"x" * 27)
    other.execute(
        "INSERT INTO target VALUES (?, ?, ?, '', 's', 1, 'AXB', '', '', '', '', '', 9e9, '', 0, 0, 0, '')", row
    )
    other.close()
    with pytest.raises(StoreError, match=r"target\.callee: the stored value was not written with key"):
        reader.find(X, A, now)


async def test_an_unusable_store_is_one_clear_line(data_dir: Path, cipher: NumberCipher) -> None:
    with pytest.raises(StoreError, match="no such file"):
        BindingReader(data_dir / "bindings.db", cipher)
    (data_dir / "bindings.db").write_bytes(b"no database" * 1000)
    with pytest.raises(StoreError, match="damaged, or not a database"):
        async with open_bindings(data_dir / "bindings.db", cipher):
            pass


async def test_a_busy_store_says_so(
    stocked: Path, cipher: NumberCipher, now: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = sqlite3.connect(stocked, isolation_level=None)
    async with open_bindings(stocked, cipher, lambda: now) as store:
        await store._connection.execute("PRAGMA busy_timeout = 10")
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match=r"bindings\.db: busy: another process is writing to it"):
            await store.bind(REQUEST)
        other.close()
        await store.bind(REQUEST)


@given(st.text())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_quoted_is_one_short_line_without_numbers(text: str) -> None:
    quoted = shown(text + "13800138000")
    assert quoted.isprintable()
    assert len(quoted) < 500
    assert "13800138000" not in quoted
