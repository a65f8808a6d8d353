"""What `target_read.c` makes, where the build has compiled it: what `BindingReader` reads of each call, in C.

Importing it raises ImportError where the processor has no AES of its own, or the SQLite of Python's module cannot be
spoken to.
"""

from typing import final

from engine.core.binding import Binding, Conditions

@final
class TargetReader:
    """One statement on a connection of its own, which cannot write. For one thread.

    It is opened by its URI. The statement takes X and the cipher text of a caller, and has the
    columns of a binding without these two, and last what is beside it. Of a caller and a callee that are short
    (`ShortColumn`), with the key of both halves and the mixer of either column.
    """

    def __init__(
        self, uri: str, statement: str, key: bytes, callers: bytes, callees: bytes,
        binding: type[Binding], conditions: Conditions, /,
    ) -> None:  # fmt: skip
        """sqlite3.Error where the database or the statement is not what it should be."""

    def find(self, x: str, caller: str, /) -> tuple[Binding, int] | None:
        """The binding of X and a caller with these conditions, and what is beside it; None where there is none.

        ValueError for what is not short, or cannot be read as it should, and behind `close`: then the library is to be
        asked. sqlite3.Error where the store does not answer at once.
        """

    def close(self) -> None:
        """Nothing is found any more."""
