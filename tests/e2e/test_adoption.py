"""A node that is killed: the next one serves its answered calls on, and takes back what rings."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import pytest

from scenarios.rig.node import Node, unsound
from scenarios.rig.place import PORT, Place
from sipstack import headers as h
from sipstack.message import Message
from sipstack.parser import parse
from tests.e2e.datagrams import request, udp_socket
from tests.e2e.kill_books import Call, misfits
from tests.e2e.stories import BINDING, A, B, X
from tests.e2e.waiting import wait_for

TALK_MS = 20_000  # far more than a busy machine needs from "Talking" to kill -9


def test_bye_goes_through_the_node_that_was_started_anew(
    make_node: Callable[..., Node], sipp: Callable[..., Any], place: Place
) -> None:
    node = make_node()
    node.bind(BINDING)
    node.start()
    callee = sipp("answered/uas", place.callee, timeout_s=60)
    caller = sipp("answered/uac", place.caller, target=place.node, rows=[(X, A)], talk_ms=TALK_MS, timeout_s=60)
    wait_for(lambda: [call["state"] for call in node.calls()] == ["Talking"])
    node.kill()
    node.start()
    (call,) = node.calls()
    assert call["answered"] and call["tel_x"] == X and call["callee"] == f"{B[:3]}****{B[-4:]}"
    assert (caller.wait().successful, callee.wait().successful) == (1, 1)
    wait_for(lambda: node.calls() == [])
    status = node.status()
    assert (status["attempts"], status["adopted"], status["records"], status["complete"]) == (0, 1, 1, True)
    assert (unsound(status["counters"]), node.stop()) == ({}, 0)
    [record] = node.records()
    assert {name: record[name] for name in ("release_cause", "release_direction", "duration_source", "sip_status")} == {
        "release_cause": "NORMAL", "release_direction": "caller", "duration_source": "monotonic", "sip_status": 200,
    }  # fmt: skip
    assert record["duration_ms"] >= TALK_MS
    assert misfits(Call(caller.messages, callee.messages), record) == []
    assert node.verify().is_clean


@pytest.mark.long
def test_call_that_both_ends_have_left_meanwhile_is_ended(
    make_node: Callable[..., Node], sipp: Callable[..., Any], place: Place
) -> None:
    """The next run asks them within 30 s, and bills nothing that nobody knows of."""
    node = make_node(extra="[sip]\nt1_ms = 20\n[policy]\nsession_expires_s = 90\n")
    node.bind(BINDING)
    node.start()
    ends = [
        sipp("answered/uas", place.callee, timeout_s=60),
        sipp("answered/uac", place.caller, target=place.node, rows=[(X, A)], talk_ms=60_000, timeout_s=60),
    ]
    wait_for(lambda: [call["state"] for call in node.calls()] == ["Talking"])
    began_s = time.monotonic()
    wait_for(lambda: time.monotonic() > began_s + 2.0)  # 64*T1 is 1.28 s: a younger call would end by its missing ACK
    node.kill()
    for end in ends:
        end.close()
    node.start()
    wait_for(lambda: node.calls() == [], within_s=45)
    counters = node.status()["counters"]
    assert (counters["sessions_lost"], counters["session_refreshes_sent"]) == (1, 1)
    assert node.stop() == 0
    [record] = node.records()
    assert (record["release_cause"], record["decided_by"]) == ("SESSION_EXPIRED", "session_timer")
    assert record["duration_ms"] < 1_000
    assert node.verify().is_clean


def next_from(end: socket.socket, start: str) -> Message:
    """The next message at a socket that begins so."""
    while not (data := end.recv(65_536)).startswith(start.encode()):
        pass
    return parse(data)


def answered(end: socket.socket, request: Message, status: str, node: str, extra: str = "") -> None:
    rows = [row for row in request.lines if row.partition(":")[0] in ("Via", "From", "Call-ID", "CSeq")]
    to = f"To: {request.value(h.TO)}" + ("" if request.to_tag else ";tag=b-tag")
    text = "\r\n".join([f"SIP/2.0 {status}", *rows, to, *([extra] if extra else []), "Content-Length: 0", "", ""])
    end.sendto(text.encode(), (node, PORT))


def test_phone_that_rings_is_told_to_stop(make_node: Callable[..., Node], place: Place) -> None:
    """And when it is picked up all the same, that is acknowledged and ended."""
    node = make_node()
    node.bind(BINDING)
    node.start()
    at = (place.node, PORT)
    with ExitStack() as stack:
        caller, callee = (stack.enter_context(udp_socket(host)) for host in (place.caller, place.callee))
        caller.sendto(request("INVITE", f"sip:{X}@{place.node}", f"{place.caller}:{PORT}", "cut"), at)
        sent = next_from(callee, "INVITE ")
        answered(callee, sent, "180 Ringing", place.node)
        next_from(caller, "SIP/2.0 180")
        node.kill()
        node.start()
        cancel = next_from(callee, "CANCEL ")
        assert (cancel.call_id, cancel.cseq, cancel.values(h.VIA)) == (sent.call_id, sent.cseq, sent.values(h.VIA))
        answered(callee, cancel, "200 OK", place.node)
        answered(callee, sent, "200 OK", place.node, f"Contact: <sip:{B}@{place.callee}:{PORT}>")
        assert next_from(callee, "ACK ").cseq == sent.cseq
        answered(callee, next_from(callee, "BYE "), "200 OK", place.node)
        caller.sendto(request("INVITE", f"sip:{X}@{place.node}", f"{place.caller}:{PORT}", "cut"), at)
        next_from(caller, "SIP/2.0 500")
    assert node.stop() == 0
    [record] = node.records()
    assert (record["release_cause"], record["sip_status"], record["answer_time"]) == ("NODE_RESTART", 500, None)
    assert node.verify().is_clean
