"""What the inventory holds, over HTTP: made, read, changed and moved, and what a platform sees of it."""

from __future__ import annotations

import pytest

from tests.api.asking import Client

USER = {"id": "bu-new", "name": "New", "uscc": "91110000000000009X"}


async def test_a_business_user_is_made_changed_and_moved(operator: Client, platform: Client) -> None:
    made = await platform.ask("POST", "/v1/business_users", USER)
    assert (made.status, made.json["app_platform"], made.json["state"]) == (201, "ap-one", "draft")
    assert (await platform.ask("GET", "/v1/business_users/bu-new")).json == made.json
    assert (await platform.ask("PATCH", "/v1/business_users/bu-new", {"consent": "required"})).status == 403
    changed = await operator.ask("PATCH", "/v1/business_users/bu-new", {"consent": "required"})
    assert changed.json == {**made.json, "consent": "required"}
    move = {"state": "closed", "reason": "seen"}
    refused = await operator.ask("POST", "/v1/business_users/bu-new/state", move)
    assert (refused.status, refused.code, refused.json["legal"]) == (409, "ILLEGAL_STATE", ["registered"])
    moved = await operator.ask("POST", "/v1/business_users/bu-new/state", move | {"state": "registered"})
    assert moved.json == {"id": "bu-new", "state": "registered"}


async def test_another_platforms_does_not_exist(platform: Client, stranger: Client) -> None:
    await platform.ask("POST", "/v1/business_users", USER)
    assert (await stranger.ask("GET", "/v1/business_users/bu-new")).status == 404
    assert (await stranger.ask("POST", "/v1/business_users", USER | {"app_platform": "ap-one"})).status == 404
    listed = await stranger.ask("GET", "/v1/business_users")
    assert [row["id"] for row in listed.json["items"]] == ["bu-two"]
    assert [row["id"] for row in (await stranger.ask("GET", "/v1/app_platforms")).json["items"]] == ["ap-two"]


async def test_lists_come_by_pages(operator: Client) -> None:
    for number in range(5):
        await operator.ask("POST", "/v1/business_users", USER | {"id": f"u{number}", "app_platform": "ap-one"})
    found, after = [], ""
    while after is not None:
        page = (await operator.ask("GET", f"/v1/business_users?limit=3&after={after}")).json
        found += [row["id"] for row in page["items"]]
        after = page["next"]
    assert found == ["bu-one", "bu-two", "u0", "u1", "u2", "u3", "u4"]


async def test_a_repeat_under_its_key_is_done_once(platform: Client) -> None:
    first = await platform.ask("POST", "/v1/business_users", USER, Idempotency_Key="k1")
    again = await platform.ask("POST", "/v1/business_users", USER, Idempotency_Key="k1")
    assert (again.status, again.body) == (201, first.body)
    other = await platform.ask("POST", "/v1/business_users", USER | {"name": "Other"}, Idempotency_Key="k1")
    assert (other.status, other.code) == (409, "REQUEST_CONFLICT")
    assert (await platform.ask("POST", "/v1/business_users", USER)).status == 400
    assert (await platform.ask("POST", "/v1/business_users", USER, Idempotency_Key="k" * 65)).status == 400


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("business_users", b"{"), ("business_users", b"\xff"), ("business_users", []), ("business_users", {"id": 1}),
        ("business_users", USER | {"more": 1}), ("business_users", USER | {"id": ""}), ("business_users", {}),
        ("contracts", {"id": "c", "business_user": "bu-one", "from_day": "2026-02-30", "to_day": "2026-03-01"}),
        ("contracts", {"id": "c", "business_user": "bu-one", "from_day": "2026-03-02", "to_day": "2026-03-01"}),
        ("number_pools", {"key": "p", "business_user": "bu-one", "blocks": ["1"]}),
    ],
)  # fmt: skip
async def test_what_is_not_as_it_must_be_is_refused(platform: Client, path: str, content: object) -> None:
    answer = await platform.ask("POST", f"/v1/{path}", content)
    assert (answer.status, answer.code) == (400, "ILLEGAL_ARGUMENT")


async def test_a_pool_is_of_its_own_blocks(platform: Client) -> None:
    pool = {"key": "p1", "business_user": "bu-one", "blocks": ["70012345671"], "choice": "sticky"}
    made = await platform.ask("POST", "/v1/number_pools", pool)
    assert made.json == pool | {
        "app_platform": "ap-one", "state": "active", "callback": "last_caller", "cool_s": 86400
    }  # fmt: skip
    assert (await platform.ask("PATCH", "/v1/number_pools/p1", {"blocks": ["70012345672"]})).status == 409
    paused = await platform.ask("POST", "/v1/number_pools/p1/state", {"state": "paused", "reason": "empty"})
    assert paused.json == {"id": "p1", "state": "paused"}
