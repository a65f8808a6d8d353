"""Packets that come in fragments: in any order, repeated, missing, overlapping, and more than anybody waits for."""

from __future__ import annotations

import struct
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipstack.pcap import Datagram, read_datagrams, read_sip
from sipstack.pcap.ip import MAX_PIECES, MAX_WAITING
from tests.sipstack.captures import classic, fragments, ip, tcp

LONG = Datagram(1000.25, ("192.0.2.1", 5060), ("192.0.2.2", 5060), bytes(range(256)) * 8)
WHOLE = ip(LONG)


@given(st.permutations(fragments(WHOLE, 8, 800, 1600)))
def test_in_any_order(pieces: list[bytes]) -> None:
    assert read_datagrams(classic(101, *pieces)) == [LONG]


def test_repeated_ones_say_nothing_new() -> None:
    first, second, third = fragments(WHOLE, 800, 1600)
    capture = classic(101, first, first, second, first, second, third)
    assert read_datagrams(capture) == [LONG]
    assert read_sip(capture).fragments == 0
    assert read_datagrams(classic(101, third, first, first, second)) == [LONG]


@pytest.mark.parametrize("missing", range(3))
def test_without_one_it_is_lost(missing: int) -> None:
    pieces = fragments(WHOLE, 800, 1600)
    del pieces[missing]
    capture = classic(101, *pieces)
    assert read_datagrams(capture) == []
    assert read_sip(capture).fragments == 1


@pytest.mark.parametrize("cuts", [(792, 1600), (808, 1608)], ids=["too much", "a gap, and as much twice"])
def test_those_that_overlap_are_no_packet(cuts: tuple[int, int]) -> None:
    """Nobody can say which of them a host has taken (RFC 5722)."""
    first, _, third = fragments(WHOLE, 800, 1600)
    other = fragments(WHOLE, *cuts)[1]
    capture = classic(101, first, other, third)
    assert read_datagrams(capture) == []
    assert read_sip(capture).fragments == 1


def test_packets_are_told_apart() -> None:
    other = Datagram(1000.25, LONG.source, LONG.destination, LONG.payload[::-1])
    mine, its = fragments(WHOLE, 800), fragments(ip(other), 800, number=8)
    assert read_datagrams(classic(101, mine[0], its[0], mine[1], its[1])) == [LONG, other]


def test_one_that_is_cut_off_is_none() -> None:
    first, second = fragments(WHOLE, 800)
    assert read_datagrams(classic(101, first, second[:-1])) == []


def test_a_segment_ends_where_its_packet_says() -> None:
    """A segment has no length of its own: of what was cut off, or is filled up, nothing else tells."""
    message = b"MESSAGE sip:b@b.example SIP/2.0\r\nContent-Length: 400\r\n\r\n" + b"x" * 400
    whole = tcp(("192.0.2.1", 5060), ("192.0.2.2", 5060), 1, message)
    twice = tcp(("192.0.2.1", 5060), ("192.0.2.2", 5060), 1 + len(message), message)
    assert len(read_sip(classic(101, whole + b"\0" * 6, twice)).messages) == 2
    first, second = fragments(whole + b"more", 240)
    assert read_sip(classic(101, first, second[:-4])).messages == []
    assert len(read_sip(classic(101, first, second)).messages) == 1


def test_no_more_of_them_wait_than_there_is_room_for() -> None:
    """The one that began first goes."""
    first, second = fragments(WHOLE, 800, number=65_000)
    others = [fragments(WHOLE, 800, number=number)[0] for number in range(MAX_WAITING)]
    assert read_datagrams(classic(101, first, *others[:-1], second)) == [LONG]
    assert read_sip(classic(101, first, *others, second)).fragments == MAX_WAITING + 2
    assert read_datagrams(classic(101, first, *others, second)) == []


def test_a_packet_in_too_many_pieces_is_lost() -> None:
    pieces = fragments(WHOLE, *range(8, 8 * MAX_PIECES + 8, 8))
    assert len(pieces) == MAX_PIECES + 1
    assert read_datagrams(classic(101, *pieces)) == []
    assert read_datagrams(classic(101, *fragments(WHOLE, *range(8, 8 * MAX_PIECES, 8)))) == [LONG]


def test_of_ipv6() -> None:
    udp = struct.pack(">HHHH", 5060, 5061, 8 + 2048, 0) + LONG.payload
    hosts = ip_address("2001:db8::1").packed + ip_address("2001:db8::2").packed

    def piece(start: int, end: int, number: int = 4711) -> bytes:
        placed = struct.pack(">BBHI", 17, 0, start | (end < len(udp)), number)
        return struct.pack(">IHBB", 6 << 28, 8 + end - start, 44, 64) + hosts + placed + udp[start:end]

    six = Datagram(1000.25, ("2001:db8::1", 5060), ("2001:db8::2", 5061), LONG.payload)
    assert read_datagrams(classic(101, piece(1600, len(udp)), piece(0, 1600))) == [six]
    assert read_datagrams(classic(101, piece(1600, len(udp)), piece(0, 1600, 4712))) == []
    cut = read_sip(classic(101, piece(0, 1600), piece(1600, len(udp))[:-1], piece(1600, len(udp))))
    assert cut.fragments == 0
