"""A message from the wire, read as loosely as SIPp reads: what our own parser refuses must be playable too.

Anything counts as a message that has a start line and a Call-ID; a header field is found by the beginning of a line.
"""

from __future__ import annotations

import re
from functools import cached_property
from typing import Final

_SHORT: Final = {"call-id": "i", "contact": "m", "content-encoding": "e", "content-length": "l", "content-type": "c",
                 "from": "f", "to": "t", "via": "v", "subject": "s", "supported": "k"}  # fmt: skip
_TAG: Final = re.compile(r";[ \t]*tag[ \t]*=[ \t]*([^;,\s>]+)", re.IGNORECASE)
_BRANCH: Final = re.compile(r";[ \t]*branch[ \t]*=[ \t]*([^;,\s]+)", re.IGNORECASE)
_CSEQ: Final = re.compile(r"\s*(\d{1,10})\s+(\S+)")
_STATUS: Final = re.compile(r"SIP/2\.0[ \t]+(\d{3})(?!\d)")
# Neither looks at a character twice: 60 KiB of "<" must not hold up the other calls.
_IN_BRACKETS: Final = re.compile(r"<([^<>]*)>")
_ENTRY: Final = re.compile(r"(?:[^,<]|<[^>]*>?)+")
_METHOD: Final = re.compile(r"([A-Za-z0-9.!%*_+`'~-]{1,64}) ")  # with a slash, a response is none


class Received:
    """One message, as text with one character a byte."""

    def __init__(self, data: bytes) -> None:
        self.text = data.decode("latin-1")
        self.start_line = self.text[: _line_end(self.text, 0)]
        found = _STATUS.match(self.start_line)
        self.status = int(found[1]) if found else 0
        method = _METHOD.match(self.start_line)
        self.method = method[1] if method else ""

    @cached_property
    def head(self) -> str:
        """Start line and header fields."""
        ends = [end for end in (self.text.find("\r\n\r\n"), self.text.find("\n\n")) if end >= 0]
        return self.text[: min(ends)] if ends else self.text

    @cached_property
    def body(self) -> str:
        """What stands behind the first empty line."""
        return self.text[len(self.head) :].replace("\r\n\r\n", "", 1) if "\r\n\r\n" in self.text else ""

    @cached_property
    def _rows(self) -> list[str]:
        """Header rows as they stand, folds included, without their line ends."""
        rows: list[str] = []
        for line in self.head.split("\n")[1:]:
            if line[:1] in (" ", "\t") and rows:
                rows[-1] += "\n" + line
            else:
                rows.append(line)
        return [row.rstrip("\r\n \t") for row in rows]

    def rows(self, name: str) -> list[str]:
        """The rows of a field in its long form, or, when there is none, in its short form."""
        for wanted in (name.lower(), _SHORT.get(name.lower(), "")):
            start = f"{wanted}:"
            found = [row for row in self._rows if row[: len(start)].lower() == start] if wanted else []
            if found:
                return found
        return []

    def line(self, name: str) -> str:
        """The first row as it stands and the values of all others behind it; "" when there is none."""
        rows = self.rows(name)
        return ", ".join((rows[0], *map(_value, rows[1:]))) if rows else ""

    def value(self, name: str) -> str:
        """The values of all rows of a field, joined with commas."""
        return ", ".join(map(_value, self.rows(name)))

    @cached_property
    def call_id(self) -> str:
        """Of the first row."""
        rows = self.rows("Call-ID")
        return _value(rows[0]) if rows else ""

    def call_of(self, has_prefixes: bool) -> str:
        """The Call-ID of the call that it belongs to: with prefixes what stands behind the first `///`, if any.

        Calls with further Call-IDs are written so: `second///[call_id]`.
        """
        before, mark, after = self.call_id.partition("///")
        return after if mark and has_prefixes else before + mark + after

    @cached_property
    def cseq(self) -> tuple[int, str]:
        """Number and method of the first row; (0, "") when they cannot be read."""
        rows = self.rows("CSeq")
        found = _CSEQ.match(_value(rows[0])) if rows else None
        return (int(found[1]), found[2]) if found else (0, "")

    @property
    def branch(self) -> str:
        """Of the topmost Via."""
        found = _BRANCH.search(self.value("Via"))
        return found[1] if found else ""

    @property
    def to_tag(self) -> str:
        """The tag of To; "" when there is none."""
        found = _TAG.search(self.value("To"))
        return found[1] if found else ""

    @property
    def request_uri(self) -> str:
        """The URI in To: what SIPp knows as `[last_Request_URI]`."""
        found = _IN_BRACKETS.search(self.value("To"))
        return found[1] if found else ""


def _line_end(text: str, start: int) -> int:
    end = text.find("\n", start)
    end = len(text) if end < 0 else end
    return end - 1 if end > start and text[end - 1] == "\r" else end


def _value(row: str) -> str:
    return row.partition(":")[2].strip(" \t")


def route_set(message: Received) -> tuple[str, str]:
    """What goes into Route, and the URI that requests go to (RFC 3261 §12.1), from Record-Route and Contact.

    A first hop that is no loose router takes the URI's place, and the Contact stands last (§12.2.1.1).
    """
    rows = [uri.strip() for uri in _ENTRY.findall(message.value("Record-Route")) if uri.strip()]
    contact = message.value("Contact")
    if "<" not in contact:
        contact = f"<{contact.partition(';')[0]}>" if contact else ""
    if message.status:
        rows.reverse()
    if not rows:
        return "", _uri(contact)
    if ";lr" in rows[0]:
        return ", ".join(rows), _uri(contact)
    return ", ".join((*rows[1:], f"<{_uri(contact)}>")), _uri(rows[0])


def _uri(name_addr: str) -> str:
    found = _IN_BRACKETS.search(name_addr)
    return found[1] if found else name_addr
