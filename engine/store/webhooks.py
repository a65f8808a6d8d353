"""Table `webhook`: where a platform wants its events, and how far they have come. In transactions of the caller's."""

from __future__ import annotations

import secrets
import sqlite3
from dataclasses import dataclass
from typing import Final, final

from engine.domain.problems import Problem, ProblemCode
from engine.domain.states import next_state
from engine.store.audit import Asker
from engine.store.crypto import NumberCipher
from engine.store.history import note_act, note_move
from engine.store.rows import utc_text

KIND: Final = "webhook"
DEAD_AFTER_S: Final = 72 * 3600.0
FIRST_PAUSE_S: Final = 1.0  # after a failure; then as long as it has been failing ...
LAST_PAUSE_S: Final = 600.0  # ... up to this

_SECRET: Final = "webhook.secret"
_SECRET_BYTES: Final = 32
_PLATFORM: Final = "SELECT 1 FROM app_platform WHERE id = ?"
_COLUMNS: Final = "app_platform, url, state, acked_seq, failing_since_at, retry_at, last_error"
_FIND: Final = f"SELECT {_COLUMNS}, secret FROM webhook WHERE app_platform = ?"
_LIST: Final = (
    f"SELECT {_COLUMNS} FROM webhook WHERE app_platform > ? AND (?2 = '' OR app_platform = ?2) ORDER BY 1 LIMIT ?"
)
_ACTIVE: Final = "SELECT app_platform FROM webhook WHERE state = 'active'"
_PUT: Final = "REPLACE INTO webhook VALUES (?, ?, ?, 'active', ?, NULL, NULL, '', ?)"
_CHANGE: Final = (
    "UPDATE webhook SET url = ?, acked_seq = ?, failing_since_at = NULL, retry_at = NULL WHERE app_platform = ?"
)
_ACK: Final = (
    "UPDATE webhook SET acked_seq = ?, failing_since_at = NULL, retry_at = NULL, last_error = ''"
    " WHERE app_platform = ? AND acked_seq = ?"
)
_FAIL: Final = "UPDATE webhook SET failing_since_at = ?, retry_at = ?, last_error = ? WHERE app_platform = ?"
_MOVE: Final = "UPDATE webhook SET state = ?, failing_since_at = NULL, retry_at = NULL WHERE app_platform = ?"


@final
@dataclass(frozen=True, slots=True)
class Webhook:
    """A row, without its secret."""

    app_platform: str
    url: str
    state: str  # active | paused | dead
    acked_seq: int  # the last event that was taken
    failing_since_s: float | None  # seconds since the epoch
    retry_s: float | None
    last_error: str

    def shown(self) -> dict[str, object]:
        """As the API gives it."""
        since, retry = self.failing_since_s, self.retry_s
        return {
            "app_platform": self.app_platform, "url": self.url, "state": self.state, "acked_seq": self.acked_seq,
            "failing_since": None if since is None else utc_text(since),
            "next_try": None if retry is None else utc_text(retry), "last_error": self.last_error,
        }  # fmt: skip


def find_webhook(connection: sqlite3.Connection, app_platform: str) -> Webhook:
    """That of a platform. Problem NOT_FOUND."""
    return _found(connection, app_platform)[0]


def webhook_with_secret(
    connection: sqlite3.Connection, cipher: NumberCipher, app_platform: str
) -> tuple[Webhook, bytes] | None:
    """For who sends; None where there is none."""
    try:
        hook, sealed = _found(connection, app_platform)
    except Problem:
        return None
    return hook, cipher.decrypt(sealed, _SECRET).encode()


def list_webhooks(connection: sqlite3.Connection, app_platform: str, after: str, limit: int) -> list[Webhook]:
    """In the order of their platforms, of one platform or ("") of all."""
    return [Webhook(*row) for row in connection.execute(_LIST, (after, app_platform, limit))]


def active_webhooks(connection: sqlite3.Connection) -> list[str]:
    """Platforms that are to be told."""
    return [row[0] for row in connection.execute(_ACTIVE)]


def put_webhook(
    connection: sqlite3.Connection, cipher: NumberCipher, app_platform: str, url: str, after: int, asker: Asker,
    wall_s: float,
) -> str:  # fmt: skip
    """Makes it, or another one in its place: its new secret. It begins behind `after`. Problem."""
    if connection.execute(_PLATFORM, (app_platform,)).fetchone() is None:
        raise Problem(ProblemCode.NOT_FOUND, "app_platform", "is not in the inventory")
    secret = secrets.token_urlsafe(_SECRET_BYTES)
    connection.execute(_PUT, (app_platform, url, cipher.encrypt(secret, _SECRET), after, cipher.key_id))
    note_act(connection, "webhook.put", app_platform, f"{url} after {after}", asker, wall_s)
    return secret


def change_webhook(
    connection: sqlite3.Connection, app_platform: str, url: str | None, after: int | None, asker: Asker, wall_s: float
) -> None:
    """Another URL, or from another event on; None keeps what is there. Problem."""
    hook = find_webhook(connection, app_platform)
    url, after = hook.url if url is None else url, hook.acked_seq if after is None else after
    connection.execute(_CHANGE, (url, after, app_platform))
    note_act(connection, "webhook.change", app_platform, f"{url} after {after}", asker, wall_s)


def move_webhook(connection: sqlite3.Connection, app_platform: str, state: str, asker: Asker, wall_s: float) -> None:
    """Pauses or resumes it. Problem."""
    hook = find_webhook(connection, app_platform)
    next_state(KIND, hook.state, state)
    connection.execute(_MOVE, (state, app_platform))
    note_move(connection, KIND, app_platform, hook.state, state, asker, wall_s)


def delete_webhook(connection: sqlite3.Connection, app_platform: str, asker: Asker, wall_s: float) -> None:
    """Problem NOT_FOUND."""
    hook = find_webhook(connection, app_platform)
    connection.execute("DELETE FROM webhook WHERE app_platform = ?", (app_platform,))
    note_act(connection, "webhook.delete", app_platform, hook.url, asker, wall_s)


def acknowledge(connection: sqlite3.Connection, hook: Webhook, seq: int) -> None:
    """Everything up to `seq` was taken, unless somebody has set it to another place meanwhile."""
    connection.execute(_ACK, (seq, hook.app_platform, hook.acked_seq))


def note_failure(connection: sqlite3.Connection, hook: Webhook, fault: str, asker: Asker, wall_s: float) -> bool:
    """It is tried again later; True when it has failed for so long that it is dead now."""
    since_s = hook.failing_since_s if hook.failing_since_s is not None else wall_s
    failing_s = max(0.0, wall_s - since_s)
    pause_s = min(max(failing_s, FIRST_PAUSE_S), LAST_PAUSE_S)
    connection.execute(_FAIL, (since_s, wall_s + pause_s, fault, hook.app_platform))
    if failing_s < DEAD_AFTER_S:
        return False
    connection.execute(
        "UPDATE webhook SET state = 'dead', retry_at = NULL WHERE app_platform = ?", (hook.app_platform,)
    )
    note_move(connection, KIND, hook.app_platform, hook.state, "dead", asker, wall_s)
    return True


def _found(connection: sqlite3.Connection, app_platform: str) -> tuple[Webhook, bytes]:
    row = connection.execute(_FIND, (app_platform,)).fetchone()
    if row is None:
        raise Problem(ProblemCode.NOT_FOUND, "app_platform", "has no webhook")
    return Webhook(*row[:7]), row[7]
