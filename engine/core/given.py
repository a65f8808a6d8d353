"""What an input of a call comes with."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from engine.core.pair import CALLER

if TYPE_CHECKING:
    from engine.core.callee_try import CalleeTry
    from sipstack.message import Message
    from sipstack.server_transaction import ServerTransaction


@final
class Given:
    """The moment, and the message behind an input: a response and its try, an ACK, or the transaction of a BYE."""

    __slots__ = ("event", "message", "now", "side", "transaction", "tried")

    def __init__(self, now: float, tried: CalleeTry | None = None, message: Message | None = None) -> None:
        self.now = now
        self.tried = tried
        self.message = message
        self.transaction: ServerTransaction | None = None
        self.side = CALLER
        self.event = 0
