"""What the run before this one has left: calls to serve on, reports to await, and requests that may come once more."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

from engine.core.adoption import adopt_or_close
from engine.core.context import CoreContext
from engine.core.crossing import reason_line
from engine.core.frozen_call import FrozenCall
from engine.core.lost_tries import take_back_tries
from engine.core.numbers import masked_identifier
from engine.core.records import RELEASE, CallRecord, ReleaseCause
from engine.core.report_relay import ReportEntry
from engine.core.session_timer import TOO_SMALL, min_se_line
from engine.core.settings import PeerSettings
from engine.core.sms_report import ACCEPTED_STATUS, REPORT_WAIT_S, PendingReport
from engine.core.stray_answers import StrayAnswers
from sipstack.events import Flow, Output
from sipstack.message import Message

# What a restart remembers of an attempt, so that its repeat is not taken for a new one:
# peer, kind, Call-ID, CSeq number, branch (both as records keep them) -> SIP status, Q.850 cause.
RepeatKey = tuple[str, str, str, int, str]

# Of calls that have just ended: the Call-ID on a side as records keep it, and whose it was. Others learn nothing.
EndedCalls = dict[str, set[str]]


@final
class LastRun:
    """Verbs return what is to be done. `now` is monotonic seconds."""

    __slots__ = ("_context", "_strays", "ended", "repeats")

    def __init__(self, context: CoreContext, strays: StrayAnswers) -> None:
        self._context = context
        self._strays = strays
        self.repeats: dict[RepeatKey, tuple[int, int]] = {}
        self.ended: EndedCalls = {}

    def adopt_calls(
        self, answered: Sequence[tuple[CallRecord, FrozenCall]], now: float, unreadable: int = 0
    ) -> list[Output]:
        """Calls that are answered are served on; one that cannot be is closed, as so many `unreadable` ones were."""
        if unreadable:
            self._context.counters["rows_unreadable"] = unreadable
        for record, frozen in answered:
            self._context.count("attempts_adopted")
            adopt_or_close(self._context, record, frozen, now)
        return self._context.take()

    def take_back(self, unfinished: Sequence[CallRecord], now: float) -> list[Output]:
        """Calls that were not answered, and are on record as ended: their callees' phones stop ringing."""
        for record in unfinished:
            take_back_tries(self._context, self._strays, record, now)
        return self._context.take()

    def adopt_reports(self, pending: Sequence[tuple[CallRecord, ReportEntry]], reported: set[str], now: float) -> None:
        """Short messages whose report is awaited go on with what is left of their time.

        `reported` are Call-IDs of ours whose report was taken: a repeat of it is answered, and not passed on again.
        """
        context = self._context
        context.reported = reported
        for record, entry in pending:
            context.count("attempts_adopted")
            left_s = (record.answer_time or 0.0) + REPORT_WAIT_S - context.wall(now)
            PendingReport(context, record, entry).begin(now, min(max(left_s, 0.0), REPORT_WAIT_S))
            key = (record.ingress_peer, record.kind, record.caller_call_id, record.caller_cseq, record.caller_branch)
            self.repeats[key] = (ACCEPTED_STATUS, RELEASE[ReleaseCause.NORMAL][1])

    def forget(self) -> None:
        """No repeat of what it has answered can come any more."""
        self.repeats.clear()
        self.ended.clear()
        self._context.reported = set()

    def answer_of(self, request: Message, peer: PeerSettings) -> tuple[int, list[str]] | None:
        """The recorded answer, status and lines, of an attempt that was recorded before the start; None for others."""
        if not self.repeats:
            return None
        kind = "message" if request.method == "MESSAGE" else "voice"
        branch = request.top_via.branch if request.top_via is not None else ""
        key = (peer.name, kind, masked_identifier(request.call_id), request.cseq, masked_identifier(branch))
        known = self.repeats.get(key)
        if known is None:
            return None
        status, q850 = known
        if kind == "voice" and status < 300:
            status, q850 = RELEASE[ReleaseCause.NODE_RESTART]  # its 2xx cannot be made again
        lines = [] if status < 300 else [reason_line(q850)]
        if status == TOO_SMALL:  # what the callee wanted is not on record: its next 422 says it again
            lines.append(min_se_line(self._context.settings.policy.min_se_s))
        return status, lines

    def has_ended(self, request: Message, peer: PeerSettings | None, flow: Flow) -> bool:
        """True for a request in a dialog whose end was on record shortly before the start: from the trunk, `peer`, or
        a host where that trunk is reached: whose address is in no `match` is known by it, as in a dialog."""
        names = self.ended.get(masked_identifier(request.call_id), ())
        if peer is not None and peer.name in names:
            return True
        routing = self._context.routing
        return any(routing.needs_no_proof(name, flow.host) for name in names)
