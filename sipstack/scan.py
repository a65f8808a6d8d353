"""The scan that the build has compiled, if it has: most messages are read by it, in one pass and with few objects.

It takes nothing that `sipstack.parser` would not take, and refuses nothing: what it gives up is read by the parser.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from sipstack import headers as h
from sipstack.grammar import USUAL_CONTACT, USUAL_METHODS
from sipstack.limits import MAX_HEAD_BYTES, MAX_HEADER_LINES, MAX_LINE_CHARS, MAX_URI_CHARS
from sipstack.uri import PORT_LIMIT

if TYPE_CHECKING:
    from sipstack.head_scan import Scanner

# What a scan leaves to the parser, as bits: Via, From, To, Call-ID or CSeq; what only a request has; Content-Length.
ODD_KEYS: Final = 1
ODD_REQUEST: Final = 2
ODD_LENGTH: Final = 4

_FIELDS: Final = (
    h.VIA, h.FROM, h.TO, h.CALL_ID, h.CSEQ, h.CONTACT, h.MAX_FORWARDS, h.CONTENT_LENGTH, h.P_ASSERTED_IDENTITY,
)  # fmt: skip


def scanner_of(make: type[Scanner]) -> Scanner:
    """A scanner that knows the names, methods and limits of the parser. Raises ValueError when these are too many."""
    methods = tuple(sorted(USUAL_METHODS))
    limits = (MAX_HEAD_BYTES, MAX_HEADER_LINES, MAX_LINE_CHARS, MAX_URI_CHARS)
    return make(h.FOLDED, h.ID_COUNT, methods, _FIELDS, tuple(h.SINGLE), *limits)


def _compiled() -> Scanner | None:
    try:
        from sipstack.head_scan import Scanner
    except ImportError:
        return None
    return scanner_of(Scanner)


SCAN: Final = _compiled()


def read_usual_user(value: str) -> str:
    """The user of `<sip:user@host>`, with a port and a parameter or without; "" for what is written in another way."""
    match = USUAL_CONTACT.fullmatch(value)
    if match is None or int(match[4] or 0) >= PORT_LIMIT:
        return ""
    user: str = match[2]
    return user


def _look() -> Callable[[str], str]:
    """What does the same, where the build has compiled it: an expression costs ten times as much."""
    try:
        from sipstack.head_scan import usual_user
    except ImportError:
        return read_usual_user
    return usual_user


usual_user: Final = _look()
