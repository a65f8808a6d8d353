"""What an app platform answers, read strictly: what cannot be read whole is no answer."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Final, TypeVar, final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from engine.core.asking import ORDER
from engine.core.numbers import canonical_real, is_privacy_number, masked_runs
from engine.domain.fields import MAX_CALL_S, MAX_TEXT

MAX_ANSWER: Final = 16 * 1024
HOLDS_S: Final = 60.0  # so long an order is true whose answer says nothing of it
MAX_RING_S: Final = 600
MAX_REASON: Final = 200

_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?(?:Z|[+-]\d\d:\d\d)", re.ASCII)


class Unreadable(Exception):
    """It is no answer; the text says what is wrong, in one line and without a number."""


@final
@dataclass(frozen=True, slots=True)
class Word:
    """What was answered. A member that was not said is 0 or ""."""

    is_yes: bool
    until_at: float = 0.0  # of an order: so long it is true, seconds since the epoch
    proof: str = ""
    callee: str = ""  # canonical
    presented: str = ""
    max_call_s: int = 0
    ring_timeout_s: int = 0


_NO: Final = Word(False)


def _time(text: str) -> str:
    if _TIME.fullmatch(text) is None:
        raise ValueError("must be an RFC 3339 time")
    return text


def _callee(text: str) -> str:
    number = canonical_real(text)
    if number is None:
        raise ValueError("is no real number")
    return number


def _presented(text: str) -> str:
    if not is_privacy_number(text):
        raise ValueError("is no 700 number")
    return text


def _proof(text: str) -> str:
    if not text.isprintable():
        raise ValueError("must be printable")
    return text


_Until = Annotated[str, Field(max_length=40), AfterValidator(_time)]


class _Answer(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    until: _Until | None = None


class _OrderAnswer(_Answer):
    verified: bool
    proof: Annotated[str, Field(max_length=MAX_TEXT), AfterValidator(_proof)] = ""


class _DecisionAnswer(_Answer):
    allow: bool
    callee: Annotated[str, Field(max_length=32), AfterValidator(_callee)] | None = None
    presented: Annotated[str, Field(max_length=32), AfterValidator(_presented)] | None = None
    max_duration: Annotated[int, Field(ge=1, le=MAX_CALL_S)] | None = None
    ring_timeout: Annotated[int, Field(ge=1, le=MAX_RING_S)] | None = None


_Model = TypeVar("_Model", bound=_Answer)


def read_answer(kind: str, body: bytes, wall_s: float) -> Word:
    """The answer to a question of that kind. Raises Unreadable."""
    return _order(body, wall_s) if kind == ORDER else _decision(body, wall_s)


def _order(body: bytes, wall_s: float) -> Word:
    said = _parsed(_OrderAnswer, body)
    until_at = _seconds(said.until) if said.until is not None else wall_s + HOLDS_S
    if not said.verified or until_at <= wall_s:
        return _NO
    return Word(True, until_at, said.proof)


def _decision(body: bytes, wall_s: float) -> Word:
    """`until` is when the call must be over, so it becomes seconds of talking."""
    said = _parsed(_DecisionAnswer, body)
    if not said.allow:
        return _NO
    max_call_s = said.max_duration or 0
    if said.until is not None:
        left_s = math.floor(_seconds(said.until) - wall_s)
        if left_s < 1:
            return _NO
        max_call_s = min(max_call_s or MAX_CALL_S, left_s)
    return Word(True, 0.0, "", said.callee or "", said.presented or "", max_call_s, said.ring_timeout or 0)


def _parsed(model: type[_Model], body: bytes) -> _Model:
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        raise Unreadable(masked_runs(" ".join(f"{field} {first['msg']}".split()))[:MAX_REASON]) from None


def _seconds(text: str) -> float:
    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError):
        raise Unreadable("until is no time") from None
