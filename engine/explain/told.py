"""What an explanation is: lines, and what came of it; and hiding the callee's number in all of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Final, final

from engine.core.numbers import COUNTRY_CODE, mask

JSON_VERSION: Final = 1  # counted up when a key goes, or means something else


@final
@dataclass(frozen=True, slots=True)
class Line:
    """One thing that was read, decided or made.

    `stage` is the part of the work (peer, number, policy, binding, route, target, translation, gate, answer), `name`
    what of it, `made_by` the key of the configuration or the row of the store that made it so. `took_us` is None for
    what is read from the work of another line.
    """

    stage: str
    name: str
    result: str
    made_by: str
    took_us: float | None = None


@final
@dataclass(frozen=True, slots=True)
class Explanation:
    """What would happen to a call or message.

    `cause`, `sip_status`, `q850` and `decided_by` are the node's own refusal (contract §5), empty or 0 when the request
    would be sent; `seen_status` and `seen_q850` are what the caller would get and the record would say (0 while the
    callee has not answered). Without cause and not sent: answered by a rule of SIP, with `seen_status` and no record.
    """

    lines: tuple[Line, ...]
    arrives: str  # the request as it comes in
    sent: bool = False
    cause: str = ""
    sip_status: int = 0
    q850: int = 0
    decided_by: str = ""
    seen_status: int = 0
    seen_q850: int = 0
    subs_id: str = ""
    callee: str = ""
    presented_number: str = ""
    egress_peer: str = ""
    target: str = ""  # as configured: "sip:127.0.0.1:5080"
    next_hop: str = ""  # transport, address and port: "udp:127.0.0.1:5080"
    leaves: str = ""  # the request as it goes out
    is_live: bool = False  # with what a running node knows
    took_us: dict[str, float] = field(default_factory=dict)  # by part of the work, microseconds


def as_document(told: Explanation) -> dict[str, object]:
    """As `--json` prints it (docs/explain.md)."""
    return {"version": JSON_VERSION, **asdict(told)}


def veiled(told: Explanation, spellings: Iterable[str] = ()) -> Explanation:
    """The same with the callee's number masked wherever its digits stand, behind a country code too, and in the
    spellings of number rules.

    Whatever looks the same masked is masked too: of many numbers guessed in a text, the right one must not stand out.
    """
    if not told.callee:
        return told
    veils = [_veil(number) for number in dict.fromkeys((told.callee, *spellings))]

    def veil(text: str) -> str:
        for one in veils:
            text = one(text)
        return text

    lines = tuple(replace(line, result=veil(line.result), made_by=veil(line.made_by)) for line in told.lines)
    texts = {one.name: veil(text) for one in fields(told) if isinstance(text := getattr(told, one.name), str)}
    return replace(told, lines=lines, **texts)  # type: ignore[arg-type]


def _veil(number: str) -> Callable[[str], str]:
    masked = mask(number)
    digits = re.compile(rf"(?<![0-9])(0*{COUNTRY_CODE})?([0-9]{{{len(number)}}})(?![0-9])")
    return lambda text: digits.sub(
        lambda found: f"{found[1] or ''}{masked}" if mask(found[2]) == masked else found[0], text
    )
