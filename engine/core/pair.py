"""Two dialogs that are one conversation: the caller's and the callee's, and what maps between them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

from engine.core.context import CoreContext
from engine.core.crossing import leading_number
from engine.core.disclosure import Party
from engine.core.listeners import Listeners
from engine.core.next_hop import flow_to, hosts_of
from engine.core.session_bodies import OriginRewriter
from sipstack import headers as h
from sipstack.dialog import Dialog
from sipstack.events import Flow
from sipstack.message import Message

if TYPE_CHECKING:
    from engine.core.call import Call
    from engine.core.relay import Relay

# Sides
CALLER: Final = 0
CALLEE: Final = 1
SIDE_NAMES: Final = ("caller", "callee")


NEVER: Final = float("-inf")

# `PairSide.takes`: methods that its Allow lists, as a sum; 0 as long as it has said nothing.
TAKES_INVITE: Final = 1
TAKES_UPDATE: Final = 2

NO_RSEQS: Final[frozenset[int]] = frozenset()

# Reliable provisionals of one INVITE. Each waits for the PRACK of the one before (RFC 3262 §3), so no phone has many.
MAX_RSEQS: Final = 64


@final
class DialogEnd:
    """What an in-dialog request finds: its call, its pair of dialogs, the side it came from."""

    __slots__ = ("call", "pair", "side")

    def __init__(self, call: Call, pair: DialogPair, side: int) -> None:
        self.call = call
        self.pair = pair
        self.side = side


@final
class PairSide:
    """One of the two dialogs, with the party behind it.

    `seqs` maps the numbers of this party's first INVITE and of its latest to those of ours that carry them on the other
    dialog. `origin` writes the descriptions that reach this party. `references` maps our numbers of the REFERs of this
    party to its own (`engine.core.transfer`), `rseqs` are the numbers of the reliable provisionals that its latest
    INVITE has had (RFC 3262 §3). `flow` is where its messages came from or were first sent to. `heard_at` is when it
    last showed that it is there, in monotonic seconds; `takes` is what it says that it takes (`engine.core.refresh`),
    and `description` the last one that it was sent and that counts; b"" while that is the one in the call's answer.
    `credentials` is the row that the ACK of our latest INVITE repeats, "" where nobody asked for a password.
    `key` is what the registry has this dialog by.
    """

    __slots__ = (
        "_hop",
        "_hop_flow",
        "_listeners",
        "credentials",
        "description",
        "dialog",
        "flow",
        "heard_at",
        "key",
        "origin",
        "party",
        "pending_update",
        "references",
        "rseqs",
        "seqs",
        "takes",
    )

    def __init__(self, dialog: Dialog, party: Party, flow: Flow, origin: OriginRewriter, listeners: Listeners) -> None:
        self.dialog = dialog
        self.key: Final = f"{dialog.local_tag} {dialog.remote_tag}"
        self.party = party
        self.flow = flow
        self.origin = origin
        self.seqs: dict[int, int] = {}
        self.references: dict[int, int] = {}
        self.rseqs: frozenset[int] = NO_RSEQS
        self.pending_update: Relay | None = None  # the last UPDATE of this party that was carried on
        self.heard_at = NEVER
        self.takes = 0
        self.description = b""
        self.credentials = ""
        self._hop = ""  # the URI that `_hop_flow` was found for
        self._hop_flow = flow
        self._listeners: Final = listeners

    def note_invite(self, theirs: int, ours: int) -> None:
        """The numbers of an INVITE, for its PRACKs. The one before is over; so the row of a call stays short."""
        if len(self.seqs) > 1:
            self.seqs.popitem()
        self.seqs[theirs] = ours

    def note_rseq(self, response: Message) -> None:
        """Remembers the RSeq that this party is told: its PRACKs may name no other (RFC 3262 §3)."""
        if response.first[h.RSEQ] is not None and response.is_provisional and len(self.rseqs) < MAX_RSEQS:
            self.rseqs |= {leading_number(response, h.RSEQ)}

    def note_allow(self, message: Message) -> None:
        """Remembers what this party takes; a message without Allow says nothing (RFC 3261 §20.5)."""
        allow = message.first[h.ALLOW]
        if allow is not None:
            takes = TAKES_INVITE if "INVITE" in allow else 0
            self.takes = takes | TAKES_UPDATE if "UPDATE" in allow else takes

    def next_flow(self) -> Flow:
        """Where the next request in this dialog goes (RFC 3261 §12.2.1.1), or where its party was last seen."""
        hop = self.dialog.next_hop()
        if hop != self._hop:
            self._hop_flow = flow_to(hop, self.flow, self._listeners, self.party.peer)
            self._hop = hop
        return self._hop_flow

    def speaks_by(self, flow: Flow) -> None:
        """Its requests come by this connection: those to it go there, too, as long as it stands."""
        if (flow.transport, flow.host) == (self.flow.transport, self.flow.host):
            self.flow = flow
            self._hop = ""

    def stay_at(self, flow: Flow) -> None:
        """What goes to its present target goes there, whatever address the target names."""
        self._hop, self._hop_flow = self.dialog.next_hop(), flow

    def accepts(self, context: CoreContext, flow: Flow) -> bool:
        """True when a request in this dialog may come from there: its trunk, its host, or a host of its route set.

        From a trunk that shows a certificate nothing else will do.
        """
        must_prove = self.party.peer.tls_names
        if flow.host == self.flow.host and not must_prove:
            return True
        peer = context.routing.peer_of(flow)
        if peer is not None and peer.name == self.party.peer.name:
            return True
        if must_prove:
            return False
        routes = [route[1:-1] for route in self.dialog.route_set]
        return flow.host.lower() in hosts_of([self.dialog.remote_target, *routes])


@final
class DialogPair:
    """The caller's dialog and the callee's: one for each tag that the callee's side has answered with."""

    __slots__ = ("callee", "caller", "pending_invite", "sides")

    def __init__(self, caller: PairSide, callee: PairSide) -> None:
        self.caller: Final = caller  # the side on which we are the server of the first INVITE
        self.callee: Final = callee  # the side on which we are its client
        self.sides: Final = (caller, callee)
        self.pending_invite: Relay | None = None

    def register(self, context: CoreContext, call: Call) -> None:
        """Makes both dialogs known to requests."""
        context.dialogs[self.caller.key] = DialogEnd(call, self, CALLER)
        context.dialogs[self.callee.key] = DialogEnd(call, self, CALLEE)

    def forget(self, context: CoreContext) -> None:
        """Requests in these dialogs get 481 from now on."""
        _forget(context.dialogs, self.caller)
        _forget(context.dialogs, self.callee)


def _forget(dialogs: dict[str, DialogEnd], side: PairSide) -> None:
    if side.key in dialogs:  # `pop` is looked for by its name
        del dialogs[side.key]
    side.pending_update = None
