"""A 2xx that nobody waits for made the node send an ACK and eleven BYEs to any host, as often as its sender liked."""

from __future__ import annotations

import pytest

from engine.core.callee_try import MAX_FORKS
from engine.core.try_ids import TryIds
from tests.core.corenode import CALLEE, FIRST_RUN, CoreNode
from tests.core.parties import answer
from tests.core.test_lost_tries import stray

IDS = TryIds(FIRST_RUN.key, "ofOurOwnMaking")


def from_callee(node: CoreNode, tag: str, target: str = "sip:x@127.0.0.13:5060", extra: str = "") -> None:
    data = stray(IDS.call_id, IDS.tag, IDS.cseq, f"Contact: <{target}>{extra}")
    node.book.wire_in(data.replace(b";tag=b-tag", f";tag={tag}".encode()), CALLEE)


@pytest.mark.parametrize("third", ["203.0.113.9:53", "127.0.0.12:5060"])
@pytest.mark.parametrize("where", ["contact", "route"])
def test_a_third_host_gets_nothing(third: str, where: str) -> None:
    node = CoreNode()
    if where == "contact":
        from_callee(node, "b", f"sip:x@{third}")
    else:
        from_callee(node, "b", extra=f"\nRecord-Route: <sip:{third};lr>")
    ack = node.book.wire_out("ACK ", CALLEE)
    assert third in ack.to_bytes().decode()  # said, not followed
    node.book.wire_in(answer(node.book.wire_out("BYE ", CALLEE), 200), CALLEE)
    node.book.silence()


def test_one_invite_has_only_so_many_answers() -> None:
    node = CoreNode()
    for number in range(MAX_FORKS + 8):
        from_callee(node, f"b{number}")
    assert len(node.book.sent) == 2 * MAX_FORKS
    assert node.counters["stray_successes"] == 8
    for _ in range(MAX_FORKS):
        node.book.wire_out("ACK ", CALLEE)
        node.book.wire_in(answer(node.book.wire_out("BYE ", CALLEE), 200), CALLEE)
    from_callee(node, "b0")  # a copy gets its ACK again, and no BYE
    node.book.wire_out("ACK ", CALLEE)
    node.book.silence()
    node.wait(40)
    from_callee(node, "b99")
    node.book.wire_out("ACK ", CALLEE)
    node.book.wire_in(answer(node.book.wire_out("BYE ", CALLEE), 200), CALLEE)
    node.book.silence()
