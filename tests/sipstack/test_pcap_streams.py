"""SIP over TCP out of a capture: whatever the order of the segments, the messages are those that were sent."""

from __future__ import annotations

import struct
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipstack.pcap import SipCapture, read_sip
from sipstack.pcap.streams import MAX_STREAMS, MAX_WAITING
from tests.sipstack.captures import classic, tcp

A, B = ("192.0.2.1", 40_000), ("192.0.2.2", 5060)
SYN, RST = 2, 4


def message(number: int, size: int = 100) -> bytes:
    return b"OPTIONS sip:b@b.example SIP/2.0\r\nCall-ID: %d\r\nContent-Length: %d\r\n\r\n%b" % (
        number, size, b"x" * (size - 2) + b"\r\n"[:size])  # fmt: skip


SENT = [message(1), message(2, 0), message(3, 700), b"SIP/2.0 200 OK\r\nl: 0\r\n\r\n"]
STREAM = b"".join(SENT)


def read(*packets: bytes) -> SipCapture:
    return read_sip(classic(101, *packets))


def payloads(capture: SipCapture) -> list[bytes]:
    return [one.data for one in capture.messages]


def parts(*edges: int, first: int = 1000) -> list[bytes]:
    """The stream in segments that begin at these octets of it."""
    return [tcp(A, B, first + 1 + start, STREAM[start:end]) for start, end in pairwise(edges)]


@given(st.lists(st.integers(1, len(STREAM) - 1), max_size=12), st.randoms(use_true_random=False), st.booleans())
def test_in_any_order_and_repeated(cuts: list[int], random: object, wraps: bool) -> None:
    first = 0xFFFF_FF00 if wraps else 1000
    segments = parts(0, *sorted(set(cuts)), len(STREAM), first=first)
    segments += segments[::2]
    random.shuffle(segments)  # type: ignore[attr-defined]
    capture = read(tcp(A, B, first, flags=SYN), *segments)
    assert payloads(capture) == SENT
    assert capture.gaps == 0


def test_segments_that_overlap() -> None:
    segments = [tcp(A, B, 1001 + at, STREAM[at : at + 90]) for at in range(0, len(STREAM), 40)]
    assert payloads(read(tcp(A, B, 1000, flags=SYN), *segments)) == SENT


def test_a_message_says_where_it_comes_from_and_when_it_was_whole() -> None:
    (one,) = read(tcp(A, B, 1000, flags=SYN), tcp(A, B, 1001, SENT[0])).messages
    assert (one.transport, one.source, one.destination, one.at_s) == ("TCP", A, B, 1000.25)


def test_both_directions() -> None:
    capture = read(tcp(A, B, 1000, SENT[0]), tcp(B, A, 77, SENT[3]))
    assert [(one.source, one.data) for one in capture.messages] == [(A, SENT[0]), (B, SENT[3])]


def test_a_capture_that_begins_within_a_message() -> None:
    capture = read(*parts(50, 400, len(STREAM)))
    assert payloads(capture) == SENT[1:]


def test_behind_what_is_missing_it_goes_on_with_the_next_message() -> None:
    edge = len(SENT[0]) + 5  # in the second message
    segments = parts(0, edge, edge + 10, len(STREAM))
    capture = read(tcp(A, B, 1000, flags=SYN), segments[0], segments[2])
    assert payloads(capture) == [SENT[0], *SENT[2:]]
    assert capture.gaps == 1


def test_what_is_missing_is_given_up_when_too_many_wait() -> None:
    """So a message is told at its time, not at the end of the file."""
    later = [tcp(A, B, 3000 + number * len(message(5)), message(5)) for number in range(MAX_WAITING + 1)]
    capture = read(tcp(A, B, 1000, SENT[0]), *later, tcp(B, A, 1, SENT[3]))
    assert payloads(capture) == [SENT[0], *[message(5)] * (MAX_WAITING + 1), SENT[3]]
    assert capture.gaps == 1


def test_a_message_without_an_end_is_told() -> None:
    capture = read(tcp(A, B, 1000, SENT[2][:-1]))
    assert (payloads(capture), capture.gaps) == ([], 1)


def test_the_same_ports_again() -> None:
    capture = read(
        tcp(A, B, 1000, flags=SYN), tcp(A, B, 1001, SENT[0][:40]), tcp(A, B, 5000, flags=SYN),
        tcp(A, B, 5000, flags=SYN), tcp(A, B, 5001, SENT[1]),
    )  # fmt: skip
    assert (payloads(capture), capture.gaps) == ([SENT[1]], 1)


def test_a_repeated_beginning_is_none() -> None:
    begin = tcp(A, B, 1000, flags=SYN)
    capture = read(begin, tcp(A, B, 1001, SENT[0][:40]), begin, tcp(A, B, 1041, SENT[0][40:]))
    assert (payloads(capture), capture.gaps) == ([SENT[0]], 0)


def test_a_reset_ends_a_connection() -> None:
    capture = read(tcp(A, B, 1000, SENT[0][:40]), tcp(A, B, 1040, flags=RST), tcp(A, B, 500, SENT[1]))
    assert (payloads(capture), capture.gaps) == ([SENT[1]], 1)


def test_a_head_that_does_not_say_how_long_it_is() -> None:
    """It is handed up, and the next start line is looked for."""
    unclear = b"INVITE sip:b@b.example SIP/2.0\r\nCall-ID: 9\r\n\r\n"
    capture = read(tcp(A, B, 1000, unclear), tcp(A, B, 1000 + len(unclear), SENT[0]))
    assert payloads(capture) == [unclear, SENT[0]]


@pytest.mark.parametrize("noise", [b"\x16\x03\x01" + b"\0" * 3000, b"GET / HTTP/1.1\r\n\r\n", b"A" * 4000])
def test_what_is_no_sip(noise: bytes) -> None:
    assert read(tcp(A, B, 1000, flags=SYN), tcp(A, B, 1001, noise)).messages == []
    assert payloads(read(tcp(A, B, 1000, noise), tcp(A, B, 1000 + len(noise), b"\r\n" + SENT[0]))) == [SENT[0]]


def test_a_start_line_in_two_segments_behind_noise() -> None:
    capture = read(tcp(A, B, 1000, b"noise\r\n" + SENT[0][:10]), tcp(A, B, 1017, SENT[0][10:]))
    assert payloads(capture) == [SENT[0]]


def test_a_segment_whose_header_is_none() -> None:
    wrong = bytearray(tcp(A, B, 1000, SENT[0]))
    for places in (0x40, 0xF0):
        wrong[32] = places
        assert read(bytes(wrong[:60])).messages == []
    assert read(tcp(A, B, 1000)[:-1]).messages == []


def test_no_more_connections_are_followed_than_there_is_room_for() -> None:
    begun = tcp(A, B, 1000, SENT[0][:40])
    others = [tcp(("192.0.2.3", port), B, 0, b"x") for port in range(1, MAX_STREAMS + 1)]
    end = tcp(A, B, 1040, SENT[0][40:])
    assert payloads(read(begun, *others[:-1], end)) == [SENT[0]]
    assert payloads(read(begun, *others, end)) == []


def test_datagrams_between() -> None:
    udp = struct.pack(">HHHH", 5060, 5060, 8 + 4 + len(SENT[0]), 0) + b"\r\n\r\n" + SENT[0]
    packet = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0) + b"\xc0\0\2\1\xc0\0\2\2" + udp
    (one,) = read(packet, packet[:28] + b"\r\n" + packet[30:]).messages[:1]
    assert (one.transport, one.data) == ("UDP", SENT[0])
