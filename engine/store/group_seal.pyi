"""What `group_seal.c` makes, where the build has compiled it: `engine.store.segment.PlainGroupSeal`, in C.

Importing it raises ImportError where the processor has no AES and no carry-less products of its own.
"""

from typing import final

@final
class GroupSeal:
    """AES-256-GCM and the head of a group, for the segment `number` under its key; its own head is only signed."""

    def __init__(self, key: bytes, head: bytes, number: int, /) -> None:
        """ValueError for another key than one of 32 bytes."""

    def put(self, plain: bytes, offset: int, room: memoryview, at: int, /) -> None:
        """The group that is to stand at `offset`, at `at` of `room`. ValueError where that has no room for it."""
