"""scenario play and scenario check on the command line."""

from __future__ import annotations

import json
import signal
import socket
import stat
from contextlib import closing
from pathlib import Path

import pytest

from scenarios.rig.sipp import read_trace
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
    callee = process("scenario", "play", file_of("answered/uas"), "-i", host, "-p", 5060, "-m", 2, "-timeout",
                     "20s", "-trace_msg", "-message_file", tmp_path / "uas.log", "--json")  # fmt: skip
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
               "-inf", rows(tmp_path), "-d", "20ms", "-timeout", 20, "-trace_msg", "-message_file", trace)  # fmt: skip
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
        (["-t", "t1"], "veil700: -t t1: not supported, only u1"),
        (["-key", "one"], "veil700: -key needs a name and a value"),
        (["-timeout", "soon"], "veil700: -timeout: 'soon' is no time such as 500ms or 20s, of a week at most"),
        (["-timeout", "8760h"], "veil700: -timeout: '8760h' is no time such as 500ms or 20s, of a week at most"),
        (["-rp", "0"], "veil700: -rp must be above 0"),
        (["-i", "localhost"], "veil700: -i: 'localhost' is no IP address"),
        (["-default_behaviors", "all,nope"],
         "veil700: -default_behaviors: 'nope' is none of all, none, bye, abortunexp, pingreply"),
        (["-m", "0"], "veil700 scenario play: Invalid value for '-m': Input should be greater than or equal to 1"),
        (["-p", "abc"], "veil700 scenario play: Invalid value for '-p': 'abc' is not a port"),
        (["-p", "65536"], "veil700 scenario play: Invalid value for '-p': '65536' is not a port"),
        (["-inf", "nowhere"], "veil700: nowhere: No such file or directory"),
        (["-sn", "uac"], "veil700: no such option: -sn; see veil700 scenario play --help"),
        (["--nope"], "veil700: no such option: --nope; see"),
        (["-s"], "veil700: Option '-s' requires an argument"),
    ],
)  # fmt: skip
def test_wrong_usage_is_one_line_and_status_2(run: Run, xml: Path, words: list[str], line: str) -> None:
    done = run("scenario", "play", xml, "127.0.0.1", *words)
    assert (done.status, done.out, len(done.told)) == (2, "", 1)
    assert done.err.startswith(line)


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
