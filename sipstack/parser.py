"""Bytes of one message -> Message, or RemoteSipError.

What is tolerated, and why (strict out, lenient in):

- empty lines before the start line (RFC 3261 §7.5 asks for it; SIPp and softphones send keep-alives so);
- no Content-Length on a datagram: the body is the rest (§18.3; RFC 2543 peers);
- octets behind Content-Length on a datagram are dropped (§18.3);
- no From tag, no Max-Forwards, no branch, a branch without the cookie: RFC 2543 peers (matched as §17.2.3 says);
- "_" in host names (containers and Windows hosts name themselves so);
- control characters as quoted pairs in the quoted strings of From and To (they are legal there; RFC 4475 §3.1.1.2).
  Legal elsewhere too, but nobody sends them, and other fields may cross to the other party as text.

Everything else that breaks the grammar where we read is an error: whoever reads the same bytes differently from us
is the way around the privacy gate.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from sipstack import headers as h
from sipstack.errors import RemoteSipError
from sipstack.fields import Via, parse_cseq, parse_max_forwards, parse_number, parse_top_via, split_list
from sipstack.grammar import CONTROL, TOKEN, USUAL_ADDRESS, USUAL_ADDRESS_ROW, USUAL_METHODS
from sipstack.limits import MAX_HEAD_BYTES, MAX_HEADER_LINES, MAX_LINE_CHARS, MAX_STREAM_BODY_BYTES, MAX_URI_CHARS
from sipstack.message import ENCODING, ERRORS, Message
from sipstack.scan import ODD_KEYS, ODD_LENGTH, ODD_REQUEST, SCAN
from sipstack.uri import SipUri, parse_name_addr, parse_uri, token_param

if TYPE_CHECKING:
    from sipstack.head_scan import Values
    from sipstack.message import Firsts

# Changes what is below space, and DEL: of that nothing may stand in a head but TAB, and CR LF at the end of a line.
# To see whether a table changes anything costs little more than half of what it costs to take octets out.
_WITHOUT_CONTROLS: Final = bytes.maketrans(bytes([*range(0x09), 0x0B, 0x0C, *range(0x0E, 0x20), 0x7F]), b" " * 30)
_TAG_MARK: Final = ";tag="

# A line end with the continuations behind it. The look-behind lets white space start at its first character only:
# without it the work would grow with the square of a long run.
_FOLD: Final = re.compile(rb"(?<![ \t])[ \t]*+(?:\r\n[ \t]++)+")

# A line that goes on before its colon: HCOLON has no line end (§25.1), and others see a line without a colon there.
FOLDED_NAME: Final = re.compile(rb"\n[^:\r\n \t][^:\r\n]*+\r\n[ \t]")


def parse(data: bytes, is_framed: bool = False) -> Message:
    """Reads one message from the bytes of one datagram; `is_framed`: of one message of a stream, as framing cuts it.

    Raises RemoteSipError; its `message` is set when an answer can be addressed (a request with a Via).
    """
    if SCAN is not None:
        message = SCAN(_MAKE, data, is_framed)
        if message is not None:
            return message
    return read(data, is_framed)


def scanned(
    data: bytes, is_framed: bool, odd: int, values: Values, body: bytes, method: str, uri_text: str, status: int,
    reason: str, contact: str, key: str, has_one_via: bool, from_tag: str, to_tag: str, call_id: str, cseq: int,
    via: str, transport: str, via_host: str, via_port: int, via_params: str, branch: str, asks_rport: bool,
    addresses: str, call_rows: str, user: str, host: str, port: int, params: str, forwards: int,
) -> Message:  # fmt: skip
    """The message whose usual spelling a scan has found in `data`; the rest as in `sipstack.head_scan.Make`.

    Raises RemoteSipError for a part that is odd.
    """
    message = Message((uri_text, status, reason), data, values, body, values)
    message.method = method
    message.contact = contact
    message.forwards = forwards
    if not odd & ODD_KEYS:
        message.key = key
        message.has_one_via = has_one_via
        message.from_tag = from_tag
        message.to_tag = to_tag
        message.call_id = call_id
        message.cseq = cseq
        if via:
            message.top_via = Via(via, transport, via_host, via_port, via_params, "", branch, asks_rport)
            message.addresses = addresses
            message.call_rows = call_rows
    if user:
        message.uri = SipUri("sip", user, host, port, params)
    if odd:
        _read_odd(message, odd, data, is_framed)
    return message


_MAKE: Final = scanned


def _read_odd(message: Message, odd: int, data: bytes, is_framed: bool) -> None:
    """Reads what a scan has left."""
    try:
        if odd & ODD_KEYS:
            _read_keys(message, message.first)
        if odd & ODD_REQUEST:
            _read_request(message, message.first, True)
        if odd & ODD_LENGTH:
            _read_length(message, message.first, is_framed)
    except RemoteSipError as error:
        error.message = _answerable(data.partition(b"\r\n\r\n")[0])
        raise


def read(data: bytes, is_framed: bool) -> Message:
    """What `parse` does, in every spelling: by the productions of the grammar, without a scan."""
    head, separator, body = data.lstrip(b"\r\n").partition(b"\r\n\r\n")
    try:
        if len(head) > MAX_HEAD_BYTES:
            head = _top(head)  # more is not looked at
            raise _too_large(head.partition(b"\r\n")[0])
        if not separator:
            raise RemoteSipError("header section does not end")
        return _parse(head, body, is_framed)
    except RemoteSipError as error:
        error.message = _answerable(head)
        raise


def _parse(head: bytes, body: bytes, is_framed: bool) -> Message:
    lines = head.decode(ENCODING, ERRORS).split("\r\n")
    line_ends = len(lines) - 1
    text = "".join(lines)  # where the lines have ended, nothing of CR LF is left
    start_line = lines.pop(0)
    may_be_long = len(head) > MAX_LINE_CHARS
    try:
        ids, first, repeated = _index(lines, may_be_long)
    except RemoteSipError:  # a line that goes on in the next is none of ours as it stands: looked for only here
        lines = unfolded_lines(head)
        if len(lines) > line_ends:
            raise
        if FOLDED_NAME.search(head) is not None:
            raise RemoteSipError("a field name goes on in the next line") from None
        lines = lines[1:]
        ids, first, repeated = _index(lines, may_be_long)
    if head.translate(_WITHOUT_CONTROLS) != head or "\r" in text or "\n" in text:
        _check_controls(start_line, lines, ids)
    method, uri, status, reason = _start_line(start_line)
    message = Message((uri, status, reason), lines, ids, body, first)
    is_request = status == 0
    message.method = method
    if repeated and not h.SINGLE.isdisjoint(repeated):
        raise RemoteSipError("a field that may stand once is repeated")
    _read_keys(message, first)
    if is_request:
        _read_request(message, first, len(repeated) > 0)
    _read_length(message, first, is_framed)
    return message


def _top(head: bytes) -> bytes:
    """The rows that are whole within the largest header section."""
    end = head.rfind(b"\r\n", 0, MAX_HEAD_BYTES)
    while end > 0 and head[end + 2 : end + 3] in (b" ", b"\t"):
        end = head.rfind(b"\r\n", 0, end)
    return head[: max(end, 0)]


def _too_large(start_line: bytes) -> RemoteSipError:
    """What a header section that is too large is told: whether it is the Request-URI (§21.4.12, §21.5.7)."""
    parts = start_line.split(b" ")
    if len(parts) == 3 and len(parts[1]) > MAX_URI_CHARS:
        return RemoteSipError("Request-URI is too long", 414)
    return RemoteSipError("header section is too large", 513)


def unfolded_lines(head: bytes) -> list[str]:
    """The lines of a header section; CRLF and the white space around it become one space where a line goes on (§7.3.1).

    The start line never goes on: what looks so stays a line that begins with white space, and is no header field.
    """
    if b"\r\n " in head or b"\r\n\t" in head:
        start, line_end, rest = head.partition(b"\r\n")
        head = start + line_end + _FOLD.sub(b" ", rest)
    return head.decode(ENCODING, ERRORS).split("\r\n")


def _check_controls(start_line: str, lines: list[str], ids: list[int]) -> None:
    """Raises when a control character stands anywhere but in From or To, whose grammar judges it."""
    if CONTROL.search(start_line) is not None:
        raise RemoteSipError("control character in the start line")
    for line, number in zip(lines, ids, strict=True):
        if number != h.FROM and number != h.TO and CONTROL.search(line) is not None:
            raise RemoteSipError("control character in the header section")


def _index(lines: list[str], may_be_long: bool) -> tuple[list[int], list[str | None], list[int]]:
    """The field of each line, the first value of each field (`Message.first`), and the fields that repeat.

    `may_be_long` False says that no line can be too long.
    """
    if len(lines) > MAX_HEADER_LINES:
        raise RemoteSipError("too many header fields", 513)
    known = h.HEADER_IDS
    ids: list[int] = []
    first: list[str | None] = [None] * h.ID_COUNT
    repeated: list[int] = []
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or (may_be_long and len(line) > MAX_LINE_CHARS):
            raise RemoteSipError("a header line has no colon" if not colon else "a header line is too long", 400)
        try:  # costs nothing where nothing is raised
            number = known[name]
        except KeyError:
            number = h.header_id(name)
        ids.append(number)
        if first[number] is None:
            first[number] = value
        else:
            repeated.append(number)
    return ids, first, repeated


def _start_line(line: str) -> tuple[str, str, int, str]:
    """-> (method, Request-URI as text, status or 0, reason phrase)."""
    word, _, rest = line.partition(" ")
    if word in USUAL_METHODS:
        uri, _, version = rest.partition(" ")
        if version == "SIP/2.0" and len(uri) <= MAX_URI_CHARS:
            return word, uri, 0, ""  # nearly every request line
    elif word == "SIP/2.0":
        code, _, reason = rest.partition(" ")
        if code in _STATUSES:
            return "", "", _STATUSES[code], reason  # nearly every status line
    return _unusual_start_line(line)


def _unusual_start_line(line: str) -> tuple[str, str, int, str]:
    """The same for every other spelling, and for those that are none."""
    if line[7:8] == " " and _is_sip_2(line[:7]):
        status, _, reason = line[8:].partition(" ")
        if len(status) != 3:
            raise RemoteSipError("status line is malformed")
        number = parse_number(status, 700, "status code")
        if number < 100:
            raise RemoteSipError("status code out of range")
        return "", "", number, reason
    parts = line.split(" ")
    if len(parts) != 3 or (parts[0] not in USUAL_METHODS and TOKEN.fullmatch(parts[0]) is None):
        raise RemoteSipError("request line is malformed")
    if parts[2] != "SIP/2.0" and not _is_sip_2(parts[2]):
        raise RemoteSipError("version is not SIP/2.0", 505 if parts[2][:4].upper() == "SIP/" else 400)
    if len(parts[1]) > MAX_URI_CHARS:
        raise RemoteSipError("Request-URI is too long", 414)
    return parts[0], parts[1], 0, ""


_STATUSES: Final = {str(status): status for status in range(100, 700)}


def _is_sip_2(text: str) -> bool:
    """SIP-Version in any case (§7.1), of ASCII letters: "ſ" in upper case is "S" too."""
    return text == "SIP/2.0" or (text.isascii() and text.upper() == "SIP/2.0")


def _read_keys(message: Message, first: Firsts) -> None:
    """Top Via, From, To, Call-ID and CSeq: mandatory in every message (§8.1.1, §8.2.6.2)."""
    via, sender, recipient = first[h.VIA], first[h.FROM], first[h.TO]
    call_id, cseq = first[h.CALL_ID], first[h.CSEQ]
    if via is None or sender is None or recipient is None or call_id is None or cseq is None:
        raise RemoteSipError("a mandatory header field is missing")
    message.top_via = top_via = parse_top_via(via.strip(" \t"))
    message.has_one_via = not top_via.rest and message.ids.count(h.VIA) == 1
    usual = USUAL_ADDRESS_ROW.fullmatch(sender)
    message.from_tag = _tag(sender.strip(" \t")) if usual is None else usual[1] or ""
    usual = USUAL_ADDRESS_ROW.fullmatch(recipient)
    message.to_tag = _tag(recipient.strip(" \t")) if usual is None else usual[1] or ""
    call_id = call_id.strip(" \t")
    if not call_id or " " in call_id or "\t" in call_id or not call_id.isascii():  # visible ASCII: no CTL is left here
        raise RemoteSipError("Call-ID is malformed")
    message.call_id = call_id
    message.cseq, method = parse_cseq(cseq.strip(" \t"))
    if message.status == 0 and method != message.method:
        raise RemoteSipError("CSeq names another method")
    message.method = method


def _tag(value: str) -> str:
    """Checks an address of From or To and returns its tag, "" when it has none."""
    address = parse_name_addr(value)
    params = address.params
    if not params:
        return ""
    if params.startswith(_TAG_MARK) and ";" not in params[5:] and '"' not in params:
        return params[5:].strip(" \t")
    return token_param(params, "tag")


def _read_request(message: Message, first: Firsts, may_repeat: bool) -> None:
    """Checks what only a request has. `may_repeat` False says that no field stands twice."""
    uri = parse_uri(message.uri_text)
    if isinstance(uri, SipUri) and uri.headers:
        raise RemoteSipError("Request-URI carries header fields")  # RFC 3261 §19.1.5: never in a Request-URI
    message.uri = uri
    forwards = first[h.MAX_FORWARDS]
    if forwards is not None:
        usual = _HOPS.get(forwards)
        message.forwards = parse_max_forwards(forwards.strip(" \t")) if usual is None else usual
    identity = first[h.P_ASSERTED_IDENTITY]
    if identity is not None and (may_repeat or "," in identity):
        for row in message.values(h.P_ASSERTED_IDENTITY):
            split_list(row)  # for its limit: whoever reads the values takes no error
    contact = first[h.CONTACT]
    if contact is not None and (may_repeat or USUAL_ADDRESS.fullmatch(contact.strip(" \t")) is None):
        for row in message.values(h.CONTACT):
            for value in split_list(row):
                if value != "*":
                    parse_name_addr(value)


# Max-Forwards as nearly everybody writes it, behind one space.
_HOPS: Final = {f" {hops}": hops for hops in range(256)}


def _read_length(message: Message, first: Firsts, is_framed: bool) -> None:
    length = first[h.CONTENT_LENGTH]
    if length is None:
        if is_framed:
            raise RemoteSipError("Content-Length is missing")  # §20.14: on a stream nothing else ends a message
    elif length.strip(" \t") != str(len(message.body)):
        _cut_body(message, length.strip(" \t"), is_framed)


def _cut_body(message: Message, value: str, is_framed: bool) -> None:
    """Cuts the body to Content-Length (§18.3). Of a stream's message that has too great a one, no body is taken."""
    length = parse_number(value, 2**32, "Content-Length")
    if is_framed and length > MAX_STREAM_BODY_BYTES:
        raise RemoteSipError("body is too large", 513)
    if length > len(message.body):
        raise RemoteSipError("body is shorter than Content-Length")
    message.body = message.body[:length]


def _answerable(head: bytes) -> Message | None:
    """What is needed to answer a request that breaks the grammar: the fields that a response copies, if they stand.

    None for a response, an ACK, and when there is no Via. A broken top Via is echoed as it is: the answer goes to the
    source of the datagram (§18.2.2).
    """
    lines = unfolded_lines(head)
    method = lines[0].partition(" ")[0]
    kept: list[str] = []
    ids: list[int] = []
    for line in lines[1:]:
        name, colon, _ = line.partition(":")
        number = _FOR_ANSWER.get(name.rstrip(" \t").lower(), h.OTHER) if colon else h.OTHER
        if number != h.OTHER and len(line) <= MAX_LINE_CHARS and CONTROL.search(line) is None:
            kept.append(line)
            ids.append(number)
    if h.VIA not in ids or method.upper() == "ACK" or TOKEN.fullmatch(method) is None:
        return None
    partial = Message(("", 0, ""), kept, ids, b"")
    partial.method = method
    try:
        partial.top_via = parse_top_via(partial.value(h.VIA) or "")
    except RemoteSipError:
        partial.top_via = None
    return partial


_FOR_ANSWER: Final = {
    spelling: number
    for number, *spellings in (
        (h.VIA, "via", "v"),
        (h.FROM, "from", "f"),
        (h.TO, "to", "t"),
        (h.CALL_ID, "call-id", "i"),
        (h.CSEQ, "cseq"),
    )
    for spelling in spellings
}
