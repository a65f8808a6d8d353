"""A count that is a party's short number by chance ends no call: a key press of 12345 ms, a subscription of 12345 s."""

from __future__ import annotations

from tests.core.corenode import CALLEE, CALLER, B, CoreNode, axb
from tests.core.parties import Talk, answer, invite, talking
from tests.core.test_refused_methods import BOTH_ALLOW
from tests.core.transfers import OTHER_X, End

SHORT = "12345"
KEY = f"Content-Type: application/dtmf-relay\n\nSignal=5\nDuration={SHORT}"


def talking_to_a_short_number() -> Talk:
    node = CoreNode(BOTH_ALLOW, (axb(caller=SHORT), axb(caller=B, callee=SHORT)))
    return talking(node, invite(caller=SHORT))


def test_key_press_as_long_as_the_number_of_the_caller() -> None:
    talk = talking_to_a_short_number()
    talk.from_caller("INFO", KEY)
    sent = talk.node.book.wire_out("INFO ", CALLEE)
    assert sent.body == b"Signal=5\r\nDuration=12345\r\n"
    talk.node.book.wire_in(answer(sent, 200), CALLEE)
    talk.node.book.wire_out("SIP/2.0 200", CALLER)
    talk.hang_up()


def test_subscription_for_as_many_seconds() -> None:
    talk = talking_to_a_short_number()
    callee, caller = End(talk, "callee"), End(talk, "caller")
    callee.send("REFER", f"Refer-To: <sip:{OTHER_X}@veil.example>")
    asked = talk.node.book.wire_out("REFER ", CALLER)
    caller.answers(asked, 202)
    talk.node.book.wire_out("SIP/2.0 202", CALLEE)
    caller.send("NOTIFY", f"Event: refer;id={asked.cseq}\nSubscription-State: active;expires={SHORT}")
    told = talk.node.book.wire_out("NOTIFY ", CALLEE)
    assert told.named("Subscription-State") == [f"active;expires={SHORT}"]
    callee.answers(told, 200)
    talk.node.book.wire_out("SIP/2.0 200", CALLER)
    talk.hang_up()
