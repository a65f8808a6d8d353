"""Complaints: intake, what blocks, how long that took."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from engine.domain.problems import Problem
from engine.store.audit import Asker
from engine.store.complaints import (
    Complaint,
    add_complaint,
    block_complaint,
    close_complaint,
    list_complaints,
)
from engine.store.crypto import NumberCipher
from engine.store.database import BINDINGS, open_database
from engine.store.inventory import apply_inventory, read_inventory
from engine.store.restrictions import kill, restriction_of

SAMPLE = Path(__file__).parents[2] / "configs" / "inventory.toml"
X = "700123456780001"
NOW_S = 1_795_492_800.0
WHO = Asker("test", "why")


@pytest.fixture
def connection(bindings_db: Path, cipher: NumberCipher) -> Iterator[sqlite3.Connection]:
    apply_inventory(bindings_db, cipher, read_inventory(SAMPLE))
    with closing(open_database(bindings_db, BINDINGS, cipher)) as found:
        yield found


def add(connection: sqlite3.Connection, cipher: NumberCipher, **how: str) -> Complaint:
    told = {"tel_x": X, "complainant": "139-0013-9000", "detail": "13800138000 sells\ninsurance"} | how
    return add_complaint(connection, cipher, told["tel_x"], told["complainant"], told["detail"], WHO, NOW_S)


def never(subs_id: str) -> None:
    raise AssertionError(subs_id)


def block(connection: sqlite3.Connection, cipher: NumberCipher, number: int, wall_s: float) -> Complaint:
    return block_complaint(connection, cipher, number, WHO, wall_s, "", never)


def test_a_complaint_names_whoever_has_the_number_and_no_real_number(
    connection: sqlite3.Connection, cipher: NumberCipher
) -> None:
    made = add(connection, cipher)
    assert (made.app_platform, made.business_user, made.state) == ("ap-demo", "bu-express", "received")
    assert (made.complainant, made.detail) == ("139****9000", "138****8000 sells insurance")
    kept = str(connection.execute("SELECT * FROM complaint").fetchall())
    assert "13900139000" not in kept and "13800138000" not in kept
    assert add(connection, cipher, complainant="").complainant == ""


def test_a_block_shuts_the_number_off_and_tells_how_long_it_took(
    connection: sqlite3.Connection, cipher: NumberCipher
) -> None:
    first, second = add(connection, cipher), add(connection, cipher)
    blocked = block(connection, cipher, first.id, NOW_S + 90.5)
    assert (blocked.state, blocked.to_block_s) == ("blocked", 90.5)
    assert restriction_of(connection, "number", X) == "killed"
    with pytest.raises(Problem, match="is blocked already"):
        block(connection, cipher, first.id, NOW_S + 100)
    assert block(connection, cipher, second.id, NOW_S + 100).to_block_s == 100  # it is shut off already
    closed = close_complaint(connection, cipher, first.id, WHO, NOW_S + 200)
    assert (closed.state, closed.to_block_s) == ("closed", 90.5)
    assert restriction_of(connection, "number", X) == "killed"
    with pytest.raises(Problem, match="closed already"):
        close_complaint(connection, cipher, first.id, WHO, NOW_S + 300)
    actions = [action for (action,) in connection.execute("SELECT action FROM audit WHERE action LIKE 'complaint.%'")]
    assert actions == ["complaint.add"] * 2 + ["complaint.block"] * 2 + ["complaint.close"]


def test_only_a_binding_of_the_number_is_ended(connection: sqlite3.Connection, cipher: NumberCipher) -> None:
    made, ended = add(connection, cipher), []
    columns = "subs_id, version, mode, tel_x, tel_y, group_id, business_user, app_platform, order_id, scenario"
    for subs_id, x in (("s1", X), ("s2", "700123456780002")):
        connection.execute(
            f"INSERT INTO binding ({columns}, expires_at, valid_from, key_id)"
            " VALUES (?, 1, 'AXB', ?, '', '', 'bu-express', 'ap-demo', 'o', 'express', ?, ?, '')",
            (subs_id, x, NOW_S + 1000, NOW_S),
        )
    for subs_id in ("s2", "s3"):
        with pytest.raises(Problem, match=f"is no binding of {X}"):
            block_complaint(connection, cipher, made.id, WHO, NOW_S + 1, subs_id, ended.append)
    assert block_complaint(connection, cipher, made.id, WHO, NOW_S + 1, "s1", ended.append).state == "blocked"
    assert ended == ["s1"]
    assert restriction_of(connection, "number", X) == ""


def test_complaints_are_listed_by_platform_and_page(connection: sqlite3.Connection, cipher: NumberCipher) -> None:
    made = [add(connection, cipher).id for _ in range(3)]
    assert [one.id for one in list_complaints(connection, cipher)] == made
    assert [one.id for one in list_complaints(connection, cipher, "ap-demo", made[0], 1)] == [made[1]]
    assert list_complaints(connection, cipher, "ap-other") == []


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ({"tel_x": "13800138000"}, "tel_x: is not a 700 number"),
        ({"tel_x": "700999999990001"}, "tel_x: 700999999990001 lies in no block"),
        ({"complainant": "x"}, "complainant: is not a number"),
        ({"detail": " "}, "detail: must be 1 to 500"),
        ({"detail": "x" * 501}, "detail: must be 1 to 500"),
    ],
)
def test_what_is_no_complaint_is_refused(
    connection: sqlite3.Connection, cipher: NumberCipher, how: dict[str, str], told: str
) -> None:
    with pytest.raises(Problem, match=told):
        add(connection, cipher, **how)
    assert list_complaints(connection, cipher) == []


def test_a_switch_that_was_thrown_before_stays(connection: sqlite3.Connection, cipher: NumberCipher) -> None:
    kill(connection, "number", X, WHO, NOW_S)
    made = add(connection, cipher)
    assert block(connection, cipher, made.id, NOW_S + 5).to_block_s == 5
