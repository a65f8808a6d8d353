"""Files in SIPp's language, played by a real SIPp and by our player against a peer that records: the same bytes."""

from __future__ import annotations

import asyncio
import re
import socket
import subprocess
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from scenarios.rig.place import Place
from scenarios.rig.sipp import SIPP, is_bound
from sipstack.scenario.credentials import is_right
from sipstack.scenario.injection import Injection, read_injection
from sipstack.scenario.loader import load_scenario
from sipstack.scenario.player import Player
from sipstack.scenario.received import Received
from sipstack.scenario.report import Report
from sipstack.scenario.settings import PlayerSettings
from tests.scenario.scenes import ANSWER_HEAD, document, recv, send, written

PORT = 5070
HEAD = (
    "Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]\nFrom: <sip:a@a>;tag=a\nTo: <sip:b@b>\n"
    "Call-ID: [call_id]\n"
)
Answer = Callable[[Received], str]


def message(text: str = "", method: str = "MESSAGE", body: str = "") -> str:
    """`<send>` of a request with these lines in it."""
    rows = f"{text}\n" if text else ""
    return send(f"{method} sip:b@b SIP/2.0\n{HEAD}CSeq: [cseq] {method}\n{rows}Content-Length: [len]\n\n{body}")


def actions(*inside: str) -> str:
    return f"<action>{''.join(inside)}</action>"


def nop(*inside: str, **attributes: str) -> str:
    return f"<nop{written(attributes)}>{actions(*inside)}</nop>"


def ok(request: Received) -> str:
    """200 with some fields to look at."""
    return response(request, "200 OK", "X-One: first", "x-one:  second", "Contact: <sip:z@z;x=1>", "X-Empty:")


def response(request: Received, status: str, *rows: str, body: str = "") -> str:
    copied = [row for name in ("Via", "From", "To", "Call-ID", "CSeq") for row in request.rows(name)]
    return "\r\n".join((f"SIP/2.0 {status}", *copied, *rows, f"Content-Length: {len(body)}", "", body))


class Peer:
    """Records what comes, and answers requests other than ACK."""

    def __init__(self, host: str, answer: Answer) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((host, 5060))
        self._socket.settimeout(0.05)
        self._answer = answer
        self.seen: list[str] = []
        self.is_over = False

    def serve(self) -> None:
        with closing(self._socket):
            while not self.is_over:
                try:
                    data, source = self._socket.recvfrom(65_535)
                except TimeoutError:
                    continue
                received = Received(data)
                self.seen.append(received.text)
                if received.method not in ("", "ACK") and (answer := self._answer(received)):
                    self._socket.sendto(answer.encode("latin-1"), source)


async def recorded(host: str, answer: Answer, play: Callable[[], Any]) -> list[str]:
    peer = Peer(host, answer)
    serving = asyncio.ensure_future(asyncio.to_thread(peer.serve))
    try:
        await play()
    finally:
        peer.is_over = True
        await serving
    return peer.seen


async def both(
    place: Place, folder: Path, *elements: str, answer: Answer = ok, options: Sequence[str] = (),
    files: Sequence[Path] = (), indexes: Sequence[tuple[str, int]] = (), exit_code: int = 0, **settings: Any,
) -> tuple[list[str], list[str]]:  # fmt: skip
    """What SIPp sends, and what we do."""
    path = folder / "played.xml"
    path.write_text(f'<?xml version="1.0" encoding="ISO-8859-1" ?>\n{document(*elements)}')
    words = [word for file in files for word in ("-inf", str(file))]
    words += [word for name, field in indexes for word in ("-infindex", name, str(field))]
    pids: list[int] = []

    async def theirs() -> None:
        process = await asyncio.create_subprocess_exec(
            SIPP, f"{place.callee}:5060", "-sf", str(path), "-i", place.caller, "-p", str(PORT), "-ci", place.caller,
            "-m", "1", "-nostdin", "-timeout", "60s", "-timeout_error",
            "-recv_timeout", "50000", *words, *options, cwd=folder, stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        )  # fmt: skip
        pids.append(process.pid)
        _, told = await process.communicate()
        assert process.returncode == exit_code, told.decode()

    async def ours() -> None:
        read = [read_injection(file) for file in files]
        for name, field in indexes:
            next(file for file in read if file.name == name).index(field)
        given = PlayerSettings(
            place.caller, PORT, place.callee, 5060, injection=Injection(read), max_calls=1, timeout_s=60, pid=pids[0],
            **settings,
        )  # fmt: skip
        player = Player(load_scenario(path), given)
        await player.open()
        report: Report = await player.run()
        assert (report.exit_code, report.failures if not exit_code else []) == (exit_code, [])

    return await recorded(place.callee, answer, theirs), await recorded(place.callee, answer, ours)


def lines(messages: list[str], *patterns: str) -> list[list[str]]:
    """The lines of all messages; what matches a pattern differs from run to run."""
    for pattern in patterns:
        messages = [re.sub(pattern, "*", text) for text in messages]
    return [text.split("\r\n") for text in messages]


async def test_keywords(place: Place, tmp_path: Path) -> None:
    (tmp_path / "part.txt").write_bytes(b"as it\nstands [service]\r\n\xe9")
    theirs, ours = await both(
        place, tmp_path,
        message("X-A: [server_ip] [remote_host] [sipp_version] [users] [userid] [dynamic_id] [dynamic_id]\n"
                "X-B: [timestamp] | [date]\nX-C: audio [auto_media_port] [media_port+2] [media_ip_type]\n"
                "X-D: [service] [last_X-One:] [last_cseq_number] [branch-1] [branch+2]\nX-E: \\x5bx\\x5D"),
        recv("200"),
        message("[last_X-One:]\n[last_x-one]\n[last_X-Empty:]\n[last_X-None]\nX-F: [last_Request_URI] [peer_tag_param]",
                body="v=0\nm=audio [media_port] RTP\nm=video [auto_media_port+2] RTP\n"
                     f"[file name={tmp_path}/part.txt]"),
        recv("200"),
        message("X-G: [cseq+3] [msg_index] [call_number] [service]", method="INFO"), recv("200"),
        options=["-s", "me"], service="me",
    )  # fmt: skip
    clock = r"\d{4}-\d\d-\d\d\t\d\d:\d\d:\d\d\.\d{6}\t\d{10}\.\d{6} \| \w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT"
    assert lines(ours, clock) == lines(theirs, clock)
    assert "X-B: *" in lines(ours, clock)[0]


async def test_a_second_call_id(place: Place, tmp_path: Path) -> None:
    """What stands in front of /// in a Call-ID is of no account: a call may have several."""
    theirs, ours = await both(
        place, tmp_path,
        message().replace("Call-ID: [call_id]", "Call-ID: other///[call_id]"), recv("200"),
        message("X: [last_Call-ID:]", method="INFO"), recv("200"),
    )  # fmt: skip
    assert lines(ours) == lines(theirs)
    assert len(ours) == 2


async def test_stop_now_is_now(place: Place, tmp_path: Path) -> None:
    theirs, ours = await both(
        place, tmp_path,
        message(), recv("200"), nop('<exec int_cmd="stop_now"/>'), message(method="INFO"), recv("200"), exit_code=97,
    )  # fmt: skip
    assert lines(ours) == lines(theirs)
    assert len(ours) == 1


async def test_the_first_of_two_cseq_counts(place: Place, tmp_path: Path) -> None:
    def answer(request: Received) -> str:
        return response(request, "200 OK", "CSeq: 9 BYE")

    theirs, ours = await both(
        place, tmp_path, message(), recv("200"), message(method="INFO"), recv("200"), answer=answer
    )
    assert lines(ours) == lines(theirs)
    assert len(ours) == 2


VALUES = "".join(f"[${name}]|" for name in "abcdefghij")


async def test_actions(place: Place, tmp_path: Path) -> None:
    theirs, ours = await both(
        place, tmp_path,
        nop('<assign assign_to="a" value="7"/>', '<assign assign_to="b" variable="a"/>',
            '<add assign_to="a" value="1.25"/>', '<subtract assign_to="b" value="10"/>',
            '<multiply assign_to="b" variable="a"/>', '<assign assign_to="c" value="1"/>',
            '<divide assign_to="c" value="3"/>', '<divide assign_to="a" variable="z"/>',
            '<assignstr assign_to="d" value=" \\t[service] x "/>', '<trim assign_to="d"/>',
            '<strcmp assign_to="e" variable="d" value="sa"/>', '<strcmp assign_to="f" variable="z" variable2="d"/>',
            '<test assign_to="g" variable="a" compare="greater_than" value="8"/>',
            '<test assign_to="h" variable="a" compare="less_than_equal" variable2="c"/>', '<index assign_to="i"/>',
            '<todouble assign_to="j" variable="g"/>'),
        message(f"X: {VALUES}"), recv("200"),
        nop('<assignstr assign_to="a" value=" 1e2"/>', '<todouble assign_to="b" variable="a"/>',
            '<assignstr assign_to="c" value="12 "/>', '<todouble assign_to="d" variable="c"/>',
            '<ereg search_in="var" variable="a" regexp="([0-9])(e)?" assign_to="e,f,g"/>',
            '<ereg search_in="var" variable="b" regexp="." assign_to="h"/>',
            '<assignstr assign_to="i" value="[fill variable=b text=abc]"/>',
            '<assignstr assign_to="j" value="[last_X-One:]"/>'),
        message(f"X: {VALUES}\nX-Fill: [fill variable=\"b\"]"), recv("200"),
        '<Reference variables="z"/>', options=["-s", "s"], service="s",
    )  # fmt: skip
    assert lines(ours) == lines(theirs)
    assert len(ours) == 2


async def test_expressions(place: Place, tmp_path: Path) -> None:
    looks = actions(
        '<ereg regexp="[0-9]+\\.[0-9]+" search_in="msg" assign_to="a"/>',
        '<ereg regexp=".*" search_in="hdr" header="Contact:" assign_to="b"/>',
        '<ereg regexp="sip:([a-z]+)@([^;>]*)" search_in="hdr" header="contact:" case_indep="true" assign_to="c,d,e"/>',
        '<ereg regexp=".*" search_in="hdr" header="X-One:" occurrence="1" assign_to="f"/>',
        '<ereg regexp=".*" search_in="hdr" header="x-one" case_indep="true" occurrence="2" assign_to="g"/>',
        '<ereg regexp="v=(.).*" search_in="body" assign_to="h,i"/>',
        '<ereg regexp="nowhere" search_in="msg" assign_to="j"/>',
        '<ereg regexp="\\"q\\"|sip" search_in="msg" assign_to="k"/>',
    )
    theirs, ours = await both(
        place, tmp_path, message(), recv("200", looks), message(f"X: {VALUES}[$k]"), recv("200"),
        answer=lambda request: response(request, "200 OK", 'X-One: "q" 1.5', "X-ONE: 2", "Contact: <sip:abc@d.e;x=1>",
                                        body="v=0\r\no=-\r\n"),
    )  # fmt: skip
    assert lines(ours) == lines(theirs)


async def test_headers_are_found_anywhere_or_at_the_start_of_a_line(place: Place, tmp_path: Path) -> None:
    looks = actions(
        '<ereg regexp=".*" search_in="hdr" header="Bar:" assign_to="a"/>',
        '<ereg regexp=".*" search_in="hdr" header="Bar:" start_line="true" assign_to="b"/>',
        '<ereg regexp=".*" search_in="hdr" header="Bar:" start_line="false" assign_to="c"/>',
        '<ereg regexp=".*" search_in="hdr" header="bar" case_indep="true" start_line="true" assign_to="d"/>',
        '<ereg regexp=".*" search_in="hdr" header="Only:" start_line="true" assign_to="e"/>',
        '<ereg regexp=".*" search_in="hdr" header="Only:" assign_to="f"/>',
        '<ereg regexp=".*" search_in="hdr" header="Bar:" occurrence="2" assign_to="g"/>',
        '<ereg regexp=".*" search_in="hdr" header="Bar:" occurrence="2" start_line="true" assign_to="h"/>',
        '<ereg regexp=".*" search_in="hdr" header="o=" assign_to="i"/>',
        '<ereg regexp=".*" search_in="hdr" header="o=" start_line="true" assign_to="j"/>',
    )
    rows = ("X-Foo: Bar: 1", "Bar: 2", "X-O: Only: 3", "bar: 4")
    theirs, ours = await both(
        place, tmp_path, message(), recv("200", looks), message(f"X: {VALUES}"), recv("200"),
        answer=lambda request: response(request, "200 OK", *rows, body="v=0\r\no=-\r\n"),
    )  # fmt: skip
    assert lines(ours) == lines(theirs)
    assert "X:  1| 2| 1|: 2|| 3| 2||-|-|" in lines(ours)[1]


async def test_the_way_through_a_scenario(place: Place, tmp_path: Path) -> None:
    say = message
    theirs, ours = await both(
        place, tmp_path,
        nop('<assign assign_to="no" value="0"/>', '<assign assign_to="one" value="1"/>',
            '<test assign_to="yes" variable="one" compare="equal" value="1"/>'),
        nop('<assign assign_to="one" value="2"/>', condexec="no"),
        nop('<assign assign_to="one" value="3"/>', condexec="yes", condexec_inverse="true"),
        nop('<add assign_to="one" value="10"/>', condexec="yes"), '<nop next="bad" test="no"/>',
        '<nop next="good" test="yes" chance="1"/>',
        '<label id="bad"/>', say("X: bad"), recv("200"),
        '<label id="good"/>', say("X: good [msg_index] [$one]"), recv("486", optional="true", next="bad"),
        recv("200", actions('<assignstr assign_to="late" value="[last_CSeq:]|[last_X-One:]"/>')),
        say("X: [$late]"), recv("200"),
        '<label id="again"/>', nop('<add assign_to="n" value="1"/>',
                                   '<test assign_to="more" variable="n" compare="less_than" value="3"/>'),
        say("X: [$n]"), recv("200", next="again", test="more"),
        nop('<jump value="19"/>'), say("X: passed over"), recv("200"), say("X: end [msg_index]", method="INFO"),
        recv("200"),
    )  # fmt: skip
    assert lines(ours) == lines(theirs)
    assert "X: good 8 11.000000\r\n" in ours[0]


async def test_rows(place: Place, tmp_path: Path) -> None:
    users, numbers = tmp_path / "users.csv", tmp_path / "numbers.csv"
    users.write_text("SEQUENTIAL\n# name;secret\nbob;b1;x\neve;e1\n")
    numbers.write_text("SEQUENTIAL,PRINTF=5,PRINTFOFFSET=700,PRINTFMULTIPLE=10\nn%05d;%d;c\n")
    theirs, ours = await both(
        place, tmp_path,
        message('X: [field0] [field1 file="numbers.csv"] [field0 file=numbers.csv line=3] [field2][field1 line=1]'),
        recv("200"),
        nop('<lookup assign_to="a" file="users.csv" key="eve"/>', '<lookup assign_to="b" file="users.csv" key="no"/>',
            '<insert file="users.csv" value="ann;[service]"/>',
            '<lookup assign_to="c" file="users.csv" key="ann"/>',
            '<replace file="users.csv" line="[$a]" value="joe;j1"/>',
            '<lookup assign_to="d" file="users.csv" key="eve"/>'),
        message('X: [$a] [$b] [$c] [$d] [field1 file="users.csv" line="[$a]"] [field1 file="users.csv" line="[$c]"]'),
        recv("200"),
        files=[users, numbers], indexes=[("users.csv", 0)], options=["-s", "s"], service="s",
    )  # fmt: skip
    assert lines(ours) == lines(theirs)
    assert "X: bob 700 n00730 xe1" in lines(ours)[0]


def challenged(*rows: str, status: str = "401 No") -> Answer:
    def answer(request: Received) -> str:
        has_credentials = request.rows("Authorization") or request.rows("Proxy-Authorization")
        return ok(request) if has_credentials else response(request, status, *rows)

    return answer


@pytest.mark.parametrize(
    ("status", "challenge"),
    [
        ("401 No", 'WWW-Authenticate: Digest realm="r.example", nonce="abc", opaque="o", algorithm=MD5'),
        ("407 No", 'Proxy-Authenticate: Digest realm="r", nonce="n,1"'),
        ("401 No", 'WWW-Authenticate: Digest realm="r", nonce="n", qop="auth"'),
        ("407 No", 'Proxy-Authenticate: Digest realm="r", nonce="n", qop="auth,auth-int", algorithm=MD5'),
    ],
)
async def test_credentials(place: Place, tmp_path: Path, status: str, challenge: str) -> None:
    register = message('[authentication username="[service]" password=pw]', method="REGISTER", body="body\nof it")
    theirs, ours = await both(
        place, tmp_path, message(method="REGISTER"), recv(status[:3], auth="true"), register, recv("200"),
        answer=challenged(challenge, status=status), options=["-s", "bob"], service="bob",
    )  # fmt: skip
    drawn = (r'cnonce="[0-9a-f]+"', r'response="[0-9a-f]{32}"') if "qop" in challenge else (" ",)
    assert lines(ours, *drawn) == lines(theirs, *drawn)
    for text in (ours[-1], theirs[-1]):
        assert is_right(Received(text.encode("latin-1")), "bob", "pw")
        assert not is_right(Received(text.encode("latin-1")), "bob", "px")


async def test_a_real_sipp_knows_our_password(place: Place, tmp_path: Path) -> None:
    path = tmp_path / "registrar.xml"
    verify = '<verifyauth assign_to="{0}" username="bob" password="{0}"/>'
    challenge = 'WWW-Authenticate: Digest realm="r", nonce="n", qop="auth"'
    answer = f"SIP/2.0 {{}}\n{ANSWER_HEAD}{{}}\nContent-Length: 0"
    path.write_text('<?xml version="1.0"?>\n' + document(
        recv("REGISTER"), send(answer.format("401 No", challenge)),
        recv("REGISTER", actions(verify.format("pw"), verify.format("px"))),
        send(answer.format("200 OK", "X: [$pw] [$px]")),
    ))  # fmt: skip
    process = await asyncio.create_subprocess_exec(
        SIPP, "-sf", str(path), "-i", place.callee, "-p", "5060", "-ci", place.callee, "-m", "1", "-nostdin",
        "-timeout", "60s", cwd=tmp_path, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    while not is_bound(place.callee, 5060):
        await asyncio.sleep(0.01)
    caller = tmp_path / "caller.xml"
    check = '<ereg regexp="true false" search_in="hdr" header="X:" check_it="true" assign_to="_"/>'
    caller.write_text(document(
        message(method="REGISTER"), recv("401", auth="true"),
        message("[authentication username=bob password=pw]", method="REGISTER"), recv("200", actions(check)),
    ))  # fmt: skip
    player = Player(
        load_scenario(caller), PlayerSettings(place.caller, PORT, place.callee, 5060, max_calls=1, timeout_s=60)
    )
    await player.open()
    report = await player.run()
    assert (report.exit_code, report.failures) == (0, [])
    assert await process.wait() == 0
