"""Messages to be masked."""

from __future__ import annotations

from engine.core.semi_octets import Address

X = "700123456780001"
A = "13800138000"
B = "13900139000"
KEY = b"k" * 32
SMS = "application/vnd.3gpp.sms"


def invite(number: str, rows: bytes = b"", kind: bytes = b"text/plain", body: bytes = b"") -> bytes:
    """An INVITE of a number to X, with more rows and a body."""
    head = f"INVITE sip:{X}@192.0.2.1 SIP/2.0\r\nFrom: <sip:{number}@192.0.2.12>;tag=a\r\nTo: <sip:{X}@192.0.2.1>\r\n"
    head += "Call-ID: abc@192.0.2.12\r\nCSeq: 1 INVITE\r\n"
    more = rows + b"\r\n" if rows else b""
    return head.encode() + more + b"Content-Type: %b\r\nContent-Length: %d\r\n\r\n" % (kind, len(body)) + body


def said(number: str, body: bytes, kind: str) -> bytes:
    """A MESSAGE of a number to X."""
    return invite(number, b"", kind.encode(), body).replace(b"INVITE", b"MESSAGE")


def semi_octets(digits: str) -> bytes:
    """As TS 23.040 writes them."""
    return Address(digits).octets()[1:]
