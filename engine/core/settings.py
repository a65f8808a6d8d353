"""What the core is told about the node: frozen, plain, already checked.

`engine.config` reads TOML and builds these; the core never sees a pydantic model or a file.
Durations keep the unit of their configuration key in the name.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, final

from engine.core.number_rules import NumberRules
from sipstack.location import Place


class NumberFormat(StrEnum):
    """How real numbers look on a trunk, both ways (contract §4, `number_format`)."""

    NATIONAL = "national"  # 13800138000
    PLUS = "plus"  # +8613800138000
    PREFIX86 = "prefix86"  # 8613800138000
    TEL = "tel"  # tel:+8613800138000 instead of a SIP URI


# Names for the call path: looking a member up in its class costs more than comparing it.
NATIONAL: Final = NumberFormat.NATIONAL
TEL: Final = NumberFormat.TEL


class CallerSource(StrEnum):
    """Where the caller's number is read on requests from a peer (contract §4, `caller`)."""

    PAI_OR_FROM = "pai-or-from"
    PAI = "pai"
    FROM = "from"
    DIGEST = "digest"  # the account that its sender has shown to know the password of


# For the call path, like those above.
DIGEST: Final = CallerSource.DIGEST


class Profile(StrEnum):
    """What kind of network a trunk leads to."""

    TRUNK = "trunk"  # another network: no identifier of one side means anything on the other
    ISC = "isc"  # the S-CSCF of one's own IMS: both sides are charged together, so the icid-value stays


# For the call path, like those above.
ISC: Final = Profile.ISC


class ServedSide(StrEnum):
    """Whose registration an S-CSCF serves when it sends a request here (TS 24.229 §5.7.1)."""

    ANY = "any"
    ORIG = "orig"  # the caller's
    TERM = "term"  # the callee's


class MessageText(StrEnum):
    """What happens to the sender's own real number written in a message (contract §4)."""

    MASK = "mask"
    RELAY = "relay"


class SessionTimer(StrEnum):
    """Who sees to it that a call is still there (contract §4, `session_timer`)."""

    INSIST = "insist"  # the node asks the ends itself where they do not refresh
    RELAY = "relay"  # the ends; the node ends what they have agreed to refresh, and do not
    OFF = "off"  # nobody: `max_call_s` is the only limit


# For the call path, like those above.
INSIST: Final = SessionTimer.INSIST
OFF: Final = SessionTimer.OFF


@final
@dataclass(frozen=True, slots=True)
class ListenerSettings:
    """One socket that takes SIP. `host` is an IP literal without brackets."""

    transport: str  # as in Flow: "UDP", "TCP" or "TLS"
    host: str
    port: int
    advertise: str  # sent-by in Via and host:port in Contact: "127.0.0.11:5060", "[::1]:5060"


@final
@dataclass(frozen=True, slots=True)
class TargetSettings:
    """One place where a peer takes requests."""

    uri: str  # as configured, for records: "sip:127.0.0.13:5060"
    host: str  # an IP literal without brackets, or a name
    port: int  # 0: a name, and no port with it
    transport: str = "UDP"  # as in Flow; "": a name, and no transport with it
    priority: int = 0  # the lowest is tried first
    weight: int | None = None  # the share among those of one priority; all None: they are tried in order
    place: Place | None = None  # what is to be resolved; None for an IP literal
    is_secure: bool = False  # a sips URI


@final
@dataclass(frozen=True, slots=True)
class PeerSettings:
    """A trunk: who may send to us and where we send."""

    name: str
    match: tuple[str, ...]  # "127.0.0.0/8", "198.51.100.4", "198.51.100.4:5080"
    targets: tuple[TargetSettings, ...]
    number_format: NumberFormat = NumberFormat.NATIONAL
    rules_in: NumberRules | None = None  # make what is then read in `number_format`
    rules_out: NumberRules | None = None  # make of canonical real numbers what is sent
    trusted: bool = True
    caller: CallerSource = CallerSource.PAI_OR_FROM
    serves_700: tuple[str, ...] = ()  # 11-digit blocks that this peer may use as caller
    uniform_refusals: bool = False
    pass_headers: tuple[str, ...] = ()
    sms_centres: tuple[str, ...] = ()  # canonical national numbers of service centres behind this peer
    profile: Profile = Profile.TRUNK
    served_side: ServedSide = ServedSide.ANY  # which an S-CSCF may send requests for
    follow_redirect: bool = False  # of a 3xx from this peer the number is used
    allow_transfer: bool = False  # REFER and NOTIFY cross in a call whose other peer allows them too
    options_interval_s: int = 0  # between two probes of a target; 0: it is not probed
    options_up_after: int = 1  # answered probes in a row that bring one back
    options_down_after: int = 2  # lost ones in a row that take one down
    max_calls: int = 0  # at the same time, on either side of a call; 0 is no limit
    overload_control: bool = False  # what its targets ask to be kept back is (RFC 7339)
    max_rate: int = 0  # new calls and messages a second, in either role; 0 is no limit
    digest_algorithms: tuple[str, ...] = ("SHA-256", "MD5")  # asked for in this order, where `caller` is DIGEST
    tls_names: tuple[str, ...] = ()  # in lower case: without one of them in its certificate nobody is this peer
    username: str = ""  # the node's own at this peer, where that challenges it; "": it has none
    password: str = field(default="", repr=False)
    realm: str = ""  # the only one that gets them; "": any of this peer's

    @property
    def is_ims(self) -> bool:
        """An S-CSCF of the node's own IMS, within the trust domain."""
        return self.trusted and self.profile is ISC


@final
@dataclass(frozen=True, slots=True)
class AccountSettings:
    """Who may call through a peer with `caller` DIGEST, and from which numbers.

    A hash is H(A1) of RFC 7616 §3.4.2, "" where this account has none of that algorithm. User and realm are such as
    stand between quotes (`sipstack.digest.may_be_quoted`). All accounts of a peer have one realm.
    """

    user: str
    realm: str
    peer: str
    numbers: tuple[str, ...]  # canonical real numbers, at least one
    ha1_sha256: str = field(default="", repr=False)
    ha1_md5: str = field(default="", repr=False)


@final
@dataclass(frozen=True, slots=True)
class RouteSettings:
    """First match on the canonical national number wins; peers in failover order."""

    name: str
    called: str  # regular expression, searched
    peers: tuple[str, ...]
    transit: bool = False  # takes what is called as a real number, too


@final
@dataclass(frozen=True, slots=True)
class PolicySettings:
    """Limits in time and what a message may say (contract §4, `[policy]`)."""

    ring_timeout_s: float = 60.0
    first_response_ms: int = 4000
    message_timeout_s: float = 20.0
    max_call_s: float = 14400.0
    message_text: MessageText = MessageText.MASK
    min_se_s: int = 90
    session_expires_s: int = 1800
    session_timer: SessionTimer = SessionTimer.INSIST
    caller_max_calls: int = 0  # of one caller at the same time; 0 is no limit
    caller_max_rate: int = 0  # new calls and messages of one caller a minute; 0 is no limit


@final
@dataclass(frozen=True, slots=True)
class CoreSettings:
    """Everything that `engine.core` may know of the configuration."""

    node: str
    domain: str  # host part of From and P-Asserted-Identity
    listeners: tuple[ListenerSettings, ...]  # at least one; a Flow's `local` is the index here
    peers: tuple[PeerSettings, ...]
    routes: tuple[RouteSettings, ...]
    policy: PolicySettings
    country_code: str = "86"
    t1_ms: int = 500
    accounts: tuple[AccountSettings, ...] = ()
