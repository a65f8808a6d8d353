"""cdr archive, and what reads it: cdr export and cdr settlement with --from-archive."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine.core.records import CallRecord
from engine.store.anchors import DAY_S
from engine.store.crypto import open_key
from engine.store.database import RECORDS, open_database
from engine.store.ledger import Ledger
from engine.store.rows import RowMaker
from engine.store.signing import Signer, open_signing_key
from tests.cli.commands import A, B, Done, Run, X, rows

NOON_S = 1_795_521_600.0  # 2026-11-24T12:00:00Z
MONTH = ("--from", "2026-11-01", "--until", "2026-12-01")


@pytest.fixture
def recorded(run: Run, file: Path) -> Run:
    """One record on each of three days, of which two are over."""
    data_dir = file.parent / "data"
    cipher, at = open_key(data_dir), NOON_S
    connection = open_database(data_dir / "records.db", RECORDS, cipher)
    ledger, maker = Ledger(connection, "veil-1", open_signing_key(data_dir), lambda: at), RowMaker(cipher, "boot")
    for number in range(3):
        record = CallRecord(f"r{number}", "veil-1", "voice")
        record.tel_x, record.caller, record.callee, record.ingress_peer = X, A, B, "core"
        record.call_time = record.release_time = at
        record.release_cause, record.sip_status, record.q850 = "NO_BINDING", 404, 1
        ledger.write([], [], [maker.closing(record.snapshot())])
        at += DAY_S
    connection.close()
    return run


@pytest.fixture
def folder(file: Path) -> Path:
    made = file.parent / "shelf"
    made.mkdir()
    return made


def test_days_become_files(recorded: Run, folder: Path) -> None:
    done = recorded("cdr", "archive", "--until", "2026-11-26", "--dir", folder)
    assert done == Done(
        0,
        "cdr-veil-1-2026-11-24.parquet: 1 records, seq 1 to 1\n"
        "cdr-veil-1-2026-11-25.parquet: 1 records, seq 2 to 2\n"
        "2 days archived, 2 records\n",
        "",
    )
    assert recorded("cdr", "archive", "--until", "2026-11-26", "--dir", folder).out == "0 days archived, 0 records\n"


def test_the_folder_of_the_configuration(recorded: Run, file: Path, folder: Path) -> None:
    file.write_text(file.read_text() + '[cdr]\narchive_dir = "shelf"\n')
    written = recorded("cdr", "archive", "--until", "2026-11-25", "--json").json
    assert [(one["day"], one["file"], one["last_seq"]) for one in written] == [
        ("2026-11-24", "cdr-veil-1-2026-11-24.parquet", 1)
    ]
    assert (folder / written[0]["file"]).stat().st_size == written[0]["octets"]


def test_it_needs_no_key(recorded: Run, file: Path, folder: Path) -> None:
    for name in ("key", "signing_key"):
        (file.parent / "data" / name).unlink()
    assert recorded("cdr", "archive", "--until", "2026-11-26", "--dir", folder).status == 0


@pytest.mark.parametrize("options", [[], ["--format", "csv"], ["--format", "asterisk-csv"], ["--reveal"]])
def test_an_export_reads_both(recorded: Run, folder: Path, options: list[str]) -> None:
    before = recorded("cdr", "export", *options)
    recorded("cdr", "archive", "--until", "2026-11-26", "--dir", folder)
    assert recorded("cdr", "export", "--from-archive", folder, *options) == before
    assert before.out.count("NO_BINDING") == 3


def test_a_revealed_export_of_both_is_audited(recorded: Run, file: Path, folder: Path) -> None:
    recorded("cdr", "archive", "--until", "2026-11-26", "--dir", folder)
    done = recorded("cdr", "export", "--from-archive", folder, "--reveal", "--reason", "complaint 4711")
    assert {json.loads(line)["caller"] for line in done.out.splitlines()} == {A}
    ((detail,),) = rows(
        file.parent / "data" / "bindings.db", "SELECT detail FROM audit WHERE action != 'inventory.apply'"
    )
    assert detail.startswith("reveal 3 records from r0 to r2")


def test_a_settlement_reads_both(recorded: Run, folder: Path) -> None:
    before = recorded("cdr", "settlement", *MONTH)
    recorded("cdr", "archive", "--until", "2026-11-26", "--dir", folder)
    assert recorded("cdr", "settlement", *MONTH, "--from-archive", folder) == before
    assert len(before.out.splitlines()) == 4


def test_verify_reads_the_archive_too(recorded: Run, file: Path, folder: Path) -> None:
    recorded("cdr", "archive", "--until", "2026-11-26", "--dir", folder)
    done = recorded("cdr", "verify", "--archive", folder)
    assert (done.status, done.out.splitlines()[-2:]) == (0, ["archive: 2 days, 2 records", "3 records, clean"])
    assert recorded("cdr", "verify", "--json").json["archive"] is None

    path = folder / "cdr-veil-1-2026-11-24.parquet"
    path.write_bytes(path.read_bytes()[:-1])
    done = recorded("cdr", "verify", "--archive", folder)
    assert (done.status, done.out.splitlines()[-1]) == (1, "3 records, NOT CLEAN")
    assert "archive: veil-1: 2026-11-24: cdr-veil-1-2026-11-24.parquet: " in done.out
    report = recorded("cdr", "verify", "--archive", folder, "--json").json
    assert (report["clean"], report["archive"]["days"], len(report["archive"]["faults"])) == (False, 2, 1)

    file.with_name("strange.pub").write_text(Signer(b"s" * 32).public_pem)
    done = recorded("cdr", "verify", "--archive", folder, "--public-key", file.with_name("strange.pub"))
    assert done.out.count("archive: veil-1: 2026-11-2") == 2


@pytest.mark.parametrize(
    ("words", "status", "told"),
    [
        (["archive", "--until", "2026-11-26"], 2, "--dir is missing, and [cdr] names no archive_dir"),
        (["archive", "--until", "tomorrow", "--dir", "x"], 2, "--until: 'tomorrow' is not a day such as 2026-11-24"),
        (["archive", "--until", "2026-11-26", "--dir", "none"], 1,
         "none: No such file or directory: make the folder first"),
        (["export", "--from-archive", "none"], 1, "none: no such folder"),
        (["settlement", *MONTH, "--from-archive", "none"], 1, "none: no such folder"),
    ],
)  # fmt: skip
def test_one_line_says_what_is_wrong(recorded: Run, words: list[str], status: int, told: str) -> None:
    assert recorded("cdr", *words) == Done(status, "", f"veil700: {told}\n")
