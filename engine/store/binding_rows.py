"""Statements and rows of `binding` and `target`."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Final, NamedTuple

from engine.store.crypto import NumberCipher
from engine.store.many_rows import Shape, condensed

VERSION: Final = 1  # of a new binding
_COLUMNS_OF_A: Final = ("binding.tel_a", "target.caller", "target.callee")
_COLUMNS_OF_B: Final = ("binding.tel_b", "target.caller", "target.callee")

_PLAIN: Final = (
    "subs_id", "version", "mode", "tel_x", "tel_y", "tel_a", "tel_b", "group_id", "business_user", "app_platform",
    "order_id", "scenario", "expires_at", "valid_from", "key_id",
)  # fmt: skip
OPTIONS: Final = (
    "pool_key", "out_order_id", "out_id", "industrial_id", "consent_ref", "call_restrict", "max_call_s",
    "ring_timeout_s", "sms", "default_a", "callback", "decision", "legacy_x", "legacy_until",
)  # fmt: skip
BINDING_COLUMNS: Final = (*_PLAIN, *OPTIONS)
_PLAIN_TARGET: Final = (
    "x", "caller", "callee", "presented", "subs_id", "version", "mode", "tel_y", "app_platform", "business_user",
    "order_id", "scenario", "expires_at", "key_id",
)  # fmt: skip
TARGET_COLUMNS: Final = (*_PLAIN_TARGET, "flags", "max_call_s", "ring_timeout_s", "group_id")


def _insert(table: str, columns: Sequence[str]) -> str:
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"


# What a target says besides its key, where another one gives way to it.
_REPLACED: Final = ", ".join(f"{name} = excluded.{name}" for name in TARGET_COLUMNS[2:])
_GIVES_WAY: Final = f"ON CONFLICT (x, caller) DO UPDATE SET {_REPLACED} WHERE target.expires_at <= ?"

INSERT_BINDING: Final = _insert("binding", BINDING_COLUMNS)
# What `make_columns` makes, in its tables; what the other columns say is then nothing. The targets are those of AXB:
# (X, A) to B, then (X, B) to A.
PLAIN_BINDING: Final = Shape("binding", _PLAIN, (_PLAIN,))
PLAIN_TARGETS: Final = Shape(
    "target",
    _PLAIN_TARGET,
    tuple(("tel_x", caller, callee, "tel_x", *_PLAIN_TARGET[4:]) for caller, callee in (("a", "to_b"), ("b", "to_a"))),
)
# A target that has expired gives way; one in force does not, and the statement then changes no row. Last
# parameter, behind the row: now.
INSERT_TARGET: Final = f"{_insert('target', TARGET_COLUMNS)} {_GIVES_WAY}"
INSERT_PLAIN_TARGET: Final = f"{_insert('target', _PLAIN_TARGET)} {_GIVES_WAY}"
HOLDER: Final = "SELECT subs_id, business_user FROM target WHERE x = ? AND caller = ?"

Row = tuple[object, ...]
Columns = dict[str, object]  # as `many_rows.Values`


class Terms(NamedTuple):
    """A binding in mode AXB without options, between two numbers in canonical form, as an import writes it."""

    mode: str
    tel_x: str
    tel_y: str
    tel_a: str
    tel_b: str
    group_id: str
    business_user: str
    app_platform: str
    order_id: str
    scenario: str
    expires_at: float  # seconds since the epoch, UTC


def new_subs_id(wall_s: float) -> str:
    """32 hex digits: 12 of milliseconds since the epoch, so that they sort, and 20 at random."""
    return f"{int(wall_s * 1000.0):012x}{secrets.token_hex(10)}"


def whole_ms(wall_s: float) -> float:
    """The moment as it is shown (`utc_text`): times that were read off an answer compare with what is stored."""
    return round(wall_s * 1000.0) / 1000.0


def make_columns(
    subs_ids: Sequence[str], terms: Sequence[Terms], cipher: NumberCipher, wall_s: float
) -> tuple[Columns, Columns]:
    """The values of bindings for PLAIN_BINDING, and for PLAIN_TARGETS. They are in force from `wall_s` on."""
    modes, xs, ys, tel_as, tel_bs, groups, users, platforms, orders, scenarios, ends = zip(*terms, strict=True)
    a_kept, a_callers, a_callees = cipher.encrypt_in(tel_as, _COLUMNS_OF_A)
    b_kept, b_callers, b_callees = cipher.encrypt_in(tel_bs, _COLUMNS_OF_B)
    common: Columns = {
        "subs_id": [*subs_ids], "version": VERSION, "mode": condensed(modes), "tel_x": [*xs], "tel_y": condensed(ys),
        "app_platform": condensed(platforms), "business_user": condensed(users), "order_id": [*orders],
        "scenario": condensed(scenarios), "expires_at": condensed(ends), "key_id": cipher.key_id,
    }  # fmt: skip
    of_binding = {"tel_a": a_kept, "tel_b": b_kept, "group_id": condensed(groups), "valid_from": wall_s}
    of_targets = {"a": a_callers, "b": b_callers, "to_a": a_callees, "to_b": b_callees}
    return common | of_binding, common | of_targets
