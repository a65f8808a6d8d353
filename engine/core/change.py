"""A 2xx within the conversation that moves an end or its session interval: it leaves when that is durable.

Otherwise a node that dies now would look for an end where it is no more. A 2xx that changes nothing waits for nothing.

When the store does not take the change, the side that has asked gets 500 instead: for it nothing has moved (RFC 3261
§14.1, RFC 3311 §5.1), and the next run knows it where it was. The far end, though, has agreed. It is reached where it
says it is as long as this run lives, and its INVITE is acknowledged; of the media it believes what the one who asked
does not, until either offers anew. A far end that nobody offers anything to any more is not lost: requests of the next
run go to where it was, or to where its own come from.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

from engine.core.attempt import STORE_WAIT_S
from engine.core.frozen_call import freeze
from engine.core.outputs import CommitRecord, InProgress
from engine.core.records import CHANGE, Step
from engine.core.session_timer import last_known
from sipstack.message import Message
from sipstack.table import Table

if TYPE_CHECKING:
    from engine.core.relay import Relay

# States
CHANGING: Final = 0
CHANGED: Final = 1
GIVEN_UP: Final = 2
_STATES: Final = ("Changing", "Changed", "Given up")

# Inputs
STORED: Final = 0
STORE_FAILED: Final = 1
_INPUTS: Final = ("stored", "store failed")

# Actions
NOTHING: Final = 0
PASS_BACK: Final = 1
TAKE_BACK: Final = 2
_ACTIONS: Final = ("nothing", "send the 2xx", "500")

_ONCE: Final = "decided once"
CHANGE_TABLE: Final = Table(
    "change",
    _STATES,
    _INPUTS,
    _ACTIONS,
    (
        (CHANGING, STORED, CHANGED, PASS_BACK, "contract §6: durable before it is confirmed"),
        (CHANGING, STORE_FAILED, GIVEN_UP, TAKE_BACK, "contract §6: nothing is confirmed that is not recorded"),
        *((state, event, state, NOTHING, _ONCE) for state in (CHANGED, GIVEN_UP) for event in (STORED, STORE_FAILED)),
    ),
)


@final
class Change(InProgress):
    """One change on its way into the store, and the 2xx that waits for it."""

    __slots__ = ("_relay", "before", "data", "response", "state")

    def __init__(self, relay: Relay, response: Message, data: bytes, before: tuple[str, int]) -> None:
        """`data` is the 2xx; `before` is what the near side goes back to: its target, and the session interval."""
        self._relay = relay
        self.response: Final = response
        self.data: Final = data
        self.before: Final = before
        self.record = relay.call.record
        self.state = CHANGING

    @property
    def state_name(self) -> str:
        """The state of its table, in words."""
        return _STATES[self.state]

    def start(self, now: float) -> None:
        """Hands the call, as it will be, to the writer."""
        call = self._relay.call
        call.context.out.append(CommitRecord(self, CHANGE, self.record.snapshot(), freeze(call, last_known(call))))
        call.context.wheel.set(now, STORE_WAIT_S, self, STORE_FAILED)

    def committed(self, step: Step, durable: bool, now: float) -> None:
        """The change is durable, or could not be made so."""
        self._step(STORED if durable else STORE_FAILED, now)

    def timer_fired(self, code: int, now: float) -> None:
        """The writer says nothing."""
        self._step(code, now)

    def _step(self, event: int, now: float) -> None:
        self.state, action = CHANGE_TABLE.move(self.state, event)
        if action == PASS_BACK:
            self._relay.confirm(self.response, self.data, now)
        elif action == TAKE_BACK:
            self._relay.take_back(self, now)
