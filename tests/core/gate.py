"""Drafts for the gate, made from a message that is full of its sender, and all tables by what they are for."""

from __future__ import annotations

from engine.core.context import CoreContext
from engine.core.crossing import INVITE, MESSAGE, REPORT, REQUESTS, RESPONSES
from engine.core.disclosure import Party, RequestDraft
from engine.core.pair import CALLEE, CALLER
from engine.core.settings import PeerSettings
from engine.core.tokens import TokenSource
from sipstack.dialog import Dialog, DialogId
from sipstack.events import Flow
from sipstack.message import Message, render
from sipstack.parser import parse
from sipstack.timers import Timing
from sipstack.transactions import Transactions
from tests.core.corenode import SETTINGS, seeded

A = "13800138000"
PEER = PeerSettings("b", ("127.0.0.13",), ())
CONTEXT = CoreContext(SETTINGS, Transactions(Timing()), TokenSource(seeded("gate")))

# Every table by which something crosses: (receiving side, method, class of the status; 0 for a request).
TABLES = {
    (CALLEE, "first INVITE", 0): INVITE,
    (CALLEE, "MESSAGE", 0): MESSAGE,
    (CALLER, "report", 0): REPORT,
    **{(side, method, 0): rows for side in (CALLER, CALLEE) for method, rows in REQUESTS[side].items()},
    **{(side, *kind): rows for side in (CALLER, CALLEE) for kind, rows in RESPONSES[side].items()},
}
STATUSES = {0: (0,), 1: (183,), 2: (200,), 4: (405, 420, 488), 5: (580,), 6: (603,)}  # by class; 0 for a request
BY_NAME = {row.name: row for rows in TABLES.values() for row in rows.table}


def message(*rows: str, status: int = 0) -> Message:
    """An INVITE, or a response to it, with further rows."""
    start = f"SIP/2.0 {status} {A}" if status else "INVITE sip:700123456780001@veil.example SIP/2.0"
    basic = [
        "Via: SIP/2.0/UDP 192.0.2.12;branch=z9hG4bKx",
        f'From: "{A}" <sip:{A}@x>;tag={A}',
        f"To: <sip:{A}@x>",
        f"Call-ID: {A}@192.0.2.12",
        "CSeq: 1 INVITE",
        f"Contact: <sip:{A}@192.0.2.12>",
    ]
    return parse(render(start, [*basic, *rows]))


def request_draft(party: Party, came: Message | None, rack: str = "") -> RequestDraft:
    dialog = Dialog(DialogId("ourcallid", "ourtag", "tag"), "<sip:x@h>;tag=ourtag", "<sip:b@h>;tag=tag", 1, 1)
    dialog.remote_target = "sip:b@h"
    draft = RequestDraft(CONTEXT, party, dialog, Flow("UDP", "127.0.0.13", 5060), ("INVITE", 2), came)
    draft.rack = rack
    return draft
