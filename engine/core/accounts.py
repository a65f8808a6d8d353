"""Accounts: whose password counts on which peer, and from which numbers its holder may call.

The caller is the account's number, whatever From says, or the one that From (or, from a trusted peer, P-Asserted-
Identity) names, when it is one of the account's. A number that is none of them is refused, with one number in the
account too: who says to be somebody else is in doubt. A From that names no number, or the account's user itself, says
nothing, and is enough where there is one number only.
"""

from __future__ import annotations

from dataclasses import replace
from typing import final

from engine.core.identity import caller_of
from engine.core.numbers import REAL, UNKNOWN, Dialled, DialledKind
from engine.core.settings import AccountSettings, CallerSource, CoreSettings, PeerSettings
from sipstack import headers as h
from sipstack.digest import MD5, SHA_256
from sipstack.errors import RemoteSipError
from sipstack.message import Message
from sipstack.uri import SipUri, parse_name_addr, parse_uri


@final
class Accounts:
    """Those of one configuration, by the name of their peer."""

    __slots__ = ("_by_user", "_reader", "offers", "realms")

    def __init__(self, settings: CoreSettings) -> None:
        self._by_user = {(account.peer, account.user): account for account in settings.accounts}
        self.realms = {account.peer: account.realm for account in settings.accounts}
        self._reader = {
            peer.name: replace(peer, caller=CallerSource.PAI_OR_FROM)
            for peer in settings.peers
            if peer.name in self.realms
        }
        self.offers: dict[str, tuple[str, ...]] = {
            peer.name: _offers(peer, [one for one in settings.accounts if one.peer == peer.name])
            for peer in settings.peers
        }

    def find(self, peer: PeerSettings, user: str) -> AccountSettings | None:
        """The account of a user on a peer."""
        return self._by_user.get((peer.name, user))

    def caller(self, account: AccountSettings, request: Message) -> Dialled:
        """The number that its holder calls from; unknown when it is none of the account's."""
        reader = self._reader[account.peer]
        claimed = caller_of(request, reader)
        if claimed.kind is REAL and claimed.number in account.numbers:
            return claimed
        is_asserted = reader.trusted and request.first[h.P_ASSERTED_IDENTITY] is not None
        is_itself = not is_asserted and _user_in_from(request) == account.user
        says_nothing = is_itself or claimed.kind is DialledKind.UNKNOWN
        return Dialled(REAL, account.numbers[0]) if says_nothing and len(account.numbers) == 1 else UNKNOWN


def secret_of(account: AccountSettings, algorithm: str) -> str:
    """H(A1), "" when it is not known for this algorithm."""
    if algorithm == SHA_256:
        return account.ha1_sha256
    return account.ha1_md5 if algorithm == MD5 else ""


def _offers(peer: PeerSettings, accounts: list[AccountSettings]) -> tuple[str, ...]:
    """What every account of a peer can be asked for: who it is, is not known before the answer."""
    return tuple([one for one in peer.digest_algorithms if accounts and all(secret_of(a, one) for a in accounts)])


def _user_in_from(request: Message) -> str:
    try:
        uri = parse_uri(parse_name_addr(request.value(h.FROM) or "").uri)
    except RemoteSipError:
        return ""
    return uri.user if isinstance(uri, SipUri) else ""
