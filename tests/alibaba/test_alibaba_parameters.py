"""Every parameter that the SDKs' own requests have: done, refused or, where it changes nothing, ignored."""

from __future__ import annotations

import importlib
import inspect
import re
from contextlib import closing
from typing import Any

import pytest
from alibabacloud_dyplsapi20170525 import models

from engine.api.alibaba.operations import OPERATIONS
from engine.store.database import open_read_only
from tests.alibaba.conftest import Served
from tests.alibaba.sdk import A, B, C, Sdk

OWNER = {"owner_id": 1, "resource_owner_account": "somebody", "resource_owner_id": 2}
OLD_HAS_NONE = {"BindAxb700", "BindGxb700", "UpdateSubs700", "UnbindSubs700"}


def names_of_today(operation: str) -> set[str]:
    source = inspect.getsource(getattr(models, f"{operation}Request").to_map)
    return set(re.findall(r"result\['(\w+)'\]", source))


def names_of_before(operation: str) -> set[str]:
    module = importlib.import_module(f"aliyunsdkdyplsapi.request.v20170525.{operation}Request")
    return set(re.findall(r"add_query_param\('(\w+)'", inspect.getsource(module)))


@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_parameter_of_both_sdks_is_known(operation: str) -> None:
    """What a later SDK adds fails here until somebody has said what becomes of it."""
    found = OPERATIONS[operation]
    known = {*found.required, *found.optional, *found.ignored, "OwnerId", "ResourceOwnerAccount", "ResourceOwnerId"}
    said = names_of_today(operation)
    if operation not in OLD_HAS_NONE:
        said |= names_of_before(operation)
    assert said - known == set()


def test_what_changes_nothing_is_ignored(sdk: Sdk) -> None:
    more = {"rec_type": "mp3", "asr_model_id": "m", **OWNER}
    bound = sdk.bind(**more).data
    group = sdk.group(A, C, remark="r", **OWNER)
    assert group.code == "OK"
    of_group = sdk.bind_group(group_id=str(group.group_id), tel_b="13600136009", **more).data
    answers = [
        sdk.update(bound, "updateOutId", out_id="o", asr_model_id="m", **OWNER),
        sdk.detail(bound, product_type="AXB_170", **OWNER), sdk.of_number(bound.secret_no, **OWNER),
        sdk.edit_group(group.group_id, "addNumbers", "13600136001", **OWNER),
        sdk.black("Add", black_type="PARTNER_GLOBAL_NUMBER_BLACK", black_no="13600136002", remark="r"),
        sdk.black("Delete", black_type="PARTNER_GLOBAL_NUMBER_BLACK", black_no="13600136002", remark="r"),
        sdk.lock("700123456780999", **OWNER), sdk.unlock("700123456780999", **OWNER),
        sdk.unbind(bound, **OWNER), sdk.unbind(of_group, **OWNER),
    ]  # fmt: skip
    assert [answer.code for answer in answers] == ["OK"] * len(answers)


@pytest.mark.parametrize(
    "values", [{"need_record": True}, {"need_asr": True}, {"audio": "{}"}, {"dtmf_config": "{}"}]
)  # fmt: skip
def test_media_is_refused_wherever_it_can_be_asked_for(sdk: Sdk, values: dict[str, Any]) -> None:
    group = str(sdk.group(A, C).group_id)
    bound = sdk.bind().data
    answers = [sdk.bind(**values), sdk.bind_group(group_id=group, **values)]
    if "dtmf_config" not in values:
        answers += [
            sdk.update(bound, "updateOutId", out_id="o", **values),
            sdk.update(bound, "updateIsRecordingEnabled", **values),
        ]
    sdk.unbind(bound)
    assert [answer.code for answer in answers] == ["isv.ILLEGAL_ARGUMENT"] * len(answers)


SAID = {
    "tel_a": C, "tel_b": C, "expiration": "2029-12-31 23:59:59", "group_id": "1000000000000001", "default_a": C,
    "call_restrict": "CONTROL_AX_DISABLE", "out_id": "other",
}  # fmt: skip
CHANGES: dict[str, set[str]] = {
    "updateNoA": {"tel_a"}, "updateNoB": {"tel_b"}, "updateExpire": {"expiration"},
    "updateCallRestrict": {"call_restrict"}, "updateOutId": {"out_id"}, "updateIsRecordingEnabled": set(),
    "updateOrder": set(), "updateAxgGroup": {"group_id", "default_a"},
}  # fmt: skip


@pytest.mark.parametrize("how", CHANGES)
def test_an_update_that_says_more_than_it_changes_is_refused(sdk: Sdk, how: str) -> None:
    """Somebody would believe that, for one, nobody may call A any more."""
    bound = sdk.bind().data
    before = sdk.detail(bound).secret_bind_detail_dto.to_map()
    right = {name: SAID[name] for name in CHANGES[how]} | ({"order_id": "order-2"} if how == "updateOrder" else {})
    for name, value in SAID.items():
        if name not in CHANGES[how]:
            answer = sdk.update(bound, how, **right, **{name: value})
            assert (answer.code, "is not changed by" in answer.message) == ("isv.ILLEGAL_ARGUMENT", True), name
            assert C not in answer.message
    assert sdk.detail(bound).secret_bind_detail_dto.to_map() == before
    sdk.unbind(bound)


def test_an_update_may_repeat_what_is_in_force(sdk: Sdk) -> None:
    bound = sdk.bind(call_restrict="CONTROL_BX_DISABLE").data
    held = {"tel_a": A, "tel_b": B, "expiration": "2030-01-31 08:00:00", "call_restrict": "CONTROL_BX_DISABLE"}
    assert sdk.update(bound, "updateOutId", out_id="o", **held).code == "OK"
    assert sdk.update(bound, "updateNoB", **(held | {"tel_b": C})).code == "OK"
    assert sdk.detail(bound).secret_bind_detail_dto.phone_no_b == C
    sdk.unbind(bound)


def test_what_a_bind_says_beside_its_numbers_is_kept(served: Served, sdk: Sdk) -> None:
    more: dict[str, Any] = {"out_id": "out-5", "industrial_id": "700.100.1/5", "call_timeout": 9}
    bound = sdk.bind(out_order_id="out-order-5", **more).data
    group = sdk.group(A, C).group_id
    of_group = sdk.bind_group(
        group_id=str(group), tel_b="13600136009", default_a=C, call_restrict="CONTROL_GX_DISABLE", **more
    ).data
    kept = "SELECT out_id, out_order_id, industrial_id, ring_timeout_s, call_restrict FROM binding WHERE id = ?"
    with closing(open_read_only(served.config.data_dir / "bindings.db", None, busy_ms=1000)) as connection:
        rows = [tuple(connection.execute(kept, (one.subs_id,)).fetchone()) for one in (bound, of_group)]
    assert rows == [
        ("out-5", "out-order-5", "700.100.1/5", 9, ""), ("out-5", "", "700.100.1/5", 9, "CONTROL_GX_DISABLE"),
    ]  # fmt: skip
    sdk.unbind(bound)
    sdk.unbind(of_group)
