"""The states of a message as a table: MESSAGE_TABLE (RFC 3428, contract §5 and §6).

A short message in an RP-DATA that the callee's side has accepted is kept before it is confirmed, and handed over to
whoever awaits its report (`engine.core.sms_report`).
"""

from __future__ import annotations

from typing import Final

from sipstack.table import Table

# States
LOOKING_UP: Final = 0
OPENING: Final = 1
SENDING: Final = 2
CLOSING: Final = 3
ENDED: Final = 4
KEEPING: Final = 5  # an RP-DATA: accepted, and its report is due
ASKING: Final = 6  # the app platform is asked
STATES: Final = ("Looking up", "Opening", "Sending", "Closing", "Ended", "Keeping", "Asking")

# Inputs
PERMITTED: Final = 0
REFUSED: Final = 1
OPENED: Final = 2
STORE_FAILED: Final = 3
DELIVERED: Final = 4
TRY_FAILED: Final = 5  # it has surely not arrived, and another target is left
FAILED: Final = 6
TIME_OVER: Final = 7
CLOSED: Final = 8
CLOSE_FAILED: Final = 9
REDIRECTED: Final = 10  # a 3xx that is followed to another callee
ACCEPTED: Final = 11  # delivered, with a report to come
KEPT: Final = 12
ASKED: Final = 13  # of the app platform
INPUTS: Final = (
    "permitted",
    "refused",
    "opened",
    "store failed",
    "delivered",
    "try failed",
    "failed",
    "time over",
    "closed",
    "close failed",
    "redirected",
    "accepted",
    "kept",
    "asked",
)

# Actions
NOTHING: Final = 0
UNEXPECTED: Final = 1
OPEN: Final = 2
CLOSE: Final = 3
SEND: Final = 4
ANSWER: Final = 5
ANSWER_UNRECORDED: Final = 6
OPEN_AGAIN: Final = 7
KEEP: Final = 8
HAND_OVER: Final = 9
ACTIONS: Final = (
    "nothing",
    "count as unexpected",
    "commit the open row",
    "commit the end",
    "send the MESSAGE to the next target",
    "send the final response",
    "send the final response that needs no record",
    "commit the open row for another callee",
    "commit what its report will need",
    "send the final response, await the report",
)

_EARLY: Final = "cannot happen yet"
_ONCE: Final = "decision 4: the first terminal event decided wins"
_DURABLE: Final = "contract §6: durable before it is confirmed"

MESSAGE_TABLE: Final = Table(
    "message",
    STATES,
    INPUTS,
    ACTIONS,
    (
        (LOOKING_UP, PERMITTED, OPENING, OPEN, _DURABLE),
        (LOOKING_UP, REFUSED, CLOSING, CLOSE, "contract §5: refusals"),
        (LOOKING_UP, OPENED, LOOKING_UP, UNEXPECTED, _EARLY),
        (LOOKING_UP, STORE_FAILED, CLOSING, CLOSE, "architecture, idea 6: fail closed"),
        (LOOKING_UP, ASKED, ASKING, NOTHING, "the binding says that the app platform decides, too"),
        *((LOOKING_UP, event, LOOKING_UP, UNEXPECTED, _EARLY) for event in range(DELIVERED, KEPT + 1)),
        (ASKING, PERMITTED, OPENING, OPEN, _DURABLE),
        (ASKING, REFUSED, CLOSING, CLOSE, "contract §5: refusals"),
        (ASKING, OPENED, ASKING, UNEXPECTED, _EARLY),
        (ASKING, STORE_FAILED, ASKING, NOTHING, "the store has answered"),
        (ASKING, ASKED, ASKING, NOTHING, "order first, then the call"),
        *((ASKING, event, ASKING, UNEXPECTED, _EARLY) for event in range(DELIVERED, KEPT + 1)),
        (OPENING, PERMITTED, OPENING, UNEXPECTED, "decided once"),
        (OPENING, REFUSED, OPENING, UNEXPECTED, "decided once"),
        (OPENING, OPENED, SENDING, SEND, _DURABLE),
        (OPENING, STORE_FAILED, CLOSING, CLOSE, "contract §5: INTERNAL"),
        *((OPENING, event, OPENING, UNEXPECTED, _EARLY) for event in range(DELIVERED, KEPT + 1)),
        *((state, ASKED, state, UNEXPECTED, "decided once") for state in (OPENING, SENDING, KEEPING)),
        *((state, ASKED, state, NOTHING, _ONCE) for state in (CLOSING, ENDED)),
        (SENDING, PERMITTED, SENDING, UNEXPECTED, "decided once"),
        (SENDING, REFUSED, SENDING, UNEXPECTED, "decided once"),
        (SENDING, OPENED, SENDING, UNEXPECTED, "decided once"),
        (SENDING, STORE_FAILED, SENDING, NOTHING, "the open row came through after all"),
        (SENDING, DELIVERED, CLOSING, CLOSE, "RFC 3428 §7: 200 only after the callee's"),
        (SENDING, TRY_FAILED, SENDING, SEND, "contract §5: next target"),
        (SENDING, FAILED, CLOSING, CLOSE, "contract §5: from the callee"),
        (SENDING, TIME_OVER, CLOSING, CLOSE, "contract §4: message_timeout_s"),
        (SENDING, CLOSED, SENDING, UNEXPECTED, _EARLY),
        (SENDING, CLOSE_FAILED, SENDING, UNEXPECTED, _EARLY),
        (SENDING, REDIRECTED, OPENING, OPEN_AGAIN, _DURABLE),
        (SENDING, ACCEPTED, KEEPING, KEEP, "contract §6: nothing is confirmed before it is recorded"),
        (SENDING, KEPT, SENDING, UNEXPECTED, _EARLY),
        *((KEEPING, event, KEEPING, UNEXPECTED, "decided once") for event in (PERMITTED, REFUSED, OPENED)),
        (KEEPING, STORE_FAILED, CLOSING, CLOSE, "contract §5: INTERNAL"),
        *((KEEPING, event, KEEPING, UNEXPECTED, "answered once") for event in range(DELIVERED, ACCEPTED + 1)),
        (KEEPING, KEPT, ENDED, HAND_OVER, _DURABLE),
        *((CLOSING, event, CLOSING, NOTHING, _ONCE) for event in range(PERMITTED, CLOSED)),
        (CLOSING, CLOSED, ENDED, ANSWER, _DURABLE),
        (CLOSING, CLOSE_FAILED, ENDED, ANSWER_UNRECORDED, "contract §6: INTERNAL leaves at once, the spool holds it"),
        *((CLOSING, event, CLOSING, NOTHING, _ONCE) for event in (REDIRECTED, ACCEPTED)),
        (CLOSING, KEPT, CLOSING, NOTHING, "the step came through after all"),
        *((ENDED, event, ENDED, NOTHING, _ONCE) for event in range(PERMITTED, KEPT + 1)),
    ),
)
