"""The call as a table: states, inputs, and what is done.

The states in which the call waits for the store are named: Looking up, Opening, Answering, Closing, Refusing. The first
terminal event decided wins; one that comes while it is being recorded waits or is absorbed, and is never decided anew.
"""

from __future__ import annotations

from typing import Final

from sipstack.table import Row, Table

# States
LOOKING_UP: Final = 0  # the store is asked for the binding
OPENING: Final = 1  # the open row is being committed; nothing has left towards this callee
CALLING: Final = 2  # an INVITE is out; nothing above 100 has come back from this target
RINGING: Final = 3  # a provisional above 100 has come
ANSWERING: Final = 4  # the callee's 2xx is being committed; the caller does not know of it
ANSWERING_BYE: Final = 5  # the same, and one side has already said BYE
ANSWERED: Final = 6  # the caller has its 2xx; its ACK is awaited
TALKING: Final = 7
RELEASING: Final = 8  # the end is decided, the BYE is relayed, its answer awaited for a moment
CLOSING: Final = 9  # the end is being committed
REFUSING: Final = 10  # a failure is decided and being committed; the final response waits for it
ENDED: Final = 11  # recorded; kept for repeats
ASKING: Final = 12  # the app platform is asked; nothing is recorded, and nothing has left
STATES: Final = (
    "Looking up", "Opening", "Calling", "Ringing", "Answering", "Answering, BYE held", "Answered", "Talking",
    "Releasing", "Closing", "Refusing", "Ended", "Asking",
)  # fmt: skip

# Inputs
PERMITTED: Final = 0
REFUSED: Final = 1
OPENED: Final = 2
STORE_FAILED: Final = 3  # the lookup got no answer, or the open or answered step could not be made durable in time
RANG: Final = 4
CALLEE_ANSWERED: Final = 5  # a 2xx that is not a repeat of the one chosen
TRY_FAILED: Final = 6  # another target is left
CALLEE_FAILED: Final = 7  # no other target is left, or the answer is the callee's own
RING_TIMEOUT: Final = 8
CALLER_CANCELLED: Final = 9
ANSWER_STORED: Final = 10
CALLER_ACKED: Final = 11
ACK_MISSED: Final = 12  # 64*T1 after the 2xx
CALLER_BYE: Final = 13
CALLEE_BYE: Final = 14
BYE_ANSWERED: Final = 15  # by the far end, or not in time
TIME_OVER: Final = 16  # max_call_s
CLOSED: Final = 17
CLOSE_FAILED: Final = 18
BYE_DUE: Final = 19  # 500 ms after a BYE its 200 leaves, recorded or not
LEAKED: Final = 20  # a message within the dialogs would have shown a number, and has not left
SESSION_OVER: Final = 21  # no refresh for a whole session interval (RFC 4028), or an end that has left
REDIRECTED: Final = 22  # a 3xx that is followed to another callee
PEER_GONE: Final = 23  # of a call of the last run: the configuration has one of its peers no more
ASKED: Final = 24  # the binding has the app platform asked
KILLED: Final = 25  # a kill switch ends calls in progress
INPUTS: Final = (
    "permitted", "refused", "opened", "store failed", "rang", "callee answered", "try failed", "callee failed",
    "ring timeout", "caller cancelled", "answer stored", "caller acked", "ACK missed", "caller's BYE", "callee's BYE",
    "BYE answered", "time over", "closed", "close failed", "BYE due", "leaked", "session over", "redirected",
    "peer gone", "asked", "killed",
)  # fmt: skip

# Actions
NOTHING: Final = 0
UNEXPECTED: Final = 1
OPEN: Final = 2
REFUSE: Final = 3
SEND_INVITE: Final = 4
RELAY_PROVISIONAL: Final = 5
STORE_ANSWER: Final = 6
CANCEL_AND_REFUSE: Final = 7
SEND_ANSWER: Final = 8
SEND_ANSWER_AND_CLOSE: Final = 9
RELEASE_AND_REFUSE: Final = 10
RELEASE_STRAY: Final = 11
HOLD_BYE: Final = 12
PASS_ACK: Final = 13
REPEAT_ACK: Final = 14
RELAY_BYE: Final = 15
CLOSE_AND_HOLD: Final = 16
END_BOTH: Final = 17
CLOSE: Final = 18
ANSWER_BYES: Final = 19
JOIN_BYE: Final = 20
ANSWER_BYE_NOW: Final = 21
REJECT_BYE: Final = 22
SEND_HELD_BYE: Final = 23
SEND_FINAL: Final = 24
SEND_UNRECORDED: Final = 25
OPEN_AGAIN: Final = 26
KEEP_END: Final = 27
ACTIONS: Final = (
    "nothing",
    "count as unexpected",
    "commit the open row",
    "commit the refusal",
    "send the INVITE to the next target",
    "relay the provisional",
    "commit the answer",
    "CANCEL the callee, commit the refusal",
    "send the 2xx",
    "send the 2xx, commit the end",
    "ACK and BYE the callee, commit the refusal",
    "ACK and BYE this answer",
    "hold the BYE",
    "ACK the callee",
    "ACK the callee again",
    "relay the BYE",
    "commit the end, BYE the caller after its ACK",
    "BYE both sides",
    "commit the end",
    "200 to the BYEs that wait",
    "let the BYE wait for the end",
    "200 to the BYE",
    "481 to the BYE",
    "send a BYE that was held",
    "send the final response",
    "send the final response that needs no record",
    "commit the open row for another callee",
    "have the end kept, 200 to the BYEs that wait",
)

# Timer codes
STORE_TIMER: Final = 0
FIRST_RESPONSE_TIMER: Final = 1
REPEAT_TIMER: Final = 2  # the 2xx towards the caller (RFC 3261 §13.3.1.4)
RING_TIMER: Final = 3
ACK_TIMER: Final = 4
MAX_CALL_TIMER: Final = 5
BYE_WAIT_TIMER: Final = 6
BYE_DUE_TIMER: Final = 7
FORGET_TIMER: Final = 8
CLOSE_TIMER: Final = 9
SESSION_TIMER: Final = 10
EXPIRES_TIMER: Final = 11  # the caller's own patience (RFC 3261 §13.3.1)
REFRESH_TIMER: Final = 12  # the node's own look at who is still there
HOOK_TIMER: Final = 13  # the app platform's answer
TIMERS: Final = 14
OF_RINGING: Final = (RING_TIMER, FIRST_RESPONSE_TIMER)
OF_SETUP: Final = (*OF_RINGING, STORE_TIMER, HOOK_TIMER)

_RFC_CANCEL: Final = "RFC 3261 §9.2"
_RFC_BYE: Final = "RFC 3261 §15.1.2"
_DURABLE: Final = "contract §6: durable before it is confirmed"
_FIRST_WINS: Final = "decision 4: the first terminal event decided wins"
_FORK: Final = "RFC 3261 §13.2.2.4: a further 2xx is acknowledged and ended"
_STOPPED: Final = "its timer is stopped, or its step is over"
_TOO_EARLY: Final = "cannot happen yet"
_NO_2XX: Final = "RFC 3261 §17.1.1.3: the caller has no 2xx, so this acknowledges nothing"
_NO_LEAK: Final = "decision 7: what shows a number is not sent, and the call is ended on both sides"
_NO_REFRESH: Final = "RFC 4028 §10: nobody has refreshed the session; RFC 3261 §12.2.1.2: an end has left"
_GONE: Final = "how a peer is spoken to says its configuration"
_ADOPTED: Final = "a call is taken over when it is answered"
_KILL: Final = "whoever throws a kill switch may have it end the calls in progress"
_NO_DIALOG: Final = "no dialog exists that it could come in"


def _same(state: int, action: int, source: str, *inputs: int) -> tuple[Row, ...]:
    """Rows of inputs that one state treats alike, without leaving it."""
    return tuple((state, event, state, action, source) for event in inputs)


_LOOKING_UP: Final[tuple[Row, ...]] = (
    (LOOKING_UP, PERMITTED, OPENING, OPEN, _DURABLE),
    (LOOKING_UP, REFUSED, REFUSING, REFUSE, "contract §5: refusals"),
    (LOOKING_UP, CALLER_CANCELLED, REFUSING, REFUSE, _RFC_CANCEL),
    (LOOKING_UP, STORE_FAILED, REFUSING, REFUSE, "architecture, idea 6: fail closed"),
    (LOOKING_UP, ASKED, ASKING, NOTHING, "the binding says that the app platform decides, too"),
    (LOOKING_UP, KILLED, REFUSING, REFUSE, _KILL),
    *_same(LOOKING_UP, UNEXPECTED, _TOO_EARLY, OPENED, RANG, CALLEE_ANSWERED, TRY_FAILED, CALLEE_FAILED, REDIRECTED),
    *_same(LOOKING_UP, UNEXPECTED, _TOO_EARLY, RING_TIMEOUT, ANSWER_STORED, ACK_MISSED, BYE_ANSWERED, TIME_OVER),
    *_same(LOOKING_UP, UNEXPECTED, _TOO_EARLY, CLOSED, CLOSE_FAILED, BYE_DUE, SESSION_OVER),
    *_same(LOOKING_UP, UNEXPECTED, _NO_DIALOG, CALLER_ACKED, CALLER_BYE, CALLEE_BYE, LEAKED),
    *_same(LOOKING_UP, UNEXPECTED, _ADOPTED, PEER_GONE),
)

_ASKING: Final[tuple[Row, ...]] = (
    (ASKING, PERMITTED, OPENING, OPEN, _DURABLE),
    (ASKING, REFUSED, REFUSING, REFUSE, "contract §5: refusals"),
    (ASKING, CALLER_CANCELLED, REFUSING, REFUSE, _RFC_CANCEL),
    (ASKING, KILLED, REFUSING, REFUSE, _KILL),
    *_same(ASKING, NOTHING, "the order first, then the call itself", ASKED),
    *_same(ASKING, NOTHING, "the lookup came through after all", STORE_FAILED),
    *_same(ASKING, UNEXPECTED, _TOO_EARLY, OPENED, RANG, CALLEE_ANSWERED, TRY_FAILED, CALLEE_FAILED, REDIRECTED),
    *_same(ASKING, UNEXPECTED, _TOO_EARLY, RING_TIMEOUT, ANSWER_STORED, ACK_MISSED, BYE_ANSWERED, TIME_OVER),
    *_same(ASKING, UNEXPECTED, _TOO_EARLY, CLOSED, CLOSE_FAILED, BYE_DUE, SESSION_OVER),
    *_same(ASKING, UNEXPECTED, _NO_DIALOG, CALLER_ACKED, CALLER_BYE, CALLEE_BYE, LEAKED),
    *_same(ASKING, UNEXPECTED, _ADOPTED, PEER_GONE),
)

_OPENING: Final[tuple[Row, ...]] = (
    (OPENING, OPENED, CALLING, SEND_INVITE, _DURABLE),
    (OPENING, STORE_FAILED, REFUSING, REFUSE, "contract §5: INTERNAL"),
    (OPENING, CALLER_CANCELLED, REFUSING, REFUSE, _RFC_CANCEL),
    (OPENING, KILLED, REFUSING, REFUSE, _KILL),
    *_same(OPENING, UNEXPECTED, "decided once", PERMITTED, REFUSED, ASKED),
    *_same(OPENING, UNEXPECTED, _TOO_EARLY, RANG, CALLEE_ANSWERED, TRY_FAILED, CALLEE_FAILED, RING_TIMEOUT),
    *_same(OPENING, UNEXPECTED, _TOO_EARLY, ANSWER_STORED, ACK_MISSED, BYE_ANSWERED, TIME_OVER, CLOSED),
    *_same(OPENING, UNEXPECTED, _TOO_EARLY, CLOSE_FAILED, BYE_DUE, SESSION_OVER, REDIRECTED),
    *_same(OPENING, UNEXPECTED, _NO_DIALOG, CALLER_ACKED, CALLER_BYE, CALLEE_BYE, LEAKED),
    *_same(OPENING, UNEXPECTED, _ADOPTED, PEER_GONE),
)

_CALLING: Final[tuple[Row, ...]] = (
    (CALLING, RANG, RINGING, RELAY_PROVISIONAL, "RFC 3261 §16.7: all provisionals but 100"),
    (CALLING, CALLEE_ANSWERED, ANSWERING, STORE_ANSWER, _DURABLE),
    (CALLING, TRY_FAILED, CALLING, SEND_INVITE, "contract §5: next target"),
    (CALLING, CALLEE_FAILED, REFUSING, REFUSE, "contract §5: from the callee"),
    (CALLING, REDIRECTED, OPENING, OPEN_AGAIN, _DURABLE),
    (CALLING, RING_TIMEOUT, REFUSING, CANCEL_AND_REFUSE, "contract §4: ring_timeout_s"),
    (CALLING, CALLER_CANCELLED, REFUSING, CANCEL_AND_REFUSE, _RFC_CANCEL),
    (CALLING, KILLED, REFUSING, CANCEL_AND_REFUSE, _KILL),
    *_same(CALLING, UNEXPECTED, "decided once", PERMITTED, REFUSED, OPENED, ASKED),
    *_same(CALLING, NOTHING, "the open row came through after all", STORE_FAILED),
    *_same(CALLING, UNEXPECTED, _TOO_EARLY, ANSWER_STORED, ACK_MISSED, BYE_ANSWERED, TIME_OVER, CLOSED),
    *_same(CALLING, UNEXPECTED, _TOO_EARLY, CLOSE_FAILED, BYE_DUE, SESSION_OVER),
    *_same(CALLING, UNEXPECTED, _NO_DIALOG, CALLER_ACKED, LEAKED),
    *_same(CALLING, REJECT_BYE, _NO_DIALOG, CALLER_BYE, CALLEE_BYE),
    *_same(CALLING, UNEXPECTED, _ADOPTED, PEER_GONE),
)

_RINGING: Final[tuple[Row, ...]] = (
    (RINGING, RANG, RINGING, RELAY_PROVISIONAL, "RFC 3261 §16.7"),
    (RINGING, CALLEE_ANSWERED, ANSWERING, STORE_ANSWER, _DURABLE),
    (RINGING, CALLEE_FAILED, REFUSING, REFUSE, "contract §5: from the callee"),
    (RINGING, REDIRECTED, OPENING, OPEN_AGAIN, _DURABLE),
    (RINGING, RING_TIMEOUT, REFUSING, CANCEL_AND_REFUSE, "contract §4: ring_timeout_s"),
    (RINGING, CALLER_CANCELLED, REFUSING, CANCEL_AND_REFUSE, _RFC_CANCEL),
    (RINGING, CALLER_BYE, REFUSING, CANCEL_AND_REFUSE, "RFC 3261 §15: a caller may BYE an early dialog; §15.1.2: 487"),
    (RINGING, LEAKED, REFUSING, CANCEL_AND_REFUSE, _NO_LEAK),
    (RINGING, KILLED, REFUSING, CANCEL_AND_REFUSE, _KILL),
    (RINGING, CALLEE_BYE, RINGING, REJECT_BYE, "RFC 3261 §15: the callee must not BYE an early dialog"),
    *_same(RINGING, UNEXPECTED, "decided once", PERMITTED, REFUSED, OPENED, TRY_FAILED, ASKED),
    *_same(RINGING, NOTHING, "the open row came through after all", STORE_FAILED),
    *_same(RINGING, UNEXPECTED, _TOO_EARLY, ANSWER_STORED, ACK_MISSED, BYE_ANSWERED, TIME_OVER, CLOSED),
    *_same(RINGING, UNEXPECTED, _TOO_EARLY, CLOSE_FAILED, BYE_DUE, SESSION_OVER),
    *_same(RINGING, NOTHING, _NO_2XX, CALLER_ACKED),
    *_same(RINGING, UNEXPECTED, _ADOPTED, PEER_GONE),
)

_ANSWERING: Final[tuple[Row, ...]] = (
    (ANSWERING, ANSWER_STORED, ANSWERED, SEND_ANSWER, _DURABLE),
    (ANSWERING, STORE_FAILED, REFUSING, RELEASE_AND_REFUSE, "contract §5: INTERNAL"),
    (ANSWERING, CALLER_BYE, ANSWERING_BYE, HOLD_BYE, _FIRST_WINS),
    (ANSWERING, CALLEE_BYE, ANSWERING_BYE, HOLD_BYE, _FIRST_WINS),
    (ANSWERING, LEAKED, REFUSING, RELEASE_AND_REFUSE, _NO_LEAK),
    (ANSWERING, KILLED, REFUSING, RELEASE_AND_REFUSE, _KILL),
    *_same(ANSWERING, NOTHING, _FIRST_WINS, CALLER_CANCELLED, RING_TIMEOUT),
    *_same(ANSWERING, RELEASE_STRAY, _FORK, CALLEE_ANSWERED),
    *_same(ANSWERING, NOTHING, "a fork that lost", RANG, CALLEE_FAILED, TRY_FAILED, REDIRECTED),
    *_same(ANSWERING, UNEXPECTED, "decided once", PERMITTED, REFUSED, OPENED, ASKED),
    *_same(ANSWERING, NOTHING, _NO_2XX, CALLER_ACKED),
    *_same(ANSWERING, UNEXPECTED, _TOO_EARLY, ACK_MISSED, BYE_ANSWERED, TIME_OVER, CLOSED),
    *_same(ANSWERING, UNEXPECTED, _TOO_EARLY, CLOSE_FAILED, BYE_DUE, SESSION_OVER),
    *_same(ANSWERING, UNEXPECTED, _ADOPTED, PEER_GONE),
)

_ANSWERING_BYE: Final[tuple[Row, ...]] = (
    (ANSWERING_BYE, ANSWER_STORED, CLOSING, SEND_ANSWER_AND_CLOSE, _FIRST_WINS),
    (ANSWERING_BYE, STORE_FAILED, REFUSING, RELEASE_AND_REFUSE, "contract §5: INTERNAL"),
    *_same(ANSWERING_BYE, HOLD_BYE, _FIRST_WINS, CALLER_BYE, CALLEE_BYE),
    *_same(ANSWERING_BYE, ANSWER_BYES, "contract §6: 500 ms", BYE_DUE),
    *_same(ANSWERING_BYE, NOTHING, _FIRST_WINS, CALLER_CANCELLED, RING_TIMEOUT, LEAKED, KILLED),
    *_same(ANSWERING_BYE, RELEASE_STRAY, _FORK, CALLEE_ANSWERED),
    *_same(ANSWERING_BYE, NOTHING, "a fork that lost", RANG, CALLEE_FAILED, TRY_FAILED, REDIRECTED),
    *_same(ANSWERING_BYE, UNEXPECTED, "decided once", PERMITTED, REFUSED, OPENED, ASKED),
    *_same(ANSWERING_BYE, NOTHING, _NO_2XX, CALLER_ACKED),
    *_same(ANSWERING_BYE, UNEXPECTED, _TOO_EARLY, ACK_MISSED, BYE_ANSWERED, TIME_OVER),
    *_same(ANSWERING_BYE, UNEXPECTED, _TOO_EARLY, CLOSED, CLOSE_FAILED, SESSION_OVER),
    *_same(ANSWERING_BYE, UNEXPECTED, _ADOPTED, PEER_GONE),
)

_ANSWERED: Final[tuple[Row, ...]] = (
    (ANSWERED, CALLER_ACKED, TALKING, PASS_ACK, "RFC 3261 §13.2.2.4: the callee's ACK follows the caller's"),
    (ANSWERED, ACK_MISSED, RELEASING, END_BOTH, "RFC 3261 §13.3.1.4: no ACK in 64*T1"),
    (ANSWERED, CALLER_BYE, RELEASING, RELAY_BYE, _RFC_BYE),
    (ANSWERED, CALLEE_BYE, CLOSING, CLOSE_AND_HOLD, "RFC 3261 §15: no BYE to the caller before its ACK"),
    (ANSWERED, TIME_OVER, RELEASING, END_BOTH, "contract §4: max_call_s"),
    (ANSWERED, LEAKED, RELEASING, END_BOTH, _NO_LEAK),
    (ANSWERED, SESSION_OVER, RELEASING, END_BOTH, _NO_REFRESH),
    (ANSWERED, PEER_GONE, RELEASING, END_BOTH, _GONE),
    (ANSWERED, KILLED, RELEASING, END_BOTH, _KILL),
    *_same(ANSWERED, NOTHING, _RFC_CANCEL, CALLER_CANCELLED),
    *_same(ANSWERED, RELEASE_STRAY, _FORK, CALLEE_ANSWERED),
    *_same(ANSWERED, NOTHING, "a fork that lost", RANG, CALLEE_FAILED, TRY_FAILED, REDIRECTED),
    *_same(ANSWERED, NOTHING, _STOPPED, RING_TIMEOUT, STORE_FAILED),
    *_same(ANSWERED, UNEXPECTED, "decided once", PERMITTED, REFUSED, OPENED, ANSWER_STORED, ASKED),
    *_same(ANSWERED, UNEXPECTED, _TOO_EARLY, BYE_ANSWERED, CLOSED, CLOSE_FAILED, BYE_DUE),
)

_TALKING: Final[tuple[Row, ...]] = (
    (TALKING, CALLER_BYE, RELEASING, RELAY_BYE, _RFC_BYE),
    (TALKING, CALLEE_BYE, RELEASING, RELAY_BYE, _RFC_BYE),
    (TALKING, TIME_OVER, RELEASING, END_BOTH, "contract §4: max_call_s"),
    (TALKING, LEAKED, RELEASING, END_BOTH, _NO_LEAK),
    (TALKING, SESSION_OVER, RELEASING, END_BOTH, _NO_REFRESH),
    (TALKING, PEER_GONE, RELEASING, END_BOTH, _GONE),
    (TALKING, KILLED, RELEASING, END_BOTH, _KILL),
    (TALKING, CALLER_ACKED, TALKING, REPEAT_ACK, "RFC 3261 §13.2.2.4: each copy of the 2xx is acknowledged"),
    *_same(TALKING, NOTHING, _RFC_CANCEL, CALLER_CANCELLED),
    *_same(TALKING, RELEASE_STRAY, _FORK, CALLEE_ANSWERED),
    *_same(TALKING, NOTHING, "a fork that lost", RANG, CALLEE_FAILED, TRY_FAILED, REDIRECTED),
    *_same(TALKING, NOTHING, _STOPPED, RING_TIMEOUT, STORE_FAILED, ACK_MISSED),
    *_same(TALKING, UNEXPECTED, "decided once", PERMITTED, REFUSED, OPENED, ANSWER_STORED, ASKED),
    *_same(TALKING, UNEXPECTED, _TOO_EARLY, BYE_ANSWERED, CLOSED, CLOSE_FAILED, BYE_DUE),
)

_RELEASING: Final[tuple[Row, ...]] = (
    (RELEASING, BYE_ANSWERED, CLOSING, CLOSE, "contract §6: the far end's answer goes into the record"),
    *_same(RELEASING, JOIN_BYE, "RFC 3261 §15: BYEs cross", CALLER_BYE, CALLEE_BYE),
    *_same(RELEASING, ANSWER_BYES, "contract §6: 500 ms", BYE_DUE),
    *_same(RELEASING, SEND_HELD_BYE, "RFC 3261 §15: the held BYE may go now", CALLER_ACKED),
    *_same(RELEASING, SEND_HELD_BYE, "RFC 3261 §15: the transaction has timed out", ACK_MISSED),
    *_same(RELEASING, RELEASE_STRAY, _FORK, CALLEE_ANSWERED),
    *_same(RELEASING, NOTHING, _FIRST_WINS, TIME_OVER, SESSION_OVER, CALLER_CANCELLED, RING_TIMEOUT, STORE_FAILED),
    *_same(RELEASING, NOTHING, _FIRST_WINS, LEAKED, KILLED),
    *_same(RELEASING, NOTHING, "a fork that lost", RANG, CALLEE_FAILED, TRY_FAILED, REDIRECTED),
    *_same(RELEASING, UNEXPECTED, "decided once", PERMITTED, REFUSED, OPENED, ANSWER_STORED, ASKED),
    *_same(RELEASING, UNEXPECTED, _TOO_EARLY, CLOSED, CLOSE_FAILED),
    *_same(RELEASING, UNEXPECTED, _ADOPTED, PEER_GONE),
)

_CLOSING: Final[tuple[Row, ...]] = (
    (CLOSING, CLOSED, ENDED, ANSWER_BYES, _DURABLE),
    (CLOSING, CLOSE_FAILED, ENDED, KEEP_END, "contract §6: answered after 500 ms at the latest; the spool holds it"),
    *_same(CLOSING, JOIN_BYE, "RFC 3261 §15: BYEs cross", CALLER_BYE, CALLEE_BYE),
    *_same(CLOSING, ANSWER_BYES, "contract §6: 500 ms", BYE_DUE),
    *_same(CLOSING, SEND_HELD_BYE, "RFC 3261 §15: the held BYE may go now", CALLER_ACKED),
    *_same(CLOSING, SEND_HELD_BYE, "RFC 3261 §15: the transaction has timed out", ACK_MISSED),
    *_same(CLOSING, RELEASE_STRAY, _FORK, CALLEE_ANSWERED),
    *_same(CLOSING, NOTHING, _FIRST_WINS, TIME_OVER, SESSION_OVER, CALLER_CANCELLED, RING_TIMEOUT, STORE_FAILED),
    *_same(CLOSING, NOTHING, _FIRST_WINS, BYE_ANSWERED),
    *_same(CLOSING, NOTHING, "a fork that lost", RANG, CALLEE_FAILED, TRY_FAILED, REDIRECTED),
    *_same(CLOSING, NOTHING, _FIRST_WINS, LEAKED, KILLED),
    *_same(CLOSING, UNEXPECTED, "decided once", PERMITTED, REFUSED, OPENED, ANSWER_STORED, ASKED),
    *_same(CLOSING, UNEXPECTED, _ADOPTED, PEER_GONE),
)

_REFUSING: Final[tuple[Row, ...]] = (
    (REFUSING, CLOSED, ENDED, SEND_FINAL, _DURABLE),
    (REFUSING, CLOSE_FAILED, ENDED, SEND_UNRECORDED, "contract §6: INTERNAL leaves at once; the spool holds it"),
    *_same(REFUSING, RELEASE_STRAY, "RFC 3261 §9.1: a 2xx that crossed the CANCEL is ended", CALLEE_ANSWERED),
    *_same(REFUSING, JOIN_BYE, "RFC 3261 §15: a caller may BYE an early dialog", CALLER_BYE),
    *_same(REFUSING, REJECT_BYE, "RFC 3261 §15: the callee must not BYE an early dialog", CALLEE_BYE),
    *_same(REFUSING, ANSWER_BYES, "contract §6: 500 ms", BYE_DUE),
    *_same(REFUSING, NOTHING, _FIRST_WINS, PERMITTED, REFUSED, OPENED, STORE_FAILED, ANSWER_STORED, REDIRECTED),
    *_same(REFUSING, NOTHING, _FIRST_WINS, RANG, TRY_FAILED, CALLEE_FAILED, RING_TIMEOUT, CALLER_CANCELLED),
    *_same(REFUSING, NOTHING, _NO_2XX, CALLER_ACKED),
    *_same(REFUSING, NOTHING, _FIRST_WINS, LEAKED, KILLED, ASKED),
    *_same(REFUSING, UNEXPECTED, "the caller has no 2xx", ACK_MISSED, BYE_ANSWERED, TIME_OVER, SESSION_OVER),
    *_same(REFUSING, UNEXPECTED, _ADOPTED, PEER_GONE),
)

_ENDED: Final[tuple[Row, ...]] = (
    *_same(ENDED, RELEASE_STRAY, "RFC 3261 §9.1, §13.2.2.4: a late 2xx is ended", CALLEE_ANSWERED),
    *_same(ENDED, ANSWER_BYE_NOW, "RFC 3261 §15.1.2: the end is on record", CALLER_BYE, CALLEE_BYE),
    *_same(ENDED, SEND_HELD_BYE, "RFC 3261 §15: the held BYE may go now", CALLER_ACKED),
    *_same(ENDED, SEND_HELD_BYE, "RFC 3261 §15: the transaction has timed out", ACK_MISSED),
    *_same(ENDED, ANSWER_BYES, "contract §6: 500 ms", BYE_DUE),
    *_same(ENDED, NOTHING, _FIRST_WINS, PERMITTED, REFUSED, OPENED, STORE_FAILED, RANG, TRY_FAILED, CALLEE_FAILED),
    *_same(ENDED, NOTHING, _FIRST_WINS, RING_TIMEOUT, CALLER_CANCELLED, ANSWER_STORED, BYE_ANSWERED, TIME_OVER),
    *_same(ENDED, NOTHING, _FIRST_WINS, SESSION_OVER),
    *_same(ENDED, NOTHING, "recorded once", CLOSED, CLOSE_FAILED),
    *_same(ENDED, NOTHING, _FIRST_WINS, LEAKED, REDIRECTED, ASKED, KILLED),
    *_same(ENDED, UNEXPECTED, _ADOPTED, PEER_GONE),
)

CALL_TABLE: Final = Table(
    "call",
    STATES,
    INPUTS,
    ACTIONS,
    _LOOKING_UP
    + _ASKING
    + _OPENING
    + _CALLING
    + _RINGING
    + _ANSWERING
    + _ANSWERING_BYE
    + _ANSWERED
    + _TALKING
    + _RELEASING
    + _CLOSING
    + _REFUSING
    + _ENDED,
)
