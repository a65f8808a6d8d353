"""Plays a scenario: the calls, the clock and the sockets around `Call`."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, final

from sipstack.scenario.call import Call
from sipstack.scenario.commands import Output, StopKind, StopPlaying
from sipstack.scenario.deadlines import Deadlines
from sipstack.scenario.ends import Ends
from sipstack.scenario.errands import Errands, Live
from sipstack.scenario.inbox import Arrived, End, Event, Inbox, Lost, TwinSaid
from sipstack.scenario.ladder import Ladder
from sipstack.scenario.model import Begins, Scenario
from sipstack.scenario.pace import Pace
from sipstack.scenario.received import Received
from sipstack.scenario.report import Ended, Exchanged, Report, report_of
from sipstack.scenario.rules import Rules, rules_of
from sipstack.scenario.settings import Address, Mode, PlayerSettings, as_bytes, call_id_of, check_settings, words_of
from sipstack.scenario.tally import Failure, Tally
from sipstack.scenario.values import Shared, values_of
from sipstack.uri import uri_host

# Call-IDs that have ended and are still known, so that what comes late begins no new call.
_MAX_ENDED: Final = 50_000
_MAX_STARTS: Final = 8  # calls in a row before messages and timers have their turn
_MAX_EVENTS: Final = 256  # messages in a row
# Of a text for the twin.
_CALL_ID: Final = re.compile(r"^[ \t]*Call-ID[ \t]*:[ \t]*(\S+)", re.IGNORECASE | re.MULTILINE)


@final
class Player:
    """`open`, then `run` until the calls are through, the time is up or `stop`. Raises SettingsError."""

    def __init__(
        self, scenario: Scenario, settings: PlayerSettings, observe: Callable[[Exchanged], None] | None = None
    ) -> None:
        self.scenario = scenario
        self._settings = settings
        self._observe = observe
        check_settings(scenario, settings)
        self._shared = Shared(
            settings.injected, unix_s=time.time, read_file=lambda path: Path(path).read_bytes(),
            users=-1 if settings.users is None else settings.users, auth_user=settings.auth_user or settings.service,
            auth_password=settings.auth_password, auth_uri=settings.auth_uri, circuits=settings.circuits,
            variables={name: as_bytes(value) for name, value in settings.variables.items()},
        )  # fmt: skip
        self.inbox = Inbox()
        self._ends = Ends(settings, self.inbox, is_server=scenario.is_server)
        self.errands = Errands(scenario, settings, self._ends, self.inbox)
        self._shared.stream_port = self.errands.stream_port
        self._users = list(range(settings.users or 0, 0, -1))  # those that are not calling
        self.pace = Pace(settings.rate, settings.ramp, is_users=settings.users is not None)
        self._ladder = Ladder()
        self._begins = scenario.begins
        self.tally = Tally.of(len(scenario.elements), scenario.response_bounds_ms, scenario.length_bounds_ms)
        self.on_end: Callable[[Ended], None] | None = None
        self._rules = Rules()
        self._calls: dict[str, Live] = {}
        self._ended: dict[str, float] = {}  # when each has; the oldest first
        self._created = 0
        self._deadlines = Deadlines()
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
    def open_calls(self) -> int:
        """Calls in progress."""
        return len(self._calls)

    @property
    def ended_calls(self) -> int:
        """Calls that are through, well or not."""
        return self.tally.successful + self.tally.failed

    async def open(self) -> None:
        """Binds, and connects to the twins. OSError when the address cannot be had, or no twin is there."""
        settings = self._settings
        await self._ends.open()
        await self.errands.open()
        self._began_s = asyncio.get_running_loop().time()
        self._rules = rules_of(settings, self._began_s)
        self._set_once = words_of(settings)
        self._numbers = {
            "remote_port": settings.remote_port, "local_port": self.local_port, "media_port": settings.media_port,
        }  # fmt: skip

    def stop(self) -> None:
        """Lets `run` end; what is in progress has failed."""
        self._is_stopped = True
        self.inbox.wake()

    def quit(self) -> None:
        """No new calls; `run` ends with the last one in progress."""
        self._is_quitting = True
        self.inbox.wake()

    async def close(self) -> None:
        """Closes the sockets; `run` does it by itself."""
        await self.errands.close()
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
        await self._play_opening(now)
        self.pace.begin(now)
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
                event = self.inbox.take()
                if event is None or self._is_through():
                    break
                await self._happened(event, loop.time())
            if self._is_through():
                break
            await self.inbox.wait(self._wait_s(ends_at, loop.time()))
        await self._give_up("the time is up" if has_timed_out else self._fatal or "stopped", loop.time())
        is_fatal = bool(self._fatal) or (has_timed_out and self._settings.timeout_is_error)
        return report_of(
            self.tally, self.scenario, loop.time() - self._began_s, shed=self.inbox.shed, fatal=is_fatal,
            stopped_by_scenario=self._is_told_to_stop, timed_out=has_timed_out, ladder=self._ladder.lines,
        )  # fmt: skip

    # ------------------------------------------------------------------ how long, how many

    def _is_through(self) -> bool:
        maximum = self._settings.max_calls
        if self.errands.has_lost_twin:
            self._is_quitting = True
        if self._is_stopped or (maximum is not None and self.ended_calls >= maximum):
            return True
        return (self._is_quitting or self.pace.is_over) and not self._calls

    def _may_create(self) -> bool:
        maximum = self._settings.max_calls
        is_free = len(self._calls) < self._settings.most_open and self._reconnect_at is None
        return is_free and not self._is_quitting and (maximum is None or self._created < maximum)

    def _wait_s(self, ends_at: float | None, now: float) -> float | None:
        """Seconds until something is due; None: only a message or `stop` can come."""
        first_at = self._deadlines.next_at()
        times = [first_at] if first_at is not None else []
        if ends_at is not None:
            times.append(ends_at)
        if self._reconnect_at is not None:
            times.append(self._reconnect_at)
        if self._begins is Begins.SEND:
            has_room = self._may_create()
            if not has_room:
                self.pace.full()
            if (next_at := self.pace.next_at(has_room=has_room)) is not None:
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
        if self._begins is not Begins.SEND:
            return
        for _ in range(_MAX_STARTS):
            if not self._may_create() or not self.pace.is_due(now):
                break
            self.pace.begun()
            await self._begin_call(call_id_of(self._settings, self._created + 1), now)

    async def _play_opening(self, now: float) -> None:
        """What `<init>` says, once."""
        opening = self.scenario.opening()
        if not opening.elements:
            return
        values = values_of(self.scenario, self._shared, self._set_once, self._numbers, 0, "init", {})
        tally = Tally.of(len(opening.elements))
        call = Call(opening, self._rules, values, tally)
        call.start(now)
        for output in call.outputs:
            if not isinstance(output, bytes):
                await self._carry_out(output, Live(call, self._ends.any_end(), ("", 0), now), now)
        self.tally.warnings += tally.failed
        for failure in tally.failures:
            self._settings.say(failure)

    async def _begin_call(self, call_id: str, now: float) -> Live | None:
        settings = self._settings
        user = self._users.pop(0) if self._users else 0
        lines = self._shared.next_lines(user)
        try:
            end = await self._ends.for_call(self._address_of(lines))
        except OSError as error:
            self._created += 1
            self.tally.fail(f"no socket for a call: {error.strerror or error}", Failure.CANNOT_SEND)
            return None
        peer = settings.wire.sends_to or (settings.remote_ip, settings.remote_port)
        live = self._create(call_id, end, peer, lines, now, user=user)
        self.tally.outgoing += 1
        live.call.start(now)
        await self._after(live, now)
        return live

    def _address_of(self, lines: Mapping[str, int]) -> str:
        """For a socket by address: that of the call's row."""
        injection = self._shared.injection
        if self._settings.wire.mode is not Mode.UDP_BY_ADDRESS or injection is None:
            return ""
        rows = injection.files[injection.default]
        return rows.field(lines[rows.name], self._settings.wire.address_field)

    def _create(
        self, call_id: str, end: End, peer: Address, lines: Mapping[str, int], now: float, *, user: int = 0,
        scenario: Scenario | None = None,
    ) -> Live:  # fmt: skip
        self._created += scenario is None
        set_once, numbers = self._set_once, self._numbers
        if end.local != self._ends.local:
            set_once = set_once | {"local_ip": uri_host(end.local[0])}
            numbers = numbers | {"local_port": end.local[1]}
        values = values_of(
            scenario or self.scenario, self._shared, set_once, numbers, self._created, call_id, lines, user=user,
            cseq=self._settings.base_cseq - 1,
        )  # fmt: skip
        tally = self.tally if scenario is None else Tally.of(len(scenario.elements))
        call = Call(scenario or self.scenario, self._rules, values, tally)
        live = Live(call, end, peer, now, user, values.circuit)
        self._calls[call_id] = live
        return live

    async def _fire(self, now: float) -> None:
        while (live := self._deadlines.take(now)) is not None:
            live.call.timer(now)
            await self._after(live, now)

    async def _after(self, live: Live, now: float) -> None:
        """Sends what a call has to say, and keeps its deadline or forgets it."""
        call = live.call
        outputs, call.outputs = call.outputs, []
        for output in outputs:
            if not isinstance(output, bytes):
                await self._carry_out(output, live, now)
            elif not self._is_told_to_stop:
                self._noticed(live, is_sent=True, data=output)
                await live.end.send(output, live.peer)
        if call.has_ended:
            await self._forget(live, now)
        elif (deadline := call.deadline) is not None:
            self._deadlines.remember(deadline, live, self._calls.values())

    async def _carry_out(self, command: Output, live: Live, now: float) -> None:
        if isinstance(command, StopPlaying):
            self._is_told_to_stop = command.kind is StopKind.NOW
            (self.stop if command.kind is StopKind.NOW else self.quit)()
        elif not isinstance(command, bytes):
            await self.errands.carry_out(command, live, now)

    async def _forget(self, live: Live, now: float) -> None:
        """A call has ended; its last words may have come from a command that could not be carried out."""
        call = live.call
        for output in call.outputs:
            if isinstance(output, bytes):
                await live.end.send(output, live.peer)
        if live.call.scenario is self.scenario:
            self.tally.call_lengths.add(now - live.began_s)
        if live.user:
            self._users.append(live.user)
        if live.circuit is not None and self._shared.circuits is not None:
            self._shared.circuits.free(live.circuit)
        del self._calls[call.call_id]
        self._ended[call.call_id] = now
        oldest = next(iter(self._ended))
        while len(self._ended) > _MAX_ENDED or self._ended[oldest] < now - self._settings.dead_call_wait_s:
            del self._ended[oldest]
            oldest = next(iter(self._ended))
        if call.failure:
            self._ladder.failed(call.call_id, live.seen, call.failure)
        if self.on_end is not None:
            self.on_end(Ended(call.call_id, call.failure, live.seen))
        await self.errands.ended(live)

    def _noticed(self, live: Live, *, is_sent: bool, data: bytes) -> None:
        """Whoever looks on is told; messages are kept while a ladder may be made of them."""
        if self._observe is None and self.on_end is None and self._ladder.is_made:
            return
        exchanged = Exchanged(asyncio.get_running_loop().time(), is_sent, data)
        if self._observe is not None:
            self._observe(exchanged)
        if self.on_end is not None or not self._ladder.is_made:
            self._ladder.keep(live.seen, exchanged)

    # ------------------------------------------------------------------ what comes

    async def _happened(self, event: Event, now: float) -> None:
        if isinstance(event, Arrived):
            await self._received(event, now)
        elif isinstance(event, Lost):
            await self._lost(event.end, now)
        elif isinstance(event, TwinSaid):
            await self._heard(event, now)

    async def _heard(self, event: TwinSaid, now: float) -> None:
        """A text of a twin; one of a new Call-ID begins a call, where the scenario begins by hearing one."""
        found = _CALL_ID.search(event.text)
        call_id = found[1] if found else ""
        live = self._calls.get(call_id)
        if live is None and call_id and self._begins is Begins.HEAR_TWIN and call_id not in self._ended:
            live = await self._begin_call(call_id, now) if self._may_create() else None
        if live is None:
            self.tally.out_of_call += 1
            return
        live.call.hear(event.text, event.peer, now)
        await self._after(live, now)

    async def _received(self, arrived: Arrived, now: float) -> None:
        message = Received(arrived.data)
        call_id = message.call_of(self._settings.has_prefixes)
        live = self._calls.get(call_id)
        if live is None:
            live = self._answering(arrived, message, now)
            if live is None:
                self._stray(arrived, call_id, now)
                return
        self._noticed(live, is_sent=False, data=arrived.data)
        if live.end.is_closed:
            live.end = arrived.end
        live.call.receive(message, now)
        await self._after(live, now)

    def _answering(self, arrived: Arrived, message: Received, now: float) -> Live | None:
        """The call that a message begins; None when it begins none."""
        call_id = message.call_of(self._settings.has_prefixes)
        scenario = None if self._begins is Begins.RECV else self._settings.out_of_call
        if not call_id or call_id in self._ended:
            return None
        if scenario is None and (self._begins is not Begins.RECV or not self._may_create()):
            return None
        if scenario is not None and message.method in ("", "ACK"):
            return None
        live = self._create(call_id, arrived.end, arrived.source, self._shared.next_lines(0), now, scenario=scenario)
        self.tally.incoming += scenario is None
        live.call.start(now)
        return live

    def _stray(self, arrived: Arrived, call_id: str, now: float) -> None:
        """A message of no call."""
        if self._observe is not None:
            self._observe(Exchanged(now, False, arrived.data))
        self.tally.out_of_call += 1
        self.tally.dead_call += call_id in self._ended

    async def _lost(self, end: End, now: float) -> None:
        """A connection has gone. A callee waits for the next one; what a caller had on it has failed."""
        if self.scenario.is_server:
            return
        wire = self._settings.wire
        is_shared = wire.mode in (Mode.TCP_ONE, Mode.TLS_ONE)
        if wire.fails_calls or not is_shared:
            kind = Failure.TCP_CLOSED if end.has_been_up else Failure.TCP_CONNECT
            reason = f"the connection is lost: {end.fault or 'closed by the other side'}"
            for live in [live for live in self._calls.values() if live.end is end]:
                live.call.give_up(reason, now, kind)
                await self._after(live, now)
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
            await self._after(live, now)
