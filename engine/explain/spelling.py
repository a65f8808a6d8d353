"""Which number rule has made a number what it is, and by what its callee is known on all trunks."""

from __future__ import annotations

from typing import final

from engine.config import Config
from engine.core.numbers import Dialled
from engine.core.settings import CoreSettings, PeerSettings
from engine.core.wire_forms import SHORTEST, spelled_by


@final
class RulePlaces:
    """Finds the rule, for the "made by" of a line."""

    def __init__(self, config: Config) -> None:
        self._places = config.places
        self._index = {entry.name: index for index, entry in enumerate(config.number_rules)}

    def of_read(self, dialled: Dialled, peer: PeerSettings) -> str:
        """`; veil.toml:7 number_rules.rules (rule 2 of "from-shanghai")`; "" where no rule was about the number."""
        rules = peer.rules_in
        return "" if rules is None or not dialled.wire else self._of(rules.name, rules.position_of(dialled.wire))

    def of_written(self, number: str, peer: PeerSettings) -> str:
        """The same of a number that is sent."""
        rules = peer.rules_out
        return "" if rules is None else self._of(rules.name, rules.position_of(number))

    def _of(self, name: str, position: int) -> str:
        if position < 0:
            return ""
        place = self._places.of("number_rules", self._index[name], "rules", position)
        return f'; {place} (rule {position + 1} of "{name}")'


def spellings(number: str, settings: CoreSettings) -> list[str]:
    """All that the rules of any peer know a number by, digits each; what is too short for a number is left out."""
    found = [form.lstrip("+") for peer in settings.peers for form in spelled_by(number, peer)]
    shortest = min(SHORTEST, len(number))
    return [form for form in dict.fromkeys(found) if len(form) >= shortest and form.isdigit()]
