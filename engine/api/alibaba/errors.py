"""What an application is told when nothing was done, in the two forms that it knows.

What its SDK got wrong, signature or operation, is an HTTP error, which the SDK raises. What the domain refuses is an
answer with status 200 whose `Code` is not "OK". So does the service that applications were written for; they look at
`Code`.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Final, final

from engine.domain.problems import Problem, ProblemCode

OK: Final = "OK"
SYSTEM_ERROR: Final = "isp.SYSTEM_ERROR"
SUBS_NOT_EXIST: Final = "isv.SUBS_NOT_EXIST"


@final
class Refusal(Exception):
    """A request that no operation gets to see; str() is one line without anything of the request's values."""

    def __init__(self, status: int, code: str, message: str) -> None:
        """`status` of HTTP; `code` as the SDK's exception has it."""
        super().__init__(message)
        self.status: Final = status
        self.code: Final = code


def mandatory(name: str) -> Refusal:
    """A parameter that is not there."""
    return Refusal(400, f"Missing{name}", f"{name} is mandatory for this action.")


CODES: Final = MappingProxyType(
    {
        ProblemCode.ILLEGAL_ARGUMENT: "isv.ILLEGAL_ARGUMENT",
        ProblemCode.EXPIRE_DATE_ILLEGAL: "isv.EXPIRE_DATE_ILLEGAL",
        ProblemCode.MOBILE_NUMBER_ILLEGAL: "isv.MOBILE_NUMBER_ILLEGAL",
        ProblemCode.UNAUTHENTICATED: "isv.FORBIDDEN_ACTION",
        ProblemCode.FORBIDDEN: "isv.FORBIDDEN_ACTION",
        ProblemCode.PARTNER_IS_CLOSED: "isv.PARTNER_IS_CLOSED",
        ProblemCode.NOT_FOUND: "isv.NO_NOT_EXIST",
        ProblemCode.ILLEGAL_STATE: "isv.FORBIDDEN_ACTION",
        ProblemCode.BIND_CONFLICT: "isv.BIND_CONFLICT",
        ProblemCode.NUMBER_COOLING: "isv.BIND_CONFLICT",
        ProblemCode.NO_AVAILABLE_NUMBER: "isv.NO_AVAILABLE_NUMBER",
        ProblemCode.NO_USED_BY_OTHERS: "isv.NO_USED_BY_OTHERS",
        ProblemCode.NUMBER_LOCKED: "isv.FORBIDDEN_ACTION",
        ProblemCode.NUMBER_FROZEN: "isv.FORBIDDEN_ACTION",
        ProblemCode.USER_NOT_REGISTERED: "isv.OUT_OF_SERVICE",
        ProblemCode.CONTRACT_NOT_IN_FORCE: "isv.OUT_OF_SERVICE",
        ProblemCode.SCENARIO_FORBIDS: "isv.FORBIDDEN_ACTION",
        ProblemCode.ORDER_UNVERIFIED: "isv.FORBIDDEN_ACTION",
        ProblemCode.REALNAME_MISSING: "isv.FORBIDDEN_ACTION",
        ProblemCode.CONSENT_MISSING: "isv.FORBIDDEN_ACTION",
        ProblemCode.REQUEST_CONFLICT: "isv.ILLEGAL_ARGUMENT",
        ProblemCode.FLOW_LIMIT: "isv.FLOW_LIMIT",
        ProblemCode.VERIFY_TIMEOUT: "isp.VENDOR_UNAVAILABLE",
        ProblemCode.INTERNAL: SYSTEM_ERROR,
        ProblemCode.OVERLOAD: "isp.VENDOR_UNAVAILABLE",
    }
)

# NOT_FOUND by what is not there.
_MISSING: Final = MappingProxyType(
    {"subs_id": SUBS_NOT_EXIST, "pool_key": "isv.POOLKEY_NOT_EXISTS", "group_id": "isv.ILLEGAL_ARGUMENT"}
)

# The domain's own words could name a binding or a number that is not the asker's.
_UNTOLD: Final = MappingProxyType(
    {
        ProblemCode.BIND_CONFLICT: "a party has this number in another binding, or the name is taken",
        ProblemCode.NUMBER_COOLING: "a party has had this number, or has called it, a short while ago",
    }
)

_NAMES: Final = MappingProxyType(
    {
        "tel_x": "TelX", "tel_a": "TelA", "tel_b": "TelB", "group_id": "GroupId", "default_a": "DefaultA",
        "order_id": "OrderId", "out_order_id": "OutOrderId", "out_id": "OutId", "industrial_id": "IndustrialId",
        "expiration": "Expiration", "pool_key": "PoolKey", "call_restrict": "CallRestrict",
        "ring_timeout_s": "CallTimeout", "subs_id": "SubsId", "name": "Name", "members": "Numbers",
        "first": "BlackNo", "second": "BlackNo", "state": "SecretNo",
    }
)  # fmt: skip


def code_of(problem: Problem) -> str:
    """The `Code` of a problem."""
    if problem.code is ProblemCode.NOT_FOUND:
        return _MISSING.get(problem.field, CODES[problem.code])
    return CODES.get(problem.code, SYSTEM_ERROR)  # of a code that none of these operations has


def message_of(problem: Problem) -> str:
    """One line: the code of the domain, the parameter it is about, and why; real numbers masked."""
    said = _UNTOLD.get(problem.code, problem.detail)
    field = _NAMES.get(problem.field, problem.field)
    return f"{problem.code.value} {field}: {said}" if field else f"{problem.code.value}: {said}"
