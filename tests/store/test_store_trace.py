"""Who was behind X then: the bindings of that time, and the calls and messages through them."""

from __future__ import annotations

import asyncio
import json
import re
import sqlite3
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import astuple, dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from engine.core.records import CallRecord, Step
from engine.store import audit, binding_import
from engine.store import trace as trace_module
from engine.store.archive_reader import Archive
from engine.store.audit import Asker, read_audit
from engine.store.binding_import import COLUMNS, csv_line, import_bindings
from engine.store.bindings import open_bindings
from engine.store.crypto import NumberCipher
from engine.store.errors import StoreError
from engine.store.rows import utc_text
from engine.store.trace import Nearest, Question, Trace, trace
from tests.store.bound import EXPIRES_AT, REQUEST, A, B, C, X
from tests.store.conftest import MakeRecord
from tests.store.shelf import FIRST_NOON_S, NODE, Shelf
from tests.store.writing import RecordWriter

DAY_S = 86_400.0
HOUR_S = 3600.0
WHY = Asker("ops", "police, file 4711")
D = "13600136000"

Rows = Callable[..., list[sqlite3.Row]]


@dataclass
class Store:
    """A data folder, its clock, and how a record of it is written."""

    data_dir: Path
    cipher: NumberCipher
    make: MakeRecord
    time: list[float]

    def ask(self, at_s: float, window_s: float = DAY_S) -> Trace:
        return trace(self.data_dir, self.cipher, Question(X, at_s, window_s), WHY, clock=lambda: self.time[0])

    def bind(self, **changes: str) -> str:
        async def bind() -> str:
            async with open_bindings(self.data_dir / "bindings.db", self.cipher, lambda: self.time[0]) as store:
                return await store.bind(replace(REQUEST, **changes))

        return asyncio.run(bind())

    def unbind(self, subs_id: str) -> None:
        async def unbind() -> None:
            async with open_bindings(self.data_dir / "bindings.db", self.cipher, lambda: self.time[0]) as store:
                await store.unbind(subs_id)

        asyncio.run(unbind())

    def call(self, name: str, at_s: float, subs_id: str, **changes: object) -> CallRecord:
        version = 1 if subs_id else 0
        record_id = f"{int(at_s * 1000):012x}-{name}"
        return self.make(record_id, subs_id=subs_id, binding_version=version, call_time=at_s, **changes)

    def write(self, *calls: CallRecord, step: Step = Step.CLOSE) -> None:
        done: list[tuple[object, bool]] = []
        writer = RecordWriter(self.data_dir / "records.db", self.cipher, "veil-1", "boot", 0, done.extend)
        writer.start()
        for number, call in enumerate(calls):
            assert writer.submit(step, call.snapshot(), None, number)
        writer.stop()
        assert [is_durable for _, is_durable in done] == [True] * len(calls)


@pytest.fixture
def store(stocked: Path, cipher: NumberCipher, make_record: MakeRecord, now: float) -> Store:
    return Store(stocked.parent, cipher, make_record, [now])


def names(found: Trace) -> list[str]:
    return [record["record_id"].partition("-")[2] for record in found.records()]


def test_the_binding_of_that_time_is_told_with_its_tenants(store: Store, now: float) -> None:
    subs_id = store.bind()
    [bound] = store.ask(now).bindings
    assert (bound.subs_id, bound.version, bound.mode, bound.tel_x) == (subs_id, 1, "AXB", X)
    assert (bound.tel_a, bound.tel_b, bound.order_id, bound.scenario) == (A, B, "order-1", "express")
    assert (bound.business_user, bound.business_user_name, bound.uscc) == (
        "bu-express", "Demo Express", "91110000000000000X",
    )  # fmt: skip
    assert (bound.app_platform, bound.app_platform_name, bound.licence_no) == (
        "ap-demo", "Demo platform", "B2-20250001",
    )  # fmt: skip
    assert (bound.valid_from, bound.valid_to) == (utc_text(now), "")
    assert bound.expiration == "2026-12-01T00:00:00.000Z"


def test_each_of_five_holders_is_told_for_its_own_time(store: Store, now: float) -> None:
    """X is used again and again: given X and a time, the one right binding; between two of them, nobody."""
    ids = []
    for number in range(5):
        store.time[0] = now + 100 * number
        ids.append(store.bind(tel_a=f"1380013800{number}", tel_b=f"1390013900{number}"))
        store.time[0] += 60
        store.unbind(ids[-1])
    for number in range(5):
        begin = now + 100 * number
        for at_s in (begin, begin + 59.999):
            [bound] = store.ask(at_s).bindings
            assert (bound.subs_id, bound.tel_b) == (ids[number], f"1390013900{number}")
            assert bound.valid_to == utc_text(begin + 60)
        between = store.ask(begin + 60)
        assert between.bindings == ()
        assert between.nearest == Nearest(utc_text(begin + 60), utc_text(begin + 100) if number < 4 else "")
    assert store.ask(now - 0.001).nearest == Nearest("", utc_text(now))


def test_what_went_through_it_then_is_told(store: Store, now: float) -> None:
    """Within the window and the binding; a stranger's attempt too, but nothing of another pair on the same X."""
    ours = store.bind()
    others = store.bind(tel_a=C, tel_b=D)
    store.write(
        store.call("long-before", now - DAY_S, ""),
        store.call("just-before", now - 1, ""),
        store.call("first", now, ours),
        store.call("stranger", now + 10, "", caller="13500135000", callee="", release_cause="NOT_IN_CALLER_SET"),
        store.call("pair", now + 20, others, caller=C, callee=D),
        store.call("other-x", now + 30, "", tel_x="700123456780002"),
        store.call("message", now + HOUR_S, ours, kind="message", caller=B, callee=A),
        store.call("late", now + 2 * HOUR_S, ours),
    )
    store.time[0] = now + 3 * HOUR_S
    store.unbind(others)
    found = store.ask(now + 4 * HOUR_S, window_s=4 * HOUR_S)
    assert [bound.subs_id for bound in found.bindings] == [ours]
    assert names(found) == ["first", "stranger", "message", "late"]
    [first, stranger, *_] = found.records()
    assert (first["caller"], first["callee"], first["kind"]) == (A, B, "voice")
    assert (stranger["caller"], stranger["callee"]) == ("13500135000", None)
    assert names(store.ask(now + 4 * HOUR_S, window_s=2.5 * HOUR_S)) == ["late"]
    assert found.period() == (utc_text(now), utc_text(now + 8 * HOUR_S))


def test_a_record_leads_to_its_very_row(store: Store, now: float, rows: Rows) -> None:
    subs_id = store.bind()
    store.write(store.call("one", now, subs_id))
    [record] = store.ask(now).records()
    found = rows(
        store.data_dir / "bindings.db",
        "SELECT tel_x FROM binding WHERE subs_id = ? AND version = ?",
        record["subs_id"], record["binding_version"],
    )  # fmt: skip
    assert [tuple(row) for row in found] == [(X,)]


def test_a_call_looked_up_while_its_binding_was_ended_is_told(store: Store, now: float) -> None:
    """Its record says so, a moment after the end; a stranger of that moment has nothing to do with it."""
    subs_id = store.bind()
    store.time[0] = now + 60
    store.unbind(subs_id)
    store.write(store.call("late", now + 60.02, subs_id), store.call("stranger", now + 60.02, ""))
    assert names(store.ask(now)) == ["late"]


def test_calls_in_progress_come_last(store: Store, now: float) -> None:
    subs_id = store.bind()
    store.write(store.call("talks", now, subs_id, caller=B, callee=A), step=Step.OPEN)
    store.write(store.call("elsewhere", now, subs_id, tel_x="700123456780002"), step=Step.OPEN)
    store.write(store.call("ended", now + 1, subs_id))
    found = store.ask(now)
    assert names(found) == ["ended", "talks"]
    [_, talks] = found.records()
    assert (talks["caller"], talks["callee"], talks["attempts"][0]["peer"]) == (B, A, "core")
    assert "release_time" not in talks


def test_what_ends_while_it_is_read_is_told_once(store: Store, now: float, monkeypatch: pytest.MonkeyPatch) -> None:
    subs_id = store.bind()
    call = store.call("ends", now, subs_id)
    store.write(call, step=Step.OPEN)
    read = Trace._ended

    def meanwhile(*words: object) -> object:
        store.write(call)
        return read(*words)  # type: ignore[arg-type]

    monkeypatch.setattr(Trace, "_ended", meanwhile)
    [record] = store.ask(now).records()
    assert "release_cause" in record


def test_whoever_asks_is_written_down_before_anything_is_read(
    store: Store, now: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*_words: object, **_options: object) -> None:
        raise StoreError("gone")

    monkeypatch.setattr(trace_module, "open_read_only", gone)
    with pytest.raises(StoreError, match="gone"):
        store.ask(now)
    [_, row] = read_audit(store.data_dir / "bindings.db")
    assert (row.actor, row.action, row.reason, row.at) == ("ops", "trace", WHY.reason, utc_text(now))
    assert row.detail == (
        f"reveal who was behind {X} at 2026-11-24T01:02:03.456Z,"
        " records since=2026-11-23T01:02:03.456Z until=2026-11-25T01:02:03.456Z"
    )


def test_it_waits_for_an_import_and_for_no_node(
    store: Store, now: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An import may hold its lock for most of a minute: the audit row waits. A node that writes holds up nothing."""
    monkeypatch.setattr(binding_import, "BATCH", 1)
    subs_id = store.bind()
    store.write(store.call("one", now, subs_id))
    file = tmp_path / "b.csv"
    file.write_text(
        "\n".join(map(csv_line, (COLUMNS, astuple(replace(REQUEST, tel_x="700123456780002"))[: len(COLUMNS)])))
    )
    begun, go_on = threading.Event(), threading.Event()

    def progress(_lines: int, _octets: int) -> None:
        begun.set()
        assert go_on.wait(60)

    path = store.data_dir / "bindings.db"
    node = sqlite3.connect(store.data_dir / "records.db", isolation_level=None)
    with ThreadPoolExecutor(2) as threads, closing(node):
        node.execute("BEGIN IMMEDIATE")
        node.execute("INSERT INTO counter VALUES ('n', 'd', 1, 1)")
        imported = threads.submit(import_bindings, path, store.cipher, file, lambda: now, progress=progress)
        assert begun.wait(60)
        asked = threads.submit(lambda: names(store.ask(now)))
        with pytest.raises(TimeoutError):
            asked.result(0.2)
        go_on.set()
        assert asked.result(60) == ["one"]
        assert imported.result(60).imported == 1


def test_it_does_not_wait_for_ever(store: Store, now: float, monkeypatch: pytest.MonkeyPatch) -> None:
    store.bind()
    monkeypatch.setattr(audit, "BUSY_MS", 10)
    other = sqlite3.connect(store.data_dir / "bindings.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    begin = time.monotonic()
    with closing(other), pytest.raises(StoreError, match=r"bindings\.db: busy: another process is writing to it"):
        store.ask(now)
    assert time.monotonic() - begin < 30.0  # without it, a minute


def test_without_an_audit_row_nothing_is_told(store: Store, now: float, rows: Rows) -> None:
    store.bind()
    rows(
        store.data_dir / "bindings.db",
        "CREATE TRIGGER full BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'full'); END",
    )
    with pytest.raises(StoreError, match="full"):
        store.ask(now)


def test_no_records_yet_is_no_error(store: Store, now: float) -> None:
    store.bind()
    found = store.ask(now)
    assert (len(found.bindings), list(found.records()), found.purged_days()) == (1, [], ())


def test_what_was_purged_is_found_in_the_archive(store: Store, records_db: Path) -> None:
    """And without it the days are named whose records are missing. What is in both is told once."""
    store.time[0] = FIRST_NOON_S - HOUR_S
    subs_id = store.bind()

    def make(name: str, **changes: Any) -> CallRecord:
        tel_x = X if name in ("r1", "r3", "r5") else "700123456780002"
        return store.call(name, changes["call_time"], subs_id, tel_x=tel_x)

    shelf = Shelf(records_db, store.cipher, make)
    for _ in range(3):
        shelf.day(2)
    shelf.anchor()
    shelf.archive()
    shelf.close()
    question = Question(X, FIRST_NOON_S, 3 * DAY_S)

    def told(archive: Archive | None) -> tuple[list[str], tuple[str, ...]]:
        found = trace(store.data_dir, store.cipher, question, WHY, archive)
        assert {record["caller"] for record in found.records()} == {A}
        return names(found), found.purged_days()

    everything = ["r1", "r3", "r5"]
    assert told(None) == told(Archive(shelf.folder)) == (everything, ())
    shelf.spoil(
        f"INSERT INTO purge SELECT '{NODE}', 1, 4, last_hash, '', day, '', 'ops', 4 FROM anchor WHERE last_seq = 4",
        *[f"INSERT INTO purged_day VALUES ('{NODE}', '2026-11-2{day}', 2)" for day in (4, 5)],
        "DELETE FROM cdr WHERE seq <= 4",
    )
    assert told(None) == (["r5"], ("2026-11-24", "2026-11-25"))
    assert told(Archive(shelf.folder)) == (everything, ())
    (shelf.folder / "cdr-veil-1-2026-11-24.json").unlink()
    assert told(Archive(shelf.folder)) == (["r3", "r5"], ("2026-11-24",))


@pytest.mark.parametrize(
    ("database", "query", "plan"),
    [
        ("bindings.db", trace_module._IN_FORCE, "SEARCH binding USING INDEX binding_of_x (tel_x=?)"),
        ("bindings.db", trace_module._BEFORE_AND_AFTER, "SEARCH binding USING INDEX binding_of_x (tel_x=?)"),
        (
            "records.db",
            trace_module._RECORDS,
            "SEARCH cdr USING INDEX sqlite_autoindex_cdr_1 (record_id>? AND record_id<?)",
        ),
    ],
)
def test_no_table_is_read_from_end_to_end(store: Store, rows: Rows, database: str, query: str, plan: str) -> None:
    store.write()
    numbered = set(re.findall(r"\?[0-9]", query))
    parameters = [""] * (len(numbered) or query.count("?"))
    assert plan in [
        row["detail"] for row in rows(store.data_dir / database, f"EXPLAIN QUERY PLAN {query}", *parameters)
    ]


def test_everything_of_an_answer_is_json(store: Store, now: float) -> None:
    subs_id = store.bind()
    store.write(store.call("one", now, subs_id))
    assert json.loads(json.dumps(list(store.ask(EXPIRES_AT - 1, 30 * DAY_S).records())))[0]["subs_id"] == subs_id
