"""The gate: what may cross to the other party, how it is made, and the check of what leaves.

Every message for a party is built here from an allow-list; nothing crosses because it was there. A header field that
is not named in `CROSSING` stays behind. What is named is read and written anew, never copied as text. Then the
other party's real number is searched in all that comes from the other side or from us (contract §5).

What a party sent itself and gets back (Via, From, To, Call-ID, CSeq, Record-Route of its own requests; its own
Contact as our Request-URI) is not searched: it knows those bytes. If it were, a party could try numbers in its own tag
and learn from our silence which one is the other's.
"""

from __future__ import annotations

from typing import Final, final
from urllib.parse import unquote_to_bytes

from engine.core.settings import PeerSettings
from sipstack import headers as h
from sipstack.fields import option_tags, parse_number
from sipstack.message import Message, render
from sipstack.response import ResponseHead

ALLOW: Final = "Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, MESSAGE, PRACK, UPDATE, INFO"

# Option tags that mean the same to both ends when they cross (contract §5).
CROSSING_OPTIONS: Final = ("100rel", "timer", "precondition")

# What crosses, by what the message is. Each field is read as what it is and written anew (`_written`).
INVITE_REQUEST: Final = (h.SUPPORTED, h.REQUIRE, h.SESSION_EXPIRES, h.MIN_SE)
UPDATE_REQUEST: Final = INVITE_REQUEST
PRACK_REQUEST: Final[tuple[int, ...]] = ()
INFO_REQUEST: Final[tuple[int, ...]] = ()
MESSAGE_REQUEST: Final[tuple[int, ...]] = ()
PROVISIONAL_RESPONSE: Final = (h.SUPPORTED, h.REQUIRE, h.RSEQ)
SUCCESS_RESPONSE: Final = (h.SUPPORTED, h.REQUIRE, h.SESSION_EXPIRES)
FAILURE_RESPONSE: Final = (h.MIN_SE, h.RETRY_AFTER)

# Requests within a dialog, by method.
DIALOG_REQUEST: Final[dict[str, tuple[int, ...]]] = {
    "INVITE": INVITE_REQUEST,
    "UPDATE": UPDATE_REQUEST,
    "PRACK": PRACK_REQUEST,
    "INFO": INFO_REQUEST,
    "OPTIONS": (),
}

# Taken out before the search, so that 138-0013-8000, 138 0013 8000 and UTF-16 are found like 13800138000.
_BETWEEN_DIGITS: Final = b"-.() \t/\0"

# Shorter numbers (95588, 110) stand in ports and identifiers by chance: they are searched as whole words.
_SEARCHED_SQUEEZED_FROM: Final = 7


class LeakStopped(Exception):
    """A message would have shown a party the other one's real number; it has not been sent."""


def holds_number(data: bytes, number: str) -> bool:
    """True when `number` (canonical digits, "" for none) stands in `data` in a spelling that can be read back."""
    if not number:
        return False
    wanted = number.encode("ascii")
    if b"%" in data:
        data = unquote_to_bytes(data) + b"\n" + data
    if len(number) >= _SEARCHED_SQUEEZED_FROM:
        return wanted in data.translate(None, _BETWEEN_DIGITS)
    return _stands_alone(data, wanted)


def _stands_alone(data: bytes, wanted: bytes) -> bool:
    start = data.find(wanted)
    while start >= 0:
        end = start + len(wanted)
        if not data[start - 1 : start].isdigit() and not data[end : end + 1].isdigit():
            return True
        start = data.find(wanted, start + 1)
    return False


@final
class Party:
    """One side of a call or message as the gate sees it: its trunk, and what must never reach it."""

    __slots__ = ("contact", "hidden", "peer")

    def __init__(self, peer: PeerSettings, hidden: str, contact: str) -> None:
        self.peer = peer
        self.hidden = hidden  # the other party's real number in canonical form, "" while unknown
        self.contact = contact  # our Contact row towards this side


def build_request(
    party: Party, start_line: str, own: list[str], crossing: list[str], body: bytes = b"", content_type: str = ""
) -> bytes:
    """A request for `party`. `own` rows are ours or the party's own, `crossing` come from the other side.

    Raises LeakStopped.
    """
    lines = [*crossing, f"Content-Type: {content_type}"] if body else crossing
    _check(party, lines, body)
    return render(start_line, own + lines, body)


def build_response(
    party: Party,
    head: ResponseHead,
    status: int,
    to_tag: str,
    own: list[str],
    crossing: list[str],
    body: bytes = b"",
    content_type: str = "",
) -> bytes:
    """A response for `party`; the reason phrase is ours. Raises LeakStopped."""
    lines = [*crossing, f"Content-Type: {content_type}"] if body else crossing
    _check(party, lines, body)
    return head.build(status, to_tag, own + lines, body)


def _check(party: Party, lines: list[str], body: bytes) -> None:
    if holds_number("\n".join(lines).encode("utf-8", "surrogateescape") + b"\n" + body, party.hidden):
        raise LeakStopped


def crossing_lines(message: Message, allowed: tuple[int, ...], receiver: PeerSettings) -> list[str]:
    """The header rows of `message` that cross to `receiver`, written anew, and its `pass_headers`.

    Raises RemoteSipError when an allowed field is malformed.
    """
    lines = [row for header in allowed if header in message.ids and (row := _written(header, message))]
    for name in receiver.pass_headers:
        lines.extend(f"{name}: {value}" for value in message.named(name))
    return lines


def _written(header: int, message: Message) -> str:
    """One field, read as what it is and written in our spelling; "" when nothing of it crosses."""
    if header in (h.SUPPORTED, h.REQUIRE):
        tags = [tag for tag in CROSSING_OPTIONS if tag in option_tags(message.values(header))]
        return f"{h.CANONICAL[header]}: {', '.join(tags)}" if tags else ""
    value = message.value(header) or ""
    number, _, params = value.partition(";")
    seconds = parse_number(number.strip(" \t"), 2**32, h.CANONICAL[header])
    if header == h.SESSION_EXPIRES:
        for refresher in ("uac", "uas"):
            if params.replace(" ", "").lower().split(";")[0] == f"refresher={refresher}":
                return f"Session-Expires: {seconds};refresher={refresher}"
    return f"{h.CANONICAL[header]}: {seconds}"


def unsupported_options(message: Message) -> list[str]:
    """Option tags that the sender requires and that do not cross: 420 (contract §5)."""
    tags = option_tags(message.values(h.REQUIRE) + message.values(h.PROXY_REQUIRE))
    return [tag for tag in tags if tag not in CROSSING_OPTIONS]


def reason_line(q850: int) -> str:
    """Our Reason row (RFC 3326); it says nothing but the number of the cause."""
    return f"Reason: Q.850;cause={q850}"
