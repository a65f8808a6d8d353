"""bind, unbind, bindings import, list and export, inventory apply."""

from __future__ import annotations

import csv
import os
import pty
import pwd
import re
import subprocess
import sys
from pathlib import Path

import pytest

from engine.store.rows import utc_text
from tests.cli.commands import (
    INVENTORY,
    PROGRAM,
    ROOT,
    UNTIL_S,
    A,
    B,
    Done,
    Run,
    X,
    bind_words,
    csv_file,
    rows,
)


def test_bind_prints_the_id_alone(stocked: Run) -> None:
    done = stocked(*bind_words())
    assert (done.status, done.err) == (0, "")
    assert re.fullmatch(r"[0-9a-f]{32}\n", done.out)
    other = stocked(*bind_words(tel_x="700123456780002", mode="AXB"), "--json")
    assert other.json == {
        "subs_id": other.json["subs_id"], "version": 1, "tel_x": "700123456780002", "tel_y": "",
        "expires_at": utc_text(UNTIL_S),
    }  # fmt: skip
    assert [row["subs_id"] for row in stocked("bindings", "list", "--json").json] == [
        done.out.strip(),
        other.json["subs_id"],
    ]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"mode": "AX"}, "mode: 'AX' is none of AXB, AXYB, GXB, GXYB"),
        ({"tel_x": "70012345678"}, "tel_x: "),
        ({"tel_x": "700999999990001"}, "block"),
        ({"tel_a": "8613800138000"}, "tel_a: "),
        ({"tel_b": "+86 138-0013-8000"}, "tel_b: 138****8000 is also tel_a"),
        ({"business_user": "bu-other"}, "business_user: "),
        ({"expiration": "2020-01-01T00:00:00Z"}, "expiration: "),
    ],
)
def test_a_binding_against_the_rules_is_refused_in_one_line(stocked: Run, changes: dict[str, str], reason: str) -> None:
    done = stocked(*bind_words(**changes))
    assert (done.status, done.out, len(done.told)) == (1, "", 1)
    assert done.err.startswith("veil700: ")
    assert reason in done.err
    assert A not in done.err
    assert stocked("bindings", "list", "--json").json == []


def test_a_conflict_names_the_other_binding(stocked: Run) -> None:
    first = stocked(*bind_words()).out.strip()
    done = stocked(*bind_words(tel_b="13700137000"))
    assert done == Done(
        1, "", f"veil700: tel_x: {X} is already bound for 138****8000, by {first}: veil700 unbind ends that binding\n"
    )


def test_unbind_ends_a_binding_once(stocked: Run) -> None:
    subs_id = stocked(*bind_words()).out.strip()
    assert stocked("unbind", subs_id) == Done(0, "", "")
    assert stocked("bindings", "list", "--json").json[0]["state"] == "unbound"
    again = stocked("unbind", subs_id, "--json")
    assert (again.status, again.out, len(again.told)) == (1, "", 1)
    other = stocked(*bind_words()).out.strip()
    ended = stocked("unbind", other, "--json").json
    assert (ended["subs_id"], ended["state"]) == (other, "unbound")
    assert ended["released_at"] < ended["cool_until"]


def test_list_is_a_table_with_masked_numbers(stocked: Run) -> None:
    subs_id = stocked(*bind_words()).out.strip()
    header, row = stocked("bindings", "list").out.splitlines()
    assert header.split()[:4] == ["subs_id", "mode", "tel_x", "tel_a"]
    assert row.split() == [subs_id, "AXB", X, "138****8000", "139****9000", "bu-express", "express",
                           utc_text(UNTIL_S), "active", "4711"]  # fmt: skip
    assert not re.search(f"{A}|{B}", stocked("bindings", "list", "--json").out)


def test_a_revealed_export_is_audited_and_can_be_imported(stocked: Run, file: Path, tmp_path: Path) -> None:
    stocked(*bind_words(order_id="=1+1"))
    (masked,) = csv.DictReader(stocked("bindings", "export").out.splitlines())
    assert (masked["tel_a"], masked["tel_b"], masked["order_id"]) == ("138****8000", "139****9000", "'=1+1")
    database = file.parent / "data" / "bindings.db"
    assert rows(database, "SELECT * FROM audit WHERE action != 'inventory.apply'") == []

    revealed = stocked("bindings", "export", "--reveal", "--reason", " moved\nto veil-2 ").out
    (row,) = csv.DictReader(revealed.splitlines())
    assert (row["tel_a"], row["tel_b"], row["order_id"]) == (A, B, "=1+1")
    ((who, action, reason, detail),) = rows(
        database, "SELECT actor, action, reason, detail FROM audit WHERE action != 'inventory.apply'"
    )
    assert (who, action) == (pwd.getpwuid(os.getuid()).pw_name, "bindings.export")
    assert (reason, detail) == ("moved to veil-2", "reveal the 1 bindings in force")

    exported = tmp_path / "export.csv"
    exported.write_text(revealed)
    stocked("unbind", stocked("bindings", "list", "--json").json[0]["subs_id"])
    assert stocked("bindings", "import", exported) == Done(0, "imported 1, bad 0\n", "")
    assert stocked("bindings", "export", "--reveal").out == revealed
    assert stocked("bindings", "export", "--json", "--reveal").json == [row]


def test_import_is_all_or_nothing(stocked: Run, tmp_path: Path) -> None:
    file = csv_file(tmp_path / "b.csv", {}, {"tel_x": "700123456780002", "tel_a": "138"}, {"order_id": ""})
    done = stocked("bindings", "import", file)
    assert (done.status, done.out) == (1, "imported 0, bad 2\n")
    assert [line.split(": ")[:3] for line in done.told] == [
        [str(file), "line 3", "tel_a"],
        [str(file), "line 4", "order_id"],
    ]
    assert stocked("bindings", "list", "--json").json == []
    done = stocked("bindings", "import", file, "--skip-bad", "--json")
    assert (done.status, done.json, len(done.told)) == (0, {"imported": 1, "bad": 2}, 2)


@pytest.mark.parametrize("content", [None, "", "a,b\n1,2\n", "\x00\xff"])
def test_a_file_that_is_no_import_is_refused_in_one_line(stocked: Run, tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "b.csv"
    if content is not None:
        file.write_text(content)
    done = stocked("bindings", "import", file)
    assert (done.status, done.out, len(done.told)) == (1, "", 1)
    assert done.err.startswith(f"veil700: {file}: ")


def test_the_import_shows_its_progress_on_a_terminal_only(stocked: Run, file: Path, tmp_path: Path) -> None:
    bindings = csv_file(tmp_path / "b.csv", *({"tel_x": f"70012345678{n:04}"} for n in range(50)))
    ours, theirs = pty.openpty()
    started = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "bindings", "import", str(bindings), "--config", str(file)],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=theirs, text=True, env=os.environ | {"TERM": "xterm"},
    )  # fmt: skip
    os.close(theirs)
    drawn = read_terminal(ours)
    out, _ = started.communicate(timeout=60)
    assert (started.returncode, out) == (0, "imported 50, bad 0\n")
    assert "100%" in drawn


def read_terminal(descriptor: int) -> str:
    """All that is written until the other end closes (EIO on Linux)."""
    parts = []
    try:
        while part := os.read(descriptor, 65536):
            parts.append(part)
    except OSError:
        pass
    os.close(descriptor)
    return b"".join(parts).decode()


@pytest.mark.parametrize("words", [["bindings", "list"], ["bindings", "export"], ["unbind", "a"], ["cdr", "export"],
                                   ["cdr", "verify"], ["status"], ["calls"]])  # fmt: skip
def test_a_look_at_a_folder_without_data_makes_nothing(run: Run, file: Path, words: list[str]) -> None:
    done = run(*words)
    assert (done.status, done.out, len(done.told)) == (1, "", 1)
    assert re.match(rf"veil700: {file.parent}/data/\S+: no ", done.err)
    assert list(file.parent.iterdir()) == [file]


def test_an_inventory_is_applied_whole_or_not_at_all(run: Run, tmp_path: Path) -> None:
    assert run("inventory", "apply", INVENTORY, "--json").json == {
        "app_platform": 1, "business_user": 1, "contract": 1, "scenario": 1, "number_block": 1, "number_pool": 0,
    }  # fmt: skip
    done = run("inventory", "apply", INVENTORY)
    assert (
        done.out == "applied app_platform 1, business_user 1, contract 1, scenario 1, number_block 1, number_pool 0\n"
    )
    bad = tmp_path / "bad.toml"
    bad.write_text('[[app_platform]]\nid = "x"\nnme = "y"\n')
    done = run("inventory", "apply", bad)
    assert (done.status, done.out) == (1, "")
    assert all(line.startswith(f"veil700: {bad}:") for line in done.told)
    assert any("did you mean name?" in line for line in done.told)


def test_a_folder_that_cannot_be_made_is_one_line(run: Run, file: Path) -> None:
    file.write_text('[node]\ndata_dir = "veil.toml/data"\n')
    done = run(*bind_words())
    fault = f'node.data_dir: "veil.toml/data" cannot be made: {file} is a file, not a folder'
    assert done == Done(2, "", f"{file}:2: {fault}\n")
