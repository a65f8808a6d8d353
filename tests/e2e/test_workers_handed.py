"""Three workers of one node, and messages that come to another one than their owner: nobody outside can tell."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest

from scenarios.rig.binding import Bound
from scenarios.rig.node import Node, unsound
from scenarios.rig.place import Place
from sipstack import headers as h
from tests.e2e.ends import End, Party, StreamEnd, UdpEnd, answered, ask, call
from tests.e2e.stories import A, B
from tests.sipstack.certificates import Authority

WORKERS: Final = 3
NUMBERS: Final = [Bound(f"70012345678{1000 * WORKERS + worker:04}", A, B) for worker in range(WORKERS)]  # one of each


@pytest.fixture
def node(make_node: Callable[..., Node], place: Place) -> Node:
    made = make_node(extra=f'[[listen]]\ntransport = "tcp"\naddress = "{place.node}:5060"\n')
    made.config.write_text(made.config.read_text().replace("[node]\n", f"[node]\nworkers = {WORKERS}\n", 1))
    made.bind(*NUMBERS)
    return made


@pytest.fixture
def ends() -> Iterator[list[End]]:
    opened: list[End] = []
    yield opened
    for end in opened:
        end.close()


def assert_all_served(node: Node, calls: int) -> None:
    """By each worker as many, nothing lost between them, and each has its record."""
    status = node.status()
    assert [worker["attempts"] for worker in status["workers"]] == [calls] * WORKERS
    assert status["counters"]["handed_dropped"] == 0
    assert unsound(status["counters"]) == {}
    assert node.stop() == 0
    assert [record["release_cause"] for record in node.records()] == ["NORMAL"] * calls * WORKERS


@pytest.mark.parametrize(("caller_by", "callee_by"), [("TCP", "UDP"), ("UDP", "TCP"), ("TCP", "TCP")])
def test_calls_over_one_connection_are_shared_out(
    node: Node, place: Place, ends: list[End], caller_by: str, callee_by: str
) -> None:
    if callee_by == "TCP":
        target = f"sip:{place.callee}:5060"
        text = node.config.read_text()
        assert f'"{target}"' in text
        node.config.write_text(text.replace(f'"{target}"', f'"{target};transport=tcp"'))
    node.start()
    kinds = {"TCP": StreamEnd, "UDP": UdpEnd}
    ends += [kinds[caller_by](place.caller, place.node), kinds[callee_by](place.callee, place.node)]
    caller, callee = Party(A, ends[0]), Party(B, ends[1])
    for number, bound in enumerate(NUMBERS):
        if callee_by == "TCP":
            ends[1].drop()  # each worker opens a connection of its own
        call(caller, callee, bound.x, f"call-{number}")
    if caller_by == "TCP":
        assert node.status()["counters"]["tcp_connections"] >= 1
    assert_all_served(node, 1)


def test_calls_to_odd_spellings_come_to_the_worker_of_the_number(node: Node, place: Place, ends: list[End]) -> None:
    node.start()
    ends += [UdpEnd(place.caller, place.node), UdpEnd(place.callee, place.node)]
    caller, callee = Party(A, ends[0]), Party(B, ends[1])
    handed_on = node.status()["counters"]["handed_on"]
    for number, bound in enumerate(NUMBERS):
        odd = f"{bound.x[:3]}-{bound.x[3:]}"
        call(caller, callee, odd, f"call-{number}")
    assert node.status()["counters"]["handed_on"] > handed_on
    assert_all_served(node, 1)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def tls_node(node: Node, place: Place, authority: Authority) -> Node:
    """The callee's side speaks TLS, too."""
    certificate, key = authority.issue("node", f"ip:{place.node}")
    text = node.config.read_text().replace(f'"sip:{place.callee}:5060"', f'"sip:{place.callee}:5061;transport=tls"')
    node.config.write_text(
        f'{text}[[listen]]\ntransport = "tls"\naddress = "{place.node}:5061"\ncertificate = "{certificate}"\n'
        f'private_key = "{key}"\nserver_ca = "{authority.file}"\n'
    )
    return node


def tls_end(place: Place, authority: Authority, host: str) -> StreamEnd:
    client = ssl.create_default_context(cafile=authority.file)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(*authority.issue(f"end-{host}", f"ip:{host}"))
    return StreamEnd(host, place.node, 5061, 5061, client, server)


def test_calls_over_one_tls_connection_are_shared_out(
    tls_node: Node, place: Place, ends: list[End], authority: Authority
) -> None:
    """The caller's connection stays with the worker that has accepted it; two of three numbers are of other workers."""
    tls_node.start()
    ends += [tls_end(place, authority, place.caller), tls_end(place, authority, place.callee)]
    caller, callee = Party(A, ends[0]), Party(B, ends[1])
    assert isinstance(ends[1], StreamEnd)
    for number, bound in enumerate(NUMBERS):
        ends[1].drop()  # each worker opens a connection of its own
        invite, ok = call(caller, callee, bound.x, f"call-{number}")
        assert all("transport=tls" in (message.value(h.CONTACT) or "") for message in (invite, ok))
    assert ends[1].accepted == WORKERS
    assert_all_served(tls_node, 1)


def test_the_caller_comes_back_over_another_tls_connection(
    tls_node: Node, place: Place, ends: list[End], authority: Authority
) -> None:
    """Within calls of all workers: whoever accepts it, the owner hears the BYE and its answer comes back."""
    tls_node.start()
    ends += [tls_end(place, authority, place.caller), tls_end(place, authority, place.callee)]
    caller, callee = Party(A, ends[0]), Party(B, ends[1])
    assert isinstance(ends[0], StreamEnd) and isinstance(ends[1], StreamEnd)
    for number, bound in enumerate(NUMBERS):
        ends[1].drop()
        ask(caller, bound.x, f"call-{number}")
        ok = answered(caller, callee, callee.take("INVITE "))
        ends[0].drop()
        rows = [f"From: {ok.value(h.FROM)}", f"To: {ok.value(h.TO)}", f"Call-ID: {ok.call_id}", "CSeq: 2 BYE"]
        caller.ask("BYE", (ok.value(h.CONTACT) or "").strip("<>"), rows)
        bye = callee.take("BYE ")
        assert caller.take("SIP/2.0 200").cseq == 2
        callee.answer(bye, 200)
    assert_all_served(tls_node, 1)
