"""The attempt of a short message of 3GPP: an RP-DATA in, one out, and a report awaited (TS 24.341 §5.3)."""

from __future__ import annotations

from typing import final

from engine.core.binding import Binding
from engine.core.choice import Choice
from engine.core.context import CoreContext
from engine.core.disclosure import LeakStopped
from engine.core.identity import request_uri_for, to_value_for
from engine.core.message_attempt import MessageAttempt
from engine.core.numbers import REAL
from engine.core.policy import Refusal
from engine.core.records import ReleaseCause
from engine.core.report_relay import ReportEntry
from engine.core.routing import Hop
from engine.core.rp_message import CONTENT_TYPE
from engine.core.settings import MessageText, PeerSettings
from engine.core.sms import REPORTS, ShortMessage, read_rp_message, read_short_message, rp_data, veiled_text
from engine.core.sms_report import PendingReport, report_received
from sipstack.errors import RemoteSipError
from sipstack.server_transaction import ServerTransaction


def sms_attempt(
    context: CoreContext, transaction: ServerTransaction, peer: PeerSettings, now: float
) -> MessageAttempt | None:
    """The attempt that a MESSAGE with an RP message is; None for a report, which belongs to an earlier attempt.

    What cannot be read is an attempt too, and is refused. Raises RemoteSipError when the caller cannot be read.
    """
    request = transaction.request
    sms: ShortMessage | None = None
    try:
        rp = read_rp_message(request)
        if rp.kind in REPORTS:
            report_received(context, transaction, rp, peer, now)
            return None
        sms = read_short_message(request, rp, peer)
    except RemoteSipError:
        pass  # whatever it is: `begin` refuses it
    return SmsAttempt(context, transaction, peer, sms, now)


@final
class SmsAttempt(MessageAttempt):
    """One RP-DATA, from its MESSAGE to the 202; then a PendingReport has its record."""

    __slots__ = ("_pending", "_reference", "_sms")

    def __init__(
        self,
        context: CoreContext,
        transaction: ServerTransaction,
        peer: PeerSettings,
        sms: ShortMessage | None,
        now: float,
    ) -> None:
        """`sms` is None for what could not be read."""
        super().__init__(context, transaction, peer, now, None if sms is None else (sms.called, sms.caller))
        self.awaits_report = True
        self._sms = sms
        self._reference = 0  # of our RP-DATA
        self._pending: PendingReport | None = None

    @property
    def may_pass(self) -> bool:
        """Its report would find no way back: it names a Call-ID of ours."""
        return False

    def begin(self, now: float) -> None:
        """Decides. What cannot be read and is for a service centre names nobody about whom to decide."""
        if self._sms is None and self.facts.called.kind is REAL:
            self.refused(Refusal(ReleaseCause.LEAK_STOPPED, "body"), now)
        else:
            super().begin(now)

    def permitted(self, binding: Binding, now: float) -> None:
        """Keeps the peers that have a service centre, masks the text, and builds the first try."""
        sms = self._sms
        if sms is None:
            self.refused(Refusal(ReleaseCause.LEAK_STOPPED, "body"), now)
            return
        self.choice = Choice([hop for hop in self.choice.hops if hop.peer.sms_centres])
        if not self.choice.hops:
            self.refused(Refusal(ReleaseCause.NO_ROUTE, "sms_centre"), now)
            return
        if not self.peer.targets:
            self.refused(Refusal(ReleaseCause.NO_ROUTE, "report_route"), now)
            return
        if self.policy.message_text is MessageText.MASK:
            try:
                sms.tpdu = veiled_text(sms.tpdu, binding.caller, *self.spellings_of_caller(binding))
            except LeakStopped:
                self.leak_found("MESSAGE", self.choice.hops[0].peer)
                self.refused(Refusal(ReleaseCause.LEAK_STOPPED, "disclosure"), now)
                return
        self.send_first(now)

    def outgoing(self, hop: Hop, binding: Binding) -> tuple[str, str]:
        """An RP-DATA for the service centre of that peer, or from it for the callee."""
        sms = self._sms
        assert sms is not None
        centre = hop.peer.sms_centres[0]
        to_whom = centre if sms.from_mobile else binding.callee
        number = binding.callee if sms.from_mobile else binding.presented
        if number == binding.caller:
            raise LeakStopped
        self._reference = self.context.tokens.first_cseq() & 0xFF
        self.body, self.content_type = rp_data(sms, self._reference, centre, number), CONTENT_TYPE
        uri = request_uri_for(to_whom, hop)
        return uri, to_value_for(to_whom, hop)

    def tried(self, now: float) -> None:
        """A report may come as soon as the RP-DATA has left, before its 2xx too."""
        self._drop(now)
        sms = self._sms
        assert sms is not None
        call_id = self.request.call_id
        entry = ReportEntry(self._reference, sms.reference, sms.from_mobile, sms.centre, sms.gateway, call_id)
        self._pending = PendingReport(self.context, self.record, entry)

    def report_entry(self) -> object:
        """The references of both sides, and where the report goes."""
        assert self._pending is not None
        return self._pending.entry.stored()

    def await_report(self, now: float) -> None:
        """The 202 has left."""
        assert self._pending is not None
        self._pending.begin(now)
        self._pending = None

    def _let_go(self, now: float) -> None:
        super()._let_go(now)
        if self.refusal is not None:
            self._drop(now)

    def _drop(self, now: float) -> None:
        if self._pending is not None:
            self._pending.drop(now)
            self._pending = None
