"""`<action>`: what its children say, read by a table of what each may have."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from sipstack.scenario.attributes import Attributes, parse_integer
from sipstack.scenario.commands import Media, StopKind
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
from sipstack.scenario.distributions import KINDS
from sipstack.scenario.media_words import parse_echo, parse_stream
from sipstack.scenario.regex import compile_ere

# What `compare=` may be.
COMPARISONS: Final = frozenset(
    ("equal", "not_equal", "greater_than", "less_than", "greater_than_equal", "less_than_equal")
)


@dataclass(frozen=True, slots=True)
class Form:
    """What an action may have, and how it is read: None after a fault."""

    attributes: frozenset[str]
    read: Callable[[Attributes], Action | None]


def _ereg(given: Attributes) -> Action | None:
    place = next((place for place in Place if place.value == given.get("search_in", "msg")), None)
    if place is None:
        given.fault(f"search_in='{given.get('search_in')}' is none of {', '.join(one.value for one in Place)}")
        return None
    header = given.needed("header") if place is Place.HEADER else ""
    variable = given.source() if place is Place.VARIABLE else ""
    names = given.targets()
    occurrence = parse_integer(given.get("occurrence", given.get("occurence", "1")))
    if occurrence is None or not 1 <= occurrence <= 256:
        given.fault(f"occurrence='{given.get('occurrence', given.get('occurence'))}' is no number from 1 to 256")
        return None
    regexp = given.needed("regexp")
    try:
        pattern, is_greedy = compile_ere(regexp)
    except ValueError as error:
        given.fault(f"regexp '{regexp}': {error}")
        return None
    if len(names) > pattern.groups + 1:
        given.fault(f"assign_to has {len(names)} names, the expression {pattern.groups} sub-expressions")
        return None
    return Match(pattern, is_greedy, place, header, variable, given.flag("case_indep"), not given.flag("start_line"),
                 occurrence, names, given.check())  # fmt: skip


def _say(given: Attributes) -> Action:
    return Say(given.node.name, given.text("message"))


def _compute(given: Attributes) -> Action:
    return Compute(given.node.name, given.target(), given.operand())


def _divide(given: Attributes) -> Action:
    action = Compute(given.node.name, given.target(), given.operand())
    if "value" in given and action.operand.value == 0:
        given.fault("nothing can be divided by 0")
    return action


def _sample(given: Attributes) -> Action | None:
    name, distribution = given.target(), given.distribution(old_style=False)
    return None if distribution is None else Draw(name, distribution)


def _compared_to(given: Attributes, must_hold: bool | None) -> str:
    """`assign_to`, which may be missing where there is a check."""
    return given.target() if must_hold is None or "assign_to" in given else ""


def _test(given: Attributes) -> Action | None:
    comparison = given.needed("compare")
    if comparison not in COMPARISONS:
        given.fault(f"compare='{comparison}' is none of {', '.join(sorted(COMPARISONS))}")
        return None
    must_hold = given.check()
    assign_to = _compared_to(given, must_hold)
    return Compare(assign_to, given.source(), comparison, given.operand("variable2"), must_hold)


def _strcmp(given: Attributes) -> Action:
    must_hold = given.check()
    assign_to, variable = _compared_to(given, must_hold), given.source()
    if ("value" in given) == ("variable2" in given):
        given.fault("<strcmp> needs either value or variable2")
    return CompareText(assign_to, variable, given.variable("variable2"), given.get("value"), must_hold)


def _time_of_day(given: Attributes) -> Action | None:
    names = given.targets()
    if len(names) != 2:
        given.fault("<gettimeofday> assigns to two variables: seconds,microseconds")
        return None
    return TimeOfDay(*names)


def _exec(given: Attributes) -> Action | None:
    name = next((name for name in _EXECS if name in given), None)
    if name is None:
        given.fault(f"<exec> needs one of {', '.join(_EXECS)}")
        return None
    return _EXECS[name](given)


def _int_cmd(given: Attributes) -> Action:
    """As SIPp does, what is no other command stops the call."""
    kind = next((kind for kind in StopKind if kind.value == given.get("int_cmd")), None)
    return StopCall() if kind is None else StopAll(kind)


def _pcap(name: str, media: Media) -> Callable[[Attributes], Action | None]:
    return lambda given: Pcap(given.text(name), media)


def _stream(given: Attributes) -> Action | None:
    template = given.text("rtp_stream")
    if all(isinstance(part, str) for part in template.parts):
        try:
            parse_stream(given.get("rtp_stream"))
        except ValueError as error:
            given.fault(f"rtp_stream='{given.get('rtp_stream')}': {error}")
    return Stream(template)


def _echo(given: Attributes) -> Action | None:
    try:
        is_on, media = parse_echo(given.get("rtp_echo"))
    except ValueError as error:
        given.fault(f"rtp_echo='{given.get('rtp_echo')}': {error}")
        return None
    return Echo(Number(None, float(is_on)), media)


# What `<exec>` can do; of several the first counts.
_EXECS: Final[dict[str, Callable[[Attributes], Action | None]]] = {
    "command": lambda given: Shell(given.text("command")),
    "int_cmd": _int_cmd,
    "play_pcap_audio": _pcap("play_pcap_audio", Media.AUDIO),
    "play_pcap_image": _pcap("play_pcap_image", Media.IMAGE),
    "play_pcap_video": _pcap("play_pcap_video", Media.VIDEO),
    "play_dtmf": lambda given: Dtmf(given.text("play_dtmf")),
    "rtp_stream": _stream,
    "rtp_echo": _echo,
}
_RHS: Final = frozenset(("value", "variable"))
_CHECKED: Final = frozenset(("assign_to", "variable", "value", "variable2", "check_it", "check_it_inverse"))
_CALCULATION: Final = Form(_RHS | {"assign_to"}, _compute)
_CHANGE: Final = Form(frozenset(("variable",)), lambda given: Change(given.node.name, given.source()))
_MESSAGE: Final = Form(frozenset(("message",)), _say)

FORMS: Final[dict[str, Form]] = {
    "add": _CALCULATION,
    "assign": _CALCULATION,
    "assignstr": Form(frozenset(("assign_to", "value")), lambda given: Assign(given.target(), given.text("value"))),
    "closecon": Form(frozenset(), lambda _given: Close()),
    "divide": Form(_RHS | {"assign_to"}, _divide),
    "ereg": Form(
        frozenset(("regexp", "search_in", "header", "variable", "case_indep", "occurence", "occurrence", "start_line",
                   "assign_to", "check_it", "check_it_inverse")), _ereg),
    "error": _MESSAGE,
    "exec": Form(frozenset(_EXECS), _exec),
    "gettimeofday": Form(frozenset(("assign_to",)), _time_of_day),
    "index": Form(frozenset(("assign_to",)), lambda given: NameIndex(given.target())),
    "insert": Form(frozenset(("file", "value")),
                   lambda given: Insert(given.text("file"), None, given.text("value"))),
    "jump": Form(_RHS, lambda given: Jump(given.operand())),
    "log": _MESSAGE,
    "lookup": Form(frozenset(("assign_to", "file", "key")),
                   lambda given: Lookup(given.target(), given.text("file"), given.text("key"))),
    "multiply": _CALCULATION,
    "pauserestore": Form(_RHS, lambda given: RestorePause(given.operand())),
    "replace": Form(frozenset(("file", "line", "value")),
                    lambda given: Insert(given.text("file"), given.text("line"), given.text("value"))),
    "rtp_echo": Form(_RHS, lambda given: Echo(given.operand(), Media.AUDIO)),
    "sample": Form(frozenset(("assign_to", "distribution", *(name for kind in KINDS.values() for name in kind.needs))),
                   _sample),
    "setdest": Form(frozenset(("host", "port", "protocol")),
                    lambda given: Redirect(given.text("host"), given.text("port"), given.text("protocol"))),
    "strcmp": Form(_CHECKED, _strcmp),
    "subtract": _CALCULATION,
    "test": Form(_CHECKED | {"compare"}, _test),
    "todouble": Form(frozenset(("assign_to", "variable")), lambda given: ToNumber(given.target(), given.source())),
    "trim": Form(frozenset(("assign_to",)), lambda given: Change("trim", given.target())),
    "urldecode": _CHANGE,
    "urlencode": _CHANGE,
    "verifyauth": Form(frozenset(("assign_to", "username", "password")),
                       lambda given: Verify(given.target(), given.text("username"), given.text("password"))),
    "warning": _MESSAGE,
}  # fmt: skip
