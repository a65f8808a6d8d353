"""What a scenario file says, read and checked: plain values that the player walks through.

Text is one character a byte (ISO 8859-1) throughout the package, so that bytes of any kind pass through unchanged.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from pathlib import Path
from typing import Final

from sipstack.scenario.deeds import Action
from sipstack.scenario.distributions import Distribution
from sipstack.scenario.template import NOTHING, Template

# Index of the element behind the last one: the end of the scenario.
Index = int


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong, or without effect, in a file."""

    line: int
    text: str


class ScenarioError(Exception):
    """A file that cannot be played. `str()` is one line for each fault: `file:line: text`.

    `notes` and `keywords` are what has been read of it as far as that goes, as in `Scenario`.
    """

    def __init__(
        self, path: Path, faults: list[Fault], notes: tuple[Fault, ...] = (), keywords: frozenset[str] = frozenset()
    ) -> None:
        self.path = path
        self.faults = faults
        self.notes = notes
        self.keywords = keywords
        super().__init__("\n".join(f"{path}:{fault.line}: {fault.text}" for fault in faults))


class SettingsError(Exception):
    """A scenario cannot be played in the way that is asked for; the text is one line."""


@dataclass(frozen=True, slots=True)
class Common:
    """What every element may have. `next` is taken when there is no `test`, or its variable is set; with `chance` (0 to
    1) only as often. With `condexec` the element is passed over unless that variable is set, or, with
    `condexec_inverse`, unless it is not.
    """

    line: int
    next: Index | None = None
    test: str | None = None
    chance: float | None = None
    condexec: str | None = None
    condexec_inverse: bool = False
    actions: tuple[Action, ...] = ()
    start_rtd: str | None = None
    rtd: str | None = None
    repeat_rtd: bool = False
    counter: str | None = None
    lost_percent: float | None = None  # of its messages, thrown away on purpose; None: as `-lost` says
    display: str = ""
    is_hidden: bool = False  # on SIPp's screen
    ends_block: bool = False  # `crlf`: an empty line behind it on SIPp's screen

    @property
    def shown(self) -> str:
        """For a person: INVITE, 200."""
        return self.display


@dataclass(frozen=True, slots=True)
class Send(Common):
    """`<send>`. `method` is "" in a response; `timeout_s` is how long it may wait to leave."""

    text: Template = NOTHING
    method: str = ""
    status: int = 0
    retrans_s: float | None = None
    timeout_s: float | None = None
    on_timeout: Index | None = None
    start_txn: str | None = None
    ack_txn: str | None = None

    @property
    def shown(self) -> str:
        """For a person: INVITE, 200."""
        return self.display or self.method or str(self.status)


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
    advances: bool = True  # `advance_state`
    records_routes: bool = False
    keeps_challenge: bool = False  # `auth`
    ignores_sdp: bool = False
    timeout_s: float | None = None
    timeout_variable: str | None = None
    on_timeout: Index | None = None

    @property
    def shown(self) -> str:
        """For a person: INVITE, 200."""
        return self.display or self.request or str(self.status)


@dataclass(frozen=True, slots=True)
class Pause(Common):
    """`<pause>` and `<timewait>`; without a distribution and a variable as long as `-d` says.

    In a timewait the call is through already, and only answers what comes again.
    """

    length: Distribution | None = None
    variable: str | None = None
    is_timewait: bool = False


@dataclass(frozen=True, slots=True)
class Nop(Common):
    """`<nop>`: only actions."""


@dataclass(frozen=True, slots=True)
class TellTwin(Common):
    """`<sendCmd>`: a text for the twin of `-3pcc`, or for the peer `dest`."""

    text: Template = NOTHING
    dest: str = ""


@dataclass(frozen=True, slots=True)
class HearTwin(Common):
    """`<recvCmd>`: a text of the twin, or of the peer `source`."""

    source: str = ""
    optional: Optional = Optional.NO


Element = Send | Recv | Pause | Nop | TellTwin | HearTwin


class Begins(Enum):
    """What a call begins with: a message of ours, one of the other side, or one of the twin."""

    SEND = "send"
    RECV = "recv"
    HEAR_TWIN = "recvCmd"


@dataclass(frozen=True, slots=True)
class Scenario:
    """One file. `without_effect` lists what it says that is not heeded, here or in SIPp.

    `init` is played once, before the calls. `commands` are the lines where the shell is wanted (`<exec command>`).
    """

    path: Path
    name: str
    elements: tuple[Element, ...]
    without_effect: tuple[Fault, ...]
    keywords: frozenset[str]  # names given with `-key` that it needs
    fields: int  # how many fields a row of the first injection file must have at least
    files: frozenset[str] = frozenset()  # injection files that it names
    init: tuple[Element, ...] = ()
    globals: frozenset[str] = frozenset()  # variables of all calls
    user_variables: frozenset[str] = frozenset()  # of all calls of a user
    commands: tuple[Fault, ...] = ()
    on_unexpected: Index | None = None  # the label `_unexp.main`
    return_variable: str | None = None  # `_unexp.retaddr`, when the file names it
    pause_variable: str | None = None  # `_unexp.pausedaddr`
    defaults: Mapping[str, Template] = field(default_factory=dict)  # <DefaultMessage>
    response_bounds_ms: tuple[int, ...] = ()
    length_bounds_ms: tuple[int, ...] = ()

    @property
    def begins(self) -> Begins:
        """How a call begins; pauses and nops may stand before."""
        for element in self.elements:
            if isinstance(element, Send | TellTwin):
                return Begins.SEND
            if isinstance(element, Recv):
                return Begins.RECV
            if isinstance(element, HearTwin):
                return Begins.HEAR_TWIN
        return Begins.SEND

    @property
    def is_server(self) -> bool:
        """True when the first message of SIP is the other side's: there is no target to call."""
        first = next((element for element in self.elements if isinstance(element, Send | Recv)), None)
        return isinstance(first, Recv)

    @property
    def uses_twin(self) -> bool:
        """True when it needs `-3pcc`, or `-master` and `-slave`."""
        return any(isinstance(element, TellTwin | HearTwin) for element in self.elements)

    def opening(self) -> Scenario:
        """What `<init>` says, as a scenario of its own."""
        return replace(self, elements=self.init, init=(), on_unexpected=None)


MAX_FILE_BYTES: Final = 1024 * 1024  # a scenario is read by people
