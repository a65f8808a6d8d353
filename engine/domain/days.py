"""Days of China, where the rules of the numbers are made: contracts, exits and openings are told in them."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Final

_AHEAD: Final = timedelta(hours=8)  # of UTC, all year
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def china_day(wall_s: float) -> str:
    """The day in China, 2026-11-24; `wall_s` in seconds since the epoch (UTC)."""
    return (_EPOCH + timedelta(seconds=wall_s) + _AHEAD).date().isoformat()


@lru_cache(maxsize=256)
def end_of_day(day: str) -> float:
    """The moment at which a day of China ends, in seconds since the epoch (UTC)."""
    midnight = datetime.combine(date.fromisoformat(day) + timedelta(days=1), datetime.min.time(), UTC) - _AHEAD
    return midnight.timestamp()


def days_later(day: str, count: int) -> str:
    """The day `count` days after `day`."""
    return (date.fromisoformat(day) + timedelta(days=count)).isoformat()
