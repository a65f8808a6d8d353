"""scenario play and scenario check on the command line."""

from __future__ import annotations

import json
import signal
import socket
import stat
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from engine.cli.sipp_options import OPTIONS
from scenarios.rig.sipp import SIPP, read_trace
from tests.cli.commands import Done, Run, ended, process
from tests.e2e.stories import file_of
from tests.scenario.scenes import document, recv, send
from tests.sipstack.endpoint_rig import own_address

QUICK = document(send("MESSAGE"))


@pytest.fixture
def host(request: pytest.FixtureRequest) -> str:
    return own_address(request)


@pytest.fixture
def xml(tmp_path: Path) -> Path:
    """A scenario that is through as soon as it has begun."""
    path = tmp_path / "quick.xml"
    path.write_text(QUICK)
    return path


def rows(folder: Path) -> Path:
    path = folder / "rows.csv"
    path.write_text("SEQUENTIAL\n13900139000;13800138000\n")
    return path


# ---------------------------------------------------------------------- check


def test_check_says_ok_and_what_has_no_effect(run: Run, tmp_path: Path, xml: Path) -> None:
    noted = tmp_path / "noted.xml"
    noted.write_text(document(recv("INVITE", retrans="1")))
    done = run("scenario", "check", xml, noted)
    assert done == Done(0, f"{xml}: ok\n{noted}:2: retrans= of <recv> is accepted without effect\n{noted}: ok\n", "")
    assert run("scenario", "check", noted, "--json").json == [
        {
            "file": str(noted),
            "ok": True,
            "faults": [],
            "notes": [{"line": 2, "text": "retrans= of <recv> is accepted without effect"}],
        }
    ]


def test_check_tells_of_words_in_brackets_that_want_a_key(run: Run, tmp_path: Path) -> None:
    xml = tmp_path / "a.xml"
    xml.write_text(document(send("MESSAGE sip:[service]@[remote_prt] SIP/2.0\nX: [remote_port] [remote_prt]")))
    line = f"{xml}:3: [remote_prt] is no keyword: it wants -key remote_prt VALUE"
    done = run("scenario", "check", xml)
    assert done == Done(0, f"{line}\n{xml}: ok\n", "")


def test_check_tells_what_is_to_be_known_of_a_file_with_faults_too(run: Run, tmp_path: Path) -> None:
    xml = tmp_path / "a.xml"
    xml.write_text(
        document(send("MESSAGE sip:[service]@[remote_prt] SIP/2.0"), "<sendcmd/>", recv("INVITE", retrans="1"))
    )
    lines = [
        "3: [remote_prt] is no keyword: it wants -key remote_prt VALUE", "6: <sendcmd> is not supported",
        "7: retrans= of <recv> is accepted without effect",
    ]  # fmt: skip
    done = run("scenario", "check", xml)
    assert (done.status, done.out.splitlines()) == (1, [f"{xml}:{line}" for line in lines])
    (told,) = run("scenario", "check", xml, "--json").json
    assert [[one["line"] for one in told[name]] for name in ("faults", "notes")] == [[6], [7, 3]]


def test_check_lists_what_is_not_supported(run: Run, tmp_path: Path, xml: Path) -> None:
    bad = tmp_path / "bad.xml"
    bad.write_text(document("<sendcmd/>", recv("INVITE", rrs="yes")))
    lines = [f"{bad}:2: <sendcmd> is not supported", f"{bad}:3: rrs='yes' is neither true nor false"]
    done = run("scenario", "check", bad, xml)
    assert (done.status, done.out.splitlines()) == (1, [*lines, f"{xml}: ok"])
    assert [one["ok"] for one in run("scenario", "check", bad, xml, "--json").json] == [False, True]
    played = run("scenario", "play", bad, "127.0.0.1")
    assert (played.status, played.out, played.told) == (2, "", lines)


def test_a_file_that_is_not_there(run: Run, tmp_path: Path) -> None:
    for verb in ("check", "play"):
        done = run("scenario", verb, tmp_path / "none.xml")
        assert done == Done(2, "", f"veil700: {tmp_path / 'none.xml'}: No such file or directory\n")


# ---------------------------------------------------------------------- play


def test_two_of_them_talk(run: Run, tmp_path: Path, host: str) -> None:
    """Nothing is lost between them, so nothing is sent twice, however late a busy machine lets them answer: -nr."""
    callee = process("scenario", "play", file_of("answered/uas"), "-i", host, "-p", 5060, "-m", 2, "-nr", "-timeout",
                     "60s", "-trace_msg", "-message_file", tmp_path / "uas.log", "--json")  # fmt: skip
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as probe:  # answered once it listens, and no call
        probe.bind((host, 0))
        probe.connect((host, 5060))
        probe.settimeout(0.05)
        listens = False
        while not listens:
            try:
                probe.send(b"anybody there?")
                probe.recv(1)
            except ConnectionRefusedError:
                continue
            except TimeoutError:
                listens = True
    trace = tmp_path / "uac.log"
    done = run("scenario", "play", file_of("answered/uac"), f"{host}:5060", "-i", host, "-p", 0, "-m", 2, "-r", 100,
               "-nr", "-inf", rows(tmp_path), "-d", "20ms", "-timeout", 60, "-trace_msg", "-message_file",
               trace)  # fmt: skip
    assert (done.status, done.told) == (0, [])
    assert done.out.splitlines()[:3] == ["exit_code        0", "successful       2", "failed           0"]
    theirs = ended(callee)
    assert (theirs.status, theirs.err) == (0, "")
    report = theirs.json
    assert (report["exit_code"], report["successful"], report["failures"]) == (0, 2, [])
    assert report["out_of_call"] >= 1
    mine = [(one.is_sent, one.data) for one in read_trace(trace)]
    assert len(mine) == 14
    heard = [(not one.is_sent, one.data) for one in read_trace(tmp_path / "uas.log") if b"Call-ID" in one.data]
    assert sorted(mine) == sorted(heard)


def test_a_failed_call_is_told(run: Run, tmp_path: Path, host: str) -> None:
    xml = tmp_path / "a.xml"
    xml.write_text(document(send("BYE", retrans="1"), recv("200")))
    done = run("scenario", "play", xml, f"{host}:9", "-i", host, "-p", 0, "-m", 1, "-max_retrans", 2, "--json")
    assert done.status == 1
    assert done.told == [f"{xml}:2: no answer after 2 retransmissions"]
    told = done.json
    assert told.pop("duration_s") > 0
    assert told.pop("call_length")["count"] == 1
    assert [element.pop("line") for element in told["elements"]] == [2, 12]
    nothing = {"retransmissions": 0, "timeouts": 0, "unexpected": 0, "lost": 0}
    assert told == {
        "exit_code": 1, "successful": 0, "failed": 1, "retransmissions": 2, "unexpected": 0, "failures": done.told,
        "out_of_call": 0, "shed": 0, "reasons": {"MaxUDPRetrans": 1}, "response_times": {},
        "counters": {}, "ladder": told["ladder"], "elements": [
            {"kind": "send", "name": "BYE", "messages": 1} | nothing | {"retransmissions": 2, "timeouts": 1},
            {"kind": "recv", "name": "200", "messages": 0} | nothing,
        ],
    }  # fmt: skip
    assert [line.split()[-3:] for line in told["ladder"][1:-1]] == [["BYE", "(CSeq", "1)"]] * 3


def test_an_address_that_cannot_be_had(run: Run, xml: Path, host: str) -> None:
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as taken:
        taken.bind((host, 0))
        port = taken.getsockname()[1]
        done = run("scenario", "play", xml, host, "-i", host, "-p", port, "-m", 1, "--json")
        assert (done.status, done.json["exit_code"]) == (1, 254)
        assert done.told == [f"veil700: cannot listen on udp:{host}:{port}: Address already in use"]
        taken_5060 = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with closing(taken_5060):
            taken_5060.bind((host, 5060))
            assert run("scenario", "play", xml, f"{host}:9", "-i", host, "-m", 1).status == 0


def test_time_is_up(run: Run, tmp_path: Path, host: str) -> None:
    xml = tmp_path / "a.xml"
    xml.write_text(document(recv("INVITE")))
    for more, code in (([], 97), (["-timeout_error"], 255)):
        done = run("scenario", "play", xml, "-i", host, "-p", 0, "-timeout", "10ms", "--json", *more)
        assert (done.status, done.json["exit_code"]) == (1, code)


def test_a_signal_ends_it_with_its_report(tmp_path: Path, host: str) -> None:
    xml = tmp_path / "a.xml"
    xml.write_text(document(send("MESSAGE"), '<nop><action><log message="[call_number] is here"/></action></nop>',
                            "<pause/>", recv("200")))  # fmt: skip
    started = process("scenario", "play", xml, f"{host}:9", "-i", host, "-p", 0, "-l", 1, "-d", "1h", "--json")
    assert started.stderr is not None and started.stderr.readline() == "1 is here\n"
    started.send_signal(signal.SIGTERM)
    done = ended(started)
    assert (done.status, done.json["failed"]) == (1, 1)
    assert done.told == [f"{xml}:13: stopped"]


def test_a_file_tells_the_terminal_nothing(run: Run, tmp_path: Path) -> None:
    xml = tmp_path / "a.xml"
    xml.write_text(document(recv("INVITE", optional="\x9b2J")))
    told = f"{xml}:2: optional='?2J' is none of true, false, global"
    assert run("scenario", "play", xml).told == [told]
    assert run("scenario", "check", xml).out == f"{told}\n"


def test_keys_take_two_words_each(run: Run, tmp_path: Path, host: str) -> None:
    xml = tmp_path / "a.xml"
    xml.write_text(document(send("MESSAGE [one] SIP/2.0\nX: [two]")))
    trace = tmp_path / "log"
    done = run("scenario", "play", xml, f"{host}:9", "-i", host, "-p", 0, "-m", 1, "-key", "one", "sip:1=1", "-key",
               "two", "-2", "-trace_msg", "-message_file", trace)  # fmt: skip
    assert done.status == 0
    assert [one.data for one in read_trace(trace)] == [b"MESSAGE sip:1=1 SIP/2.0\r\nX: -2\r\n\r\n"]
    assert stat.S_IMODE(trace.stat().st_mode) == 0o600
    done = run("scenario", "play", xml, host, "-key", "one", "1")
    assert done == Done(2, "", f"veil700: {xml}: [two] is no keyword, and no key of that name is given\n")


def test_messages_that_cannot_be_written_say_where(run: Run, xml: Path, host: str) -> None:
    done = run("scenario", "play", xml, f"{host}:9", "-i", host, "-p", 0, "-m", 1, "-trace_msg", "-message_file",
               "/dev/full")  # fmt: skip
    assert done == Done(1, "", "veil700: /dev/full: No space left on device\n")


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["-t", "s1"], "veil700: -t s1: not supported, only u1, un, ui, t1, tn, l1, ln"),
        (["-t", "l1", "-tls_ca", "nowhere"], "veil700: {xml}: nowhere: No such file or directory"),
        (["-master", "m"], "veil700: -master and -slave need -slave_cfg"),
        (["-slave", "m", "-slave_cfg", "nowhere"], "veil700: nowhere: No such file or directory"),
        (["-rtcheck", "strict"], "veil700: -rtcheck: 'strict' is none of full, loose"),
        (["-reconnect_close", "maybe"], "veil700: -reconnect_close: 'maybe' is neither true nor false"),
        (["-max_reconnect", "-2"], "veil700: -max_reconnect: '-2' is no whole number from -1"),
        (["-r", "many"], "veil700: -r: 'many' is no number from 0 to 1e+06"),
        (["-tdmmap", "{1}"], "veil700: -tdmmap: '{1}' is not like {0-3}{99}{5-8}{1-31}"),
        (["-infindex", "a", "0"], "veil700: -infindex: a 0: it takes a file of -inf and the number of a field"),
        (["-rsa", "a:b"], "veil700: -rsa: 'a:b' is no host, host:port or [IPv6]:port"),
        (["-min_rtp_port", "9000", "-max_rtp_port", "9002"],
         "veil700: -min_rtp_port, -max_rtp_port: 9000 to 9002 has no room for the four ports of a call"),
        (["-plugin", "x.so"], "veil700: -plugin: not supported: there are no plug-ins"),
        (["-key", "one"], "veil700: -key needs a name and a value"),
        (["-timeout", "soon"], "veil700: -timeout: 'soon' is no time such as 500ms or 20s, of a week at most"),
        (["-timeout", "8760h"], "veil700: -timeout: '8760h' is no time such as 500ms or 20s, of a week at most"),
        (["-rp", "0"], "veil700: -rp must be above 0"),
        (["-i", "localhost"], "veil700: -i: 'localhost' is no IP address"),
        (["-default_behaviors", "all,nope"],
         "veil700: -default_behaviors: 'nope' is none of all, none, bye, abortunexp, pingreply, badcseq"),
        (["-m", "0"], "veil700: -m: '0' is no whole number of at least 1"),
        (["-p", "abc"], "veil700: -p: 'abc' is not a port"),
        (["-p", "65536"], "veil700: -p: '65536' is not a port"),
        (["-inf", "nowhere"], "veil700: nowhere: No such file or directory"),
        (["--nope"], "veil700: no such option: --nope; see"),
        (["-s"], "veil700: option -s needs a value"),
    ],
)  # fmt: skip
def test_wrong_usage_is_one_line_and_status_2(run: Run, xml: Path, words: list[str], line: str) -> None:
    done = run("scenario", "play", xml, "127.0.0.1", *words)
    assert (done.status, done.out, len(done.told)) == (2, "", 1)
    assert done.err.startswith(line.replace("{xml}", str(xml)))


@pytest.mark.parametrize("target", ["", "127.0.0.1:0", "127.0.0.1:70000", "a:b", "[::1", "no such host"])
def test_a_target_that_does_not_do(run: Run, xml: Path, target: str) -> None:
    done = run("scenario", "play", xml, target)
    assert (done.status, done.out, len(done.told)) == (2, "", 1)
    assert done.err.startswith(f"veil700: TARGET: '{target}'")


def test_a_caller_needs_a_target(run: Run, xml: Path) -> None:
    done = run("scenario", "play", xml)
    assert done.told == [f"veil700: {xml}: the scenario begins with a request of its own: it needs a target"]
    assert done.status == 2


def test_the_json_of_a_report_is_one_document(run: Run, xml: Path, host: str) -> None:
    done = run("scenario", "play", xml, f"{host}:9", "-i", host, "-p", 0, "-m", 3, "-r", 1000, "--json")
    assert json.loads(done.out)["successful"] == 3


# ---------------------------------------------------------------------- as testers call it


def test_options_of_a_testers_script(run: Run, xml: Path, host: str) -> None:
    """What stands in scripts that were written for SIPp: harmless ones are named, the rest does what it says."""
    done = run("scenario", "play", "-sf", xml, f"{host}:9", "-i", host, "-p", 0, "-m", 3, "-r", 100, "-nostdin", "-bg",
               "-timer_resol", 10, "-max_socket", 10, "-T2", 4000, "-rtcheck", "loose", "-aa", "-base_cseq", 5,
               "-users", 2, "-cid_str", "%u.x", "-skip_rlimit", "--json")  # fmt: skip
    assert (done.status, done.json["successful"]) == (0, 3)
    assert done.told == ["without effect here: -nostdin -bg -timer_resol -skip_rlimit"]


def test_every_file_that_sipp_writes(run: Run, tmp_path: Path, host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    xml = tmp_path / "a.xml"
    log = '<action><log message="[call_number] is here"/></action>'
    xml.write_text(document(send("BYE", log, retrans="1", start_rtd="1"), recv("200", rtd="1"),
                            '<ResponseTimeRepartition value="10,20"/>'))  # fmt: skip
    kinds = ("msg", "shortmsg", "err", "error_codes", "logs", "calldebug", "screen", "stat", "counts", "rtt")
    done = run("scenario", "play", xml, f"{host}:9", "-i", host, "-p", 0, "-m", 2, "-max_retrans", 2, "-fd", "1s",
               *(f"-trace_{kind}" for kind in kinds), "-stat_delimiter", ",")  # fmt: skip
    assert done.status == 1
    found = {path.name.split("_", 2)[2]: path for path in tmp_path.glob("a_*")}
    assert set(found) == {"messages.log", "shortmessages.log", "errors.log", "error_codes.csv", "logs.log",
                          "calldebug.log", "screen.log", ".csv", "counts.csv", "rtt.csv"}  # fmt: skip
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in found.values())
    assert len(list(read_trace(found["messages.log"]))) == 6
    assert [line.split("\t")[3:6:2] for line in found["shortmessages.log"].read_text().splitlines()] == [
        ["S", "CSeq:1 BYE"]
    ] * 6
    assert found["logs.log"].read_text() == "1 is here\n2 is here\n"
    assert found["errors.log"].read_text().count("no answer after 2 retransmissions") == 2
    assert found["calldebug.log"].read_text().count("Call debugging information for call ") == 2
    assert "no answer" not in found["messages.log"].read_text()
    header, *rows = [line.split(",") for line in found[".csv"].read_text().splitlines()]
    assert {len(row) for row in rows} == {len(header)}
    last = dict(zip(header, rows[-1], strict=True))
    assert (last["FailedCall(C)"], last["FailedMaxUDPRetrans(C)"], last["OutgoingCall(C)"]) == ("2", "2", "2")
    assert last["Retransmissions(C)"] == "4"
    header, *rows = [line.split(",") for line in found["counts.csv"].read_text().splitlines()]
    last = dict(zip(header, rows[-1], strict=True))
    assert [last[f"0_BYE_{name}"] for name in ("Sent", "Retrans", "Timeout")] == ["2", "4", "2"]
    assert last["1_200_Recv"] == "0"
    assert ["BYE", "---------->", "2", "4", "2", "0"] in [
        line.split() for line in found["screen.log"].read_text().splitlines()
    ]


def test_columns_are_sipps(run: Run, tmp_path: Path, host: str) -> None:
    """The header of the statistics of SIPp 3.6.1 for one response time with two bounds."""
    xml = tmp_path / "a.xml"
    xml.write_text('<?xml version="1.0"?>' + document(
        send("MESSAGE", start_rtd="1"), '<nop rtd="1"/>', '<ResponseTimeRepartition value="10,20"/>',
        '<CallLengthRepartition value="50"/>'))  # fmt: skip
    run("scenario", "play", xml, f"{host}:9", "-i", host, "-p", 0, "-m", 1, "-trace_stat", "-stf", tmp_path / "ours")
    argv = [SIPP, f"{host}:9", "-sf", xml, "-i", host, "-ci", host, "-m", "1", "-nostdin", "-trace_stat", "-stf",
            tmp_path / "theirs"]  # fmt: skip
    nowhere = subprocess.DEVNULL
    subprocess.run(argv, stdin=nowhere, stdout=nowhere, stderr=nowhere, check=True, timeout=60)
    ours, theirs = ((tmp_path / name).read_text().splitlines() for name in ("ours", "theirs"))
    assert ours[0] == theirs[0]
    assert {len(line.split(";")) for line in (*ours, *theirs)} == {len(ours[0].split(";"))}


def test_the_shell_needs_a_word_before_anything_is_sent(run: Run, tmp_path: Path, host: str) -> None:
    xml = tmp_path / "a.xml"
    xml.write_text(document(send("MESSAGE"), '<nop><action><exec command="true"/></action></nop>'))
    words = ("scenario", "play", xml, f"{host}:9", "-i", host, "-p", 0, "-m", 1)
    done = run(*words)
    assert (done.status, done.told) == (2, [f"{xml}:12: <exec command> needs --allow-exec"])
    assert run(*words, "--allow-exec").status == 0


def test_figures_for_a_log_and_the_ladder_of_a_failed_call(run: Run, tmp_path: Path, host: str) -> None:
    xml = tmp_path / "a.xml"
    xml.write_text(document(send("BYE"), recv("200", timeout="1500")))
    done = run("scenario", "play", xml, f"{host}:9", "-i", host, "-p", 0, "-m", 1, "-f", "100ms")
    figures = [line for line in done.told if " open, " in line]
    assert len(figures) >= 2
    assert figures[0].endswith("1 calls, 10.0/s, 1 open, 0 successful, 0 failed, 0 retransmissions, 0 unexpected") or (
        " 1 open, 0 successful, 0 failed" in figures[0]
    )
    assert "the first call that failed, " in done.told[-3]
    assert done.told[-2].endswith("-->  BYE (CSeq 1)")
    assert done.told[-1].endswith(f"ended: {xml}:12: waited too long for 200")


def test_the_help_names_every_option(run: Run) -> None:
    done = run("scenario", "play", "--help")
    words = set(done.out.replace("\n", " ").split())
    assert set(OPTIONS) <= words


# ---------------------------------------------------------------------- what we bring


def test_a_built_in_scenario_is_printed_and_played(run: Run, tmp_path: Path, host: str) -> None:
    printed = run("scenario", "play", "-sd", "uac")
    assert (printed.status, printed.told) == (0, [])
    file = tmp_path / "uac.xml"
    file.write_text(printed.out)
    assert run("scenario", "check", file).out == f"{file}: ok\n"
    played = run(
        "scenario", "play", "-sn", "uac", f"{host}:9", "-i", host, "-m", "1", "-nr", "-timeout", "100ms", "--json"
    )
    assert played.json["elements"][0]["name"] == "INVITE"


@pytest.mark.parametrize("option", ["-sn", "-sd", "-oocsn"])
def test_a_name_that_no_built_in_scenario_has(run: Run, xml: Path, option: str) -> None:
    done = run("scenario", "play", *([xml] if option == "-oocsn" else []), option, "ua", "127.0.0.1")
    assert (done.status, done.out) == (2, "")
    assert done.told[0].startswith(f"veil700: {option}: 'ua' is none of 3pcc-A, 3pcc-B, ")
