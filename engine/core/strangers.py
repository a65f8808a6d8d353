"""What comes from an address that is no peer's, told apart by its octets: nearly all of it is not worth reading.

A request from there means something only within a dialog, whose tag its To has then (RFC 3261 §12.2.2): a phone may say
its BYE itself where its trunk has said the INVITE. What has no such tag is dropped at a tenth of what reading it costs.
"""

from __future__ import annotations

from typing import Final

_KEEP_ALIVE: Final = b"\r\n\0"  # RFC 5626 §3.5.1; NULs from old phones
_NAMES: Final = (b"\nto:", b"\nt:", b"\nto ", b"\nt ", b"\nto\t", b"\nt\t")
_FOLDS: Final = (b" ", b"\t")  # the row goes on


def is_worthless(data: bytes) -> bool:
    """True when this can be no request within a dialog: it has no To with a tag. Not for responses."""
    folded = data.lower()
    for name in _NAMES:
        start = folded.find(name)
        while start >= 0:
            end = folded.find(b"\n", start + 1)
            if folded[end + 1 : end + 2] in _FOLDS or b"tag" in folded[start : end if end > 0 else None]:
                return False
            start = folded.find(name, start + 1)
    return True


def is_keep_alive(data: bytes) -> bool:
    """True for what says nothing but that its sender is there."""
    return not data.strip(_KEEP_ALIVE)
