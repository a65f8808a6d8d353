"""Plays a scenario over UDP: the socket, the clock and the calls around `Call`."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import math
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from ipaddress import ip_address
from typing import Final

from sipstack.scenario.call import Call
from sipstack.scenario.keywords import Values
from sipstack.scenario.model import Scenario, SettingsError
from sipstack.scenario.received import Received
from sipstack.scenario.report import Exchanged, Report, report_of
from sipstack.scenario.rules import Rules
from sipstack.scenario.tally import Tally
from sipstack.scenario.udp import Address, DatagramEnd
from sipstack.uri import uri_host

# A peer that invents Call-IDs gets no more of our memory than this.
MAX_OPEN_CALLS: Final = 20_000
# Call-IDs that have ended and are still known, so that what comes late begins no new call.
_MAX_ENDED: Final = 50_000
_MEDIA_PORT: Final = 6000  # SIPp's
_MAX_STARTS: Final = 64  # calls in a row before messages and timers have their turn
_STALE_DEADLINES: Final = 1024


@dataclass(frozen=True, slots=True)
class PlayerSettings:
    """How a scenario is played. `remote_ip` is an IP address; a scenario that begins with a request needs none.

    `rows` are the fields for injection, one row a call, from the first again after the last. `limit` calls are open
    at most. `pid` stands for `[pid]`; two players of one process must not share it.
    """

    local_ip: str
    local_port: int = 0
    remote_ip: str = ""
    remote_port: int = 5060
    service: str = "service"
    rows: Sequence[Sequence[str]] = ()
    keys: Mapping[str, str] = field(default_factory=dict)
    max_calls: int | None = None
    rate: float = 10.0
    limit: int | None = None
    timeout_s: float | None = None
    timeout_is_error: bool = True
    pause_ms: int = 0
    recv_timeout_ms: int | None = None
    max_retrans: int | None = None
    ends_politely: bool = True
    gives_up: bool = True
    answers_ping: bool = True
    say: Callable[[str], None] = lambda _text: None
    # Drawn, not the system's: several players live in one process, and no two may share a branch.
    pid: int = field(default_factory=lambda: secrets.randbelow(10**8) + 1)


class Player:
    """`open`, then `run` until the calls are through, the time is up or `stop`. Raises SettingsError."""

    def __init__(
        self, scenario: Scenario, settings: PlayerSettings, observe: Callable[[Exchanged], None] | None = None
    ) -> None:
        self._scenario = scenario
        self._settings = settings
        self._observe = observe
        _check(scenario, settings)
        self._udp = DatagramEnd()
        self._tally = Tally.of(len(scenario.elements))
        self._rules = Rules()
        self._calls: dict[str, tuple[Call, Address]] = {}
        self._ended: dict[str, None] = {}
        self._created = 0
        self._due: list[tuple[float, int, Call]] = []
        self._order = itertools.count()
        self._next_call_at = 0.0
        self._was_full = False
        self._is_stopped = False
        self._set_once: dict[str, str] = {}
        self._numbers: dict[str, int] = {}

    @property
    def local_port(self) -> int:
        """The port that is bound; 0 before `open`."""
        return self._udp.local[1]

    @property
    def open_calls(self) -> int:
        """Calls in progress."""
        return len(self._calls)

    @property
    def ended_calls(self) -> int:
        """Calls that are through, well or not."""
        return self._tally.successful + self._tally.failed

    async def open(self) -> None:
        """Binds. OSError when the address cannot be had."""
        settings = self._settings
        await self._udp.open(settings.local_ip, settings.local_port)
        self._rules = _rules(settings, asyncio.get_running_loop().time())
        is_ipv6 = ":" in settings.local_ip
        keys = {name: _as_bytes(value) for name, value in settings.keys.items()}
        self._set_once = keys | {
            "service": _as_bytes(settings.service),
            "remote_ip": uri_host(settings.remote_ip),
            "local_ip": uri_host(settings.local_ip),
            "local_ip_type": "6" if is_ipv6 else "4",
            "media_ip": settings.local_ip,
            "media_ip_type": "6" if is_ipv6 else "4",
            "transport": "UDP",
            "pid": str(settings.pid),
        }
        self._numbers = {
            "remote_port": settings.remote_port, "local_port": self.local_port, "media_port": _MEDIA_PORT,
        }  # fmt: skip

    def stop(self) -> None:
        """Lets `run` end; what is in progress has failed."""
        self._is_stopped = True
        self._udp.wake()

    async def close(self) -> None:
        """Closes the socket; `run` does it by itself."""
        await self._udp.close()

    async def run(self) -> Report:
        """Plays until `max_calls` have ended, the time is up, or `stop`."""
        try:
            return await self._run()
        finally:
            await self.close()

    async def _run(self) -> Report:
        loop = asyncio.get_running_loop()
        self._next_call_at = now = loop.time()
        ends_at = now + self._settings.timeout_s if self._settings.timeout_s is not None else None
        has_timed_out = False
        while not self._is_through():
            now = loop.time()
            if ends_at is not None and now >= ends_at:
                has_timed_out = True
                break
            await self._start_due(now)
            await self._fire(now)
            if self._is_through():
                break
            datagram = await self._udp.receive(self._wait_s(ends_at, loop.time()))
            if datagram is not None:
                await self._received(*datagram)
        await self._give_up("the time is up" if has_timed_out else "stopped", loop.time())
        return report_of(
            self._tally,
            self._udp.shed,
            fatal=has_timed_out and self._settings.timeout_is_error,
            timed_out=has_timed_out,
        )

    def _is_through(self) -> bool:
        maximum = self._settings.max_calls
        return self._is_stopped or (maximum is not None and self.ended_calls >= maximum)

    def _may_create(self) -> bool:
        limit = min(self._settings.limit or MAX_OPEN_CALLS, MAX_OPEN_CALLS)
        maximum = self._settings.max_calls
        return len(self._calls) < limit and (maximum is None or self._created < maximum)

    def _wait_s(self, ends_at: float | None, now: float) -> float | None:
        """Seconds until something is due; None: only a datagram or `stop` can come."""
        while self._due and (self._due[0][2].has_ended or self._due[0][2].deadline != self._due[0][0]):
            heapq.heappop(self._due)
        times = [self._due[0][0]] if self._due else []
        if ends_at is not None:
            times.append(ends_at)
        if not self._scenario.is_server:
            self._was_full = not self._may_create()
            if not self._was_full:
                times.append(self._next_call_at)
        return max(0.0, min(times) - now) if times else None

    async def _start_due(self, now: float) -> None:
        """Begins the calls whose time has come; what the limit has held up is not made up for."""
        if self._scenario.is_server:
            return
        for _ in range(_MAX_STARTS):
            if now < self._next_call_at or not self._may_create():
                break
            if self._was_full:
                self._next_call_at, self._was_full = max(self._next_call_at, now), False
            self._next_call_at += 1.0 / self._settings.rate
            call_id = f"{self._created + 1}-{self._settings.pid}@{uri_host(self._settings.local_ip)}"
            call = self._create(call_id, (self._settings.remote_ip, self._settings.remote_port))
            call.start(now)
            await self._after(call)

    def _create(self, call_id: str, peer: Address) -> Call:
        rows = self._settings.rows
        row = [_as_bytes(value) for value in rows[self._created % len(rows)]] if rows else ()
        self._created += 1
        values = Values(self._set_once, self._numbers, row, self._created, call_id)
        call = Call(self._scenario, self._rules, values, self._tally)
        self._calls[call_id] = (call, peer)
        return call

    async def _fire(self, now: float) -> None:
        while self._due and self._due[0][0] <= now:
            deadline, _, call = heapq.heappop(self._due)
            if call.deadline == deadline:
                call.timer(now)
                await self._after(call)

    async def _after(self, call: Call) -> None:
        """Sends what a call has to say, and keeps its deadline or forgets it."""
        _, peer = self._calls[call.call_id]
        outputs, call.outputs = call.outputs, []
        for data in outputs:
            if self._observe is not None:
                self._observe(Exchanged(asyncio.get_running_loop().time(), True, data))
            await self._udp.send(data, peer)
        if call.has_ended:
            del self._calls[call.call_id]
            self._ended[call.call_id] = None
            if len(self._ended) > _MAX_ENDED:
                del self._ended[next(iter(self._ended))]
        elif (deadline := call.deadline) is not None:
            self._remember(deadline, call)

    def _remember(self, deadline: float, call: Call) -> None:
        """Deadlines that have changed stay behind until their time; too many of them are thrown out at once."""
        if len(self._due) > 2 * len(self._calls) + _STALE_DEADLINES:
            waiting = ((one.deadline, next(self._order), one) for one, _ in self._calls.values() if one is not call)
            self._due = [(at, order, one) for at, order, one in waiting if at is not None]
            heapq.heapify(self._due)
        heapq.heappush(self._due, (deadline, next(self._order), call))

    async def _received(self, data: bytes, source: Address) -> None:
        now = asyncio.get_running_loop().time()
        if self._observe is not None:
            self._observe(Exchanged(now, False, data))
        message = Received(data)
        call_id = message.call_id
        if call_id in self._calls:
            call = self._calls[call_id][0]
        elif self._scenario.is_server and call_id and call_id not in self._ended and self._may_create():
            call = self._create(call_id, source)
            call.start(now)
        else:
            self._tally.out_of_call += 1
            return
        call.receive(message, now)
        await self._after(call)

    async def _give_up(self, reason: str, now: float) -> None:
        for call, _ in list(self._calls.values()):
            call.give_up(reason, now)
            await self._after(call)


def _rules(settings: PlayerSettings, now: float) -> Rules:
    most = settings.max_retrans if settings.max_retrans is not None else Rules().max_other_retrans
    return Rules(
        pause_s=settings.pause_ms / 1000,
        recv_timeout_s=settings.recv_timeout_ms / 1000 if settings.recv_timeout_ms else None,
        max_invite_retrans=min(most, Rules().max_invite_retrans),
        max_other_retrans=min(most, Rules().max_other_retrans),
        ends_politely=settings.ends_politely,
        gives_up=settings.gives_up,
        answers_ping=settings.answers_ping,
        began_s=now,
        say=settings.say,
        wall=_wall,
    )


def _wall() -> str:
    """The date, the time and the seconds since 1970, with tabs between them, as SIPp writes `[timestamp]`."""
    now = datetime.now().astimezone()
    return f"{now:%Y-%m-%d}\t{now:%H:%M:%S.%f}\t{now.timestamp():.6f}"


def _check(scenario: Scenario, settings: PlayerSettings) -> None:
    missing = sorted(scenario.keywords - settings.keys.keys())
    if missing:
        raise SettingsError(f"[{missing[0]}] is no keyword, and no key of that name is given")
    if scenario.fields and not settings.rows:
        raise SettingsError(f"[field{scenario.fields - 1}] needs rows for injection: give them with -inf FILE")
    if not scenario.is_server and not settings.remote_ip:
        raise SettingsError("the scenario begins with a request of its own: it needs a target")
    versions = {_version(address) for address in (settings.local_ip, settings.remote_ip) if address}
    if len(versions) > 1:
        raise SettingsError(f"{settings.local_ip} cannot reach {settings.remote_ip}: one is IPv4, the other IPv6")
    if not 0 < settings.rate < math.inf:
        raise SettingsError("the rate must be above 0")
    if settings.limit is not None and settings.limit < 1:
        raise SettingsError("the limit must be above 0")


def _version(address: str) -> int:
    """4 or 6. A name is no address: the loop would wait while it is looked up."""
    try:
        return ip_address(address).version
    except ValueError:
        raise SettingsError(f"{address!r} is no IP address") from None


def _as_bytes(text: str) -> str:
    """Text from outside as one character a byte."""
    return text.encode(errors="surrogateescape").decode("latin-1")
