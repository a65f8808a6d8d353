"""An unknown source that replayed a live request under another branch was told 482: it must be told nothing."""

from __future__ import annotations

from tests.core.corenode import CALLEE, CALLER, CoreNode
from tests.core.parties import invite

UNKNOWN = "127.0.0.99:5060"


def test_an_unknown_source_learns_nothing_of_a_live_request() -> None:
    node = CoreNode()
    node.book.wire_in(invite(), CALLER)
    node.book.wire_out("SIP/2.0 100", CALLER)
    node.book.wire_out("INVITE ", CALLEE)
    node.book.wire_in(invite(branch="z9hG4bKreplayed"), UNKNOWN)
    node.book.silence()
    node.book.wire_in(invite(branch="z9hG4bKreplayed"), CALLER)  # from a peer it is a merged request
    node.book.wire_out("SIP/2.0 482", CALLER)
