"""Which message belongs to which transaction (RFC 3261 §17.1.3, §17.2.3, §8.2.2.2, §9.2), and what belongs to none."""

from __future__ import annotations

from typing import Final

import pytest

from sipstack.client_transaction import ClientTransaction
from sipstack.events import CancelReceived, MalformedReceived, Output, SendMessage
from sipstack.parser import parse
from sipstack.server_transaction import COMPLETED, CONFIRMED, PROCEEDING
from sipstack.testing.playbook import flow_of, wire
from sipstack.transactions import answer_malformed
from tests.sipstack.transaction_bench import PEER, REQUEST, USUAL, Bench, request

OTHER_PATH: Final = "192.0.2.200:5060;branch=z9hG4bKother"  # the Via of a proxy that forked


# ---------------------------------------------------------------------- branch, sent-by, method

SAME: Final = (f"{PEER};branch=z9hG4bKpeer", f"{PEER};rport;branch=z9hG4bKpeer;x=y", f"{PEER} ; branch=z9hG4bKpeer")
OTHERS: Final = (
    f"{PEER};branch=z9hG4bKpeer2",
    "192.0.2.1:5071;branch=z9hG4bKpeer",
    "192.0.2.1;branch=z9hG4bKpeer",
    "192.0.2.2:5070;branch=z9hG4bKpeer",
    "peer.example:5070;branch=z9hG4bKpeer",
)


@pytest.mark.parametrize("via", SAME)
def test_copy_is_known_by_branch_and_sent_by(via: str) -> None:
    bench = Bench()
    bench.server("INVITE")
    bench.receive(request(via=via, call_id="not-looked-at", cseq=1))
    assert bench.told() == []
    assert bench.core.counters["retransmissions_in"] == 1


@pytest.mark.parametrize("via", OTHERS)
def test_one_branch_from_another_sent_by_is_another_transaction(via: str) -> None:
    bench = Bench()
    first = bench.server("INVITE")
    second = bench.server("INVITE", via=via, call_id="another-call")
    bench.respond(first, 486)
    bench.receive(request("ACK", to_tag=";tag=node", via=via))  # for neither: the second has no final answer yet
    assert (first.state, second.state) == (COMPLETED, PROCEEDING)
    bench.receive(request("ACK", to_tag=";tag=node"))
    assert (first.state, second.state) == (CONFIRMED, PROCEEDING)


def test_host_of_sent_by_is_compared_without_case() -> None:
    bench = Bench()
    bench.server("INVITE", via="Peer.Example:5070;branch=z9hG4bKpeer")
    bench.receive(request(via="pEER.example:5070;branch=z9hG4bKpeer"))
    assert bench.told() == []


def test_one_branch_with_another_method_is_another_transaction() -> None:
    bench = Bench()
    for method in ("INVITE", "MESSAGE", "BYE", "INFO"):
        bench.receive(request(method, call_id=method))
    assert bench.told() == [f"RequestReceived {method}" for method in ("INVITE", "MESSAGE", "BYE", "INFO")]
    assert len(bench.core) == 4


@pytest.mark.parametrize("via", [f"{PEER};branch=z9hG4bKack", PEER])
def test_ack_that_fits_nothing_goes_to_the_user(via: str) -> None:
    bench = Bench()
    bench.server("INVITE")
    bench.receive(request("ACK", via=via, cseq=8))
    assert bench.told() == ["AckReceived ACK"]
    assert len(bench.core) == 1  # an ACK makes no transaction


# ---------------------------------------------------------------------- RFC 2543 peers

OLD_VIAS: Final = (
    PEER,
    f"{PEER};branch=1",
    f"{PEER};branch=always-the-same",
    f"{PEER};branch=Z9HG4BKPEER",
    f"{PEER};branch=z9hG4bK",
)
OLD_CHANGES: Final[dict[str, object]] = {
    "uri": "sip:other@node.example",
    "from_tag": "another",
    "call_id": "another-call",
    "cseq": 8,
    "via": "192.0.2.2",
}


@pytest.mark.parametrize("via", OLD_VIAS)
def test_old_peer_is_known_by_what_it_repeats(via: str) -> None:
    bench = Bench()
    transaction = bench.server("INVITE", via=via)
    bench.receive(request(via=via))
    assert bench.told() == []
    bench.respond(transaction, 404)
    bench.receive(request("CANCEL", via=via))
    assert bench.told() == ["CancelReceived CANCEL"]
    bench.receive(request("ACK", via=via, to_tag=";tag=node"))
    assert bench.told() == []
    assert transaction.state == CONFIRMED


@pytest.mark.parametrize("via", OLD_VIAS)
@pytest.mark.parametrize("field", OLD_CHANGES)
def test_old_peer_that_changes_something_says_something_new(field: str, via: str) -> None:
    """Its branch says nothing: some send the same one for ever."""
    bench = Bench()
    bench.server("INVITE", via=via, to_tag=";tag=node")
    bench.receive(request(**({"via": via, "to_tag": ";tag=node"} | {field: OLD_CHANGES[field]})))
    assert bench.told() == ["RequestReceived INVITE"]


# ---------------------------------------------------------------------- merged requests


@pytest.mark.parametrize("method", ["INVITE", "MESSAGE"])
def test_request_that_comes_by_a_second_path_is_a_loop(method: str) -> None:
    bench = Bench()
    first = bench.server(method)
    bench.receive(request(method, via=OTHER_PATH), "192.0.2.200:5060")
    bench.receive(request(method, via=OTHER_PATH), "192.0.2.200:5060")
    assert bench.told() == []
    merged = bench.book.wire_out("SIP/2.0 482 Loop Detected", to="192.0.2.200:5060")
    assert merged.to_tag.isalpha()
    assert bench.book.wire_out("SIP/2.0 482") == merged
    assert bench.core.counters["merged"] == 1
    bench.respond(first, 404)
    bench.book.wire_out("SIP/2.0 404", to=PEER)


def test_merged_invite_ends_by_its_ack_and_spares_the_first() -> None:
    bench = Bench()
    first = bench.server("INVITE")
    bench.receive(request(via=OTHER_PATH))
    assert bench.watch(1) == [(0, "482"), (0.5, "482")]
    bench.receive(request("ACK", via=OTHER_PATH, to_tag=";tag=x"))
    assert bench.watch(5) == []
    assert len(bench.core) == 1
    bench.receive(request(via=f"{OTHER_PATH}2"))  # a third path: the first is still here
    assert bench.sent() == ["482"]
    assert first.state == PROCEEDING


@pytest.mark.parametrize(
    "change",
    [("call_id", "another"), ("from_tag", "another"), ("cseq", 8), ("to_tag", ";tag=node"), ("method", "MESSAGE")],
)
def test_only_the_same_request_is_merged(change: tuple[str, object]) -> None:
    """A request with a To tag is one of a dialog, and not looked at (§8.2.2.2)."""
    bench = Bench()
    bench.server("INVITE")
    fields = {"method": "INVITE", "via": OTHER_PATH} | dict([change])
    bench.receive(wire(REQUEST, **(USUAL | fields)))
    assert bench.told() == [f"RequestReceived {fields['method']}"]
    assert bench.sent() == []


@pytest.mark.parametrize("ends_by", ["Timer L", "abandon"])
def test_second_path_is_welcome_when_the_first_is_gone(ends_by: str) -> None:
    bench = Bench()
    first = bench.server("INVITE")
    if ends_by == "abandon":
        bench.core.abandon(first)
    else:
        bench.respond(first, 200)
        bench.watch(31.99)
        bench.receive(request(via=f"{OTHER_PATH}1"))
        assert bench.sent() == ["482"]
        bench.watch(0.02)
    bench.receive(request(via=OTHER_PATH))
    assert bench.told() == ["RequestReceived INVITE"]


# ---------------------------------------------------------------------- CANCEL


def cancel(**changes: object) -> bytes:
    return request("CANCEL", **changes)


@pytest.mark.parametrize("status", [None, 180, 200, 486])
@pytest.mark.parametrize("source", [PEER, "192.0.2.1:49152"])
def test_cancel_finds_its_invite(status: int | None, source: str) -> None:
    """Also when it is answered already: then the user says 200 and does nothing (§9.2)."""
    bench = Bench()
    invite = bench.server("INVITE")
    if status:
        bench.respond(invite, status)
    before = invite.state
    bench.receive(cancel(), source)
    (event,) = bench.book.events
    assert isinstance(event, CancelReceived)
    assert event.invite is invite
    assert event.request.method == "CANCEL"
    assert invite.state == before
    bench.sent()
    bench.respond(event.transaction, 200)
    bench.receive(cancel(), source)
    assert bench.sent() == ["200", "200"]
    assert len(bench.book.events) == 1


def test_cancel_from_another_host_is_not_believed() -> None:
    """All that it needs to know was seen on the wire; what it cannot have is the caller's address."""
    bench = Bench()
    bench.server("INVITE")
    bench.receive(cancel(), "203.0.113.66:5070")
    assert bench.told() == ["RequestReceived CANCEL"]


@pytest.mark.parametrize("via", OTHERS)
def test_cancel_with_another_branch_or_sent_by_finds_nothing(via: str) -> None:
    bench = Bench()
    bench.server("INVITE")
    bench.receive(cancel(via=via))
    assert bench.told() == ["RequestReceived CANCEL"]


def test_cancel_of_no_invite_finds_nothing() -> None:
    bench = Bench()
    bench.receive(cancel())  # before its INVITE
    bench.server("BYE", via=f"{PEER};branch=z9hG4bKbye")
    bench.receive(cancel(via=f"{PEER};branch=z9hG4bKbye"))
    assert bench.told() == ["RequestReceived CANCEL"] * 2
    assert bench.core.counters["merged"] == 0  # the CANCELs share Call-ID, From tag and CSeq


def test_cancel_after_the_last_timer_finds_nothing() -> None:
    bench = Bench()
    bench.respond(bench.server("INVITE"), 200)
    bench.watch(32)
    bench.receive(cancel())
    assert bench.told() == ["RequestReceived CANCEL"]


# ---------------------------------------------------------------------- what is no message


@pytest.mark.parametrize("data", [b"", b"\r\n", b"\r\n\r\n", b"\0", b"\0\0\0\0", b"\r\n\0"])
def test_keep_alive_gets_nothing(data: bytes) -> None:
    bench = Bench()
    bench.receive(data)
    assert (bench.told(), bench.sent()) == ([], [])
    assert bench.core.counters["malformed"] == 0


BROKEN: Final = request(via=f"{PEER};branch=z9hG4bKbad;rport").replace(b"CSeq: 7 INVITE", b"CSeq: seven INVITE")
BROKEN_ANSWER: Final = """
    SIP/2.0 400 Bad Request
    Via: SIP/2.0/UDP 192.0.2.1:5070;branch=z9hG4bKbad;rport=49152;received=192.0.2.66
    From: <sip:caller@peer.example>;tag=caller
    To: <sip:callee@node.example>;tag={tag}
    Call-ID: call-of-peer
    CSeq: seven INVITE
"""


def malformed(data: bytes, source: str = PEER) -> MalformedReceived:
    bench = Bench()
    bench.receive(data, source)
    (event,) = bench.book.events
    assert isinstance(event, MalformedReceived)
    assert event.flow == flow_of(source)
    assert bench.core.counters["malformed"] == 1
    assert bench.is_empty()
    return event


def answers(data: bytes, source: str = PEER) -> list[SendMessage]:
    return [out for out in answer_malformed(malformed(data, source)) if isinstance(out, SendMessage)]


def tag_of(sent: SendMessage) -> str:
    return parse(sent.data.replace(b"seven", b"7")).to_tag


def test_malformed_request_is_answered_without_a_transaction() -> None:
    (sent,) = answers(BROKEN, "192.0.2.66:49152")
    assert tag_of(sent).isalpha()  # §8.2.6.2: a tag; letters, so that it looks like no number
    assert sent.data == wire(BROKEN_ANSWER, tag=tag_of(sent))
    assert sent.flow == flow_of("192.0.2.66:49152")


def test_tag_of_a_stateless_answer_is_the_same_for_every_copy() -> None:
    """§8.2.7: as if it were one answer that is sent again."""
    first, copy, other = (answers(data)[0] for data in (BROKEN, BROKEN, BROKEN.replace(b"bad", b"worse")))
    assert tag_of(first) == tag_of(copy) != tag_of(other)


UNANSWERED: Final = ""


@pytest.mark.parametrize(
    ("old", "new", "answered"),
    [
        (b"", b"", f"400 to udp:{PEER}"),
        (b"1:5070;branch=z9hG4bKbad;rport", b"1:5071;branch=z9hG4bKbad", "400 to udp:192.0.2.1:5071"),
        (b"INVITE sip:callee@node.example SIP/2.0", b"INVITE sip:c@n SIP/3.0", f"505 to udp:{PEER}"),
        (b"INVITE sip:callee", b"INVITE sip:" + b"a" * 3000, f"414 to udp:{PEER}"),
        (b"UDP 192.0.2.1:5070", b"UDP ", f"400 to udp:{PEER}"),  # no Via to go by: back to the source
        (b"Via", b"Nothing", UNANSWERED),
        (b"INVITE", b"ACK", UNANSWERED),
        (b"INVITE sip:callee@node.example SIP/2.0", b"SIP/2.0 200 OK", UNANSWERED),
        (BROKEN, b"hello", UNANSWERED),
    ],
)
def test_status_and_way_of_the_answer_to_malformed_bytes(old: bytes, new: bytes, answered: str) -> None:
    sent = answers(BROKEN.replace(old, new) if old else BROKEN)
    assert [f"{one.data.split(b' ')[1].decode()} to {one.flow}" for one in sent] == ([answered] if answered else [])


def test_to_of_a_malformed_request_keeps_its_tag_or_what_it_is() -> None:
    (sent,) = answers(BROKEN.replace(b"callee@node.example>", b"callee@node.example>;x=y;tag=node"))
    assert b"To: <sip:callee@node.example>;x=y;tag=node\r\n" in sent.data
    (sent,) = answers(BROKEN.replace(b"To: <sip:callee@node.example>", b"To: <<broken"))
    assert b"To: <<broken\r\n" in sent.data


# ---------------------------------------------------------------------- the whole


def test_transactions_of_both_kinds_end_without_a_rest() -> None:
    bench = Bench()
    for number, (method, status) in enumerate([("INVITE", 200), ("INVITE", 486), ("BYE", 200), ("MESSAGE", 403)]):
        via = f"{PEER};branch=z9hG4bK{number}"
        bench.respond(bench.server(method, via=via, call_id=number), status)
        bench.reply(bench.client(method, f"z9hG4bKclient{number}"), status)
        bench.client(method, f"z9hG4bKsilent{number}")
    assert len(bench.core) == 12
    bench.watch(31.9)
    assert len(bench.core) == 10  # Timer K has ended our BYE and our MESSAGE
    bench.watch(0.1)
    assert bench.is_empty()
    bench.watch(32)  # a cancelled timer stays in its slot until its time
    assert bench.core.next_deadline() is None


# ---------------------------------------------------------------------- lists that are given


def test_what_is_to_be_done_is_added_to_a_list_that_is_given_and_to_no_other() -> None:
    bench = Bench()
    transactions, server = bench.core, bench.server("BYE")
    asked = ClientTransaction("BYE", "z9hG4bKours", b"a request", flow_of(PEER), None)
    out: list[Output] = [SendMessage(b"before", flow_of(PEER))]
    transactions.start_into(out, asked, 1000.0)
    transactions.respond_into(out, server, 200, b"an answer", 1000.0)
    assert out == [SendMessage(data, flow_of(PEER)) for data in (b"before", b"a request", b"an answer")]
    assert transactions.take() == []


def test_a_fault_leaves_the_list_of_others_alone() -> None:
    """What comes next is not mixed with what was being done."""
    bench = Bench()
    transactions, server = bench.core, bench.server("BYE")
    transactions.wheel.tick_s = 0.0  # no timer can be set
    out: list[Output] = []
    with pytest.raises(ZeroDivisionError):
        transactions.start_into(out, ClientTransaction("BYE", "z9hG4bKours", b"", flow_of(PEER), None), 1000.0)
    with pytest.raises(ZeroDivisionError):
        transactions.respond_into(out, server, 200, b"", 1000.0)
    assert len(out) == 2 and transactions.take() == []
