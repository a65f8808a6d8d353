"""The writer when the journal, or the database behind it, is down; and ends that are kept."""

from __future__ import annotations

import select
import sqlite3
import threading
import time
from collections.abc import Callable

import pytest

from engine.core.records import Step
from engine.recording import client, serving
from engine.store import journal
from engine.store.crypto import NumberCipher
from engine.store.journal import waiting_bytes
from engine.store.verify import verify
from tests.store.desk import NOW_S, PATIENCE_S, Desk
from tests.store.writing import recover


def test_calls_go_on_while_the_database_is_locked(
    desk: Desk, intruder: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.writer.group_writer._loading._connection.execute("PRAGMA busy_timeout = 0")
    intruder.execute("BEGIN EXCLUSIVE")
    desk.writer.start()
    desk.submit(Step.OPEN, "a")
    desk.close_many("b")
    assert desk.outcomes(2) == {(Step.OPEN, "a"): True, (Step.CLOSE, "b"): True}
    desk.until(lambda: "locked" in desk.writer.load_fault)
    assert (desk.writer.fault, desk.writer.written, desk.writer.is_overloaded) == ("", 1, False)
    assert desk.writer.unloaded_bytes > 0
    intruder.execute("ROLLBACK")
    desk.until(lambda: not desk.writer.load_fault)
    assert (desk.stored(), desk.writer.unloaded_bytes) == (["b"], 0)


@pytest.mark.pure
def test_a_journal_that_is_never_loaded_ends_in_overload(
    desk: Desk, intruder: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What has sent nothing is refused at once; calls in progress get their records."""
    monkeypatch.setattr(client, "JOURNAL_LIMIT", 2000)
    desk.writer.group_writer._loading._connection.execute("PRAGMA busy_timeout = 0")
    intruder.execute("BEGIN EXCLUSIVE")
    desk.writer.start()
    number = 0
    while not desk.writer.is_overloaded:
        desk.close_many(f"r{number}")
        assert all(desk.outcomes(1).values())
        number += 1
    assert not desk.submit(Step.OPEN, "new")
    assert not desk.submit(Step.CLOSE, "refused", call_out_time=None)
    assert desk.submit(Step.ANSWER, "in progress")
    assert desk.submit(Step.CLOSE, "in progress", call_out_time=NOW_S)
    assert all(desk.outcomes(2).values())
    intruder.execute("ROLLBACK")
    desk.until(lambda: not desk.writer.is_overloaded)
    assert desk.submit(Step.OPEN, "new")


@pytest.mark.pure
def test_a_disk_that_takes_too_long_is_overload(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    write, goes_on = journal._write_through, threading.Event()

    def stuck(file: int, data: bytes, offset: int) -> None:
        assert goes_on.wait(PATIENCE_S)
        write(file, data, offset)

    monkeypatch.setattr(journal, "_write_through", stuck)
    monkeypatch.setattr(client, "SLOW_S", PATIENCE_S)
    desk.writer.start()
    desk.submit(Step.OPEN, "a")
    assert not desk.writer.is_overloaded
    monkeypatch.setattr(client, "SLOW_S", 0.05)
    desk.until(lambda: desk.writer.is_overloaded)
    desk.writer.is_patient = False
    assert not desk.submit(Step.OPEN, "new")
    assert desk.submit(Step.ANSWER, "in progress")
    goes_on.set()
    assert all(desk.outcomes(2).values())
    assert not desk.writer.is_overloaded


@pytest.mark.pure
def test_a_loop_that_was_late_is_no_overload(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has the answer before it that it misses."""
    monkeypatch.setattr(client, "SLOW_S", 0.05)
    desk.writer.start()

    def late() -> bool:
        asking = desk.writer.client
        assert asking.submit(Step.OPEN, desk.make("a").snapshot(), None, (Step.OPEN, "a"))
        asking._flush()
        assert select.select([asking._stream], [], [], PATIENCE_S)[0]
        time.sleep(0.1)
        return bool(asking.is_overloaded)

    assert not desk.writer.in_loop(late)
    assert desk.outcomes(1) == {(Step.OPEN, "a"): True}


@pytest.fixture
def away(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """The journal's folder is gone, so that no segment can be made; called, it puts the folder back."""
    monkeypatch.setattr(journal, "LONGEST_USE_S", -1.0)  # a segment for each group
    elsewhere = desk.folder.with_name("elsewhere")
    desk.folder.rename(elsewhere)
    return lambda: elsewhere.rename(desk.folder) and None


def test_a_journal_that_cannot_be_written_fails_closed_and_comes_back(desk: Desk, away: Callable[[], None]) -> None:
    desk.submit(Step.OPEN, "a")
    desk.close_many("b")
    desk.writer.start()
    assert desk.outcomes(2) == {(Step.OPEN, "a"): False, (Step.CLOSE, "b"): False}
    assert desk.writer.fault == "journal: No such file or directory"
    for step in (Step.OPEN, Step.ANSWER, Step.CHANGE, Step.CLOSE):
        assert not desk.submit(step, "c")  # at once
    assert desk.submit(Step.KEEP, "a")
    assert desk.submit(Step.KEEP, "b")
    assert (desk.writer.spooled, desk.writer.written) == (2, 0)
    away()
    desk.until(lambda: desk.writer.spooled == 0)
    desk.close_many("d")
    assert desk.outcomes(1) == {(Step.CLOSE, "d"): True}
    desk.writer.stop()
    assert desk.stored() == ["a", "b", "d"]
    assert (desk.writer.fault, desk.writer.written, desk.writer.lost) == ("", 3, 0)
    assert verify(desk.path).is_clean


def test_a_journal_that_is_back_is_noticed_without_work(desk: Desk, away: Callable[[], None]) -> None:
    desk.submit(Step.OPEN, "a")
    desk.writer.start()
    assert desk.outcomes(1) == {(Step.OPEN, "a"): False}
    away()
    desk.until(lambda: not desk.writer.fault)
    assert desk.submit(Step.OPEN, "b")
    assert desk.outcomes(1) == {(Step.OPEN, "b"): True}


@pytest.mark.pure
def test_the_spool_is_bounded(desk: Desk, away: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "SPOOL_LIMIT", 3)
    desk.submit(Step.OPEN, "a")
    desk.writer.start()
    assert desk.outcomes(1) == {(Step.OPEN, "a"): False}
    for record_id in "abcde":
        assert desk.submit(Step.KEEP, record_id)
    assert (desk.writer.spooled, desk.writer.lost) == (3, 2)
    away()
    desk.until(lambda: desk.writer.spooled == 0)
    desk.writer.stop()
    assert (desk.stored(), desk.writer.lost, desk.writer.written) == (["a", "b", "c"], 2, 3)


def test_stopping_gives_the_spool_a_last_chance(desk: Desk, away: Callable[[], None]) -> None:
    desk.submit(Step.OPEN, "a")
    desk.writer.start()
    assert desk.outcomes(1) == {(Step.OPEN, "a"): False}
    desk.submit(Step.KEEP, "a")
    away()
    desk.writer.stop()
    assert (desk.stored(), desk.writer.spooled, desk.writer.fault) == (["a"], 0, "")


def test_stopping_while_the_journal_is_down_says_what_is_left(desk: Desk, away: Callable[[], None]) -> None:
    desk.submit(Step.OPEN, "a")
    desk.writer.start()
    assert desk.outcomes(1) == {(Step.OPEN, "a"): False}
    desk.submit(Step.KEEP, "a")
    desk.writer.stop()
    assert (desk.writer.spooled, desk.writer.written) == (1, 0)
    assert desk.writer.fault


def test_stopping_while_the_database_is_locked_leaves_it_to_the_next_start(
    desk: Desk, intruder: sqlite3.Connection, cipher: NumberCipher
) -> None:
    desk.writer.group_writer._loading._connection.execute("PRAGMA busy_timeout = 0")
    intruder.execute("BEGIN EXCLUSIVE")
    desk.writer.start()
    desk.close_many("a", "b")
    assert all(desk.outcomes(2).values())
    desk.writer.stop()
    writer = desk.writer.group_writer
    assert "locked" in writer.faults[1]
    intruder.execute("ROLLBACK")
    assert desk.stored() == []
    assert waiting_bytes(desk.folder, (0, 0)) == writer.unloaded_bytes > 0
    assert verify(desk.path).journal_bytes == writer.unloaded_bytes
    assert recover(desk.path, cipher) == []
    assert desk.stored() == ["a", "b"]
    assert verify(desk.path).journal_bytes == 0


def test_an_end_that_is_kept_replaces_the_one_that_waits(desk: Desk) -> None:
    """Given up after 5 s, it was told otherwise: of what is still in the queue nothing may be in the table."""
    desk.submit(Step.OPEN, "a")
    desk.submit(Step.CLOSE, "a", release_cause="NORMAL", sip_status=200)
    desk.submit(Step.KEEP, "a", release_cause="INTERNAL", sip_status=500)
    desk.close_many("b")
    desk.writer.start()
    assert all(desk.outcomes(3).values())
    desk.writer.stop()
    assert desk.column("release_cause") == ["INTERNAL", desk.make("b").release_cause]
    assert (desk.writer.written, verify(desk.path).is_clean) == (2, True)


@pytest.mark.pure
def test_an_end_that_is_kept_replaces_the_one_in_the_journal(
    desk: Desk, intruder: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.writer.group_writer._loading._connection.execute("PRAGMA busy_timeout = 0")
    intruder.execute("BEGIN EXCLUSIVE")
    monkeypatch.setattr(serving, "GROUP_LIMIT", 1)
    desk.submit(Step.CLOSE, "a", release_cause="NORMAL")
    desk.submit(Step.KEEP, "a", release_cause="INTERNAL")
    desk.writer.start()
    assert all(desk.outcomes(1).values())
    writer = desk.writer.group_writer
    journal, loading = writer._journal, writer._loading
    desk.until(lambda: desk.writer.spooled == 0 and writer._fresh.published == journal.end)
    loading.fault = ""
    desk.until(lambda: loading.fault != "")  # what was at work on the first end alone has failed
    intruder.execute("ROLLBACK")
    desk.writer.stop()
    assert desk.column("release_cause") == ["INTERNAL"]
    assert (desk.writer.written, desk.writer.lost, verify(desk.path).is_clean) == (1, 0, True)


def test_an_end_in_the_table_stays(desk: Desk) -> None:
    desk.writer.start()
    desk.submit(Step.CLOSE, "a", release_cause="NORMAL")
    assert all(desk.outcomes(1).values())
    desk.until(lambda: desk.writer.unloaded_bytes == 0)
    desk.submit(Step.KEEP, "a", release_cause="INTERNAL")
    desk.writer.stop()
    assert desk.column("release_cause") == ["NORMAL"]
    assert (desk.writer.lost, verify(desk.path).is_clean) == (0, True)
