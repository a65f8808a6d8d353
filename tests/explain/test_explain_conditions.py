"""What a binding asks for beside its numbers is told with the row behind it."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from engine.core.binding import ASK_DECISION, ASK_ORDER, CALLS_BLOCKED, LEGACY, SEQUENTIAL, TO_GROUP
from engine.deciding.arrival import Question
from engine.store.database import RECORDS, open_database
from tests.core.corenode import A, B, X, axb
from tests.explain.explained import AT, Office, office

C = "13700137000"
LEGACY_X = "17000001234"
ROW = f"row target ({X}, {A})"


@pytest.fixture
def here() -> Office:
    with office() as made:
        made.bind([axb(expires_at=AT + 100), axb(B, A, expires_at=AT + 100)])
        yield made


def execute(here: Office, sql: str, *parameters: object) -> None:
    with closing(sqlite3.connect(here.database, isolation_level=None)) as connection:
        connection.execute("PRAGMA foreign_keys = OFF")
        connection.execute(sql, parameters)


def told(here: Office, called: str = X, caller: str = A) -> tuple[bool, dict[str, tuple[str, str]]]:
    found = here.ask(Question(caller, called, peer="a-side"))
    return found.sent, {f"{line.stage} {line.name}": (line.result, line.made_by) for line in found.lines}


def test_a_restriction_names_its_row(here: Office) -> None:
    execute(here, "INSERT INTO restriction VALUES ('number', ?, 'locked', 1, 'me', 'why')", X)
    sent, lines = told(here)
    assert not sent
    assert lines["policy unrestricted"][0].startswith("refused, NUMBER_LOCKED 404 / Q.850 1")
    assert lines["policy unrestricted"][1] == f"row restriction (number, {X})"
    assert lines["policy bound"][0].startswith("not reached")


def test_a_way_that_is_shut(here: Office) -> None:
    execute(here, "UPDATE target SET flags = ?", CALLS_BLOCKED)
    sent, lines = told(here)
    assert (sent, lines["policy way_open"][1]) == (False, ROW)
    assert lines["policy way_open"][0].startswith("refused, DIRECTION_BLOCKED")


def test_limits_of_the_binding(here: Office) -> None:
    execute(here, "UPDATE target SET max_call_s = 300, ring_timeout_s = 20")
    sent, lines = told(here)
    assert (sent, lines["binding limits"]) == (True, ("rings 20 s at most, lasts 300 s at most", ROW))


def test_the_platform_is_not_asked(here: Office) -> None:
    execute(here, "UPDATE target SET flags = ?", ASK_ORDER | ASK_DECISION)
    sent, lines = told(here)
    said = "the app platform would be asked, 800 ms: told as if it let it pass"
    assert sent
    assert lines["policy order_hook"] == (said, "row hook (ap-demo, order)")
    assert lines["policy decision_hook"] == (said, "row hook (ap-demo, decision)")
    assert lines["policy order_not_over"][1] == "row service_order (bu-express, order-1) unverified"


def test_a_black_list(here: Office) -> None:
    hidden = here.cipher.encrypt(B, "blacklist.number")
    execute(here, "INSERT INTO blacklist VALUES ('ap-demo', ?, x'', 'both', 1, 'k')", hidden)
    sent, lines = told(here)
    assert (sent, lines["policy not_blacklisted"][1]) == (False, "rows blacklist (ap-demo)")
    assert lines["policy not_blacklisted"][0].startswith("refused, CALLEE_BLACKLISTED")


def test_the_number_of_before(here: Office) -> None:
    here.bind([axb(expires_at=AT + 100)._replace(tel_x=LEGACY_X, presented=X)])
    execute(here, "UPDATE target SET flags = ?", LEGACY)
    sent, lines = told(here, LEGACY_X)
    assert sent
    assert lines["policy called_number"][0] == "passed: no 700 number, but bound as the one of before"
    assert lines["translation From"][0] == f"<sip:{X}@veil.example>"


@pytest.mark.parametrize("called", [False, True])
def test_whom_b_reaches_in_a_group(here: Office, called: bool) -> None:
    execute(here, "UPDATE target SET mode = 'GXB', group_id = 'g', flags = ?", TO_GROUP | SEQUENTIAL | 8)
    columns = "(group_id, position, member, since_at, key_id)"
    for place, member in enumerate((B, C)):
        hidden = here.cipher.encrypt(member, "group_member.member")
        execute(here, f"INSERT INTO group_member {columns} VALUES ('g', ?, ?, 1, 'k')", place, hidden)
    records = here.data_dir / "records.db"
    with closing(open_database(records, RECORDS, here.cipher)) as connection:
        if called:
            row = ("subs-1", here.cipher.encrypt(C, "cdr.caller"))
            connection.execute("INSERT INTO last_caller VALUES (?, ?, 1)", row)
    before = sorted(path.name for path in here.data_dir.iterdir())
    found = here.ask(Question(A, X, peer="a-side"), reveal=True)
    assert found.callee == (C if called else B)
    (group,) = [line for line in found.lines if line.name == "group"]
    assert group.result.startswith("whoever of the group has called last")
    assert group.made_by == f"row last_caller ({found.subs_id})"
    (line,) = [line for line in found.lines if line.name == "limits"]
    assert line.result == "then 1 more of the group, one after the other"
    assert sorted(path.name for path in here.data_dir.iterdir()) == before
