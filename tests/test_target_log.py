"""The lines about targets: the first at once, and what has become of it, but not one for each call."""

from __future__ import annotations

import asyncio

import pytest

import engine.target_log
from engine.target_log import TargetLog

WAIT_S = 30.0  # for a machine that is busy with other tests
QUIET_S = 0.1


class Told:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(engine.target_log, "QUIET_S", QUIET_S)
        self.lines: list[str] = []
        self.log = TargetLog(
            lambda line, address: self.lines.append(f"info: {address} {line}"),
            lambda line, address: self.lines.append(f"{address} {line}"),
        )

    async def until(self, lines: int) -> None:
        async with asyncio.timeout(WAIT_S):
            while len(self.lines) < lines:
                await asyncio.sleep(QUIET_S / 10)


async def test_changes_of_one_address_are_told_once_in_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    told = Told(monkeypatch)
    for _ in range(100):
        told.log.changed("a", "busy")
        told.log.changed("a", "up")
    told.log.changed("b", "down")
    assert told.lines == ["a target is busy", "b target is down"]
    await told.until(3)
    assert told.lines[2:] == ["info: a target is up"]
    await asyncio.sleep(2 * QUIET_S)
    assert len(told.lines) == 3
    told.log.changed("a", "silent")
    assert told.lines[3:] == ["a target is silent"]


async def test_what_is_again_as_it_was_told_is_not_told_again(monkeypatch: pytest.MonkeyPatch) -> None:
    told = Told(monkeypatch)
    told.log.changed("a", "busy")
    told.log.changed("a", "up")
    told.log.changed("a", "busy")
    await asyncio.sleep(3 * QUIET_S)
    assert told.lines == ["a target is busy"]
    assert not told.log._told and not told.log._is
