"""The inventory file: what is in it, what is wrong in it, and that applying it twice changes nothing."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.store.audit import Asker
from engine.store.crypto import NumberCipher
from engine.store.errors import StoreError
from engine.store.inventory import InventoryError, apply_inventory, read_inventory
from tests.store.bound import bind

Rows = Callable[..., list[sqlite3.Row]]


def complaint(file: Path) -> str:
    with pytest.raises(InventoryError) as caught:
        read_inventory(file)
    return str(caught.value)


def line_of(file: Path, text: str) -> int:
    return next(number for number, line in enumerate(file.read_text().splitlines(), 1) if text in line)


def edit(file: Path, old: str, new: str) -> Path:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))
    return file


def test_all_five_tables_are_stored(stocked: Path, rows: Rows) -> None:
    assert dict(rows(stocked, "SELECT id, name, licence_no, approval_no, state FROM app_platform")[0]) == {
        "id": "ap-demo",
        "name": "Demo platform",
        "licence_no": "B2-20250001",
        "approval_no": "700-2025-001",
        "state": "active",
    }
    assert [row["id"] for row in rows(stocked, "SELECT id FROM business_user ORDER BY id")] == [
        "bu-express",
        "bu-other",
    ]
    assert tuple(rows(stocked, "SELECT id, app_platform, business_user, from_day, to_day FROM contract")[0]) == (
        "c-1",
        "ap-demo",
        "bu-express",
        "2026-01-01",
        "2036-12-31",
    )
    assert tuple(rows(stocked, "SELECT code, risk_class, modes, max_ttl_s FROM scenario")[0]) == (
        "express",
        1,
        '["AXB"]',
        2592000,
    )
    blocks = rows(stocked, "SELECT prefix, business_user, state FROM number_block ORDER BY prefix")
    assert [tuple(row) for row in blocks] == [
        ("70012345678", "bu-express", "assigned"),
        ("70012345679", "bu-express", "granted"),
        ("70013800138", "bu-express", "assigned"),
    ]


def test_applying_twice_changes_nothing_and_an_edit_changes_its_row(
    stocked: Path, cipher: NumberCipher, inventory_file: Path, rows: Rows
) -> None:
    def dump() -> list[list[tuple[object, ...]]]:
        tables = ("app_platform", "business_user", "contract", "scenario", "number_block")
        return [[tuple(row) for row in rows(stocked, f"SELECT * FROM {table}")] for table in tables]

    before = dump()
    counts = apply_inventory(stocked, cipher, read_inventory(inventory_file))
    assert counts == {
        "app_platform": 1, "business_user": 2, "contract": 1, "scenario": 1, "number_block": 3, "number_pool": 0,
    }  # fmt: skip
    assert dump() == before
    edit(inventory_file, 'state = "granted"', 'state = "assigned"')
    apply_inventory(stocked, cipher, read_inventory(inventory_file))
    changed = dump()
    assert changed[:4] == before[:4]
    assert [row["state"] for row in rows(stocked, "SELECT state FROM number_block")] == ["assigned"] * 3


def test_what_is_stored_already_needs_no_writing(
    stocked: Path, cipher: NumberCipher, inventory_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A node starts while an import holds the write lock."""
    monkeypatch.setattr("engine.store.database.open_database.__kwdefaults__", {"busy_ms": 0, "any_thread": False})
    other = sqlite3.connect(stocked, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    assert apply_inventory(stocked, cipher, read_inventory(inventory_file))["number_block"] == 3
    edit(inventory_file, 'state = "granted"', 'state = "assigned"')
    with pytest.raises(StoreError, match="busy: another process is writing to it"):
        apply_inventory(stocked, cipher, read_inventory(inventory_file))
    other.close()


def test_a_file_may_refer_to_what_is_stored(stocked: Path, cipher: NumberCipher, tmp_path: Path, rows: Rows) -> None:
    file = tmp_path / "more.toml"
    file.write_text(
        '[[number_block]]\nprefix="70000000000"\noperator="1"\napp_platform="ap-demo"\nbusiness_user="bu-other"\n'
        'certificate_no="C"\nstate="assigned"\n'
    )
    apply_inventory(stocked, cipher, read_inventory(file))
    assert len(rows(stocked, "SELECT * FROM number_block")) == 4


@pytest.mark.parametrize(
    ("old", "new", "line", "reason"),
    [
        ("[[scenario]]", "[[scenarios]]", "[[scenarios]]", "unknown table scenarios, did you mean scenario?"),
        (
            "licence_no =",
            "license_no =",
            "license_no",
            "app_platform.license_no: unknown key, did you mean licence_no?",
        ),
        ("operator =", "zzz =", "zzz", "number_block.zzz: unknown key, known are prefix, operator"),
        ('uscc = "91110000000000001X"\n', "", 'id = "bu-other"', "business_user.uscc: missing"),
        ('"70012345679"', '"7001234567"', '"7001234567"', "number_block.prefix: must be 11 digits that begin with 700"),
        ('"70012345679"', '"71012345679"', '"71012345679"', "number_block.prefix: must be 11 digits"),
        ('"70012345679"', "70012345679", "= 70012345679", "number_block.prefix: must be 11 digits"),
        ('"70012345679"', '"70012345678"', "x", "number_block.prefix: 70012345678 stands twice"),
        ('state = "granted"', 'state = "active"', "x", "number_block.state: must be one of granted, route_ready"),
        ('state = "granted"', "state = []", "state = []", "number_block.state: must be one of granted, route_ready"),
        ("risk_class = 1", "risk_class = 5", "risk_class", "scenario.risk_class: must be a whole number from 1 to 4"),
        ("risk_class = 1", "risk_class = true", "risk_class", "scenario.risk_class: must be a whole number"),
        ("max_ttl_s = 2592000", "max_ttl_s = 60", "max_ttl_s", "scenario.max_ttl_s: must be a whole number from 61"),
        ('modes = ["AXB"]', 'modes = ["AXN"]', "modes", "scenario.modes: must be a list of AXB, AXYB, GXB, GXYB"),
        ('modes = ["AXB"]', "modes = []", "modes", "scenario.modes: must be a list"),
        ('modes = ["AXB"]', "modes = [[]]", "modes", "scenario.modes: must be a list"),
        ('"2036-12-31"', '"31.12.2036"', "31.12.2036", "contract.to: must be a day such as 2026-01-31"),
        ('"2036-12-31"', '"2025-12-31"', "[[contract]]", "contract.to: lies before contract.from"),
        ('name = "Demo platform"', 'name = ""', 'name = ""', "app_platform.name: must be text of 1 to 128"),
        ('name = "Demo platform"', "name = 7", "name = 7", "app_platform.name: must be text of 1 to 128"),
    ],
)
def test_each_fault_is_named_with_its_line(inventory_file: Path, old: str, new: str, line: str, reason: str) -> None:
    edit(inventory_file, old, new)
    text = complaint(inventory_file)
    first = text.splitlines()[0]
    assert reason in first
    assert first.startswith(f"{inventory_file}:")
    if line != "x":
        table_line = line_of(inventory_file, line)
        # A missing key and a rule about two keys are told at the header of the entry.
        expected = table_line - 1 if "missing" in reason else table_line
        assert first.startswith(f"{inventory_file}:{expected}: ")


def test_faults_are_told_together(inventory_file: Path) -> None:
    edit(edit(inventory_file, "risk_class = 1", "risk = 1"), "certificate_no", "certificate")
    text = complaint(inventory_file).splitlines()
    assert [line.split(": ", 2)[1] for line in text] == [
        "scenario.risk",
        "scenario.risk_class",
        "number_block.certificate",
        "number_block.certificate_no",
    ]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("[[number_block]\n", "not TOML"),
        ("number_block = 3\n", "number_block: write it as [[number_block]]"),
        ("[number_block]\nprefix = '70012345678'\n", "number_block: write it as [[number_block]]"),
    ],
)
def test_a_file_of_another_form_is_refused(tmp_path: Path, content: str, reason: str) -> None:
    file = tmp_path / "inventory.toml"
    file.write_text(content)
    assert reason in complaint(file)


def test_days_may_be_dates(inventory_file: Path) -> None:
    edit(inventory_file, '"2026-01-01"', "2026-01-01")
    assert read_inventory(inventory_file).tables["contract"][0]["from_day"] == "2026-01-01"


def test_bytes_that_are_no_text_and_a_missing_file(tmp_path: Path) -> None:
    file = tmp_path / "inventory.toml"
    assert "No such file" in complaint(file)
    file.write_bytes(b"\xff\xfe")
    assert "not TOML" in complaint(file)


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ('business_user = "bu-express"', 'business_user = "bu-x"', "contract c-1: business_user bu-x is not known"),
        (
            'app_platform = "ap-demo"\nname = "Other"',
            'app_platform = "ap-x"\nname = "Other"',
            "business_user bu-other: app_platform ap-x is not known",
        ),
    ],
)
def test_what_refers_to_nothing_is_refused_as_a_whole(
    bindings_db: Path, cipher: NumberCipher, inventory_file: Path, old: str, new: str, reason: str, rows: Rows
) -> None:
    edit(inventory_file, old, new)
    with pytest.raises(InventoryError, match=reason):
        apply_inventory(bindings_db, cipher, read_inventory(inventory_file))
    assert rows(bindings_db, "SELECT * FROM app_platform") == []


def told_moves(rows: Rows, database: Path) -> list[tuple[str, ...]]:
    found = rows(database, "SELECT kind, entity, from_state, to_state, actor FROM transition ORDER BY id")
    return [tuple(row) for row in found]


def test_what_is_applied_has_its_history(stocked: Path, cipher: NumberCipher, inventory_file: Path, rows: Rows) -> None:
    assert told_moves(rows, stocked) == [
        ("app_platform", "ap-demo", "", "active", "inventory"),
        ("business_user", "bu-express", "", "active", "inventory"),
        ("business_user", "bu-other", "", "active", "inventory"),
        ("contract", "c-1", "", "effective", "inventory"),
        ("scenario", "express", "", "approved", "inventory"),
        ("number_block", "70012345678", "", "assigned", "inventory"),
        ("number_block", "70012345679", "", "granted", "inventory"),
        ("number_block", "70013800138", "", "assigned", "inventory"),
    ]
    ledger = "SELECT prefix, business_user, until_at FROM assignment ORDER BY prefix"
    assert [tuple(row) for row in rows(stocked, ledger)] == [
        ("70012345678", "bu-express", None), ("70013800138", "bu-express", None),
    ]  # fmt: skip
    edit(inventory_file, 'state = "active"', 'state = "suspended"')
    edit(inventory_file, "max_ttl_s = 2592000", 'max_ttl_s = 3600\nhours = "08:00-22:00"\nsms = false')
    apply_inventory(stocked, cipher, read_inventory(inventory_file), Asker("ops", "letter 12"))
    assert told_moves(rows, stocked)[8:] == [("app_platform", "ap-demo", "active", "suspended", "ops")]
    audit = rows(stocked, "SELECT actor, action, reason, detail FROM audit ORDER BY id")
    assert [tuple(row) for row in audit[1:]] == [
        ("ops", "app_platform.state", "letter 12", "ap-demo: active -> suspended"),
        (
            "ops",
            "scenario.change",
            "letter 12",
            "express: max_ttl_s 2592000 -> 3600, hours  -> 08:00-22:00, sms 1 -> 0",
        ),
        ("ops", "inventory.apply", "letter 12", "inventory.toml: 2 rows new or changed"),
    ]


def test_a_start_undoes_nobodys_move_and_takes_what_is_new(
    stocked: Path, cipher: NumberCipher, inventory_file: Path, rows: Rows
) -> None:
    connection = sqlite3.connect(stocked, isolation_level=None)
    connection.execute("UPDATE app_platform SET state = 'suspended'")
    connection.execute("UPDATE number_block SET business_user = 'bu-other' WHERE prefix = '70012345678'")
    connection.close()
    states = "SELECT p.state, b.business_user FROM app_platform p, number_block b WHERE prefix = '70012345678'"
    edit(inventory_file, 'name = "Demo platform"', 'name = "New name"')
    apply_inventory(stocked, cipher, read_inventory(inventory_file), only_new=True)
    assert tuple(rows(stocked, states)[0]) == ("suspended", "bu-other")
    assert rows(stocked, "SELECT name FROM app_platform")[0]["name"] == "New name"
    apply_inventory(stocked, cipher, read_inventory(inventory_file))
    assert tuple(rows(stocked, states)[0]) == ("active", "bu-express")


def test_a_store_of_before_keeps_its_moves_after_the_first_start(
    stocked: Path, cipher: NumberCipher, inventory_file: Path, rows: Rows
) -> None:
    connection = sqlite3.connect(stocked, isolation_level=None)
    connection.execute("DELETE FROM meta WHERE name LIKE 'inventory %'")
    apply_inventory(stocked, cipher, read_inventory(inventory_file), only_new=True)
    connection.execute("UPDATE app_platform SET state = 'suspended'")
    connection.close()
    apply_inventory(stocked, cipher, read_inventory(inventory_file), only_new=True)
    assert rows(stocked, "SELECT state FROM app_platform")[0]["state"] == "suspended"


def test_a_block_in_use_goes_to_nobody_else(
    stocked: Path, cipher: NumberCipher, inventory_file: Path, rows: Rows, now: float
) -> None:
    connection = sqlite3.connect(stocked, isolation_level=None)
    bind(connection, cipher, "700123456780001", now + 60)
    text = inventory_file.read_text()
    at = text.index('business_user = "bu-express"', text.index('prefix = "70012345678"'))
    inventory_file.write_text(text[:at] + text[at:].replace("bu-express", "bu-other", 1))
    inventory = read_inventory(inventory_file)
    what = "number_block 70012345678: prefix 70012345678 has a binding in force, s1: it must end first"
    with pytest.raises(InventoryError, match=f"{inventory_file}: {what}"):
        apply_inventory(stocked, cipher, inventory, wall_s=now)
    apply_inventory(stocked, cipher, inventory, wall_s=now + 60)
    ledger = "SELECT business_user, from_at, until_at FROM assignment WHERE prefix = '70012345678' ORDER BY id"
    assert [tuple(row) for row in rows(stocked, ledger)] == [
        ("bu-express", now, now + 60), ("bu-other", now + 60, None),
    ]  # fmt: skip
    connection.close()


def test_new_keys_are_checked_and_pools_are_stored(
    stocked: Path, cipher: NumberCipher, inventory_file: Path, rows: Rows
) -> None:
    with inventory_file.open("a") as file:
        file.write(
            '[[number_pool]]\nkey = "p-1"\napp_platform = "ap-demo"\nbusiness_user = "bu-express"\n'
            'blocks = ["70012345679", "70012345678"]\nchoice = "sticky"\n'
        )
    edit(inventory_file, 'licence_no = "B2-20250001"', 'licence_no = "B2-20250001"\nexit_day = "2030-01-31"')
    counts = apply_inventory(stocked, cipher, read_inventory(inventory_file))
    assert counts["number_pool"] == 1
    assert dict(rows(stocked, "SELECT * FROM number_pool")[0]) == {
        "key": "p-1", "app_platform": "ap-demo", "business_user": "bu-express", "state": "active", "choice": "sticky",
        "callback": "last_caller", "cool_s": 86400,
    }  # fmt: skip
    assert [row["prefix"] for row in rows(stocked, "SELECT prefix FROM pool_block ORDER BY prefix")] == [
        "70012345678", "70012345679",
    ]  # fmt: skip
    before = told_moves(rows, stocked)
    apply_inventory(stocked, cipher, read_inventory(inventory_file))
    assert told_moves(rows, stocked) == before
    edit(inventory_file, '"70012345679", ', '"70099999999", ')
    with pytest.raises(InventoryError, match="number_pool p-1: blocks 70099999999 is no block of bu-express"):
        apply_inventory(stocked, cipher, read_inventory(inventory_file))
    edit(inventory_file, 'choice = "sticky"', 'choice = "best"')
    assert "number_pool.choice: must be one of random, sticky" in complaint(inventory_file)


def test_a_file_of_many_blocks_is_read_at_once(inventory_file: Path) -> None:
    """The lines of what is right are not looked for: with ten million numbers they took a start eight seconds."""
    block = '[[number_block]]\nprefix = "7009{:07d}"\noperator = "1"\napp_platform = "ap-demo"\n'
    block += 'business_user = "bu-express"\ncertificate_no = "C"\nstate = "assigned"\n'
    with inventory_file.open("a") as file:
        file.writelines(block.format(number) for number in range(2_000))
    begin_s = time.process_time()
    assert len(read_inventory(inventory_file).tables["number_block"]) >= 2_000
    assert time.process_time() - begin_s < 2.0
