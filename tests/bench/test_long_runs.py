"""What looks at a node for longer: memory with calls that last, what grows over time, cost by size."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from bench import growth, memory, soak
from bench.growth import Step, rows, with_bindings, with_calls
from bench.memory import Memory
from bench.rig import data as rig_data
from bench.rig.command import alone
from bench.rig.load import HOLDING_PORT, Load, answering, holding
from bench.rig.rounds import Plan
from bench.rig.systems import KAMAILIO, VEIL700, RigError, running, with_api
from bench.soak import Soak, judged, look
from engine.control.client import ask

LOAD = Load(100, 100, 0, 1.0, 500.0, {}, 0.3, 1.5, 10.0, {"engine.main": 7.0}, "")


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Of few bindings, without what needs a compiler."""
    monkeypatch.setattr(rig_data, "_compile", lambda _folder: None)
    monkeypatch.setattr(rig_data, "DATA", tmp_path)
    return rig_data.ready_data(200, lambda _line: None, tmp_path)


# -- what grows --------------------------------------------------------------------------------------------------------


def samples(**values: list[float]) -> list[tuple[float, dict[str, float]]]:
    """Looks a minute apart."""
    count = max(map(len, values.values()))
    return [(float(at), {name.replace("_", " "): values[name][at] for name in values}) for at in range(count)]


@pytest.mark.parametrize(
    ("name", "values", "is_growing"),
    [
        ("main_MiB", [50.0] * 30, False),
        ("main_MiB", [50.0, 50.9] * 15, False),  # it goes up and down
        ("main_MiB", [50 + 0.05 * minute for minute in range(30)], True),
        ("main_MiB", [500 + 0.05 * minute for minute in range(30)], False),  # a part of a large one
        ("main_MiB", [100 - minute for minute in range(30)], False),
        ("main_MiB", [20.0, 40.0, 45.0, 49.0, 50.0, *[50.0] * 25], False),  # it fills in the first minutes
        ("main_descriptors", [20.0 + minute // 4 for minute in range(30)], True),
        ("main_descriptors", [20.0 + minute % 4 for minute in range(30)], False),
        ("tasks_kept", [8.0] * 30, False),
        ("timers_kept", [9_000.0 + 40 * minute for minute in range(30)], True),
        ("timers_kept", [9_000.0 + 300 * (minute % 2) for minute in range(30)], False),
    ],
)
def test_what_grows_is_told_from_what_goes_up_and_down(name: str, values: list[float], is_growing: bool) -> None:
    (found,) = judged(samples(**{name: values}), 5.0)
    assert found.is_growing is is_growing
    done = Soak(1000, 0, [found], [])
    assert bool(done.faults) is is_growing
    assert not is_growing or done.faults[0].startswith(f"{found.name} has grown by ")


def test_too_few_looks_make_no_verdict() -> None:
    with pytest.raises(RigError, match=re.escape("4 looks after the first 5.0 minutes")):
        judged(samples(main_MiB=[1.0] * 9), 5.0)


@pytest.mark.parametrize(("failed", "faults"), [(0, []), (1, []), (2, ["2 of 1000 calls failed"])])
def test_calls_that_fail_are_a_fault_of_a_soak(failed: int, faults: list[str]) -> None:
    assert Soak(1000, failed, [], []).faults == faults


# -- memory ------------------------------------------------------------------------------------------------------------


def test_bars_of_memory() -> None:
    good = Memory(1_000_000, 10_000, {"engine.main": 80.0, "engine.api": 200.0}, {"engine.main": 230.0})
    assert good.faults == []
    assert replace(good, at_rest={"engine.main": 81.0}).faults == ["81.0 MiB at rest, at most 80"]
    more = replace(good, with_calls={"engine.main": 231.0})
    assert more.faults == ["151.0 MiB more with 10000 calls, at most 150"]
    assert replace(good, calls=1000, with_calls={"engine.main": 96.0}).faults != []
    workers = Memory(
        1_000_000, 10_000, {"engine.main": 90.0, "engine.workers.child": 50.0}, {"engine.workers.child": 60}
    )
    assert workers.faults == []  # the supervisor is no SIP process


# -- on a node ---------------------------------------------------------------------------------------------------------


def test_calls_that_last_are_in_progress_and_in_memory(data: Path) -> None:
    with alone(), running(with_api(VEIL700), data, "call") as process, answering(data, "call"):
        before = look(process, data)
        with holding(data, 40, 30, HOLDING_PORT) as holder:
            holder.await_all(60)
            during = look(process, data)
            assert ask(data / "var", "status")["calls"] == 30
        assert (before["attempts kept"], during["attempts kept"], during["dialogs kept"]) == (0, 30, 60)
        assert {"engine.main MiB", "engine.api MiB", "engine.main descriptors", "engine.api threads"} <= during.keys()
        assert 8 < during["engine.main descriptors"] < 100
        assert 10 < during["engine.main MiB"] < 200


def test_calls_that_do_not_come_about_are_told(data: Path) -> None:
    with (
        alone(),
        running(VEIL700, data, "call"),
        holding(data, 100, 5, HOLDING_PORT) as holder,  # nobody answers, but they are in progress
        pytest.raises(RigError, match=re.escape("0 of 5 calls are in progress after 0 s")),
    ):
        holder.await_all(0)


@pytest.mark.long
@pytest.mark.timeout(600)
def test_a_short_soak(data: Path) -> None:
    with alone():
        found = soak.soaked(VEIL700, data, 20, 0.5, 0.3, 1.0)
    assert found.placed > 100
    assert {"attempts kept", "engine.main MiB"} <= {one.name for one in found.growths}


@pytest.mark.long
@pytest.mark.timeout(600)
def test_both_figures_of_memory(data: Path) -> None:
    with alone():
        found = memory.measured(VEIL700, data, 200, 20, 20, rest_s=0.1)
    assert found.at_rest.keys() == found.with_calls.keys() >= {"engine.main", "engine.api"}
    assert found.faults == [] or found.faults[0].endswith("at most 0")


# -- cost by size ------------------------------------------------------------------------------------------------------


def test_the_table_has_the_ratio_of_each_round() -> None:
    ours, theirs = replace(LOAD, cpu_us=600.0), replace(LOAD, cpu_us=300.0)
    slow = replace(LOAD, cpu_us=800.0, succeeded=99, error="timed out")
    step = Step(10_000, {KAMAILIO.name: [theirs, theirs], VEIL700.name: [ours, slow]})
    head, row = rows([step], "bindings", VEIL700)
    assert head[:4] == ["bindings", "kamailio µs", "veil700 µs", "ratio"]
    assert row == [
        "10,000", "300 (300..300)", "700 (600..800)", "2.33 (2.00..2.67)", "0.30", "1.50", "1", "engine.main 7.0",
    ]  # fmt: skip
    assert step.faults == ["10,000, veil700, round 2: 1 of 100 calls failed (timed out)"]


@pytest.mark.long
@pytest.mark.timeout(600)
def test_sizes_are_tried_in_turn(data: Path) -> None:
    plan = Plan("call", 20, 10, 2)
    with alone():
        by_bindings = with_bindings([VEIL700], [200, 300], plan)
        by_calls = with_calls([VEIL700], [10, 5], data, plan, 40, 0.1)
    assert [(step.size, [load.failed for load in step.loads["veil700"]]) for step in by_bindings] == [
        (200, [0, 0]), (300, [0, 0]),
    ]  # fmt: skip
    assert [(step.size, [load.failed for load in step.loads["veil700"]]) for step in by_calls] == [
        (5, [0, 0]), (10, [0, 0]),
    ]  # fmt: skip


def test_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    for main, words in ((growth.main, ["calls", "--sizes", "10,x"]), (soak.main, ["--rate", "0"]),
                        (memory.main, ["--system", "kamailio"])):  # fmt: skip
        with pytest.raises(SystemExit) as ended:
            main(words)
        assert ended.value.code == 2
    assert "--sizes" in capsys.readouterr().err
