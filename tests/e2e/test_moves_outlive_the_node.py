"""What an operator has moved or shut off stays so when the node reads its inventory again, or starts again."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from typing import Any

from scenarios.rig.node import Node
from tests.e2e.stories import BINDING

WHY = ("--reason", "letter 12")


def states(node: Node) -> tuple[str, list[str]]:
    """The state of the platform, and what is shut off."""
    path = node.data_dir / "bindings.db"
    with closing(sqlite3.connect(path)) as connection:
        ((state,),) = connection.execute("SELECT state FROM app_platform").fetchall()
        return state, [kind for (kind,) in connection.execute("SELECT kind FROM restriction")]


def test_a_suspended_platform_stays_suspended(make_node: Any) -> None:
    node: Node = make_node()
    node.bind(BINDING)
    node.start()
    platform = json.loads(node.command("state", "business_user", "bu-test", "frozen", *WHY, "--json").stdout)
    assert (platform["from"], platform["to"]) == ("active", "frozen")
    for words in (("state", "app_platform", "ap-test", "suspended"), ("kill", "everything")):
        assert node.command(*words, *WHY).returncode == 0
    assert node.command("reload").returncode == 0
    assert states(node) == ("suspended", ["everything"])
    assert node.stop() == 0
    node.start()
    assert states(node) == ("suspended", ["everything"])
    node.inventory.write_text(node.inventory.read_text().replace('state = "active"', 'state = "winding_down"', 1))
    assert node.command("reload").returncode == 0
    assert states(node) == ("winding_down", ["everything"])
