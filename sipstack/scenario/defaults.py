"""Messages that stand in no scenario: how a call is ended that went another way than it was written."""

from __future__ import annotations

from typing import Final

from sipstack.scenario.keywords import parse_template
from sipstack.scenario.model import Template


def _template(text: str) -> Template:
    return parse_template(text, set())


_OURS: Final = "Contact: <sip:[local_ip]:[local_port]>\nMax-Forwards: 70\nContent-Length: 0\n\n"
_NEW_VIA: Final = "Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]\n"
_PARTIES: Final = "[last_From:]\n[last_To:]\nCall-ID: [call_id]\n"

# To a failure final answer: it belongs to the INVITE, and so does its Via (RFC 3261 §17.1.1.3).
ACK: Final = _template(f"ACK [last_Request_URI] SIP/2.0\n[last_Via:]\n{_PARTIES}CSeq: [last_cseq_number] ACK\n{_OURS}")
CANCEL: Final = _template(
    f"CANCEL [last_Request_URI] SIP/2.0\n[last_Via:]\n{_PARTIES}CSeq: [last_cseq_number] CANCEL\n{_OURS}"
)
BYE: Final = _template(f"BYE [last_Request_URI] SIP/2.0\n{_NEW_VIA}{_PARTIES}CSeq: [last_cseq_number+1] BYE\n{_OURS}")
ANSWER: Final = _template(
    "SIP/2.0 200 OK\n[last_Via:]\n[last_From:]\n[last_To:]\n[last_Call-ID:]\n[last_CSeq:]\n"
    "Contact: <sip:[local_ip]:[local_port]>\nContent-Length: 0\n\n"
)
