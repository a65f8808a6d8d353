"""The daily job, as a process of its own: archive the days that are over, then purge those whose time is over.

Events of platforms, and what waits to become one, go with it (`engine.store.events`).
`python -P -m engine.store.daily DATA_DIR RETENTION_DAYS EVENTS_DAYS SLOT [ARCHIVE_DIR]`, started by the node
(`engine.daily`), does nothing when it has been done since SLOT, seconds since the epoch. It prints one JSON object,
`faults` among it.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Final

from engine.store.anchors import DAY_S, day_text
from engine.store.audit import Asker
from engine.store.crypto import NumberCipher, open_key
from engine.store.database import RECORDS, open_database, store_errors
from engine.store.errors import StoreError
from engine.store.events import remove_events, remove_waiting
from engine.store.purge import last_day_to_go, plan_purge, purge
from engine.store.rows import utc_seconds, utc_text

ACTOR: Final = "daily job"

_DONE: Final = "daily_job"  # name in `meta`; value: when it was last done
_NICENESS: Final = 10  # not the lowest: on a machine that is full a slice would hold the lock for most of a second


def main(argv: list[str]) -> int:
    """Do it with low priority; status 1 with faults."""
    os.nice(_NICENESS)
    data_dir, retention_days, events_days, slot_s, *archive_dir = argv
    folder = Path(archive_dir[0]) if archive_dir else None
    figures = daily_job(Path(data_dir), int(retention_days), int(events_days), float(slot_s), folder, time.time())
    print(json.dumps(figures))
    return 1 if figures.get("faults") else 0


def daily_job(
    data_dir: Path, retention_days: int, events_days: int, slot_s: float, archive_dir: Path | None, wall_s: float
) -> dict[str, object]:
    """What was done, in figures; empty when it has been done since `slot_s`. Faults are told, not raised."""
    try:
        cipher = open_key(data_dir)
        if slot_s <= _last_done_s(data_dir, cipher) <= wall_s:  # not done later than now: the clock was ahead then
            return {}
    except StoreError as error:
        return {"faults": [str(error)]}
    figures: dict[str, object] = {}
    faults: list[str] = []
    path = data_dir / "records.db"
    try:
        if archive_dir is not None:
            figures.update(_archive(path, archive_dir, wall_s))
    except StoreError as error:
        faults.append(str(error))
    try:
        figures.update(_purge(path, cipher, retention_days, archive_dir, wall_s))
        figures.update(_remove_events(data_dir, cipher, wall_s - events_days * DAY_S))
        if not faults:
            _set_done(path, cipher, wall_s)
    except StoreError as error:
        faults.append(str(error))
    return {**figures, "faults": faults} if faults else figures


def _archive(path: Path, folder: Path, wall_s: float) -> dict[str, object]:
    from engine.store.archive import archive  # loads pyarrow

    written = archive(path, folder, day_text(int(wall_s // DAY_S)))
    return {"archived_days": len(written), "archived_records": sum(manifest.records for manifest in written)}


def _purge(
    path: Path, cipher: NumberCipher, retention_days: int, archive_dir: Path | None, wall_s: float
) -> dict[str, object]:
    from engine.store.manifest import is_archived

    asked = None if archive_dir is None else lambda day: is_archived(archive_dir, day)
    plans = plan_purge(path, last_day_to_go(wall_s, retention_days), asked)
    done = purge(path, cipher, plans, Asker(ACTOR), wall_s)
    days = sum(len(plan.days) for plan in plans)
    kept = [f"{plan.node}: {plan.not_archived} is not in the archive" for plan in plans if plan.not_archived]
    if kept:
        raise StoreError("; ".join(kept))
    return {
        "purged_days": days, "purged_records": done.records, "longest_lock_ms": round(done.longest_lock_s * 1000),
    }  # fmt: skip


def _remove_events(data_dir: Path, cipher: NumberCipher, before_s: float) -> dict[str, object]:
    """Of the outbox, too: nobody takes it where the node has no API."""
    before = utc_text(before_s)
    removed = remove_events(data_dir / "records.db", cipher, before)
    removed += remove_waiting(data_dir / "bindings.db", cipher, before)
    return {"removed_events": removed} if removed else {}


def _last_done_s(data_dir: Path, cipher: NumberCipher) -> float:
    """When it was last done, seconds since the epoch; 0 for never."""
    path = data_dir / "records.db"
    connection = open_database(path, RECORDS, cipher)
    try:
        with store_errors(path):
            row = connection.execute("SELECT value FROM meta WHERE name = ?", (_DONE,)).fetchone()
            return 0.0 if row is None else utc_seconds(row[0])
    finally:
        connection.close()


def _set_done(path: Path, cipher: NumberCipher, wall_s: float) -> None:
    connection = open_database(path, RECORDS, cipher)
    try:
        with store_errors(path):
            connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (_DONE, utc_text(wall_s)))
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
