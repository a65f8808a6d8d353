"""The configuration as models: one class per table of the file, with unit and meaning under each key.

`docs/generate.py` makes docs/configuration.md out of these texts, so they are written for the reader of that page:
"Not yet:" says what of a key is known and refused. Names, defaults and meaning are those of contract §4.
`engine.config.loader` reads a file into `Config`; the core is given `Config.core_settings()` and never sees a model.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, Field, PrivateAttr

from engine.config import values
from engine.config.accounts import Account
from engine.config.api import Api
from engine.config.expects import Expect
from engine.config.lines import Places
from engine.config.listeners import Listen
from engine.config.number_rules import NumberRules
from engine.config.peers import Peer, Route
from engine.config.table import STRICT, Name
from engine.config.transport import Transport
from engine.core import number_rules as core
from engine.core.settings import (
    CoreSettings,
    ListenerSettings,
    MessageText,
    PolicySettings,
    RouteSettings,
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
    workers: Annotated[int, Field(ge=0, le=32)] = 1
    """SIP processes; 0 is one per core: [workers](workers.md)."""


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
    """How far apart groups of records begin, to 0.12 ms: so long one is gathered. 0 is as soon as the disk is free."""
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
    number_rules: list[NumberRules] = []
    peer: list[Peer] = []
    account: list[Account] = []
    route: list[Route] = []
    dns: Dns = Dns()
    sip: Sip = Sip()
    transport: Transport = Transport()
    policy: Policy = Policy()
    cdr: Cdr = Cdr()
    api: Api | None = None
    log: Log = Log()
    expect: list[Expect] = []

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
    def rule_sets(self) -> dict[str | None, core.NumberRules]:
        """The number rules by the names of their sets."""
        return {entry.name: entry.core_rules() for entry in self.number_rules}

    @property
    def listeners(self) -> tuple[ListenerSettings, ...]:
        """The sockets that take SIP, in the order in which they stand: a Flow's `local` is the index."""
        return tuple(listen.core_settings() for listen in self.listen)

    @property
    def text(self) -> str:
        """What the file says."""
        return self._text

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
        rules = self.rule_sets
        return CoreSettings(
            node=self.node.name,
            domain=self.node.domain,
            listeners=self.listeners,
            peers=tuple(peer.core_settings(rules) for peer in self.peer),
            routes=tuple(
                RouteSettings(route.name, route.called, tuple(route.peers), route.transit) for route in self.route
            ),
            policy=self.policy.core_settings(),
            country_code=self.numbering.country_code,
            t1_ms=self.sip.t1_ms,
            accounts=tuple(account.core_settings(self.node.domain) for account in self.account),
        )
