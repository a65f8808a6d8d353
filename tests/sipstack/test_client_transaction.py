"""Client transactions on a fake clock: when a request is repeated, what ends it, what its ACK and CANCEL are."""

from __future__ import annotations

from typing import Final

import pytest

from sipstack.client_transaction import COMPLETED, PROCEEDING, TERMINATED, ClientTransaction, cancel_for
from sipstack.events import ResponseReceived
from sipstack.testing.playbook import flow_of, wire
from sipstack.timers import T1_S
from tests.sipstack.transaction_bench import NODE, PEER, Bench, answer, request

FAILURES: Final = (300, 302, 401, 486, 487, 503, 600, 699)
T1S: Final = pytest.mark.parametrize("t1_s", [T1_S, 0.020], ids=["T1=500ms", "T1=20ms"])

TIMER_A: Final = (0, 0.5, 1.5, 3.5, 7.5, 15.5, 31.5)  # §17.1.1.2: doubles without end
TIMER_E: Final = (0, 0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5)  # §17.1.2.2: doubles up to T2


def at_instants(instants: tuple[float, ...], what: str, t1_s: float) -> list[tuple[float, str]]:
    """The instants, given for T1 = 500 ms, on another T1."""
    return [(round(instant / T1_S * t1_s, 3), what) for instant in instants]


# ---------------------------------------------------------------------- silence


@T1S
@pytest.mark.parametrize(("method", "instants"), [("INVITE", TIMER_A), ("BYE", TIMER_E), ("MESSAGE", TIMER_E)])
def test_silent_peer(method: str, instants: tuple[float, ...], t1_s: float) -> None:
    bench = Bench(t1_s)
    transaction = bench.client(method)
    assert bench.watch(63.99 * t1_s) == at_instants(instants, method, t1_s)
    assert bench.told() == []
    assert bench.watch(0.01 * t1_s) == []  # Timers B and F: 64*T1
    assert bench.told() == [f"RequestTimedOut {method}"]
    assert transaction.state == TERMINATED
    assert bench.is_empty()


@T1S
def test_repeats_are_late_by_less_than_a_fiftieth_of_t1(t1_s: float) -> None:
    bench = Bench(t1_s)
    bench.book.at(t1_s / 3)  # the wheel turns in steps, and this is in the middle of one
    bench.client("INVITE")
    late = [at - wanted / T1_S * t1_s for (at, _), wanted in zip(bench.watch(64 * t1_s), TIMER_A, strict=True)]
    assert late[0] == 0
    assert 0 < min(late[1:]) <= max(late) < t1_s / 50


def test_repeats_are_the_same_bytes() -> None:
    bench = Bench()
    bench.client("INVITE")
    bench.watch(32)
    assert len(bench.book.log) == len(TIMER_A)
    assert {(sent.data, sent.flow.host, sent.flow.port) for sent in bench.book.log} == {
        (bench.book.log[0].data, "192.0.2.1", 5070)
    }


# ---------------------------------------------------------------------- provisionals


@pytest.mark.parametrize("status", [100, 180, 183, 199])
def test_any_provisional_ends_the_repeats_of_an_invite(status: int) -> None:
    bench = Bench()
    transaction = bench.client("INVITE")
    assert bench.watch(1) == [(0, "INVITE"), (0.5, "INVITE")]
    bench.reply(transaction, status)
    assert len(bench.core.wheel) == 1  # Timer B; Timer A is off the wheel
    assert bench.watch(300) == []
    assert bench.told() == [f"ResponseReceived {status}"]  # and no timeout: Timer B ends with Calling
    assert transaction.awaits_final
    bench.core.drop(transaction)
    assert bench.is_empty()


@T1S
def test_after_a_provisional_other_requests_are_repeated_every_t2(t1_s: float) -> None:
    bench = Bench(t1_s)
    transaction = bench.client("BYE")
    first = bench.watch(0.6 / T1_S * t1_s)
    bench.reply(transaction, 100)
    second = bench.watch(31.5 / T1_S * t1_s)
    # Timer E was running for 1.5 s; from there on it is T2. Timer F is still 64*T1 from the start.
    assert first == at_instants((0, 0.5), "BYE", t1_s)
    assert second == at_instants((0.9, 4.9, 8.9, 12.9, 16.9, 20.9, 24.9, 28.9), "BYE", t1_s)
    assert bench.told() == ["ResponseReceived 100", "RequestTimedOut BYE"]
    assert bench.is_empty()


def test_every_provisional_is_passed_up() -> None:
    bench = Bench()
    for method in ("INVITE", "INFO"):
        transaction = bench.client(method)
        for status in (100, 180, 180, 183):
            bench.reply(transaction, status)
        assert bench.told() == [f"ResponseReceived {status}" for status in (100, 180, 180, 183)]


# ---------------------------------------------------------------------- finals


@pytest.mark.parametrize("early", [(), (180,)], ids=["from Calling", "from Proceeding"])
@pytest.mark.parametrize("status", FAILURES)
def test_failure_is_acknowledged_once_per_copy_and_passed_up_once(status: int, early: tuple[int, ...]) -> None:
    bench = Bench()
    transaction = bench.client("INVITE")
    for provisional in early:
        bench.reply(transaction, provisional)
    assert bench.sent() == ["INVITE"]
    for _ in range(4):
        bench.reply(transaction, status)
    assert bench.sent() == ["ACK"] * 4
    assert bench.told() == [f"ResponseReceived {code}" for code in (*early, status)]
    assert len({sent.data for sent in bench.book.log[1:]}) == 1


def test_completed_invite_hears_nothing_but_failures_until_timer_d() -> None:
    bench = Bench()
    transaction = bench.client("INVITE")
    bench.reply(transaction, 486)
    bench.told()
    for status in (180, 200, 202):
        bench.reply(transaction, status)
    assert bench.told() == []
    assert bench.watch(31.98) == [(0, "INVITE"), (0, "ACK")]
    bench.reply(transaction, 486)
    assert bench.watch(0.01) == [(0, "ACK")]
    assert not bench.is_empty()
    bench.watch(0.01)  # Timer D: 32 s from the first copy
    assert bench.is_empty()
    bench.reply(transaction, 486)
    assert bench.sent() == []
    assert bench.core.counters["stray_responses"] == 1


@pytest.mark.parametrize("early", [(), (180,)], ids=["from Calling", "from Proceeding"])
def test_every_success_is_passed_up_until_timer_m(early: tuple[int, ...]) -> None:
    """RFC 6026 §7.2: copies and forks of the 2xx all reach the transaction user, who acknowledges them."""
    bench = Bench()
    transaction = bench.client("INVITE")
    for status in early:
        bench.reply(transaction, status)
    bench.reply(transaction, 200, "one")
    bench.watch(10)
    bench.reply(transaction, 200, "one")
    bench.reply(transaction, 202, "two")
    assert bench.told() == [f"ResponseReceived {status}" for status in (*early, 200, 200, 202)]
    assert not transaction.awaits_final
    for status in (180, 486, 600):
        bench.reply(transaction, status)
    assert bench.told() == []
    assert bench.watch(21.99) == []
    assert not bench.is_empty()
    bench.watch(0.01)  # Timer M: 64*T1 from the first 2xx
    assert bench.is_empty()
    bench.reply(transaction, 200, "late")
    assert bench.told() == ["StraySuccessReceived 200"]  # the dialog may be known (RFC 3261 §13.2.2.4)
    bench.reply(transaction, 180, "late")
    assert bench.told() == []
    assert bench.core.counters["stray_responses"] == 1


@T1S
@pytest.mark.parametrize("status", [200, 404, 603])
@pytest.mark.parametrize("early", [(), (100,)], ids=["from Trying", "from Proceeding"])
def test_final_of_another_request_is_passed_up_once_and_absorbed_for_timer_k(
    status: int, early: tuple[int, ...], t1_s: float
) -> None:
    bench = Bench(t1_s)
    transaction = bench.client("MESSAGE")
    for provisional in early:
        bench.reply(transaction, provisional)
    for late in (status, status, 100, 500):
        bench.reply(transaction, late)
    assert bench.told() == [f"ResponseReceived {code}" for code in (*early, status)]
    assert len(bench.core.wheel) == 1
    assert bench.watch(9.99 * t1_s) == [(0, "MESSAGE")]  # no repeat, and no ACK
    assert transaction.state == COMPLETED
    bench.watch(0.02 * t1_s)  # Timer K: T4
    assert bench.is_empty()


# ---------------------------------------------------------------------- transport errors

TRANSPORT_ERRORS: Final = (
    ("INVITE", None, "RequestFailed INVITE"),
    ("INVITE", 180, ""),  # nothing of ours is on its way
    ("INVITE", 486, "RequestFailed INVITE"),  # the ACK (figure 5)
    ("INVITE", 200, ""),
    ("BYE", None, "RequestFailed BYE"),
    ("BYE", 100, "RequestTimedOut BYE"),  # it has arrived
    ("BYE", 200, ""),
)


@pytest.mark.parametrize(("method", "status", "told"), TRANSPORT_ERRORS)
def test_transport_error(method: str, status: int | None, told: str) -> None:
    bench = Bench()
    transaction = bench.client(method)
    if status:
        bench.reply(transaction, status)
    bench.told()
    before = transaction.state
    bench.fail(data=bench.book.log[-1].data)
    assert bench.told() == ([told] if told else [])
    assert transaction.state == (TERMINATED if told else before)
    assert bench.is_empty() is bool(told)


@pytest.mark.parametrize("octets", [0, 1, 40, 75])
def test_what_does_not_reach_to_the_branch_fails_nothing(octets: int) -> None:
    """ICMP is not signed: who knows where the node calls could make all its calls go elsewhere."""
    bench = Bench()
    sent = [bench.client(method, f"z9hG4bK{method}") for method in ("INVITE", "MESSAGE")]
    for transaction in sent:
        assert b"z9hG4bK" + transaction.method.encode() not in transaction.last_sent[:octets]
        bench.fail(data=transaction.last_sent[:octets])
    bench.fail(data=sent[0].last_sent.replace(b"z9hG4bKINVITE", b"z9hG4bKguess"))
    assert (bench.told(), len(bench.core)) == ([], 2)


@pytest.mark.parametrize("octets", [160, 10_000])
def test_what_has_come_back_fails_its_own_request_alone(octets: int) -> None:
    bench = Bench()
    sent = [bench.client(method, f"z9hG4bK{method}") for method in ("INVITE", "MESSAGE", "BYE")]
    for transaction in sent:
        data = transaction.last_sent[:octets]
        bench.fail("192.0.2.1:5071", data)
        assert bench.told() == []  # from elsewhere
        bench.fail(data=data)
        assert bench.told() == [f"RequestFailed {transaction.method}"]
    bench.fail(data=data)
    bench.fail(data=b"MESSAGE sip:callee@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.9;branch")
    assert (bench.told(), bench.is_empty()) == ([], True)


def test_one_of_two_copies_that_comes_back_says_nothing_about_the_other() -> None:
    bench = Bench()
    message, invite = bench.client("MESSAGE", "z9hG4bK1"), bench.client("INVITE", "z9hG4bK2")
    bench.watch(0.51)
    for transaction in (message, invite):
        bench.fail(data=transaction.last_sent)
    assert bench.told() == ["RequestTimedOut MESSAGE", "RequestFailed INVITE"]
    assert bench.is_empty()


# ---------------------------------------------------------------------- dropping


@pytest.mark.parametrize("status", [None, 180, 200, 486])
def test_dropped_request_says_and_leaves_nothing(status: int | None) -> None:
    bench = Bench()
    transaction = bench.client("INVITE")
    if status:
        bench.reply(transaction, status)
    bench.told(), bench.sent()
    bench.core.drop(transaction)
    assert bench.is_empty()
    assert bench.watch(100) == []
    assert bench.told() == []
    assert not transaction.awaits_final
    assert transaction.last_sent == b""  # whoever still holds it does not hold the message


def test_dropping_twice_does_not_touch_who_came_after() -> None:
    bench = Bench()
    first = bench.client("INVITE")
    bench.core.drop(first)
    second = bench.client("INVITE")  # the same branch
    bench.core.drop(first)
    bench.reply(second, 180)
    assert bench.told() == ["ResponseReceived 180"]


# ---------------------------------------------------------------------- ACK and CANCEL, byte by byte

INVITE: Final = """
    INVITE sip:13800138000@192.0.2.1:5070;user=phone SIP/2.0
    v: SIP/2.0/UDP 192.0.2.7:5060;rport ; branch=z9hG4bKnode
    Max-Forwards: 12
    Route: <sip:p1.example;lr>, <sip:p2.example>
    Contact: <sip:700@192.0.2.7>
    Route: <sip:p3.example;lr>
    f: "A, B" <sip:700@veil.example>;tag=ours
    To: <sip:13800138000@192.0.2.1>
    i: call-of-node
    CSeq: 8388607 INVITE
    Supported: timer

    v=0
"""
ACK: Final = """
    ACK sip:13800138000@192.0.2.1:5070;user=phone SIP/2.0
    Via: SIP/2.0/UDP 192.0.2.7:5060;rport ; branch=z9hG4bKnode
    Max-Forwards: 70
    From: "A, B" <sip:700@veil.example>;tag=ours
    To: <sip:13800138000@192.0.2.1>;tag=theirs
    Call-ID: call-of-node
    CSeq: 8388607 ACK
    Route: <sip:p1.example;lr>, <sip:p2.example>
    Route: <sip:p3.example;lr>
"""
CANCEL: Final = ACK.replace("ACK", "CANCEL").replace(";tag=theirs", "")


def started(bench: Bench, invite: bytes) -> ClientTransaction:
    transaction = ClientTransaction("INVITE", "z9hG4bKnode", invite, flow_of(PEER), None)
    bench.book.perform(bench.core.start(transaction, bench.book.now))
    return transaction


@pytest.mark.parametrize("status", [302, 486, 606])
def test_ack_of_a_failure(status: int) -> None:
    """§17.1.1.3: Via, Request-URI, From, Call-ID, Route and CSeq number of the INVITE, To of the response."""
    bench = Bench()
    invite = wire(INVITE)
    started(bench, invite)
    bench.receive(answer(invite, status, "theirs"), "198.51.100.9:5060")
    _, ack = bench.book.log
    assert ack.data == wire(ACK)
    assert ack.flow == flow_of(PEER)  # where the INVITE went, not where the answer came from


def test_cancel_is_a_transaction_of_its_own() -> None:
    """§9.1: the CANCEL has the INVITE's branch; the method in CSeq tells their answers apart."""
    bench = Bench()
    invite = wire(INVITE)
    call = started(bench, invite)
    bench.receive(answer(invite, 180))
    data = cancel_for(call.last_sent)
    assert data == wire(CANCEL)

    cancel = ClientTransaction("CANCEL", call.branch, data, call.flow, None)
    bench.book.perform(bench.core.start(cancel, bench.book.now))
    assert bench.watch(0.5) == [(0, "INVITE"), (0, "CANCEL"), (0.5, "CANCEL")]
    assert bench.told() == ["ResponseReceived 180"]
    bench.receive(answer(data, 200))
    assert (cancel.state, call.state) == (COMPLETED, PROCEEDING)
    bench.receive(answer(invite, 487))
    assert bench.told() == ["ResponseReceived 200", "ResponseReceived 487"]
    assert bench.watch(32) == [(0, "ACK")]
    assert bench.is_empty()


# ---------------------------------------------------------------------- what finds its transaction


def response_to(via: str, method: str = "INVITE") -> bytes:
    return answer(request(method, via=via), 486)


NOT_OURS: Final = {
    "another branch": response_to(f"{NODE};branch=z9hG4bKnodf"),
    "branch in other letters": response_to(f"{NODE};branch=z9hG4bKNODE"),
    "a longer branch": response_to(f"{NODE};branch=z9hG4bKnode2"),
    "no branch": response_to(NODE),
    "another method": response_to(f"{NODE};branch=z9hG4bKnode", "CANCEL"),
    # §8.1.3.3: more than one Via, so somebody else's
    "a second Via": response_to(f"{NODE};branch=z9hG4bKnode\n    Via: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bKx"),
    "a second Via value": response_to(f"{NODE};branch=z9hG4bKnode, SIP/2.0/UDP 192.0.2.9;branch=z9hG4bKx"),
}


@pytest.mark.parametrize("why", NOT_OURS)
def test_stray_response_is_dropped_and_counted(why: str) -> None:
    bench = Bench()
    bench.client("INVITE")
    bench.receive(NOT_OURS[why])
    assert bench.told() == []
    assert bench.sent() == ["INVITE"]
    assert bench.core.counters["stray_responses"] == 1
    bench.receive(response_to(f"{NODE};branch=z9hG4bKnode"))
    assert bench.told() == ["ResponseReceived 486"]


def test_each_response_comes_with_its_flow_and_transaction() -> None:
    bench = Bench()
    first = bench.client("INVITE", "z9hG4bK1")
    second = bench.client("INVITE", "z9hG4bK2")
    bench.reply(second, 180)
    bench.reply(first, 183)
    told = [event for event in bench.book.events if isinstance(event, ResponseReceived)]
    assert [(event.transaction, event.response.status) for event in told] == [(second, 180), (first, 183)]
    assert [event.flow for event in told] == [flow_of(PEER)] * 2
