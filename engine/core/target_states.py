"""What is known of the targets of the peers, for whoever runs the node."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from engine.core.health import NEVER, STATES, UP

if TYPE_CHECKING:
    from engine.core.context import CoreContext
    from engine.core.probes import Probes


class TargetState(NamedTuple):
    """One address of one peer. Neither of them holds a number."""

    peer: str
    target: str  # as configured
    address: str  # "udp:127.0.0.13:5060"
    state: str  # one of `health.STATES`
    since_s: float | None  # epoch; None: since the node runs
    barred_s: float  # how long no request goes there yet; 0 where one may, and where only probes can tell
    is_probed: bool


def target_states(context: CoreContext, probes: Probes, now: float) -> list[TargetState]:
    """All addresses of all peers, in the order of the configuration."""
    return [
        TargetState(
            peer=peer.name,
            target=hop.target.uri,
            address=hop.health.address,
            state=STATES[hop.health.state],
            since_s=None if hop.health.changed_at == NEVER else context.wall(hop.health.changed_at),
            barred_s=0.0 if hop.health.state == UP else max(0.0, hop.health.until - now),
            is_probed=probes.asks(hop.health),
        )
        for peer in context.settings.peers
        for hop in context.routing.hops_of(peer.name, "")
    ]
