"""docs/domain.md has the states and moves of the code."""

from __future__ import annotations

from engine.domain.states import MACHINES
from tests.docs.pages import DOCS, rows, section

PAGE = DOCS / "domain.md"


def test_every_move_stands_there_and_no_other() -> None:
    found: dict[str, dict[str, tuple[str, ...]]] = {}
    for kind, state, moves in rows(section(PAGE, "States"), "kind"):
        name = kind.strip("`") or next(reversed(found))
        legal = () if moves == "stays" else tuple(move.strip("`") for move in moves.split(", "))
        found.setdefault(name, {})[state.strip("`")] = legal
    assert found == {kind: dict(machine) for kind, machine in MACHINES.items()}
