"""UDP datagrams and TCP segments out of a file."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from sipstack.pcap.files import Comments, PcapError, read_frames
from sipstack.pcap.ip import Carried, Packets
from sipstack.pcap.links import LINKS

_TCP, _UDP = 6, 17

Address = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Datagram:
    """One UDP datagram; `at_s` are seconds since 1970, as far as the file knows."""

    at_s: float
    source: Address
    destination: Address
    payload: bytes


@dataclass(frozen=True, slots=True)
class Segment:
    """One TCP segment (RFC 9293 §3.1). `sequence` is the number of the first octet of `payload`, or of a SYN."""

    at_s: float
    source: Address
    destination: Address
    sequence: int
    flags: int
    payload: bytes


SYN, RST = 2, 4  # in `flags`


def read_datagrams(data: bytes) -> list[Datagram]:
    """All UDP datagrams of a file, in its order, fragments put together; what is cut short is left out. PcapError."""
    return [one for one in read_packets(data, Packets()) if isinstance(one, Datagram)]


def read_packets(data: bytes, packets: Packets, comments: Comments | None = None) -> Iterator[Datagram | Segment]:
    """The same with TCP. `packets` knows afterwards what was lost of fragments. PcapError."""
    for at_s, link, frame in read_frames(data, comments):
        strip = LINKS.get(link)
        if strip is None:
            raise PcapError(f"link type {link} is not supported")
        carried = packets.read(strip(frame))
        if carried is None:
            continue
        read = _datagram(at_s, carried) if carried.protocol == _UDP else _segment(at_s, carried)
        if read is not None:
            yield read
    packets.end()


def _datagram(at_s: float, carried: Carried) -> Datagram | None:
    payload = carried.payload
    if len(payload) < 8:
        return None
    source, destination, length = struct.unpack_from(">HHH", payload)
    if length < 8 or length > len(payload):
        return None
    return Datagram(at_s, (carried.source, source), (carried.destination, destination), payload[8:length])


def _segment(at_s: float, carried: Carried) -> Segment | None:
    payload = carried.payload
    if carried.protocol != _TCP or len(payload) < 20:
        return None
    source, destination, sequence = struct.unpack_from(">HHI", payload)
    start = (payload[12] >> 4) * 4
    if start < 20 or start > len(payload):
        return None
    return Segment(
        at_s, (carried.source, source), (carried.destination, destination), sequence, payload[13], payload[start:]
    )
