"""cdr export, cdr verify and cdr settlement."""

from __future__ import annotations

import csv
import io
import json
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import pytest

from engine.core.records import FIELDS, CallRecord, Step
from engine.store.crypto import open_key
from engine.store.journal import Journal
from engine.store.segment import encoded_step
from engine.store.signing import open_signing_key
from tests.cli.commands import (
    A,
    B,
    Done,
    Run,
    X,
    rows,
)
from tests.store.writing import RecordWriter

NOW_S: Final = 1_795_482_123.456  # 2026-11-24T01:02:03.456Z


@pytest.fixture
def recorded(run: Run, file: Path) -> Run:
    """Three records, a minute apart; the second caller's Call-ID is a formula and holds its number."""
    data_dir = file.parent / "data"
    cipher = open_key(data_dir)
    done: list[tuple[object, bool]] = []
    writer = RecordWriter(data_dir / "records.db", cipher, "veil-1", "boot", 0, done.extend)
    writer.start()
    for number, call_id in enumerate(("a@h", f"=cmd|{A}", "c@h")):
        record = CallRecord(f"r{number}", "veil-1", "voice")
        record.tel_x, record.caller, record.callee, record.caller_call_id = X, A, B, call_id
        record.ingress_peer, record.call_time = "core", NOW_S + 60 * number
        record.release_time = record.call_time + 1
        record.release_cause, record.sip_status, record.q850 = "NO_BINDING", 404, 1
        assert writer.submit(Step.CLOSE, record.snapshot(), None, number)
    writer.stop()
    assert done == [(0, True), (1, True), (2, True)]
    return run


def test_records_as_json_lines(recorded: Run, file: Path) -> None:
    done = recorded("cdr", "export")
    assert (done.status, done.err) == (0, "")
    records = [json.loads(line) for line in done.out.splitlines()]
    assert [record["record_id"] for record in records] == ["r0", "r1", "r2"]
    assert all(tuple(record) == FIELDS for record in records)
    assert {record["caller"] for record in records} == {"138****8000"}
    assert A not in done.out
    assert recorded("cdr", "export", "--json").out == done.out
    assert not (file.parent / "data" / "bindings.db").exists()  # nothing was revealed, nothing is audited


def test_records_as_csv_hold_no_formula(recorded: Run) -> None:
    done = recorded("cdr", "export", "--format", "csv")
    records = list(csv.DictReader(io.StringIO(done.out)))
    assert [tuple(record) for record in records] == [FIELDS] * 3
    assert records[1]["caller_call_id"] == "'=cmd|138****8000"
    assert records[0]["caller_call_id"] == "a@h"
    assert records[0]["sip_status"] == "404"


def test_records_as_asterisk_writes_them(recorded: Run, file: Path) -> None:
    done = recorded("cdr", "export", "--format", "asterisk-csv")
    cells = list(csv.reader(io.StringIO(done.out)))
    assert [(row[1], row[2], row[9], row[14], row[16]) for row in cells] == [
        ("138****8000", X, f"2026-11-24 09:0{minute}:03", "FAILED", f"r{number}")
        for number, minute in enumerate((2, 3, 4))
    ]
    file.write_text(file.read_text() + '[cdr]\nutc_offset = "-03:30"\n')
    assert '"2026-11-23 21:32:03"' in recorded("cdr", "export", "--format", "asterisk-csv").out
    refused = recorded("cdr", "export", "--format", "asterisk-csv", "--json")
    assert (refused.status, refused.told) == (2, ["veil700: --json and --format asterisk-csv exclude each other"])


SETTLEMENT: Final = """\
day,utc_offset,node,peer,direction,kind,mode,attempts,answered,rounding,billed_seconds,minutes,messages,parts,first_seq,last_seq
2026-11-24,+08:00,veil-1,core,in,voice,,3,0,minute,0,0,0,0,1,3
"""


def test_a_settlement(recorded: Run, file: Path) -> None:
    days = ("--from", "2026-11-24", "--until", "2026-11-25")
    assert recorded("cdr", "settlement", *days) == Done(0, SETTLEMENT, "")
    (line,) = recorded("cdr", "settlement", *days, "--json").json
    assert (line["attempts"], line["last_seq"], line["rounding"]) == (3, 3, "minute")
    assert recorded("cdr", "settlement", "--from", "2026-11-25", "--until", "2026-11-26", "--json").json == []
    file.write_text(file.read_text() + '[cdr]\nutc_offset = "-12:00"\nsettlement_rounding = "6s"\n')
    (line,) = recorded("cdr", "settlement", "--from", "2026-11-23", "--until", "2026-11-24", "--json").json
    assert (line["day"], line["utc_offset"], line["rounding"]) == ("2026-11-23", "-12:00", "6s")


def test_a_settlement_tells_what_is_not_over(recorded: Run, file: Path) -> None:
    data_dir = file.parent / "data"
    writer = RecordWriter(data_dir / "records.db", open_key(data_dir), "veil-1", "boot", 0, lambda _: None)
    writer.start()
    record = CallRecord("open", "veil-1", "voice")
    record.call_time = NOW_S
    assert writer.submit(Step.OPEN, record.snapshot(), None, 0)
    writer.stop()
    done = recorded("cdr", "settlement", "--from", "2026-11-24", "--until", "2026-11-25")
    told = ["veil700: not counted, since still in progress: 1 of these days"]
    assert (done.status, done.out, done.told) == (0, SETTLEMENT, told)


def test_what_a_killed_node_has_left_is_told(recorded: Run, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data_dir = file.parent / "data"
    journal = Journal(data_dir / "journal", open_key(data_dir), "veil-1", ("boot", 1), 99)
    journal.append([encoded_step(int(Step.CLOSE), ("some", "record"), None)], 1)
    journal.close()
    waiting = f"{journal.appended} bytes of its journal are not read here"
    told = [f"veil700: no node runs, and {waiting}: its next start loads them"]
    days = ("--from", "2026-11-24", "--until", "2026-11-25")
    for words in (("cdr", "export"), ("cdr", "settlement", *days)):
        done = recorded(*words)
        assert (done.status, done.told) == (0, told)
    monkeypatch.setattr("engine.cli.unread.ask", lambda _data_dir, _verb: {})  # a node that runs loads it at once
    assert recorded("cdr", "export").err == ""


@pytest.mark.parametrize(
    ("first", "behind", "told"),
    [
        ("2026-11-24", "2026-11-24", "--from must lie before --until"),
        ("2026-11-31", "2026-12-24", "--from: '2026-11-31': day is out of range for month"),
        ("2026-11-24", "24.11.2026", "--until: '24.11.2026' is not a day such as 2026-11-24"),
    ],
)
def test_days_that_are_none(run: Run, first: str, behind: str, told: str) -> None:
    done = run("cdr", "settlement", "--from", first, "--until", behind)
    assert (done.status, done.told) == (2, [f"veil700: {told}"])


def test_a_revealed_export_leaves_an_audit_row(recorded: Run, file: Path) -> None:
    done = recorded("cdr", "export", "--reveal", "--since", "2026-11-24T09:02:00+08:00")
    assert json.loads(done.out.splitlines()[0])["caller"] == A
    ((action, detail),) = rows(
        file.parent / "data" / "bindings.db", "SELECT action, detail FROM audit WHERE action != 'inventory.apply'"
    )
    assert action == "cdr.export"
    assert "2026-11-24T01:02:00.000Z" in detail


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["--since", "2026-11-24T01:03:03.456Z"], ["r1", "r2"]),
        (["--until", "2026-11-24T09:03:03.456+08:00"], ["r0"]),
        (["--since", "2026-11-24t01:03:00z", "--until", "2026-11-24T01:04:00Z"], ["r1"]),
        (["--since", "2027-01-01T00:00:00Z"], []),
    ],
)
def test_records_of_a_time(recorded: Run, words: list[str], found: list[str]) -> None:
    done = recorded("cdr", "export", *words)
    assert [json.loads(line)["record_id"] for line in done.out.splitlines()] == found


@pytest.mark.usefixtures("same_day")
def test_verify(recorded: Run, file: Path) -> None:
    yesterday = (datetime.now(UTC) - timedelta(days=1)).date().isoformat()
    first = f"veil-1: 3 records, last seq 3, 0 open, signed up to {yesterday}\n"
    assert recorded("cdr", "verify") == Done(0, f"{first}3 records, clean\n", "")
    (file.parent / "data" / "key").unlink()  # it needs none
    report = recorded("cdr", "verify", "--json").json
    assert (report["clean"], report["records"], report["nodes"][0]["last_seq"]) == (True, 3, 3)

    connection = sqlite3.connect(file.parent / "data" / "records.db")
    connection.executescript("DROP TRIGGER cdr_is_never_changed; UPDATE cdr SET q850 = 16 WHERE record_id = 'r1'")
    connection.close()
    done = recorded("cdr", "verify")
    assert (done.status, done.err) == (1, "")
    assert "veil-1: seq 2, record r1: changed" in done.out
    assert done.out.endswith("3 records, NOT CLEAN\n")
    assert recorded("cdr", "verify", "--json").json["nodes"][0]["bad_seq"] == 2


def test_verify_with_another_public_key_and_from_a_day_on(recorded: Run, file: Path) -> None:
    other = open_signing_key(_made(file.parent / "other"))
    key = file.parent / "other" / "signing_key.pub"
    done = recorded("cdr", "verify", "--public-key", str(key))
    assert (done.status, done.err) == (1, "")
    assert "signed with a key that is not known" in done.out
    assert other.key_id not in done.out
    assert recorded("cdr", "verify", "--public-key", str(key.with_name("none"))).err.count("\n") == 1
    assert recorded("cdr", "verify", "--since", "2027-01-01").status == 0
    done = recorded("cdr", "verify", "--since", "yesterday")
    assert (done.status, done.err) == (2, "veil700: --since: 'yesterday' is not a day such as 2026-11-24\n")


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder
