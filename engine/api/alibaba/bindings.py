"""Operations on bindings: BindAxb700, BindGxb700, UpdateSubs700, UnbindSubs700 and the two that look."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from engine.api.alibaba.case import Case, china_text, illegal, rfc3339, seconds
from engine.domain.problems import Problem, ProblemCode
from engine.store.binder import Change
from engine.store.binding_rules import BindRequest
from engine.store.serials import Numbered, find_serial, newest_on, serial_of

Fields = dict[str, object]
Order = tuple[str, str, str]  # business user, order id, scenario

_SERIAL: Final = re.compile(r"[0-9]{1,18}", re.ASCII)
_GROUP: Final = re.compile(r"[1-9][0-9]{0,17}", re.ASCII)


def bind_axb(case: Case) -> Fields:
    """A and B reach each other through X."""
    return _bind(case, "AXB")


def bind_gxb(case: Case) -> Fields:
    """The numbers of a group and B reach each other through X."""
    case.must_have("GroupId")
    return _bind(case, "GXB")


def update(case: Case) -> Fields:
    """One thing of a binding, which OperateType names."""
    if case["OperateType"] not in _CHANGES:
        raise illegal("OperateType", f"must be one of {', '.join(_CHANGES)}")
    names, change = _CHANGES[case["OperateType"]]
    binding = _named(case, "TelX")
    _must_say_no_more(case, binding, names)
    if case["OperateType"] != _UPDATE_ORDER:
        _must_be_of_order(case, binding)
    wanted = change(case)
    if not wanted.said():  # not to record is what is done anyway
        return {"Data": {}}
    case.binder().update(binding.subs_id, wanted, case.wall_s)
    case.wrote("binding.change", f"{binding.subs_id} {', '.join(wanted.said())}")
    return {"Data": {}}


def unbind(case: Case) -> Fields:
    """Calls in progress go on; the next one finds nothing."""
    binding = _named(case, "TelX")
    _must_be_of_order(case, binding)
    case.binder().unbind(binding.subs_id, case.wall_s)
    case.wrote("binding.delete", binding.subs_id)
    return {"Data": {}}


def detail(case: Case) -> Fields:
    """One binding, ended ones as well."""
    binding = _of_serial(case, "PhoneNoX")
    is_in_force = not binding.is_ended and binding.expires_at > case.wall_s
    found: Fields = {
        "SubsId": str(binding.serial), "PhoneNoX": binding.tel_x, "PhoneNoB": binding.tel_b,
        "GmtCreate": china_text(binding.made_at), "ExpireDate": china_text(binding.expires_at),
        "NeedRecord": False, "ASRStatus": False, "Status": int(is_in_force),
    }  # fmt: skip
    if binding.tel_a:
        found["PhoneNoA"] = binding.tel_a
    if _GROUP.fullmatch(binding.group_id):
        found["GroupId"] = int(binding.group_id)
    if binding.call_restrict:
        found["CallRestrict"] = binding.call_restrict
    return {"SecretBindDetailDTO": found}


def subs_id(case: Case) -> Fields:
    """The binding in force on X that was made last."""
    x = case["PhoneNoX"]
    case.must_hold(x)
    found = newest_on(case.connection, x, case.who.app_platform, case.wall_s)
    if found is None:
        raise Problem(ProblemCode.NOT_FOUND, "subs_id", "this number has no binding in force")
    return {"SubsId": str(serial_of(case.connection, found))}


def order_of_bind(case: Case) -> Order | None:
    """What a bind serves."""
    return (case.pool.business_user, case["OrderId"], case.scenario) if case["OrderId"] else None


def order_of_update(case: Case) -> Order | None:
    """What a binding is to serve from now on, where that is to be changed."""
    if case["OperateType"] != _UPDATE_ORDER or not case["OrderId"]:
        return None
    binding = _named(case, "TelX")
    return binding.business_user, case["OrderId"], binding.scenario


def _bind(case: Case, mode: str) -> Fields:
    if case["TelX"]:
        case.must_hold(case["TelX"])
    request = BindRequest(
        mode, case["TelX"], "", case["TelA"], case["TelB"], case["GroupId"], case.pool.business_user, case["OrderId"],
        case.scenario, rfc3339(case["Expiration"]), pool_key=case.pool.key,
        out_order_id=case["OutOrderId"], out_id=case["OutId"], industrial_id=case["IndustrialId"],
        call_restrict=case["CallRestrict"], ring_timeout_s=seconds("CallTimeout", case["CallTimeout"]),
        default_a=case["DefaultA"],
    )  # fmt: skip
    bound = case.binder().bind(request, case.wall_s)
    case.wrote("binding.create", bound.subs_id)
    return {"Data": {"SubsId": serial_of(case.connection, bound.subs_id), "SecretNo": bound.tel_x}}


def _named(case: Case, number: str) -> Numbered:
    """The binding that is to be changed; Problem NOT_FOUND, also when it has been ended."""
    binding = _of_serial(case, number)
    if binding.is_ended:
        raise _no_binding()
    return binding


def _of_serial(case: Case, number: str) -> Numbered:
    """The binding of SubsId, where pool and X are its own."""
    text, x = case["SubsId"], case[number]
    binding = find_serial(case.connection, case.desk.cipher, int(text)) if _SERIAL.fullmatch(text) else None
    if binding is None or binding.app_platform != case.who.app_platform or binding.tel_x != x:
        raise _no_binding()
    case.must_hold(x)
    return binding


def _no_binding() -> Problem:
    return Problem(ProblemCode.NOT_FOUND, "subs_id", "there is no such binding with this number in this pool")


def _must_be_of_order(case: Case, binding: Numbered) -> None:
    """Who names the order of a binding, beside its SubsId, must name the right one."""
    if case["OrderId"] not in ("", binding.order_id):
        raise illegal("OrderId", "is not the order of this binding")
    if case["IndustrialId"] and binding.industrial_id not in ("", case["IndustrialId"]):
        raise illegal("IndustrialId", "is not that of this binding")


def _must_say_no_more(case: Case, binding: Numbered, names: tuple[str, ...]) -> None:
    """Only `names` are changed: another value beside them would be believed to be in force, and is not."""
    present = {
        "TelA": binding.tel_a, "TelB": binding.tel_b, "GroupId": binding.group_id,
        "CallRestrict": binding.call_restrict, "Expiration": china_text(binding.expires_at),
    }  # fmt: skip
    for name in _VALUES:
        if case[name] and name not in names and case[name] != present.get(name):
            raise illegal(name, f"is not changed by {case['OperateType']}: leave it out")


_UPDATE_ORDER: Final = "updateOrder"
_VALUES: Final = ("TelA", "TelB", "Expiration", "GroupId", "DefaultA", "CallRestrict", "OutId")

# OperateType -> the parameters that it changes, and what they make.
_CHANGES: Final[dict[str, tuple[tuple[str, ...], Callable[[Case], Change]]]] = {
    "updateNoA": (("TelA",), lambda case: Change(tel_a=case.must_have("TelA"))),
    "updateNoB": (("TelB",), lambda case: Change(tel_b=case.must_have("TelB"))),
    "updateExpire": (("Expiration",), lambda case: Change(expiration=rfc3339(case["Expiration"]))),
    "updateAxgGroup": (
        ("GroupId", "DefaultA"),
        lambda case: Change(group_id=case.must_have("GroupId"), default_a=case["DefaultA"] or None),
    ),
    "updateCallRestrict": (("CallRestrict",), lambda case: Change(call_restrict=case.must_have("CallRestrict"))),
    "updateOutId": (("OutId",), lambda case: Change(out_id=case.must_have("OutId"))),
    "updateIsRecordingEnabled": ((), lambda case: Change()),
    _UPDATE_ORDER: (
        (),
        lambda case: Change(order_id=case.must_have("OrderId"), industrial_id=case["IndustrialId"] or None),
    ),
}
