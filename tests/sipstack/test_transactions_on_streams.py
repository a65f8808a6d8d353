"""Transactions over TCP and TLS: nothing is repeated, what waits only for copies ends at once, a lost connection."""

from __future__ import annotations

from typing import Final

import pytest

from sipstack import headers as h
from sipstack.client_transaction import ClientTransaction
from sipstack.events import RequestReceived
from sipstack.response import response_flow
from sipstack.server_transaction import COMPLETED, ServerTransaction
from sipstack.testing.playbook import flow_of
from tests.sipstack.transaction_bench import PEER, Bench, request

TCP: Final = f"tcp:{PEER}"
STREAMS: Final = pytest.mark.parametrize("stream", ["tcp", "tls"])


def server(bench: Bench, method: str, source: str = TCP, **changes: object) -> ServerTransaction:
    return bench.server(method, source, **changes)


# ---------------------------------------------------------------------- requests of ours


@STREAMS
@pytest.mark.parametrize("method", ["INVITE", "BYE"])
def test_request_is_sent_once(method: str, stream: str) -> None:
    bench = Bench()
    bench.client(method, to=f"{stream}:{PEER}")
    assert bench.watch(31.9) == [(0, method)]
    assert bench.told() == []
    assert bench.watch(0.2) == []
    assert bench.told() == [f"RequestTimedOut {method}"]  # Timers B and F are the same
    assert bench.is_empty()


@STREAMS
@pytest.mark.parametrize(("method", "status", "lingers_s"), [("INVITE", 486, 0), ("BYE", 200, 0), ("INVITE", 200, 32)])
def test_what_absorbs_copies_only_ends_at_once(stream: str, method: str, status: int, lingers_s: float) -> None:
    bench = Bench()
    transaction = bench.client(method, to=f"{stream}:{PEER}")
    bench.reply(transaction, status)
    assert bench.told() == [f"ResponseReceived {status}"]
    bench.watch(max(lingers_s - 0.1, 0))
    assert bench.is_empty() is False
    bench.watch(0.2)
    assert bench.is_empty()  # Timers D and K are zero; M is not: forks may answer later (RFC 6026 §8.4)


# ---------------------------------------------------------------------- requests of peers


@STREAMS
def test_failure_is_sent_once_and_its_ack_awaited(stream: str) -> None:
    bench = Bench()
    transaction = server(bench, "INVITE", f"{stream}:{PEER}")
    bench.respond(transaction, 486)
    assert bench.watch(31.9) == [(0, "486")]
    assert transaction.state == COMPLETED
    bench.watch(0.2)
    assert bench.told() == ["AckMissed INVITE"]
    assert bench.is_empty()


def test_acknowledged_failure_is_over_at_once() -> None:
    bench = Bench()
    bench.respond(server(bench, "INVITE"), 486)
    bench.receive(request("ACK", to_tag=";tag=node"), TCP)
    bench.watch(0.1)
    assert bench.told() == []
    assert bench.is_empty()  # Timer I is zero


@pytest.mark.parametrize(("method", "status", "lingers_s"), [("BYE", 200, 0), ("MESSAGE", 404, 0), ("INVITE", 200, 32)])
def test_answered_request_is_over_at_once(method: str, status: int, lingers_s: float) -> None:
    bench = Bench()
    bench.respond(server(bench, method), status)
    bench.watch(max(lingers_s - 0.1, 0))
    assert bench.is_empty() is False
    bench.watch(0.2)
    assert bench.is_empty()  # Timer J is zero, L is not: the 2xx waits for its ACK on a stream, too


# ---------------------------------------------------------------------- lengths


def test_message_without_length_is_answered_400_on_a_stream_only() -> None:
    bench = Bench()
    data = request("OPTIONS").replace(b"Content-Length: 0\r\n", b"")
    bench.receive(data, TCP)
    assert bench.told() == ["MalformedReceived 400"]
    bench.receive(data)
    assert bench.told() == ["RequestReceived OPTIONS"]


# ---------------------------------------------------------------------- where answers go


@pytest.mark.parametrize(
    ("source", "via", "reply_port"),
    [
        ("tcp:192.0.2.1:40001", "192.0.2.1:5070;branch=z9hG4bKa", 5070),
        ("tcp:192.0.2.1:40001", "192.0.2.1:5070;branch=z9hG4bKa;rport", 5070),
        ("tcp:192.0.2.1:40001/3", "other.example;branch=z9hG4bKa", 5060),
        ("tls:192.0.2.1:40001", "192.0.2.1;branch=z9hG4bKa", 5061),
        ("tls:192.0.2.1:40001", "192.0.2.1:5070;branch=z9hG4bKa", 5070),
    ],
)
def test_answer_goes_by_the_connection_and_then_to_sent_by(source: str, via: str, reply_port: int) -> None:
    bench = Bench()
    bench.receive(request("OPTIONS", via=via), source)
    [event] = bench.book.events
    assert isinstance(event, RequestReceived)
    flow = event.transaction.flow
    assert (flow, flow.reply_port) == (flow_of(source), reply_port)
    assert event.request.line(h.VIA).startswith("Via")


def test_answer_on_a_stream_keeps_who_the_far_end_is() -> None:
    bench = Bench()
    transaction = server(bench, "OPTIONS", "tls:192.0.2.1:40001")
    source = flow_of("tls:192.0.2.1:40001")
    source.identities = ("peer.example",)
    assert response_flow(transaction.request, source).identities == ("peer.example",)


# ---------------------------------------------------------------------- what does not leave, and what may have left


def lost(bench: Bench, address: str = TCP) -> None:
    bench.book.perform(bench.core.connection_lost(flow_of(address)))


@pytest.mark.parametrize(
    ("method", "status", "told"),
    [
        ("INVITE", None, ["RequestFailed INVITE"]),
        ("INVITE", 180, []),  # it has arrived: its answer may come by another connection
        ("MESSAGE", None, ["RequestTimedOut MESSAGE"]),  # it may have arrived: it must not be tried elsewhere
        ("MESSAGE", 100, ["RequestTimedOut MESSAGE"]),
        ("BYE", 200, []),
        ("INVITE", 200, []),
    ],
)
def test_connection_lost(method: str, status: int | None, told: list[str]) -> None:
    bench = Bench()
    transaction = bench.client(method, to=TCP)
    if status is not None:
        bench.reply(transaction, status)
    bench.told()
    lost(bench)
    assert bench.told() == told
    assert len(bench.core) == (0 if told else 1)
    lost(bench)
    assert bench.told() == []


def test_other_connections_are_not_lost() -> None:
    bench = Bench()
    bench.client("INVITE", to=TCP)
    for address in (PEER, f"tls:{PEER}", f"{TCP}/1", "tcp:192.0.2.1:5071", "tcp:192.0.2.2:5070"):
        lost(bench, address)
    assert bench.told() == []


def test_one_message_that_did_not_leave_fails_no_other() -> None:
    bench = Bench()
    first: ClientTransaction = bench.client("MESSAGE", branch="z9hG4bK1", to=TCP)
    second = bench.client("MESSAGE", branch="z9hG4bK2", to=TCP)
    bench.book.perform(bench.core.transport_failed(second.flow, second.last_sent))
    assert bench.told() == ["RequestFailed MESSAGE"]
    assert first.awaits_final
    assert not second.awaits_final
