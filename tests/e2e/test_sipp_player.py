"""The player and a real SIPp against each other, in both roles, without a node in between."""

from __future__ import annotations

import asyncio
import re
import socket
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from scenarios.rig.place import Place
from scenarios.rig.seen import Seen
from scenarios.rig.sipp import SIPP, Sipp, is_bound
from sipstack.scenario.loader import load_scenario
from sipstack.scenario.player import Player
from sipstack.scenario.report import Exchanged
from sipstack.scenario.settings import PlayerSettings
from tests.e2e.stories import file_of
from tests.scenario.scenes import ANSWER_HEAD, HEAD, document, recv, send
from tests.scenario.test_player import PAIRS, ROWS

CALLS = 3
T1_MS = 200
LATE_S = 0.5  # how much later than it was sent a message may stand in a log: less than two of its intervals together
KEPT = [pair for pair in PAIRS if "through_kills" not in pair[0]]

SippFactory = Callable[..., Sipp]


async def counted(started: Sipp) -> tuple[int, int, int, int]:
    told = await asyncio.to_thread(started.wait)
    return told.exit_status, told.successful, told.failed, told.unexpected


def same_exchange(theirs: list[Seen], ours: list[Exchanged]) -> bool:
    """Every datagram as the other side saw it; those that crossed on the way stand in another order."""
    return sorted((not one.is_sent, one.data) for one in theirs) == sorted((one.is_sent, one.data) for one in ours)


@pytest.mark.parametrize(("caller", "callee"), KEPT)
async def test_our_caller_against_sipp(sipp: SippFactory, place: Place, caller: str, callee: str) -> None:
    started = await asyncio.to_thread(lambda: sipp(callee, place.callee, calls=CALLS))
    seen: list[Exchanged] = []
    settings = PlayerSettings(
        place.caller, 0, place.callee, 5060, rows=ROWS, max_calls=CALLS, rate=50, pause_ms=30, timeout_s=60
    )
    player = Player(load_scenario(file_of(caller)), settings, seen.append)
    await player.open()
    report = await player.run()
    assert (report.exit_code, report.successful, report.unexpected, report.failures) == (0, CALLS, 0, [])
    assert await counted(started) == (0, CALLS, 0, 0)
    assert same_exchange(started.messages, seen)


@pytest.mark.parametrize(("caller", "callee"), KEPT)
async def test_our_callee_against_sipp(sipp: SippFactory, place: Place, caller: str, callee: str) -> None:
    seen: list[Exchanged] = []
    settings = PlayerSettings(place.callee, 5060, max_calls=CALLS, pause_ms=30, timeout_s=60)
    player = Player(load_scenario(file_of(callee)), settings, seen.append)
    await player.open()
    running = asyncio.ensure_future(player.run())
    started = await asyncio.to_thread(
        lambda: sipp(caller, place.caller, target=f"{place.callee}:5060", rows=ROWS, calls=CALLS)
    )
    assert await counted(started) == (0, CALLS, 0, 0)
    report = await running
    assert (report.exit_code, report.successful, report.unexpected, report.failures) == (0, CALLS, 0, [])
    assert same_exchange(started.messages, seen)


# ---------------------------------------------------------------------- word for word

# Every keyword that can be known without a clock, and the rules for blanks and for lines with nothing in them.
WORDS = f"""SIP/2.0 183 Words
{ANSWER_HEAD}X-Names: [service] [transport] [local_ip]:[local_port] [local_ip_type] [media_ip] [media_ip_type]
X-Numbers: [call_number] [cseq] [cseq+2] [last_cseq_number+3] [msg_index] [local_port+10] [local_port-1]
   X-Branch: [branch] [branch-1]
X-Call: [call_id] [last_Request_URI] [mine] [peer_tag_param]
[routes]
[last_X-None:]
[last_X-None];tag=1
[last_X-Two]
[last_Contact:]
[$never]
X-Hex: \\x5Bservice\\x5D
X-Found: [$number]|[$user]|[$whole]
Content-Length: [len]

  body  of
m=audio [media_port+2] RTP
two lines"""


def words_file(folder: Path) -> Path:
    actions = (
        '<action><ereg regexp="[0-9]+" search_in="hdr" header="CSeq:" assign_to="number"/>'
        '<ereg regexp="sip:([a-z]+)|sip:(.*)d" search_in="hdr" header="to:" case_indep="true" '
        'assign_to="whole,user"/></action>'
    )
    path = folder / "words.xml"
    path.write_text(
        '<?xml version="1.0"?>\n'
        + document(recv("INVITE", actions, rrs="true"), send(WORDS), recv("ACK"), '<Reference variables="never"/>')
    )
    return path


INVITE = "\r\n".join((
    "INVITE sip:x@x SIP/2.0", "Via: SIP/2.0/UDP one;branch=z9hG4bK1", "via:  SIP/2.0/UDP two;branch=z9hG4bK2",
    "Record-Route: <sip:r1;lr>", "Record-Route: <sip:r2;lr>, <sip:r3;lr>", "f: <sip:a@a>;tag=f", "To: <sip:bcd@bd>",
    "Call-ID: words@test", "CSeq: 41 INVITE", "X-Two: 1", "x-two: 2", "m: <sip:c@c;x=1>", "Content-Length: 0", "", "",
)).encode()  # fmt: skip
ACK = INVITE.replace(b"INVITE", b"ACK")


def asked(host: str, port: int) -> bytes:
    """What comes back for an INVITE; the call is ended."""
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as peer:
        peer.bind((host, 0))
        peer.settimeout(60)
        peer.sendto(INVITE, (host, port))
        answer = peer.recv(65_535)
        peer.sendto(ACK, (host, port))
    return answer


async def test_a_message_is_the_one_that_sipp_makes(place: Place, tmp_path: Path) -> None:
    path = words_file(tmp_path)
    host = place.callee
    options = ["-i", host, "-p", "5060", "-ci", host, "-m", "1", "-nostdin", "-timeout", "60s", "-key", "mine", "k"]
    process = subprocess.Popen(
        [SIPP, "-sf", str(path), *options], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL, cwd=tmp_path,
    )  # fmt: skip
    try:
        while not is_bound(host, 5060):
            await asyncio.sleep(0.01)
        theirs = await asyncio.to_thread(asked, host, 5060)
        assert await asyncio.to_thread(process.wait, 60) == 0
    finally:
        process.kill()
        process.wait()
    settings = PlayerSettings(host, 5060, keys={"mine": "k"}, max_calls=1, timeout_s=60, pid=process.pid)
    player = Player(load_scenario(path), settings)
    await player.open()
    running = asyncio.ensure_future(player.run())
    ours = await asyncio.to_thread(asked, host, 5060)
    assert (await running).exit_code == 0
    assert ours.decode().split("\r\n") == theirs.decode().split("\r\n")


async def test_retransmissions_come_when_sipps_come(place: Place, tmp_path: Path) -> None:
    """To a peer that is silent: as many, at intervals that double."""
    path = tmp_path / "silent.xml"
    bye = f"BYE sip:x@x SIP/2.0\n{HEAD}CSeq: 1 BYE\nContent-Length: 0"
    path.write_text('<?xml version="1.0"?>\n' + document(send(bye, retrans=str(T1_MS)), recv("200")))
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as silent:
        silent.bind((place.callee, 5060))
        process = await asyncio.create_subprocess_exec(
            SIPP, f"{place.callee}:5060", "-sf", str(path), "-i", place.caller, "-ci", place.caller, "-m", "1",
            "-nostdin", "-max_retrans", "4", "-timer_resol", "1", "-trace_msg", "-message_file", str(tmp_path / "log"),
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=tmp_path,
        )  # fmt: skip
        assert await process.wait() == 1
        seen: list[Exchanged] = []
        settings = PlayerSettings(place.caller, 0, place.callee, 5060, max_calls=1, max_retrans=4, timeout_s=60)
        player = Player(load_scenario(path), settings, seen.append)
        await player.open()
        report = await player.run()
    assert (report.exit_code, report.retransmissions) == (1, 4)
    clock = [
        int(hour) * 3600 + int(minute) * 60 + float(second)
        for hour, minute, second in re.findall(
            r"^-{47} \S+ (\d+):(\d+):(\S+)", (tmp_path / "log").read_text(), re.MULTILINE
        )
    ]
    times = [one.at_s for one in seen]
    assert len(times) == len(clock) == 5
    for sent in (times, clock):  # each may be late on a busy machine, the first one too, and none is early
        since = [(one - sent[0]) % 86_400 for one in sent[1:]]  # the log may go over midnight
        assert all(at > wanted * T1_MS / 1000 - LATE_S for at, wanted in zip(since, (1, 3, 7, 15), strict=True)), since
