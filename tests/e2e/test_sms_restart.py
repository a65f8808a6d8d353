"""A node that is killed between the 202 to a short message and its report: the next one takes the report as its own."""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import ExitStack

from scenarios.rig.node import Node, unsound
from scenarios.rig.place import PORT, Place
from sipstack.message import Message
from sipstack.parser import parse
from tests.core.sms import reference_of, report, rp_ack, submit, submitted, tpdu_of
from tests.e2e.datagrams import answer, drain, udp_socket
from tests.e2e.stories import BINDING, A, B


def next_from(end: socket.socket, start: str) -> Message:
    """The next message at a socket that is not a repeat of another kind."""
    while not (data := end.recv(65_536)).startswith(start.encode()):
        pass
    return parse(data)


def accounted(node: Node) -> tuple[object, ...]:
    status = node.status()
    return tuple(status[name] for name in ("attempts", "adopted", "records", "open", "complete"))


def test_report_after_a_kill(make_node: Callable[..., Node], place: Place) -> None:
    node = make_node()
    node.bind(BINDING)
    node.start()
    at = (place.node, PORT)
    with ExitStack() as stack:
        caller, callee = (stack.enter_context(udp_socket(host)) for host in (place.caller, place.callee))
        caller.sendto(submitted(host=f"{place.caller}:{PORT}"), at)
        sent = next_from(callee, "MESSAGE ")
        assert tpdu_of(sent) == submit(B)
        answer(callee, sent, "202 Accepted", place.node)
        next_from(caller, "SIP/2.0 202")
        node.kill()
        node.start()
        assert [call["state"] for call in node.calls()] == ["Awaiting report"]
        assert accounted(node) == (0, 1, 0, 1, True)
        data = report(rp_ack(reference_of(sent), False), sent, f"{place.callee}:{PORT}")
        callee.sendto(data, at)
        next_from(callee, "SIP/2.0 202")
        relayed = next_from(caller, "MESSAGE ")
        assert relayed.uri_text == f"sip:{A}@{place.caller}:5060"
        assert (relayed.body, relayed.named("In-Reply-To")) == (rp_ack(9, False), ["1-4711@127.0.0.12"])
        answer(caller, relayed, "200 OK", place.node)
        assert accounted(node) == (0, 1, 1, 0, True)
        node.kill()
        drain(caller)  # repeats of what it has answered
        node.start()
        callee.sendto(data, at)
        next_from(callee, "SIP/2.0 202")
        assert [data for data in drain(caller) if data.startswith(b"MESSAGE")] == []
    (record,) = node.records()
    assert {name: record[name] for name in ("release_cause", "decided_by", "sip_status", "caller", "callee")} == {
        "release_cause": "NORMAL", "decided_by": "callee", "sip_status": 202, "caller": A, "callee": B,
    }  # fmt: skip
    counters = node.status()["counters"]
    assert (unsound(counters), counters["reports_repeated"]) == ({}, 1)
    assert node.verify().is_clean
