"""What a node has in memory: private memory (USS) of each process, with its bindings alone, and with calls in progress.

SIPp places the calls and holds them, on loopback. Both figures are taken when the transactions of the calls before have
been forgotten: a node remembers them for 32 s, and timers that were cancelled for 64 s.

    .venv/bin/python -m bench.memory                                       # 1,000,000 bindings, 10,000 calls; 4 minutes
    .venv/bin/python -m bench.memory --bindings 20000 --calls 200 --json   # a short look
    .venv/bin/python -m bench.memory --system compiled

Exit status 0: measured, and within the bars. 1: above a bar, or nothing could be measured. 2: wrong usage, or a program
is missing.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from bench.rig.command import positive, tell
from bench.rig.data import BINDINGS
from bench.rig.load import HOLDING_PORT, answering, holding, place_answered
from bench.rig.measuring import exit_status, ready_system
from bench.rig.processes import private_mb
from bench.rig.systems import SYSTEMS, System, running, with_api
from bench.rig.table import print_rows, where

REST_S: Final = 70.0
WARM_UP: Final = 1000  # calls before the first figure
BINDINGS_BAR_MB: Final = 80.0  # MiB of a SIP process that has its bindings
CALLS_BAR_MB: Final = 150.0  # MiB more with BAR_CALLS in progress
BAR_CALLS: Final = 10_000

_WORKER: Final = "engine.workers.child"
_ONLY_ONE: Final = "engine.main"


@dataclass(frozen=True)
class Memory:
    """MiB of private memory by module; of several processes of one module it is the largest one's."""

    bindings: int
    calls: int
    at_rest: dict[str, float]
    with_calls: dict[str, float]

    @property
    def sip(self) -> str:
        """The module whose processes serve calls."""
        return _WORKER if _WORKER in self.at_rest else _ONLY_ONE

    @property
    def faults(self) -> list[str]:
        """One line for each bar that does not hold. The second one grows with the calls."""
        rest = self.at_rest[self.sip]
        more, bar = self.with_calls[self.sip] - rest, CALLS_BAR_MB * self.calls / BAR_CALLS
        found = [f"{rest:.1f} MiB at rest, at most {BINDINGS_BAR_MB:.0f}"] if rest > BINDINGS_BAR_MB else []
        return found + ([f"{more:.1f} MiB more with {self.calls} calls, at most {bar:.0f}"] if more > bar else [])


def measured(system: System, data: Path, bindings: int, calls: int, rate: int, rest_s: float = REST_S) -> Memory:
    """Both figures. Raises RigError when so many calls do not come about."""
    with running(with_api(system), data, "call") as process, ExitStack() as ends:
        ends.enter_context(answering(data, "call"))
        place_answered(process, data, "call", rate, min(WARM_UP, calls))
        time.sleep(rest_s)
        at_rest = private_mb(process)
        tell(f"at rest: {_shown(at_rest)}")
        holder = ends.enter_context(holding(data, rate, calls, HOLDING_PORT))
        holder.await_all(calls / rate * 4 + 30)
        tell(f"all calls placed: {_shown(private_mb(process))}")
        time.sleep(rest_s)
        return Memory(bindings, calls, at_rest, private_mb(process))


def _shown(found: dict[str, float]) -> str:
    return ", ".join(f"{module} {mib:.1f} MiB" for module, mib in found.items())


def main(argv: list[str] | None = None) -> int:
    """Measures and prints."""
    options = _options(argv)
    return exit_status(lambda: _measure(options))


def _measure(options: argparse.Namespace) -> int:
    system, data = ready_system(options.system, options.bindings)
    found = measured(system, data, options.bindings, options.calls, options.rate)
    if options.json:
        print(json.dumps({"where": where(), "system": system.name, **asdict(found), "faults": found.faults}))
    else:
        _print(system, found)
    return 1 if found.faults else 0


def _print(system: System, found: Memory) -> None:
    print(f"{where()}; {system.title}")
    rows = [["private MiB", f"{found.bindings:,} bindings", f"and {found.calls:,} calls", "more"]]
    for module, rest in found.at_rest.items():
        full = found.with_calls.get(module, 0.0)
        rows.append([module, f"{rest:.1f}", f"{full:.1f}", f"{full - rest:.1f}"])
    print_rows(rows)
    for fault in found.faults:
        print(f"! {found.sip}: {fault}")


def _options(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench.memory", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    ours = [name for name, system in SYSTEMS.items() if system.is_ours]
    parser.add_argument("--system", choices=ours, default="veil700", help="default: %(default)s")
    parser.add_argument("--bindings", type=positive, default=BINDINGS, help="default: %(default)s")
    parser.add_argument("--calls", type=positive, default=BAR_CALLS, help="in progress (default: %(default)s)")
    parser.add_argument("--rate", type=positive, default=200, help="calls a second (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
