"""What the actions of a scenario do, once a message has come or gone: a table from action to function."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, final
from urllib.parse import quote, unquote_to_bytes

from sipstack.scenario.commands import (
    CloseConnection,
    Media,
    Output,
    PlayDtmf,
    PlayPcap,
    RtpEcho,
    RunCommand,
    SetDestination,
    StopKind,
    StopPlaying,
    StreamStep,
)
from sipstack.scenario.credentials import is_right
from sipstack.scenario.deeds import (
    Action,
    Assign,
    Change,
    Close,
    Compare,
    CompareText,
    Compute,
    Draw,
    Dtmf,
    Echo,
    Insert,
    Jump,
    Lookup,
    Match,
    NameIndex,
    Number,
    Pcap,
    Place,
    Redirect,
    RestorePause,
    Say,
    Shell,
    StopAll,
    StopCall,
    Stream,
    TimeOfDay,
    ToNumber,
    Verify,
)
from sipstack.scenario.injection import InjectionFile
from sipstack.scenario.keywords import render
from sipstack.scenario.media_words import parse_stream
from sipstack.scenario.received import Received
from sipstack.scenario.regex import search
from sipstack.scenario.tally import Failure
from sipstack.scenario.template import Template
from sipstack.scenario.values import CallFault, Moment, Values
from sipstack.scenario.variables import as_number, as_string, parse_number, to_number

_PROTOCOLS: Final = frozenset(("udp", "tcp", "tls"))
_VIDEO_OFFSET: Final = 2  # SIPp's, from the port of audio


@final
class CheckFailed(Exception):
    """A check of an action has failed: the call goes on, and has failed at its end."""

    def __init__(self, reason: str, kind: Failure) -> None:
        self.kind = kind
        super().__init__(reason)


@final
class CallStopped(Exception):
    """`stop_call`: the call ends here, as failed."""


@dataclass(slots=True)
class Doing:
    """What actions work on and leave behind. `text` is the message that has come or gone."""

    text: str
    values: Values
    moment: Moment
    outputs: list[Output]
    say: Callable[[str], None]  # warnings
    log: Callable[[str], None]
    elements: int  # of the scenario
    jump_to: int | None = None
    pause_until_ms: float | None = None

    def filled(self, template: Template) -> str:
        """A text with its keywords filled in."""
        return render(template, self.values, self.moment)

    def number(self, number: Number) -> float:
        """A second operand."""
        return number.value if number.variable is None else as_number(self.values.variable(number.variable))


def perform(actions: tuple[Action, ...], doing: Doing) -> None:
    """Carries them out in their order. CheckFailed for the first check that fails, which ends the list as in SIPp;
    CallStopped; CallFault for what cannot be done.
    """
    for action in actions:
        _DEEDS[type(action)](action, doing)


# ---------------------------------------------------------------------- texts


def _match(action: Match, doing: Doing) -> None:
    where = _looked_at(action, doing)
    if not where and action.place is Place.HEADER and action.must_match:
        raise CheckFailed(f"there is no {action.header!r}", Failure.NO_HEADER)
    found = search(action.pattern, action.is_greedy, where)
    if found is not None:
        for group, name in enumerate(action.assign_to):
            part = found[group]
            if part is not None:
                doing.values.assign(name, part)
    if action.must_match is True and found is None:
        raise CheckFailed(f"/{action.pattern.pattern}/ does not match", Failure.REGEXP_MISSING)
    if action.must_match is False and found is not None:
        raise CheckFailed(f"/{action.pattern.pattern}/ matches", Failure.REGEXP_FOUND)


def _looked_at(action: Match, doing: Doing) -> str:
    """What an expression is matched against."""
    text = doing.text
    if action.place is Place.MESSAGE:
        return text
    if action.place is Place.VARIABLE:
        return as_string(doing.values.variable(action.variable))
    if action.place is Place.BODY:
        return Received(text.encode("latin-1")).body
    wanted, within = (action.header.lower(), text.lower()) if action.ignore_case else (action.header, text)
    at = -1
    for _ in range(action.occurrence):
        at = within.find(wanted, at + 1)
        while at > 0 and not action.anywhere and within[at - 1] != "\n":
            at = within.find(wanted, at + 1)
        if at < 0:
            return ""
    rest = text[at + len(wanted) :]
    return rest[: min((end for end in (rest.find("\r"), rest.find("\n")) if end >= 0), default=len(rest))]


def _assign(action: Assign, doing: Doing) -> None:
    doing.values.assign(action.name, doing.filled(action.value))


def _say(action: Say, doing: Doing) -> None:
    text = doing.filled(action.text)
    (doing.log if action.kind == "log" else doing.say)(text)
    if action.kind == "error":
        doing.outputs.append(StopPlaying(StopKind.NOW))
        raise CallStopped(f"<error>: {text}")


def _compare_text(action: CompareText, doing: Doing) -> None:
    left = as_string(doing.values.variable(action.variable))
    right = action.value if action.other is None else as_string(doing.values.variable(action.other))
    result = _difference(left, right)
    if action.must_hold is True and result:
        raise CheckFailed(f"${action.variable} is not {right!r}", Failure.STRCMP_MISSING)
    if action.must_hold is False and not result:
        raise CheckFailed(f"${action.variable} is {right!r}", Failure.STRCMP_FOUND)
    if action.assign_to:
        doing.values.assign(action.assign_to, float(result))


def _difference(left: str, right: str) -> int:
    """Of the first characters that differ, as the C library's strcmp tells it."""
    for one, other in zip(left, right, strict=False):
        if one != other:
            return ord(one) - ord(other)
    longer = left[len(right) :], right[len(left) :]
    return ord(longer[0][0]) if longer[0] else -ord(longer[1][0]) if longer[1] else 0


def _trimmed(text: str) -> str:
    return text.strip(" \t\n\r\f\v")


def _url_decoded(text: str) -> str:
    return unquote_to_bytes(text.replace("+", " ").encode("latin-1")).decode("latin-1")


_CHANGES: Final[Mapping[str, Callable[[str], str]]] = {
    "trim": _trimmed,
    "urldecode": _url_decoded,
    "urlencode": lambda text: quote(text.encode("latin-1"), safe="-_.~"),
}


def _change(action: Change, doing: Doing) -> None:
    before = as_string(doing.values.variable(action.name))
    doing.values.assign(action.name, _CHANGES[action.kind](before))


def _verify(action: Verify, doing: Doing) -> None:
    message = Received(doing.text.encode("latin-1"))
    doing.values.assign(action.name, is_right(message, doing.filled(action.username), doing.filled(action.password)))


# ---------------------------------------------------------------------- numbers

_CALCULATIONS: Final[Mapping[str, Callable[[float, float], float]]] = {
    "add": operator.add,
    "assign": lambda _before, operand: operand,
    "divide": operator.truediv,
    "multiply": operator.mul,
    "subtract": operator.sub,
}
_COMPARISONS: Final[Mapping[str, Callable[[float, float], bool]]] = {
    "equal": operator.eq,
    "not_equal": operator.ne,
    "greater_than": operator.gt,
    "less_than": operator.lt,
    "greater_than_equal": operator.ge,
    "less_than_equal": operator.le,
}


def _compute(action: Compute, doing: Doing) -> None:
    operand = doing.number(action.operand)
    if action.kind == "divide" and operand == 0:
        doing.say(f"${action.name} cannot be divided by 0")
        return
    before = as_number(doing.values.variable(action.name))
    doing.values.assign(action.name, float(_CALCULATIONS[action.kind](before, operand)))


def _compare(action: Compare, doing: Doing) -> None:
    left, right = as_number(doing.values.variable(action.variable)), doing.number(action.operand)
    holds = _COMPARISONS[action.comparison](left, right)
    if action.must_hold is not None and holds is not action.must_hold:
        kind = Failure.TEST_MISSING if action.must_hold else Failure.TEST_FOUND
        raise CheckFailed(
            f"${action.variable} is {left:g}: {action.comparison} {right:g} is {str(holds).lower()}", kind
        )
    if action.assign_to:
        doing.values.assign(action.assign_to, holds)


def _draw(action: Draw, doing: Doing) -> None:
    doing.values.assign(action.name, float(action.distribution.sample(doing.values.shared.random)))


def _to_number(action: ToNumber, doing: Doing) -> None:
    number = to_number(doing.values.variable(action.variable))
    if number is None:
        doing.say(f"${action.variable} is no number")
    else:
        doing.values.assign(action.name, number)


def _name_index(action: NameIndex, doing: Doing) -> None:
    doing.values.assign(action.name, float(doing.moment.index))


def _time_of_day(action: TimeOfDay, doing: Doing) -> None:
    microseconds = round(doing.values.shared.unix_s() * 1_000_000)
    doing.values.assign(action.seconds, float(microseconds // 1_000_000))
    doing.values.assign(action.microseconds, float(microseconds % 1_000_000))


# ---------------------------------------------------------------------- the way through the scenario


def _jump(action: Jump, doing: Doing) -> None:
    target = doing.number(action.to)
    if not 0 <= target <= doing.elements:
        raise CallFault(f"<jump> to {target:g}: there are {doing.elements} elements")
    if int(target) == doing.moment.index:
        raise CallFault("<jump> to itself")
    doing.jump_to = int(target)


def _restore_pause(action: RestorePause, doing: Doing) -> None:
    doing.pause_until_ms = doing.number(action.until)


def _stop_call(_action: StopCall, _doing: Doing) -> None:
    raise CallStopped("stop_call")


# ---------------------------------------------------------------------- rows


def _rows(file: Template, doing: Doing) -> InjectionFile:
    injection = doing.values.shared.injection
    name = doing.filled(file)
    if injection is None:
        raise CallFault(f"no injection file is named {name!r}")
    return injection.file(name)


def _lookup(action: Lookup, doing: Doing) -> None:
    doing.values.assign(action.name, float(_rows(action.file, doing).lookup(doing.filled(action.key))))


def _insert(action: Insert, doing: Doing) -> None:
    rows, value = _rows(action.file, doing), doing.filled(action.value)
    if action.line is None:
        rows.insert(value)
        return
    line = doing.filled(action.line)
    number = parse_number(line)
    if number is None or abs(number) >= 2**31:
        raise CallFault(f"<replace>: {line!r} is no number of a line")
    rows.replace(int(number), value)


# ---------------------------------------------------------------------- what the player does


def _redirect(action: Redirect, doing: Doing) -> None:
    host, port, protocol = doing.filled(action.host), doing.filled(action.port), doing.filled(action.protocol).lower()
    number = parse_number(port) if port else None
    if number is None or not 0 < number < 65536:
        raise CallFault(f"<setdest>: {port!r} is no port")
    if protocol not in _PROTOCOLS:
        raise CallFault(f"<setdest>: {protocol!r} is none of {', '.join(sorted(_PROTOCOLS))}")
    doing.outputs.append(SetDestination(host, int(number), protocol))


def _media_port(doing: Doing, media: Media) -> int:
    """Ours: as the last SDP had it, else the one of all calls."""
    offset = _VIDEO_OFFSET if media is Media.VIDEO else 0
    return doing.values.media_ports.get(media.value, doing.values.numbers.get("media_port", 0) + offset)


def _play_pcap(action: Pcap, doing: Doing) -> None:
    to = doing.values.media_to.get(action.media.value)
    doing.outputs.append(PlayPcap(doing.filled(action.path), action.media, _media_port(doing, action.media), to))


def _play_dtmf(action: Dtmf, doing: Doing) -> None:
    to = doing.values.media_to.get(Media.AUDIO.value)
    doing.outputs.append(PlayDtmf(doing.filled(action.digits), _media_port(doing, Media.AUDIO), to))


def _stream(action: Stream, doing: Doing) -> None:
    text = doing.filled(action.text)
    try:
        command = parse_stream(text)
    except ValueError as error:
        raise CallFault(f"rtp_stream='{text}': {error}") from None
    if command.step is StreamStep.PLAY:
        command = command.towards(doing.values.media_to.get(command.media.value))
    doing.outputs.append(command)


# Each function takes the action of its own class: the table is what says so.
_DEEDS: Final[Mapping[type[Any], Callable[[Any, Doing], None]]] = {
    Assign: _assign,
    Change: _change,
    Close: lambda _action, doing: doing.outputs.append(CloseConnection()),
    Compare: _compare,
    CompareText: _compare_text,
    Compute: _compute,
    Draw: _draw,
    Dtmf: _play_dtmf,
    Echo: lambda action, doing: doing.outputs.append(RtpEcho(doing.number(action.state) != 0, action.media)),
    Insert: _insert,
    Jump: _jump,
    Lookup: _lookup,
    Match: _match,
    NameIndex: _name_index,
    Pcap: _play_pcap,
    Redirect: _redirect,
    RestorePause: _restore_pause,
    Say: _say,
    Shell: lambda action, doing: doing.outputs.append(RunCommand(doing.filled(action.command))),
    StopAll: lambda action, doing: doing.outputs.append(StopPlaying(action.kind)),
    StopCall: _stop_call,
    Stream: _stream,
    TimeOfDay: _time_of_day,
    ToNumber: _to_number,
    Verify: _verify,
}
