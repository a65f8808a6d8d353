"""Every field in which a party could be named, filled with the number, host and words of one party."""

from __future__ import annotations

import base64
from typing import Final

from tests.conformance.parties import Party

# Fields of requests and responses that must not be looked at twice: a second From or To is malformed.
_PATTERNS: Final = (
    "P-Asserted-Identity: <tel:+86{n}>", "P-Preferred-Identity: <sip:{n}@{h}>",
    "Remote-Party-ID: <sip:{n}@{h}>;party=calling;id-type=subscriber", "Diversion: <sip:{n}@{h}>;reason=unknown",
    "History-Info: <sip:{n}@{h}>;index=1", "Referred-By: <sip:{n}@{h}>", "Reply-To: <sip:{n}@{h}>",
    "P-Called-Party-ID: <sip:{n}@{h}>", "P-Charging-Vector: icid-value={w};orig-ioi={h};icid-generated-at={h}",
    "P-Access-Network-Info: 3GPP-E-UTRAN-FDD;utran-cell-id-3gpp={w}", "P-Visited-Network-ID: {w}",
    "Call-Info: <http://{h}/{n}.png>;purpose=icon", "Alert-Info: <http://{h}/{w}>", "Identity: {jwt};info=<https://{h}/{w}>",
    "Geolocation: <sip:{n}@{h}>", "Geolocation-Routing: yes", "Subject: call {n}", "Organization: {w}",
    "Warning: 399 {h} \"{n} {w}\"", "Reason: SIP;cause=486;text=\"{n}\"", "In-Reply-To: {w}@{h}",
    "User-to-User: {hex};encoding=hex", "Session-ID: {hex};remote={hex}", "X-Number: {n}", "X-Reversed: {reversed}",
    "X-Base64: {b64}", "X-Percent: {percent}", "X-Split: {split}", "X-BCD: {bcd}", "User-Agent: {w} {n}", "Server: {w}",
    "Error-Info: <sip:{n}@{h}>", "Accept-Contact: *;+sip.instance=\"{w}\"", "Feature-Caps: *;+{w}", "Date: {w}",
)  # fmt: skip


def rows_of(party: Party) -> list[str]:
    """One row for each field."""
    n = party.number
    filled = {
        "n": n,
        "h": party.host,
        "w": party.word(),
        "hex": n.encode().hex(),
        "reversed": n[::-1],
        "b64": base64.b64encode(n.encode()).decode(),
        "percent": "".join(f"%{ord(digit):02X}" for digit in n),
        "split": "-".join(n),
        "bcd": "".join(a + b for a, b in zip(n[1::2] + "F", n[::2], strict=True)),
        "jwt": ".".join(base64.urlsafe_b64encode(f'{{"tn":"{n}"}}'.encode()).decode().rstrip("=") for _ in range(3)),
    }
    return [pattern.format(**filled) for pattern in _PATTERNS]


def description_of(party: Party) -> bytes:
    """An SDP body with the number or a word in each line that may name somebody."""
    n, h = party.number, party.host
    lines = (
        "v=0", f"o={n} {n} {n} IN IP4 {h}", f"s={party.word()} {n}", f"i={n}", f"u=http://{h}/{n}", f"e={n}@{h}",
        f"p=+86 {n[:3]} {n[3:]}", f"c=IN IP4 {h}", "b=AS:64", "t=0 0", f"a=tool:{party.word()}", f"a=cat:{n}",
        "m=audio 4000 RTP/AVP 8", f"i={n}", "a=rtpmap:8 PCMA/8000", f"a=ssrc:1 cname:{n}@{h}",
        f"a=label:{party.word()}", f"a=X-{party.word()}", f"a=user:{n}", "a=sendrecv",
    )  # fmt: skip
    return "\r\n".join(lines).encode() + b"\r\n"
