"""Whom a decision names must be somebody whom a bind could name as well."""

from __future__ import annotations

from typing import Any

import pytest

from engine.api.app import Api
from engine.config import Config
from tests.api.asking import Client
from tests.hooks.conftest import StartPlatform, set_hook
from tests.hooks.platforms import says
from tests.hooks.test_hook_questions import ALLOWED, DENIED, Node, node

__all__ = ["node"]

CALLEE = "13700137000"
NAMED = ALLOWED | {"callee": CALLEE}


@pytest.fixture
async def asked(node: Node, config: Config, start_platform: StartPlatform) -> Node:
    """Its questions are answered with this callee."""
    platform = await start_platform(says({"allow": True, "callee": f"+86{CALLEE}"}))
    set_hook(config, "decision", platform.url)
    return node


@pytest.mark.parametrize(
    ("entry", "heard"),
    [
        ({"first": CALLEE}, DENIED),
        ({"first": CALLEE, "second": "13800138000"}, NAMED),  # who calls is not known where this is asked
        ({"first": "13600136000"}, NAMED),
        ({"first": CALLEE, "app_platform": "ap-two"}, NAMED),
    ],
)
async def test_whoever_is_on_the_black_list(
    asked: Node, operator: Client, entry: dict[str, str], heard: dict[str, Any]
) -> None:
    made = await operator.ask("POST", "/v1/blacklist", {"app_platform": "ap-one"} | entry)
    assert made.status == 201, made.body
    assert await asked.ask("decision") == heard


async def test_without_a_consent_that_the_business_user_must_have(asked: Node, operator: Client, api: Api) -> None:
    assert await asked.ask("decision") == NAMED
    changed = await operator.ask("PATCH", "/v1/business_users/bu-one", {"consent": "required"})
    assert changed.status == 200, changed.body
    assert await asked.ask("decision") == DENIED
    person = {"app_platform": "ap-one", "number": CALLEE, "consent_ref": "form 7"}
    assert (await operator.ask("POST", "/v1/subscribers", person)).status == 201
    assert await asked.ask("decision") == NAMED


async def test_for_another_platforms_business_user(asked: Node) -> None:
    assert await asked.ask("decision", business_user="bu-two") == DENIED
    assert await asked.ask("decision", business_user="") == DENIED
