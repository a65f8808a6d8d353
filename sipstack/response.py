"""Building responses: what is copied from the request, once, and what is ours (RFC 3261 §8.2.6)."""

from __future__ import annotations

from typing import Final, final

from sipstack import headers as h
from sipstack.events import Flow
from sipstack.message import Message, render_rows

REASON_PHRASES: Final[dict[int, str]] = {
    100: "Trying",
    180: "Ringing",
    181: "Call Is Being Forwarded",
    182: "Queued",
    183: "Session Progress",
    200: "OK",
    202: "Accepted",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    408: "Request Timeout",
    413: "Request Entity Too Large",
    414: "Request-URI Too Long",
    415: "Unsupported Media Type",
    416: "Unsupported URI Scheme",
    420: "Bad Extension",
    421: "Extension Required",
    422: "Session Interval Too Small",
    480: "Temporarily Unavailable",
    481: "Call/Transaction Does Not Exist",
    482: "Loop Detected",
    483: "Too Many Hops",
    484: "Address Incomplete",
    486: "Busy Here",
    487: "Request Terminated",
    488: "Not Acceptable Here",
    489: "Bad Event",
    491: "Request Pending",
    500: "Server Internal Error",
    501: "Not Implemented",
    503: "Service Unavailable",
    504: "Server Time-out",
    505: "Version Not Supported",
    513: "Message Too Large",
    603: "Decline",
    606: "Not Acceptable",
}


def reason_phrase(status: int) -> str:
    """Our phrase for a status code: a peer's own words never cross."""
    return REASON_PHRASES[status] if status in REASON_PHRASES else _BY_CLASS[status // 100]


_BY_CLASS: Final = {
    1: "Progress",
    2: "OK",
    3: "Redirect",
    4: "Request Failure",
    5: "Server Failure",
    6: "Global Failure",
}


_STATUS_LINES: Final = {status: f"SIP/2.0 {status} {reason_phrase(status)}" for status in range(100, 700)}


_BLANK: Final = " \t"


@final
class ResponseHead:
    """The rows that every response to one request starts with, copied once: Via, From, To, Call-ID, CSeq."""

    __slots__ = ("_addresses", "_after_to", "_takes_tag", "_timestamp", "_vias", "has_to_tag")

    def __init__(self, request: Message, source_host: str, source_port: int) -> None:
        # Each with the line end before it, since any of them may be missing in what breaks the grammar.
        self._vias = request.via_rows(source_host, source_port)
        self._addresses = request.addresses
        self._after_to = request.call_rows
        self.has_to_tag = request.to_tag != ""
        self._takes_tag = not self.has_to_tag
        if not self._addresses:
            self._copy(request)
        self._timestamp = "" if request.first[h.TIMESTAMP] is None else f"\r\n{request.line(h.TIMESTAMP)}"

    def _copy(self, request: Message) -> None:
        """Makes the rows of a request in which they do not stand as an answer has them."""
        first = request.first
        sender, recipient, cseq, call_id = first[h.FROM], first[h.TO], first[h.CSEQ], request.call_id
        self._addresses = "" if sender is None else f"\r\nFrom: {sender.strip(_BLANK)}"
        if recipient is None:
            self._takes_tag = False
        else:
            self._addresses += f"\r\nTo: {recipient.strip(_BLANK)}"
        if not call_id:
            call_id = (first[h.CALL_ID] or "").strip(_BLANK)
        after_to = f"\r\nCall-ID: {call_id}" if call_id else ""
        self._after_to = after_to if cseq is None else f"{after_to}\r\nCSeq: {cseq.strip(_BLANK)}"

    def tell_load(self, request: Message, source: Flow, load: str) -> None:
        """Every response from now on says so in the top Via: parameters of RFC 7339 §4."""
        self._vias = request.via_rows(source.host, source.port, load)

    def build(self, status: int, to_tag: str = "", lines: list[str] | None = None, body: bytes = b"") -> bytes:
        """A response with our reason phrase and `lines` behind the rows of the request."""
        rows = [self.text(status, to_tag)]
        if lines:
            rows += lines
        return render_rows(rows, body)

    def text(self, status: int, to_tag: str) -> str:
        """Status-Line, Via, From, To, Call-ID and CSeq, the phrase ours, joined by CRLF.

        `to_tag` is added unless the request's To had one already (§8.2.6.2).
        """
        tag = f";tag={to_tag}" if to_tag and self._takes_tag else ""
        text = f"{_STATUS_LINES[status]}{self._vias}{self._addresses}{tag}{self._after_to}"
        return text + self._timestamp if status == 100 else text  # §8.2.6.1


def response_flow(request: Message, flow: Flow) -> Flow:
    """Where an answer goes (§18.2.2).

    Over UDP: the source where rport asks for it, else its host and sent-by's port. On a stream: the connection that the
    request came by, and when that has gone a new one to sent-by's port.
    """
    via = request.top_via
    if flow.transport != "UDP":
        default = 5061 if flow.transport == "TLS" else 5060
        port = default if via is None else via.port or default
        return Flow(flow.transport, flow.host, flow.port, flow.local, flow.identities, port)
    if via is None or via.asks_rport or (via.port or 5060) == flow.port:
        return flow
    return Flow(flow.transport, flow.host, via.port or 5060, flow.local, flow.identities)
