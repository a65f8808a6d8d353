"""What is dropped unread from an address that is no peer's, and what never may be."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.strangers import is_keep_alive, is_worthless
from sipstack.errors import RemoteSipError
from sipstack.parser import parse
from tests.core.corenode import STRANGER, CoreNode
from tests.core.parties import invite
from tests.sipstack.generated_messages import MESSAGES, SPELLINGS, Spelling, Written


@given(MESSAGES, SPELLINGS)
def test_no_request_within_a_dialog_is_dropped_however_it_is_written(written: Written, spelling: Spelling) -> None:
    data = written.write(spelling)
    try:
        message = parse(data)
    except RemoteSipError:
        return
    if message.to_tag:
        assert not is_worthless(data)


@given(st.binary(max_size=300))
def test_octets_are_judged_whatever_they_are(data: bytes) -> None:
    is_worthless(data)
    assert is_keep_alive(b"") and is_keep_alive(b"\r\n\r\n") and is_keep_alive(b"\0")


@pytest.mark.parametrize(
    "data",
    [
        invite(),
        invite().replace(b"To:", b"t :"),
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"INVITE sip:x SIP/2.0\r\nFrom: <sip:a@b>;tag=1\r\nX: To: <sip:b@c>;tag=2\r\n\r\n",
        bytes(range(256)),
        b"x",
    ],
)
def test_what_is_no_part_of_a_dialog_is_dropped_and_counted(data: bytes) -> None:
    node = CoreNode()
    node.book.wire_in(data, STRANGER)
    node.book.silence()
    assert node.counters["unknown_source"] == 1
    assert node.counters["malformed"] == 0


def test_a_keep_alive_of_a_stranger_is_nothing() -> None:
    node = CoreNode()
    node.book.wire_in(b"\r\n\r\n", STRANGER)
    node.book.silence()
    assert "unknown_source" not in node.counters
