"""From the elements of a file to a `Scenario`; every fault is found in one go, with its line."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from pathlib import Path
from typing import Any, Final

from sipstack.scenario.actions import KNOWN, read_action, read_bool, used_template
from sipstack.scenario.keywords import TextFault, parse_template, used_fields
from sipstack.scenario.model import (
    Action,
    Assign,
    Element,
    Fault,
    Index,
    Keyword,
    Match,
    Nop,
    Optional,
    Pause,
    Recv,
    Scenario,
    ScenarioError,
    Send,
    Template,
)
from sipstack.scenario.regex import compile_ere
from sipstack.scenario.xmltree import Node, read_tree

_LONGEST_MS: Final = 24 * 60 * 60 * 1000
_STATUSES: Final = range(100, 700)

# Figures and displays of SIPp's own screens and files: a scenario plays the same without them.
_FIGURES: Final = frozenset(("crlf", "counter", "display", "hide", "repeat_rtd", "rtd", "start_rtd"))
_FIGURE_ELEMENTS: Final = frozenset(("CallLengthRepartition", "ResponseTimeRepartition"))
_ATTRIBUTES: Final = {
    "scenario": frozenset(("name",)),
    "send": frozenset(("ack_txn", "next", "ontimeout", "retrans", "start_txn", "test")),
    "recv": frozenset(("next", "ontimeout", "optional", "regexp_match", "request", "response", "response_txn", "rrs",
                       "test", "timeout")),
    "pause": frozenset(("milliseconds", "next", "test")),
    "nop": frozenset(("next", "test")),
    "label": frozenset(("id",)),
    "Reference": frozenset(("variables",)),
    "action": frozenset(()),
}  # fmt: skip
_WITH_FIGURES: Final = frozenset(("send", "recv", "pause", "nop"))
_START: Final = re.compile(r"(?:SIP/2\.0 +(\d{3})(?!\d)|([A-Za-z0-9.!%*_+`'~-]+) )")


def load_scenario(path: Path) -> Scenario:
    """Reads a file. ScenarioError with all its faults; OSError when it cannot be read."""
    root = read_tree(path)
    return _Loader(path).load(root)


def _bytes_shown(text: str) -> str:
    """Text of a file, one character a byte, for a person."""
    return text.encode("latin-1", "replace").decode(errors="replace")


class _Loader:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._faults: list[Fault] = []
        self._notes: list[Fault] = []
        self._labels: dict[str, Index] = {}
        self._keys: set[str] = set()
        self._variables: Counter[str] = Counter()
        self._variable_lines: dict[str, int] = {}
        self._methods: set[str] = set()
        self._transactions: set[str] = set()
        self._fields = 0

    def load(self, root: Node) -> Scenario:
        if root.name != "scenario":
            raise ScenarioError(self._path, [Fault(root.line, f"<{root.name}> is no <scenario>")])
        self._attributes(root)
        self._number_labels(root)
        elements = [element for node in root.children if (element := self._element(node)) is not None]
        if not elements and not self._faults:
            self._fault(root, "there is nothing to play")
        self._optional_before_others(elements)
        self._single_variables()
        if self._faults:
            raise ScenarioError(self._path, sorted(set(self._faults), key=lambda fault: fault.line))
        name = _bytes_shown(root.attributes.get("name", ""))
        return Scenario(self._path, name, tuple(elements), tuple(self._notes), frozenset(self._keys), self._fields)

    def _fault(self, node: Node, text: str, line: int = 0) -> None:
        self._faults.append(Fault(line or node.line, _bytes_shown(text)))

    def _number_labels(self, root: Node) -> None:
        index = 0
        for node in root.children:
            if node.name == "label":
                name = node.attributes.get("id", "")
                if not name:
                    self._fault(node, "<label> needs id")
                elif name in self._labels:
                    self._fault(node, f"label '{name}' stands twice")
                self._labels[name] = index
            elif node.name in _WITH_FIGURES:
                index += 1

    def _attributes(self, node: Node) -> bool:
        """True when the element is ours; its attributes have been looked at."""
        if node.name in _FIGURE_ELEMENTS:
            self._notes.append(Fault(node.line, f"<{node.name}> is accepted without effect"))
            return False
        known = _ATTRIBUTES.get(node.name)
        if known is None:
            self._fault(node, f"<{node.name}> is not supported")
            return False
        for name in node.attributes:
            if name in _FIGURES and node.name in _WITH_FIGURES:
                self._notes.append(Fault(node.line, f"{name}= is accepted without effect"))
            elif name not in known:
                self._fault(node, f"{name}= of <{node.name}> is not supported")
        return True

    def _element(self, node: Node) -> Element | None:
        if not self._attributes(node):
            return None
        if node.name in ("label", "Reference"):
            for name in node.attributes.get("variables", "").split(","):
                self._variables[name.strip()] += 1
            return None
        if node.name not in _WITH_FIGURES:
            self._fault(node, f"<{node.name}> does not stand here")
            return None
        if node.name != "send" and node.text.strip():
            self._fault(node, f"<{node.name}> holds no text", node.text_line)
        common: dict[str, Any] = {"line": node.line, "next": self._target(node, "next"), "test": self._test(node),
                  "actions": self._actions(node)}  # fmt: skip
        if node.name == "send":
            return self._send(node, common)
        if node.name == "recv":
            return self._recv(node, common)
        if node.name == "pause":
            return Pause(**common, duration_s=self._seconds(node, "milliseconds"))
        return Nop(**common)

    def _target(self, node: Node, attribute: str) -> Index | None:
        name = node.attributes.get(attribute)
        if name is not None and name not in self._labels:
            self._fault(node, f"{attribute}='{name}': there is no such label")
        return self._labels.get(name) if name is not None else None

    def _test(self, node: Node) -> str | None:
        name = node.attributes.get("test")
        if name is not None:
            self._uses(node, name)
            if "next" not in node.attributes:
                self._fault(node, "test= is about next=, which is not there")
        return name

    def _uses(self, node: Node, name: str) -> None:
        self._variables[name] += 1
        self._variable_lines.setdefault(name, node.line)

    def _optional_before_others(self, elements: list[Element]) -> None:
        """What is optional waits together with what stands behind it; SIPp starts with nothing else either."""
        for element, following in itertools.pairwise(elements):
            if isinstance(element, Recv) and element.optional is not Optional.NO and not isinstance(following, Recv):
                text = "behind an optional message stands another <recv>, and the last of them is not optional"
                self._faults.append(Fault(element.line, text))

    def _single_variables(self) -> None:
        """A name that stands once is a slip of the pen; SIPp does not start with one either."""
        for name, line in self._variable_lines.items():
            if self._variables[name] == 1:
                text = f"variable '{name}' stands nowhere else: <Reference variables='{name}'/> says that this is meant"
                self._faults.append(Fault(line, _bytes_shown(text)))

    def _seconds(self, node: Node, attribute: str, *, least_ms: int = 0) -> float | None:
        text = node.attributes.get(attribute)
        if text is None:
            return None
        if not re.fullmatch(r"[0-9]{1,9}", text) or not least_ms <= int(text) <= _LONGEST_MS:
            self._fault(node, f"{attribute}='{text}' is no number of milliseconds from {least_ms} to {_LONGEST_MS}")
            return None
        return int(text) / 1000

    def _actions(self, node: Node) -> tuple[Action, ...]:
        actions: list[Action] = []
        for child in node.children:
            if child.name != "action":
                self._fault(child, f"<{child.name}> does not stand in <{node.name}>")
                continue
            if node.name == "pause":
                self._fault(child, "<action> of <pause> is not supported")
            self._attributes(child)
            actions.extend(action for grandchild in child.children if (action := self._action(grandchild)) is not None)
        return tuple(actions)

    def _action(self, node: Node) -> Action | None:
        known = KNOWN.get(node.name)
        unknown = [name for name in node.attributes if known is None or name not in known]
        if known is None:
            self._fault(node, f"<{node.name}> is not supported in <action>")
            return None
        for name in unknown:
            self._fault(node, f"{name}= of <{node.name}> is not supported")
        action = read_action(node, self._keys, self._fault)
        if action is None or unknown:
            return None
        for name in (
            action.assign_to if isinstance(action, Match) else (action.name,) if isinstance(action, Assign) else ()
        ):
            self._uses(node, name)
        self._used_in(node, used_template(action))
        return action

    def _used_in(self, node: Node, template: Template) -> None:
        self._fields = max(self._fields, used_fields(template.parts))
        for part in template.parts:
            if isinstance(part, Keyword) and part.name == "variable":
                self._uses(node, part.argument)

    def _send(self, node: Node, common: dict[str, Any]) -> Send | None:
        if not node.text.strip():
            self._fault(node, "<send> holds no message")
            return None
        text = clean_message(node.text)
        skipped = len(node.text) - len(node.text.lstrip(" \t\n"))
        first_line = node.text_line + node.text.count("\n", 0, skipped)
        start = _START.match(text)
        if start is None or (start[1] and int(start[1]) not in _STATUSES):
            self._fault(node, "a message begins with METHOD URI, or SIP/2.0 and a status from 100 to 699, without "
                              "keyword", first_line)  # fmt: skip
            return None
        try:
            template = parse_template(text, self._keys)
        except TextFault as error:
            self._fault(node, error.text, first_line + error.lines_in)
            return None
        self._used_in(node, template)
        method = start[2] or ""
        start_txn = self._transaction(node, method)
        if method and start_txn is None and "ack_txn" not in node.attributes:
            self._methods.add(method)
        return Send(**common, text=template, method=method, retrans_s=self._seconds(node, "retrans", least_ms=1),
                    on_timeout=self._target(node, "ontimeout"), start_txn=start_txn)  # fmt: skip

    def _transaction(self, node: Node, method: str) -> str | None:
        starts, acks = node.attributes.get("start_txn"), node.attributes.get("ack_txn")
        if starts is not None and (not method or method == "ACK"):
            self._fault(node, "start_txn= is for a request other than ACK")
        if acks is not None and method != "ACK":
            self._fault(node, "ack_txn= is for an ACK")
        if acks is not None and acks not in self._transactions:
            self._fault(node, f"ack_txn='{acks}': no start_txn= before it has that name")
        if starts is not None:
            self._transactions.add(starts)
        return starts

    def _recv(self, node: Node, common: dict[str, Any]) -> Recv | None:
        given = node.attributes
        request, response = given.get("request", ""), given.get("response", "")
        if bool(request) == bool(response):
            self._fault(node, "<recv> needs either request or response")
            return None
        if response and not (re.fullmatch(r"[0-9]{3}", response) and int(response) in _STATUSES):
            self._fault(node, f"response='{response}' is no status from 100 to 699")
            return None
        optional = next((kind for kind in Optional if kind.value == given.get("optional", "false")), None)
        if optional is None:
            self._fault(node, f"optional='{given['optional']}' is none of true, false, global")
        pattern = None
        if read_bool(node, "regexp_match", self._fault):
            if response:
                self._fault(node, "regexp_match= is for requests")
            try:
                pattern, _ = compile_ere(request)
            except ValueError as error:
                self._fault(node, f"request='{request}': {error}")
        transaction = given.get("response_txn")
        if transaction is not None and (not response or transaction not in self._transactions):
            self._fault(node, f"response_txn='{transaction}': needs response=, and start_txn= of that name before it")
        return Recv(**common, request=request, pattern=pattern, status=int(response or 0),
                    methods=frozenset(self._methods), response_txn=transaction, optional=optional or Optional.NO,
                    records_routes=read_bool(node, "rrs", self._fault), timeout_s=self._seconds(node, "timeout"),
                    on_timeout=self._target(node, "ontimeout"))  # fmt: skip


def clean_message(text: str) -> str:
    """The text of `<send>` as SIPp takes it: no empty lines around it, no blanks around its lines.

    A message without a body is given the empty line that ends it; of the line ends behind a body one stays.
    """
    kept = text.lstrip(" \t\n").rstrip(" \t\n")
    has_end = "\n" in text[len(text.rstrip(" \t\n")) :]
    kept = re.sub(r"[ \t]*\n[ \t]*", "\n", kept)
    if "\n\n" not in kept:
        return f"{kept}\n\n"
    return f"{kept}\n" if has_end else kept
