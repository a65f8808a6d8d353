"""How many TLS handshakes may begin: each costs a millisecond and a half of the loop's time, whoever asks for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, final

_WINDOW_S: Final = 1.0

# Hosts remembered that have shown a certificate; beyond that the one that has shown it longest ago is forgotten.
MAX_PROVEN: Final = 4096

# The pool that a host shares with others, None for one that has to share with nobody.
PoolOf = Callable[[str], str | None]


@final
class Handshakes:
    """Of one transport: so many in a second from one host, and so many from all hosts of one pool.

    A host whose last handshake has ended with a certificate that was asked for and is right, is in no pool either: who
    is known only by that is not kept out by the many who have none.
    """

    __slots__ = ("_by_host", "_by_pool", "_per_host", "_per_pool", "_pool_of", "_proven", "_since_s")

    def __init__(self, per_host: int, per_pool: int, pool_of: PoolOf) -> None:
        self._per_host = per_host
        self._per_pool = per_pool
        self._pool_of = pool_of
        self._since_s = 0.0
        self._by_host: dict[str, int] = {}
        self._by_pool: dict[str, int] = {}
        self._proven: dict[str, None] = {}

    def may_begin(self, host: str, now: float) -> bool:
        """Whether one more may begin at `now` (monotonic seconds); it is counted then."""
        if now - self._since_s >= _WINDOW_S:
            self._since_s = now
            self._by_host.clear()
            self._by_pool.clear()
        if not _take(self._by_host, host, self._per_host):
            return False
        pool = None if host in self._proven else self._pool_of(host)
        return pool is None or _take(self._by_pool, pool, self._per_pool)

    def ended(self, host: str, has_proven: bool) -> None:
        """One has come to its end, and has shown a certificate or not."""
        self._proven.pop(host, None)
        if not has_proven:
            return
        if len(self._proven) >= MAX_PROVEN:
            del self._proven[next(iter(self._proven))]
        self._proven[host] = None


def _take(used: dict[str, int], key: str, limit: int) -> bool:
    count = used.get(key, 0)
    if count >= limit:
        return False
    used[key] = count + 1
    return True
