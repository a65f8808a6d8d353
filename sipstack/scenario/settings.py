"""How a scenario is played: what a player is given, and what of it cannot be."""

from __future__ import annotations

import math
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from sipstack.scenario.injection import Injection, check_injection
from sipstack.scenario.model import Fault, Scenario, ScenarioError, SettingsError
from sipstack.scenario.values import Circuits
from sipstack.uri import uri_host

Address = tuple[str, int]


@dataclass(frozen=True, slots=True)
class TwinSettings:
    """Where the other players are. `address` is the twin's, or ours when the twin begins; `peers` are those with names.

    `name` is our own among them; a master begins, slaves wait for it.
    """

    address: Address | None = None
    name: str = ""
    is_master: bool = False
    peers: Mapping[str, Address] = field(default_factory=dict)


# A peer that invents Call-IDs gets no more of our memory than this.
MAX_OPEN_CALLS: Final = 20_000
STREAM_PORTS: Final = range(8192, 56_192)
_MOST_CHECKED: Final = 100_000  # rows whose addresses are looked at before the first call


class Mode(Enum):
    """`-t`: the transport, and whether calls share a socket (`1`), have one each (`n`), or one for each address."""

    UDP_ONE = "u1"
    UDP_EACH = "un"
    UDP_BY_ADDRESS = "ui"
    TCP_ONE = "t1"
    TCP_EACH = "tn"
    TLS_ONE = "l1"
    TLS_EACH = "ln"

    @property
    def transport(self) -> str:
        """UDP, TCP or TLS: what stands for `[transport]`."""
        return {"u": "UDP", "t": "TCP", "l": "TLS"}[self.value[0]]


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """PEM files. A callee needs certificate and key; with `authorities` the other side must show a certificate of
    theirs. `version` is 1.2 or 1.3, "" for either.
    """

    certificate: Path | None = None
    private_key: Path | None = None
    authorities: Path | None = None
    version: str = ""


@dataclass(frozen=True, slots=True)
class Wire:
    """The sockets. Times in seconds.

    `max_reconnects` lost connections are opened again, `reconnect_sleep_s` later, without bound when it is negative;
    the calls on it have failed where `fails_calls`. `sends_to` is where messages go that are for the target.
    `address_field` of a row holds the address that a call of `ui` is sent from.
    """

    mode: Mode = Mode.UDP_ONE
    tls: TlsSettings = field(default_factory=TlsSettings)
    max_sockets: int = 50_000
    max_reconnects: int = 0
    reconnect_sleep_s: float = 1.0
    fails_calls: bool = True
    sends_to: Address | None = None
    address_field: int = 0


@dataclass(frozen=True, slots=True)
class Ramp:
    """`increase` more calls a second each `interval_s`; at `maximum` no new calls begin, unless it `stays`."""

    increase: float
    interval_s: float
    maximum: float | None = None
    stays: bool = False


@dataclass(frozen=True, slots=True)
class PlayerSettings:
    """How a scenario is played. `remote_ip` is an IP address; a scenario that begins with a request needs none.

    `rows` are the fields for injection, one row a call, from the first again after the last, unless `injection` are
    files of them. `limit` calls are open
    at most. `rate` are new calls a second; with `users` so many are open all the time instead. `pid` stands for
    `[pid]`; two players of one process must not share it.
    """

    local_ip: str
    local_port: int = 0
    remote_ip: str = ""
    remote_port: int = 5060
    wire: Wire = field(default_factory=Wire)
    service: str = "service"
    rows: Sequence[Sequence[str]] = ()
    injection: Injection | None = None
    keys: Mapping[str, str] = field(default_factory=dict)
    max_calls: int | None = None
    rate: float = 10.0
    ramp: Ramp | None = None
    users: int | None = None
    limit: int | None = None
    timeout_s: float | None = None
    timeout_is_error: bool = True
    pause_ms: int = 0
    recv_timeout_ms: int | None = None
    max_retrans: int | None = None
    max_invite_retrans: int | None = None
    max_other_retrans: int | None = None
    retransmits: bool = True
    t2_ms: int = 4000
    ends_politely: bool = True
    gives_up: bool = True
    answers_ping: bool = True
    answers_all: bool = False
    compares_loosely: bool = False
    dead_call_wait_s: float = 33.0  # so long the Call-ID of one that has ended begins no new call; SIPp's
    base_cseq: int = 1
    call_id: str = "%u-%p@%s"
    has_prefixes: bool = True  # in Call-IDs, with `///` behind them
    media_ip: str = ""
    media_port: int = 6000
    stream_ports: range = STREAM_PORTS  # of `rtp_stream`, four for each call
    echoes: bool = False
    allows_exec: bool = False
    twins: TwinSettings = field(default_factory=TwinSettings)
    out_of_call: Scenario | None = None  # for requests of no call
    variables: Mapping[str, str] = field(default_factory=dict)  # global ones
    auth_user: str = ""
    auth_password: str = "password"
    auth_uri: str = ""
    circuits: Circuits | None = None
    checks_ack: bool = True
    ignores_in_pauses: bool = False
    lost_percent: float = 0.0
    log: Callable[[str], None] | None = None  # for `<log>`; `say` when it is not given
    say: Callable[[str], None] = lambda _text: None
    # Drawn, not the system's: several players live in one process, and no two may share a branch.
    pid: int = field(default_factory=lambda: secrets.randbelow(10**8) + 1)

    @property
    def injected(self) -> Injection:
        """Where the rows of the calls come from."""
        return self.injection or Injection.of_rows(self.rows)

    @property
    def most_open(self) -> int:
        """Calls at once."""
        return min(self.limit or MAX_OPEN_CALLS, self.users or MAX_OPEN_CALLS, MAX_OPEN_CALLS)


def check_settings(scenario: Scenario, settings: PlayerSettings) -> None:
    """Raises SettingsError when the scenario cannot be played so."""
    missing = sorted(scenario.keywords - settings.keys.keys())
    if missing:
        raise SettingsError(f"[{missing[0]}] is no keyword, and no key of that name is given")
    check_injection(scenario, settings.injected)
    if scenario.commands and not settings.allows_exec:
        faults = [Fault(fault.line, "<exec command> needs --allow-exec") for fault in scenario.commands]
        raise ScenarioError(scenario.path, faults)
    if scenario.uses_twin and settings.twins.address is None and not settings.twins.name:
        raise SettingsError("the scenario has a twin: it needs -3pcc, or -master or -slave")
    if not scenario.is_server and not settings.remote_ip:
        raise SettingsError("the scenario begins with a request of its own: it needs a target")
    sends_to = settings.wire.sends_to
    addresses = (settings.local_ip, settings.remote_ip, sends_to[0] if sends_to else "")
    if len({_version(address) for address in addresses if address}) > 1:
        raise SettingsError(f"{settings.local_ip} cannot reach {settings.remote_ip}: one is IPv4, the other IPv6")
    if not 0 < settings.rate < math.inf:
        raise SettingsError("the rate must be above 0")
    if settings.limit is not None and settings.limit < 1:
        raise SettingsError("the limit must be above 0")
    if settings.wire.mode is Mode.UDP_BY_ADDRESS and not scenario.is_server:
        _check_addresses(settings)


def _check_addresses(settings: PlayerSettings) -> None:
    """Every row names the address that its call is sent from."""
    at, injection = settings.wire.address_field, settings.injected
    if not injection.files:
        raise SettingsError("-t ui needs rows for injection with an address in each: give them with -inf FILE")
    rows = injection.files[injection.default]
    for number in range(min(len(rows), _MOST_CHECKED)):
        address = rows.field(number, at)
        if not address or _version(address) != _version(settings.remote_ip):
            raise SettingsError(
                f"-t ui: field {at} of row {number + 1} is no address that reaches {settings.remote_ip}"
            )


def _version(address: str) -> int:
    """4 or 6. A name is no address: the loop would wait while it is looked up."""
    try:
        return ip_address(address).version
    except ValueError:
        raise SettingsError(f"{address!r} is no IP address") from None


def call_id_of(settings: PlayerSettings, number: int) -> str:
    """`-cid_str` with its marks filled in."""
    marks = {"%u": str(number), "%p": str(settings.pid), "%s": uri_host(settings.local_ip), "%%": "%"}
    text, parts = settings.call_id, []
    while (at := text.find("%")) >= 0:
        parts += [text[:at], marks.get(text[at : at + 2], text[at : at + 2])]
        text = text[at + 2 :]
    return "".join((*parts, text))


def words_of(settings: PlayerSettings) -> dict[str, str]:
    """What keywords stand for that is the same in every message."""
    is_ipv6 = ":" in settings.local_ip
    keys = {name: as_bytes(value) for name, value in settings.keys.items()}
    return keys | {
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


def as_bytes(text: str) -> str:
    """Text from outside as one character a byte."""
    return text.encode(errors="surrogateescape").decode("latin-1")
