"""Session timers (RFC 4028): intervals that are too short, and the watch over an answered call.

The ends agree on an interval and on who refreshes; what they say about it crosses the node. The node watches: a call
in which no refresh has been agreed for a whole interval is ended on both sides. That is later than the ends' own moment
(§10: the lesser of 32 s and a third of the interval before), so an end that is still there ends the call first, and
says so itself; the node ends what both have left behind. With `insist` it does not wait for that, and it does not leave
it to the ends either: see `engine.core.refresh`. With `off` it does nothing of the kind.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from engine.core import call_table as t
from engine.core.crossing import MOST_SECONDS, leading_number
from engine.core.policy import Refusal
from engine.core.records import INTERVAL_TOO_SMALL, ReleaseCause
from engine.core.settings import INSIST, OFF
from sipstack import headers as h
from sipstack.errors import RemoteSipError
from sipstack.fields import option_tags
from sipstack.message import Message
from sipstack.timers import SECONDS

if TYPE_CHECKING:
    from engine.core.call import Call

TOO_SMALL: Final = 422

# Requests whose 2xx refreshes a session (§3).
REFRESHING: Final = ("INVITE", "UPDATE")

# Final answers that say that there is no such dialog, or nobody in it (RFC 3261 §12.2.1.2).
GONE: Final = (408, 481)

# The end that does not refresh hangs up so long before the interval is over, or a third of it if that is less (§10).
_LEAST_REST_S: Final = 32 * SECONDS

_LIMITS: Final = (t.REFRESH_TIMER, t.MAX_CALL_TIMER, t.SESSION_TIMER)

# The calls of an earlier run are asked within so long whether they are still there, each at a moment of its own.
_SPREAD_S: Final = 30 * SECONDS


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


def begin(call: Call, now: float, at_once: bool = False) -> None:
    """Sets the timers of an answered call: the longest that it may last, and what its session timer asks for.

    With `at_once`, for a call of an earlier run, the node's own first look at its ends does not wait for half an
    interval. Both were there when the callee answered. A call that ends before the first look needs no other timer.
    """
    pair, policy = call.chosen, call.policy
    assert pair is not None and call.answered_at is not None
    pair.caller.heard_at = pair.callee.heard_at = call.answered_at
    is_first = policy.session_timer is INSIST and policy.session_expires_s < call.max_call_s
    if is_first and not call.session_s and not at_once:
        call.watched_from = now
        call.set(t.REFRESH_TIMER, policy.session_expires_s / 2, now)
        return
    restart(call, call.session_s, now)
    if at_once and policy.session_timer is INSIST:
        call.set(t.REFRESH_TIMER, call.context.tokens.fraction() * _SPREAD_S, now)


def limit(call: Call, now: float) -> None:
    """An answered call lasts no longer than `max_call_s`."""
    if not call.is_set(t.MAX_CALL_TIMER):
        assert call.answered_at is not None
        call.set(t.MAX_CALL_TIMER, call.answered_at + call.max_call_s - now, now)


def restart(call: Call, interval_s: int, now: float, is_ours: bool = False) -> None:
    """From now on this interval counts, 0 for none. `is_ours`: it is this node that has refreshed, and goes on to."""
    policy = call.policy
    limit(call, now)
    call.session_s = interval_s
    if policy.session_timer is OFF:
        return
    if interval_s:
        call.set(t.SESSION_TIMER, interval_s, now)
    else:
        call.stop(t.SESSION_TIMER)
    if policy.session_timer is INSIST:
        call.watched_from = now
        patience_s = _patience_s(interval_s, is_ours) if interval_s else policy.session_expires_s / 2
        call.set(t.REFRESH_TIMER, patience_s, now)


def _patience_s(interval_s: int, is_ours: bool) -> float:
    """A refresher refreshes at half of the interval (§10). If it is an end, the node waits longer: to the middle
    between that and the moment when the other end hangs up."""
    half_s = interval_s / 2
    return half_s if is_ours else (half_s + interval_s - min(_LEAST_REST_S, interval_s / 3)) / 2


def refreshed(call: Call, response: Message, now: float) -> None:
    """A 2xx within the conversation: a session refresh, or the end of the session timer (§7.2).

    Before the call is answered there is no session yet. Raises RemoteSipError.
    """
    if response.method not in REFRESHING or not call.is_answered:
        return
    interval_s = agreed_interval_s(response, call.policy.min_se_s)
    if interval_s or call.is_set(t.SESSION_TIMER):  # else there was none, and is none
        restart(call, interval_s, now)


def stop(call: Call) -> None:
    """The call ends: nothing limits it any more."""
    call.stop_each(_LIMITS)
    if call.refresh is not None:
        call.refresh.abandon()


def last_known(call: Call) -> float:
    """The last moment at which both ends were known to be there, in monotonic seconds.

    Each was when it acknowledged the answer or was acknowledged, made a request, or answered one.
    """
    assert call.chosen is not None
    return min(call.chosen.caller.heard_at, call.chosen.callee.heard_at)
