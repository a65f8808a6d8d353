"""The point read that every call makes: whom does this caller reach through X?

What most bindings do not ask for is read only where it is: while there is no restriction, black list or scenario with
limits at all, one row says so; else they cost the others one look each, which finds nothing.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Final, final

from engine.core.binding import LEGACY, TO_GROUP, UNCONDITIONAL, Binding, Miss, Restriction
from engine.store.call_conditions import ConditionReader, Found
from engine.store.crypto import NumberCipher
from engine.store.database import open_read_only, read_only_uri, reason, store_errors
from engine.store.day_calls import DayCalls
from engine.store.errors import StoreError
from engine.store.group_calls import GroupCalls
from engine.store.number_memory import is_cooling

if TYPE_CHECKING:
    from engine.store.target_read import TargetReader

# The last column is 0 where nothing of `_CONDITIONS` says more than nothing, and the number is no Y: as with most.
# It is `_RESTRICTED` where all there is is a restriction, of whatever. Where `beside` has no row, all is looked for.
_RESTRICTED: Final = 2
FIND: Final = (
    "SELECT subs_id, version, mode, tel_y, callee, presented, app_platform, business_user, order_id, scenario,"
    " expires_at, (flags OR max_call_s OR ring_timeout_s OR tel_y != '')"
    f" | CASE (SELECT is_any FROM beside) WHEN 0 THEN 0 ELSE EXISTS (SELECT 1 FROM restriction) * {_RESTRICTED}"
    " | EXISTS (SELECT 1 FROM blacklist WHERE blacklist.app_platform = target.app_platform)"
    " | EXISTS (SELECT 1 FROM scenario AS s"
    " WHERE s.code = target.scenario AND (s.max_call_s OR s.hours != '' OR s.calls_per_day)) END"
    " FROM target WHERE x = ? AND caller = ?"
)
_CONDITIONS: Final = (
    "SELECT flags, target.max_call_s, ring_timeout_s, group_id, s.max_call_s, s.hours, s.calls_per_day,"
    " EXISTS (SELECT 1 FROM restriction),"
    " EXISTS (SELECT 1 FROM blacklist WHERE blacklist.app_platform = target.app_platform)"
    " FROM target LEFT JOIN scenario AS s ON s.code = target.scenario"
    " WHERE x = ? AND caller = ? AND subs_id = ? AND version = ?"
)
_IS_RESTRICTED: Final = "SELECT 1 FROM restriction"
_IN_FORCE: Final = "SELECT 1 FROM target WHERE x = ? AND expires_at > ? LIMIT 1"
_X_OF: Final = "SELECT tel_x FROM binding WHERE subs_id = ? ORDER BY version DESC LIMIT 1"

_CALLER: Final = "target.caller"
_CALLEE: Final = "target.callee"

_MISS_OF_RESTRICTION: Final = {"everything": Miss.SUSPENDED, "number_block": Miss.FROZEN}


def _compiled() -> type[TargetReader] | None:
    try:
        from engine.store.target_read import TargetReader as InC
    except ImportError:
        return None
    return InC


IN_C: Final = _compiled()


@final
class BindingReader:
    """Read from the newest committed state, in the loop's own thread.

    Remembers nothing of bindings: what is committed by any process counts for the very next call. Who has called
    through a group's binding last is remembered until the tables know (`GroupCalls`).
    """

    def __init__(
        self, path: Path, cipher: NumberCipher, *, at_rest: bool = False, callers: GroupCalls | None = None,
        days: DayCalls | None = None, make: type[TargetReader] | None = IN_C,
    ) -> None:  # fmt: skip
        """Opens bindings.db read-only, `at_rest` as `open_read_only` says; StoreError when it cannot be read.

        Without `callers` nobody has called yet through any binding of a group, without `days` nobody today.
        """
        self._in_c: TargetReader | None = None
        self._path = path
        # Of several that begin together one makes the database ready, and the others wait for it; no call ever waits.
        self._connection = open_read_only(path, cipher, at_rest=at_rest)
        self._connection.execute("PRAGMA busy_timeout = 0")
        self._cursor = self._connection.cursor()
        self._cipher = cipher
        self._callers_cipher = cipher.of_column(_CALLER)
        self._callees_cipher = cipher.of_column(_CALLEE)
        self._conditions = ConditionReader(self._cursor, cipher)
        self._callers = callers
        self._days = days
        if make is not None and not at_rest:
            key, (mixer, other) = cipher.short_keys((_CALLER, _CALLEE))
            with store_errors(path):
                self._in_c = make(read_only_uri(path), FIND, key, mixer, other, Binding, UNCONDITIONAL)

    def find(self, x: str, caller: str, wall_s: float) -> Binding | Miss:
        """The target of (X, caller), expired ones too (`binding.is_expired`), or why there is none.

        `caller` is canonical, "" when unknown; `wall_s` in seconds since the epoch. StoreError when the store
        does not answer at once.
        """
        try:
            found = self._read(x, caller) if caller else None
            if found is None:
                return self._missed(x, caller, wall_s)
            binding, beside = found
            if beside and (beside != _RESTRICTED or self._conditions.is_restricted(binding)):
                return self._with_conditions(binding, wall_s)
            return binding
        except sqlite3.Error as error:
            raise StoreError(f"{self._path}: {reason(error)}") from error

    def _read(self, x: str, caller: str) -> tuple[Binding, int] | None:
        """What `FIND` finds, and its last column."""
        if self._in_c is not None:
            try:
                return self._in_c.find(x, caller)
            except ValueError:
                pass  # no usual row: what follows says what is wrong with it, if anything is
        row = self._cursor.execute(FIND, (x, self._callers_cipher.encrypt(caller))).fetchone()
        if row is None:
            return None
        (
            subs_id, version, mode, tel_y, callee, presented, platform, user, order_id, scenario, expires_at, beside,
        ) = row  # fmt: skip
        callee = self._callees_cipher.decrypt(callee)
        binding = Binding(
            subs_id, version, mode, x, tel_y, caller, callee, presented, platform, user, order_id, scenario, expires_at,
        )  # fmt: skip
        return binding, beside

    def _with_conditions(self, binding: Binding, wall_s: float) -> Binding | Miss:
        x, caller = binding.tel_x, binding.caller
        same = (x, self._callers_cipher.encrypt(caller), binding.subs_id, binding.version)
        row = self._cursor.execute(_CONDITIONS, same).fetchone()
        if row is None:  # ended or changed since it was found
            return self.find(x, caller, wall_s)
        found = Found(*row)
        binding = binding._replace(tel_x=self._x_of(binding, found.flags))
        members: tuple[str, ...] = ()
        if found.flags & TO_GROUP:
            last = self._callers.last(binding.subs_id) if self._callers is not None else ""
            callee, members = self._conditions.group(binding, found, last)
            binding = binding._replace(callee=callee)
        count = 0
        if found.calls_per_day and self._days is not None:
            count = self._days.count(binding.tel_x, binding.caller, found.calls_per_day, wall_s)
        conditions = self._conditions.read(binding, found, members, wall_s, count)
        return binding._replace(conditions=UNCONDITIONAL if conditions == UNCONDITIONAL else conditions)

    def _x_of(self, binding: Binding, flags: int) -> str:
        """X of a binding that was reached by Y, or by the number of before."""
        if flags & LEGACY:
            row = self._cursor.execute(_X_OF, (binding.subs_id,)).fetchone()
            return binding.presented if row is None else str(row[0])
        return binding.presented if binding.tel_x == binding.tel_y else binding.tel_x

    def _missed(self, x: str, caller: str, wall_s: float) -> Miss:
        if self._cursor.execute(_IS_RESTRICTED).fetchone() is not None:
            restriction = self._conditions.restriction(x, "", "")
            if restriction is not None:
                return _miss_of(restriction)
        if self._cursor.execute(_IN_FORCE, (x, wall_s)).fetchone() is not None:
            return Miss.NOT_A_PARTY
        is_resting = caller and is_cooling(self._connection, self._cipher, x, caller, wall_s)
        return Miss.COOLING if is_resting else Miss.UNBOUND

    def called(self, subs_id: str, member: str) -> None:
        """A member calls through the binding of its group, and that is durable."""
        if self._callers is not None:
            self._callers.called(subs_id, member)

    def remembered(self, subs_id: str) -> str:
        """As `GroupCalls.remembered`."""
        return "" if self._callers is None else self._callers.remembered(subs_id)

    def close(self) -> None:
        self._connection.close()
        if self._in_c is not None:
            self._in_c.close()
        if self._callers is not None:
            self._callers.close()
        if self._days is not None:
            self._days.close()


def _miss_of(restriction: Restriction) -> Miss:
    if restriction.kind == "number" and restriction.state == "locked":
        return Miss.LOCKED
    return _MISS_OF_RESTRICTION.get(restriction.kind, Miss.FROZEN)
