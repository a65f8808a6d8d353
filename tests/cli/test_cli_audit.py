"""audit list, and the reason that goes with a look at real numbers."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.commands import A, B, Done, Run, X, bind_words


@pytest.fixture
def looked(stocked: Run, file: Path) -> Run:
    """A binding, and two looks at it: an export with a reason, an explanation without."""
    with file.open("a") as more:
        more.write('[[peer]]\nname = "core"\nmatch = ["127.0.0.0/8"]\n')
    assert stocked(*bind_words()).status == 0
    assert stocked("bindings", "export", "--reveal", "--reason", f"complaint of {B}").status == 0
    assert stocked("explain", "--caller", A, "--called", X, "--reveal").status == 1  # there is no route
    return stocked


def test_who_why_and_what(looked: Run) -> None:
    applied, exported, explained = looked("audit", "list", "--json").json
    assert (applied["action"], applied["detail"]) == ("inventory.apply", "inventory.toml: 5 rows new or changed")
    assert list(exported) == ["at", "actor", "action", "reason", "detail"]
    assert (exported["action"], exported["reason"]) == ("bindings.export", "complaint of 139****9000")
    assert exported["detail"] == "reveal the 1 bindings in force"
    assert (explained["action"], explained["reason"]) == ("explain", "")
    assert exported["at"] <= explained["at"]
    assert exported["actor"] == explained["actor"] != ""


@pytest.mark.parametrize(
    "spelling",
    ["139 0013 9000", "+86 139-0013-9000", "1390013.9000", "1(39)00139000", "１３９００１３９０００",
     "１３９－００１３－９０００", "①③⑨〇〇①③⑨〇〇〇", "一三九零零一三九〇〇〇"],
)  # fmt: skip
def test_a_number_in_groups_is_masked_in_a_reason(looked: Run, spelling: str) -> None:
    assert looked("bindings", "export", "--reveal", "--reason", f"call of 2026-11-25 10:30 to {spelling}").status == 0
    reason = looked("audit", "list", "--json").json[-1]["reason"]
    assert reason.startswith("call of 2026-11-25 10:30 to ") and reason.endswith("139****9000")


def test_a_reason_without_a_number_stays_as_it_was(looked: Run) -> None:
    reason = "投诉，第一次（2026-11-25 10:30），案号：20261125001"
    assert looked("bindings", "export", "--reveal", "--reason", reason).status == 0
    assert looked("audit", "list", "--json").json[-1]["reason"] == reason


def test_as_a_table(looked: Run, file: Path) -> None:
    (file.parent / "data" / "key").unlink()  # it needs none
    header, _, exported, explained = looked("audit", "list").out.splitlines()
    assert header.split() == ["at", "actor", "action", "reason", "detail"]
    assert exported.endswith("complaint of 139****9000  reveal the 1 bindings in force")
    assert explained.split()[3] == "-"


def test_looks_of_a_time(looked: Run) -> None:
    *before, last = looked("audit", "list", "--json").json
    assert looked("audit", "list", "--json", "--since", last["at"]).json == [last]
    assert looked("audit", "list", "--json", "--until", last["at"]).json == before
    assert looked("audit", "list", "--json", "--since", "2040-01-01T00:00:00Z").json == []


def test_nothing_written_yet_is_one_line(run: Run, file: Path) -> None:
    done = run("audit", "list")
    assert (done.status, done.out) == (1, "")
    assert done.told[0].endswith("bindings.db: no such file: nothing has been written into this data folder yet")
    assert not (file.parent / "data" / "bindings.db").exists()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--reason", "why"), "veil700: --reason goes with --reveal"),
        (("--reveal", "--reason", " "), "veil700: --reason is empty"),
        (("--reveal", "--reason", "x" * 501), "veil700: --reason has 501 characters, 500 are kept"),
    ],
)
@pytest.mark.parametrize(
    "verb", [("cdr", "export"), ("bindings", "export"), ("explain", "--caller", A, "--called", X)], ids=lambda v: v[0]
)
def test_a_reason_that_cannot_be_taken(run: Run, verb: tuple[str, ...], words: tuple[str, ...], told: str) -> None:
    assert run(*verb, *words) == Done(2, "", told + "\n")
