"""A MESSAGE of the caller's, outside of any dialog."""

from __future__ import annotations

from tests.conformance.parties import written
from tests.conformance.rig import Rig


def text_for_x(rig: Rig, body: bytes, *rows: str, kind: str = "text/plain", branch: str = "") -> bytes:
    """One for X, not sent."""
    caller, target = rig.caller, f"sip:{rig.x}@{rig.place.node}"
    lines = [
        f"MESSAGE {target} SIP/2.0",
        f"Via: SIP/2.0/{caller.transport} {caller.sent_by};branch={branch or f'z9hG4bK{caller.word()}'}",
        "Max-Forwards: 70",
        f'From: "{caller.word()}" <sip:{caller.number}@{caller.host}>;tag={caller.word()}',
        f"To: <{target}>",
        f"Call-ID: {caller.word()}",
        "CSeq: 1 MESSAGE",
        f"User-Agent: {caller.word()}",
        *rows,
    ]
    return written(lines, body, kind)
