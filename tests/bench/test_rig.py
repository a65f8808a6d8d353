"""The measuring rig: what it starts ends, what it counts is so, and a row that does not count is marked."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.live import main
from bench.rig import data as rig_data
from bench.rig import systems
from bench.rig.command import alone
from bench.rig.highest import between
from bench.rig.load import Load, place
from bench.rig.processes import cpu_s, memory_mb, module_cpu_s, private_mb, started, tree
from bench.rig.rounds import Plan, Turn
from bench.rig.systems import SIPPY_B2BUA, VEIL700, VEIL700_TWO, RigError, missing, running
from bench.rig.table import Report, as_object, faults, print_report

PARENT_OF_ONE = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import time; time.sleep(60)'])"
BUSY = "import time\nwhile time.process_time() < 0.5: pass\nprint('done', flush=True)\ntime.sleep(60)"

GOOD = Load(100, 100, 0, 1.0, 50.0, {"engine.main": 45.0}, 0.3, 1.5, 10.0, {"engine.main": 7.0}, "")
PLAN = Plan("call", 100, 100, 2)


def turn(cpu_us: float, *, failed: int = 0, records: int | None = 200) -> Turn:
    load = replace(GOOD, cpu_us=cpu_us, succeeded=100 - failed, error="timed out" if failed else "")
    return Turn(load, GOOD, records)


def report(turns: dict[str, list[Turn]], **more: Any) -> Report:
    return Report(1000, [PLAN], {"call": turns}, **more)


def is_alive(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def wait_for(log: Path, text: str) -> None:
    deadline = time.monotonic() + 60
    while text not in log.read_text():
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.02)


# -- processes ---------------------------------------------------------------------------------------------------------


def test_whatever_was_started_is_ended(tmp_path: Path) -> None:
    processes: list[int] = []

    def interrupted() -> None:
        with started([sys.executable, "-c", PARENT_OF_ONE], tmp_path, tmp_path / "log", stop_s=0.0) as process:
            while len(tree(process.pid)) < 2:
                time.sleep(0.02)
            processes.extend(tree(process.pid))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    deadline = time.monotonic() + 60
    while any(is_alive(process) for process in processes):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_the_program_ends_with_a_rig_that_is_killed(tmp_path: Path) -> None:
    program = (
        "import sys, time\nfrom pathlib import Path\nfrom bench.rig.processes import started\n"
        "with started(['sleep', '60'], Path.cwd(), Path(sys.argv[1])) as process:\n"
        "    print(process.pid, flush=True)\n    time.sleep(60)\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "log")]
    with subprocess.Popen(command, cwd=rig_data.RIG.parents[1], stdout=subprocess.PIPE, text=True) as rig:
        assert rig.stdout is not None
        sleeper = int(rig.stdout.readline())
        while Path(f"/proc/{sleeper}/comm").read_text().strip() != "sleep":
            time.sleep(0.02)
        rig.kill()
    deadline = time.monotonic() + 60
    while is_alive(sleeper):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_cpu_time_and_memory_of_a_tree(tmp_path: Path) -> None:
    log = tmp_path / "log"
    outer = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {BUSY!r}])"
    with started([sys.executable, "-c", outer], tmp_path, log) as process:
        wait_for(log, "done")
        assert 0.5 <= cpu_s(process.pid) < 5.0  # two interpreters start, too, on caches that others use
        assert 2.0 < memory_mb(process.pid) < 200.0


def test_private_memory_is_told_by_module(tmp_path: Path) -> None:
    log = tmp_path / "log"
    (tmp_path / "inner.py").write_text(
        "kept = bytearray(32 << 20)\nprint('kept', flush=True)\nimport time\ntime.sleep(60)\n"
    )
    outer = "import subprocess, sys\nsubprocess.run([sys.executable, '-m', 'inner'])\n"
    (tmp_path / "outer.py").write_text(outer)
    with started([sys.executable, "-m", "outer"], tmp_path, log) as process:
        wait_for(log, "kept")
        found = private_mb(process.pid)
    assert found.keys() == {"outer", "inner"}
    assert 32 < found["inner"] < 64 and 1 < found["outer"] < 32


def test_cpu_time_is_told_by_module(tmp_path: Path) -> None:
    log = tmp_path / "log"
    (tmp_path / "busy.py").write_text(BUSY)
    outer = "import subprocess, sys\nfor _ in range(2):\n    subprocess.Popen([sys.executable, '-m', 'busy'])\n"
    (tmp_path / "outer.py").write_text(f"{outer}import time\ntime.sleep(60)\n")
    with started([sys.executable, "-m", "outer"], tmp_path, log) as process:
        wait_for(log, "done\ndone")
        found = module_cpu_s(process.pid)
    assert found.keys() == {"outer", "busy"}
    assert 1.0 <= found["busy"] < 4.0 and found["outer"] < 0.5


def test_cpu_time_of_children_that_have_ended(tmp_path: Path) -> None:
    log = tmp_path / "log"
    busy = BUSY.rpartition("\n")[0]
    outer = f"import subprocess, sys, time; subprocess.run([sys.executable, '-c', {busy!r}]); print('over', flush=True)"
    with started([sys.executable, "-c", f"{outer}; time.sleep(60)"], tmp_path, log) as process:
        wait_for(log, "over")
        assert tree(process.pid) == [process.pid]
        assert cpu_s(process.pid) >= 0.5


# -- the table ---------------------------------------------------------------------------------------------------------


def test_ratios_are_taken_round_by_round() -> None:
    turns = {
        "floor": [turn(50, records=None), turn(100, records=None)],
        "kamailio": [turn(200), turn(400)],
        "veil700": [turn(300), turn(400)],
    }
    shown = json.loads(json.dumps(as_object(report(turns))))
    assert shown["faults"] == []
    measured = shown["jobs"]["call"]["systems"]
    assert measured["veil700"]["cpu_us"] == {"median": 350, "smallest": 300, "largest": 400}
    assert measured["veil700"]["to_floor"] == {"median": 5, "smallest": 4, "largest": 6}
    assert measured["veil700"]["to_kamailio"] == {"median": 1.25, "smallest": 1.0, "largest": 1.5}
    assert measured["kamailio"]["to_kamailio"] == {"median": 1, "smallest": 1, "largest": 1}
    assert "to_kamailio_lean" not in measured["veil700"]  # it was not measured


def test_one_table_for_calls_and_messages(capsys: pytest.CaptureFixture[str]) -> None:
    calls = {"floor": [turn(50, records=None)] * 2, "sippy": [turn(4000)] * 2, "veil700": [turn(300)] * 2}
    messages = {"floor": [turn(25, records=None)] * 2, "veil700": [turn(100)] * 2}
    plans = [Plan(job, 1000, 3000, 2) for job in ("call", "message")]
    print_report(Report(1000, plans, {"call": calls, "message": messages}, {"veil700": 710}, {"compiled": "not built"}))
    lines = capsys.readouterr().out.splitlines()
    cells = [[cell.strip() for cell in re.split(r"  +", line)] for line in lines[3:9]]
    assert [row[:3] for row in cells[1:]] == [
        ["call", "floor", "50 (50..50)"], ["call", "sippy", "4000 (4000..4000)"], ["call", "veil700", "300 (300..300)"],
        ["message", "floor", "25 (25..25)"], ["message", "veil700", "100 (100..100)"],
    ]  # fmt: skip
    by_column = [dict(zip(cells[0], row, strict=True)) for row in cells[1:]]
    assert [row["to floor"] for row in by_column] == [
        "1", "80.00 (80.00..80.00)", "6.00 (6.00..6.00)", "1", "4.00 (4.00..4.00)",
    ]  # fmt: skip
    assert [row["most/s"] for row in by_column] == ["-", "-", "710", "-", "-"]
    assert [row["to kamailio"] for row in by_column] == ["-"] * 5
    assert f"sippy: {SIPPY_B2BUA.title}; at 100/s, which it carries" in lines
    assert "veil700: CPU µs a call, by process: engine.main 45 (45..45)" in lines
    assert "veil700: CPU µs a message, by process: engine.main 45 (45..45)" in lines
    assert "veil700: private memory, MiB a process: engine.main 7.0" in lines
    assert lines[-1] == "compiled is left out: not built"


def test_a_system_that_carries_less_is_given_less() -> None:
    plan = Plan("call", 1000, 3000, 5)
    assert plan.on(VEIL700) == plan
    assert plan.on(SIPPY_B2BUA) == Plan("call", 100, 300, 5)
    assert Plan("call", 50, 150, 5).on(SIPPY_B2BUA) == Plan("call", 50, 150, 5)


@pytest.mark.parametrize(
    ("cpu_us", "is_carried", "found"),
    [(250.0, True, (1000, 6000)), (50.0, True, (1000, 6000)), (1400.0, True, (1000, 1500)),
     (1400.0, False, (125, 1143)), (20000.0, False, (125, 187))],
)  # fmt: skip
def test_where_the_highest_rate_is_looked_for(cpu_us: float, is_carried: bool, found: tuple[int, int]) -> None:
    assert between(1000, cpu_us, is_carried) == found


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (turn(300, failed=2), "2 of 200 calls failed (timed out)"),
        (turn(300, records=199), "199 records of 200 calls"),
        (turn(300, records=201), "201 records of 200 calls"),
    ],
)
def test_a_row_that_does_not_count_is_marked(bad: Turn, says: str, capsys: pytest.CaptureFixture[str]) -> None:
    turns = {"floor": [turn(50, records=None)], "kamailio": [turn(200)], "veil700": [bad]}
    assert faults(turns) == [f"veil700, round 1: {says}"]
    print_report(report(turns))
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[1] for line in lines if line.split()[2] == "!"] == ["veil700"]
    assert lines[-1] == f"! call: veil700, round 1: {says}"


# -- what it runs on ---------------------------------------------------------------------------------------------------


def test_veil700_carries_the_load_of_the_rig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of it but what needs a compiler: the clock that is preloaded into SIPp only makes it finer."""
    monkeypatch.setattr(rig_data, "_compile", lambda _folder: None)
    told: list[str] = []
    with alone():
        data = rig_data.ready_data(200, told.append, tmp_path)
        assert told
        with running(VEIL700, data, "call") as process:
            call = place(process, data, "call", 20, 20)
            message = place(process, data, "message", 20, 20)
            assert (call.failed, message.failed, call.error + message.error) == (0, 0, "")
            assert VEIL700.count_records(data, "call", 40) == 40
            assert call.cpu_us > 0 and call.p50_ms is not None and message.p99_ms is not None
            with pytest.raises(RigError, match="is taken"), running(VEIL700, data, "call"):
                pass
            assert call.module_cpu_us.keys() == call.private_mb.keys()
            assert 0.5 * call.cpu_us < sum(call.module_cpu_us.values()) < 1.5 * call.cpu_us
            assert call.private_mb.keys() >= {"engine.main"} and 10 < call.private_mb["engine.main"] < call.memory_mb
        with running(VEIL700, data, "call"):
            assert VEIL700.count_records(data, "call", 0) == 0  # each turn begins with none
    told.clear()
    assert rig_data.ready_data(200, told.append, tmp_path) == data
    assert told == []  # it is there
    more = rig_data.ready_data(300, told.append, tmp_path)
    assert told and len((more / "rows.csv").read_text().splitlines()) == 301
    told.clear()
    assert rig_data.ready_data(200, told.append, tmp_path) == data
    assert told == []  # both are


def test_what_cannot_be_measured_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(systems, "SIPPY", tmp_path / "none")
    assert missing(SIPPY_B2BUA, tmp_path) == "it is not installed in build/sippy"
    assert missing(VEIL700, tmp_path) == ""
    (tmp_path / systems.TWO_WORKERS).write_text("[node]\nworkers = many\n")
    assert f"{systems.TWO_WORKERS}:2" in missing(VEIL700_TWO, tmp_path)
    (tmp_path / systems.TWO_WORKERS).write_text('[node]\nname = "n"\ndata_dir = "var"\n')
    assert missing(VEIL700_TWO, tmp_path) == ""


@pytest.mark.parametrize("bindings", [1, 20_000_000])
def test_numbers_of_bindings_that_do_not_fit(bindings: int, tmp_path: Path) -> None:
    with pytest.raises(RigError, match=f"--bindings {bindings}: from 100 to 10000000"):
        rig_data.ready_data(bindings, print, tmp_path)


def test_missing_programs_are_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["compare"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("bench: not installed: apt-get install -y sip-tester kamailio gcc util-linux")
    assert said.count("\n") == 1


def test_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["compare", "--rate", "0"])
    assert ended.value.code == 2
    assert "--rate" in capsys.readouterr().err


def test_nothing_of_an_earlier_run_is_taken_over(tmp_path: Path) -> None:
    """A call of that one would be a record that nobody has placed."""
    (tmp_path / "var" / "journal").mkdir(parents=True)
    for name in ("bindings.db", "records.db", "records.db-wal", "journal/000000000001.segment"):
        (tmp_path / "var" / name).touch()
    VEIL700.prepare(tmp_path)
    assert [path.name for path in (tmp_path / "var").iterdir()] == ["bindings.db"]
