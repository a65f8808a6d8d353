"""The configuration as models: one class per table of the file, with unit and meaning under each key.

Names, defaults and meaning are those of contract §4. `engine.config.loader` reads a file into `Config`; the core is
given `Config.core_settings()` and never sees a model.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PrivateAttr

from engine.config import values
from engine.core.settings import (
    CallerSource,
    CoreSettings,
    MessageText,
    NumberFormat,
    PeerSettings,
    PolicySettings,
    RouteSettings,
    TargetSettings,
)

Name = Annotated[str, AfterValidator(values.name)]
Seconds = Annotated[float, Field(gt=0, le=30 * 86400, allow_inf_nan=False)]
Milliseconds = Annotated[int, Field(ge=1, le=3_600_000)]
NotYet = Annotated[str | None, BeforeValidator(values.not_yet)]


class Table(BaseModel):
    """A table of the file: unknown keys and wrong types are errors."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Node(Table):
    """`[node]`: who we are and where our data lies."""

    name: Name = "veil-1"
    """Name of this node in records and logs; two nodes never share one."""
    domain: Annotated[str, AfterValidator(values.domain)] = "veil.example"
    """Host part of From, To and P-Asserted-Identity in what we send."""
    data_dir: Annotated[str, Field(min_length=1)] = "var"
    """Folder of bindings.db, records.db, key and control-0.sock, relative to the file."""
    workers: Annotated[int, Field(ge=0, le=1024), AfterValidator(values.only(1))] = 1
    """Number of SIP processes; 0 is one per core. Only 1 is built."""


class Listen(Table):
    """`[[listen]]`: a socket that takes SIP. One over UDP is built."""

    transport: Annotated[Literal["udp", "tcp", "tls"], AfterValidator(values.only("udp"))] = "udp"
    """Transport protocol."""
    address: Annotated[str, AfterValidator(values.listen_address)] = "127.0.0.1:5060"
    """address:port to bind; IPv6 as [::1]:5060."""
    advertise: Annotated[str, AfterValidator(values.advertised)] | None = None
    """host:port that stands in Via and Contact; the address itself when absent."""
    certificate: NotYet = None
    """TLS certificate file (PEM)."""
    private_key: NotYet = None
    """TLS key file (PEM)."""
    client_ca: NotYet = None
    """File of the authorities (PEM) whose client certificates are accepted."""


class Store(Table):
    """`[store]`: where bindings and records are kept."""

    url: Annotated[str, AfterValidator(values.store_url)] = "sqlite"
    """`sqlite`: two files in data_dir."""


class Inventory(Table):
    """`[inventory]`: who holds which numbers."""

    file: Annotated[str, Field(min_length=1)] | None = None
    """Inventory applied at each start, relative to the file."""


class Numbering(Table):
    """`[numbering]`: the numbering plan."""

    country_code: Annotated[str, AfterValidator(values.country_code), AfterValidator(values.only("86"))] = "86"
    """ITU-T E.164 country code."""
    layout: Annotated[list[int], AfterValidator(values.layout), AfterValidator(values.only([3, 1, 7, 4]))] = [
        3,
        1,
        7,
        4,
    ]
    """Digits of 700, operator, platform and user in a 700 number."""


class Peer(Table):
    """`[[peer]]`: a trunk; who may send to us, and where we send."""

    name: Name
    """Name of the peer, for routes, records and logs."""
    match: list[Annotated[str, AfterValidator(values.match_text)]] = []
    """Sources of its requests: network, address or address:port; the most specific wins."""
    targets: list[Annotated[str, AfterValidator(values.target_text)]] = []
    """SIP URIs that take our requests, tried in order."""
    number_format: Literal["national", "plus", "prefix86", "tel"] = "national"
    """How real numbers look on this trunk, both ways."""
    trusted: bool = True
    """True: within the RFC 3325 trust domain, P-Asserted-Identity is read and written."""
    caller: Annotated[Literal["pai-or-from", "pai", "from", "digest"], AfterValidator(values.not_digest)] | None = None
    """Where the caller's number is read; an untrusted peer must say, a trusted one has pai-or-from."""
    serves_700: list[Annotated[str, AfterValidator(values.number_block)]] = []
    """Number blocks (11 digits) whose numbers this peer may use as caller."""
    uniform_refusals: bool | None = None
    """True: every policy refusal leaves as 404 with Q.850 cause 1; true unless set when untrusted."""
    pass_headers: list[Annotated[str, AfterValidator(values.passed_header)]] = []
    """Names of further header fields that are let through to this peer."""
    follow_redirect: Annotated[bool, AfterValidator(values.only(False))] = False
    """False: a 3xx of this peer is a refusal; true: its number is decided and routed anew."""
    allow_transfer: Annotated[bool, AfterValidator(values.only(False))] = False
    """True: REFER and NOTIFY are let through in a dialog."""
    max_calls: Annotated[int, Field(ge=0), AfterValidator(values.only(0))] = 0
    """Calls at the same time; 0 is no limit."""
    max_rate: Annotated[int, Field(ge=0), AfterValidator(values.only(0))] = 0
    """New calls and messages per second; 0 is no limit."""
    options_interval_s: Annotated[int, Field(ge=0), AfterValidator(values.only(0))] = 0
    """Seconds between two health probes; 0 is none."""

    def core_settings(self) -> PeerSettings:
        """The same for the core."""
        return PeerSettings(
            name=self.name,
            match=tuple(self.match),
            targets=tuple(_target(uri) for uri in self.targets),
            number_format=NumberFormat(self.number_format),
            trusted=self.trusted,
            caller=CallerSource(self.caller or "pai-or-from"),
            serves_700=tuple(self.serves_700),
            uniform_refusals=bool(self.uniform_refusals),
            pass_headers=tuple(self.pass_headers),
        )


class Route(Table):
    """`[[route]]`: which peers reach a real number; the first route that matches wins."""

    name: Name
    """Name of the route."""
    called: Annotated[str, AfterValidator(values.expression)]
    """Regular expression, searched in the canonical national number."""
    peers: Annotated[list[str], Field(min_length=1)]
    """Names of peers in failover order."""
    transit: Annotated[bool, AfterValidator(values.only(False))] = False
    """True: numbers that are no 700 numbers are relayed, identities untouched."""


class Sip(Table):
    """`[sip]`: timers of the protocol."""

    t1_ms: Annotated[int, Field(ge=10, le=10_000)] = 500
    """RFC 3261 T1 in milliseconds: the estimate of a round trip, from which retransmissions follow."""


class Policy(Table):
    """`[policy]`: limits in time, and what a message may say."""

    ring_timeout_s: Seconds = 60.0
    """Seconds without an answer after which the call is cancelled: NO_ANSWER."""
    first_response_ms: Milliseconds = 4000
    """Milliseconds without any response after which the next target is tried."""
    message_timeout_s: Seconds = 20.0
    """Seconds without a final response after which a message is UNREACHABLE."""
    max_call_s: Seconds = 14400.0
    """Seconds after which an answered call is ended: MAX_DURATION."""
    session_expires_s: Annotated[int, Field(ge=90), AfterValidator(values.only(1800))] = 1800
    """RFC 4028 session interval in seconds."""
    min_se_s: Annotated[int, Field(ge=90), AfterValidator(values.only(90))] = 90
    """RFC 4028 shortest session interval in seconds that we accept."""
    session_timer: Annotated[Literal["insist", "relay", "off"], AfterValidator(values.only("insist"))] = "insist"
    """insist: the node refreshes itself where the ends do not; relay: the ends' business; off: none."""
    message_text: Literal["mask", "relay"] = "mask"
    """The sender's own real number in the text of a message is masked, or relayed."""

    def core_settings(self) -> PolicySettings:
        """The same for the core."""
        return PolicySettings(
            ring_timeout_s=self.ring_timeout_s,
            first_response_ms=self.first_response_ms,
            message_timeout_s=self.message_timeout_s,
            max_call_s=self.max_call_s,
            message_text=MessageText(self.message_text),
        )


class Cdr(Table):
    """`[cdr]`: records."""

    retention_days: Annotated[int, Field(le=36_500), AfterValidator(values.retention)] = 730
    """Days that records are kept; two years at least."""
    commit_window_ms: Annotated[int, Field(ge=0, le=200)] = 2
    """Milliseconds that the writer gathers a group of records, under load up to 10; 0 is as soon as it is free."""


class Api(Table):
    """`[api]`: the HTTP API; none without this table. Not built yet."""

    address: Annotated[str, AfterValidator(values.listen_address)] = "127.0.0.1:8700"
    """address:port to bind."""


class Log(Table):
    """`[log]`: what is written on stderr."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """The least that is written."""
    format: Literal["console", "json"] = "console"
    """console: for people; json: one object per line."""


class Config(Table):
    """The whole file."""

    node: Node = Node()
    listen: Annotated[list[Listen], Field(min_length=1)] = [Listen()]
    store: Store = Store()
    inventory: Inventory = Inventory()
    numbering: Numbering = Numbering()
    peer: list[Peer] = []
    route: list[Route] = []
    sip: Sip = Sip()
    policy: Policy = Policy()
    cdr: Cdr = Cdr()
    api: Annotated[Api | None, BeforeValidator(values.not_yet)] = None
    log: Log = Log()

    _path: Path = PrivateAttr(default=Path())
    _data_dir: Path = PrivateAttr(default=Path())

    @property
    def path(self) -> Path:
        """The file, absolute."""
        return self._path

    @property
    def data_dir(self) -> Path:
        """The data folder, absolute; it need not exist yet."""
        return self._data_dir

    @property
    def inventory_file(self) -> Path | None:
        """The inventory, absolute; None without one."""
        return None if self.inventory.file is None else self._path.parent / self.inventory.file

    @property
    def listen_address(self) -> tuple[str, int]:
        """Address (without brackets) and port of the SIP socket."""
        address, port = values.socket_address(self.listen[0].address)
        return str(address), port

    def place(self, path: Path, data_dir: Path | None) -> None:
        """Tell where the file is, and the data folder when it is not the one that the file names."""
        self._path = path
        self._data_dir = data_dir or path.parent / self.node.data_dir

    def core_settings(self) -> CoreSettings:
        """All that the core may know."""
        listen = self.listen[0]
        return CoreSettings(
            node=self.node.name,
            domain=self.node.domain,
            advertise=listen.advertise or listen.address,
            peers=tuple(peer.core_settings() for peer in self.peer),
            routes=tuple(RouteSettings(route.name, route.called, tuple(route.peers)) for route in self.route),
            policy=self.policy.core_settings(),
            country_code=self.numbering.country_code,
            t1_ms=self.sip.t1_ms,
        )


def _target(uri: str) -> TargetSettings:
    target = values.target(uri)
    return TargetSettings(uri, str(target.address), target.port)
