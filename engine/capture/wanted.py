"""What a capture is asked for, read from its request: nothing in it is believed."""

from __future__ import annotations

from typing import Final, NamedTuple

from engine.core.numbers import canonical_real, is_privacy_number
from engine.store.audit import MAX_REASON, Asker

MAX_FOR_S: Final = 7 * 86_400.0
MAX_CALLS: Final = 1_000_000
_MAX_ACTOR: Final = 64


class WantedFault(Exception):
    """The request is wrong; the text is one line without a real number."""


class Wanted(NamedTuple):
    """Which messages, for how long, and how. `number`: a 700 number, a canonical real one, or "" for all."""

    for_s: float
    calls: int  # 0: no matter how many
    number: str
    peer: str
    asker: Asker | None  # who sees real numbers, and why


def read_wanted(request: dict[str, object]) -> Wanted:
    """Raises WantedFault."""
    for_s = request.get("for_s", MAX_FOR_S)
    calls = request.get("calls", 0)
    if isinstance(for_s, bool) or not isinstance(for_s, int | float) or not 0 < for_s <= MAX_FOR_S:
        raise WantedFault(f"for_s must be a number of seconds, {MAX_FOR_S:.0f} at the most")
    if isinstance(calls, bool) or not isinstance(calls, int) or not 0 <= calls <= MAX_CALLS:
        raise WantedFault(f"calls must be a whole number, {MAX_CALLS} at the most")
    number, peer = _text(request, "number"), _text(request, "peer")
    if number and not is_privacy_number(number) and canonical_real(number) != number:
        raise WantedFault("number must be a 700 number or a real one in canonical form")
    asker = None
    if request.get("reveal") is True:
        actor = _text(request, "actor")
        if not 0 < len(actor) <= _MAX_ACTOR or not actor.isprintable():
            raise WantedFault("reveal needs an actor")
        asker = Asker(actor, _text(request, "reason")[:MAX_REASON])
    return Wanted(float(for_s), calls, number, peer, asker)


def _text(request: dict[str, object], name: str) -> str:
    value = request.get(name, "")
    if not isinstance(value, str):
        raise WantedFault(f"{name} must be a text")
    return value
