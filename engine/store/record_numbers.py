"""The real numbers of a record as they may be shown."""

from __future__ import annotations

from typing import Any, Final

from engine.core.numbers import MASK, mask
from engine.core.spelling import holds_number
from engine.store.crypto import NumberCipher
from engine.store.rows import NUMBER_COLUMNS

REDACTED_DIGITS: Final = 7  # in texts chosen by a peer, a number of at least so many digits is masked too

_TEXTS_OF_PEERS: Final = ("caller_call_id", "icid_in", "icid_out")


def show_numbers(cipher: NumberCipher, record: dict[str, Any], reveals: bool) -> None:
    """Cipher text to text, masked or not. A peer may have written the number into its Call-ID."""
    for column in NUMBER_COLUMNS:
        blob = record[column]
        if blob is None:
            continue
        number = cipher.decrypt(blob, f"cdr.{column}")
        record[column] = number if reveals else mask(number)
        if not reveals and len(number) >= REDACTED_DIGITS:
            for name in _TEXTS_OF_PEERS:
                text = record[name].replace(number, mask(number))
                record[name] = MASK if holds_number(text.encode(), number) else text
