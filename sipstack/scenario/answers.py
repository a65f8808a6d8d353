"""What a call has taken and what it has said to it: how repeats are known, and answered again."""

from __future__ import annotations

import re
from typing import Final, final

from sipstack.scenario.model import Index
from sipstack.scenario.received import Received

# Messages of which a repeat is known again; a call of a scenario has far fewer.
_MAX_REMEMBERED: Final = 256
_CSEQ: Final = re.compile(r"^CSeq[ \t]*:[ \t]*(\d{1,10})[ \t]+(\S+)", re.IGNORECASE | re.MULTILINE)


@final
class Answers:
    """Of one call. A repeat is the same bytes; where it `is_loose`, the same start line, From, To and CSeq."""

    def __init__(self, *, is_loose: bool) -> None:
        self._is_loose = is_loose
        self._taken: dict[int, Index] = {}
        self._said: dict[tuple[int, str], str] = {}  # by CSeq: our last response, or under "ACK" our ACK

    def _key(self, message: Received) -> int:
        if not self._is_loose:
            return hash(message.text)
        return hash((message.start_line, *(message.value(name) for name in ("From", "To", "CSeq"))))

    def take(self, message: Received, index: Index) -> None:
        """It has been taken by that element."""
        if len(self._taken) < _MAX_REMEMBERED:
            self._taken[self._key(message)] = index

    def taken_at(self, message: Received) -> Index | None:
        """Where a repeat was taken the first time; None for what is new."""
        return self._taken.get(self._key(message)) if self._taken else None

    def sent(self, text: str) -> None:
        """A message of ours: responses and ACKs are what repeats are answered with."""
        is_answer = text.startswith(("ACK ", "SIP/2.0 "))
        found = _CSEQ.search(text) if is_answer and len(self._said) < _MAX_REMEMBERED else None
        if found is not None:
            self._said[int(found[1]), found[2].upper()] = text

    def to(self, message: Received) -> str | None:
        """What a repeat is answered with: a request with its last response, a final response to INVITE with its ACK."""
        number, method = message.cseq
        kind = method if message.method else "ACK" if method == "INVITE" and message.status >= 200 else ""
        return self._said.get((number, kind)) if message.method != "ACK" else None

    def acknowledges(self, message: Received) -> bool:
        """True for a response to an INVITE that an ACK has been sent to."""
        return message.cseq[1] == "INVITE" and (message.cseq[0], "ACK") in self._said
