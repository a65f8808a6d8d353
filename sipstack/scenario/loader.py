"""From the elements of a file to a `Scenario`; every fault is found in one go, with its line."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from sipstack.scenario.attributes import Names
from sipstack.scenario.defaults import DEFAULTS
from sipstack.scenario.elements import ELEMENTS, Context, clean_text, read_element
from sipstack.scenario.model import (
    Element,
    Fault,
    HearTwin,
    Index,
    Optional,
    Pause,
    Recv,
    Scenario,
    ScenarioError,
)
from sipstack.scenario.template import Template, TextFault, parse_template
from sipstack.scenario.xmltree import Node, read_tree

# Messages that stand in no scenario, by the names that `<DefaultMessage>` has for them.
DEFAULT_MESSAGES: Final = frozenset((*DEFAULTS, "ack2"))
_IN_INIT: Final = frozenset(("nop", "label"))
_UNEXPECTED: Final = "_unexp.main"
_RETURN: Final = "_unexp.retaddr"
_PAUSED: Final = "_unexp.pausedaddr"
_SPECIAL: Final = frozenset((_RETURN, _PAUSED, "_"))  # may stand only once
_MAX_BOUNDS: Final = 64


def load_scenario(path: Path) -> Scenario:
    """Reads a file. ScenarioError with all its faults; OSError when it cannot be read."""
    root = read_tree(path)
    if root.name != "scenario":
        raise ScenarioError(path, [Fault(root.line, f"<{_bytes_shown(root.name)}> is no <scenario>")])
    return _Loader(path).load(root)


def _bytes_shown(text: str) -> str:
    """Text of a file, one character a byte, for a person: in one line."""
    return " ".join(text.encode("latin-1", "replace").decode(errors="replace").splitlines())


class _Loader:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._faults: list[Fault] = []
        self._notes: list[Fault] = []
        self._names = Names()
        self._global: set[str] = set()
        self._of_users: set[str] = set()
        self._defaults: dict[str, Template] = {}
        self._bounds: dict[str, tuple[int, ...]] = {}
        self._init: list[Node] = []

    def load(self, root: Node) -> Scenario:
        for name in root.attributes:
            if name != "name":
                self._note(root, f"{name}= of <scenario> is accepted without effect")
        labels = self._labels(root.children)
        context = self._context(labels)
        elements = [element for node in root.children if (element := self._child(node, context)) is not None]
        if not any(node.name in ELEMENTS for node in root.children) and not self._faults:
            self._fault(root, "there is nothing to play")
        opening = self._read_init(context)
        self._check_waits(elements)
        self._check_transactions(context)
        self._check_variables()
        names = self._names
        self._notes += [Fault(line, "offers SRTP: media are sent without encryption") for line in names.crypto_lines]
        if self._faults:
            faults = sorted(set(self._faults), key=lambda fault: fault.line)
            raise ScenarioError(self._path, faults, tuple(self._notes), frozenset(names.keys))
        return Scenario(
            self._path,
            _bytes_shown(root.attributes.get("name", "")),
            tuple(elements),
            tuple(self._notes),
            frozenset(names.keys),
            names.fields,
            files=frozenset(names.files),
            init=tuple(opening),
            globals=frozenset(self._global),
            user_variables=frozenset(self._of_users),
            commands=tuple(context.commands),
            on_unexpected=labels.get(_UNEXPECTED),
            return_variable=_RETURN if _RETURN in names.variables else None,
            pause_variable=_PAUSED if _PAUSED in names.variables else None,
            defaults=self._defaults,
            response_bounds_ms=self._bounds.get("ResponseTimeRepartition", ()),
            length_bounds_ms=self._bounds.get("CallLengthRepartition", ()),
        )

    def _fault(self, node: Node, text: str) -> None:
        self._faults.append(Fault(node.line, _bytes_shown(text)))

    def _note(self, node: Node, text: str) -> None:
        self._notes.append(Fault(node.line, _bytes_shown(text)))

    def _context(self, labels: Mapping[str, Index]) -> Context:
        context = Context(self._names, labels, self._fault, self._note)
        context.fault_at = lambda line, text: self._faults.append(Fault(line, _bytes_shown(text)))
        return context

    def _labels(self, nodes: list[Node]) -> dict[str, Index]:
        """Where each label stands: the index of the element behind it."""
        labels: dict[str, Index] = {}
        index = 0
        for node in nodes:
            if node.name == "label":
                name = node.attributes.get("id", "")
                if not name:
                    self._fault(node, "<label> needs id")
                elif name in labels:
                    self._fault(node, f"label '{name}' stands twice")
                labels[name] = index
            elif node.name in ELEMENTS:
                index += 1
        return labels

    # ------------------------------------------------------------------ what stands beside the elements

    def _child(self, node: Node, context: Context) -> Element | None:
        if node.name in ELEMENTS:
            return read_element(node, context)
        declare = _DECLARATIONS.get(node.name)
        if declare is None:
            self._fault(node, f"<{node.name}> is not supported")
        else:
            declare(self, node)
        return None

    def _needed(self, node: Node, name: str) -> str:
        if name not in node.attributes:
            self._fault(node, f"<{node.name}> needs {name}")
        return node.attributes.get(name, "")

    def _listed(self, node: Node) -> list[str]:
        """The names in `variables`."""
        return [name.strip() for name in self._needed(node, "variables").split(",") if name.strip()]

    def reference(self, node: Node) -> None:
        """`<Reference>`: these may stand only once."""
        for name in self._listed(node):
            self._names.variables[name] += 1

    def declare_global(self, node: Node) -> None:
        """`<Global>`: variables that all calls share."""
        self._global.update(self._listed(node))

    def declare_user(self, node: Node) -> None:
        """`<User>`: variables that all calls of a user share."""
        self._of_users.update(self._listed(node))

    def bounds(self, node: Node) -> None:
        """`<ResponseTimeRepartition>` and `<CallLengthRepartition>`: milliseconds."""
        words = [word.strip() for word in self._needed(node, "value").split(",")]
        if len(words) > _MAX_BOUNDS or not all(word.isascii() and word.isdigit() and len(word) < 10 for word in words):
            self._note(node, f"value= of <{node.name}> is no list of milliseconds: it is accepted without effect")
            return
        self._bounds[node.name] = tuple(sorted({int(word) for word in words}))

    def init(self, node: Node) -> None:
        """`<init>`: nops and labels that are played once, before the calls."""
        for child in node.children:
            if child.name not in _IN_INIT:
                self._fault(child, f"<{child.name}> does not stand in <init>")
        self._init += [child for child in node.children if child.name in _IN_INIT]

    def default_message(self, node: Node) -> None:
        """`<DefaultMessage>`: another text for a message that stands in no scenario."""
        name = self._needed(node, "id")
        if name not in DEFAULT_MESSAGES:
            self._fault(node, f"id='{name}' is none of {', '.join(sorted(DEFAULT_MESSAGES))}")
        elif not node.text.strip():
            self._fault(node, "<DefaultMessage> holds no message")
        else:
            try:
                self._defaults[name] = parse_template(clean_text(node.text), self._names.keys)
            except TextFault as error:
                self._fault(node, error.text)
                return
            self._names.template(self._defaults[name], node.line)

    def nothing(self, _node: Node) -> None:
        """`<label>`: its place has been found before."""

    def _read_init(self, context: Context) -> list[Element]:
        opening = self._context(self._labels(self._init))
        elements = [read_element(node, opening) for node in self._init if node.name != "label"]
        context.commands += opening.commands
        return [element for element in elements if element is not None]

    # ------------------------------------------------------------------ the whole

    def _check_waits(self, elements: list[Element]) -> None:
        """What is optional waits together with what stands behind it; SIPp starts with nothing else either."""
        for element, following in itertools.pairwise(elements):
            is_optional = isinstance(element, Recv | HearTwin) and element.optional is not Optional.NO
            if is_optional and not isinstance(following, Recv | HearTwin):
                text = "behind an optional message stands another <recv>, and the last of them is not optional"
                self._faults.append(Fault(element.line, text))
            if isinstance(element, Pause) and element.is_timewait:
                self._faults.append(Fault(following.line, "nothing stands behind <timewait>"))

    def _check_transactions(self, context: Context) -> None:
        for name, line in context.answered.items():
            if name not in context.started:
                text = f"transaction '{name}': no start_txn= has that name"
                self._faults.append(Fault(line, _bytes_shown(text)))

    def _check_variables(self) -> None:
        """A name that stands once is a slip of the pen; SIPp does not start with one either."""
        variables, shared = self._names.variables, self._global | self._of_users | _SPECIAL
        for name, line in self._names.lines.items():
            if variables[name] == 1 and name not in shared:
                text = f"variable '{name}' stands nowhere else: <Reference variables='{name}'/> says that this is meant"
                self._faults.append(Fault(line, _bytes_shown(text)))


_DECLARATIONS: Final[Mapping[str, Callable[[_Loader, Node], None]]] = {
    "CallLengthRepartition": _Loader.bounds,
    "DefaultMessage": _Loader.default_message,
    "Global": _Loader.declare_global,
    "Reference": _Loader.reference,
    "ResponseTimeRepartition": _Loader.bounds,
    "User": _Loader.declare_user,
    "init": _Loader.init,
    "label": _Loader.nothing,
}
