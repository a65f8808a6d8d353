"""The credit file: scores, what is shared, and that the same offence counts once."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.domain.credit import WEIGHTS, score
from engine.domain.problems import Problem
from engine.store.audit import Asker
from engine.store.credit import Imported, add_event, export_events, import_events, list_events, score_of
from engine.store.crypto import NumberCipher, open_key
from engine.store.database import BINDINGS, open_database
from engine.store.entities import read
from engine.store.inventory import apply_inventory, read_inventory

SAMPLE = Path(__file__).parents[2] / "configs" / "inventory.toml"
USCC = "91110000000000000X"
NOW_S = 1_795_492_800.0
WHO = Asker("test")


def stocked(path: Path, cipher: NumberCipher) -> sqlite3.Connection:
    apply_inventory(path, cipher, read_inventory(SAMPLE))
    return open_database(path, BINDINGS, cipher)


@pytest.fixture
def connection(bindings_db: Path, cipher: NumberCipher) -> Iterator[sqlite3.Connection]:
    with closing(stocked(bindings_db, cipher)) as found:
        yield found


@pytest.fixture
def other(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """The store of another platform."""
    with closing(stocked(tmp_path / "other" / "bindings.db", open_key(tmp_path / "other"))) as found:
        yield found


def add(connection: sqlite3.Connection, offence: str = "marketing", at_s: float = NOW_S, detail: str = "d") -> int:
    return add_event(connection, "bu-express", offence, at_s, "veil.example", detail, WHO, NOW_S)


def credit(connection: sqlite3.Connection) -> object:
    return read(connection, "business_user", "bu-express")["credit_score"]


def test_offences_take_away_what_the_table_says(connection: sqlite3.Connection) -> None:
    assert add(connection, "marketing") == 80
    assert add(connection, "resale") == 40
    assert add(connection, "forged_orders") == 0
    assert add(connection, "fraud") == 0
    assert credit(connection) == 0
    changes = connection.execute("SELECT detail FROM audit WHERE action = 'business_user.change'").fetchall()
    assert [detail for (detail,) in changes] == [
        "bu-express: credit_score 100 -> 80", "bu-express: credit_score 80 -> 40", "bu-express: credit_score 40 -> 0",
    ]  # fmt: skip


@given(st.lists(st.sampled_from(sorted(WEIGHTS)), max_size=8))
def test_a_score_lies_between_0_and_100_and_only_falls(offences: list[str]) -> None:
    scores = [score(offences[:count]) for count in range(len(offences) + 1)]
    assert scores[0] == 100
    assert scores == sorted(scores, reverse=True)
    assert scores[-1] >= 0


def test_an_offence_counts_once(connection: sqlite3.Connection) -> None:
    add(connection)
    with pytest.raises(Problem, match="stands there already"):
        add(connection)
    assert credit(connection) == 80
    with pytest.raises(Problem, match="has not come yet"):
        add(connection, at_s=NOW_S + 1)
    with pytest.raises(Problem, match="offence: must be one of resale, forged_orders, fraud, marketing"):
        add(connection, "rudeness")


def test_no_real_number_stands_in_an_offence(connection: sqlite3.Connection) -> None:
    add(connection, detail="called 13800138000 twice\nand more")
    (event,) = list_events(connection, USCC)
    assert event.detail == "called 138****8000 twice and more"


def test_what_is_shared_counts_with_others_once(connection: sqlite3.Connection, other: sqlite3.Connection) -> None:
    add(connection)
    add(connection, "resale")
    lines = list(export_events(connection))
    assert import_events(other, lines, WHO, NOW_S) == Imported(2, 0)
    assert import_events(other, lines, WHO, NOW_S) == Imported(0, 2)
    assert credit(other) == 40
    assert list(export_events(other)) == lines
    assert import_events(connection, export_events(other), WHO, NOW_S) == Imported(0, 2)


def test_a_company_that_is_not_known_yet_is_kept(connection: sqlite3.Connection) -> None:
    line = json.dumps(
        {"uscc": "U2", "offence": "fraud", "at": "2026-11-24T08:00:00+08:00", "source": "s", "detail": ""}
    )
    assert import_events(connection, [line, ""], WHO, NOW_S) == Imported(1, 0)
    assert (score_of(connection, "U2"), credit(connection)) == (40, 100)
    assert list_events(connection, "U2")[0].at == "2026-11-24T00:00:00.000Z"


GOOD = {"uscc": "U", "offence": "fraud", "at": "2026-11-24T00:00:00Z", "source": "s", "detail": ""}


@pytest.mark.parametrize(
    "line",
    ["{", "[]", "1", json.dumps(GOOD | {"more": ""}), json.dumps(GOOD | {"at": "2026-11-24"}),
     json.dumps(GOOD | {"offence": "x"}), json.dumps(GOOD | {"uscc": ""}), json.dumps(GOOD | {"source": 1}),
     json.dumps(GOOD | {"detail": "x" * 501}), "[" * 100_000],
)  # fmt: skip
def test_a_wrong_line_is_named(connection: sqlite3.Connection, line: str) -> None:
    with pytest.raises(Problem, match=r"\Aline 2: "):
        import_events(connection, [json.dumps(GOOD), line], WHO, NOW_S)
