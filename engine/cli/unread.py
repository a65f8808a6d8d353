"""What a look at the records does not see: the journal that a killed node has left behind."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from engine.cli.common import tell
from engine.control.client import ControlError, ask
from engine.store.database import open_read_only, store_errors
from engine.store.journal import waiting_in_journal


def tell_what_waits(path: Path) -> None:
    """A line on stderr when something of the journal beside records.db is not in its tables, and no node loads it."""
    with store_errors(path), closing(open_read_only(path, None)) as connection:
        waiting = waiting_in_journal(connection, path)
    if waiting and not _is_running(path.parent):
        tell(f"veil700: no node runs, and {waiting} bytes of its journal are not read here: its next start loads them")


def _is_running(data_dir: Path) -> bool:
    """A node has what is in the journal in the tables within a second."""
    try:
        ask(data_dir, "status")
    except ControlError:
        return False
    return True
