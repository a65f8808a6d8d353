"""Archive, then a purge as the command does it: everything that reads records says the same as before."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from engine.core.records import CallRecord
from engine.store.anchors import DAY_S
from engine.store.archive_verify import verify_archive
from engine.store.audit import Asker
from engine.store.crypto import NumberCipher
from engine.store.manifest import is_archived, manifest_path
from engine.store.purge import NodePurge, plan_purge, purge
from engine.store.record_forms import ExportFormat
from engine.store.signing import read_public_keys
from engine.store.verify import verify
from tests.store.shelf import NODE, Shelf

LAST_DAY = "2026-11-27"


@pytest.fixture
def shelf(records_db: Path, cipher: NumberCipher, make_record: Callable[..., CallRecord]) -> Iterator[Shelf]:
    """Three records, two, none, one, and two on the day that is left; it is three years later."""
    shelf = Shelf(records_db, cipher, make_record)
    for records in (3, 2, 0, 1, 2):
        shelf.day(records)
    shelf.now_s += 3 * 365 * DAY_S
    shelf.anchor()
    yield shelf
    shelf.close()


def plans(shelf: Shelf) -> list[NodePurge]:
    return plan_purge(shelf.path, LAST_DAY, lambda day: is_archived(shelf.folder, day))


def is_clean(shelf: Shelf) -> bool:
    keys = read_public_keys(shelf.path.with_name("signing_key.pub"))
    archived = verify_archive(shelf.folder, shelf.path, keys)
    return verify(shelf.path, wall_s=shelf.now_s).is_clean and archived.is_clean


async def test_nothing_is_missed_after_archive_and_purge(shelf: Shelf, cipher: NumberCipher) -> None:
    lines = {form: await shelf.lines(form=form) for form in ExportFormat}
    settled = await shelf.settled()
    shelf.archive(until="2026-11-29")
    assert purge(shelf.path, cipher, plans(shelf), Asker("ops"), shelf.now_s).records == 6

    assert is_clean(shelf)
    assert {form: await shelf.lines(form=form, archived=True) for form in ExportFormat} == lines
    assert await shelf.settled(archived=True) == settled
    assert [json.loads(line)["seq"] for line in await shelf.lines()] == [7, 8]
    assert shelf.archive() == []  # purged days are not looked for, nor the one before them


def test_what_is_not_archived_whole_stays(shelf: Shelf) -> None:
    assert [(plan.records, plan.not_archived) for plan in plans(shelf)] == [(0, "2026-11-24")]
    shelf.archive(until="2026-11-29")
    manifest_path(shelf.folder, NODE, "2026-11-25").unlink()
    assert [(plan.records, plan.not_archived) for plan in plans(shelf)] == [(3, "2026-11-25")]
    shelf.archive(until="2026-11-29")
    assert [(plan.records, plan.not_archived) for plan in plans(shelf)] == [(6, "")]
