"""A file for a configuration, with an inventory beside it."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "inv.toml").touch()
    return tmp_path / "veil.toml"
