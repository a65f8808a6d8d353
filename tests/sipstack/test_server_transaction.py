"""Server transactions on a fake clock: what a copy of a request gets, when an answer is repeated, what ends it."""

from __future__ import annotations

from typing import Final

import pytest

from sipstack import headers as h
from sipstack.server_transaction import ACCEPTED, COMPLETED, CONFIRMED, PROCEEDING, TERMINATED, TRYING
from sipstack.testing.playbook import flow_of
from sipstack.timers import T1_S
from tests.sipstack.transaction_bench import PEER, Bench, request

T1S: Final = pytest.mark.parametrize("t1_s", [T1_S, 0.020], ids=["T1=500ms", "T1=20ms"])
TIMER_G: Final = (0, 0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5)  # §17.2.1: doubles up to T2


def ack(**changes: object) -> bytes:
    return request("ACK", **({"to_tag": ";tag=node"} | changes))


# ---------------------------------------------------------------------- INVITE


def test_copies_of_an_invite_get_the_last_provisional() -> None:
    bench = Bench()
    transaction = bench.server("INVITE")
    assert transaction.state == PROCEEDING
    bench.receive(request())
    assert bench.sent() == []  # nothing has been said yet
    for status in (100, 180, 183):
        bench.respond(transaction, status)
        bench.receive(request())
        bench.receive(request())
        assert bench.sent() == [str(status)] * 3
    assert bench.told() == []
    assert bench.core.counters["retransmissions_in"] == 7
    assert bench.watch(200) == []  # no timer: a transaction user decides how long it rings
    assert not transaction.is_answered


@T1S
@pytest.mark.parametrize("status", [300, 404, 486, 503, 699])
def test_failure_is_repeated_until_timer_h(status: int, t1_s: float) -> None:
    bench = Bench(t1_s)
    transaction = bench.server("INVITE")
    data = bench.respond(transaction, status)
    assert transaction.state == COMPLETED
    instants = [(round(instant / T1_S * t1_s, 3), str(status)) for instant in TIMER_G]
    assert bench.watch(63.99 * t1_s) == instants
    assert {sent.data for sent in bench.book.log} == {data}
    assert bench.told() == []
    assert bench.watch(0.01 * t1_s) == []
    assert bench.told() == ["AckMissed INVITE"]
    assert transaction.state == TERMINATED
    assert bench.is_empty()


def test_copies_of_a_failed_invite_get_the_answer_again() -> None:
    bench = Bench()
    transaction = bench.server("INVITE")
    bench.respond(transaction, 180)
    bench.respond(transaction, 486)
    bench.sent()
    bench.watch(0.2)
    bench.receive(request())
    assert bench.watch(0.4) == [(0, "486"), (0.3, "486")]  # Timer G keeps its own time
    assert len({sent.data for sent in bench.book.log[1:]}) == 1


@T1S
def test_ack_ends_the_repeats_and_timer_i_the_rest(t1_s: float) -> None:
    bench = Bench(t1_s)
    transaction = bench.server("INVITE")
    bench.respond(transaction, 486)
    assert bench.watch(2 * t1_s) == [(0, "486"), (t1_s, "486")]
    bench.receive(ack())
    assert transaction.state == CONFIRMED
    assert len(bench.core.wheel) == 1  # Timer I; Timer G is off the wheel
    for late in (ack(), request(), ack()):
        bench.receive(late)
    for status in (180, 200, 500):
        bench.respond(transaction, status)
    assert bench.watch(9.99 * t1_s) == []
    assert not bench.is_empty()
    bench.watch(0.01 * t1_s)  # T4
    assert bench.is_empty()
    assert bench.told() == []


@T1S
@pytest.mark.parametrize("status", [200, 299])
def test_accepted_absorbs_copies_and_leaves_ack_and_repeats_to_the_user(status: int, t1_s: float) -> None:
    """RFC 6026 §7.1. The ACK has a branch of its own, or, from old peers, the INVITE's: it is for the user anyhow."""
    bench = Bench(t1_s)
    transaction = bench.server("INVITE")
    bench.respond(transaction, 199)
    assert not transaction.is_answered
    data = bench.respond(transaction, status)
    assert transaction.is_accepted
    assert transaction.is_answered
    assert len(bench.core.wheel) == 1  # Timer L and nothing else: the transaction repeats nothing
    assert bench.watch(10 * t1_s) == [(0, "199"), (0, str(status))]
    bench.receive(request())
    assert bench.watch(t1_s) == []
    for other in (status, 180, 486):
        bench.book.perform(bench.core.respond(transaction, other, data, bench.book.now))
    assert bench.sent() == [str(status)]
    bench.receive(ack(via=f"{PEER};branch=z9hG4bKack"))
    bench.receive(ack())
    assert bench.told() == ["AckReceived ACK"] * 2
    assert transaction.state == ACCEPTED
    assert bench.watch(52.99 * t1_s) == []
    assert not bench.is_empty()
    bench.watch(0.01 * t1_s)  # Timer L: 64*T1
    assert bench.is_empty()


def test_ack_before_any_final_answer_means_nothing() -> None:
    bench = Bench()
    transaction = bench.server("INVITE")
    bench.respond(transaction, 180)
    bench.receive(ack())
    assert (transaction.state, bench.told()) == (PROCEEDING, [])
    bench.sent()
    bench.receive(request())
    assert bench.sent() == ["180"]


# ---------------------------------------------------------------------- other requests


def test_other_requests_are_absorbed_until_something_is_said() -> None:
    bench = Bench()
    transaction = bench.server("BYE", to_tag=";tag=node")
    assert transaction.state == TRYING
    bye = request("BYE", to_tag=";tag=node")
    bench.receive(bye)
    assert bench.sent() == []
    bench.respond(transaction, 100)
    bench.receive(bye)
    assert bench.sent() == ["100", "100"]
    assert transaction.state == PROCEEDING
    assert bench.told() == []


@T1S
@pytest.mark.parametrize("status", [200, 202, 404, 500, 603])
@pytest.mark.parametrize("early", [(), (100,)], ids=["from Trying", "from Proceeding"])
def test_copies_get_the_one_final_until_timer_j(status: int, early: tuple[int, ...], t1_s: float) -> None:
    bench = Bench(t1_s)
    transaction = bench.server("MESSAGE")
    for provisional in early:
        bench.respond(transaction, provisional)
    data = bench.respond(transaction, status)
    bench.sent()
    assert len(bench.core.wheel) == 1
    for other in (100, 200, 500):
        bench.respond(transaction, other, "X-Other: answer")
    assert bench.watch(t1_s) == []  # said once, and not repeated by itself
    for _ in range(5):
        bench.receive(request("MESSAGE"))
    assert bench.sent() == [str(status)] * 5
    assert {sent.data for sent in list(bench.book.log)[len(early) :]} == {data}
    assert bench.watch(62.99 * t1_s) == []
    assert not bench.is_empty()
    bench.watch(0.01 * t1_s)  # Timer J: 64*T1
    assert bench.is_empty()
    assert bench.told() == []


# ---------------------------------------------------------------------- what cannot be sent, what gets no answer


@pytest.mark.parametrize("method", ["INVITE", "MESSAGE"])
@pytest.mark.parametrize("status", [100, 200, 486])
def test_answer_that_could_not_be_sent_is_sent_to_the_next_copy(method: str, status: int) -> None:
    """RFC 6026 §8.8: the transaction remains as it is, so that a copy is no new request and has no second effect."""
    bench = Bench()
    transaction = bench.server(method)
    bench.respond(transaction, status)
    bench.sent()
    before = transaction.state
    bench.fail()
    assert (transaction.state, bench.told(), bench.sent()) == (before, [], [])
    bench.receive(request(method))
    is_accepted = method == "INVITE" and status == 200  # whose repeats are the user's
    assert bench.sent() == ([] if is_accepted else [str(status)])
    assert bench.told() == []


@pytest.mark.parametrize("status", [None, 180, 200, 486])
def test_abandoned_request_leaves_nothing_and_comes_again_as_new(status: int | None) -> None:
    bench = Bench()
    transaction = bench.server("INVITE")
    if status:
        bench.respond(transaction, status)
    bench.sent()
    bench.core.abandon(transaction)
    assert bench.is_empty()
    bench.respond(transaction, 500)
    assert bench.watch(100) == []
    bench.receive(request())
    assert bench.told() == ["RequestReceived INVITE"]


def test_abandoning_twice_does_not_touch_who_came_after() -> None:
    bench = Bench()
    first = bench.server("INVITE")
    bench.core.abandon(first)
    second = bench.server("INVITE")
    bench.core.abandon(first)
    bench.receive(request())
    bench.receive(request(via=f"{PEER};branch=z9hG4bKother"))
    assert bench.told() == []
    assert bench.core.counters == {"malformed": 0, "stray_responses": 0, "retransmissions_in": 1, "merged": 1}
    assert second.state == PROCEEDING


def test_timestamp_is_copied_into_the_100_only() -> None:
    bench = Bench()
    transaction = bench.server("INVITE", to_tag="\n    Timestamp: 54.21")
    for status, copied in ((100, ["54.21"]), (180, []), (486, [])):
        bench.respond(transaction, status)
        assert bench.take().values(h.TIMESTAMP) == copied


# ---------------------------------------------------------------------- where answers go (§18.2.1, §18.2.2, RFC 3581)

SOURCE: Final = "192.0.2.1:49152"
WHERE: Final = (
    # Via of the request, where the answer goes, Via of the answer
    ("192.0.2.1:49152;branch=z9hG4bKa", SOURCE, "192.0.2.1:49152;branch=z9hG4bKa"),
    ("192.0.2.1:5070;branch=z9hG4bKa", "192.0.2.1:5070", "192.0.2.1:5070;branch=z9hG4bKa"),
    ("192.0.2.1;branch=z9hG4bKa", "192.0.2.1:5060", "192.0.2.1;branch=z9hG4bKa"),
    ("pc.example:9;branch=z9hG4bKa", "192.0.2.1:9", "pc.example:9;branch=z9hG4bKa;received=192.0.2.1"),
    ("10.0.0.1;branch=z9hG4bKa", "192.0.2.1:5060", "10.0.0.1;branch=z9hG4bKa;received=192.0.2.1"),
    (
        "192.0.2.1:9;rport;branch=z9hG4bKa",
        SOURCE,
        "192.0.2.1:9;branch=z9hG4bKa;rport=49152;received=192.0.2.1",
    ),
    (
        "10.0.0.1;branch=z9hG4bKa;RPORT",
        SOURCE,
        "10.0.0.1;branch=z9hG4bKa;rport=49152;received=192.0.2.1",
    ),
    # What the sender wrote about itself does not steer our answer elsewhere.
    (
        "10.0.0.1;received=203.0.113.9;branch=z9hG4bKa",
        "192.0.2.1:5060",
        "10.0.0.1;branch=z9hG4bKa;received=192.0.2.1",
    ),
    (
        "10.0.0.1;rport=7;branch=z9hG4bKa;received=203.0.113.9",
        SOURCE,
        "10.0.0.1;branch=z9hG4bKa;rport=49152;received=192.0.2.1",
    ),
    ("10.0.0.1;maddr=203.0.113.9;branch=z9hG4bKa", "192.0.2.1:5060", None),
)


@pytest.mark.parametrize(("via", "to", "echoed"), WHERE)
def test_answers_go_where_the_request_came_from(via: str, to: str, echoed: str | None) -> None:
    bench = Bench()
    transaction = bench.server("INVITE", SOURCE, via=via)
    assert transaction.source == flow_of(SOURCE)
    bench.respond(transaction, 100)
    bench.receive(request(via=via), SOURCE)
    bench.respond(transaction, 404)
    bench.watch(0.5)
    assert [sent.flow for sent in bench.book.log] == [flow_of(to)] * 4
    expected = echoed or f"{via};received=192.0.2.1"
    assert {sent.data.split(b"\r\n")[1].decode() for sent in bench.book.log} == {f"Via: SIP/2.0/UDP {expected}"}


def test_answers_over_ipv6() -> None:
    bench = Bench()
    via = "[2001:db8::9]:9;branch=z9hG4bKa;rport"
    transaction = bench.server("OPTIONS", "[2001:db8::1]:5061", via=via)
    bench.respond(transaction, 200)
    (sent,) = bench.book.log
    assert sent.flow == flow_of("[2001:db8::1]:5061")
    assert b"Via: SIP/2.0/UDP [2001:db8::9]:9;branch=z9hG4bKa;rport=5061;received=2001:db8::1\r\n" in sent.data
