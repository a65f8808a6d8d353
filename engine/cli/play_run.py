"""Runs a player for a person: signals, keys, live figures on a terminal, plain lines elsewhere, and trace files."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import termios
import time
import tty
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from typing import Final

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from engine.cli.common import printable, tell
from sipstack.scenario.model import Scenario
from sipstack.scenario.player import Player
from sipstack.scenario.report import CANNOT_BIND, Exchanged, Report
from sipstack.scenario.screen import in_one_line, repartition_screen, statistics_screen, table
from sipstack.scenario.settings import PlayerSettings
from sipstack.scenario.stat_file import Standing
from sipstack.scenario.traces import Trace, Traces, TraceSettings

_PLAIN_EVERY_S: Final = 10.0  # where nobody has asked for figures, a log gets them that often
_TENFOLD: Final = 10.0
_MOST_KEYS: Final = 64  # at a time


@dataclass(frozen=True, slots=True)
class Running:
    """One run. `may_move`: nobody has asked for the port, any will do. `is_told`: somebody wants figures so often."""

    scenario: Scenario
    settings: PlayerSettings
    traces: TraceSettings
    may_move: bool
    dumps_every_s: float
    shows_every_s: float
    is_told: bool
    begins_after_s: float
    rate_step: float
    takes_keys: bool


async def play_it(running: Running) -> Report:
    """Plays. SettingsError; OSError for a file that cannot be written."""
    await asyncio.sleep(running.begins_after_s)
    began_unix_s = time.time()
    with ExitStack() as stack:
        traces = Traces(running.traces)
        stack.callback(traces.close)
        settings = _traced(running.settings, traces)
        began_s = asyncio.get_running_loop().time()

        def observe(exchanged: Exchanged) -> None:
            traces.exchanged(exchanged, began_unix_s + exchanged.at_s - began_s)

        watch = observe if traces.watches_messages else None
        try:
            player = await _opened(running, settings, watch)
        except (OSError, TimeoutError) as error:
            where = f"{settings.wire.mode.transport.lower()}:{settings.local_ip}:{settings.local_port}"
            return Report(CANNOT_BIND, 0, 0, 0, 0, [f"veil700: cannot listen on {where}: {_why(error)}"])

        def standing() -> Standing:
            rate = player.pace.rate
            return Standing(player.tally, player.scenario, player.open_calls, rate, began_unix_s, time.time())

        _listen_in(player, traces, began_s)
        stack.enter_context(_signals(player, lambda: traces.screens(standing())))
        stack.enter_context(_keys(player, running))
        async with _shown(standing, running), _dumped(standing, running, traces):
            report = await player.run()
        traces.finish(standing())
        return report


def _why(error: OSError) -> str:
    return error.strerror or str(error) or "no twin in time"


def _traced(settings: PlayerSettings, traces: Traces) -> PlayerSettings:
    """What is said goes into the files, too; what `<log>` says goes there alone when there is one."""

    def say(text: str) -> None:
        settings.say(text)
        traces.error(text, time.time())

    return replace(settings, say=say, log=traces.log if traces.has(Trace.LOGS) else settings.say)


def _listen_in(player: Player, traces: Traces, began_s: float) -> None:
    loop = asyncio.get_running_loop()
    if traces.has(Trace.CALLS) or traces.has(Trace.ERRORS):
        player.on_end = lambda ended: traces.ended(ended, time.time())
    if traces.has(Trace.TIMES):
        player.tally.on_response = lambda name, seconds: traces.responded(name, seconds, loop.time() - began_s)


async def _opened(running: Running, settings: PlayerSettings, observe: Callable[[Exchanged], None] | None) -> Player:
    """A player on its port; when nobody has asked for that port and it is taken, on any. OSError."""
    player = Player(running.scenario, settings, observe)
    try:
        await player.open()
    except OSError:
        await player.close()
        if not running.may_move:
            raise
        player = Player(running.scenario, replace(settings, local_port=0), observe)
        await player.open()
    return player


@contextmanager
def _signals(player: Player, show: Callable[[], None]) -> Iterator[None]:
    """SIGINT and SIGTERM end it; SIGUSR1 lets the calls in progress end, SIGUSR2 writes the screens, as with SIPp."""
    loop = asyncio.get_running_loop()
    ends = {signal.SIGINT: player.stop, signal.SIGTERM: player.stop}
    handlers = ends | {signal.SIGUSR1: player.quit, signal.SIGUSR2: show}
    for number, handler in handlers.items():
        loop.add_signal_handler(number, handler)
    try:
        yield
    finally:
        for number in handlers:
            loop.remove_signal_handler(number)


@contextmanager
def _keys(player: Player, running: Running) -> Iterator[None]:
    """SIPp's keys, on a terminal: + - * / change the rate, p pauses, q quits, and a second q ends at once."""
    if not running.takes_keys or not sys.stdin.isatty() or not sys.stderr.isatty():
        yield
        return
    loop, descriptor, step = asyncio.get_running_loop(), sys.stdin.fileno(), running.rate_step
    changes = {"+": step, "-": -step, "*": step * _TENFOLD, "/": -step * _TENFOLD}
    presses = 0

    def pressed() -> None:
        nonlocal presses
        for key in os.read(descriptor, _MOST_KEYS).decode("ascii", "replace"):
            if key in changes:
                player.pace.set_rate(player.pace.rate + changes[key], loop.time())
            elif key == "p":
                player.pace.is_paused = not player.pace.is_paused
            elif key in "qQ":
                presses += 1
                (player.quit if presses == 1 else player.stop)()
        player.inbox.wake()  # it may sleep until the next call at the old rate

    before = termios.tcgetattr(descriptor)
    tty.setcbreak(descriptor)
    loop.add_reader(descriptor, pressed)
    try:
        yield
    finally:
        loop.remove_reader(descriptor)
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


@asynccontextmanager
async def _dumped(standing: Callable[[], Standing], running: Running, traces: Traces) -> AsyncIterator[None]:
    """A row into each file that has rows, each period, the first one at once."""
    traces.snapshot(standing())
    async with _each(running.dumps_every_s, lambda: traces.snapshot(standing())):
        yield


@asynccontextmanager
async def _shown(standing: Callable[[], Standing], running: Running) -> AsyncIterator[None]:
    """Screens on a terminal; lines for a log."""
    console = Console(stderr=True)
    every_s = max(running.shows_every_s, 0.1)
    if not console.is_terminal:
        async with _each(every_s if running.is_told else _PLAIN_EVERY_S, lambda: tell(in_one_line(standing()))):
            yield
        return
    with Live(console=console, auto_refresh=False, transient=True) as live:
        async with _each(every_s, lambda: live.update(_screen(standing()), refresh=True)):
            yield


def _screen(at: Standing) -> Group:
    elements = Table(box=None, padding=(0, 2))
    elements.add_column("")
    elements.add_column("")
    for title in ("Messages", "Retrans", "Timeout", "Unexpected"):
        elements.add_column(title, justify="right")
    for name, arrow, *counts in table(at):
        elements.add_row(Text(printable(name)), arrow, *(f"{count:,}" for count in counts))
    texts = [Text(line) for line in (*statistics_screen(at), *repartition_screen(at))]
    return Group(Text(in_one_line(at), style="bold"), elements, *texts)


@asynccontextmanager
async def _each(every_s: float, show: Callable[[], None]) -> AsyncIterator[None]:
    async def repeat() -> None:
        while True:
            await asyncio.sleep(every_s)
            show()

    repeating = asyncio.ensure_future(repeat())
    try:
        yield
    finally:
        repeating.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await repeating
