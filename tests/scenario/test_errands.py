"""What calls ask of their player beside sending: the shell, other destinations, media, and what is played once."""

from __future__ import annotations

import asyncio
import struct
from pathlib import Path
from typing import Any

import pytest

from sipstack.scenario.inbox import Inbox
from sipstack.scenario.loader import load_scenario
from sipstack.scenario.model import ScenarioError, SettingsError
from sipstack.scenario.player import Player
from sipstack.scenario.received import Received
from sipstack.scenario.report import Exchanged, Report
from sipstack.scenario.settings import Mode, PlayerSettings, Wire
from sipstack.scenario.udp import DatagramEnd
from tests.scenario.scenes import ANSWER_HEAD, recv, request, scenario, send
from tests.sipstack.endpoint_rig import own_address, raw_socket
from tests.sipstack.test_pcap import ONE, classic, ip

WAIT_S = 30.0  # for a machine that is busy with other tests


@pytest.fixture
def host(request: pytest.FixtureRequest) -> str:
    return own_address(request)


async def played(file: Any, host: str, to: int = 9, seen: list[Exchanged] | None = None, **given: Any) -> Report:
    settings = {"local_ip": host, "remote_ip": host, "remote_port": to, "max_calls": 1, "timeout_s": WAIT_S} | given
    player = Player(file, PlayerSettings(**settings), None if seen is None else seen.append)
    await player.open()
    return await player.run()


def does(action: str) -> str:
    return f"<nop><action>{action}</action></nop>"


# ---------------------------------------------------------------------- the shell


def test_the_shell_is_only_for_whom_it_is_allowed(tmp_path: Path, host: str) -> None:
    file = scenario(tmp_path, send("MESSAGE"), does('<exec command="touch never"/>'))
    with pytest.raises(ScenarioError) as raised:
        Player(file, PlayerSettings(host, 0, host))
    assert str(raised.value) == f"{file.path}:{file.elements[1].line}: <exec command> needs --allow-exec"


async def test_a_command_runs_and_is_waited_for(tmp_path: Path, host: str) -> None:
    line = f"sleep 0.1; echo [call_id] >> {tmp_path}/done"
    file = scenario(tmp_path, send("MESSAGE"), does(f'<exec command="{line}"/>'))
    report = await played(file, host, max_calls=2, rate=100.0, pid=7, allows_exec=True)
    assert report.successful == 2
    assert sorted((tmp_path / "done").read_text().split()) == [f"1-7@{host}", f"2-7@{host}"]


async def test_a_command_that_does_not_end_is_ended(tmp_path: Path, host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sipstack.scenario.errands._COMMAND_ENDS_S", 0.2)
    file = scenario(tmp_path, send("MESSAGE"), does(f'<exec command="(sleep 60; touch {tmp_path}/late) & wait"/>'))
    async with asyncio.timeout(WAIT_S):
        assert (await played(file, host, allows_exec=True)).successful == 1
    assert not (tmp_path / "late").exists()


# ---------------------------------------------------------------------- where messages go


async def test_messages_go_where_setdest_says(tmp_path: Path, host: str) -> None:
    with raw_socket(host) as other:
        port = other.getsockname()[1]
        file = scenario(
            tmp_path, send("MESSAGE"), does(f'<setdest host="{host}" port="{port}" protocol="udp"/>'), send("INFO")
        )
        assert (await played(file, host)).successful == 1
        other.settimeout(WAIT_S)
        assert other.recv(65_535).startswith(b"INFO ")


async def test_setdest_may_lead_to_another_transport(tmp_path: Path, host: str) -> None:
    came: list[bytes] = []
    ended = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        came.append(await reader.read())
        writer.close()
        ended.set()

    server = await asyncio.start_server(serve, host, 0)
    port = server.sockets[0].getsockname()[1]
    action = f'<setdest host="{host}" port="{port}" protocol="tcp"/>'
    file = scenario(tmp_path, send("MESSAGE"), does(action), send("INFO"), '<pause milliseconds="50"/>')
    assert (await played(file, host)).successful == 1
    await asyncio.wait_for(ended.wait(), WAIT_S)
    server.close()
    assert came[0].startswith(b"INFO ")


async def test_a_connection_that_is_closed_is_opened_again(tmp_path: Path, host: str) -> None:
    callee = scenario(tmp_path, recv("INVITE"), send("200"), recv("ACK"), recv("BYE"), send("200"), name="uas")
    uas = Player(callee, PlayerSettings(host, max_calls=1, timeout_s=WAIT_S, wire=Wire(Mode.TCP_ONE)))
    await uas.open()
    running = asyncio.ensure_future(uas.run())
    pause = '<pause milliseconds="50"/>'
    file = scenario(tmp_path, send("INVITE"), recv("200"), send("ACK"), pause, does("<closecon/>"),
                    send("BYE"), recv("200"))  # fmt: skip
    report = await played(file, host, uas.local_port, wire=Wire(Mode.TCP_EACH))
    assert (report.successful, (await running).successful) == (1, 1)


# ---------------------------------------------------------------------- once, and by whom


async def test_what_init_says_is_done_once(tmp_path: Path, host: str) -> None:
    path = tmp_path / "init.xml"
    text = f"MESSAGE sip:b@b SIP/2.0\nCall-ID: [call_id]\nCSeq: 1 MESSAGE\nX: [$count] [$given]\n{ANSWER_HEAD}"
    path.write_text(
        '<scenario><Global variables="count,given"/><init><nop><action><assign assign_to="count" value="7"/></action>'
        f'</nop></init>{send(text)}<nop><action><add assign_to="count" value="1"/></action></nop></scenario>'
    )
    seen: list[Exchanged] = []
    await played(load_scenario(path), host, 9, seen, max_calls=2, rate=1000.0, variables={"given": "é"})
    assert [one.data.split(b"X: ")[1].split(b"\r\n")[0].decode() for one in seen] == ["7.000000 é", "8.000000 é"]


async def test_users_call_again_and_again(tmp_path: Path, host: str) -> None:
    text = "MESSAGE sip:b@b SIP/2.0\nCall-ID: [call_id]\nCSeq: 1 MESSAGE\nX: [userid] of [users]\n"
    seen: list[Exchanged] = []
    file = scenario(tmp_path, send(text), '<pause milliseconds="30"/>')
    report = await played(file, host, 9, seen, max_calls=9, users=3)
    users = [one.data.split(b"X: ")[1].split(b"\r\n")[0].decode() for one in seen]
    assert (report.successful, sorted(users)) == (9, sorted([f"{number} of 3" for number in (1, 2, 3)] * 3))
    assert seen[3].at_s - seen[0].at_s >= 0.029
    assert seen[8].at_s - seen[0].at_s < WAIT_S


async def test_requests_of_no_call_have_a_scenario_of_their_own(tmp_path: Path, host: str) -> None:
    out_of_call = scenario(tmp_path, recv(".*", regexp_match="true"), send("200"), name="ooc")
    file = scenario(tmp_path, '<pause milliseconds="3000"/>', send("MESSAGE"))
    given = PlayerSettings(host, 0, host, 9, max_calls=1, timeout_s=WAIT_S, out_of_call=out_of_call)
    player = Player(file, given)
    await player.open()
    running = asyncio.ensure_future(player.run())
    loop = asyncio.get_running_loop()
    with raw_socket(host) as peer:
        peer.setblocking(False)
        peer.sendto(request("OPTIONS").text.replace("1-7@", "other@").encode(), (host, player.local_port))
        async with asyncio.timeout(WAIT_S):
            assert (await loop.sock_recv(peer, 65_535)).startswith(b"SIP/2.0 200 Text")
    report = await running
    assert (report.exit_code, report.successful, report.failed) == (0, 1, 0)


@pytest.mark.parametrize(("kind", "exit_code"), [("stop_now", 97), ("stop_gracefully", 0)])
async def test_a_scenario_may_end_it_all(tmp_path: Path, host: str, kind: str, exit_code: int) -> None:
    file = scenario(tmp_path, send("MESSAGE"), does(f'<exec int_cmd="{kind}"/>'), '<pause milliseconds="20"/>')
    report = await played(file, host, max_calls=None)
    assert report.exit_code == exit_code


# ---------------------------------------------------------------------- media

SDP = "v=0\r\nc=IN IP4 {}\r\nm=audio {} RTP/AVP 8\r\n"


async def media(host: str, tmp_path: Path, action: str, least: int, **given: Any) -> list[tuple[bytes, float]]:
    """What comes, and when, for the address that a 200 names, from a caller that does `action` behind it, and
    ends when so much has come."""
    loop = asyncio.get_running_loop()
    with raw_socket(host) as callee, raw_socket(host) as ear:
        callee.setblocking(False)
        ear.setblocking(False)
        file = scenario(tmp_path, send("INVITE"), recv("200"), does(action), recv("BYE"), send("200"))
        running = asyncio.ensure_future(played(file, host, callee.getsockname()[1], **given))
        async with asyncio.timeout(WAIT_S):
            invite, source = await loop.sock_recvfrom(callee, 65_535)
            answer = invite.replace(b"INVITE sip:b@b SIP/2.0", b"SIP/2.0 200 OK").rstrip() + b"\r\n\r\n"
            await loop.sock_sendto(callee, answer + SDP.format(host, ear.getsockname()[1]).encode(), source)
            came = [(await loop.sock_recv(ear, 65_535), loop.time()) for _ in range(least)]
            if least:  # else the call fails by itself
                call_id = Received(invite).call_id
                bye = request("BYE", 2).text.replace("1-7@127.0.0.1", call_id)
                await loop.sock_sendto(callee, bye.encode(), source)
        report = await running
        assert report.successful == 1, report.failures
    return came


async def test_packets_of_a_capture_with_their_timing(host: str, tmp_path: Path) -> None:
    late = bytearray(classic(101, ip(ONE), ip(ONE)))
    struct.pack_into("<I", late, 24 + 16 + len(ip(ONE)), 1001)  # a second behind the first
    (tmp_path / "a.pcap").write_bytes(late)
    came = await media(host, tmp_path, '<exec play_pcap_audio="a.pcap"/>', 2, media_port=0)
    assert [data for data, _ in came] == [b"hello", b"hello"]
    assert came[1][1] - came[0][1] >= 0.5  # the first may have been looked at late


async def test_samples_of_a_file_go_out_as_rtp(host: str, tmp_path: Path) -> None:
    (tmp_path / "a.raw").write_bytes(bytes(range(200)) * 2)
    came = await media(host, tmp_path, '<exec rtp_stream="a.raw,2,8"/>', 6)
    heads = [struct.unpack(">BBHII", data[:12]) for data, _ in came]
    assert [(head[0], head[1]) for head in heads] == [(0x80, 8)] * 6
    assert [(head[2] - heads[0][2]) & 0xFFFF for head in heads] == list(range(6))
    assert [(head[3] - heads[0][3]) & 0xFFFFFFFF for head in heads] == [160 * number for number in range(6)]
    assert len({head[4] for head in heads}) == 1
    assert b"".join(data[12:] for data, _ in came) == bytes(range(200)) * 4


async def test_digits_are_telephone_events(host: str, tmp_path: Path) -> None:
    came = await media(host, tmp_path, '<exec play_dtmf="5"/>', 8, media_port=0)
    events = [struct.unpack(">BBH", data[12:]) for data, _ in came]
    assert events == [(5, 0x0A, 160 * (number + 1)) for number in range(5)] + [(5, 0x8A, 800)] * 3


async def test_media_of_which_there_is_no_file_fail_the_call(host: str, tmp_path: Path) -> None:
    (tmp_path / "b.pcap").write_bytes(b"no capture")
    for name, why in (("none.pcap", "No such file"), ("b.pcap", "neither pcap nor pcapng")):
        with pytest.raises(AssertionError, match=why):
            await media(host, tmp_path, f'<exec play_pcap_audio="{name}"/>', 0, media_port=0)


async def test_media_are_echoed(host: str, tmp_path: Path) -> None:
    loop = asyncio.get_running_loop()
    with raw_socket(host) as probe:
        port = probe.getsockname()[1]
    player = Player(
        scenario(tmp_path, recv("INVITE")), PlayerSettings(host, timeout_s=WAIT_S, media_port=port, echoes=True)
    )
    await player.open()
    running = asyncio.ensure_future(player.run())
    with raw_socket(host) as peer:
        peer.setblocking(False)
        for to in (port, port + 2):
            peer.sendto(b"rtp", (host, to))
            async with asyncio.timeout(WAIT_S):
                assert await loop.sock_recvfrom(peer, 100) == (b"rtp", (host, to))
    player.stop()
    await running


# ---------------------------------------------------------------------- whoever is behind


async def test_a_player_that_is_behind_catches_up(host: str) -> None:
    """A burst is read in a few turns of the loop; one datagram a turn let a busy player fall behind for good."""
    inbox = Inbox()
    end = DatagramEnd(inbox)
    await end.open(host, 0)
    with raw_socket(host) as peer:
        for _ in range(200):
            peer.sendto(b"x", end.local)
    for _ in range(6):
        await asyncio.sleep(0)
    assert inbox.waiting == 200
    await end.close()


def test_a_scenario_with_a_twin_needs_one(host: str, tmp_path: Path) -> None:
    file = scenario(tmp_path, "<sendCmd><![CDATA[Call-ID: [call_id]]]></sendCmd>", send("MESSAGE"))
    with pytest.raises(SettingsError, match="needs -3pcc"):
        Player(file, PlayerSettings(host, 0, host))
