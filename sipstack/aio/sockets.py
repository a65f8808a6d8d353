"""What every TCP socket of ours is told: where it is bound, how soon it notices that nobody is there, its DSCP."""

from __future__ import annotations

import resource
import socket
from contextlib import suppress
from typing import Final

# A listening socket may have so many connections that nobody has accepted yet; the kernel caps it (somaxconn).
BACKLOG: Final = 1024

# A far end that has gone without a word is found 20 s after something was sent to it, well before Timer B, so that the
# next call goes on a new connection. While nothing is sent it is asked after 15, 17 and 19 s of silence, and is gone at
# 21 s. Once TCP_USER_TIMEOUT has passed, one question without an answer is enough for the kernel, however often it has
# asked: there must be room for several before that, or one lost packet would end a connection that is well.
KEEPALIVE_IDLE_S: Final = 15
KEEPALIVE_GAP_S: Final = 2
UNACKNOWLEDGED_MS: Final = 20_000

# Descriptors that are left for databases, the journal, UDP and the control socket.
FILES_KEPT: Final = 256

MAX_DSCP: Final = 63


def family_of(host: str) -> socket.AddressFamily:
    """The address family of an IP address in text."""
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def bind_stream(host: str, port: int, dscp: int = 0) -> socket.socket:
    """A bound, listening, non-blocking TCP socket. Raises OSError when the address cannot be had."""
    opened = _stream_socket(host, dscp)
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections of the last run may linger
        opened.bind((host, port))
        opened.listen(BACKLOG)
    except BaseException:
        opened.close()
        raise
    return opened


def outgoing_socket(from_host: str, to_host: str, dscp: int = 0) -> socket.socket:
    """A non-blocking TCP socket that will connect from the address `from_host`. Raises OSError."""
    opened = _stream_socket(to_host, dscp)
    try:
        tune_stream(opened)
        if family_of(from_host) == opened.family:
            opened.bind((from_host, 0))
    except BaseException:
        opened.close()
        raise
    return opened


def tune_stream(opened: socket.socket) -> None:
    """Makes a connection notice a dead far end, and send what it is given at once."""
    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEPALIVE_IDLE_S)
    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, KEEPALIVE_GAP_S)
    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNACKNOWLEDGED_MS)


def set_dscp(opened: socket.socket, dscp: int) -> None:
    """Marks what a socket sends, UDP or TCP (RFC 2474: six bits, above the two of ECN). Raises OSError."""
    if opened.family == socket.AF_INET6:
        opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, dscp << 2)
    else:
        opened.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, dscp << 2)


def allow_connections(wanted: int) -> int:
    """Raises the limit of open files as far as it may be for `wanted` connections; how many there is room for."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = wanted + FILES_KEPT
    if soft != resource.RLIM_INFINITY and soft < needed:
        soft = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        with suppress(ValueError, OSError):  # not allowed: what there is must do
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if soft == resource.RLIM_INFINITY:
        return wanted
    return max(min(wanted, soft - FILES_KEPT), 1)


def _stream_socket(host: str, dscp: int) -> socket.socket:
    opened = socket.socket(family_of(host), socket.SOCK_STREAM)
    try:
        opened.setblocking(False)
        if opened.family == socket.AF_INET6:
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)  # as for UDP: IPv4 has sockets of its own
        if dscp:
            set_dscp(opened, dscp)
    except BaseException:
        opened.close()
        raise
    return opened
