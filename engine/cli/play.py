"""The verb `scenario play`: what SIPp's options mean for a player."""

from __future__ import annotations

import asyncio
import math
import os
import re
import socket
from dataclasses import asdict
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from typer.core import TyperCommand

from engine.cli.common import DONE, FAILED, JSON, UsageFault, printable, say, say_facts, say_json, tell
from engine.cli.play_run import Running, play_it
from engine.cli.sipp_options import OPTIONS, Given, take_options
from sipstack.scenario.builtins import builtin_file, builtin_names
from sipstack.scenario.injection import Injection, InjectionFile, read_injection
from sipstack.scenario.loader import load_scenario
from sipstack.scenario.model import Scenario, SettingsError
from sipstack.scenario.report import ALL_WELL
from sipstack.scenario.settings import (
    STREAM_PORTS,
    Address,
    Mode,
    PlayerSettings,
    Ramp,
    TlsSettings,
    TwinSettings,
    Wire,
)
from sipstack.scenario.traces import Trace, TraceSettings, names_of_times
from sipstack.scenario.twin import read_peers
from sipstack.scenario.values import Circuits

_PORT: Final = 5060
_BEHAVIORS: Final = ("bye", "abortunexp", "pingreply", "badcseq")
_FACTS: Final = ("exit_code", "successful", "failed", "retransmissions", "unexpected", "out_of_call", "shed")
_OURS: Final = frozenset(("--json", "--allow-exec", "--help"))
_CIRCUITS: Final = re.compile(r"\{(\d+)-(\d+)\}\{(\d+)\}\{(\d+)-(\d+)\}\{(\d+)-(\d+)\}", re.ASCII)
# What writes a file -> what it holds, and the option that names it.
_TRACES: Final = {
    "-trace_msg": (Trace.MESSAGES, "-message_file"), "-trace_shortmsg": (Trace.SHORT, "-shortmessage_file"),
    "-trace_err": (Trace.ERRORS, "-error_file"), "-trace_logs": (Trace.LOGS, "-log_file"),
    "-trace_calldebug": (Trace.CALLS, "-calldebug_file"), "-trace_screen": (Trace.SCREEN, "-screen_file"),
    "-trace_stat": (Trace.STATISTICS, "-stf"), "-trace_counts": (Trace.COUNTS, ""), "-trace_rtt": (Trace.TIMES, ""),
    "-trace_error_codes": (Trace.CODES, ""),
}  # fmt: skip


class PlayCommand(TyperCommand):
    """Takes SIPp's options out of the words before typer sees them; the help lists them."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        given, left = take_options(args, _OURS)
        if name := given.text("-sd"):
            say(_builtin("-sd", name).read_text("latin-1").rstrip("\n"))
            ctx.exit(DONE)
        ctx.meta["sipp"] = given
        if name := given.text("-sn"):
            left.insert(0, str(_builtin("-sn", name)))
        if scenario := given.text("-sf"):
            left.insert(0, scenario)
        return super().parse_args(ctx, left)

    def format_options(self, ctx: Any, formatter: Any) -> None:
        super().format_options(ctx, formatter)
        rows = [(f"{name} {one.kind.value}".strip(), one.help) for name, one in OPTIONS.items() if one.help]
        quiet = " ".join(name for name, one in OPTIONS.items() if not one.help)
        with formatter.section("SIPp's options (a TIME is a number and ms, s, m or h)"):
            formatter.write_dl(rows)
        with formatter.section("Accepted without effect"):
            formatter.write_text(quiet)


def play(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE.xml", help="The scenario.", show_default=False)],
    target: Annotated[
        str | None,
        typer.Argument(
            metavar="TARGET", help="host[:port] to call; not needed when the other side begins.", show_default=False
        ),
    ] = None,
    allows_exec: Annotated[
        bool, typer.Option("--allow-exec", help="<exec command> runs: whoever wrote the file may do what you may.")
    ] = False,
    as_json: Annotated[bool, JSON] = False,
) -> int:
    """Play a scenario, as SIPp would with the same options.

    \b
    Example:
      veil700 scenario play uas.xml -i 127.0.0.2 -p 5080 -m 1
      veil700 scenario play uac.xml 127.0.0.1:5060 -s 700123456780001 -m 10 -r 5 -timeout 20s
    """
    given: Given = context.meta["sipp"]
    scenario = _loaded(file)
    settings = settings_of(given, scenario, target, allows_exec=allows_exec)
    running = Running(
        scenario, settings, _traces(given, scenario, settings), may_move="-p" not in given,
        dumps_every_s=max(given.seconds("-fd", "60s"), 0.05), shows_every_s=given.seconds("-f", "1s"),
        is_told="-f" in given, begins_after_s=given.seconds("-sleep", "0"), rate_step=given.number("-rate_scale", 1.0),
        takes_keys="-nostdin" not in given and not as_json,
    )  # fmt: skip
    if quiet := given.without_effect():
        tell(f"without effect here: {' '.join(quiet)}")
    try:
        report = asyncio.run(play_it(running))
    except SettingsError as error:
        raise UsageFault(f"{file}: {error}") from None
    if as_json:
        say_json(asdict(report))
    else:
        say_facts({name: getattr(report, name) for name in _FACTS})
    for line in (*report.failures, *(report.ladder if not as_json else ())):
        tell(printable(line))
    return DONE if report.exit_code == ALL_WELL else FAILED


def settings_of(given: Given, scenario: Scenario, target: str | None, *, allows_exec: bool) -> PlayerSettings:
    """What the options say. UsageFault for one that cannot be."""
    host, port = _target("TARGET", target) if target is not None else ("", _PORT)
    period_s, pause_s = given.seconds("-rp", "1000"), given.seconds("-d", "0")
    if not period_s:
        raise UsageFault("-rp must be above 0")
    rate = given.number("-r", 10.0) / period_s
    behaviors = frozenset[str]() if "-nd" in given else _behaviors(given.text("-default_behaviors", "all"))
    recv_timeout_s = given.seconds("-recv_timeout", "0")
    usual_limit = math.ceil(3 * rate * max(1.0, pause_s))
    return PlayerSettings(
        local_ip=_own_address(given.text("-i") or None, host, port),
        local_port=given.port("-p", _PORT),
        remote_ip=host,
        remote_port=port,
        wire=_wire(given),
        service=given.text("-s", "service"),
        injection=_injection(given),
        keys=dict(given.pairs.get("-key", ())),
        variables=dict(given.pairs.get("-set", ())),
        max_calls=given.count("-m"),
        rate=rate,
        ramp=_ramp(given, period_s),
        users=given.count("-users"),
        limit=given.count("-l") or (None if scenario.is_server or "-users" in given else max(usual_limit, 1)),
        timeout_s=given.seconds("-timeout", "0") if "-timeout" in given else None,
        timeout_is_error="-timeout_error" in given,
        pause_ms=round(pause_s * 1000),
        recv_timeout_ms=round(recv_timeout_s * 1000) if recv_timeout_s else None,
        max_retrans=given.count("-max_retrans", least=0),
        max_invite_retrans=given.count("-max_invite_retrans", least=0),
        max_other_retrans=given.count("-max_non_invite_retrans", least=0),
        retransmits="-nr" not in given,
        t2_ms=round(given.seconds("-T2", "4000") * 1000),
        ends_politely="bye" in behaviors,
        gives_up="abortunexp" in behaviors,
        answers_ping="pingreply" in behaviors,
        checks_ack="badcseq" in behaviors,
        answers_all="-aa" in given,
        has_prefixes="-callid_slash_ign" not in given,
        compares_loosely=_one_of(given, "-rtcheck", ("full", "loose")) == "loose",
        ignores_in_pauses="-pause_msg_ign" in given,
        lost_percent=given.number("-lost", 0.0, most=100.0),
        dead_call_wait_s=given.seconds("-deadcall_wait", "33s"),
        base_cseq=given.count("-base_cseq", least=0) or (0 if "-base_cseq" in given else 1),
        call_id=given.text("-cid_str", "%u-%p@%s"),
        media_ip=_own_address(given.text("-mi"), "", 0) if "-mi" in given else "",
        media_port=given.port("-mp", 6000),
        stream_ports=_stream_ports(given),
        echoes="-rtp_echo" in given,
        allows_exec=allows_exec,
        twins=_twins(given),
        out_of_call=_out_of_call(given),
        auth_user=given.text("-au"),
        auth_password=given.text("-ap", "password"),
        auth_uri=given.text("-auth_uri"),
        circuits=_circuits(given.text("-tdmmap")) if "-tdmmap" in given else None,
        say=lambda text: tell(printable(text)),
    )


def _loaded(file: Path) -> Scenario:
    try:
        return load_scenario(file)
    except OSError as error:
        raise UsageFault(f"{file}: {error.strerror or error}") from None


def _builtin(option: str, name: str) -> Path:
    file = builtin_file(name)
    if file is None:
        raise UsageFault(f"{option}: {name!r} is none of {', '.join(builtin_names())}")
    return file


def _out_of_call(given: Given) -> Scenario | None:
    if "-oocsn" in given:
        return _loaded(_builtin("-oocsn", given.text("-oocsn")))
    return _loaded(Path(given.text("-oocsf"))) if "-oocsf" in given else None


def _wire(given: Given) -> Wire:
    mode = next((mode for mode in Mode if mode.value == given.text("-t", "u1")), None)
    if mode is None:
        raise UsageFault(f"-t {given.text('-t')}: not supported, only {', '.join(mode.value for mode in Mode)}")
    version = _one_of(given, "-tls_version", ("", "1.2", "1.3"))
    reconnects = given.text("-max_reconnect", "0")
    if not re.fullmatch(r"-1|[0-9]{1,6}", reconnects, re.ASCII):
        raise UsageFault(f"-max_reconnect: {reconnects!r} is no whole number from -1")
    return Wire(
        mode,
        TlsSettings(given.file("-tls_cert"), given.file("-tls_key"), given.file("-tls_ca"), version),
        max_sockets=given.count("-max_socket") or 50_000,
        max_reconnects=int(reconnects),
        reconnect_sleep_s=given.seconds("-reconnect_sleep", "1000"),
        fails_calls=given.boolean("-reconnect_close", True),
        sends_to=_target("-rsa", given.text("-rsa")) if "-rsa" in given else None,
        address_field=given.count("-ip_field", least=0) or 0,
    )


def _stream_ports(given: Given) -> range:
    first, last = given.port("-min_rtp_port", STREAM_PORTS[0]), given.port("-max_rtp_port", STREAM_PORTS[-1])
    ports = range(first, last + 1 - (last + 1 - first) % 4)
    if not first or not ports:
        raise UsageFault(f"-min_rtp_port, -max_rtp_port: {first} to {last} has no room for the four ports of a call")
    return ports


def _ramp(given: Given, period_s: float) -> Ramp | None:
    if "-rate_increase" not in given:
        return None
    interval_s = given.seconds("-rate_interval", given.text("-fd", "60s"))
    if not interval_s:
        raise UsageFault("-rate_interval must be above 0")
    most = given.number("-rate_max", 0.0) / period_s
    return Ramp(given.number("-rate_increase", 0.0) / period_s, interval_s, most or None, "-no_rate_quit" in given)


def _twins(given: Given) -> TwinSettings:
    if "-3pcc" in given:
        return TwinSettings(_target("-3pcc", given.text("-3pcc")))
    name = given.text("-master") or given.text("-slave")
    if not name:
        return TwinSettings()
    if "-slave_cfg" not in given:
        raise UsageFault("-master and -slave need -slave_cfg")
    path = Path(given.text("-slave_cfg"))
    try:
        peers = read_peers(path)
    except OSError as error:
        raise UsageFault(f"{path}: {error.strerror or error}") from None
    except SettingsError as error:
        raise UsageFault(str(error)) from None
    if name not in peers:
        raise UsageFault(f"{path}: names no {name!r}")
    return TwinSettings(name=name, is_master="-master" in given, peers=peers)


def _traces(given: Given, scenario: Scenario, settings: PlayerSettings) -> TraceSettings:
    files: dict[Trace, Path] = {}
    appends: set[Trace] = set()
    for option, (trace, named) in _TRACES.items():
        chosen = given.file(named) if named else None
        if option in given or (chosen is not None and named == "-stf"):
            files[trace] = chosen or Path(f"{scenario.path.stem}_{os.getpid()}{trace.value}")
        overwrite = f"{named.removesuffix('_file')}_overwrite"
        if overwrite in OPTIONS and not given.boolean(overwrite, True):
            appends.add(trace)
    return TraceSettings(
        files, frozenset(appends), given.text("-stat_delimiter", ";"), given.count("-rtt_freq") or 200,
        settings.wire.mode.transport, names_of_times(scenario.elements),
    )  # fmt: skip


def _injection(given: Given) -> Injection:
    """The files of `-inf`, and the indexes of `-infindex`."""
    injection = Injection(map(_rows, map(Path, given.texts("-inf"))))
    for name, number in given.pairs.get("-infindex", ()):
        file = injection.files.get(Path(name).name)
        if file is None or not re.fullmatch(r"[0-9]{1,3}", number, re.ASCII):
            raise UsageFault(f"-infindex: {name} {number}: it takes a file of -inf and the number of a field")
        file.index(int(number))
    return injection


def _rows(file: Path) -> InjectionFile:
    try:
        return read_injection(file)
    except OSError as error:
        raise UsageFault(f"{file}: {error.strerror or error}") from None


def _one_of(given: Given, name: str, choices: tuple[str, ...]) -> str:
    chosen = given.text(name, choices[0])
    if chosen not in choices:
        raise UsageFault(f"{name}: {chosen!r} is none of {', '.join(filter(None, choices))}")
    return chosen


def _circuits(text: str) -> Circuits:
    found = _CIRCUITS.fullmatch(text)
    if found is None:
        raise UsageFault(f"-tdmmap: {text!r} is not like {{0-3}}{{99}}{{5-8}}{{1-31}}")
    numbers = [int(number) for number in found.groups()]
    ranges = [range(numbers[at], numbers[at + 1] + 1) for at in (0, 3, 5)]
    if not all(ranges):
        raise UsageFault(f"-tdmmap: {text!r} holds no circuit")
    return Circuits(ranges[0], numbers[2], ranges[1], ranges[2])


def _behaviors(text: str) -> frozenset[str]:
    """What `-default_behaviors` leaves of them."""
    chosen: set[str] = set()
    for word in text.split(","):
        name = word.removeprefix("-")
        if name not in (*_BEHAVIORS, "all", "none"):
            raise UsageFault(f"-default_behaviors: {word!r} is none of all, none, {', '.join(_BEHAVIORS)}")
        named = set(_BEHAVIORS) if name == "all" else {name} & set(_BEHAVIORS)
        chosen = set() if name == "none" else chosen - named if word.startswith("-") else chosen | named
    return frozenset(chosen)


def _target(option: str, text: str) -> Address:
    """Address and port of `host`, `host:port` or `[IPv6]:port`."""
    found = re.fullmatch(r"(?:\[([^\]]+)\]|([^:]+))(?::([0-9]{1,5}))?", text)
    port = int(found[3] or _PORT) if found else 0
    if found is None or not 0 < port < 65536:
        raise UsageFault(f"{option}: {text!r} is no host, host:port or [IPv6]:port")
    try:
        return str(socket.getaddrinfo(found[1] or found[2], port, type=socket.SOCK_DGRAM)[0][4][0]), port
    except (OSError, UnicodeError) as error:
        raise UsageFault(f"{option}: {text!r}: {getattr(error, 'strerror', None) or error}") from None


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
