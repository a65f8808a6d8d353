"""What bindings.db says of a target beyond who reaches whom: restrictions, black list, real names, order, group.

For one call at a time, on the cursor of the reader that has found the target.
"""

from __future__ import annotations

import sqlite3
from typing import Final, NamedTuple, final

from engine.core.binding import (
    ASK_DECISION,
    ASK_ORDER,
    CALLEE_VERIFIED,
    CALLER_VERIFIED,
    LAST_CALLER,
    SEQUENTIAL,
    Binding,
    Conditions,
    Restriction,
    closer,
)
from engine.store.crypto import NumberCipher

BLOCK_DIGITS: Final = 11  # of the 15 of X
MAX_MEMBERS: Final = 32  # of a group, that one call looks at: nobody waits for more of them
DEFAULT_TIMEOUT_MS: Final = 800  # of a hook that says nothing of it
NOBODY: Final = b""  # in `blacklist.second`: whomever `first` calls or is called by

_RESTRICTION: Final = "SELECT state FROM restriction WHERE kind = ? AND id = ?"
_IS_RESTRICTED: Final = (
    "SELECT 1 FROM restriction WHERE (kind = 'number' AND id = ?) OR (kind = 'number_block' AND id = ?)"
    " OR (kind = 'business_user' AND id = ?) OR (kind = 'app_platform' AND id = ?) OR kind = 'everything'"
)
_LISTED: Final = "SELECT way FROM blacklist WHERE app_platform = ? AND first = ? AND second = ?"
_SUBSCRIBER: Final = "SELECT state FROM subscriber WHERE app_platform = ? AND number = ?"
_ORDER: Final = "SELECT state, until_at FROM service_order WHERE business_user = ? AND order_id = ?"
_TIMEOUT: Final = "SELECT timeout_ms FROM hook WHERE app_platform = ? AND kind = ?"
_BLOCKS: Final = "SELECT prefix FROM number_block WHERE business_user = ? AND state = 'assigned'"
_MEMBERS: Final = "SELECT member FROM group_member WHERE group_id = ? ORDER BY position LIMIT ?"


class Found(NamedTuple):
    """The columns beyond the numbers, as a target, its scenario and two looks at other tables give them."""

    flags: int
    max_call_s: int
    ring_timeout_s: int
    group_id: str
    scenario_max_call_s: int | None  # None: the inventory does not have the scenario
    hours: str | None
    calls_per_day: int | None
    is_restricted: int  # 1: there is a restriction, of whatever
    has_blacklist: int  # 1: the app platform has a black list


@final
class ConditionReader:
    """Raises sqlite3.Error as it comes."""

    def __init__(self, cursor: sqlite3.Cursor, cipher: NumberCipher) -> None:
        self._cursor = cursor
        self._cipher = cipher

    def read(
        self, binding: Binding, found: Found, members: tuple[str, ...], wall_s: float, calls_recorded: int
    ) -> Conditions:
        """All that stands for or against a call of this binding; `members` are those behind its callee."""
        flags = found.flags
        restriction = None
        if found.is_restricted:
            restriction = self.restriction(binding.tel_x, binding.business_user, binding.app_platform)
            if restriction is None and binding.tel_y:
                restriction = self.restriction(binding.tel_y, "", "")
        blacklisted = self._blacklisted(binding) if found.has_blacklist else ""
        if found.has_blacklist:
            members = tuple([one for one in members if not self._is_listed(binding, binding.caller, one)])
        if flags & CALLEE_VERIFIED:
            members = tuple([one for one in members if self._is_verified(binding.app_platform, one)])
        asks_order, asks_decision = flags & ASK_ORDER, flags & ASK_DECISION
        return Conditions(
            flags=flags,
            max_call_s=closer(found.max_call_s, found.scenario_max_call_s or 0),
            ring_timeout_s=found.ring_timeout_s,
            members=members,
            restriction=restriction,
            has_blacklist=bool(found.has_blacklist),
            blacklisted=blacklisted,
            unverified=self._unverified(binding, flags),
            hours=found.hours or "",
            calls_per_day=found.calls_per_day or 0,
            calls_recorded=calls_recorded,
            order_state=self._order_state(binding, wall_s) if asks_order else "",
            order_timeout_ms=self._timeout_ms(binding, "order") if asks_order else 0,
            decision_timeout_ms=self._timeout_ms(binding, "decision") if asks_decision else 0,
            blocks=self._blocks(binding) if asks_decision else (),
        )

    def is_restricted(self, binding: Binding) -> bool:
        """Whether any restriction is about a binding of one number: a quick look."""
        numbers = (binding.tel_x, binding.tel_x[:BLOCK_DIGITS])
        row = (*numbers, binding.business_user, binding.app_platform)
        return self._cursor.execute(_IS_RESTRICTED, row).fetchone() is not None

    def restriction(self, x: str, business_user: str, app_platform: str) -> Restriction | None:
        """What must not be used: the closest to the number; "" for tenants that are not known."""
        for kind, entity in (
            ("number", x),
            ("number_block", x[:BLOCK_DIGITS]),
            ("business_user", business_user),
            ("app_platform", app_platform),
        ):
            if entity and (state := self._state_of(kind, entity)):
                return Restriction(kind, entity, state)
        state = self._state_of("everything", "")
        return Restriction("everything", "", state) if state else None

    def group(self, binding: Binding, found: Found, last: str) -> tuple[str, tuple[str, ...]]:
        """Who of a group is called first, and who after him; `last` has called last, "" when nobody has.

        He counts as long as he is a member. Whoever calls is never called.
        """
        rows = self._cursor.execute(_MEMBERS, (found.group_id, MAX_MEMBERS)).fetchall()
        members = [self._cipher.decrypt(row[0], "group_member.member") for row in rows]
        first = last if found.flags & LAST_CALLER and last in members else binding.callee
        if not found.flags & SEQUENTIAL:
            return first, ()
        ordered = [one for one in dict.fromkeys((first, binding.callee, *members)) if one != binding.caller]
        return (ordered[0], tuple(ordered[1:])) if ordered else (binding.callee, ())

    def _state_of(self, kind: str, entity: str) -> str:
        row = self._cursor.execute(_RESTRICTION, (kind, entity)).fetchone()
        return "" if row is None else str(row[0])

    def _blacklisted(self, binding: Binding) -> str:
        if self._is_listed(binding, binding.caller, binding.callee):
            hidden = self._hidden(binding.caller)
            platform = binding.app_platform
            return "caller" if self._way(platform, hidden, NOBODY) else "callee"
        return ""

    def _is_listed(self, binding: Binding, caller: str, callee: str) -> bool:
        """A row of the two, or of one of them and everybody, that does not let this direction through."""
        platform, calls, called = binding.app_platform, self._hidden(caller), self._hidden(callee)
        if any(self._way(platform, *pair) == "both" for pair in ((calls, called), (calls, NOBODY))):
            return True
        return any(self._way(platform, *pair) for pair in ((called, calls), (called, NOBODY)))

    def _way(self, platform: str, first: bytes, second: bytes) -> str:
        row = self._cursor.execute(_LISTED, (platform, first, second)).fetchone()
        return "" if row is None else str(row[0])

    def _hidden(self, number: str) -> bytes:
        return self._cipher.encrypt(number, "blacklist.number")

    def _unverified(self, binding: Binding, flags: int) -> str:
        if flags & CALLER_VERIFIED and not self._is_verified(binding.app_platform, binding.caller):
            return "caller"
        if flags & CALLEE_VERIFIED and not self._is_verified(binding.app_platform, binding.callee):
            return "callee"
        return ""

    def _is_verified(self, platform: str, number: str) -> bool:
        hidden = self._cipher.encrypt(number, "subscriber.number")
        row = self._cursor.execute(_SUBSCRIBER, (platform, hidden)).fetchone()
        return row is not None and row[0] == "verified"

    def _order_state(self, binding: Binding, wall_s: float) -> str:
        """As it is now: one whose proof is over is unverified, and so is one that nobody has told of."""
        row = self._cursor.execute(_ORDER, (binding.business_user, binding.order_id)).fetchone()
        if row is None:
            return "unverified"
        state, until_at = row
        is_over = state == "verified" and until_at is not None and until_at <= wall_s
        return "unverified" if is_over else str(state)

    def _timeout_ms(self, binding: Binding, kind: str) -> int:
        row = self._cursor.execute(_TIMEOUT, (binding.app_platform, kind)).fetchone()
        return DEFAULT_TIMEOUT_MS if row is None else int(row[0])

    def _blocks(self, binding: Binding) -> tuple[str, ...]:
        return tuple([row[0] for row in self._cursor.execute(_BLOCKS, (binding.business_user,)).fetchall()])
