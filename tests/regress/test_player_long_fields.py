"""A datagram full of "<" or "," held up a player for a quarter of a minute."""

from __future__ import annotations

import pytest

from sipstack.scenario.received import Received, route_set

LONG = 60_000


def received(name: str, value: str) -> Received:
    return Received(f"INVITE sip:b@b SIP/2.0\r\nCall-ID: 1\r\n{name}: {value}\r\n\r\n".encode())


@pytest.mark.timeout(5)
@pytest.mark.parametrize("char", ["<", ",", "<,", "< ,"])
def test_it_is_read_at_once(char: str) -> None:
    text = char * (LONG // len(char))
    assert received("To", text).request_uri == ""
    route_set(received("Record-Route", text))
    assert route_set(received("Contact", f"{text}<sip:c@c>"))[1] == "sip:c@c"


def test_a_comma_in_brackets_parts_nothing() -> None:
    rows = "<sip:a;x=1,2;lr>, <sip:b;lr> ,,<sip:c>"
    assert route_set(received("Record-Route", rows))[0] == "<sip:a;x=1,2;lr>, <sip:b;lr>, <sip:c>"
