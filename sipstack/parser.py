"""Bytes of one message -> Message, or RemoteSipError.

What is tolerated, and why (strict out, lenient in):

- empty lines before the start line (RFC 3261 §7.5 asks for it; SIPp and softphones send keep-alives so);
- no Content-Length on a datagram: the body is the rest (§18.3; RFC 2543 peers);
- octets behind Content-Length on a datagram are dropped (§18.3);
- no From tag, no branch, a branch without the cookie: RFC 2543 peers (matched as §17.2.3 says);
- "_" in host names (containers and Windows hosts name themselves so);
- control characters as quoted pairs in a quoted string (they are legal; RFC 4475 §3.1.1.2).

Everything else that breaks the grammar where we read is an error: whoever reads the same bytes differently from us
is the way around the privacy gate.
"""

from __future__ import annotations

from typing import Final

from sipstack import headers as h
from sipstack.errors import RemoteSipError
from sipstack.fields import parse_cseq, parse_number, parse_top_via, split_list
from sipstack.grammar import CALL_ID, TOKEN
from sipstack.limits import MAX_HEAD_BYTES, MAX_HEADER_LINES, MAX_LINE_CHARS, MAX_URI_CHARS
from sipstack.message import ENCODING, ERRORS, Message
from sipstack.uri import SipUri, parse_name_addr, parse_params, parse_uri

# Everything below space but TAB, and DEL: nothing of it may stand in a head but CR LF at the end of a line.
_CONTROLS: Final = bytes([*range(0x09), *range(0x0A, 0x20), 0x7F])
_TAG_MARK: Final = ";tag="


def parse(data: bytes) -> Message:
    """Reads one message from the bytes of one datagram, or of one frame of a stream.

    Raises RemoteSipError; its `message` is set when an answer can be addressed (a request with a Via).
    """
    head, separator, body = data.lstrip(b"\r\n").partition(b"\r\n\r\n")
    if not separator:
        raise _addressable(RemoteSipError("header section does not end"), head)
    if len(head) > MAX_HEAD_BYTES:
        raise RemoteSipError("header section is too large", 513)
    try:
        return _parse(head, body)
    except RemoteSipError as error:
        if error.message is None:
            _addressable(error, head)
        raise


def _parse(head: bytes, body: bytes) -> Message:
    if b"\r\n " in head or b"\r\n\t" in head:
        head = _unfold(head)
    lines = head.decode(ENCODING, ERRORS).split("\r\n")
    if len(head) - len(head.translate(None, _CONTROLS)) != 2 * (len(lines) - 1):
        _check_controls(head)
    start_line = lines.pop(0)
    if len(lines) > MAX_HEADER_LINES:
        raise RemoteSipError("too many header fields", 513)
    ids = _index(lines)
    message = Message(_start_line(start_line), lines, ids, body)
    if message.is_request:
        message.method = start_line.partition(" ")[0]
    _read_keys(message)
    if message.is_request:
        _read_request(message)
    _cut_body(message)
    return message


def _unfold(head: bytes) -> bytes:
    """Joins continued lines: CRLF and the white space around it become one space (§7.3.1)."""
    rows: list[bytes] = []
    for row in head.split(b"\r\n"):
        if row[:1] in (b" ", b"\t"):
            if len(rows) < 2 and not rows:
                raise RemoteSipError("message starts with white space")
            rows[-1] = rows[-1].rstrip(b" \t") + b" " + row.strip(b" \t")
        else:
            rows.append(row)
    return b"\r\n".join(rows)


def _check_controls(head: bytes) -> None:
    """Raises unless every control character is a quoted pair; CR and LF never are."""
    for line in head.split(b"\r\n"):
        bare = line.replace(b"\\\\", b"")
        for position, octet in enumerate(bare):
            if octet in _CONTROLS and (octet in b"\r\n" or bare[position - 1 : position] != b"\\"):
                raise RemoteSipError("control character in the header section")


def _index(lines: list[str]) -> list[int]:
    known = h.HEADER_IDS
    ids: list[int] = []
    for line in lines:
        name, colon, _ = line.partition(":")
        if not colon or len(line) > MAX_LINE_CHARS:
            raise RemoteSipError("a header line has no colon" if not colon else "a header line is too long", 400)
        ids.append(known[name])
    return ids


def _start_line(line: str) -> tuple[str, int, str]:
    """-> (Request-URI as text, status or 0, reason phrase)."""
    if line[:8].upper() == "SIP/2.0 ":
        status, space, reason = line[8:].partition(" ")
        if not (space or len(line) == 11) or len(status) != 3:
            raise RemoteSipError("status line is malformed")
        code = parse_number(status, 700, "status code")
        if code < 100:
            raise RemoteSipError("status code out of range")
        return "", code, reason
    parts = line.split(" ")
    if len(parts) != 3 or TOKEN.fullmatch(parts[0]) is None:
        raise RemoteSipError("request line is malformed")
    if parts[2].upper() != "SIP/2.0":
        known = parts[2][:4].upper() == "SIP/"
        raise RemoteSipError("version is not SIP/2.0", 505 if known else 400)
    if len(parts[1]) > MAX_URI_CHARS:
        raise RemoteSipError("Request-URI is too long", 414)
    return parts[1], 0, ""


def _read_keys(message: Message) -> None:
    """Top Via, From, To, Call-ID and CSeq: mandatory in every message (§8.1.1, §8.2.6.2), each once."""
    for header in h.SINGLE:
        if message.ids.count(header) > 1:
            raise RemoteSipError(f"{h.CANONICAL[header]} stands more than once")
    via = message.value(h.VIA)
    sender = message.value(h.FROM)
    recipient = message.value(h.TO)
    call_id = message.value(h.CALL_ID)
    cseq = message.value(h.CSEQ)
    if via is None or sender is None or recipient is None or call_id is None or cseq is None:
        raise RemoteSipError("a mandatory header field is missing")
    message.top_via = parse_top_via(via)
    message.from_tag = _tag(sender)
    message.to_tag = _tag(recipient)
    if CALL_ID.fullmatch(call_id) is None:
        raise RemoteSipError("Call-ID is malformed")
    message.call_id = call_id
    message.cseq, method = parse_cseq(cseq)
    if message.is_request and method != message.method:
        raise RemoteSipError("CSeq names another method")
    message.method = method


def _tag(value: str) -> str:
    """Checks an address of From or To and returns its tag, "" when it has none."""
    address = parse_name_addr(value)
    params = address.params
    if not params:
        return ""
    if params.startswith(_TAG_MARK) and ";" not in params[5:] and '"' not in params:
        return params[5:].rstrip(" \t")
    return parse_params(params).get("tag") or ""


def _read_request(message: Message) -> None:
    uri = parse_uri(message.uri_text)
    if isinstance(uri, SipUri) and uri.headers:
        raise RemoteSipError("Request-URI carries header fields")  # RFC 3261 §19.1.5: never in a Request-URI
    message.uri = uri
    message.max_forwards()
    if h.CONTACT in message.ids:
        for row in message.values(h.CONTACT):
            for value in split_list(row):
                if value != "*":
                    parse_name_addr(value)


def _cut_body(message: Message) -> None:
    """Cuts the body to Content-Length (§18.3)."""
    value = message.value(h.CONTENT_LENGTH)
    if value is None:
        return
    length = parse_number(value, 2**32, "Content-Length")
    if length > len(message.body):
        raise RemoteSipError("body is shorter than Content-Length")
    message.body = message.body[:length]


def _addressable(error: RemoteSipError, head: bytes) -> RemoteSipError:
    """Adds to an error what is needed to answer it: the fields that a response copies, as far as they stand."""
    lines = _unfold_or_not(head).decode(ENCODING, ERRORS).split("\r\n")
    start, kept, ids = lines[0], [], []
    for line in lines[1:]:
        name, colon, _ = line.partition(":")
        number = _FOR_ANSWER.get(name.rstrip(" \t").lower(), 0) if colon else 0
        if number and (number == h.VIA or number not in ids) and line.isprintable() and len(line) <= MAX_LINE_CHARS:
            kept.append(line)
            ids.append(number)
    method = start.partition(" ")[0]
    if h.VIA not in ids or start[:4].upper() == "SIP/" or method.upper() == "ACK" or TOKEN.fullmatch(method) is None:
        return error  # a response, an ACK, or nobody to answer to
    partial = Message(("", 0, ""), kept, ids, b"")
    try:
        partial.top_via = parse_top_via(partial.value(h.VIA) or "")
    except RemoteSipError:
        return _without_via(error, partial)
    partial.method = method
    error.message = partial
    return error


_FOR_ANSWER: Final = {
    spelling.lower(): number
    for number, spelling in (
        (h.VIA, "Via"),
        (h.VIA, "v"),
        (h.FROM, "From"),
        (h.FROM, "f"),
        (h.TO, "To"),
        (h.TO, "t"),
        (h.CALL_ID, "Call-ID"),
        (h.CALL_ID, "i"),
        (h.CSEQ, "CSeq"),
    )
}


def _unfold_or_not(head: bytes) -> bytes:
    try:
        return _unfold(head)
    except RemoteSipError:
        return head


def _without_via(error: RemoteSipError, partial: Message) -> RemoteSipError:
    """A broken top Via can still be echoed: the answer goes to the source of the datagram (§18.2.2)."""
    error.message = partial
    return error
