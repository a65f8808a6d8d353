"""Tenants, contracts, scenarios and pools: made, read, listed and changed, with their history."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.domain.problems import Problem, ProblemCode
from engine.store.audit import Asker
from engine.store.crypto import NumberCipher
from engine.store.database import BINDINGS, open_database
from engine.store.entities import KINDS, change, create, page, read

WHO = Asker("ops", "file 4711 of 13800138000")
PLATFORM = {"id": "ap-2", "name": "Second", "licence_no": "L", "approval_no": "A"}
USER = {"id": "bu-2", "app_platform": "ap-demo", "name": "Second", "uscc": "U"}
CONTRACT = {
    "id": "c-2", "app_platform": "ap-demo", "business_user": "bu-other",
    "from_day": "2026-01-01", "to_day": "2026-12-31",
}  # fmt: skip
SCENARIO = {"code": "taxi", "risk_class": 2, "modes": ["AXB", "AXYB"], "max_ttl_s": 3600}
BLOCK = {
    "prefix": "70099999999", "operator": "9", "app_platform": "ap-demo", "business_user": "bu-other",
    "certificate_no": "C",
}  # fmt: skip
POOL = {"key": "p-1", "app_platform": "ap-demo", "business_user": "bu-express", "blocks": ["70012345678"]}
NEW = dict(zip(KINDS, (PLATFORM, USER, CONTRACT, SCENARIO, BLOCK, POOL), strict=True))


@pytest.fixture
def store(stocked: Path, cipher: NumberCipher) -> Iterator[sqlite3.Connection]:
    """bindings.db with the inventory, in a transaction."""
    connection = open_database(stocked, BINDINGS, cipher)
    connection.execute("BEGIN IMMEDIATE")
    yield connection
    connection.close()


@pytest.mark.parametrize("kind", KINDS)
def test_a_new_one_begins_in_its_first_state_and_tells_it(store: sqlite3.Connection, kind: str, now: float) -> None:
    key = next(iter(NEW[kind].values()))
    made = create(store, kind, NEW[kind], WHO, now)
    assert made == read(store, kind, str(key))
    first = "active" if kind == "number_pool" else "granted" if kind == "number_block" else "draft"
    assert made["state"] == first
    assert {name: made[name] for name in NEW[kind]} == NEW[kind]
    told = store.execute("SELECT * FROM transition ORDER BY id DESC LIMIT 1").fetchone()
    assert told[1:] == (kind, key, "", first, "2026-11-24T01:02:03.456Z", "ops", "file 4711 of 138****8000")
    audited = store.execute("SELECT actor, action, detail, reason FROM audit ORDER BY id DESC LIMIT 1").fetchone()
    assert audited == ("ops", f"{kind}.create", f"{key}: {first}", "file 4711 of 138****8000")
    with pytest.raises(Problem, match=f"{key} is there already"):
        create(store, kind, NEW[kind], WHO, now)


@pytest.mark.parametrize("kind", KINDS)
def test_each_key_that_must_be_said_is_missed(store: sqlite3.Connection, kind: str, now: float) -> None:
    for name in NEW[kind]:
        values = {key: value for key, value in NEW[kind].items() if key != name}
        with pytest.raises(Problem, match=f"^{name}: missing$") as caught:
            create(store, kind, values, WHO, now)
        assert caught.value.code is ProblemCode.ILLEGAL_ARGUMENT


@pytest.mark.parametrize(
    ("kind", "changes", "told", "code"),
    [
        ("app_platform", {"state": "active"}, "state: cannot be set here", "ILLEGAL_ARGUMENT"),
        ("app_platform", {"nam": "x"}, "nam: cannot be set here", "ILLEGAL_ARGUMENT"),
        ("app_platform", {"name": ""}, "name: must be text of 1 to 128", "ILLEGAL_ARGUMENT"),
        ("app_platform", {"name": "a\nb"}, "name: must be text of 1 to 128", "ILLEGAL_ARGUMENT"),
        ("app_platform", {"exit_day": "soon"}, "exit_day: must be a day such as", "ILLEGAL_ARGUMENT"),
        ("app_platform", {"reviewed": {"diary": {}}}, "reviewed: must be a table", "ILLEGAL_ARGUMENT"),
        ("app_platform", {"reviewed": {"number_plan": 1}}, "reviewed: number_plan must be { day", "ILLEGAL_ARGUMENT"),
        ("business_user", {"app_platform": "nobody"}, "app_platform: nobody is not known", "NOT_FOUND"),
        ("business_user", {"credit_score": 101}, "credit_score: must be a whole number", "ILLEGAL_ARGUMENT"),
        ("business_user", {"consent": "yes"}, "consent: must be one of off, required", "ILLEGAL_ARGUMENT"),
        ("contract", {"to_day": "2025-12-31"}, "to_day: lies before from_day", "ILLEGAL_ARGUMENT"),
        ("contract", {"business_user": "bu-9"}, "business_user: bu-9 is not known under app_platform", "NOT_FOUND"),
        ("scenario", {"modes": ["AXN"]}, "modes: must be a list of AXB, AXYB, GXB, GXYB", "ILLEGAL_ARGUMENT"),
        ("scenario", {"hours": "8-22"}, "hours: must be two times of the day", "ILLEGAL_ARGUMENT"),
        ("scenario", {"hours": "08:00-08:00"}, "hours: must be two times of the day", "ILLEGAL_ARGUMENT"),
        ("scenario", {"sms": 1}, "sms: must be true or false", "ILLEGAL_ARGUMENT"),
        ("scenario", {"max_ttl_s": 60}, "max_ttl_s: must be a whole number from 61", "ILLEGAL_ARGUMENT"),
        ("number_block", {"prefix": "7009999999"}, "prefix: must be 11 digits that begin with 700", "ILLEGAL_ARGUMENT"),
        ("number_pool", {"blocks": ["70099999999"]}, "blocks: 70099999999 is no block of bu-ex", "NO_USED_BY_OTHERS"),
        ("number_pool", {"blocks": []}, "blocks: must be a list of blocks", "ILLEGAL_ARGUMENT"),
        ("number_pool", {"blocks": ["70012345678"] * 2}, "blocks: names a block twice", "ILLEGAL_ARGUMENT"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(
    store: sqlite3.Connection, kind: str, changes: dict[str, object], told: str, code: str, now: float
) -> None:
    before = page(store, kind, {})
    with pytest.raises(Problem) as caught:
        create(store, kind, NEW[kind] | changes, WHO, now)
    assert str(caught.value).startswith(told)
    assert caught.value.code == code
    assert page(store, kind, {}) == before


def test_a_change_is_told_and_an_owner_is_never_changed(store: sqlite3.Connection, now: float) -> None:
    changed = change(store, "scenario", "express", {"hours": "08:00-22:00", "sms": False, "max_call_s": 60}, WHO, now)
    assert (changed["hours"], changed["sms"], changed["max_call_s"], changed["state"]) == (
        "08:00-22:00", False, 60, "approved",
    )  # fmt: skip
    audited = store.execute("SELECT action, detail FROM audit ORDER BY id DESC LIMIT 1").fetchone()
    assert audited == ("scenario.change", "express: hours  -> 08:00-22:00, sms 1 -> 0, max_call_s 0 -> 60")
    before = store.execute("SELECT count(*) FROM audit").fetchone()
    change(store, "scenario", "express", {"max_call_s": 60}, WHO, now)
    assert store.execute("SELECT count(*) FROM audit").fetchone() == before
    for kind, key, name in (
        ("business_user", "bu-express", "app_platform"),
        ("number_block", "70012345678", "business_user"),
        ("scenario", "express", "code"),
    ):
        with pytest.raises(Problem, match=f"^{name}: cannot be changed$"):
            change(store, kind, key, {name: "other"}, WHO, now)
    with pytest.raises(Problem, match="there is no scenario nothing") as caught:
        change(store, "scenario", "nothing", {"max_call_s": 60}, WHO, now)
    assert caught.value.code is ProblemCode.NOT_FOUND


def test_a_contract_in_force_keeps_its_days(store: sqlite3.Connection, now: float) -> None:
    with pytest.raises(Problem, match="the contract is effective, not draft"):
        change(store, "contract", "c-1", {"to_day": "2040-01-01"}, WHO, now)
    create(store, "contract", CONTRACT, WHO, now)
    assert change(store, "contract", "c-2", {"to_day": "2040-01-01"}, WHO, now)["to_day"] == "2040-01-01"
    with pytest.raises(Problem, match="to_day: lies before from_day"):
        change(store, "contract", "c-2", {"to_day": "2020-01-01"}, WHO, now)


def test_pages_follow_the_keys(store: sqlite3.Connection) -> None:
    everything = [block["prefix"] for block in page(store, "number_block", {})]
    assert everything == ["70012345678", "70012345679", "70013800138"]
    assert [block["prefix"] for block in page(store, "number_block", {}, "70012345678", 1)] == ["70012345679"]
    assert page(store, "number_block", {"business_user": "bu-other"}) == []
    assert [block["prefix"] for block in page(store, "number_block", {"state": "granted"})] == ["70012345679"]
    with pytest.raises(Problem, match="name: cannot be asked for"):
        page(store, "business_user", {"name": "x"})


def test_a_pool_has_its_blocks(store: sqlite3.Connection, now: float) -> None:
    create(store, "number_pool", POOL, WHO, now)
    both = ["70012345678", "70012345679"]
    assert change(store, "number_pool", "p-1", {"blocks": both[::-1]}, WHO, now)["blocks"] == both
    assert json.dumps(both) in store.execute("SELECT detail FROM audit ORDER BY id DESC").fetchone()[0]
