"""The guard: what a call executes in the core, held against the committed baseline.

    make baseline                              # renews baseline.json for this interpreter: commit it with its reason
    .venv/bin/python -m bench.guard            # the table; `make test` asks the same
    .venv/bin/python -m bench.guard --only message --json

Exit status 0: every conversation is within 5 % of its baseline. 1: one is dearer (it needs a reason), or cheaper (the
baseline is renewed, else a later step up would hide behind it), or this interpreter has no baseline. 2: wrong usage,
or nothing could be counted.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.conversations import CONVERSATIONS
from bench.instructions import CountError, count, interpreter

BASELINE: Final = Path(__file__).with_name("baseline.json")
TOLERANCE: Final = 0.05
RENEW: Final = "`make baseline` renews it"

Counts = dict[str, int]  # conversation -> instructions per call


@dataclass(frozen=True)
class Finding:
    """One conversation: what it executes, and what it did when the baseline was made (None: it has none)."""

    name: str
    instructions: int
    baseline: int | None

    @property
    def change(self) -> float | None:
        """0.05 is five per cent dearer."""
        return None if self.baseline is None else self.instructions / self.baseline - 1

    @property
    def fault(self) -> str:
        """What is wrong with it, in one line; "" when nothing is."""
        change = self.change
        if change is None:
            return f"{self.name} has no baseline on this interpreter ({interpreter()}); {RENEW}"
        if change > TOLERANCE:
            return f"{self.name} executes {change:.1%} more than its baseline: find out why; if it must be, {RENEW}"
        if change < -TOLERANCE:
            return f"{self.name} executes {-change:.1%} less than its baseline, which is out of date; {RENEW}"
        return ""


def read_baselines() -> dict[str, Counts]:
    """The counts of each interpreter that has a baseline. Raises CountError."""
    try:
        found: dict[str, Counts] = json.loads(BASELINE.read_text())
    except FileNotFoundError:
        return {}
    except ValueError as error:  # a merge that was left undone
        raise CountError(f"{BASELINE}: {error}") from None
    return found


def write_baseline(counts: Counts) -> None:
    """Keeps the counts for this interpreter, and leaves the other ones alone."""
    BASELINE.write_text(json.dumps({**read_baselines(), interpreter(): counts}, indent=2, sort_keys=True) + "\n")


def compare(counts: Counts, baseline: Counts) -> list[Finding]:
    """Each conversation beside its baseline."""
    return [Finding(name, instructions, baseline.get(name)) for name, instructions in counts.items()]


def main(argv: list[str] | None = None) -> int:
    """Counts, then compares or writes."""
    options = _options(argv)
    try:
        baseline = read_baselines().get(interpreter(), {})
        counts = count([options.only] if options.only else list(CONVERSATIONS))
    except CountError as error:
        print(f"guard: {error}", file=sys.stderr)
        return 2
    findings = compare(counts, baseline)
    if options.json:
        print(json.dumps({"interpreter": interpreter(), "conversations": {f.name: _shown(f) for f in findings}}))
    else:
        _print_table(findings)
    if options.write:
        write_baseline(counts)
        return 0
    faults = [finding.fault for finding in findings if finding.fault]
    for fault in faults:
        print(f"guard: {fault}", file=sys.stderr)
    return 1 if faults else 0


def _options(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench.guard", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", choices=CONVERSATIONS, help="one conversation (default: each)")
    parser.add_argument("--write", action="store_true", help="make what is counted the baseline of this interpreter")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args(argv)
    if options.write and options.only:
        parser.error("--write takes all conversations: leave out --only")
    return options


def _shown(finding: Finding) -> dict[str, object]:
    return {"instructions": finding.instructions, "baseline": finding.baseline, "change": finding.change}


def _print_table(findings: list[Finding]) -> None:
    print(f"{'conversation':14}{'instructions per call':>24}{'baseline':>14}{'change':>9}")
    for finding in findings:
        baseline = "-" if finding.baseline is None else f"{finding.baseline:,}"
        change = "-" if finding.change is None else f"{finding.change:+.1%}"
        print(f"{finding.name:14}{finding.instructions:>24,}{baseline:>14}{change:>9}")


if __name__ == "__main__":
    sys.exit(main())
