"""Files of `-inf`: one row of fields for each call."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from sipstack.scenario.model import Fault, ScenarioError

MAX_FILE_BYTES: Final = 256 * 1024 * 1024  # two million rows of the usual length


def read_rows(path: Path) -> list[list[str]]:
    """The rows of a file: SEQUENTIAL in its first line, then fields with `;` between them; `#` begins a comment line.

    ScenarioError for anything else, OSError when the file cannot be read.
    """
    with path.open("rb") as file:
        data = file.read(MAX_FILE_BYTES + 1)
    if len(data) > MAX_FILE_BYTES:
        raise ScenarioError(path, [Fault(1, f"larger than {MAX_FILE_BYTES // 1024 // 1024} MiB")])
    lines = data.decode("utf-8", errors="surrogateescape").split("\n")
    order = lines[0].rstrip("\r").strip()
    if order != "SEQUENTIAL":
        text = "the first line is SEQUENTIAL"
        if order.partition(",")[0] in ("RANDOM", "USER", "SEQUENTIAL"):
            text = f"{order.encode(errors='replace').decode()} is not supported: {text}"
        raise ScenarioError(path, [Fault(1, text)])
    rows = [line.rstrip("\r").split(";") for line in lines[1:] if line.rstrip("\r") and not line.startswith("#")]
    if not rows:
        raise ScenarioError(path, [Fault(1, "there is no row")])
    return rows
