"""Calls at 200/s while platforms bind over HTTP, one by one and in bulk: no call fails, and no bind."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Any

import pytest

from bench.api import Aim, blocks, client
from engine.store.api_keys import NewKey
from scenarios.rig.node import Node
from tests.e2e.loaded import Load

RATE = 200
RUN_S = 30.0
BINDING_S = 12.0
BULK = 50_000

_SCENARIO = """
[[scenario]]
code = "long"
risk_class = 1
modes = ["AXB"]
max_ttl_s = 315360000
"""


@pytest.mark.long
@pytest.mark.alone
@pytest.mark.timeout(300)
def test_calls_go_on_while_numbers_are_bound(make_node: Callable[..., Node], sipp: Any) -> None:
    node = make_node()
    with node.config.open("a") as config, node.inventory.open("a") as inventory:
        config.write(f'\n[api]\naddress = "{node.place.node}:8700"\n')
        inventory.write(_SCENARIO + blocks("ap-test", "bu-test"))
    load = Load(node, sipp, RATE, RUN_S)
    load.start()
    words = ("api-key", "create", "--role", "platform", "--app-platform", "ap-test", "--json")
    aim = Aim(f"http://{node.place.node}:8700", NewKey(**json.loads(node.command(*words).stdout)), "bu-test", "long")
    found: list[tuple[int, float, int]] = []

    def bind() -> None:
        for what, job in (("single", (BINDING_S, False)), ("bulk", (BULK,))):
            binds, seconds, _, _, wrong = client(aim, what, job)
            found.append((binds, seconds, wrong))

    binder = threading.Thread(target=bind)
    binder.start()
    load.wait()
    binder.join()
    print([f"{binds} binds in {seconds:.1f} s" for binds, seconds, _ in found])
    assert [wrong for _, _, wrong in found] == [0, 0]
    assert found[1][0] == BULK
    load.check_node()
    load.check_records()
