"""What `<action>` may hold, as plain values."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from sipstack.scenario.commands import Media, StopKind
from sipstack.scenario.distributions import Distribution
from sipstack.scenario.template import Template


class Place(Enum):
    """Where `ereg` looks."""

    MESSAGE = "msg"
    HEADER = "hdr"
    BODY = "body"
    VARIABLE = "var"


@dataclass(frozen=True, slots=True)
class Match:
    """`<ereg>`: the first variable takes the whole match, each further one the next sub-expression."""

    pattern: re.Pattern[str]
    is_greedy: bool  # what Python finds first is the longest match
    place: Place
    header: str
    variable: str
    ignore_case: bool  # in the header's name
    anywhere: bool  # the header's name need not begin a line
    occurrence: int
    assign_to: tuple[str, ...]
    must_match: bool | None  # None: either is fine


@dataclass(frozen=True, slots=True)
class Assign:
    """`<assignstr>`."""

    name: str
    value: Template


@dataclass(frozen=True, slots=True)
class Say:
    """`<log>`, `<warning>` and `<error>`, which also ends the run."""

    kind: str
    text: Template


@dataclass(frozen=True, slots=True)
class Number:
    """A second operand: a variable, or the value when there is none."""

    variable: str | None
    value: float


@dataclass(frozen=True, slots=True)
class Compute:
    """`<assign>`, `<add>`, `<subtract>`, `<multiply>`, `<divide>`: `kind` says which."""

    kind: str
    name: str
    operand: Number


@dataclass(frozen=True, slots=True)
class Draw:
    """`<sample>`."""

    name: str
    distribution: Distribution


@dataclass(frozen=True, slots=True)
class ToNumber:
    """`<todouble>`."""

    name: str
    variable: str


@dataclass(frozen=True, slots=True)
class Compare:
    """`<test>`: the result is yes or no. `assign_to` is "" where it is only checked."""

    assign_to: str
    variable: str
    comparison: str
    operand: Number
    must_hold: bool | None


@dataclass(frozen=True, slots=True)
class CompareText:
    """`<strcmp>`: the result is below, at or above 0."""

    assign_to: str
    variable: str
    other: str | None
    value: str
    must_hold: bool | None


@dataclass(frozen=True, slots=True)
class Jump:
    """`<jump>`: to the element of that number, from 0."""

    to: Number


@dataclass(frozen=True, slots=True)
class RestorePause:
    """`<pauserestore>`: the pause ends at that tick of the clock."""

    until: Number


@dataclass(frozen=True, slots=True)
class NameIndex:
    """`<index>`: the number of this element."""

    name: str


@dataclass(frozen=True, slots=True)
class TimeOfDay:
    """`<gettimeofday>`: seconds since 1970, and microseconds."""

    seconds: str
    microseconds: str


@dataclass(frozen=True, slots=True)
class Lookup:
    """`<lookup>`: the line of an indexed file."""

    name: str
    file: Template
    key: Template


@dataclass(frozen=True, slots=True)
class Insert:
    """`<insert>`, and `<replace>` with a line."""

    file: Template
    line: Template | None
    value: Template


@dataclass(frozen=True, slots=True)
class Change:
    """`<trim>`, `<urlencode>` and `<urldecode>`: `kind` says which."""

    kind: str
    name: str


@dataclass(frozen=True, slots=True)
class Verify:
    """`<verifyauth>`."""

    name: str
    username: Template
    password: Template


@dataclass(frozen=True, slots=True)
class Redirect:
    """`<setdest>`."""

    host: Template
    port: Template
    protocol: Template


@dataclass(frozen=True, slots=True)
class Close:
    """`<closecon>`."""


@dataclass(frozen=True, slots=True)
class Shell:
    """`<exec command=...>`."""

    command: Template


@dataclass(frozen=True, slots=True)
class StopCall:
    """`<exec int_cmd="stop_call">`."""


@dataclass(frozen=True, slots=True)
class StopAll:
    """`<exec int_cmd=...>` that ends the run."""

    kind: StopKind


@dataclass(frozen=True, slots=True)
class Pcap:
    """`<exec play_pcap_audio=...>`."""

    path: Template
    media: Media


@dataclass(frozen=True, slots=True)
class Dtmf:
    """`<exec play_dtmf=...>`."""

    digits: Template


@dataclass(frozen=True, slots=True)
class Stream:
    """`<exec rtp_stream=...>`; `media_words.parse_stream` reads the text."""

    text: Template


@dataclass(frozen=True, slots=True)
class Echo:
    """`<rtp_echo>` and `<exec rtp_echo=...>`: on when the number is not 0."""

    state: Number
    media: Media


Action = (
    Match | Assign | Say | Compute | Draw | ToNumber | Compare | CompareText | Jump | RestorePause | NameIndex
    | TimeOfDay | Lookup | Insert | Change | Verify | Redirect | Close | Shell | StopCall | StopAll | Pcap | Dtmf
    | Stream | Echo
)  # fmt: skip
