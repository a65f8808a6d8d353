"""A report on its way back to whoever sent the short message: one MESSAGE, tried target by target (TS 24.341 §5.3)."""

from __future__ import annotations

from typing import cast, final

from engine.core.attempt import Login, RequestOwner
from engine.core.attempt_record import number_called
from engine.core.context import CoreContext
from engine.core.crossing import REFUSED, REPORT
from engine.core.disclosure import Party, RequestDraft, ResponseDraft, build
from engine.core.health import AddressHealth
from engine.core.identity import presented_uri, real_uri, request_uri_for, to_value_for
from engine.core.pair import CALLEE, CALLER
from engine.core.records import CallRecord
from engine.core.routing import Hop
from engine.core.rp_message import CONTENT_TYPE, RpMessage
from engine.core.settings import MessageText, PeerSettings
from engine.core.sms import rp_report
from engine.core.wire_forms import wire_forms
from sipstack.client_transaction import ClientTransaction
from sipstack.dialog import Dialog, DialogId
from sipstack.errors import RemoteSipError
from sipstack.events import Flow
from sipstack.message import Message
from sipstack.server_transaction import ServerTransaction


@final
class ReportEntry:
    """What the report on an RP-DATA needs besides its record.

    `reference` is the RP-Message Reference of ours, `first_reference` that of the RP-DATA that came in. `centre` is the
    service centre that a phone has addressed, canonical; `gateway` the URI of whoever else has sent it; one is "".
    `call_id` is the Call-ID of what came in, as it stands: the record has it masked.
    """

    __slots__ = ("call_id", "centre", "first_reference", "from_mobile", "gateway", "reference")

    def __init__(
        self, reference: int, first_reference: int, from_mobile: bool, centre: str, gateway: str, call_id: str
    ) -> None:
        self.reference = reference
        self.first_reference = first_reference
        self.from_mobile = from_mobile
        self.centre = centre
        self.gateway = gateway
        self.call_id = call_id

    def stored(self) -> tuple[object, ...]:
        """JSON values, for the store."""
        return (self.reference, self.first_reference, self.from_mobile, self.centre, self.gateway, self.call_id)


def read_entry(stored: object) -> ReportEntry:
    """The entry that `ReportEntry.stored` gave; TypeError or ValueError for anything else."""
    reference, first_reference, from_mobile, *texts = cast(list[object], stored)
    centre, gateway, call_id = [str(text) for text in texts]
    if not (isinstance(reference, int) and isinstance(first_reference, int) and isinstance(from_mobile, bool)):
        raise TypeError("no entry of a report")
    return ReportEntry(reference, first_reference, from_mobile, centre, gateway, call_id)


@final
class Report:
    """An RP-ACK or RP-ERROR that has come, and the MESSAGE that carried it."""

    __slots__ = ("_party", "rp", "transaction")

    def __init__(self, transaction: ServerTransaction, rp: RpMessage, peer: PeerSettings) -> None:
        self.transaction = transaction
        self.rp = rp
        self._party = Party(CALLEE, peer, "", "")

    @property
    def peer(self) -> PeerSettings:
        """Who reports."""
        return self._party.peer

    def answer(self, context: CoreContext, status: int, now: float, q850: int = 0) -> None:
        """The final response of its MESSAGE; `q850` is the cause that it tells, 0 for none."""
        draft = ResponseDraft(self._party, self.transaction.head, status, context.tokens.tag())
        draft.q850 = q850
        context.respond(self.transaction, status, build(REFUSED, draft), now)


@final
class ReportRelay(RequestOwner):
    """One report, to the targets of the peer that the RP-DATA came from."""

    __slots__ = (
        "_body", "_context", "_entry", "_hidden", "_hops", "_prepared", "_record", "_request", "_sent_at", "_tries",
    )  # fmt: skip

    def __init__(
        self, context: CoreContext, record: CallRecord, entry: ReportEntry, report: Report, now: float
    ) -> None:
        """Translates it, and builds the first try. Raises LeakStopped and RemoteSipError; nothing is sent yet."""
        masks = context.settings.policy.message_text is MessageText.MASK
        self._context = context
        self._record = record
        self._entry = entry
        hops = context.routing.hops_of(record.ingress_peer, record.record_id)
        self._hops = sorted(hops, key=lambda hop: not hop.health.is_usable(now))
        self._tries = 0
        self._sent_at = 0.0
        self._request = report.transaction.request  # for its Max-Forwards; no other field of it crosses
        self._hidden: tuple[str, ...] = (record.callee,)
        for hop in self._hops:
            self._hidden += wire_forms(record.callee, report.peer, hop.peer)
        self._body = rp_report(report.rp, entry.first_reference, self._hidden, masks)
        if not self._hops:
            raise RemoteSipError("the peer that it belongs to has no target any more", 480)
        self._prepared: ClientTransaction | None = self._build(self._hops[0])

    def start(self, now: float) -> None:
        """Sends it."""
        assert self._prepared is not None
        self._tries += 1
        self._sent_at = now
        self._context.start(self._prepared, now)

    def responded(self, transaction: ClientTransaction, response: Message, flow: Flow, now: float) -> None:
        """Only the final answer counts; a 503 leads to the next target, as for any message."""
        self._health.heard(self._sent_at, response, self._record.caller, now)
        if response.status == 503:
            self._next(now)
        elif response.is_final:
            self._context.count("reports_passed" if response.status < 300 else "reports_refused")
            self._prepared = None

    def login(self, transaction: ClientTransaction) -> Login | None:
        """The trunk that it goes to."""
        return self._hops[self._tries - 1].peer, None

    def failed(self, transaction: ClientTransaction, now: float) -> None:
        """The transport could not send: it has not arrived."""
        self._health.unreachable(self._sent_at, now)
        self._next(now)

    def unanswered(self, transaction: ClientTransaction, now: float) -> None:
        """Timer F: it may have arrived, so it goes nowhere else."""
        self._health.silent(self._sent_at, now)
        self._context.count("reports_lost")
        self._prepared = None

    @property
    def _health(self) -> AddressHealth:
        """Of the address that it has been sent to."""
        return self._hops[self._tries - 1].health

    def _next(self, now: float) -> None:
        if self._tries < len(self._hops):
            self._prepared = self._build(self._hops[self._tries])
            self.start(now)
        else:
            self._context.count("reports_lost")
            self._prepared = None

    def _build(self, hop: Hop) -> ClientTransaction:
        """The MESSAGE for one target. Raises LeakStopped."""
        context, record, entry = self._context, self._record, self._entry
        domain, tokens = context.settings.domain, context.tokens
        if entry.from_mobile:  # back to the phone, from the centre that it has addressed
            uri = request_uri_for(record.caller, hop)
            to = to_value_for(record.caller, hop)
            identity = real_uri(entry.centre, hop.peer, domain)
        else:
            uri, to = entry.gateway, f"<{entry.gateway}>"
            identity = presented_uri(number_called(record), hop.peer, domain)
        call_id, tag, seq = tokens.call_id(), tokens.tag(), tokens.first_cseq()
        dialog = Dialog(DialogId(call_id, tag, ""), f"{identity};tag={tag}", to, seq, -1)
        dialog.remote_target = uri
        relays_text = context.settings.policy.message_text is MessageText.RELAY
        party = Party(CALLER, hop.peer, "" if relays_text else record.callee, "")
        if not relays_text:
            party.hide_too(self._hidden[1:])
        draft = RequestDraft(context, party, dialog, hop.flow, ("MESSAGE", seq), self._request)
        draft.identity = identity
        draft.in_reply_to = entry.call_id
        draft.body, draft.content_type = self._body, CONTENT_TYPE
        return ClientTransaction("MESSAGE", draft.branch, build(REPORT, draft), hop.flow, self)
