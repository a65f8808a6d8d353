"""SIPp's built-in scenarios, and our own by the same names: our player against a real SIPp that plays its own."""

from __future__ import annotations

import asyncio
import re
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from scenarios.rig.place import Place
from scenarios.rig.sipp import SIPP, is_bound
from sipstack.scenario.builtins import builtin_file, builtin_names
from sipstack.scenario.loader import load_scenario
from sipstack.scenario.player import Player
from sipstack.scenario.report import Report
from sipstack.scenario.settings import Mode, PlayerSettings, TwinSettings, Wire
from tests.scenario.scenes import document, recv, send

CALLS = 3
WAIT_S = 60.0  # on a machine that is busy with other tests


NAMES = (
    "uac", "uas", "regexp", "branchc", "branchs", "uac_pcap", "3pcc-A", "3pcc-B", "3pcc-C-A", "3pcc-C-B",
    "ooc_default", "ooc_dummy",
)  # fmt: skip


def theirs(name: str) -> str:
    """What SIPp has built in."""
    return subprocess.run([SIPP, "-sd", name], capture_output=True, text=True, check=False).stdout


def own(name: str) -> str:
    """What we have."""
    file = builtin_file(name)
    assert file is not None
    return file.read_text("latin-1")


def cut_short(text: str) -> str:
    """Without the seconds that it waits in the middle and at its end."""
    return re.sub(r'<(pause|timewait) milliseconds ?= ?"[0-9]+"/>', r'<\1 milliseconds="50"/>', text)


@pytest.fixture(params=[theirs, own], ids=["theirs", "own"])
def builtin(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A folder with SIPp's own scenarios; what our player plays of them is in `played`: SIPp's, or our own."""
    (tmp_path / "played").mkdir()
    for name in NAMES:
        (tmp_path / f"{name}.xml").write_text(cut_short(theirs(name)))
        (tmp_path / "played" / f"{name}.xml").write_text(cut_short(request.param(name)))
    (tmp_path / "asks.xml").write_text(
        '<?xml version="1.0"?>\n' + document(send("OPTIONS", retrans="500"), recv("200"))
    )
    return tmp_path


Process = asyncio.subprocess.Process


@asynccontextmanager
async def real(folder: Path, name: str, host: str, port: int, *options: str) -> AsyncIterator[Process]:
    """SIPp with one of its scenarios."""
    process = await asyncio.create_subprocess_exec(
        SIPP, "-sf", str(folder / f"{name}.xml"), "-i", host, "-p", str(port), "-ci", host, "-cp", str(port + 1000),
        "-nostdin", "-timer_resol", "1", "-timeout", "60s", "-timeout_error", "-m", str(CALLS), *options,
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=folder,
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def ours(folder: Path, name: str, host: str, to: tuple[str, int] | None = None, **given: object) -> Report:
    target = {"remote_ip": to[0], "remote_port": to[1]} if to else {}
    settings = PlayerSettings(**{"local_ip": host, "max_calls": CALLS, "timeout_s": WAIT_S} | target | given)  # type: ignore[arg-type]
    player = Player(load_scenario(folder / "played" / f"{name}.xml"), settings)
    await player.open()
    return await player.run()


def is_well(report: Report) -> bool:
    return (report.exit_code, report.successful, report.failed) == (0, CALLS, 0)


def twin_port(place: Place) -> int:
    """SIPp listens for its twin on all addresses of the machine: the port must be this place's own."""
    _, second, third = map(int, place.prefix.split("."))
    return 20_000 + second % 50 * 250 + third


async def bound(host: str, port: int = 5060) -> None:
    """Somebody takes datagrams or connections there. Not tried: a trial would hold the address for a moment."""
    async with asyncio.timeout(WAIT_S):
        while not is_bound(host, port):
            await asyncio.sleep(0.01)


def test_there_is_one_of_our_own_for_each() -> None:
    assert builtin_names() == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_what_sipp_carries_in_itself_is_read(tmp_path: Path, name: str) -> None:
    file = tmp_path / f"{name}.xml"
    file.write_text(theirs(name))
    read = load_scenario(file)
    assert read.elements and read.without_effect == ()


@pytest.mark.parametrize(("caller", "callee"), [("uac", "uas"), ("regexp", "uas"), ("branchc", "branchs")])
async def test_our_caller(place: Place, builtin: Path, caller: str, callee: str) -> None:
    async with real(builtin, callee, place.callee, 5060) as sipp:
        await bound(place.callee)
        report = await ours(builtin, caller, place.caller, (place.callee, 5060))
        assert is_well(report), report.failures
        assert await asyncio.wait_for(sipp.wait(), WAIT_S) == 0


@pytest.mark.parametrize(("caller", "callee"), [("uac", "uas"), ("regexp", "uas"), ("branchc", "branchs")])
async def test_our_callee(place: Place, builtin: Path, caller: str, callee: str) -> None:
    running = asyncio.ensure_future(ours(builtin, callee, place.callee, local_port=5060))
    await bound(place.callee)
    async with real(builtin, caller, place.caller, 5060, f"{place.callee}:5060") as sipp:
        assert await asyncio.wait_for(sipp.wait(), WAIT_S) == 0
    report = await running
    assert is_well(report), report.failures


async def test_requests_of_no_call_are_answered(place: Place, builtin: Path) -> None:
    """A SIPp that registers at a caller of ours, which plays ooc_default beside its own calls."""
    beside = load_scenario(builtin / "played" / "ooc_default.xml")
    async with real(builtin, "uas", place.callee, 5060) as callee:
        await bound(place.callee)
        playing = asyncio.ensure_future(
            ours(builtin, "uac", place.caller, (place.callee, 5060), local_port=5060, out_of_call=beside, pause_ms=8000)
        )
        await bound(place.caller)
        async with real(builtin, "asks", place.second, 5060, f"{place.caller}:5060") as asking:
            assert await asyncio.wait_for(asking.wait(), WAIT_S) == 0
        report = await playing
        assert is_well(report), report.failures
        assert await asyncio.wait_for(callee.wait(), WAIT_S) == 0


@pytest.mark.parametrize("mode", [Mode.TCP_ONE, Mode.TCP_EACH, Mode.UDP_EACH])
async def test_our_caller_over_other_sockets(place: Place, builtin: Path, mode: Mode) -> None:
    async with real(builtin, "uas", place.callee, 5060, "-t", mode.value[0] + "1") as sipp:
        await bound(place.callee)
        report = await ours(builtin, "uac", place.caller, (place.callee, 5060), wire=Wire(mode))
        assert is_well(report), report.failures
        if (
            mode is Mode.UDP_EACH
        ):  # over TCP SIPp fails the calls that wait for repeats when their connection is closed,
            assert await asyncio.wait_for(sipp.wait(), WAIT_S) == 0  # by its own caller, too


@pytest.mark.parametrize("mode", ["t1", "tn", "un"])
async def test_our_callee_over_other_sockets(place: Place, builtin: Path, mode: str) -> None:
    wire = Wire(Mode.TCP_ONE if mode[0] == "t" else Mode.UDP_ONE)
    player = Player(
        load_scenario(builtin / "played" / "uas.xml"), PlayerSettings(place.callee, 5060, max_calls=CALLS, wire=wire)
    )
    await player.open()
    running = asyncio.ensure_future(player.run())
    async with real(
        builtin, "uac", place.caller, 5060, "-t", mode, f"{place.callee}:5060", "-max_socket", "99"
    ) as sipp:
        assert await asyncio.wait_for(sipp.wait(), WAIT_S) == 0
    report = await asyncio.wait_for(running, WAIT_S)
    assert is_well(report), report.failures


@pytest.mark.parametrize("is_first", [True, False])
async def test_a_twin_that_is_sipp(place: Place, builtin: Path, is_first: bool) -> None:
    """A controller and its twin connect two callees: 3pcc-C-A and 3pcc-C-B call 3pcc-A and 3pcc-B."""
    port = twin_port(place)
    twin = f"{place.caller}:{port}"
    a, b = place.callee, place.caller
    settings = TwinSettings((place.caller, port))
    async with real(builtin, "3pcc-A", a, 5062), real(builtin, "3pcc-B", b, 5064):
        await bound(a, 5062)
        await bound(b, 5064)
        if is_first:  # ours tells first, SIPp hears
            async with real(builtin, "3pcc-C-B", b, 5066, f"{b}:5064", "-3pcc", twin) as sipp:
                await bound("0.0.0.0", port)
                report = await ours(builtin, "3pcc-C-A", a, (a, 5062), twins=settings)
                assert await asyncio.wait_for(sipp.wait(), WAIT_S) == 0
        else:
            running = asyncio.ensure_future(ours(builtin, "3pcc-C-B", b, (b, 5064), twins=settings))
            await bound(b, port)
            async with real(builtin, "3pcc-C-A", a, 5066, f"{a}:5062", "-3pcc", twin) as sipp:
                assert await asyncio.wait_for(sipp.wait(), WAIT_S) == 0
            report = await running
    assert is_well(report), report.failures


async def test_callees_of_a_controller_that_is_sipp(place: Place, builtin: Path) -> None:
    """Ours are 3pcc-A and 3pcc-B, SIPp is both controllers."""
    port = twin_port(place)
    twin = f"{place.caller}:{port}"
    a, b = place.callee, place.caller
    callees = [
        asyncio.ensure_future(ours(builtin, "3pcc-A", a, local_port=5062)),
        asyncio.ensure_future(ours(builtin, "3pcc-B", b, local_port=5064)),
    ]
    async with real(builtin, "3pcc-C-B", b, 5066, f"{b}:5064", "-3pcc", twin) as second:
        await bound("0.0.0.0", port)
        async with real(builtin, "3pcc-C-A", a, 5066, f"{a}:5062", "-3pcc", twin) as first:
            assert await asyncio.wait_for(first.wait(), WAIT_S) == 0
        assert await asyncio.wait_for(second.wait(), WAIT_S) == 0
    reports = await asyncio.gather(*callees)
    assert all(map(is_well, reports)), reports


async def test_media_go_where_sipps_callee_wants_them(place: Place, builtin: Path) -> None:
    """SIPp echoes what comes to its port for media: it comes back to ours."""
    async with real(builtin, "uas", place.callee, 5060, "-rtp_echo", "-mi", place.callee, "-mp", "6000") as sipp:
        await bound(place.callee)
        settings = PlayerSettings(
            place.caller, 0, place.callee, 5060, max_calls=CALLS, timeout_s=WAIT_S, media_port=6100
        )
        player = Player(load_scenario(builtin / "played" / "uac_pcap.xml"), settings)
        await player.open()
        report = await player.run()
        assert is_well(report), report.failures
        sent, received = player.errands.media_packets
        assert sent >= CALLS * 3
        assert received >= CALLS
        assert await asyncio.wait_for(sipp.wait(), WAIT_S) == 0
