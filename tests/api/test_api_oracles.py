"""What is another platform's is answered as what is not there, word for word: nothing tells the two apart.

The platform that asks names one thing of another's in a request of its own.
"""

from __future__ import annotations

import secrets
from typing import Any

import pytest

from engine.store.binding_rules import shown
from tests.api.asking import Answer, Client
from tests.api.test_api_tenancy import METHODS, config, template, worlds
from tests.api.world import ROWS, World, binding

__all__ = ["config", "template", "worlds"]

OWN = binding("one", 1, tel_x="", tel_a="13700137019", order_id="o")
GROUP_OWN = {name: value for name, value in OWN.items() if name != "tel_a"} | {"mode": "GXB"}
CONTRACT = {
    "id": "n",
    "app_platform": "ap-one",
    "business_user": "bu-one",
    "from_day": "2026-01-01",
    "to_day": "2027-01-01",
}
POOL = {"key": "n", "app_platform": "ap-one", "business_user": "bu-one", "blocks": ["70012345671"]}

ABSENT_X = "700999999990001"

# method, path, body; IT stands where something of another's is named. Then what: of the other's world, or a value, and
# one like it that nobody has, "" for the same with another end.
MIXED: list[tuple[str, str, Any, str, str]] = [
    ("POST", "/bindings", OWN | {"business_user": "IT"}, "user", "bu-none"),
    ("POST", "/bindings", OWN | {"pool_key": "IT"}, "pool", "pool-of-none"),
    ("POST", "/bindings", OWN | {"tel_x": "IT"}, "=700123456720001", "700123456720009"),  # bound or not
    ("POST", "/bindings", GROUP_OWN | {"group_id": "IT"}, "group", ""),
    ("POST", "/bindings:bulk", [OWN | {"pool_key": "IT"}], "pool", "pool-of-none"),
    ("POST", "/bindings:bulk", [OWN | {"tel_x": "IT"}], "=700123456720001", "700123456720009"),
    ("POST", "/bindings:bulk", [GROUP_OWN | {"group_id": "IT"}], "group", ""),
    ("POST", "/bindings:bulk", [OWN, OWN | {"business_user": "IT"}], "user", "bu-none"),
    ("PATCH", "/bindings/IT", {"order_id": "x"}, "subs_id", ""),
    ("PATCH", "/bindings/IT", {"tel_a": "13700137077"}, "subs_id", ""),
    ("PATCH", "/bindings/{own}", {"group_id": "IT"}, "group", ""),
    ("POST", "/number_groups", {"business_user": "IT", "name": "g", "members": ["13700137001"]}, "user", "bu-none"),
    ("POST", "/contracts", CONTRACT | {"business_user": "IT"}, "user", "bu-none"),
    ("POST", "/contracts", CONTRACT | {"app_platform": "IT"}, "platform", "ap-none"),
    ("POST", "/number_pools", POOL | {"business_user": "IT"}, "user", "bu-none"),
    ("POST", "/number_pools", POOL | {"blocks": ["IT"]}, "block", "70099999999"),
    ("PATCH", "/number_pools/pool-of-one", {"blocks": ["70012345671", "IT"]}, "block", "70099999999"),
    ("POST", "/orders", {"business_user": "IT", "order_id": "order"}, "user", "bu-none"),
    ("GET", "/orders/IT/order", None, "user", "bu-none"),
    ("POST", "/subscribers", {"app_platform": "IT", "number": "13700137003"}, "platform", "ap-none"),
    ("POST", "/blacklist", {"app_platform": "IT", "first": "13700137003"}, "platform", "ap-none"),
    ("POST", "/complaints", {"tel_x": "IT", "complainant": "13700137005", "detail": "d"}, "=700123456720001", ABSENT_X),
    ("GET", "/numbers/IT", None, "=700123456720001", "700999999990001"),
    ("GET", "/numbers?block=IT", None, "block", "70099999999"),
    ("GET", "/bindings?tel_x=IT", None, "=700123456720001", "700999999990001"),
    ("GET", "/bindings?business_user=IT", None, "user", "bu-none"),
    ("GET", "/credit_events?business_user=IT", None, "user", "bu-none"),
    ("GET", "/events?app_platform=IT", None, "platform", "ap-none"),
    ("GET", "/events?app_platform=IT&wait_s=1", None, "platform", "ap-none"),
]  # fmt: skip


def with_it(content: Any, it: str) -> Any:
    if isinstance(content, dict):
        return {name: with_it(value, it) for name, value in content.items()}
    if isinstance(content, list):
        return [with_it(value, it) for value in content]
    return content.replace("IT", it) if isinstance(content, str) and content != "AXB" else content


def told(answer: Answer, it: str) -> tuple[int, str]:
    """What was asked for is no part of it."""
    return answer.status, answer.body.decode().replace(it, "IT").replace(shown(it).strip("'"), "IT")


@pytest.mark.parametrize("case", MIXED, ids=lambda case: f"{case[0]} {case[1]} {case[3]} {str(case[2])[-40:]}")
async def test_what_a_platform_names_of_another(
    case: tuple[str, str, Any, str, str], worlds: dict[str, World], platform: Client
) -> None:
    method, path, content, what, absent = case
    theirs = what[1:] if what.startswith("=") else str(worlds["two"].names[what])
    own = str(worlds["one"].names["subs_id"])
    seen = []
    for it in (theirs, absent or flipped(theirs)):
        target = "/v1" + path.replace("IT", it).replace("{own}", own)
        answer = await platform.ask(method, target, with_it(content, it), Idempotency_Key=secrets.token_hex(8))
        seen.append(told(answer, it))
    assert seen[0] == seen[1]
    assert seen[0][0] < 500


PLACES = ("subs_id", "group", "person", "barred", "user", "block", "contract", "draft", "pool", "platform")
ABSENT = {
    "user": "bu-none", "block": "70099999999", "contract": "c-none", "draft": "draft-of-none", "pool": "pool-of-none",
    "platform": "ap-none", "complaint": "999999999",
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(name for name, row in ROWS.items() if "{" in row[0] and row[2]))
async def test_what_stands_in_a_path(name: str, worlds: dict[str, World], platform: Client) -> None:
    """Every operation that platforms may do, on what is the other's and on what is nobody's."""
    target, content, _ = ROWS[name]
    theirs = worlds["two"]
    ids = ("subs_id", "group", "person", "barred")
    none = World(theirs.names | ABSENT | {one: flipped(theirs.names[one]) for one in ids})
    method = METHODS[name][0]
    seen = []
    for world in (theirs, none):
        answer = await platform.ask(method, f"/v1{world.filled(target)}", world.filled(content))
        body = answer.body.decode()
        for place in PLACES:
            body = body.replace(str(world.names[place]), place)
        seen.append((answer.status, body))
    assert seen[0] == seen[1]


def flipped(text: str) -> str:
    """An id of the same length that nobody has."""
    return text[:-1] + ("0" if text[-1] != "0" else "1")


async def test_a_binding_whose_new_order_would_have_to_be_proved(
    worlds: dict[str, World], platform: Client, operator: Client
) -> None:
    strict = await operator.ask("PATCH", "/v1/scenarios/express", {"order_check": "bind"})
    assert strict.status == 200, strict.body
    theirs = str(worlds["two"].names["subs_id"])
    seen = [
        told(await platform.ask("PATCH", f"/v1/bindings/{it}", {"order_id": "unproved"}), it)
        for it in (theirs, flipped(theirs))
    ]
    assert seen[0] == seen[1] and seen[0][0] == 404
