"""The playbook itself: a test that uses it must be able to fail, and its clock must be right."""

from __future__ import annotations

import pytest

from sipstack.events import Flow, Output, SendMessage
from sipstack.parser import parse
from sipstack.testing.doubles import Note
from sipstack.testing.playbook import Playbook, flow_of, wire

PEER = "192.0.2.1:5070"
NOTE = wire(
    """
    MESSAGE sip:bob@node.example SIP/2.0
    Via: SIP/2.0/UDP {host};branch={branch}
    From: <sip:alice@{host}>;tag=a
    To: <sip:bob@node.example>
    Call-ID: a-call
    CSeq: 1 MESSAGE

    Two lines,
    {branch}.
    """,
    host="192.0.2.1",
    branch="z9hG4bKa",
)


class Clock:
    """A core that sends back what it gets, and sends `tick` at the times that it was given."""

    def __init__(self, *deadlines: float) -> None:
        self.deadlines = sorted(Playbook.START_S + deadline for deadline in deadlines)
        self.calls: list[str] = []

    def receive(self, data: bytes, flow: Flow, now: float) -> list[Output]:
        self.calls.append(f"{now - Playbook.START_S:g} {flow!r}")
        return [Note("first"), SendMessage(data, flow), Note("last")]

    def handle_timer(self, now: float) -> list[Output]:
        self.calls.append(f"{now - Playbook.START_S:g} timer")
        self.deadlines.pop(0)
        return [SendMessage(NOTE, flow_of(PEER))]

    def next_deadline(self) -> float | None:
        return self.deadlines[0] if self.deadlines else None


def test_wire_writes_messages_from_text() -> None:
    assert NOTE == (
        b"MESSAGE sip:bob@node.example SIP/2.0\r\n"
        b"Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKa\r\n"
        b"From: <sip:alice@192.0.2.1>;tag=a\r\n"
        b"To: <sip:bob@node.example>\r\n"
        b"Call-ID: a-call\r\n"
        b"CSeq: 1 MESSAGE\r\n"
        b"Content-Length: 23\r\n"
        b"\r\n"
        b"Two lines,\r\nz9hG4bKa.\r\n"
    )
    assert wire("SIP/2.0 200 OK\nX: {no}", yes=1) == b"SIP/2.0 200 OK\r\nX: {no}\r\nContent-Length: 0\r\n\r\n"


@pytest.mark.parametrize(
    ("address", "host", "port"),
    [("192.0.2.1:5070", "192.0.2.1", 5070), ("[2001:db8::1]:5060", "2001:db8::1", 5060), ("[::1]:1", "::1", 1)],
)
def test_flow_of_an_address(address: str, host: str, port: int) -> None:
    assert flow_of(address) == Flow("UDP", host, port)
    assert flow_of(address) != Flow("TCP", host, port)
    assert flow_of(address) != Flow("UDP", host, port + 1)
    assert flow_of(address) != (("UDP", host, port))
    assert len({flow_of(address), Flow("UDP", host, port)}) == 1


def test_what_is_sent_is_taken_in_order_and_once() -> None:
    book = Playbook(Clock())
    book.silence()
    book.wire_in(NOTE, PEER)
    book.wire_in(NOTE.replace(b"z9hG4bKa", b"z9hG4bKb"), "192.0.2.2:5070")
    assert book.wire_out("MESSAGE sip:bob@", to=PEER) == parse(NOTE)
    second = book.wire_out("", to="192.0.2.2:5070")
    assert second.top_via is not None
    assert second.top_via.branch == "z9hG4bKb"
    book.silence()
    assert [sent.flow for sent in book.log] == [flow_of(PEER), flow_of("192.0.2.2:5070")]
    assert [note.text for note in book.events if isinstance(note, Note)] == ["first", "last"] * 2


def test_expectations_can_fail() -> None:
    book = Playbook(Clock())
    with pytest.raises(AssertionError, match="nothing was sent, expected: MESSAGE"):
        book.wire_out("MESSAGE")
    book.wire_in(NOTE, PEER)
    with pytest.raises(AssertionError, match="unexpected"):
        book.silence()
    with pytest.raises(AssertionError, match="expected 'INVITE'"):
        book.wire_out("INVITE")
    book.wire_in(NOTE, PEER)
    with pytest.raises(AssertionError, match=r"went to udp:192.0.2.1:5070, expected 192.0.2.1:5060"):
        book.wire_out("MESSAGE", to="192.0.2.1:5060")


def test_clock_fires_every_timer_at_its_own_time() -> None:
    core = Clock(0.5, 0.5, 1.25, 7)
    book = Playbook(core)
    assert book.now == 1000.0
    book.at(0.4)
    assert core.calls == []
    book.at(1.25)
    assert core.calls == ["0.5 timer", "0.5 timer", "1.25 timer"]
    book.wire_in(NOTE, PEER)
    assert core.calls[-1] == "1.25 udp:192.0.2.1:5070"
    book.at(6.5)
    book.wire_in(NOTE, PEER)
    assert core.calls[4:] == ["6.5 udp:192.0.2.1:5070"]
    assert len(book.log) == 5


def test_clock_only_goes_forward() -> None:
    book = Playbook(Clock())
    book.at(2)
    book.at(2)
    with pytest.raises(AssertionError, match=r"stands at 2.0 s"):
        book.at(1.9)


def test_sums_of_seconds_reach_their_timer() -> None:
    """0.1 + 0.2 is not 0.3 for a computer; it is for a test."""
    core = Clock(0.1 + 0.2)
    Playbook(core).at(0.3)
    assert core.calls == ["0.3 timer"]


def test_shell_gets_outputs_in_their_order_and_its_own_come_next() -> None:
    seen: list[str] = []

    def execute(output: Output) -> list[Output]:
        assert isinstance(output, Note)
        seen.append(output.text)
        return [Note("deeper"), SendMessage(NOTE, flow_of("192.0.2.9:9"))] if output.text == "first" else []

    book = Playbook(Clock(), execute)
    book.wire_in(NOTE, PEER)
    assert seen == ["first", "deeper", "last"]
    assert [repr(sent.flow) for sent in book.sent] == ["udp:192.0.2.9:9", "udp:192.0.2.1:5070"]
    assert book.events == []
