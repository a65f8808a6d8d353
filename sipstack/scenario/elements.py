"""Elements of a scenario, read by a table of what each may have."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, final

from sipstack.scenario.actions import FORMS
from sipstack.scenario.attributes import Attributes, Names, Report, parse_integer
from sipstack.scenario.deeds import Action, Shell
from sipstack.scenario.distributions import Distribution
from sipstack.scenario.model import (
    Element,
    Fault,
    HearTwin,
    Index,
    Nop,
    Optional,
    Pause,
    Recv,
    Send,
    TellTwin,
)
from sipstack.scenario.regex import compile_ere
from sipstack.scenario.template import NOTHING, Template, TextFault, parse_template
from sipstack.scenario.xmltree import Node

_STATUSES: Final = range(100, 700)
_START: Final = re.compile(r"(?:SIP/2\.0 +(\d{3})(?!\d)|([A-Za-z0-9.!%*_+`'~-]+) )")
_TRANSACTION: Final = re.compile(r"[^$,]+")

_COMMON: Final = frozenset(
    ("chance", "condexec", "condexec_inverse", "counter", "crlf", "display", "hide", "hiderest", "ignoresdp", "lost",
     "next", "ontimeout", "repeat_rtd", "rtd", "start_rtd", "test")
)  # fmt: skip


@final
class Context:
    """What the elements of a file have in common while they are read."""

    def __init__(self, names: Names, labels: Mapping[str, Index], fault: Report, note: Report) -> None:
        self.names = names
        self.labels = labels
        self.fault = fault
        self.note = note
        self.methods: set[str] = set()  # of requests that are sent, so far
        self.started: dict[str, int] = {}  # transactions by name: where they begin
        self.answered: dict[str, int] = {}  # where they are named by others
        self.commands: list[Fault] = []
        self.hides = False  # `hiderest`
        self.fault_at: Callable[[int, str], None] = lambda _line, _text: None


def read_element(node: Node, context: Context) -> Element | None:
    """One of `ELEMENTS`; None after a fault."""
    form = ELEMENTS[node.name]
    given = Attributes(node, context.names, context.fault)
    for name in node.attributes:
        if name not in _COMMON and name not in form.attributes:
            context.note(node, f"{name}= of <{node.name}> is accepted without effect")
    if form.text == "" and node.text.strip():
        context.note(node, f"<{node.name}> holds no text: it is accepted without effect")
    common = _common(given, context)
    return form.read(given, context, common)


def _common(given: Attributes, context: Context) -> dict[str, Any]:
    if "hiderest" in given:
        context.hides = given.flag("hiderest")
    repeats = given.flag("repeat_rtd")
    if repeats and "rtd" not in given:
        given.fault("repeat_rtd= is about rtd=, which is not there")
    next_index = _label(given, context, "next")
    for name in ("test", "chance"):
        if name in given and "next" not in given:
            context.note(given.node, f"{name}= is about next=, which is not there")
    return {
        "line": given.node.line,
        "next": next_index,
        "test": given.variable("test") if next_index is not None else None,
        "chance": given.between("chance", 0, 1) if next_index is not None else None,
        "condexec": given.variable("condexec"),
        "condexec_inverse": given.flag("condexec_inverse"),
        "actions": _actions(given.node, context),
        "start_rtd": _timer(given, "start_rtd"),
        "rtd": _timer(given, "rtd"),
        "repeat_rtd": repeats,
        "counter": given.get("counter") or None,
        "lost_percent": given.between("lost", 0, 100),
        "display": given.get("display"),
        "is_hidden": given.flag("hide", context.hides),
        "ends_block": "crlf" in given,
    }


def _timer(given: Attributes, name: str) -> str | None:
    """The name of a response time: `true` is the first one, `false` none."""
    text = given.get(name, "false")
    return {"true": "1", "false": None}.get(text, text)


def _label(given: Attributes, context: Context, name: str) -> Index | None:
    if name not in given:
        return None
    label = given.get(name)
    if label not in context.labels:
        given.fault(f"{name}='{label}': there is no such label")
    return context.labels.get(label)


def _actions(node: Node, context: Context) -> tuple[Action, ...]:
    """Those of the first child, when it is an `<action>`: SIPp looks no further."""
    for child in node.children[1:] if node.children and node.children[0].name == "action" else node.children:
        context.note(child, f"<{child.name}> does not stand here: it is accepted without effect")
    if not node.children or node.children[0].name != "action":
        return ()
    read = (_action(child, context) for child in node.children[0].children)
    return tuple(action for action in read if action is not None)


def _action(node: Node, context: Context) -> Action | None:
    form = FORMS.get(node.name)
    if form is None:
        context.fault(node, f"<{node.name}> is not supported in <action>")
        return None
    for name in node.attributes:
        if name not in form.attributes:
            context.note(node, f"{name}= of <{node.name}> is accepted without effect")
    action = form.read(Attributes(node, context.names, context.fault))
    if isinstance(action, Shell):
        context.commands.append(Fault(node.line, "<exec command> runs only where that is allowed"))
    return action


# ---------------------------------------------------------------------- each element


def _text(given: Attributes, context: Context, text: str) -> Template | None:
    """The text of an element as a template; None after a fault, which is told with its own line."""
    node = given.node
    skipped = len(node.text) - len(node.text.lstrip(" \t\n"))
    first_line = node.text_line + node.text.count("\n", 0, skipped)
    try:
        template = parse_template(text, context.names.keys)
    except TextFault as error:
        context.fault_at(first_line + error.lines_in, error.text)
        return None
    context.names.template(template, node.line)
    return template


def _send(given: Attributes, context: Context, common: dict[str, Any]) -> Element | None:
    node = given.node
    if not node.text.strip():
        given.fault("<send> holds no message")
        return None
    text = clean_message(node.text)
    start = _START.match(text)
    if start is None or (start[1] and int(start[1]) not in _STATUSES):
        skipped = len(node.text) - len(node.text.lstrip(" \t\n"))
        context.fault_at(
            node.text_line + node.text.count("\n", 0, skipped),
            "a message begins with METHOD URI, or SIP/2.0 and a status from 100 to 699, without keyword",
        )
        return None
    template = _text(given, context, text)
    method = start[2] or ""
    starts, acks = _transactions(given, context, method)
    if method and starts is None and acks is None:
        context.methods.add(method)
    return Send(
        **common, text=template or NOTHING, method=method, status=int(start[1] or 0),
        retrans_s=given.seconds("retrans") or None, timeout_s=given.seconds("timeout") or None,
        on_timeout=_label(given, context, "ontimeout"), start_txn=starts, ack_txn=acks,
    )  # fmt: skip


def _transactions(given: Attributes, context: Context, method: str) -> tuple[str | None, str | None]:
    """`start_txn` and `ack_txn`."""
    starts, acks = _named(given, "start_txn"), _named(given, "ack_txn")
    if "response_txn" in given:
        given.fault("response_txn= is for received responses")
    if starts is not None and (not method or method == "ACK"):
        given.fault("start_txn= is for a request other than ACK")
    if acks is not None and method != "ACK":
        given.fault("ack_txn= is for an ACK")
    if starts is not None:
        context.started.setdefault(starts, given.node.line)
    if acks is not None:
        context.answered.setdefault(acks, given.node.line)
    return starts, acks


def _named(given: Attributes, name: str) -> str | None:
    if name in given and _TRANSACTION.fullmatch(given.get(name)) is None:
        given.fault(f"{name}='{given.get(name)}' is no name")
    return given.get(name) or None


def _optional(given: Attributes) -> Optional:
    text = given.get("optional", "false")
    found = next((kind for kind in Optional if kind.value == text), None)
    if found is None:
        given.fault(f"optional='{text}' is none of true, false, global")
    return found or Optional.NO


def _recv(given: Attributes, context: Context, common: dict[str, Any]) -> Element | None:
    request, response = given.get("request"), given.get("response")
    if bool(request) == bool(response):
        given.fault("<recv> needs either request or response")
        return None
    status = parse_integer(response) if response else 0
    if status is None or (response and status not in _STATUSES):
        given.fault(f"response='{response}' is no status from 100 to 699")
        return None
    optional = _optional(given)
    advances = given.flag("advance_state", True)
    if not advances and optional is Optional.NO:
        given.fault("advance_state='false' is for optional messages")
    transaction = _named(given, "response_txn")
    if transaction is not None:
        context.answered.setdefault(transaction, given.node.line)
        if not response:
            given.fault("response_txn= is for received responses")
    if "timeout" in given and "timeout_variable" in given:
        given.fault("timeout and timeout_variable exclude each other")
    return Recv(
        **common, request=request, pattern=_pattern(given, request), status=status, methods=frozenset(context.methods),
        response_txn=transaction, optional=optional, advances=advances, records_routes=given.flag("rrs"),
        keeps_challenge=given.flag("auth"), ignores_sdp=given.flag("ignoresdp"),
        timeout_s=given.seconds("timeout") or None, timeout_variable=given.variable("timeout_variable"),
        on_timeout=_label(given, context, "ontimeout"),
    )  # fmt: skip


def _pattern(given: Attributes, request: str) -> re.Pattern[str] | None:
    if not request or given.get("regexp_match") != "true":
        return None
    try:
        return compile_ere(request)[0]
    except ValueError as error:
        given.fault(f"request='{request}': {error}")
        return None


def _pause(given: Attributes, context: Context, common: dict[str, Any]) -> Element | None:
    variable = given.variable("variable")
    length = None if variable is not None else given.distribution(old_style=True)
    if variable is None and length is None and "milliseconds" in given and "distribution" not in given:
        length = Distribution("fixed", (given.real("milliseconds"),))
    if length is not None:
        given.check_length(length)
    return Pause(**common, length=length, variable=variable)


def _timewait(given: Attributes, context: Context, common: dict[str, Any]) -> Element | None:
    for name in ("next", "ontimeout"):
        if name in given:
            given.fault(f"{name}= does not stand in <timewait>")
    pause = _pause(given, context, common)
    assert isinstance(pause, Pause)
    return Pause(**common, length=pause.length, variable=pause.variable, is_timewait=True)


def _nop(_given: Attributes, _context: Context, common: dict[str, Any]) -> Element | None:
    return Nop(**common)


def _send_cmd(given: Attributes, context: Context, common: dict[str, Any]) -> Element | None:
    if not given.node.text.strip():
        given.fault("<sendCmd> holds no text")
        return None
    template = _text(given, context, clean_text(given.node.text))
    return TellTwin(**common, text=template or NOTHING, dest=given.get("dest"))


def _recv_cmd(given: Attributes, _context: Context, common: dict[str, Any]) -> Element | None:
    return HearTwin(**common, source=given.get("src"), optional=_optional(given))


Read = Callable[[Attributes, Context, dict[str, Any]], Element | None]


@dataclass(frozen=True, slots=True)
class Form:
    """What an element may have beside what all may, and how it is read. `text` says what its text is."""

    attributes: frozenset[str]
    read: Read
    text: str = ""


_PAUSES: Final = frozenset(
    ("milliseconds", "variable", "distribution", "sanity_check", "value", "min", "max", "mean", "stdev", "lambda", "k",
     "x_m", "shape", "scale", "location", "theta", "n", "p", "normal", "exponential", "lognormal", "weibull", "pareto",
     "gamma")
)  # fmt: skip

ELEMENTS: Final[Mapping[str, Form]] = {
    "send": Form(frozenset(("retrans", "timeout", "start_txn", "ack_txn", "response_txn")), _send, "a message"),
    "recv": Form(
        frozenset(("request", "response", "regexp_match", "optional", "advance_state", "rrs", "auth", "timeout",
                   "timeout_variable", "response_txn")), _recv),
    "pause": Form(_PAUSES, _pause),
    "timewait": Form(_PAUSES, _timewait),
    "nop": Form(frozenset(), _nop),
    "sendCmd": Form(frozenset(("dest",)), _send_cmd, "a command"),
    "recvCmd": Form(frozenset(("src", "optional")), _recv_cmd),
}  # fmt: skip


# ---------------------------------------------------------------------- texts


def clean_text(text: str) -> str:
    """A text as SIPp takes it: no empty lines around it, no blanks around its lines, and an empty line at its end
    unless there is one in it.
    """
    kept = re.sub(r"[ \t]*\n[ \t]*", "\n", text.strip(" \t\n"))
    return kept if "\n\n" in kept else f"{kept}\n\n"


def clean_message(text: str) -> str:
    """The text of `<send>`: as `clean_text`, and of the line ends behind a body one stays."""
    kept = clean_text(text)
    has_end = "\n" in text[len(text.rstrip(" \t\n")) :]
    return f"{kept}\n" if has_end and not kept.endswith("\n") else kept
