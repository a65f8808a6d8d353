"""Names of header fields as small integers: compact forms, spellings and the canonical way to write them.

Source: RFC 3261 §7.3.3 and §20, RFC 3262, 3265, 3311, 3323, 3325, 3326, 3428, 3841, 4028, 5009, 5393, 7315.
"""

from __future__ import annotations

from typing import Final

from sipstack.errors import RemoteSipError
from sipstack.grammar import TOKEN
from sipstack.limits import MAX_NAME_SPELLINGS

OTHER: Final = 0
VIA: Final = 1
FROM: Final = 2
TO: Final = 3
CALL_ID: Final = 4
CSEQ: Final = 5
CONTACT: Final = 6
MAX_FORWARDS: Final = 7
CONTENT_LENGTH: Final = 8
CONTENT_TYPE: Final = 9
ROUTE: Final = 10
RECORD_ROUTE: Final = 11
REQUIRE: Final = 12
SUPPORTED: Final = 13
PROXY_REQUIRE: Final = 14
P_ASSERTED_IDENTITY: Final = 15
CONTENT_ENCODING: Final = 16
RSEQ: Final = 17
RACK: Final = 18
SESSION_EXPIRES: Final = 19
MIN_SE: Final = 20
REASON: Final = 21
RETRY_AFTER: Final = 22
TIMESTAMP: Final = 23
ALLOW: Final = 24
CONTENT_DISPOSITION: Final = 25
CONTENT_TRANSFER_ENCODING: Final = 26
P_CHARGING_VECTOR: Final = 27
P_EARLY_MEDIA: Final = 28
ACCEPT_CONTACT: Final = 29
MAX_BREADTH: Final = 30
PRIVACY: Final = 31
EXPIRES: Final = 32
P_ASSERTED_SERVICE: Final = 33
REQUEST_DISPOSITION: Final = 34

_NAMES: Final[tuple[tuple[int, str, str], ...]] = (
    (VIA, "Via", "v"),
    (FROM, "From", "f"),
    (TO, "To", "t"),
    (CALL_ID, "Call-ID", "i"),
    (CSEQ, "CSeq", ""),
    (CONTACT, "Contact", "m"),
    (MAX_FORWARDS, "Max-Forwards", ""),
    (CONTENT_LENGTH, "Content-Length", "l"),
    (CONTENT_TYPE, "Content-Type", "c"),
    (ROUTE, "Route", ""),
    (RECORD_ROUTE, "Record-Route", ""),
    (REQUIRE, "Require", ""),
    (SUPPORTED, "Supported", "k"),
    (PROXY_REQUIRE, "Proxy-Require", ""),
    (P_ASSERTED_IDENTITY, "P-Asserted-Identity", ""),
    (CONTENT_ENCODING, "Content-Encoding", "e"),
    (RSEQ, "RSeq", ""),
    (RACK, "RAck", ""),
    (SESSION_EXPIRES, "Session-Expires", "x"),
    (MIN_SE, "Min-SE", ""),
    (REASON, "Reason", ""),
    (RETRY_AFTER, "Retry-After", ""),
    (TIMESTAMP, "Timestamp", ""),
    (ALLOW, "Allow", ""),
    (CONTENT_DISPOSITION, "Content-Disposition", ""),
    (CONTENT_TRANSFER_ENCODING, "Content-Transfer-Encoding", ""),
    (P_CHARGING_VECTOR, "P-Charging-Vector", ""),
    (P_EARLY_MEDIA, "P-Early-Media", ""),
    (ACCEPT_CONTACT, "Accept-Contact", "a"),
    (MAX_BREADTH, "Max-Breadth", ""),
    (PRIVACY, "Privacy", ""),
    (EXPIRES, "Expires", ""),
    (P_ASSERTED_SERVICE, "P-Asserted-Service", ""),
    (REQUEST_DISPOSITION, "Request-Disposition", "d"),
)

# Fields that may stand once only: a second row is an attack on whoever reads the other one (RFC 4475 §3.3.8).
# Content-Encoding is a list by its grammar; bodies with two codings are unknown, and a coding overlooked hides a body.
SINGLE: Final = frozenset((
    FROM, TO, CALL_ID, CSEQ, MAX_FORWARDS, CONTENT_LENGTH, CONTENT_TYPE, CONTENT_ENCODING, CONTENT_DISPOSITION,
    RSEQ, RACK, SESSION_EXPIRES, MIN_SE, RETRY_AFTER, TIMESTAMP,
))  # fmt: skip

# Compact forms of fields that have no id here (RFC 3515, 3841, 3892, 6665, 8224).
COMPACT: Final[dict[str, str]] = {
    "b": "referred-by",
    "j": "reject-contact",
    "o": "event",
    "r": "refer-to",
    "s": "subject",
    "u": "allow-events",
    "y": "identity",
}

ID_COUNT: Final = len(_NAMES) + 1  # OTHER has no name

CANONICAL: Final[dict[int, str]] = {number: name for number, name, _ in _NAMES}


# Every spelling that has an id, in lower case.
FOLDED: Final[dict[str, int]] = {
    spelling.lower(): number for number, name, compact in _NAMES for spelling in (name, compact) if spelling
}

# Spelling -> id, of the spellings that have been seen, up to a bound. A plain dictionary: a class of our own would be
# asked in a slower way, for every header line of every message.
HEADER_IDS: Final[dict[str, int]] = {name: number for number, name, _ in _NAMES}


def header_id(spelling: str, seen: dict[str, int] = HEADER_IDS) -> int:
    """The id of a field by any spelling of its name, which `seen` remembers: it is folded once.

    A name that is no token raises RemoteSipError: the line is not a header field at all.
    """
    number = seen.get(spelling)
    if number is not None:
        return number
    name = spelling.rstrip(" \t")  # HCOLON allows space before the colon (§25.1)
    if TOKEN.fullmatch(name) is None:
        raise RemoteSipError("a line is no header field")
    number = FOLDED.get(name.lower(), OTHER)
    if len(seen) < MAX_NAME_SPELLINGS:
        seen[spelling] = number
    return number
