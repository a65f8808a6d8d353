"""What a scenario file says, read and checked: plain values that the player walks through.

Text is one character a byte (ISO 8859-1) throughout the package, so that bytes of any kind pass through unchanged.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Final

# Index of the element behind the last one: the end of the scenario.
Index = int


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong, or without effect, in a file."""

    line: int
    text: str


class ScenarioError(Exception):
    """A file that cannot be played. `str()` is one line for each fault: `file:line: text`."""

    def __init__(self, path: Path, faults: list[Fault]) -> None:
        self.path = path
        self.faults = faults
        super().__init__("\n".join(f"{path}:{fault.line}: {fault.text}" for fault in faults))


class SettingsError(Exception):
    """A scenario cannot be played in the way that is asked for; the text is one line."""


@dataclass(frozen=True, slots=True)
class Keyword:
    """`[name argument+offset]` in a text."""

    name: str
    argument: str = ""
    offset: int = 0


@dataclass(frozen=True, slots=True)
class Template:
    """Literals and keywords in the order of a text."""

    parts: tuple[str | Keyword, ...]


class Place(Enum):
    """Where `ereg` looks."""

    MESSAGE = "msg"
    HEADER = "hdr"
    BODY = "body"


@dataclass(frozen=True, slots=True)
class Match:
    """`<ereg>`: the first variable takes the whole match, each further one the next sub-expression."""

    pattern: re.Pattern[str]
    is_greedy: bool  # what Python finds first is the longest match
    place: Place
    header: str
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
    """`<log>` and `<warning>`."""

    text: Template


Action = Match | Assign | Say


@dataclass(frozen=True, slots=True)
class Common:
    """What every element may have. `next` is taken when there is no `test`, or its variable is set."""

    line: int
    next: Index | None = None
    test: str | None = None
    actions: tuple[Action, ...] = ()


@dataclass(frozen=True, slots=True)
class Send(Common):
    """`<send>`. `method` is "" in a response."""

    text: Template = field(default_factory=lambda: Template(()))
    method: str = ""
    retrans_s: float | None = None
    on_timeout: Index | None = None
    start_txn: str | None = None


class Optional(Enum):
    """`optional=`: GLOBAL is expected from its place to the end."""

    NO = "false"
    YES = "true"
    GLOBAL = "global"


@dataclass(frozen=True, slots=True)
class Recv(Common):
    """`<recv>`: either `request` (or `pattern`, matched against the method) or `status` is set.

    A status counts for a response to one of `methods`, or of the transaction `response_txn`.
    """

    request: str = ""
    pattern: re.Pattern[str] | None = None
    status: int = 0
    methods: frozenset[str] = frozenset()
    response_txn: str | None = None
    optional: Optional = Optional.NO
    records_routes: bool = False
    timeout_s: float | None = None
    on_timeout: Index | None = None

    @property
    def shown(self) -> str:
        """For a person: INVITE, 200."""
        return self.request or str(self.status)


@dataclass(frozen=True, slots=True)
class Pause(Common):
    """`<pause>`; None: as long as `-d` says."""

    duration_s: float | None = None


@dataclass(frozen=True, slots=True)
class Nop(Common):
    """`<nop>`: only actions."""


Element = Send | Recv | Pause | Nop


@dataclass(frozen=True, slots=True)
class Scenario:
    """One file. `without_effect` lists what it says that SIPp heeds and the player does not."""

    path: Path
    name: str
    elements: tuple[Element, ...]
    without_effect: tuple[Fault, ...]
    keywords: frozenset[str]  # names given with `-key` that it needs
    fields: int  # how many fields a row of injection must have at least

    @property
    def is_server(self) -> bool:
        """True when a call begins with a request from the other side."""
        first = next((element for element in self.elements if isinstance(element, Send | Recv)), None)
        return isinstance(first, Recv)


MAX_FILE_BYTES: Final = 1024 * 1024  # a scenario is read by people
