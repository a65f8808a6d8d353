"""Scenarios of our own that play what SIPp's built-in ones play, under SIPp's names for them."""

from __future__ import annotations

from pathlib import Path
from typing import Final

_FOLDER: Final = Path(__file__).parent / "builtin"


def builtin_names() -> list[str]:
    """What there is, sorted."""
    return sorted(file.stem for file in _FOLDER.glob("*.xml"))


def builtin_file(name: str) -> Path | None:
    """The file of one of them; None when there is none of that name."""
    return _FOLDER / f"{name}.xml" if name in builtin_names() else None
