"""What a call costs in CPU, with sockets and disk: the floor, Kamailio with a committed record, and veil700.

SIPp calls through each system on loopback, in interleaved rounds, one measurement at a time on the machine. The data is
made on the first run and kept in bench/data.

    make bench                                                             # 5 rounds at 1000 calls/s
    .venv/bin/python -m bench.live compare --rounds 1 --rate 100 --bindings 20000   # a short look
    .venv/bin/python -m bench.live compare --job message --rate 500 --json
    .venv/bin/python -m bench.live capture veil700                         # one call, all messages of both sides
    .venv/bin/python -m bench.live max veil700 --lowest 500 --highest 3000 # highest rate without a failed call

Exit status 0: measured. 1: a call failed or a record is missing, or nothing could be measured. 2: wrong usage, or a
program is missing.
"""

from __future__ import annotations

import argparse
import json
import sqlite3
import sys

from bench.rig.command import SECONDS, alone, end_cleanly, positive, tell
from bench.rig.data import MAX_BINDINGS, ready_data
from bench.rig.highest import highest_rate
from bench.rig.load import JOBS, capture
from bench.rig.rounds import Plan, measure
from bench.rig.systems import SYSTEMS, RigError, running
from bench.rig.table import as_object, faults, print_table
from bench.rig.tools import missing_packages


def main(argv: list[str] | None = None) -> int:
    """Measures and prints."""
    options = _options(argv)
    if missing := missing_packages():
        tell(f"not installed: apt-get install -y {' '.join(missing)}")
        return 2
    end_cleanly()
    try:
        with alone():
            return int(options.work(options))
    except (RigError, OSError, sqlite3.Error) as error:
        tell(str(error))
        return 1


def _compare(options: argparse.Namespace) -> int:
    plan = Plan(options.job, options.rate, options.calls or options.rate * SECONDS, options.rounds)
    turns = measure(list(SYSTEMS.values()), ready_data(options.bindings, tell), plan, tell)
    if options.json:
        print(json.dumps({"bindings": options.bindings, **as_object(turns, plan)}))
    else:
        print_table(turns, plan)
    return 1 if faults(turns) else 0


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
    one_call = verbs.add_parser("capture", help="one call, and the messages of both sides")
    one_call.set_defaults(work=_capture)
    highest = verbs.add_parser("max", help="the highest rate without a failed call")
    highest.set_defaults(work=_max)
    highest.add_argument("--lowest", type=positive, default=50, help="calls a second (default: %(default)s)")
    highest.add_argument("--highest", type=positive, default=4000, help="calls a second (default: %(default)s)")
    highest.add_argument("--seconds", type=positive, default=5, help="of calls at each rate (default: %(default)s)")
    for verb in (one_call, highest):
        verb.add_argument("system", choices=SYSTEMS)
    for verb in (compare, one_call, highest):
        verb.add_argument("--job", choices=JOBS, default="call", help="default: %(default)s")
        verb.add_argument("--bindings", type=positive, default=MAX_BINDINGS, help="default: %(default)s")
    for verb in (compare, highest):
        verb.add_argument("--json", action="store_true", help="print JSON")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
