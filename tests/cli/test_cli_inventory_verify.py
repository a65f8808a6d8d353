"""inventory verify as a command: clean, with findings, and on exports."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.cli.commands import Done, Run, X, bind_words


def tomorrow() -> str:
    """Within what the scenario allows."""
    return (datetime.now(UTC) + timedelta(days=1)).isoformat()


def break_it(file: Path, statement: str) -> None:
    connection = sqlite3.connect(file.parent / "data" / "bindings.db", isolation_level=None)
    connection.execute(statement)
    connection.close()


def test_a_clean_store(stocked: Run) -> None:
    stocked(*bind_words(expiration=tomorrow()))
    told = "all invariants hold: 1 bindings, 1 numbers, 0 records\n"
    assert stocked("inventory", "verify") == Done(0, told, "")
    assert stocked("inventory", "verify", "--json").json == {
        "ok": True, "bindings": 1, "numbers": 1, "records": 0, "found": {}, "findings": [],
    }  # fmt: skip


def test_findings_are_lines_and_status_1(stocked: Run, file: Path) -> None:
    subs_id = stocked(*bind_words(expiration=tomorrow())).out.strip()
    break_it(file, "DELETE FROM target WHERE caller = (SELECT min(caller) FROM target)")
    told = f"{X} has no target for a party of {subs_id}"
    assert stocked("inventory", "verify") == Done(1, f"I1: {told}\n1 findings: 1 bindings, 1 numbers, 0 records\n", "")
    done = stocked("inventory", "verify", "--json")
    assert (done.status, done.json["ok"], done.json["found"]) == (1, False, {"I1": 1})
    assert done.json["findings"] == [{"invariant": "I1", "detail": told}]


def test_more_findings_than_are_listed_are_counted(stocked: Run, file: Path) -> None:
    break_it(
        file,
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1002) INSERT INTO assignment"
        " (prefix, app_platform, business_user, from_at) SELECT 70000000000 + i, 'ap-demo', 'bu-express', 0 FROM n",
    )
    *lines, more, last = stocked("inventory", "verify").out.splitlines()
    assert (len(lines), more) == (1000, "I3: 2 more of it")
    assert last.startswith("1002 findings: ")


def test_exports_need_no_store(stocked: Run, run: Run, tmp_path: Path) -> None:
    stocked(*bind_words(expiration=tomorrow()))
    exports = tmp_path / "exports"
    exports.mkdir()
    (exports / "bindings.csv").write_text(stocked("bindings", "export", "--reveal").out)
    told = "all invariants hold: 1 bindings, 0 masked, 0 records\n"
    assert run("inventory", "verify", "--exports", exports) == Done(0, told, "")
    (exports / "more.csv").write_text(stocked("bindings", "export").out)
    masked = "veil700: 1 bindings have masked numbers: I1 is not proved of them\n"
    assert run("inventory", "verify", "--exports", exports).err == masked
    assert run("inventory", "verify", "--exports", tmp_path / "gone").status == 1


def test_no_store_is_one_line(run: Run) -> None:
    done = run("inventory", "verify")
    assert (done.status, len(done.told)) == (1, 1)
