"""What the rounds came to, as one table for people and one object for programs."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from bench.rig.rounds import Plan, Spread, Turn, ratio, spread
from bench.rig.systems import FLOOR, KAMAILIO, LEAN, SYSTEMS, System

Turns = Mapping[str, Sequence[Turn]]

_MARK: Final = " !"  # behind the name of a system whose row does not count


@dataclass(frozen=True)
class Report:
    """All that was measured in one run."""

    bindings: int
    plans: list[Plan]  # one a job
    turns: dict[str, Turns]  # by job
    highest: dict[str, int] = field(default_factory=dict)  # calls a second by system; 0: not even the lowest tried
    left_out: dict[str, str] = field(default_factory=dict)  # system -> why

    @property
    def faults(self) -> list[str]:
        """One line for each turn with a failed call or a missing record."""
        return [f"{job}: {fault}" for job, turns in self.turns.items() for fault in faults(turns)]


def print_report(report: Report) -> None:
    """Prints the table, and under it what its rows are, and why a marked row does not count."""
    print(f"{where()}, {report.bindings:,} bindings")
    rows = [list(_HEAD)]
    for plan in report.plans:
        print(
            f"{plan.job}: {plan.rounds} rounds of {plan.calls} at {plan.rate}/s; medians of the rounds"
            " (smallest..largest)"
        )
        turns = report.turns[plan.job]
        rows += [[column(_Row(SYSTEMS[name], turns, plan, report.highest)) for column in _COLUMNS] for name in turns]
    print_rows(rows)
    for name in {name: None for turns in report.turns.values() for name in turns}:
        system = SYSTEMS[name]
        print(f"{name}: {system.title}{_slower(system, report.plans)}")
    for line in [
        *_cpu_lines(report),
        *_private_lines(report),
        *(f"{name} is left out: {why}" for name, why in report.left_out.items()),
    ]:
        print(line)
    for fault in report.faults:
        print(f"! {fault}")


def print_rows(rows: Sequence[Sequence[str]]) -> None:
    """In columns, the first row above them."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


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


def as_object(report: Report) -> dict[str, object]:
    """The figures with every single turn, for `--json`. Units stand in the names."""
    return {
        "where": where(),
        "bindings": report.bindings,
        "jobs": {plan.job: _job_object(plan, report.turns[plan.job]) for plan in report.plans},
        "highest_per_s": report.highest,
        "left_out": report.left_out,
        "faults": report.faults,
    }


def _job_object(plan: Plan, turns: Turns) -> dict[str, object]:
    systems: dict[str, object] = {}
    for name, done in turns.items():
        ratios = {
            f"to_{other.name.replace('-', '_')}": asdict(ratio(done, turns[other.name]))
            for other in (FLOOR, LEAN, KAMAILIO)
            if other.name in turns
        }
        systems[name] = {
            "title": SYSTEMS[name].title,
            "rate": plan.on(SYSTEMS[name]).rate,
            "cpu_us": asdict(cpu_us(done)),
            **ratios,
            "turns": [{**asdict(turn.load), "placed": turn.placed, "records": turn.records} for turn in done],
        }
    return {**asdict(plan), "systems": systems}


# -- under the table ---------------------------------------------------------------------------------------------------


def _slower(system: System, plans: Sequence[Plan]) -> str:
    """A system that was given fewer calls a second than the others says so: it is dearer for it."""
    slower = sorted({plan.on(system).rate for plan in plans} - {plan.rate for plan in plans})
    return "".join(f"; at {rate}/s, which it carries" for rate in slower)


def _cpu_lines(report: Report) -> list[str]:
    lines: list[str] = []
    for job, turns in report.turns.items():
        for name, done in turns.items():
            modules = sorted({module for turn in done for module in turn.load.module_cpu_us})
            parts = [
                f"{module} {shown(spread([turn.load.module_cpu_us.get(module, 0.0) for turn in done]), 0)}"
                for module in modules
            ]
            if SYSTEMS[name].is_ours and parts:
                lines.append(f"{name}: CPU µs a {job}, by process: {', '.join(parts)}")
    return lines


def _private_lines(report: Report) -> list[str]:
    lines: list[str] = []
    for name in (name for name, system in SYSTEMS.items() if system.is_ours):
        loads = [turn.load for turns in report.turns.values() for turn in turns.get(name, ())]
        modules = sorted({module for load in loads for module in load.private_mb})
        parts = [f"{module} {max(load.private_mb.get(module, 0.0) for load in loads):.1f}" for module in modules]
        if parts:
            lines.append(f"{name}: private memory, MiB a process: {', '.join(parts)}")
    return lines


# -- the columns -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Row:
    system: System
    turns: Turns
    plan: Plan
    highest: Mapping[str, int]

    @property
    def done(self) -> Sequence[Turn]:
        return self.turns[self.system.name]


def cpu_us(done: Sequence[Turn]) -> Spread:
    """Of a call that succeeded."""
    return spread([turn.load.cpu_us for turn in done])


def shown(found: Spread, digits: int) -> str:
    """The median, and between which values it lies."""
    return f"{found.median:.{digits}f} ({found.smallest:.{digits}f}..{found.largest:.{digits}f})"


def _job(row: _Row) -> str:
    return row.plan.job


def _system(row: _Row) -> str:
    return row.system.name + (_MARK if any(turn.faults for turn in row.done) else "")


def _cpu_us(row: _Row) -> str:
    return shown(cpu_us(row.done), 0)


def _to(other: System) -> Callable[[_Row], str]:
    def cell(row: _Row) -> str:
        if other.name not in row.turns:
            return "-"
        return "1" if row.system is other else shown(ratio(row.done, row.turns[other.name]), 2)

    return cell


def latency(values: Sequence[float | None]) -> str:
    """The median of those that are known, in milliseconds."""
    known = [value for value in values if value is not None]
    return f"{spread(known).median:.2f}" if known else "-"


def _p50_ms(row: _Row) -> str:
    return latency([turn.load.p50_ms for turn in row.done])


def _p99_ms(row: _Row) -> str:
    return latency([turn.load.p99_ms for turn in row.done])


def _failed(row: _Row) -> str:
    return str(sum(turn.warm_up.failed + turn.load.failed for turn in row.done))


def _repeated(row: _Row) -> str:
    return str(sum(turn.warm_up.retransmissions + turn.load.retransmissions for turn in row.done))


def _records(row: _Row) -> str:
    if row.system.records is None:
        return "none kept"
    return f"{sum(turn.records or 0 for turn in row.done)} of {sum(turn.placed for turn in row.done)}"


def _highest(row: _Row) -> str:
    if row.plan.job != "call" or row.system.name not in row.highest:
        return "-"
    return str(row.highest[row.system.name])


def _memory(row: _Row) -> str:
    return f"{max(turn.load.memory_mb for turn in row.done):.1f}"


_HEAD: Final = (
    "job", "system", "CPU µs", "to floor", "to kamailio-lean", "to kamailio", "p50 ms", "p99 ms", "failed", "repeated",
    "records", "most/s", "PSS MiB",
)  # fmt: skip
_COLUMNS: Final = (
    _job, _system, _cpu_us, _to(FLOOR), _to(LEAN), _to(KAMAILIO), _p50_ms, _p99_ms, _failed, _repeated, _records,
    _highest, _memory,
)  # fmt: skip
