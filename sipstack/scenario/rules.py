"""What holds for every call of a player."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rules:
    """Times in seconds."""

    pause_s: float = 0.0
    recv_timeout_s: float | None = None
    t2_s: float = 4.0
    max_invite_retrans: int = 5
    max_other_retrans: int = 7
    ends_politely: bool = True  # `bye`: ACK, BYE, CANCEL for a call given up, 200 for an unexpected BYE or CANCEL
    gives_up: bool = True  # `abortunexp`: an unexpected message ends the call
    answers_ping: bool = True  # `pingreply`
    began_s: float = 0.0  # when the player did, on the clock of the calls
    say: Callable[[str], None] = lambda _text: None
    wall: Callable[[], str] = lambda: ""
