"""Players that tell each other what their calls are at: two of them, and three with names."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import Any

import pytest

from sipstack.scenario.inbox import Inbox, TwinSaid
from sipstack.scenario.model import Scenario, SettingsError
from sipstack.scenario.player import Player
from sipstack.scenario.report import Report
from sipstack.scenario.settings import Address, PlayerSettings, TwinSettings
from sipstack.scenario.twin import MAX_TEXT_BYTES, Twins, read_peers
from tests.scenario.scenes import recv, scenario, send
from tests.sipstack.endpoint_rig import own_address, raw_socket

WAIT_S = 30.0  # for a machine that is busy with other tests
CALLS = 3


@pytest.fixture
def host(request: pytest.FixtureRequest) -> str:
    return own_address(request)


def free(host: str) -> Address:
    with raw_socket(host) as probe:
        return host, probe.getsockname()[1]


def tells(text: str, **attributes: str) -> str:
    named = "".join(f' {name}="{value}"' for name, value in attributes.items())
    return f"<sendCmd{named}><![CDATA[\nCall-ID: [call_id]\n{text}\n]]></sendCmd>"


HEARS = '<recvCmd><action><ereg regexp="X: (.*)" search_in="msg" assign_to="all,told"/></action></recvCmd>'
USES = '<Reference variables="all,told"/>'


async def run(file: Scenario, host: str, to: int, twins: TwinSettings, **given: Any) -> Report:
    settings = PlayerSettings(host, 0, host, to, twins=twins, timeout_s=WAIT_S, rate=50.0, **given)
    player = Player(file, settings)
    await player.open()
    return await player.run()


async def test_two_of_them_place_a_call_each(host: str, tmp_path: Path) -> None:
    """The first tells what its callee has answered; the second begins its call by that, and tells back."""
    callee = scenario(tmp_path, recv("INVITE"), send("200"), recv("ACK"), name="uas")
    callees = [Player(callee, PlayerSettings(host, max_calls=CALLS, timeout_s=WAIT_S)) for _ in range(2)]
    for uas in callees:
        await uas.open()
    serving = [asyncio.ensure_future(uas.run()) for uas in callees]
    ack = "ACK sip:[$told]@b SIP/2.0\nCall-ID: [call_id]\nCSeq: 1 ACK\nContent-Length: 0"
    one = scenario(tmp_path, send("INVITE"), recv("200"), tells("X: from-one"), HEARS, USES, send(ack), name="one")
    two = scenario(tmp_path, HEARS, USES, send("INVITE"), recv("200"), tells("X: from-two"), send(ack), name="two")
    twin = TwinSettings(free(host))
    first, second = (uas.local_port for uas in callees)
    reports = await asyncio.gather(
        run(two, host, second, twin, max_calls=CALLS, pid=1), run(one, host, first, twin, max_calls=CALLS, pid=2)
    )
    assert [report.successful for report in (*reports, *await asyncio.gather(*serving))] == [CALLS] * 4


async def test_a_twin_that_goes_ends_the_other(host: str, tmp_path: Path) -> None:
    two = scenario(tmp_path, HEARS, USES, send("MESSAGE"), name="two")
    address = free(host)
    waiting = asyncio.ensure_future(run(two, host, 9, TwinSettings(address), max_calls=None))
    one = scenario(tmp_path, tells("X: go"), send("MESSAGE"), name="one")
    assert (await run(one, host, 9, TwinSettings(address), max_calls=CALLS)).successful == CALLS
    report = await asyncio.wait_for(waiting, WAIT_S)
    assert (report.exit_code, report.successful) == (0, CALLS)


async def test_three_with_names(host: str, tmp_path: Path) -> None:
    peers = dict(zip(("m", "s1", "s2"), (free(host) for _ in range(3)), strict=True))
    master = scenario(
        tmp_path, tells("From: m\nX: 1", dest="s1"), '<recvCmd src="s1"/>', tells("From: m\nX: 2", dest="s2"),
        '<recvCmd src="s2"/>', send("MESSAGE"), name="m",
    )  # fmt: skip
    slaves = {
        name: scenario(tmp_path, '<recvCmd src="m"/>', send("MESSAGE"), tells(f"From: {name}", dest="m"), name=name)
        for name in ("s1", "s2")
    }
    waiting = [
        asyncio.ensure_future(run(file, host, 9, TwinSettings(name=name, peers=peers), max_calls=CALLS))
        for name, file in slaves.items()
    ]
    report = await run(master, host, 9, TwinSettings(name="m", is_master=True, peers=peers), max_calls=CALLS)
    assert [report.successful, *[(await one).successful for one in waiting]] == [CALLS] * 3


async def test_nobody_to_tell_fails_the_call(host: str, tmp_path: Path) -> None:
    peers = {"m": free(host), "s1": free(host)}
    file = scenario(tmp_path, tells("X: 1", dest="nobody"), "<recvCmd/>", send("MESSAGE"))
    report = await run(file, host, 9, TwinSettings(name="m", peers=peers), max_calls=1)
    assert report.reasons == {"CmdNotSent": 1}


async def test_texts_end_with_an_escape_and_have_a_bound(host: str) -> None:
    inbox = Inbox()
    address = free(host)
    twins = Twins(TwinSettings(address), inbox, begins=False)
    await twins.open()
    reader, writer = await asyncio.open_connection(*address)
    writer.write(b"Call-ID: a\r\n\x1bCall-ID: b\xe9")
    await writer.drain()
    writer.write(b"\r\n\x1b")
    async with asyncio.timeout(WAIT_S):
        while inbox.waiting < 2:
            await inbox.wait(1.0)
    assert [inbox.take(), inbox.take()] == [TwinSaid("Call-ID: a\r\n", ""), TwinSaid("Call-ID: bé\r\n", "")]
    assert await twins.tell("Call-ID: c", "")
    assert await reader.readuntil(b"\x1b") == b"Call-ID: c\x1b"
    with contextlib.suppress(OSError):
        writer.write(b"x" * (MAX_TEXT_BYTES * 3))
        await writer.drain()
        assert await asyncio.wait_for(reader.read(), WAIT_S) == b""
    assert twins.is_lost
    await twins.close()
    writer.close()


def test_the_file_of_the_players(tmp_path: Path) -> None:
    path = tmp_path / "peers"
    path.write_text("# players\nm;127.0.0.1:8080\n\ns1;[::1]:8081;\n")
    assert read_peers(path) == {"m": ("127.0.0.1", 8080), "s1": ("::1", 8081)}
    for text, fault in (
        ("m 127.0.0.1", "1: a line is NAME;HOST:PORT"),
        ("m;h:0", "1: a line"),
        ("", " names no player"),
    ):
        path.write_text(text)
        with pytest.raises(SettingsError) as raised:
            read_peers(path)
        assert str(raised.value).startswith(f"{path}:{fault}")
