"""The measuring rig: what it starts ends, what it counts is so, and a row that does not count is marked."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from bench.live import main
from bench.rig import data as rig_data
from bench.rig.command import alone
from bench.rig.load import Load, place
from bench.rig.processes import cpu_s, memory_mb, started, tree
from bench.rig.rounds import Plan, Turn
from bench.rig.systems import VEIL700, RigError, running
from bench.rig.table import as_object, faults, print_table

PARENT_OF_ONE = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import time; time.sleep(60)'])"
BUSY = "import time\nwhile time.process_time() < 0.5: pass\nprint('done', flush=True)\ntime.sleep(60)"

GOOD = Load(100, 100, 0, 1.0, 50.0, 0.3, 1.5, 10.0, "")
PLAN = Plan("call", 100, 100, 2)


def turn(cpu_us: float, *, failed: int = 0, records: int | None = 200) -> Turn:
    load = replace(GOOD, cpu_us=cpu_us, succeeded=100 - failed, error="timed out" if failed else "")
    return Turn(load, GOOD, records)


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
    deadline = time.monotonic() + 10
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
    deadline = time.monotonic() + 10
    while is_alive(sleeper):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_cpu_time_and_memory_of_a_tree(tmp_path: Path) -> None:
    log = tmp_path / "log"
    outer = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {BUSY!r}])"
    with started([sys.executable, "-c", outer], tmp_path, log) as process:
        wait_for(log, "done")
        assert 0.5 <= cpu_s(process.pid) < 2.0
        assert 2.0 < memory_mb(process.pid) < 200.0


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
    shown = as_object(turns, PLAN)
    assert shown["faults"] == []
    systems = json.loads(json.dumps(shown["systems"]))
    assert systems["veil700"]["cpu_us"] == {"median": 350, "smallest": 300, "largest": 400}
    assert systems["veil700"]["to_floor"] == {"median": 5, "smallest": 4, "largest": 6}
    assert systems["veil700"]["to_kamailio"] == {"median": 1.25, "smallest": 1.0, "largest": 1.5}
    assert systems["kamailio"]["to_kamailio"] == {"median": 1, "smallest": 1, "largest": 1}


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
    print_table(turns, PLAN)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines if line.split()[1] == "!"] == ["veil700"]
    assert lines[-1] == f"! veil700, round 1: {says}"


# -- what it runs on ---------------------------------------------------------------------------------------------------


def test_veil700_carries_the_load_of_the_rig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of it but what needs a compiler: the clock that is preloaded into SIPp only makes it finer."""
    monkeypatch.setattr(rig_data, "_compile", lambda _folder: None)
    told: list[str] = []
    with alone():
        data = rig_data.ready_data(200, told.append, tmp_path / "data")
        assert told
        with running(VEIL700, data, "call") as process:
            call = place(process, data, "call", 20, 20)
            message = place(process, data, "message", 20, 20)
            assert (call.failed, message.failed, call.error + message.error) == (0, 0, "")
            assert VEIL700.count_records(data, "call", 40) == 40
            assert call.cpu_us > 0 and call.p50_ms is not None and message.p99_ms is not None
            with pytest.raises(RigError, match="is taken"), running(VEIL700, data, "call"):
                pass
        with running(VEIL700, data, "call"):
            assert VEIL700.count_records(data, "call", 0) == 0  # each turn begins with none
    told.clear()
    assert rig_data.ready_data(200, told.append, data) == data
    assert told == []  # it is there
    rig_data.ready_data(300, told.append, data)
    assert told and len((data / "rows.csv").read_text().splitlines()) == 301


@pytest.mark.parametrize("bindings", [1, 2_000_000])
def test_numbers_of_bindings_that_do_not_fit(bindings: int, tmp_path: Path) -> None:
    with pytest.raises(RigError, match=f"--bindings {bindings}: from 100 to 1000000"):
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
