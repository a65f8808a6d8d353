"""asterisk-csv: columns, quoting, times and dispositions, and that what people load it with takes it."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any, Final

import duckdb
import pytest

from engine.core.records import FIELDS, ReleaseCause
from engine.store.record_forms import ExportFormat, disposition, line_maker

COLUMNS: Final = (
    "accountcode", "src", "dst", "dcontext", "clid", "channel", "dstchannel", "lastapp", "lastdata", "start", "answer",
    "end", "duration", "billsec", "disposition", "amaflags", "uniqueid", "userfield",
)  # fmt: skip
CHINA_S: Final = 8 * 3600


def record(**changes: object) -> dict[str, Any]:
    usual = {
        "record_id": "r1", "node": "veil-1", "seq": 26, "kind": "voice", "business_user": "bu-express",
        "scenario": "express", "tel_x": "700123456780001", "caller": "138****8000", "callee": "139****9000",
        "ingress_peer": "core", "egress_peer": "mobile", "call_time": "2026-11-24T16:02:03.999Z",
        "answer_time": "2026-11-24T16:02:10.000Z", "release_time": "2026-11-24T16:03:12.100Z", "bill_seconds": 63,
        "release_cause": "NORMAL", "sip_status": 200,
    }  # fmt: skip
    return {name: (usual | changes).get(name, "") for name in FIELDS}


def line(**changes: object) -> str:
    return line_maker(ExportFormat.ASTERISK_CSV, CHINA_S)(record(**changes))


def test_a_call_as_cdr_csv_writes_it() -> None:
    assert line() == (
        '"bu-express","138****8000","700123456780001","express","138****8000","SIP/core-0000001a",'
        '"SIP/mobile-0000001a","Dial","SIP/mobile/139****9000","2026-11-25 00:02:03","2026-11-25 00:02:10",'
        '"2026-11-25 00:03:12",69,63,"ANSWERED","DOCUMENTATION","r1","NORMAL"'
    )


def test_what_was_never_answered_has_no_answer_time() -> None:
    text = line(answer_time=None, bill_seconds=0, release_cause="BUSY", sip_status=486)
    assert ',"2026-11-25 00:02:03",,"2026-11-25 00:03:12",69,0,"BUSY",' in text


def test_an_answer_that_the_caller_never_had_is_none() -> None:
    """The store did not take it: the caller was told 500."""
    text = line(release_cause="INTERNAL", sip_status=500)
    assert ',"2026-11-25 00:02:03",,"2026-11-25 00:03:12",69,0,"CONGESTION",' in text


def test_a_refusal_names_nobody_it_did_not_reach() -> None:
    cells = next(csv.reader([line(egress_peer="", callee=None, sip_status=404, release_cause="NO_BINDING")]))
    shown = dict(zip(COLUMNS, cells, strict=True))
    assert [shown[name] for name in ("dstchannel", "lastapp", "lastdata", "disposition")] == ["", "", "", "FAILED"]


def test_a_real_number_that_was_dialled_is_dst() -> None:
    assert next(csv.reader([line(tel_x="", egress_peer="")]))[2] == "139****9000"


def test_the_wall_clock_makes_no_call_shorter_than_it_was_billed_for() -> None:
    assert ",63,63," in line(release_time="2026-11-24T16:00:00.000Z")
    assert ",63,63," in line(release_time=None)


def test_quotes_are_doubled_and_no_cell_is_a_formula() -> None:
    assert line(scenario='a"b').split(",")[3] == '"a""b"'
    assert line(scenario="=cmd").split(",")[3] == '"\'=cmd"'


@pytest.mark.parametrize("cause", ReleaseCause)
def test_every_cause_has_a_disposition(cause: ReleaseCause) -> None:
    """Of the ends of a call that was not answered; 200 is ANSWERED whatever ended it."""
    wanted = {
        "BUSY": "BUSY", "REJECTED": "BUSY", "NO_ANSWER": "NO ANSWER", "CALLER_CANCEL": "NO ANSWER",
        "UNREACHABLE": "NO ANSWER", "OVERLOAD": "CONGESTION", "ALL_TARGETS_FAILED": "CONGESTION",
        "INTERNAL": "CONGESTION", "NODE_RESTART": "CONGESTION",
    }.get(cause, "FAILED")  # fmt: skip
    assert disposition(record(release_cause=cause.value)) == "ANSWERED"
    assert disposition(record(release_cause=cause.value, sip_status=480)) == wanted


def test_duckdb_loads_it_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "Master.csv"
    lines = [line(), line(record_id="r2", answer_time=None, sip_status=486, release_cause="BUSY", scenario='a"b,c')]
    file.write_text("".join(f"{one}\n" for one in lines))
    names = ", ".join(f"'{name}'" for name in COLUMNS)
    found = duckdb.sql(
        f"SELECT uniqueid, answer - start, duration, disposition, dcontext"
        f" FROM read_csv('{file}', header = false, names = [{names}])"
    ).fetchall()
    assert [(row[0], row[2], row[3], row[4]) for row in found] == [
        ("r1", 69, "ANSWERED", "express"),
        ("r2", 69, "BUSY", 'a"b,c'),
    ]
    assert (found[0][1].total_seconds(), found[1][1]) == (7.0, None)
