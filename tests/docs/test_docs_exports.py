"""docs/exports.md has the formats, columns and words that the code writes."""

from __future__ import annotations

import csv
import re
from typing import Final

from engine.core.records import ReleaseCause
from engine.store.record_forms import ExportFormat, disposition
from engine.store.settlement import COLUMNS, ROUNDING_S
from tests.docs.pages import DOCS, rows, section

PAGE: Final = DOCS / "exports.md"
ASTERISK: Final = section(PAGE, "asterisk-csv")
NAMES: Final = re.compile(r"`(\w+)`")


def test_every_format_is_there() -> None:
    assert [row[0].strip("`") for row in rows(section(PAGE, "Formats"), "format")] == list(ExportFormat)


def test_the_row_of_asterisk_has_the_columns_of_the_table() -> None:
    told = [name for row in rows(ASTERISK, "column") for name in NAMES.findall(row[0])]
    (shown,) = [line for line in ASTERISK.splitlines() if line.startswith('"')]
    assert len(told) == len(next(csv.reader([shown]))) == 18


def test_dispositions_are_those_of_the_code() -> None:
    told: dict[str, str] = {}
    for word, causes in rows(ASTERISK, "disposition"):
        told |= {cause: word.strip("`") for cause in re.findall(r"\b[A-Z_]{3,}\b", causes)}
    written = {cause: disposition({"kind": "voice", "sip_status": 0, "release_cause": cause}) for cause in ReleaseCause}
    assert {cause: word for cause, word in written.items() if word != "FAILED"} == told
    assert disposition({"kind": "voice", "sip_status": 200, "release_cause": "BUSY"}) == "ANSWERED"


def test_columns_of_a_settlement_stand_in_their_order() -> None:
    text = section(PAGE, "Settlement")
    assert [name for row in rows(text, "column") for name in NAMES.findall(row[0])] == list(COLUMNS)
    header, *lines = [line for line in text.splitlines() if line.startswith(("day,", "2026-"))]
    assert header == ",".join(COLUMNS)
    for line in lines:
        shown = dict(zip(COLUMNS, line.split(","), strict=True))
        assert shown["rounding"] in ROUNDING_S
        assert int(shown["minutes"]) * 60 == int(shown["billed_seconds"])
