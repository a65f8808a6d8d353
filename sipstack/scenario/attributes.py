"""Attributes of elements and actions: read, checked, and what they name kept."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from typing import Final, final

from sipstack.scenario.deeds import Number
from sipstack.scenario.distributions import KINDS, Distribution
from sipstack.scenario.template import NOTHING, Template, TextFault, parse_template
from sipstack.scenario.variables import parse_number
from sipstack.scenario.xmltree import Node

Report = Callable[[Node, str], None]

LONGEST_MS: Final = 24 * 60 * 60 * 1000
_INT_MAX: Final = 2**31 - 1
_INTEGER: Final = re.compile(r"[+-]?(?:0[xX][0-9a-fA-F]{1,8}|[0-9]{1,10})")
_VARIABLE: Final = re.compile(r"[^$,\[\]]+")
# How old files name the distribution of a pause: by an attribute of its name.
_OLD_STYLE: Final = {name: name for name in ("normal", "exponential", "lognormal", "weibull", "pareto", "gamma")} | {
    "min": "uniform", "max": "uniform",
}  # fmt: skip


def parse_integer(text: str) -> int | None:
    """As C's strtol reads it: decimal, 0x hexadecimal, or octal after a 0; None when it is none."""
    if _INTEGER.fullmatch(text) is None:
        return None
    digits = text.lstrip("+-")
    try:
        number = int(digits, 16 if digits[:2] in ("0x", "0X") else 8 if digits.startswith("0") else 10)
    except ValueError:
        return None
    return -number if text.startswith("-") else number


@final
class Names:
    """What a file names: variables, keys of the command line, injection files and their fields."""

    def __init__(self) -> None:
        self.keys: set[str] = set()
        self.variables: Counter[str] = Counter()
        self.lines: dict[str, int] = {}  # of each variable, the first
        self.fields = 0  # that a row of the first injection file must have
        self.files: set[str] = set()
        self.crypto_lines: list[int] = []  # where SRTP is offered

    def variable(self, name: str, line: int) -> None:
        """It stands there."""
        self.variables[name] += 1
        self.lines.setdefault(name, line)

    def template(self, template: Template, line: int) -> None:
        """What the keywords of a text name."""
        for keyword in template.keywords():
            if keyword.name in ("variable", "fill"):
                self.variable(keyword.argument, line)
            elif keyword.name == "crypto" and line not in self.crypto_lines:
                self.crypto_lines.append(line)
            elif keyword.name == "field":
                file = keyword.text("file")
                if file is None:
                    self.fields = max(self.fields, int(keyword.argument) + 1)
                elif all(isinstance(part, str) for part in file.parts):
                    self.files.add("".join(map(str, file.parts)))


@final
class Attributes:
    """The attributes of one element. What is wrong is reported, and has the value of an attribute that is not there."""

    def __init__(self, node: Node, names: Names, fault: Report) -> None:
        self.node = node
        self.names = names
        self._given = node.attributes
        self._report = fault

    def __contains__(self, name: str) -> bool:
        return name in self._given

    def fault(self, text: str) -> None:
        """Something is wrong with the element."""
        self._report(self.node, text)

    def get(self, name: str, default: str = "") -> str:
        """As it stands."""
        return self._given.get(name, default)

    def needed(self, name: str) -> str:
        """One that must be there; "" after a fault."""
        if name not in self._given:
            self.fault(f"<{self.node.name}> needs {name}")
        return self._given.get(name, "")

    def flag(self, name: str, default: bool = False) -> bool:
        """`true`, `false` or a number, which is true when it is not 0."""
        text = self._given.get(name)
        if text is None:
            return default
        number = {"true": 1, "false": 0}.get(text.lower(), parse_integer(text))
        if number is None:
            self.fault(f"{name}='{text}' is neither true nor false")
        return bool(number)

    def check(self) -> bool | None:
        """`check_it` and `check_it_inverse`: what must be; None when nothing must."""
        if "check_it" in self and "check_it_inverse" in self and self.flag("check_it"):
            self.fault("check_it and check_it_inverse exclude each other")
        if self.flag("check_it"):
            return True
        return False if self.flag("check_it_inverse") else None

    def seconds(self, name: str, *, least_ms: int = 0) -> float | None:
        """Milliseconds; None when it is not there, or 0 where 0 means that."""
        text = self._given.get(name)
        if text is None:
            return None
        number = parse_integer(text)
        if number is None or not least_ms <= number <= LONGEST_MS:
            self.fault(f"{name}='{text}' is no number of milliseconds from {least_ms} to {LONGEST_MS}")
            return None
        return number / 1000

    def real(self, name: str) -> float:
        """A number that must be there; 0.0 after a fault."""
        text = self.needed(name)
        number = parse_number(text)
        if number is None:
            self.fault(f"{name}='{text}' is no number")
        return number or 0.0

    def between(self, name: str, least: float, most: float) -> float | None:
        """A number that may be there."""
        if name not in self:
            return None
        number = self.real(name)
        if not least <= number <= most:
            self.fault(f"{name}='{self.get(name)}' is no number from {least:g} to {most:g}")
            return None
        return number

    def variable(self, name: str) -> str | None:
        """The name of a variable; None when the attribute is not there."""
        text = self._given.get(name)
        if text is None:
            return None
        return self._variable(name, text)

    def _variable(self, name: str, text: str) -> str:
        if _VARIABLE.fullmatch(text) is None:
            self.fault(f"{name}='{text}' is no name of a variable")
        else:
            self.names.variable(text, self.node.line)
        return text

    def target(self) -> str:
        """`assign_to`, which must be there."""
        self.needed("assign_to")
        return self.variable("assign_to") or ""

    def targets(self) -> tuple[str, ...]:
        """The names in `assign_to`, with commas between them."""
        text = self.needed("assign_to")
        return tuple(self._variable("assign_to", name.strip()) for name in text.split(",")) if text else ()

    def source(self) -> str:
        """`variable`, which must be there."""
        self.needed("variable")
        return self.variable("variable") or ""

    def operand(self, variable: str = "variable") -> Number:
        """Either `value` or a variable."""
        if "value" in self and variable in self:
            self.fault(f"value and {variable} exclude each other")
        elif "value" not in self and variable not in self:
            self.fault(f"<{self.node.name}> needs value or {variable}")
        elif "value" in self:
            return Number(None, self.real("value"))
        return Number(self.variable(variable), 0.0)

    def text(self, name: str) -> Template:
        """A text with keywords, which must be there."""
        self.needed(name)
        try:
            template = parse_template(self.get(name), self.names.keys)
        except TextFault as error:
            self.fault(error.text)
            return NOTHING
        self.names.template(template, self.node.line)
        return template

    def distribution(self, *, old_style: bool) -> Distribution | None:
        """That of `distribution`; old files write `<pause min="1" max="2"/>`. None when there is none."""
        kind = self.get("distribution")
        if not kind and old_style:
            kind = next((found for name, found in _OLD_STYLE.items() if name in self), "")
            if not kind:
                return None
        if kind not in KINDS:
            self.fault(f"distribution='{kind}' is none of {', '.join(KINDS)}")
            return None
        return Distribution(kind, tuple(self.real(name) for name in KINDS[kind].needs))

    def check_length(self, distribution: Distribution) -> None:
        """SIPp does not begin to play pauses of which one in a hundred is longer than 24 days."""
        if self.flag("sanity_check", True) and distribution.percentile_99() > _INT_MAX:
            self.fault("one pause in a hundred is longer than 24 days: other parameters, or sanity_check='false'")
