"""Makes the binding of a story in the store, with what it needs before, and what has happened since."""

from __future__ import annotations

import sqlite3
from functools import partial
from typing import Final

from engine.store.audit import Asker
from engine.store.binder import Binder
from engine.store.bindings import BindingStore
from engine.store.crypto import NumberCipher
from engine.store.groups import Groups
from engine.store.orders import Verdict, create_order, judge_order
from engine.store.subscribers import Subscribers
from scenarios.rig.binding import Bound

_ASKER: Final = Asker("story")


async def make(store: BindingStore, cipher: NumberCipher, bound: Bound) -> None:
    """Binds as a platform would. Problem where a rule stands against it."""
    if bound.members:
        await store.write(partial(_make_group, cipher, bound))
    if bound.then == "name-revoked":
        await store.write(partial(_verify, cipher, bound))
    subs_id = await store.bind(bound.request())
    if bound.then == "unbound":
        await store.unbind(subs_id)
    elif bound.then == "name-revoked":
        await store.write(partial(_revoke, cipher, bound))
    elif bound.then == "order-forged":
        await store.write(partial(_forge, bound))


def _make_group(
    cipher: NumberCipher, bound: Bound, binder: Binder, connection: sqlite3.Connection, wall_s: float
) -> None:
    groups = Groups(connection, cipher, binder, _ASKER)
    groups.create("bu-test", "Colleagues", bound.members, wall_s, bound.group_id)


def _verify(cipher: NumberCipher, bound: Bound, _: Binder, connection: sqlite3.Connection, wall_s: float) -> None:
    Subscribers(connection, cipher, "ap-test", _ASKER, wall_s).verify(bound.a, "story")


def _revoke(cipher: NumberCipher, bound: Bound, _: Binder, connection: sqlite3.Connection, wall_s: float) -> None:
    Subscribers(connection, cipher, "ap-test", _ASKER, wall_s).revoke(bound.a)


def _forge(bound: Bound, _: Binder, connection: sqlite3.Connection, wall_s: float) -> None:
    create_order(connection, "bu-test", bound.order_id, "", _ASKER, wall_s)
    judge_order(connection, "bu-test", bound.order_id, Verdict("forged"), _ASKER, wall_s)
