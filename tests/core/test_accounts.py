"""Who has shown a password calls from a number of the account, and from no other (A14)."""

from __future__ import annotations

import pytest

from engine.core.identity import caller_of
from engine.core.numbers import UNKNOWN
from engine.core.settings import CallerSource
from sipstack.parser import parse
from tests.core.corenode import CALLEE, CALLER, A, CoreNode, X, axb
from tests.core.parties import answer, invite, message, start
from tests.core.passwords import (
    PASSWORD,
    USER,
    account,
    acknowledged,
    challenge_of,
    challenged,
    logged_in,
    with_accounts,
    with_credentials,
)

OTHER = "13700137000"

# -- who may call from which number ------------------------------------------------------------------------------------


def caller_is(numbers: tuple[str, ...], sender: str, asserted: str = "", trusted: bool = False) -> object:
    """The caller on record of a call from such an account, None when the call was refused for it."""
    settings = with_accounts(account(*numbers), trusted=trusted)
    node = CoreNode(settings, tuple(axb(caller=number) for number in numbers))
    lines = invite(caller=A).split(b"\r\n")
    lines = [row for row in lines if not row.startswith(b"P-Asserted-Identity")]
    place = next(index for index, row in enumerate(lines) if row.startswith(b"From:"))
    lines[place] = f"From: <{sender}>;tag=a-tag".encode()
    if asserted:
        lines.insert(place, f"P-Asserted-Identity: <{asserted}>".encode())
    again = logged_in(node, b"\r\n".join(lines))
    node.book.wire_out("SIP/2.0 100", CALLER)
    if node.records:
        response = node.book.wire_out("SIP/2.0 403 ", CALLER)
        acknowledged(node, response, again)
        node.assert_recorded(release_cause="NOT_IN_CALLER_SET", decided_by="caller_entitled", caller="")
        assert not node.sent_to(CALLEE)
        return None
    sent = node.book.wire_out("INVITE ", CALLEE)
    node.book.wire_in(answer(sent, 486), CALLEE)
    return node.record["caller"]


FROM_PHONE = f"sip:{USER}@veil.example"
FROM_A = f"sip:{A}@veil.example"
FROM_B = f"sip:+86{OTHER}@veil.example"


@pytest.mark.parametrize(
    ("numbers", "sender", "asserted", "trusted", "expected"),
    [
        ((A,), FROM_PHONE, "", False, A),
        ((A,), FROM_A, "", False, A),
        ((A,), FROM_B, "", False, None),
        ((A,), "sip:anonymous@anonymous.invalid", "", False, A),
        ((A, OTHER), FROM_B, "", False, OTHER),
        ((A, OTHER), FROM_A, "", False, A),
        ((A, OTHER), FROM_PHONE, "", False, None),
        ((A, OTHER), "sip:13600136000@veil.example", "", False, None),
        ((A,), f"sip:{X}@veil.example", "", False, None),
        ((A,), FROM_PHONE, FROM_B, False, A),  # what an untrusted peer asserts is not read (RFC 3325 §5)
        ((A,), FROM_PHONE, FROM_B, True, None),
        ((A, OTHER), FROM_A, FROM_B, True, OTHER),
    ],
)
def test_the_caller_is_a_number_of_the_account(
    numbers: tuple[str, ...], sender: str, asserted: str, trusted: bool, expected: str | None
) -> None:
    assert caller_is(numbers, sender, asserted, trusted) == expected


@pytest.mark.parametrize("password", [PASSWORD, "", "wrong"])
def test_a14_a_message_with_the_from_of_somebody_else_goes_nowhere(password: str) -> None:
    """CVE-2021-37624: without a password it is no attempt; with another account's it is refused, and on record."""
    node = CoreNode(with_accounts(account(OTHER)), (axb(), axb(caller=OTHER)))
    data = message()  # From names A
    challenge = challenge_of(challenged(node, data))
    if password:
        node.book.wire_in(with_credentials(data, challenge, password=password), CALLER)
        node.book.wire_out("SIP/2.0 403" if password == PASSWORD else "SIP/2.0 401", CALLER)
    assert not node.sent_to(CALLEE)
    causes = [record["release_cause"] for record in node.records]
    assert causes == (["NOT_IN_CALLER_SET"] if password == PASSWORD else [])


def test_a_user_that_looks_like_a_number_is_the_account_itself() -> None:
    """Extensions of a switch are often users: 95588 is the account, not the bank's service number."""
    node = CoreNode(with_accounts(account(user="95588")))
    data = invite().replace(f"sip:+86{A}@core.example>;tag".encode(), b"sip:95588@veil.example>;tag")
    again = with_credentials(data, challenge_of(challenged(node, data)), user="95588")
    start(node, again)


def test_without_a_password_no_field_says_who_calls() -> None:
    """The core reads no caller from such a peer by itself."""
    peer = with_accounts(trusted=True).peers[0]
    assert peer.caller is CallerSource.DIGEST
    assert caller_of(parse(invite()), peer) == UNKNOWN
