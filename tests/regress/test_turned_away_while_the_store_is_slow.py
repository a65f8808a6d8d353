"""A call that is turned away waits for its row: its sender heard nothing meanwhile, and it took the place of a call."""

from __future__ import annotations

from tests.core.corenode import CALL_ID, CALLER, CoreNode, with_trunk
from tests.core.parties import invite


def another(number: int) -> bytes:
    data = invite(branch=f"z9hG4bK-a{number}x", tag=f"a-tag{number}")
    return data.replace(CALL_ID.encode(), f"{number}{CALL_ID}".encode())


def test_an_invite_hears_something_in_200_ms() -> None:
    node = CoreNode()
    node.service.intake.is_draining = True
    node.store_gives_up = True
    node.durable.clear()
    node.book.wire_in(invite(), CALLER)
    node.wait(0.19)
    assert node.sent_to(CALLER) == []
    node.wait(0.03)
    node.book.wire_out("SIP/2.0 100", CALLER)
    node.wait(4.7)
    node.book.silence()
    node.wait(0.2)
    node.book.wire_out("SIP/2.0 503", CALLER)


def test_it_takes_no_place_of_a_call() -> None:
    node = CoreNode(with_trunk("caller-side", max_calls=1))
    node.looks_up = False
    node.book.wire_in(invite(), CALLER)
    node.durable.clear()
    for number in range(2, 6):
        node.book.wire_in(another(number), CALLER)
    limits = node.service.intake.limits
    assert limits._calls["caller-side"] == 1
