"""One message written row by row, each of which may be changed, for the tests of the parser."""

from __future__ import annotations

from typing import Final

import pytest

from sipstack.errors import RemoteSipError
from sipstack.events import Flow, MalformedReceived
from sipstack.message import Message
from sipstack.parser import parse
from sipstack.transactions import answer_malformed

SOURCE: Final = Flow("UDP", "192.0.2.99", 5099)

ROWS: Final = {
    "start": "INVITE sip:u@h SIP/2.0",
    "Via": "Via: SIP/2.0/UDP h:5070;branch=z9hG4bKa",
    "Max-Forwards": "Max-Forwards: 70",
    "From": "From: <sip:a@h>;tag=1",
    "To": "To: <sip:b@h>",
    "Call-ID": "Call-ID: x@y",
    "CSeq": "CSeq: 7 INVITE",
    "more": "X-More: 1",
    "Content-Length": "Content-Length: 2",
}
RESPONSE: Final = "SIP/2.0 200 OK"


def written(body: bytes = b"ab", **rows: str | None) -> bytes:
    """A request, or a response with `start`; a row given as None is left out, `more` takes any number of rows."""
    changed = {name.replace("_", "-"): row for name, row in rows.items()}
    lines = [row for row in (ROWS | changed).values() if row is not None]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("utf-8", "surrogateescape") + body


def refused(data: bytes) -> RemoteSipError:
    with pytest.raises(RemoteSipError) as caught:
        parse(data)
    return caught.value


def answered(data: bytes) -> Message:
    [answer] = answer_malformed(MalformedReceived(refused(data), SOURCE))
    return parse(answer.data)
