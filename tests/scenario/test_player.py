"""Players against each other over real sockets: the files of the calls through a node, load, floods and ends."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from scenarios.rig.sipp import read_trace
from sipstack.scenario import deadlines
from sipstack.scenario import settings as settings_module
from sipstack.scenario.loader import load_scenario
from sipstack.scenario.model import Scenario, SettingsError
from sipstack.scenario.player import Player
from sipstack.scenario.report import Exchanged, Report
from sipstack.scenario.settings import PlayerSettings
from sipstack.scenario.traces import Trace, Traces, TraceSettings
from tests.e2e.stories import file_of
from tests.scenario.scenes import recv, request, scenario, send
from tests.sipstack.endpoint_rig import NEEDS_IPV6, later, own_address, raw_socket

WAIT_S = 30.0  # for a machine that is busy with other tests
ROWS = [["13900139000", "13800138000"]]
TWO_SIDED = ("answered", "ended-by-callee", "cancelled", "busy", "rejected", "hold-by-caller", "hold-by-callee",
             "update", "info", "message", "late-offer")  # fmt: skip
PAIRS = [
    *((f"{story}/uac", f"{story}/uas") for story in TWO_SIDED), ("message/uac", "uas_message_slowly"),
    ("uac_through_kills", "uas_through_kills"), ("uac_message_through_kills", "message/uas"),
]  # fmt: skip


@pytest.fixture
def host(request: pytest.FixtureRequest) -> str:
    return own_address(request)


Seen = list[Exchanged]
Open = Callable[..., Awaitable[Player]]


@pytest.fixture
def opened(host: str) -> Open:
    """Opens players on this test's address."""

    async def make(played: Scenario, to: Player | int = 0, seen: Seen | None = None, **settings: Any) -> Player:
        port = to if isinstance(to, int) else to.local_port
        target = {"remote_ip": host, "remote_port": port} if port else {}
        given = {"local_ip": host, "max_calls": 1, "timeout_s": WAIT_S} | target | settings
        player = Player(played, PlayerSettings(**given), None if seen is None else seen.append)
        await player.open()
        return player

    return make


def ladder(seen: Seen) -> list[str]:
    """ "-> INVITE", "<- 200"."""
    words = [(one, one.data.decode("latin-1").split(" ")) for one in seen]
    return [f"{'->' if one.is_sent else '<-'} {word[word[0] == 'SIP/2.0']}" for one, word in words]


async def both(first: Player, second: Player) -> tuple[Report, Report]:
    """What was repeated while their own loop was held up by a busy machine is not counted."""
    loop, held_up_s = asyncio.get_running_loop(), 0.0

    async def beat() -> None:
        nonlocal held_up_s
        while True:
            due = loop.time() + 0.01
            await asyncio.sleep(0.01)
            held_up_s += loop.time() - due

    beating = asyncio.ensure_future(beat())
    reports = await asyncio.gather(first.run(), second.run())
    beating.cancel()
    is_held_up = held_up_s > 0.25  # of the half a second that their files have
    one, two = (replace(report, retransmissions=0) if is_held_up else report for report in reports)
    return one, two


# ---------------------------------------------------------------------- whole calls


@pytest.mark.parametrize(("caller", "callee"), PAIRS)
async def test_the_files_of_the_calls_through_a_node_play(opened: Open, caller: str, callee: str) -> None:
    uas = await opened(load_scenario(file_of(callee)), max_calls=3)
    uac = await opened(load_scenario(file_of(caller)), uas, rows=ROWS, max_calls=3, rate=100, pause_ms=20)
    for report in await both(uas, uac):
        assert (report.exit_code, report.successful, report.failed) == (0, 3, 0)
        assert (report.unexpected, report.retransmissions, report.out_of_call, report.shed) == (0, 0, 0, 0)


async def test_both_sides_see_the_same_datagrams(opened: Open) -> None:
    there: Seen = []
    here: Seen = []
    uas = await opened(load_scenario(file_of("answered/uas")), seen=there)
    uac = await opened(load_scenario(file_of("answered/uac")), uas, seen=here, rows=ROWS)
    await both(uas, uac)
    assert ladder(here) == ["-> INVITE", "<- 100", "<- 180", "<- 200", "-> ACK", "-> BYE", "<- 200"]
    assert [(not one.is_sent, one.data) for one in here] == [(one.is_sent, one.data) for one in there]
    assert [one.at_s for one in here] == sorted(one.at_s for one in here)


async def test_what_stands_in_a_message(opened: Open, tmp_path: Path, host: str) -> None:
    text = (
        "MESSAGE [mine] SIP/2.0\nFrom: <sip:[service]@[local_ip]>;tag=[pid]\nTo: <sip:b@b>\n"
        "Call-ID: [call_id]\nCSeq: 1 MESSAGE\nX: [field0] [transport] [media_ip_type] [remote_port]\n"
        "Y: [timestamp] [clock_tick]"
    )
    played = scenario(tmp_path, send(text), "<pause/>")
    seen: Seen = []
    uac = await opened(
        played, 9, seen, keys={"mine": "sip:é"}, service="s", rows=[["中"], ["2"]], pid=42, max_calls=3, rate=500
    )
    await uac.run()
    first = seen[0].data.decode()
    wanted = r"\d{4}-\d\d-\d\d\t\d\d:\d\d:\d\d\.\d{6}\t\d{10}\.\d{6}"
    assert re.search(f"Y: {wanted} [0-9]{{1,4}}\r\n", first)
    assert first.startswith(f"MESSAGE sip:é SIP/2.0\r\nFrom: <sip:s@{host}>;tag=42\r\n")
    assert f"Call-ID: 1-42@{host}\r\n" in first
    assert [one.data.decode().split("X: ")[1].split("\r\n")[0] for one in seen] == [
        f"{field} UDP 4 9" for field in "中2中"
    ]


@NEEDS_IPV6
async def test_a_call_over_ipv6(opened: Open) -> None:
    uas = await opened(load_scenario(file_of("answered/uas")), local_ip="::1")
    seen: Seen = []
    uac = await opened(load_scenario(file_of("answered/uac")), uas, seen, local_ip="::1", remote_ip="::1", rows=ROWS)
    assert [report.exit_code for report in await both(uas, uac)] == [0, 0]
    invite = seen[0].data.decode()
    assert f"Via: SIP/2.0/UDP [::1]:{uac.local_port};" in invite
    assert "c=IN IP6 ::1\r\n" in invite


async def test_two_players_of_one_process_share_no_branch(opened: Open, tmp_path: Path) -> None:
    played = scenario(tmp_path, send("MESSAGE"))
    seen: Seen = []
    for _ in range(2):
        await (await opened(played, 9, seen)).run()
    assert len({one.data.split(b"branch=")[1].split(b"\r\n")[0] for one in seen}) == 2


# ---------------------------------------------------------------------- how many, how fast


async def test_no_more_calls_at_once_than_the_limit(opened: Open, tmp_path: Path) -> None:
    uas = await opened(
        scenario(tmp_path, recv("INVITE"), "<pause/>", send("200"), name="uas"), max_calls=6, pause_ms=10
    )
    seen: Seen = []
    uac = await opened(scenario(tmp_path, send("INVITE"), recv("200")), uas, seen, max_calls=6, limit=2, rate=10_000)
    reports = await both(uas, uac)
    assert [report.successful for report in reports] == [6, 6]
    opens = 0
    for step in ladder(seen):
        opens += 1 if step == "-> INVITE" else -1
        assert 0 <= opens <= 2


async def test_calls_begin_at_the_rate(opened: Open, tmp_path: Path) -> None:
    seen: Seen = []
    player = await opened(scenario(tmp_path, send("MESSAGE")), 9, seen, max_calls=5, rate=50)
    began_s = asyncio.get_running_loop().time()
    await player.run()
    assert seen[-1].at_s - began_s >= 0.078  # four gaps of 20 ms; a call may be late, but never early


async def test_users_call_in_turn_the_last_one_first(opened: Open, tmp_path: Path) -> None:
    seen: Seen = []
    calls = scenario(tmp_path, send("MESSAGE").replace("\nTo:", "\nX: [userid]\nTo:"), '<pause milliseconds="20"/>')
    await (await opened(calls, 9, seen, max_calls=7, users=3)).run()
    told = [re.search(rb"X: (\d)", one.data) for one in seen]
    assert [int(found[1]) for found in told if found] == [3, 2, 1, 3, 2, 1, 3]


async def test_what_the_limit_has_held_up_is_not_made_up_for(opened: Open, tmp_path: Path, host: str) -> None:
    seen: Seen = []
    with raw_socket(host) as peer:
        peer.setblocking(False)
        loop = asyncio.get_running_loop()
        uac = await opened(scenario(tmp_path, send("INVITE"), recv("200")), peer.getsockname()[1], seen, limit=1,
                           max_calls=4, rate=2)  # fmt: skip
        running = asyncio.ensure_future(uac.run())
        for number in range(4):
            data = await loop.sock_recv(peer, 65_535)
            await asyncio.sleep(2.0 if number == 0 else 0)
            answer = data.replace(b"INVITE sip:b@b SIP/2.0", b"SIP/2.0 200 OK")
            await loop.sock_sendto(peer, answer, (host, uac.local_port))
        assert (await running).successful == 4
    times = [one.at_s for one in seen if one.is_sent]
    assert times[1] - times[0] >= 2.0
    assert times[3] - times[1] >= 0.1  # of a second: one may be late, and the next is not


async def test_a_callee_takes_no_more_calls_than_it_shall(opened: Open, tmp_path: Path, host: str) -> None:
    uas = await opened(scenario(tmp_path, recv("INVITE"), recv("ACK")), max_calls=2)
    running = asyncio.ensure_future(uas.run())
    with raw_socket(host) as peer:
        for number in (1, 2, 3):
            peer.sendto(request("INVITE").text.replace("1-7@", f"{number}@").encode(), (host, uas.local_port))
        for number in (1, 2):
            peer.sendto(request("ACK").text.replace("1-7@", f"{number}@").encode(), (host, uas.local_port))
        report = await running
    assert (report.successful, report.failed, report.out_of_call) == (2, 0, 1)


# ---------------------------------------------------------------------- ends


async def test_time_is_up(opened: Open, tmp_path: Path) -> None:
    uas_file = scenario(tmp_path, recv("INVITE"), recv("ACK"), name="uas")
    waits = scenario(tmp_path, send("INVITE"), recv("200"))
    report = await (await opened(uas_file, timeout_s=0.02)).run()
    assert (report.exit_code, report.successful, report.failed) == (255, 0, 0)
    report = await (await opened(uas_file, timeout_s=0.02, timeout_is_error=False)).run()
    assert report.exit_code == 97
    report = await (await opened(waits, 9, timeout_s=0.02, timeout_is_error=False)).run()
    assert (report.exit_code, report.failed) == (1, 1)
    assert report.failures == [f"{tmp_path / 'test.xml'}:{waits.elements[1].line}: the time is up"]


async def test_told_to_stop(opened: Open, tmp_path: Path) -> None:
    player = await opened(scenario(tmp_path, recv("INVITE")), max_calls=None, timeout_s=None)
    running = asyncio.ensure_future(player.run())
    await asyncio.sleep(0)
    player.stop()
    report = await asyncio.wait_for(running, WAIT_S)
    assert (report.exit_code, report.failures) == (99, [])


async def test_an_address_that_is_taken(opened: Open, tmp_path: Path) -> None:
    played = scenario(tmp_path, recv("INVITE"))
    first = await opened(played)
    with pytest.raises(OSError, match="in use"):
        await opened(played, local_port=first.local_port)
    await first.close()


@pytest.mark.parametrize(
    ("text", "settings", "error"),
    [
        ("MESSAGE [mine] SIP/2.0", {}, "[mine] is no keyword, and no key of that name is given"),
        ("MESSAGE [field2] SIP/2.0", {}, "[field2] needs rows for injection: give them with -inf FILE"),
        ("MESSAGE x SIP/2.0", {"remote_ip": ""}, "the scenario begins with a request of its own: it needs a target"),
        ("MESSAGE x SIP/2.0", {"rate": 0}, "the rate must be above 0"),
        ("MESSAGE x SIP/2.0", {"rate": float("nan")}, "the rate must be above 0"),
        ("MESSAGE x SIP/2.0", {"limit": 0}, "the limit must be above 0"),
        ("MESSAGE x SIP/2.0", {"remote_ip": "localhost"}, "'localhost' is no IP address"),
        ("MESSAGE x SIP/2.0", {"remote_ip": "::1"}, "127.0.0.1 cannot reach ::1: one is IPv4, the other IPv6"),
    ],
)
def test_settings_that_do_not_do(tmp_path: Path, text: str, settings: dict[str, Any], error: str) -> None:
    played = scenario(tmp_path, send(text))
    with pytest.raises(SettingsError) as raised:
        Player(played, PlayerSettings(**{"local_ip": "127.0.0.1", "remote_ip": "127.0.0.1"} | settings))
    assert str(raised.value) == error


# ---------------------------------------------------------------------- hostile peers


@pytest.mark.parametrize(("has_prefixes", "exit_code"), [(True, 0), (False, 1)])
async def test_a_prefix_of_a_call_id(opened: Open, tmp_path: Path, has_prefixes: bool, exit_code: int) -> None:
    asking = send("INFO").replace("Call-ID: [call_id]", "Call-ID: other///[call_id]")
    callee = await opened(scenario(tmp_path, recv("INFO"), send("200"), name="callee"), has_prefixes=False)
    caller = await opened(
        scenario(tmp_path, asking, recv("200", timeout="30000" if has_prefixes else "300")),
        callee,
        has_prefixes=has_prefixes,
    )
    assert (await asyncio.gather(callee.run(), caller.run()))[1].exit_code == exit_code


async def test_what_belongs_to_no_call_is_counted(opened: Open, tmp_path: Path, host: str) -> None:
    junk = [b"", b"\x00" * 100, b"\r\n\r\n", b"hello", b"SIP/2.0", b"INVITE x\r\nNo: id\r\n\r\n", b"\xff" * 60_000]
    uas = await opened(scenario(tmp_path, recv("INVITE")))
    running = asyncio.ensure_future(uas.run())
    with raw_socket(host) as peer:
        for data in junk:
            peer.sendto(data, (host, uas.local_port))
        peer.sendto(request("INVITE").text.encode(), (host, uas.local_port))
        report = await running
    assert (report.exit_code, report.successful, report.out_of_call) == (0, 1, len(junk))


async def test_a_flood_of_new_calls_is_bounded(
    opened: Open, tmp_path: Path, host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings_module, "MAX_OPEN_CALLS", 50)
    uas = await opened(scenario(tmp_path, recv("INVITE"), recv("ACK")), max_calls=None)
    running = asyncio.ensure_future(uas.run())
    with raw_socket(host) as peer:
        for number in range(200):
            peer.sendto(request("INVITE").text.replace("1-7@", f"{number}@").encode(), (host, uas.local_port))
            await asyncio.sleep(0)
        while uas.open_calls < 50:
            await asyncio.sleep(0.001)
        peer.sendto(request("ACK").text.replace("1-7@", "0@").encode(), (host, uas.local_port))
        while not uas.ended_calls:
            await asyncio.sleep(0.001)
    uas.stop()
    report = await running
    assert (report.successful, report.failed, report.out_of_call) == (1, 49, 150)


async def test_a_peer_that_repeats_itself_costs_no_memory(opened: Open, tmp_path: Path, host: str) -> None:
    played = scenario(tmp_path, recv("INVITE"), send("180"), recv("CANCEL", timeout="60000"), send("200"))
    uas = await opened(played)
    running = asyncio.ensure_future(uas.run())
    with raw_socket(host) as peer:
        for _ in range(3000):
            peer.sendto(request("INVITE").text.encode(), (host, uas.local_port))
            await asyncio.sleep(0)
        peer.sendto(request("CANCEL").text.encode(), (host, uas.local_port))
        report = await running
    assert report.successful == 1
    assert report.retransmissions > 1000
    assert len(uas._deadlines) <= deadlines.STALE + 3


async def test_what_comes_after_the_end_begins_no_new_call(opened: Open, tmp_path: Path, host: str) -> None:
    uas = await opened(scenario(tmp_path, recv("MESSAGE"), send("200")), max_calls=2)
    running = asyncio.ensure_future(uas.run())
    with raw_socket(host) as peer:
        for number in (1, 1, 2):
            data = request("MESSAGE").text.replace("1-7@", f"{number}@").encode()
            peer.sendto(data, (host, uas.local_port))
        report = await running
    assert (report.successful, report.out_of_call) == (2, 1)


async def test_a_call_is_known_for_a_while_after_its_end(opened: Open, tmp_path: Path, host: str) -> None:
    uas = await opened(scenario(tmp_path, recv("MESSAGE"), send("200")), max_calls=3, dead_call_wait_s=8.0)
    running = asyncio.ensure_future(uas.run())
    with raw_socket(host) as peer:
        for call, wait_s in (("1-7@", 0.0), ("1-7@", 9.0), ("2-7@", 0.0), ("1-7@", 0.0)):
            before = uas.ended_calls + uas.tally.out_of_call
            peer.sendto(request("MESSAGE").text.replace("1-7@", call).encode(), (host, uas.local_port))
            async with asyncio.timeout(WAIT_S):
                while uas.ended_calls + uas.tally.out_of_call == before:
                    await asyncio.sleep(0.001)
            await later(wait_s)
    report = await asyncio.wait_for(running, WAIT_S)
    assert (report.successful, report.out_of_call) == (3, 1)


async def test_a_way_that_is_closed_fails_nobody_else(opened: Open, tmp_path: Path, host: str) -> None:
    """The kernel's refusal of one datagram must not come up in the send or the wait of another call."""
    uas = await opened(
        scenario(tmp_path, recv("INVITE"), send("200"), recv("ACK"), send("200"), name="uas"), max_calls=3
    )
    running = asyncio.ensure_future(uas.run())
    closed = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    closed.bind((host, 0))
    closed.sendto(request("INVITE").text.replace("1-7@", "gone@").encode(), (host, uas.local_port))
    closed.close()
    with raw_socket(host) as peer:
        for number in (1, 2):
            for method in ("INVITE", "ACK"):
                peer.sendto(request(method).text.replace("1-7@", f"{number}@").encode(), (host, uas.local_port))
                await asyncio.sleep(0.001)
        while uas.ended_calls < 2:
            await asyncio.sleep(0.001)
    uas.stop()
    report = await running
    assert (report.successful, report.failed) == (2, 1)


# ---------------------------------------------------------------------- files


async def test_the_trace_is_read_by_what_reads_sipps(opened: Open, tmp_path: Path) -> None:
    seen: Seen = []
    uas = await opened(load_scenario(file_of("answered/uas")), seen=seen)
    uac = await opened(load_scenario(file_of("answered/uac")), uas, rows=ROWS)
    await both(uas, uac)
    traces = Traces(TraceSettings({Trace.MESSAGES: tmp_path / "trace"}))
    for one in seen:
        traces.exchanged(one, 1_795_687_618.5 + one.at_s)
    traces.close()
    assert [(one.is_sent, one.data) for one in read_trace(tmp_path / "trace")] == [
        (one.is_sent, one.data) for one in seen
    ]
