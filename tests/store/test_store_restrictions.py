"""Locked, frozen and returned numbers, and the kill switch: what holds, what is told, and what comes back."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.domain.problems import Problem
from engine.domain.states import MACHINES, IllegalMove
from engine.store.audit import Asker
from engine.store.crypto import NumberCipher
from engine.store.database import BINDINGS, open_database
from engine.store.restrictions import (
    COMPUTED,
    kill,
    list_restrictions,
    move_number,
    number_state,
    restore,
    restriction_of,
)
from tests.store.bound import bind

WHO = Asker("ops", "letter 12")
X = "700123456780001"
KILLS = [
    ("everything", ""), ("app_platform", "ap-demo"), ("business_user", "bu-express"), ("number_block", X[:11]),
    ("number", X),
]  # fmt: skip


@pytest.fixture
def store(stocked: Path, cipher: NumberCipher) -> Iterator[sqlite3.Connection]:
    connection = open_database(stocked, BINDINGS, cipher)
    connection.execute("BEGIN IMMEDIATE")
    yield connection
    connection.close()


def last(store: sqlite3.Connection, columns: str, table: str) -> tuple[object, ...]:
    row: tuple[object, ...] = store.execute(f"SELECT {columns} FROM {table} ORDER BY id DESC LIMIT 1").fetchone()
    return row


def make(store: sqlite3.Connection, cipher: NumberCipher, state: str, now: float) -> None:
    """X in `state`, of which three follow from its bindings."""
    if state == "bound":
        bind(store, cipher, X, now + 60)
    elif state == "cooling":
        columns = "subs_id, version, mode, tel_x, tel_y, group_id, business_user, app_platform, order_id, scenario"
        store.execute(
            f"INSERT INTO binding ({columns}, expires_at, valid_from, key_id)"
            " VALUES ('s1', 1, 'AXB', ?, '', '', 'bu-express', 'ap-demo', 'o', 'express', ?, ?, '')",
            (X, now - 86_399, now - 90_000),
        )
    elif state != "idle":
        store.execute("INSERT INTO restriction VALUES ('number', ?, ?, ?, 'ops', '')", (X, state, now))


@pytest.mark.parametrize("state", MACHINES["number"])
@pytest.mark.parametrize("wanted", MACHINES["number"])
def test_each_move_of_a_number(
    store: sqlite3.Connection, cipher: NumberCipher, state: str, wanted: str, now: float
) -> None:
    make(store, cipher, state, now)
    assert number_state(store, X, now) == state
    is_legal = wanted in MACHINES["number"][state] and not (state in COMPUTED and wanted in COMPUTED)
    if not is_legal:
        with pytest.raises(Problem) as caught:
            move_number(store, X, wanted, WHO, now)
        assert caught.value.code == "ILLEGAL_STATE"
        assert isinstance(caught.value, IllegalMove)
        assert set(caught.value.legal) == {
            move for move in MACHINES["number"][state] if state not in COMPUTED or move not in COMPUTED
        }
        assert number_state(store, X, now) == state
        return
    assert move_number(store, X, wanted, WHO, now) == state
    after = "idle" if wanted in COMPUTED else wanted  # nothing was bound while it was locked
    assert number_state(store, X, now) == after
    assert last(store, "kind, entity, from_state, to_state, reason", "transition") == (
        "number", X, state, after, "letter 12",
    )  # fmt: skip
    platform, kind, subject, payload = last(store, "app_platform, kind, subject, payload", "outbox")
    assert (platform, kind, subject) == ("ap-demo", "number.status", X)
    assert json.loads(str(payload)) == {"tel_x": X, "state": after}


def test_a_number_that_is_let_free_is_what_its_bindings_tell(
    store: sqlite3.Connection, cipher: NumberCipher, now: float
) -> None:
    bind(store, cipher, X, now + 60)
    move_number(store, X, "locked", WHO, now)
    with pytest.raises(Problem, match="has a binding in force: it must end first"):
        move_number(store, X, "returned", WHO, now)
    move_number(store, X, "idle", WHO, now)
    assert number_state(store, X, now) == "bound"
    assert last(store, "to_state", "transition") == ("bound",)


def test_a_number_cools_as_long_as_its_pool_says(store: sqlite3.Connection, cipher: NumberCipher, now: float) -> None:
    make(store, cipher, "cooling", now)
    assert number_state(store, X, now + 0.9) == "cooling"
    assert number_state(store, X, now + 1.1) == "idle"


@pytest.mark.parametrize(("kind", "key"), KILLS)
def test_a_switch_is_thrown_once_told_and_restored(store: sqlite3.Connection, kind: str, key: str, now: float) -> None:
    kill(store, kind, key, WHO, now)
    assert list_restrictions(store) == [
        {"kind": kind, "id": key, "state": "killed", "since_at": now, "actor": "ops", "reason": "letter 12"}
    ]
    with pytest.raises(Problem, match="is shut off already"):
        kill(store, kind, key, WHO, now)
    assert last(store, "kind, entity, from_state, to_state", "transition") == ("kill", f"{kind}/{key}", "", "killed")
    assert last(store, "action, reason", "audit") == ("kill", "letter 12")
    assert restore(store, kind, key, WHO, now) == ""
    assert list_restrictions(store) == []
    assert last(store, "from_state, to_state", "transition") == ("killed", "")
    assert last(store, "action", "audit") == ("restore",)
    with pytest.raises(Problem, match="is not shut off"):
        restore(store, kind, key, WHO, now)


@pytest.mark.parametrize("state", ["locked", "frozen", "returned"])
def test_what_was_restricted_before_is_so_again(store: sqlite3.Connection, state: str, now: float) -> None:
    for _ in range(2):
        if restriction_of(store, "number", X) != state:
            move_number(store, X, state, WHO, now)
        kill(store, "number", X, WHO, now)
        with pytest.raises(Problem, match="restore it first") as caught:
            move_number(store, X, "idle", WHO, now)
        assert caught.value.code == "NUMBER_FROZEN"
        assert json.loads(str(last(store, "payload", "outbox")[0])) == {"tel_x": X, "state": "frozen"}
        assert restore(store, "number", X, WHO, now) == state
        assert number_state(store, X, now) == state


@pytest.mark.parametrize(
    ("kind", "key", "told"),
    [
        ("planet", "x", "kind: must be one of everything, app_platform"),
        ("everything", "x", "id: everything has none"),
        ("app_platform", "nobody", "id: there is no app platform nobody"),
        ("business_user", "nobody", "id: there is no business user nobody"),
        ("number_block", "70000000000", "id: there is no number block 70000000000"),
        ("number", "700000000000000", "tel_x: 700000000000000 lies in no block"),
        ("number", "13800138000", "tel_x: is not a 700 number of 15 digits"),
    ],
)
def test_a_switch_is_thrown_over_what_there_is(
    store: sqlite3.Connection, kind: str, key: str, told: str, now: float
) -> None:
    for switch in (kill, restore):
        with pytest.raises(Problem) as caught:
            switch(store, kind, key, WHO, now)
        assert str(caught.value).startswith(told)
