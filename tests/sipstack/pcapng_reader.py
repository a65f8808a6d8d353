"""Reads pcapng files with raw IP packets as the formats say, and asserts all that they demand: lengths, checksums."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from ipaddress import ip_address


@dataclass
class Packet:
    """One UDP datagram or TCP segment."""

    at_us: int
    direction: str
    protocol: int
    source: tuple[str, int]
    destination: tuple[str, int]
    payload: bytes
    checksum: int
    sequence: int = 0
    acknowledged: int = 0


@dataclass
class Capture:
    """A file with one section and one interface."""

    link: int = -1
    application: str = ""
    comment: str = ""
    packets: list[Packet] = field(default_factory=list)
    received: int = -1
    dropped: int = -1
    end_comment: str = ""


def options(data: bytes) -> dict[int, bytes]:
    found = {}
    at = 0
    while True:
        code, length = struct.unpack_from("<HH", data, at)
        at += 4
        if code == 0:
            assert (length, at) == (0, len(data))
            return found
        found[code] = data[at : at + length]
        at += -(-length // 4) * 4


def read_pcapng(data: bytes) -> Capture:
    capture = Capture()
    at = 0
    while at < len(data):
        kind, length = struct.unpack_from("<II", data, at)
        assert length % 4 == 0 and struct.unpack_from("<I", data, at + length - 4) == (length,)
        body = data[at + 8 : at + length - 4]
        at += length
        if kind == 0x0A0D0D0A:
            assert struct.unpack_from("<IHHq", body) == (0x1A2B3C4D, 1, 0, -1)
            known = options(body[16:])
            capture.application, capture.comment = known[4].decode(), known.get(1, b"").decode()
        elif kind == 1:
            capture.link, reserved, limit = struct.unpack_from("<HHI", body)
            assert (reserved, limit, options(body[8:])[9]) == (0, 0, b"\6")
        elif kind == 6:
            number, high, low, captured, original = struct.unpack_from("<IIIII", body)
            assert number == 0 and captured == original
            flags = options(body[20 + -(-captured // 4) * 4 :])[2]
            packet = read_packet(body[20 : 20 + captured])
            packet.at_us, packet.direction = high << 32 | low, {1: "in", 2: "out"}[struct.unpack("<I", flags)[0]]
            capture.packets.append(packet)
        elif kind == 5:
            known = options(body[12:])
            capture.end_comment = known[1].decode()
            capture.received, capture.dropped = (struct.unpack("<Q", known[code])[0] for code in (4, 5))
        else:
            raise AssertionError(f"block {kind}")
    return capture


def ones(data: bytes) -> int:
    """The one's complement sum of RFC 1071."""
    total = 0
    for high, low in zip(*[iter(data + b"\0" * (len(data) % 2))] * 2, strict=True):
        total += high << 8 | low
        total = (total & 0xFFFF) + (total >> 16)
    return total


def read_packet(data: bytes) -> Packet:
    if data[0] >> 4 == 4:
        assert data[0] == 0x45 and ones(data[:20]) == 0xFFFF
        assert int.from_bytes(data[2:4], "big") == len(data)
        protocol, hosts, payload = data[9], (data[12:16], data[16:20]), data[20:]
    else:
        assert data[0] >> 4 == 6 and int.from_bytes(data[4:6], "big") == len(data) - 40
        protocol, hosts, payload = data[6], (data[8:24], data[24:40]), data[40:]
    assert ones(b"".join(hosts) + struct.pack(">II", len(payload), protocol) + payload) == 0xFFFF
    ports = struct.unpack_from(">HH", payload)
    ends = [(str(ip_address(host)), port) for host, port in zip(hosts, ports, strict=True)]
    if protocol == 17:
        assert int.from_bytes(payload[4:6], "big") == len(payload)
        return Packet(0, "", 17, ends[0], ends[1], payload[8:], int.from_bytes(payload[6:8], "big"))
    assert protocol == 6 and payload[12] == 0x50
    sequence, acknowledged = struct.unpack_from(">II", payload, 4)
    checksum = int.from_bytes(payload[16:18], "big")
    return Packet(0, "", 6, ends[0], ends[1], payload[20:], checksum, sequence, acknowledged)
