"""cdr purge: says what would go, and takes it only when told."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.core.records import CallRecord
from engine.store.crypto import open_key
from engine.store.database import RECORDS, open_database
from engine.store.ledger import Ledger
from engine.store.rows import RowMaker
from engine.store.signing import open_signing_key
from tests.cli.commands import A, B, Run, X, rows

DAY_S = 86_400


@pytest.fixture
def old(run: Run, file: Path, same_day: None) -> Run:
    """Three records of 800 days ago, one of today."""
    data_dir = file.parent / "data"
    cipher = open_key(data_dir)
    connection = open_database(data_dir / "records.db", RECORDS, cipher)
    now_s = time.time()
    for number, age_days in enumerate((800, 800, 800, 0)):
        at_s = now_s - age_days * DAY_S
        record = CallRecord(f"r{number}", "veil-1", "voice")
        record.tel_x, record.caller, record.callee, record.call_time = X, A, B, at_s
        record.release_cause, record.sip_status, record.q850 = "NO_BINDING", 404, 1
        ledger = Ledger(connection, "veil-1", open_signing_key(data_dir), _clock(at_s))
        ledger.write([], [], [RowMaker(cipher, "boot").closing(record.snapshot())])
    connection.close()
    return run


def _clock(at_s: float) -> Callable[[], float]:
    return lambda: at_s


def _day(days_ago: int) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(time.time() - days_ago * DAY_S))


def test_without_yes_it_only_says_what_would_go(old: Run, file: Path) -> None:
    done = old("cdr", "purge")
    assert (done.status, done.err) == (0, "")
    first, last = done.out.splitlines()
    assert first.startswith(f"veil-1: {_day(800)} to {_day(800)}, 3 records, about 0.")
    assert last == "nothing was removed: --yes does it"
    report = old("cdr", "purge", "--json").json
    assert (report["dry_run"], report["nodes"][0]["records"], report["nodes"][0]["days"]) == (True, 3, [_day(800)])
    assert rows(file.parent / "data" / "records.db", "SELECT count(*) FROM cdr") == [(4,)]
    assert not (file.parent / "data" / "bindings.db").exists()


def test_with_yes_it_removes_them_and_the_chain_is_clean(old: Run, file: Path) -> None:
    done = old("cdr", "purge", "--yes")
    assert done.status == 0
    assert done.out.splitlines()[1].startswith("3 records removed, at most ")
    assert rows(file.parent / "data" / "records.db", "SELECT record_id FROM cdr") == [("r3",)]
    verified = old("cdr", "verify")
    assert (verified.status, "1 records, last seq 4, 0 open, 3 purged" in verified.out) == (0, True)
    assert old("cdr", "purge", "--yes").out == "nothing is old enough\n"
    assert old("cdr", "purge").out == "nothing is old enough\n"
    audit = rows(
        file.parent / "data" / "bindings.db", "SELECT action, detail FROM audit WHERE action != 'inventory.apply'"
    )
    assert audit == [("cdr.purge", f"veil-1: 3 records, {_day(800)} to {_day(800)}, up to seq 3")]


def test_an_export_says_what_was_purged(old: Run) -> None:
    assert old("cdr", "export").err == ""
    old("cdr", "purge", "--yes")
    done = old("cdr", "export")
    told = f"veil700: records up to {_day(800)} were purged and are not among these: --from-archive reads them"
    assert (done.status, done.told, len(done.out.splitlines())) == (0, [told], 1)
    assert old("cdr", "export", "--since", f"{_day(800)}T23:59:59Z").told == [told]
    assert old("cdr", "export", "--since", f"{_day(799)}T00:00:00Z").err == ""


def test_until_takes_only_what_lies_before_it(old: Run) -> None:
    assert old("cdr", "purge", "--until", _day(800)).out == "nothing is old enough\n"
    assert "3 records" in old("cdr", "purge", "--until", _day(799)).out
    done = old("cdr", "purge", "--until", _day(100), "--yes")
    assert done.status == 2
    assert done.err == (
        f"veil700: --until: {_day(101)} is younger than retention_days (730), {_day(731)} is the last to go\n"
    )
    assert old("cdr", "purge", "--until", "2026").status == 2


def test_a_longer_retention_keeps_them(old: Run, file: Path) -> None:
    file.write_text(file.read_text() + "\n[cdr]\nretention_days = 900\n")
    assert old("cdr", "purge").out == "nothing is old enough\n"


def test_what_is_in_no_archive_stays(old: Run, file: Path) -> None:
    (file.parent / "archive").mkdir()
    file.write_text(file.read_text() + '\n[cdr]\narchive_dir = "archive"\n')
    assert old("cdr", "purge").out == "nothing can go yet\n"
    done = old("cdr", "purge", "--yes")
    assert (done.status, done.out) == (1, "nothing can go yet\n")
    assert done.err == f"veil700: veil-1: {_day(800)} is not in the archive: it stays, and what lies behind it\n"
    assert rows(file.parent / "data" / "records.db", "SELECT count(*) FROM cdr") == [(4,)]
    assert old("cdr", "archive", "--until", _day(799)).status == 0
    assert old("cdr", "purge", "--yes").status == 0
    assert rows(file.parent / "data" / "records.db", "SELECT count(*) FROM cdr") == [(1,)]
