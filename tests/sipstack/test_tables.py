"""The four machines of RFC 3261 §17 with RFC 6026, row by row, as read from the figures and not from the code."""

from __future__ import annotations

from typing import Final

import pytest

from sipstack.client_transaction import INVITE_CLIENT, NON_INVITE_CLIENT
from sipstack.errors import LocalSipError
from sipstack.server_transaction import INVITE_SERVER, NON_INVITE_SERVER
from sipstack.table import Row, Table

# RFC 3261 figure 5 as redrawn by RFC 6026 §8.4
INVITE_CLIENT_ROWS: Final = """
    Calling | 1xx | Proceeding | pass up
    Calling | 2xx | Accepted | pass up, linger
    Calling | 300-699 | Completed | pass up, ACK, linger
    Calling | Timer A | Calling | send again
    Calling | Timer B | Terminated | time out
    Calling | Timer D or M | Calling | nothing
    Calling | transport error | Terminated | fail
    Proceeding | 1xx | Proceeding | pass up
    Proceeding | 2xx | Accepted | pass up, linger
    Proceeding | 300-699 | Completed | pass up, ACK, linger
    Proceeding | Timer A | Proceeding | nothing
    Proceeding | Timer B | Proceeding | nothing
    Proceeding | Timer D or M | Proceeding | nothing
    Proceeding | transport error | Proceeding | nothing
    Completed | 1xx | Completed | nothing
    Completed | 2xx | Completed | nothing
    Completed | 300-699 | Completed | ACK
    Completed | Timer A | Completed | nothing
    Completed | Timer B | Completed | nothing
    Completed | Timer D or M | Terminated | nothing
    Completed | transport error | Terminated | fail
    Accepted | 1xx | Accepted | nothing
    Accepted | 2xx | Accepted | pass up
    Accepted | 300-699 | Accepted | nothing
    Accepted | Timer A | Accepted | nothing
    Accepted | Timer B | Accepted | nothing
    Accepted | Timer D or M | Terminated | nothing
    Accepted | transport error | Accepted | nothing
    Terminated | 1xx | Terminated | nothing
    Terminated | 2xx | Terminated | nothing
    Terminated | 300-699 | Terminated | nothing
    Terminated | Timer A | Terminated | nothing
    Terminated | Timer B | Terminated | nothing
    Terminated | Timer D or M | Terminated | nothing
    Terminated | transport error | Terminated | nothing
"""

# RFC 3261 figure 6
NON_INVITE_CLIENT_ROWS: Final = """
    Trying | 1xx | Proceeding | pass up
    Trying | 2xx | Completed | pass up, linger
    Trying | 300-699 | Completed | pass up, linger
    Trying | Timer E | Trying | send again
    Trying | Timer F | Terminated | time out
    Trying | Timer K | Trying | nothing
    Trying | transport error | Terminated | fail
    Proceeding | 1xx | Proceeding | pass up
    Proceeding | 2xx | Completed | pass up, linger
    Proceeding | 300-699 | Completed | pass up, linger
    Proceeding | Timer E | Proceeding | send again
    Proceeding | Timer F | Terminated | time out
    Proceeding | Timer K | Proceeding | nothing
    Proceeding | transport error | Terminated | fail
    Completed | 1xx | Completed | nothing
    Completed | 2xx | Completed | nothing
    Completed | 300-699 | Completed | nothing
    Completed | Timer E | Completed | nothing
    Completed | Timer F | Completed | nothing
    Completed | Timer K | Terminated | nothing
    Completed | transport error | Completed | nothing
    (Accepted) | 1xx | (Accepted) | nothing
    (Accepted) | 2xx | (Accepted) | nothing
    (Accepted) | 300-699 | (Accepted) | nothing
    (Accepted) | Timer E | (Accepted) | nothing
    (Accepted) | Timer F | (Accepted) | nothing
    (Accepted) | Timer K | (Accepted) | nothing
    (Accepted) | transport error | (Accepted) | nothing
    Terminated | 1xx | Terminated | nothing
    Terminated | 2xx | Terminated | nothing
    Terminated | 300-699 | Terminated | nothing
    Terminated | Timer E | Terminated | nothing
    Terminated | Timer F | Terminated | nothing
    Terminated | Timer K | Terminated | nothing
    Terminated | transport error | Terminated | nothing
"""

# RFC 3261 figure 7 as redrawn by RFC 6026 §8.6; a transport error is no input since §8.8: "MUST remain in the current
# state". Timer H tells the transaction user (RFC 3261 §17.2.1).
INVITE_SERVER_ROWS: Final = """
    (Trying) | INVITE | (Trying) | nothing
    (Trying) | ACK | (Trying) | nothing
    (Trying) | 1xx from TU | (Trying) | nothing
    (Trying) | 2xx from TU | (Trying) | nothing
    (Trying) | 300-699 from TU | (Trying) | nothing
    (Trying) | Timer G | (Trying) | nothing
    (Trying) | Timer H, I or L | (Trying) | nothing
    Proceeding | INVITE | Proceeding | send the last response again
    Proceeding | ACK | Proceeding | nothing
    Proceeding | 1xx from TU | Proceeding | send
    Proceeding | 2xx from TU | Accepted | send, set the deadline
    Proceeding | 300-699 from TU | Completed | send, set the deadline
    Proceeding | Timer G | Proceeding | nothing
    Proceeding | Timer H, I or L | Proceeding | nothing
    Completed | INVITE | Completed | send the last response again
    Completed | ACK | Confirmed | stop repeating, linger
    Completed | 1xx from TU | Completed | nothing
    Completed | 2xx from TU | Completed | nothing
    Completed | 300-699 from TU | Completed | nothing
    Completed | Timer G | Completed | send again, double the gap
    Completed | Timer H, I or L | Terminated | report the missing ACK
    Confirmed | INVITE | Confirmed | nothing
    Confirmed | ACK | Confirmed | nothing
    Confirmed | 1xx from TU | Confirmed | nothing
    Confirmed | 2xx from TU | Confirmed | nothing
    Confirmed | 300-699 from TU | Confirmed | nothing
    Confirmed | Timer G | Confirmed | nothing
    Confirmed | Timer H, I or L | Terminated | nothing
    Accepted | INVITE | Accepted | nothing
    Accepted | ACK | Accepted | nothing
    Accepted | 1xx from TU | Accepted | nothing
    Accepted | 2xx from TU | Accepted | send
    Accepted | 300-699 from TU | Accepted | nothing
    Accepted | Timer G | Accepted | nothing
    Accepted | Timer H, I or L | Terminated | nothing
    Terminated | INVITE | Terminated | nothing
    Terminated | ACK | Terminated | nothing
    Terminated | 1xx from TU | Terminated | nothing
    Terminated | 2xx from TU | Terminated | nothing
    Terminated | 300-699 from TU | Terminated | nothing
    Terminated | Timer G | Terminated | nothing
    Terminated | Timer H, I or L | Terminated | nothing
"""

# RFC 3261 figure 8, without its transport errors (RFC 6026 §8.8)
NON_INVITE_SERVER_ROWS: Final = """
    Trying | request | Trying | nothing
    Trying | (ACK) | Trying | nothing
    Trying | 1xx from TU | Proceeding | send
    Trying | 2xx from TU | Completed | send, set the deadline
    Trying | 300-699 from TU | Completed | send, set the deadline
    Trying | (Timer G) | Trying | nothing
    Trying | Timer J | Trying | nothing
    Proceeding | request | Proceeding | send the last response again
    Proceeding | (ACK) | Proceeding | nothing
    Proceeding | 1xx from TU | Proceeding | send
    Proceeding | 2xx from TU | Completed | send, set the deadline
    Proceeding | 300-699 from TU | Completed | send, set the deadline
    Proceeding | (Timer G) | Proceeding | nothing
    Proceeding | Timer J | Proceeding | nothing
    Completed | request | Completed | send the last response again
    Completed | (ACK) | Completed | nothing
    Completed | 1xx from TU | Completed | nothing
    Completed | 2xx from TU | Completed | nothing
    Completed | 300-699 from TU | Completed | nothing
    Completed | (Timer G) | Completed | nothing
    Completed | Timer J | Terminated | nothing
    (Confirmed) | request | (Confirmed) | nothing
    (Confirmed) | (ACK) | (Confirmed) | nothing
    (Confirmed) | 1xx from TU | (Confirmed) | nothing
    (Confirmed) | 2xx from TU | (Confirmed) | nothing
    (Confirmed) | 300-699 from TU | (Confirmed) | nothing
    (Confirmed) | (Timer G) | (Confirmed) | nothing
    (Confirmed) | Timer J | (Confirmed) | nothing
    (Accepted) | request | (Accepted) | nothing
    (Accepted) | (ACK) | (Accepted) | nothing
    (Accepted) | 1xx from TU | (Accepted) | nothing
    (Accepted) | 2xx from TU | (Accepted) | nothing
    (Accepted) | 300-699 from TU | (Accepted) | nothing
    (Accepted) | (Timer G) | (Accepted) | nothing
    (Accepted) | Timer J | (Accepted) | nothing
    Terminated | request | Terminated | nothing
    Terminated | (ACK) | Terminated | nothing
    Terminated | 1xx from TU | Terminated | nothing
    Terminated | 2xx from TU | Terminated | nothing
    Terminated | 300-699 from TU | Terminated | nothing
    Terminated | (Timer G) | Terminated | nothing
    Terminated | Timer J | Terminated | nothing
"""

MACHINES: Final = (
    pytest.param(INVITE_CLIENT, INVITE_CLIENT_ROWS, id="invite-client"),
    pytest.param(NON_INVITE_CLIENT, NON_INVITE_CLIENT_ROWS, id="non-invite-client"),
    pytest.param(INVITE_SERVER, INVITE_SERVER_ROWS, id="invite-server"),
    pytest.param(NON_INVITE_SERVER, NON_INVITE_SERVER_ROWS, id="non-invite-server"),
)


@pytest.mark.parametrize(("table", "rows"), MACHINES)
def test_machine_is_as_drawn(table: Table, rows: str) -> None:
    assert table.lines() == [line.strip() for line in rows.strip().splitlines()]


@pytest.mark.parametrize(("table", "rows"), MACHINES)
def test_steps_follow_the_rows(table: Table, rows: str) -> None:
    """What is looked up on the call path is what the rows say."""
    steps = [
        f"{state} | {event} | {table.states[following]} | {table.actions[action]}"
        for here, state in enumerate(table.states)
        for step, event in enumerate(table.inputs)
        for following, action in (table.move(here, step),)
    ]
    assert steps == [line.strip() for line in rows.strip().splitlines()]


@pytest.mark.parametrize(("table", "rows"), MACHINES)
def test_every_row_has_a_source(table: Table, rows: str) -> None:
    assert [row for row in table.rows if not row[4].strip()] == []
    assert len(table.rows) == len(table.states) * len(table.inputs)


@pytest.mark.parametrize(("table", "rows"), MACHINES)
def test_names_tell_states_inputs_and_actions_apart(table: Table, rows: str) -> None:
    for names in (table.states, table.inputs, table.actions):
        assert len(set(names)) == len(names)


# A door: two states, two inputs, two actions. Each change makes it a table that may not exist.
DOOR: Final[tuple[Row, ...]] = (
    (0, 0, 1, 1, "opens"),
    (0, 1, 0, 0, "is closed"),
    (1, 0, 1, 0, "is open"),
    (1, 1, 0, 1, "closes"),
)
NO_DOORS: Final = {
    "no row for shut, push": DOOR[1:],
    "no row for open, pull": DOOR[:3],
    "bad row for open, pull": (*DOOR, (1, 1, 1, 0, "decided twice")),
    "bad row for shut, push": ((0, 0, 2, 1, "no such next state"), *DOOR[1:]),
    "bad row for shut, pull": (DOOR[0], (0, 1, 0, 2, "no such action"), *DOOR[2:]),
    "bad row for open, push": (*DOOR[:2], (1, 0, 1, -1, "no action"), DOOR[3]),
    "bad row for open, pull, without source": (*DOOR[:3], (1, 1, 0, 1, "")),
    "row 2, 0 is outside": (*DOOR, (2, 0, 0, 0, "no such state")),
    "row 0, 2 is outside": (*DOOR, (0, 2, 0, 0, "no such input")),
    "row -1, 0 is outside": (*DOOR, (-1, 0, 0, 0, "no such state")),
}


def door(rows: tuple[Row, ...]) -> Table:
    return Table("door", ("shut", "open"), ("push", "pull"), ("nothing", "squeak"), rows)


def test_a_complete_table_is_taken() -> None:
    assert door(DOOR).lines() == [
        "shut | push | open | squeak",
        "shut | pull | shut | nothing",
        "open | push | open | nothing",
        "open | pull | shut | squeak",
    ]


@pytest.mark.parametrize("reason", NO_DOORS)
def test_a_broken_table_is_refused(reason: str) -> None:
    with pytest.raises(LocalSipError, match=f"^door: {reason.partition(', without')[0]}"):
        door(NO_DOORS[reason])
