"""The node's own password at a peer that asks for one: the request goes there again, with the answer (RFC 3261 §22.2).

It is the same try and the same transaction to whoever has sent it; only its number, its branch and the credentials are
new. Whoever asks a second time, in whatever words, is not answered: the password is wrong, or somebody collects hashes.
A challenge that reaches us through the peer but was made behind it looks like the peer's own; the realm tells them
apart, where one is configured. What leads to another address than the peer's targets is never answered.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

from engine.core.attempt import RequestOwner
from sipstack import headers as h
from sipstack.digest import MD5, Asked, Challenge, answer, credentials_value, parse_challenge, strongest
from sipstack.errors import RemoteSipError
from sipstack.message import Message, render
from sipstack.parser import parse

if TYPE_CHECKING:
    from engine.core.attempt import Login
    from engine.core.context import CoreContext
    from engine.core.pair import PairSide
    from engine.core.settings import PeerSettings
    from sipstack.client_transaction import ClientTransaction
    from sipstack.events import Flow, ResponseReceived

# Status -> the field that asks, and the one that answers (RFC 3261 §22.2, §22.3).
CHALLENGES: Final = {
    401: ("WWW-Authenticate", "Authorization"),
    407: ("Proxy-Authenticate", "Proxy-Authorization"),
}

_CNONCE_LETTERS: Final = 16  # 80 bits


def answers_challenge(context: CoreContext, event: ResponseReceived, now: float) -> bool:
    """Sends the request of a 401 or 407 again; False when its sender has to live with that answer."""
    transaction, response, owner = event.transaction, event.response, event.transaction.owner
    login = owner.login(transaction) if isinstance(owner, RequestOwner) else None
    if login is None or not login[0].username:
        return False
    peer, dialog = login
    request = parse(transaction.last_sent)
    challenge = _challenge_in(response, peer)
    if any(request.named(field) for _, field in CHALLENGES.values()):
        context.count("logins_refused")
        return False
    if challenge is None or not _is_of(context, peer, transaction.flow, event.flow):
        context.count("challenges_foreign")
        return False
    context.count("logins_sent")
    asked = Asked(request.method, request.uri_text, request.body, context.tokens.letters(_CNONCE_LETTERS))
    value = credentials_value(answer(challenge, peer.username, peer.password, asked))
    row = f"{CHALLENGES[response.status][1]}: {value}"
    seq = request.cseq + 1 if dialog is None else dialog.next_seq()
    branch = second_branch(transaction.branch)
    transaction.renew(branch, _again(request, branch, seq, row), now)
    context.start(transaction, now)
    assert isinstance(owner, RequestOwner)
    owner.sent_again(transaction, seq, row, now)
    return True


def second_branch(branch: str) -> str:
    """The branch of the request that is sent again: another run can tell it from that of the first."""
    return f"{branch}a"


def with_credentials(data: bytes, row: str) -> bytes:
    """An ACK with the credentials that its INVITE had (RFC 3261 §22.1)."""
    request = parse(data)
    return render(request.start_line(), [*_kept(request), row], request.body)


def _challenge_in(response: Message, peer: PeerSettings) -> Challenge | None:
    """The strongest for the realm of the peer; None when there is none that can be answered."""
    found: list[Challenge] = []
    for row in response.named(CHALLENGES[response.status][0]):
        try:
            challenge = parse_challenge(row)
        except RemoteSipError:
            continue  # another one may be readable
        if challenge is not None and peer.realm in ("", challenge.realm) and _is_strong(challenge, peer):
            found.append(challenge)
    return strongest(found)


def _is_strong(challenge: Challenge, peer: PeerSettings) -> bool:
    """False for MD5 where the peer's `digest_algorithms` leave it out: somebody on the way may have taken the stronger
    challenge away, and an answer with MD5 lets passwords be tried fastest (RFC 8760 §2.4)."""
    return challenge.algorithm != MD5 or MD5 in peer.digest_algorithms


def _is_of(context: CoreContext, peer: PeerSettings, sent_to: Flow, came_from: Flow) -> bool:
    """True when the request went to a target of the peer, and its answer came from there."""
    return came_from.host == sent_to.host and context.routing.leads_to(peer.name, sent_to.host)


def _again(request: Message, branch: str, seq: int, row: str) -> bytes:
    """The same request with another branch and number, and its credentials (§8.1.3.5)."""
    assert request.top_via is not None
    lines = [*_kept(request), row]
    via, cseq = request.ids.index(h.VIA), request.ids.index(h.CSEQ)
    lines[via] = lines[via].replace(request.top_via.branch, branch, 1)
    lines[cseq] = f"CSeq: {seq} {request.method}"
    return render(request.start_line(), lines, request.body)


def _kept(request: Message) -> list[str]:
    """All rows but Content-Length, which is the last one that we write."""
    assert request.ids[-1] == h.CONTENT_LENGTH
    return request.lines[:-1]


@final
class ByeOwner(RequestOwner):
    """A BYE of ours to a peer that may ask for a password. `heard`, if anybody, hears what becomes of it."""

    __slots__ = ("_heard", "_side")

    def __init__(self, side: PairSide, heard: RequestOwner | None) -> None:
        self._side: Final = side
        self._heard: Final = heard

    def login(self, transaction: ClientTransaction) -> Login | None:
        """The peer on whose side the dialog is."""
        return self._side.party.peer, self._side.dialog

    def responded(self, transaction: ClientTransaction, response: Message, flow: Flow, now: float) -> None:
        """Whatever it is, the dialog is over (RFC 3261 §15.1.1)."""
        if self._heard is not None:
            self._heard.responded(transaction, response, flow, now)

    def unanswered(self, transaction: ClientTransaction, now: float) -> None:
        """So it is after silence."""
        if self._heard is not None:
            self._heard.unanswered(transaction, now)

    def failed(self, transaction: ClientTransaction, now: float) -> None:
        """And where nothing can be sent."""
        if self._heard is not None:
            self._heard.failed(transaction, now)


def bye_owner(side: PairSide, heard: RequestOwner | None) -> RequestOwner | None:
    """Who owns a BYE to this side: `heard` itself where nobody asks for a password."""
    return ByeOwner(side, heard) if side.party.peer.username else heard
