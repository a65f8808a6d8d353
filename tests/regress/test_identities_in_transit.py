"""In transit From, To and P-Asserted-Identity cross as they came: whose they are must be looked at first.

A phone with a password could write any real number into From: the account said that it was none of its own, and a
caller without a number may call. A 700 number passed where it was no number of the URI: as a display name, behind
zeros, in another scheme. And what such a phone wrote around its number, or instead of it, was shown as if somebody had
looked at it.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine.core.settings import CallerSource, CoreSettings
from sipstack import headers as h
from tests.core.corenode import CALLEE, CALLER, A, B, X, with_trunk
from tests.core.parties import answer, invite, message, start
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


@pytest.mark.parametrize("trusted", [False, True])
@pytest.mark.parametrize(
    "address",
    [f'"Your bank" <sip:+86{A}@core.example>', "<sip:your.bank@core.example>", '"95588" <sip:anonymous@core.example>'],
)
def test_and_nothing_but_its_own_number(address: str, trusted: bool) -> None:
    """That one the node asserts itself (RFC 3325 §5)."""
    own = f"<sip:{A}@veil.example>"
    node = TransitNode(through(with_accounts(trusted=trusted)))
    data = from_of(from_of(invite(called=B), address), f'"Dear" <sip:{B}@core.example>', "To")
    asserted = f'P-Asserted-Identity: "Your bank" <sip:{A}@core.example>'.encode()
    rows = [asserted if row.startswith(b"P-Asserted") else row for row in data.split(b"\r\n")]
    logged_in(node, b"\r\n".join(rows))
    node.book.wire_out("SIP/2.0 100", CALLER)
    sent = node.book.wire_out("INVITE ", CALLEE)
    assert (sent.value(h.FROM) or "").startswith(f"{own};tag=")
    assert sent.value(h.TO) == f"<sip:{B}@127.0.0.13>"
    assert sent.values(h.P_ASSERTED_IDENTITY) == [own]


def test_nor_is_its_number_asserted_to_others() -> None:
    settings = with_accounts()
    peers = tuple(replace(peer, trusted=False) for peer in settings.peers)
    node = TransitNode(through(replace(settings, peers=peers)))
    logged_in(node, from_of(invite(called=B, extra="Privacy: user"), f'"Your bank" <sip:{A}@core.example>'))
    node.book.wire_out("SIP/2.0 100", CALLER)
    sent = node.book.wire_out("INVITE ", CALLEE)
    assert (sent.value(h.FROM) or "").startswith('"Anonymous" <sip:anonymous@anonymous.invalid>;tag=')
    assert sent.values(h.P_ASSERTED_IDENTITY) == []


def test_a_message_of_such_a_phone_is_shown_as_its_number() -> None:
    node = TransitNode(through(with_accounts()))
    data = message("hi").replace(X.encode(), B.encode())
    logged_in(node, from_of(data, f'"Your bank" <sip:{A}@core.example>'))
    sent = node.book.wire_out("MESSAGE ", CALLEE)
    assert (sent.value(h.FROM) or "").startswith(f"<sip:{A}@veil.example>;tag=")
    assert sent.value(h.TO) == f"<sip:{B}@127.0.0.13>"
    node.book.wire_in(answer(sent, 200), CALLEE)
    node.book.wire_out("SIP/2.0 200", CALLER)


def test_what_such_a_phone_answers_asserts_nothing() -> None:
    node = TransitNode(through(with_trunk("callee-side", caller=CallerSource.DIGEST)))
    sent = start(node, invite(called=B))
    node.book.wire_in(answer(sent, 180), CALLEE)
    assert node.book.wire_out("SIP/2.0 180", CALLER).values(h.P_ASSERTED_IDENTITY) == []


def test_other_long_numbers_may_be_shown() -> None:
    node = TransitNode(through())
    sent = start(node, from_of(invite(called=B), "<sip:460001234567890@ims.mnc000.mcc460.3gppnetwork.org>"))
    assert "460001234567890" in (sent.value(h.FROM) or "")
