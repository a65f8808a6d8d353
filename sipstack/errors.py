"""Errors that say whose fault they are and what to answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sipstack.message import Message


class SipError(Exception):
    """Base of all errors of the stack."""


class LocalSipError(SipError):
    """We used the stack wrongly: a bug on this side of the wire."""


class RemoteSipError(SipError):
    """The peer's bytes break the grammar or a limit.

    `status_hint` is the status code that fits as an answer (RFC 3261 §21.4). `message` holds what could be
    read, when that is enough to address an answer; None when nothing can be answered: no Via, a response,
    or an ACK, which is never answered (§17.1.1.3).
    """

    def __init__(self, reason: str, status_hint: int = 400, message: Message | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.status_hint = status_hint
        self.message = message
