"""What is shipped in configs/: each file passes `check`, decides as it says, and is in force as its golden file tells.

After a wanted change: `config show` of the file, without its two lines of comment, is the new golden file.
"""

from __future__ import annotations

import tomllib
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import pytest

from engine.config import Config, load
from engine.config.warnings import warnings
from engine.config.written import masked, toml_text
from engine.deciding.expects import failing_expects

ROOT: Final = Path(__file__).resolve().parent.parent.parent
GOLDEN: Final = Path(__file__).with_name("golden")
FILES: Final = sorted(file for file in (ROOT / "configs").glob("*.toml") if file.name != "inventory.toml")
PAGE: Final = (ROOT / "docs" / "configuration.md").read_text("utf-8")


def in_force(config: Config) -> str:
    return toml_text(masked(config.model_dump(exclude_none=True))) + "\n"


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_shipped_file_does_what_it_says(file: Path) -> None:
    config, now = load(file), datetime.now(UTC)
    assert len(config.expect) >= 2
    assert {"sent", "refused"} & {expect.outcome for expect in config.expect}
    assert (failing_expects(config, now.timestamp()), warnings(config, now)) == ([], [])
    assert f"(../configs/{file.name})" in PAGE


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_what_is_in_force_is_the_golden_file(file: Path) -> None:
    assert in_force(load(file)) == (GOLDEN / file.name).read_text("utf-8")


def test_every_golden_file_is_of_a_shipped_one() -> None:
    assert sorted(path.name for path in GOLDEN.iterdir()) == [file.name for file in FILES]
    for path in GOLDEN.iterdir():
        assert tomllib.loads(path.read_text("utf-8"))["node"]["workers"] == 1  # defaults stand in it
