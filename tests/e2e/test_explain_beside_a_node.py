"""`explain` asks the node that runs on its data folder how it is, and disturbs nothing."""

from __future__ import annotations

from tests.e2e.conftest import NodeFactory
from tests.e2e.stories import BINDING, A, X


def test_the_running_node_is_told(make_node: NodeFactory) -> None:
    node = make_node()
    node.bind(BINDING)
    node.start()
    words = ("explain", "--caller", A, "--called", X, "--peer", "caller-side")
    lines = [line.split() for line in node.command(*words).stdout.splitlines()]
    assert [" ".join(line[1:]) for line in lines if line[:1] == ["beside"]] == [
        f"node running, with {node.config}",
        f"health callee-side udp:{node.place.callee}:5060 is up",
    ]
    assert node.command("drain").returncode == 0
    assert "draining" in node.command(*words).stdout
    assert node.records() == []
