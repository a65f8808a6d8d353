"""trace: who was behind a 700 number then."""

from __future__ import annotations

import json
import sqlite3
import time
from pathlib import Path

import pytest

from engine.core.records import CallRecord, Step
from engine.store.crypto import open_key
from engine.store.journal import Journal
from engine.store.rows import utc_text
from engine.store.segment import encoded_step
from tests.cli.commands import UNTIL, A, B, Done, Run, X, bind_words
from tests.store.writing import RecordWriter

WHY = ("--reason", f"police, complaint of {B}")


@pytest.fixture
def bound(stocked: Run) -> Run:
    """A binding of X."""
    assert stocked(*bind_words()).status == 0
    return stocked


def now() -> str:
    return utc_text(time.time() + 1)


def record(file: Path, subs_id: str, step: Step, name: str) -> None:
    """A call through that binding, as a node writes it now."""
    data_dir = file.parent / "data"
    writer = RecordWriter(data_dir / "records.db", open_key(data_dir), "veil-1", "boot", 0, lambda _done: None)
    writer.start()
    call = CallRecord(f"{int(time.time() * 1000):012x}-{name}", "veil-1", "voice")
    call.tel_x, call.caller, call.callee, call.subs_id, call.binding_version = X, A, B, subs_id, 1
    call.call_time = call.release_time = time.time()
    call.release_cause, call.duration_ms = "NORMAL", 61_000
    assert writer.submit(step, call.snapshot(), None, name)
    writer.stop()


@pytest.mark.parametrize(
    "spelling",
    [
        X, f"86{X}", f"0086{X}", f"+86{X}", "700-1234 5678(0001)", f"sip:{X}@veil.example", f"sip:{X}@h;user=phone",
        f"sip:%37{X[1:]}@h", f"tel:{X};phone-context=+86", f"tel:+86{X}", f" TEL:+86-{X} ", f"sips:+86{X}@h:5061",
    ],
)  # fmt: skip
def test_x_in_any_spelling(bound: Run, spelling: str) -> None:
    found = bound("trace", "--number", spelling, "--at", now(), *WHY, "--json")
    assert (found.status, found.err, found.json["number"]) == (0, "", X)
    assert [(one["tel_a"], one["tel_b"]) for one in found.json["bindings"]] == [(A, B)]


def test_as_json(bound: Run, file: Path) -> None:
    [subs_id] = [row["subs_id"] for row in bound("bindings", "list", "--json").json]
    record(file, subs_id, Step.CLOSE, "ended")
    record(file, subs_id, Step.OPEN, "talks")
    at = now()
    answer = bound("trace", "--number", X, "--at", at, *WHY, "--window", "1", "--json").json
    assert list(answer) == ["number", "at", "bindings", "since", "until", "records", "purged_days"]
    [binding] = answer["bindings"]
    assert (binding["subs_id"], binding["version"], binding["order_id"]) == (subs_id, 1, "4711")
    assert (answer["at"], answer["since"]) == (at, binding["valid_from"])
    assert [(one["record_id"][13:], one["caller"], one["callee"]) for one in answer["records"]] == [
        ("ended", A, B), ("talks", A, B),
    ]  # fmt: skip


def test_for_people(bound: Run, file: Path) -> None:
    [binding] = bound("bindings", "list", "--json").json
    record(file, binding["subs_id"], Step.CLOSE, "ended")
    record(file, binding["subs_id"], Step.OPEN, "talks")
    done = bound("trace", "--number", X, "--at", now(), *WHY)
    assert (done.status, done.err) == (0, "")
    facts, calls = done.out.split("\n\n")
    assert [line.split(maxsplit=1) for line in facts.splitlines()] == [
        ["subs_id", f"{binding['subs_id']}, version 1, mode AXB"],
        ["in", f"force       from {binding['created']} until {binding['expiration']}, its expiration"],
        ["tel_x", X],
        ["tel_a", A],
        ["tel_b", B],
        ["business_user", "bu-express, Demo Express, 91110000000000000X"],
        ["app_platform", "ap-demo, Demo platform, B2-20250001"],
        ["order_id", "4711"],
        ["scenario", "express"],
    ]
    title, header, ended, talks = calls.splitlines()
    assert title.startswith(f"calls and messages from {binding['created']} to ")
    assert header.split()[:4] == ["call_time", "kind", "caller", "callee"]
    assert ended.split()[1:7] == ["voice", A, B, "61000", "NORMAL", binding["subs_id"]]
    assert talks.split()[1:7] == ["voice", A, B, "-", "in", "progress"]


def test_the_end_of_what_was_unbound(bound: Run) -> None:
    [binding] = bound("bindings", "list", "--json").json
    before = utc_text(time.time())
    assert bound("unbind", binding["subs_id"]).status == 0
    [ended] = [row["ended"] for row in bound("bindings", "list", "--json").json]
    done = bound("trace", "--number", X, "--at", before, *WHY)
    assert f"until {ended}, when it was ended" in done.out
    at = now()
    after = bound("trace", "--number", X, "--at", at, *WHY)
    assert after == Done(1, "", f"veil700: {X} was bound to nobody at {at}: the binding before ended {ended}\n")


def test_nobody_is_status_1_and_audited_all_the_same(bound: Run) -> None:
    other = "700123456780002"
    at = "2026-11-24T09:02:00+08:00"
    done = bound("trace", "--number", other, "--at", at, *WHY)
    told = f"veil700: {other} was bound to nobody at 2026-11-24T01:02:00.000Z: it never was\n"
    assert done == Done(1, "", told)
    done = bound("trace", "--number", other, "--at", at, *WHY, "--json")
    assert (done.status, done.err, done.json["bindings"], done.json["records"]) == (1, told, [], [])
    audited = bound("audit", "list", "--json").json[1:]  # behind the inventory
    assert [(row["action"], row["reason"]) for row in audited] == [("trace", "police, complaint of 139****9000")] * 2
    assert audited[0]["detail"] == (
        f"reveal who was behind {other} at 2026-11-24T01:02:00.000Z,"
        " records since=2026-11-23T01:02:00.000Z until=2026-11-25T01:02:00.000Z"
    )
    assert not {A, B} & set(json.dumps(audited).split())


@pytest.mark.usefixtures("same_day")
def test_days_that_were_purged_are_told(bound: Run, file: Path) -> None:
    [binding] = bound("bindings", "list", "--json").json
    record(file, binding["subs_id"], Step.CLOSE, "ended")
    day = time.strftime("%Y-%m-%d", time.gmtime())
    connection = sqlite3.connect(file.parent / "data" / "records.db", isolation_level=None)
    connection.executescript(
        f"""
        DROP TRIGGER purge_takes_whole_days_of_two_years_ago;
        INSERT INTO anchor VALUES ('veil-1', '{day}', 1, '', 1, '', '', x'00');
        INSERT INTO purge VALUES ('veil-1', 1, 1, '', '{day}', '{day}', '', 'ops', 1);
        INSERT INTO purged_day VALUES ('veil-1', '{day}', 1);
        """
    )
    connection.close()
    done = bound("trace", "--number", X, "--at", now(), *WHY)
    assert done.status == 0
    assert done.err == f"veil700: records of {day} have been purged: --from-archive looks into their archive\n"
    done = bound("trace", "--number", X, "--at", now(), *WHY, "--from-archive", file.parent / "gone")
    assert (done.status, done.out, len(done.told)) == (1, "", 1)
    assert str(file.parent / "gone") in done.err


def test_what_a_killed_node_has_left_is_told(bound: Run, file: Path) -> None:
    [binding] = bound("bindings", "list", "--json").json
    record(file, binding["subs_id"], Step.CLOSE, "ended")
    data_dir = file.parent / "data"
    journal = Journal(data_dir / "journal", open_key(data_dir), "veil-1", ("boot", 1), 99)
    journal.append([encoded_step(int(Step.CLOSE), ("some", "record"), None)], 1)
    journal.close()
    done = bound("trace", "--number", X, "--at", now(), *WHY)
    assert done.status == 0
    waiting = f"{journal.appended} bytes of its journal are not read here"
    assert done.told == [f"veil700: no node runs, and {waiting}: its next start loads them"]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"--reason": " "}, "veil700: --reason is empty"),
        ({"--reason": "x" * 501}, "veil700: --reason has 501 characters, 500 are kept"),
        ({"--at": "yesterday"}, "veil700: --at: 'yesterday' is not an RFC 3339 time such as 2026-11-24T08:00:00+08:00"),
        ({"--at": "2026-11-24T08:00:00"}, "veil700: --at: '2026-11-24T08:00:00' does not say its offset"),
        ({"--number": A}, "veil700: --number: '138****8000' is not a 700 number of 15 digits"),
        ({"--number": X[:-1]}, "veil700: --number: '700****8000' is not a 700 number of 15 digits"),
        ({"--number": f"sip:{A}@h"}, "veil700: --number: 'sip:138****8000@h' is not a 700 number of 15 digits"),
        ({"--number": "sip:"}, "veil700: --number: 'sip:': "),
        ({"--number": ""}, "veil700: --number: '' is not a 700 number of 15 digits"),
        ({"--window": "-1"}, "veil700 trace: Invalid value for '--window': Input should be greater than or equal to 0"),
        ({"--reason": None}, "veil700 trace: Missing option '--reason'"),
    ],
)
def test_a_question_that_cannot_be_taken(bound: Run, changes: dict[str, str | None], told: str) -> None:
    words = {"--number": X, "--at": UNTIL, "--reason": "why"} | changes
    done = bound("trace", *[word for pair in words.items() if pair[1] is not None for word in pair])
    assert (done.status, done.out, len(done.told)) == (2, "", 1)
    assert done.err.startswith(told)
    assert len(bound("audit", "list", "--json").json) == 1  # of the inventory


@pytest.mark.parametrize("at", ["0001-01-01T00:00:00Z", "1969-12-31T23:59:59Z", "9999-12-31T23:59:59Z"])
def test_at_the_ends_of_time_nobody_was(bound: Run, at: str) -> None:
    done = bound("trace", "--number", X, "--at", at, "--reason", "why", "--window", "8784")
    assert (done.status, len(done.told)) == (1, 1)
    assert f"{X} was bound to nobody at " in done.err


def test_nothing_written_yet_is_one_line(run: Run, file: Path) -> None:
    done = run("trace", "--number", X, "--at", UNTIL, "--reason", "why")
    assert (done.status, done.out) == (1, "")
    assert done.told[0].endswith("bindings.db: no such file: nothing has been written into this data folder yet")
    assert not (file.parent / "data").exists()
