"""The peers as the shell sees them: where they take requests, how that changes, and what is known of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, final

from engine.core.health import NEVER
from engine.core.probes import Probes
from engine.core.target_states import TargetState, target_states

if TYPE_CHECKING:
    from engine.core.context import CoreContext
    from engine.core.routing import Routing
    from engine.core.settings import CoreSettings
    from engine.core.targets import TargetTable
    from sipstack.events import Flow, Output
    from sipstack.location import Address, Place


class Unwell(NamedTuple):
    """An address that is not up, and what its `AddressHealth` knows of it."""

    transport: str
    host: str
    port: int
    state: int
    busy: int
    barred_s: float  # how long no request goes there yet
    since_s: float | None  # epoch; None: since the node runs


@final
class Trunks:
    """Of one node. `now` is monotonic seconds; verbs return what is to be done."""

    __slots__ = ("_context", "_probes")

    def __init__(self, context: CoreContext) -> None:
        self._context: Final = context
        self._probes: Final = Probes(context)

    def follow(self, now: float) -> list[Output]:
        """The node sends from now on, or its peers have other targets than before: these are probed."""
        self._probes.follow(now)
        return self._context.take()

    def pool_of(self, host: str) -> str | None:
        """With whom a host shares what the node spends on connections: "" with all that nobody knows, the name of an
        untrusted peer with all of that; None for an address of a trusted peer, which never waits for others."""
        source = self._context.routing.source_of(host, 0)
        if source is None:
            return ""
        return None if source.peer.trusted else source.peer.name

    def peer_name(self, flow: Flow) -> str:
        """Whose the far end of a flow is, "" for nobody's."""
        peer = self._context.routing.peer_of(flow)
        return "" if peer is None else peer.name

    def addresses(self) -> TargetTable:
        """A copy of what is known of names, of which routing tables can be made in another thread."""
        return self._context.targets.copy()

    def reload(self, settings: CoreSettings, routing: Routing, now: float) -> list[Output]:
        """Other settings count for new attempts, with the tables made of them and of `addresses`; the listeners are the
        same (`engine.config.restart`)."""
        self._context.follow(settings, routing)
        return self.follow(now)

    def resolved(self, place: Place, addresses: tuple[Address, ...]) -> bool:
        """What the DNS says now of a target that is a name: it counts for attempts that are decided from now on.

        False when it was known.
        """
        is_new = self._context.targets.tell(place, addresses)
        if is_new:
            self._context.routing.readdress(place)
        return is_new

    def unwell(self, now: float) -> list[Unwell]:
        """The addresses that are not up."""
        wall = self._context.wall
        return [
            Unwell(
                *at, one.state, one.busy, max(0.0, one.until - now),
                None if one.changed_at == NEVER else wall(one.changed_at),
            )
            for at, one in self._context.health.unwell()
        ]  # fmt: skip

    def assume(self, unwell: list[Unwell], now: float) -> None:
        """From now on it goes as if these were so: for questions that are no calls."""
        for one in unwell:
            health = self._context.health.of(one.transport, one.host, one.port)
            health.assume(one.state, one.busy, now + one.barred_s)

    @property
    def names(self) -> list[str]:
        """The configured peers, in order."""
        return [peer.name for peer in self._context.settings.peers]

    def states(self, now: float) -> list[TargetState]:
        """Where the peers take requests, in the order of the configuration, and what is known of these addresses."""
        return target_states(self._context, self._probes, now)
