"""The gate: what may cross to the other party, how it is made, and the check of what leaves.

Every message for a party is built here from an allow-list; nothing crosses because it was there. A header field that
is not named in the tuples below stays behind. What is named is read and written anew, never copied as text. Then the
other party's real number is searched in all that comes from the other side or from us (contract §5), in the spellings
that `engine.core.spelling` knows.

What a party sent itself and gets back (Via, From, To, Call-ID, CSeq, Record-Route of its own requests; its own
Contact as our Request-URI) is not searched: it knows those bytes. If it were, a party could try numbers in its own tag
and learn from our silence which one is the other's.
"""

from __future__ import annotations

import re
from typing import Final, final

from engine.core.bodies import description_holds_number
from engine.core.settings import PeerSettings
from engine.core.spelling import LONG_FROM, holds_number
from sipstack import headers as h
from sipstack.fields import option_tags, parse_number
from sipstack.grammar import TOKEN
from sipstack.message import ENCODING, ERRORS, Message, render
from sipstack.response import ResponseHead
from sipstack.sdp import CONTENT_TYPE as SDP_TYPE
from sipstack.uri import parse_params

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

_EVER_CROSSING: Final = frozenset(INVITE_REQUEST + PROVISIONAL_RESPONSE + SUCCESS_RESPONSE + FAILURE_RESPONSE)

# Requests within a dialog, by method.
DIALOG_REQUEST: Final[dict[str, tuple[int, ...]]] = {
    "INVITE": INVITE_REQUEST,
    "UPDATE": UPDATE_REQUEST,
    "PRACK": PRACK_REQUEST,
    "INFO": INFO_REQUEST,
    "OPTIONS": (),
    "REFER": (),  # what crosses of these two is made in `engine.core.transfer`
    "NOTIFY": (),
}

# Rows that `_written` makes of a number and nothing else.
_COUNTS: Final = tuple(f"{h.CANONICAL[header]}: " for header in (h.SESSION_EXPIRES, h.MIN_SE, h.RSEQ, h.RETRY_AFTER))

# Three years. A refreshed session repeats the seconds that were asked for (RFC 4028 §9), so they must not be able to
# spell a number: the other side's echo of a guess would be stopped exactly when the guess is right.
_MOST_SECONDS: Final = 10 ** (LONG_FROM - 1) - 1

# Nothing of it may stand in a row that we send: controls, and what logs and files take for the end of a line.
_UNPRINTABLE: Final = re.compile("[\0-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029]")


class LeakStopped(Exception):
    """A message would have shown a party the other one's real number; it has not been sent."""


@final
class Party:
    """One side of a call or message as the gate sees it: its trunk, and what must never reach it."""

    __slots__ = ("also_hidden", "contact", "hidden", "peer")

    def __init__(self, peer: PeerSettings, hidden: str, contact: str, also_hidden: tuple[str, ...] = ()) -> None:
        self.peer = peer
        self.also_hidden = also_hidden  # numbers of callees that a redirect led to, or away from
        self.hidden = hidden  # the other party's real number in canonical form, "" while unknown
        self.contact = contact  # our Contact row towards this side


def build_request(
    party: Party, start_line: str, own: list[str], crossing: list[str], body: bytes = b"", content_type: str = ""
) -> bytes:
    """A request for `party`. `own` rows are ours or the party's own, `crossing` come from the other side.

    Raises LeakStopped.
    """
    lines = [*crossing, f"Content-Type: {content_type}"] if body else crossing
    if lines:
        _check(party, lines, body, content_type)
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
    if lines:
        _check(party, lines, body, content_type)
    return head.build(status, to_tag, own + lines, body)


def _check(party: Party, rows: list[str], body: bytes, content_type: str) -> None:
    for number in party.also_hidden:
        _check(Party(party.peer, number, ""), rows, body, content_type)
    hidden = party.hidden
    head = "\n".join(rows).encode(ENCODING, ERRORS)
    if not holds_number(head + b"\n" + body, hidden):
        return  # nearly always; now the parts one by one, each as what it is
    if len(hidden) < LONG_FROM:
        head = "\n".join(row for row in rows if not row.startswith(_COUNTS)).encode(ENCODING, ERRORS)
    holds = description_holds_number if content_type == SDP_TYPE else holds_number
    if holds_number(head, hidden) or holds(body, hidden):
        raise LeakStopped


def crossing_lines(message: Message, allowed: tuple[int, ...], receiver: PeerSettings) -> list[str]:
    """The header rows of `message` that cross to `receiver`, written anew, and its `pass_headers`.

    Raises RemoteSipError when an allowed field is malformed. A passed one with a control character stays behind.
    """
    lines: list[str] = []
    if not _EVER_CROSSING.isdisjoint(message.ids):
        lines = [row for header in allowed if message.first[header] is not None and (row := _written(header, message))]
    for name in receiver.pass_headers:
        lines.extend(f"{name}: {value}" for value in message.named(name) if not _UNPRINTABLE.search(value))
    return lines


def _written(header: int, message: Message) -> str:
    """One field, read as what it is and written in our spelling; "" when nothing of it crosses."""
    if header in (h.SUPPORTED, h.REQUIRE):
        tags = [tag for tag in CROSSING_OPTIONS if tag in option_tags(message.values(header))]
        return f"{h.CANONICAL[header]}: {', '.join(tags)}" if tags else ""
    value, _, params = (message.value(header) or "").partition(";")
    if header == h.RETRY_AFTER:
        value = value.partition("(")[0]  # a comment may stand behind the seconds (RFC 3261 §20.33)
    number = parse_number(value.strip(" \t"), 2**32, h.CANONICAL[header])
    if header != h.RSEQ:
        number = min(number, _MOST_SECONDS)
    refresher = (parse_params(f";{params}").get("refresher") or "").lower() if header == h.SESSION_EXPIRES else ""
    if refresher in ("uac", "uas"):
        return f"{h.CANONICAL[header]}: {number};refresher={refresher}"
    return f"{h.CANONICAL[header]}: {number}"


def unsupported_options(message: Message) -> list[str]:
    """Option tags required and not crossing: 420 (contract §5). What is no token is not repeated."""
    if message.first[h.REQUIRE] is None and message.first[h.PROXY_REQUIRE] is None:
        return []
    tags = option_tags(message.values(h.REQUIRE) + message.values(h.PROXY_REQUIRE))
    return [tag if TOKEN.fullmatch(tag) else "malformed" for tag in tags if tag not in CROSSING_OPTIONS]


def reason_line(q850: int) -> str:
    """Our Reason row (RFC 3326); it says nothing but the number of the cause."""
    return f"Reason: Q.850;cause={q850}"
