"""Session timers (RFC 4028): intervals that are too short, and the watch over a call whose refreshes may stop.

The ends agree on an interval and on who refreshes; what they say about it crosses the node. The node watches: a call
in which no refresh has been agreed for a whole interval is ended on both sides. That is later than the ends' own moment
(§10: the lesser of 32 s and a third of the interval before), so an end that is still there ends the call first, and
says so itself; the node ends what both have left behind.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from engine.core import call_table as t
from engine.core.crossing import MOST_SECONDS, leading_number
from engine.core.policy import Refusal
from engine.core.records import INTERVAL_TOO_SMALL, ReleaseCause
from sipstack import headers as h
from sipstack.errors import RemoteSipError
from sipstack.fields import option_tags
from sipstack.message import Message

if TYPE_CHECKING:
    from engine.core.call import Call

TOO_SMALL: Final = 422

# Requests whose 2xx refreshes a session (§3).
REFRESHING: Final = ("INVITE", "UPDATE")


def is_too_small(request: Message, min_se_s: int) -> bool:
    """True for a request that asks for a shorter interval than the node takes, and whose sender knows what a 422 is.

    From any other sender the interval crosses longer than it was asked for: a refusal would end the call (§8.1). Raises
    RemoteSipError when it is malformed.
    """
    if request.first[h.SESSION_EXPIRES] is None or leading_number(request, h.SESSION_EXPIRES) >= min_se_s:
        return False
    return "timer" in option_tags(request.values(h.SUPPORTED) + request.values(h.REQUIRE))


def min_se_line(seconds: int) -> str:
    """The row that a 422 must have (§6)."""
    return f"Min-SE: {seconds}"


def refusal_of(response: Message, min_se_s: int) -> Refusal | None:
    """What a 422 of the callee's side means for the caller: a longer interval is wanted, and nothing else was wrong.

    None for any other status, and for a 422 that does not say which interval: it helps nobody.
    """
    if response.status != TOO_SMALL or response.first[h.MIN_SE] is None:
        return None
    try:
        wanted = leading_number(response, h.MIN_SE)
    except RemoteSipError:
        return None
    refusal = Refusal(ReleaseCause.REJECTED, "callee", INTERVAL_TOO_SMALL)
    refusal.min_se_s = max(min(wanted, MOST_SECONDS), min_se_s)
    return refusal


def agreed_interval_s(response: Message, min_se_s: int) -> int:
    """The interval that a 2xx settles; 0 when it settles none: then nothing is watched (§7.2).

    Raises RemoteSipError when it is malformed. One that is too short is no reason to end a call early.
    """
    if response.first[h.SESSION_EXPIRES] is None:
        return 0
    return max(leading_number(response, h.SESSION_EXPIRES), min_se_s)


def watch(call: Call, interval_s: int, now: float) -> None:
    """Watches for the next refresh from now on; with 0 no more."""
    if interval_s:
        call.set(t.SESSION_TIMER, interval_s, now)
    else:
        call.stop(t.SESSION_TIMER)


def refreshed(call: Call, response: Message, now: float) -> None:
    """A 2xx within the conversation: a session refresh, or the end of the session timer (§7.2).

    Before the call is answered there is no session yet. Raises RemoteSipError.
    """
    if response.method in REFRESHING and call.is_answered:
        watch(call, agreed_interval_s(response, call.context.settings.policy.min_se_s), now)
