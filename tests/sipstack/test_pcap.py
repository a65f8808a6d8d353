"""Capture files: both formats, both byte orders, the links that captures are made on, and files that are none."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipstack.pcap import Datagram, PcapError, read_datagrams, read_sip
from tests.sipstack.captures import block, classic, ip, ng, tcp

SIPPS = Path("/usr/share/sip-tester/g711a.pcap")
ONE = Datagram(1000.25, ("192.0.2.1", 5060), ("192.0.2.2", 7078), b"hello")
SIX = Datagram(1000.25, ("2001:db8::1", 5060), ("2001:db8::2", 7078), b"hello")


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("unit", [1e-6, 1e-9])
def test_pcap(order: str, unit: float) -> None:
    assert read_datagrams(classic(101, ip(ONE), ip(SIX), order=order, unit=unit)) == [ONE, SIX]


@pytest.mark.parametrize("order", ["<", ">"])
def test_pcapng(order: str) -> None:
    assert read_datagrams(ng(101, ip(ONE), ip(SIX), order=order)) == [ONE, SIX]


def test_pcapng_says_how_long_its_ticks_are() -> None:
    nano = struct.pack("<HHBxxx", 9, 1, 9) + b"\0" * 4
    binary = struct.pack("<HHBxxx", 9, 1, 0x82) + b"\0" * 4
    assert read_datagrams(ng(101, ip(ONE), options=nano, ticks=1_000_250_000_000)) == [ONE]
    assert read_datagrams(ng(101, ip(ONE), options=binary, ticks=4001)) == [ONE]


@pytest.mark.parametrize(
    ("link", "before"),
    [
        (1, b"\0" * 12 + b"\x08\x00"), (1, b"\0" * 12 + b"\x81\x00\x00\x07\x08\x00"), (0, b"\x02\0\0\0"), (12, b""),
        (108, b"\0\0\0\x02"), (113, b"\0" * 14 + b"\x08\x00"), (228, b""), (276, b"\x08\x00" + b"\0" * 18),
    ],
)  # fmt: skip
def test_links(link: int, before: bytes) -> None:
    assert read_datagrams(classic(link, before + ip(ONE))) == [ONE]


def test_what_is_no_whole_datagram_is_left_out() -> None:
    whole = ip(ONE)
    other = bytearray(whole)
    other[9] = 6  # TCP
    frames = (ip(ONE, fragment=0x2000), ip(ONE, fragment=7), whole[:-1], whole[:22], b"", b"\x10", bytes(other), whole)
    assert read_datagrams(classic(101, *frames)) == [ONE]
    assert read_datagrams(classic(1, b"\0" * 12 + b"\x08\x06" + whole)) == []  # ARP


def test_headers_of_ipv6_that_come_between() -> None:
    assert read_datagrams(classic(101, ip(SIX, extended=True))) == [SIX]


def test_a_file_that_is_cut_off_ends_there() -> None:
    data = classic(101, ip(ONE), ip(ONE))
    assert read_datagrams(data[:-1]) == [ONE]
    assert read_datagrams(ng(101, ip(ONE), ip(ONE))[:-1]) == [ONE]


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", "neither pcap nor pcapng"), (b"GIF89a", "neither pcap nor pcapng"),
        (classic(101)[:20], "cut off in its header"), (classic(147, b"x"), "link type 147 is not supported"),
    ],
)  # fmt: skip
def test_files_that_are_none(data: bytes, text: str) -> None:
    with pytest.raises(PcapError, match=text):
        read_datagrams(data)


@pytest.mark.parametrize("length", [0, 4, 8, 13, 1 << 31])
def test_a_block_whose_length_cannot_be_ends_the_file(length: int) -> None:
    """One of none would be read for ever."""
    whole = ng(101, ip(ONE))
    assert read_datagrams(whole + struct.pack("<II", 6, length) + b"\0" * 32 + whole) == [ONE]


def test_a_length_that_is_no_multiple_of_four_ends_the_file() -> None:
    whole, one = ng(101), ng(101, ip(ONE))
    assert read_datagrams(whole + struct.pack("<II", 5, 13) + b"\0" * 5 + one[len(whole) :]) == []


def test_a_segment_that_is_cut_off_is_none() -> None:
    """What there is of it would pass for all of it where the packet does not say its length."""
    source, destination = ("192.0.2.1", 5060), ("192.0.2.2", 5060)
    message = b"SIP/2.0 200 OK\r\nl: 0\r\n\r\n"
    packet = tcp(source, destination, 1, message + b"more")
    packet = packet[:2] + b"\0\0" + packet[4:]
    assert len(read_sip(classic(101, packet)).messages) == 1
    assert read_sip(classic(101, packet)[:-1]).messages == []


def test_frames_of_an_interface_that_is_not_there() -> None:
    head, face, frame = ng(101)[:28], block(1, struct.pack("<HHI", 101, 0, 0)), ng(101, ip(ONE))[len(ng(101)) :]
    assert read_datagrams(head + frame) == []
    assert read_datagrams(head + face + frame) == [ONE]
    other = block(6, struct.pack("<IIIII", 1, 0, 0, len(ip(ONE)), len(ip(ONE))) + ip(ONE))
    assert read_datagrams(head + face + other) == []
    assert read_datagrams(head + face + frame + head + frame) == [ONE]  # a section has its own interfaces


def test_blocks_that_are_too_short_for_what_they_are() -> None:
    whole = ng(101, ip(ONE))
    short = block(1, b"") + block(1, b"\x65\0\0\0") + block(6, b"") + block(6, b"\0" * 16) + block(3, b"")
    assert read_datagrams(whole[:28] + short + whole[28:]) == [ONE]


def test_simple_packets_have_no_time() -> None:
    simple = block(3, struct.pack("<I", len(ip(ONE))) + ip(ONE))
    whole = ng(101)
    (found,) = read_datagrams(whole + simple)
    assert (found.at_s, found.payload) == (0.0, ONE.payload)
    assert read_datagrams(whole[:28] + simple) == []


def test_options_that_are_cut_off() -> None:
    cut = struct.pack("<HH", 9, 40) + b"\x09"
    assert read_datagrams(ng(101, ip(ONE), options=cut)) == [ONE]
    assert read_datagrams(ng(101, ip(ONE), options=struct.pack("<HH", 9, 0))) == [ONE]


def test_sections_in_both_byte_orders() -> None:
    assert read_datagrams(ng(101, ip(ONE)) + ng(1, b"\0" * 12 + b"\x08\x00" + ip(SIX), order=">")) == [ONE, SIX]


def test_what_a_file_says_of_itself() -> None:
    told = struct.pack("<HH", 1, 5) + b"first\0\0\0" + struct.pack("<HH", 4, 3) + b"who\0" + b"\0" * 4
    head = block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1) + told)
    assert read_sip(head + ng(101)).comments == ["first", "who"]
    assert len(read_sip(head * 20).comments) == 16


@pytest.mark.parametrize("at", [2, 24], ids=["of IP", "of UDP"])
def test_lengths_that_are_too_short(at: int) -> None:
    wrong = bytearray(ip(ONE))
    wrong[at : at + 2] = b"\0\x07"
    assert read_datagrams(classic(101, bytes(wrong), ip(ONE))) == [ONE]


def test_a_header_of_ip_that_is_too_short() -> None:
    """Its own last octets would be ports, and this port a length."""
    wrong = ip(Datagram(1000.25, ("192.0.2.1", 12), ("192.0.2.2", 7078), b"hello"))
    assert read_datagrams(classic(101, b"\x44" + wrong[1:], ip(ONE))) == [ONE]


def test_what_fills_up_a_frame_is_no_payload() -> None:
    assert read_datagrams(classic(101, ip(ONE) + b"\0" * 18)) == [ONE]


@given(
    st.binary(max_size=200), st.sampled_from([classic(1, ip(ONE)), ng(1, ip(ONE)), classic(113), ng(276)]), st.data()
)
def test_whatever_the_bytes_only_our_own_error_comes(noise: bytes, data: bytes, draw: st.DataObject) -> None:
    at = draw.draw(st.integers(4, len(data)))
    try:
        read_sip(data[:at] + noise + data[at:])
    except PcapError:
        pass


@given(st.sampled_from([classic(1, ip(ONE), ip(SIX)), ng(101, ip(ONE), ip(SIX, extended=True))]), st.data())
def test_files_that_are_cut_and_flipped(data: bytes, draw: st.DataObject) -> None:
    flipped = bytearray(data)
    for at in draw.draw(st.lists(st.integers(4, len(data) - 1), min_size=1, max_size=8)):
        flipped[at] ^= draw.draw(st.integers(1, 255))
    try:
        read_sip(bytes(flipped[: draw.draw(st.integers(4, len(data)))]))
    except PcapError:
        pass


def test_a_capture_that_others_made() -> None:
    """SIPp's own: RTP of 30 ms a packet, whose numbers and clock say what must be in it, and in which order."""
    found = read_datagrams(SIPPS.read_bytes())
    numbers, ticks = zip(*(struct.unpack_from(">2xHI", one.payload) for one in found), strict=True)
    assert numbers == tuple(range(0xE6FD, 0xE7E9))
    assert ticks == tuple(240 * (count + 1) for count in range(len(found)))
    assert all(abs(one.at_s - found[0].at_s - 0.030 * count) < 0.02 for count, one in enumerate(found))
    assert {(one.source, one.destination, len(one.payload)) for one in found} == {
        (("10.1.3.143", 5000), ("10.1.6.18", 2006), 252)
    }
