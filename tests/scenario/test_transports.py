"""Players against each other on every transport, with one socket or one a call, and what a lost connection does."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import Any

import pytest

from sipstack.scenario.loader import load_scenario
from sipstack.scenario.model import SettingsError
from sipstack.scenario.player import Player
from sipstack.scenario.report import Exchanged, Report
from sipstack.scenario.settings import Mode, PlayerSettings, TlsSettings, Wire
from tests.e2e.stories import file_of
from tests.scenario.scenes import recv, scenario, send
from tests.scenario.test_player import ROWS, both
from tests.sipstack.certificates import Authority
from tests.sipstack.endpoint_rig import NEEDS_IPV6, own_address, raw_socket

WAIT_S = 30.0  # for a machine that is busy with other tests
CALLS = 6


@pytest.fixture
def host(request: pytest.FixtureRequest) -> str:
    return own_address(request)


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> TlsSettings:
    authority = Authority(tmp_path_factory.mktemp("tls"))
    certificate, key = authority.issue("player", "dns:player.example")
    return TlsSettings(certificate, key, authority.file)


async def opened(
    name: str, host: str, mode: Mode, to: int = 0, seen: list[Exchanged] | None = None, **given: Any
) -> Player:
    wire = Wire(mode, **given.pop("wire", {}))
    target = {"remote_ip": host, "remote_port": to} if to else {}
    settings = {"local_ip": host, "max_calls": CALLS, "timeout_s": WAIT_S, "wire": wire, "rows": ROWS} | target | given
    player = Player(load_scenario(file_of(name)), PlayerSettings(**settings), None if seen is None else seen.append)
    await player.open()
    return player


def is_well(report: Report) -> bool:
    return (report.exit_code, report.successful, report.unexpected, report.retransmissions) == (0, CALLS, 0, 0)


def vias(seen: list[Exchanged]) -> set[str]:
    """Transport and sent-by of each INVITE that left."""
    return {
        one.data.split(b"Via: SIP/2.0/")[1].split(b";")[0].decode()
        for one in seen
        if one.is_sent and one.data.startswith(b"INVITE")
    }


@pytest.mark.parametrize(
    ("mode", "callee", "sockets"),
    [
        (Mode.UDP_ONE, Mode.UDP_ONE, 1), (Mode.UDP_EACH, Mode.UDP_ONE, CALLS), (Mode.TCP_ONE, Mode.TCP_ONE, 1),
        (Mode.TCP_EACH, Mode.TCP_ONE, CALLS), (Mode.TLS_ONE, Mode.TLS_ONE, 1), (Mode.TLS_EACH, Mode.TLS_EACH, CALLS),
    ],
)  # fmt: skip
async def test_every_transport(host: str, tls: TlsSettings, mode: Mode, callee: Mode, sockets: int) -> None:
    wire = {"tls": tls}
    uas = await opened("answered/uas", host, callee, wire=wire)
    seen: list[Exchanged] = []
    uac = await opened("answered/uac", host, mode, uas.local_port, seen, rate=200.0, wire=wire)
    for report in await both(uas, uac):
        assert is_well(report), report
    assert len(vias(seen)) == sockets
    assert not uac._ends._of_calls  # a call's socket goes with it
    assert all(via.startswith(f"{mode.transport} {host}:") for via in vias(seen))


@NEEDS_IPV6
async def test_tcp_over_ipv6() -> None:
    uas = await opened("answered/uas", "::1", Mode.TCP_ONE)
    uac = await opened("answered/uac", "::1", Mode.TCP_EACH, uas.local_port, rate=200.0)
    assert all(map(is_well, await both(uas, uac)))


async def test_a_socket_for_each_address_of_the_rows(host: str) -> None:
    uas = await opened("answered/uas", host, Mode.UDP_ONE)
    head = host.rpartition(".")[0]
    rows = [[*ROWS[0], f"{head}.{number}"] for number in (201, 202)]
    seen: list[Exchanged] = []
    uac = await opened("answered/uac", host, Mode.UDP_BY_ADDRESS, uas.local_port, seen, rows=rows, rate=200.0,
                       wire={"address_field": 2})  # fmt: skip
    assert all(map(is_well, await both(uas, uac)))
    assert vias(seen) == {f"UDP {head}.{number}:{uac.local_port}" for number in (201, 202)}


async def test_more_calls_than_sockets_share_them(host: str) -> None:
    uas = await opened("answered/uas", host, Mode.UDP_ONE)
    seen: list[Exchanged] = []
    uac = await opened("answered/uac", host, Mode.UDP_EACH, uas.local_port, seen, rate=1000.0, pause_ms=1000,
                       wire={"max_sockets": 2})  # fmt: skip
    assert all(map(is_well, await both(uas, uac)))
    assert len(vias(seen)) == 2


async def test_messages_go_where_they_are_sent(host: str) -> None:
    """`-rsa`: the Request-URI names the target, another host gets it."""
    uas = await opened("answered/uas", host, Mode.UDP_ONE)
    seen: list[Exchanged] = []
    uac = await opened("answered/uac", host, Mode.UDP_ONE, 9, seen, rate=200.0,
                       wire={"sends_to": (host, uas.local_port)})  # fmt: skip
    assert all(map(is_well, await both(uas, uac)))
    assert seen[0].data.split(b"\r\n")[0].endswith(f"@{host}:9 SIP/2.0".encode())


async def test_nobody_is_there(host: str) -> None:
    uac = await opened("answered/uac", host, Mode.TCP_EACH, 9, max_calls=2, rate=100.0)
    report = await uac.run()
    assert (report.exit_code, report.failed, report.reasons) == (1, 2, {"TcpConnect": 2})
    assert "the connection is lost: " in report.failures[0]
    assert "refused" in report.failures[0].lower()


class Fickle:
    """A callee over TCP that answers no call, and closes its first connections."""

    def __init__(self, closes: int) -> None:
        self.closes = closes
        self.connections = 0
        self.requests = 0
        self.writers: list[asyncio.StreamWriter] = []

    async def open(self, host: str) -> int:
        self.server = await asyncio.start_server(self._serve, host, 0)
        return int(self.server.sockets[0].getsockname()[1])

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.writers.append(writer)
        stays = self.connections > self.closes
        while data := await reader.read(65_536):
            self.requests += data.count(b"INVITE sip:")
            if not stays:
                break
            head = data.replace(b"INVITE sip:b@b SIP/2.0", b"SIP/2.0 200 OK")
            writer.write(head)
        writer.close()

    async def close(self) -> None:
        self.server.close()
        for writer in self.writers:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


@pytest.mark.parametrize(("reconnects", "exit_code", "connections"), [(0, 255, 1), (1, 255, 2), (3, 1, 3), (-1, 1, 3)])
async def test_a_lost_connection_is_opened_again(
    host: str, tmp_path: Path, reconnects: int, exit_code: int, connections: int
) -> None:
    fickle = Fickle(closes=2)
    port = await fickle.open(host)
    wire = Wire(Mode.TCP_ONE, max_reconnects=reconnects, reconnect_sleep_s=0.01)
    settings = PlayerSettings(host, 0, host, port, wire=wire, max_calls=4, rate=100.0, limit=1, timeout_s=WAIT_S)
    player = Player(scenario(tmp_path, send("INVITE"), recv("200")), settings)
    await player.open()
    report = await player.run()
    await fickle.close()
    assert (report.exit_code, fickle.connections) == (exit_code, connections)
    assert report.reasons["TcpClosed"] == min(2, connections)
    assert report.successful == (2 if exit_code == 1 else 0)


async def test_calls_may_outlive_their_connection(host: str, tmp_path: Path) -> None:
    fickle = Fickle(closes=1)
    port = await fickle.open(host)
    wire = Wire(Mode.TCP_ONE, max_reconnects=1, reconnect_sleep_s=0.01, fails_calls=False)
    waits = recv("180", timeout="2000", ontimeout="again", optional="true")
    played = scenario(tmp_path, send("INVITE"), waits, recv("183"),
                      '<label id="again"/>', send("INVITE"), recv("200"))  # fmt: skip
    player = Player(played, PlayerSettings(host, 0, host, port, wire=wire, max_calls=1, timeout_s=WAIT_S))
    await player.open()
    report = await player.run()
    await fickle.close()
    assert (report.exit_code, report.successful, fickle.connections) == (0, 1, 2)


async def test_a_callee_over_tls_turns_away_whom_it_cannot_trust(host: str, tls: TlsSettings, tmp_path: Path) -> None:
    other = Authority(tmp_path, "other")
    certificate, key = other.issue("stranger")
    uas = await opened("answered/uas", host, Mode.TLS_ONE, wire={"tls": tls}, max_calls=1)
    serving = asyncio.ensure_future(uas.run())
    uac = await opened("answered/uac", host, Mode.TLS_EACH, uas.local_port, max_calls=1,
                       wire={"tls": TlsSettings(certificate, key)})  # fmt: skip
    assert (await uac.run()).failed == 1
    uas.stop()
    assert (await serving).successful == 0


@pytest.mark.parametrize("version", ["1.2", "1.3"])
async def test_a_version_of_tls(host: str, tls: TlsSettings, version: str) -> None:
    given = TlsSettings(tls.certificate, tls.private_key, tls.authorities, version)
    uas = await opened("answered/uas", host, Mode.TLS_ONE, wire={"tls": given})
    uac = await opened("answered/uac", host, Mode.TLS_ONE, uas.local_port, rate=200.0, wire={"tls": given})
    assert all(map(is_well, await both(uas, uac)))


async def test_what_a_stream_brings_beside_messages(host: str, tmp_path: Path) -> None:
    """Pings get their pong; a message in two pieces is one; a head without a length ends the connection."""
    played = scenario(tmp_path, recv("MESSAGE"), send("200"))
    player = Player(played, PlayerSettings(host, max_calls=1, timeout_s=WAIT_S, wire=Wire(Mode.TCP_ONE)))
    await player.open()
    running = asyncio.ensure_future(player.run())
    head = (
        "MESSAGE sip:x@x SIP/2.0\r\nVia: SIP/2.0/TCP h;branch=z9hG4bK1\r\nFrom: <sip:a@a>;tag=1\r\nTo: <sip:b@b>\r\n"
        "Call-ID: {}\r\nCSeq: 1 MESSAGE\r\n"
    )
    reader, writer = await asyncio.open_connection(host, player.local_port)
    writer.write(b"\r\n\r\n")
    assert await reader.readexactly(2) == b"\r\n"
    whole = (head.format("whole") + "Content-Length: 2\r\n\r\nhi").encode()
    writer.write(whole[:90])
    await asyncio.sleep(0.02)
    writer.write(whole[90:])
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"SIP/2.0 200 Text\r\n")
    assert (await running).successful == 1
    writer.close()


def test_files_that_make_no_tls(host: str, tmp_path: Path, tls: TlsSettings) -> None:
    played = scenario(tmp_path, recv("INVITE"))
    no_key = tmp_path / "none.key"
    for given, text in [
        (TlsSettings(), "a callee over TLS needs a certificate and its key"),
        (TlsSettings(tls.certificate, no_key), f"{no_key}: No such file or directory"),
        (TlsSettings(tls.certificate, tls.certificate), f"{tls.certificate}: "),
        (TlsSettings(tls.certificate, tls.private_key, tls.private_key), f"{tls.private_key}: "),
    ]:
        with pytest.raises(SettingsError) as raised:
            Player(played, PlayerSettings(host, wire=Wire(Mode.TLS_ONE, given)))
        assert str(raised.value).startswith(text)


def test_rows_without_addresses(host: str) -> None:
    played = load_scenario(file_of("answered/uac"))
    with pytest.raises(SettingsError) as raised:
        Player(played, PlayerSettings(host, 0, host, wire=Wire(Mode.UDP_BY_ADDRESS, address_field=2), rows=ROWS))
    assert str(raised.value) == f"-t ui: field 2 of row 1 is no address that reaches {host}"


# ---------------------------------------------------------------------- what holds for every call


@pytest.mark.parametrize(("settings", "first"), [({}, 1), ({"base_cseq": 41}, 41)])
async def test_where_cseq_begins(host: str, tmp_path: Path, settings: dict[str, Any], first: int) -> None:
    seen: list[Exchanged] = []
    player = Player(
        scenario(tmp_path, send("MESSAGE")), PlayerSettings(host, 0, host, 9, max_calls=1, **settings), seen.append
    )
    await player.open()
    await player.run()
    assert f"CSeq: {first} MESSAGE".encode() in seen[0].data


async def test_call_ids_as_they_are_wanted(host: str, tmp_path: Path) -> None:
    seen: list[Exchanged] = []
    given = PlayerSettings(host, 0, host, 9, max_calls=2, rate=500.0, pid=7, call_id="a%%%p-%u.%x@%s")
    player = Player(scenario(tmp_path, send("MESSAGE")), given, seen.append)
    await player.open()
    await player.run()
    assert [one.data.split(b"Call-ID: ")[1].split(b"\r\n")[0].decode() for one in seen] == [
        f"a%7-{number}.%x@{host}" for number in (1, 2)
    ]


async def test_nothing_is_repeated_without_retransmission(host: str, tmp_path: Path) -> None:
    seen: list[Exchanged] = []
    with raw_socket(host) as silent:
        given = PlayerSettings(host, 0, host, silent.getsockname()[1], max_calls=1, timeout_s=0.2, retransmits=False)
        player = Player(scenario(tmp_path, send("MESSAGE", retrans="20"), recv("200")), given, seen.append)
        await player.open()
        await player.run()
    assert [one.data.split(b" ")[0] for one in seen] == [b"MESSAGE"]


async def test_the_ladder_of_the_first_call_that_failed(host: str, tmp_path: Path) -> None:
    uas = Player(
        scenario(tmp_path, recv("INVITE"), send("180"), send("486"), name="uas"), PlayerSettings(host, max_calls=2)
    )
    await uas.open()
    played = scenario(tmp_path, send("INVITE"), recv("180"), recv("200"))
    uac = Player(played, PlayerSettings(host, 0, host, uas.local_port, max_calls=2, rate=500.0, pid=5))
    await uac.open()
    _, report = await both(uas, uac)
    assert report.failed == 2
    assert [line.split("s  ")[-1] for line in report.ladder] == [
        f"the first call that failed, 1-5@{host}:",
        "-->  INVITE (CSeq 1)",
        "<--  180 to INVITE (CSeq 1)",
        "<--  486 to INVITE (CSeq 1)",
        "-->  ACK (CSeq 1)",
        f"              ended: {played.path}:{played.elements[2].line}: unexpected 486 INVITE while waiting for 200",
    ]
