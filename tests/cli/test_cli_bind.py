"""bind in all modes and with its options, rebind, group and blacklist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from engine.store.rows import utc_text
from tests.cli.commands import INVENTORY, UNTIL, UNTIL_S, A, B, Done, Run, X, bind_words, rows

C = "13700137000"


@pytest.fixture
def all_modes(run: Run, tmp_path: Path) -> Run:
    """Commands on a store whose scenario allows every mode."""
    file = tmp_path / "all.toml"
    file.write_text(INVENTORY.read_text().replace('modes = ["AXB"]', 'modes = ["AXB", "AXYB", "GXB", "GXYB"]'))
    assert run("inventory", "apply", file).status == 0
    return run


def words(**options: str) -> list[str]:
    """`bind` of B, without X and A unless they are given."""
    usual = {"tel_b": B, "business_user": "bu-express", "order_id": "1", "scenario": "express", "expiration": UNTIL}
    named = (usual | options).items()
    return ["bind", *(word for name, value in named for word in (f"--{name.replace('_', '-')}", value))]


def test_a_number_that_is_picked_is_told(all_modes: Run) -> None:
    done = all_modes(*words(tel_a=A))
    assert done.status == 0
    assert re.fullmatch(r"[0-9a-f]{32}\n", done.out)
    assert re.fullmatch(r"tel_x 70012345678[0-9]{4}\n", done.err)
    both = all_modes(*words(mode="AXYB", tel_a=A), "--json")
    assert (both.status, both.err) == (0, "")
    assert both.json["tel_x"] != both.json["tel_y"]


def test_a_binding_is_changed(all_modes: Run) -> None:
    subs_id = all_modes(*bind_words()).out.strip()
    later = utc_text(UNTIL_S + 86_400)
    done = all_modes("rebind", subs_id, "--tel-b", C, "--no-sms", "--expiration", later, "--json")
    assert done.json == {"subs_id": subs_id, "version": 2, "tel_x": X, "tel_y": "", "expires_at": later}
    listed = all_modes("bindings", "list", "--json").json
    assert [(row["version"], row["tel_b"], row["state"]) for row in listed] == [
        (1, "139****9000", "replaced"), (2, "137****7000", "active"),
    ]  # fmt: skip
    assert all_modes("rebind", subs_id, "--sms") == Done(0, "", "")


def test_a_change_that_names_nothing_is_wrong_usage(all_modes: Run) -> None:
    done = all_modes("rebind", "some")
    assert (done.status, done.out, len(done.told)) == (2, "", 1)
    assert done.told[0].startswith("veil700: rebind: nothing is named that should change")


def test_a_request_with_a_name_is_carried_out_once(all_modes: Run) -> None:
    first = all_modes(*words(tel_a=A, req_id="r-1"), "--json")
    assert all_modes(*words(tel_a=A, req_id="r-1"), "--json") == first
    assert len(all_modes("bindings", "list", "--json").json) == 1
    other = all_modes(*words(tel_a=C, req_id="r-1"))
    assert other == Done(1, "", "veil700: req_id: was used before, for another request\n")


def test_a_group_is_made_bound_changed_and_deleted(all_modes: Run, file: Path) -> None:
    made = all_modes(
        "group", "create", "--business-user", "bu-express", "--name", "couriers", "--member", A, "--member", C
    )
    assert (made.status, made.err) == (0, "")
    group_id = made.out.strip()
    subs_id = all_modes(*words(mode="GXB", tel_x=X, group_id=group_id, callback="sequential")).out.strip()
    assert len(subs_id) == 32
    changed = all_modes("group", "edit", group_id, "--add", "13600136000", "--remove", A, "--json").json
    assert (changed["members"], changed["version"]) == (["137****7000", "136****6000"], 3)
    database = file.parent / "data" / "bindings.db"
    assert rows(database, "SELECT count(*) FROM target") == [(3,)]
    refused = all_modes("group", "delete", group_id)
    assert refused == Done(1, "", f"veil700: group_id: {group_id} is bound, by {subs_id}\n")
    assert all_modes("unbind", subs_id).status == 0
    assert all_modes("group", "delete", group_id, "--json").json["state"] == "deleted"
    header, row = all_modes("group", "list").out.splitlines()
    assert header.split()[:2] == ["group_id", "state"]
    assert row.split() == [group_id, "deleted", "4", "bu-express", "couriers", "137****7000", "136****6000"]
    assert not any(A in str(line) for line in rows(database, "SELECT * FROM audit"))


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ([], "veil700: group edit: nothing is named that should change"),
        (["--set", A, "--add", C], "veil700: group edit: --set names all members"),
    ],
)
def test_a_change_of_a_group_that_says_nothing_or_too_much(all_modes: Run, options: list[str], line: str) -> None:
    assert all_modes(*bind_words()).status == 0
    done = all_modes("group", "edit", "g", *options)
    assert (done.status, len(done.told)) == (2, 1)
    assert done.err.startswith(line)


def test_the_blacklist(all_modes: Run, file: Path) -> None:
    on = ("--app-platform", "ap-demo")
    assert all_modes("blacklist", "add", *on, "--first", A) == Done(0, "", "")
    added = all_modes("blacklist", "add", *on, "--first", A, "--second", B, "--way", "first_may_call", "--json").json
    assert (added["first"], added["second"], added["way"]) == ("138****8000", "139****9000", "first_may_call")
    listed = all_modes("blacklist", "list", *on, "--json").json
    assert [(row["second"], row["way"]) for row in listed] == [("", "both"), ("139****9000", "first_may_call")]
    assert all_modes("blacklist", "remove", *on, "--first", A) == Done(0, "", "")
    again = all_modes("blacklist", "remove", *on, "--first", A)
    assert again == Done(1, "", "veil700: first: is not on this blacklist with that second number\n")
    header, row = all_modes("blacklist", "list", *on).out.splitlines()
    assert (header.split(), row.split()[:3]) == (
        ["first", "second", "way", "at"], ["138****8000", "139****9000", "first_may_call"],
    )  # fmt: skip
    audit = rows(file.parent / "data" / "bindings.db", "SELECT action, detail FROM audit WHERE action LIKE 'black%'")
    assert audit == [
        ("blacklist.add", "ap-demo 138****8000"), ("blacklist.add", "ap-demo 138****8000 139****9000"),
        ("blacklist.remove", "ap-demo 138****8000"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (["--app-platform", "ap-x", "--first", A], "app_platform: 'ap-x' is not in the inventory"),
        (["--app-platform", "ap-demo", "--first", "12"], "first: '****' is not a number that can be called"),
        (["--app-platform", "ap-demo", "--first", A, "--second", A], "second: is also first"),
        (["--app-platform", "ap-demo", "--first", A, "--way", "first_may_call"], "way: first_may_call needs a second"),
        (["--app-platform", "ap-demo", "--first", A, "--way", "none"], "way: 'none' is none of both, first_may_call"),
    ],
)
def test_what_cannot_be_blacklisted(all_modes: Run, options: list[str], line: str) -> None:
    done = all_modes("blacklist", "add", *options)
    assert (done.status, done.out, len(done.told)) == (1, "", 1)
    assert done.err.startswith(f"veil700: {line}")
