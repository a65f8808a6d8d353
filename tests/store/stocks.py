"""Data folders with a key and an inventory, which many tests begin with: made once in a process, and copied."""

from __future__ import annotations

import atexit
import functools
import shutil
import tempfile
from pathlib import Path

from engine.store.crypto import NumberCipher, open_key
from engine.store.inventory import apply_inventory, read_inventory


def stock(data_dir: Path, inventory: str) -> NumberCipher:
    """What `inventory apply` makes of a folder; all that are not there yet get the same key."""
    if data_dir.exists():
        return _apply(data_dir, inventory)
    shutil.copytree(_made(inventory), data_dir)
    return open_key(data_dir)


@functools.cache
def _made(inventory: str) -> Path:
    folder = Path(tempfile.mkdtemp(prefix="veil700-stock-"))
    atexit.register(shutil.rmtree, folder)
    _apply(folder / "var", inventory)
    return folder / "var"


def _apply(data_dir: Path, inventory: str) -> NumberCipher:
    cipher = open_key(data_dir)
    file = data_dir / "inventory.toml"
    file.write_text(inventory)
    apply_inventory(data_dir / "bindings.db", cipher, read_inventory(file))
    return cipher
