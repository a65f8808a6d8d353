"""Which pairs of an operator's trunks are driven: one for each combination of what makes a trunk different."""

from __future__ import annotations

from typing import Final

from engine.config.models import Config
from engine.config.peers import Peer
from engine.core.settings import NumberFormat
from engine.leaktest.pair import Address, Trunk

MAX_PAIRS: Final = 12

# What does not change what may cross.
_NOT_ABOUT_PRIVACY: Final = frozenset(
    (
        "name", "match", "tls_names", "targets", "serves_700", "max_calls", "max_rate",
        "options_interval_s", "options_up_after", "options_down_after",
        "digest_algorithms", "username", "password", "password_file", "realm",
    )
)  # fmt: skip


def kinds(config: Config) -> list[list[Peer]]:
    """The peers, those together that are alike in all that matters here."""
    found: dict[str, list[Peer]] = {}
    for peer in config.peer:
        kind = peer.model_dump_json(exclude=set(_NOT_ABOUT_PRIVACY))
        found.setdefault(f"{bool(peer.match or peer.tls_names)} {bool(peer.targets)} {kind}", []).append(peer)
    return list(found.values())


def combinations(config: Config) -> list[list[tuple[Peer, Peer]]]:
    """For each kind of trunk that calls and each that is called: the (caller, callee) that would do."""
    groups = kinds(config)
    found = [
        [(caller, callee) for caller in calling for callee in called]
        for calling in groups
        for called in groups
        if (calling[0].match or calling[0].tls_names) and called[0].targets
    ]
    return found[:MAX_PAIRS]


def trunk(config: Config, peer: Peer, address: Address, number: str) -> Trunk:
    """A party's place on a trunk of the configuration."""
    centres = getattr(peer, "sms_centres", None) or [""]
    return Trunk(
        peer.name, address, number, NumberFormat(peer.number_format), peer.trusted, tuple(peer.pass_headers),
        centres[0], peer.trusted and peer.profile == "isc", config.rule_sets.get(peer.number_rules_in),
    )  # fmt: skip
