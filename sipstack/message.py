"""A SIP message, indexed by header line.

The head is decoded once into lines and each line gets the id of its field; a value is cut out of its line when it
is asked for. Messages that leave are built by joining lines (`render`), never by editing one that came in.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, final

from sipstack.fields import Via, parse_max_forwards, parse_top_via
from sipstack.headers import CANONICAL, COMPACT, CONTENT_TRANSFER_ENCODING, ID_COUNT, MAX_FORWARDS, OTHER, VIA
from sipstack.uri import Uri

if TYPE_CHECKING:
    from sipstack.head_scan import Values

    Firsts = list[str | None] | Values

ENCODING: Final = "utf-8"
ERRORS: Final = "surrogateescape"  # octets that are no UTF-8 come out again as they went in

_BLANK: Final = " \t"
_NO_BODY: Final = "Content-Length: 0\r\n\r\n"
_BY_NAME: Final = (OTHER, CONTENT_TRANSFER_ENCODING)


def render(start_line: str, lines: list[str], body: bytes = b"") -> bytes:
    """Joins a message; Content-Length is added last, always (RFC 3261 §20.14)."""
    return render_rows([start_line, *lines], body)


def _compiled() -> Callable[[list[str], bytes], bytes | None] | None:
    try:
        from sipstack.head_scan import rendered
    except ImportError:
        return None
    return rendered


_RENDERED: Final = _compiled()


def render_rows(rows: list[str], body: bytes = b"") -> bytes:
    """The same where the start line is the first of the rows, which are the caller's no more: one may be added."""
    if _RENDERED is not None:
        data = _RENDERED(rows, body)
        if data is not None:  # all but rows beyond ASCII
            return data
    if not body:
        rows.append(_NO_BODY)
        return "\r\n".join(rows).encode(ENCODING, ERRORS)
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
    the lines the bytes of a message that folds nothing may be given, and what a scan has found in them instead of the
    rest: each is made when it is asked for. The typed attributes are those that every message needs: the transaction
    and dialog keys. `method` is the method of the CSeq, which for a request is the request's own; `forwards` is what
    `max_forwards` has read, -1 before. `tags` are "" when absent (RFC 2543 peers send none). The keys and `uri_text`
    are visible ASCII; `reason`, `lines` and their values may hold any text, octets that are no UTF-8 too.

    A scan leaves four texts more, which are "" where it has not: `key`, by which `sipstack.transactions` knows the
    transaction of the message; `contact`, the URI of the first Contact as `sipstack.dialog` takes it; `addresses` and
    `call_rows`, the rows of From and To and of Call-ID and CSeq as an answer to it has them, each behind a line end.
    `has_one_via` is True where the top Via is the only one.
    """

    __slots__ = (
        "_ids",
        "_lines",
        "_top_via",
        "addresses",
        "body",
        "call_id",
        "call_rows",
        "contact",
        "cseq",
        "first",
        "forwards",
        "from_tag",
        "has_one_via",
        "key",
        "method",
        "reason",
        "status",
        "to_tag",
        "uri",
        "uri_text",
    )

    def __init__(
        self,
        start_line: tuple[str, int, str],
        lines: list[str] | bytes,
        ids: list[int] | Values,
        body: bytes,
        first: Firsts | None = None,
    ) -> None:
        self.uri_text, self.status, self.reason = start_line
        self._lines = lines
        self._ids = ids
        self.first: Firsts = first_values(self.lines, self.ids) if first is None else first
        self.body = body
        self.uri: Uri | None = None
        self.method = ""
        self.cseq = 0
        self.forwards = -1
        self.call_id = ""
        self.from_tag = ""
        self.to_tag = ""
        self._top_via: Via | None = None
        self.has_one_via = False
        self.key = ""
        self.contact = ""
        self.addresses = ""
        self.call_rows = ""

    @property
    def ids(self) -> list[int]:
        """The field of each line."""
        ids = self._ids
        if not isinstance(ids, list):
            ids = self._ids = ids.ids()
        return ids

    @property
    def top_via(self) -> Via | None:
        """The top Via; None only in what is kept of a request that breaks the grammar there."""
        via = self._top_via
        if via is None and self.key:  # a scan has read it, and made nothing of it but the key
            via = self._top_via = parse_top_via(self.value(VIA) or "")
        return via

    @top_via.setter
    def top_via(self, via: Via | None) -> None:
        self._top_via = via

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
        first = self.first
        if self.ids.count(header) == 1 if isinstance(first, list) else not first.is_repeated(header):
            return [value.strip(" \t")]
        return [
            line.partition(":")[2].strip(" \t")
            for line, number in zip(self.lines, self.ids, strict=True)
            if number == header
        ]

    def has_any(self, fields: frozenset[int], bits: int) -> bool:
        """True when one of `fields` is there; `bits` are the same ones, one each."""
        first = self.first
        return not fields.isdisjoint(self.ids) if isinstance(first, list) else bits in first

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

    def via_rows(self, source_host: str, source_port: int, load: str = "") -> str:
        """All Via rows for a response to this request, the top one with `received` and `rport` filled in, and `load`.

        Each stands behind a line end. `load` as in `Via.with_source`.
        """
        via = self.top_via
        if via is not None and self.has_one_via:
            return f"\r\nVia: {via.with_source(source_host, source_port, load)}"
        rows = self.values(VIA)
        if via is not None:
            rows[0] = via.with_source(source_host, source_port, load) + via.rest
        return "".join([f"\r\nVia: {row}" for row in rows])

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
