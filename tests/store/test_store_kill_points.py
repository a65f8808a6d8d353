"""Death between any two steps of journal and loader: what was told durable is in the tables, once."""

from __future__ import annotations

import random
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from bench.instructions import ROOT
from engine.store.crypto import open_key
from engine.store.database import BINDINGS, open_database, open_read_only
from engine.store.verify import verify
from tests.store.dies_at import CALLS, POINTS, SQL
from tests.store.writing import recover

LATEST = {"append": 150, "head of a segment": 12, "new segment": 30, "removal": 12, SQL: 900}
RECOVERING = [("removal", "before", 1), ("removal", "after", 1), (SQL, "before", 30)]
DEATHS = [
    (point, when)
    for point in POINTS
    for when in ("before", "after", "half")
    if (when != "half" or point == "append") and (when == "before" or point != SQL)
]

OF_SMALL_SEGMENTS = ("head of a segment", "new segment", "removal")  # how long they are is compiled in


def run(folder: Path, seed: int, first: int, point: str, when: str, number: int) -> tuple[set[tuple[str, str]], bool]:
    """The steps that were told to be durable, and whether the process died at its point."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.store.dies_at", folder, str(seed), str(first), point, when, str(number)],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    whole = done.stdout.split("\n")[:-1]
    return {(step, record_id) for step, record_id in (line.split() for line in whole)}, done.returncode != 0


def check_tables(folder: Path, told: set[tuple[str, str]]) -> None:
    """Every step that was told stands there, and none stands there twice."""
    report = verify(folder / "records.db")
    assert report.is_clean, report
    connection = open_read_only(folder / "records.db", None)
    recorded = [record_id for (record_id,) in connection.execute("SELECT record_id FROM cdr")]
    opened = {record_id for (record_id,) in connection.execute("SELECT record_id FROM call_open")}
    answered = {record_id for (record_id,) in connection.execute("SELECT record_id FROM call_answer")}
    check_events(connection, folder, set(recorded), opened, answered)
    connection.close()
    ended = set(recorded)
    assert len(recorded) == len(ended)
    assert not ended & opened and answered <= opened
    there: dict[str, set[Any]] = {"OPEN": ended | opened, "ANSWER": ended | answered, "CLOSE": ended}
    assert {(step, record_id) for step, record_id in told if record_id not in there[step]} == set()


def check_events(
    connection: sqlite3.Connection, folder: Path, recorded: set[str], opened: set[str], answered: set[str]
) -> None:
    """What stands there is told, once and in order; nothing else is."""
    told: dict[str, list[str]] = {}
    ends = dict(connection.execute("SELECT app_platform, last_seq FROM feed"))
    seqs: dict[str, list[int]] = {platform: [] for platform in ends}
    for platform, seq, kind, subject in connection.execute(
        "SELECT app_platform, seq, kind, subject FROM event ORDER BY app_platform, seq"
    ):
        seqs[platform].append(seq)
        told.setdefault(subject, []).append(kind)
    assert seqs == {platform: [*range(1, last + 1)] for platform, last in ends.items()}
    for record_id, kinds in told.items():
        if record_id.startswith("r"):
            answer = ["call.answer"] if "call.answer" in kinds else []
            end = ["call.end", "cdr"] if record_id in recorded else []
            assert kinds == ["call.start", *answer, *end]
            assert record_id in recorded | opened
    nobodys = {f"r{number:06d}" for number in range(2, 10 * CALLS, 3)}
    assert (recorded | opened) - nobodys == {subject for subject in told if subject.startswith("r")}
    assert answered - nobodys <= {subject for subject, kinds in told.items() if "call.answer" in kinds}
    done = connection.execute("SELECT value FROM meta WHERE name = 'outbox_done'").fetchone()
    with closing(open_database(folder / "bindings.db", BINDINGS, open_key(folder))) as bindings:
        taken = bindings.execute(
            "SELECT subject FROM outbox WHERE id <= ? AND app_platform != ''", (int(done[0]) if done else 0,)
        ).fetchall()
    assert [subject for (subject,) in taken] == sorted(subject for subject in told if subject.startswith("x"))


def check_recovery(folder: Path, told: set[tuple[str, str]], may_be_torn: bool) -> None:
    notes = recover(folder / "records.db", open_key(folder), announces=True)
    assert all(may_be_torn and "not written to their end" in note for note in notes), notes
    check_tables(folder, told)
    assert recover(folder / "records.db", open_key(folder)) == [], "once is enough"
    check_tables(folder, told)


@pytest.mark.parametrize(
    ("point", "when"),
    [pytest.param(*death, marks=[pytest.mark.pure] if death[0] in OF_SMALL_SEGMENTS else []) for death in DEATHS],
)
def test_death_at_a_point(tmp_path: Path, point: str, when: str) -> None:
    """Twice on one store, and once more while the second start recovers it."""
    chance = random.Random(f"{point} {when}")
    told: set[tuple[str, str]] = set()
    for turn in range(2):
        steps, has_died = run(tmp_path, turn, turn * CALLS, point, when, chance.randint(1, LATEST[point]))
        assert has_died
        told |= steps
        run(tmp_path, turn, -1, *chance.choice(RECOVERING))
        check_recovery(tmp_path, told, may_be_torn=when == "half")


@pytest.mark.long
@pytest.mark.parametrize("seed", range(40))
def test_deaths_at_many_points(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    told: set[tuple[str, str]] = set()
    deaths = 0
    for turn in range(8):
        point, when = chance.choice(DEATHS)
        first = chance.choice((turn * CALLS, turn * CALLS, -1))
        steps, has_died = run(tmp_path, turn, first, point, when, chance.randint(1, LATEST[point]))
        told |= steps
        deaths += has_died
        if chance.random() > 0.5:
            check_recovery(tmp_path, told, may_be_torn=True)
    check_recovery(tmp_path, told, may_be_torn=True)
    assert deaths and told
