"""What holds for every call of a player."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sipstack.scenario.settings import PlayerSettings


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
    checks_ack: bool = True  # `badcseq`: an ACK whose CSeq is not that of the INVITE ends the call
    answers_all: bool = False  # `-aa`: 200 for an unexpected INFO, NOTIFY, OPTIONS or UPDATE
    compares_loosely: bool = False  # `-rtcheck loose`: a repeat need not be the same bytes
    retransmits: bool = True  # no over a stream, or with `-nr`
    ignores_in_pauses: bool = False  # `-pause_msg_ign`: what comes in a pause is as if it had not
    lost_percent: float = 0.0  # `-lost`: of all messages, where the scenario says nothing
    began_s: float = 0.0  # when the player did, on the clock of the calls
    say: Callable[[str], None] = lambda _text: None
    log: Callable[[str], None] = lambda _text: None


def rules_of(settings: PlayerSettings, now: float) -> Rules:
    """What follows from the settings of a player that begins at `now`."""
    usual = Rules()
    most = settings.max_retrans
    invite = usual.max_invite_retrans if settings.max_invite_retrans is None else settings.max_invite_retrans
    other = usual.max_other_retrans if settings.max_other_retrans is None else settings.max_other_retrans
    return Rules(
        pause_s=settings.pause_ms / 1000,
        recv_timeout_s=settings.recv_timeout_ms / 1000 if settings.recv_timeout_ms else None,
        t2_s=settings.t2_ms / 1000,
        max_invite_retrans=invite if most is None else min(most, invite),
        max_other_retrans=other if most is None else min(most, other),
        retransmits=settings.retransmits and settings.wire.mode.transport == "UDP",
        ends_politely=settings.ends_politely,
        gives_up=settings.gives_up,
        answers_ping=settings.answers_ping,
        answers_all=settings.answers_all,
        compares_loosely=settings.compares_loosely,
        checks_ack=settings.checks_ack,
        ignores_in_pauses=settings.ignores_in_pauses,
        lost_percent=settings.lost_percent,
        began_s=now,
        say=settings.say,
        log=settings.log or settings.say,
    )
