"""report: what it prints and writes, its exit status, and what it refuses."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

import pytest

from engine.domain.days import china_day, days_later
from tests.cli.commands import Run, X, rows

BLOCK = X[:11]


pytestmark = pytest.mark.usefixtures("same_day")


def today() -> str:
    return china_day(time.time())


def test_the_opening_of_a_block_is_due_until_it_was_reported(stocked: Run) -> None:
    done = stocked("report", "opening", "--day", today())
    assert (done.status, done.out.splitlines()[-1]) == (0, "total,,,,,10000,,,,")
    assert done.out.splitlines()[1].endswith(",,due")
    marked = stocked("report", "mark-reported", BLOCK)
    assert (marked.status, marked.out) == (0, f"{BLOCK}: reported on {today()}\n")
    assert stocked("report", "opening", "--day", today(), "--json").json["rows"][0][-2:] == [today(), "reported"]
    again = stocked("report", "mark-reported", BLOCK, "--day", today(), "--json").json
    assert again == {"prefix": BLOCK, "reported_day": today(), "before": today()}
    assert "number_block.change" in [row["action"] for row in stocked("audit", "list", "--json").json]


@pytest.mark.parametrize("kind", ["scenario", "operation", "numbers"])
def test_a_day_without_records_can_be_reported(stocked: Run, kind: str) -> None:
    done = stocked("report", kind, "--day", days_later(today(), -1), "--json")
    assert (done.status, done.json["ok"], done.json["total"][0]) == (0, True, "total")
    refused = stocked("report", kind, "--day", today())
    assert (refused.status, refused.out) == (1, "")
    assert refused.told == [f"veil700: until: {today()} is not over yet"]


def test_what_does_not_add_up_is_status_1(stocked: Run, file: Path) -> None:
    connection = sqlite3.connect(file.parent / "data" / "bindings.db")
    connection.execute("UPDATE number_block SET opened_day = ''")
    connection.commit()
    connection.close()
    done = stocked("report", "opening", "--day", today())
    told = f"veil700: does not add up: {BLOCK}: assigned, but the day of its opening is not known"
    assert (done.status, done.told, len(done.out.splitlines())) == (1, [told], 2)


def test_a_report_is_written_whole_or_not_at_all(stocked: Run, tmp_path: Path) -> None:
    out = tmp_path / "ledger.csv"
    period = ("--since", days_later(today(), -30), "--until", days_later(today(), 1))
    done = stocked("report", "ledger", *period, "--out", out)
    assert (done.status, done.out) == (0, f"{out}: 1 lines and their total\n")
    printed = stocked("report", "ledger", *period).out
    assert out.read_text() == printed
    assert b"\r" not in out.read_bytes()
    (tmp_path / "dir.csv").mkdir()
    refused = stocked("report", "ledger", "--day", today(), "--out", tmp_path / "dir.csv")
    assert (refused.status, refused.out, len(refused.told)) == (1, "", 1)
    assert [path.name for path in tmp_path.iterdir() if path.name.endswith(".part")] == []


@pytest.mark.parametrize(
    ("words", "status", "told"),
    [
        (("opening",), 2, "veil700: --day: name a day, or since and until"),
        (("opening", "--day", "soon"), 2, "veil700: --day: must be a day such as 2026-01-31"),
        (
            ("ledger", "--day", "2026-01-01", "--since", "2026-01-01"),
            2,
            "veil700: --day: name a day, or since and until",
        ),
        (("mark-reported", "70099999999"), 1, "veil700: prefix: there is no number block 70099999999"),
    ],
)
def test_what_makes_no_sense_is_one_line(
    stocked: Run, file: Path, words: tuple[str, ...], status: int, told: str
) -> None:
    before = rows(file.parent / "data" / "bindings.db", "SELECT * FROM number_block")
    done = stocked("report", *words)
    assert (done.status, done.out, done.told) == (status, "", [told])
    assert rows(file.parent / "data" / "bindings.db", "SELECT * FROM number_block") == before
