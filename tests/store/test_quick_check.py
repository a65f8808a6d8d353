"""The quick check of an import accepts only what the binder accepts, with the same terms."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.store.binder import Binder
from engine.store.binding_import import COLUMNS
from engine.store.binding_rules import plain_request
from engine.store.crypto import NumberCipher, open_key
from engine.store.database import BINDINGS, open_database
from engine.store.inventory import apply_inventory, read_inventory
from engine.store.quick_check import QuickCheck
from engine.store.standing import Standing
from tests.store.conftest import INVENTORY

NOW = 1_795_482_123.0  # 2026-11-24T01:02:03Z
Writable = tuple[sqlite3.Connection, NumberCipher]

FIELDS = {
    "mode": ["AXB", "AX", "axb", ""],
    "tel_x": [
        "700123456780001",
        "700123456790001",
        "700123456780138",
        "70012345678000",
        "70012345678000a",
        "7001²3456780001",
    ],
    "tel_y": ["", "", "", "700123456780002"],
    "tel_a": ["13800138000", "13900139000", "2088888888", "+8613800138000", "12800138000", "1380013800", "1380013800²"],
    "tel_b": ["13900139000", "13800138000", "95588", " 13900139000", "10600000000000000000"],
    "group_id": ["", "", "", "g"],
    "business_user": ["bu-express", "bu-express", "bu-other", "bu-unknown"],
    "order_id": ["order-1", " order-1 ", "", " ", "o" * 128, "o" * 129, "o\x00"],
    "scenario": ["express", " express", "", "x\ny"],
    "expiration": ["2026-12-20T00:00:00+08:00", " 2026-12-20T00:00:00Z", "2026-11-24T01:02:04Z", "soon", ""],
}


@pytest.fixture(scope="module")
def writable(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Writable]:
    """A stocked store, for what is rolled back."""
    data_dir = tmp_path_factory.mktemp("quick") / "var"
    cipher = open_key(data_dir)
    file = data_dir / "inventory.toml"
    file.write_text(INVENTORY)
    apply_inventory(data_dir / "bindings.db", cipher, read_inventory(file))
    with closing(open_database(data_dir / "bindings.db", BINDINGS, cipher)) as connection:
        yield connection, cipher


def assert_quick_is_right(writable: Writable, values: Sequence[str]) -> bool:
    """What the quick check accepts is bound by the full rules with the same terms; whether it accepts."""
    connection, cipher = writable
    terms = QuickCheck(connection, Standing(connection, cipher, NOW), NOW).terms(values)
    if terms is None:
        return False
    connection.execute("BEGIN")
    try:
        request = plain_request([value.strip() for value in values])
        bound = Binder(connection, cipher, None, lambda top: 0).bind(request, NOW)
        [made] = connection.execute(
            "SELECT mode, tel_x, tel_y, tel_a, tel_b, group_id, business_user, app_platform, order_id, scenario,"
            " expires_at FROM binding"
        )
        options = connection.execute("SELECT DISTINCT flags, max_call_s, ring_timeout_s, group_id FROM target")
        assert options.fetchall() == [(0, 0, 0, "")]
    finally:
        connection.execute("ROLLBACK")
    numbers = [cipher.decrypt(made[3], "binding.tel_a"), cipher.decrypt(made[4], "binding.tel_b")]
    assert (*made[:3], *numbers, *made[5:]) == terms
    assert bound[2:] == (terms.tel_x, "", terms.expires_at)
    return True


@given(st.tuples(*[st.sampled_from(FIELDS[name]) for name in COLUMNS]))
def test_the_quick_check_says_what_the_full_one_says(writable: Writable, values: tuple[str, ...]) -> None:
    assert_quick_is_right(writable, values)


@pytest.mark.parametrize(("at", "value"), [(at, value) for at, name in enumerate(COLUMNS) for value in FIELDS[name]])
def test_one_odd_value_is_no_matter_for_the_quick_check(writable: Writable, at: int, value: str) -> None:
    values = [FIELDS[name][0] for name in COLUMNS]
    assert assert_quick_is_right(writable, values)
    values[at] = value
    assert_quick_is_right(writable, values)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE app_platform SET state = 'winding_down'",
        "UPDATE business_user SET state = 'frozen'",
        "UPDATE business_user SET consent = 'required'",
        "UPDATE business_user SET scenarios = '[\"taxi\"]'",
        "UPDATE contract SET to_day = '2026-11-23'",
        "UPDATE contract SET to_day = '2026-12-18'",
        "UPDATE contract SET state = 'terminated'",
        "UPDATE scenario SET state = 'retired'",
        "UPDATE scenario SET modes = '[\"GXB\"]'",
        "UPDATE scenario SET max_ttl_s = 100",
        "UPDATE scenario SET hours = '08:00-22:00'",
        "UPDATE scenario SET sms = 0",
        "UPDATE scenario SET real_name = 'a'",
        "UPDATE scenario SET order_check = 'bind'",
        "UPDATE scenario SET order_check = 'call'",
        "UPDATE scenario SET max_call_s = 60",
        "UPDATE scenario SET calls_per_day = 3",
        "UPDATE number_block SET state = 'recalling'",
        "UPDATE number_block SET business_user = 'bu-other'",
        "INSERT INTO restriction VALUES ('everything', '', 'killed', 0, '', '')",
        "INSERT INTO restriction VALUES ('app_platform', 'ap-demo', 'killed', 0, '', '')",
        "INSERT INTO restriction VALUES ('business_user', 'bu-express', 'killed', 0, '', '')",
        "INSERT INTO restriction VALUES ('number_block', '70012345678', 'killed', 0, '', '')",
        "INSERT INTO restriction VALUES ('number', '700123456780001', 'locked', 0, '', '')",
        "INSERT INTO service_order VALUES ('bu-express', 'order-1', '', 'forged', NULL, NULL, '')",
    ],
)
def test_the_quick_check_leaves_to_the_full_one_what_it_does_not_know(writable: Writable, statement: str) -> None:
    connection, cipher = writable
    values = [FIELDS[name][0] for name in COLUMNS]
    connection.execute("BEGIN")
    try:
        connection.execute(statement)
        assert QuickCheck(connection, Standing(connection, cipher, NOW), NOW).terms(values) is None
    finally:
        connection.execute("ROLLBACK")
