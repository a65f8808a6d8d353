"""Long work in a thread beside the loop's, in pieces: whoever waits for the interpreter gets it between two of them."""

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
            time.sleep(BREATH_S)
        yield from items[at : at + ROWS_AT_ONCE]
