"""pyVoIP as a phone on a host of its own, with a record of every datagram that it received or sent."""

from __future__ import annotations

import queue
import socket
import threading
import time
import warnings
from collections.abc import Callable
from typing import Any, Final

from scenarios.rig.place import PORT
from scenarios.rig.seen import Seen

with warnings.catch_warnings():
    # It needs `audioop`, which Python 3.13 has given to a package of its own.
    warnings.simplefilter("ignore", DeprecationWarning)
    from pyVoIP.VoIP import CallState, PhoneStatus, VoIPCall, VoIPPhone

USER_AGENT: Final = "pyVoIP"  # stands in its User-Agent and twice in its SDP
WAIT_S: Final = 30.0  # on a machine that is busy with other tests


class _Tap(socket.socket):
    """The phone's socket. It closes only when nobody reads it any more: pyVoIP closes it under its own thread."""

    def __init__(self, tapped: socket.socket) -> None:
        super().__init__(fileno=tapped.detach())
        self.datagrams: list[Seen] = []
        self.is_read = threading.Event()
        self._more = threading.Condition()

    def recv(self, *arguments: Any) -> bytes:
        self.is_read.set()
        data = super().recv(*arguments)
        self._keep(Seen(time.time(), False, data))
        return data

    def sendto(self, data: bytes, *arguments: Any) -> int:  # type: ignore[override]
        self._keep(Seen(time.time(), True, bytes(data)))  # first: what it brings back is kept by another thread
        return super().sendto(data, *arguments)

    def await_datagram(self, is_wanted: Callable[[Seen], bool]) -> None:
        """Returns once one of the datagrams is wanted."""
        with self._more:
            assert self._more.wait_for(lambda: any(map(is_wanted, self.datagrams)), WAIT_S)

    def _keep(self, datagram: Seen) -> None:
        with self._more:
            self.datagrams.append(datagram)
            self._more.notify_all()

    def close(self) -> None:
        """Not yet."""

    def close_now(self) -> None:
        super().close()


class Softphone:
    """Registers, takes calls, and is gone without a trace after `close`."""

    def __init__(self, host: str, number: str, registrar: tuple[str, int]) -> None:
        """Returns once it is registered and listens."""
        self._others = set(threading.enumerate())
        self._calls: queue.SimpleQueue[VoIPCall] = queue.SimpleQueue()
        self._phone = VoIPPhone(
            *registrar, number, "secret", myIP=host, sipPort=PORT, callCallback=self._calls.put,
            rtpPortLow=10_000, rtpPortHigh=10_100,
        )  # fmt: skip
        self._phone.start()
        assert self._phone.get_status() is PhoneStatus.REGISTERED
        self._tap = self._phone.sip.s = self._phone.sip.out = _Tap(self._phone.sip.s)
        assert self._tap.is_read.wait(WAIT_S)

    @property
    def messages(self) -> list[Seen]:
        """Every datagram since it was registered, in order."""
        return list(self._tap.datagrams)

    def next_call(self) -> VoIPCall:
        """The next call that it takes: it has been ringing for a second."""
        call = self._calls.get(timeout=WAIT_S)
        assert call.state is CallState.RINGING
        return call

    def deny(self, call: VoIPCall) -> None:
        """Is busy. pyVoIP would stop audio that it has never started, and fail."""
        call.RTPClients.clear()
        call.deny()

    def await_message(self, arrow: str, shown: str) -> None:
        """Returns once a message was received ("<-") or sent ("->"): "ACK", "200 BYE"."""
        self._tap.await_datagram(lambda seen: seen.is_sent == (arrow == "->") and seen.shown == shown)

    def close(self) -> None:
        """Ends its registration, its threads and its sockets; fails when a thread does not end."""
        try:
            self._phone.stop()
            for thread in set(threading.enumerate()) - self._others:
                thread.join(WAIT_S)
                assert not thread.is_alive(), thread.name
        finally:
            self._tap.close_now()
