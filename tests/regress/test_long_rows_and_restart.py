"""A caller whose Contact was longer than a Request-URI may be kept the node from starting after a kill."""

from __future__ import annotations

from sipstack.limits import MAX_URI_CHARS
from tests.core.corenode import CALLEE, CALLER, CoreNode
from tests.core.parties import B_SDP, answer, invite, start
from tests.core.restart import restarted


def test_contact_longer_than_a_request_uri() -> None:
    long = b";x=" + b"y" * MAX_URI_CHARS
    node = CoreNode()
    sent = start(node, invite().replace(b"@127.0.0.12:5060>\r\nP-A", b"@127.0.0.12:5060%b>\r\nP-A" % long))
    node.book.wire_in(answer(sent, 200, sdp=B_SDP), CALLEE)
    node.book.wire_out("SIP/2.0 200", CALLER)
    node = restarted(node)
    assert [attempt.state_name for attempt in node.service.attempts] == ["Answered"]
    node.book.wire_out("SIP/2.0 200", CALLER)
    node.wait(33)
    while node.book.sent[0].data.startswith(b"SIP/2.0 200"):
        node.book.wire_out("SIP/2.0 200", CALLER)
    bye = node.book.sent[0].data
    assert bye.startswith(b"BYE sip:13800138000@127.0.0.12:5060;x=y")
