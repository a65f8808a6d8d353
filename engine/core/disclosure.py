"""The gate: how a message for a party is made, and the check of what leaves.

Every message that carries something from one party to the other is built here, from the rows of its kind in the tables
of `engine.core.crossing`; nothing crosses because it was there. A header field that no table names stays behind. Then
the other party's real number is searched in all that comes from the other side (contract §5), in the spellings that
`engine.core.spelling` knows.

What a party sent itself and gets back (Via, From, To, Call-ID, CSeq, Record-Route of its own requests; its own
Contact as our Request-URI) is not searched: it knows those bytes. If it were, a party could try numbers in its own tag
and learn from our silence which one is the other's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Generic, NamedTuple, TypeVar, final

from engine.core.bodies import INFO_TYPES
from engine.core.context import CoreContext
from engine.core.copies import body_hides, text_hides
from engine.core.plain_texts import is_plain_text
from engine.core.session_bodies import description_holds_number, is_plain
from engine.core.settings import PeerSettings
from engine.core.spelling import LONG_FROM, holds_number
from engine.core.text_bodies import TYPES
from sipstack import headers as h
from sipstack.dialog import Dialog
from sipstack.events import Flow
from sipstack.message import ENCODING, ERRORS, Message, render_rows
from sipstack.response import ResponseHead
from sipstack.sdp import CONTENT_TYPE as SDP_TYPE

# Rows that hold a count of the other side's and nothing else of it: whose number has three to eight digits must be
# reachable in spite of a count that is the same by chance.
_COUNTS: Final = (
    *(f"{h.CANONICAL[header]}: " for header in (h.SESSION_EXPIRES, h.MIN_SE, h.RSEQ, h.RETRY_AFTER)),
    "Subscription-State: ",
)

# How a row is produced. What is NEW or OWN is not searched: its source is OURS.
NEW: Final = "new"  # by this node, whatever either party wrote
OWN: Final = "own"  # what the receiver itself has written, back to it
TRANSLATED: Final = "translated"  # read as what it is, and written anew in our words
CHECKED: Final = "copied after check"  # the other side's text, searched for its number

# All that crosses with a body, nearly always: how it is to be read, in words of ours.
TYPE_ROWS: Final = {kind: f"Content-Type: {kind}" for kind in (SDP_TYPE, *TYPES)}
_SDP_ROWS: Final = [TYPE_ROWS[SDP_TYPE]]
_TEXT_ROWS: Final = {kind: [TYPE_ROWS[kind]] for kind in TYPES}

# Where what a row says comes from, when it is not one field of the other side's message: its id in `sipstack.headers`.
OURS: Final = -1  # from nothing that the other side wrote: always produced, and not searched
VARIOUS: Final = h.OTHER  # from several fields or none: always asked, and searched


class LeakStopped(Exception):
    """A message would have shown a party the other one's real number; it has not been sent."""


@final
class Party:
    """One side of a call or message as the gate sees it: its trunk, and what must never reach it."""

    __slots__ = ("also_hidden", "contact", "hidden", "may_transfer", "peer", "side")

    def __init__(
        self, side: int, peer: PeerSettings, hidden: str, contact: str, also_hidden: tuple[str, ...] = ()
    ) -> None:
        self.side = side  # CALLER or CALLEE of `engine.core.pair`
        self.peer = peer
        self.hidden = hidden  # the other party's real number in canonical form, "" while unknown
        self.also_hidden = also_hidden  # other spellings of it; callees that a redirect led to, or away from
        self.contact = contact  # our Contact row towards this side
        self.may_transfer = False  # the peers of both sides have `allow_transfer`

    def hide_too(self, numbers: tuple[str, ...]) -> None:
        """These must not reach it either."""
        if numbers:
            self.also_hidden = tuple(dict.fromkeys((*self.also_hidden, *numbers)))


class Draft:
    """What the rows of one message for `party` may be made from. `message` is what the other side sent, if any."""

    __slots__ = ("body", "content_type", "from_ims", "from_trusted", "message", "party", "q850")

    party: Party
    message: Message | None
    body: bytes
    content_type: str  # of the body, as it is written
    from_trusted: bool  # the other side is of the trust domain (RFC 3325)
    from_ims: bool  # the other side is an S-CSCF of the node's own IMS, of the trust domain too
    q850: int  # cause of a release or refusal; 0: none is told


@final
class RequestDraft(Draft):
    """A request of ours in `dialog`, or the one that is to make it."""

    __slots__ = (
        "branch",
        "context",
        "dialog",
        "event_id",
        "flow",
        "icid",
        "identity",
        "in_reply_to",
        "is_proven",
        "method",
        "rack",
        "refer_to",
        "routes",
        "seq",
        "session_s",
        "subscription_state",
    )

    def __init__(
        self,
        context: CoreContext,
        party: Party,
        dialog: Dialog,
        flow: Flow,
        start: tuple[str, int],
        message: Message | None = None,
        branch: str = "",
    ) -> None:
        """It leaves by `flow`; `start` is the method and the number in CSeq; without a `branch` it gets one drawn."""
        self.party = party
        self.message = message
        self.body = b""
        self.content_type = ""
        self.from_trusted = self.from_ims = False
        self.q850 = 0
        self.context: Final = context
        self.dialog: Final = dialog
        self.flow: Final = flow
        self.method, self.seq = start
        self.branch: Final = branch or context.tokens.branch()
        self.icid = ""  # icid-value of the charging vector, if there is to be one
        self.identity = ""  # the address that is asserted: the 700 number's, or a service centre's
        self.is_proven = False  # in transit: whose it is, a password has shown
        self.in_reply_to = ""  # Call-ID of the receiver's own request, where this one answers it
        self.routes: tuple[str, ...] = ()  # values of the Route of an S-CSCF, for it
        self.rack = ""  # RAck in the numbers of this dialog
        self.refer_to = ""  # whom the receiver is asked to call, as an address
        self.subscription_state = ""  # of a NOTIFY, in our words
        self.event_id = 0  # the receiver's own number of the REFER that a NOTIFY reports on
        self.session_s = 0  # the session interval that a request of the node's own asks for, 0: none


@final
class ResponseDraft(Draft):
    """A response to the request that `head` was made from."""

    __slots__ = ("head", "min_se_s", "request", "retry_after_s", "status", "to_tag")

    def __init__(
        self, party: Party, head: ResponseHead, status: int, to_tag: str = "", message: Message | None = None
    ) -> None:
        self.party = party
        self.message = message
        self.body = b""
        self.content_type = ""
        self.from_trusted = self.from_ims = False
        self.q850 = 0
        self.head: Final = head
        self.status: Final = status
        self.to_tag: Final = to_tag
        self.request: Message | None = None  # whose Record-Route goes back to its sender
        self.retry_after_s = 0  # 0: nothing is said
        self.min_se_s = 0  # the same


DraftT_contra = TypeVar("DraftT_contra", bound=Draft, contravariant=True)


class Row(NamedTuple, Generic[DraftT_contra]):
    """One entry of a table: the name of a field, how it is produced, and by what.

    `produce` gives the row, rows joined by CRLF, or "" for none. `source` is the field of the other side's message that
    it is made from: without that field it is not asked.
    """

    name: str
    how: str
    produce: Callable[[DraftT_contra], str]
    source: int = OURS


@final
class Rows(Generic[DraftT_contra]):
    """All that one kind of message carries: its table, and what of it runs in which order."""

    __slots__ = ("always", "fields", "own", "source_bits", "sources", "table")

    def __init__(self, *table: Row[DraftT_contra]) -> None:
        self.table: Final = table
        self.own: Final = tuple([row.produce for row in table if row.source == OURS])
        self.fields: Final = tuple([(row.source, row.produce) for row in table if row.source > VARIOUS])
        self.always: Final = tuple([row.produce for row in table if row.source == VARIOUS])
        self.sources: Final = frozenset([source for source, _ in self.fields])
        self.source_bits: Final = sum([1 << source for source in self.sources])


def crossing_rows(rows: Rows[DraftT_contra], draft: DraftT_contra) -> list[str]:
    """The rows that say what the other side said. Raises RemoteSipError when one of its fields is malformed."""
    found: list[str] = []
    message = draft.message
    if message is not None and message.has_any(rows.sources, rows.source_bits):
        first = message.first
        for source, produce in rows.fields:
            if first[source] is not None:
                row = produce(draft)
                if row:
                    found.append(row)
    for produce in rows.always:
        row = produce(draft)
        if row:
            found.append(row)
    return found


def build(rows: Rows[DraftT_contra], draft: DraftT_contra) -> bytes:
    """A message for the party of `draft`. Raises LeakStopped, and RemoteSipError when a field is malformed."""
    lines: list[str] = []
    for produce in rows.own:
        row = produce(draft)
        if row:
            lines.append(row)
    if draft.message is not None or draft.body:
        crossing = crossing_rows(rows, draft)
        if crossing:
            _check(draft.party, crossing, draft.body, draft.content_type)
            lines += crossing
    return render_rows(lines, draft.body)


def _check(party: Party, rows: list[str], body: bytes, content_type: str) -> None:
    if not party.hidden and not party.also_hidden:
        return
    if body and content_type == SDP_TYPE and is_plain(body):
        if rows == _SDP_ROWS:
            return  # nearly always; its Content-Type is a word of ours
        body = b""  # there is nothing to be found
    elif rows == _TEXT_ROWS.get(content_type) and _is_plain_for(party, body):
        return  # nearly every text; in none of those words stand nine digits
    if party.hidden:
        _check_number(party.hidden, party.peer, rows, body, content_type)
    for number in party.also_hidden:
        _check_number(number, party.peer, rows, body, content_type)


def _is_plain_for(party: Party, text: bytes) -> bool:
    """True when a text can hold none of what must not reach this party, which are all long numbers."""
    return len(party.hidden) >= LONG_FROM and not party.also_hidden and is_plain_text(text)


def _check_number(hidden: str, peer: PeerSettings, rows: list[str], body: bytes, content_type: str) -> None:
    head = "\n".join(rows).encode(ENCODING, ERRORS)
    if (peer.pass_headers and text_hides(head, hidden)) or (body and body_hides(body, content_type, hidden)):
        raise LeakStopped
    if not holds_number(head + b"\n" + body, hidden):
        return  # nearly always; now the parts one by one, each as what it is
    if len(hidden) < LONG_FROM:
        head = "\n".join(row for row in rows if not row.startswith(_COUNTS)).encode(ENCODING, ERRORS)
        body = b"" if content_type in INFO_TYPES else body  # a key and for how long, in our words
    holds = description_holds_number if content_type == SDP_TYPE else holds_number
    if holds_number(head, hidden) or holds(body, hidden):
        raise LeakStopped
