"""Files of `-inf`: rows of fields, one for each call, found again by what stands in one of their fields."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from enum import Enum
from pathlib import Path
from random import Random
from typing import Final, final

from sipstack.scenario.model import Fault, Scenario, ScenarioError, SettingsError
from sipstack.scenario.values import CallFault

MAX_FILE_BYTES: Final = 256 * 1024 * 1024  # two million rows of the usual length
_MAX_VIRTUAL_LINES: Final = 2**31 - 1
_PRINTF: Final = re.compile(r"%(?:%|(-?\d{0,3}(?:\.\d{0,3})?)d)")
_OPTIONS: Final = ("PRINTF", "PRINTFOFFSET", "PRINTFMULTIPLE")
_OPTION: Final = re.compile(r"(PRINTFOFFSET|PRINTFMULTIPLE|PRINTF)\s*=\s*(0[xX][0-9a-fA-F]{1,8}|\d{1,10})")


class Order(Enum):
    """Which row a call gets: the next one, any, or that of its user."""

    RANDOM = "RANDOM"
    SEQUENTIAL = "SEQUENTIAL"
    USER = "USER"


@final
class InjectionFile:
    """The rows of a file. With PRINTF there are as many as it says, made of those that stand in it."""

    def __init__(
        self, name: str, lines: list[str], order: Order = Order.SEQUENTIAL, printf: Mapping[str, int] | None = None
    ) -> None:
        """`lines` hold one character a byte."""
        self.name = name
        self.order = order
        self._lines = lines
        self._printf = printf
        self._next = 0
        self._indexed: int | None = None
        self._index: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._lines) if self._printf is None else self._printf["PRINTF"]

    def next_line(self, random: Random, user: int) -> int:
        """That of a new call; -1 for a call of no user in a file of users."""
        if self.order is Order.RANDOM:
            return random.randrange(len(self))
        if self.order is Order.USER:
            return user - 1
        line = self._next
        self._next = (line + 1) % len(self)
        return line

    def field(self, line: int, number: int) -> str:
        """One field, from 0; nothing where there is none."""
        if not 0 <= line < len(self):
            return ""
        fields = self._lines[line % len(self._lines)].split(";")
        if number >= len(fields):
            return ""
        text = fields[number]
        if self._printf is None or "%" not in text:
            return text
        value = self._printf.get("PRINTFOFFSET", 0) + line * self._printf.get("PRINTFMULTIPLE", 1)
        return _PRINTF.sub(lambda found: "%" if found[1] is None else f"%{found[1]}d" % value, text)

    # ------------------------------------------------------------------ as a store

    def index(self, number: int) -> None:
        """`-infindex`: rows are found by what stands in that field, the last of equal ones."""
        self._indexed = number
        self._index = {self.field(line, number): line for line in range(len(self._lines))}

    def lookup(self, key: str) -> int:
        """The row whose indexed field is `key`; -1 when there is none. CallFault without an index."""
        if self._indexed is None:
            raise CallFault(f"<lookup>: {self.name} has no index (-infindex)")
        return self._index.get(key, -1)

    def insert(self, row: str) -> None:
        """One more row, in memory only. CallFault in a PRINTF file."""
        self._writable("insert")
        self._lines.append(row)
        if self._indexed is not None:
            self._index[self.field(len(self._lines) - 1, self._indexed)] = len(self._lines) - 1

    def replace(self, line: int, row: str) -> None:
        """Another row in place of one. CallFault when there is no such line."""
        self._writable("replace")
        if not 0 <= line < len(self._lines):
            raise CallFault(f"<replace>: {self.name} has no line {line}")
        if self._indexed is not None:
            before = self.field(line, self._indexed)
            if self._index.get(before) == line:
                del self._index[before]
        self._lines[line] = row
        if self._indexed is not None:
            self._index[self.field(line, self._indexed)] = line

    def _writable(self, action: str) -> None:
        if self._printf is not None:
            raise CallFault(f"<{action}>: {self.name} is a PRINTF file")


@final
class Injection:
    """All files of a player, by their names without folders. The first is the one that `[field0]` means."""

    def __init__(self, files: Iterable[InjectionFile] = ()) -> None:
        self.files: dict[str, InjectionFile] = {}
        for file in files:
            self.files[file.name] = file
        self.default = next(iter(self.files), "")

    @classmethod
    def of_rows(cls, rows: Sequence[Sequence[str]]) -> Injection:
        """Rows that are no file: in sequence, and again from the first."""
        lines = [";".join(row).encode(errors="surrogateescape").decode("latin-1") for row in rows]
        return cls([InjectionFile("rows", lines)] if lines else [])

    def file(self, name: str) -> InjectionFile:
        """CallFault when there is none of that name."""
        found = self.files.get(name.rpartition("/")[2])
        if found is None:
            raise CallFault(f"no injection file is named {name!r}")
        return found

    def next_lines(self, random: Random, user: int) -> dict[str, int]:
        """The rows of a new call."""
        return {name: file.next_line(random, user) for name, file in self.files.items()}


def check_injection(scenario: Scenario, injection: Injection) -> None:
    """SettingsError when the scenario names fields or files that are not there."""
    if scenario.fields and not injection.files:
        raise SettingsError(f"[field{scenario.fields - 1}] needs rows for injection: give them with -inf FILE")
    for name in sorted(scenario.files):
        if name.rpartition("/")[2] not in injection.files:
            raise SettingsError(f"[field file={name}]: no such file is given with -inf")


def read_injection(path: Path) -> InjectionFile:
    """A file: SEQUENTIAL, RANDOM or USER in its first line, there perhaps PRINTF=..., then rows with `;` between the
    fields. `#` begins a comment line, an empty line ends it all. ScenarioError for anything else, OSError when the file
    cannot be read.
    """
    with path.open("rb") as file:
        data = file.read(MAX_FILE_BYTES + 1)
    if len(data) > MAX_FILE_BYTES:
        raise ScenarioError(path, [Fault(1, f"larger than {MAX_FILE_BYTES // 1024 // 1024} MiB")])
    head, *rest = data.decode("latin-1").replace("\r\n", "\n").split("\n")
    order = next((order for order in Order if order.value in head), None)
    if order is None:
        raise ScenarioError(path, [Fault(1, "the first line is SEQUENTIAL, RANDOM or USER")])
    printf = _printf(path, head)
    end = rest.index("") if "" in rest else len(rest)
    lines = [line for line in rest[:end] if not line.startswith("#")]
    if not lines:
        raise ScenarioError(path, [Fault(1, "there is no row")])
    if printf is not None:
        _check_formats(path, rest[:end])
    return InjectionFile(path.name, lines, order, printf)


def _printf(path: Path, head: str) -> dict[str, int] | None:
    """What the first line says of PRINTF; None when it says nothing."""
    if "PRINTF" not in head:
        return None
    found = {option[1]: int(option[2], 0 if option[2][:2] in ("0x", "0X") else 10) for option in _OPTION.finditer(head)}
    named = sum(re.search(rf"{name}(?![A-Z])", head) is not None for name in _OPTIONS)
    if len(found) != named or not 1 <= found.get("PRINTF", 0) <= _MAX_VIRTUAL_LINES:
        raise ScenarioError(path, [Fault(1, "PRINTF=, PRINTFOFFSET= and PRINTFMULTIPLE= need a number, PRINTF of 1 or "
                                            "more")])  # fmt: skip
    return found


def _check_formats(path: Path, lines: Sequence[str]) -> None:
    faults = [Fault(number, "only %d and %% may stand in a PRINTF file") for number, line in enumerate(lines, start=2)
              if not line.startswith("#") and "%" in _PRINTF.sub("", line)]  # fmt: skip
    if faults:
        raise ScenarioError(path, faults)
