"""Moves of tenants, contracts, scenarios and blocks: each rule, and what is written with a move."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.domain.fields import DOCUMENTS
from engine.domain.problems import Problem
from engine.domain.states import MACHINES, IllegalMove
from engine.store.audit import Asker
from engine.store.crypto import NumberCipher
from engine.store.database import BINDINGS, open_database
from engine.store.entities import KINDS, change, create, page, read
from engine.store.moves import Wish, move
from tests.store.bound import bind

WHO = Asker("ops", "letter 12")
DAY_S = 86_400.0
KEYS = {
    "app_platform": "ap-demo", "business_user": "bu-express", "contract": "c-1", "scenario": "express",
    "number_block": "70012345678", "number_pool": "p-1",
}  # fmt: skip
BLOCK = "70012345678"
REVIEWED = {name: {"day": "2026-11-01", "reviewer": "chen"} for name in DOCUMENTS}


@pytest.fixture
def store(stocked: Path, cipher: NumberCipher, now: float) -> Iterator[sqlite3.Connection]:
    connection = open_database(stocked, BINDINGS, cipher)
    connection.execute("BEGIN IMMEDIATE")
    pool = {"key": "p-1", "app_platform": "ap-demo", "business_user": "bu-express", "blocks": [BLOCK]}
    create(connection, "number_pool", pool, WHO, now)
    yield connection
    connection.close()


def put(store: sqlite3.Connection, kind: str, state: str, key: str = "") -> None:
    column = {"scenario": "code", "number_block": "prefix", "number_pool": "key"}.get(kind, "id")
    store.execute(f"UPDATE {kind} SET state = ? WHERE {column} = ?", (state, key or KEYS[kind]))


def refused(store: sqlite3.Connection, kind: str, wish: Wish, now: float, key: str = "") -> Problem:
    before = read(store, kind, key or KEYS[kind])
    with pytest.raises(Problem) as caught:
        move(store, kind, key or KEYS[kind], wish, WHO, now)
    assert read(store, kind, key or KEYS[kind]) == before
    return caught.value


@pytest.mark.parametrize("kind", KINDS)
def test_an_illegal_move_is_refused_in_every_state(store: sqlite3.Connection, kind: str, now: float) -> None:
    for state, legal in MACHINES[kind].items():
        put(store, kind, state)
        for wanted in MACHINES[kind]:
            if wanted not in legal:
                problem = refused(store, kind, Wish(wanted), now)
                assert isinstance(problem, IllegalMove)
                assert problem.legal == legal
    assert refused(store, kind, Wish("gone"), now).field == "state"


def test_a_move_is_told_in_history_audit_and_outbox(store: sqlite3.Connection, now: float) -> None:
    assert move(store, "number_block", BLOCK, Wish("recalling"), WHO, now) == "assigned"
    last = "ORDER BY id DESC LIMIT 1"
    told = store.execute(f"SELECT kind, entity, from_state, to_state, actor, reason FROM transition {last}").fetchone()
    assert told == (
        "number_block", BLOCK, "assigned", "recalling", "ops", "letter 12",
    )  # fmt: skip
    assert store.execute(f"SELECT actor, action, detail, reason FROM audit {last}").fetchone() == (
        "ops", "number_block.state", f"{BLOCK}: assigned -> recalling", "letter 12",
    )  # fmt: skip
    platform, kind, at, subject, payload = store.execute(
        f"SELECT app_platform, kind, at, subject, payload FROM outbox {last}"
    ).fetchone()
    assert (platform, kind, at, subject) == ("ap-demo", "block.event", "2026-11-24T01:02:03.456Z", BLOCK)
    assert json.loads(payload) == {"prefix": BLOCK, "state": "recalling", "business_user": "bu-express"}


def test_a_platform_works_after_all_documents_are_reviewed(store: sqlite3.Connection, now: float) -> None:
    put(store, "app_platform", "registered")
    for missing in DOCUMENTS:
        some = {name: review for name, review in REVIEWED.items() if name != missing}
        change(store, "app_platform", "ap-demo", {"reviewed": some}, WHO, now)
        assert refused(store, "app_platform", Wish("active"), now).detail == f"not reviewed yet: {missing}"
    change(store, "app_platform", "ap-demo", {"reviewed": REVIEWED}, WHO, now)
    assert move(store, "app_platform", "ap-demo", Wish("active"), WHO, now) == "registered"


def test_a_platform_leaves_a_month_after_it_has_said_so(store: sqlite3.Connection, now: float) -> None:
    assert refused(store, "app_platform", Wish("winding_down"), now).field == "exit_day"
    assert refused(store, "app_platform", Wish("winding_down", exit_day="soon"), now).field == "exit_day"
    problem = refused(store, "app_platform", Wish("winding_down", exit_day="2026-12-23"), now)
    assert problem.detail == "2026-12-23 is less than 30 days ahead: 2026-12-24 or later"
    move(store, "app_platform", "ap-demo", Wish("winding_down", exit_day="2026-12-24"), WHO, now)
    assert read(store, "app_platform", "ap-demo")["exit_day"] == "2026-12-24"


def test_a_suspended_platform_may_come_back_without_its_papers(store: sqlite3.Connection, now: float) -> None:
    move(store, "app_platform", "ap-demo", Wish("suspended"), WHO, now)
    move(store, "app_platform", "ap-demo", Wish("active"), WHO, now)


@pytest.mark.parametrize(("kind", "state"), [("app_platform", "winding_down"), ("business_user", "active")])
def test_nobody_is_closed_while_a_binding_is_in_force(
    store: sqlite3.Connection, cipher: NumberCipher, now: float, kind: str, state: str
) -> None:
    put(store, kind, state)
    bind(store, cipher, f"{BLOCK}9999", now + 60)
    assert refused(store, kind, Wish("closed"), now).detail == "has a binding in force, s1: it must end first"
    move(store, kind, KEYS[kind], Wish("closed"), WHO, now + 60)


@pytest.mark.parametrize("state", ["draft", "winding_down", "closed"])
def test_a_business_user_is_registered_under_a_registered_platform(
    store: sqlite3.Connection, now: float, state: str
) -> None:
    put(store, "app_platform", state)
    put(store, "business_user", "draft")
    problem = refused(store, "business_user", Wish("registered"), now)
    assert (problem.code, problem.detail) == ("PARTNER_IS_CLOSED", f"ap-demo is {state}, not registered")
    put(store, "app_platform", "registered")
    move(store, "business_user", "bu-express", Wish("registered"), WHO, now)


@pytest.mark.parametrize(
    ("risk_class", "asks", "missing"),
    [
        (1, {}, ""),
        (2, {}, ""),
        (3, {}, "real_name"),
        (3, {"real_name": "a"}, ""),
        (4, {}, "real_name, order_check, calls_per_day"),
        (4, {"real_name": "a", "order_check": "call", "calls_per_day": 5}, "real_name both"),
        (4, {"real_name": "both", "order_check": "bind"}, "calls_per_day"),
        (4, {"real_name": "both", "order_check": "bind", "calls_per_day": 5}, ""),
    ],
)
def test_a_risky_scenario_is_approved_only_with_what_its_class_asks_for(
    store: sqlite3.Connection, risk_class: int, asks: dict[str, object], missing: str, now: float
) -> None:
    row = {"code": "new", "risk_class": risk_class, "modes": ["AXB"], "max_ttl_s": 100}
    create(store, "scenario", row | asks, WHO, now)
    if missing:
        problem = refused(store, "scenario", Wish("approved"), now, "new")
        assert str(problem) == f"risk_class: class {risk_class} is approved only with {missing}"
        return
    move(store, "scenario", "new", Wish("approved"), WHO, now)
    with pytest.raises(Problem):
        change(store, "scenario", "new", {"risk_class": 4, "calls_per_day": 0}, WHO, now)


def test_what_was_signed_is_kept_with_the_contract(store: sqlite3.Connection, now: float) -> None:
    put(store, "contract", "draft")
    said = {"doc_hash": "0f" * 32, "exit_plan": "six weeks, then the file is closed"}
    assert said.items() <= change(store, "contract", "c-1", said, WHO, now).items()
    for wrong in ("0F" * 32, "0f", 7):
        with pytest.raises(Problem):
            change(store, "contract", "c-1", {"doc_hash": wrong}, WHO, now)
    move(store, "contract", "c-1", Wish("effective"), WHO, now)
    with pytest.raises(Problem):
        change(store, "contract", "c-1", {"exit_plan": "none"}, WHO, now)


def test_a_contract_wants_two_registered_partners_and_expires_after_its_last_day(
    store: sqlite3.Connection, now: float
) -> None:
    put(store, "contract", "draft")
    put(store, "business_user", "frozen")
    assert refused(store, "contract", Wish("effective"), now).code == "USER_NOT_REGISTERED"
    put(store, "business_user", "registered")
    move(store, "contract", "c-1", Wish("effective"), WHO, now)
    problem = refused(store, "contract", Wish("expired"), now)
    assert (problem.field, problem.legal) == ("to_day", ("terminated",))
    last_day_is_over = 2_114_352_000.0  # 2037-01-01 in China
    assert refused(store, "contract", Wish("expired"), last_day_is_over - 1).field == "to_day"
    move(store, "contract", "c-1", Wish("expired"), WHO, last_day_is_over)


def test_a_block_is_opened_on_a_day_of_china(store: sqlite3.Connection, now: float) -> None:
    other = "70012345679"
    move(store, "number_block", other, Wish("route_ready"), WHO, now)
    assert read(store, "number_block", other)["opened_day"] == ""
    move(store, "number_block", other, Wish("opened"), WHO, now + 15 * 3600)  # 16:02 UTC
    assert read(store, "number_block", other)["opened_day"] == "2026-11-25"
    move(store, "number_block", other, Wish("assigned"), WHO, now + 5 * DAY_S)
    assert read(store, "number_block", other)["opened_day"] == "2026-11-25"


def test_a_block_changes_hands_only_by_way_of_a_recall_and_empty(
    store: sqlite3.Connection, cipher: NumberCipher, now: float
) -> None:
    wish = Wish("assigned", business_user="bu-other")
    assert isinstance(refused(store, "number_block", wish, now), IllegalMove)
    bind(store, cipher, f"{BLOCK}0000", now + 60)
    move(store, "number_block", BLOCK, Wish("recalling"), WHO, now)
    assert refused(store, "number_block", Wish("returned"), now).code == "NO_USED_BY_OTHERS"
    assert refused(store, "number_block", wish, now).code == "NO_USED_BY_OTHERS"
    assert refused(store, "number_block", Wish("assigned", business_user="bu-9"), now).code == "NOT_FOUND"
    then = now + 60
    assert refused(store, "number_block", wish, then).code == "CONTRACT_NOT_IN_FORCE"
    contract = {"id": "c-2", "app_platform": "ap-demo", "business_user": "bu-other", "from_day": "2026-01-01"}
    create(store, "contract", contract | {"to_day": "2026-12-31"}, WHO, now)
    assert refused(store, "number_block", wish, then).code == "CONTRACT_NOT_IN_FORCE"
    move(store, "contract", "c-2", Wish("effective"), WHO, now)
    move(store, "number_block", BLOCK, wish, WHO, then)
    assert read(store, "number_block", BLOCK)["business_user"] == "bu-other"
    assert page(store, "number_pool", {})[0]["blocks"] == []
    ledger = store.execute(
        "SELECT business_user, until_at FROM assignment WHERE prefix = ? ORDER BY id", (BLOCK,)
    ).fetchall()
    assert ledger == [("bu-express", then), ("bu-other", None)]


def test_a_recall_that_is_called_off_leaves_the_register_as_it_was(store: sqlite3.Connection, now: float) -> None:
    before = store.execute("SELECT * FROM assignment").fetchall()
    move(store, "number_block", BLOCK, Wish("recalling"), WHO, now)
    move(store, "number_block", BLOCK, Wish("assigned"), WHO, now + 1)
    assert store.execute("SELECT * FROM assignment").fetchall() == before


def test_a_returned_block_is_nobodys(store: sqlite3.Connection, now: float) -> None:
    move(store, "number_block", BLOCK, Wish("recalling"), WHO, now)
    began = store.execute("SELECT from_at FROM assignment WHERE prefix = ?", (BLOCK,)).fetchone()[0]
    move(store, "number_block", BLOCK, Wish("returned"), WHO, began + 5)
    until = store.execute("SELECT until_at FROM assignment WHERE prefix = ?", (BLOCK,)).fetchall()
    assert until == [(began + 5,)]
