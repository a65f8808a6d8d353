"""What `short_siv.c` makes, where the build has compiled it: `engine.store.crypto.PlainColumn`, in C.

Importing it raises ImportError where the processor has no AES of its own.
"""

from typing import final

@final
class ShortColumn:
    """AES-256-SIV (RFC 5297) of single texts of 1 to 15 bytes: one block for the tag, one for the text.

    Of the key of both halves, and of what `siv.mixer_of` gives for the column.
    """

    def __init__(self, key: bytes, mixer: bytes, /) -> None:
        """ValueError for another size than 64 and 16 bytes."""

    def encrypt(self, text: str, /) -> bytes | None:
        """Tag and cipher text; None for a text of another size."""

    def decrypt(self, blob: bytes, /) -> str | None:
        """The text again; None when it is of another size, or was not encrypted with this key and column."""
