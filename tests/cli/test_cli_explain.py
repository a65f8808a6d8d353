"""veil700 explain: what it says, what it hides, how it ends, and that it leaves no trace."""

from __future__ import annotations

import os
import pwd
import re
import shlex
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from engine.cli import run_cli
from tests.cli.commands import INVENTORY, ROOT, UNTIL, A, B, Done, Run, X, bind_words, rows

C = "13700137000"
CONFIG = """\
[node]
data_dir = "data"
domain = "veil.example"

[[peer]]
name = "mobile"
match = ["127.0.0.12", "10.0.0.0/8"]
targets = ["sip:127.0.0.12"]

[[peer]]
name = "fixed"
match = ["127.0.0.13"]
targets = ["sip:127.0.0.13", "sip:127.0.0.14:5080"]
number_format = "plus"
uniform_refusals = true

[[peer]]
name = "sink"
targets = ["sip:127.0.0.15"]

[[route]]
name = "b"
called = "^13900139000$"
peers = ["fixed"]

[[route]]
name = "mobiles"
called = "^13[78]"
peers = ["mobile"]
"""


@pytest.fixture
def bound(run: Run, file: Path) -> Run:
    """A and B are bound to X; there is no route to 020 numbers, to which another X is bound."""
    file.write_text(CONFIG)
    assert run("inventory", "apply", INVENTORY).status == 0
    assert run(*bind_words()).status == 0
    assert run(*bind_words(tel_x="700123456780002", tel_b="02088888888")).status == 0
    return run


@pytest.fixture
def database(file: Path) -> Path:
    return file.parent / "data" / "bindings.db"


def words(caller: str = A, called: str = X, *more: str) -> list[str]:
    return ["explain", "--caller", caller, "--called", called, *more]


def made_by(done: Done) -> dict[str, str]:
    """What made each line, by stage and name."""
    return {f"{line['stage']} {line['name']}": line["made_by"] for line in done.json["lines"]}


# -- what would be sent ------------------------------------------------------------------------------------------------


def test_a_call_that_would_be_sent(bound: Run) -> None:
    done = bound(*words())
    assert (done.status, done.err) == (0, "")
    lines = done.out.splitlines()
    assert lines[-1] == f"would be sent to fixed at udp:127.0.0.13:5060: 139****9000 sees {X}"
    assert lines[:2] == [
        "peer mobile                       the caller's number belongs there; udp:127.0.0.12:5060 is in 127.0.0.12",
        "                                    <- veil.toml:7 peer.match",
    ]
    assert "  INVITE sip:+86139****9000@127.0.0.13:5060 SIP/2.0" in lines
    assert f"  From: <sip:{X}@veil.example>;tag=" in done.out
    assert "  m=audio 40000 RTP/AVP 8" in lines


def test_every_line_names_what_made_it(bound: Run) -> None:
    row = f"row target ({X}, {A})"
    assert made_by(bound(*words(), "--json")) == {
        "peer mobile": "veil.toml:7 peer.match",
        "number called": 'veil.toml:5 peer.number_format = "national" by default',
        "number caller": 'veil.toml:5 peer.caller = "pai-or-from" by default',
        "policy called_number": "built in",
        "policy loop": "built in",
        "policy caller_entitled": "veil.toml:5 peer.serves_700 = [] by default",
        "binding found": row,
        "policy unrestricted": row,
        "policy bound": row,
        "policy in_force": row,
        "policy way_open": row,
        "policy within_hours": row,
        "policy not_blacklisted": row,
        "policy real_names_known": row,
        "policy order_not_over": row,
        "policy not_to_self": row,
        "route b": "veil.toml:23 route.called",
        "target fixed": "veil.toml:13 peer.targets",
        "translation Request-URI": f'{row}; veil.toml:14 peer.number_format = "plus"',
        "translation To": f'{row}; veil.toml:14 peer.number_format = "plus"',
        "translation From": f"{row}; veil.toml:3 node.domain",
        "translation P-Asserted-Identity": "veil.toml:10 peer.trusted = true by default",
        "translation Contact": "listen.address by default",
        "gate disclosure": "built in",
        "beside node": 'veil.toml:2 node.data_dir = "data"',
        "time core": "measured here",
    }


def test_the_json_form_is_the_whole_explanation(bound: Run, database: Path) -> None:
    done = bound(*words(), "--json")
    told = done.json
    ((subs_id,),) = rows(database, f"SELECT subs_id FROM binding WHERE tel_x = '{X}'")
    lines, leaves, arrives = told.pop("lines"), told.pop("leaves"), told.pop("arrives")
    assert set(told.pop("took_us")) == {"read", "looked_up", "decided", "sent"}
    assert told == {
        "version": 1, "is_live": False, "sent": True, "cause": "", "sip_status": 0, "q850": 0, "decided_by": "",
        "seen_status": 0, "seen_q850": 0,
        "subs_id": subs_id, "callee": "139****9000", "presented_number": X, "egress_peer": "fixed",
        "target": "sip:127.0.0.13", "next_hop": "udp:127.0.0.13:5060",
    }  # fmt: skip
    assert leaves.startswith("INVITE sip:+86139****9000@127.0.0.13:5060 SIP/2.0\nVia: ")
    assert arrives.startswith(f"INVITE sip:{X}@veil.example;user=phone SIP/2.0\nVia: SIP/2.0/UDP 127.0.0.12:5060;")
    assert [line["result"] for line in lines if line["stage"] == "target"] == [
        "sip:127.0.0.13, first; next hop udp:127.0.0.13:5060",
        "sip:127.0.0.14:5080, when those before it fail, number 2; next hop udp:127.0.0.14:5080",
    ]


def test_a_message_is_explained_with_its_text(bound: Run) -> None:
    done = bound(*words(B, X, "--method", "message", "--text", f"I am {B}, not {A}"))
    assert done.status == 0
    assert "  MESSAGE sip:138****8000@127.0.0.12:5060 SIP/2.0" in done.out
    assert "  I am 139****9000, not 138****8000\n" in done.out
    assert "translation text                  the sender's own number in it is masked\n" in done.out


def test_a_text_that_is_relayed_is_not_called_searched(bound: Run, file: Path) -> None:
    file.write_text(CONFIG + '[policy]\nmessage_text = "relay"\n')
    done = bound(*words(B, X, "--method", "MESSAGE", "--text", f"I am {B}"), "--json")
    told = {line["stage"] + " " + line["name"]: (line["result"], line["made_by"]) for line in done.json["lines"]}
    key = 'veil.toml:31 policy.message_text = "relay"'
    assert told["translation text"] == ("as it was written", key)
    searched = "passed: the caller's number is in none of the rows that cross; the text is not searched"
    assert told["gate disclosure"] == (searched, key)
    assert done.json["leaves"].endswith(f"\n\nI am {B}")


# -- what is hidden ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_the_callee_is_masked_unless_revealed(bound: Run, database: Path, form: list[str]) -> None:
    for caller, callee in ((A, B), (B, A)):
        assert callee not in bound(*words(caller), *form).out
    assert callee not in bound(*words(B, X, "--at", "2040-01-01T00:00:00Z"), *form).out
    assert rows(database, "SELECT * FROM audit WHERE action != 'inventory.apply'") == []

    assert f"sip:+86{B}@127.0.0.13:5060" in bound(*words(), "--reveal", *form).out
    ((who, action, detail),) = rows(
        database, "SELECT actor, action, detail FROM audit WHERE action != 'inventory.apply'"
    )
    user = pwd.getpwuid(os.getuid()).pw_name
    assert (who, action, detail) == (user, "explain", f"reveal INVITE from 138****8000 to {X}")


def test_no_number_in_clear_reaches_the_audit(bound: Run, database: Path) -> None:
    assert bound(*words(A, B, "--reveal")).status == 1
    ((detail,),) = rows(database, "SELECT detail FROM audit WHERE action != 'inventory.apply'")
    assert detail == "reveal INVITE from 138****8000 to 139****9000"


# -- what would be refused ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "outcome"),
    [
        ((A, X[:-1]), "BAD_NUMBER 484 / Q.850 28, decided by called_number; the caller sees 484 / Q.850 28"),
        ((A, X + "0"), "BAD_NUMBER 404 / Q.850 28, decided by called_number; the caller sees 404 / Q.850 28"),
        ((A, C), "NO_ROUTE 404 / Q.850 3, decided by called_number; the caller sees 404 / Q.850 3"),
        ((A, "hello"), "NO_ROUTE 404 / Q.850 3, decided by called_number; the caller sees 404 / Q.850 3"),
        ((A, "700123456780002"), "NO_ROUTE 404 / Q.850 3, decided by route; the caller sees 404 / Q.850 3"),
        ((A, "700123456780003"), "NO_BINDING 404 / Q.850 1, decided by bound; the caller sees 404 / Q.850 1"),
        ((C, X), "NOT_IN_CALLER_SET 403 / Q.850 21, decided by bound; the caller sees 403 / Q.850 21"),
        ((C, X, "--peer", "fixed"),
         "NOT_IN_CALLER_SET 403 / Q.850 21, decided by bound; the caller sees 404 / Q.850 1"),
        ((X, X, "--peer", "mobile"), "LOOP 482 / Q.850 25, decided by loop; the caller sees 482 / Q.850 25"),
        (("anonymous", X, "--peer", "mobile"),
         "NOT_IN_CALLER_SET 403 / Q.850 21, decided by caller_entitled; the caller sees 403 / Q.850 21"),
        ((A, X, "--at", UNTIL),
         "BINDING_EXPIRED 404 / Q.850 1, decided by in_force; the caller sees 404 / Q.850 1"),
        ((A, X, "--method", "MESSAGE", "--header", "Content-Transfer-Encoding: base64"),
         "LEAK_STOPPED 403 / Q.850 21, decided by body; the caller sees 403 / Q.850 21"),
    ],
)  # fmt: skip
def test_a_refusal_says_its_cause_and_what_the_caller_sees(
    bound: Run, arguments: tuple[str, ...], outcome: str
) -> None:
    done = bound(*words(*arguments))
    assert (done.status, done.err) == (1, "")
    assert done.out.splitlines()[-1] == f"would be refused: {outcome}"
    assert "SIP/2.0\n" not in done.out


def test_a_leak_is_stopped_by_the_gate(bound: Run, file: Path) -> None:
    file.write_text(CONFIG.replace('number_format = "plus"', 'number_format = "plus"\npass_headers = ["X-Order"]'))
    done = bound(*words(A, X, "--header", "X-Order: 138-0013-8000"))
    assert done.status == 1
    assert "gate disclosure                   stopped, LEAK_STOPPED 403 / Q.850 21: nothing of it leaves\n" in done.out
    assert bound(*words(A, X, "--header", "X-Order: 4711")).status == 0


def test_uniform_refusals_are_named(bound: Run) -> None:
    done = bound(*words(C, X, "--peer", "fixed"), "--json")
    assert made_by(done)["answer caller sees"] == "veil.toml:15 peer.uniform_refusals = true"
    assert (done.json["sip_status"], done.json["seen_status"], done.json["seen_q850"]) == (403, 404, 1)


def test_what_a_rule_of_sip_answers_is_no_refusal(bound: Run) -> None:
    done = bound(*words(A, "sip:a@host:99999"))
    assert done.status == 1
    assert done.out.splitlines()[-1] == "would be answered 400 by a rule of SIP, without a record"
    assert done.out.splitlines()[0].startswith("peer mobile")
    done = bound(*words(A, "7" * 3000))
    assert done.out.splitlines()[-1] == "would be answered 414 by a rule of SIP, without a record"


# -- wrong usage -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["explain", "--caller", A], "veil700 explain: Missing option '--called'"),
        (
            words(A, X, "--method", "BYE"),
            "veil700 explain: Invalid value for '--method': 'BYE' is neither INVITE nor MESSAGE",
        ),
        (words(A, X, "--at", "now"), "veil700: --at: 'now' is not an RFC 3339 time"),
        (words(A, X, "--peer", "fixd"), 'veil700: --peer: there is no peer "fixd", did you mean fixed?'),
        (words(A, X, "--peer", "sink"), "veil700: --peer: sink has no match, so nothing comes from it"),
        (words("anonymous"), "veil700: --peer: say which one it comes from: mobile, fixed"),
        (words("02088888888"), "veil700: --peer: say which one it comes from: mobile, fixed"),
        (words(X), "veil700: --peer: say which one it comes from: mobile, fixed"),
        (words(" "), "veil700: --caller: empty, or with a character that does not print"),
        (words(A, ""), "veil700: --called: empty, or with"),
        (words(A, f"sip:{B} @h"), "veil700: --called: a URI has no blanks, and nothing but ASCII"),
        (words(A, f'tel:{B};x="'), "veil700: --called: a URI is not empty, and has no quotes and angle brackets"),
        (words(A, "sip:"), "veil700: --called: a URI is not empty, and has no quotes and angle brackets"),
        (words(A, "7" * 9000), "veil700: --called: with all the rest longer than a request can be (1"),
        (words(A, X, "--method", "MESSAGE", "--text", "a" * 65_507), "veil700: --called: with all the rest longer"),
        (words(A, f"{B}\r\nVia: x"), "veil700: --called: empty, or with a character that does not print"),
        (words(A, X, "--header", "X-Order"), "veil700: --header: must be one row, written as Name: value"),
        (words(A, X, "--header", f"X: {B}\r\nB: c"), "veil700: --header: must be one row, written as Name: value"),
        (words(A, X, "--header", "From: a"), "veil700: --header: From is written or dropped by the node itself"),
    ],
)
def test_wrong_usage_is_one_line_and_no_audit(bound: Run, database: Path, arguments: list[str], reason: str) -> None:
    done = bound(*arguments, "--reveal")
    assert (done.status, done.out, len(done.told)) == (2, "", 1)
    assert done.err.startswith(reason)
    assert not re.search(f"{A}|{B}", done.err)
    assert rows(database, "SELECT * FROM audit WHERE action != 'inventory.apply'") == []


def test_a_700_caller_comes_from_the_peer_that_serves_it(bound: Run, file: Path) -> None:
    file.write_text(CONFIG.replace('number_format = "plus"', 'number_format = "plus"\nserves_700 = ["70012345678"]'))
    assert bound(*words("700123456780009"), "--json").json["lines"][0]["name"] == "fixed"


def test_a_configuration_without_senders_says_so(bound: Run, file: Path) -> None:
    file.write_text('[node]\ndata_dir = "data"\n')
    assert bound(*words()) == Done(2, "", "veil700: --peer: no peer has a match or tls_names, so nothing comes in\n")


def test_a_peer_whose_sources_are_all_taken_says_so(bound: Run, file: Path) -> None:
    text = CONFIG.replace('["127.0.0.13"]', '["127.0.0.12/31"]').replace('"10.0.0.0/8"', '"127.0.0.13"')
    file.write_text(text)
    done = bound(*words(A, X, "--peer", "fixed"))
    reason = "--peer: the sources of fixed belong to more specific entries of other peers"
    assert done == Done(2, "", f"veil700: {reason}\n")


# -- no trace ----------------------------------------------------------------------------------------------------------


def snapshot(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {
        str(path.relative_to(folder)): (path.stat().st_mtime_ns, path.read_bytes())
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture
def busy(database: Path) -> Iterator[None]:
    """Somebody else is in the middle of a change of the store."""
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("UPDATE meta SET value = value")
        yield
        connection.execute("ROLLBACK")


@pytest.mark.parametrize("is_sent", [True, False])
def test_nothing_is_written(bound: Run, file: Path, is_sent: bool) -> None:
    before = snapshot(file.parent)
    assert bound(*words(A if is_sent else C)).status == (0 if is_sent else 1)
    assert snapshot(file.parent) == before


@pytest.mark.usefixtures("bound", "busy")
def test_a_store_that_is_being_written_is_read_all_the_same(run: Run, file: Path) -> None:
    before = snapshot(file.parent)
    assert run(*words()).status == 0
    del before["data/bindings.db-shm"]  # where readers of a shared store say what they read
    after = snapshot(file.parent)
    del after["data/bindings.db-shm"]
    assert after == before


def test_a_missing_store_is_one_line_and_stays_missing(run: Run, file: Path) -> None:
    file.write_text(CONFIG)
    done = run(*words(), "--reveal")
    assert (done.status, done.out) == (1, "")
    assert re.fullmatch(r"veil700: \S+/data/bindings\.db: no such file: nothing has been written .*\n", done.err)
    assert list(file.parent.iterdir()) == [file]


def test_no_socket_is_opened_and_no_file_for_writing(bound: Run, file: Path) -> None:
    """In a process of its own, where the interpreter reports each (PEP 578)."""
    hook = f"""
import os, sys
from engine.cli import run_cli
heard = []
def hook(event, arguments):
    if event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
        heard.append((event, arguments[0]))
    elif event.startswith("socket.") or event == "sqlite3.connect":
        heard.append((event, str(arguments)))
sys.addaudithook(hook)
status = run_cli({[*words(), "--config", str(file)]!r})
print(*heard, sep="\\n", file=sys.stderr)
sys.exit(status)
"""
    done = subprocess.run(
        [sys.executable, "-c", hook], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0
    assert re.fullmatch(r"\('sqlite3\.connect', .*mode=ro&immutable=1.*\)\n", done.stderr)


# -- the page ----------------------------------------------------------------------------------------------------------

_BY_CHANCE = (
    (re.compile(r"z9hG4bK[A-Za-z]{16}"), "z9hG4bK"),
    (re.compile(r"tag=[A-Za-z]{13}"), "tag="),
    (re.compile(r"Call-ID: [A-Za-z]{20}"), "Call-ID:"),
    (re.compile(r"\b2[0-9]{8}\b"), "2"),  # sequence numbers, and those of a session
    (re.compile(r"\b[0-9a-f]{32}\b"), "subs_id"),
    (re.compile(r"until 20\S+Z"), "until then"),
    (re.compile(r"\d+ us: .*"), "us"),
)


def steady(text: str) -> str:
    for pattern, replacement in _BY_CHANCE:
        text = pattern.sub(replacement, text)
    return text


def test_the_examples_of_the_page_are_what_is_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """docs/explain.md on the default configuration: its commands are run, and print what stands there."""
    shutil.copytree(ROOT / "configs", tmp_path / "configs")
    config = ["--config", str(tmp_path / "configs" / "embedded.toml")]
    assert run_cli(["inventory", "apply", str(INVENTORY), *config]) == 0
    capsys.readouterr()
    blocks = re.findall(r"^```\n(\$ .*?)^```$", (ROOT / "docs" / "explain.md").read_text(), re.MULTILINE | re.DOTALL)
    status = []
    for command, expected in re.findall(
        r"^\$ veil700 ((?:.*\\\n)*.*)\n((?:(?!\$ ).*\n)*)", "".join(blocks), re.MULTILINE
    ):
        typed = re.sub(r'"\$\(date [^"]*\)"', UNTIL, command.replace("\\\n", ""))
        status.append(run_cli([*shlex.split(typed), *config]))
        shown = capsys.readouterr().out
        assert not expected or steady(shown) == steady(expected), command
    assert status == [0, 0, 1]
