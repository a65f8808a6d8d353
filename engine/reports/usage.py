"""What the records of some days come to, by day, tenant, scenario and block; and whether the register agrees."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, final

from engine.core.records import ReleaseCause
from engine.store.record_forms import is_answered
from engine.store.register import BLOCK_DIGITS, Holders

# Attempts that were let through to the other party; all other causes are refusals of the node.
PASSED: Final = frozenset(
    (
        ReleaseCause.NORMAL, ReleaseCause.CALLER_CANCEL, ReleaseCause.BUSY, ReleaseCause.NO_ANSWER,
        ReleaseCause.REJECTED, ReleaseCause.UNALLOCATED, ReleaseCause.UNREACHABLE, ReleaseCause.NO_ACK,
        ReleaseCause.MAX_DURATION, ReleaseCause.SESSION_EXPIRED, ReleaseCause.NODE_RESTART,
        ReleaseCause.FORWARDING_REFUSED, ReleaseCause.ALL_TARGETS_FAILED,
    )
)  # fmt: skip

_CHINA: Final = timedelta(hours=8)

Key = tuple[str, ...]  # day, app_platform, business_user, scenario, kind, mode


@final
@dataclass(slots=True)
class Counts:
    """Sums of attempts."""

    attempts: int = 0
    answered: int = 0  # calls
    refused: int = 0  # by the node
    duration_ms: int = 0  # of answered calls
    messages: int = 0  # that were taken
    parts: int = 0  # of these

    def add(self, record: Mapping[str, Any]) -> None:
        self.attempts += 1
        self.refused += record["release_cause"] not in PASSED
        if is_answered(record):
            self.answered += 1
            self.duration_ms += record["duration_ms"]
        elif record["kind"] == "message" and record["release_cause"] == ReleaseCause.NORMAL:
            self.messages += 1
            self.parts += record["parts"]

    def merge(self, other: Counts) -> None:
        self.attempts += other.attempts
        self.answered += other.answered
        self.refused += other.refused
        self.duration_ms += other.duration_ms
        self.messages += other.messages
        self.parts += other.parts


@final
class Usage:
    """Adds up records, in any order (`engine.store.settlement.Sums`)."""

    needed: Final = (
        "call_time", "app_platform", "business_user", "scenario", "kind", "mode", "tel_x", "release_cause",
        "sip_status", "duration_ms", "parts",
    )  # fmt: skip

    def __init__(self, holders: Holders) -> None:
        self.counts: Final[defaultdict[Key, Counts]] = defaultdict(Counts)
        self.by_block: Final[Counter[str]] = Counter()  # "" for what is no 700 number
        self._holders = holders
        self._strange: Counter[tuple[str, str]] = Counter()  # block and business user that did not have it
        self._days: dict[str, str] = {}  # minute of a stored time -> day

    def add(self, record: Mapping[str, Any]) -> None:
        """One record with the fields `needed`."""
        key = (
            self._day(record["call_time"]), record["app_platform"], record["business_user"], record["scenario"],
            record["kind"], record["mode"],
        )  # fmt: skip
        self.counts[key].add(record)
        block, user = record["tel_x"][:BLOCK_DIGITS], record["business_user"]
        self.by_block[block] += 1
        if user:
            held = self._holders.at(block, record["call_time"])
            if held is None or held.business_user != user:
                self._strange[block, user] += 1

    def total(self) -> Counts:
        """Of all that was added."""
        found = Counts()
        for counts in self.counts.values():
            found.merge(counts)
        return found

    def grouped(self, *places: int) -> dict[Key, Counts]:
        """The counts by these places of their keys."""
        found: defaultdict[Key, Counts] = defaultdict(Counts)
        for key, counts in self.counts.items():
            found[tuple(key[place] for place in places)].merge(counts)
        return found

    def findings(self) -> Iterator[str]:
        """Attempts of a business user through a block that the register of use did not give it."""
        for (block, user), count in sorted(self._strange.items()):
            yield f"{block}: {count} attempts are recorded under {user}, which did not have it by the register of use"

    def _day(self, time: str) -> str:
        minute = time[:16]
        day = self._days.get(minute)
        if day is None:
            day = self._days[minute] = f"{datetime.fromisoformat(minute) + _CHINA:%Y-%m-%d}"
        return day
