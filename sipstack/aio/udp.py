"""SIP over UDP: one datagram, one message (RFC 3261 §18)."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import struct
import time
from collections import deque
from collections.abc import Callable
from functools import lru_cache
from ipaddress import ip_address
from typing import Final, Protocol, final

from sipstack.aio.endpoint import Receiver, Transport
from sipstack.aio.icmp import report_unreachable, unreachable
from sipstack.aio.sockets import set_dscp
from sipstack.events import Flow

# Room for a burst of 4,000 INVITEs of 1 KiB while the loop is busy elsewhere; the kernel caps it as it likes.
RECEIVE_BUFFER_BYTES: Final = 4 * 1024 * 1024

# What the kernel says about one datagram or about itself, not about the way: like a datagram lost, and no reason to
# fail every other request on that way.
LOST_ERRNOS: Final = frozenset((errno.EMSGSIZE, errno.ENOBUFS, errno.ENOMEM))

# getsockopt(SO_MEMINFO) of Linux: nine counts of 32 bits, the last one (SK_MEMINFO_DROPS) is what found no room. Python
# has no name for it.
_SO_MEMINFO: Final = 55
_MEMINFO: Final = struct.Struct("=9I")

# setsockopt(SO_TIMESTAMPNS) of Linux, and the type of what comes of it: when the kernel has taken a datagram, by the
# wall clock, as a timespec. Python has no name for it.
_SO_TIMESTAMPNS: Final = 35
_TIMESPEC: Final = struct.Struct("@ll")
_LONGEST_WAIT_S: Final = 60.0  # what has waited longer has seen the clock being set

MAX_DATAGRAM_BYTES: Final = 65_536
BURST: Final = 32  # datagrams read before the loop looks at anything else
MAX_UNSENT: Final = 4096  # datagrams for which the socket has no room: some 4 MiB, and what a second sends
NO_ADDRESS: Final = -1  # in the place of an errno, which is none

FlowOf = Callable[[str, int], Flow]
"""The flow of what comes from a host and a port."""


@lru_cache(maxsize=4096)
def is_address(host: str) -> bool:
    """False for a name: `sendto` and `connect` would look it up, and the whole loop would wait for the answer."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


class Datagrams(Protocol):
    """What a transport does with its socket, which does not block and is opened and closed elsewhere."""

    def receive(self) -> tuple[bytes, Flow] | None:
        """The datagram that waits and where it is from; None when none does. Raises OSError."""

    def send(self, data: bytes, host: str, port: int, /) -> int:
        """0 when it has left, else the errno; NO_ADDRESS, without a try, for a host that this cannot tell to be one."""


MakeDatagrams = Callable[[int, int, FlowOf], Datagrams]
"""Of a descriptor, its family, and what makes flows."""


def _compiled() -> MakeDatagrams | None:
    try:
        from sipstack.aio.datagrams import Datagrams as InC
    except ImportError:
        return None
    return InC


IN_C: Final = _compiled()


@final
class PlainDatagrams:
    """By Python's socket: where nothing is compiled, and for what the compiled one leaves alone."""

    __slots__ = ("_bound", "_flow_of")

    def __init__(self, bound: socket.socket, flow_of: FlowOf) -> None:
        self._bound = bound
        self._flow_of = flow_of

    def receive(self) -> tuple[bytes, Flow] | None:
        """The datagram that waits and where it is from; None when none does. Raises OSError."""
        try:
            data, source = self._bound.recvfrom(MAX_DATAGRAM_BYTES)
        except BlockingIOError:
            return None
        return data, self._flow_of(source[0], source[1])

    def send(self, data: bytes, host: str, port: int, /) -> int:
        """0 when it has left, else the errno; NO_ADDRESS for a name."""
        if not is_address(host):
            return NO_ADDRESS
        try:
            self._bound.sendto(data, (host, port))
        except OSError as error:
            return error.errno or errno.EINVAL
        return 0


@final
class UdpTransport:
    """One UDP socket of an endpoint: the loop says when it can be read or written, and nothing lies in between."""

    __slots__ = ("_bound", "_endpoint", "_index", "_loop", "_plain", "_receive", "_send", "_unsent", "local")

    def __init__(
        self, endpoint: Receiver, bound: socket.socket, index: int = 0, make: MakeDatagrams | None = IN_C
    ) -> None:
        """From now on what `bound` receives arrives, and it is the transport's own. `index`: `local` of its flows.

        `make`: what sends and receives, PlainDatagrams when None.
        """

        def flow_of(host: str, port: int) -> Flow:
            return Flow("UDP", host, port, index)

        report_unreachable(bound)
        self._endpoint = endpoint
        self._bound: socket.socket | None = bound
        self._index = index
        self._plain = PlainDatagrams(bound, flow_of)
        way: Datagrams = self._plain if make is None else make(bound.fileno(), bound.family, flow_of)
        self._receive: Final = way.receive
        self._send: Final = way.send
        self._unsent: deque[tuple[bytes, Flow]] = deque()
        self.local: Final[tuple[str, int]] = bound.getsockname()[:2]
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(bound, self._read)

    def _read(self) -> None:
        """Straight to the core, all that waits: no task, no queue, no turn of the loop."""
        receive = self._receive
        for _ in range(BURST):
            if self._bound is None:
                return  # closed by what was received
            try:
                taken = receive()
            except OSError:
                self._tell_unreachable()
                return
            if taken is None:
                return  # nothing more is there
            data, flow = taken
            self._endpoint.received(data, flow)

    def send(self, data: bytes, flow: Flow) -> bool:
        """Sends one datagram; False when the kernel refused its way, or the flow's host is no IP address."""
        if self._bound is None:
            return False
        if self._unsent:
            if not is_address(flow.host):
                return False
            self._keep(data, flow)
            return True
        failed = self._try(data, flow)
        return failed == 0 or self._not_sent(failed, data, flow)

    def _not_sent(self, failed: int, data: bytes, flow: Flow) -> bool:
        if failed == NO_ADDRESS:
            return False
        if failed != errno.EAGAIN:
            return self._send_again(data, flow)
        if self._bound is not None:
            self._loop.add_writer(self._bound, self._write)
        self._keep(data, flow)
        return True

    def _keep(self, data: bytes, flow: Flow) -> None:
        """Until the socket has room again. Where too many wait it is lost, as a network loses it."""
        if len(self._unsent) < MAX_UNSENT:
            self._unsent.append((data, flow))

    def _write(self) -> None:
        """There is room again. What has waited is sent in order, once."""
        while self._bound is not None and self._unsent:
            data, flow = self._unsent[0]
            failed = self._try(data, flow)
            if failed == errno.EAGAIN:
                return
            if failed and not self._send_again(data, flow):
                self._loop.call_soon(self._endpoint.undelivered, flow, data)
            self._unsent.popleft()
        if self._bound is not None:
            self._loop.remove_writer(self._bound)

    def _send_again(self, data: bytes, flow: Flow) -> bool:
        """What the kernel refused once: it says so, too, when an earlier datagram has come back, whoever's it was."""
        self._tell_unreachable()
        failed = self._try(data, flow)
        if failed:
            self._tell_unreachable()
        return failed == 0 or failed in LOST_ERRNOS

    def _try(self, data: bytes, flow: Flow) -> int:
        failed = self._send(data, flow.host, flow.port)
        return self._plain.send(data, flow.host, flow.port) if failed == NO_ADDRESS else failed

    def _tell_unreachable(self) -> None:
        """The core hears of each datagram that has come back; not from here, where it may be sending."""
        if self._bound is None:
            return
        for host, port, data in unreachable(self._bound):
            flow = Flow("UDP", host, port, self._index)
            self._loop.call_soon(self._endpoint.undelivered, flow, data)

    @property
    def dropped(self) -> int:
        """Datagrams for which the receive buffer had no room; 0 where the kernel does not tell, and when closed."""
        if self._bound is None:
            return 0
        try:
            told = self._bound.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, _MEMINFO.size)
        except OSError:
            return 0
        drops: int = _MEMINFO.unpack(told)[-1] if len(told) == _MEMINFO.size else 0
        return drops

    def waiting_s(self) -> float:
        """How long the datagram that would be read next has been waiting; 0.0 when none is, or nobody can tell."""
        if self._bound is None:
            return 0.0
        try:
            _, told, _, _ = self._bound.recvmsg(1, socket.CMSG_SPACE(_TIMESPEC.size), socket.MSG_PEEK)
        except BlockingIOError:
            return 0.0  # nearly always
        except OSError:
            self._tell_unreachable()
            return 0.0
        for level, kind, data in told:
            if (level, kind) == (socket.SOL_SOCKET, _SO_TIMESTAMPNS) and len(data) == _TIMESPEC.size:
                seconds, nanoseconds = _TIMESPEC.unpack(data)
                waited_s: float = time.time() - seconds - nanoseconds * 1e-9
                return waited_s if 0.0 < waited_s < _LONGEST_WAIT_S else 0.0
        return 0.0

    def close(self) -> None:
        """Closes the socket. What waits for room is tried once more."""
        self._write()
        bound, self._bound = self._bound, None
        if bound is not None:
            self._loop.remove_reader(bound)
            self._loop.remove_writer(bound)
            bound.close()


def bind_udp(host: str, port: int, dscp: int = 0, shares: bool = False) -> socket.socket:
    """A bound, non-blocking socket; `dscp` marks what it sends. Raises OSError when the address cannot be had.

    `shares`: beside others on the same address that share it as well (SO_REUSEPORT).
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    opened = socket.socket(family, socket.SOCK_DGRAM)
    try:
        opened.setblocking(False)
        with contextlib.suppress(OSError):
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
        with contextlib.suppress(OSError):
            opened.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        if family == socket.AF_INET6:
            # IPv4 has sockets of its own: "[::]:5060" leaves them their port, and no source is "::ffff:192.0.2.1".
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if dscp:
            set_dscp(opened, dscp)
        if shares:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        opened.bind((host, port))
    except BaseException:
        opened.close()
        raise
    return opened


@final
class UdpSockets(Transport):
    """The UDP sockets of an endpoint: each message leaves by that of its flow's listener."""

    def __init__(self, endpoint: Receiver) -> None:
        self._endpoint = endpoint
        self._sockets: dict[int, UdpTransport] = {}

    def serve(self, bound: socket.socket, local: int, make: MakeDatagrams | None = IN_C) -> UdpTransport:
        """From now on the datagrams of a bound socket arrive, `local` in their flows; what does not arrive is told."""
        transport = self._sockets[local] = UdpTransport(self._endpoint, bound, local, make)
        self._endpoint.add_transport("UDP", self)
        return transport

    def send(self, data: bytes, flow: Flow) -> bool:
        """Sends one datagram; False when that failed, or when there is no such listener."""
        transport = self._sockets.get(flow.local)
        return transport is not None and transport.send(data, flow)

    @property
    def dropped(self) -> int:
        """As of one socket, for all of them."""
        return sum(transport.dropped for transport in self._sockets.values())

    def waiting_s(self) -> float:
        """As of one socket: the longest of them all."""
        return max((transport.waiting_s() for transport in self._sockets.values()), default=0.0)

    def disconnect(self, flow: Flow) -> None:
        """There are no connections."""

    def close(self) -> None:
        """Closes all sockets."""
        for transport in self._sockets.values():
            transport.close()


def serve_udp(endpoint: Receiver, bound: socket.socket) -> UdpTransport:
    """The only UDP socket of an endpoint."""
    return UdpSockets(endpoint).serve(bound, 0)


def open_udp(endpoint: Receiver, host: str, port: int) -> UdpTransport:
    """Binds and serves in one go. Raises OSError when the address cannot be had."""
    return serve_udp(endpoint, bind_udp(host, port))
