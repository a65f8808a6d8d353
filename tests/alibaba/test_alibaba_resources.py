"""Blacklist and single numbers by the SDK of today."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing

import pytest

from engine.store.blacklist import read_blacklist
from engine.store.crypto import open_key
from engine.store.database import open_read_only
from tests.alibaba.conftest import Served
from tests.alibaba.sdk import A, B, Sdk

X = "700123456780042"
PAIR = {"black_type": "POINT_TO_POINT_BLACK", "black_no": f"{A}:{B}"}
ONE = {"black_type": "PARTNER_GLOBAL_NUMBER_BLACK", "black_no": A}


def rules(served: Served) -> list[tuple[str, str, str]]:
    cipher = open_key(served.config.data_dir)
    with closing(open_read_only(served.config.data_dir / "bindings.db", cipher, busy_ms=1000)) as connection:
        return [(row.first, row.second, row.way) for row in read_blacklist(connection, cipher, "ap-test")]


@pytest.mark.parametrize(
    ("control", "rule"),
    [
        (None, (A, B, "both")),
        ("DUPLEX_REJECT", (A, B, "both")),
        ("PHONEA_REJECT", (A, B, "first_may_call")),
        ("PHONEB_REJECT", (B, A, "first_may_call")),
    ],
)
def test_two_numbers_have_one_rule_the_last(served: Served, sdk: Sdk, control: str, rule: tuple[str, str, str]) -> None:
    for other in ("PHONEB_REJECT", "PHONEA_REJECT", control):
        assert sdk.black("Add", **PAIR, way_control=other, remark="a word").code == "OK"
    assert rules(served) == [rule]
    assert sdk.black("Delete", **PAIR).code == "OK"
    assert rules(served) == []
    assert sdk.black("Delete", **PAIR).code == "isv.NO_NOT_EXIST"


def test_a_number_may_be_barred_from_everybody(served: Served, sdk: Sdk) -> None:
    assert sdk.black("Add", **ONE).code == "OK"
    assert rules(served) == [(A, "", "both")]
    assert sdk.black("Delete", **ONE).code == "OK"
    assert rules(served) == []


@pytest.mark.parametrize(
    "values",
    [
        {**ONE, "way_control": "PHONEA_REJECT"},
        {**ONE, "black_type": "PLATFORM_BLACK"},
        {**PAIR, "black_no": A},
        {**PAIR, "black_no": f"{A}:"},
        {**PAIR, "way_control": "BOTH"},
    ],
)
def test_what_makes_no_rule_is_refused(served: Served, sdk: Sdk, values: dict[str, str]) -> None:
    assert sdk.black("Add", **values).code == "isv.ILLEGAL_ARGUMENT"
    assert rules(served) == []


def test_what_is_no_number_is_refused(sdk: Sdk) -> None:
    assert sdk.black("Add", **(PAIR | {"black_no": f"{A}:{A}"})).code == "isv.MOBILE_NUMBER_ILLEGAL"
    assert sdk.black("Delete", **(PAIR | {"black_no": f"{A}:x"})).code == "isv.MOBILE_NUMBER_ILLEGAL"


@pytest.fixture
def freed(served: Served) -> Iterator[None]:
    yield
    served.command("state", "number", X, "idle", "--reason", "test")


def test_a_number_is_locked_and_unlocked(sdk: Sdk) -> None:
    assert sdk.number(X).to_map()["SecretStatus"] == 0
    bound = sdk.bind(tel_x=X).data
    assert sdk.number(X).secret_status == 1
    assert sdk.lock(X).code == "OK"
    assert sdk.number(X).secret_status == 2
    assert sdk.lock(X).code == "isv.FORBIDDEN_ACTION"
    assert sdk.bind(tel_a="13800138044", tel_b="13800138045", tel_x=X).code == "isv.FORBIDDEN_ACTION"
    assert sdk.unlock(X).code == "OK"
    assert sdk.unlock(X).code == "isv.FORBIDDEN_ACTION"
    sdk.unbind(bound)


@pytest.mark.usefixtures("freed")
def test_who_has_frozen_a_number_lets_it_free_himself(served: Served, sdk: Sdk) -> None:
    served.command("state", "number", X, "frozen", "--reason", "fraud")
    assert sdk.number(X).secret_status == 3
    assert sdk.lock(X).code == "isv.FORBIDDEN_ACTION"
    assert sdk.unlock(X).code == "isv.FORBIDDEN_ACTION"


def test_a_number_of_nobody_is_none(sdk: Sdk) -> None:
    for x in ("700999999990001", "70012345678", "7001234567800010", A):
        assert sdk.lock(x).code == "isv.NO_NOT_EXIST"


def test_what_was_done_is_in_the_audit_without_real_numbers(served: Served, sdk: Sdk) -> None:
    sdk.black("Add", **PAIR)
    sdk.black("Delete", **PAIR)
    sdk.unbind(sdk.bind().data)
    told = served.command("audit", "list", "--json")
    actions = {row["action"] for row in json.loads(told)}
    assert {"binding.create", "binding.delete", "blacklist.add", "blacklist.remove"} <= actions
    assert A not in told
    assert B not in told
