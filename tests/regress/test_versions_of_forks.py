"""An offer in one early dialog raised the version of the next offer in the other: it must rise by one (RFC 3264 §8)."""

from __future__ import annotations

from sipstack.message import Message
from tests.core.corenode import CALLEE, CALLER, CoreNode
from tests.core.parties import B_SDP, SDP, Talk, answer, ring, start

HELD = f"{SDP.rstrip()}\na=sendonly\n"


def version(message: Message) -> tuple[int, int]:
    """Session id and version of the origin."""
    _, session, number, *_ = message.body.decode().split("\r\n")[1].split(" ")
    return int(session), int(number)


def test_each_early_dialog_counts_its_own_versions() -> None:
    node = CoreNode()
    sent = start(node)
    session, first = version(sent)
    one = Talk(node, sent, ring(node, sent, 183, "b-tag-1"), "b-tag-1")
    other = Talk(node, sent, ring(node, sent, 183, "b-tag-2"), "b-tag-2")
    assert offered(one, HELD, "1") == (session, first + 1)
    late = Talk(node, sent, ring(node, sent, 183, "b-tag-3"), "b-tag-3")
    for talk, name in ((other, "2"), (late, "3")):
        assert offered(talk, SDP, f"{name}a") == (session, first)  # as it was in the INVITE
        assert offered(talk, HELD, f"{name}b") == (session, first + 1)
    assert offered(one, SDP, "1b") == (session, first + 2)
    node.book.wire_in(answer(sent, 486, "b-tag-1"), CALLEE)
    node.book.wire_out("ACK ", CALLEE)
    node.book.wire_out("SIP/2.0 486", CALLER)


def offered(talk: Talk, sdp: str, branch: str) -> tuple[int, int]:
    """An UPDATE of the caller in one of the dialogs, agreed to; what the callee sees of its origin."""
    talk.from_caller("UPDATE", sdp=sdp, branch=f"z9hG4bK-a-update{branch}")
    update = talk.node.book.wire_out("UPDATE ", CALLEE)
    assert update.to_tag == talk.tag
    talk.node.book.wire_in(answer(update, 200, sdp=B_SDP), CALLEE)
    talk.node.book.wire_out("SIP/2.0 200", CALLER)
    return version(update)
