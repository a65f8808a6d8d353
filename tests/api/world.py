"""Two platforms with one object of every kind each, made over the API, and a row of requests for each operation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from tests.api.asking import Client

SECRET_OF: Final = {"one": "13800138001", "two": "13800138002"}

# Operation -> method is the document's; here: target, body, and whether a platform may do it. What stands in braces is
# taken from the world of whose object it is about.
Row = tuple[str, object, bool]

ROWS: Final[dict[str, Row]] = {
    "create_binding": ("/bindings", "{free_binding}", True),
    "create_bindings": ("/bindings:bulk", ["{free_binding}"], True),
    "list_bindings": ("/bindings", None, True),
    "get_binding": ("/bindings/{subs_id}", None, True),
    "change_binding": ("/bindings/{subs_id}", {"out_id": "x"}, True),
    "delete_binding": ("/bindings/{subs_id}", None, True),
    "create_number_group": (
        "/number_groups", {"business_user": "{user}", "name": "g", "members": ["13700137001"]}, True
    ),
    "list_number_groups": ("/number_groups", None, True),
    "get_number_group": ("/number_groups/{group}", None, True),
    "change_number_group": ("/number_groups/{group}", {"how": "add", "members": ["13700137002"]}, True),
    "delete_number_group": ("/number_groups/{group}", None, True),
    "create_subscriber": ("/subscribers", {"app_platform": "{platform}", "number": "13700137003"}, True),
    "list_subscribers": ("/subscribers?app_platform={platform}", None, True),
    "get_subscriber": ("/subscribers/{person}?app_platform={platform}", None, True),
    "move_subscriber": (
        "/subscribers/{person}/state?app_platform={platform}", {"state": "verified", "source": "s"}, True
    ),
    "opt_out_subscriber": ("/subscribers/{person}/opt_out?app_platform={platform}", None, True),
    "create_blacklist_entry": ("/blacklist", {"app_platform": "{platform}", "first": "13700137004"}, True),
    "list_blacklist": ("/blacklist?app_platform={platform}", None, True),
    "delete_blacklist_entry": ("/blacklist/{barred}?app_platform={platform}", None, True),
    "create_order": ("/orders", {"business_user": "{user}", "order_id": "new"}, True),
    "list_orders": ("/orders?business_user={user}", None, True),
    "get_order": ("/orders/{user}/order", None, True),
    "move_order": ("/orders/{user}/order/state", {"state": "verified"}, True),
    "list_numbers": ("/numbers?block={block}", None, True),
    "get_number": ("/numbers/{block}0009", None, True),
    "move_number": ("/numbers/{block}0009/state", {"state": "locked", "reason": "r"}, True),
    "list_restrictions": ("/restrictions", None, False),
    "kill": ("/restrictions", {"kind": "business_user", "id": "{user}", "reason": "r"}, False),
    "restore": ("/restrictions:restore", {"kind": "number", "id": "{block}0008", "reason": "r"}, False),
    "create_app_platform": (
        "/app_platforms", {"id": "new", "name": "n", "licence_no": "l", "approval_no": "a"}, False
    ),
    "list_app_platforms": ("/app_platforms", None, True),
    "get_app_platform": ("/app_platforms/{platform}", None, True),
    "change_app_platform": ("/app_platforms/{platform}", {"name": "other"}, False),
    "move_app_platform": ("/app_platforms/{platform}/state", {"state": "suspended", "reason": "r"}, False),
    "create_business_user": (
        "/business_users", {"id": "new", "app_platform": "{platform}", "name": "n", "uscc": "u"}, True
    ),
    "list_business_users": ("/business_users", None, True),
    "get_business_user": ("/business_users/{user}", None, True),
    "change_business_user": ("/business_users/{user}", {"name": "other"}, False),
    "move_business_user": ("/business_users/{user}/state", {"state": "frozen", "reason": "r"}, False),
    "create_contract": (
        "/contracts",
        {"id": "new", "app_platform": "{platform}", "business_user": "{user}", "from_day": "2026-01-01",
         "to_day": "2027-01-01"},
        True,
    ),
    "list_contracts": ("/contracts", None, True),
    "get_contract": ("/contracts/{contract}", None, True),
    "change_contract": ("/contracts/{draft}", {"to_day": "2028-01-01"}, True),
    "move_contract": ("/contracts/{draft}/state", {"state": "effective", "reason": "r"}, False),
    "create_scenario": (
        "/scenarios", {"code": "new", "risk_class": 1, "modes": ["AXB"], "max_ttl_s": 100}, False
    ),
    "list_scenarios": ("/scenarios", None, True),
    "get_scenario": ("/scenarios/express", None, True),
    "change_scenario": ("/scenarios/express", {"name": "other"}, False),
    "move_scenario": ("/scenarios/express/state", {"state": "retired", "reason": "r"}, False),
    "create_number_block": (
        "/number_blocks",
        {"prefix": "70099999999", "operator": "1", "app_platform": "{platform}", "business_user": "{user}",
         "certificate_no": "c"},
        False,
    ),
    "list_number_blocks": ("/number_blocks", None, True),
    "get_number_block": ("/number_blocks/{block}", None, True),
    "change_number_block": ("/number_blocks/{block}", {"operator": "2"}, False),
    "move_number_block": ("/number_blocks/{block}/state", {"state": "recalling", "reason": "r"}, False),
    "create_number_pool": (
        "/number_pools",
        {"key": "new", "app_platform": "{platform}", "business_user": "{user}", "blocks": ["{block}"]},
        True,
    ),
    "list_number_pools": ("/number_pools", None, True),
    "get_number_pool": ("/number_pools/{pool}", None, True),
    "change_number_pool": ("/number_pools/{pool}", {"cool_s": 60}, True),
    "move_number_pool": ("/number_pools/{pool}/state", {"state": "paused", "reason": "r"}, True),
    "list_events": ("/events?app_platform={platform}", None, True),
    "list_cdrs": ("/cdrs", None, True),
    "put_webhook": ("/webhooks/{platform}", {"url": "https://93.184.216.34/told"}, True),
    "list_webhooks": ("/webhooks", None, True),
    "get_webhook": ("/webhooks/{platform}", None, True),
    "change_webhook": ("/webhooks/{platform}", {"after": 0}, True),
    "move_webhook": ("/webhooks/{platform}/state", {"state": "paused", "reason": "r"}, True),
    "delete_webhook": ("/webhooks/{platform}", None, True),
    "put_hook": ("/hooks/{platform}/order", {"url": "https://93.184.216.34/ask"}, True),
    "list_hooks": ("/hooks", None, True),
    "get_hook": ("/hooks/{platform}/decision", None, True),
    "delete_hook": ("/hooks/{platform}/decision", None, True),
    "list_audit": ("/audit", None, False),
    "create_complaint": ("/complaints", {"tel_x": "{block}0003", "complainant": "13700137005", "detail": "d"}, True),
    "list_complaints": ("/complaints", None, True),
    "get_complaint": ("/complaints/{complaint}", None, True),
    "block_complaint": ("/complaints/{complaint}/block", {"reason": "r"}, True),
    "close_complaint": ("/complaints/{complaint}/close", {"reason": "r"}, True),
    "create_credit_event": ("/credit_events", {"business_user": "{user}", "offence": "fraud", "detail": "d"}, False),
    "list_credit_events": ("/credit_events?business_user={user}", None, True),
    "get_report": ("/reports/ledger?day=2026-11-24", None, False),
    "mark_opening_reported": ("/reports/opening/{block}", {}, False),
    "create_api_key": ("/api_keys", {"role": "platform", "app_platform": "{platform}"}, False),
    "list_api_keys": ("/api_keys", None, False),
    "revoke_api_key": ("/api_keys/{key}", None, False),
}  # fmt: skip

# Of no platform: a stranger sees what its platform does.
SHARED: Final = {"list_scenarios", "get_scenario"}


@dataclass
class World:
    """The objects of one platform, by the words in the braces of ROWS."""

    names: dict[str, Any]

    def filled(self, content: Any) -> Any:
        """`content` with what stands in braces put in its place."""
        if isinstance(content, dict):
            return {name: self.filled(value) for name, value in content.items()}
        if isinstance(content, list):
            return [self.filled(value) for value in content]
        if isinstance(content, str):
            if content.startswith("{") and content.endswith("}") and content[1:-1] in self.names:
                return self.names[content[1:-1]]
            return content.format(**self.names)
        return content


def binding(which: str, digit: int, **changes: Any) -> dict[str, Any]:
    return {
        "mode": "AXB", "tel_x": f"7001234567{digit}0001", "tel_a": SECRET_OF[which], "tel_b": f"1390013900{digit}",
        "business_user": f"bu-{which}", "order_id": f"secret-of-{which}", "scenario": "express",
        "expiration": "2030-01-31T08:00:00+08:00",
    } | changes  # fmt: skip


async def make_world(operator: Client, which: str) -> World:
    """Makes one object of every kind of a platform."""
    digit = 1 if which == "one" else 2
    platform, user = f"ap-{which}", f"bu-{which}"

    async def made(path: str, content: object, member: str) -> str:
        answer = await operator.ask("POST", f"/v1{path}", content)
        assert answer.status == 201, (path, answer.json)
        return str(answer.json[member])

    block = f"7001234567{digit}"
    draft = {"app_platform": platform, "business_user": user, "from_day": "2026-01-01", "to_day": "2027-01-01"}
    number = f"{block}0008"
    hook = await operator.ask("PUT", f"/v1/hooks/{platform}/decision", {"url": "https://93.184.216.34/"})
    webhook = await operator.ask("PUT", f"/v1/webhooks/{platform}", {"url": "https://93.184.216.34/"})
    assert webhook.status == 200, webhook.json
    assert hook.status == 200, hook.body
    await made("/restrictions", {"kind": "number", "id": number, "reason": "r"}, "state")
    members = {"business_user": user, "name": f"group-of-{which}", "members": [SECRET_OF[which]]}
    return World({
        "platform": platform, "user": user, "block": block, "contract": f"c-{which}",
        "free_binding": binding(which, digit, tel_x=f"{block}0002", tel_a="13700137009", order_id="o"),
        "subs_id": await made("/bindings", binding(which, digit), "subs_id"),
        "group": await made("/number_groups", members, "group_id"),
        "person": await made("/subscribers", {"app_platform": platform, "number": SECRET_OF[which]}, "id"),
        "barred": await made("/blacklist", {"app_platform": platform, "first": SECRET_OF[which]}, "id"),
        "order": await made("/orders", {"business_user": user, "order_id": "order"}, "order_id"),
        "draft": await made("/contracts", draft | {"id": f"draft-of-{which}"}, "id"),
        "pool": await made(
            "/number_pools", {"key": f"pool-of-{which}", "app_platform": platform, "business_user": user,
                              "blocks": [block]}, "key"
        ),
        "complaint": await made(
            "/complaints",
            {"tel_x": f"{block}0004", "complainant": SECRET_OF[which], "detail": f"secret-of-{which}"},
            "id",
        ),
        "key": await made("/api_keys", {"role": "platform", "app_platform": platform}, "key_id"),
    })  # fmt: skip
