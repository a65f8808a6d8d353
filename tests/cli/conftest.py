"""A configuration of its own for each test, and commands that run on it."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.cli import run_cli
from tests.cli.commands import INVENTORY, Done, Run


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A configuration whose data folder does not exist yet."""
    path = tmp_path / "veil.toml"
    path.write_text('[node]\ndata_dir = "data"\n')
    return path


@pytest.fixture
def run(file: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command in this process on `file`."""

    def call(*words: str | Path) -> Done:
        capsys.readouterr()
        status = run_cli([*map(str, words[:1]), "--config", str(file), *map(str, words[1:])])
        return Done(status, *capsys.readouterr())

    return call


@pytest.fixture
def stocked(run: Run) -> Run:
    """The same, with the inventory applied."""
    assert run("inventory", "apply", INVENTORY).status == 0
    return run
