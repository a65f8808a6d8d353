"""Reports of the sample inventory, byte for byte: made twice, and by another process's order of hashes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from engine.store.audit import Asker
from engine.store.moves import Wish, move
from engine.store.restrictions import move_number
from tests.reports.shop import DAY_S, NOON_S, Shop

GOLDEN = Path(__file__).with_name("golden")
REPORTS = ("opening", "scenario", "operation", "numbers", "ledger")


@pytest.mark.parametrize("kind", REPORTS)
def test_the_report_is_the_golden_one(traded: Shop, kind: str) -> None:
    report = traded.report(kind)
    assert report.findings == ()
    assert report.csv().encode() == (GOLDEN / f"{kind}.csv").read_bytes()
    assert traded.report(kind).csv() == report.csv()


@pytest.mark.parametrize("seed", ["0", "1"])
def test_the_command_writes_the_same_bytes(traded: Shop, tmp_path: Path, seed: str) -> None:
    config = tmp_path / "veil.toml"
    config.write_text(f'[node]\ndata_dir = "{traded.data_dir}"\n')
    program = "import sys; from engine.cli import run_cli; sys.exit(run_cli(sys.argv[1:]))"
    out = tmp_path / "operation.csv"
    words = ["--config", str(config), "report", "operation", "--day", "2026-11-24", "--out", str(out)]
    # The day lies ahead of the clock of this machine or behind it: only what is over can be asked for.
    clock = "import time; time.time = lambda: 1_795_700_000.0; "
    done = subprocess.run(
        [sys.executable, "-c", clock + program, *words], env=os.environ | {"PYTHONHASHSEED": seed}, check=False,
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, f"{out}: 3 lines and their total\n"), done.stderr
    assert out.read_bytes() == (GOLDEN / "operation.csv").read_bytes()


def test_what_comes_later_changes_nothing(traded: Shop) -> None:
    """A day later numbers were locked, the block was recalled, and calls went on."""
    later, who = NOON_S + DAY_S, Asker("test")
    traded.write(lambda c: move_number(c, "700123456780009", "locked", who, later))
    traded.write(lambda c: move(c, "number_block", "70012345678", Wish("recalling"), who, later))
    traded.record({"call_time": later})
    for kind in REPORTS:
        assert traded.report(kind).csv().encode() == (GOLDEN / f"{kind}.csv").read_bytes(), kind
