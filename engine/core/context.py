"""What the attempts of one node have in common, and their way out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

from engine.core.binding import TRANSIT
from engine.core.health import Health
from engine.core.intake import Intake
from engine.core.large_requests import MOST_UDP_BYTES, LargeRequests
from engine.core.released import Released
from engine.core.routing import Routing
from engine.core.settings import CoreSettings
from engine.core.targets import TargetTable
from engine.core.tokens import TokenSource
from engine.core.try_ids import KEY_BYTES
from sipstack.client_transaction import ClientTransaction, cancel_for
from sipstack.events import Flow, Output, SendMessage
from sipstack.server_transaction import ServerTransaction
from sipstack.timers import TimerWheel
from sipstack.transactions import Transactions

if TYPE_CHECKING:
    from engine.core.outputs import InProgress
    from engine.core.pair import DialogEnd
    from engine.core.sms_report import PendingReport


@final
class Run:
    """Which run of the node this is: calls that it has not begun itself go on in it.

    `boot_id` names the start of the machine since which monotonic seconds count; `epoch` counts the runs on one data
    folder. `key`, of KEY_BYTES, makes the identifiers of `try_ids`: it is the same in every run.
    """

    __slots__ = ("boot_id", "epoch", "key")

    def __init__(self, boot_id: str, epoch: int, key: bytes) -> None:
        self.boot_id: Final = boot_id
        self.epoch: Final = epoch
        self.key: Final = key


# For a core that takes nothing over and is never taken over from.
ONLY_RUN: Final = Run("", 0, bytes(KEY_BYTES))


@final
class CoreContext:
    """Settings, transactions, timers and the registry of dialogs. `out` collects what is to be done, in order.

    `wall_offset_s` is what must be added to monotonic seconds to have seconds since the epoch; the shell keeps it true.
    `dialogs` is keyed by "local tag, space, remote tag", `reports` by the Call-ID of our MESSAGE with the RP-DATA;
    `reported` has those Call-IDs whose report was taken shortly before the last start.
    """

    __slots__ = (
        "attempts",
        "counters",
        "dialogs",
        "has_rules",
        "health",
        "intake",
        "large",
        "listeners",
        "out",
        "released",
        "reported",
        "reports",
        "routing",
        "run",
        "settings",
        "sheds",
        "targets",
        "tokens",
        "transactions",
        "wall_offset_s",
        "wheel",
    )

    def __init__(
        self, settings: CoreSettings, transactions: Transactions, tokens: TokenSource, run: Run = ONLY_RUN
    ) -> None:
        self.settings = settings
        self.has_rules = _has_rules(settings)  # some trunk spells numbers in its own way, now or before a reload
        self.run: Final = run
        self.transactions = transactions
        self.tokens = tokens
        self.health: Final = Health(self.tell)
        self.targets = TargetTable()
        self.routing = Routing(settings, self.targets, self.health)
        transactions.are_one_side = self._are_one_side
        self.listeners = self.routing.listeners
        self.large: Final = LargeRequests(self.listeners)
        self.wheel = TimerWheel()
        self.out: list[Output] = []
        self.dialogs: dict[str, DialogEnd] = {}
        self.attempts: dict[str, InProgress] = {}
        self.released = Released(self.wheel, transactions.timing.transaction_s)
        self.intake: Final = Intake(self.attempts)
        self.reports: dict[str, PendingReport] = {}
        self.reported: set[str] = set()
        self.counters: dict[str, int] = {}
        self.wall_offset_s = 0.0
        self.sheds = True  # what has ended keeps little; False: somebody will ask it how it was decided

    def follow(self, settings: CoreSettings, routing: Routing) -> None:
        """Others are in force from now on, with the same listeners; what is in progress keeps those it began with.

        `routing` has been made of these settings, and of a copy of `targets`.
        """
        self.settings = settings
        self.has_rules = self.has_rules or _has_rules(settings)
        self.routing = routing
        routing.enter_force(self.targets, self.health)

    def _are_one_side(self, source: Flow, asked: Flow) -> bool:
        """True when a response may come from `source` to what was sent to `asked`: no stranger, nor another peer's.

        A request in a dialog may have gone to a host of a route set that belongs to no peer: then any peer's answer
        counts, and the branch says which request it means.
        """
        peer = self.routing.peer_of(source)
        if peer is None:
            return False
        is_target = [one for one in self.settings.peers if any(target.host == asked.host for target in one.targets)]
        return peer in is_target or self.routing.peer_of(asked) in (peer, None if not is_target else peer)

    def take(self) -> list[Output]:
        """What has been collected since the last time."""
        out = self.out
        self.out = []
        return out

    def wall(self, now: float) -> float:
        """Seconds since the epoch at the monotonic time `now`."""
        return now + self.wall_offset_s

    def enter(self, attempt: InProgress) -> None:
        """An attempt is in progress from now on."""
        self.attempts[attempt.record.record_id] = attempt
        limits = self.intake.limits
        if limits.is_counting:
            limits.began(attempt.record)

    def leave(self, record_id: str) -> None:
        """It is no more."""
        attempts = self.attempts
        if record_id in attempts:  # `pop` is looked for by its name
            del attempts[record_id]
        limits = self.intake.limits
        if limits.is_counting:
            limits.ended(record_id)

    def count(self, name: str) -> None:
        """Adds one to a counter."""
        self.counters[name] = self.counters.get(name, 0) + 1

    def tell(self, output: Output) -> None:
        """Adds to what is to be done."""
        self.out.append(output)

    def respond(self, transaction: ServerTransaction, status: int, data: bytes, now: float) -> None:
        """Sends a response through its transaction."""
        self.transactions.respond_into(self.out, transaction, status, data, now)

    def start(self, transaction: ClientTransaction, now: float) -> None:
        """Sends a request with a transaction of its own."""
        if len(transaction.last_sent) > MOST_UDP_BYTES and transaction.flow.transport == "UDP":
            self.large.turn_to_tcp(transaction, now)
        self.transactions.start_into(self.out, transaction, now)

    def start_otherwise(self, transaction: ClientTransaction, now: float) -> bool:
        """Sends what could not be sent one way the other way; False when there is none."""
        if not self.large.turn_back(transaction, now):
            return False
        self.start(transaction, now)
        return True

    def cancel(self, invite: ClientTransaction, now: float, rows: list[str] | None = None) -> None:
        """Takes back an INVITE of ours that has had a provisional (RFC 3261 §9.1); the answer interests nobody.

        `rows` are what the CANCEL says more than every one does.
        """
        data = cancel_for(invite.last_sent, rows)
        self.start(ClientTransaction("CANCEL", invite.branch, data, invite.flow, None), now)

    def send(self, data: bytes, flow: Flow) -> None:
        """Sends bytes that have no transaction: an ACK for a 2xx, a repeated 2xx."""
        self.out.append(SendMessage(data, flow))

    def contact(self, flow: Flow, number: str, is_secure: bool = False) -> str:
        """Our Contact row for the far end of `flow`: the 700 number at this node (contract §5), in transit no number.

        It is a sips URI in a dialog that a sips URI has asked for (RFC 3261 §8.1.1.8, §12.1.1), and in no other: of
        what goes by TLS for one hop only a sip URI tells the truth (RFC 5630).
        """
        if is_secure:
            return f"Contact: <sips:{number or TRANSIT}@{self.listeners.all[flow.local].advertised}>"
        return f"Contact: <sip:{number or TRANSIT}{self.listeners.all[flow.local].contact_end}"

    def address(self, flow: Flow) -> str:
        """The node's own address as the far end of `flow` knows it, without brackets."""
        return self.listeners.all[flow.local].host


def _has_rules(settings: CoreSettings) -> bool:
    return any(peer.rules_in is not None or peer.rules_out is not None for peer in settings.peers)
