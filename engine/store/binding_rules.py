"""The form of a binding that is asked for: texts to checked values, before anything is looked up."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Final, NoReturn, final

from engine.core.numbers import (
    PRIVACY_LENGTH,
    PRIVACY_PREFIX,
    SEPARATORS,
    canonical_real,
    is_privacy_number,
    mask,
)
from engine.domain.problems import Problem, ProblemCode
from engine.domain.targets import (
    A_BLOCKED,
    B_BLOCKED,
    CALLBACKS,
    GROUP_BLOCKED,
    MODES,
    NOBODY_BLOCKED,
    WITH_GROUP,
    WITH_Y,
)

MAX_TEXT: Final = 128  # characters of order_id and scenario: the industry's limit for an order number
MAX_CALL_S: Final = 86_400
MAX_RING_S: Final = 180  # what networks let ring at all
DECISIONS: Final = ("closed", "open")
IS_MISSING: Final = "missing"

_DIGITS: Final = re.compile(r"[0-9]{8,20}", re.ASCII)  # none of 110, 10086 or 12345
_RFC3339: Final = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,6})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
# A number in any script's digits, and with separators as people write it; a date in front of an hour is none.
_LONG_NUMBER: Final = re.compile(rf"(?!\d{{4}}-\d\d-\d\d\b)\d(?:[{re.escape(SEPARATORS)}]{{0,3}}\d){{9,}}|\d{{7,}}")


@final
@dataclass(slots=True)  # not frozen: a million may be made in an import
class BindRequest:
    """A binding as asked for: text as it was typed or read. The first ten are the columns of `bindings import`."""

    mode: str
    tel_x: str  # "" : one of the pool
    tel_y: str  # AXYB and GXYB; "" : one of the pool
    tel_a: str
    tel_b: str
    group_id: str  # GXB and GXYB, in the place of A
    business_user: str
    order_id: str
    scenario: str
    expiration: str  # RFC 3339 with its offset
    pool_key: str = ""  # "" : all assigned blocks of the business user
    out_order_id: str = ""
    out_id: str = ""
    industrial_id: str = ""
    consent_ref: str = ""
    call_restrict: str = ""
    max_call_s: int = 0  # 0 : no limit of its own; also of the next
    ring_timeout_s: int = 0
    sms: bool = True
    default_a: str = ""
    callback: str = ""  # "" : as the pool says, else last_caller
    decision: str = ""  # "" | closed | open
    legacy_x: str = ""
    legacy_until: str = ""  # RFC 3339
    req_id: str = ""


@final
@dataclass(frozen=True, slots=True)
class Form:
    """The values of a request that had to be read: numbers canonical, times in seconds since the epoch (UTC)."""

    tel_a: str
    tel_b: str
    default_a: str
    call_restrict: str  # "" : nobody is blocked
    expires_at: float
    legacy_until: float | None


def plain_request(values: Sequence[str]) -> BindRequest:
    """A request of its first ten values."""
    mode, tel_x, tel_y, tel_a, tel_b, group_id, business_user, order_id, scenario, expiration = values
    return BindRequest(mode, tel_x, tel_y, tel_a, tel_b, group_id, business_user, order_id, scenario, expiration)


def read_form(request: BindRequest) -> Form:
    """The first fault of form is raised as a Problem that names field and reason."""
    _mode(request)
    for field in ("tel_x", "tel_y"):
        if number := getattr(request, field):
            check_privacy_number(field, number)
    if request.tel_x and request.tel_x == request.tel_y:
        _illegal("tel_y", "is also tel_x: the two numbers must differ")
    tel_a = "" if request.mode in WITH_GROUP else real("tel_a", request.tel_a)
    tel_b = real("tel_b", request.tel_b)
    if tel_a == tel_b:
        raise Problem(
            ProblemCode.MOBILE_NUMBER_ILLEGAL, "tel_b", f"{mask(tel_b)} is also tel_a: the two parties must differ"
        )
    default_a = real("default_a", request.default_a) if request.default_a else ""
    text("order_id", request.order_id)
    text("scenario", request.scenario)
    for field in ("out_order_id", "out_id", "industrial_id", "consent_ref", "pool_key", "req_id"):
        if value := getattr(request, field):
            text(field, value)
    _options(request)
    return Form(
        tel_a, tel_b, default_a, "" if request.call_restrict == NOBODY_BLOCKED else request.call_restrict,
        instant("expiration", request.expiration), _legacy(request),
    )  # fmt: skip


def shown(written: str) -> str:
    """What a user wrote as an error may quote it: short, printable, numbers masked wherever they stand."""
    masked = _LONG_NUMBER.sub(lambda number: mask(number[0]), written[:MAX_TEXT])
    return repr(masked if len(written) <= 40 else f"{masked[:40]}...")


def check_privacy_number(field: str, number: str) -> None:
    """A Problem for what is not a 700 number of 15 digits."""
    if is_privacy_number(number):
        return
    if number.startswith(PRIVACY_PREFIX) and number.isascii() and number.isdigit():
        _illegal(field, f"{shown(number)} has {len(number)} digits, a 700 number has {PRIVACY_LENGTH}")
    _illegal(field, f"{shown(number)} is not a 700 number of {PRIVACY_LENGTH} digits")


def real(field: str, written: str) -> str:
    """A real number in canonical form."""
    number = canonical_real(written)
    if number is None:
        why = f"{shown(mask(written))} is not a number that can be called" if written else IS_MISSING
        raise Problem(ProblemCode.MOBILE_NUMBER_ILLEGAL, field, why)
    return number


def text(field: str, value: str) -> None:
    """A Problem for what is empty, too long or not printable."""
    if not value:
        _illegal(field, IS_MISSING)
    if not is_text(value):
        _illegal(field, f"{shown(value)} is longer than {MAX_TEXT} characters or not printable")


def is_text(value: str) -> bool:
    return 0 < len(value) <= MAX_TEXT and value.isprintable()


@lru_cache(maxsize=1024)
def instant(field: str, written: str) -> float:
    """Seconds since the epoch of an RFC 3339 time."""
    try:
        if _RFC3339.fullmatch(written):
            return datetime.fromisoformat(written.upper()).timestamp()
    except (ValueError, OverflowError):
        pass
    raise Problem(
        ProblemCode.EXPIRE_DATE_ILLEGAL, field,
        f"{shown(written)} is not an RFC 3339 time such as 2030-01-31T08:00:00+08:00",
    )  # fmt: skip


def _mode(request: BindRequest) -> None:
    """The mode is known, and no field stands there that it has no use for."""
    mode = request.mode
    if mode not in MODES:
        _illegal("mode", f"{shown(mode)} is none of {', '.join(MODES)}")
    if request.tel_y and mode not in WITH_Y:
        _illegal("tel_y", f"mode {mode} has none")
    if mode in WITH_GROUP:
        if request.tel_a:
            _illegal("tel_a", f"mode {mode} has none: the members of its group are side A")
        text("group_id", request.group_id)
        return
    for field in ("group_id", "default_a", "callback"):
        if getattr(request, field):
            _illegal(field, f"mode {mode} has none")


def _options(request: BindRequest) -> None:
    a_side = GROUP_BLOCKED if request.mode in WITH_GROUP else A_BLOCKED
    _one_of("call_restrict", request.call_restrict, ("", a_side, B_BLOCKED, NOBODY_BLOCKED))
    _one_of("callback", request.callback, ("", *CALLBACKS))
    _one_of("decision", request.decision, ("", *DECISIONS))
    _seconds("max_call_s", request.max_call_s, MAX_CALL_S)
    _seconds("ring_timeout_s", request.ring_timeout_s, MAX_RING_S)


def _legacy(request: BindRequest) -> float | None:
    """Until when the number of before 700 works, too; None without one."""
    number = request.legacy_x
    if bool(number) != bool(request.legacy_until):
        missing = "legacy_until" if number else "legacy_x"
        _illegal(missing, f"{IS_MISSING}: legacy_x and legacy_until belong together")
    if not number:
        return None
    if not _DIGITS.fullmatch(number) or number.startswith(PRIVACY_PREFIX):
        _illegal("legacy_x", f"{shown(number)} is not the digits of a number of before 700")
    return instant("legacy_until", request.legacy_until)


def _one_of(field: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        _illegal(field, f"{shown(value)} is none of {', '.join(filter(None, allowed))}")


def _seconds(field: str, value: int, most: int) -> None:
    if not 0 <= value <= most:
        _illegal(field, f"{value} is not from 0 to {most} s")


def _illegal(field: str, detail: str) -> NoReturn:
    raise Problem(ProblemCode.ILLEGAL_ARGUMENT, field, detail)
