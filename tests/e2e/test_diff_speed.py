"""`diff` decides 100,000 calls under two configurations in less than 10 s of a machine that does nothing else."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from engine.cli import run_cli
from tests.core.corenode import axb
from tests.explain.explained import AT, Office

CALLS = 100_000
WITHIN_S = 10.0


@pytest.mark.long
@pytest.mark.timeout(600)
def test_a_hundred_thousand_calls(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In processor time: what others do meanwhile does not count. The processes share the work evenly."""
    here = Office(tmp_path)
    bound = [axb(f"138{n:08}", f"139{n:08}", f"7001234567{n:05}", AT + 86_400) for n in range(CALLS)]
    here.bind(bound)
    old, new, numbers = tmp_path / "old.toml", tmp_path / "new.toml", tmp_path / "numbers.csv"
    old.write_text(here.configure().text)
    new.write_text(here.configure(b='number_format = "plus"').text)
    rows = [f"{one.caller},{one.tel_x},a-side\n" for one in bound]
    numbers.write_text("".join(["caller,called,peer\n", *rows]))
    before = os.times()
    words = ["diff", str(old), str(new), "--numbers", str(numbers), "--at", "2026-09-21T15:00:00Z"]
    assert run_cli(words) == 1
    after = os.times()
    assert f"{CALLS:,} change ({CALLS:,} in all)" in capsys.readouterr().out
    own_s = after.user - before.user + after.system - before.system
    shared_s = after.children_user - before.children_user + after.children_system - before.children_system
    took_s = own_s + shared_s / len(os.sched_getaffinity(0))
    print(f"{took_s:.1f} s")
    assert took_s < WITHIN_S
