"""The body of a request in bulk, read a slice at a time: whoever else asks meanwhile, and above all a node that waits
for the answer of a hook, is heard between two of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Annotated, Final, NoReturn

from pydantic import FailFast, TypeAdapter, ValidationError

from engine.api.binding_forms import NewBinding
from engine.api.operations import illegal
from engine.api.plain_bodies import PLAIN, Values, read_plain
from engine.domain.problems import Problem, ProblemCode
from engine.store.binding_import import COLUMNS
from engine.store.binding_rules import BindRequest

MAX_BULK: Final = 10_000
MAX_PARTS: Final = 2 * MAX_BULK  # lines may be empty, and what stands between two may stand in a text
MAX_ONE: Final = 64 * 1024  # octets of one binding: with every member at its longest and escaped it has 50,000
SLICE: Final = 250  # bindings that are read at once, 2 ms
SLICE_OCTETS: Final = 256 * 1024
MAX_MOVES: Final = 100  # so often an end of a slice may lie in a text: 128 characters hold 64 of them

_BETWEEN: Final = b"},"  # of two objects of an array; in a text, too, which is found out by reading
_MANY: Final = TypeAdapter(Annotated[list[NewBinding], FailFast()])


async def read_bindings(content: bytes) -> list[Values | BindRequest]:
    """An array, or one a line; of one without options its values.

    Problem, whose field begins with which one it is about, from 0 on.
    """
    text = content.strip()
    if text.startswith(b"["):
        if not text.endswith(b"]"):
            _refuse("is no JSON array")
        text = text[1:-1].strip()
        between = _BETWEEN
        parts = text.split(between, MAX_PARTS)
    else:
        between = b","
        parts = [line for line in text.split(b"\n", MAX_PARTS) if line and not line.isspace()]
    if not text or len(parts) > MAX_PARTS:
        _refuse_count()
    found: list[Values | BindRequest] = []
    begin = moves = 0
    while begin < len(parts):
        end = _end_of_slice(parts, begin, len(found))
        while (some := _read(parts, begin, end, between, len(found), moves < MAX_MOVES)) is None:
            end += 1
            moves += 1
            await asyncio.sleep(0)
        if not some:
            _refuse("ends with a comma")
        found += some
        begin = end
        await asyncio.sleep(0)
    if len(found) > MAX_BULK:
        _refuse_count()
    return found


def _end_of_slice(parts: list[bytes], begin: int, before: int) -> int:
    """Where one that begins there ends. Problem for a binding that is too long."""
    octets = 0
    end = begin
    while end < len(parts) and end - begin < SLICE and octets < SLICE_OCTETS:
        if len(parts[end]) > MAX_ONE:
            raise Problem(
                ProblemCode.ILLEGAL_ARGUMENT, str(before + end - begin), f"is longer than {MAX_ONE} octets"
            )  # fmt: skip
        octets += len(parts[end])
        end += 1
    return end


def _read(
    parts: list[bytes], begin: int, end: int, between: bytes, before: int, may_go_on: bool
) -> Sequence[Values | BindRequest] | None:
    """The bindings of a slice; None where its end lies in a text, and it may go on behind it. Problem."""
    is_cut = between is _BETWEEN and end < len(parts)
    content = b"[" + between.join(parts[begin:end]) + (b"}]" if is_cut else b"]")
    plain = read_plain(content)
    if plain is not None:
        return plain
    try:
        return [_request(one) for one in _MANY.validate_json(content)]
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    message, place = first["msg"], first["loc"]
    if first["type"] != "json_invalid":
        raise illegal((before + int(place[0]), *place[1:]), message)
    if is_cut and may_go_on and "EOF while parsing a string" in message:
        return None
    raise illegal((), f"{message}, counted from binding {before} on" if before else message)


def _request(wanted: NewBinding) -> Values | BindRequest:
    values = wanted.__dict__.values()
    return tuple(values)[: len(COLUMNS)] if wanted.model_fields_set <= PLAIN else BindRequest(*values)


def _refuse(detail: str) -> NoReturn:
    raise Problem(ProblemCode.ILLEGAL_ARGUMENT, "", detail)


def _refuse_count() -> NoReturn:
    _refuse(f"must be 1 to {MAX_BULK} bindings")
