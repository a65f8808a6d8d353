"""A number that has changed hands: the trace of an earlier call names those who were behind it then."""

from __future__ import annotations

import json
import time
from typing import Any

from engine.store.rows import utc_text
from scenarios.rig.binding import Bound
from scenarios.rig.node import Node
from tests.e2e.conftest import NodeFactory
from tests.e2e.stories import BINDING, A, B, X, tell


def trace(node: Node, at: str) -> Any:
    node.settle()
    done = node.command("trace", "--number", f"+86{X}", "--at", at, "--reason", "complaint 4711", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


def test_who_was_behind_a_call_of_an_earlier_holder(make_node: NodeFactory) -> None:
    node = make_node()
    node.bind(BINDING)
    node.start()
    tell(node)
    node.settle()
    [call] = node.records()

    unbound = node.command("unbind", call["subs_id"])
    assert (unbound.returncode, unbound.stderr) == (0, "")
    node.bind(Bound(X, "13700137000", "13600136000"))
    node.kill()
    node.start()

    found = trace(node, call["call_time"])
    [binding] = found["bindings"]
    assert (binding["subs_id"], binding["version"]) == (call["subs_id"], call["binding_version"])
    assert (binding["tel_a"], binding["tel_b"]) == (A, B)
    assert found["records"] == [call]
    [now] = trace(node, utc_text(time.time() + 1.0))["bindings"]
    assert (now["tel_a"], now["tel_b"]) == ("13700137000", "13600136000")
    [*_, row] = json.loads(node.command("audit", "list", "--json").stdout)
    assert (row["action"], row["reason"]) == ("trace", "complaint 4711")
