"""Capture files and what stands in them, made by hand."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from ipaddress import ip_address
from itertools import pairwise

from sipstack.pcap import Address, CapturedMessage, Datagram


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


def tcp(source: Address, destination: Address, sequence: int, payload: bytes = b"", flags: int = 0x10) -> bytes:
    """A segment in a packet of IPv4."""
    head = struct.pack(">HHIIBBHHH", source[1], destination[1], sequence & 0xFFFFFFFF, 0, 0x50, flags, 65_535, 0, 0)
    hosts = ip_address(source[0]).packed + ip_address(destination[0]).packed
    return struct.pack(">BBHHHBBH", 0x45, 0, 40 + len(payload), 0, 0, 64, 6, 0) + hosts + head + payload


def fragments(packet: bytes, *cuts: int, number: int = 7) -> list[bytes]:
    """A packet of IPv4 in pieces that begin at these octets of what it carries."""
    head, payload = packet[:20], packet[20:]
    edges = (0, *cuts, len(payload))
    made = []
    for start, end in pairwise(edges):
        more = 0x2000 if end < len(payload) else 0
        placed = struct.pack(">HHH", 20 + end - start, number, start // 8 | more)
        made.append(head[:2] + placed + head[8:] + payload[start:end])
    return made


def pcap_of(messages: Iterable[CapturedMessage]) -> bytes:
    """A file of datagrams, each at its time."""
    rows = [struct.pack("<IHHIIII", 0xA1B2C3D4, 2, 4, 0, 0, 65_535, 101)]
    for one in messages:
        frame = ip(Datagram(one.at_s, one.source, one.destination, one.data))
        rows.append(struct.pack("<IIII", int(one.at_s), round(one.at_s % 1 * 1e6), len(frame), len(frame)) + frame)
    return b"".join(rows)
