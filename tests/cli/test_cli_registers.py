"""complaint and credit: what they print, what they refuse, and what they do to calls and scores."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.cli.commands import A, B, Run, X, bind_words

COMPLAINT = ("complaint", "add", "--number", X, "--complainant", B, "--detail", f"{A} sold insurance")


def test_a_complaint_is_taken_in_blocked_and_closed(stocked: Run) -> None:
    assert stocked(*COMPLAINT).out == "1\n"
    blocked = stocked("complaint", "block", "1", "--reason", "three in a day")
    assert (blocked.status, re.sub(r"\d+ s", "N s", blocked.out)) == (0, "complaint 1: blocked N s after it came in\n")
    assert stocked("restore", "number", X, "--reason", "r").status == 0  # it was shut off
    assert stocked("complaint", "close", "1", "--reason", "answered").out == "complaint 1: closed\n"
    (row,) = stocked("complaint", "list", "--json").json
    assert (row["state"], row["detail"], row["complainant"]) == ("closed", "138****8000 sold insurance", "139****9000")
    listed = stocked("complaint", "list")
    assert "138****8000 sold insurance" in listed.out
    assert listed.told[0].startswith("veil700: 1 blocked, after ")
    again = stocked("complaint", "block", "1", "--reason", "r")
    assert (again.status, again.told) == (1, ["veil700: state: the complaint is closed already"])


def test_a_complaint_may_end_one_binding(stocked: Run) -> None:
    subs_id = stocked(*bind_words()).out.split()[0]
    assert stocked(*COMPLAINT).status == 0
    wrong = stocked("complaint", "block", "1", "--reason", "r", "--binding", "0" * 32)
    assert (wrong.status, wrong.told) == (1, [f"veil700: subs_id: is no binding of {X}"])
    assert (
        stocked("complaint", "block", "1", "--reason", "r", "--binding", subs_id, "--json").json["state"] == "blocked"
    )
    (row,) = stocked("bindings", "list", "--json").json
    assert row["state"] == "revoked"


def test_offences_lower_the_score_and_are_shared(stocked: Run, tmp_path: Path) -> None:
    add = ("credit", "add", "bu-express", "--offence", "marketing", "--detail", "complaint 17")
    assert stocked(*add, "--at", "2026-01-05T08:00:00+08:00").out == "bu-express: score 80\n"
    assert stocked(*add, "--source", "other.example", "--json").json["credit_score"] == 60
    exported = stocked("credit", "export").out
    assert [json.loads(line)["source"] for line in exported.splitlines()] == ["veil.example", "other.example"]
    shared = tmp_path / "shared.jsonl"
    shared.write_text(exported)
    assert stocked("credit", "import", shared).out == "0 new, 2 known already\n"
    shared.write_text(exported.replace("other.example", "third.example"))
    assert stocked("credit", "import", shared, "--json").json == {"new": 1, "known": 1}
    listed = stocked("credit", "list", "--business-user", "bu-express")
    assert listed.out.splitlines()[-1] == "score 40"
    assert stocked("credit", "list", "--json").json["credit_score"] is None


@pytest.mark.parametrize(
    ("words", "status", "told"),
    [
        (("complaint", "block", "7", "--reason", "r"), 1, "veil700: id: there is no complaint 7"),
        (("complaint", "block", "1", "--reason", " "), 2, "veil700: --reason is empty"),
        (("credit", "add", "nobody", "--offence", "fraud", "--detail", "d"), 1,
         "veil700: id: there is no business user nobody"),
        (("credit", "add", "bu-express", "--offence", "x", "--detail", "d"), 1,
         "veil700: offence: must be one of resale, forged_orders, fraud, marketing"),
        (("credit", "add", "bu-express", "--offence", "fraud", "--detail", "d", "--at", "x"), 2, "veil700: --at: "),
        (("credit", "import", "/nowhere.jsonl"), 1, "veil700: /nowhere.jsonl: No such file or directory"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_one_line(stocked: Run, words: tuple[str, ...], status: int, told: str) -> None:
    done = stocked(*words)
    assert (done.status, done.out, len(done.told)) == (status, "", 1)
    assert done.err.startswith(told)
