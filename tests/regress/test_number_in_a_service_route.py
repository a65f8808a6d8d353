"""The Route of an S-CSCF goes back as it came: a number in it must not, in an encoding either."""

from __future__ import annotations

import base64

import pytest

from tests.core.corenode import CALLER, A, CoreNode
from tests.core.parties import refused
from tests.core.test_isc import OWN, SCSCF, core, routed

ENCODED = [base64.b64encode(A.encode()).decode().rstrip("="), A.encode().hex(), A]


@pytest.mark.parametrize("hidden", ENCODED, ids=["base64", "hexadecimal", "as it is"])
def test_the_callers_number_in_a_route_stops_the_call(hidden: str) -> None:
    node = CoreNode(core())
    node.book.wire_in(routed(OWN, f"<sip:odi-{hidden}@{SCSCF};lr>"), CALLER)
    node.book.wire_out("SIP/2.0 100", CALLER)
    refused(node, 403, 21)
    assert node.sent_to(SCSCF) == []
    node.assert_recorded(release_cause="LEAK_STOPPED", decided_by="disclosure")
