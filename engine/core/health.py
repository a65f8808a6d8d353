"""Which addresses of targets are well: what requests and probes have met there, and who is kept away for a while.

An address is a transport, a host and a port, whatever names lead there and whatever peers send there: what is known of
it outlives a change of the configuration. One where a request has failed is barred, for longer each time. When the time
is over one request goes there, and no other until that one has met something or TRIAL_S are over; any answer but a 503
opens the address to all (RFC 3261 §21.5.4, RFC 3263 §4.3). Probes (`engine.core.probes`) take one down that does not
answer them, and bring it back.

Times are monotonic seconds.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, final

from engine.core.outputs import TargetChanged
from sipstack import headers as h
from sipstack.events import Output
from sipstack.message import Message
from sipstack.table import Table
from sipstack.timers import SECONDS

# The first bar is short enough for a switch that restarts; what stays away costs one request in a minute.
FIRST_BAR_S: Final = 2 * SECONDS
LONGEST_BAR_S: Final = 60 * SECONDS  # a Retry-After, which a phone may have written, counts no longer either
# How long one request has an address for itself, whose bar is over.
TRIAL_S: Final = 5 * SECONDS

# States
UP: Final = 0
UNREACHABLE: Final = 1  # the network or the host refuses what is sent there
SILENT: Final = 2  # a request got no answer, and no other one sent at that time did
BUSY: Final = 3  # it has said 503
DOWN: Final = 4  # the probes have got no answer
STATES: Final = ("up", "unreachable", "silent", "busy", "down")

# Inputs
UNSENT: Final = 0
UNHEARD: Final = 1
OVERLOADED: Final = 2
ANSWERED: Final = 3
PROBES_ANSWERED: Final = 4  # as many in a row as it takes
PROBES_LOST: Final = 5
_INPUTS: Final = ("transport error", "silence", "503", "answered", "probes answered", "probes lost")

# Actions
NOTHING: Final = 0
BAR: Final = 1
FREE: Final = 2
END_BAR: Final = 3
FALL: Final = 4
_ACTIONS: Final = ("nothing", "bar it", "open it to all", "let one request through", "keep away until probes say else")

_AT_ONCE: Final = "RFC 3261 §18.4, §8.1.3.1: like a 503, at once"
_SILENCE: Final = "RFC 3263 §4.3: a time-out is a failure of this server"
_OVERLOAD: Final = "RFC 3261 §21.5.4"
_RETURN: Final = "one answer is enough"

HEALTH: Final = Table(
    "health of an address",
    STATES,
    _INPUTS,
    _ACTIONS,
    (
        *((state, UNSENT, UNREACHABLE, BAR, _AT_ONCE) for state in range(DOWN)),
        *((state, UNHEARD, SILENT, BAR, _SILENCE) for state in range(BUSY)),
        (BUSY, UNHEARD, BUSY, BAR, "RFC 3261 §21.5.4: its Retry-After stands"),
        *((state, OVERLOADED, BUSY, BAR, _OVERLOAD) for state in range(DOWN)),
        (UP, ANSWERED, UP, NOTHING, "as ever"),
        *((state, ANSWERED, UP, FREE, _RETURN) for state in range(UNREACHABLE, DOWN + 1)),
        (UP, PROBES_ANSWERED, UP, NOTHING, "as ever"),
        (UNREACHABLE, PROBES_ANSWERED, UP, FREE, "what is sent there arrives"),
        (SILENT, PROBES_ANSWERED, SILENT, END_BAR, "it answers probes; whether it answers calls, one call shows"),
        (BUSY, PROBES_ANSWERED, BUSY, NOTHING, "RFC 3261 §21.5.4: its Retry-After stands"),
        (DOWN, PROBES_ANSWERED, UP, FREE, _RETURN),
        *((state, PROBES_LOST, DOWN, FALL, "whoever answers no probe answers no call") for state in range(DOWN)),
        *((DOWN, event, DOWN, NOTHING, "down already") for event in (UNSENT, UNHEARD, OVERLOADED, PROBES_LOST)),
    ),
)

# The DNS may lead to other addresses every day, and a Route of an S-CSCF to any port of its own. Past so many, those of
# which nothing bad is known are let go of, then the oldest; who still sends to one keeps its own.
MOST_ADDRESSES: Final = 4096

NEVER: Final = float("-inf")
_MOST_DIGITS: Final = 9  # of a Retry-After: thirty years


@final
class AddressHealth:
    """What is known of one address. `state` is UP nearly always: then whoever sends there asks nothing more."""

    __slots__ = (
        "_barred_at",
        "_busy_for",
        "_report",
        "address",
        "bar_s",
        "busy",
        "changed_at",
        "heard_at",
        "state",
        "until",
    )

    def __init__(self, address: str, report: Callable[[Output], None] | None) -> None:
        """`address` as it is told: "udp:127.0.0.13:5060"."""
        self.address: Final = address
        self.state = UP
        self.busy = 0  # for how many callees in a row it has said 503 since it last said anything else
        self._busy_for = 0  # the last of them
        self.heard_at = NEVER  # the last response to a request
        self.changed_at = NEVER  # the last change of `state`; never: since the node runs
        self.until = NEVER  # when the next request may go there
        self.bar_s = 0.0  # the last bar, which the next one doubles
        self._barred_at = NEVER
        self._report = report

    def is_usable(self, now: float) -> bool:
        """True when a request may be sent there."""
        return self.state == UP or (self.state != DOWN and now >= self.until)

    @property
    def may_be_risked(self) -> bool:
        """True for one that a request goes to for want of any other.

        Not where probes get no answer, and not where 503s for two callees in a row say that the trunk has more than it
        can bear. Those for one may be of his own making, and he shall not shut the trunk for everybody.
        """
        return self.state != DOWN and not (self.state == BUSY and self.busy > 1)

    def tried(self, now: float) -> None:
        """A request goes there though it is not UP: no other one before this one has met something."""
        self.until = max(self.until, now + TRIAL_S)

    def heard(self, sent_at: float, response: Message, callee: str, now: float) -> None:
        """A response to a request for `callee` that was sent at `sent_at`."""
        self.heard_at = now
        if response.status == 503:
            self.overloaded(sent_at, retry_after_s(response), callee, now)
        elif self.state != UP and (self.state != BUSY or response.status > 100):
            self.answered(sent_at, now)

    def answered(self, sent_at: float, now: float) -> None:
        """Somebody there has read a request, and has not said 503."""
        self.heard_at = now
        if self.state != BUSY or sent_at >= self._barred_at:
            self._step(ANSWERED, sent_at, now)

    def unreachable(self, sent_at: float, now: float) -> None:
        """What was sent there could not be sent, or has come back as an ICMP error."""
        self._step(UNSENT, sent_at, now)

    def silent(self, sent_at: float, now: float) -> None:
        """A request has got no answer in its time. It is alone with that when others have been answered meanwhile."""
        if self.heard_at <= sent_at:
            self._step(UNHEARD, sent_at, now)

    def overloaded(self, sent_at: float, wait_s: float, callee: str, now: float) -> None:
        """It has said 503; `wait_s` is its Retry-After, 0 for none. No `callee`: it was asked by a probe."""
        self._step(OVERLOADED, sent_at, now)
        who = hash(callee)  # no number is kept
        if not callee or not self.busy or who != self._busy_for:
            self.busy += 1
        self._busy_for = who
        if self.state == BUSY:
            self.until = max(self.until, now + min(wait_s, LONGEST_BAR_S))

    def assume(self, state: int, busy: int, until: float) -> None:
        """From now on it goes as if that were known: for questions that are no calls."""
        self.state, self.busy, self.until = state, busy, until

    def probed(self, is_there: bool, now: float) -> None:
        """So many probes in a row were answered, or got no answer, that it counts."""
        self._step(PROBES_ANSWERED if is_there else PROBES_LOST, now, now)

    def _step(self, event: int, sent_at: float, now: float) -> None:
        before = self.state
        self.state, action = HEALTH.move(before, event)
        if action == BAR:
            if before != UP and sent_at < self._barred_at:
                self.state = before  # the request left before the bar, and has met what others have met
                return
            self.bar_s = min(max(self.bar_s * 2, FIRST_BAR_S), LONGEST_BAR_S)
            self._barred_at = now
            self.until = max(self.until, now + self.bar_s)
        elif action == FREE:
            self.busy, self.bar_s, self.until = 0, 0.0, NEVER
        elif action == END_BAR:
            self.until = now
        if self.state != before:
            self.changed_at = now
            if self._report is not None:
                self._report(TargetChanged(self.address, STATES[self.state]))


@final
class Health:
    """The addresses of one node. `report` takes what the log is to be told."""

    __slots__ = ("_known", "_report")

    def __init__(self, report: Callable[[Output], None] | None = None) -> None:
        self._known: dict[tuple[str, str, int], AddressHealth] = {}
        self._report = report

    def of(self, transport: str, host: str, port: int) -> AddressHealth:
        """What is known of an address; the same object as long as there is anything to know."""
        key = (transport, host, port)
        known = self._known.get(key)
        if known is None:
            if len(self._known) >= MOST_ADDRESSES:
                self._let_go()
            shown = f"[{host}]" if ":" in host else host
            known = self._known[key] = AddressHealth(f"{transport.lower()}:{shown}:{port}", self._report)
        return known

    def unwell(self) -> list[tuple[tuple[str, str, int], AddressHealth]]:
        """The addresses that are not up: transport, host and port, and what is known."""
        return [(at, one) for at, one in self._known.items() if one.state != UP]

    def _let_go(self) -> None:
        """Makes room for a quarter: of what is not well, what has been known for longest goes, too."""
        unwell = [(at, one) for at, one in self._known.items() if one.state != UP]
        self._known = dict(unwell[-(MOST_ADDRESSES * 3 // 4) :])

    def is_usable(self, transport: str, host: str, port: int, now: float) -> bool:
        """True when a request may be sent to an address."""
        known = self._known.get((transport, host, port))
        return known is None or known.is_usable(now)


def retry_after_s(response: Message) -> int:
    """The seconds of Retry-After, without comment and parameters (RFC 3261 §20.33); 0 for none that can be read."""
    value = (response.first[h.RETRY_AFTER] or "").partition(";")[0].partition("(")[0].strip(" \t")
    return int(value) if value.isascii() and value.isdigit() and len(value) <= _MOST_DIGITS else 0
