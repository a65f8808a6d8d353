"""In transit From, To and P-Asserted-Identity cross as they came: whose they are must be looked at first.

A phone with a password could write any real number into From: the account said that it was none of its own, and a
caller without a number may call. A 700 number passed where it was no number of the URI: as a display name, behind
zeros, in another scheme.
"""

from __future__ import annotations

import pytest

from engine.core.settings import CoreSettings
from sipstack import headers as h
from tests.core.corenode import CALLEE, CALLER, A, B, X
from tests.core.parties import invite, start
from tests.core.passwords import account, logged_in, with_accounts
from tests.core.test_transit import TransitNode, invite_ack, through

OTHER = "13700137000"
SHOWN = [
    f'"{X}" <sip:alice@core.example>',
    f'"700 1234 5678 0001" <sip:{A}@core.example>',
    f"<sip:0{X}@core.example>",
    f"<sip:00{X}@core.example>",
    f"<im:{X}@core.example>",
    f"<sip:a%37%30%30{X[3:]}@core.example>",
    f"<sip:{A}@{X}.example>",
]


def from_of(data: bytes, address: str, header: str = "From") -> bytes:
    """The request with another address in From, whose tag stays, or in To."""
    rows = data.split(b"\r\n")
    end = b";tag=a-tag" if header == "From" else b""
    begin = f"{header}: ".encode()
    return b"\r\n".join([begin + address.encode() + end if row.startswith(begin) else row for row in rows])


def is_refused(node: TransitNode, data: bytes, status: int, decided_by: str) -> None:
    node.book.wire_out("SIP/2.0 100", CALLER)
    response = node.book.wire_out(f"SIP/2.0 {status}", CALLER)
    node.book.wire_in(invite_ack(data, response), CALLER)
    assert node.sent_to(CALLEE) == []
    node.assert_recorded(mode="", decided_by=decided_by)


@pytest.mark.parametrize("address", SHOWN)
def test_a_700_number_is_no_caller_however_it_is_shown(address: str) -> None:
    node = TransitNode(through())
    data = from_of(invite(called=B), address)
    node.book.wire_in(data, CALLER)
    is_refused(node, data, 403, "transit_caller")


@pytest.mark.parametrize("address", SHOWN)
def test_nor_is_it_shown_in_to(address: str) -> None:
    node = TransitNode(through())
    data = from_of(invite(called=B), address, "To")
    node.book.wire_in(data, CALLER)
    is_refused(node, data, 404, "transit_to")


@pytest.mark.parametrize(
    "settings",
    [with_accounts(), with_accounts(account(A, "13600136000")), with_accounts(trusted=True)],
    ids=["one number", "two numbers", "trusted"],
)
def test_who_shows_a_password_shows_its_own_number(settings: CoreSettings) -> None:
    node = TransitNode(through(settings))
    wrong = from_of(invite(called=B), f"<sip:{OTHER}@core.example>")
    data = logged_in(node, wrong)
    is_refused(node, data.replace(b"CSeq: 2 INVITE", b"CSeq: 1 INVITE"), 403, "transit_caller")


def test_and_with_its_own_number_it_is_relayed() -> None:
    node = TransitNode(through(with_accounts()))
    logged_in(node, invite(called=B))
    node.book.wire_out("SIP/2.0 100", CALLER)
    sent = node.book.wire_out("INVITE ", CALLEE)
    assert (sent.value(h.FROM) or "").startswith(f'"Zhang San" <sip:+86{A}@core.example>;tag=')


def test_other_long_numbers_may_be_shown() -> None:
    node = TransitNode(through())
    sent = start(node, from_of(invite(called=B), "<sip:460001234567890@ims.mnc000.mcc460.3gppnetwork.org>"))
    assert "460001234567890" in (sent.value(h.FROM) or "")
