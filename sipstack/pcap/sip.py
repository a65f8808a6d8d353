"""The SIP messages of a capture, with where they come from and go to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sipstack.pcap.files import Comments
from sipstack.pcap.ip import Packets
from sipstack.pcap.packets import Address, Datagram, read_packets
from sipstack.pcap.streams import START_LINE, Streams

_MAX_START: Final = 4096


@dataclass(frozen=True, slots=True)
class CapturedMessage:
    """The octets of one message; `at_s` is when it was whole, seconds since 1970. `transport` is UDP or TCP."""

    at_s: float
    transport: str
    source: Address
    destination: Address
    data: bytes


@dataclass(frozen=True, slots=True)
class SipCapture:
    """`gaps`: pieces of connections that are missing; `fragments`: packets that are not whole. `comments`: what the
    file says of itself."""

    messages: list[CapturedMessage]
    gaps: int
    fragments: int
    comments: Comments


def read_sip(data: bytes) -> SipCapture:
    """All messages of a file, in the order in which they were whole; what is no SIP is left out. PcapError."""
    packets, streams = Packets(), Streams()
    comments: Comments = []
    found: list[CapturedMessage] = []
    last_s = 0.0
    for one in read_packets(data, packets, comments):
        last_s = one.at_s
        if isinstance(one, Datagram):
            payload = one.payload.lstrip(b"\r\n")  # line ends that keep a way open (RFC 3261 §7.5)
            if START_LINE.match(payload, 0, _MAX_START):
                found.append(CapturedMessage(one.at_s, "UDP", one.source, one.destination, payload))
            continue
        for message in streams.take(one):
            found.append(CapturedMessage(one.at_s, "TCP", one.source, one.destination, message))
    for (source, destination), messages in streams.end():
        found += [CapturedMessage(last_s, "TCP", source, destination, message) for message in messages]
    return SipCapture(found, streams.gaps, packets.lost, comments)
