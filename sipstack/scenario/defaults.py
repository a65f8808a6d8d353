"""Messages that stand in no scenario: how a call is ended that went another way than it was written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from sipstack.scenario.received import Received
from sipstack.scenario.template import Template, parse_template

_CONTACT: Final = "[local_ip]:[local_port];transport=[transport]>\nContent-Length: 0\n\n"
_OURS: Final = f"Max-Forwards: 70\nContact: <sip:sipp@{_CONTACT}"
_NEW_VIA: Final = "Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]\n"
_PARTIES: Final = "[last_From:]\n[last_To:]\nCall-ID: [call_id]\n"
_TEXTS: Final = {
    # To a failure final answer: it belongs to the INVITE, and so does its Via (RFC 3261 §17.1.1.3).
    "ack": f"ACK [last_Request_URI] SIP/2.0\n[last_Via:]\n{_PARTIES}CSeq: [last_cseq_number] ACK\n{_OURS}",
    "cancel": f"CANCEL [last_Request_URI] SIP/2.0\n[last_Via:]\n{_PARTIES}CSeq: [last_cseq_number] CANCEL\n{_OURS}",
    "bye": f"BYE [last_Request_URI] SIP/2.0\n{_NEW_VIA}{_PARTIES}CSeq: [last_cseq_number+1] BYE\n{_OURS}",
    "200": "SIP/2.0 200 OK\n[last_Via:]\n[last_From:]\n[last_To:]\n[last_Call-ID:]\n[last_CSeq:]\n"
           f"Contact: <sip:{_CONTACT}",
    # To the twin: its call is to end as well.
    "3pcc_abort": "call-id: [call_id]\ninternal-cmd: abort_call\n\n",
}  # fmt: skip

# By the names that `<DefaultMessage>` has for them.
DEFAULTS: Final[Mapping[str, Template]] = {name: parse_template(text, set()) for name, text in _TEXTS.items()}
ABORT_COMMAND: Final = "abort_call"


def farewell(last: Received, *, is_inviting: bool, is_established: bool, owes_ack: bool) -> tuple[str, ...]:
    """What a caller takes back a call with, after `last` has come: names of `DEFAULTS`, in their order."""
    if is_established or not is_inviting:
        return ("bye",)
    if last.status >= 300:  # a final answer: too late for CANCEL (RFC 3261 §9.1)
        return ("ack",)
    return ("ack", "bye") if owes_ack else ("cancel",)
