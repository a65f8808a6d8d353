"""The configuration as models: one class per table of the file, with unit and meaning under each key.

`docs/generate.py` makes docs/configuration.md out of these texts, so they are written for the reader of that page:
"Not yet:" says what of a key is known and refused. Names, defaults and meaning are those of contract §4.
`engine.config.loader` reads a file into `Config`; the core is given `Config.core_settings()` and never sees a model.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, PrivateAttr

from engine.config import values
from engine.config.accounts import Account
from engine.config.lines import Places
from engine.config.listeners import Listen
from engine.config.table import STRICT, Name
from engine.config.targets import target, target_text
from engine.core.settings import (
    CallerSource,
    CoreSettings,
    ListenerSettings,
    MessageText,
    NumberFormat,
    PeerSettings,
    PolicySettings,
    Profile,
    RouteSettings,
    ServedSide,
    SessionTimer,
)
from sipstack.location import DnsSettings

Seconds = Annotated[float, Field(gt=0, le=30 * 86400, allow_inf_nan=False)]
Milliseconds = Annotated[int, Field(ge=1, le=3_600_000)]


class Table(BaseModel):
    """A table of the file."""

    model_config = STRICT


class Node(Table):
    """`[node]`: who the node is and where its data lies."""

    name: Name = "veil-1"
    """Name of this node in records and logs: 1 to 64 of `A-Z a-z 0-9 . _ -`. Two nodes never share one."""
    domain: Annotated[str, AfterValidator(values.domain)] = "veil.example"
    """Host part of From and P-Asserted-Identity in what the node sends with a 700 number."""
    data_dir: Annotated[str, Field(min_length=1)] = "var"
    """Folder, made when missing: `bindings.db`, `records.db`, `journal/`, `key` and `signing_key` (mode 0600),
    `signing_key.pub`, `control-0.sock`."""
    workers: Annotated[int, Field(ge=0, le=1024), AfterValidator(values.only(1))] = 1
    """SIP processes; 0 is one per core. Not yet: only 1."""


class Store(Table):
    """`[store]`: where bindings and records are kept."""

    url: Annotated[str, AfterValidator(values.store_url)] = "sqlite"
    """`"sqlite"`: two files in `data_dir`. Not yet: anything else."""


class Inventory(Table):
    """`[inventory]`: who holds which numbers."""

    file: Annotated[str, Field(min_length=1)] | None = None
    """Inventory that is applied at each start; it must exist. Its keys stand [below](#the-inventory-file)."""


class Numbering(Table):
    """`[numbering]`: the numbering plan."""

    country_code: Annotated[str, AfterValidator(values.country_code), AfterValidator(values.only("86"))] = "86"
    """ITU-T E.164 country code. Not yet: only 86."""
    layout: Annotated[list[int], AfterValidator(values.layout), AfterValidator(values.only([3, 1, 7, 4]))] = [
        3,
        1,
        7,
        4,
    ]
    """Digits of 700, operator, platform and user: 11 managed ones, 15 used. Not yet: any other."""


class Peer(Table):
    """`[[peer]]`: a trunk: who may send to the node, and where the node sends. A call or message from a source that
    matches no peer gets no answer at all. A peer has `match` or `tls_names`, `targets`, or both."""

    name: Name
    """Name of the peer, for routes, records and logs: 1 to 64 of `A-Z a-z 0-9 . _ -`."""
    match: list[Annotated[str, AfterValidator(values.match_text)]] = []
    """Where its requests come from: networks (`"10.1.0.0/16"`), addresses, or `"address:port"`. The most specific
    entry wins, and no two peers may have the same one."""
    tls_names: list[Annotated[str, AfterValidator(values.tls_name)]] = []
    """Names of which its certificate must have one: then only what comes over TLS with such a certificate is from this
    peer, from one of `match` where there is any. A wildcard or a common name is no name: [trust](trust.md)."""
    targets: list[Annotated[str, BeforeValidator(target_text)]] = []
    """SIP URIs that take the node's requests, tried in order: `"sip:198.51.100.4:5080"`, `"sip:core.example"`. Names
    are looked up in the DNS, without a port by NAPTR and SRV. `;priority=` and `;weight=`, or a table
    `{ uri = "...", priority = 1, weight = 10 }`, choose among them: [routing](routing.md)."""
    number_format: Literal["national", "plus", "prefix86", "tel"] = "national"
    """How real numbers look on this trunk, both ways: `national` 13800138000, `plus` +8613800138000, `prefix86`
    8613800138000, `tel` a tel URI."""
    trusted: bool = True
    """Inside the trust domain of RFC 3325: P-Asserted-Identity is read and written."""
    caller: Literal["pai-or-from", "pai", "from", "digest"] | None = None
    """Where the caller's number is read. An untrusted peer has no default and must say. `digest`: its sender must show
    the password of an [account](#account), and calls from a number of that."""
    serves_700: list[Annotated[str, AfterValidator(values.number_block)]] = []
    """Number blocks (11 digits) whose 700 numbers this peer may use as caller."""
    uniform_refusals: bool | None = None
    """true: every refusal decided by policy leaves as 404 with Q.850 cause 1, so that nobody can try numbers out.
    An untrusted peer has true as its default."""
    pass_headers: list[Annotated[str, AfterValidator(values.passed_header)]] = []
    """Names of further header fields that are let through to this peer. Those that the node writes itself, and those
    that hold the identifiers of a dialog, are refused. What crosses is searched for the number, in encodings too."""
    sms_centres: list[Annotated[str, AfterValidator(values.real_number)]] = []
    """Numbers of the short message service centres behind this peer, in any spelling. A short message of 3GPP
    (`application/vnd.3gpp.sms`) that one of its phones submits is addressed to one of them; one that the node sends
    there goes to, or comes from, the first. Without any, none goes to this peer. Reports come from `match` and go to
    `targets`, so that both are needed with it."""
    profile: Literal["trunk", "isc"] = "trunk"
    """What the trunk leads to. `trunk`: another network; the icid-value (P-Charging-Vector) of what goes there is a
    fresh one. `isc`: the S-CSCF of the same IMS: its Route is followed, and the icid-value stays as it came, so that
    both sides can be charged together. See [ims.md](ims.md)."""
    served_side: Literal["any", "orig", "term"] = "any"
    """Which side the S-CSCF of a peer with profile `isc` may send requests for: `orig` the caller's, `term` the
    callee's. What names the other one in its Route or in P-Served-User is refused."""
    follow_redirect: bool = False
    """false: a 3xx from this peer ends the attempt as FORWARDING_REFUSED; true: the number in the Contact of its 300,
    301 or 302 is decided and routed anew, 5 times in an attempt at most. Its host never counts."""
    allow_transfer: bool = False
    """REFER and NOTIFY are let through in an answered call when the peers of both its sides allow it. Of Refer-To a
    700 number or a service number crosses, of a report its status code."""
    digest_algorithms: Annotated[list[Literal["SHA-256", "MD5"]], Field(min_length=1)] = ["SHA-256", "MD5"]
    """What `caller = "digest"` asks for, the preferred first. A phone that does not know one should take the next; for
    those that stumble over it, `["MD5"]`."""
    username: Annotated[str, AfterValidator(values.user)] | None = None
    """The node's own user at this peer, for one that answers 401 or 407. Each request is sent again once, with the
    answer to the strongest challenge: to a target of this peer, never to another one."""
    password: Annotated[str, AfterValidator(values.secret)] | None = None
    """Its password there; or `password_file`."""
    password_file: Annotated[str, Field(min_length=1)] | None = None
    """File with the password as its only line, relative to this file."""
    realm: Annotated[str, AfterValidator(values.quotable)] | None = None
    """The only realm whose challenges are answered. Without, any of this peer's is: then whoever it passes requests on
    to may ask too, and can try passwords against the answer."""
    overload_control: bool = False
    """The share of new calls and messages that a target asks to be kept back goes to the next one: RFC 7339."""
    max_calls: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    """Calls at the same time with this peer on either side; 0 is no limit. Beyond it: [overload](overload.md)."""
    max_rate: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    """New calls and messages from and to this peer together; 0 is no limit. Beyond it as with `max_calls`."""
    options_interval_s: Annotated[int, Field(ge=0, le=86_400)] = 0
    """Time between two probes (OPTIONS) of each target, a tenth more or less; 0 is none. See [health.md](health.md)."""
    options_up_after: Annotated[int, Field(ge=1, le=100)] = 1
    """So many answered probes in a row bring a target back that probes have taken down."""
    options_down_after: Annotated[int, Field(ge=1, le=100)] = 2
    """So many lost probes in a row take a target down: nothing else is sent there until it is back."""
    _password: str = PrivateAttr(default="")

    def core_settings(self) -> PeerSettings:
        """The same for the core."""
        return PeerSettings(
            name=self.name,
            match=tuple(self.match),
            tls_names=tuple(self.tls_names),
            targets=tuple(target(text).core_settings() for text in self.targets),
            number_format=NumberFormat(self.number_format),
            trusted=self.trusted,
            caller=CallerSource(self.caller or "pai-or-from"),
            serves_700=tuple(self.serves_700),
            uniform_refusals=bool(self.uniform_refusals),
            pass_headers=tuple(self.pass_headers),
            sms_centres=tuple(self.sms_centres),
            profile=Profile(self.profile),
            served_side=ServedSide(self.served_side),
            follow_redirect=self.follow_redirect,
            allow_transfer=self.allow_transfer,
            options_interval_s=self.options_interval_s,
            options_up_after=self.options_up_after,
            options_down_after=self.options_down_after,
            max_calls=self.max_calls,
            max_rate=self.max_rate,
            overload_control=self.overload_control,
            digest_algorithms=tuple(dict.fromkeys(self.digest_algorithms)),
            username=self.username or "",
            password=self._password,
            realm=self.realm or "",
        )


class Route(Table):
    """`[[route]]`: which peers reach a real number. The first route whose expression matches wins; where none
    matches, the call ends as NO_ROUTE."""

    name: Name
    """Name of the route, 1 to 64 of `A-Z a-z 0-9 . _ -`."""
    called: Annotated[str, AfterValidator(values.expression)]
    """Regular expression, searched in the canonical national number: no `+86`, no trunk 0."""
    peers: Annotated[list[str], Field(min_length=1)]
    """Names of peers with targets, in failover order."""
    transit: bool = False
    """true: what is called as a real number is relayed, too, with its identities untouched; of these routes the first
    that matches wins. Without one such a call ends as NO_ROUTE. See [transit.md](transit.md)."""


class Dns(Table):
    """`[dns]`: who is asked about targets that are names, and for how long answers are good: [routing](routing.md)."""

    servers: list[Annotated[str, AfterValidator(values.dns_server)]] = []
    """DNS servers, address or address:port, asked in order; none: those of `/etc/resolv.conf` at the start."""
    timeout_ms: Annotated[int, Field(ge=50, le=10_000)] = 1000
    """No answer of a server for so long: the next one is asked, and each twice at the most. No call waits for it."""
    min_ttl_s: Annotated[int, Field(ge=1, le=3600)] = 5
    """An answer is good for so long at least, and after a failure so long passes before the next question."""
    max_ttl_s: Annotated[int, Field(ge=1, le=86_400)] = 3600
    """An answer is good for so long at most; one that there is nothing for 60 s at most."""
    stale_s: Annotated[int, Field(ge=0, le=604_800)] = 3600
    """While no server answers, what is known counts on for so long."""

    def settings(self) -> DnsSettings:
        """The same for the resolver."""
        servers = tuple(values.dns_address(text) for text in self.servers)
        return DnsSettings(servers, self.timeout_ms / 1000, self.min_ttl_s, self.max_ttl_s, self.stale_s)


class Sip(Table):
    """`[sip]`: timers of the protocol."""

    t1_ms: Annotated[int, Field(ge=10, le=10_000)] = 500
    """T1 of RFC 3261, the estimate of a round trip: retransmissions and transaction timers follow from it."""
    dscp: Annotated[int, Field(ge=0, le=63)] = 0
    """Differentiated services code point (RFC 2474) of all that the node sends: 24 is CS3, 0 marks nothing."""


class Policy(Table):
    """`[policy]`: limits in time, and what a message may say."""

    ring_timeout_s: Seconds = 60.0
    """No answer for so long: the call is cancelled, NO_ANSWER."""
    first_response_ms: Milliseconds = 4000
    """Nothing at all from a target for so long: the next one is tried."""
    message_timeout_s: Seconds = 20.0
    """No final response to a message for so long: UNREACHABLE."""
    max_call_s: Seconds = 14400.0
    """An answered call is ended after so long: MAX_DURATION."""
    session_expires_s: Annotated[int, Field(ge=90, le=86_400)] = 1800
    """How long nothing may be heard of an end, with `session_timer = "insist"`: after half of it the node asks, in an
    answered call whose ends have agreed on no session interval (RFC 4028). Not less than `min_se_s`."""
    min_se_s: Annotated[int, Field(ge=90, le=1800)] = 90
    """Shortest session interval (RFC 4028): who asks for less is answered 422, or is given this one when it does not
    say that it supports `timer`."""
    session_timer: Literal["insist", "relay", "off"] = "insist"
    """`relay`: an answered call whose ends have agreed on a session interval, and that nobody refreshes, is ended:
    SESSION_EXPIRED. `insist`: so is one that an end has left, and the node refreshes where the ends do not. `off`:
    neither; a call that both ends have left stays until `max_call_s`. What the ends say about it crosses always."""
    message_text: Literal["mask", "relay"] = "mask"
    """The sender's own real number in the text of a message: `mask` it, or `relay` it: the text is then not searched,
    and the other party reads the number."""

    caller_max_calls: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    """Calls at the same time of one caller of one peer; 0 is no limit. One more is refused as RATE_LIMITED."""
    caller_max_rate: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    """New calls and messages of one caller of one peer; 0 is no limit. Beyond it RATE_LIMITED."""

    def core_settings(self) -> PolicySettings:
        """The same for the core."""
        return PolicySettings(
            ring_timeout_s=self.ring_timeout_s,
            first_response_ms=self.first_response_ms,
            message_timeout_s=self.message_timeout_s,
            max_call_s=self.max_call_s,
            message_text=MessageText(self.message_text),
            min_se_s=self.min_se_s,
            session_expires_s=self.session_expires_s,
            session_timer=SessionTimer(self.session_timer),
            caller_max_calls=self.caller_max_calls,
            caller_max_rate=self.caller_max_rate,
        )


class Cdr(Table):
    """`[cdr]`: the [records](records.md)."""

    retention_days: Annotated[int, Field(le=36_500), AfterValidator(values.retention)] = 730
    """How long records are kept, from the day on which they were written; less than two years is an error. What is
    older goes once a day: [retention](retention.md)."""
    media_retention_days: Annotated[int, AfterValidator(values.only(180))] = 180
    """How long recordings are kept. Not yet: there are none."""
    commit_window_ms: Annotated[int, Field(ge=0, le=200)] = 2
    """How far apart groups of records begin at least: so long one is gathered. 0 is as soon as the disk is free."""
    archive_dir: Annotated[str, Field(min_length=1)] | None = None
    """Folder of the [archive](exports.md#archive), relative to this file; it must exist when a day is written there.
    No record is purged before it is in it. Without: none."""
    utc_offset: Annotated[str, AfterValidator(values.utc_offset)] = "+08:00"
    """Where a day of the [settlement](exports.md#settlement) begins, and the times of `asterisk-csv`: hours and minutes
    from UTC, whatever the clock of the machine is set to. Stored times are UTC."""
    settlement_rounding: Literal["second", "6s", "minute"] = "minute"
    """To what each answered call is rounded up, by itself, before the settlement adds them up."""

    @property
    def utc_offset_s(self) -> int:
        """`utc_offset` in seconds."""
        return values.offset_s(self.utc_offset)


class Api(Table):
    """`[api]`: the HTTP API; none without this table. Not yet: the table must be absent."""

    address: Annotated[str, AfterValidator(values.listen_address)] = "127.0.0.1:8700"
    """address:port of the HTTP API. Not yet."""


class Log(Table):
    """`[log]`: what is written on stderr. Real numbers stand masked in it, whatever the level."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """The least that is written."""
    format: Literal["console", "json"] = "console"
    """`console` for people, `json` for one object per line."""


class Config(Table):
    """The whole file."""

    node: Node = Node()
    listen: Annotated[list[Listen], Field(min_length=1)] = [Listen()]
    store: Store = Store()
    inventory: Inventory = Inventory()
    numbering: Numbering = Numbering()
    peer: list[Peer] = []
    account: list[Account] = []
    route: list[Route] = []
    dns: Dns = Dns()
    sip: Sip = Sip()
    policy: Policy = Policy()
    cdr: Cdr = Cdr()
    api: Annotated[Api | None, BeforeValidator(values.not_yet)] = None
    log: Log = Log()

    _path: Path = PrivateAttr(default=Path())
    _data_dir: Path = PrivateAttr(default=Path())
    _text: str = PrivateAttr(default="")

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
    def archive_dir(self) -> Path | None:
        """The archive folder, absolute; None without one."""
        return None if self.cdr.archive_dir is None else self._path.parent / self.cdr.archive_dir

    @property
    def listeners(self) -> tuple[ListenerSettings, ...]:
        """The sockets that take SIP, in the order in which they stand: a Flow's `local` is the index."""
        return tuple(listen.core_settings() for listen in self.listen)

    @property
    def places(self) -> Places:
        """Where each key stands in the file."""
        return Places(self._path.name, self._text)

    def place(self, path: Path, data_dir: Path | None, text: str) -> None:
        """Tell where the file is and what it says, and the data folder when it is not the one that the file names."""
        self._path = path
        self._text = text
        self._data_dir = data_dir or path.parent / self.node.data_dir

    def core_settings(self) -> CoreSettings:
        """All that the core may know."""
        return CoreSettings(
            node=self.node.name,
            domain=self.node.domain,
            listeners=self.listeners,
            peers=tuple(peer.core_settings() for peer in self.peer),
            routes=tuple(
                RouteSettings(route.name, route.called, tuple(route.peers), route.transit) for route in self.route
            ),
            policy=self.policy.core_settings(),
            country_code=self.numbering.country_code,
            t1_ms=self.sip.t1_ms,
            accounts=tuple(account.core_settings(self.node.domain) for account in self.account),
        )
