"""Datagrams that came back: Linux keeps what ICMP says of them in the error queue of a socket (ip(7), IP_RECVERR).

RFC 3261 §18.4: that a network, host, protocol or port cannot be reached, or that the datagram made no sense to somebody
on the way, is told to the transport user; "source quench" and "TTL exceeded" are ignored. So is "too big": the
kernel sends what follows in fragments.

ICMP is not signed. The kernel looks whether the ports are those of the socket, which anybody knows; what the datagram
was that came back, its quotation alone says. How much is quoted is up to who quotes: eight octets behind the header of
IP at the least, which is nothing of SIP (RFC 792), and as a rule 500 octets or more (RFC 1812 §4.3.2.3, RFC 4443 §3.1).
"""

from __future__ import annotations

import socket
import struct
from typing import Final

# Python 3.11 has no names for these (linux/in.h, linux/in6.h, linux/errqueue.h).
_IP_RECVERR: Final = 11
_IPV6_RECVERR: Final = 25
_EXTENDED_ERROR: Final = struct.Struct("=IBBBBII")  # errno, origin, type, code, padding, info, data
_FROM_ICMP: Final = 2
_FROM_ICMP6: Final = 3

_UNREACHABLE: Final = 3  # RFC 792
_TOO_BIG: Final = 4  # as a code of the one above
_PARAMETER_PROBLEM: Final = 12
_UNREACHABLE6: Final = 1  # RFC 4443
_PARAMETER_PROBLEM6: Final = 4

_ANCILLARY_BYTES: Final = 512
_BEGINNING_BYTES: Final = 512  # of the datagram: its first line and its Via, as far as ICMP has brought them back


def report_unreachable(bound: socket.socket) -> None:
    """Has the kernel keep for `unreachable` what comes back to a UDP socket."""
    if bound.family == socket.AF_INET6:
        bound.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVERR, 1)
    else:
        bound.setsockopt(socket.IPPROTO_IP, _IP_RECVERR, 1)


def unreachable(bound: socket.socket) -> list[tuple[str, int, bytes]]:
    """Empties the error queue: whither datagrams did not get, with what is known of them, b"" at least.

    All of it: a socket whose queue is not empty is always ready, and the loop would turn for nothing.
    """
    found: dict[tuple[str, int, bytes], None] = {}
    while True:
        try:
            data, ancillary, _, destination = bound.recvmsg(_BEGINNING_BYTES, _ANCILLARY_BYTES, socket.MSG_ERRQUEUE)
        except OSError:
            return list(found)
        if any(_says_unreachable(error) for _, _, error in ancillary if len(error) >= _EXTENDED_ERROR.size):
            found[destination[0], destination[1], data] = None


def _says_unreachable(data: bytes) -> bool:
    fields: tuple[int, ...] = _EXTENDED_ERROR.unpack_from(data)
    origin, kind, code = fields[1:4]
    if origin == _FROM_ICMP:
        return kind == _PARAMETER_PROBLEM or (kind == _UNREACHABLE and code != _TOO_BIG)
    return origin == _FROM_ICMP6 and kind in (_UNREACHABLE6, _PARAMETER_PROBLEM6)
