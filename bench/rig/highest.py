"""The highest rate that a system carries without a failed call, by halving."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from bench.rig.load import Load, place
from bench.rig.systems import System, Tell, running

LATE_S: Final = 6.0
NARROW: Final = 0.08  # where the search ends, as a part of the rate
MOST: Final = 6000  # calls a second; SIPp itself carries no more here


def highest_rate(system: System, data: Path, job: str, lowest: int, highest: int, seconds: int, tell: Tell) -> int:
    """Calls a second; 0 when it does not even carry the first rate tried. Raises RigError."""
    best = 0
    with running(system, data, job) as process:
        while highest - lowest > max(10, lowest * NARROW):
            rate = round((lowest * highest) ** 0.5)
            load = place(process, data, job, rate, rate * seconds, LATE_S)
            good = _is_carried(load, rate)
            tell(f"{rate}/s: {'carried' if good else 'not carried'}, {load.failed} of {load.calls} failed")
            if good:
                lowest = best = rate
            else:
                highest = rate
    return best


def between(rate: int, cpu_us: float, is_carried: bool) -> tuple[int, int]:
    """Where to search, when a call costs so much and a rate was carried or was not.

    The upper end is what 1.6 processors could do at that cost; a system that carries that much could perhaps do more.
    """
    lowest = rate if is_carried else max(10, rate // 8)
    return lowest, max(lowest * 3 // 2, min(MOST, round(1.6e6 / cpu_us)))


def _is_carried(load: Load, rate: int) -> bool:
    """No call failed, next to none was repeated, and SIPp kept its rate."""
    few = load.retransmissions <= load.calls * 0.001
    return not load.failed and few and load.succeeded / load.wall_s > 0.85 * rate
