"""What a binding must satisfy before it is written: checked alike for one and for a million."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Final, NamedTuple, final

from engine.core.numbers import (
    MOBILE_LENGTH,
    PRIVACY_LENGTH,
    PRIVACY_PREFIX,
    SEPARATORS,
    canonical_real,
    is_mobile,
    is_privacy_number,
    mask,
)
from engine.store.errors import BindRefused

MIN_TTL_S: Final = 60.0  # a binding must outlive the moment in which it is made (reference/domain.md §5, I4)
MAX_TEXT: Final = 128  # characters of order_id and scenario: the industry's limit for an order number
BLOCK_DIGITS: Final = 11  # of the 15 of X

_AXB_DIGITS: Final = PRIVACY_LENGTH + 2 * MOBILE_LENGTH
_NOBODY: Final = (None, "")

_RFC3339: Final = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,6})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
# A number in any script's digits, and with separators as people write it; a date in front of an hour is none.
_LONG_NUMBER: Final = re.compile(rf"(?!\d{{4}}-\d\d-\d\d\b)\d(?:[{re.escape(SEPARATORS)}]{{0,3}}\d){{9,}}|\d{{7,}}")


@final
@dataclass(slots=True)  # not frozen: a million may be made in an import
class BindRequest:
    """A binding as asked for: text as it was typed or read, column names of `bindings import`."""

    mode: str
    tel_x: str
    tel_y: str
    tel_a: str
    tel_b: str
    group_id: str
    business_user: str
    order_id: str
    scenario: str
    expiration: str  # RFC 3339 with its offset


@final
@dataclass(frozen=True, slots=True)
class Premises:
    """The part of the inventory that decides."""

    blocks: Mapping[str, tuple[str, str]]  # 11 digits -> (state, business user)
    users: Mapping[str, str]  # business user -> app platform


class Terms(NamedTuple):
    """A request that was checked, and what the inventory adds to it."""

    mode: str
    tel_x: str
    tel_y: str
    tel_a: str  # canonical
    tel_b: str
    group_id: str
    business_user: str
    app_platform: str
    order_id: str
    scenario: str
    expires_at: float  # seconds since the epoch, UTC


def check(request: BindRequest, premises: Premises, wall_s: float) -> Terms:
    """The terms of a request; BindRefused, naming field and reason, for the first rule that it breaks."""
    if request.mode != "AXB":
        raise BindRefused(f"mode: {shown(request.mode)} is not supported yet, only AXB")
    if request.tel_y or request.group_id:
        raise BindRefused(f"{'tel_y' if request.tel_y else 'group_id'}: mode AXB has none")
    tel_x = request.tel_x
    if not is_privacy_number(tel_x):
        if tel_x.startswith(PRIVACY_PREFIX) and tel_x.isascii() and tel_x.isdigit():
            raise BindRefused(f"tel_x: {shown(tel_x)} has {len(tel_x)} digits, a 700 number has {PRIVACY_LENGTH}")
        raise BindRefused(f"tel_x: {shown(tel_x)} is not a 700 number of {PRIVACY_LENGTH} digits")
    tel_a = _real("tel_a", request.tel_a)
    tel_b = _real("tel_b", request.tel_b)
    if tel_a == tel_b:
        raise BindRefused(f"tel_b: {mask(tel_b)} is also tel_a: the two parties must differ")
    if tel_a in tel_x or tel_b in tel_x:
        raise BindRefused("tel_x: contains the number of a party, so it would show it")
    app_platform = _tenant(request, premises)
    _text("order_id", request.order_id)
    _text("scenario", request.scenario)
    expires_at = _expiration(request.expiration)
    if expires_at <= wall_s + MIN_TTL_S:
        raise BindRefused(f"expiration: {request.expiration} is not more than {MIN_TTL_S:.0f} s from now")
    return Terms(
        request.mode, tel_x, request.tel_y, tel_a, tel_b, request.group_id, request.business_user, app_platform,
        request.order_id, request.scenario, expires_at,
    )  # fmt: skip


@final
class QuickCheck:
    """`check` for what nearly every line of a file is: a binding of two mobile numbers that breaks no rule."""

    def __init__(self, premises: Premises, wall_s: float) -> None:
        self._expires_after = wall_s + MIN_TTL_S
        self._assigned = {
            prefix: (user, premises.users[user])
            for prefix, (state, user) in premises.blocks.items()
            if state == "assigned" and user in premises.users and prefix.startswith(PRIVACY_PREFIX)
        }

    def terms(self, values: Sequence[str]) -> Terms | None:
        """The same terms as `check` finds, of the values of a BindRequest; None: `check` must say."""
        mode, tel_x, tel_y, tel_a, tel_b, group_id, business_user, order_id, scenario, expiration = values
        if mode != "AXB" or tel_y or group_id or len(tel_x) != PRIVACY_LENGTH:
            return None
        digits = f"{tel_x}{tel_a}{tel_b}"
        if len(digits) != _AXB_DIGITS or not digits.isascii() or not digits.isdigit():
            return None
        owner, app_platform = self._assigned.get(tel_x[:BLOCK_DIGITS], _NOBODY)
        if owner != business_user or not is_mobile(tel_a) or not is_mobile(tel_b) or tel_a == tel_b:
            return None
        if tel_a in tel_x or tel_b in tel_x:
            return None
        order_id, scenario = order_id.strip(), scenario.strip()
        if not (_is_text(order_id) and _is_text(scenario)):
            return None
        try:
            expires_at = _expiration(expiration)
        except BindRefused:
            return None
        if expires_at <= self._expires_after:
            return None
        return Terms(
            mode, tel_x, tel_y, tel_a, tel_b, group_id, business_user, app_platform, order_id, scenario, expires_at
        )


def shown(text: str) -> str:
    """What a user wrote as an error may quote it: short, printable, numbers masked wherever they stand."""
    masked = _LONG_NUMBER.sub(lambda number: mask(number[0]), text[:MAX_TEXT])
    return repr(masked if len(text) <= 40 else f"{masked[:40]}...")


def _real(field: str, text: str) -> str:
    number = canonical_real(text)
    if number is None:
        raise BindRefused(
            f"{field}: {shown(mask(text))} is not a number that can be called" if text else f"{field}: missing"
        )
    return number


def _tenant(request: BindRequest, premises: Premises) -> str:
    """The app platform of the business user, which must hold the block of X."""
    app_platform = premises.users.get(request.business_user)
    if app_platform is None:
        raise BindRefused(
            f"business_user: {shown(request.business_user)} is not in the inventory, "
            "which veil700 inventory apply FILE.toml fills"
        )
    prefix = request.tel_x[:BLOCK_DIGITS]
    block = premises.blocks.get(prefix)
    if block is None:
        raise BindRefused(f"tel_x: {request.tel_x} lies in block {prefix}, which is not in the inventory")
    state, owner = block
    if owner != request.business_user or state != "assigned":
        what = f"is {state}, not assigned" if state != "assigned" else "is assigned to another business user"
        raise BindRefused(f"tel_x: {request.tel_x} lies in block {prefix}, which {what}")
    return app_platform


def _is_text(text: str) -> bool:
    return 0 < len(text) <= MAX_TEXT and text.isprintable()


def _text(field: str, text: str) -> None:
    if not text:
        raise BindRefused(f"{field}: missing")
    if not _is_text(text):
        raise BindRefused(f"{field}: {shown(text)} is longer than {MAX_TEXT} characters or not printable")


@lru_cache(maxsize=1024)
def _expiration(text: str) -> float:
    try:
        if _RFC3339.fullmatch(text):
            return datetime.fromisoformat(text.upper()).timestamp()
    except (ValueError, OverflowError):
        pass
    raise BindRefused(f"expiration: {shown(text)} is not an RFC 3339 time such as 2030-01-31T08:00:00+08:00")
