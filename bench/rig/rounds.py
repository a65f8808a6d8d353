"""Interleaved rounds: every system in turn, round after round, so that what disturbs the machine disturbs them all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

from bench.rig.load import Load, answering, place_answered
from bench.rig.systems import System, Tell, running


@dataclass(frozen=True)
class Plan:
    """What a measurement does."""

    job: str
    rate: int  # calls a second
    calls: int  # in one round, on one system
    rounds: int

    @property
    def warm_up(self) -> int:
        """Calls before those that are measured: a second of them."""
        return max(self.rate, 50)

    def on(self, system: System) -> Plan:
        """The same seconds at a rate that the system carries."""
        rate = min(self.rate, system.most_per_s or self.rate)
        return replace(self, rate=rate, calls=max(1, self.calls * rate // self.rate))


@dataclass(frozen=True)
class Turn:
    """One system in one round. Records: those of the warm-up and those measured; None where it keeps none."""

    load: Load
    warm_up: Load
    records: int | None

    @property
    def placed(self) -> int:
        return self.warm_up.calls + self.load.calls

    @property
    def faults(self) -> list[str]:
        """Why this turn does not count as measured."""
        failed = self.warm_up.failed + self.load.failed
        said = self.load.error or self.warm_up.error
        found = [f"{failed} of {self.placed} calls failed{f' ({said})' if said else ''}"] if failed else []
        if self.records is not None and self.records != self.placed:
            found.append(f"{self.records} records of {self.placed} calls")
        return found


@dataclass(frozen=True)
class Spread:
    """The median of the rounds, and the smallest and the largest."""

    median: float
    smallest: float
    largest: float


def spread(values: Sequence[float]) -> Spread:
    """Of at least one value."""
    return Spread(median(values), min(values), max(values))


def ratio(turns: Sequence[Turn], others: Sequence[Turn]) -> Spread:
    """CPU per call of a system to that of another one, round by round."""
    pairs = zip(turns, others, strict=True)
    return spread([turn.load.cpu_us / other.load.cpu_us for turn, other in pairs])


def measure(systems: Sequence[System], data: Path, plan: Plan, tell: Tell) -> dict[str, list[Turn]]:
    """All rounds; the turns of each system by its name. Raises RigError."""
    turns: dict[str, list[Turn]] = {system.name: [] for system in systems}
    for number in range(1, plan.rounds + 1):
        for system in systems:
            turn = take_turn(system, data, plan.on(system))
            turns[system.name].append(turn)
            tell(f"round {number} of {plan.rounds}: {system.name:13} {turn.load.cpu_us:7.1f} µs per {plan.job}")
            for fault in turn.faults:
                tell(f"round {number} of {plan.rounds}: {system.name}: {fault}")
    return turns


def take_turn(system: System, data: Path, plan: Plan) -> Turn:
    """Starts one system and has it do what the plan says. Raises RigError."""
    with running(system, data, plan.job) as process:
        with answering(data, plan.job):
            warm_up = place_answered(process, data, plan.job, plan.rate, plan.warm_up)
            load = place_answered(process, data, plan.job, plan.rate, plan.calls)
        records = system.count_records(data, plan.job, plan.warm_up + plan.calls)
        return Turn(load, warm_up, records)
