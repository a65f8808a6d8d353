"""Groups that are durable and still in memory: the loader need not read them from the file again."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final, final

from engine.store.segment import START, Group, Position

FRESH_LIMIT: Final = 8 * 1024 * 1024  # bytes in the file; they take about three times as much in memory


@final
class Fresh:
    """From the writer's thread to the loader's: each calls its own methods, and a deque is safe between them.

    It may lack any group: the file has them all. What it holds says for itself behind which position it stands.
    """

    __slots__ = ("_append", "_groups", "_put", "_taken", "is_awaited", "published")

    def __init__(self) -> None:
        self.published: Position = START  # what stands before it may be loaded: a group that is being written may not
        self.is_awaited = True  # the loader must be woken for it
        self._groups: deque[Group] = deque()
        self._append: Callable[[Group], None] = self._groups.append
        self._put = 0  # bytes, by the writer's count
        self._taken = 0  # ... and by the loader's

    def put(self, group: Group) -> None:
        """By the writer: a group that is durable. One that finds no room is left to the file."""
        if self._put - self._taken < FRESH_LIMIT:
            self._put += group.size
            self._append(group)

    def publish(self, until: Position) -> bool:
        """By the writer: what stands before `until` may be loaded. True: the loader must be woken, once."""
        self.published = until
        if not self.is_awaited:
            return False
        self.is_awaited = False  # never but here: the loader may have said meanwhile that it must be woken again
        return True

    def first(self, position: Position) -> Group | None:
        """By the loader: the next group that stands at or behind `position`; None when none is in memory.

        What stands before it was read from the file meanwhile, and is dropped.
        """
        groups = self._groups
        while groups:
            if groups[0].after >= position:
                return groups[0]
            self.drop()
        return None

    def drop(self) -> None:
        """By the loader: the first group is done with."""
        self._taken += self._groups.popleft().size
