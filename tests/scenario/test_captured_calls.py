"""Which calls a capture holds, and which legs are one call."""

from __future__ import annotations

import time

import pytest

from tests.scenario.talks import CALLEE, CALLER, INVITE, NODE, A, B, Talk, X, answered, message


def test_one_leg_is_a_call() -> None:
    (call,) = answered().calls
    assert (call.inward.call_id, call.inward is call.outward, call.inward.status) == ("one", True, 200)
    assert [one.from_caller for one in call.inward.exchanges] == [True, False, False, True, True, False]


def through(first: str = "one", second: str = "two", shown: str = X) -> Talk:
    """An INVITE that a node takes on, and its refusal on the way back."""
    talk = Talk()
    talk(A, NODE, message(INVITE, "1 INVITE", first, ("a", "")))
    invite = message(
        f"INVITE sip:{CALLEE}@192.0.2.2:5070 SIP/2.0", "9 INVITE", second, ("n", ""), parties=(shown, CALLEE)
    )
    talk(NODE, B, invite)
    talk(B, NODE, message("SIP/2.0 486 Busy Here", "9 INVITE", second, ("n", "b"), parties=(shown, CALLEE)))
    return talk(NODE, A, message("SIP/2.0 486 Busy Here", "1 INVITE", first, ("a", "m")))


@pytest.mark.parametrize("ids", [("one", "two"), ("one", "one")], ids=["a B2BUA", "a proxy"])
def test_two_legs_are_one_call(ids: tuple[str, str]) -> None:
    (call,) = through(*ids).calls
    assert (call.inward.caller, call.inward.callee) == (A, NODE)
    assert (call.outward.caller, call.outward.callee) == (NODE, B)
    assert [leg.call_id for leg in call.legs] == list(ids)


def test_legs_of_two_calls_at_once_belong_together_by_their_numbers() -> None:
    talk = Talk()
    other = f"{X[:-1]}2"
    for call_id, called in (("one", X), ("uno", other)):
        invite = f"INVITE sip:{called}@veil.example SIP/2.0"
        talk(A, NODE, message(invite, "1 INVITE", call_id, ("a" + call_id, ""), parties=(CALLER, called)))
    for call_id, shown in (("due", other), ("two", X)):
        invite = f"INVITE sip:{CALLEE}@192.0.2.2 SIP/2.0"
        talk(NODE, B, message(invite, "1 INVITE", call_id, ("n" + call_id, ""), parties=(shown, CALLEE)))
    assert [(call.inward.call_id, call.outward.call_id) for call in talk.calls] == [("one", "two"), ("uno", "due")]


def test_a_leg_that_could_be_of_two_calls_is_of_none() -> None:
    talk = Talk()
    for call_id in ("one", "uno"):
        talk(A, NODE, message(INVITE, "1 INVITE", call_id, ("a" + call_id, "")))
    talk(NODE, B, message(f"INVITE sip:{CALLEE}@192.0.2.2 SIP/2.0", "1 INVITE", "two", ("n", ""), parties=(X, CALLEE)))
    assert [call.inward.call_id for call in talk.calls] == ["one", "uno", "two"]


def test_a_leg_that_begins_when_the_call_is_settled_is_another_call() -> None:
    talk = answered()
    talk(NODE, B, message(f"INVITE sip:{CALLEE}@192.0.2.2 SIP/2.0", "1 INVITE", "two", ("n", ""), parties=(X, CALLEE)))
    assert len(talk.calls) == 2


def test_of_targets_tried_in_turn_the_one_that_answered_counts() -> None:
    talk = Talk()(A, NODE, message(INVITE, "1 INVITE", "one", ("a", "")))
    for number, status in enumerate((503, 200, 487)):
        there = ("192.0.2.2", 5070 + number)
        call_id = f"out{number}"
        invite = message(f"INVITE sip:{CALLEE}@192.0.2.2 SIP/2.0", "1 INVITE", call_id, ("n", ""), parties=(X, CALLEE))
        talk(NODE, there, invite)
        talk(there, NODE, message(f"SIP/2.0 {status} X", "1 INVITE", call_id, ("n", "b"), parties=(X, CALLEE)))
    (call,) = talk.calls
    assert (call.outward.call_id, [leg.call_id for leg in call.others]) == ("out1", ["out0", "out2"])


def test_what_begins_no_call() -> None:
    talk = Talk()
    talk(A, NODE, message("OPTIONS sip:veil.example SIP/2.0", "1 OPTIONS", "o"))
    talk(A, NODE, message("BYE sip:x@192.0.2.9 SIP/2.0", "2 BYE", "b", ("a", "b")))
    talk(A, NODE, message(INVITE, "2 INVITE", "re", ("a", "b")))
    talk(A, NODE, b"INVITE sip:x SIP/2.0\r\n\r\n")
    assert talk.calls == []


def test_many_calls_at_once_take_no_time_for_each_other() -> None:
    """Legs that are never answered, between any addresses, one Call-ID or many: a capture of a flood."""
    talk = Talk()
    for number in range(6000):
        source = (f"10.0.{number % 250}.{number % 200 + 1}", 1024 + number)
        call_id = f"c{number}" if number % 2 else "same"
        talk(source, NODE, message(INVITE, "1 INVITE", call_id, (f"t{number}", "")), 0.0)
        talk(NODE, B, message(INVITE, "1 INVITE", f"d{number}", (f"u{number}", "")), 0.0)
    began = time.process_time()
    assert len(talk.calls) > 6000
    assert time.process_time() - began < 30  # 4 s here
