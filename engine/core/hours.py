"""The hours of a scenario: the time of the day in China, without a clock of its own."""

from __future__ import annotations

from typing import Final

CHINA_S: Final = 8 * 3600  # ahead of UTC, all year
DAY_S: Final = 86400


def china_day(wall_s: float) -> int:
    """The number of the day in China since the epoch; `wall_s` in seconds since the epoch, UTC."""
    return int(wall_s + CHINA_S) // DAY_S


def is_within(hours: str, wall_s: float) -> bool:
    """True within "08:00-22:00", end excluded, and always for ""; "22:00-06:00" goes over midnight.

    False for what cannot be read: hours that nobody understands admit nothing.
    """
    if not hours:
        return True
    begin, _, end = hours.partition("-")
    first, last = _seconds(begin), _seconds(end)
    if first is None or last is None:
        return False
    second = int(wall_s + CHINA_S) % DAY_S
    return first <= second < last if first <= last else second >= first or second < last


def _seconds(text: str) -> int | None:
    """Of "08:30" since midnight; 24:00 is the end of the day."""
    hour, colon, minute = text.partition(":")
    if not (colon and hour.isdigit() and minute.isdigit() and text.isascii() and len(text) <= 5):
        return None
    seconds = int(hour) * 3600 + int(minute) * 60
    return seconds if int(minute) < 60 and seconds <= DAY_S else None
