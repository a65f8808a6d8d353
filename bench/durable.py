"""What the three durable steps of a call cost, and how long they make the caller wait.

`compare` has sockets and disk: SIPp calls through the floor, through veil700, and through veil700 with a writer that
confirms at once and writes nothing, in interleaved rounds. `count` needs nobody: it has the
steps of 500 calls, and of 500 messages, appended to the journal and loaded into the tables under valgrind.

    make bench-durable                                                     # 5 rounds at 1000 calls/s
    .venv/bin/python -m bench.durable compare --rounds 1 --rate 100 --bindings 20000   # a short look
    .venv/bin/python -m bench.durable count --json

Exit status 0: measured. 1: a call failed or a record is missing, a figure is above its bar, or nothing could be
measured. 2: wrong usage, or a program is missing.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Final

from bench.durable_counted import OF_MESSAGES, WORKS
from bench.instructions import CountError, interpreter, per_call
from bench.rig.command import SECONDS, positive, tell
from bench.rig.data import BINDINGS, ready_data
from bench.rig.measuring import exit_status
from bench.rig.rounds import Plan, Spread, Turn, measure, spread
from bench.rig.systems import FLOOR, NULL_WRITER, VEIL700, RigError
from bench.rig.table import faults, where

COUNTED_CALLS: Final = 500
CPU_BAR_US: Final = 60.0
P50_BAR_MS: Final = 4.0
P99_BAR_MS: Final = 12.0


@dataclass(frozen=True)
class Figure:
    """One difference between two systems, taken round by round; the median should not be above the bar."""

    name: str
    spread: Spread
    bar: float

    @property
    def is_missed(self) -> bool:
        return self.spread.median > self.bar


def figures(turns: Mapping[str, Sequence[Turn]]) -> list[Figure]:
    """The three that have a bar. Raises RigError when there were no answers to time."""
    floor, veil700, unwritten = turns[FLOOR.name], turns[VEIL700.name], turns[NULL_WRITER.name]
    steps_us = [whole.load.cpu_us - rest.load.cpu_us for whole, rest in zip(veil700, unwritten, strict=True)]
    p50_ms = [_ms(mine.load.p50_ms) - _ms(least.load.p50_ms) for mine, least in zip(veil700, floor, strict=True)]
    p99_ms = [_ms(mine.load.p99_ms) - _ms(least.load.p99_ms) for mine, least in zip(veil700, floor, strict=True)]
    return [
        Figure("durable steps, CPU µs per call", spread(steps_us), CPU_BAR_US),
        Figure("INVITE to 200 above the floor, p50 ms", spread(p50_ms), P50_BAR_MS),
        Figure("INVITE to 200 above the floor, p99 ms", spread(p99_ms), P99_BAR_MS),
    ]


def _ms(latency: float | None) -> float:
    if latency is None:
        raise RigError("no call was answered")
    return latency


def main(argv: list[str] | None = None) -> int:
    """Measures and prints."""
    options = _options(argv)
    return int(options.work(options))


def _compare(options: argparse.Namespace) -> int:
    return exit_status(lambda: _measure(options))


def _measure(options: argparse.Namespace) -> int:
    plan = Plan("call", options.rate, options.calls or options.rate * SECONDS, options.rounds)
    turns = measure([FLOOR, VEIL700, NULL_WRITER], ready_data(options.bindings, tell), plan, tell)
    found = figures(turns)
    if options.json:
        print(json.dumps({"bindings": options.bindings, **as_object(turns, found, plan)}))
    else:
        print_table(turns, found, plan)
    return 1 if faults(turns) or any(figure.is_missed for figure in found) else 0


def as_object(turns: Mapping[str, Sequence[Turn]], found: Sequence[Figure], plan: Plan) -> dict[str, object]:
    """The figures with every single turn, for `--json`. Units stand in the names."""
    return {
        "where": where(),
        **asdict(plan),
        "figures": [{**asdict(figure), "is_missed": figure.is_missed} for figure in found],
        "turns": {name: [asdict(turn.load) for turn in done] for name, done in turns.items()},
        "faults": faults(turns),
    }


def print_table(turns: Mapping[str, Sequence[Turn]], found: Sequence[Figure], plan: Plan) -> None:
    """Prints the figures beside their bars, marked where they are above, and why a turn does not count."""
    print(where())
    print(f"{plan.rounds} rounds of {plan.calls} calls at {plan.rate}/s; median of the rounds (smallest..largest)")
    for figure in found:
        shown = f"{figure.spread.median:.1f} ({figure.spread.smallest:.1f}..{figure.spread.largest:.1f})"
        print(f"{figure.name:40}{shown:24}at most {figure.bar:.0f}{' !' if figure.is_missed else ''}")
    for fault in faults(turns):
        print(f"! {fault}")


def _count(options: argparse.Namespace) -> int:
    try:
        counted = per_call("bench.durable_counted", COUNTED_CALLS, WORKS)
    except CountError as error:
        tell(str(error))
        return 2
    if options.json:
        print(json.dumps({"interpreter": interpreter(), "calls": COUNTED_CALLS, "instructions": counted}))
    else:
        for name, instructions in counted.items():
            print(f"{name:16}{instructions:>10,} instructions per {'message' if OF_MESSAGES in name else 'call'}")
    return 0


def _options(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench.durable", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    compare = verbs.add_parser("compare", help="with and without the steps, in CPU and in delay")
    compare.set_defaults(work=_compare)
    compare.add_argument("--rounds", type=positive, default=5, help="default: %(default)s")
    compare.add_argument("--rate", type=positive, default=1000, help="calls a second (default: %(default)s)")
    compare.add_argument("--calls", type=positive, help=f"in one round (default: {SECONDS} seconds of them)")
    compare.add_argument("--bindings", type=positive, default=BINDINGS, help="default: %(default)s")
    count = verbs.add_parser("count", help="instructions of append and load per call")
    count.set_defaults(work=_count)
    for verb in (compare, count):
        verb.add_argument("--json", action="store_true", help="print JSON")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
