"""Who asks: signatures (HMAC-SHA256) of platforms, tokens of operators and auditors, and how much each may ask.

A signed request is taken once. Its nonce is remembered as long as its time would be accepted; what was taken before
this process began is known by its time alone (`engine.store.api_keys.newest_signed`), so nothing older is taken then.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import sqlite3
import threading
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, final

from engine.domain.problems import Problem, ProblemCode
from engine.store.api_keys import TOKEN_PREFIX, ApiKey, Role, find_key, newest_signed, note_signed
from engine.store.crypto import NumberCipher

WINDOW_S: Final = 300.0  # so far a request's time may be from ours
MAX_NONCES: Final = 4_000_000  # 700 requests a second for as long as they are remembered: 300 MB at the worst

_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?(?:Z|[+-]\d\d:\d\d)", re.ASCII)
_NONCE: Final = re.compile(r"[\x21-\x7e]{8,128}")
_TOKEN: Final = re.compile(rf"[Bb]earer +{TOKEN_PREFIX}_([0-9a-f]{{16}})_([\w-]{{20,100}})", re.ASCII)
_BUCKET_S: Final = 60.0


@final
@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, as every operation gets it."""

    key_id: str
    role: Role
    app_platform: str  # of a platform

    @property
    def actor(self) -> str:
        """For audit and transitions."""
        return f"key {self.key_id}"


def unauthenticated(field: str, detail: str) -> Problem:
    """Nobody whom we know has asked this."""
    return Problem(ProblemCode.UNAUTHENTICATED, field, detail)


def signature(secret: bytes, method: str, target: str, time: str, nonce: str, body: bytes) -> str:
    """What X-Veil-Signature must say. `target` is path and query as they stand in the request line."""
    text = "\n".join((method, target, time, nonce, hashlib.sha256(body).hexdigest()))
    return hmac.new(secret, text.encode("latin-1"), hashlib.sha256).hexdigest()


def address_of(scope: MutableMapping[str, Any]) -> str:
    """The IP address at the other end of a request's connection, "" when the server does not know it."""
    client = scope.get("client")
    return str(client[0]) if client else ""


@final
class Keys:
    """The keys in force, and what each has asked so far. For the loop's thread, but for `keep`."""

    def __init__(
        self, connection: sqlite3.Connection, cipher: NumberCipher, clock: Callable[[], float], rate_per_s: int
    ) -> None:
        """`connection` reads bindings.db; `clock`: seconds since the epoch; `rate_per_s` for keys without their own."""
        self._connection = connection
        self._cipher = cipher
        self._clock = clock
        self._nonces = _Nonces()
        self._rates = _Rates(rate_per_s)
        self._before = newest_signed(connection)
        self._newest: dict[str, float] = {}
        self._lock = threading.Lock()

    def find(self, headers: Mapping[bytes, bytes]) -> tuple[ApiKey, Caller]:
        """The key that a request names, before its body is read: of a token it is proved. Problem."""
        authorization = headers.get(b"authorization")
        if authorization is not None:
            token = _TOKEN.fullmatch(authorization.decode("latin-1"))
            key = self._find(token[1]) if token is not None else None
            if token is None or key is None or not key.is_token(token[2]):
                raise unauthenticated("Authorization", "is no token in force")
        else:
            named = headers.get(b"x-veil-key")
            if named is None:
                raise unauthenticated("X-Veil-Key", "missing: sign the request, or show a token (Authorization)")
            key = self.of_platform(named.decode("latin-1"))
            if key is None:
                raise unauthenticated("X-Veil-Key", "is no key in force")
        return key, Caller(key.key_id, key.role, key.app_platform)

    def prove(self, key: ApiKey, headers: Mapping[bytes, bytes], method: str, target: str, body: bytes) -> None:
        """Raises Problem unless the request is signed with the key, now, and for the first time."""
        if key.kind == "token":
            return
        time, nonce = (headers.get(name, b"").decode("latin-1") for name in (b"x-veil-time", b"x-veil-nonce"))
        signed_s = self._time(time)
        if _NONCE.fullmatch(nonce) is None:
            raise unauthenticated("X-Veil-Nonce", "must be 8 to 128 visible characters, others each time")
        right = signature(key.proof, method, target, time, nonce, body).encode()
        if not hmac.compare_digest(right, headers.get(b"x-veil-signature", b"").lower()):
            raise unauthenticated("X-Veil-Signature", "does not fit the request and the key")
        if self.is_of_before(key, signed_s):
            raise unauthenticated("X-Veil-Time", "lies before the API has started anew: sign the request again")
        if not self.use(key, nonce, signed_s):
            raise unauthenticated("X-Veil-Nonce", "was used already")

    def of_platform(self, key_id: str) -> ApiKey | None:
        """A key in force that signs."""
        key = self._find(key_id)
        return key if key is not None and key.kind == "hmac" else None

    def is_far(self, signed_s: float) -> bool:
        """True when a request was signed at another time than now."""
        return abs(signed_s - self._clock()) > WINDOW_S

    def is_of_before(self, key: ApiKey, signed_s: float) -> bool:
        """True when a request could be the repeat of one that was taken before this process began."""
        return signed_s <= self._before.get(key.key_id, 0.0)

    def use(self, key: ApiKey, nonce: str, signed_s: float) -> bool:
        """Takes a request that is signed; False when its nonce was used already. Problem OVERLOAD."""
        if not self._nonces.add(key.key_id, nonce, signed_s, self._clock()):
            return False
        with self._lock:
            self._newest[key.key_id] = max(self._newest.get(key.key_id, 0.0), signed_s)
        return True

    def charge(self, key: ApiKey, count: int = 1) -> None:
        """Counts requests of a key; Problem FLOW_LIMIT when it has none left. What goes beyond must be waited for."""
        if not self._rates.take(key.key_id, key.rate_per_s, count, self._clock()):
            raise Problem(ProblemCode.FLOW_LIMIT, "", "this key may not ask so often")

    @property
    def is_unkept(self) -> bool:
        """True when `keep` has something to do."""
        return bool(self._newest)

    def keep(self, connection: sqlite3.Connection) -> None:
        """Writes down how far the keys have come; in the thread that writes."""
        with self._lock:
            newest, self._newest = self._newest, {}
        if newest:
            note_signed(connection, newest)

    def _find(self, key_id: str) -> ApiKey | None:
        return find_key(self._connection, self._cipher, key_id)

    def _time(self, text: str) -> float:
        try:
            signed_s = datetime.fromisoformat(text).timestamp() if _TIME.fullmatch(text) else None
        except (ValueError, OverflowError):
            signed_s = None
        if signed_s is None:
            raise unauthenticated("X-Veil-Time", "must be an RFC 3339 time such as 2026-11-24T08:00:00.123+08:00")
        if self.is_far(signed_s):
            raise unauthenticated("X-Veil-Time", f"is more than {WINDOW_S:.0f} s from the clock of the API")
        return signed_s


@final
class _Nonces:
    """What was used, by the minute in which its time lies; as hashes, which cost half and err once in 2^40."""

    def __init__(self) -> None:
        self._used: dict[int, set[int]] = {}
        self._count = 0

    def add(self, key_id: str, nonce: str, signed_s: float, now_s: float) -> bool:
        """False when it was there. Problem OVERLOAD when there is no room."""
        self._forget(int((now_s - WINDOW_S) // _BUCKET_S))
        if self._count >= MAX_NONCES:
            raise Problem(ProblemCode.OVERLOAD, "", "too many signed requests in ten minutes")
        used = self._used.setdefault(int(signed_s // _BUCKET_S), set())
        entry = hash((key_id, nonce))
        if entry in used:
            return False
        used.add(entry)
        self._count += 1
        return True

    def _forget(self, oldest: int) -> None:
        for bucket in [bucket for bucket in self._used if bucket < oldest]:
            self._count -= len(self._used.pop(bucket))


@final
class _Rates:
    """A bucket of tokens for each key: as many as it may ask in a second, and never more than that saved up."""

    def __init__(self, default_per_s: int) -> None:
        self._default_per_s = default_per_s
        self._left: dict[str, tuple[float, float]] = {}  # tokens, below 0 what is owed, and when they were counted

    def take(self, key_id: str, rate_per_s: int, count: int, now_s: float) -> bool:
        """False when none is left, and then none is taken; else `count` are, on credit where need be."""
        rate = rate_per_s or self._default_per_s
        if not rate:
            return True
        left, counted_s = self._left.get(key_id, (float(rate), now_s))
        left = min(float(rate), left + max(0.0, now_s - counted_s) * rate)
        is_allowed = left >= 1.0
        self._left[key_id] = (left - count if is_allowed else left, now_s)
        return is_allowed
