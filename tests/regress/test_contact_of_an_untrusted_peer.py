"""A peer that is not trusted had requests within its calls sent to any host that its Contact or Record-Route named."""

from __future__ import annotations

import pytest

from engine.core.settings import CallerSource
from tests.core.corenode import CALLEE, CALLER, SETTINGS, CoreNode, with_trunk
from tests.core.parties import B_SDP, Talk, answer, invite, start

ELSEWHERE = "127.0.0.77:8080"
OUTSIDE = with_trunk("caller-side", trusted=False, caller=CallerSource.FROM, match=("127.0.0.12", "127.0.0.18/31"))


def bye_goes_to(node: CoreNode, contact: str, route: str = "") -> str:
    """Where a BYE for the caller is sent that has given this Contact and Record-Route."""
    data = invite(extra=f"Record-Route: <sip:{route};lr>" if route else "").replace(CALLER.encode(), contact.encode())
    sent = start(node, data.replace(f"UDP {contact}".encode(), f"UDP {CALLER}".encode()))
    node.book.wire_in(answer(sent, 200, sdp=B_SDP), CALLEE)
    talk = Talk(node, sent, node.book.wire_out("SIP/2.0 200", CALLER))
    talk.from_caller("ACK")
    node.book.wire_out("ACK ", CALLEE)
    talk.from_callee("BYE")
    flow = node.book.sent[0].flow
    bye = node.book.wire_out("BYE ")
    node.book.wire_in(answer(bye, 200), CALLER)
    return f"{flow.host}:{flow.port}"


def test_only_hosts_of_its_own_are_sent_anything() -> None:
    assert bye_goes_to(CoreNode(OUTSIDE), ELSEWHERE) == CALLER
    assert bye_goes_to(CoreNode(OUTSIDE), CALLER, ELSEWHERE) == CALLER
    assert bye_goes_to(CoreNode(OUTSIDE), "127.0.0.12:5071") == "127.0.0.12:5071"
    assert bye_goes_to(CoreNode(OUTSIDE), "127.0.0.19:5071") == "127.0.0.19:5071"
    assert bye_goes_to(CoreNode(OUTSIDE), ELSEWHERE, "127.0.0.18") == "127.0.0.18:5060"


@pytest.mark.parametrize("contact", [ELSEWHERE, "127.0.0.12:5071"])
def test_a_trusted_one_is_followed(contact: str) -> None:
    """RFC 3261 §12.2.1.1."""
    assert bye_goes_to(CoreNode(SETTINGS), contact) == contact
