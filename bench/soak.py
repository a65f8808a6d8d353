"""Calls for a long time at one rate: nothing of the node may grow once as many calls end as begin.

SIPp places calls that last for a while. Private memory (USS), descriptors and threads of each process, and what the
node says that it keeps (`status`: tasks, dialogs, transactions, timers ...), are looked at every few seconds. What they
have grown by after the first minutes is told by the line that lies closest to all that was seen since.

    .venv/bin/python -m bench.soak                                         # 30 minutes, 500 calls/s, 30 s a call
    .venv/bin/python -m bench.soak --minutes 10 --rate 200 --system compiled
    .venv/bin/python -m bench.soak --minutes 2 --rate 50 --hold 5 --bindings 20000 --json

Exit status 0: nothing grows. 1: something does, more than one call in a thousand failed, or nothing could be measured.
2: wrong usage, or a program is missing.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean, linear_regression
from typing import Final

from bench.rig.command import positive, tell
from bench.rig.data import BINDINGS
from bench.rig.load import HOLDING_PORT, answering, holding
from bench.rig.measuring import exit_status, ready_system
from bench.rig.processes import descriptors, private_mb, threads
from bench.rig.systems import SYSTEMS, RigError, System, running, with_api
from bench.rig.table import print_rows, where
from engine.control.client import ControlError, ask

UNJUDGED_MIN: Final = 5.0  # until as many calls end as begin, and what 64 s remember is full; a third of a short soak
FEWEST: Final = 5  # looks that make a line
FAILED_SHARE: Final = 0.001

# What counts as noise of the whole time that is judged: so much, or so large a part of the mean.
_NOISE: Final = {"MiB": (1.0, 0.02), "descriptors": (4.0, 0.0), "threads": (2.0, 0.0), "kept": (50.0, 0.05)}


@dataclass(frozen=True)
class Growth:
    """Of one figure over the time that is judged, by the line closest to it."""

    name: str
    mean: float
    by: float
    allowed: float

    @property
    def is_growing(self) -> bool:
        return self.by > self.allowed


def growth(name: str, minutes: list[float], values: list[float]) -> Growth:
    """Of values that were seen at those times. The last word of the name says what they are."""
    mean = fmean(values)
    least, part = _NOISE[name.rpartition(" ")[2]]
    by = linear_regression(minutes, values).slope * (minutes[-1] - minutes[0])
    return Growth(name, mean, by, max(least, part * mean))


def judged(samples: list[tuple[float, Mapping[str, float]]], unjudged_min: float) -> list[Growth]:
    """All that every look since then has seen. Raises RigError where these are too few."""
    late = [(minute, seen) for minute, seen in samples if minute >= unjudged_min]
    if len(late) < FEWEST:
        raise RigError(f"{len(late)} looks after the first {unjudged_min:.1f} minutes: {FEWEST} make a line")
    names = [name for name in late[0][1] if all(name in seen for _, seen in late)]
    return [growth(name, [minute for minute, _ in late], [seen[name] for _, seen in late]) for name in names]


def look(process: int, data: Path) -> dict[str, float]:
    """Every figure now. Raises RigError when the node does not answer."""
    seen: dict[str, float] = {}
    for unit, found in (("MiB", private_mb), ("descriptors", descriptors), ("threads", threads)):
        seen |= {f"{module} {unit}": value for module, value in found(process).items()}
    try:
        kept = ask(data / "var", "status").get("kept")
    except ControlError as error:
        raise RigError(str(error)) from None
    if isinstance(kept, dict):
        seen |= {f"{name} kept": float(count) for name, count in kept.items()}
    return seen


@dataclass(frozen=True)
class Soak:
    """What was seen in the end."""

    placed: int
    failed: int
    growths: list[Growth]
    samples: list[tuple[float, Mapping[str, float]]]  # minutes since the first call, and what was seen

    @property
    def faults(self) -> list[str]:
        """One line for each reason why the node does not pass."""
        found = [
            f"{one.name} has grown by {one.by:.1f} from a mean of {one.mean:.1f}, at most {one.allowed:.1f}"
            for one in self.growths
            if one.is_growing
        ]
        is_failing = self.failed > FAILED_SHARE * self.placed
        return found + ([f"{self.failed} of {self.placed} calls failed"] if is_failing else [])


def soaked(system: System, data: Path, rate: int, hold_s: float, minutes: float, every_s: float) -> Soak:
    """Calls for so long, then the verdict. Raises RigError."""
    at_once = round(rate * hold_s * 1.5) + 100
    samples: list[tuple[float, Mapping[str, float]]] = []
    with running(with_api(system), data, "call") as process, ExitStack() as ends:
        ends.enter_context(answering(data, "call"))
        began = time.monotonic()
        holder = ends.enter_context(holding(data, rate, at_once, HOLDING_PORT, hold_s))
        while (minute := (time.monotonic() - began) / 60) < minutes:
            if holder.process.poll() is not None:
                raise RigError(f"SIPp has ended after {minute:.1f} minutes")
            samples.append((minute, look(process, data)))
            if len(samples) % 6 == 1:
                tell(f"{minute:5.1f} min: {holder.placed} calls, {holder.failed} failed; {_short(samples[-1][1])}")
            time.sleep(every_s)
        return Soak(holder.placed, holder.failed, judged(samples, min(UNJUDGED_MIN, minutes / 3)), samples)


def _short(seen: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:.1f}" for name, value in seen.items() if name.endswith(" MiB"))


def main(argv: list[str] | None = None) -> int:
    """Measures and prints."""
    options = _options(argv)
    return exit_status(lambda: _measure(options))


def _measure(options: argparse.Namespace) -> int:
    system, data = ready_system(options.system, options.bindings)
    found = soaked(system, data, options.rate, options.hold, options.minutes, options.every)
    if options.json:
        print(json.dumps({"where": where(), "system": system.name, **asdict(found), "faults": found.faults}))
    else:
        _print(system, found)
    return 1 if found.faults else 0


def _print(system: System, found: Soak) -> None:
    print(f"{where()}; {system.title}; {found.placed} calls, {found.failed} failed")
    rows = [["figure", "mean", "grown by", "at most"]]
    rows += [[one.name, f"{one.mean:.1f}", f"{one.by:+.2f}", f"{one.allowed:.1f}"] for one in found.growths]
    print_rows(rows)
    for fault in found.faults:
        print(f"! {fault}")


def _options(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench.soak", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    ours = [name for name, system in SYSTEMS.items() if system.is_ours]
    parser.add_argument("--system", choices=ours, default="veil700", help="default: %(default)s")
    parser.add_argument("--bindings", type=positive, default=BINDINGS, help="default: %(default)s")
    parser.add_argument("--minutes", type=float, default=30.0, help="default: %(default)s")
    parser.add_argument("--rate", type=positive, default=500, help="calls a second (default: %(default)s)")
    parser.add_argument("--hold", type=float, default=30.0, help="seconds a call lasts (default: %(default)s)")
    parser.add_argument("--every", type=float, default=10.0, help="seconds between two looks (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print JSON, with every look")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
