"""One ordered path from the wire to a sans-I/O core and back, and one timer for all of its timers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol, final

from sipstack.aio.wakes import NEVER, Timed, Wakes, now_s
from sipstack.events import Core, Disconnect, Flow, Output, SendMessage


class Transport(Protocol):
    """Puts bytes on the wire; False when that failed at once."""

    __slots__ = ()

    def send(self, data: bytes, flow: Flow) -> bool:
        """Sends, or says that it could not."""

    @property
    def dropped(self) -> int:
        """Messages that have come and for which there was no room."""

    def disconnect(self, flow: Flow) -> None:
        """Ends the connection that the flow names, if there is one."""

    def waiting_s(self) -> float:
        """How long the oldest message that has come and was not taken yet has been waiting; 0.0 when none is."""

    def close(self) -> None:
        """Closes the socket."""


class Receiver(Protocol):
    """Who hears of transports: an endpoint, or who stands between them and it."""

    __slots__ = ()

    def add_transport(self, name: str, transport: Transport) -> None:
        """As `Endpoint.add_transport`."""

    def received(self, data: bytes, flow: Flow) -> None:
        """As `Endpoint.received`."""

    def undelivered(self, flow: Flow, data: bytes) -> None:
        """As `Endpoint.undelivered`."""

    def connection_lost(self, flow: Flow) -> None:
        """As `Endpoint.connection_lost`."""


Tap = Callable[[bool, bytes, Flow], None]
"""Is shown each message: True for one that is sent, its bytes, its flow. It must be quick, and must not raise."""


@final
class Endpoint(Timed, Receiver):
    """Feeds a core and does what it says, in its order. Everything happens in the loop's thread, without a task.

    On a `NodeLoop` its timer is the selector's, on any other one a handle of the loop.

    `execute` gets the outputs that are neither SendMessage nor Disconnect. `on_fault` gets what the core or `execute`
    raised: a bug of ours costs the message that met it, never the node. `tap` sees all that comes and goes; nearly
    always there is none.
    """

    def __init__(self, core: Core, execute: Callable[[Output], None], on_fault: Callable[[Exception], None]) -> None:
        self._core = core
        self._execute = execute
        self._on_fault = on_fault
        self._loop = asyncio.get_running_loop()
        self._wakes: Wakes | None = getattr(self._loop, "wakes", None)
        self._timer: asyncio.TimerHandle | None = None
        self._armed_for = 0.0
        self._transports: dict[str, Transport] = {}
        self._is_open = True
        self.tap: Tap | None = None

    def now(self) -> float:
        """What the loop's clock says, in monotonic seconds."""
        return self._loop.time() if self._wakes is None else now_s()

    def add_transport(self, name: str, transport: Transport) -> None:
        """Registers the transport that carries flows of this name ("UDP"). With the first one timers begin.

        What the core says before has nowhere to go: calls that it has taken over would be given up.
        """
        if self._wakes is not None and self._is_open and not self._transports:
            self._wakes.keep_time(self)
        self._transports[name] = transport

    @property
    def dropped(self) -> int:
        """Messages that the kernel has thrown away since nobody took them in time."""
        return sum(transport.dropped for transport in self._transports.values())

    def waiting_s(self) -> float:
        """How long the oldest message that nobody has taken yet has been waiting, in seconds; 0.0 when none is."""
        return max((transport.waiting_s() for transport in self._transports.values()), default=0.0)

    def received(self, data: bytes, flow: Flow) -> None:
        """Called by a transport for each message."""
        if self.tap is not None:
            self.tap(False, data, flow)
        try:
            outputs = self._core.receive(data, flow, self.now())
        except Exception as fault:
            self._on_fault(fault)
            outputs = []
        self.perform(outputs)

    def perform(self, outputs: list[Output]) -> None:
        """Does what verbs of the core returned, each output as it comes, then sets a timer of the loop anew.

        Once it is closed, nothing is sent any more.
        """
        for output in outputs:
            try:
                if isinstance(output, SendMessage):
                    self._send(output)
                elif isinstance(output, Disconnect):
                    self._disconnect(output.flow)
                else:
                    self._execute(output)
            except Exception as fault:
                self._on_fault(fault)
        if self._wakes is None:
            self._arm()

    def undelivered(self, flow: Flow, data: bytes) -> None:
        """Called by a transport for a message that has not left or has come back: its beginning, b"" for none of it."""
        self._guarded(lambda: self._core.transport_failed(flow, self.now(), data))

    def connection_lost(self, flow: Flow) -> None:
        """Called by a transport when a connection has gone by which it had sent requests."""
        self._guarded(lambda: self._core.connection_lost(flow, self.now()))

    def close(self) -> None:
        """Ends the timer and the transports. The core hears of nothing any more."""
        if self._wakes is not None and self._is_open and self._transports:
            self._wakes.keep_no_time(self)
        self._is_open = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for transport in self._transports.values():
            transport.close()

    def _send(self, output: SendMessage) -> None:
        transport = self._transports.get(output.flow.transport)
        if transport is None or not transport.send(output.data, output.flow):
            # Not from here: the core may be in the middle of the step that made this output.
            self._loop.call_soon(self.undelivered, output.flow, output.data)
        elif self.tap is not None:
            self.tap(True, output.data, output.flow)

    def _disconnect(self, flow: Flow) -> None:
        transport = self._transports.get(flow.transport)
        if transport is not None:
            transport.disconnect(flow)

    def due(self) -> float:
        """When the core wants its timer next."""
        deadline = self._core.next_deadline()
        return NEVER if deadline is None else deadline

    def time_has_come(self) -> None:
        """It is due."""
        if not self._is_open:
            return
        try:
            outputs = self._core.handle_timer(self.now())
        except Exception as fault:
            self._on_fault(fault)
            outputs = []
        self.perform(outputs)

    def _fire(self) -> None:
        self._timer = None
        self.time_has_come()

    def _guarded(self, verb: Callable[[], list[Output]]) -> None:
        if not self._is_open:
            return
        try:
            outputs = verb()
        except Exception as fault:
            self._on_fault(fault)
            outputs = []
        self.perform(outputs)

    def _arm(self) -> None:
        deadline = self._core.next_deadline() if self._is_open else None
        if self._timer is not None:
            if deadline is not None and deadline >= self._armed_for:
                return  # it fires early enough; it looks again then
            self._timer.cancel()
            self._timer = None
        if deadline is not None:
            self._armed_for = deadline
            self._timer = self._loop.call_at(deadline, self._fire)
