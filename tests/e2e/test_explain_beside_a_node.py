"""`explain` asks the node that runs on its data folder how it is, and disturbs nothing."""

from __future__ import annotations

import json
import re
import socket
from contextlib import closing
from typing import Any

from engine.config import load
from engine.deciding import Question, arrival_of
from scenarios.rig.node import Node
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


def told(node: Node, *more: str) -> dict[str, Any]:
    done = node.command("explain", "--caller", A, "--called", X, "--peer", "caller-side", "--json", *more)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_what_the_node_has_counted_decides(make_node: NodeFactory) -> None:
    """A limit that a call in progress has used up."""
    node = make_node(extra="[policy]\ncaller_max_calls = 1\nfirst_response_ms = 20000")
    node.bind(BINDING)
    node.start()
    assert told(node)["is_live"]
    with (
        closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as phone,
        closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as callee,
    ):
        callee.bind((node.place.callee, 5060))
        arrival = arrival_of(load(node.config).core_settings(), Question(A, X, peer="caller-side"))
        phone.bind((arrival.flow.host, arrival.flow.port))
        phone.settimeout(60.0)
        phone.sendto(arrival.data, (node.place.node, 5060))
        assert phone.recv(65_535).startswith(b"SIP/2.0 100 ")
        refused = told(node)
        assert (refused["sent"], refused["decided_by"]) == (False, "caller_limit")
        assert [line["result"] for line in refused["lines"] if line["name"] == "limit caller"] == ["1 in use"]


def test_a_place_where_nobody_listens_is_told(make_node: NodeFactory) -> None:
    """The node has met an ICMP error there, and goes there again only for want of any other."""
    node = make_node()
    node.bind(BINDING)
    node.start()
    arrival = arrival_of(load(node.config).core_settings(), Question(A, X, peer="caller-side"))
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as phone:
        phone.bind((arrival.flow.host, arrival.flow.port))
        phone.settimeout(60.0)
        phone.sendto(arrival.data, (node.place.node, 5060))
        while phone.recv(65_535).startswith(b"SIP/2.0 1"):
            pass
    results = {f"{line['stage']} {line['name']}": line["result"] for line in told(node)["lines"]}
    assert " is unreachable since 20" in results["beside health callee-side"]


def test_live_is_by_what_is_in_force(make_node: NodeFactory) -> None:
    """The file has been changed, and not been read again."""
    node = make_node()
    node.bind(BINDING)
    node.start()
    text = node.config.read_text()
    node.config.write_text(re.sub(r'(\[\[route]]\nname = ")', r"\1new-", text))
    assert {line["name"][:4] for line in told(node)["lines"] if line["stage"] == "route"} == {"new-"}
    lines = told(node)["lines"]
    (beside,) = [line["result"] for line in lines if (line["stage"], line["name"]) == ("beside", "node")]
    assert beside.endswith(", as it was before it was changed: --live tells of that")
    live = told(node, "--live")["lines"]
    assert "new-" not in {line["name"][:4] for line in live if line["stage"] == "route"}
    node.config.write_text(text)
    node.stop()
    done = node.command("explain", "--caller", A, "--called", X, "--live")
    assert (done.returncode, done.stdout) == (1, "")
    assert "no node runs here" in done.stderr
