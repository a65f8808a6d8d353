"""What the rounds came to, as one table for people and one object for programs."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from bench.rig.rounds import Plan, Spread, Turn, ratio, spread
from bench.rig.systems import FLOOR, KAMAILIO, SYSTEMS, System

Turns = Mapping[str, Sequence[Turn]]

_MARK: Final = " !"  # behind the name of a system whose row does not count


def print_table(turns: Turns, plan: Plan) -> None:
    """Prints the table, and under it why a marked row does not count."""
    print(where())
    print(
        f"{plan.rounds} rounds of {plan.calls} {plan.job}s at {plan.rate}/s; medians of the rounds (smallest..largest)"
    )
    rows = [_HEAD, *([_cell(column, name, turns) for column in _COLUMNS] for name in turns)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    for name in turns:
        print(f"{name}: {SYSTEMS[name].title}")
    for fault in faults(turns):
        print(f"! {fault}")


def where() -> str:
    """Day and machine: without them a figure says nothing."""
    model = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    processor = model[1] if model else platform.machine()
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores of {processor}, {platform.release()}, {python}"


def faults(turns: Turns) -> list[str]:
    """One line for each turn with a failed call or a missing record."""
    return [
        f"{name}, round {number}: {fault}"
        for name, done in turns.items()
        for number, turn in enumerate(done, 1)
        for fault in turn.faults
    ]


def as_object(turns: Turns, plan: Plan) -> dict[str, object]:
    """The figures with every single turn, for `--json`. Units stand in the names."""
    systems: dict[str, object] = {}
    for name, done in turns.items():
        systems[name] = {
            "title": SYSTEMS[name].title,
            "cpu_us": asdict(_cpu(done)),
            "to_floor": asdict(ratio(done, turns[FLOOR.name])),
            "to_kamailio": asdict(ratio(done, turns[KAMAILIO.name])),
            "turns": [{**asdict(turn.load), "placed": turn.placed, "records": turn.records} for turn in done],
        }
    return {"where": where(), **asdict(plan), "systems": systems, "faults": faults(turns)}


# -- the columns -------------------------------------------------------------------------------------------------------


def _cell(column: Callable[[System, Turns], str], name: str, turns: Turns) -> str:
    return column(SYSTEMS[name], turns)


def _system(system: System, turns: Turns) -> str:
    return system.name + (_MARK if any(turn.faults for turn in turns[system.name]) else "")


def _cpu(done: Sequence[Turn]) -> Spread:
    return spread([turn.load.cpu_us for turn in done])


def _shown(found: Spread, digits: int) -> str:
    return f"{found.median:.{digits}f} ({found.smallest:.{digits}f}..{found.largest:.{digits}f})"


def _cpu_us(system: System, turns: Turns) -> str:
    return _shown(_cpu(turns[system.name]), 0)


def _to_floor(system: System, turns: Turns) -> str:
    return "1" if system is FLOOR else _shown(ratio(turns[system.name], turns[FLOOR.name]), 2)


def _to_kamailio(system: System, turns: Turns) -> str:
    return "1" if system is KAMAILIO else _shown(ratio(turns[system.name], turns[KAMAILIO.name]), 2)


def _latency(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    return f"{spread(known).median:.2f}" if known else "-"


def _p50_ms(system: System, turns: Turns) -> str:
    return _latency([turn.load.p50_ms for turn in turns[system.name]])


def _p99_ms(system: System, turns: Turns) -> str:
    return _latency([turn.load.p99_ms for turn in turns[system.name]])


def _failed(system: System, turns: Turns) -> str:
    return str(sum(turn.warm_up.failed + turn.load.failed for turn in turns[system.name]))


def _repeated(system: System, turns: Turns) -> str:
    return str(sum(turn.warm_up.retransmissions + turn.load.retransmissions for turn in turns[system.name]))


def _records(system: System, turns: Turns) -> str:
    if system.records is None:
        return "none kept"
    done = turns[system.name]
    return f"{sum(turn.records or 0 for turn in done)} of {sum(turn.placed for turn in done)}"


def _memory(system: System, turns: Turns) -> str:
    return f"{max(turn.load.memory_mb for turn in turns[system.name]):.1f}"


_HEAD: Final = [
    "system", "CPU µs per call", "to floor", "to Kamailio", "p50 ms", "p99 ms", "failed", "repeated", "records",
    "memory MiB",
]  # fmt: skip
_COLUMNS: Final = (
    _system, _cpu_us, _to_floor, _to_kamailio, _p50_ms, _p99_ms, _failed, _repeated, _records, _memory,
)  # fmt: skip
