"""Capture files: both formats, both byte orders, the links that captures are made on, and files that are none."""

from __future__ import annotations

import struct
from ipaddress import ip_address
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipstack.pcap import Datagram, PcapError, read_datagrams

SIPPS = Path("/usr/share/sip-tester/g711a.pcap")
ONE = Datagram(1000.25, ("192.0.2.1", 5060), ("192.0.2.2", 7078), b"hello")
SIX = Datagram(1000.25, ("2001:db8::1", 5060), ("2001:db8::2", 7078), b"hello")


def ip(one: Datagram, *, fragment: int = 0, extended: bool = False) -> bytes:
    udp = struct.pack(">HHHH", one.source[1], one.destination[1], 8 + len(one.payload), 0) + one.payload
    source, destination = (ip_address(host).packed for host in (one.source[0], one.destination[0]))
    if len(source) == 4:
        return struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(udp), 0, fragment, 64, 17, 0) + source + destination + udp
    options = bytes((17, 0, 1, 4, 0, 0, 0, 0)) if extended else b""
    return (
        struct.pack(">IHBB", 6 << 28, len(options + udp), 0 if extended else 17, 64)
        + source
        + destination
        + options
        + udp
    )


def classic(link: int, *frames: bytes, order: str = "<", unit: float = 1e-6) -> bytes:
    magic = 0xA1B2C3D4 if unit == 1e-6 else 0xA1B23C4D
    head = struct.pack(f"{order}IHHIIII", magic, 2, 4, 0, 0, 65_535, link)
    rows = [struct.pack(f"{order}IIII", 1000, round(0.25 / unit), len(one), len(one)) + one for one in frames]
    return head + b"".join(rows)


def block(kind: int, body: bytes, order: str = "<") -> bytes:
    body += b"\0" * (-len(body) % 4)
    return struct.pack(f"{order}II", kind, 12 + len(body)) + body + struct.pack(f"{order}I", 12 + len(body))


def ng(link: int, *frames: bytes, order: str = "<", options: bytes = b"", ticks: int = 1_000_250_000) -> bytes:
    head = block(0x0A0D0D0A, struct.pack(f"{order}IHHq", 0x1A2B3C4D, 1, 0, -1), order)
    face = block(1, struct.pack(f"{order}HHI", link, 0, 0) + options, order)
    rows = [
        block(6, struct.pack(f"{order}IIIII", 0, ticks >> 32, ticks & 0xFFFFFFFF, len(one), len(one)) + one, order)
        for one in frames
    ]
    return head + face + block(5, b"\0" * 8, order) + b"".join(rows)


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


@given(
    st.binary(max_size=200), st.sampled_from([classic(1, ip(ONE)), ng(1, ip(ONE)), classic(113), ng(276)]), st.data()
)
def test_whatever_the_bytes_only_our_own_error_comes(noise: bytes, data: bytes, draw: st.DataObject) -> None:
    at = draw.draw(st.integers(4, len(data)))
    try:
        read_datagrams(data[:at] + noise + data[at:])
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
