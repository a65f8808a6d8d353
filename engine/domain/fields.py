"""What is kept of each kind of thing, and what may stand there: the same for the inventory file and the API."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from types import MappingProxyType
from typing import Final, final

from engine.domain.gates import COOL_S
from engine.domain.states import states_of
from engine.domain.targets import MODES

MAX_TEXT: Final = 128  # characters
MAX_TTL_S: Final = 3_153_600_000  # a hundred years
MAX_CALL_S: Final = 86_400
MAX_CODES: Final = 100  # scenarios of one business user
# What a base platform must have seen of an app platform before a contract: the notice names these.
DOCUMENTS: Final = ("business_licence", "technical_scheme", "number_plan", "anti_fraud_plan", "security_plan")

Value = str | int
Check = Callable[[object], Value]

_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_PREFIX: Final = re.compile(r"700[0-9]{8}")
_HOURS: Final = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]-(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)")


@final
@dataclass(frozen=True, slots=True)
class Field:
    """A column, what it takes, and what stands there when nothing is said."""

    column: str
    check: Check  # the value as it is stored; ValueError("must be ...")
    default: Value | None = None  # None: something must be said
    is_fixed: bool = False  # never changed once it is made


def text(value: object) -> str:
    if not isinstance(value, str) or not value or len(value) > MAX_TEXT or not value.isprintable():
        raise ValueError(f"must be text of 1 to {MAX_TEXT} printable characters")
    return value


def _text_or_none(value: object) -> str:
    return "" if value == "" else text(value)


def _one_of(*allowed: str) -> Check:
    def check(value: object) -> str:
        if value not in allowed:
            raise ValueError(f"must be one of {', '.join(allowed)}")
        return str(value)

    return check


def _whole(least: int, most: int) -> Check:
    def check(value: object) -> int:
        if type(value) is not int or not least <= value <= most:
            raise ValueError(f"must be a whole number from {least} to {most}")
        return value

    return check


def _flag(value: object) -> int:
    if not isinstance(value, bool):
        raise ValueError("must be true or false")
    return int(value)


def _day(value: object) -> str:
    try:
        return (value if type(value) is date else date.fromisoformat(text(value))).isoformat()
    except ValueError:
        raise ValueError("must be a day such as 2026-01-31") from None


def _day_or_none(value: object) -> str:
    return "" if value == "" else _day(value)


def _modes(value: object) -> str:
    if not isinstance(value, list) or not value or not all(mode in MODES for mode in value):
        raise ValueError(f"must be a list of {', '.join(MODES)}")
    return json.dumps(value)


def _prefix(value: object) -> str:
    if not isinstance(value, str) or not _PREFIX.fullmatch(value):
        raise ValueError("must be 11 digits that begin with 700, as text")
    return value


def _prefixes(value: object) -> str:
    if not isinstance(value, list) or not value:
        raise ValueError("must be a list of blocks")
    prefixes = [_prefix(prefix) for prefix in value]
    if len(set(prefixes)) < len(prefixes):
        raise ValueError("names a block twice")
    return json.dumps(sorted(prefixes))


def _codes(value: object) -> str:
    """JSON, "" for an empty list."""
    if not isinstance(value, list) or len(value) > MAX_CODES:
        raise ValueError(f"must be a list of up to {MAX_CODES} scenario codes")
    codes = sorted({text(code) for code in value})
    if len(codes) < len(value):
        raise ValueError("names a scenario twice")
    return json.dumps(codes, ensure_ascii=False) if codes else ""


def _sha256_or_none(value: object) -> str:
    if value != "" and (not isinstance(value, str) or not _SHA256.fullmatch(value)):
        raise ValueError("must be a SHA-256: 64 hexadecimal digits in lower case")
    return str(value)


def _hours(value: object) -> str:
    if value == "":
        return ""
    if not isinstance(value, str) or not _HOURS.fullmatch(value) or value[:5] == value[6:]:
        raise ValueError("must be two times of the day in China such as 08:00-22:00")
    return value


def _reviewed(value: object) -> str:
    """JSON: document -> {"day", "reviewer"}."""
    if not isinstance(value, dict) or not set(value) <= set(DOCUMENTS):
        raise ValueError(f"must be a table with {', '.join(DOCUMENTS)}")
    reviews = {}
    for document in DOCUMENTS:
        if document not in value:
            continue
        review = value[document]
        if not isinstance(review, dict) or set(review) != {"day", "reviewer"}:
            raise ValueError(f'{document} must be {{ day = "2026-01-31", reviewer = "NAME" }}')
        reviews[document] = {"day": _day(review["day"]), "reviewer": text(review["reviewer"])}
    return json.dumps(reviews, ensure_ascii=False) if reviews else ""


def _state(kind: str, default: str | None = None) -> Field:
    return Field("state", _one_of(*states_of(kind)), default)


_PLATFORM: Final = Field("app_platform", text, is_fixed=True)
_USER: Final = Field("business_user", text, is_fixed=True)

# Kind -> name in the inventory file -> field. The first one is the key. In the order of writing: what is referred to
# first. A default of `state` is that of a file that says nothing: in use.
FIELDS: Final[Mapping[str, Mapping[str, Field]]] = MappingProxyType(
    {
        "app_platform": {
            "id": Field("id", text, is_fixed=True),
            "name": Field("name", text),
            "licence_no": Field("licence_no", text),
            "approval_no": Field("approval_no", text),
            "state": _state("app_platform"),
            "exit_day": Field("exit_day", _day_or_none, ""),
            "reviewed": Field("reviewed", _reviewed, ""),
        },
        "business_user": {
            "id": Field("id", text, is_fixed=True),
            "app_platform": _PLATFORM,
            "name": Field("name", text),
            "uscc": Field("uscc", text),
            "state": _state("business_user"),
            "credit_score": Field("credit_score", _whole(0, 100), 100),
            "consent": Field("consent", _one_of("off", "required"), "off"),
            "scenarios": Field("scenarios", _codes, ""),
        },
        "contract": {
            "id": Field("id", text, is_fixed=True),
            "app_platform": _PLATFORM,
            "business_user": _USER,
            "from": Field("from_day", _day),
            "to": Field("to_day", _day),
            "state": _state("contract", "effective"),
            "doc_hash": Field("doc_hash", _sha256_or_none, ""),
            "exit_plan": Field("exit_plan", _text_or_none, ""),
        },
        "scenario": {
            "code": Field("code", text, is_fixed=True),
            "risk_class": Field("risk_class", _whole(1, 4)),
            "modes": Field("modes", _modes),
            "max_ttl_s": Field("max_ttl_s", _whole(61, MAX_TTL_S)),  # a binding lives longer than 60 s
            "state": _state("scenario", "approved"),
            "name": Field("name", _text_or_none, ""),
            "hours": Field("hours", _hours, ""),
            "sms": Field("sms", _flag, 1),
            "real_name": Field("real_name", _one_of("off", "a", "both"), "off"),
            "order_check": Field("order_check", _one_of("off", "bind", "call"), "off"),
            "max_call_s": Field("max_call_s", _whole(0, MAX_CALL_S), 0),
            "calls_per_day": Field("calls_per_day", _whole(0, 1_000_000), 0),
        },
        "number_block": {
            "prefix": Field("prefix", _prefix, is_fixed=True),
            "operator": Field("operator", text),
            "app_platform": _PLATFORM,
            "business_user": _USER,
            "certificate_no": Field("certificate_no", text),
            "state": _state("number_block"),
            "opened_day": Field("opened_day", _day_or_none, ""),
            "reported_day": Field("reported_day", _day_or_none, ""),
        },
        "number_pool": {
            "key": Field("key", text, is_fixed=True),
            "app_platform": _PLATFORM,
            "business_user": _USER,
            "blocks": Field("blocks", _prefixes),
            "state": _state("number_pool", "active"),
            "choice": Field("choice", _one_of("random", "sticky", "least_recently_used"), "random"),
            "callback": Field("callback", _one_of("last_caller", "default_a", "sequential"), "last_caller"),
            "cool_s": Field("cool_s", _whole(0, MAX_TTL_S), COOL_S),
        },
    }
)


def key_column(kind: str) -> str:
    """The column that tells one of a kind from the others."""
    return next(iter(FIELDS[kind].values())).column
