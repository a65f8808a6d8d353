"""Overload control between neighbours (RFC 7339): what clients are told, and what servers are obeyed in."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.health import FIRST_BAR_S
from engine.core.oc import LoadTeller, Throttle
from engine.core.overload import LoadControl
from sipstack import headers as h
from sipstack.fields import Via, parse_top_via
from sipstack.message import Message
from tests.core.corenode import CALLEE, CALLEE2, CALLER, CoreNode, target, with_trunk
from tests.core.parties import answer, invite, of_invite, refused, ring, start, talking
from tests.core.test_failover import Calls
from tests.core.test_intake import another, records_of, text_message

CLIENT = b'branch=z9hG4bK-a1;rport;oc;oc-algo="loss"'
TOLD = re.compile(r';oc=(\d+);oc-algo="loss";oc-validity=(\d+);oc-seq=(\d{1,12}\.\d{1,5})')


def asking(message: bytes = b"", params: bytes = CLIENT) -> bytes:
    """A request whose sender takes part."""
    return (message or invite()).replace(b"branch=z9hG4bK-a1;rport", params)


def top_via(message: Message) -> str:
    return message.values(h.VIA)[0]


def told(message: Message) -> tuple[int, int]:
    """Share in per cent and validity in ms; exactly once in its Via."""
    via = top_via(message)
    (found,) = TOLD.findall(via)
    assert via.count(";oc") == 4
    return int(found[0]), int(found[1])


# -- the node as server ------------------------------------------------------------------------------------------------


def test_a_client_that_asks_is_told_that_there_is_no_overload() -> None:
    node = CoreNode()
    node.book.wire_in(asking(), CALLER)
    trying = node.book.wire_out("SIP/2.0 100", CALLER)
    assert told(trying) == (0, 0)
    assert "branch=z9hG4bK-a1;" in top_via(trying)
    assert "rport=5060;received=127.0.0.12" in top_via(trying)
    sent = node.book.wire_out("INVITE ", CALLEE)
    assert ";oc" not in top_via(sent)
    assert told(ring(node, sent)) == (0, 0)


def test_what_a_client_writes_there_itself_comes_back_to_nobody() -> None:
    node = CoreNode()
    foreign = b'branch=z9hG4bK-a1;oc=77;oc-validity=9000;OC-SEQ=9.9;rport;oc-algo="rate,loss"'
    node.book.wire_in(asking(params=foreign), CALLER)
    assert told(node.book.wire_out("SIP/2.0 100", CALLER)) == (0, 0)
    assert ";oc" not in top_via(node.book.wire_out("INVITE ", CALLEE))


@pytest.mark.parametrize("params", [b"branch=z9hG4bK-a1;rport", b"branch=z9hG4bK-a1;rport;oclock=1"])
def test_a_client_that_does_not_ask_is_told_nothing(params: bytes) -> None:
    node = CoreNode()
    node.service.intake.load.share = 0.5
    node.book.wire_in(asking(params=params), CALLER)
    via = top_via(node.book.wire_out("SIP/2.0 100", CALLER))
    assert "oc=" not in via
    node.book.wire_out("INVITE ", CALLEE)


def test_under_load_it_is_told_the_share_and_turned_away_itself_only_beyond_a_half() -> None:
    node = CoreNode()
    node.service.intake.load.share = 0.5
    for number in range(2, 12):
        node.book.wire_in(asking(another(number), b"branch=z9hG4bK-a1;rport"), CALLER)
    assert len(records_of(node, "OVERLOAD")) == 5
    node.book.sent.clear()
    for number in range(12, 22):
        message = another(number).replace(b";rport", b';rport;oc;oc-algo="loss"')
        node.book.wire_in(message, CALLER)
        assert told(node.book.wire_out("SIP/2.0 100", CALLER)) == (50, 1000)
        node.book.wire_out("INVITE ", CALLEE)
    node.service.intake.load.share = 0.75
    for number in range(22, 32):
        node.book.wire_in(another(number).replace(b";rport", b';rport;oc;oc-algo="loss"'), CALLER)
    assert len(records_of(node, "OVERLOAD")) == 10
    node.book.sent.clear()


def test_whoever_is_not_trusted_is_not_believed() -> None:
    node = CoreNode(with_trunk("caller-side", trusted=False, uniform_refusals=True))
    node.service.intake.load.share = 0.5
    for number in range(2, 12):
        node.book.wire_in(another(number).replace(b";rport", b';rport;oc;oc-algo="loss"'), CALLER)
    assert len(records_of(node, "OVERLOAD")) == 5
    node.book.sent.clear()


def test_a_refusal_tells_it_too() -> None:
    node = CoreNode()
    node.service.intake.is_draining = True
    node.book.wire_in(asking(), CALLER)
    assert told(refused(node, 503, 42)) == (0, 0)


def test_a_request_in_a_dialog_is_answered_so_too() -> None:
    node = CoreNode()
    talk = talking(node)
    talk.from_caller("BYE", branch='z9hG4bK-abye;oc;oc-algo="loss"')
    bye = node.book.wire_out("BYE ", CALLEE)
    node.book.wire_in(answer(bye, 200), CALLEE)
    assert told(node.book.wire_out("SIP/2.0 200", CALLER)) == (0, 0)


def test_the_sequence_never_goes_back() -> None:
    teller = LoadTeller(LoadControl())
    said = [teller.params(wall_s, now) for wall_s, now in ((1.79e9, 50.0), (1.70e9, 50.5), (1.79e9, 60.0))]
    sequences = [float(TOLD.fullmatch(params)[3]) for params in said]  # type: ignore[index]
    assert sequences == sorted(set(sequences))
    assert all(len(re.sub(r"\D", "", str(sequence))) <= 10 for sequence in sequences)


# -- the node as client ------------------------------------------------------------------------------------------------

OBEYS = with_trunk("callee-side", overload_control=True)
TWO = with_trunk("callee-side", overload_control=True, targets=(target(CALLEE), target(CALLEE2)))


def saying(message: bytes, params: str) -> bytes:
    """A response whose sender has taken part."""
    return message.replace(b';oc;oc-algo="loss"', params.encode())


def test_every_request_to_such_a_peer_says_so_and_no_other() -> None:
    node = CoreNode(OBEYS)
    talk = talking(node)
    assert top_via(talk.invite).endswith(';rport;oc;oc-algo="loss"')
    talk.from_callee("BYE")
    assert ";oc" not in top_via(node.book.wire_out("BYE ", CALLER))
    node.book.sent.clear()
    node.book.wire_in(text_message(), CALLER)
    assert top_via(node.book.wire_out("MESSAGE ", CALLEE)).endswith(';oc;oc-algo="loss"')
    assert ";oc" not in top_via(start(CoreNode()))


def test_a_cancel_has_the_via_of_its_invite() -> None:
    node = CoreNode(OBEYS)
    sent = start(node)
    ring(node, sent)
    node.book.wire_in(of_invite("CANCEL"), CALLER)
    node.book.wire_out("SIP/2.0 200", CALLER)
    assert top_via(node.book.wire_out("CANCEL ", CALLEE)) == top_via(sent)
    node.book.sent.clear()


@pytest.mark.parametrize("kind", ["voice", "message"])
def test_the_share_that_a_target_asks_for_goes_to_the_next_one(kind: str) -> None:
    node = CoreNode(TWO)
    node.book.wire_in(invite() if kind == "voice" else text_message(99), CALLER)
    if kind == "voice":
        node.book.wire_out("SIP/2.0 100", CALLER)
    sent = node.book.wire_out("INVITE " if kind == "voice" else "MESSAGE ", CALLEE)
    reply = answer(sent, 486 if kind == "voice" else 200)
    node.book.wire_in(saying(reply, ';oc=50;oc-algo="loss";oc-validity=5000;oc-seq=1.1'), CALLEE)
    node.book.sent.clear()
    to = []
    for number in range(2, 12):
        node.book.wire_in(text_message(number), CALLER)
        to.append(node.book.sent.pop().flow.host)
    assert to == ["127.0.0.13", "127.0.0.14"] * 5
    assert node.counters["passed_over_peer_load"] == 5
    node.wait(5.0)
    node.book.sent.clear()
    for number in range(12, 15):
        node.book.wire_in(text_message(number), CALLER)
        assert node.book.sent.pop().flow.host == "127.0.0.13", "what it has said counts no more"


def test_without_another_target_it_is_overload() -> None:
    node = CoreNode(OBEYS)
    sent = start(node)
    node.book.wire_in(saying(answer(sent, 486), ';oc=100;oc-algo="loss";oc-validity=500;oc-seq=1.1'), CALLEE)
    node.book.sent.clear()
    node.book.wire_in(another(), CALLER)
    node.book.wire_out("SIP/2.0 100", CALLER)
    assert refused(node, 503, 42).value(h.RETRY_AFTER) == "1"
    (record,) = records_of(node, "OVERLOAD")
    assert (record["decided_by"], record["attempts"]) == ("peer_load", ())


def overloaded(valid_ms: int) -> Calls:
    """The first of two targets has said 503, and wants nothing for a while."""
    calls = Calls(CoreNode(TWO))
    reply = answer(calls.place(CALLEE), 503)
    calls.node.book.wire_in(saying(reply, f';oc=100;oc-algo="loss";oc-validity={valid_ms};oc-seq=1.1'), CALLEE)
    calls.node.book.wire_out("ACK ", CALLEE)
    calls.sent = calls.node.book.wire_out("INVITE ", CALLEE2)
    return calls


def test_who_is_passed_over_for_what_it_asks_is_not_the_last_hope() -> None:
    calls = overloaded(valid_ms=60_000)
    calls.node.transport_fails(CALLEE2)
    calls.refused(480)
    calls.place(CALLEE2)
    calls.node.transport_fails(CALLEE2)
    calls.refused(480)
    assert [len(record["attempts"]) for record in calls.node.records] == [2, 1]  # type: ignore[arg-type]


def test_who_is_passed_over_for_what_it_asks_has_not_been_tried() -> None:
    """Its bar is over before the time of what it asks for: then the next call is the one that tries it."""
    calls = overloaded(valid_ms=2500)
    calls.busy(calls.sent, CALLEE2)
    calls.node.wait(FIRST_BAR_S)
    calls.node.book.sent.clear()
    calls.busy(calls.place(CALLEE2), CALLEE2)
    calls.node.wait(1.0)
    calls.node.book.sent.clear()
    calls.place(CALLEE)


def test_a_peer_that_is_not_obeyed_may_say_what_it_likes() -> None:
    node = CoreNode()
    sent = start(node)
    node.book.wire_in(answer(sent, 486).replace(b";rport", b';rport;oc=100;oc-algo="loss";oc-validity=9000'), CALLEE)
    node.book.sent.clear()
    node.book.wire_in(another(), CALLER)
    node.book.wire_out("SIP/2.0 100", CALLER)
    node.book.wire_out("INVITE ", CALLEE)


# -- what is read ------------------------------------------------------------------------------------------------------


def throttled(*said: str, at: float = 100.0) -> Throttle:
    throttle = Throttle()
    for params in said:
        throttle.heed(parse_top_via(f"SIP/2.0/UDP 127.0.0.11;branch=z9hG4bKx{params}"), at)
    return throttle


@pytest.mark.parametrize(
    ("said", "share", "valid_s"),
    [
        ([';oc=20;oc-algo="loss";oc-validity=1500;oc-seq=1.1'], 0.2, 1.5),
        ([";oc=20"], 0.2, 0.5),
        ([";oc=20;oc-algo=LOSS;oc-validity=99999999"], 0.2, 60.0),
        ([';oc=20;oc-algo="loss";oc-validity=0'], 0.2, 0.0),
        ([';oc=0;oc-algo="loss";oc-validity=500'], 0.0, 0.5),
        ([";oc=100", ";oc=101"], 1.0, 0.5),
        ([";oc=30", ';oc=40;oc-algo="rate"'], 0.3, 0.5),
        ([";oc=30", ";oc=-1", ";oc=1e1", ";oc", ";oc=1234567890123"], 0.3, 0.5),
        ([";oc=30;oc-seq=2.5", ";oc=40;oc-seq=2.45"], 0.3, 0.5),
        ([";oc=30;oc-seq=2.5", ";oc=40;oc-seq=2.51"], 0.4, 0.5),
        ([";oc=30;oc-seq=9.9", ";oc=40;oc-seq=10.0"], 0.4, 0.5),
        ([";oc=30;oc-seq=1.1", ";oc=40;oc-seq=x.y"], 0.3, 0.5),
    ],
)  # fmt: skip
def test_what_counts_of_a_response(said: list[str], share: float, valid_s: float) -> None:
    throttle = throttled(*said)
    assert (throttle.share, throttle.until - 100.0) == (pytest.approx(share), pytest.approx(valid_s))


@given(st.integers(0, 100), st.integers(1, 400))
def test_as_many_are_kept_back_as_it_asks_for(percent: int, count: int) -> None:
    throttle = throttled(f";oc={percent};oc-validity=60000")
    kept = sum(throttle.keeps_back(101.0) for _ in range(count))
    assert abs(kept - count * percent / 100) <= 1.0
    assert not throttle.keeps_back(160.1)


@given(st.text('oc-algvidtyseq=;."0123456789loss ', max_size=60))
def test_nothing_that_a_via_can_say_is_an_error(params: str) -> None:
    throttle = Throttle()
    via = via_with(params)
    throttle.heed(via, 1.0)
    assert 0.0 <= throttle.share <= 1.0
    assert throttle.until <= 61.0


def via_with(params: str) -> Via:
    via = parse_top_via("SIP/2.0/UDP 127.0.0.11;branch=z9hG4bKx")
    via.params = f";branch=z9hG4bKx;{params}"
    return via
