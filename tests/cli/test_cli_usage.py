"""Usage, help and configuration on the command line: one line for each error, and the exit status (contract §3)."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import engine.cli.common
from engine.cli import run_cli, verbs
from engine.cli.app import PART_OF
from engine.config import load
from tests.cli.commands import (
    INVENTORY,
    NEED_NO_CONFIGURATION,
    ROOT,
    UNTIL,
    VERBS,
    A,
    Done,
    Run,
    X,
    bind_words,
)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ([], "veil700: Missing command; see veil700 --help"),
        (["bogus"], "veil700: No such command 'bogus'; see veil700 --help"),
        (["bindings"], "veil700 bindings: Missing command; see veil700 bindings --help"),
        (["check", "--nope"], "veil700 check: No such option: --nope; see veil700 check --help"),
        (["check", "extra"], "veil700 check: Got unexpected extra argument(s) (extra); see"),
        (["check", "a.toml"], "veil700 check: Got unexpected extra argument(s) (a.toml): --config names a file; see"),
        (["unbind"], "veil700 unbind: Missing argument 'SUBS_ID'; see"),
        (["bind", "--tel-x", X], "veil700 bind: Missing option"),
        (["cdr", "export", "--format", "xml"], "veil700 cdr export: Invalid value for '--format': 'xml' is not one of"),
        (["cdr", "export", "--json", "--format", "csv"], "veil700: --json and --format csv exclude each other"),
        (["leak-test", "13800138000"], "veil700 leak-test: Got unexpected extra argument(s) (138****8000); see"),
        (["cdr", "export", "--since", "13800138000"], "veil700: --since: '138****8000' is not an RFC 3339 time"),
        (["cdr", "export", "--since", "today"], "veil700: --since: 'today' is not an RFC 3339 time such as"),
        (["cdr", "export", "--until", "2026-11-24T00:00:00"],
         "veil700: --until: '2026-11-24T00:00:00' does not say its offset from UTC"),
        (["cdr", "export", "--since", "2026-13-24T00:00:00Z"],
         "veil700: --since: '2026-13-24T00:00:00Z': month must be"),
        (["cdr", "export", "--since", "2026-11-24T00:00:00Z", "--until", "2026-11-24T08:00:00+08:00"],
         "veil700: --since must lie before --until"),
        (bind_words(expiration="2036-01-31T08:00:00"),
         "veil700: --expiration: '2036-01-31T08:00:00' does not say its offset from UTC"),
    ],
)  # fmt: skip
def test_wrong_usage_is_one_line_and_status_2(run: Run, words: list[str], line: str) -> None:
    done = run(*words)
    assert (done.status, done.out, len(done.told)) == (2, "", 1)
    assert done.err.startswith(line)


def test_a_configuration_stands_before_or_after_the_verb(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    named = ["--config", str(file)]
    for words in (
        [*named, "check"],
        ["check", *named],
        ["check", f"--config={file}"],
        ["config", *named, "show"],
        ["--config", "absent", "check", *named],  # the last one counts
    ):
        assert run_cli(words) == 0
        assert str(file) in capsys.readouterr().out


@pytest.mark.parametrize("words", [["check", "--config"], ["check", "--config="], ["--config", "", "check"]])
def test_a_configuration_has_a_name(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run_cli(words) == 2
    assert capsys.readouterr().err == "veil700: --config needs the name of a file\n"


def test_behind_two_dashes_nothing_is_an_option(stocked: Run) -> None:
    done = stocked("unbind", "--", "--config")
    assert done == Done(1, "", "veil700: subs_id: '--config' is no binding\n")


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_itself(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_cli([*verb.split(), "--help"]) == 0
    shown = capsys.readouterr()
    assert f"veil700 {verb}" in shown.out.split("Example:")[1]
    assert ("--json" in shown.out) is (verb != "run")
    assert not re.search("[─-╿]", shown.out)
    assert shown.err == ""


def test_it_says_which_version_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_cli(["--version"]) == 0
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert re.fullmatch(rf"veil700 {re.escape(version)} \((not )?compiled\), Python 3\.\S+\n", capsys.readouterr().out)


def test_the_help_names_every_verb(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_cli(["--help"]) == 0
    shown = capsys.readouterr().out
    assert {verb.split()[0] for verb in VERBS} <= set(re.findall(r"^  ([\w-]+)  ", shown, re.MULTILINE))
    assert "--config FILE" in shown


def test_a_fault_of_ours_is_one_line_without_its_text(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_data_dir: Path) -> None:
        raise RuntimeError(f"something about {A}")

    monkeypatch.setattr(engine.cli.common, "open_key", fail)
    done = run(*bind_words())
    assert (done.status, done.out) == (1, "")
    assert re.fullmatch(r"veil700: internal fault: RuntimeError at test_cli_usage\.py:\d+\n", done.err)


def test_check_says_ok(run: Run, file: Path) -> None:
    done = run("check")
    assert (done.status, done.err) == (0, "")
    assert done.out.startswith(f"{file}: ok, data in {file.parent / 'data'}\na change wants a restart: node, ")
    told = run("check", "--json").json
    assert "sip" in told.pop("restart_keys")
    assert told == {
        "ok": True, "file": str(file), "data_dir": str(file.parent / "data"), "warnings": [], "expects": 0,
        "failing": [],
    }  # fmt: skip


def test_check_warns_and_is_content(run: Run, file: Path) -> None:
    peer = '[[peer]]\nname = "a"\ntargets = ["sip:10.0.0.1"]\n'
    routes = [f'[[route]]\nname = "{name}"\ncalled = "^1"\npeers = ["a"]\n' for name in ("r1", "r2")]
    file.write_text("".join([peer, *routes]))
    warning = f'{file}:10: route.called: warning: nothing comes here: route "r1" above takes every number of this one'
    assert (run("check").status, run("check").told) == (0, [warning])
    assert run("check", "--json").json["warnings"] == [warning]


def test_check_tells_everything_that_is_wrong(run: Run, file: Path) -> None:
    file.write_text('[node]\nnam = "a"\n[sip]\nt1_ms = 1\n')
    done = run("check")
    assert (done.status, done.out) == (2, "")
    assert done.told == [
        f"{file}:2: node.nam: unknown key, did you mean name?",
        f"{file}:4: sip.t1_ms: must be greater than or equal to 10, not 1",
    ]


def test_check_reads_the_inventory_too(run: Run, file: Path) -> None:
    inventory = file.with_name("inventory.toml")
    file.write_text('[inventory]\nfile = "inventory.toml"')
    inventory.write_text('[[number_block]]\nprefix = "800"\n')
    done = run("check")
    assert (done.status, done.out) == (2, "")
    assert any(line.startswith(f"{inventory}:2: number_block.prefix: ") for line in done.told)


@pytest.mark.parametrize("verb", [verb for verb in VERBS if verb not in ("run", *NEED_NO_CONFIGURATION)])
def test_a_wrong_configuration_stops_every_verb(verb: str, run: Run, file: Path) -> None:
    file.write_text("[node]\nbad = 1\n")
    words = {"bind": bind_words(), "unbind": ["unbind", "id"],
             "rebind": ["rebind", "id", "--no-sms"],
             "group create": ["group", "create", "--business-user", "u", "--name", "n", "--member", A],
             "group edit": ["group", "edit", "id", "--add", A], "group delete": ["group", "delete", "id"],
             "blacklist add": ["blacklist", "add", "--app-platform", "p", "--first", A],
             "blacklist remove": ["blacklist", "remove", "--app-platform", "p", "--first", A],
             "blacklist list": ["blacklist", "list", "--app-platform", "p"],
             "bindings import": ["bindings", "import", str(file)],
             "inventory apply": ["inventory", "apply", str(INVENTORY)],
             "api-key create": ["api-key", "create", "--role", "operator"],
             "api-key revoke": ["api-key", "revoke", "0123"],
             "explain": ["explain", "--caller", A, "--called", X], "diff": ["diff", str(file), str(file)],
             "capture": ["capture", "--out", "-"], "replay": ["replay", str(file), "--against", str(file)],
             "cdr archive": ["cdr", "archive", "--until", "2026-11-01"],
             "state": ["state", "number", X, "locked", "--reason", "why"],
             "kill": ["kill", "everything", "--reason", "why"], "restore": ["restore", "everything", "--reason", "why"],
             "trace": ["trace", "--number", X, "--at", UNTIL, "--reason", "why"],
             **{verb: [*verb.split(), "--day", "2026-11-01"] for verb in VERBS if verb.startswith("report ")},
             "complaint add": ["complaint", "add", "--number", X, "--detail", "d"],
             "complaint block": ["complaint", "block", "1", "--reason", "why"],
             "complaint close": ["complaint", "close", "1", "--reason", "why"],
             "credit add": ["credit", "add", "bu-express", "--offence", "fraud", "--detail", "d"],
             "credit import": ["credit", "import", str(file)],
             "report mark-reported": ["report", "mark-reported", X[:11]],
             "cdr settlement": ["cdr", "settlement", "--from", "2026-11-01", "--until", "2026-12-01"]}  # fmt: skip
    done = run(*words.get(verb, verb.split()))
    assert done == Done(2, "", f"{file}:2: node.bad: unknown key, did you mean name?\n")
    assert list(file.parent.iterdir()) == [file]


def test_config_show_is_a_configuration_with_the_same_effect(run: Run, file: Path, tmp_path: Path) -> None:
    file.write_text(
        '[node]\ndata_dir = "data"\n[[peer]]\nname = "a"\nmatch = ["10.0.0.0/8"]\ntargets = ["sip:10.0.0.1"]\n'
        '[[route]]\nname = "r"\ncalled = "^\\"?1\\\\u007f"\npeers = ["a"]\n[policy]\nring_timeout_s = 0.5\n'
    )
    shown = run("config", "show")
    assert shown.status == 0
    again = tmp_path / "again.toml"
    again.write_text(shown.out)
    assert load(again).model_dump() == load(file).model_dump()
    assert tomllib.loads(shown.out)["policy"]["max_call_s"] == 14400
    as_json = run("config", "show", "--json").json
    assert as_json == load(file).model_dump()
    assert as_json["peer"][0]["caller"] == "pai-or-from"


def test_config_show_masks_passwords(run: Run, file: Path) -> None:
    file.write_text(
        '[[peer]]\nname = "a"\nmatch = ["10.0.0.0/8"]\ncaller = "digest"\n'
        '[[account]]\nuser = "u"\npeer = "a"\nnumbers = ["13800138000"]\npassword = "hunter2"\n'
    )
    for words in ((), ("--json",)):
        shown = run("config", "show", *words)
        assert shown.status == 0
        assert "****" in shown.out
        assert "hunter2" not in shown.out and "13800138000" not in shown.out


@pytest.mark.parametrize("part", sorted(set(PART_OF.values())))
def test_a_part_has_the_verbs_that_lead_to_it(part: str) -> None:
    assert set(verbs(part).commands) == {word for word, leads_to in PART_OF.items() if leads_to == part}


def test_all_parts_have_all_verbs() -> None:
    assert set(verbs().commands) == set(PART_OF)


def test_a_short_command_does_not_load_the_others() -> None:
    program = "import sys; from engine.cli import run_cli; run_cli(['bind', '--help']); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "engine.cli.bind" in done.stdout.split()
    assert {"engine.cli.scenario", "engine.leaktest"}.isdisjoint(done.stdout.split())
