"""What keywords and actions know: of the call, and of all calls of a player together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import formatdate
from random import Random
from typing import TYPE_CHECKING, Final, final

from sipstack.scenario.commands import Media, MediaAddress
from sipstack.scenario.variables import Value

if TYPE_CHECKING:
    from sipstack.scenario.injection import Injection
    from sipstack.scenario.model import Scenario
    from sipstack.scenario.received import Received

_DYNAMIC_START: Final = 10_000  # SIPp's, of [dynamic_id]
_DYNAMIC_STEP: Final = 4
_DYNAMIC_MAX: Final = 18_000


@final
class CallFault(Exception):
    """A message or an action that cannot be carried out: the call has failed. The text is one line."""


def _no_file(path: str) -> bytes:
    raise FileNotFoundError(2, "No such file", path)


@dataclass(slots=True)
class Circuits:
    """`-tdmmap {first}{bound}{second}{third}`: those of a trunk that are free."""

    first: range
    bound: int
    second: range
    third: range
    taken: set[int] = field(default_factory=set)

    def take(self, random: Random) -> int | None:
        """One that is free, any of them; None when there is none."""
        count = len(self.first) * len(self.second) * len(self.third)
        if len(self.taken) >= count:
            return None
        number = random.randrange(count)
        while number in self.taken:
            number = (number + 1) % count
        self.taken.add(number)
        return number

    def free(self, number: int) -> None:
        """Gives one back."""
        self.taken.discard(number)

    def shown(self, number: int) -> str:
        """As `[tdmmap]` writes it."""
        rest, third = divmod(number, len(self.third))
        first, second = divmod(rest, len(self.second))
        return f"{self.first[first]}.{self.bound}.{self.second[second]}/{self.third[third]}"


@dataclass(slots=True)
class Shared:
    """What all calls of a player share. `read_file` is for `[file name=]`; it raises OSError.

    `stream_port` gives the port of a call's RTP stream: (Call-ID, media) -> port.
    """

    injection: Injection | None = None
    variables: dict[str, Value] = field(default_factory=dict)  # <Global>
    user_variables: dict[int, dict[str, Value]] = field(default_factory=dict)  # <User>
    random: Random = field(default_factory=Random)
    unix_s: Callable[[], float] = lambda: 0.0
    read_file: Callable[[str], bytes] = _no_file
    stream_port: Callable[[str, Media], int] = lambda _call_id, _media: 0
    auth_user: str = ""
    auth_password: str = "password"  # SIPp's, without -ap
    auth_uri: str = ""
    users: int = -1  # as SIPp writes it without -users
    circuits: Circuits | None = None
    dynamic_id: int = _DYNAMIC_START

    def next_lines(self, user: int) -> dict[str, int]:
        """The rows of a new call, by the names of the injection files."""
        return self.injection.next_lines(self.random, user) if self.injection is not None else {}

    def next_dynamic_id(self) -> int:
        """A number that differs from that of the message before, and begins anew after some thousand."""
        number = self.dynamic_id
        self.dynamic_id += _DYNAMIC_STEP
        if self.dynamic_id > _DYNAMIC_MAX:
            self.dynamic_id = _DYNAMIC_START
        return number


@dataclass(slots=True)
class Values:
    """What keywords stand for in one call. `set_once` holds those that never change.

    `lines` are the lines of the injection files that are this call's, by the names of the files.
    """

    set_once: Mapping[str, str]
    numbers: Mapping[str, int]  # those that an offset may be added to
    number: int  # of the call, from 1
    call_id: str
    shared: Shared = field(default_factory=Shared)
    lines: Mapping[str, int] = field(default_factory=dict)
    user: int = 0
    circuit: int | None = None
    variables: dict[str, Value] = field(default_factory=dict)
    elsewhere: Mapping[str, dict[str, Value]] = field(default_factory=dict)  # by name: where <Global> and <User> are
    cseq: int = 0
    peer_tag: str = ""
    routes: str = ""
    next_url: str = ""
    last: Received | None = None
    challenge: tuple[int, Received] | None = None  # status, and what `auth="true"` has taken
    nonce_count: int = 0
    crypto: dict[str, str] = field(default_factory=dict)  # suites and keys that have been offered
    media_ports: dict[str, int] = field(default_factory=dict)  # ours, as the last SDP that we sent has them
    media_to: dict[str, MediaAddress] = field(default_factory=dict)  # the other side's

    def variable(self, name: str) -> Value | None:
        """None while it is not set."""
        return self.elsewhere.get(name, self.variables).get(name)

    def assign(self, name: str, value: Value) -> None:
        """Sets a variable, wherever it belongs."""
        self.elsewhere.get(name, self.variables)[name] = value


def values_of(
    scenario: Scenario, shared: Shared, set_once: Mapping[str, str], numbers: Mapping[str, int], number: int,
    call_id: str, lines: Mapping[str, int], *, user: int = 0, cseq: int = 0,
) -> Values:  # fmt: skip
    """Those of a new call. `lines` are its rows (`Shared.next_lines`)."""
    elsewhere: dict[str, dict[str, Value]] = {}
    if scenario.globals or scenario.user_variables:
        elsewhere = dict.fromkeys(scenario.globals, shared.variables)
        elsewhere |= dict.fromkeys(scenario.user_variables, shared.user_variables.setdefault(user, {}))
    circuit = shared.circuits.take(shared.random) if shared.circuits is not None else None
    return Values(set_once, numbers, number, call_id, shared, lines, user, circuit, elsewhere=elsewhere, cseq=cseq)


@dataclass(frozen=True, slots=True)
class Moment:
    """What differs from message to message: its place in the scenario, and the time since the start."""

    index: int
    elapsed_ms: int


def timestamp(unix_s: float) -> str:
    """The date, the time and the seconds since 1970, with tabs between them, as SIPp writes `[timestamp]`."""
    now = datetime.fromtimestamp(unix_s).astimezone()
    return f"{now:%Y-%m-%d}\t{now:%H:%M:%S.%f}\t{unix_s:.6f}"


def date(unix_s: float) -> str:
    """As in Date (RFC 3261 §20.17)."""
    return formatdate(unix_s, usegmt=True)
