"""The rig says so when a story goes wrong: whatever it looks at is falsified once, in a story that went well."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest

from docs import stories
from scenarios import play
from scenarios.rig.bystander import Bystander
from scenarios.rig.check import ended_wrong, ladder_differences, wrong
from scenarios.rig.errors import RigError
from scenarios.rig.node import Node
from scenarios.rig.nodes import Nodes
from scenarios.rig.place import Place, Places
from scenarios.rig.seen import Seen
from scenarios.rig.stage import play as play_one
from scenarios.rig.story import FILE, Story, read_folder, read_story, story_names
from scenarios.rig.told import Told
from tests.e2e.stories import ANSWERED, A, B, put_away

Falsify = Callable[[Told, Place], Told]


@pytest.fixture(scope="module")
def went_well(places: Places, tmp_path_factory: pytest.TempPathFactory) -> tuple[Told, Place]:
    """The answered call."""
    node = Node(places.take(), tmp_path_factory.mktemp("rig"))
    node.bind(*ANSWERED.binding)
    try:
        node.start()
        told = play_one(node, ANSWERED, "sipp", "sipp")
        assert wrong(ANSWERED, told, node.place) == []
        assert ended_wrong(node) == []
    finally:
        put_away(node)
    return told, node.place


def changed(side: str, shown: str, old: bytes, new: bytes) -> Falsify:
    """One message of a side with other bytes in it."""

    def falsify(told: Told, place: Place) -> Told:
        found = place.filled(new.decode()).encode()
        messages = [
            replace(m, data=m.data.replace(old, found, 1)) if m.shown == shown else m for m in getattr(told, side)
        ]
        assert messages != getattr(told, side)
        return replace(told, **{side: messages})

    return falsify


def recorded(**fields: Any) -> Falsify:
    """The record with other fields in it."""
    return lambda told, _: replace(told, records=[{**told.records[0], **fields}])


def at_once(told: Told) -> Told:
    """As if it had taken no time: there was no reason to repeat anything."""
    return replace(told, **{side: [replace(m, at_s=0.0) for m in getattr(told, side)] for side in ("caller", "callee")})


def without(side: str, shown: str) -> Falsify:
    """A side without one message."""
    return lambda told, _: replace(told, **{side: [m for m in getattr(told, side) if m.shown != shown]})


WRONG: Final[dict[str, tuple[Falsify, str]]] = {
    "a field": (recorded(order_id="order-2"), "record, order_id: expected 'order-0001', found 'order-2'"),
    "a cause": (recorded(release_cause="BUSY"), "record, release_cause: expected 'NORMAL', found 'BUSY'"),
    "a time": (recorded(ring_time=None, ring_ms=0), "record, ring_time: expected True, found False"),
    "an attempt": (recorded(attempts=[]), "record, attempts: expected [{'peer'"),
    "a duration": (recorded(duration_ms=9000, bill_seconds=9), "record: duration_ms does not fit the times"),
    "a bill": (recorded(bill_seconds=7), "record: bill_seconds does not fit duration_ms"),
    "no record": (lambda told, _: replace(told, records=[]), "records: expected 1, found 0"),
    "two records": (lambda told, _: replace(told, records=told.records * 2), "records: expected 1, found 2"),
    "a canary": (
        changed("callee", "INVITE", b"\r\n", b"\r\nSubject: canaryofcaller\r\n"),
        "crossed to the callee in INVITE: a canary",
    ),
    "a number": (
        changed("callee", "BYE", b"\r\n", b"\r\nX: +86 138-0013-8000\r\n"),
        "crossed to the callee in BYE: the real number",
    ),
    "the other's number": (
        changed("caller", "200 INVITE", b"\r\n", f"\r\nX: {B}\r\n".encode()),
        "crossed to the caller in 200 INVITE: the real number",
    ),
    "a host": (changed("caller", "180 INVITE", b"\r\n", b"\r\nX: {callee}\r\n"), "crossed to the caller in 180 INVITE"),
    "to a third": (
        lambda told, _: replace(told, second=[Seen(0.0, False, b"INVITE sip:x SIP/2.0\r\nX: 13800138000\r\n\r\n")]),
        "crossed to the second in INVITE: the real number",
    ),
    "heard by a third": (
        lambda told, _: replace(told, second=told.callee[:1]),
        "ladder of second, step 1: expected nothing more, found <- INVITE",
    ),
    "one step less": (
        without("caller", "180 INVITE"),
        "ladder of caller, step 3: expected <- 180 INVITE, found <- 200 INVITE",
    ),
    "a repeat": (
        lambda told, _: replace(at_once(told), caller=[*at_once(told).caller, at_once(told).caller[1]]),
        "ladder of caller, step 2: expected <- 100 INVITE, found <- 100 INVITE x2",
    ),
    "another final": (
        changed("caller", "200 INVITE", b"SIP/2.0 200", b"SIP/2.0 486"),
        "caller, final response: expected 200, found 486",
    ),
    "a reason": (
        changed("caller", "200 INVITE", b"\r\n", b"\r\nReason: Q.850;cause=16\r\n"),
        "caller, Reason in 200: expected '', found 'Q.850;cause=16'",
    ),
    "a fact": (
        changed("callee", "INVITE", b"@veil.example>;tag", b"@other.example>;tag"),
        "callee, INVITE number 1: expected '\\nFrom: <sip:700123456780001@veil.example>;tag=', not found",
    ),
    "no canaries": (
        lambda told, _: replace(
            told, caller=[replace(m, data=m.data.replace(b"CanaryOfCaller", b"x")) for m in told.caller]
        ),
        "caller plants no canary",
    ),
    "an engine": (lambda told, _: replace(told, faults=["caller's sipp: exit status 1"]), "caller's sipp: exit"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_told(went_well: tuple[Told, Place], name: str) -> None:
    falsify, line = WRONG[name]
    told, place = went_well
    found = wrong(ANSWERED, falsify(told, place), place)
    assert [what for what in found if what.startswith(line)] != [], found
    assert all("\n" not in what and len(what) < 500 for what in found)


def test_earlier_attempts_leave_records_too(went_well: tuple[Told, Place]) -> None:
    told, place = went_well
    story = replace(ANSWERED, record=replace(ANSWERED.record, earlier=1))
    assert wrong(story, told, place) == ["records: expected 2, found 1"]
    assert wrong(story, replace(told, records=[{}, *told.records]), place) == []


def test_in_transit_numbers_are_no_secret_and_all_else_is(went_well: tuple[Told, Place]) -> None:
    told, place = went_well
    relayed = replace(ANSWERED, call=replace(ANSWERED.call, transit=True))
    for name in ("a number", "the other's number"):
        assert not [what for what in wrong(relayed, WRONG[name][0](told, place), place) if "crossed" in what]
    for name in ("a canary", "a host"):
        assert [what for what in wrong(relayed, WRONG[name][0](told, place), place) if what.startswith(WRONG[name][1])]
    found = wrong(relayed, told, place)
    assert "record, mode: expected 'transit', found 'AXB'" in found
    assert f"record, tel_x: expected '', found '{ANSWERED.call.dialled}'" in found


def test_a_story_that_nobody_may_hear_of(went_well: tuple[Told, Place]) -> None:
    """What comes to the callee's host is a step too many and, where it names the caller, a leak."""
    told, place = went_well
    story = read_story("unbound")
    found = wrong(story, replace(told, callee=[Seen(0.0, False, f"INVITE sip:{A} SIP/2.0\r\n\r\n".encode())]), place)
    assert "ladder of callee, step 1: expected nothing more, found <- INVITE" in found
    assert "crossed to the callee in INVITE: the real number" in found


@pytest.mark.parametrize(
    ("expected", "found", "is_right"),
    [
        (["<- A x2+"], "AA", True), (["<- A x2+"], "AAAA", True), (["<- A x2+"], "A", False),
        (["<- A x2"], "AAA", False), (["<- A x1+", "<- B"], "ABA", True), (["<- A"], "AA", False),
        (["<- A", "<- B"], "BA", False), (["<- A"], "", False), ([], "A", False), ([], "", True),
    ],
)  # fmt: skip
def test_repeats_in_a_ladder(expected: list[str], found: str, is_right: bool) -> None:
    messages = [Seen(0.0, False, f"{method} sip:x SIP/2.0\r\n\r\n".encode()) for method in found]
    assert (ladder_differences("caller", expected, messages) == []) is is_right


def test_who_has_no_answer_for_t1_asks_again(went_well: tuple[Told, Place]) -> None:
    told, place = went_well
    told = at_once(told)
    late = replace(told.caller[-1], at_s=0.5)
    repeated = replace(told, caller=[*told.caller[:-1], late, told.caller[1], late])
    assert wrong(ANSWERED, repeated, place) == []
    quick = replace(ANSWERED, settings="[sip]\nt1_ms = 600")
    assert any(what.startswith("ladder of caller, step 2: ") for what in wrong(quick, repeated, place))


def test_a_node_that_dies_is_told(places: Places, tmp_path: Path) -> None:
    nodes = Nodes(places, tmp_path, [ANSWERED])
    try:
        assert nodes.tell(ANSWERED, "sipp", "sipp")[1] == []
        [node] = nodes.running
        node.kill()
        with pytest.raises(RigError, match="no node runs here"):
            nodes.tell(ANSWERED, "sipp", "sipp")
        assert nodes.running == []
    finally:
        nodes.close()


# -- reading a story -------------------------------------------------------------------------------------------------

GOOD: Final = (ANSWERED.folder / FILE).read_text("utf-8")


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("title =", "titel =", "titel: "),
        ("q850 = 16", 'q850 = "none"', "record.q850: "),
        ('caller = "138', 'coller = "138', "call.coller: "),
        ('"ring_time"', '"rang_time"', "record.times.2: "),
        ("[call]", "[call", "(at line "),
        ('by = "callee"', 'by = "nobody"', "seen.0.by: "),
    ],
)
def test_bad_story_is_one_clear_line(tmp_path: Path, old: str, new: str, says: str) -> None:
    assert old in GOOD
    (tmp_path / FILE).write_text(GOOD.replace(old, new, 1), "utf-8")
    with pytest.raises(RigError) as caught:
        read_folder(tmp_path)
    assert str(caught.value).startswith(f"{tmp_path / FILE}: ")
    assert says in str(caught.value)


def test_a_story_needs_its_files(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text(GOOD, "utf-8")
    with pytest.raises(RigError, match=r"uac\.xml: no such file"):
        read_folder(tmp_path)


def test_an_address_that_is_taken_is_one_clear_line(places: Places) -> None:
    host = places.take().second
    with (
        closing(Bystander(host)),
        pytest.raises(RigError, match=rf"^cannot listen on {host}:5060: Address already in use$"),
    ):
        Bystander(host)


def test_every_story_has_a_number_of_its_own() -> None:
    """Stories share nodes: one binding must not serve, or hide, another story."""
    every = [read_story(name) for name in story_names()]
    xs = [bound.x for story in every for bound in story.binding]
    assert len(set(xs)) == len(xs)
    assert len({story.call.dialled for story in every}) == len(every)


def test_readme_lists_every_story() -> None:
    page = stories.PAGE.read_text("utf-8")
    assert page == stories.with_stories(page), "run: make docs"
    assert all(f"| `{name}` |" in page for name in story_names())


# -- the command -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("argv", [["nope"], ["answered", "--uac", "phone"], ["--unknown"]])
def test_wrong_usage_is_one_line(capsys: pytest.CaptureFixture[str], argv: list[str]) -> None:
    try:
        status = play.main(argv)
    except SystemExit as ended:
        status = ended.code
    said = capsys.readouterr()
    assert (status, said.out, said.err.count("\n")) == (2, "", 1)


def test_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert play.main(["--list"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == story_names()
    assert play.main(["--list", "--json", "busy"]) == 0
    assert [row["story"] for row in json.loads(capsys.readouterr().out)] == ["busy"]


def test_a_failing_story_fails_the_command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def read(name: str) -> Story:
        story = read_story(name)
        return replace(story, record=replace(story.record, q850=99)) if name == "busy" else story

    monkeypatch.setattr(play, "read_story", read)
    argv = ["answered", "busy", "--uac", "sipp", "--uas", "sipp"]
    assert play.main(argv) == 1
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines if line[0] != " "] == [
        ["ok", "answered"], ["WRONG", "busy"], ["2", "stories,"],
    ]  # fmt: skip
    assert "      record, q850: expected 99, found 17" in lines
    assert play.main([*argv, "--json"]) == 1
    assert {row["story"]: row["ok"] for row in json.loads(capsys.readouterr().out)} == {"answered": True, "busy": False}
