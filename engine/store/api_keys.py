"""Table `api_key`: who may use the API, and how far the signed requests of each key have come."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import secrets
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, final

from engine.domain.problems import Problem, ProblemCode
from engine.store.crypto import NumberCipher
from engine.store.rows import utc_text

KEY_ID_BYTES: Final = 8
SECRET_BYTES: Final = 32
TOKEN_PREFIX: Final = "vt"
MAX_RATE: Final = 1_000_000
MAX_NETWORKS: Final = 32

_SECRET: Final = "api_key.secret"
_FIND: Final = (
    "SELECT role, app_platform, kind, secret, rate_per_s, ip_allow FROM api_key WHERE key_id = ? AND state = 'active'"
)
_COLUMNS: Final = "key_id, kind, role, app_platform, state, created_at, rate_per_s, ip_allow"


class Role(StrEnum):
    """What a key may do: an operator everything, an auditor read, a platform what is its own."""

    OPERATOR = "operator"
    AUDITOR = "auditor"
    PLATFORM = "platform"


@final
@dataclass(frozen=True, slots=True)
class NewKey:
    """A key that was made. What proves it is shown this once: an HMAC secret, or a token."""

    key_id: str
    kind: str  # hmac | token
    secret: str


@final
@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key in force."""

    key_id: str
    role: Role
    app_platform: str
    rate_per_s: int
    kind: str
    proof: bytes  # the HMAC secret, or the SHA-256 of the token's secret
    ip_allow: str = ""  # networks with a blank between them; "": from anywhere

    def is_token(self, secret: str) -> bool:
        """True for what its token ends with."""
        return self.kind == "token" and hmac.compare_digest(self.proof, _hashed(secret))

    def admits(self, address: str) -> bool:
        """Whether it may be used from an IP address; "" when that is not known."""
        return not self.ip_allow or _lies_in(address, self.ip_allow.split())


@final
@dataclass(frozen=True, slots=True)
class KeyRow:
    """A key as it is listed."""

    key_id: str
    kind: str
    role: str
    app_platform: str
    state: str  # active | revoked
    created: str  # RFC 3339 UTC
    rate_per_s: int
    ip_allow: list[str]  # networks; none: from anywhere


def create_key(
    connection: sqlite3.Connection, cipher: NumberCipher, role: Role, app_platform: str, rate_per_s: int, wall_s: float,
    ip_allow: Sequence[str] = (),
) -> NewKey:  # fmt: skip
    """A key of a platform signs (HMAC), those of operators and auditors are tokens. Problem.

    `ip_allow`: the addresses and networks that it may be used from; none: from anywhere.
    """
    networks = _networks(ip_allow)
    if (role is Role.PLATFORM) is not bool(app_platform):
        need = "missing: a platform's key is one platform's" if not app_platform else "goes with the role platform only"
        raise Problem(ProblemCode.ILLEGAL_ARGUMENT, "app_platform", need)
    if not 0 <= rate_per_s <= MAX_RATE:
        raise Problem(ProblemCode.ILLEGAL_ARGUMENT, "rate_per_s", f"must be from 0 to {MAX_RATE}")
    known = "SELECT 1 FROM app_platform WHERE id = ?"
    if app_platform and connection.execute(known, (app_platform,)).fetchone() is None:
        raise Problem(ProblemCode.NOT_FOUND, "app_platform", "is not in the inventory")
    key_id, secret = secrets.token_hex(KEY_ID_BYTES), secrets.token_urlsafe(SECRET_BYTES)
    kind, kept, shown = "token", _hashed(secret), f"{TOKEN_PREFIX}_{key_id}_{secret}"
    if role is Role.PLATFORM:
        kind, kept, shown = "hmac", cipher.encrypt(secret, _SECRET), secret
    connection.execute(
        "INSERT INTO api_key (key_id, kind, role, app_platform, secret, state, created_at, rate_per_s, cipher_key_id,"
        " ip_allow) VALUES (?, ?, ?, ?, ?, 'active', ?, ?, ?, ?)",
        (key_id, kind, role.value, app_platform, kept, wall_s, rate_per_s, cipher.key_id, networks),
    )
    return NewKey(key_id, kind, shown)


def find_key(connection: sqlite3.Connection, cipher: NumberCipher, key_id: str) -> ApiKey | None:
    """The key, read anew each time: one that was revoked counts no more for the next request."""
    row = connection.execute(_FIND, (key_id,)).fetchone()
    if row is None:
        return None
    role, app_platform, kind, kept, rate_per_s, ip_allow = row
    proof = cipher.decrypt(kept, _SECRET).encode() if kind == "hmac" else bytes(kept)
    return ApiKey(key_id, Role(role), app_platform, rate_per_s, kind, proof, ip_allow)


def list_keys(connection: sqlite3.Connection, after: str = "", limit: int = -1) -> Iterator[KeyRow]:
    """All keys behind `after`, in the order of their ids; -1 is no limit."""
    query = f"SELECT {_COLUMNS} FROM api_key WHERE key_id > ? ORDER BY key_id LIMIT ?"
    for key_id, kind, role, app_platform, state, created_at, rate, networks in connection.execute(
        query, (after, limit)
    ):
        yield KeyRow(key_id, kind, role, app_platform, state, utc_text(created_at), rate, networks.split())


def revoke_key(connection: sqlite3.Connection, key_id: str) -> None:
    """The key counts no more, for ever. Problem when there is none in force."""
    done = connection.execute("UPDATE api_key SET state = 'revoked' WHERE key_id = ? AND state = 'active'", (key_id,))
    if done.rowcount != 1:
        raise Problem(ProblemCode.NOT_FOUND, "key_id", "is no key in force")


def newest_signed(connection: sqlite3.Connection) -> dict[str, float]:
    """By key the time of the newest signed request that was taken before: what is older may be a repeat of one."""
    return dict(connection.execute("SELECT key_id, signed_at FROM api_clock"))


def note_signed(connection: sqlite3.Connection, newest: Mapping[str, float]) -> None:
    """Keeps such times; they never go back."""
    connection.executemany(
        "INSERT INTO api_clock VALUES (?, ?)"
        " ON CONFLICT (key_id) DO UPDATE SET signed_at = max(signed_at, excluded.signed_at)",
        list(newest.items()),
    )


def _networks(named: Sequence[str]) -> str:
    """As they are stored. Problem."""
    if len(named) > MAX_NETWORKS:
        raise Problem(ProblemCode.ILLEGAL_ARGUMENT, "ip_allow", f"must be {MAX_NETWORKS} networks at most")
    try:
        return " ".join(str(ipaddress.ip_network(one)) for one in named)
    except ValueError:
        why = "must be addresses or networks such as 192.0.2.7, 10.0.0.0/8 or 2001:db8::/32"
        raise Problem(ProblemCode.ILLEGAL_ARGUMENT, "ip_allow", why) from None


def _lies_in(address: str, networks: Sequence[str]) -> bool:
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped is not None:
        ip = ip.ipv4_mapped  # IPv4, as a socket for both shows it
    return any(ip in ipaddress.ip_network(network) for network in networks)


def _hashed(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
