"""A bad network between real phones and a node: a relay on loopback that loses, doubles, delays and spoils."""

from __future__ import annotations

import selectors
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import Final

from scenarios.rig.place import INBOX_PORT, PORT, Place
from scenarios.rig.seen import Seen
from sipstack.testing.link import Weather
from tests.e2e.datagrams import udp_socket

CALLER_SIDE: Final = 21  # where the calling phone finds the node, its own host and port
CALLER_PHONE: Final = 22
CALLEE_PHONE: Final = 23
_CALLEE_SIDE: Final = 24
_LOOK_S: Final = 0.02  # how soon it notices that it shall end


@dataclass(frozen=True)
class _Door:
    """Where one datagram came in, and how it goes on."""

    out: socket.socket
    target: tuple[str, int]
    is_to_node: bool


class Relay(threading.Thread):
    """Stands at the addresses that the node knows its trunks by; the phones are at addresses behind it."""

    def __init__(self, place: Place, weather: Weather, lost: bytes = b"") -> None:
        """Of what the phones send, nothing arrives that begins with `lost`."""
        super().__init__(name="relay", daemon=True)
        self._weather = weather
        self._lost = lost
        self._ended = threading.Event()
        self._selector = selectors.DefaultSelector()
        self._in_flight: list[tuple[float, int, bytes, _Door]] = []
        self._count = 0
        self.seen: list[Seen] = []  # as the node sees it: all that it has sent, and what of the phones has arrived
        for port in (PORT, INBOX_PORT):
            self._join(place, place.caller, CALLER_SIDE, CALLER_PHONE, port)
            self._join(place, place.callee, _CALLEE_SIDE, CALLEE_PHONE, port)

    def _join(self, place: Place, inner_host: str, outer: int, phone: int, port: int) -> None:
        """One trunk: `inner_host` towards the node, `outer` towards the phone."""
        inner, outside = udp_socket(inner_host, port), udp_socket(place.host(outer), port)
        for end, door in (
            (inner, _Door(outside, (place.host(phone), port), False)),
            (outside, _Door(inner, (place.node, PORT), True)),
        ):
            end.setblocking(False)
            self._selector.register(end, selectors.EVENT_READ, door)

    def run(self) -> None:
        """The thread's body."""
        while not self._ended.is_set():
            due_s = self._in_flight[0][0] - time.monotonic() if self._in_flight else _LOOK_S
            for key, _ in self._selector.select(min(max(due_s, 0.0), _LOOK_S)):
                self._receive(key.fileobj, key.data)
            self._deliver()

    def _receive(self, end: object, door: _Door) -> None:
        assert isinstance(end, socket.socket)
        now = time.monotonic()
        while True:
            try:
                data = end.recv(65_536)
            except BlockingIOError:
                return
            if not door.is_to_node:
                self.seen.append(Seen(time.time(), True, data))
            elif self._lost and data.startswith(self._lost):
                continue
            for delay_s, copy in self._weather.fate(data):
                self._count += 1
                heappush(self._in_flight, (now + delay_s, self._count, copy, door))

    def _deliver(self) -> None:
        while self._in_flight and self._in_flight[0][0] <= time.monotonic():
            _, _, data, door = heappop(self._in_flight)
            if door.is_to_node:
                self.seen.append(Seen(time.time(), False, data))
            door.out.sendto(data, door.target)

    def end(self) -> None:
        """What is still on its way is lost."""
        self._ended.set()
        self.join()
        for key in list(self._selector.get_map().values()):
            assert isinstance(key.fileobj, socket.socket)
            key.fileobj.close()
        self._selector.close()


@contextmanager
def bad_network(place: Place, weather: Weather, lost: bytes = b"") -> Iterator[Relay]:
    """The relay at work for the time of the block; `lost` as for it."""
    relay = Relay(place, weather, lost)
    relay.start()
    try:
        yield relay
    finally:
        relay.end()
