"""What the durable steps cost: the writer that is left out, what is counted, and the figures beside their bars."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Callable, Sequence
from contextlib import closing, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench import durable_counted
from bench.durable import COUNTED_CALLS, Figure, as_object, figures, main, print_table
from bench.durable_counted import append, appended, interleaved, load, played
from bench.instructions import CountError
from bench.rig import data as rig_data
from bench.rig.command import alone
from bench.rig.load import Load
from bench.rig.null_writer import NullWriter
from bench.rig.rounds import Plan, Spread, Turn, measure
from bench.rig.systems import FLOOR, NULL_WRITER, VEIL700, RigError
from engine.core.records import ANSWER, CLOSE, OPEN
from engine.recording.client import RecordWriter
from engine.store.journal import FOLDER, waiting_bytes
from engine.store.segment import START

LOAD = Load(100, 100, 0, 1.0, 50.0, {}, 0.5, 1.0, 10.0, {}, "")


def turn(cpu_us: float, p50_ms: float | None = 0.5, p99_ms: float | None = 1.0, records: int | None = None) -> Turn:
    return Turn(replace(LOAD, cpu_us=cpu_us, p50_ms=p50_ms, p99_ms=p99_ms), LOAD, records)


def test_the_null_writer_is_to_the_node_what_the_writer_is() -> None:
    public = {name for name in vars(RecordWriter) if not name.startswith("_") and name != "run"}
    assert public
    assert [name for name in public if name not in {*vars(NullWriter), "written"}] == []


# -- figures -----------------------------------------------------------------------------------------------------------


def test_differences_are_taken_round_by_round() -> None:
    turns = {
        FLOOR.name: [turn(40), turn(50)],
        VEIL700.name: [turn(400, 2.5, 14.0, 200), turn(300, 5.5, 15.0, 200)],
        NULL_WRITER.name: [turn(350), turn(220)],
    }
    steps, p50, p99 = found = figures(turns)
    assert (steps.spread, steps.is_missed) == (Spread(65, 50, 80), True)
    assert (p50.spread, p50.is_missed) == (Spread(3.5, 2.0, 5.0), False)
    assert (p99.spread, p99.is_missed) == (Spread(13.5, 13.0, 14.0), True)
    shown = json.loads(json.dumps(as_object(turns, found, Plan("call", 100, 100, 2))))
    assert [figure["is_missed"] for figure in shown["figures"]] == [True, False, True]
    assert shown["faults"] == [] and len(shown["turns"][NULL_WRITER.name]) == 2


def test_what_is_above_its_bar_and_what_does_not_count_is_marked(capsys: pytest.CaptureFixture[str]) -> None:
    found = [Figure("a", Spread(5, 4, 6), 4), Figure("b", Spread(4, 3, 5), 4)]
    print_table({VEIL700.name: [turn(400, records=199)]}, found, Plan("call", 100, 100, 1))
    *_, first, second, fault = capsys.readouterr().out.splitlines()
    assert first.startswith("a ") and first.endswith("at most 4 !")
    assert second.startswith("b ") and second.endswith("at most 4")
    assert fault == "! veil700, round 1: 199 records of 200 calls"


def test_without_an_answer_there_is_no_figure() -> None:
    turns = {name: [turn(1, None)] for name in (FLOOR.name, VEIL700.name, NULL_WRITER.name)}
    with pytest.raises(RigError, match="no call was answered"):
        figures(turns)


@pytest.mark.pure
def test_the_node_with_and_without_its_writer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of it but what needs a compiler; the null writer's node serves every call and keeps none."""
    monkeypatch.setattr(rig_data, "_compile", lambda _folder: None)
    told: list[str] = []
    with alone():
        data = rig_data.ready_data(200, told.append, tmp_path)
        turns = measure([VEIL700, NULL_WRITER], data, Plan("call", 20, 20, 1), told.append)
        assert NULL_WRITER.count_records(data, "call", 0) is None
        assert VEIL700.count_records(data, "call", 0) == 0
    written, unwritten = turns[VEIL700.name][0], turns[NULL_WRITER.name][0]
    assert (written.faults, unwritten.faults) == ([], [])
    assert (written.records, unwritten.records) == (70, None)
    assert unwritten.load.succeeded == 20 and unwritten.load.cpu_us > 0


# -- counted -----------------------------------------------------------------------------------------------------------


def test_what_is_counted_is_what_the_core_asks_for(tmp_path: Path) -> None:
    calls = played(30)
    assert [[step.step for step in call] for call in calls] == [[OPEN, ANSWER, CLOSE]] * 30
    assert [[step.step for step in message] for message in played(30, "message")] == [[OPEN, CLOSE]] * 30
    assert [call[1].extra is not None for call in calls] == [True] * 30
    steps = interleaved(calls)
    place = {id(step): at for at, step in enumerate(steps)}
    assert len(place) == 90
    assert all(place[id(opened)] < place[id(answer)] < place[id(end)] for opened, answer, end in calls)
    assert place[id(calls[0][2])] > place[id(calls[20][0])], "calls overlap"
    append(tmp_path / "appended", steps)
    assert waiting_bytes(tmp_path / "appended" / FOLDER, START) > 0, "nothing of it is loaded"


def test_what_is_loaded_is_what_was_appended_and_as_much_at_once_as_in_life(tmp_path: Path) -> None:
    calls = durable_counted.GROUPS_A_LOAD * 2 + 10
    loads = appended(tmp_path, interleaved(played(calls)))
    assert len(loads) == 2 and loads[0][-1].position == loads[1][0].after
    load(tmp_path, loads[:1])
    with closing(sqlite3.connect(tmp_path / "records.db")) as connection:
        first = connection.execute("SELECT count(*) FROM cdr").fetchone()[0]
        load(tmp_path, loads)
        assert durable_counted.GROUPS_A_LOAD < first < calls
        assert connection.execute("SELECT count(*) FROM cdr").fetchone()[0] == calls
        assert connection.execute("SELECT count(*) FROM call_open").fetchone()[0] == 0


def test_a_step_that_is_not_durable_is_not_counted(tmp_path: Path) -> None:
    (steps,) = played(1)
    steps[0].values = (object(), *steps[0].values[1:])  # nothing can store that
    before = set(threading.enumerate())
    with pytest.raises(RuntimeError, match="not become durable"):
        append(tmp_path, steps[:1])
    assert set(threading.enumerate()) <= before


def test_the_count_is_printed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    found = {"append": 23_000, "load": 100_456, "append-message": 12_000, "load-message": 45_000}

    def per_call(program: str, calls: int, works: Sequence[str]) -> dict[str, int]:
        assert (program, calls, tuple(works)) == ("bench.durable_counted", COUNTED_CALLS, durable_counted.WORKS)
        return found

    monkeypatch.setattr("bench.durable.per_call", per_call)
    assert main(["count"]) == 0
    shown = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [(words[0], words[1], words[-1]) for words in shown] == [
        ("append", "23,000", "call"),
        ("load", "100,456", "call"),
        ("append-message", "12,000", "message"),
        ("load-message", "45,000", "message"),
    ]
    assert main(["count", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["instructions"] == found


def raising(error: Exception) -> Callable[..., Any]:
    def raise_it(*_: object) -> None:
        raise error

    return raise_it


def test_what_cannot_be_measured_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("bench.durable.per_call", raising(CountError("valgrind is missing")))
    assert (main(["count"]), capsys.readouterr().err) == (2, "bench: valgrind is missing\n")
    monkeypatch.setattr("bench.rig.measuring.missing_packages", lambda: [])
    monkeypatch.setattr("bench.rig.measuring.end_cleanly", lambda: None)
    monkeypatch.setattr("bench.rig.measuring.alone", nullcontext)
    monkeypatch.setattr("bench.durable.ready_data", raising(RigError("no data")))
    assert (main(["compare"]), capsys.readouterr().err) == (1, "bench: no data\n")
