"""Which pairs of an operator's trunks are driven: one for each combination of what makes a trunk different."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Final

from engine.config.models import Config, Peer
from engine.core.settings import NumberFormat
from engine.leaktest.canaries import Canaries
from engine.leaktest.pair import Address, Trunk

MAX_PAIRS: Final = 12

# What does not change what may cross.
_NOT_ABOUT_PRIVACY: Final = frozenset(
    ("name", "match", "targets", "serves_700", "max_calls", "max_rate", "options_interval_s")
)
_DRAWS: Final = 200


def different(peers: Sequence[Peer]) -> list[Peer]:
    """The first peer of each kind."""
    kinds: dict[str, Peer] = {}
    for peer in peers:
        kind = peer.model_dump_json(exclude=set(_NOT_ABOUT_PRIVACY))
        kinds.setdefault(f"{bool(peer.match)} {bool(peer.targets)} {kind}", peer)
    return list(kinds.values())


def combinations(config: Config) -> list[tuple[Peer, Peer]]:
    """(who calls, who is called): each kind of trunk with each kind, MAX_PAIRS at the most."""
    peers = different(config.peer)
    callers = [peer for peer in peers if peer.match]
    callees = [peer for peer in peers if peer.targets]
    return [(caller, callee) for caller in callers for callee in callees][:MAX_PAIRS]


def trunk(peer: Peer, address: Address, number: str) -> Trunk:
    """A party's place on a trunk."""
    centres = getattr(peer, "sms_centres", None) or [""]
    return Trunk(
        peer.name, address, number, NumberFormat(peer.number_format), peer.trusted, tuple(peer.pass_headers), centres[0]
    )


def drawn_number(random: Random, avoid: Sequence[str]) -> str:
    """A real number for a party that is not in `avoid`."""
    canaries = Canaries(random, avoid)
    return canaries.number()
