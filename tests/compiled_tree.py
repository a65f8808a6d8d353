"""Lays out build/compiled: the compiled wheel, and beside it all that tests it, with an environment that sees these.

    make build && .venv/bin/python -m tests.compiled_tree && cd build/compiled && .venv/bin/pytest tests/core

The sources of the working tree stay as they are, and out of the way: a compiled module that has become older than its
source would otherwise be taken in its place without a word.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
TREE: Final = ROOT / "build" / "compiled"
# What a wheel holds comes from the wheel.
LEFT: Final = {"engine", "sipstack", "build", "dist", "var", "data", "__pycache__"}


def main() -> int:
    """Makes the tree anew; 1 with a line where there is no wheel to make it of."""
    wheels = sorted((ROOT / "dist").glob("veil700-*-cp*.whl"), key=lambda wheel: wheel.stat().st_mtime)
    if not wheels:
        print("no compiled wheel in dist: `make build` says why", file=sys.stderr)
        return 1
    shutil.rmtree(TREE, ignore_errors=True)
    with zipfile.ZipFile(wheels[-1]) as wheel:
        wheel.extractall(TREE)
    for entry in ROOT.iterdir():
        if entry.name in LEFT or (entry.name.startswith(".") and entry.name != ".ci"):
            continue
        if entry.is_dir():
            shutil.copytree(entry, TREE / entry.name, ignore=shutil.ignore_patterns("data", "__pycache__"))
        else:
            shutil.copy2(entry, TREE)
    make_environment(TREE / ".venv")
    return 0


def make_environment(place: Path) -> None:
    """An environment with what is installed in ours, but with the tree in the place of the sources."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", place], check=True)
    ours = Path(sysconfig.get_path("purelib"))
    own = place / ours.relative_to(sys.prefix)
    own.joinpath("veil700.pth").write_text(f"{TREE}\n{ours}\n")  # ours is read without the .pth of the sources in it
    for script in Path(sys.prefix, "bin").iterdir():
        made = place / "bin" / script.name
        if script.is_file() and not made.exists() and (text := script.read_bytes()).startswith(b"#!"):
            made.write_bytes(text.replace(str(Path(sys.prefix)).encode(), str(place).encode(), 1))
            made.chmod(0o755)
    for mark in (".ok", ".ok-dev"):  # it has all that it needs: else `make` in the tree would begin it anew
        (place / mark).touch()


if __name__ == "__main__":
    sys.exit(main())
