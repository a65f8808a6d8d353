"""Messages as the two sides of a node send them, with what tells their owner."""

from __future__ import annotations

from engine.core.tokens import TokenSource

X = "700123456780000"


def number(worker: int, workers: int) -> str:
    """A 700 number of this worker."""
    return f"{X[:-4]}{1000 * workers + worker:04}"


def request(uri: str, to_tag: str = "", method: str = "INVITE", more: int = 0) -> bytes:
    """`more` octets of body."""
    tag = f";tag={to_tag}" if to_tag else ""
    head = (
        f"{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKx\r\nTo: <{uri}>{tag}\r\n"
        f"From: <sip:a@h>;tag=a\r\nCall-ID: 1\r\nCSeq: 1 {method}\r\nContent-Length: {more}\r\n\r\n"
    )
    return head.encode("latin-1") + b"x" * more


def response(via: str, reason: str = "OK") -> bytes:
    return (
        f"SIP/2.0 200 {reason}\r\n{via}\r\nFrom: <sip:a@h>;tag=a\r\nTo: <sip:b@h>;tag=b\r\n"
        "Call-ID: 1\r\nCSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n"
    ).encode("latin-1")


def of_ours(tokens: TokenSource, method: str = "BYE") -> bytes:
    """A request as a worker sends it, as far as anybody here looks at it."""
    return (
        f"{method} sip:b@h SIP/2.0\r\nVia: SIP/2.0/TCP veil.example;branch={tokens.branch()}\r\n"
        "Content-Length: 0\r\n\r\n"
    ).encode("latin-1")
