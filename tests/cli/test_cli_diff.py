"""veil700 diff: which calls it asks about, what it tells, what it hides, how it ends."""

from __future__ import annotations

import json
import re
import shutil
import sys
import time
from pathlib import Path
from typing import Any, Final

import pytest

from engine.core.records import CallRecord, Step
from engine.diff import compare
from engine.diff.compare import PART
from engine.store.crypto import open_key
from tests.cli.commands import INVENTORY, A, B, Run, X, bind_words
from tests.store.writing import RecordWriter

C: Final = "13700137000"
CONFIG: Final = """\
[node]
data_dir = "data"
domain = "veil.example"

[[peer]]
name = "mobile"
match = ["127.0.0.12"]
targets = ["sip:127.0.0.12"]

[[peer]]
name = "fixed"
match = ["127.0.0.13"]
targets = ["sip:127.0.0.13", "sip:127.0.0.14:5080"]

[[route]]
name = "b"
called = "^139"
peers = ["fixed"]

[[route]]
name = "mobiles"
called = "^13[78]"
peers = ["mobile"]
"""


@pytest.fixture
def bound(run: Run, file: Path) -> Run:
    """A and B are bound to X, and OLD is the file of the test."""
    file.write_text(CONFIG)
    assert run("inventory", "apply", INVENTORY).status == 0
    assert run(*bind_words()).status == 0
    return run


def changed(file: Path, *pairs: tuple[str, str]) -> Path:
    """The file with some texts replaced, beside it."""
    text = CONFIG
    for old, new in pairs:
        assert old in text
        text = text.replace(old, new, 1)
    made = file.with_name("new.toml")
    made.write_text(text)
    return made


def numbers(file: Path, *lines: str, header: str = "caller,called,peer") -> Path:
    made = file.with_name("numbers.csv")
    made.write_text("".join(f"{line}\n" for line in (header, *lines)))
    return made


def changes_of(document: Any) -> list[dict[str, Any]]:
    return [group["changes"] for group in document["groups"]]


def test_nothing_changes(bound: Run, file: Path) -> None:
    new = changed(file, ('name = "mobile"', '# a comment\nname = "mobile"'))
    done = bound("diff", file, new, "--numbers", numbers(file, f"{A},{X},mobile", f"{C},{X},mobile"))
    assert (done.status, done.err) == (0, "")
    assert done.out == "lines of numbers.csv: 2 distinct, 2 in all\nnothing changes\n"


def test_what_decides_no_single_call_is_told(bound: Run, file: Path) -> None:
    """Limits and times: nobody shall take them for ineffective."""
    new = changed(file, ('name = "mobile"', 'name = "mobile"\nmax_calls = 2'))
    done = bound("diff", file, new, "--numbers", numbers(file, f"{A},{X},mobile"))
    why = "the files differ, and none of these is decided otherwise for it: peer mobile: max_calls"
    assert (done.status, done.told) == (0, [f"veil700: {why}"])
    assert done.out.endswith("nothing changes\n")
    assert bound("diff", file, new, "--numbers", numbers(file, f"{A},{X},mobile"), "--json").json["notes"] == [why]
    assert bound("diff", file, file, "--numbers", numbers(file, f"{A},{X},mobile")).told == []


def test_what_is_left_out_is_not_said_to_stay_as_it_is(bound: Run, file: Path) -> None:
    gone = '\n1 left out: peer: there is no peer "east"\n\n'
    some = bound("diff", file, file, "--numbers", numbers(file, f"{A},{X},mobile", f"{A},{X},east"))
    assert (some.status, some.out) == (0, f"lines of numbers.csv: 1 distinct, 1 in all\n{gone}nothing changes\n")
    none = bound("diff", file, file, "--numbers", numbers(file, f"{A},{X},east"))
    assert none.out == f"lines of numbers.csv: 0 distinct, 0 in all\n{gone}nothing could be decided\n"


@pytest.mark.parametrize(
    ("pairs", "what"),
    [
        (
            (('targets = ["sip:127.0.0.13", "sip:127.0.0.14:5080"]', 'targets = ["sip:127.0.0.14:5080"]'),),
            {
                "target": {
                    "old": "fixed sip:127.0.0.13 (priority 0), then fixed sip:127.0.0.14:5080 (priority 0)",
                    "new": "fixed sip:127.0.0.14:5080 (priority 0)",
                },
                "request_uri": {"old": "sip:CALLEE@127.0.0.13:5060", "new": "sip:CALLEE@127.0.0.14:5080"},
            },
        ),
        (
            (('name = "fixed"', 'name = "fixed"\nnumber_format = "tel"'),),
            {"request_uri": {"old": "sip:CALLEE@127.0.0.13:5060", "new": "tel:+86CALLEE"}},
        ),
        ((('name = "b"', 'name = "c"'),), {"route": {"old": "b", "new": "c"}}),
        (
            (('called = "^139"', 'called = "^1391"'),),
            {
                "outcome": {
                    "old": "sent by route b to fixed sip:127.0.0.13",
                    "new": "refused, NO_ROUTE decided by route; the caller sees 404 / Q.850 3",
                }
            },
        ),
        (
            (('name = "mobile"', 'name = "cell"'), ('peers = ["mobile"]', 'peers = ["cell"]')),
            {
                "outcome": {
                    "old": "sent by route b to fixed sip:127.0.0.13",
                    "new": 'not asked, peer: there is no peer "mobile"',
                }
            },
        ),
    ],
    ids=["targets", "format", "route", "no-route", "no-peer"],
)
def test_what_changes(bound: Run, file: Path, pairs: Any, what: Any) -> None:
    listed = numbers(file, f"{A},{X},mobile")
    done = bound("diff", file, changed(file, *pairs), "--numbers", listed, "--json")
    assert (done.status, done.err) == (1, "")
    (group,) = done.json["groups"]
    assert group["changes"] == what
    assert (group["distinct"], group["calls"], done.json["changed"], done.json["distinct"]) == (1, 1, 1, 1)
    assert group["example"] == {"caller": "138****8000", "called": X, "peer": "mobile", "method": "INVITE"}
    assert not re.search(rf"{A}|{B}", done.out)


def test_a_refusal_that_is_told_otherwise(bound: Run, file: Path) -> None:
    """The cause on record is the same, and the caller hears another one."""
    new = changed(file, ('name = "mobile"', 'name = "mobile"\nuniform_refusals = true'))
    done = bound("diff", file, new, "--numbers", numbers(file, f"{C},{X},mobile"), "--json")
    assert changes_of(done.json) == [{"answer": {"old": "403 / Q.850 21", "new": "404 / Q.850 1"}}]


def test_methods_and_peers_may_be_left_out(bound: Run, file: Path) -> None:
    """The peer is told from the caller's number then."""
    new = changed(file, ('called = "^139"', 'called = "^1391"'))
    listed = numbers(file, f"{A},{X},message", f"{A},{X},", f"{A},{X},INVITE", header="caller,called,method")
    done = bound("diff", file, new, "--numbers", listed, "--json")
    (group,) = done.json["groups"]
    assert (group["distinct"], group["calls"]) == (2, 3)


def test_grouped_for_people(bound: Run, file: Path) -> None:
    twice = [f"{A},{X},fixed"] * 2
    listed = numbers(file, f"{A},{X},mobile", *twice, f"{B},{X},fixed", f"{C},{X},elsewhere")
    done = bound("diff", file, changed(file, ('name = "b"', 'name = "c"')), "--numbers", listed)
    assert done.status == 1
    assert done.out == (
        "lines of numbers.csv: 3 distinct, 4 in all\n\n"
        "2 change (3 in all)\n"
        "  route             b\n"
        "                -> c\n"
        f"  for example       INVITE 138****8000 to {X} from mobile\n\n"
        '1 left out: peer: there is no peer "elsewhere"\n\n'
        "2 of 3 change\n"
    )


# -- records -----------------------------------------------------------------------------------------------------------


def record(file: Path, *attempts: tuple[str, dict[str, Any]]) -> None:
    """What a node would have left behind."""
    data_dir = file.parent / "data"
    writer = RecordWriter(data_dir / "records.db", open_key(data_dir), "veil-1", "boot", 0, lambda done: None)
    writer.start()
    for number, (kind, fields) in enumerate(attempts):
        made = CallRecord(f"r{number}", "veil-1", kind)
        made.ingress_peer, made.call_time = "mobile", time.time() - 60
        made.release_cause, made.sip_status, made.q850 = "NORMAL", 200, 16
        for name, value in fields.items():
            setattr(made, name, value)
        made.release_time = made.call_time + 1
        assert writer.submit(Step.CLOSE, made.snapshot(), None, number)
    writer.stop()


USUAL: Final = {"tel_x": X, "caller": A, "callee": B, "presented_number": X}
RECORDED: Final = (
    ("voice", USUAL), ("voice", USUAL), ("message", USUAL),
    ("voice", USUAL | {"caller": C, "callee": ""}),
    ("voice", {"caller": A, "callee": "10086"}),  # transit, or refused
    ("voice", {"caller": A}),  # nothing that could be read was called
    ("voice", USUAL | {"call_time": time.time() - 90_000}),
)  # fmt: skip


def test_the_calls_on_record(bound: Run, file: Path) -> None:
    """Of a day, each once; what was refused is asked about as well."""
    record(file, *RECORDED)
    new = changed(file, ('called = "^139"', 'called = "^1391"'))
    done = bound("diff", file, new, "--json")
    document = done.json
    assert (document["distinct"], document["calls"], document["changed"], document["changed_calls"]) == (4, 5, 2, 3)
    assert document["left_out"] == {"called: the record has no number that was called": 1}
    since = bound("diff", file, new, "--since", "2026-01-01T00:00:00Z", "--json").json
    assert (since["distinct"], since["calls"], since["changed_calls"]) == (4, 6, 4)
    transit = changed(file, ('name = "b"\ncalled = "^139"', 'name = "b"\ntransit = true\ncalled = "^1"'))
    (group,) = bound("diff", file, transit, "--json").json["groups"]
    assert group["changes"]["outcome"]["old"].startswith("refused, NO_ROUTE decided by called_number")
    assert group["example"]["called"] == "10****6" or "10086" not in json.dumps(group)


@pytest.mark.parametrize("form", ["jsonl", "csv"])
def test_an_export_is_decided_as_the_records_are(bound: Run, file: Path, form: str) -> None:
    record(file, *RECORDED)
    new = changed(file, ('called = "^139"', 'called = "^1391"'))
    exported = file.with_name("records")
    exported.write_text(bound("cdr", "export", "--reveal", "--format", form).out)
    of_file = bound("diff", file, new, "--cdr", exported, "--json").json
    of_store = bound("diff", file, new, "--since", "2026-01-01T00:00:00Z", "--json").json
    assert of_file.pop("corpus") == "records in records"
    assert of_store.pop("corpus").startswith("records since 2026-01-01T00:00:00.000Z")
    assert of_file == of_store


@pytest.mark.parametrize("form", ["jsonl", "csv"])
def test_a_masked_export_cannot_serve(bound: Run, file: Path, form: str) -> None:
    record(file, *RECORDED)
    exported = file.with_name("records")
    exported.write_text(bound("cdr", "export", "--format", form).out)
    done = bound("diff", file, file, "--cdr", exported)
    line = 1 if form == "jsonl" else 2
    assert (done.status, done.out) == (2, "")
    assert done.told == [
        f"veil700: {exported}:{line}: its numbers are masked, so nothing can be decided: export with --reveal"
    ]


@pytest.mark.parametrize(
    ("option", "content", "line", "reason"),
    [
        ("--cdr", "{}\n", 1, "kind is missing: not a record that cdr export has written"),
        ("--cdr", "{\n", 1, "no JSON object"),
        ("--cdr", "", 1, "no column kind: the first line must name"),
        ("--cdr", "kind,caller\n", 1, "no column ingress_peer"),
        ("--numbers", "caller\n", 1, "no column called"),
        ("--numbers", "caller,called,pier\n", 1, "column 3 is none of caller, called, peer, method"),
        ("--numbers", f"caller,called\n{A}\n", 2, "1 cells, 2 columns"),
        ("--numbers", f"caller,called\n{A}, \n", 2, "called: empty"),
        ("--numbers", f"caller,called,method\n{A},{X},BYE\n", 2, "method: neither INVITE nor MESSAGE"),
        ("--numbers", f"caller,called\n{A},\x01\n", 2, "called: empty, or with a character that does not print"),
    ],
)
def test_a_bad_file_has_one_clear_line(
    bound: Run, file: Path, option: str, content: str, line: int, reason: str
) -> None:
    made = file.with_name("corpus")
    made.write_text(content)
    done = bound("diff", file, file, option, made)
    assert (done.status, done.out, len(done.told)) == (2, "", 1)
    assert done.err.startswith(f"veil700: {made}:{line}: {reason}")
    assert A not in done.err


def test_wrong_usage(bound: Run, file: Path) -> None:
    done = bound("diff", file, file, "--cdr", "a", "--numbers", "b")
    assert (done.status, done.told) == (2, ["veil700: --cdr, --since and --numbers exclude each other"])
    for option in ("--cdr", "--numbers"):
        done = bound("diff", file, file, option, "nowhere")
        assert (done.status, done.told) == (2, ["veil700: nowhere: No such file or directory"])
    assert bound("diff", file, file.with_name("no.toml")).status == 2
    done = bound("diff", file, file)
    assert (
        (done.status, done.told[0][-62:])
        == (
            2,  # 1 would say that something changes
            "no such file: nothing has been written into this data folder yet"[-62:],
        )
    )


@pytest.mark.parametrize("name", ["bindings.db", "records.db", "key"])
def test_a_damaged_store_is_not_said_to_change_anything(bound: Run, file: Path, name: str) -> None:
    (file.parent / "data" / name).write_bytes(b"no database" * 1000)
    words = () if name == "records.db" else ("--numbers", numbers(file, f"{A},{X},mobile"))
    done = bound("diff", file, file, *words)
    assert (done.status, done.out, len(done.told)) == (2, "", 1)
    assert f"data/{name}: " in done.err


def test_what_is_not_compared_is_said(bound: Run, file: Path, tmp_path: Path) -> None:
    shutil.copy(INVENTORY, tmp_path / "inventory.toml")
    new = changed(file, ('data_dir = "data"', 'data_dir = "other"'))
    new.write_text(new.read_text() + '\n[inventory]\nfile = "inventory.toml"\n')
    done = bound("diff", file, new, "--numbers", numbers(file, f"{A},{X},mobile"))
    assert done.status == 0
    assert done.told == [
        f"veil700: the bindings are those of {tmp_path}/data, not of {tmp_path}/other",
        "veil700: the inventories differ, and neither is applied: the store stays as it is",
        "veil700: the files differ, and none of these is decided otherwise for it: node: data_dir; inventory: file",
    ]
    assert not (tmp_path / "other").exists()


# -- many --------------------------------------------------------------------------------------------------------------


def test_processes_come_to_the_same(bound: Run, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [f"{caller},{X},{peer}" for caller in (A, B, C) for peer in ("mobile", "fixed")]
    lines += [f"138{place:08d},7001234567{place % 3:05d},mobile" for place in range(3 * PART)]
    listed = numbers(file, *lines)
    new = changed(file, ('name = "b"', 'name = "c"'), ('name = "mobile"', 'name = "mobile"\nuniform_refusals = true'))
    here = bound("diff", file, new, "--numbers", listed, "--json").json
    monkeypatch.setattr(sys.modules[compare.__module__], "MANY", 0)
    there = bound("diff", file, new, "--numbers", listed, "--json").json
    assert here == there
    assert here["distinct"] == len(lines)


def test_names_are_not_looked_up(bound: Run, file: Path) -> None:
    """A target that is a name counts as one that can be reached, over whatever transport it wants."""
    new = changed(file, ('["sip:127.0.0.13", "sip:127.0.0.14:5080"]', '["sip:gone.invalid", "sip:127.0.0.14:5080"]'))
    done = bound("diff", file, new, "--numbers", numbers(file, f"{A},{X},mobile"), "--json")
    (found,) = changes_of(done.json)
    assert found["target"]["new"].startswith("fixed sip:gone.invalid (priority 0), then fixed sip:127.0.0.14:5080")
    assert found["request_uri"]["new"] == "sip:CALLEE@gone.invalid"
