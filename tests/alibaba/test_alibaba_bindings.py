"""Bindings by the SDK of today: made, looked at, changed and ended, and refused as its users know it."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from tests.alibaba.conftest import Served
from tests.alibaba.sdk import POOL, UNTIL, A, B, C, Sdk

CHINA = timezone(timedelta(hours=8))


@pytest.fixture
def bound(sdk: Sdk) -> Any:
    """A binding that is ended after the test."""
    found = sdk.bind()
    assert (found.code, found.success) == ("OK", True), found
    yield found.data
    sdk.unbind(found.data)


def dto(sdk: Sdk, bound: Any) -> dict[str, Any]:
    found: dict[str, Any] = sdk.detail(bound).secret_bind_detail_dto.to_map()
    return found


def test_what_was_bound_is_there(sdk: Sdk, bound: Any) -> None:
    assert bound.secret_no.startswith("70012345678")
    found = dto(sdk, bound)
    made = datetime.strptime(found.pop("GmtCreate"), "%Y-%m-%d %H:%M:%S").replace(tzinfo=CHINA)
    assert abs(made - datetime.now(CHINA)) < timedelta(minutes=2)
    assert found == {
        "SubsId": str(bound.subs_id), "PhoneNoA": A, "PhoneNoB": B, "PhoneNoX": bound.secret_no, "ExpireDate": UNTIL,
        "NeedRecord": False, "ASRStatus": False, "Status": 1,
    }  # fmt: skip
    assert sdk.of_number(bound.secret_no).subs_id == str(bound.subs_id)
    assert isinstance(bound.subs_id, int)


def test_what_a_binding_says_beside_its_numbers_is_kept(served: Served, sdk: Sdk) -> None:
    asked = {
        "tel_x": "700123456780077", "out_id": "out", "out_order_id": "out-order", "industrial_id": "700.100.1/1",
        "call_restrict": "CONTROL_BX_DISABLE", "call_timeout": 20, "need_record": False, "need_asr": False,
    }  # fmt: skip
    bound = sdk.bind(tel_a="13800138020", **asked).data
    assert bound.secret_no == "700123456780077"
    assert dto(sdk, bound)["CallRestrict"] == "CONTROL_BX_DISABLE"
    [row] = [row for row in listed(served) if row["tel_x"] == bound.secret_no]
    assert (row["business_user"], row["order_id"], row["scenario"]) == ("bu-test", "order-1", "express")
    assert row["expiration"] == "2030-01-31T00:00:00.000Z"
    sdk.unbind(bound)


def listed(served: Served) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(served.command("bindings", "list", "--json"))
    return rows


@pytest.mark.parametrize(
    ("how", "values", "field", "after"),
    [
        ("updateNoA", {"tel_a": C}, "PhoneNoA", C),
        ("updateNoB", {"tel_b": C}, "PhoneNoB", C),
        ("updateExpire", {"expiration": "2029-12-31 23:59:59"}, "ExpireDate", "2029-12-31 23:59:59"),
        ("updateCallRestrict", {"call_restrict": "CONTROL_AX_DISABLE"}, "CallRestrict", "CONTROL_AX_DISABLE"),
        ("updateIsRecordingEnabled", {"need_record": False}, "NeedRecord", False),
    ],
)
def test_a_change_counts_at_once(sdk: Sdk, bound: Any, how: str, values: Any, field: str, after: Any) -> None:
    answer = sdk.update(bound, how, **values)
    assert (answer.code, answer.success) == ("OK", True)
    assert dto(sdk, bound)[field] == after


def test_the_order_of_a_binding_can_be_changed_and_must_be_right_elsewhere(sdk: Sdk, bound: Any) -> None:
    assert sdk.update(bound, "updateNoA", tel_a=C, order_id="another").code == "isv.ILLEGAL_ARGUMENT"
    assert sdk.unbind(bound, order_id="another").code == "isv.ILLEGAL_ARGUMENT"
    assert sdk.update(bound, "updateOrder", order_id="order-2", industrial_id="700.100.1/2").code == "OK"
    assert sdk.unbind(bound, order_id="order-2", industrial_id="700.100.1/3").code == "isv.ILLEGAL_ARGUMENT"
    assert sdk.update(bound, "updateOutId", out_id="o", order_id="order-2", industrial_id="700.100.1/2").code == "OK"


def test_what_has_ended_is_no_more_but_can_be_looked_at(sdk: Sdk) -> None:
    bound = sdk.bind().data
    assert sdk.unbind(bound).code == "OK"
    assert sdk.unbind(bound).code == "isv.SUBS_NOT_EXIST"
    assert sdk.update(bound, "updateNoA", tel_a=C).code == "isv.SUBS_NOT_EXIST"
    assert sdk.of_number(bound.secret_no).code == "isv.SUBS_NOT_EXIST"
    assert dto(sdk, bound)["Status"] == 0


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ({"expiration": "2030-01-31T08:00:00Z"}, "isv.EXPIRE_DATE_ILLEGAL"),
        ({"expiration": "2020-01-31 08:00:00"}, "isv.EXPIRE_DATE_ILLEGAL"),
        ({"tel_a": "12"}, "isv.MOBILE_NUMBER_ILLEGAL"),
        ({"tel_a": B}, "isv.MOBILE_NUMBER_ILLEGAL"),
        ({"order_id": None}, "isv.ILLEGAL_ARGUMENT"),
        ({"tel_x": "700123456720001"}, "isv.NO_NOT_EXIST"),  # the other platform's
        ({"tel_x": "170123456720001"}, "isv.NO_NOT_EXIST"),
        ({"call_timeout": 1000}, "isv.ILLEGAL_ARGUMENT"),
        ({"call_restrict": "CONTROL_GX_DISABLE"}, "isv.ILLEGAL_ARGUMENT"),
        ({"need_record": True}, "isv.ILLEGAL_ARGUMENT"),
        ({"need_asr": True}, "isv.ILLEGAL_ARGUMENT"),
        ({"audio": '{"ACallX_Apre":"185"}'}, "isv.ILLEGAL_ARGUMENT"),
        ({"dtmf_config": "{}"}, "isv.ILLEGAL_ARGUMENT"),
        ({"pool_key": "FC2"}, "isv.POOLKEY_NOT_EXISTS"),  # the other platform's
        ({"pool_key": "FC3"}, "isv.POOLKEY_NOT_EXISTS"),
    ],
)
def test_a_refusal_has_the_code_that_users_look_at(sdk: Sdk, values: dict[str, Any], code: str) -> None:
    answer = sdk.bind(**values)
    assert (answer.code, answer.success, answer.data) == (code, False, None)
    assert answer.request_id
    assert "\n" not in answer.message


def test_a_party_has_a_number_once(sdk: Sdk, bound: Any) -> None:
    answer = sdk.bind(tel_b=C, tel_x=bound.secret_no)
    assert answer.code == "isv.BIND_CONFLICT"
    assert A not in answer.message


def test_a_group_is_bound_and_changed(sdk: Sdk) -> None:
    made = sdk.group(A, C)
    assert made.code == "OK"
    assert 10**15 <= made.group_id < 2**53
    bound = sdk.bind_group(group_id=str(made.group_id), default_a=C).data
    found = dto(sdk, bound)
    assert (found["GroupId"], found["PhoneNoB"], found.get("PhoneNoA")) == (made.group_id, B, None)
    assert sdk.edit_group(made.group_id, "addNumbers", "13600136004").code == "OK"
    assert sdk.edit_group(made.group_id, "deleteNumbers", A, "13600136004").code == "OK"
    assert sdk.edit_group(made.group_id, "overwriteNumbers", A).code == "OK"
    assert sdk.edit_group(made.group_id, "deleteNumbers", A).code == "isv.ILLEGAL_ARGUMENT"  # none would be left
    assert sdk.edit_group(made.group_id, "renumber", A).code == "isv.ILLEGAL_ARGUMENT"
    second = sdk.group(C, name=None)
    assert sdk.update(bound, "updateAxgGroup", group_id=str(second.group_id), default_a=C).code == "OK"
    assert dto(sdk, bound)["GroupId"] == second.group_id
    assert sdk.unbind(bound).code == "OK"


def test_a_group_must_be_named_and_be_the_askers(served: Served, sdk: Sdk) -> None:
    other = served.sdk("ap-other")
    theirs = other.group(A, pool_key="FC2").group_id
    assert sdk.bind_group().code == "isv.ILLEGAL_ARGUMENT"
    assert sdk.bind_group(group_id=str(theirs)).code == "isv.ILLEGAL_ARGUMENT"
    assert sdk.edit_group(theirs, "addNumbers", C).code == "isv.ILLEGAL_ARGUMENT"
    assert sdk.edit_group(10**15 - 1, "addNumbers", C).code == "isv.ILLEGAL_ARGUMENT"


def test_a_platform_sees_and_touches_only_its_own(served: Served, sdk: Sdk, bound: Any) -> None:
    other = served.sdk("ap-other")
    for pool in ("FC1", "FC2"):
        code = "isv.POOLKEY_NOT_EXISTS" if pool == "FC1" else "isv.SUBS_NOT_EXIST"
        assert other.detail(bound, pool_key=pool).code == code
        assert other.update(bound, "updateNoA", tel_a=C, pool_key=pool).code == code
        assert other.unbind(bound, pool_key=pool).code == code
        code = "isv.POOLKEY_NOT_EXISTS" if pool == "FC1" else "isv.NO_NOT_EXIST"
        for ask in (other.of_number, other.lock, other.unlock):
            assert ask(bound.secret_no, pool_key=pool).code == code
    assert dto(sdk, bound)["PhoneNoA"] == A
    theirs = other.bind(pool_key="FC2").data
    assert sdk.detail(theirs).code == "isv.SUBS_NOT_EXIST"
    assert sdk.unbind(theirs).code == "isv.SUBS_NOT_EXIST"
    other.unbind(theirs, pool_key="FC2")


def test_a_binding_must_be_named_with_its_number(sdk: Sdk, bound: Any) -> None:
    assert sdk.unbind(bound, tel_x="700123456789999").code == "isv.SUBS_NOT_EXIST"
    assert sdk.unbind(bound, subs_id=10**17).code == "isv.SUBS_NOT_EXIST"
    assert sdk.unbind(bound, subs_id=10**40).code == "isv.SUBS_NOT_EXIST"
    assert sdk.unbind(bound, subs_id="x").code == "isv.SUBS_NOT_EXIST"


def test_command_line_and_sdk_see_one_anothers_bindings_at_once(served: Served, sdk: Sdk, bound: Any) -> None:
    [row] = [row for row in listed(served) if row["tel_x"] == bound.secret_no and row["state"] == "active"]
    served.command("unbind", row["subs_id"])
    assert dto(sdk, bound)["Status"] == 0
    words = ("--tel-x", "700123456780333", "--tel-a", "13800138033", "--tel-b", B, "--order-id", "o-33")
    place = ("--business-user", "bu-test", "--scenario", "express", "--expiration", "2030-01-31T08:00:00+08:00")
    served.command("bind", "--mode", "AXB", *words, *place)
    subs_id = sdk.of_number("700123456780333").subs_id
    theirs = type(bound)(secret_no="700123456780333", subs_id=int(subs_id))
    assert dto(sdk, theirs)["PhoneNoA"] == "13800138033"
    assert sdk.update(theirs, "updateNoA", tel_a="13800138034").code == "OK"
    assert sdk.unbind(theirs).code == "OK"
    assert [row["state"] for row in listed(served) if row["tel_x"] == "700123456780333"] == ["replaced", "unbound"]


def test_an_empty_pool_says_so(served: Served, sdk: Sdk) -> None:
    served.command("state", "number_pool", "FC1", "paused", "--reason", "test")
    try:
        assert sdk.bind(pool_key=POOL).code == "isv.FORBIDDEN_ACTION"
    finally:
        served.command("state", "number_pool", "FC1", "active", "--reason", "test")
