"""Our player as load generator against real SIPp's callee: the rate is kept, no call fails, memory stays."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from pathlib import Path

import pytest

from scenarios.rig.place import Place
from scenarios.rig.sipp import SIPP, is_bound
from sipstack.scenario.loader import load_scenario
from sipstack.scenario.player import Player
from sipstack.scenario.settings import PlayerSettings

RATE = 500.0
# Calls that have ended are known for 33 s: until then a run grows by their Call-IDs.
_SETTLED_S = 40
_LOOK_S = 5
_BLOCKS_A_CALL = 0.5  # that memory grows by; what a call leaves behind is one at least


def private_kb() -> int:
    """Memory that is this process's own."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_"))


@pytest.mark.alone
@pytest.mark.parametrize("seconds", [4, pytest.param(120, marks=pytest.mark.long)])
@pytest.mark.timeout(400)
async def test_five_hundred_calls_a_second(place: Place, tmp_path: Path, seconds: int) -> None:
    for name in ("uac", "uas"):
        told = subprocess.run([SIPP, "-sd", name], capture_output=True, text=True, check=False).stdout
        (tmp_path / f"{name}.xml").write_text(told)
    where = ("-i", place.callee, "-p", "5060", "-ci", place.callee)
    sipp = subprocess.Popen(
        [SIPP, "-sf", "uas.xml", *where, "-nostdin", "-buff_size", "4000000"],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=tmp_path,
    )  # fmt: skip
    try:
        while not is_bound(place.callee, 5060):
            await asyncio.sleep(0.01)
        calls = int(RATE * seconds)
        settings = PlayerSettings(
            place.caller,
            0,
            place.callee,
            5060,
            max_calls=calls,
            rate=RATE,
            limit=3 * int(RATE),
            timeout_s=3.0 * seconds + 30,
        )
        player = Player(load_scenario(tmp_path / "uac.xml"), settings)
        await player.open()
        memory: list[int] = []
        blocks: list[int] = []

        async def watch() -> None:
            await asyncio.sleep(_SETTLED_S)
            while True:
                memory.append(private_kb())
                blocks.append(sys.getallocatedblocks())
                await asyncio.sleep(_LOOK_S)

        watching = asyncio.ensure_future(watch())
        began, began_cpu = time.monotonic(), time.process_time()
        report = await player.run()
        took_s, cpu_us = time.monotonic() - began, (time.process_time() - began_cpu) / calls * 1e6
        watching.cancel()
    finally:
        sipp.kill()
        sipp.wait()
    print(f"{calls / took_s:.0f} calls/s, {cpu_us:.0f} us of CPU a call, {report.retransmissions} repeats, {memory} kB")
    assert (report.exit_code, report.successful, report.failed) == (0, calls, 0)
    assert took_s < seconds * 1.1 + 1
    if blocks:
        # Least of each half: while the machine is busy elsewhere calls pile up, and the process keeps their pages.
        half = len(blocks) // 2
        grown = min(blocks[half:]) - min(blocks[:half])
        assert grown < _BLOCKS_A_CALL * RATE * _LOOK_S * half, blocks
