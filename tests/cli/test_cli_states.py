"""state, kill and restore: what they print, what they refuse, and what they leave in the store."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.commands import Done, Run, X

WHY = ("--reason", "letter 12 of 13800138000")
BLOCK = X[:11]


def test_a_state_is_moved_told_and_audited(stocked: Run) -> None:
    done = stocked("state", "business_user", "bu-express", "frozen", *WHY)
    assert done == Done(0, "business_user bu-express: active -> frozen\n", "")
    assert stocked("state", "business_user", "bu-express", "active", *WHY, "--json").json == {
        "kind": "business_user", "id": "bu-express", "from": "frozen", "to": "active",
    }  # fmt: skip
    *_, row = stocked("audit", "list", "--json").json
    assert (row["action"], row["detail"]) == ("business_user.state", "bu-express: frozen -> active")
    assert row["reason"] == "letter 12 of 138****8000"


def test_an_illegal_move_names_the_legal_ones(stocked: Run) -> None:
    done = stocked("state", "scenario", "express", "draft", *WHY)
    told = "veil700: state: a scenario that is approved cannot become draft: it may become retired\n"
    assert done == Done(1, "", told)


def test_a_number_is_locked_and_let_free(stocked: Run) -> None:
    assert stocked("state", "number", X, "locked", *WHY).out == f"number {X}: idle -> locked\n"
    assert stocked("state", "number", X, "idle", *WHY, "--json").json["to"] == "idle"


def test_a_platform_needs_an_exit_plan(stocked: Run) -> None:
    done = stocked("state", "app_platform", "ap-demo", "winding_down", *WHY)
    assert (done.status, len(done.told)) == (1, 1)
    assert done.err.startswith("veil700: exit_day: missing: the day of the exit, ")
    plan = ("--exit-day", "2099-01-31")
    assert stocked("state", "app_platform", "ap-demo", "winding_down", *plan, *WHY).status == 0


@pytest.mark.parametrize(
    "words", [("number_block", BLOCK), ("number", X), ("app_platform", "ap-demo"), ("everything",)]
)
def test_a_switch_is_thrown_and_undone(stocked: Run, words: tuple[str, ...]) -> None:
    assert stocked("kill", *words, *WHY) == Done(0, f"{' '.join(words)}: killed\n", "")
    assert stocked("kill", *words, *WHY) == Done(1, "", f"veil700: state: {' '.join(words)} is shut off already\n")
    assert stocked("restore", *words, *WHY, "--json").json == {
        "kind": words[0], "id": words[1] if len(words) > 1 else "", "state": "restored",
    }  # fmt: skip
    actions = [row["action"] for row in stocked("audit", "list", "--json").json]
    assert actions[1:] == ["kill", "restore"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("state", "planet", "x", "y", *WHY), "veil700: state: KIND is one of app_platform, business_user, "),
        (("state", "number", X, "locked"), "veil700 state: Missing option '--reason'"),
        (("state", "number", X, "locked", "--reason", " "), "veil700: --reason is empty"),
        (("state", "number", X, "locked", *WHY, "--exit-day", "2099-01-01"), "veil700: state: --exit-day goes with "),
        (("state", "number", X, "locked", *WHY, "--business-user", "b"), "veil700: state: --business-user goes with "),
        (("kill", "planet", "x", *WHY), "veil700: KIND is one of everything, app_platform, "),
        (("kill", "everything", "x", *WHY), "veil700: everything has no ID"),
        (("restore", "number", *WHY), "veil700: which number? ID is missing"),
    ],
)
def test_wrong_words_are_one_line(stocked: Run, words: tuple[str, ...], told: str) -> None:
    done = stocked(*words)
    assert (done.status, done.out, len(done.told)) == (2, "", 1)
    assert done.err.startswith(told)


def test_nothing_is_made_for_a_store_that_is_not_there(run: Run, file: Path) -> None:
    done = run("kill", "everything", *WHY)
    assert (done.status, len(done.told)) == (1, 1)
    assert "nothing has been written into this data folder yet" in done.err
    assert not (file.parent / "data").exists()
