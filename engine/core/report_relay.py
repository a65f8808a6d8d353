"""A report on its way back to whoever sent the short message: one MESSAGE, tried target by target (TS 24.341 §5.3)."""

from __future__ import annotations

from typing import cast, final

from engine.core.attempt import RequestOwner, forwards_left
from engine.core.context import CoreContext
from engine.core.disclosure import Party, build_request
from engine.core.identity import presented_uri, request_uri_for, service_uri, to_value_for
from engine.core.records import CallRecord
from engine.core.routing import Hop
from engine.core.rp_message import CONTENT_TYPE, RpMessage
from engine.core.settings import MessageText
from engine.core.sms import rp_report
from sipstack.client_transaction import ClientTransaction
from sipstack.errors import RemoteSipError
from sipstack.events import Flow
from sipstack.message import Message
from sipstack.server_transaction import ServerTransaction


@final
class ReportEntry:
    """What the report on an RP-DATA needs besides its record.

    `reference` is the RP-Message Reference of ours, `first_reference` that of the RP-DATA that came in. `centre` is the
    service centre that a phone has addressed, canonical; `gateway` the URI of whoever else has sent it; one is "".
    """

    __slots__ = ("centre", "first_reference", "from_mobile", "gateway", "reference")

    def __init__(self, reference: int, first_reference: int, from_mobile: bool, centre: str, gateway: str) -> None:
        self.reference = reference
        self.first_reference = first_reference
        self.from_mobile = from_mobile
        self.centre = centre
        self.gateway = gateway

    def stored(self) -> tuple[object, ...]:
        """JSON values, for the store."""
        return (self.reference, self.first_reference, self.from_mobile, self.centre, self.gateway)


def read_entry(stored: object) -> ReportEntry:
    """The entry that `ReportEntry.stored` gave; TypeError or ValueError for anything else."""
    reference, first_reference, from_mobile, centre, gateway = cast(list[object], stored)
    if not (isinstance(reference, int) and isinstance(first_reference, int) and isinstance(from_mobile, bool)):
        raise TypeError("no entry of a report")
    return ReportEntry(reference, first_reference, from_mobile, str(centre), str(gateway))


@final
class Report:
    """An RP-ACK or RP-ERROR that has come, and the MESSAGE that carried it."""

    __slots__ = ("rp", "transaction")

    def __init__(self, transaction: ServerTransaction, rp: RpMessage) -> None:
        self.transaction = transaction
        self.rp = rp

    def answer(self, context: CoreContext, status: int, now: float, *lines: str) -> None:
        """The final response of its MESSAGE."""
        data = self.transaction.head.build(status, context.tokens.tag(), list(lines))
        context.respond(self.transaction, status, data, now)


@final
class ReportRelay(RequestOwner):
    """One report, to the targets of the peer that the RP-DATA came from."""

    __slots__ = ("_body", "_context", "_entry", "_forwards", "_hops", "_prepared", "_record", "_tries")

    def __init__(self, context: CoreContext, record: CallRecord, entry: ReportEntry, report: Report) -> None:
        """Translates it, and builds the first try. Raises LeakStopped and RemoteSipError; nothing is sent yet."""
        masks = context.settings.policy.message_text is MessageText.MASK
        self._context = context
        self._record = record
        self._entry = entry
        self._hops = [
            Hop(peer, target)
            for peer in context.settings.peers
            if peer.name == record.ingress_peer
            for target in peer.targets
        ]
        self._tries = 0
        self._forwards = forwards_left(report.transaction.request)
        self._body = rp_report(report.rp, entry.first_reference, record.callee, masks)
        if not self._hops:
            raise RemoteSipError("the peer that it belongs to has no target any more", 480)
        self._prepared: ClientTransaction | None = self._build(self._hops[0])

    def start(self, now: float) -> None:
        """Sends it."""
        assert self._prepared is not None
        self._tries += 1
        self._context.start(self._prepared, now)

    def responded(self, transaction: ClientTransaction, response: Message, flow: Flow, now: float) -> None:
        """Only the final answer counts; a 503 leads to the next target, as for any message."""
        if response.status == 503:
            self._next(now)
        elif response.is_final:
            self._context.count("reports_passed" if response.status < 300 else "reports_refused")
            self._prepared = None

    def failed(self, transaction: ClientTransaction, now: float) -> None:
        """The transport could not send: it has not arrived."""
        self._next(now)

    def unanswered(self, transaction: ClientTransaction, now: float) -> None:
        """Timer F: it may have arrived, so it goes nowhere else."""
        self._context.count("reports_lost")
        self._prepared = None

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
            uri = request_uri_for(record.caller, hop.peer, hop.target)
            to = to_value_for(record.caller, hop.peer, hop.target)
            identity = service_uri(entry.centre, hop.peer, domain)
        else:
            uri, to = entry.gateway, f"<{entry.gateway}>"
            identity = presented_uri(record.tel_x, hop.peer, domain)
        branch = tokens.branch()
        own = [
            context.via(branch),
            f"Max-Forwards: {self._forwards}",
            f"From: {identity};tag={tokens.tag()}",
            f"To: {to}",
            f"Call-ID: {tokens.call_id()}",
            f"CSeq: {tokens.first_cseq()} MESSAGE",
            f"In-Reply-To: {record.caller_call_id}",
        ]
        if hop.peer.trusted:
            own.append(f"P-Asserted-Identity: {identity}")
        relays_text = context.settings.policy.message_text is MessageText.RELAY
        party = Party(hop.peer, "" if relays_text else record.callee, "")
        data = build_request(party, f"MESSAGE {uri} SIP/2.0", own, [], self._body, CONTENT_TYPE)
        return ClientTransaction("MESSAGE", branch, data, hop.flow, self)
