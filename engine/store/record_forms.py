"""How a record looks as a line: JSON, CSV, or a row of Asterisk's Master.csv."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from engine.core.records import ReleaseCause
from engine.store.binding_import import csv_line
from engine.store.rows import utc_seconds

Record = Mapping[str, Any]  # FIELDS, `attempts` as stored JSON, numbers as text that may be shown
LineOf = Callable[[Record], str]

_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
_NUMBER: Final = re.compile(r"-?[0-9]+")

# What cdr_csv writes for calls that were not answered, by the cause. Who is busy or declines is BUSY to Asterisk, a
# number that rang or was given up NO ANSWER; CONGESTION is the network's fault, FAILED everything else.
_DISPOSITION: Final = {
    ReleaseCause.BUSY: "BUSY",
    ReleaseCause.REJECTED: "BUSY",
    ReleaseCause.NO_ANSWER: "NO ANSWER",
    ReleaseCause.CALLER_CANCEL: "NO ANSWER",
    ReleaseCause.UNREACHABLE: "NO ANSWER",
    ReleaseCause.OVERLOAD: "CONGESTION",
    ReleaseCause.ALL_TARGETS_FAILED: "CONGESTION",
    ReleaseCause.INTERNAL: "CONGESTION",
    ReleaseCause.NODE_RESTART: "CONGESTION",
}


class ExportFormat(StrEnum):
    """Form of the lines."""

    JSONL = "jsonl"
    CSV = "csv"
    ASTERISK_CSV = "asterisk-csv"


def line_maker(form: ExportFormat, utc_offset_s: int = 0) -> LineOf:
    """Makes a line, without its end, of a record; `utc_offset_s` is that of the times in asterisk-csv."""
    if form is ExportFormat.CSV:
        return lambda record: csv_line(record.values())
    if form is ExportFormat.ASTERISK_CSV:
        zone = timedelta(seconds=utc_offset_s)
        return lambda record: asterisk_line(record, zone)
    return json_line


def json_line(record: Record) -> str:
    """One JSON object, `attempts` as a list."""
    shown = {**record, "attempts": json.loads(record["attempts"])}
    return json.dumps(shown, ensure_ascii=False, separators=(",", ":"))


def is_answered(record: Record) -> bool:
    """A call whose caller was told 200: it had an answer, and the answer was recorded in time."""
    return record["kind"] == "voice" and bool(record["sip_status"] == 200)


def disposition(record: Record) -> str:
    """ANSWERED, NO ANSWER, BUSY, CONGESTION or FAILED."""
    return "ANSWERED" if is_answered(record) else _DISPOSITION.get(record["release_cause"], "FAILED")


def asterisk_line(record: Record, zone: timedelta) -> str:
    """The 18 columns of Asterisk's Master.csv, quoted as its cdr_csv does it, times at `zone` from UTC.

    accountcode, src, dst, dcontext, clid, channel, dstchannel, lastapp, lastdata, start, answer, end, duration,
    billsec, disposition, amaflags, uniqueid, userfield.
    """
    caller, callee = record["caller"] or "", record["callee"] or ""
    ingress, egress, seq = record["ingress_peer"], record["egress_peer"], record["seq"]
    cells = [
        _quoted(record["business_user"]),
        _quoted(caller),
        _quoted(record["tel_x"] or callee),
        _quoted(record["scenario"]),
        _quoted(caller),
        _quoted(f"SIP/{ingress}-{seq:08x}"),
        _quoted(f"SIP/{egress}-{seq:08x}" if egress else ""),
        _quoted("Dial" if egress else ""),
        _quoted(f"SIP/{egress}/{callee}" if egress else ""),
        _date(record["call_time"], zone),
        _date(record["answer_time"] if is_answered(record) else None, zone),
        _date(record["release_time"], zone),
        *map(str, _seconds(record)),
        _quoted(disposition(record)),
        _quoted("DOCUMENTATION"),
        _quoted(record["record_id"]),
        _quoted(record["release_cause"]),
    ]
    return ",".join(cells)


def without_formula(cell: str) -> str:
    """A cell that a spreadsheet would take for a formula, with an apostrophe before it; any other as it is."""
    return f"'{cell}" if cell.startswith(_FORMULA) and _NUMBER.fullmatch(cell) is None else cell


def _seconds(record: Record) -> tuple[int, int]:
    """duration and billsec: whole seconds, begun ones count; the wall clock never makes the call longer than it was
    billed for.
    """
    billed = record["bill_seconds"] if is_answered(record) else 0
    if record["release_time"] is None:
        return billed, billed
    total_ms = round((utc_seconds(record["release_time"]) - utc_seconds(record["call_time"])) * 1000)
    return max(-(-total_ms // 1000), billed), billed


def _quoted(text: str) -> str:
    return '"' + without_formula(text).replace('"', '""') + '"'


def _date(time: str | None, zone: timedelta) -> str:
    """A stored time as `"2026-11-24 09:02:03"`; cdr_csv leaves the cell of a time that was not without quotes."""
    if time is None:
        return ""
    return f'"{datetime.fromtimestamp(int(utc_seconds(time)), UTC) + zone:%Y-%m-%d %H:%M:%S}"'
