"""The shell around the core: what it does beside the calls."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from engine import runner
from engine.core.routing import Routing
from engine.hook_client import HookClient
from engine.target_log import TargetLog
from tests.core.corenode import B, CoreNode


@pytest.mark.pure
async def test_routing_tables_are_made_beside_the_calls(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    made_in: list[int] = []
    node = CoreNode()

    def making(*of: Any) -> Routing:
        made_in.append(threading.get_ident())
        return Routing(*of)

    monkeypatch.setattr(runner, "Routing", making)
    targets = TargetLog(print, print)
    reader: Any = None  # nothing is read
    shell = runner.Runner(
        node.service, reader, "veil-test", print, print, targets, HookClient(tmp_path / "hooks-1.sock")
    )
    routing = await shell.routing_for(node.context.settings)
    assert made_in != [threading.get_ident()]
    shell.reload(node.context.settings, routing)
    assert made_in and node.context.routing is routing
    assert [hop.flow.host for hop in routing.hops(B)] == ["127.0.0.13"]
    shell.endpoint.close()
