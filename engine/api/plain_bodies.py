"""Bindings in bulk whose members are texts, and no options: as nearly all are. They are read as what they are.

The model says what a binding may say. What it would take as it stands is read without it, at a third of the price:
texts that are not too long, in members that it knows.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Final, get_args

from engine.api.binding_forms import NewBinding
from engine.store.binding_import import COLUMNS

Values = tuple[str, ...]  # of one without options, in the order of COLUMNS

PLAIN: Final = frozenset(COLUMNS)
_FIELDS: Final = NewBinding.model_fields
_NEEDED: Final = frozenset(name for name in COLUMNS if _FIELDS[name].is_required())
_MODES: Final = frozenset(get_args(_FIELDS["mode"].annotation))
_LONGEST: Final = {
    name: rule.max_length for name in COLUMNS for rule in _FIELDS[name].metadata if hasattr(rule, "max_length")
}


def read_plain(content: bytes) -> list[Values] | None:
    """The bindings of a JSON array.

    None where one of them is not plain, or where the model might read it otherwise: half a surrogate pair.
    """
    if b"\\ud" in content or b"\\uD" in content:
        return None
    try:
        asked = json.loads(content.decode())
    except (ValueError, RecursionError):
        return None
    orders: dict[tuple[str, ...], Callable[[Values], Values]] = {}  # by members as they stand
    found: list[Values] = []
    for one in asked:
        if type(one) is not dict:
            return None
        members = tuple(one)
        in_order = orders.get(members)
        if in_order is None:
            if not _NEEDED <= one.keys() <= PLAIN:
                return None
            in_order = orders[members] = _in_order(members)
        found.append(in_order((*one.values(), "")))
    return found if _are_plain(found) else None


def _in_order(members: Values) -> Callable[[Values], Values]:
    """Brings the values of those members, behind which "" stands, into the order of COLUMNS."""
    return itemgetter(*[members.index(name) if name in members else len(members) for name in COLUMNS])


def _are_plain(found: Sequence[Values]) -> bool:
    """Whether all are texts that the model takes, column by column."""
    for name, column in zip(COLUMNS, zip(*found, strict=True), strict=False):
        if set(map(type, column)) != {str}:
            return False
        if name == "mode":
            if not _MODES.issuperset(column):
                return False
        elif max(map(len, column)) > _LONGEST[name]:
            return False
    return True
