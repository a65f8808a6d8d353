"""UDP datagrams out of a capture file, pcap or pcapng (draft-ietf-opsawg-pcap, draft-ietf-opsawg-pcapng). No I/O."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final

_MAGICS: Final = {
    b"\xd4\xc3\xb2\xa1": ("<", 1e-6), b"\xa1\xb2\xc3\xd4": (">", 1e-6),
    b"\x4d\x3c\xb2\xa1": ("<", 1e-9), b"\xa1\xb2\x3c\x4d": (">", 1e-9),
}  # fmt: skip
_SECTION: Final = b"\x0a\x0d\x0d\x0a"
_BYTE_ORDER: Final = 0x1A2B3C4D
_INTERFACE, _SIMPLE, _ENHANCED = 1, 3, 6
_RESOLUTION: Final = 9  # the option if_tsresol
_UDP: Final = 17
_IPV4, _IPV6 = 0x0800, 0x86DD
_VLANS: Final = frozenset((0x8100, 0x88A8, 0x9100))
# IPv6 header extensions that say what comes behind them and how long they are (RFC 8200 §4).
_EXTENSIONS: Final = frozenset((0, 43, 60))

Address = tuple[str, int]


class PcapError(Exception):
    """The text is one line."""


@dataclass(frozen=True, slots=True)
class Datagram:
    """One UDP datagram; `at_s` are seconds since 1970, as far as the file knows."""

    at_s: float
    source: Address
    destination: Address
    payload: bytes


def read_datagrams(data: bytes) -> list[Datagram]:
    """All UDP datagrams of a file, in its order; fragments, and what is cut short, are left out. PcapError."""
    head = data[:4]
    if head in _MAGICS:
        frames = _classic(data, *_MAGICS[head])
    elif head == _SECTION:
        frames = _blocks(data)
    else:
        raise PcapError("neither pcap nor pcapng")
    found = []
    for at_s, link, frame in frames:
        strip = _LINKS.get(link)
        if strip is None:
            raise PcapError(f"link type {link} is not supported")
        datagram = _datagram(at_s, strip(frame))
        if datagram is not None:
            found.append(datagram)
    return found


Frame = tuple[float, int, bytes]


def _classic(data: bytes, order: str, unit_s: float) -> Iterator[Frame]:
    if len(data) < 24:
        raise PcapError("cut off in its header")
    link = struct.unpack_from(f"{order}I", data, 20)[0] & 0xFFFF
    record = struct.Struct(f"{order}IIII")
    at = 24
    while at + record.size <= len(data):
        seconds, fraction, captured, _ = record.unpack_from(data, at)
        at += record.size
        if at + captured > len(data):
            return  # the last one, cut off
        yield seconds + fraction * unit_s, link, data[at : at + captured]
        at += captured


def _blocks(data: bytes) -> Iterator[Frame]:
    order = "<"
    interfaces: list[tuple[int, int]] = []  # link type, ticks a second
    at = 0
    while at + 12 <= len(data):
        if data[at : at + 4] == _SECTION:
            order = "<" if struct.unpack_from("<I", data, at + 8)[0] == _BYTE_ORDER else ">"
            interfaces = []
        kind, length = struct.unpack_from(f"{order}II", data, at)
        if length < 12 or length % 4 or at + length > len(data):
            return
        body = data[at + 8 : at + length - 4]
        at += length
        if kind == _INTERFACE and len(body) >= 8:
            interfaces.append((struct.unpack_from(f"{order}H", body)[0], _ticks(body[8:], order)))
        elif kind == _ENHANCED and len(body) >= 20:
            number, high, low, captured = struct.unpack_from(f"{order}IIII", body)
            if number < len(interfaces):
                link, ticks = interfaces[number]
                yield ((high << 32) | low) / ticks, link, body[20 : 20 + captured]
        elif kind == _SIMPLE and interfaces:
            yield 0.0, interfaces[0][0], body[4:]


def _ticks(options: bytes, order: str) -> int:
    at = 0
    while at + 4 <= len(options):
        code, length = struct.unpack_from(f"{order}HH", options, at)
        if code == 0:
            break
        if code == _RESOLUTION and length >= 1 and at + 4 < len(options):
            power = options[at + 4]
            return 1 << (power & 0x7F) if power & 0x80 else int(10**power)
        at += 4 + (length + 3) // 4 * 4
    return 1_000_000


def _ethernet(frame: bytes) -> bytes:
    at = 12
    while int.from_bytes(frame[at : at + 2], "big") in _VLANS:
        at += 4
    return _of_type(frame, at)


def _of_type(frame: bytes, at: int) -> bytes:
    """What stands behind the type of a protocol at `at`, when that is IP."""
    return frame[at + 2 :] if int.from_bytes(frame[at : at + 2], "big") in (_IPV4, _IPV6) else b""


# By LINKTYPE: a frame -> its IP packet, b"" when it holds none.
_LINKS: Final[dict[int, Callable[[bytes], bytes]]] = {
    0: lambda frame: frame[4:],  # NULL: an address family of the host
    1: _ethernet,
    12: lambda frame: frame,  # RAW, as some write it
    101: lambda frame: frame,
    108: lambda frame: frame[4:],  # LOOP
    113: lambda frame: _of_type(frame, 14),  # LINUX_SLL
    228: lambda frame: frame,
    229: lambda frame: frame,
    276: lambda frame: frame[20:] if int.from_bytes(frame[:2], "big") in (_IPV4, _IPV6) else b"",  # LINUX_SLL2
}


def _datagram(at_s: float, packet: bytes) -> Datagram | None:
    version = packet[0] >> 4 if packet else 0
    if version == 4 and len(packet) >= 20:
        at = (packet[0] & 0x0F) * 4
        fragment = int.from_bytes(packet[6:8], "big") & 0x3FFF  # more of them, or a place other than the first
        protocol, hosts = packet[9], (packet[12:16], packet[16:20])
        if fragment:
            return None
    elif version == 6 and len(packet) >= 40:
        at, protocol, hosts = 40, packet[6], (packet[8:24], packet[24:40])
        while protocol in _EXTENSIONS and at + 8 <= len(packet):
            protocol, at = packet[at], at + (packet[at + 1] + 1) * 8
    else:
        return None
    if protocol != _UDP or at + 8 > len(packet):
        return None
    source, destination, length = struct.unpack_from(">HHH", packet, at)
    if length < 8 or at + length > len(packet):
        return None
    from_host, to_host = (str(ip_address(host)) for host in hosts)
    return Datagram(at_s, (from_host, source), (to_host, destination), packet[at + 8 : at + length])
