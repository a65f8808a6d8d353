"""An archive that is killed leaves whole days and nothing that is taken for one; the next one finishes it."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest

from engine.core.records import CallRecord
from engine.store.archive_reader import Archive
from engine.store.archive_verify import verify_archive
from engine.store.crypto import NumberCipher
from engine.store.manifest import fault_of_file, read_manifests
from engine.store.signing import read_public_keys
from tests.store.shelf import FOR_EVER, Shelf

DAYS: Final = 12
RECORDS_A_DAY: Final = 400
# It says where it is, and waits to be allowed on: so the kill comes at a moment that the test has chosen.
PROGRAM: Final = """
import os, sys
from pathlib import Path
import engine.store.archive as archive
archive.BATCH_ROWS = 100
def tell(done, total):
    print(done, flush=True)
    sys.stdin.readline()
def sync(descriptor, really=os.fsync):
    print("sync", flush=True)
    sys.stdin.readline()
    really(descriptor)
os.fsync = sync
archive.archive(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], tell)
"""


@pytest.fixture
def shelf(records_db: Path, cipher: NumberCipher, make_record: Callable[..., CallRecord]) -> Iterator[Shelf]:
    shelf = Shelf(records_db, cipher, make_record)
    for _ in range(DAYS):
        shelf.day(RECORDS_A_DAY)
    shelf.anchor()
    yield shelf
    shelf.close()


def killed_after(shelf: Shelf, lines: int) -> bool:
    """Runs an archive until it has said so many lines, then kills it; False when it had said fewer and was done."""
    command = [sys.executable, "-c", PROGRAM, str(shelf.path), str(shelf.folder), FOR_EVER]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1) as process:
        assert process.stdin is not None and process.stdout is not None
        said = 0
        while said < lines and process.stdout.readline():
            said += 1
            if said < lines:
                process.stdin.write("\n")
        process.kill()
    return said == lines


@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.long) for seed in range(2, 12))])
def test_killed_again_and_again(shelf: Shelf, seed: int) -> None:
    chance = random.Random(seed)
    kills = 0
    while killed_after(shelf, chance.randint(1, 20)):
        kills += 1
        assert [fault_of_file(shelf.folder, manifest) for manifest in read_manifests(shelf.folder)] == [
            None for _ in shelf.folder.glob("*.json")
        ]
        Archive(shelf.folder)  # no day is missing between two others
    assert kills >= 3
    keys = read_public_keys(shelf.path.with_name("signing_key.pub"))
    report = verify_archive(shelf.folder, shelf.path, keys)
    assert (report.days, report.records, report.faults) == (DAYS, DAYS * RECORDS_A_DAY, ())
    shelf.archive()
    assert len(shelf.files()) == 2 * DAYS  # nothing that was left lies around
