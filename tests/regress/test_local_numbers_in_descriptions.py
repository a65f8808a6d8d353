"""A local number, as trunks with number rules spell one, does not cross in a description, whichever line has it."""

from __future__ import annotations

import pytest

from tests.core.corenode import CALLEE
from tests.core.parties import invite, start
from tests.core.trunkrules import AT_HOME_A, node_by_rules

LINES = [f"a=x-name:{AT_HOME_A}", "a=x-name:8888-8888", "a=x-name:8888 8888", f"a=mid:{AT_HOME_A}",
         f"a=group:BUNDLE {AT_HOME_A}", f"a=label:{AT_HOME_A}"]  # fmt: skip


@pytest.mark.parametrize("line", LINES)
def test_a_local_number_in_a_description(line: str) -> None:
    node = node_by_rules()
    data = invite(caller=AT_HOME_A)
    head, _, body = data.partition(b"\r\n\r\n")
    longer = body + line.encode() + b"\r\n"
    head = head.replace(b"Content-Length: %d" % len(body), b"Content-Length: %d" % len(longer))
    start(node, head + b"\r\n\r\n" + longer)
    (sent,) = [one for one in node.sent_to(CALLEE) if one.startswith(b"INVITE ")]
    assert b"m=audio" in sent and b"a=rtpmap" in sent
    assert line.encode() not in sent
    type(node).made.clear()
