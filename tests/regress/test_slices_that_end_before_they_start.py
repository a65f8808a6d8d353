"""A slice of bytes that ends before it starts is empty, and a SystemError where mypyc 2.4.1 has compiled it."""

from __future__ import annotations

import pytest

from engine.core.ownership import owner_of
from engine.core.session_bodies import _names
from sipstack.timers import Timing
from sipstack.transactions import Transactions

START = b"INVITE sip:7001@veil.example SIP/2.0\r\n"


@pytest.mark.parametrize("cut", [b"Via: ", b"Via: S", b"Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKa"])
def test_a_request_that_ends_within_its_via_is_no_repeat(cut: bytes) -> None:
    assert Transactions(Timing()).is_repeat(START + cut, 1.0) is False


@pytest.mark.parametrize(
    "rest",
    [
        b"To: <sip:7001@veil.example> \r\n\r\n",
        b"To: <sip:7001@veil.example>;x\r\n\r\n",
        b"To: <sip:7001@veil.example>;tag=\r\n\r\n",
        b"To: <sip:7001@veil.example>;tag=",
        b"To: <sip:7001@veil.example>",
        b"To: ",
    ],
)
def test_a_request_with_an_odd_end_of_its_to_belongs_to_who_has_the_called_digits(rest: bytes) -> None:
    assert owner_of(START + rest, 32) == 7001 % 32


@pytest.mark.parametrize("data", [b"INVITE ", b"INVITE sip:", b"INVITE tel:", b"A sip:\r\nTo: <a>\r\n"])
def test_bytes_without_a_called_number_are_the_first_workers(data: bytes) -> None:
    assert owner_of(data, 32) == 0


def test_a_host_at_the_beginning_of_a_line_stands_by_itself() -> None:
    assert _names(b"192.0.2.1 here", b"192.0.2.1")
    assert not _names(b"192.0.2.10", b"192.0.2.1")
