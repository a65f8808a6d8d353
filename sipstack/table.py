"""State machines as tables: `(state, input) -> (state, action)`, each row with the line that it comes from."""

from __future__ import annotations

from typing import Final, final

from sipstack.errors import LocalSipError

Row = tuple[int, int, int, int, str]  # state, input, next state, action, source


@final
class Table:
    """A complete machine. One without a row for a pair, or with two, is a LocalSipError at import, not in a call.

    `moves` holds (state after, action) for each pair, at state * width + input; `following` and `doing` hold either.
    """

    __slots__ = ("actions", "doing", "following", "inputs", "moves", "name", "rows", "states", "width")

    def __init__(
        self,
        name: str,
        states: tuple[str, ...],
        inputs: tuple[str, ...],
        actions: tuple[str, ...],
        rows: tuple[Row, ...],
    ) -> None:
        self.name: Final = name
        self.states: Final = states
        self.inputs: Final = inputs
        self.actions: Final = actions
        self.rows: Final = rows
        self.width: Final = len(inputs)
        moves: list[tuple[int, int] | None] = [None] * (len(states) * len(inputs))
        for state, event, following, action, source in rows:
            if not (0 <= state < len(states) and 0 <= event < len(inputs)):
                raise LocalSipError(f"{name}: row {state}, {event} is outside of the table")
            place = state * self.width + event
            known = 0 <= following < len(states) and 0 <= action < len(actions)
            if moves[place] is not None or not source or not known:
                raise LocalSipError(f"{name}: bad row for {states[state]}, {inputs[event]}")
            moves[place] = following, action
        self.moves: list[tuple[int, int]] = []
        for place, move in enumerate(moves):
            if move is None:
                state, event = divmod(place, self.width)
                raise LocalSipError(f"{name}: no row for {states[state]}, {inputs[event]}")
            self.moves.append(move)
        # One octet each: nothing is made of it but a number, where a pair is looked at part by part.
        self.following: Final = bytes([state for state, _ in self.moves])
        self.doing: Final = bytes([action for _, action in self.moves])

    def move(self, state: int, event: int) -> tuple[int, int]:
        """The state after `event` in `state`, and the action."""
        return self.moves[state * self.width + event]

    def lines(self) -> list[str]:
        """The rows in words, `Calling | Timer A | Calling | retransmit`: for tests and documents."""
        return [
            f"{self.states[state]} | {self.inputs[event]} | {self.states[following]} | {self.actions[action]}"
            for state, event, following, action, _ in self.rows
        ]
