"""What workers tell each other, as datagrams between them: a message, or what became of one, and its flow."""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

from sipstack.events import Flow
from sipstack.limits import MAX_HEAD_BYTES, MAX_STREAM_BODY_BYTES

# Kinds
CAME: Final = 0  # a message has come here that is yours
SEND: Final = 1  # send this on the connection that you have
END: Final = 2  # end that connection
FAILED: Final = 3  # this of yours could not be sent
LOST: Final = 4  # a connection has gone by which I have sent requests
BEGUN: Final = 5  # I have just begun: of the connections that I have had none is left

# The greatest datagram, or a message of a stream that is as long as one may be; and what stands in front of it.
_MOST_BEFORE: Final = 8 * 1024
MAX_PARCEL_BYTES: Final = MAX_HEAD_BYTES + MAX_STREAM_BODY_BYTES + _MOST_BEFORE

_HEAD: Final = struct.Struct("!BBBHHHBH")  # kind, from, transport, local, port, reply_port, octets of two texts
_TRANSPORTS: Final = ("UDP", "TCP", "TLS")
_PLACES: Final = {name: place for place, name in enumerate(_TRANSPORTS)}
_ENCODING: Final = "utf-8"
_ERRORS: Final = "surrogateescape"


class Parcel(NamedTuple):
    """`sender` is a worker; `data` is a message, or as much of it as is known."""

    kind: int
    sender: int
    flow: Flow
    data: bytes


def packed(kind: int, sender: int, flow: Flow, data: bytes = b"") -> bytes:
    """A parcel as one datagram; b"" when it is longer than any may be."""
    host = flow.host.encode(_ENCODING, _ERRORS)
    identities = "\n".join(flow.identities).encode(_ENCODING, _ERRORS)
    length = _HEAD.size + len(host) + len(identities) + len(data)
    if length > MAX_PARCEL_BYTES or len(host) > 255:
        return b""
    place = _PLACES[flow.transport]
    head = _HEAD.pack(kind, sender, place, flow.local, flow.port, flow.reply_port, len(host), len(identities))
    return head + host + identities + data


def unpacked(octets: bytes) -> Parcel:
    """What `packed` made: between workers of one node there is nothing else."""
    kind, sender, place, local, port, reply_port, host_bytes, identity_bytes = _HEAD.unpack_from(octets)
    names = _HEAD.size + host_bytes
    data = names + identity_bytes
    host = octets[_HEAD.size : names].decode(_ENCODING, _ERRORS)
    identities = octets[names:data].decode(_ENCODING, _ERRORS)
    flow = Flow(_TRANSPORTS[place], host, port, local, tuple(identities.split("\n")) if identities else (), reply_port)
    return Parcel(kind, sender, flow, octets[data:])
