"""The tables of calls and messages, against the same written a second time, in words.

`EXPECTED_*` hold every row that does something. A pair that is not there leaves its state as it is and does nothing, or
counts what cannot be; that nothing impossible happens in any conversation is looked at after each test (conftest.py).
"""

from __future__ import annotations

import pytest

from engine.core import call_actions, call_end, call_setup
from engine.core import call_table as t
from engine.core import message_table as m
from engine.core import sms_report as r
from engine.core.call import Call
from engine.core.given import Given
from engine.core.message_attempt import MessageAttempt
from engine.core.sms_report import _DO as _DO_REPORT
from sipstack.table import Table

EXPECTED_CALL = """
Looking up: permitted -> Opening: commit the open row
Looking up: refused -> Refusing: commit the refusal
Looking up: caller cancelled -> Refusing: commit the refusal
Looking up: store failed -> Refusing: commit the refusal
Looking up: asked -> Asking: nothing
Looking up: killed -> Refusing: commit the refusal

Asking: permitted -> Opening: commit the open row
Asking: refused -> Refusing: commit the refusal
Asking: caller cancelled -> Refusing: commit the refusal
Asking: killed -> Refusing: commit the refusal

Opening: opened -> Calling: send the INVITE to the next target
Opening: store failed -> Refusing: commit the refusal
Opening: caller cancelled -> Refusing: commit the refusal
Opening: killed -> Refusing: commit the refusal

Calling: rang -> Ringing: relay the provisional
Calling: callee answered -> Answering: commit the answer
Calling: try failed -> Calling: send the INVITE to the next target
Calling: callee failed -> Refusing: commit the refusal
Calling: redirected -> Opening: commit the open row for another callee
Calling: ring timeout -> Refusing: CANCEL the callee, commit the refusal
Calling: caller cancelled -> Refusing: CANCEL the callee, commit the refusal
Calling: killed -> Refusing: CANCEL the callee, commit the refusal
Calling: caller's BYE -> Calling: 481 to the BYE
Calling: callee's BYE -> Calling: 481 to the BYE

Ringing: rang -> Ringing: relay the provisional
Ringing: callee answered -> Answering: commit the answer
Ringing: callee failed -> Refusing: commit the refusal
Ringing: redirected -> Opening: commit the open row for another callee
Ringing: ring timeout -> Refusing: CANCEL the callee, commit the refusal
Ringing: caller cancelled -> Refusing: CANCEL the callee, commit the refusal
Ringing: caller's BYE -> Refusing: CANCEL the callee, commit the refusal
Ringing: callee's BYE -> Ringing: 481 to the BYE
Ringing: killed -> Refusing: CANCEL the callee, commit the refusal
Ringing: leaked -> Refusing: CANCEL the callee, commit the refusal

Answering: answer stored -> Answered: send the 2xx
Answering: store failed -> Refusing: ACK and BYE the callee, commit the refusal
Answering: killed -> Refusing: ACK and BYE the callee, commit the refusal
Answering: leaked -> Refusing: ACK and BYE the callee, commit the refusal
Answering: caller's BYE -> Answering, BYE held: hold the BYE
Answering: callee's BYE -> Answering, BYE held: hold the BYE
Answering: callee answered -> Answering: ACK and BYE this answer

Answering, BYE held: answer stored -> Closing: send the 2xx, commit the end
Answering, BYE held: store failed -> Refusing: ACK and BYE the callee, commit the refusal
Answering, BYE held: caller's BYE -> Answering, BYE held: hold the BYE
Answering, BYE held: callee's BYE -> Answering, BYE held: hold the BYE
Answering, BYE held: BYE due -> Answering, BYE held: 200 to the BYEs that wait
Answering, BYE held: callee answered -> Answering, BYE held: ACK and BYE this answer

Answered: caller acked -> Talking: ACK the callee
Answered: ACK missed -> Releasing: BYE both sides
Answered: caller's BYE -> Releasing: relay the BYE
Answered: callee's BYE -> Closing: commit the end, BYE the caller after its ACK
Answered: time over -> Releasing: BYE both sides
Answered: leaked -> Releasing: BYE both sides
Answered: session over -> Releasing: BYE both sides
Answered: killed -> Releasing: BYE both sides
Answered: peer gone -> Releasing: BYE both sides
Answered: callee answered -> Answered: ACK and BYE this answer

Talking: caller's BYE -> Releasing: relay the BYE
Talking: callee's BYE -> Releasing: relay the BYE
Talking: time over -> Releasing: BYE both sides
Talking: leaked -> Releasing: BYE both sides
Talking: session over -> Releasing: BYE both sides
Talking: killed -> Releasing: BYE both sides
Talking: peer gone -> Releasing: BYE both sides
Talking: caller acked -> Talking: ACK the callee again
Talking: callee answered -> Talking: ACK and BYE this answer

Releasing: BYE answered -> Closing: commit the end
Releasing: caller's BYE -> Releasing: let the BYE wait for the end
Releasing: callee's BYE -> Releasing: let the BYE wait for the end
Releasing: BYE due -> Releasing: 200 to the BYEs that wait
Releasing: caller acked -> Releasing: send a BYE that was held
Releasing: ACK missed -> Releasing: send a BYE that was held
Releasing: callee answered -> Releasing: ACK and BYE this answer

Closing: closed -> Ended: 200 to the BYEs that wait
Closing: close failed -> Ended: have the end kept, 200 to the BYEs that wait
Closing: caller's BYE -> Closing: let the BYE wait for the end
Closing: callee's BYE -> Closing: let the BYE wait for the end
Closing: BYE due -> Closing: 200 to the BYEs that wait
Closing: caller acked -> Closing: send a BYE that was held
Closing: ACK missed -> Closing: send a BYE that was held
Closing: callee answered -> Closing: ACK and BYE this answer

Refusing: closed -> Ended: send the final response
Refusing: close failed -> Ended: send the final response that needs no record
Refusing: callee answered -> Refusing: ACK and BYE this answer
Refusing: caller's BYE -> Refusing: let the BYE wait for the end
Refusing: callee's BYE -> Refusing: 481 to the BYE
Refusing: BYE due -> Refusing: 200 to the BYEs that wait

Ended: callee answered -> Ended: ACK and BYE this answer
Ended: caller's BYE -> Ended: 200 to the BYE
Ended: callee's BYE -> Ended: 200 to the BYE
Ended: caller acked -> Ended: send a BYE that was held
Ended: ACK missed -> Ended: send a BYE that was held
Ended: BYE due -> Ended: 200 to the BYEs that wait
"""

EXPECTED_MESSAGE = """
Looking up: permitted -> Opening: commit the open row
Looking up: refused -> Closing: commit the end
Looking up: store failed -> Closing: commit the end
Looking up: asked -> Asking: nothing
Asking: permitted -> Opening: commit the open row
Asking: refused -> Closing: commit the end
Opening: opened -> Sending: send the MESSAGE to the next target
Opening: store failed -> Closing: commit the end
Sending: delivered -> Closing: commit the end
Sending: try failed -> Sending: send the MESSAGE to the next target
Sending: failed -> Closing: commit the end
Sending: redirected -> Opening: commit the open row for another callee
Sending: time over -> Closing: commit the end
Sending: accepted -> Keeping: commit what its report will need
Keeping: kept -> Ended: send the final response, await the report
Keeping: store failed -> Closing: commit the end
Closing: closed -> Ended: send the final response
Closing: close failed -> Ended: send the final response that needs no record
"""

EXPECTED_REPORT = """
Open: reported -> Report held: hold the report
Open: begun -> Awaiting report: set its time
Open: dropped -> Ended: 488 to a report that is held
Report held: reported -> Report held: 488 to the report
Report held: begun -> Closing: commit the end
Report held: dropped -> Ended: 488 to a report that is held
Awaiting report: reported -> Closing: take the report, commit the end
Awaiting report: report time over -> Closing: commit the end
Closing: reported -> Closing: 488 to the report
Closing: report closed -> Ended: 202 to the report, pass it on
Closing: report close failed -> Ended: 500 to the report
"""

# What a party, a trunk or the store can bring about although nothing comes of it any more: absorbed, never counted as
# impossible.
ABSORBED = {
    "Ringing": ("caller acked",),
    "Asking": ("store failed",),
    "Answering": ("caller cancelled", "caller acked", "rang", "callee failed", "ring timeout"),
    "Answering, BYE held": (
        "caller cancelled",
        "caller acked",
        "rang",
        "callee failed",
        "ring timeout",
        "leaked",
        "killed",
    ),
    "Answered": ("caller cancelled", "rang", "callee failed"),
    "Talking": ("caller cancelled", "rang", "callee failed"),
    "Releasing": ("caller cancelled", "rang", "callee failed", "time over", "leaked", "killed"),
    "Closing": ("caller cancelled", "rang", "callee failed", "BYE answered", "time over", "leaked", "killed"),
    "Refusing": (
        "caller cancelled",
        "caller acked",
        "rang",
        "callee failed",
        "opened",
        "store failed",
        "answer stored",
        "leaked",
        "killed",
        "asked",
    ),
    "Ended": ("caller cancelled", "rang", "callee failed", "BYE answered", "opened", "store failed", "closed"),
}


def in_words(table: Table, quiet: tuple[int, ...]) -> set[str]:
    """The rows that do something, or that move."""
    return {
        f"{table.states[state]}: {table.inputs[event]} -> {table.states[following]}: {table.actions[action]}"
        for state, event, following, action, _ in table.rows
        if action not in quiet or following != state
    }


@pytest.mark.parametrize(
    ("table", "expected", "quiet"),
    [
        (t.CALL_TABLE, EXPECTED_CALL, (t.NOTHING, t.UNEXPECTED)),
        (m.MESSAGE_TABLE, EXPECTED_MESSAGE, (m.NOTHING, m.UNEXPECTED)),
        (r.REPORT_TABLE, EXPECTED_REPORT, (r.NOTHING, r.UNEXPECTED)),
    ],
)
def test_rows_that_do_something(table: Table, expected: str, quiet: tuple[int, ...]) -> None:
    assert in_words(table, quiet) == {line for line in expected.splitlines() if line}


@pytest.mark.parametrize("table", [t.CALL_TABLE, m.MESSAGE_TABLE, r.REPORT_TABLE])
def test_every_pair_is_decided_once_and_says_by_what(table: Table) -> None:
    pairs = [(state, event) for state, event, _, _, _ in table.rows]
    assert len(set(pairs)) == len(pairs) == len(table.states) * len(table.inputs)
    assert all(source for *_, source in table.rows)


@pytest.mark.parametrize("state", ABSORBED)
def test_what_others_can_bring_about_is_never_impossible(state: str) -> None:
    found = {t.INPUTS[event]: action for number, event, _, action, _ in t.CALL_TABLE.rows if t.STATES[number] == state}
    assert {name: found[name] for name in ABSORBED[state]} == dict.fromkeys(ABSORBED[state], t.NOTHING)


def test_an_end_that_is_decided_is_never_decided_anew() -> None:
    """Decision 4: from the states in which an end is being recorded, every way leads to Ended."""
    for first, allowed in (
        (t.RELEASING, {t.RELEASING, t.CLOSING}),
        (t.CLOSING, {t.CLOSING, t.ENDED}),
        (t.REFUSING, {t.REFUSING, t.ENDED}),
        (t.ENDED, {t.ENDED}),
    ):
        assert {row[2] for row in t.CALL_TABLE.rows if row[0] == first} == allowed
    assert {row[2] for row in m.MESSAGE_TABLE.rows if row[0] == m.CLOSING} == {m.CLOSING, m.ENDED}
    assert {row[2] for row in m.MESSAGE_TABLE.rows if row[0] == m.ENDED} == {m.ENDED}
    assert {row[2] for row in r.REPORT_TABLE.rows if row[0] == r.CLOSING} == {r.CLOSING, r.ENDED}
    assert {row[2] for row in r.REPORT_TABLE.rows if row[0] == r.ENDED} == {r.ENDED}


def test_nothing_is_sent_to_the_callee_before_the_open_row() -> None:
    sending = {t.SEND_INVITE, t.CANCEL_AND_REFUSE, t.RELEASE_AND_REFUSE, t.RELAY_BYE, t.END_BOTH}
    early = {t.LOOKING_UP, t.ASKING, t.OPENING}
    rows = [(state, event) for state, event, _, action, _ in t.CALL_TABLE.rows if state in early and action in sending]
    assert rows == [(t.OPENING, t.OPENED)]


def test_a_2xx_leaves_only_when_it_is_stored() -> None:
    answering = {t.SEND_ANSWER, t.SEND_ANSWER_AND_CLOSE}
    assert {event for _, event, _, action, _ in t.CALL_TABLE.rows if action in answering} == {t.ANSWER_STORED}


def test_no_report_is_passed_on_and_no_short_message_confirmed_before_it_is_stored() -> None:
    passing = {event for _, event, _, action, _ in r.REPORT_TABLE.rows if action == r.PASS_ON}
    confirming = {event for _, event, _, action, _ in m.MESSAGE_TABLE.rows if action == m.HAND_OVER}
    assert (passing, confirming) == ({r.CLOSED}, {m.KEPT})


def test_final_failures_leave_only_from_refusing() -> None:
    final = {t.SEND_FINAL, t.SEND_UNRECORDED}
    rows = {(state, event) for state, event, _, action, _ in t.CALL_TABLE.rows if action in final}
    assert rows == {(t.REFUSING, t.CLOSED), (t.REFUSING, t.CLOSE_FAILED)}


class Counting:
    """In the place of a context: what an action counts is an action of its own."""

    def __init__(self, done: list[str]) -> None:
        self.done = done

    def count(self, name: str) -> None:
        self.done.append(name)


@pytest.mark.pure
def test_each_action_of_a_call_is_a_function_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    for module in (call_setup, call_end):
        for name, what in list(vars(module).items()):
            if callable(what) and getattr(what, "__module__", "") == module.__name__:
                monkeypatch.setattr(module, name, lambda call, given, name=name: done.append(name))
    monkeypatch.setattr(call_actions, "open_row_again", lambda call, given: done.append("open_row_again"))
    call = object.__new__(Call)
    monkeypatch.setattr(Call, "context", Counting(done))
    for action in range(len(t.ACTIONS)):
        call_actions.act(call, action, Given(0.0))
    assert len(done) == len(set(done)) == len(t.ACTIONS) - 1  # one does nothing
    assert done[t.SEND_UNRECORDED - 1] == "send_unrecorded" and done[t.RELAY_BYE - 1] == "relay_bye"
    assert done[t.UNEXPECTED - 1] == "unexpected_permitted"


@pytest.mark.pure
def test_each_action_of_a_message_is_a_method_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    for name in [name for name in vars(MessageAttempt) if name.startswith("do_")]:
        monkeypatch.setattr(MessageAttempt, name, lambda *given, name=name: done.append(name))
    attempt = object.__new__(MessageAttempt)
    monkeypatch.setattr(MessageAttempt, "context", Counting(done))
    for action in range(len(m.ACTIONS)):
        attempt.act(action, m.PERMITTED, 0.0)
    assert done == [
        "unexpected_permitted", "do_open", "do_close", "do_send", "do_answer", "do_answer_unrecorded", "do_open_again",
        "do_keep", "do_hand_over",
    ]  # fmt: skip


def test_each_action_of_a_report_has_its_function() -> None:
    assert len(_DO_REPORT) == len(r.REPORT_TABLE.actions) == len(set(_DO_REPORT))
