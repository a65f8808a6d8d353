"""Many at once are in store, answers and feed what they would be one by one, whatever stands among them."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from engine.domain.problems import Problem
from engine.store.binder import Binder, Bound
from engine.store.binding_rules import BindRequest, plain_request
from engine.store.bulk_binder import BulkBinder
from engine.store.crypto import NumberCipher, open_key
from engine.store.database import BINDINGS, open_database
from engine.store.inventory import apply_inventory, read_inventory
from tests.store.conftest import INVENTORY

NOW = 1_795_482_123.0  # 2026-11-24T01:02:03Z
BEFORE = NOW - 3 * 86_400.0
XS = [f"70012345678{n:04}" for n in range(3)]
NUMBERS = ["13800138000", "13900139000", "13700137000", "2088888888"]
ID = re.compile(r"[0-9a-f]{32}")

Writable = tuple[sqlite3.Connection, NumberCipher]
Answer = tuple[Any, ...]


def asked(x: str, a: str, b: str, until: str = "2026-12-20T00:00:00+08:00", **more: Any) -> BindRequest:
    plain = plain_request(["AXB", x, "", a, b, "", "bu-express", "o-1", "express", until])
    return replace(plain, **more)


REQUESTS = st.builds(
    asked, st.sampled_from(XS), st.sampled_from(NUMBERS), st.sampled_from(NUMBERS),
    st.sampled_from(["2026-12-20T00:00:00+08:00", "2026-12-24T00:00:00+08:00"]),
) | st.builds(
    asked, st.sampled_from([*XS, "", "700"]), st.sampled_from([*NUMBERS, "1"]), st.sampled_from(NUMBERS),
    st.sampled_from(["2026-12-20T00:00:00+08:00", "2026-11-24T01:02:04Z"]), sms=st.booleans(),
    order_id=st.sampled_from(["o-1", 'o "\\2', ""]), scenario=st.sampled_from(["express", "none"]),
    max_call_s=st.sampled_from([0, 60]), business_user=st.sampled_from(["bu-express", "bu-other"]),
)  # fmt: skip
# What was bound before: some of it has cooled down, some cools, some is in force.
EARLIER = st.builds(
    asked, st.sampled_from(XS), st.sampled_from(NUMBERS), st.sampled_from(NUMBERS),
    st.sampled_from(["2026-11-22T00:00:00Z", "2026-11-23T12:00:00Z", "2026-12-20T00:00:00+08:00"]),
)  # fmt: skip


@pytest.fixture(scope="module")
def writable(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Writable]:
    """A stocked store, for what is rolled back."""
    data_dir = tmp_path_factory.mktemp("bulk") / "var"
    cipher = open_key(data_dir)
    file = data_dir / "inventory.toml"
    file.write_text(INVENTORY)
    apply_inventory(data_dir / "bindings.db", cipher, read_inventory(file))
    with closing(open_database(data_dir / "bindings.db", BINDINGS, cipher)) as connection:
        yield connection, cipher


def one_by_one(writable: Writable, requests: list[BindRequest], wall_s: float, first: int) -> list[Answer]:
    """The answers of the binder; ids are the numbers of the requests."""
    connection, cipher = writable
    binder = Binder(connection, cipher, None, lambda top: 0)
    found: list[Answer] = []
    for number, request in enumerate(requests, first):
        connection.execute("SAVEPOINT one")
        try:
            found.append(said(binder.bind(request, wall_s, f"{number:032x}"), int_of))
        except Problem as problem:
            connection.execute("ROLLBACK TO one")
            found.append(said(problem, int_of))
        connection.execute("RELEASE one")
    return found


def int_of(subs_id: str) -> int:
    return int(subs_id, 16)


def said(became: Bound | Problem, number_of: Callable[[str], int]) -> Answer:
    """With the numbers of requests in the place of ids."""
    if isinstance(became, Problem):
        detail = ID.sub(lambda found: f"#{number_of(found[0])}", became.detail)
        return became.code, became.field, detail, became.legal
    return number_of(became.subs_id), *became[1:]


def stored(connection: sqlite3.Connection, number_of: Callable[[str], int]) -> list[list[Answer]]:
    """All that is written of bindings, ids as numbers, but for rows' own."""
    tables = []
    for query in ("binding ORDER BY id", "target ORDER BY x, caller", "outbox ORDER BY id"):
        cursor = connection.execute(f"SELECT * FROM {query}")
        names = [column[0] for column in cursor.description]
        rows = [dict(zip(names, row, strict=True)) for row in cursor]
        for row in rows:
            row.pop("id", None)
            name = "subject" if "subject" in row else "subs_id"
            row[name] = number_of(row[name])
        tables.append([tuple(row.items()) for row in rows])
    return tables


def assert_alike(writable: Writable, earlier: list[BindRequest], requests: list[BindRequest]) -> list[Answer]:
    """That they are; the answers."""
    connection, cipher = writable
    first = 1 + len(earlier)
    connection.execute("BEGIN")
    try:
        one_by_one(writable, earlier, BEFORE, 1)
        connection.execute("SAVEPOINT earlier")
        answers = one_by_one(writable, requests, NOW, first)
        alone = stored(connection, int_of)
        connection.execute("ROLLBACK TO earlier")
        bulk = BulkBinder(connection, cipher, None, lambda top: 0, NOW)

        def number_of(subs_id: str) -> int:
            return bulk.number_of(subs_id) or int(subs_id, 16)

        for number, request in enumerate(requests, first):
            bulk.add(number, request)
        results = bulk.flush()
        together = stored(connection, number_of)
    finally:
        connection.execute("ROLLBACK")
    assert [number for number, _ in results] == [*range(first, first + len(requests))]
    assert [said(became, number_of) for _, became in results] == answers
    assert together == alone
    return answers


A, B, C, D = NUMBERS


@given(st.lists(EARLIER, max_size=4), st.lists(REQUESTS, min_size=1, max_size=8))
@example([], [asked(XS[1], A, B), asked(XS[0], A, B), asked(XS[1], A, C), asked(XS[2], C, D)])
@example([asked(XS[0], A, B, "2026-11-22T00:00:00Z")], [asked(XS[0], A, C), asked(XS[1], A, B)])
@example([], [asked(XS[0], A, B), asked(XS[0], A, B, max_call_s=9), asked(XS[1], A, B), asked(XS[1], B, C, sms=False)])
@settings(deadline=None)
def test_many_are_what_they_would_be_one_by_one(
    writable: Writable, earlier: list[BindRequest], requests: list[BindRequest]
) -> None:
    assert_alike(writable, earlier, requests)


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize("odd", [None, asked(XS[0], "1", B), asked("", A, B, sms=False), asked(XS[0], A, C)])
def test_one_that_is_odd_among_hundreds_is_odd_alone(writable: Writable, odd: BindRequest | None, order: int) -> None:
    many = [
        asked(f"70012345678{n:04}", f"138{n:08}", f"139{n:08}", f"2026-12-{20 + n % 5}T00:00:00Z", order_id=f"o-{n}")
        for n in range(300)
    ][::order]  # fmt: skip
    if odd is not None:
        many[150] = odd
        many[20] = asked(XS[0], A, B)
    answers = assert_alike(writable, [], many)
    assert sum(isinstance(answer[0], int) for answer in answers) >= 299
