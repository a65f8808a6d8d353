"""Plays a scenario: the calls, the clock and the sockets around `Call`."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, final

from sipstack.scenario.call import Call
from sipstack.scenario.commands import SetDestination, StopKind, StopPlaying
from sipstack.scenario.ends import Ends
from sipstack.scenario.inbox import Arrived, End, Event, Inbox, Lost
from sipstack.scenario.ladder import Ladder
from sipstack.scenario.model import Scenario
from sipstack.scenario.pace import Pace
from sipstack.scenario.received import Received
from sipstack.scenario.report import Ended, Exchanged, Report, report_of
from sipstack.scenario.rules import Rules, rules_of
from sipstack.scenario.settings import Address, Mode, PlayerSettings, as_bytes, call_id_of, check_settings
from sipstack.scenario.tally import Failure, Tally
from sipstack.scenario.values import Shared, values_of
from sipstack.uri import uri_host

# Call-IDs that have ended and are still known, so that what comes late begins no new call.
_MAX_ENDED: Final = 50_000
_MAX_STARTS: Final = 64  # calls in a row before messages and timers have their turn
_MAX_EVENTS: Final = 256  # messages in a row
_STALE_DEADLINES: Final = 1024


@final
@dataclass(slots=True, eq=False)
class _Live:
    """A call in progress and its way to the other side."""

    call: Call
    end: End
    peer: Address
    seen: list[Exchanged] = field(default_factory=list)


@final
class Player:
    """`open`, then `run` until the calls are through, the time is up or `stop`. Raises SettingsError."""

    def __init__(
        self, scenario: Scenario, settings: PlayerSettings, observe: Callable[[Exchanged], None] | None = None
    ) -> None:
        self._scenario = scenario
        self._settings = settings
        self._observe = observe
        check_settings(scenario, settings)
        self._shared = Shared(
            settings.injected, unix_s=time.time, read_file=lambda path: Path(path).read_bytes(),
            users=-1 if settings.users is None else settings.users,
        )  # fmt: skip
        self._inbox = Inbox()
        self._ends = Ends(settings, self._inbox, is_server=scenario.is_server)
        self._pace = Pace(settings.rate, settings.ramp, is_users=settings.users is not None)
        self._ladder = Ladder()
        self.tally = Tally.of(len(scenario.elements))
        self.on_end: Callable[[Ended], None] | None = None
        self._rules = Rules()
        self._calls: dict[str, _Live] = {}
        self._ended: dict[str, None] = {}
        self._created = 0
        self._due: list[tuple[float, int, _Live]] = []
        self._order = itertools.count()
        self._is_stopped = False
        self._is_quitting = False
        self._is_told_to_stop = False
        self._fatal = ""
        self._reconnects = 0
        self._reconnect_at: float | None = None
        self._began_s = 0.0
        self._set_once: dict[str, str] = {}
        self._numbers: dict[str, int] = {}

    @property
    def local_port(self) -> int:
        """The port that is bound; 0 before `open`, and where each call has its own."""
        return self._ends.local[1]

    @property
    def scenario(self) -> Scenario:
        """What is played."""
        return self._scenario

    @property
    def pace(self) -> Pace:
        """How fast calls begin."""
        return self._pace

    @property
    def open_sockets(self) -> int:
        """Sockets of SIP."""
        return self._ends.open_sockets

    @property
    def open_calls(self) -> int:
        """Calls in progress."""
        return len(self._calls)

    @property
    def ended_calls(self) -> int:
        """Calls that are through, well or not."""
        return self.tally.successful + self.tally.failed

    async def open(self) -> None:
        """Binds. OSError when the address cannot be had."""
        settings = self._settings
        await self._ends.open()
        self._began_s = asyncio.get_running_loop().time()
        self._rules = rules_of(settings, self._began_s)
        is_ipv6 = ":" in settings.local_ip
        keys = {name: as_bytes(value) for name, value in settings.keys.items()}
        self._set_once = keys | {
            "service": as_bytes(settings.service),
            "remote_ip": uri_host(settings.remote_ip),
            "local_ip": uri_host(settings.local_ip),
            "local_ip_type": "6" if is_ipv6 else "4",
            "media_ip": settings.media_ip or settings.local_ip,
            "media_ip_type": "6" if ":" in (settings.media_ip or settings.local_ip) else "4",
            "remote_host": settings.remote_ip,
            "server_ip": settings.local_ip,
            "transport": settings.wire.mode.transport,
            "pid": str(settings.pid),
        }
        self._numbers = {
            "remote_port": settings.remote_port, "local_port": self.local_port, "media_port": settings.media_port,
        }  # fmt: skip

    def stop(self) -> None:
        """Lets `run` end; what is in progress has failed."""
        self._is_stopped = True
        self._inbox.wake()

    def quit(self) -> None:
        """No new calls; `run` ends with the last one in progress."""
        self._is_quitting = True
        self._inbox.wake()

    async def close(self) -> None:
        """Closes the sockets; `run` does it by itself."""
        await self._ends.close()

    async def run(self) -> Report:
        """Plays until `max_calls` have ended, the time is up, or `stop`."""
        try:
            return await self._run()
        finally:
            await self.close()

    async def _run(self) -> Report:
        loop = asyncio.get_running_loop()
        now = loop.time()
        self._pace.begin(now)
        ends_at = now + self._settings.timeout_s if self._settings.timeout_s is not None else None
        has_timed_out = False
        while not self._is_through():
            now = loop.time()
            if ends_at is not None and now >= ends_at:
                has_timed_out = True
                break
            await self._start_due(now)
            await self._fire(now)
            for _ in range(_MAX_EVENTS):
                event = self._inbox.take()
                if event is None or self._is_through():
                    break
                await self._happened(event, loop.time())
            if self._is_through():
                break
            await self._inbox.wait(self._wait_s(ends_at, loop.time()))
        await self._give_up("the time is up" if has_timed_out else self._fatal or "stopped", loop.time())
        is_fatal = bool(self._fatal) or (has_timed_out and self._settings.timeout_is_error)
        return report_of(
            self.tally, self._scenario, loop.time() - self._began_s, shed=self._inbox.shed, fatal=is_fatal,
            stopped_by_scenario=self._is_told_to_stop, timed_out=has_timed_out, ladder=self._ladder.lines,
        )  # fmt: skip

    # ------------------------------------------------------------------ how long, how many

    def _is_through(self) -> bool:
        maximum = self._settings.max_calls
        if self._is_stopped or (maximum is not None and self.ended_calls >= maximum):
            return True
        return (self._is_quitting or self._pace.is_over) and not self._calls

    def _may_create(self) -> bool:
        maximum = self._settings.max_calls
        is_free = len(self._calls) < self._settings.most_open and self._reconnect_at is None
        return is_free and not self._is_quitting and (maximum is None or self._created < maximum)

    def _wait_s(self, ends_at: float | None, now: float) -> float | None:
        """Seconds until something is due; None: only a message or `stop` can come."""
        while self._due and (self._due[0][2].call.has_ended or self._due[0][2].call.deadline != self._due[0][0]):
            heapq.heappop(self._due)
        times = [self._due[0][0]] if self._due else []
        if ends_at is not None:
            times.append(ends_at)
        if self._reconnect_at is not None:
            times.append(self._reconnect_at)
        if not self._scenario.is_server:
            has_room = self._may_create()
            if not has_room:
                self._pace.full()
            if (next_at := self._pace.next_at(has_room=has_room)) is not None:
                times.append(next_at)
        return max(0.0, min(times) - now) if times else None

    # ------------------------------------------------------------------ calls

    async def _start_due(self, now: float) -> None:
        """Begins the calls whose time has come."""
        if self._reconnect_at is not None and self._reconnect_at <= now:
            self._reconnect_at = None
            connected = self._ends.connect_again()
            for live in self._calls.values():
                live.end = connected
        if self._scenario.is_server:
            return
        for _ in range(_MAX_STARTS):
            if not self._may_create() or not self._pace.is_due(now):
                break
            self._pace.begun()
            await self._begin_call(now)

    async def _begin_call(self, now: float) -> None:
        settings = self._settings
        number = self._created + 1
        call_id = call_id_of(settings, number)
        lines = self._shared.next_lines(0)
        try:
            end = await self._ends.for_call(self._address_of(lines))
        except OSError as error:
            self._created += 1
            self.tally.fail(f"no socket for a call: {error.strerror or error}", Failure.CANNOT_SEND)
            return
        peer = settings.wire.sends_to or (settings.remote_ip, settings.remote_port)
        live = self._create(call_id, end, peer, lines)
        self.tally.outgoing += 1
        live.call.start(now)
        await self._after(live)

    def _address_of(self, lines: Mapping[str, int]) -> str:
        """For a socket by address: that of the call's row."""
        injection = self._shared.injection
        if self._settings.wire.mode is not Mode.UDP_BY_ADDRESS or injection is None:
            return ""
        rows = injection.files[injection.default]
        return rows.field(lines[rows.name], self._settings.wire.address_field)

    def _create(self, call_id: str, end: End, peer: Address, lines: Mapping[str, int]) -> _Live:
        self._created += 1
        set_once, numbers = self._set_once, self._numbers
        if end.local != self._ends.local:
            set_once = set_once | {"local_ip": uri_host(end.local[0])}
            numbers = numbers | {"local_port": end.local[1]}
        values = values_of(
            self._scenario, self._shared, set_once, numbers, self._created, call_id, lines,
            cseq=self._settings.base_cseq - 1,
        )  # fmt: skip
        live = _Live(Call(self._scenario, self._rules, values, self.tally), end, peer)
        self._calls[call_id] = live
        return live

    async def _fire(self, now: float) -> None:
        while self._due and self._due[0][0] <= now:
            deadline, _, live = heapq.heappop(self._due)
            if live.call.deadline == deadline:
                live.call.timer(now)
                await self._after(live)

    async def _after(self, live: _Live) -> None:
        """Sends what a call has to say, and keeps its deadline or forgets it."""
        call = live.call
        outputs, call.outputs = call.outputs, []
        for output in outputs:
            if isinstance(output, bytes):
                self._noticed(live, is_sent=True, data=output)
                await live.end.send(output, live.peer)
            elif isinstance(output, SetDestination):
                live.peer = (output.host, output.port)
            elif isinstance(output, StopPlaying):
                self._is_told_to_stop = True
                (self.stop if output.kind is StopKind.NOW else self.quit)()
            else:
                self._settings.say(f"{type(output).__name__} is not carried out")
        if call.has_ended:
            await self._forget(live)
        elif (deadline := call.deadline) is not None:
            self._remember(deadline, live)

    async def _forget(self, live: _Live) -> None:
        """A call has ended."""
        call = live.call
        del self._calls[call.call_id]
        self._ended[call.call_id] = None
        if len(self._ended) > _MAX_ENDED:
            del self._ended[next(iter(self._ended))]
        if call.failure:
            self._ladder.failed(call.call_id, live.seen, call.failure)
        if self.on_end is not None:
            self.on_end(Ended(call.call_id, call.failure, live.seen))
        await self._ends.left(live.end)

    def _noticed(self, live: _Live, *, is_sent: bool, data: bytes) -> None:
        """Whoever looks on is told; messages are kept while a ladder may be made of them."""
        if self._observe is None and self.on_end is None and self._ladder.is_made:
            return
        exchanged = Exchanged(asyncio.get_running_loop().time(), is_sent, data)
        if self._observe is not None:
            self._observe(exchanged)
        if self.on_end is not None or not self._ladder.is_made:
            self._ladder.keep(live.seen, exchanged)

    def _remember(self, deadline: float, live: _Live) -> None:
        """Deadlines that have changed stay behind until their time; too many of them are thrown out at once."""
        if len(self._due) > 2 * len(self._calls) + _STALE_DEADLINES:
            waiting = ((one.call.deadline, next(self._order), one) for one in self._calls.values() if one is not live)
            self._due = [(at, order, one) for at, order, one in waiting if at is not None]
            heapq.heapify(self._due)
        heapq.heappush(self._due, (deadline, next(self._order), live))

    # ------------------------------------------------------------------ what comes

    async def _happened(self, event: Event, now: float) -> None:
        if isinstance(event, Arrived):
            await self._received(event, now)
        elif isinstance(event, Lost):
            await self._lost(event.end, now)

    async def _received(self, arrived: Arrived, now: float) -> None:
        message = Received(arrived.data)
        call_id = message.call_id
        live = self._calls.get(call_id)
        if live is None:
            if self._scenario.is_server and call_id and call_id not in self._ended and self._may_create():
                live = self._create(call_id, arrived.end, arrived.source, self._shared.next_lines(0))
                self.tally.incoming += 1
                live.call.start(now)
            else:
                self._stray(arrived, call_id, now)
                return
        self._noticed(live, is_sent=False, data=arrived.data)
        if live.end.is_closed:
            live.end = arrived.end
        live.call.receive(message, now)
        await self._after(live)

    def _stray(self, arrived: Arrived, call_id: str, now: float) -> None:
        """A message of no call."""
        if self._observe is not None:
            self._observe(Exchanged(now, False, arrived.data))
        self.tally.out_of_call += 1
        self.tally.dead_call += call_id in self._ended

    async def _lost(self, end: End, now: float) -> None:
        """A connection has gone. A callee waits for the next one; what a caller had on it has failed."""
        if self._scenario.is_server:
            return
        wire = self._settings.wire
        is_shared = wire.mode in (Mode.TCP_ONE, Mode.TLS_ONE)
        if wire.fails_calls or not is_shared:
            kind = Failure.TCP_CLOSED if end.has_been_up else Failure.TCP_CONNECT
            reason = f"the connection is lost: {end.fault or 'closed by the other side'}"
            for live in [live for live in self._calls.values() if live.end is end]:
                live.call.give_up(reason, now, kind)
                await self._after(live)
        if not is_shared:
            return
        if 0 <= wire.max_reconnects <= self._reconnects:
            self._fatal = f"the connection is lost: {end.fault or 'closed by the other side'}"
            self.stop()
            return
        self._reconnects += 1
        self._reconnect_at = now + wire.reconnect_sleep_s

    async def _give_up(self, reason: str, now: float) -> None:
        for live in list(self._calls.values()):
            live.call.give_up(reason, now)
            await self._after(live)
