"""Table `hook`: where an app platform is asked before a binding or a call. The transaction is the caller's."""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, final

from engine.core.asking import DECISION, ORDER
from engine.domain.problems import Problem, ProblemCode
from engine.store.crypto import NumberCipher

KINDS: Final = (ORDER, DECISION)
SECRET_BYTES: Final = 32
MIN_TIMEOUT_MS: Final = 50
MAX_TIMEOUT_MS: Final = 3000  # a caller waits in silence for so long

_SECRET: Final = "hook.secret"
_CHECK: Final = "SELECT order_check FROM scenario WHERE code = ?"
_PLATFORM_OF: Final = "SELECT app_platform FROM business_user WHERE id = ?"
_STATE: Final = "SELECT state, until_at FROM service_order WHERE business_user = ? AND order_id = ?"
_FIND: Final = "SELECT url, timeout_ms, secret FROM hook WHERE app_platform = ? AND kind = ?"
_LIST: Final = (
    "SELECT app_platform, kind, url, timeout_ms FROM hook"
    " WHERE (? = '' OR app_platform = ?) AND (app_platform, kind) > (?, ?) ORDER BY app_platform, kind LIMIT ?"
)
_PUT: Final = (
    "INSERT INTO hook (app_platform, kind, url, secret, timeout_ms, cipher_key_id) VALUES (?, ?, ?, ?, ?, ?)"
    " ON CONFLICT (app_platform, kind) DO UPDATE SET url = excluded.url, secret = excluded.secret,"
    " timeout_ms = excluded.timeout_ms, cipher_key_id = excluded.cipher_key_id"
)
_DELETE: Final = "DELETE FROM hook WHERE app_platform = ? AND kind = ?"
_PLATFORM: Final = "SELECT 1 FROM app_platform WHERE id = ?"


@final
@dataclass(frozen=True, slots=True)
class Hook:
    """Where one question is put."""

    app_platform: str
    kind: str  # order | decision
    url: str
    timeout_ms: int


@final
@dataclass(frozen=True, slots=True)
class Target:
    """A hook with what signs its questions."""

    url: str
    timeout_ms: int
    secret: bytes


def find_target(connection: sqlite3.Connection, cipher: NumberCipher, app_platform: str, kind: str) -> Target | None:
    """The hook as it is now; None when the platform has none."""
    row = connection.execute(_FIND, (app_platform, kind)).fetchone()
    return None if row is None else Target(row[0], row[1], cipher.decrypt(row[2], _SECRET).encode())


def read_hook(connection: sqlite3.Connection, app_platform: str, kind: str) -> Hook:
    """Problem NOT_FOUND."""
    row = connection.execute(_FIND, (app_platform, kind)).fetchone()
    if row is None:
        raise _missing()
    return Hook(app_platform, kind, row[0], row[1])


def list_hooks(connection: sqlite3.Connection, app_platform: str, after: tuple[str, str], limit: int) -> Iterator[Hook]:
    """Those of a platform, "" for all, behind (platform, kind)."""
    for row in connection.execute(_LIST, (app_platform, app_platform, *after, limit)):
        yield Hook(*row)


def put_hook(connection: sqlite3.Connection, cipher: NumberCipher, hook: Hook, renews: bool) -> str:
    """Sets it. Its secret when that is new, the first time and when it is renewed; else "". Problem."""
    if hook.kind not in KINDS:
        raise Problem(ProblemCode.ILLEGAL_ARGUMENT, "kind", f"must be one of {', '.join(KINDS)}")
    if not MIN_TIMEOUT_MS <= hook.timeout_ms <= MAX_TIMEOUT_MS:
        detail = f"must be from {MIN_TIMEOUT_MS} to {MAX_TIMEOUT_MS}"
        raise Problem(ProblemCode.ILLEGAL_ARGUMENT, "timeout_ms", detail)
    if connection.execute(_PLATFORM, (hook.app_platform,)).fetchone() is None:
        raise Problem(ProblemCode.NOT_FOUND, "app_platform", "is not in the inventory")
    before = find_target(connection, cipher, hook.app_platform, hook.kind)
    is_new = renews or before is None
    secret = secrets.token_urlsafe(SECRET_BYTES) if before is None or renews else before.secret.decode()
    kept = cipher.encrypt(secret, _SECRET)
    connection.execute(_PUT, (hook.app_platform, hook.kind, hook.url, kept, hook.timeout_ms, cipher.key_id))
    return secret if is_new else ""


def delete_hook(connection: sqlite3.Connection, app_platform: str, kind: str) -> None:
    """From now on nobody is asked, and what must be asked is refused. Problem NOT_FOUND."""
    if connection.execute(_DELETE, (app_platform, kind)).rowcount != 1:
        raise _missing()


def must_ask_first(
    connection: sqlite3.Connection, business_user: str, order_id: str, scenario: str, wall_s: float
) -> str:
    """The platform that must be asked about an order before a bind of its business user; "" when nobody must be.

    Without a hook nobody is: then the gate of the order refuses what nobody has proved.
    """
    check = connection.execute(_CHECK, (scenario,)).fetchone()
    owner = connection.execute(_PLATFORM_OF, (business_user,)).fetchone()
    if check is None or check[0] != "bind" or owner is None or not order_id:
        return ""
    if connection.execute(_FIND, (owner[0], ORDER)).fetchone() is None:
        return ""
    known = connection.execute(_STATE, (business_user, order_id)).fetchone()
    if known is None or known[0] == "unverified":
        return str(owner[0])
    is_over = known[0] == "verified" and known[1] is not None and known[1] <= wall_s
    return str(owner[0]) if is_over else ""


def _missing() -> Problem:
    return Problem(ProblemCode.NOT_FOUND, "kind", "this platform has no such hook")
