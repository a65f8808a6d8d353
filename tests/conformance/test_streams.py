"""Requirements that are about TCP: the stream itself, and what transactions do on it."""

from __future__ import annotations

import re
import socket
from contextlib import closing
from typing import Final

import pytest

from scenarios.rig.place import PORT
from scenarios.rig.seen import Seen
from tests.conformance.conftest import RigFactory
from tests.conformance.message import text_for_x
from tests.conformance.parties import PATIENCE_S
from tests.conformance.rig import T1_S, T2_S, TRANSACTION_S, UNBOUND, Rig
from tests.conformance.streams import TCP, over_stream, stream_beside
from tests.conformance.talk import Call
from tests.conformance.test_timers import open_files
from tests.conformance.torture import EXPECTED, index, octets, rounds
from tests.e2e.stopwatch import stopwatch

SINGLE: Final = 20  # all of a message would take longer than it may, on a machine that is busy with other things

SETTINGS: Final = TCP + '[[peer]]\nname = "testers"\nmatch = ["{prefix}.128/25"]\n'

# What a stream makes of them: a request that does not say its length is one, and the rest of the stream is not read.
NO_LENGTH: Final = {400}
LENGTH: Final = re.compile(rb"(?im)^(content-length|l)[ \t]*:")
# Messages that a stream waits on for more: a body that is shorter than it says, a head that does not end.
NEVER_WHOLE: Final = ("rfc4475/clerr", "rfc4475/baddn")


def test_req_005_answers_go_back_on_their_connection(make_rig: RigFactory) -> None:
    """RFC 3261 §18.2.2: an answer goes on the connection that its request came by; where that has gone, on a new one to
    the address it came from and the port of its Via.

    Checked: 100 and 180 on the caller's connection, which then closes; the 200 comes on one that the node opens.
    """
    rig = make_rig(TCP)
    caller = over_stream(rig, rig.caller)
    call = Call(rig)
    call.start()
    call.ring()
    assert (len(caller.connections), caller.accepted) == (1, 0)
    caller.drop()
    ok = call.pick_up()
    assert caller.accepted == 1
    assert ok.value("To").partition("tag=")[2]
    call.ack()
    call.hang_up()


def test_req_006_long_requests_go_by_tcp(make_rig: RigFactory) -> None:
    """RFC 3261 §18.1.1: a request of more than 1300 bytes goes over TCP, and says so in Via; where the connection is
    refused, over UDP.

    Checked: a short INVITE and one of more than 1300 bytes to a callee that takes both, and the long one to one that
    takes UDP alone.
    """
    rig = make_rig(TCP)
    stream = stream_beside(rig, rig.callee)
    for body, at in ((rig.caller.description(), rig.callee), (long_description(rig), stream)):
        call = Call(rig)
        call.at = at
        sent = call.start(body=body)
        assert sent.value("Via").startswith(f"SIP/2.0/{at.transport} ")
        assert (len(sent.data) > 1300) == (at is stream)
        call.drop()
    other = make_rig(TCP)
    call = Call(other)
    sent = call.start(body=long_description(other))
    assert sent.value("Via").startswith("SIP/2.0/UDP ") and len(sent.data) > 1300
    call.drop()


def long_description(rig: Rig) -> bytes:
    return rig.caller.description() + b"".join(b"a=rtpmap:%d PCMA/8000\r\n" % number for number in range(96, 156))


def test_req_008_any_split_is_the_same(rig: Rig) -> None:
    """RFC 3261 §18.3; §20.14: on a stream Content-Length says where a message ends, and in which pieces it comes
    changes nothing.

    Checked: each octet in a segment of its own, 20 in one message; 50 messages in one segment; and a cut in each place
    of the line ends before the body.
    """
    with closing(StreamOf(rig, rig.place.host(200))) as stream:
        for first in range(0, len(stream.asking("split000")), SINGLE):
            one = stream.asking(f"split{first:03}")
            pieces = [one[:first], *(one[at : at + 1] for at in range(first, first + SINGLE)), one[first + SINGLE :]]
            for piece in pieces:
                stream.opened.sendall(piece)
                rig.barrier()  # the node has read it by itself
            assert stream.answers(1) == [f"split{first:03}"]
        stream.opened.sendall(b"".join(stream.asking(f"many{number}") for number in range(50)))
        assert stream.answers(50) == [f"many{number}" for number in range(50)]
        for number in range(5):
            whole = stream.asking(f"cut{number}", b"abc")
            at = whole.index(b"\r\n\r\n") + number
            stream.opened.sendall(whole[:at])
            rig.barrier()
            stream.opened.sendall(whole[at:])
            assert stream.answers(1) == [f"cut{number}"]


class StreamOf:
    """A plain connection from a host of the testers."""

    def __init__(self, rig: Rig, host: str) -> None:
        self.node, self.host = rig.place.node, host
        self.opened = socket.create_connection((self.node, PORT), PATIENCE_S, (host, 0))
        self.opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.rest = b""

    def asking(self, call_id: str, body: bytes = b"") -> bytes:
        data = (
            f"OPTIONS sip:{self.node} SIP/2.0\r\nVia: SIP/2.0/TCP {self.host};branch=z9hG4bK{call_id}\r\n"
            f"From: <sip:{self.host}>;tag=a\r\nTo: <sip:{self.node}>\r\nCall-ID: {call_id}\r\nCSeq: 1 OPTIONS\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        return data.encode() + body

    def answers(self, count: int) -> list[str]:
        """The Call-IDs of the next answers, none of which has a body."""
        while self.rest.count(b"\r\n\r\n") < count:
            data = self.opened.recv(65_536)
            assert data, self.rest
            self.rest += data
        *heads, self.rest = self.rest.split(b"\r\n\r\n", count)
        return [Seen(0.0, False, head + b"\r\n\r\n").call_id for head in heads]

    def until_closed(self) -> bytes:
        """All that comes before the node closes the connection."""
        data = self.rest
        while chunk := self.opened.recv(65_536):
            data += chunk
        return data

    def close(self) -> None:
        self.opened.close()


def test_req_023_limits_of_size_on_streams(rig: Rig) -> None:
    """RFC 3261 §21.4.12; §21.5.7: on a stream, too, what is too long is refused as such, 414 for a Request-URI and 513
    for a message, and then the connection is closed, since what comes behind it is not read.

    Checked: a header section of 20 KiB, with a short and with a long Request-URI, and a body of 70,000 bytes.
    """
    for number, (uri, rows, status) in enumerate(
        (("sip:a", 20_000, 513), (f"sip:{'a' * 3000}", 20_000, 414), (f"sip:{'a' * 3000}", 0, 414), ("sip:a", 0, 513))
    ):
        with closing(StreamOf(rig, rig.place.host(202))) as stream:
            asked = stream.asking(f"long{number}", b"x" * 70_000 if not rows and status == 513 else b"")
            asked = asked.replace(f"sip:{stream.node} SIP".encode(), f"{uri}@{stream.node} SIP".encode(), 1)
            asked = asked.replace(b"Content-Length", f"Subject: {'x' * rows}\r\nContent-Length".encode(), 1)
            stream.opened.sendall(asked)
            if rows or status == 513:
                said = stream.until_closed()
            else:
                said = stream.opened.recv(65_536)  # nobody doubts where it ends
            assert said.startswith(f"SIP/2.0 {status} ".encode()) and said.count(b"SIP/2.0 ") == 1, said


@pytest.mark.parametrize("name", ["rfc4475/ncl", "rfc4475/mcl01", "rfc4475/inv2543"])
def test_req_009_framing_that_is_lost(rig: Rig, name: str) -> None:
    """RFC 4475 §3.1.2.3; §3.3.9; §3.4.1; RFC 3261 §18.3: where Content-Length is negative, said twice or not there,
    nobody can tell where the next message begins: 400, and that connection is closed.

    Checked: each of the three, with a whole OPTIONS behind it, which is not run; another connection goes on.
    """
    host = rig.place.host(201)
    with closing(StreamOf(rig, host)) as other, closing(StreamOf(rig, host)) as stream:
        stream.opened.sendall(octets(name) + b"\r\n" + stream.asking("hidden"))
        said = stream.until_closed()
        assert said.startswith(b"SIP/2.0 400 ") and b"hidden" not in said
        other.opened.sendall(other.asking("other"))
        assert other.answers(1) == ["other"]


def test_req_010_keep_alives(rig: Rig) -> None:
    """RFC 3261 §7.5; RFC 5626 §3.5.1: line ends in front of a message mean nothing, and a double one between messages
    is answered with a single one; on UDP a keep-alive has no answer.

    Checked: both on a stream; CRLF, CRLFCRLF and NUL in datagrams.
    """
    with closing(StreamOf(rig, rig.place.host(202))) as stream:
        stream.opened.sendall(b"\r\n\r\n")
        assert stream.opened.recv(100) == b"\r\n"
        stream.opened.sendall(b"\r\n" + stream.asking("behind"))
        assert stream.answers(1) == ["behind"]
    for data in (b"\r\n", b"\r\n\r\n", b"\0", b"\0\0\0\0"):
        rig.caller.send(data)
    rig.hears_nothing(rig.caller)


def test_req_013_connections_are_kept_and_replaced(make_rig: RigFactory) -> None:
    """RFC 3261 §18; §18.4: a connection to a target is used again as long as it stands; when it has gone, the next
    request opens another one.

    Checked: two calls on one connection, then the callee closes it; the third call comes on a new one within a second.
    """
    rig = make_rig(TCP, "134")
    callee = over_stream(rig, rig.callee)
    for _ in range(2):
        Call(rig).talk().hang_up()
    assert callee.accepted == 1
    callee.drop()
    call = Call(rig)
    took = stopwatch(rig.node)
    rig.caller.send(call.invite())
    call.sent = rig.hear(callee, "INVITE")
    assert took() < 1.0 and callee.accepted == 2
    call.tag = callee.word()
    call.drop()


def test_req_014_torture_messages_on_a_stream(rig: Rig) -> None:
    """RFC 4475 §3; RFC 5118 §4; RFC 3261 §18.3: on a stream each torture message gets the answer that it gets in a
    datagram, but that one without a clear Content-Length is answered 400.

    Checked: 61 messages, each on a connection of its own; two of them do not end, and are not answered.
    """
    wrong = {}
    known = index()
    groups = [[name for name in group if name in known] for group in rounds()]
    for number, name in enumerate(name for group in groups for name in group):
        if number and any(name == group[0] for group in groups):
            rig.wait(1.5 * TRANSACTION_S)  # for branches that stand in several messages
        data = octets(name)
        expected = EXPECTED[name] if LENGTH.search(data) or not EXPECTED[name] else NO_LENGTH
        with closing(StreamOf(rig, rig.place.host(130 + number))) as stream:
            stream.opened.sendall(data)
            if expected and name not in NEVER_WHOLE and (found := first_final(stream)) not in expected:
                wrong[name] = found
    assert wrong == {}
    rig.barrier()


def first_final(stream: StreamOf) -> int:
    """The status of the first final response on a connection."""
    data = b""
    while True:
        try:
            chunk = stream.opened.recv(65_536)
        except TimeoutError:
            return 0
        data += chunk
        for part in data.split(b"\r\n\r\n"):
            status = Seen(0.0, False, part).status
            if status >= 200:
                return status
        if not chunk:
            return 0


def test_req_027_a_failure_goes_once_on_a_stream(make_rig: RigFactory) -> None:
    """RFC 3261 §17.2.1: on a stream a failure response to INVITE is sent once, whether its ACK comes or not.

    Checked: no copy in the time in which UDP has five.
    """
    rig = make_rig(TCP)
    over_stream(rig, rig.caller)
    call = Call(rig, UNBOUND)
    rig.caller.send(call.invite())
    failure = rig.final("INVITE")
    rig.wait(4 * T2_S)
    assert len(rig.caller.copies(failure)) == 1
    rig.caller.send(call.of_invite("ACK", to=failure.value("To")))


def test_req_029_a_2xx_is_repeated_on_a_stream(make_rig: RigFactory) -> None:
    """RFC 3261 §13.3.1.4: a 2xx to INVITE is repeated until its ACK comes, on a stream as well.

    Checked: two copies and no ACK, then none any more.
    """
    rig = make_rig(TCP)
    over_stream(rig, rig.caller)
    call = Call(rig)
    call.start()
    ok = call.pick_up()
    assert len(rig.repeats(rig.caller, ok, 3)) >= 3
    call.ack()
    rig.barrier()
    copies = len(rig.caller.copies(ok))
    rig.wait(2 * T2_S)
    assert len(rig.caller.copies(ok)) == copies
    call.hang_up()


def test_req_036_requests_go_once_on_a_stream(make_rig: RigFactory) -> None:
    """RFC 3261 §17.1.1.2; §17.1.2.2: on a stream neither an INVITE nor another request is sent again; the time in which
    an answer must come is the same.

    Checked: an INVITE to a callee that is silent, which fails after 64*T1, and a BYE.
    """
    rig = make_rig(TCP, "134")
    callee = over_stream(rig, rig.callee)
    call = Call(rig)
    sent = call.start()
    refused = call.rig.final("INVITE")
    assert refused.at_s - call.first.at_s > TRANSACTION_S - T1_S / 10
    assert len(callee.copies(sent)) == 1
    rig.caller.send(call.of_invite("ACK", to=refused.value("To")))
    call = Call(rig).talk()
    rig.caller.send(call.caller.request("BYE"))
    bye = rig.hear(callee, "BYE")
    rig.wait(4 * T2_S)
    assert len(callee.copies(bye)) == 1
    callee.send(callee.answer(bye, 200))
    rig.final("BYE")


def test_req_055_long_messages_by_tcp(make_rig: RigFactory) -> None:
    """RFC 3428 §8; RFC 3261 §18.1.1: a MESSAGE of more than 1300 bytes goes by a transport that heeds congestion.

    Checked: a text of 2000 bytes to a target over UDP, whose host takes TCP.
    Deviation: where that host takes no TCP, or the node has no listener for it, the text goes by UDP and is not
    refused: the trunk behind it is known, and a refusal would cost long texts for nothing.
    """
    rig = make_rig(TCP)
    callee = over_stream(rig, rig.callee)
    rig.caller.send(text_for_x(rig, b"a" * 2000))
    delivered = rig.hear(callee, "MESSAGE")
    assert delivered.value("Via").startswith("SIP/2.0/TCP ") and delivered.body == b"a" * 2000
    callee.send(callee.answer(delivered, 200))
    assert rig.final("MESSAGE").status == 200


def test_req_074_nothing_stays_of_connections(make_rig: RigFactory) -> None:
    """RFC 3261 §18: connections that have gone leave nothing behind.

    Checked: 40 connections, each with a request, half of them reset: all descriptors are given back.
    """
    rig = make_rig(SETTINGS)
    before = open_files(rig)
    for number in range(40):
        with closing(StreamOf(rig, rig.place.host(140 + number % 100))) as stream:
            stream.opened.sendall(stream.asking(f"gone{number}"))
            stream.answers(1)
            if number % 2:
                stream.opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    assert rig.until(lambda: open_files(rig) <= before + 1)
