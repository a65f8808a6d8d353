"""Statements and rows of `binding` and `target`."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Final

from engine.store.binding_rules import Terms
from engine.store.crypto import NumberCipher

VERSION: Final = 1  # of a new binding
_COLUMNS_OF_A: Final = ("binding.tel_a", "target.caller", "target.callee")
_COLUMNS_OF_B: Final = ("binding.tel_b", "target.caller", "target.callee")

INSERT_BINDING: Final = (
    "INSERT INTO binding (subs_id, version, mode, tel_x, tel_y, tel_a, tel_b, group_id, business_user,"
    " app_platform, order_id, scenario, expires_at, valid_from, key_id)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
INSERT_NEW_TARGET: Final = (
    "INSERT INTO target (x, caller, callee, presented, subs_id, version, mode, tel_y, app_platform, business_user,"
    " order_id, scenario, expires_at, key_id) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
# A target that has expired gives way; one in force does not, and the statement then changes no row. Last
# parameter, behind the row: now.
INSERT_TARGET: Final = (
    f"{INSERT_NEW_TARGET} ON CONFLICT (x, caller)"
    " DO UPDATE SET callee = excluded.callee, presented = excluded.presented, subs_id = excluded.subs_id,"
    " version = excluded.version, mode = excluded.mode, tel_y = excluded.tel_y,"
    " app_platform = excluded.app_platform, business_user = excluded.business_user,"
    " order_id = excluded.order_id, scenario = excluded.scenario, expires_at = excluded.expires_at,"
    " key_id = excluded.key_id WHERE target.expires_at <= ?"
)
HOLDER: Final = "SELECT subs_id FROM target WHERE x = ? AND caller = ?"

Row = tuple[object, ...]


def new_subs_id(wall_s: float) -> str:
    """32 hex digits: 12 of milliseconds since the epoch, so that they sort, and 20 at random."""
    return f"{int(wall_s * 1000.0):012x}{secrets.token_hex(10)}"


def whole_ms(wall_s: float) -> float:
    """The moment as it is shown (`utc_text`): times that were read off an answer compare with what is stored."""
    return round(wall_s * 1000.0) / 1000.0


def make_rows(
    subs_ids: Sequence[str], terms: Sequence[Terms], cipher: NumberCipher, wall_s: float
) -> tuple[list[Row], list[Row]]:
    """For each binding its row, parameters of INSERT_BINDING, and its two targets, parameters of INSERT_NEW_TARGET.

    They are in force from `wall_s` on. The targets are those of AXB: (X, A) to B, then (X, B) to A.
    """
    modes, xs, ys, tel_as, tel_bs, groups, users, platforms, orders, scenarios, ends = zip(*terms, strict=True)
    encrypt, key_id = cipher.encrypt_all, cipher.key_id
    a_kept, a_callers, a_callees = [encrypt(tel_as, column) for column in _COLUMNS_OF_A]
    b_kept, b_callers, b_callees = [encrypt(tel_bs, column) for column in _COLUMNS_OF_B]
    bindings: list[Row] = [
        (subs_id, VERSION, mode, x, y, a, b, group, user, platform, order, scenario, end, wall_s, key_id)
        for subs_id, mode, x, y, a, b, group, user, platform, order, scenario, end in zip(
            subs_ids, modes, xs, ys, a_kept, b_kept, groups, users, platforms, orders, scenarios, ends, strict=True
        )
    ]
    targets: list[Row] = []
    for subs_id, mode, x, y, user, platform, order, scenario, end, a, b, to_a, to_b in zip(
        subs_ids, modes, xs, ys, users, platforms, orders, scenarios, ends, a_callers, b_callers, a_callees, b_callees,
        strict=True,
    ):  # fmt: skip
        common = (x, subs_id, VERSION, mode, y, platform, user, order, scenario, end, key_id)
        targets += ((x, a, to_b, *common), (x, b, to_a, *common))
    return bindings, targets
