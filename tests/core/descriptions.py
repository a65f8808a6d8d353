"""Session descriptions to be rewritten, and the message that carries one."""

from __future__ import annotations

from engine.core.session_bodies import OriginRewriter
from sipstack.message import Message, render
from sipstack.parser import parse

A = "13800138000"
LANDLINE = "2088888888"
HOST = "192.0.2.12"  # of the sender
OURS = "203.0.113.7"

MINIMAL = b"v=0\r\no=- 1 1 IN IP4 192.0.2.12\r\ns=-\r\nc=IN IP4 192.0.2.12\r\nt=0 0\r\n"
AUDIO = b"m=audio 40000 RTP/AVP 8 101\r\na=rtpmap:8 PCMA/8000\r\n"


def sender(status: int = 0) -> Message:
    """The message that carries a description; with a status the response of the other side."""
    start = f"SIP/2.0 {status} OK" if status else "INVITE sip:700@veil.example SIP/2.0"
    rows = [
        "Via: SIP/2.0/UDP pbx.customer.example:5060;branch=z9hG4bKx",
        "From: <sip:+8613800138000@core.customer.example>;tag=1",
        "To: <sip:700123456780001@callee.customer.example>",
        "Call-ID: 1",
        "CSeq: 1 INVITE",
        "Contact: <sip:13800138000@phone.customer.example:5062>",
    ]
    return parse(render(start, rows))


def crossed(body: bytes, carrier: Message | None = None) -> list[str]:
    """The lines that come out of a description."""
    return OriginRewriter(200000001, OURS).rewrite(body, carrier).decode().removesuffix("\r\n").split("\r\n")


def crosses(line: str) -> bool:
    """True when one more line of the description comes out as it went in."""
    return line in crossed(MINIMAL + AUDIO + line.encode() + b"\r\n", sender())
