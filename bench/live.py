"""What a call and a message cost in CPU, with sockets and disk: the floor, Kamailio, sippy and veil700, in one table.

SIPp calls through each system on loopback, in interleaved rounds, one measurement at a time on the machine. The data is
made on the first run and kept in bench/data.

    make bench                                                             # 5 rounds at 1000/s, about 15 minutes
    .venv/bin/python -m bench.live compare --rounds 1 --rate 100 --bindings 20000 --highest-s 0   # a short look
    .venv/bin/python -m bench.live compare --job message --only floor,kamailio,compiled --json
    .venv/bin/python -m bench.live capture veil700                         # one call, all messages of both sides
    .venv/bin/python -m bench.live max veil700 --lowest 500 --highest 3000 # highest rate without a failed call

Exit status 0: measured. 1: a call failed or a record is missing, or nothing could be measured. 2: wrong usage, or a
program is missing.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from bench.rig.command import SECONDS, positive, tell
from bench.rig.data import BINDINGS, ready_data
from bench.rig.highest import MOST, between, highest_rate
from bench.rig.load import capture
from bench.rig.measuring import exit_status
from bench.rig.rounds import Plan, Turn, measure
from bench.rig.systems import JOBS, SYSTEMS, RigError, System, missing, running
from bench.rig.table import Report, as_object, cpu_us, print_report


def main(argv: list[str] | None = None) -> int:
    """Measures and prints."""
    options = _options(argv)
    return exit_status(lambda: int(options.work(options)))


def _compare(options: argparse.Namespace) -> int:
    data = ready_data(options.bindings, tell)
    systems, left_out = _there(options.only, data)
    calls = options.calls or options.rate * SECONDS
    plans = [Plan(job, options.rate, calls, options.rounds) for job in JOBS if options.job in (job, "both")]
    report = Report(options.bindings, plans, {}, {}, left_out)
    for plan in plans:
        report.turns[plan.job] = measure([each for each in systems if plan.job in each.jobs], data, plan, tell)
    if options.highest_s and "call" in report.turns:
        for system in systems:
            done = report.turns["call"][system.name]
            report.highest[system.name] = _most(system, data, done, plans[0], options.highest_s)
    if options.json:
        print(json.dumps(as_object(report)))
    else:
        print_report(report)
    return 1 if report.faults else 0


def _there(names: list[str], data: Path) -> tuple[list[System], dict[str, str]]:
    """Those of the named systems that can be measured here, and why the others cannot. Raises RigError."""
    left_out = {name: why for name in names if (why := missing(SYSTEMS[name], data))}
    systems = [SYSTEMS[name] for name in names if name not in left_out]
    if not systems:
        raise RigError("; ".join(f"{name}: {why}" for name, why in left_out.items()))
    return systems, left_out


def _most(system: System, data: Path, done: Sequence[Turn], plan: Plan, seconds: int) -> int:
    """Calls a second, from what the rounds have shown of it."""
    is_carried = not any(turn.load.failed or turn.load.retransmissions for turn in done)
    rate = plan.on(system).rate
    lowest, highest = between(rate, cpu_us(done).median, is_carried)
    tell(f"{system.name}: the highest rate, from {lowest} to {highest} calls/s")
    found = highest_rate(system, data, plan.job, lowest, highest, seconds, tell)
    return found or (rate if is_carried else 0)


def _capture(options: argparse.Namespace) -> int:
    data = ready_data(options.bindings, tell)
    with running(SYSTEMS[options.system], data, options.job):
        print(capture(data, options.job))
    return 0


def _max(options: argparse.Namespace) -> int:
    system, data = SYSTEMS[options.system], ready_data(options.bindings, tell)
    rate = highest_rate(system, data, options.job, options.lowest, options.highest, options.seconds, tell)
    print(json.dumps({"system": system.name, "job": options.job, "rate": rate}) if options.json else f"{rate} calls/s")
    return 0 if rate else 1


def _names(text: str) -> list[str]:
    """The value of `--only`: systems with commas between them, in the order of the table."""
    asked = text.split(",")
    if unknown := [name for name in asked if name not in SYSTEMS]:
        raise argparse.ArgumentTypeError(f"no system {unknown[0]}: {', '.join(SYSTEMS)}")
    return [name for name in SYSTEMS if name in asked]


def _options(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench.live", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    compare = verbs.add_parser("compare", help="all systems in turn, one table")
    compare.set_defaults(work=_compare)
    compare.add_argument("--rounds", type=positive, default=5, help="default: %(default)s")
    compare.add_argument("--rate", type=positive, default=1000, help="calls a second (default: %(default)s)")
    compare.add_argument("--calls", type=positive, help=f"in one round (default: {SECONDS} seconds of them)")
    compare.add_argument("--job", choices=(*JOBS, "both"), default="both", help="default: %(default)s")
    compare.add_argument("--only", type=_names, default=list(SYSTEMS), help="systems with commas (default: all)")
    compare.add_argument(
        "--highest-s", type=int, default=2,
        help="seconds of calls at each rate that is tried for the highest one; 0: none is (default: %(default)s)",
    )  # fmt: skip
    one_call = verbs.add_parser("capture", help="one call, and the messages of both sides")
    one_call.set_defaults(work=_capture)
    highest = verbs.add_parser("max", help="the highest rate without a failed call")
    highest.set_defaults(work=_max)
    highest.add_argument("--lowest", type=positive, default=50, help="calls a second (default: %(default)s)")
    highest.add_argument("--highest", type=positive, default=MOST, help="calls a second (default: %(default)s)")
    highest.add_argument("--seconds", type=positive, default=5, help="of calls at each rate (default: %(default)s)")
    for verb in (one_call, highest):
        verb.add_argument("system", choices=SYSTEMS)
        verb.add_argument("--job", choices=JOBS, default="call", help="default: %(default)s")
    for verb in (compare, one_call, highest):
        verb.add_argument("--bindings", type=positive, default=BINDINGS, help="default: %(default)s")
    for verb in (compare, highest):
        verb.add_argument("--json", action="store_true", help="print JSON")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
