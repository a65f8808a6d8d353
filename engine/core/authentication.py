"""Callers that must show a password: challenged, checked, counted (RFC 3261 §22, RFC 7616).

A challenge costs the node no memory, and is no attempt: it is sent once and forgotten (RFC 3261 §8.2.7), a repeat of
the request gets another one. All that it must be known by stands in it: the nonce holds when it was made, and a code
under a key of this run over that, the peer and the host. So a nonce is good for one host, for NONCE_LIFE_S, and not
after a restart; whoever comes with another one is told so (`stale`), and asks again.

Only who has the password makes the node remember something: how often a nonce has been used. A number that has been
seen is refused. When there is no room for more nonces, the oldest are refused altogether.

Whoever does not have it learns nothing: an unknown user is answered as a wrong password is, and is worked on as long.
"""

from __future__ import annotations

from hashlib import blake2b
from hmac import compare_digest
from typing import Final, final

from engine.core.accounts import Accounts, secret_of
from engine.core.context import CoreContext
from engine.core.identity import number_of
from engine.core.numbers import Dialled, DialledKind
from engine.core.settings import PeerSettings
from engine.core.tokens import LETTERS, TAG_LETTERS
from sipstack.digest import AUTH, Challenge, Credentials, challenge_value, matches, parse_credentials
from sipstack.errors import RemoteSipError
from sipstack.message import ENCODING, ERRORS, Message
from sipstack.server_transaction import ServerTransaction
from sipstack.uri import SipUri, parse_uri

# How long a nonce may be used. A phone answers a challenge at once; a minute leaves it time to ask its user.
NONCE_LIFE_S: Final = 60

# Nonces whose use is remembered: a thousand calls in each second of their life, of some 200 bytes each.
MAX_NONCES: Final = 60_000

# Wrong credentials of one user at one host, and how long they count. From then on its credentials are not looked at.
MAX_FAILURES: Final = 10
FAILURE_WINDOW_S: Final = 60.0

# Users whose failures are counted at a time; beyond that the oldest count is lost, so that guessing at one user takes
# as many failures at others first.
MAX_FAILING: Final = 4096
_MOST_USER_CHARS: Final = 128

_SLOT_S: Final = 5  # nonces are forgotten by the seconds in which they were made
_TIME_LETTERS: Final = 7  # 35 bits of seconds
_RANDOM_LETTERS: Final = 12  # 60 bits, so that no two challenges have one nonce
_CODE_LETTERS: Final = 26  # 130 bits
_NONCE_CHARS: Final = _TIME_LETTERS + _RANDOM_LETTERS + _CODE_LETTERS
_VALUES: Final = {chr(letter): value for value, letter in enumerate(LETTERS[:32])}

_NOBODYS_SECRET: Final = "0" * 64  # what an unknown user is checked against: no hash is this


@final
class UsedNonces:
    """How often each nonce has been used, as long as it lives; refuses what it cannot know any more."""

    __slots__ = ("_count", "_forgotten_before", "_slots")

    def __init__(self) -> None:
        self._slots: dict[int, dict[str, int]] = {}
        self._count = 0
        self._forgotten_before = 0  # the first slot whose nonces are known

    def __len__(self) -> int:
        return self._count

    def take(self, nonce: str, made_s: int, count: int, now: float) -> bool:
        """Notes the use number `count` of a nonce made at `made_s`; False when that may have been used already."""
        slot = made_s // _SLOT_S
        if slot < self._forgotten_before:
            return False
        self._forget_before(int(now - NONCE_LIFE_S) // _SLOT_S)
        used = self._slots.setdefault(slot, {})
        if count <= used.get(nonce, 0):  # 0 is never right: a phone counts from 1
            return False
        if nonce not in used:
            if self._count >= MAX_NONCES:
                self._forget_before(min(self._slots) + 1)
                if slot < self._forgotten_before:
                    return False
            self._count += 1
        used[nonce] = count
        return True

    def _forget_before(self, slot: int) -> None:
        if slot <= self._forgotten_before:
            return
        self._forgotten_before = slot
        for old in [one for one in self._slots if one < slot]:
            self._count -= len(self._slots.pop(old))


@final
class Failures:
    """Wrong credentials by peer, host and user."""

    __slots__ = ("_found",)

    def __init__(self) -> None:
        self._found: dict[tuple[str, str, str], tuple[float, int]] = {}  # since when, how many

    def __len__(self) -> int:
        return len(self._found)

    def are_too_many(self, key: tuple[str, str, str], now: float) -> bool:
        """True for who has failed so often that its credentials are not looked at."""
        since, count = self._found.get(key, (now, 0))
        return count >= MAX_FAILURES and now - since < FAILURE_WINDOW_S

    def note(self, key: tuple[str, str, str], now: float) -> None:
        """One more."""
        since, count = self._found.pop(key, (now, 0))
        if now - since >= FAILURE_WINDOW_S:
            since, count = now, 0
        elif len(self._found) >= MAX_FAILING:
            del self._found[next(iter(self._found))]
        self._found[key] = since, count + 1


@final
class Authentication:
    """The challenges of one node."""

    __slots__ = ("_accounts", "_context", "_failures", "_key", "_settings", "_used")

    def __init__(self, context: CoreContext) -> None:
        self._context: Final = context
        self._settings = context.settings
        self._accounts = Accounts(context.settings)
        self._key = b""  # drawn when it is needed first
        self._used = UsedNonces()
        self._failures = Failures()

    def numbers(self, transaction: ServerTransaction, peer: PeerSettings, now: float) -> tuple[Dialled, Dialled] | None:
        """Called and caller of a request from a peer with `caller` DIGEST; None when it has been answered instead.

        Raises RemoteSipError for credentials that cannot be read.
        """
        if self._settings is not self._context.settings:  # others since the last request
            self._settings = self._context.settings
            self._accounts = Accounts(self._settings)
        request, host = transaction.request, transaction.source.host
        credentials = self._credentials_in(request, peer)
        if credentials is None:
            self._challenge(transaction, peer, now)
            return None
        made_s = self._made_s(credentials.nonce, peer, host, now)
        if made_s < 0:
            self._context.count("nonces_stale")
            self._challenge(transaction, peer, now, is_stale=True)
            return None
        key = (peer.name, host, credentials.username[:_MOST_USER_CHARS])
        if self._failures.are_too_many(key, now):
            self._context.count("credentials_locked")
            self._answer(transaction, 403)
            return None
        if not self._are_right(credentials, request, peer):
            self._failures.note(key, now)
            self._context.count("credentials_refused")
            self._challenge(transaction, peer, now)
            return None
        if not self._used.take(credentials.nonce, made_s, credentials.count, now):
            self._context.count("nonces_reused")
            self._challenge(transaction, peer, now, is_stale=True)
            return None
        account = self._accounts.find(peer, credentials.username)
        assert account is not None
        return number_of(request.uri, peer), self._accounts.caller(account, request)

    def is_own_answer(self, request: Message) -> bool:
        """True for the ACK of a challenge or refusal of ours: its To tag says so."""
        return self._key != b"" and request.to_tag == self._tag(request)

    # -- what is right ---------------------------------------------------------------------------------------------

    def _credentials_in(self, request: Message, peer: PeerSettings) -> Credentials | None:
        """Those for the realm of the peer: a request may carry others' (RFC 3261 §22.3)."""
        realm = self._accounts.realms.get(peer.name)
        for row in request.named("Authorization"):
            found = parse_credentials(row)
            if found is not None and found.realm == realm:
                return found
        return None

    def _are_right(self, credentials: Credentials, request: Message, peer: PeerSettings) -> bool:
        """All of it is looked at, whatever is wrong with it: the time that it takes tells nothing."""
        offers = self._accounts.offers.get(peer.name, ())
        if credentials.algorithm not in offers or credentials.qop != AUTH:
            return False
        account = self._accounts.find(peer, credentials.username)
        secret = _NOBODYS_SECRET if account is None else secret_of(account, credentials.algorithm)
        knows = matches(credentials, secret, request.method)
        is_meant = credentials.uri == request.uri_text or self._is_for(credentials.uri, request, peer)
        return knows and is_meant and account is not None

    def _is_for(self, uri: str, request: Message, peer: PeerSettings) -> bool:
        """True when credentials with this digest-uri were made for the called number, or for this node.

        For a number its host may be another one, as it is behind a proxy. Many phones write no user and the server's
        name instead; made for another server, they are none for this one (RFC 7616 §3.4.6, RFC 3261 §22.4).
        """
        try:
            meant = parse_uri(uri)
        except RemoteSipError:
            return False
        if isinstance(meant, SipUri) and not meant.user:
            asked = request.uri
            own = {listener.host for listener in self._context.listeners.all}
            own |= {one.host for one in self._settings.listeners} | {self._settings.domain}
            own |= {asked.host} if isinstance(asked, SipUri) else set()
            return meant.host.strip("[]").lower() in {host.strip("[]").lower() for host in own}
        number = number_of(meant, peer)
        return number.kind is not DialledKind.UNKNOWN and number == number_of(request.uri, peer)

    # -- nonces ----------------------------------------------------------------------------------------------------

    def _nonce(self, peer: PeerSettings, host: str, now: float) -> str:
        seconds = int(now)
        begin = "".join([chr(LETTERS[seconds >> 5 * place & 31]) for place in range(_TIME_LETTERS)])
        begin += self._context.tokens.letters(_RANDOM_LETTERS)
        return begin + self._code(f"nonce {begin} {peer.name} {host}", _CODE_LETTERS)

    def _made_s(self, nonce: str, peer: PeerSettings, host: str, now: float) -> int:
        """When a nonce was made, in whole seconds; -1 for one that is too old, another's, or not ours."""
        if len(nonce) != _NONCE_CHARS or not nonce.isascii():
            return -1
        begin, code = nonce[:-_CODE_LETTERS], nonce[-_CODE_LETTERS:]
        if not compare_digest(code, self._code(f"nonce {begin} {peer.name} {host}", _CODE_LETTERS)):
            return -1
        seconds = sum([_VALUES[letter] << 5 * place for place, letter in enumerate(begin[:_TIME_LETTERS])])
        return seconds if now - seconds < NONCE_LIFE_S else -1

    def _code(self, text: str, letters: int) -> str:
        if not self._key:
            self._key = self._context.tokens.letters(_CODE_LETTERS).encode()
        digest = blake2b(text.encode(ENCODING, ERRORS), key=self._key, digest_size=letters).digest()
        return digest.translate(LETTERS).decode("ascii")

    # -- answers ---------------------------------------------------------------------------------------------------

    def _challenge(
        self, transaction: ServerTransaction, peer: PeerSettings, now: float, is_stale: bool = False
    ) -> None:
        """401 with a challenge for each algorithm in the order of preference (RFC 8760 §2.3), all of one nonce."""
        self._context.count("challenges_sent")
        realm = self._accounts.realms.get(peer.name, self._settings.domain)
        nonce = self._nonce(peer, transaction.source.host, now)
        offers = self._accounts.offers.get(peer.name, ())
        rows = [challenge_value(Challenge(realm, nonce, one, (AUTH,), None, is_stale)) for one in offers]
        self._answer(transaction, 401, [f"WWW-Authenticate: {row}" for row in rows])

    def _answer(self, transaction: ServerTransaction, status: int, rows: list[str] | None = None) -> None:
        """Once, without a transaction: a repeat is a new question, and an ACK is for nobody (RFC 3261 §8.2.7)."""
        data = transaction.head.build(status, self._tag(transaction.request), rows)
        self._context.transactions.abandon(transaction)
        self._context.send(data, transaction.flow)

    def _tag(self, request: Message) -> str:
        """To tag of these answers: the same for each repeat of a request, and in its ACK."""
        return self._code(f"tag {request.call_id} {request.from_tag} {request.cseq}", TAG_LETTERS)
