"""Capture files that the node's messages become, read back by our own reader and by one that knows nothing of it."""

from __future__ import annotations

import struct
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipstack.pcap import Datagram, read_datagrams
from sipstack.pcapng import PcapngWriter
from tests.sipstack.pcapng_reader import Packet, read_pcapng

HERE, THERE = ("192.0.2.1", 5060), ("192.0.2.2", 5080)
HERE_6, THERE_6 = ("2001:db8::1", 5060), ("2001:db8::2", 5080)


def file(*messages: tuple[str, tuple[str, int], tuple[str, int], bytes, bool]) -> bytes:
    writer = PcapngWriter()
    data = writer.begin("veil700", "veil700", "a comment")
    for at, (transport, source, destination, octets, is_sent) in enumerate(messages):
        data += writer.message(1_800_000_000.25 + at, transport, source, destination, octets, is_sent=is_sent)
    return data + writer.end(1_800_000_100.0, 12, 3, "3 lost")


@pytest.mark.parametrize(("source", "destination"), [(HERE, THERE), (HERE_6, THERE_6)])
def test_datagrams(source: tuple[str, int], destination: tuple[str, int]) -> None:
    data = file(("UDP", source, destination, b"hello", True), ("UDP", destination, source, b"", False))
    assert read_datagrams(data) == [
        Datagram(1_800_000_000.25, source, destination, b"hello"),
        Datagram(1_800_000_001.25, destination, source, b""),
    ]
    capture = read_pcapng(data)
    assert [packet.direction for packet in capture.packets] == ["out", "in"]
    assert (capture.link, capture.application, capture.comment) == (101, "veil700", "a comment")
    assert (capture.received, capture.dropped, capture.end_comment) == (12, 3, "3 lost")


@given(st.lists(st.binary(max_size=3000), max_size=6), st.booleans())
def test_checksums_are_right(messages: list[bytes], is_six: bool) -> None:
    """`read_pcapng` adds them up."""
    ends = (HERE_6, THERE_6) if is_six else (HERE, THERE)
    rows = [("UDP" if index % 2 else "TCP", *ends, data or b"x", True) for index, data in enumerate(messages)]
    assert [packet.payload for packet in read_pcapng(file(*rows)).packets] == [row[3] for row in rows]


def test_a_checksum_that_is_zero_is_written_as_ones() -> None:
    """RFC 768: zeros say that there is none."""
    pseudo = b"".join(ip_address(host[0]).packed for host in (HERE, THERE)) + struct.pack(
        ">BBHHHHH", 0, 17, 10, *(port for _, port in (HERE, THERE)), 10, 0
    )
    words = sum(struct.unpack(f">{len(pseudo) // 2}H", pseudo))
    while words >> 16:
        words = (words & 0xFFFF) + (words >> 16)
    [packet] = read_pcapng(file(("UDP", HERE, THERE, (0xFFFF - words).to_bytes(2, "big"), True))).packets
    assert packet.checksum == 0xFFFF


@pytest.mark.parametrize("transport", ["TCP", "TLS"])
def test_segments_of_a_stream_follow_one_another(transport: str) -> None:
    data = file(
        (transport, HERE, THERE, b"12345", True),
        (transport, THERE, HERE, b"abc", False),
        (transport, HERE, THERE, b"678", True),
        (transport, HERE, ("192.0.2.9", 5060), b"other", True),
    )
    assert [(one.sequence, one.acknowledged, one.payload) for one in read_pcapng(data).packets] == [
        (1, 1, b"12345"), (1, 6, b"abc"), (6, 4, b"678"), (1, 1, b"other"),
    ]  # fmt: skip


def test_a_long_message_becomes_several_segments() -> None:
    octets = bytes(range(256)) * 600
    packets = read_pcapng(file(("TCP", HERE_6, THERE_6, octets, True))).packets
    assert b"".join(packet.payload for packet in packets) == octets
    assert [packet.sequence for packet in packets] == [1, 65_001, 130_001]


@pytest.mark.parametrize(
    ("source", "destination", "octets"),
    [(("host.example", 1), THERE, b"x"), (HERE, THERE_6, b"x"), (HERE, THERE, b"x" * 65_508)],
)
def test_what_no_packet_can_hold_is_refused(
    source: tuple[str, int], destination: tuple[str, int], octets: bytes
) -> None:
    with pytest.raises(ValueError):
        file(("UDP", source, destination, octets, True))


def test_a_file_that_is_cut_off_reads_up_to_there() -> None:
    data = file(("UDP", HERE, THERE, b"one", True), ("UDP", HERE, THERE, b"two", True))
    cut = data[: data.index(b"two") + 1]
    assert [one.payload for one in read_datagrams(cut)] == [b"one"]


def test_packets_have_times_of_microseconds() -> None:
    writer = PcapngWriter()
    data = writer.begin("a", "b") + writer.message(1_800_000_000.123456, "UDP", HERE, THERE, b"x", is_sent=False)
    packet: Packet = read_pcapng(data).packets[0]
    assert packet.at_us == 1_800_000_000_123_456
