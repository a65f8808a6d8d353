"""A callee could try numbers in a redirect: of several it had the one that is the caller's passed over, not the others.

It names a guess, and behind it a phone of its own: that one rang when the guess was right, and a stranger's else.
"""

from __future__ import annotations

import pytest

from tests.core.corenode import CALLEE2, A, CoreNode
from tests.core.parties import B, start
from tests.core.test_redirect import FOLLOWING, C, contact, redirect

WRONG = "13800138001"
ACCOMPLICE = "13700137009"


@pytest.mark.parametrize("guess", [A, WRONG])
def test_no_phone_rings_for_a_guess_of_the_caller(guess: str) -> None:
    node = CoreNode(FOLLOWING)
    redirect(node, start(node), f"{contact(guess)}, {contact(ACCOMPLICE)};q=0.5")
    node.wait(100)
    assert not any(ACCOMPLICE.encode() in data for data in node.sent_to(CALLEE2))


@pytest.mark.parametrize("guess", [B, WRONG])
def test_no_phone_rings_for_a_guess_of_an_earlier_callee(guess: str) -> None:
    node = CoreNode(FOLLOWING)
    redirect(node, start(node), contact(C))
    second = node.book.wire_out("INVITE ", CALLEE2)
    redirect(node, second, f"{contact(guess)}, {contact(ACCOMPLICE)};q=0.5", source=CALLEE2)
    node.wait(100)
    assert not any(ACCOMPLICE.encode() in data for data in node.sent_to(CALLEE2))
