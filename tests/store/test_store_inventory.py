"""The inventory file: what is in it, what is wrong in it, and that applying it twice changes nothing."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.store.crypto import NumberCipher
from engine.store.errors import StoreError
from engine.store.inventory import InventoryError, apply_inventory, read_inventory

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
    assert counts == {"app_platform": 1, "business_user": 2, "contract": 1, "scenario": 1, "number_block": 3}
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
