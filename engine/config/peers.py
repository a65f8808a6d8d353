"""`[[peer]]` and `[[route]]`: whom the node talks to, and which real numbers lead there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, PrivateAttr

from engine.config import values
from engine.config.table import STRICT, Name
from engine.config.targets import target, target_text
from engine.core.number_rules import NumberRules
from engine.core.settings import (
    CallerSource,
    NumberFormat,
    PeerSettings,
    Profile,
    ServedSide,
)


class Peer(BaseModel):
    """`[[peer]]`: a trunk: who may send to the node, and where the node sends. A call or message from a source that
    matches no peer gets no answer at all. A peer has `match` or `tls_names`, `targets`, or both."""

    model_config = STRICT

    name: Name
    """Name of the peer, for routes, records and logs: 1 to 64 of `A-Z a-z 0-9 . _ -`."""
    match: list[Annotated[str, AfterValidator(values.match_text)]] = []
    """Where its requests come from: networks (`"10.1.0.0/16"`), addresses, or `"address:port"`. The most specific
    entry wins, and no two peers may have the same one. A switch that answers from another address than the one that it
    is asked at needs both."""
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
    number_rules_in: Annotated[str, AfterValidator(values.name)] | None = None
    """Name of the [rules](#number_rules) by which what comes from this peer is made a number that `number_format` can
    be read of: a routing prefix taken off, an area code put before. See [numbers.md](numbers.md)."""
    number_rules_out: Annotated[str, AfterValidator(values.name)] | None = None
    """Name of the rules by which a real number (canonical: no `+86`, no trunk 0) is made what this peer is sent. What
    none of them takes is written in `number_format`."""
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
    both sides can be charged together; so do the names of networks from another such peer. See [ims.md](ims.md)."""
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
    those that stumble over it, `["MD5"]`. Where the node has a `username`: without `"MD5"` here it answers no challenge
    of MD5."""
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

    @property
    def secret(self) -> str:
        """The password, wherever it is written; "" without one."""
        return self._password

    def core_settings(self, rules: Mapping[str | None, NumberRules]) -> PeerSettings:
        """The same for the core; `rules` are the sets by their names."""
        return PeerSettings(
            name=self.name,
            match=tuple(self.match),
            tls_names=tuple(self.tls_names),
            targets=tuple(target(text).core_settings() for text in self.targets),
            number_format=NumberFormat(self.number_format),
            rules_in=rules.get(self.number_rules_in),
            rules_out=rules.get(self.number_rules_out),
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


class Route(BaseModel):
    """`[[route]]`: which peers reach a real number. The first route whose expression matches wins; where none
    matches, the call ends as NO_ROUTE."""

    model_config = STRICT

    name: Name
    """Name of the route, 1 to 64 of `A-Z a-z 0-9 . _ -`."""
    called: Annotated[str, AfterValidator(values.expression)]
    """Regular expression, searched in the canonical national number: no `+86`, no trunk 0. One that can take very
    long on some number is refused, such as `(1[0-9]*)*$`: a repetition of what varies itself."""
    peers: Annotated[list[str], Field(min_length=1)]
    """Names of peers with targets, in failover order."""
    transit: bool = False
    """true: what is called as a real number is relayed, too, with its identities untouched; of these routes the first
    that matches wins. Without one such a call ends as NO_ROUTE. See [transit.md](transit.md)."""
