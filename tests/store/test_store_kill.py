"""kill -9 at any moment: what was told durable is there, once, and the books balance."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import engine
from engine.store.crypto import open_key
from engine.store.database import open_read_only
from engine.store.verify import verify
from tests.store.writing import recover, take_over

# Prints one line for each step that was told durable: "CLOSE r00012". Some calls are refused, some never answered, some
# never end, some end with their opening still queued.
CHILD = """
import os, random, sys, time
from pathlib import Path
from engine.core.records import CallRecord, Step
from engine.store.crypto import open_key
from tests.store.writing import RecordWriter

folder, seed, start = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])

def told(done):
    lines = "".join(f"{token}\\n" for token, ok in done if ok)
    os.write(1, lines.encode())

chance = random.Random(seed)
writer = RecordWriter(folder / "records.db", open_key(folder), "veil-1", f"boot{seed}", 1, told)
writer.start()

def submit(step, record):
    extra = ("dialogs", b"SIP/2.0 200 OK" * 40) if step is Step.ANSWER else None
    while not writer.submit(step, record.snapshot(), extra, f"{step.name} {record.record_id}"):
        time.sleep(0.001)

live = []
for number in range(start, start + 200_000):
    record = CallRecord(f"r{number:06d}", "veil-1", "voice")
    record.caller, record.callee, record.call_time = "13800138000", "13900139000", time.time()
    record.caller_call_id = f"{number}@127.0.0.12"
    kind = chance.random()
    if kind > 0.2:
        submit(Step.OPEN, record)
        if kind > 0.3:
            live.append(record)
            if len(live) < 30:
                continue
            record = live.pop(chance.randrange(len(live)))
            if chance.random() > 0.3:
                record.answer_time = time.time()
                submit(Step.ANSWER, record)
            if chance.random() > 0.95:
                continue
    record.release_time, record.release_cause = time.time(), "NORMAL"
    submit(Step.CLOSE, record)
"""


def run_and_kill(folder: Path, seed: int, start: int, lines: int) -> set[tuple[str, str]]:
    """Steps that the child was told to be durable before it died."""
    root = Path(engine.__file__).parents[1]
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(folder), str(seed), str(start)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(root)},
    )
    assert child.stdout is not None
    said = b""
    while said.count(b"\n") < lines:
        piece = os.read(child.stdout.fileno(), 65_536)
        assert piece, "the child ended by itself"
        said += piece
    child.send_signal(signal.SIGKILL)
    said += child.stdout.read()
    child.stdout.close()
    assert child.wait() == -signal.SIGKILL
    whole = said.decode().split("\n")[:-1]
    return {(step, record_id) for step, record_id in (line.split() for line in whole)}


def check_books(folder: Path, told: set[tuple[str, str]], wall_s: float) -> None:
    path = folder / "records.db"
    notes = recover(path, open_key(folder))
    assert all("were not written to their end" in note for note in notes), notes
    before = verify(path)
    assert before.is_clean, "as the kill left it"
    recent = take_over(path, open_key(folder), "veil-1", wall_s).recent
    report = verify(path)
    assert report.is_clean, report
    assert report.nodes[0].open == 0
    connection = open_read_only(path, None)
    causes: dict[str, list[str]] = {}
    for record_id, cause in connection.execute("SELECT record_id, release_cause FROM cdr"):
        causes.setdefault(record_id, []).append(cause)
    assert connection.execute("SELECT count(*) FROM call_answer").fetchone() == (0,)
    connection.close()
    assert all(len(found) == 1 for found in causes.values())
    for step, record_id in told:
        assert record_id in causes, f"{step} of {record_id} was told durable"
        if step == "CLOSE":
            assert causes[record_id] == ["NORMAL"]
    assert len(recent) >= before.nodes[0].open > 0
    assert report.records == before.records + before.nodes[0].open


def kill_again_and_again(folder: Path, seed: int, kills: int) -> None:
    """Each run goes on with the store that the last kill left."""
    chance = random.Random(seed)
    open_key(folder)
    told: set[tuple[str, str]] = set()
    for turn in range(kills):
        told |= run_and_kill(folder, seed + turn, turn * 200_000, chance.randint(1, 4000))
        check_books(folder, told, wall_s=2_000_000_000.0 + turn)


@pytest.mark.parametrize("seed", range(5))
def test_a_kill_loses_and_doubles_nothing(tmp_path: Path, seed: int) -> None:
    kill_again_and_again(tmp_path, seed, kills=1)


def test_kills_in_a_row(tmp_path: Path) -> None:
    kill_again_and_again(tmp_path, 100, kills=3)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(1000, 1020))
def test_many_kills(tmp_path: Path, seed: int) -> None:
    kill_again_and_again(tmp_path, seed, kills=10)
