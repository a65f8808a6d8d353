"""Which messages a capture takes, and when it has seen as many calls as it was asked for."""

from __future__ import annotations

import re
from typing import Final, final

from engine.capture.known import call_id_of, keys_of
from engine.capture.wanted import Wanted
from engine.core.numbers import is_privacy_number
from engine.core.spelling import holds_number

_MAX_CALLS_KNOWN: Final = 20_000

_CSEQ: Final = re.compile(r"\ncseq[ \t]*:[ \t]*[0-9]+[ \t]+([A-Z]+)", re.IGNORECASE)
_TO_TAG: Final = re.compile(r"\n(?:to|t)[ \t]*:[^\r\n]*;[ \t]*tag[ \t]*=", re.IGNORECASE)
_STATUS: Final = re.compile(r"SIP/2\.0 ([1-6])[0-9][0-9] ")


@final
class Selection:
    """Of one capture. It is told of every message in its order, of those that it does not take, too."""

    __slots__ = ("_begun", "_ended", "_followed", "_wanted")

    def __init__(self, wanted: Wanted) -> None:
        self._wanted: Final = wanted
        self._followed: dict[str, None] = {}  # 700 numbers and Call-IDs of the number that is wanted
        self._begun: dict[str, None] = {}  # Call-IDs of calls that have begun since
        self._ended = 0

    @property
    def has_all(self) -> bool:
        """As many calls as were asked for have begun and ended."""
        return 0 < self._wanted.calls <= self._ended

    def takes(self, data: bytes, head: str, is_sent: bool, peer: str) -> bool:
        """Whether a message is wanted; `head` is its text up to the body."""
        wanted = self._wanted
        if wanted.peer and wanted.peer != peer:
            return False
        if wanted.number and not self._is_about(data, head):
            return False
        if wanted.calls:
            self._count(head, is_sent)
        return True

    def _is_about(self, data: bytes, head: str) -> bool:
        """The number stands in it, or in another message of its call; the other leg has the same 700 number."""
        keys = keys_of(head)
        number = self._wanted.number
        if holds_number(data, number):
            # A 700 number is that of many calls, but each message of theirs has it.
            self._follow(keys if not is_privacy_number(number) else keys[-1:])
            return True
        return any(key in self._followed for key in keys)

    def _follow(self, keys: list[str]) -> None:
        for key in keys:
            self._followed[key] = None
            if len(self._followed) > _MAX_CALLS_KNOWN:
                del self._followed[next(iter(self._followed))]

    def _count(self, head: str, is_sent: bool) -> None:
        """Of the two dialogs of a call the caller's counts; where one peer is wanted, that with the peer."""
        call_id = call_id_of(head)
        if not call_id:
            return
        if head.startswith("INVITE ") and not _TO_TAG.search(head) and (not is_sent or self._wanted.peer):
            self._begun[call_id] = None
            if len(self._begun) > _MAX_CALLS_KNOWN:
                del self._begun[next(iter(self._begun))]
            return
        status, cseq = _STATUS.match(head), _CSEQ.search(head)
        if status is None or cseq is None or call_id not in self._begun:
            return
        method, kind = cseq[1].upper(), status[1]
        if (method == "INVITE" and kind >= "3" and not is_retried(head)) or (method == "BYE" and kind == "2"):
            del self._begun[call_id]
            self._ended += 1


def is_retried(head: str) -> bool:
    """A challenge: the call goes on with a password, in the same Call-ID."""
    return head.startswith(("SIP/2.0 401 ", "SIP/2.0 407 "))
