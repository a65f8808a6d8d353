"""The report on a short message: a MESSAGE of its own with RP-ACK or RP-ERROR, matched, recorded, passed on.

The record of the RP-DATA stays open until its report has come, or its time is over. What the report needs is on disk
before the RP-DATA is confirmed (`ReportEntry.stored`), so that a node that was killed in between matches it too. A
report is no attempt: it completes the record of the RP-DATA, and is passed on when that is durable, once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, final

from engine.core.attempt import STORE_WAIT_S
from engine.core.context import CoreContext
from engine.core.disclosure import LeakStopped
from engine.core.outputs import CommitRecord, InProgress, LeakFound
from engine.core.policy import Refusal
from engine.core.records import RELEASE, CallRecord, ReleaseCause, Step
from engine.core.report_relay import Report, ReportEntry, ReportRelay
from engine.core.rp_message import RP_ERROR_FROM_MOBILE, RP_ERROR_TO_MOBILE, RpMessage
from engine.core.settings import PeerSettings
from sipstack.errors import RemoteSipError
from sipstack.server_transaction import ServerTransaction
from sipstack.table import Table
from sipstack.timers import Timer

# Whoever has sent an RP-DATA waits 35 to 45 s for its report (TS 24.011 §10, TR1M): what comes later interests nobody.
REPORT_WAIT_S: Final = 45.0

ACCEPTED_STATUS: Final = 202  # what the sender of an RP-DATA, and of a report, is told (RFC 3428 §7)
UNMATCHED_STATUS: Final = 488  # a report that belongs to no short message (TS 24.341 §5.3.1.2)

# Values of RP-Cause that say that the receiver or the network cannot now (TS 24.011 §8.2.5.4, tables 8.3 and 8.4):
# memory full, destination out of order, network out of order, temporary failure, congestion, resources, interworking.
# All others say that it will not: barred, rejected, unknown, not subscribed, protocol errors.
_UNREACHABLE_CAUSES: Final = (22, 27, 38, 41, 42, 47, 127)

# States
OPEN: Final = 0  # the RP-DATA is on its way, or its entry is not durable
HELD: Final = 1  # so it is, and the report has come already
AWAITING: Final = 2
CLOSING: Final = 3
ENDED: Final = 4
_STATES: Final = ("Open", "Report held", "Awaiting report", "Closing", "Ended")

# Inputs
REPORTED: Final = 0
BEGUN: Final = 1
DROPPED: Final = 2
TIME_OVER: Final = 3
CLOSED: Final = 4
CLOSE_FAILED: Final = 5
_INPUTS: Final = ("reported", "begun", "dropped", "report time over", "report closed", "report close failed")

# Actions
NOTHING: Final = 0
UNEXPECTED: Final = 1
HOLD: Final = 2
AWAIT: Final = 3
TURN_AWAY: Final = 4
CLOSE: Final = 5
CLOSE_HELD: Final = 6
PASS_ON: Final = 7
FAIL: Final = 8
FORGET: Final = 9
_ACTIONS: Final = (
    "nothing",
    "count as unexpected",
    "hold the report",
    "set its time",
    "488 to the report",
    "take the report, commit the end",
    "commit the end",
    "202 to the report, pass it on",
    "500 to the report",
    "488 to a report that is held",
)

_EARLY: Final = "cannot happen yet"
_ONCE: Final = "decision 4: the first terminal event decided wins"
_DURABLE: Final = "contract §6: durable before it is confirmed"
_TAKEN: Final = "TS 24.011 §7.3: one report answers an RP-DATA"

REPORT_TABLE: Final = Table(
    "report",
    _STATES,
    _INPUTS,
    _ACTIONS,
    (
        (OPEN, REPORTED, HELD, HOLD, "a 2xx is lost more easily than it is late"),
        (OPEN, BEGUN, AWAITING, AWAIT, "TS 24.011 §10"),
        (OPEN, DROPPED, ENDED, FORGET, "the RP-DATA has failed, or goes elsewhere"),
        *((OPEN, event, OPEN, UNEXPECTED, _EARLY) for event in (TIME_OVER, CLOSED, CLOSE_FAILED)),
        (HELD, REPORTED, HELD, TURN_AWAY, _TAKEN),
        (HELD, BEGUN, CLOSING, CLOSE_HELD, _DURABLE),
        (HELD, DROPPED, ENDED, FORGET, "the RP-DATA has failed, or goes elsewhere"),
        *((HELD, event, HELD, UNEXPECTED, _EARLY) for event in (TIME_OVER, CLOSED, CLOSE_FAILED)),
        (AWAITING, REPORTED, CLOSING, CLOSE, _DURABLE),
        (AWAITING, TIME_OVER, CLOSING, CLOSE_HELD, "TS 24.011 §10"),
        *((AWAITING, event, AWAITING, UNEXPECTED, "begun once") for event in (BEGUN, DROPPED)),
        *((AWAITING, event, AWAITING, UNEXPECTED, _EARLY) for event in (CLOSED, CLOSE_FAILED)),
        (CLOSING, REPORTED, CLOSING, TURN_AWAY, _ONCE),
        *((CLOSING, event, CLOSING, UNEXPECTED, "begun once") for event in (BEGUN, DROPPED)),
        (CLOSING, TIME_OVER, CLOSING, UNEXPECTED, "stopped"),
        (CLOSING, CLOSED, ENDED, PASS_ON, _DURABLE),
        (CLOSING, CLOSE_FAILED, ENDED, FAIL, "contract §6: INTERNAL leaves at once, the spool holds it"),
        *((ENDED, event, ENDED, NOTHING, _ONCE) for event in range(REPORTED, CLOSE_FAILED + 1)),
    ),
)

# Timer codes
_REPORT_TIMER: Final = 0
_CLOSE_TIMER: Final = 1
_INPUT_OF_TIMER: Final = {_REPORT_TIMER: TIME_OVER, _CLOSE_TIMER: CLOSE_FAILED}


@final
class PendingReport(InProgress):
    """What awaits the report on one RP-DATA of ours; it owns the record from the 202 on."""

    __slots__ = ("_call_id", "_last", "_relay", "_report", "_timer", "context", "entry", "state")

    def __init__(self, context: CoreContext, record: CallRecord, entry: ReportEntry) -> None:
        """Reports on the RP-DATA that has left under the record's `callee_call_id` are matched from now on."""
        self.context = context
        self.record = record
        self.entry = entry
        self.state = OPEN
        self._call_id = record.callee_call_id
        self._last: Report | None = None  # the one that has just come
        self._report: Report | None = None  # the one that counts
        self._relay: ReportRelay | None = None
        self._timer: Timer | None = None
        context.reports[self._call_id] = self

    @property
    def state_name(self) -> str:
        """The state of its table, in words."""
        return _STATES[self.state]

    def expects(self, rp: RpMessage, peer: PeerSettings) -> bool:
        """True for a report of the side that the RP-DATA went to, under its reference."""
        return (
            peer.name == self.record.egress_peer
            and rp.reference == self.entry.reference
            and rp.from_mobile != self.entry.from_mobile
        )

    def begin(self, now: float, wait_s: float = REPORT_WAIT_S) -> None:
        """The entry is durable and the RP-DATA confirmed: from now on the record is closed from here."""
        self.context.enter(self)
        self._set(_REPORT_TIMER, wait_s, now)
        self._step(BEGUN, now)

    def drop(self, now: float) -> None:
        """There will be no report: the RP-DATA has failed."""
        self._step(DROPPED, now)

    def reported(self, report: Report, now: float) -> None:
        """A report that this one expects; one that may not be passed on is refused, and another one awaited."""
        try:
            relay = ReportRelay(self.context, self.record, self.entry, report, now)
        except (LeakStopped, RemoteSipError) as error:
            if isinstance(error, LeakStopped):
                self.context.count("leaks_stopped")
                self.context.out.append(LeakFound(self.record.record_id, "MESSAGE", self.record.ingress_peer))
            self.context.count("reports_stopped")
            status, q850 = RELEASE[ReleaseCause.LEAK_STOPPED]
            report.answer(self.context, status, now, q850)
            return
        if self._report is None:
            self._relay = relay
        self._last = report
        self._step(REPORTED, now)

    def committed(self, step: Step, durable: bool, now: float) -> None:
        """The end is durable, or could not be made so."""
        self._stop()
        self._step(CLOSED if durable else CLOSE_FAILED, now)

    def timer_fired(self, code: int, now: float) -> None:
        """No report has come, or the store takes too long."""
        self._timer = None
        self._step(_INPUT_OF_TIMER[code], now)

    def _step(self, event: int, now: float) -> None:
        self.state, action = REPORT_TABLE.move(self.state, event)
        _DO[action](self, event, now)

    # -- actions ---------------------------------------------------------------------------------------------------

    def do_nothing(self, event: int, now: float) -> None:
        """The table says so."""

    def do_count(self, event: int, now: float) -> None:
        """An input that cannot be."""
        self.context.count(f"unexpected_{_INPUTS[event].replace(' ', '_')}")

    def do_hold(self, event: int, now: float) -> None:
        """It waits for the 2xx to the RP-DATA and for its entry."""
        self._report = self._last

    def do_await(self, event: int, now: float) -> None:
        """Its time runs since `begin`."""

    def do_turn_away(self, event: int, now: float) -> None:
        """Another report has been taken, or its time is over."""
        assert self._last is not None
        self.context.count("reports_unmatched")
        self._last.answer(self.context, UNMATCHED_STATUS, now)

    def do_take(self, event: int, now: float) -> None:
        """The report that was awaited."""
        self._report = self._last
        self.do_close(event, now)

    def do_close(self, event: int, now: float) -> None:
        """Writes into the record what the report says, or that none came."""
        record, report = self.record, self._report
        record.release_time = self.context.wall(now)
        record.sip_status = ACCEPTED_STATUS
        if report is None:
            refusal = Refusal(ReleaseCause.UNREACHABLE, "report_timer")
        else:
            refusal = Refusal(cause_of(report.rp), "callee")
        record.release_cause = refusal.cause.value
        record.q850 = refusal.q850
        record.decided_by = refusal.decided_by
        record.release_direction = "platform" if report is None else "callee"
        if refusal.cause is not ReleaseCause.NORMAL:
            self.context.count(f"released_{refusal.cause.value.lower()}")
        self.context.out.append(CommitRecord(self, Step.CLOSE, record.snapshot()))
        self._set(_CLOSE_TIMER, STORE_WAIT_S, now)

    def do_pass_on(self, event: int, now: float) -> None:
        """The end is on record: whoever reports hears that we have it, and the sender hears the report."""
        if self._report is not None and self._relay is not None:
            self._report.answer(self.context, ACCEPTED_STATUS, now)
            self._relay.start(now)
        self._forget()

    def do_fail(self, event: int, now: float) -> None:
        """The store takes no record now, and keeps how it ends: nothing is confirmed so, to neither side (§6)."""
        record = self.record
        if self._report is not None:  # it was not passed on
            record.release_cause, record.decided_by = ReleaseCause.INTERNAL.value, "store"
            record.q850 = RELEASE[ReleaseCause.INTERNAL][1]
            record.release_direction = "platform"
        self.context.out.append(CommitRecord(self, Step.KEEP, record.snapshot()))
        if self._report is not None:
            self._report.answer(self.context, RELEASE[ReleaseCause.INTERNAL][0], now)
        self._forget()

    def do_forget(self, event: int, now: float) -> None:
        """A report on what has failed reports nothing."""
        if self._report is not None:
            self.context.count("reports_unmatched")
            self._report.answer(self.context, UNMATCHED_STATUS, now)
        self.context.reports.pop(self._call_id, None)

    def _forget(self) -> None:
        self.context.reports.pop(self._call_id, None)
        self.context.leave(self.record.record_id)
        self._relay = self._report = self._last = None

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _set(self, code: int, delay_s: float, now: float) -> None:
        self._timer = self.context.wheel.replace(self._timer, now, delay_s, self, code)


_DO: Final[tuple[Callable[[PendingReport, int, float], None], ...]] = (
    PendingReport.do_nothing,
    PendingReport.do_count,
    PendingReport.do_hold,
    PendingReport.do_await,
    PendingReport.do_turn_away,
    PendingReport.do_take,
    PendingReport.do_close,
    PendingReport.do_pass_on,
    PendingReport.do_fail,
    PendingReport.do_forget,
)


def cause_of(rp: RpMessage) -> ReleaseCause:
    """How a report ends the record of its RP-DATA."""
    if rp.kind not in (RP_ERROR_FROM_MOBILE, RP_ERROR_TO_MOBILE):
        return ReleaseCause.NORMAL
    return ReleaseCause.UNREACHABLE if rp.cause in _UNREACHABLE_CAUSES else ReleaseCause.REJECTED


def report_received(
    context: CoreContext, transaction: ServerTransaction, rp: RpMessage, peer: PeerSettings, now: float
) -> None:
    """A report has come: to whoever awaits it. One that belongs to nothing is answered, and nothing of it passes."""
    report = Report(transaction, rp, peer)
    values = transaction.request.named("In-Reply-To")
    call_id = values[0] if len(values) == 1 else ""
    pending = context.reports.get(call_id)
    if pending is not None and pending.expects(rp, peer):
        pending.reported(report, now)
    elif call_id in context.reported:
        context.count("reports_repeated")  # by whoever had no answer from before the last start
        report.answer(context, ACCEPTED_STATUS, now)
    else:
        context.count("reports_unmatched")
        report.answer(context, UNMATCHED_STATUS, now)
