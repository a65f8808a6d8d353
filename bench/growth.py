"""How the cost of a call grows: with the bindings in the store, and with the calls in progress; beside Kamailio.

    .venv/bin/python -m bench.growth bindings                              # 10^4, 10^5, 10^6; 10^7 takes long to make
    .venv/bin/python -m bench.growth bindings --sizes 1000000,10000000 --system compiled
    .venv/bin/python -m bench.growth calls                                 # 10^2, 10^3, 10^4, 10^5; 25 minutes
    .venv/bin/python -m bench.growth calls --sizes 100,1000 --rounds 1 --bindings 20000 --rest 1 --json

`bindings` has every system in turn on every size, round by round. `calls` starts a system once, has SIPp hold more and
more calls, and lets it rest before each measurement: what was said while they were set up is remembered for 32 s.

Exit status 0: measured. 1: a call failed, or nothing could be measured. 2: wrong usage, or a program is missing.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.rig.command import SECONDS, positive, tell
from bench.rig.data import BINDINGS, ready_data
from bench.rig.load import HOLDING_PORT, Load, answering, holding, place_answered
from bench.rig.measuring import exit_status, ready_system
from bench.rig.rounds import Plan, spread, take_turn
from bench.rig.systems import KAMAILIO, SYSTEMS, System, running
from bench.rig.table import latency, print_rows, shown, where


@dataclass(frozen=True)
class Step:
    """One size: what each system has done there, round by round."""

    size: int
    loads: Mapping[str, Sequence[Load]]

    @property
    def faults(self) -> list[str]:
        """One line for each load with a failed call."""
        return [
            f"{self.size:,}, {name}, round {number}: {load.failed} of {load.calls} calls failed ({load.error})"
            for name, loads in self.loads.items()
            for number, load in enumerate(loads, 1)
            if load.failed
        ]


def with_bindings(systems: Sequence[System], sizes: Sequence[int], plan: Plan) -> list[Step]:
    """Calls on stores of those sizes. Raises RigError."""
    folders = {size: ready_data(size, tell) for size in sizes}
    steps = [Step(size, {system.name: [] for system in systems}) for size in sizes]
    for number in range(1, plan.rounds + 1):
        for step in steps:
            for system in systems:
                load = take_turn(system, folders[step.size], plan).load
                _add(step, system, load, number)
    return steps


def with_calls(
    systems: Sequence[System], sizes: Sequence[int], data: Path, plan: Plan, hold_rate: int, rest_s: float
) -> list[Step]:
    """Calls beside so many others, fewest first. Raises RigError."""
    steps = [Step(size, {system.name: [] for system in systems}) for size in sorted(sizes)]
    for system in systems:
        with running(system, data, "call") as process, ExitStack() as ends:
            ends.enter_context(answering(data, "call"))
            place_answered(process, data, "call", plan.rate, plan.warm_up)
            held = 0
            for place, step in enumerate(steps):
                more = step.size - held
                holder = ends.enter_context(holding(data, hold_rate, more, HOLDING_PORT + place))
                holder.await_all(more / hold_rate * 4 + 30)
                held = step.size
                time.sleep(rest_s)
                for number in range(1, plan.rounds + 1):
                    _add(step, system, place_answered(process, data, "call", plan.rate, plan.calls), number)
    return steps


def _add(step: Step, system: System, load: Load, number: int) -> None:
    done = step.loads[system.name]
    assert isinstance(done, list)
    done.append(load)
    tell(f"{step.size:>10,}: {system.name:9} round {number}: {load.cpu_us:7.1f} µs per call, {load.failed} failed")


def rows(steps: Sequence[Step], what: str, ours: System) -> list[list[str]]:
    """The table: CPU of each system, the ratio round by round, and what else is ours."""
    found = [[what, "kamailio µs", f"{ours.name} µs", "ratio", "p50 ms", "p99 ms", "failed", "private MiB"]]
    for step in steps:
        mine, theirs = step.loads[ours.name], step.loads[KAMAILIO.name]
        ratios = [one.cpu_us / other.cpu_us for one, other in zip(mine, theirs, strict=True)]
        private = {module: max(load.private_mb.get(module, 0.0) for load in mine) for module in mine[0].private_mb}
        found.append([
            f"{step.size:,}", shown(spread([load.cpu_us for load in theirs]), 0),
            shown(spread([load.cpu_us for load in mine]), 0), shown(spread(ratios), 2),
            latency([load.p50_ms for load in mine]), latency([load.p99_ms for load in mine]),
            str(sum(load.failed for load in mine)),
            ", ".join(f"{module} {mib:.1f}" for module, mib in private.items()),
        ])  # fmt: skip
    return found


def main(argv: list[str] | None = None) -> int:
    """Measures and prints."""
    options = _options(argv)
    return exit_status(lambda: _measure(options))


def _measure(options: argparse.Namespace) -> int:
    plan = Plan("call", options.rate, options.calls or options.rate * SECONDS, options.rounds)
    ours, _ = ready_system(options.system, min(options.sizes) if options.is_sizes else options.bindings)
    steps = _bindings(options, ours, plan) if options.is_sizes else _calls(options, ours, plan)
    faults = [fault for step in steps for fault in step.faults]
    if options.json:
        print(json.dumps({"where": where(), **asdict(plan), "steps": [asdict(step) for step in steps]}))
    else:
        print(f"{where()}; {plan.rounds} rounds of {plan.calls} calls at {plan.rate}/s; medians (smallest..largest)")
        print_rows(rows(steps, "bindings" if options.is_sizes else "calls in progress", ours))
        for fault in faults:
            print(f"! {fault}")
    return 1 if faults else 0


def _bindings(options: argparse.Namespace, ours: System, plan: Plan) -> list[Step]:
    return with_bindings([KAMAILIO, ours], options.sizes, plan)


def _calls(options: argparse.Namespace, ours: System, plan: Plan) -> list[Step]:
    data = ready_data(options.bindings, tell)
    return with_calls([KAMAILIO, ours], options.sizes, data, plan, options.hold_rate, options.rest)


def _sizes(text: str) -> list[int]:
    """The value of `--sizes`: numbers with commas between them, in order and each once."""
    return sorted({positive(word) for word in text.split(",")})


def _options(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench.growth", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    ours = [name for name, system in SYSTEMS.items() if system.is_ours]
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    bindings = verbs.add_parser("bindings", help="with more and more bindings")
    bindings.set_defaults(is_sizes=True)
    calls = verbs.add_parser("calls", help="with more and more calls in progress")
    calls.set_defaults(is_sizes=False)
    calls.add_argument("--bindings", type=positive, default=BINDINGS, help="default: %(default)s")
    calls.add_argument("--hold-rate", type=positive, default=300, help="of the calls that last (default: %(default)s)")
    calls.add_argument("--rest", type=float, default=35.0, help="seconds before a measurement (default: %(default)s)")
    sizes = {bindings: [10**4, 10**5, 10**6], calls: [10**2, 10**3, 10**4, 10**5]}
    for verb, default in sizes.items():
        verb.add_argument("--sizes", type=_sizes, default=default, help=f"default: {','.join(map(str, default))}")
        verb.add_argument("--system", choices=ours, default="veil700", help="default: %(default)s")
        verb.add_argument("--rounds", type=positive, default=3, help="default: %(default)s")
        verb.add_argument("--rate", type=positive, default=300, help="calls a second (default: %(default)s)")
        verb.add_argument("--calls", type=positive, help=f"in one round (default: {SECONDS} seconds of them)")
        verb.add_argument("--json", action="store_true", help="print JSON")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
