"""inventory verify on records and exports: calls that were cut, callers from elsewhere, what was shown."""

from __future__ import annotations

import csv
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from engine.core.records import FIELDS, Step
from engine.domain.spells import Finding
from engine.store.binding_import import COLUMNS
from engine.store.crypto import NumberCipher
from engine.store.database import BINDINGS, open_database, open_read_only
from engine.store.errors import StoreError
from engine.store.export_invariants import ExportInvariants
from engine.store.record_invariants import RecordInvariants
from tests.store.conftest import NOW
from tests.store.desk import Desk

X = "700123456780001"
SERVES = {"core": ("70012345678",), "other": ()}
CALL = {
    "call_out_time": NOW, "answer_time": NOW + 1, "release_time": NOW + 10, "release_direction": "platform",
    "release_cause": "NORMAL",
}  # fmt: skip


@pytest.fixture
def bindings(stocked: Path, cipher: NumberCipher) -> Iterator[sqlite3.Connection]:
    """A binding s1 that was ended at NOW + 10, and would have expired at NOW + 100."""
    connection = open_database(stocked, BINDINGS, cipher)
    names = "subs_id, version, mode, tel_x, tel_y, group_id, business_user, app_platform, order_id, scenario"
    connection.execute(
        f"INSERT INTO binding ({names}, expires_at, valid_from, valid_to, key_id)"
        " VALUES ('s1', 1, 'AXB', ?, '', '', 'bu-express', 'ap-demo', 'o', 'express', ?, ?, ?, '')",
        (X, NOW + 100, NOW - 100, NOW + 10),
    )
    yield connection
    connection.close()


def findings(desk: Desk, bindings: sqlite3.Connection, cipher: NumberCipher) -> list[Finding]:
    desk.writer.stop()
    with closing(open_read_only(desk.path, cipher)) as records:
        looked = RecordInvariants(records, bindings, cipher, SERVES)
        found = list(looked.findings())
        assert looked.records == looked.total()
        return found


@pytest.mark.parametrize(
    ("changes", "is_found"),
    [
        ({}, True),
        ({"release_time": NOW + 11}, True),
        ({"release_time": NOW + 100.5}, True),  # cut as it expired
        ({"release_time": NOW + 11.1}, False),
        ({"release_time": NOW + 9.9}, False),
        ({"release_direction": "caller"}, False),
        ({"release_cause": "MAX_DURATION"}, False),
        ({"release_cause": "NUMBER_FROZEN"}, False),  # the kill switch may
        ({"answer_time": None}, False),
        ({"kind": "message"}, False),
        ({"subs_id": "other"}, False),
    ],
)
def test_a_call_that_ends_with_its_binding_is_named(
    desk: Desk, bindings: sqlite3.Connection, cipher: NumberCipher, changes: dict[str, object], is_found: bool
) -> None:
    desk.writer.start()
    desk.submit(Step.CLOSE, "r1", **(CALL | changes))
    desk.outcomes(1)
    found = findings(desk, bindings, cipher)
    told = "call r1 was released by the platform as s1 ended (NORMAL)"
    assert found == ([Finding("I9", told)] if is_found else [])


@pytest.mark.parametrize(
    ("changes", "is_found"),
    [
        ({}, False),
        ({"ingress_peer": "other"}, True),
        ({"ingress_peer": "gone"}, True),
        ({"caller": "700999999990001"}, True),
        ({"caller": "700999999990001", "call_out_time": None}, False),  # it was refused
        ({"caller": "13800138000", "ingress_peer": "other"}, False),
    ],
)
def test_a_700_caller_comes_from_the_peer_that_serves_its_block(
    desk: Desk, bindings: sqlite3.Connection, cipher: NumberCipher, changes: dict[str, object], is_found: bool
) -> None:
    desk.writer.start()
    desk.submit(Step.CLOSE, "r1", **(CALL | {"caller": X, "release_direction": "caller"} | changes))
    desk.outcomes(1)
    found = findings(desk, bindings, cipher)
    assert [finding.invariant for finding in found] == (["I15"] if is_found else [])


# ---------------------------------------------------------------------- exports


def binding(**changes: str) -> dict[str, str]:
    return dict.fromkeys(COLUMNS, "") | {
        "mode": "AXB", "tel_x": X, "tel_a": "13800138000", "tel_b": "13900139000", "business_user": "bu-express",
    } | changes  # fmt: skip


def record(**changes: object) -> dict[str, object]:
    return dict.fromkeys(FIELDS, "") | {
        "record_id": "r1", "node": "veil-1", "seq": 1, "mode": "AXB", "tel_x": X, "presented_number": X,
        "call_out_time": "2026-11-24T01:02:03.456Z", "caller": "138****8000", "ingress_peer": "core",
    } | changes  # fmt: skip


def looked(folder: Path, name: str, *rows: dict[str, str] | dict[str, object]) -> tuple[ExportInvariants, list[str]]:
    """What is found in an export, the same as JSON and as CSV; places as in JSON, which has no header."""
    (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    exports = ExportInvariants(folder, SERVES)
    found = [f"{finding.invariant}: {finding.detail}" for finding in exports.findings()]
    (folder / f"{name}.jsonl").unlink()
    with (folder / f"{name}.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    again = [f"{finding.invariant}: {finding.detail}" for finding in ExportInvariants(folder, SERVES).findings()]
    assert again == [line.replace(".jsonl:2", ".csv:3") for line in found]
    return exports, found


@pytest.mark.parametrize(
    ("second", "told"),
    [
        (binding(tel_a="13700137000", tel_b="13600136000"), []),
        (binding(tel_a="13700137000"), [f"I1: b.jsonl:2: {X} has two targets for one caller"]),
        (binding(mode="AXYB", tel_x="700123456780002", tel_y=X),
         [f"I1: b.jsonl:2: {X} has two targets for one caller"]),
        (binding(mode="AXYB", tel_x="700123456780002", tel_y="700123456780002"),
         ["I2: b.jsonl:2: 700123456780002 is X and Y"]),
        (binding(tel_x="17000000000"), ["I3: b.jsonl:2: has a number that is not one of 700"]),
        (binding(tel_x="700123456780002", business_user="bu-other"),
         ["I3: b.jsonl:2: block 70012345678 has bindings of bu-express and of bu-other"]),
        (binding(tel_a="138****8000"), []),
    ],
)  # fmt: skip
def test_exported_bindings(tmp_path: Path, second: dict[str, str], told: list[str]) -> None:
    exports, found = looked(tmp_path, "b", binding(), second)
    assert (found, exports.bindings, exports.masked) == (told, 2, int("*" in second["tel_a"]))


@pytest.mark.parametrize(
    ("second", "told"),
    [
        (record(record_id="r2", seq=2), []),
        (record(record_id="r2", node="veil-2"), []),
        (record(seq=2), ["I8: r.jsonl:2: record r1 stands twice"]),
        (record(record_id="r2"), ["I8: r.jsonl:2: record r2 of node veil-1 has seq 1 behind 1"]),
        (record(record_id="r2", seq=2, presented_number="13800138000"),
         ["I7: r.jsonl:2: call r2 showed a number that is neither X nor Y of its binding"]),
        (record(record_id="r2", seq=2, presented_number="", tel_y=""),
         ["I7: r.jsonl:2: call r2 showed a number that is neither X nor Y of its binding"]),
        (record(record_id="r2", seq=2, presented_number="", call_out_time=None), []),
        (record(record_id="r2", seq=2, presented_number="", mode="transit"), []),
        (record(record_id="r2", seq=2, caller=X, ingress_peer="other"),
         [f"I15: r.jsonl:2: call r2 of {X} came from peer other, which does not serve its block"]),
    ],
)  # fmt: skip
def test_exported_records(tmp_path: Path, second: dict[str, object], told: list[str]) -> None:
    exports, found = looked(tmp_path, "r", record(), second)
    assert (found, exports.records) == (told, 2)


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("a.csv", "mode,tel_x\n", "a.csv:1: neither the header of `bindings export` nor that of `cdr export`"),
        ("a.csv", ",".join(COLUMNS) + "\n1,2\n", "a.csv:2: has not as many values as the header"),
        ("a.jsonl", "{}\n", "a.jsonl:1: not a line of an export"),
        ("a.jsonl", "[", "a.jsonl: no export: "),
        ("a.csv", "\udcff", "a.csv: no export: "),
        ("a.txt", "", "no export in it: *.csv and *.jsonl are read"),
    ],
)
def test_what_is_no_export_is_one_line(tmp_path: Path, name: str, text: str, told: str) -> None:
    (tmp_path / name).write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(StoreError) as caught:
        list(ExportInvariants(tmp_path, SERVES).findings())
    assert told in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
    with pytest.raises(StoreError, match="no such folder"):
        ExportInvariants(tmp_path / "gone", SERVES)
