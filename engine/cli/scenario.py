"""Verbs about scenarios: scenario play, scenario check."""

from __future__ import annotations

import asyncio
import math
import os
import re
import signal
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager
from dataclasses import asdict, replace
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from typer.core import TyperCommand

from engine.cli.common import DONE, FAILED, JSON, UsageFault, printable, say, say_facts, say_json, tell
from sipstack.scenario.injection import Injection, read_injection
from sipstack.scenario.loader import load_scenario
from sipstack.scenario.model import Fault, Scenario, ScenarioError, SettingsError
from sipstack.scenario.player import Player
from sipstack.scenario.report import ALL_WELL, CANNOT_BIND, Exchanged, Report, TraceFile
from sipstack.scenario.settings import PlayerSettings

Observe = Callable[[Exchanged], None]

_PORT: Final = 5060
_UNITS: Final = {"": 0.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_TIME: Final = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,6})?)(ms|s|m|h|)")
_LONGEST_S: Final = 7 * 24 * 3600
_BEHAVIORS: Final = ("bye", "abortunexp", "pingreply")
_SHOWN_EVERY_S: Final = 0.2
_FACTS: Final = ("exit_code", "successful", "failed", "retransmissions", "unexpected", "out_of_call", "shed")


class _PlayCommand(TyperCommand):
    """SIPp's way with options: long ones have one dash too, and `-key` takes two words.

    Left to itself, `-sn uac` would be read as `-s n uac`; and typer has no option that takes two words and may stand
    several times.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        takes_value = {name: not getattr(option, "is_flag", False) for option in self.params for name in option.opts}
        takes_value["--help"] = False
        rest: list[str] = []
        words = iter(args)
        for word in words:
            rest.append(word)
            if word == "--":
                break
            if word == "-key":
                name, value = next(words, ""), next(words, None)
                if value is None or not re.fullmatch(r"[\w.-]+", name, re.ASCII):
                    raise UsageFault("-key needs a name and a value")
                rest.append(f"{name}={value}")
            elif takes_value.get(word):
                rest += [value] if (value := next(words, None)) is not None else []
            elif word.startswith("-") and word not in takes_value:
                raise UsageFault(f"no such option: {word}; see veil700 scenario play --help")
        return super().parse_args(ctx, [*rest, *words])


def add_to(app: typer.Typer) -> None:
    """Hang the verbs of this module into the application."""
    group = typer.Typer(help="Conversations in SIPp's XML.", rich_markup_mode=None)
    group.command("play", cls=_PlayCommand)(play)
    group.command("check")(check)
    app.add_typer(group, name="scenario")


def check(
    files: Annotated[list[Path], typer.Argument(metavar="FILE.xml...", help="Scenarios.", show_default=False)],
    as_json: Annotated[bool, JSON] = False,
) -> int:
    """Load scenarios and list, by line, what is not supported and what is accepted without effect.

    \b
    Example:
      veil700 scenario check uac.xml uas.xml
    """
    found = {str(file): _looked_at(file) for file in files}
    if as_json:
        say_json([
            {"file": file, "ok": not faults, "faults": list(map(asdict, faults)), "notes": list(map(asdict, notes))}
            for file, (faults, notes) in found.items()
        ])  # fmt: skip
    else:
        for file, (faults, notes) in found.items():
            for fault in sorted([*faults, *notes], key=lambda fault: fault.line):
                say(printable(f"{file}:{fault.line}: {fault.text}"))
            if not faults:
                say(f"{file}: ok")
    return FAILED if any(faults for faults, _ in found.values()) else DONE


def _looked_at(file: Path) -> tuple[list[Fault], list[Fault]]:
    """What stops a file, and what is without effect in it."""
    try:
        return [], list(_loaded(file).without_effect)
    except ScenarioError as error:
        return error.faults, []


def _loaded(file: Path) -> Scenario:
    try:
        return load_scenario(file)
    except OSError as error:
        raise UsageFault(f"{file}: {error.strerror or error}") from None


def _port(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,5}", text, re.ASCII) or int(text) > 65535:
        raise typer.BadParameter(f"{text!r} is not a port")
    return int(text)


def play(
    file: Annotated[Path, typer.Argument(metavar="FILE.xml", help="The scenario.", show_default=False)],
    target: Annotated[
        str | None,
        typer.Argument(
            metavar="TARGET", help="host[:port] to call; not needed when the other side begins.", show_default=False
        ),
    ] = None,
    service: Annotated[str, typer.Option("-s", metavar="TEXT", help="[service].")] = "service",
    local_ip: Annotated[
        str | None,
        typer.Option(
            "-i",
            metavar="ADDRESS",
            help="Our address. Default: the one that reaches TARGET, else 127.0.0.1.",
            show_default=False,
        ),
    ] = None,
    local_port: Annotated[
        int | None,
        typer.Option(
            "-p",
            metavar="PORT",
            parser=_port,
            help="Our port; 0 is any. Default: 5060, or any when it is taken.",
            show_default=False,
        ),
    ] = None,
    calls: Annotated[
        int | None, typer.Option("-m", min=1, help="End after that many calls. Default: never.", show_default=False)
    ] = None,
    rate: Annotated[float, typer.Option("-r", min=0.001, max=100_000, help="New calls in each period of -rp.")] = 10.0,
    period: Annotated[str, typer.Option("-rp", metavar="TIME", help="Plain numbers are ms.")] = "1000",
    limit: Annotated[
        int | None,
        typer.Option(
            "-l", min=1, help="Most calls at once. Default: 3 s (or 3 times -d) of calls.", show_default=False
        ),
    ] = None,
    pause: Annotated[
        str, typer.Option("-d", metavar="TIME", help="A pause without length. Plain numbers are ms.")
    ] = "0",
    rows: Annotated[
        list[Path] | None,
        typer.Option(
            "-inf",
            metavar="FILE",
            help="Rows for [field0]...: SEQUENTIAL, RANDOM or USER, then a;b;c for each call. May stand several times.",
            show_default=False,
        ),
    ] = None,
    keys: Annotated[
        list[str] | None,
        typer.Option("-key", metavar="NAME VALUE", help="What [NAME] stands for.", show_default=False),
    ] = None,
    transport: Annotated[str, typer.Option("-t", metavar="MODE", help="Only u1: UDP, one socket.")] = "u1",
    timeout: Annotated[
        str | None,
        typer.Option(
            "-timeout", metavar="TIME", help="End after that time. Plain numbers are seconds.", show_default=False
        ),
    ] = None,
    timeout_error: Annotated[bool, typer.Option("-timeout_error", help="Reaching -timeout is an error.")] = False,
    recv_timeout: Annotated[
        str | None,
        typer.Option(
            "-recv_timeout", metavar="TIME", help="Longest wait of <recv>. Plain numbers are ms.", show_default=False
        ),
    ] = None,
    max_retrans: Annotated[
        int | None,
        typer.Option(
            "-max_retrans",
            min=0,
            max=100,
            help="Fewer retransmissions than 5 of an INVITE, 7 of another message.",
            show_default=False,
        ),
    ] = None,
    behaviors: Annotated[
        str,
        typer.Option(
            "-default_behaviors",
            metavar="LIST",
            help="all, none, or some of bye, abortunexp, pingreply; -bye: without it.",
        ),
    ] = "all",
    no_default: Annotated[bool, typer.Option("-nd", help="The same as -default_behaviors none.")] = False,
    trace: Annotated[bool, typer.Option("-trace_msg", help="Write all messages into a file.")] = False,
    message_file: Annotated[
        Path | None,
        typer.Option(
            "-message_file", metavar="FILE", help="That file. Default: NAME_PID_messages.log.", show_default=False
        ),
    ] = None,
    as_json: Annotated[bool, JSON] = False,
) -> int:
    """Play a scenario over UDP, as SIPp would with the same options.

    \b
    Example:
      veil700 scenario play uas.xml -i 127.0.0.2 -p 5080 -m 1
      veil700 scenario play uac.xml 127.0.0.1:5060 -s 700123456780001 -m 10 -r 5 -timeout 20s
    """
    if transport != "u1":
        raise UsageFault(f"-t {transport}: not supported, only u1")
    chosen = frozenset() if no_default else _behaviors(behaviors)
    period_s, pause_s = _seconds("-rp", period, "ms"), _seconds("-d", pause, "ms")
    if not period_s:
        raise UsageFault("-rp must be above 0")
    scenario = _loaded(file)
    host, port = _target(target) if target is not None else ("", _PORT)
    settings = PlayerSettings(
        local_ip=_own_address(local_ip, host, port),
        local_port=_PORT if local_port is None else local_port,
        remote_ip=host,
        remote_port=port,
        service=service,
        injection=_injection(rows or []),
        keys={name: value for name, _, value in (pair.partition("=") for pair in keys or ())},
        max_calls=calls,
        rate=rate / period_s,
        limit=limit or (None if scenario.is_server else math.ceil(3 * rate / period_s * max(1.0, pause_s))),
        timeout_s=None if timeout is None else _seconds("-timeout", timeout, "s"),
        timeout_is_error=timeout_error,
        pause_ms=round(pause_s * 1000),
        recv_timeout_ms=None if recv_timeout is None else round(_seconds("-recv_timeout", recv_timeout, "ms") * 1000),
        max_retrans=max_retrans,
        ends_politely="bye" in chosen,
        gives_up="abortunexp" in chosen,
        answers_ping="pingreply" in chosen,
        say=lambda text: tell(printable(text)),
    )
    traced = (message_file or Path(f"{file.stem}_{os.getpid()}_messages.log")) if trace else None
    try:
        report = asyncio.run(_play(scenario, settings, traced, may_move=local_port is None))
    except SettingsError as error:
        raise UsageFault(f"{file}: {error}") from None
    if as_json:
        say_json(asdict(report))
    else:
        say_facts({name: getattr(report, name) for name in _FACTS})
    for failure in report.failures:
        tell(printable(failure))
    return DONE if report.exit_code == ALL_WELL else FAILED


async def _play(scenario: Scenario, settings: PlayerSettings, traced: Path | None, *, may_move: bool) -> Report:
    with ExitStack() as stack:
        observe = None if traced is None else stack.enter_context(TraceFile(traced)).write
        try:
            player = await _opened(scenario, settings, observe, may_move=may_move)
        except OSError as error:
            where = f"udp:{settings.local_ip}:{settings.local_port}"
            return Report(CANNOT_BIND, 0, 0, 0, 0, [f"veil700: cannot listen on {where}: {error.strerror or error}"])
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, player.stop)
            stack.callback(loop.remove_signal_handler, number)
        async with _progress(player, settings.max_calls):
            return await player.run()


async def _opened(scenario: Scenario, settings: PlayerSettings, observe: Observe | None, *, may_move: bool) -> Player:
    """A player on its port; when nobody has asked for that port and it is taken, on any. OSError."""
    player = Player(scenario, settings, observe)
    try:
        await player.open()
    except OSError:
        if not may_move:
            raise
        player = Player(scenario, replace(settings, local_port=0), observe)
        await player.open()
    return player


@asynccontextmanager
async def _progress(player: Player, calls: int | None) -> AsyncIterator[None]:
    """Draws how far it is, on a terminal only."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield
        return
    columns = (TextColumn("{task.completed:,} calls, {task.fields[open]:,} open"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("calls", total=calls, open=0)

        async def draw() -> None:
            while True:
                bar.update(task, completed=player.ended_calls, open=player.open_calls)
                await asyncio.sleep(_SHOWN_EVERY_S)

        drawing = asyncio.ensure_future(draw())
        try:
            yield
        finally:
            drawing.cancel()


def _injection(files: list[Path]) -> Injection:
    """The files of `-inf`."""
    read = []
    for file in files:
        try:
            read.append(read_injection(file))
        except OSError as error:
            raise UsageFault(f"{file}: {error.strerror or error}") from None
    return Injection(read)


def _seconds(option: str, text: str, unit: str) -> float:
    """A time as SIPp takes it: a number and ms, s, m or h; without one, `unit` is meant."""
    found = _TIME.fullmatch(text)
    if found is None or float(found[1]) * _UNITS[found[2] or unit] > _LONGEST_S:
        raise UsageFault(f"{option}: {text!r} is no time such as 500ms or 20s, of a week at most")
    return float(found[1]) * _UNITS[found[2] or unit]


def _behaviors(text: str) -> frozenset[str]:
    """What `-default_behaviors` leaves of the three."""
    chosen: set[str] = set()
    for word in text.split(","):
        name = word.removeprefix("-")
        if name not in (*_BEHAVIORS, "all", "none"):
            raise UsageFault(f"-default_behaviors: {word!r} is none of all, none, {', '.join(_BEHAVIORS)}")
        named = set(_BEHAVIORS) if name == "all" else {name} & set(_BEHAVIORS)
        chosen = set() if name == "none" else chosen - named if word.startswith("-") else chosen | named
    return frozenset(chosen)


def _target(text: str) -> tuple[str, int]:
    """Address and port of `host`, `host:port` or `[IPv6]:port`."""
    found = re.fullmatch(r"(?:\[([^\]]+)\]|([^:]+))(?::([0-9]{1,5}))?", text)
    port = int(found[3] or _PORT) if found else 0
    if found is None or not 0 < port < 65536:
        raise UsageFault(f"TARGET: {text!r} is no host, host:port or [IPv6]:port")
    try:
        return str(socket.getaddrinfo(found[1] or found[2], port, type=socket.SOCK_DGRAM)[0][4][0]), port
    except (OSError, UnicodeError) as error:
        raise UsageFault(f"TARGET: {text!r}: {getattr(error, 'strerror', None) or error}") from None


def _own_address(given: str | None, host: str, port: int) -> str:
    """The address to bind."""
    if given is not None:
        try:
            return str(ip_address(given))
        except ValueError:
            raise UsageFault(f"-i: {given!r} is no IP address") from None
    if not host:
        return "127.0.0.1"
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((host, port))
        except OSError as error:
            raise UsageFault(f"TARGET: {host}: {error.strerror or error}") from None
        return str(probe.getsockname()[0])
