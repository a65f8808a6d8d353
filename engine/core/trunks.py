"""The peers as the shell sees them: where they take requests, how that changes, and what is known of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

from engine.core.probes import Probes
from engine.core.target_states import TargetState, target_states

if TYPE_CHECKING:
    from engine.core.context import CoreContext
    from engine.core.routing import Routing
    from engine.core.settings import CoreSettings
    from engine.core.targets import TargetTable
    from sipstack.events import Output
    from sipstack.location import Address, Place


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

    @property
    def names(self) -> list[str]:
        """The configured peers, in order."""
        return [peer.name for peer in self._context.settings.peers]

    def states(self, now: float) -> list[TargetState]:
        """Where the peers take requests, in the order of the configuration, and what is known of these addresses."""
        return target_states(self._context, self._probes, now)
