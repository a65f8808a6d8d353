"""`<action>`: what is done with a message once it has come or gone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from sipstack.scenario.keywords import Moment, TextFault, Values, parse_template, render
from sipstack.scenario.model import Action, Assign, Match, Place, Say, Template
from sipstack.scenario.received import Received
from sipstack.scenario.regex import compile_ere, search
from sipstack.scenario.xmltree import Node

Report = Callable[[Node, str], None]

_EREG: Final = frozenset(
    ("regexp", "search_in", "header", "case_indep", "occurence", "occurrence", "start_line", "assign_to", "check_it",
     "check_it_inverse")
)  # fmt: skip
KNOWN: Final = {
    "ereg": _EREG,
    "assignstr": frozenset(("assign_to", "value")),
    "log": frozenset(("message",)),
    "warning": frozenset(("message",)),
}


def read_action(node: Node, keys: set[str], fault: Report) -> Action | None:
    """One child of `<action>`, whose attributes are known ones; None after a fault."""
    if node.name == "ereg":
        return _read_ereg(node, fault)
    wanted = "value" if node.name == "assignstr" else "message"
    missing = [name for name in sorted(KNOWN[node.name]) if name not in node.attributes]
    if missing:
        fault(node, f"<{node.name}> needs {' and '.join(missing)}")
        return None
    try:
        text = parse_template(node.attributes[wanted], keys)
    except TextFault as error:
        fault(node, error.text)
        return None
    return Assign(node.attributes["assign_to"], text) if node.name == "assignstr" else Say(text)


def _read_ereg(node: Node, fault: Report) -> Match | None:
    given = node.attributes
    place = next((place for place in Place if place.value == given.get("search_in", "msg")), None)
    names = tuple(name.strip() for name in given.get("assign_to", "").split(","))
    occurrence = given.get("occurrence", given.get("occurence", "1"))
    flags = {name: read_bool(node, name, fault) for name in ("case_indep", "start_line", "check_it",
                                                             "check_it_inverse")}  # fmt: skip
    wrong = ""
    if place is None:
        wrong = f"search_in='{given['search_in']}' is not supported: msg, hdr or body"
    elif (place is Place.HEADER) != bool(given.get("header")):
        wrong = 'header="..." stands with search_in="hdr", and only there'
    elif not all(names) or "regexp" not in given:
        wrong = "<ereg> needs regexp and assign_to"
    elif not occurrence.isascii() or not occurrence.isdigit() or not 1 <= int(occurrence[:9]) <= 256:
        wrong = f"occurrence='{occurrence}' is no number from 1 to 256"
    elif flags["check_it"] and flags["check_it_inverse"]:
        wrong = "check_it and check_it_inverse exclude each other"
    if wrong or place is None:
        fault(node, wrong)
        return None
    try:
        pattern, is_greedy = compile_ere(given["regexp"])
    except ValueError as error:
        fault(node, f"regexp '{given['regexp']}': {error}")
        return None
    if len(names) > pattern.groups + 1:
        fault(node, f"assign_to has {len(names)} names, the expression {pattern.groups} sub-expressions")
        return None
    must_match = True if flags["check_it"] else False if flags["check_it_inverse"] else None
    return Match(pattern, is_greedy, place, given.get("header", ""), flags["case_indep"], flags["start_line"],
                 int(occurrence), names, must_match)  # fmt: skip


def read_bool(node: Node, name: str, fault: Report) -> bool:
    """An attribute that is `true` or `false`; false when it is not there."""
    text = node.attributes.get(name, "false").lower()
    if text not in ("true", "false"):
        fault(node, f"{name}='{node.attributes[name]}' is neither true nor false")
    return text == "true"


def perform(actions: tuple[Action, ...], text: str, values: Values, moment: Moment, say: Callable[[str], None]) -> str:
    """Carries out the actions on the text of a message; "" or why the call has failed.

    As in SIPp, the first check that fails ends the list, and the call goes on, but counts as failed.
    """
    for action in actions:
        if isinstance(action, Match):
            wrong = _match(action, text, values)
            if wrong:
                return wrong
        elif isinstance(action, Assign):
            values.variables[action.name] = render(action.value, values, moment)
        else:
            say(render(action.text, values, moment))
    return ""


def _match(action: Match, text: str, values: Values) -> str:
    found = search(action.pattern, action.is_greedy, _looked_at(action, text))
    if found is not None:
        for group, name in enumerate(action.assign_to):
            part = found[group]
            if part is not None:
                values.variables[name] = part
    if action.must_match is None or action.must_match == (found is not None):
        return ""
    return f"/{action.pattern.pattern}/ {'does not match' if action.must_match else 'matches'}"


def _looked_at(action: Match, text: str) -> str:
    """The part of a message that an expression is matched against."""
    if action.place is Place.MESSAGE:
        return text
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


def used_template(action: Action) -> Template:
    """The text of an action; an empty one when it has none."""
    if isinstance(action, Assign):
        return action.value
    return action.text if isinstance(action, Say) else Template(())
