"""An INVITE of RFC 2543, without tag, branch and Contact, was answered 400 before anybody looked at its number."""

from __future__ import annotations

from sipstack.testing.playbook import wire
from tests.core.corenode import CALLEE, CALLER, CoreNode, X

INVITE = """INVITE sip:{called}@veil.example SIP/2.0
Via: SIP/2.0/UDP 127.0.0.12
To: <sip:{called}@veil.example>
From: <sip:13800138000@127.0.0.12>
Call-ID: old-1@127.0.0.12
CSeq: 1 INVITE
"""


def test_policy_decides_about_it() -> None:
    node = CoreNode()
    node.book.wire_in(wire(INVITE, called="15900159000"), CALLER)
    node.book.wire_out("SIP/2.0 100", CALLER)
    node.book.wire_out("SIP/2.0 404", CALLER)
    assert node.record["release_cause"] == "NO_ROUTE"


def test_a_call_comes_of_it() -> None:
    node = CoreNode()
    node.book.wire_in(wire(INVITE, called=X), CALLER)
    node.book.wire_out("SIP/2.0 100", CALLER)
    node.book.wire_out("INVITE ", CALLEE)
