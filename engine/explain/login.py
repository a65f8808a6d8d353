"""The request of a question again, with the password that its peer asks for: the node has the hash of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from engine.core.accounts import Accounts, secret_of
from engine.core.numbers import REAL
from engine.core.settings import AccountSettings, CoreSettings
from engine.explain.arrival import Arrival
from sipstack.digest import AUTH, Credentials, credentials_value, parse_challenge, response_of, strongest
from sipstack.message import Message, render
from sipstack.parser import parse

_CNONCE: Final = "explain"


def logged_in(settings: CoreSettings, arrival: Arrival, challenge: Message) -> tuple[AccountSettings, Arrival] | None:
    """The account that the caller's number belongs to, else the first of the peer, and the arrival as its phone's.

    None for a peer without accounts.
    """
    request = parse(arrival.data)
    accounts = Accounts(settings)
    of_peer = [account for account in settings.accounts if account.peer == arrival.peer.name]
    if not of_peer:
        return None
    account = next((one for one in of_peer if accounts.caller(one, request).kind is REAL), of_peer[0])
    found = [parse_challenge(row) for row in challenge.named("WWW-Authenticate")]
    asked = strongest([one for one in found if one is not None])
    if asked is None:
        return None
    bare = Credentials(account.user, asked.realm, asked.nonce, request.uri_text, "", asked.algorithm, AUTH, _CNONCE, 1)
    made = replace(bare, response=response_of(bare, secret_of(account, asked.algorithm), request.method))
    lines = [*request.lines, f"Authorization: {credentials_value(made)}"]
    kept = [line for line in lines if not line.startswith("Content-Length:")]
    return account, replace(arrival, data=render(request.start_line(), kept, request.body))
