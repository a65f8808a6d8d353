"""A story: a folder with the caller's and the callee's file, and what must come of playing them."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import ConfigDict, TypeAdapter, ValidationError

from scenarios.rig.binding import Bound
from scenarios.rig.errors import RigError

STORIES: Final = Path(__file__).resolve().parents[1]
FILE: Final = "story.toml"

Side = Literal["caller", "callee", "second"]
Transport = Literal["udp", "tcp", "tls"]
Time = Literal["call_time", "call_out_time", "ring_time", "answer_time", "release_time"]

_KEYS: Final = ConfigDict(extra="forbid")


@dataclass(frozen=True)
class Placed:
    """Who calls whom. Numbers are canonical."""

    __pydantic_config__ = _KEYS

    caller: str
    dialled: str
    callee: str = ""  # "": nobody may hear of it; after a redirect whom it led to
    dialogs: int = 1  # how often the callee is called: a redirect leads back to its host
    transit: bool = False  # the callee is dialled by its own number, and identities cross as they came
    transport: Transport = "udp"  # of the caller's side
    callee_transport: Transport = "udp"


@dataclass(frozen=True)
class Ladders:
    """What each side sends and receives, such as "<- 180 INVITE"; with " x2+" behind it twice or more in a row."""

    __pydantic_config__ = _KEYS

    caller: tuple[str, ...]
    callee: tuple[str, ...] = ()
    second: tuple[str, ...] = ()  # the other host of the callee's trunk; it never answers without a file


@dataclass(frozen=True)
class Fact:
    """What stands in one message that a side received. {node}, {caller}, {callee} and {second} are hosts."""

    __pydantic_config__ = _KEYS

    by: Side
    message: str  # as in a ladder
    has: tuple[str, ...] = ()
    lacks: tuple[str, ...] = ()
    nth: int = 1


@dataclass(frozen=True)
class Ending:
    """The fields of the record that do not follow from the binding and from who calls whom."""

    __pydantic_config__ = _KEYS

    release_cause: str
    release_direction: str
    decided_by: str
    sip_status: int
    q850: int
    times: tuple[Time, ...]  # those that are set; the others are null
    attempts: tuple[dict[str, str | int], ...] = ()  # without ms; {callee} and {second} are hosts
    has_binding: bool = True  # False: the decision fell before or without one
    ingress_peer: str = ""  # "": the trunk on whose host the caller's number lives
    heard: bool = True  # False: what the callee has heard is of earlier attempts
    callee: str = ""  # who is recorded where nobody has heard of it
    earlier: int = 0  # records of earlier attempts in the same files, which went as others tell


@dataclass(frozen=True)
class Story:
    """One story, as story.toml tells it."""

    __pydantic_config__ = _KEYS

    folder: Path
    title: str
    proves: str
    binding: tuple[Bound, ...]
    call: Placed
    ladders: Ladders
    record: Ending
    flow: str = ""  # of which RFC it is a flow, if of any
    seen: tuple[Fact, ...] = ()
    settings: str = ""  # TOML for the node, behind its usual tables; hosts in braces
    commands: tuple[tuple[str, ...], ...] = ()  # of `veil700`, on what is bound and before its node starts
    damage: tuple[str, ...] = ()  # SQL on the bindings of the node, once it runs
    alone: bool = False  # what its commands do would spoil other stories: it has a node of its own
    only_player: str = ""  # why SIPp cannot play it: our player is on both sides, whatever is asked for

    @property
    def name(self) -> str:
        """The name of its folder."""
        return self.folder.name

    @property
    def ground(self) -> tuple[str, bool, str]:
        """What its node must be like: stories with the same one can share a node."""
        return self.settings, bool(self.commands), self.name if self.alone or self.damage else ""

    @cached_property
    def t1_s(self) -> float:
        """T1 of its node."""
        t1_ms: float = tomllib.loads(self.settings).get("sip", {}).get("t1_ms", 500)
        return t1_ms / 1000

    @property
    def speaks_tls(self) -> bool:
        """On either side."""
        return "tls" in (self.call.transport, self.call.callee_transport)

    @property
    def uac(self) -> Path:
        """The caller's file."""
        return self.folder / "uac.xml"

    @property
    def uas(self) -> Path | None:
        """The callee's file; None when nobody may hear of the call."""
        return self.folder / "uas.xml" if self.call.callee else None

    @property
    def aside(self) -> Path | None:
        """What the caller plays for requests of no call of its own, such as a report on its message; None: nothing."""
        file = self.folder / "aside.xml"
        return file if file.is_file() else None

    @property
    def second(self) -> Path | None:
        """The file of the callee's other host; None when that host is silent."""
        file = self.folder / "second.xml"
        return file if file.is_file() else None

    @cached_property
    def bound(self) -> Bound | None:
        """The binding of the number that is dialled."""
        dialled = self.call.dialled
        return next((one for one in self.binding if dialled in (one.x, one.y, one.legacy_x)), None)

    @property
    def hidden(self) -> set[str]:
        """Numbers that the caller must not learn; none in transit, where it has dialled the callee's."""
        if self.call.transit:
            return set()
        known = {number for binding in self.binding for number in (binding.a, binding.b, *binding.colleagues)}
        return (known | {self.call.callee}) - {self.call.caller, ""}


_READER: Final = TypeAdapter(Story)


def story_names() -> list[str]:
    """All stories, by name."""
    return sorted(file.parent.name for file in STORIES.glob(f"*/{FILE}"))


def read_story(name: str) -> Story:
    """One story by its name. Raises RigError."""
    file = STORIES / name / FILE
    if not file.is_file():
        raise RigError(f"no story {name!r}: there are {', '.join(story_names())}")
    return read_folder(file.parent)


def read_folder(folder: Path) -> Story:
    """The story in any folder. Raises RigError, with one line for each fault."""
    file = folder / FILE
    try:
        data: dict[str, Any] = tomllib.loads(file.read_text("utf-8"))
        story = _READER.validate_python({**data, "folder": folder})
    except OSError as error:
        raise RigError(f"{file}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RigError(f"{file}: {error}") from None
    except ValidationError as error:
        faults = [f"{file}: {'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors()]
        raise RigError("\n".join(faults)) from None
    missing = [path for path in (story.uac, story.uas) if path is not None and not path.is_file()]
    if missing:
        raise RigError(f"{missing[0]}: no such file")
    return story
