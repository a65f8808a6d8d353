"""Long work in a thread beside another one, in pieces: whoever waits for the interpreter gets it between two of them.

Compiled code never lets go of it by itself, however long somebody waits.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Final, TypeVar

ROWS_AT_ONCE: Final = 32  # made or hashed in one go, about half a millisecond
BREATH_S: Final = 0.0002

_Item = TypeVar("_Item")


def breathing(items: Sequence[_Item]) -> Iterator[_Item]:
    """The same items, with a moment for other threads now and then."""
    for at in range(0, len(items), ROWS_AT_ONCE):
        if at:
            breathe()
        yield from items[at : at + ROWS_AT_ONCE]


def breathe() -> None:
    """A moment for other threads."""
    time.sleep(BREATH_S)
