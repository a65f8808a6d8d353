"""Peers that show a password: their accounts, and requests with credentials as a phone makes them."""

from __future__ import annotations

from dataclasses import replace

from engine.core.settings import AccountSettings, CallerSource, CoreSettings
from sipstack.digest import MD5, SHA_256, Asked, Challenge, answer, credentials_value, hashed_secret, parse_challenge
from sipstack.message import Message, render
from sipstack.parser import parse
from tests.core.corenode import CALLER, A, CoreNode, with_trunk
from tests.core.parties import invite, of_invite

USER = "alice"
PASSWORD = "correct horse"
REALM = "veil.example"


def account(*numbers: str, user: str = USER, password: str = PASSWORD, peer: str = "caller-side") -> AccountSettings:
    secrets = [hashed_secret(algorithm, user, REALM, password) for algorithm in (SHA_256, MD5)]
    return AccountSettings(user, REALM, peer, numbers or (A,), *secrets)


def with_accounts(*accounts: AccountSettings, trusted: bool = False) -> CoreSettings:
    """The usual settings, whose caller's side must show a password."""
    settings = with_trunk("caller-side", caller=CallerSource.DIGEST, trusted=trusted)
    return replace(settings, accounts=accounts or (account(),))


def challenges_in(response: Message, name: str = "WWW-Authenticate") -> list[Challenge]:
    found = [parse_challenge(row) for row in response.named(name)]
    assert None not in found
    return [one for one in found if one is not None]


def challenge_of(response: Message, algorithm: str = SHA_256) -> Challenge:
    """The challenge of one algorithm in a 401."""
    return next(one for one in challenges_in(response) if one.algorithm == algorithm)


def with_credentials(
    data: bytes,
    challenge: Challenge,
    user: str = USER,
    password: str = PASSWORD,
    uri: str = "",
    count: int = 1,
    step: int = 1,
    **changes: object,
) -> bytes:
    """The request again, as a phone sends it after a challenge: CSeq and branch are others (RFC 3261 §22.2)."""
    request = parse(data)
    asked = Asked(request.method, uri or request.uri_text, request.body, "phone's cnonce", count)
    made = replace(answer(challenge, user, password, asked), **changes)  # type: ignore[arg-type]
    lines = [row for row in request.lines if not row.lower().startswith(("content-length:", "authorization:"))]
    lines.append(f"Authorization: {credentials_value(made)}")
    again = render(request.start_line(), lines, request.body)
    old = f"CSeq: {request.cseq} {request.method}"
    assert request.top_via is not None and old.encode() in again
    again = again.replace(old.encode(), f"CSeq: {request.cseq + step} {request.method}".encode())
    branch = request.top_via.branch
    return again.replace(branch.encode(), f"{branch}{'n' * step}".encode(), 1)


def challenged(node: CoreNode, data: bytes = b"", to: str = CALLER, source: str = CALLER) -> Message:
    """A request is challenged; the 401."""
    node.book.wire_in(data or invite(), source)
    response = node.book.wire_out("SIP/2.0 401 ", to)
    node.book.silence()
    return response


def logged_in(node: CoreNode, data: bytes = b"", **how: object) -> bytes:
    """Has the request challenged, and sends it again with the password; what was sent."""
    data = data or invite()
    again = with_credentials(data, challenge_of(challenged(node, data)), **how)  # type: ignore[arg-type]
    node.book.wire_in(again, CALLER)
    return again


def acknowledged(node: CoreNode, response: Message, data: bytes) -> None:
    """The ACK of a failure, in the transaction of the INVITE that was sent."""
    request = parse(data)
    if request.method == "INVITE" and request.top_via is not None:
        node.book.wire_in(of_invite("ACK", response.to_tag, request.top_via.branch), CALLER)
