"""SIP messages as a capture file: pcapng (draft-ietf-opsawg-pcapng), one interface of raw IP packets. No I/O.

There are no packets where messages are taken from: IP, UDP and TCP headers are made up here, with right lengths and
checksums (RFC 791, 8200, 768, 9293). What went over TCP or TLS stands as TCP segments with running sequence numbers, in
clear, without handshake or end, since nobody has seen one.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from ipaddress import ip_address
from typing import Final, final

LINKTYPE_RAW: Final = 101

_SECTION, _INTERFACE, _STATISTICS, _ENHANCED = 0x0A0D0D0A, 1, 5, 6
_BYTE_ORDER: Final = 0x1A2B3C4D
_UNKNOWN_LENGTH: Final = -1
_NO_LIMIT: Final = 0

# Options: of any block, of the section, of the interface, of a packet, of the statistics.
_COMMENT: Final = 1
_APPLICATION: Final = 4
_NAME, _TICKS = 2, 9
_FLAGS: Final = 2
_ENDED_AT, _RECEIVED, _DROPPED = 3, 4, 5
_INBOUND, _OUTBOUND = 1, 2

_MICROSECONDS: Final = 6  # ticks of 10**-6 s
_A_SECOND: Final = 1_000_000

_TCP, _UDP = 6, 17
_HOPS: Final = 64
_DO_NOT_FRAGMENT: Final = 0x4000
_PUSH_ACK: Final = 0x18
_WINDOW: Final = 65_535
_FIRST_SEQUENCE: Final = 1
_MAX_SEGMENT: Final = 65_000  # octets of a message in one IP packet
_MAX_DATAGRAM: Final = 65_507

Address = tuple[str, int]


@final
class PcapngWriter:
    """One section. `begin`, then messages, then `end`: what these return is written one behind the other."""

    __slots__ = ("_identification", "_sequences")

    def __init__(self) -> None:
        self._sequences: dict[tuple[Address, Address], int] = {}  # of the next octet from the first to the second
        self._identification = 0

    def begin(self, application: str, interface: str, comment: str = "") -> bytes:
        """Header of the section, and its interface."""
        section = struct.pack("<IHHq", _BYTE_ORDER, 1, 0, _UNKNOWN_LENGTH)
        section += _options((_APPLICATION, application.encode()), (_COMMENT, comment.encode()))
        link = struct.pack("<HHI", LINKTYPE_RAW, 0, _NO_LIMIT)
        link += _options((_NAME, interface.encode()), (_TICKS, bytes((_MICROSECONDS,))))
        return _block(_SECTION, section) + _block(_INTERFACE, link)

    def message(
        self, at_s: float, transport: str, source: Address, destination: Address, data: bytes, *, is_sent: bool
    ) -> bytes:
        """A message of `transport` ("UDP", "TCP" or "TLS"), `at_s` seconds since 1970, as one packet, or as segments.

        `is_sent`: it left the node; else it came. Raises ValueError for a host that is no IP address, for two of
        different families, and for a datagram that is longer than UDP can carry.
        """
        packets = (
            [self._datagram(source, destination, data)]
            if transport == "UDP"
            else list(self._segments(source, destination, data))
        )
        ticks = round(at_s * _A_SECOND)
        flags = _options((_FLAGS, struct.pack("<I", _OUTBOUND if is_sent else _INBOUND)))
        blocks = []
        for packet in packets:
            head = struct.pack("<IIIII", 0, ticks >> 32, ticks & 0xFFFFFFFF, len(packet), len(packet))
            blocks.append(_block(_ENHANCED, head + _padded(packet) + flags))
        return b"".join(blocks)

    def end(self, at_s: float, received: int, dropped: int, comment: str) -> bytes:
        """How many messages there were, and how many of them are not in the file; `comment` says why."""
        ticks = round(at_s * _A_SECOND)
        body = struct.pack("<III", 0, ticks >> 32, ticks & 0xFFFFFFFF)
        body += _options(
            (_COMMENT, comment.encode()),
            (_ENDED_AT, struct.pack("<II", ticks >> 32, ticks & 0xFFFFFFFF)),
            (_RECEIVED, struct.pack("<Q", received)),
            (_DROPPED, struct.pack("<Q", dropped)),
        )
        return _block(_STATISTICS, body)

    def _datagram(self, source: Address, destination: Address, data: bytes) -> bytes:
        if len(data) > _MAX_DATAGRAM:
            raise ValueError("longer than a datagram can be")
        head = struct.pack(">HHHH", source[1], destination[1], 8 + len(data), 0)
        return self._packet(_UDP, source[0], destination[0], head + data, 6)

    def _segments(self, source: Address, destination: Address, data: bytes) -> Iterator[bytes]:
        for start in range(0, len(data), _MAX_SEGMENT):
            part = data[start : start + _MAX_SEGMENT]
            sequence = self._sequences.get((source, destination), _FIRST_SEQUENCE)
            heard = self._sequences.get((destination, source), _FIRST_SEQUENCE)
            head = struct.pack(
                ">HHIIBBHHH", source[1], destination[1], sequence, heard, 5 << 4, _PUSH_ACK, _WINDOW, 0, 0
            )
            yield self._packet(_TCP, source[0], destination[0], head + part, 16)
            self._sequences[source, destination] = sequence + len(part) & 0xFFFFFFFF

    def _packet(self, protocol: int, source: str, destination: str, payload: bytes, checksum_at: int) -> bytes:
        """An IP packet; the checksum of `payload` goes to its octets `checksum_at`."""
        from_host, to_host = ip_address(source), ip_address(destination)
        if from_host.version != to_host.version:
            raise ValueError("addresses of two families")
        hosts = from_host.packed + to_host.packed
        pseudo = hosts + struct.pack(">II", len(payload), protocol)
        checksum = _checksum(pseudo + payload) or (0xFFFF if protocol == _UDP else 0)  # 0: a datagram without one
        payload = payload[:checksum_at] + checksum.to_bytes(2, "big") + payload[checksum_at + 2 :]
        if from_host.version == 6:
            return struct.pack(">IHBB", 6 << 28, len(payload), protocol, _HOPS) + hosts + payload
        self._identification = self._identification + 1 & 0xFFFF
        head = struct.pack(
            ">BBHHHBBH",
            0x45, 0, 20 + len(payload), self._identification, _DO_NOT_FRAGMENT, _HOPS, protocol, 0,
        )  # fmt: skip
        return head[:10] + _checksum(head + hosts).to_bytes(2, "big") + hosts + payload


def _checksum(data: bytes) -> int:
    """The one's complement of the one's complement sum of 16-bit words (RFC 1071)."""
    if len(data) % 2:
        data += b"\0"
    total: int = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def _padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % 4)


def _options(*options: tuple[int, bytes]) -> bytes:
    """Options with a value, and their end."""
    written = [struct.pack("<HH", code, len(value)) + _padded(value) for code, value in options if value]
    return b"".join(written) + b"\0\0\0\0"


def _block(kind: int, body: bytes) -> bytes:
    length = struct.pack("<I", 12 + len(body))
    return struct.pack("<I", kind) + length + body + length
