"""Whom to ask about: the distinct (caller, called, peer, method) of records, of an export, or of a list of numbers."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TextIO, final

from engine.core.numbers import MASK
from engine.deciding import Question
from engine.deciding.arrival import METHODS
from engine.store.recent_calls import Called, called_in

_METHOD_OF_KIND: Final = {"voice": "INVITE", "message": "MESSAGE"}
_OF_RECORD: Final = ("kind", "ingress_peer", "tel_x", "tel_y", "presented_number", "caller", "callee", "group_member")
_OF_NUMBERS: Final = ("caller", "called")
_MORE_OF_NUMBERS: Final = ("peer", "method")

MAX_LINE: Final = 1_048_576  # characters; a line of an export has some two thousand

# Who calls where the record could not read it: any text that is no number is decided alike.
NOBODY: Final = "anonymous"

NOT_READ: Final = "called: the record has no number that was called"


class CorpusFault(Exception):
    """A file that cannot serve: one line, `file:line: reason`, without a number in it."""


@final
@dataclass(frozen=True, slots=True)
class Corpus:
    """`asked`: each question once, and how often it stands in the source."""

    asked: list[tuple[Question, int]]
    origin: str  # in words
    left_out: Counter[str]  # why something of the source cannot be asked about, and how often
    notes: tuple[str, ...] = ()  # what is to be known of it

    @property
    def calls(self) -> int:
        """How many calls and messages that is in the source."""
        return sum(count for _, count in self.asked)


def of_records(found: Mapping[Called, int], origin: str) -> Corpus:
    """Of what the store has on record."""
    asked: Counter[Question] = Counter()
    left_out: Counter[str] = Counter()
    for one, count in found.items():
        if one.called:
            asked[Question(one.caller or NOBODY, one.called, _METHOD_OF_KIND[one.kind], one.peer)] += count
        else:
            left_out[NOT_READ] += count
    return Corpus(list(asked.items()), origin, left_out)


def of_export(file: Path) -> Corpus:
    """Of what `cdr export --reveal` has written, as JSON lines or CSV. CorpusFault; OSError."""
    found: Counter[Called] = Counter()
    with file.open(encoding="utf-8", errors="surrogateescape", newline="") as text:
        begin = text.read(1)
        text.seek(0)
        rows = _json_rows(file, text) if begin == "{" else _csv_rows(file, text, _OF_RECORD, ())
        for line, row in rows:
            found[_called(f"{file}:{line}", row)] += 1
    return of_records(found, f"records in {file.name}")


def of_numbers(file: Path) -> Corpus:
    """Of a CSV file whose first line names its columns: caller, called and, if wanted, peer and method.

    CorpusFault; OSError.
    """
    asked: Counter[Question] = Counter()
    with file.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as text:
        for line, row in _csv_rows(file, text, _OF_NUMBERS, _MORE_OF_NUMBERS):
            caller, called = row["caller"].strip(), row["called"].strip()
            for name, value in (("caller", caller), ("called", called)):
                if not value or not value.isprintable():
                    raise CorpusFault(f"{file}:{line}: {name}: empty, or with a character that does not print")
            method = (row.get("method") or "INVITE").strip().upper()
            if method not in METHODS:
                raise CorpusFault(f"{file}:{line}: method: neither INVITE nor MESSAGE")
            asked[Question(caller, called, method, (row.get("peer") or "").strip() or None)] += 1
    return Corpus(list(asked.items()), f"lines of {file.name}", Counter())


def _called(where: str, row: Mapping[str, str]) -> Called:
    if any(MASK in row[name] for name in ("caller", "callee", "group_member")):
        raise CorpusFault(f"{where}: its numbers are masked, so nothing can be decided: export with --reveal")
    kind = row["kind"]
    if kind not in _METHOD_OF_KIND:
        raise CorpusFault(f"{where}: kind: neither voice nor message")
    called = called_in(
        row["tel_x"], row["tel_y"], row["presented_number"], row["caller"], row["callee"], row["group_member"]
    )
    return Called(kind, row["ingress_peer"], row["caller"], called)


def _json_rows(file: Path, text: TextIO) -> Iterator[tuple[int, dict[str, str]]]:
    for number, line in enumerate(_lines(file, text), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            row = None
        if not isinstance(row, dict):
            raise CorpusFault(f"{file}:{number}: no JSON object")
        values = {name: row.get(name, "") for name in _OF_RECORD}
        values = {name: "" if value is None else value for name, value in values.items()}
        if missing := [name for name in _OF_RECORD if name not in row]:
            raise CorpusFault(f"{file}:{number}: {missing[0]} is missing: not a record that cdr export has written")
        if wrong := [name for name, value in values.items() if not isinstance(value, str)]:
            raise CorpusFault(f"{file}:{number}: {wrong[0]}: not a text")
        yield number, values


def _csv_rows(
    file: Path, text: TextIO, wanted: tuple[str, ...], more: tuple[str, ...]
) -> Iterator[tuple[int, dict[str, str]]]:
    reader = csv.reader(_lines(file, text))
    try:
        header = next(reader, [])
        if missing := [name for name in wanted if name not in header]:
            raise CorpusFault(f"{file}:1: no column {missing[0]}: the first line must name {', '.join(wanted)}")
        if more and (unknown := [name for name in header if name not in (*wanted, *more)]):
            raise CorpusFault(f"{file}:1: column {len(header) and header.index(unknown[0]) + 1} is none of"
                              f" {', '.join((*wanted, *more))}")  # fmt: skip
        for cells in reader:
            if not cells:
                continue
            if len(cells) != len(header):
                raise CorpusFault(f"{file}:{reader.line_num}: {len(cells)} cells, {len(header)} columns")
            yield reader.line_num, dict(zip(header, cells, strict=True))
    except csv.Error as error:
        raise CorpusFault(f"{file}:{reader.line_num}: no CSV: {error}") from None


def _lines(file: Path, text: TextIO) -> Iterable[str]:
    """Line by line, none of them longer than memory has room for."""
    number = 0
    while line := text.readline(MAX_LINE):
        number += 1
        if len(line) == MAX_LINE:
            raise CorpusFault(f"{file}:{number}: longer than {MAX_LINE} characters")
        yield line
