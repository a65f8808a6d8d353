"""The request of a question again, with the password that its peer asks for: the node has the hash of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Final, final

from engine.core.accounts import Accounts, secret_of
from engine.core.identity import number_of
from engine.core.numbers import REAL, Dialled
from engine.core.settings import AccountSettings, CoreSettings, PeerSettings
from engine.deciding.arrival import Arrival
from sipstack.digest import AUTH, Credentials, credentials_value, parse_challenge, response_of, strongest
from sipstack.message import Message, render
from sipstack.parser import parse

_CNONCE: Final = "explain"


@final
class Holders:
    """Who is taken to show a password for a request: the account that its caller's number belongs to.

    Of several the first, and where it belongs to none the first of the peer.
    """

    def __init__(self, settings: CoreSettings) -> None:
        self._accounts = Accounts(settings)
        self._of_peer: dict[str, list[AccountSettings]] = {}
        for account in settings.accounts:
            self._of_peer.setdefault(account.peer, []).append(account)

    def account_of(self, peer: PeerSettings, request: Message) -> AccountSettings | None:
        """None for a peer without accounts."""
        of_peer = self._of_peer.get(peer.name)
        if not of_peer:
            return None
        return next((one for one in of_peer if self._accounts.caller(one, request).kind is REAL), of_peer[0])

    def numbers(self, peer: PeerSettings, request: Message) -> tuple[Dialled, Dialled] | None:
        """Called and caller as the node reads them once the password is right; None for a peer without accounts."""
        account = self.account_of(peer, request)
        if account is None:
            return None
        return number_of(request.uri, peer), self._accounts.caller(account, request)


def logged_in(settings: CoreSettings, arrival: Arrival, challenge: Message) -> tuple[AccountSettings, Arrival] | None:
    """The account that the caller's number belongs to, else the first of the peer, and the arrival as its phone's.

    None for a peer without accounts.
    """
    request = parse(arrival.data)
    holders = Holders(settings)
    account = holders.account_of(arrival.peer, request)
    if account is None:
        return None
    found = [parse_challenge(row) for row in challenge.named("WWW-Authenticate")]
    asked = strongest([one for one in found if one is not None])
    if asked is None:
        return None
    bare = Credentials(account.user, asked.realm, asked.nonce, request.uri_text, "", asked.algorithm, AUTH, _CNONCE, 1)
    made = replace(bare, response=response_of(bare, secret_of(account, asked.algorithm), request.method))
    lines = [*request.lines, f"Authorization: {credentials_value(made)}"]
    kept = [line for line in lines if not line.startswith("Content-Length:")]
    return account, replace(arrival, data=render(request.start_line(), kept, request.body))
