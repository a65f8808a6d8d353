"""A SIP message, indexed by header line.

The head is decoded once into lines and each line gets the id of its field; a value is cut out of its line when it
is asked for. Messages that leave are built by joining lines (`render`), never by editing one that came in.
"""

from __future__ import annotations

from typing import Final, final

from sipstack.fields import Via, parse_max_forwards
from sipstack.headers import CANONICAL, COMPACT, CONTENT_TRANSFER_ENCODING, ID_COUNT, MAX_FORWARDS, OTHER, VIA
from sipstack.uri import Uri

ENCODING: Final = "utf-8"
ERRORS: Final = "surrogateescape"  # octets that are no UTF-8 come out again as they went in

_BLANK: Final = " \t"
_BY_NAME: Final = (OTHER, CONTENT_TRANSFER_ENCODING)


def render(start_line: str, lines: list[str], body: bytes = b"") -> bytes:
    """Joins a message; Content-Length is added last, always (RFC 3261 §20.14)."""
    return render_rows([start_line, *lines], body)


def render_rows(rows: list[str], body: bytes = b"") -> bytes:
    """The same where the start line is the first of the rows, which are the caller's no more: the last is added."""
    rows.append(f"Content-Length: {len(body)}\r\n\r\n")
    return "\r\n".join(rows).encode(ENCODING, ERRORS) + body


def first_values(lines: list[str], ids: list[int]) -> list[str | None]:
    """The first value of each field by its id, with the white space around it; None where there is none."""
    first: list[str | None] = [None] * ID_COUNT
    for line, number in zip(lines, ids, strict=True):
        if first[number] is None:
            first[number] = line.partition(":")[2]
    return first


@final
class Message:
    """A request (`status` 0) or a response that has passed the parser.

    `lines` are the header lines without folding, `ids[i]` the field of `lines[i]` (sipstack.headers), and `first[id]`
    the first value of a field with the white space around it, None when it is absent (as `_index` finds it). Instead of
    the lines the bytes of a message that folds nothing may be given: they are cut when they are asked for. The typed
    attributes are those that every message needs: the transaction and dialog keys. `method` is the method of the
    CSeq, which for a request is the request's own; `forwards` is what `max_forwards` has read, -1 before. `tags` are ""
    when absent (RFC 2543 peers send none). The keys and `uri_text` are visible ASCII; `reason`, `lines` and their
    values may hold any text, octets that are no UTF-8 too.
    """

    __slots__ = (
        "_lines",
        "body",
        "call_id",
        "cseq",
        "first",
        "forwards",
        "from_tag",
        "ids",
        "method",
        "reason",
        "status",
        "to_tag",
        "top_via",
        "uri",
        "uri_text",
    )

    def __init__(
        self,
        start_line: tuple[str, int, str],
        lines: list[str] | bytes,
        ids: list[int],
        body: bytes,
        first: list[str | None] | None = None,
    ) -> None:
        self.uri_text, self.status, self.reason = start_line
        self._lines = lines
        self.ids = ids
        self.first = first_values(self.lines, ids) if first is None else first
        self.body = body
        self.uri: Uri | None = None
        self.method = ""
        self.cseq = 0
        self.forwards = -1
        self.call_id = ""
        self.from_tag = ""
        self.to_tag = ""
        self.top_via: Via | None = None

    @property
    def lines(self) -> list[str]:
        """The header lines without folding."""
        lines = self._lines
        if isinstance(lines, bytes):
            lines = self._lines = lines.partition(b"\r\n\r\n")[0].decode(ENCODING, ERRORS).split("\r\n")[1:]
        return lines

    @property
    def is_request(self) -> bool:
        """True for a request."""
        return self.status == 0

    @property
    def is_provisional(self) -> bool:
        """True for a 1xx response."""
        return 100 <= self.status < 200

    @property
    def is_final(self) -> bool:
        """True for a response that ends its transaction."""
        return self.status >= 200

    def value(self, header: int) -> str | None:
        """The first row of a field, without the name; None when there is none."""
        value = self.first[header]
        return None if value is None else value.strip(" \t")

    def values(self, header: int) -> list[str]:
        """All rows of a field, in order."""
        value = self.first[header]
        if value is None:
            return []
        if self.ids.count(header) == 1:
            return [value.strip(" \t")]
        return [
            line.partition(":")[2].strip(" \t")
            for line, number in zip(self.lines, self.ids, strict=True)
            if number == header
        ]

    def named(self, name: str) -> list[str]:
        """All rows of a field by its full name, for fields that we only hand on."""
        wanted = name.lower()
        found: list[str] = []
        for line, number in zip(self.lines, self.ids, strict=True):
            if number in _BY_NAME:
                spelling, _, value = line.partition(":")
                folded = spelling.rstrip(" \t").lower()
                if COMPACT.get(folded, folded) == wanted:
                    found.append(value.strip(" \t"))
        return found

    def line(self, header: int) -> str:
        """The first row of a field with its name written canonically; "" when there is none."""
        value = self.first[header]
        return "" if value is None else f"{CANONICAL[header]}: {value.strip(_BLANK)}"

    def max_forwards(self) -> int | None:
        """Max-Forwards, None when absent. Raises RemoteSipError when it is no number from 0 to 255 (§20.22)."""
        if self.forwards < 0 and self.first[MAX_FORWARDS] is not None:
            self.forwards = parse_max_forwards(self.value(MAX_FORWARDS) or "")
        return None if self.forwards < 0 else self.forwards

    def via_lines(self, source_host: str, source_port: int, load: str = "") -> list[str]:
        """All Via rows for a response to this request, the top one with `received` and `rport` filled in, and `load`.

        `load` as in `Via.with_source`.
        """
        via = self.top_via
        first = "" if via is None else via.with_source(source_host, source_port, load) + via.rest
        if first and self.ids.count(VIA) == 1:
            return [f"Via: {first}"]
        rows = self.values(VIA)
        if first:
            rows[0] = first
        return [f"Via: {row}" for row in rows]

    def start_line(self) -> str:
        """The first line as it would be sent."""
        if self.status:
            return f"SIP/2.0 {self.status:03d} {self.reason}"
        return f"{self.method} {self.uri_text} SIP/2.0"

    def to_bytes(self) -> bytes:
        """The message as bytes; Content-Length is ours, the rest as it stands in `lines`."""
        kept = [line for line in self.lines if not _is_content_length(line)]
        return render(self.start_line(), kept, self.body)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Message):
            return NotImplemented
        return self.to_bytes() == other.to_bytes()

    __hash__ = None  # type: ignore[assignment]  # mutable: compared, never a key

    def __repr__(self) -> str:
        return f"<Message {self.method} {self.status or 'request'}>"  # no number may reach a log by accident


def _is_content_length(line: str) -> bool:
    return line.partition(":")[0].rstrip(" \t").lower() in ("content-length", "l")
