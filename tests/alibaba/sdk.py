"""Both SDKs as their users call them: an endpoint and a key, nothing else of them is touched."""

from __future__ import annotations

import json
from typing import Any

from alibabacloud_dyplsapi20170525 import models
from alibabacloud_dyplsapi20170525.client import Client
from alibabacloud_tea_openapi.models import Config as ClientConfig
from aliyunsdkcore.client import AcsClient
from aliyunsdkcore.request import CommonRequest

from engine.store.api_keys import NewKey

POOL = "FC1"
A, B, C = "13800138001", "13900139002", "13700137003"
UNTIL = "2030-01-31 08:00:00"


class Sdk:
    """The SDK of today. `signed` is how: "" as it is by itself, "v2" as it is on request."""

    def __init__(self, host: str, key: NewKey, signed: str = "") -> None:
        config = ClientConfig(access_key_id=key.key_id, access_key_secret=key.secret, endpoint=host, protocol="http")
        if signed:
            config.signature_algorithm = signed
        self.client = Client(config)

    def ask(self, operation: str, model: str, **values: Any) -> Any:
        """The body of the answer to an operation of the client, such as `lock_secret_no`."""
        return getattr(self.client, operation)(getattr(models, f"{model}Request")(**values)).body

    def bind(self, **values: Any) -> Any:
        terms = {"pool_key": POOL, "tel_a": A, "tel_b": B, "expiration": UNTIL, "order_id": "order-1"} | values
        return self.ask("bind_axb_700", "BindAxb700", **terms)

    def bind_group(self, **values: Any) -> Any:
        terms = {"pool_key": POOL, "tel_b": B, "expiration": UNTIL, "order_id": "order-1"} | values
        return self.ask("bind_gxb_700", "BindGxb700", **terms)

    def update(self, bound: Any, how: str, **values: Any) -> Any:
        terms = {"pool_key": POOL, "subs_id": bound.subs_id, "tel_x": bound.secret_no, "operate_type": how} | values
        return self.ask("update_subs_700", "UpdateSubs700", **terms)

    def unbind(self, bound: Any, **values: Any) -> Any:
        terms = {"pool_key": POOL, "subs_id": bound.subs_id, "tel_x": bound.secret_no} | values
        return self.ask("unbind_subs_700", "UnbindSubs700", **terms)

    def detail(self, bound: Any, **values: Any) -> Any:
        terms = {"pool_key": POOL, "subs_id": str(bound.subs_id), "phone_no_x": bound.secret_no} | values
        return self.ask("query_subscription_detail", "QuerySubscriptionDetail", **terms)

    def of_number(self, x: str, **values: Any) -> Any:
        return self.ask("query_subs_id", "QuerySubsId", **({"pool_key": POOL, "phone_no_x": x} | values))

    def group(self, *numbers: str, **values: Any) -> Any:
        terms = {"pool_key": POOL, "name": "couriers", "numbers": ",".join(numbers)} | values
        return self.ask("create_axg_group", "CreateAxgGroup", **terms)

    def edit_group(self, group_id: int, how: str, *numbers: str, **values: Any) -> Any:
        terms = {"pool_key": POOL, "group_id": group_id, "operate_type": how, "numbers": ",".join(numbers)} | values
        return self.ask("operate_axg_group", "OperateAxgGroup", **terms)

    def black(self, verb: str, **values: Any) -> Any:
        return self.ask(f"{verb.lower()}_secret_blacklist", f"{verb}SecretBlacklist", **({"pool_key": POOL} | values))

    def lock(self, x: str, **values: Any) -> Any:
        return self.ask("lock_secret_no", "LockSecretNo", **({"pool_key": POOL, "secret_no": x} | values))

    def unlock(self, x: str, **values: Any) -> Any:
        return self.ask("unlock_secret_no", "UnlockSecretNo", **({"pool_key": POOL, "secret_no": x} | values))

    def number(self, x: str, **values: Any) -> Any:
        terms = {"pool_key": POOL, "secret_no": x} | values
        return self.ask("query_secret_no_detail", "QuerySecretNoDetail", **terms).secret_no_info_dto


def old_sdk(host: str, key: NewKey) -> AcsClient:
    """The SDK of before."""
    return AcsClient(key.key_id, key.secret, "cn-hangzhou")


def ask_old(client: AcsClient, host: str, request: Any) -> dict[str, Any]:
    """The answer to one of its requests, sent to `host`."""
    request.set_endpoint(host)
    answer: dict[str, Any] = json.loads(client.do_action_with_exception(request))
    return answer


def common(action: str, **values: str) -> CommonRequest:
    """An operation that the SDK of before has no request for."""
    request = CommonRequest(version="2017-05-25", action_name=action)
    request.set_method("POST")
    for name, value in values.items():
        request.add_query_param(name, value)
    return request
