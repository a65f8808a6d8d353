"""What the callers and peers of all workers have in use, in memory that all of them see.

Each worker writes a part of its own and reads those of all: nobody waits for anybody, and a worker that dies leaves
nothing locked. Its calls go on counting until the next process in its place has counted them anew.

A part is two tables of entries, a key and a value of 8 octets each: calls in progress, and the monotonic time up to
which a rate is used up (`engine.core.limits`). A key is a hash of what `Limits` calls it, never 0, and lies in one of
the WAYS entries of its bucket. Where these are all in use it is not shared, and counts in its own worker alone.
"""

from __future__ import annotations

import mmap
import os
from hashlib import blake2b
from typing import Final, final

BUCKETS: Final = 8192
WAYS: Final = 8
_ENTRIES: Final = BUCKETS * WAYS
_TABLE_BYTES: Final = _ENTRIES * 16
_PART_BYTES: Final = 2 * _TABLE_BYTES


def make_page(workers: int) -> int:
    """A descriptor of the memory for so many workers; nothing of it is in use before it is written."""
    descriptor = os.memfd_create("veil700-counts", os.MFD_CLOEXEC)
    os.ftruncate(descriptor, workers * _PART_BYTES)
    return descriptor


@final
class SharedCounts:
    """The page as one worker uses it; `engine.core.limits.Shared`."""

    def __init__(self, descriptor: int, worker: int, workers: int) -> None:
        self._map = mmap.mmap(descriptor, workers * _PART_BYTES)
        words = memoryview(self._map).cast("Q")
        times = memoryview(self._map).cast("d")
        part, table = _PART_BYTES // 8, _TABLE_BYTES // 8
        # Of each table its keys, and behind them its values.
        self._calls = [words[one * part : one * part + table] for one in range(workers)]
        self._keys = [words[one * part + table : one * part + table + _ENTRIES] for one in range(workers)]
        self._untils = [times[one * part + table + _ENTRIES : (one + 1) * part] for one in range(workers)]
        self._own = worker
        self._others = [table for one, table in enumerate(self._calls) if one != worker]

    def forget_calls(self) -> None:
        """Those of an earlier process in this worker's place."""
        self._map.madvise(mmap.MADV_REMOVE, self._own * _PART_BYTES, _TABLE_BYTES)

    def calls_elsewhere(self, key: str) -> int:
        """In progress in the other workers."""
        code = _code(key)
        first = code % BUCKETS * WAYS
        found = 0
        for table in self._others:
            for place in range(first, first + WAYS):
                if table[place] == code:
                    found += table[place + _ENTRIES]
        return found

    def set_calls(self, key: str, count: int) -> None:
        """So many are in progress here."""
        code = _code(key)
        table = self._calls[self._own]
        place = _place(table, code)
        if place < 0:
            return
        table[place + _ENTRIES] = count
        table[place] = code if count else 0

    def until(self, key: str) -> float:
        """The latest time that any worker has written."""
        code = _code(key)
        first = code % BUCKETS * WAYS
        latest = 0.0
        for keys, untils in zip(self._keys, self._untils, strict=True):
            for place in range(first, first + WAYS):
                if keys[place] == code:
                    latest = max(latest, untils[place])
        return latest

    def set_until(self, key: str, until: float, now: float) -> None:
        """What has been used up by `now` needs no entry any more."""
        code = _code(key)
        keys, untils = self._keys[self._own], self._untils[self._own]
        place = _place(keys, code)
        if place < 0:
            first = code % BUCKETS * WAYS
            place = next((one for one in range(first, first + WAYS) if untils[one] <= now), -1)
        if place < 0:
            return
        keys[place] = 0  # no reader may take the new time for that of the old key
        untils[place] = until
        keys[place] = code


def _place(table: memoryview[int], code: int) -> int:
    """Where it is, or else where it can be; -1: nowhere."""
    first = code % BUCKETS * WAYS
    free = -1
    for place in range(first, first + WAYS):
        if table[place] == code:
            return place
        if free < 0 and not table[place]:
            free = place
    return free


def _code(key: str) -> int:
    return int.from_bytes(blake2b(key.encode("utf-8", "replace"), digest_size=8).digest(), "little") or 1
