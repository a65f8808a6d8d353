"""The one error of the domain: what is asked for breaks a rule, and which."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class ProblemCode(StrEnum):
    """What is wrong, in a word that programs may compare; it never changes."""

    ILLEGAL_ARGUMENT = "ILLEGAL_ARGUMENT"
    EXPIRE_DATE_ILLEGAL = "EXPIRE_DATE_ILLEGAL"
    MOBILE_NUMBER_ILLEGAL = "MOBILE_NUMBER_ILLEGAL"
    UNAUTHENTICATED = "UNAUTHENTICATED"
    FORBIDDEN = "FORBIDDEN"
    PARTNER_IS_CLOSED = "PARTNER_IS_CLOSED"  # the app platform is not active
    NOT_FOUND = "NOT_FOUND"
    ILLEGAL_STATE = "ILLEGAL_STATE"
    BIND_CONFLICT = "BIND_CONFLICT"
    NUMBER_COOLING = "NUMBER_COOLING"
    NO_AVAILABLE_NUMBER = "NO_AVAILABLE_NUMBER"
    NO_USED_BY_OTHERS = "NO_USED_BY_OTHERS"
    NUMBER_LOCKED = "NUMBER_LOCKED"
    NUMBER_FROZEN = "NUMBER_FROZEN"
    USER_NOT_REGISTERED = "USER_NOT_REGISTERED"
    CONTRACT_NOT_IN_FORCE = "CONTRACT_NOT_IN_FORCE"
    SCENARIO_FORBIDS = "SCENARIO_FORBIDS"
    ORDER_UNVERIFIED = "ORDER_UNVERIFIED"
    REALNAME_MISSING = "REALNAME_MISSING"
    CONSENT_MISSING = "CONSENT_MISSING"
    REQUEST_CONFLICT = "REQUEST_CONFLICT"  # a req_id that was used with another body
    FLOW_LIMIT = "FLOW_LIMIT"
    VERIFY_TIMEOUT = "VERIFY_TIMEOUT"
    EVENTS_GONE = "EVENTS_GONE"  # the time for which they are kept is over
    INTERNAL = "INTERNAL"
    OVERLOAD = "OVERLOAD"


HTTP_STATUS: Final[Mapping[ProblemCode, int]] = MappingProxyType(
    {
        ProblemCode.ILLEGAL_ARGUMENT: 400,
        ProblemCode.EXPIRE_DATE_ILLEGAL: 400,
        ProblemCode.MOBILE_NUMBER_ILLEGAL: 400,
        ProblemCode.UNAUTHENTICATED: 401,
        ProblemCode.FORBIDDEN: 403,
        ProblemCode.PARTNER_IS_CLOSED: 403,
        ProblemCode.NOT_FOUND: 404,
        ProblemCode.ILLEGAL_STATE: 409,
        ProblemCode.BIND_CONFLICT: 409,
        ProblemCode.NUMBER_COOLING: 409,
        ProblemCode.NO_AVAILABLE_NUMBER: 409,
        ProblemCode.NO_USED_BY_OTHERS: 409,
        ProblemCode.NUMBER_LOCKED: 409,
        ProblemCode.NUMBER_FROZEN: 409,
        ProblemCode.USER_NOT_REGISTERED: 409,
        ProblemCode.CONTRACT_NOT_IN_FORCE: 409,
        ProblemCode.SCENARIO_FORBIDS: 409,
        ProblemCode.ORDER_UNVERIFIED: 409,
        ProblemCode.REALNAME_MISSING: 409,
        ProblemCode.CONSENT_MISSING: 409,
        ProblemCode.REQUEST_CONFLICT: 409,
        ProblemCode.VERIFY_TIMEOUT: 409,
        ProblemCode.EVENTS_GONE: 410,
        ProblemCode.FLOW_LIMIT: 429,
        ProblemCode.INTERNAL: 500,
        ProblemCode.OVERLOAD: 503,
    }
)


class Problem(Exception):
    """A request breaks a rule of the domain: nothing was done. str() is "field: detail", one line."""

    def __init__(self, code: ProblemCode, field: str, detail: str, legal: tuple[str, ...] = ()) -> None:
        """`field` as the request names it; real numbers in `detail` are masked; `legal`: what would be allowed."""
        super().__init__(f"{field}: {detail}")
        self.code: Final = code
        self.field: Final = field
        self.detail: Final = detail
        self.legal: Final = legal
