"""Groups of numbers in the place of A: made, changed and deleted, their bindings with them in the same transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, final

from engine.core.numbers import mask
from engine.domain.problems import Problem, ProblemCode
from engine.domain.states import next_state
from engine.store.audit import Asker
from engine.store.binder import Binder
from engine.store.binding_rows import new_subs_id, whole_ms
from engine.store.binding_rules import real, shown, text
from engine.store.crypto import NumberCipher
from engine.store.history import note_act, note_move
from engine.store.members import COLUMN, read_members
from engine.store.standing import Standing

MAX_MEMBERS: Final = 200  # what the industry's largest supplier takes
ADD: Final = "add"
REMOVE: Final = "remove"
OVERWRITE: Final = "overwrite"
_KIND: Final = "number_group"

_GROUP: Final = (
    "SELECT group_id, app_platform, business_user, name, state, version FROM number_group WHERE group_id = ?"
)
_ALL: Final = (
    "SELECT group_id, app_platform, business_user, name, state, version FROM number_group WHERE group_id > ?"
    " ORDER BY group_id LIMIT ?"
)
_MAKE: Final = (
    "INSERT INTO number_group (group_id, app_platform, business_user, name, state, version)"
    " VALUES (?, ?, ?, ?, 'active', 1) ON CONFLICT DO NOTHING"
)
_CHANGE: Final = "UPDATE number_group SET version = version + 1, state = ? WHERE group_id = ?"
_JOIN: Final = "INSERT INTO group_member (group_id, position, member, since_at, key_id) VALUES (?, ?, ?, ?, ?)"
_PLACE: Final = "UPDATE group_member SET position = ? WHERE group_id = ? AND member = ?"
_LEAVES: Final = (
    "INSERT INTO group_past SELECT group_id, member, since_at, max(?, since_at), key_id FROM group_member"
    " WHERE group_id = ? AND member = ?"
)
_LEAVE: Final = "DELETE FROM group_member WHERE group_id = ? AND member = ?"
_IN_USE: Final = "SELECT subs_id FROM binding WHERE group_id = ? AND valid_to IS NULL AND expires_at > ? LIMIT 1"


@final
@dataclass(frozen=True, slots=True)
class Group:
    """A group as it is now; members are canonical real numbers in their order."""

    group_id: str
    app_platform: str
    business_user: str
    name: str
    state: str  # active | deleted
    version: int
    members: tuple[str, ...]


@final
class Groups:
    """On the binder's connection, in a transaction of the caller, who rolls back what raises. Raises as Binder does."""

    def __init__(self, connection: sqlite3.Connection, cipher: NumberCipher, binder: Binder, asker: Asker) -> None:
        """`asker`: who does it, for history and audit."""
        self._connection = connection
        self._cipher = cipher
        self._binder = binder
        self._asker = asker

    def create(self, business_user: str, name: str, members: Sequence[str], wall_s: float, group_id: str = "") -> Group:
        """`members` as they were typed, in their order; `group_id`: "" to draw one."""
        wall_s = whole_ms(wall_s)
        tenant = Standing(self._connection, self._cipher, wall_s).tenant(business_user)
        if tenant is None:
            raise Problem(
                ProblemCode.USER_NOT_REGISTERED, "business_user", f"{shown(business_user)} is not in the inventory"
            )
        text("name", name)
        if group_id:
            text("group_id", group_id)
        group_id = group_id or new_subs_id(wall_s)
        wanted = _canonical(members)
        _count(wanted)
        made = self._connection.execute(_MAKE, (group_id, tenant.app_platform, business_user, name))
        if made.rowcount != 1:
            raise Problem(ProblemCode.BIND_CONFLICT, "group_id", f"{shown(group_id)} is there already")
        self._move(group_id, "", "active", wall_s)
        self._join(group_id, wanted, 0, wall_s)
        return self.get(group_id)

    def edit(self, group_id: str, how: str, members: Sequence[str], wall_s: float) -> Group:
        """`how`: add, remove or overwrite. Its bindings have the new targets at once; calls in progress go on."""
        wall_s = whole_ms(wall_s)
        group = self._active(group_id)
        named = _canonical(members)
        old = group.members
        if how == ADD:
            wanted = (*old, *(number for number in named if number not in old))
        elif how == REMOVE:
            wanted = tuple(number for number in old if number not in named)
            _all_there(named, old)
        else:
            wanted = named
        _count(wanted)
        for number in old:
            if number not in wanted:
                row = (group_id, self._cipher.encrypt(number, COLUMN))
                self._connection.execute(_LEAVES, (wall_s, *row))
                self._connection.execute(_LEAVE, row)
        added = [number for number in wanted if number not in old]
        self._join(group_id, added, len(old) + len(wanted), wall_s)
        for position, number in enumerate(wanted):
            self._connection.execute(_PLACE, (position, group_id, self._cipher.encrypt(number, COLUMN)))
        self._connection.execute(_CHANGE, ("active", group_id))
        self._binder.rewire_group(group_id, added, wall_s)
        what = f"{how} {' '.join(masked(named))}"
        note_act(self._connection, f"{_KIND}.edit", group_id, what, self._asker, wall_s)
        return self.get(group_id)

    def delete(self, group_id: str, wall_s: float) -> Group:
        """A Problem while a binding of it is in force. Its members stay, for who asks later."""
        wall_s = whole_ms(wall_s)
        group = self._active(group_id)
        used = self._connection.execute(_IN_USE, (group_id, wall_s)).fetchone()
        if used is not None:
            raise Problem(ProblemCode.ILLEGAL_STATE, "group_id", f"{group_id} is bound, by {used[0]}")
        next_state(_KIND, group.state, "deleted")
        self._move(group_id, group.state, "deleted", wall_s)
        self._connection.execute(_CHANGE, ("deleted", group_id))
        return self.get(group_id)

    def get(self, group_id: str) -> Group:
        row = self._connection.execute(_GROUP, (group_id,)).fetchone()
        if row is None:
            raise Problem(ProblemCode.NOT_FOUND, "group_id", f"{shown(group_id)} is no group")
        return self._group(row)

    def after(self, group_id: str, limit: int) -> list[Group]:
        """A page of all groups, those behind a group_id."""
        rows = self._connection.execute(_ALL, (group_id, limit)).fetchall()
        return [self._group(row) for row in rows]

    def _group(self, row: tuple[Any, ...]) -> Group:
        group_id, app_platform, business_user, name, state, version = row
        members = read_members(self._connection, self._cipher, group_id)
        return Group(group_id, app_platform, business_user, name, state, version, members)

    def _active(self, group_id: str) -> Group:
        group = self.get(group_id)
        if group.state != "active":
            raise Problem(ProblemCode.ILLEGAL_STATE, "group_id", f"{shown(group_id)} is {group.state}")
        return group

    def _join(self, group_id: str, members: Sequence[str], first: int, wall_s: float) -> None:
        key_id = self._cipher.key_id
        for position, number in enumerate(members, first):
            row = (group_id, position, self._cipher.encrypt(number, COLUMN), wall_s, key_id)
            self._connection.execute(_JOIN, row)

    def _move(self, group_id: str, before: str, after: str, wall_s: float) -> None:
        note_move(self._connection, _KIND, group_id, before, after, self._asker, wall_s)


def masked(members: Sequence[str]) -> list[str]:
    return [mask(number) for number in members]


def each_group(groups: Groups, page: int = 500) -> Iterator[Group]:
    """All of them, in the order of their ids."""
    last = ""
    while found := groups.after(last, page):
        yield from found
        last = found[-1].group_id


def _canonical(members: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(real("members", number) for number in members))


def _count(members: Sequence[str]) -> None:
    if not 0 < len(members) <= MAX_MEMBERS:
        raise Problem(ProblemCode.ILLEGAL_ARGUMENT, "members", f"a group has 1 to {MAX_MEMBERS}, not {len(members)}")


def _all_there(named: Sequence[str], members: Sequence[str]) -> None:
    for number in named:
        if number not in members:
            raise Problem(ProblemCode.NOT_FOUND, "members", f"{mask(number)} is no member of the group")
