"""Orders that a platform's hook calls true: what is kept of it, and binds that ask first."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from engine.api.app import Api
from engine.api.hooks.answers import HOLDS_S
from engine.config import Config
from engine.hook_client import SOCKET
from tests.api.asking import Answer, Client
from tests.hooks.conftest import StartPlatform, set_hook
from tests.hooks.platforms import says, silent
from tests.hooks.test_hook_questions import Node

UNTIL = "2099-01-31T08:00:00+08:00"
TRUE = {"verified": True, "until": UNTIL, "proof": "waybill 17"}
PROVED = ("verified", 4073500800.0, "waybill 17")


@pytest.fixture
async def node(api: Api, config: Config) -> AsyncIterator[Node]:
    reader, writer = await asyncio.open_unix_connection(config.data_dir / SOCKET)
    yield Node(reader, writer)
    writer.close()


def rows(config: Config, query: str, *parameters: object) -> list[Any]:
    connection = sqlite3.connect(config.data_dir / "bindings.db", isolation_level=None, timeout=10)
    try:
        return connection.execute(query, parameters).fetchall()
    finally:
        connection.close()


def kept(config: Config) -> list[Any]:
    return rows(config, "SELECT state, until_at, proof FROM service_order WHERE order_id = 'order-1'")


async def until_kept(config: Config) -> Any:
    async with asyncio.timeout(60):
        while not (found := kept(config)):
            await asyncio.sleep(0.01)
    return found[0]


async def test_what_is_said_of_a_call_is_kept(node: Node, config: Config, start_platform: StartPlatform) -> None:
    set_hook(config, "order", (await start_platform(says(TRUE))).url)
    assert (await node.ask("order"))["verdict"] == "allow"
    assert await until_kept(config) == PROVED
    (told,) = rows(
        config, "SELECT actor, to_state FROM transition WHERE kind = 'service_order' AND to_state != 'unverified'"
    )
    assert told == ("hook ap-one", "verified")


async def test_an_answer_that_says_nothing_of_time_holds_a_minute(
    node: Node, config: Config, start_platform: StartPlatform
) -> None:
    set_hook(config, "order", (await start_platform(says({"verified": True}))).url)
    before = time.time()
    said = await node.ask("order")
    assert before <= said["until_at"] - HOLDS_S <= time.time()
    state, until_at, _ = await until_kept(config)
    assert (state, until_at) == ("verified", said["until_at"])


async def test_no_and_silence_and_tests_are_not_kept(
    node: Node, api: Api, config: Config, start_platform: StartPlatform
) -> None:
    platform = await start_platform(says({"verified": False}))
    set_hook(config, "order", platform.url)
    assert (await node.ask("order"))["verdict"] == "deny"
    platform.behaviour = silent
    set_hook(config, "order", platform.url, 100)
    assert (await node.ask("order"))["verdict"] == "none"
    platform.behaviour = says(TRUE)
    set_hook(config, "order", platform.url)
    assert (await node.ask("order", is_test=True))["verdict"] == "allow"
    await api.close()
    assert kept(config) == []


# -- at bind -----------------------------------------------------------------------------------------------------------


def binding(**changes: object) -> dict[str, object]:
    return {
        "mode": "AXB", "tel_x": "700123456710001", "tel_a": "13800138001", "tel_b": "13900139001",
        "business_user": "bu-one", "order_id": "order-1", "scenario": "express",
        "expiration": "2030-01-31T08:00:00+08:00",
    } | changes  # fmt: skip


@pytest.fixture
def proving(config: Config) -> None:
    """The scenario asks for proof at bind."""
    rows(config, "UPDATE scenario SET order_check = 'bind'")


async def bind(client: Client, **changes: object) -> Answer:
    return await client.ask("POST", "/v1/bindings", binding(**changes))


@pytest.mark.usefixtures("proving")
async def test_a_bind_asks_once(platform: Client, config: Config, start_platform: StartPlatform) -> None:
    hook = await start_platform(says(TRUE))
    set_hook(config, "order", hook.url)
    assert (await bind(platform)).status == 201
    assert kept(config) == [PROVED]
    (asked,) = hook.asked
    assert {name: value for name, value in asked.json.items() if name != "id"} == {
        "kind": "order", "app_platform": "ap-one", "business_user": "bu-one", "order_id": "order-1", "is_test": False,
    }  # fmt: skip
    assert (await bind(platform, tel_x="700123456710002")).status == 201
    assert len(hook.asked) == 1


@pytest.mark.usefixtures("proving")
async def test_a_bind_whose_order_is_not_true(platform: Client, config: Config, start_platform: StartPlatform) -> None:
    hook = await start_platform(says({"verified": False}))
    set_hook(config, "order", hook.url)
    refused = await bind(platform)
    assert (refused.status, refused.code, refused.json["field"]) == (409, "ORDER_UNVERIFIED", "order_id")
    hook.behaviour = says({}, "500 Internal Server Error")
    refused = await bind(platform)
    assert (refused.status, refused.code) == (409, "VERIFY_TIMEOUT")
    assert refused.json["detail"] == "the order hook has not answered: status 500"
    assert rows(config, "SELECT count(*) FROM binding") == [(0,)] and kept(config) == []


@pytest.mark.usefixtures("proving")
async def test_a_hook_that_is_silent_holds_up_no_other_bind(
    platform: Client, operator: Client, config: Config, start_platform: StartPlatform
) -> None:
    hook = await start_platform(silent, plain=True)  # five handshakes of TLS would take some of the three seconds
    set_hook(config, "order", hook.url, 3000)
    rows(config, "INSERT INTO service_order VALUES ('bu-two', 'order-2', '', 'verified', 0, NULL, '')")
    begun = time.monotonic()
    hanging = [asyncio.create_task(bind(platform, order_id=f"order-{number}")) for number in range(5)]
    async with asyncio.timeout(60):
        while len(hook.asked) < 5:
            await asyncio.sleep(0)
    other = await bind(operator, business_user="bu-two", tel_x="700123456720001", order_id="order-2")
    # All five hang at once: none of them has waited for another one.
    assert other.status == 201 and not any(task.done() for task in hanging)
    refused = await asyncio.gather(*hanging)
    assert {answer.code for answer in refused} == {"VERIFY_TIMEOUT"}
    assert time.monotonic() - begun >= 3.0


@pytest.mark.usefixtures("proving")
async def test_the_same_request_again_is_not_held_up(
    platform: Client, config: Config, start_platform: StartPlatform
) -> None:
    hook = await start_platform(says(TRUE))
    set_hook(config, "order", hook.url)
    first = await bind(platform, req_id="r-1")
    rows(config, "UPDATE service_order SET until_at = 1")
    hook.behaviour = says({"verified": False})
    again = await bind(platform, req_id="r-1")
    assert (again.status, again.json) == (201, first.json)
    assert len(hook.asked) == 1
    assert (await bind(platform, tel_x="700123456710002", req_id="r-2")).code == "ORDER_UNVERIFIED"


@pytest.mark.usefixtures("proving")
async def test_nobody_has_the_platform_of_others_asked(
    platform: Client, config: Config, start_platform: StartPlatform
) -> None:
    hook = await start_platform(says(TRUE))
    set_hook(config, "order", hook.url, app_platform="ap-two")
    assert (await bind(platform, business_user="bu-two")).status == 404
    assert hook.asked == []


@pytest.mark.usefixtures("proving")
@pytest.mark.parametrize("state", ["closed", "forged"])
async def test_an_order_that_is_over_is_not_asked_about(
    platform: Client, config: Config, start_platform: StartPlatform, state: str
) -> None:
    hook = await start_platform(says(TRUE))
    set_hook(config, "order", hook.url)
    rows(config, "INSERT INTO service_order VALUES ('bu-one', 'order-1', '', ?, 0, NULL, '')", state)
    assert (await bind(platform)).code == "ORDER_UNVERIFIED"
    assert hook.asked == []


@pytest.mark.usefixtures("proving")
async def test_without_a_hook_the_gate_refuses(platform: Client) -> None:
    assert (await bind(platform)).code == "ORDER_UNVERIFIED"


@pytest.mark.usefixtures("proving")
async def test_another_order_is_asked_about_as_well(
    platform: Client, config: Config, start_platform: StartPlatform
) -> None:
    hook = await start_platform(says(TRUE))
    set_hook(config, "order", hook.url)
    subs_id = (await bind(platform)).json["subs_id"]
    changed = await platform.ask("PATCH", f"/v1/bindings/{subs_id}", {"order_id": "order-2"})
    assert changed.status == 200
    hook.behaviour = says({"verified": False})
    changed = await platform.ask("PATCH", f"/v1/bindings/{subs_id}", {"order_id": "order-3"})
    assert changed.code == "ORDER_UNVERIFIED"
    assert (await platform.ask("PATCH", f"/v1/bindings/{subs_id}", {"out_id": "x"})).status == 200
    assert [one.json["order_id"] for one in hook.asked] == ["order-1", "order-2", "order-3"]


@pytest.mark.parametrize("check", ["off", "call"])
async def test_other_scenarios_ask_nobody(
    platform: Client, config: Config, start_platform: StartPlatform, check: str
) -> None:
    rows(config, "UPDATE scenario SET order_check = ?", check)
    hook = await start_platform(silent)
    set_hook(config, "order", hook.url)
    assert (await bind(platform)).status == 201
    assert hook.asked == []
