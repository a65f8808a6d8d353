"""What one call costs in the core, in CPU time: recorded conversations, fed to it again without sockets or store.

    .venv/bin/python -m bench.replay [--calls 2000] [--rounds 9] [--only answered] [--json]

Measured are parsing, transactions, decision, gate, building and timers; the smallest of the rounds counts. Seconds are
the machine's, and of its neighbours: two versions are compared by what they execute, which `bench.guard` counts.
"""

from __future__ import annotations

import argparse
import json
import sys
import time

from bench.conversations import CONVERSATIONS, Recording, record


def main(argv: list[str] | None = None) -> int:
    """Measures and prints."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.replay", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--calls", type=int, default=2000, help="calls in one round (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=9, help="default: %(default)s")
    parser.add_argument("--only", choices=CONVERSATIONS, help="one conversation (default: each)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args(argv)
    names = [options.only] if options.only else list(CONVERSATIONS)
    figures = {name: round(_best_us(record(name, options.calls), options.rounds), 1) for name in names}
    if options.json:
        print(json.dumps({"calls": options.calls, "rounds": options.rounds, "core_us_per_call": figures}))
    else:
        for name, us in figures.items():
            print(f"{name:10} {us:7.1f} µs of CPU per call in the core")
    return 0


def _best_us(recording: Recording, rounds: int) -> float:
    """CPU time of one call in the fastest round, in µs."""
    best_s = float("inf")
    for _ in range(rounds):
        start = time.process_time()
        recording.replay()
        best_s = min(best_s, time.process_time() - start)
    return best_s / recording.calls * 1e6


if __name__ == "__main__":
    sys.exit(main())
