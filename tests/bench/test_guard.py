"""What a call executes in the core: against the committed baseline, and whether the guard would see a dearer one.

On an interpreter that has no baseline nothing can be compared: these tests are skipped then, which the summary shows
with the command that makes one. `make test` takes Debian's python3 where it is there, and that one has a baseline.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from bench.conversations import CONVERSATIONS, record
from bench.guard import TOLERANCE, Finding, compare, main, read_baselines, write_baseline
from bench.instructions import ROOT, CountError, count, interpreter

DEBIAN_12 = "CPython 3.11.2 GCC 12.2.0 x86_64 "

# Valgrind is some thirty times slower than the machine, which a busy one doubles.
counted = pytest.mark.timeout(600)
compared = pytest.mark.skipif(
    interpreter() not in read_baselines(),
    reason=f"not guarded: no baseline for {interpreter()}; `make baseline` makes one",
)


@counted
@compared
def test_no_conversation_executes_more_than_its_baseline() -> None:
    findings = compare(count(list(CONVERSATIONS)), read_baselines()[interpreter()])
    faults = [finding.fault for finding in findings if finding.fault]
    assert not faults, "\n".join(faults)


@pytest.mark.pure
@counted
@compared
def test_a_dearer_call_is_found(tmp_path: Path) -> None:
    for part in ("bench", "engine", "sipstack"):
        shutil.copytree(ROOT / part, tmp_path / part, ignore=shutil.ignore_patterns("data"))
    service = tmp_path / "engine" / "core" / "service.py"
    cheap = '        """Bytes of one message."""\n'
    text = service.read_text()
    assert cheap in text
    service.write_text(text.replace(cheap, f"{cheap}        sum(range(2000))\n"))
    done = subprocess.run(
        [sys.executable, "-m", "bench.guard", "--only", "message"],
        cwd=tmp_path, capture_output=True, text=True, timeout=500, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr[:24]) == (1, "guard: message executes ")
    assert "more than its baseline" in done.stderr and "`make baseline`" in done.stderr


@pytest.mark.parametrize(
    ("instructions", "says"),
    [(1049, ""), (1051, "5.1% more than"), (951, ""), (949, "5.1% less than")],
)
def test_five_per_cent_either_way_are_a_fault(instructions: int, says: str) -> None:
    (finding,) = compare({"message": instructions}, {"message": 1000})
    assert TOLERANCE == 0.05
    assert says in finding.fault and bool(finding.fault) == bool(says)


def test_a_conversation_without_a_baseline_is_a_fault() -> None:
    assert interpreter() in Finding("message", 1000, None).fault


def test_debian_12_has_a_baseline_for_every_conversation() -> None:
    known = read_baselines()
    assert [name for name in known if name.startswith(DEBIAN_12)]
    assert [name for name, counts in known.items() if counts.keys() != CONVERSATIONS.keys()] == []


def test_writing_a_baseline_keeps_those_of_other_interpreters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.guard.BASELINE", tmp_path / "baseline.json")
    (tmp_path / "baseline.json").write_text('{"another": {"message": 1}}')
    write_baseline({"message": 2})
    assert json.loads((tmp_path / "baseline.json").read_text()) == {
        "another": {"message": 1},
        interpreter(): {"message": 2},
    }


def test_a_baseline_with_a_merge_conflict_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("bench.guard.BASELINE", tmp_path / "baseline.json")
    (tmp_path / "baseline.json").write_text('{"another": {\n<<<<<<< ours\n')
    assert main(["--write"]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"guard: {tmp_path / 'baseline.json'}: ") and "line 2" in said and said.count("\n") == 1


def test_part_of_a_baseline_is_not_written(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--write", "--only", "message"])
    assert ended.value.code == 2
    assert "leave out --only" in capsys.readouterr().err


def test_missing_valgrind_is_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main([]) == 2
    assert capsys.readouterr().err == "guard: valgrind is missing: apt-get install -y valgrind\n"


def test_what_fails_under_valgrind_is_told() -> None:
    with pytest.raises(CountError, match="invalid choice: 'no-such'"):
        count(["no-such"])


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_a_recording_leads_to_the_same_again(name: str) -> None:
    recording = record(name, 3)
    recording.replay()
    with pytest.raises(RuntimeError, match="recorded"):
        replace(recording, incoming=recording.incoming[1:]).replay()
