"""A request within the conversation, carried to the other side: re-INVITE, UPDATE, PRACK, INFO; REFER and NOTIFY.

Each is answered as the far end answers it. The node has no opinion of its own about offers; numbers rise, and nothing
crosses that the gate does not let. Which requests get so far, and when, says `engine.core.admission`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

from engine.core.attempt import Login, RequestOwner
from engine.core.bodies import crossing_keys, crossing_sdp
from engine.core.callee_try import ack
from engine.core.change import Change
from engine.core.context import CoreContext
from engine.core.crossing import REQUESTS, RESPONSES
from engine.core.disclosure import LeakStopped, RequestDraft, ResponseDraft, build
from engine.core.pair import NO_RSEQS, DialogPair, PairSide
from engine.core.session_timer import GONE, REFRESHING, agreed_interval_s, refreshed
from engine.core.transfer import TRANSFER, crossing_report, crossing_state, refer_to, reference_of, remember, settle
from sipstack import headers as h
from sipstack.client_transaction import CALLING, ClientTransaction
from sipstack.dialog import contact_uri
from sipstack.errors import RemoteSipError
from sipstack.events import Flow
from sipstack.fields import parse_rack
from sipstack.message import Message
from sipstack.sdp import CONTENT_TYPE
from sipstack.server_transaction import TERMINATED, ServerTransaction
from sipstack.timers import SECONDS, Timer

if TYPE_CHECKING:
    from engine.core.call import Call

# Methods whose request and 2xx may move a remote target (RFC 3261 §12.2, RFC 3311 §5.1, RFC 5057 §5.4).
TARGET_REFRESH: Final = ("INVITE", "UPDATE", *TRANSFER)
RELAYED: Final = ("INVITE", "UPDATE", "PRACK", "INFO")

_WITH_DESCRIPTION: Final = ("INVITE", "UPDATE", "PRACK")  # their 2xx may hold one

# A far end's own challenge or redirect means nothing to the other side; what is not listed crosses as its number.
_IN_DIALOG_STATUS: Final = {401: 403, 407: 403, 503: 500, 600: 486, 606: 488}
_DIALOG_IS_GONE: Final = 481

# How long a far end may let an INVITE ring: Timer C, which must be longer than three minutes (§16.6 item 11).
FAR_END_WAIT_S: Final = 185 * SECONDS

# Timer codes
_FAR_END_SILENT: Final = 0
_CANCEL_IGNORED: Final = 1


def refuse(call: Call, transaction: ServerTransaction, status: int, now: float, *lines: str) -> None:
    """Answers an in-dialog request without troubling the other side."""
    call.context.count(f"in_dialog_{status}")
    call.context.respond(transaction, status, transaction.head.build(status, "", list(lines)), now)


@final
class Relay(RequestOwner):
    """One in-dialog request on its way, and its answer on the way back."""

    __slots__ = (
        "_ack",
        "_cancel_wanted",
        "_change",
        "_limit",
        "_offer",
        "_reference",
        "_seq",
        "_target",
        "call",
        "far",
        "is_over",
        "near",
        "pair",
        "server",
        "side",
        "transaction",
    )

    def __init__(self, call: Call, pair: DialogPair, side: int, server: ServerTransaction) -> None:
        """Builds the request for the other side. Raises LeakStopped and RemoteSipError; nothing has changed then."""
        self.call = call
        self.pair = pair
        self.side = side
        self.near = pair.sides[side]
        self.far = pair.sides[1 - side]
        self.server = server
        self.is_over = False
        self._ack = b""
        self._cancel_wanted = False
        self._change: Change | None = None  # what its 2xx has changed
        self._limit: Timer | None = None
        self._reference = 0  # of a NOTIFY: our number of the REFER that it reports on
        request = server.request
        moves = server.method in TARGET_REFRESH and h.CONTACT in request.ids
        self._target = contact_uri(request) if moves else ""  # where the near side will be once this is agreed
        self._seq = self.far.dialog.local_seq + 1
        draft = self._draft(request)
        self._offer = draft.body if server.method in _WITH_DESCRIPTION else b""
        data = build(REQUESTS[1 - side][server.method], draft)
        self.far.dialog.next_seq()
        if server.method == "INVITE":
            self.near.note_invite(request.cseq, self._seq)
            self.near.rseqs = NO_RSEQS
            self.far.credentials = ""
        elif server.method == "REFER":
            remember(self.near.references, self._seq, request.cseq)  # for the NOTIFYs that report on it
        self.transaction = ClientTransaction(server.method, draft.branch, data, draft.flow, self)

    def _draft(self, request: Message) -> RequestDraft:
        far, method = self.far, request.method
        draft = RequestDraft(self.call.context, far.party, far.dialog, far.next_flow(), (method, self._seq), request)
        draft.from_trusted = self.near.party.peer.trusted
        if method == "PRACK":
            draft.rack = self._rack(request)
        elif method == "REFER":
            domain = self.call.context.settings.domain
            draft.refer_to = refer_to(request, self.near.party.peer, far.party, domain)
        elif method == "NOTIFY":
            self._reference = reference_of(request, far.references)
            draft.event_id = far.references[self._reference]
            draft.subscription_state = crossing_state(request)
        draft.body, draft.content_type = self._crossing_body(request)
        return draft

    def _crossing_body(self, request: Message) -> tuple[bytes, str]:
        if request.method == "INFO":
            return crossing_keys(request)
        if request.method == "NOTIFY":
            return crossing_report(request)
        return crossing_sdp(request, self.far.origin), CONTENT_TYPE

    def _rack(self, request: Message) -> str:
        """RAck in the numbers of the other dialog (RFC 3262 §7.2). Raises RemoteSipError (481) when nothing matches.

        An RSeq that has not been told to the near side is none of the far side's (§3), so it is nobody's number either.
        """
        value = request.value(h.RACK)
        if value is None:
            raise RemoteSipError("PRACK without RAck")
        rseq, cseq, method = parse_rack(value)
        ours = self.near.seqs.get(cseq)
        if ours is None or method != "INVITE" or rseq not in self.near.rseqs:  # only an INVITE has any (§3)
            raise RemoteSipError("RAck matches nothing", 481)
        return f"{rseq} {ours} INVITE"

    def start(self, now: float) -> None:
        """Sends it; an INVITE occupies the pair until it is over."""
        context = self.call.context
        self.server.owner = self
        if self.server.method == "INVITE":
            self.pair.pending_invite = self
            context.respond(self.server, 100, self.server.head.build(100), now)
            self._limit = context.wheel.set(now, FAR_END_WAIT_S, self, _FAR_END_SILENT)
        elif self.server.method == "UPDATE":
            self.near.pending_update = self
        context.start(self.transaction, now)

    def responded(self, transaction: ClientTransaction, response: Message, flow: Flow, now: float) -> None:
        """The far end's answer."""
        if response.is_final:
            self._stop_limit()
            if response.status not in GONE:
                self.far.heard_at = now
            if self.server.method in TRANSFER:
                self._settle(response)
        if response.status == 100:
            self._provisional_came(now)
            return
        leaked = False
        try:
            self._pass_back(response, now)
        except (LeakStopped, RemoteSipError) as error:
            leaked = isinstance(error, LeakStopped)
            self.call.context.count("leak_stopped_in_dialog")
            if response.is_final:
                self._fail(500, now)
        if self.is_over and 200 <= response.status < 300 and self.server.method == "INVITE":
            self._send_ack(None)  # acknowledged before, or answered in a way that the near side does not know
        if leaked:
            self.call.leaked(f"{response.status} {self.server.method}", self.near.party.peer, now)

    def login(self, transaction: ClientTransaction) -> Login | None:
        """The far side's trunk, as long as the answer is wanted."""
        wanted = self.awaits_answer and not self._cancel_wanted
        return (self.far.party.peer, self.far.dialog) if wanted else None

    def sent_again(self, transaction: ClientTransaction, seq: int, credentials: str, now: float) -> None:
        """It has another number; those that follow from it are noted again."""
        if self.server.method == "REFER":
            self.near.references.pop(self._seq, None)
            remember(self.near.references, seq, self.server.request.cseq)
        self._seq = seq
        if self.server.method == "INVITE":
            self.near.note_invite(self.server.request.cseq, seq)
            self.far.credentials = credentials

    def unanswered(self, transaction: ClientTransaction, now: float) -> None:
        """Silence: an INVITE gets 408; any other request gets nothing, its sender has given up too (RFC 4320 §4.2)."""
        self._stop_limit()
        if self.server.method == "INVITE":
            self._fail(408, now)
        else:
            self.call.context.transactions.abandon(self.server)

    def failed(self, transaction: ClientTransaction, now: float) -> None:
        """The transport could not send: like a 503 (§8.1.3.1), which within a dialog crosses as 500."""
        self._stop_limit()
        self._fail(500, now)

    def timer_fired(self, code: int, now: float) -> None:
        """The far end lets an INVITE wait for too long, or a CANCEL of it."""
        self._limit = None
        if code == _FAR_END_SILENT:
            self.cancel(now)
            self._fail(408, now)
        else:
            self.give_up(now)

    def give_up(self, now: float) -> None:
        """Nothing more can come: 487 to who still waits (§9.1, §15.1.2), and the INVITE is forgotten."""
        self._stop_limit()
        if not self.server.is_answered:
            self._fail(487, now)
        if self.transaction.awaits_final:
            self.call.context.transactions.drop(self.transaction)

    def _stop_limit(self) -> None:
        if self._limit is not None:
            self._limit.cancel()
            self._limit = None

    def _pass_back(self, response: Message, now: float) -> None:
        status = response.status
        if response.is_provisional:
            self._provisional_came(now)
            if self.server.method == "INVITE":
                self._respond(response, status, now)
        elif status >= 300:
            self.is_over = True
            self._respond(response, _in_dialog_status(status, self.server.method), now)
        elif self.server.is_answered and not self.is_over:  # repeated because there is no ACK yet (§13.3.1.4)
            self._respond(response, status, now)
        elif not self.is_over and self._change is None:
            self._agreed(response, now)

    def _agreed(self, response: Message, now: float) -> None:
        """The first 2xx. The next run must know of what it changes in an answered call, before anybody hears of it."""
        call, near = self.call, self.near.dialog
        data = self._built(response, response.status)
        interval_s = call.session_s
        if call.is_answered and response.method in REFRESHING:
            interval_s = agreed_interval_s(response, call.policy.min_se_s)
        before = (near.remote_target, call.session_s)
        far_target = self.far.dialog.remote_target
        self._refresh_targets(response)
        call.session_s = interval_s
        unchanged = (near.remote_target, interval_s) == before and self.far.dialog.remote_target == far_target
        if unchanged or call.answered_at is None or call.chosen is not self.pair:
            self.confirm(response, data, now)
        else:
            self._change = Change(self, response, data, before)
            self._change.start(now)

    def confirm(self, response: Message, data: bytes, now: float) -> None:
        """The 2xx leaves."""
        self._send(response, response.status, data, now)
        refreshed(self.call, response, now)

    def take_back(self, change: Change, now: float) -> None:
        """What the 2xx has changed is on no record: for the near side nothing has changed (`engine.core.change`)."""
        self.near.dialog.remote_target, self.call.session_s = change.before
        self._fail(500, now)
        if self.server.method == "INVITE":
            self._send_ack(None)

    def _respond(self, response: Message, status: int, now: float) -> None:
        self._send(response, status, self._built(response, status), now)

    def _built(self, response: Message, status: int) -> bytes:
        near, method = self.near, self.server.method
        draft = ResponseDraft(near.party, self.server.head, status, "", response)
        draft.from_trusted = self.far.party.peer.trusted
        if status < 300 and method in _WITH_DESCRIPTION:
            draft.body, draft.content_type = crossing_sdp(response, near.origin), CONTENT_TYPE
        return build(RESPONSES[self.side][method, status // 100], draft)

    def _send(self, response: Message, status: int, data: bytes, now: float) -> None:
        self.near.note_rseq(response)
        if status < 300 and self.server.method in _WITH_DESCRIPTION:
            self._note_descriptions(response, data.partition(b"\r\n\r\n")[2])
        self.call.context.respond(self.server, status, data, now)

    def _note_descriptions(self, response: Message, body: bytes) -> None:
        """What counts between the two from now on: by a 2xx, or an answer that was sent reliably (RFC 3262 §5)."""
        if response.status >= 200 or (body and response.first[h.RSEQ] is not None):
            self.far.description = self._offer or self.far.description
            self.near.description = body or self.near.description

    def _settle(self, response: Message) -> None:
        """A REFER has been answered, or a report on one."""
        if self.server.method == "REFER":
            settle(self.near.references, self._seq, self.server.request, response)
        else:
            settle(self.far.references, self._reference, self.server.request, response)

    def _refresh_targets(self, response: Message) -> None:
        """Both ends have agreed, so both are now where they say (§12.2.1.2, §12.2.2)."""
        if self._target:
            self.near.dialog.remote_target = self._target
        if self.server.method in REFRESHING:
            self.near.note_allow(self.server.request)
            self.far.note_allow(response)
        if self.server.method in TARGET_REFRESH:
            try:
                self.far.dialog.refresh(response)
            except RemoteSipError:
                self.call.context.count("contact_unusable")

    def _fail(self, status: int, now: float) -> None:
        self.is_over = True
        refuse(self.call, self.server, status, now)

    def acked(self, request: Message, now: float) -> None:
        """The ACK of a relayed 2xx (§13.2.2.4); a copy of it goes out again as it was."""
        self.is_over = True
        if not self._send_ack(request):
            self.call.leaked("ACK", self.far.party.peer, now)

    def _send_ack(self, request: Message | None) -> bool:
        """Our ACK of a 2xx, built once (§13.2.2.4); False when its body would have shown a number."""
        is_whole = True
        if not self._ack:
            self._ack, is_whole = crossing_ack(self.call.context, self.far, self._seq, request)
        self.call.context.send(self._ack, self.far.next_flow())
        return is_whole

    def cancel(self, now: float) -> None:
        """The sender takes its INVITE back (§9): so do we, as soon as a provisional has come."""
        context = self.call.context
        if self.transaction.state == CALLING:
            self._cancel_wanted = True
        elif self.transaction.awaits_final:
            context.cancel(self.transaction, now)
            self._stop_limit()
            self._limit = context.wheel.set(now, context.transactions.timing.transaction_s, self, _CANCEL_IGNORED)

    @property
    def may_start_again(self) -> bool:
        """Its sender still waits for an answer."""
        return not (self.is_over or self._cancel_wanted)

    def _provisional_came(self, now: float) -> None:
        if self._cancel_wanted:
            self._cancel_wanted = False
            self.cancel(now)

    @property
    def awaits_answer(self) -> bool:
        """True while its sender has no final response."""
        return not self.server.is_answered

    @property
    def has_body(self) -> bool:
        """True for an UPDATE that makes an offer."""
        return bool(self.server.request.body)

    @property
    def is_pending(self) -> bool:
        """True until it has failed, or its 2xx is acknowledged or has had 64*T1 for that (§14.1)."""
        return not self.is_over and self.server.state != TERMINATED

    @property
    def acks_seq(self) -> int:
        """The number that an ACK for this relay carries."""
        return self.server.request.cseq


def crossing_ack(context: CoreContext, far: PairSide, cseq: int, request: Message | None) -> tuple[bytes, bool]:
    """The ACK for the far side, with the answer that the near side's ACK carries, if any; False for one that leaks.

    A body that may not cross is left out, counted: the far end has an answer missing. If it cannot be read, that end
    ends the call itself; if it would have shown a number, we do.
    """
    is_whole = True
    if request is not None and request.body:
        try:
            body = crossing_sdp(request, far.origin)
            acknowledgement = ack(context, far, cseq, body)
            far.description = body or far.description
            return acknowledgement, True
        except (LeakStopped, RemoteSipError) as error:
            context.count("leak_stopped_in_dialog")
            is_whole = not isinstance(error, LeakStopped)
    return ack(context, far, cseq), is_whole


def _in_dialog_status(status: int, method: str) -> int:
    """What a failure crosses as. Only an INVITE may be answered 408 (RFC 4320 §4.2); 481 ends a dialog as well."""
    if 300 <= status < 400:
        return 488
    if status == 408 and method != "INVITE":
        return _DIALOG_IS_GONE
    return _IN_DIALOG_STATUS.get(status, status)
