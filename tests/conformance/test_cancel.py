"""Requirements 65 to 69: CANCEL."""

from __future__ import annotations

import random
from contextlib import closing
from typing import Final

from scenarios.rig.place import PORT
from scenarios.rig.seen import Seen
from tests.conformance.rig import T1_S, T4_S, TRANSACTION_S, Rig
from tests.conformance.talk import Call
from tests.conformance.test_client_transactions import branch_of
from tests.e2e.datagrams import udp_socket
from tests.e2e.stopwatch import stopwatch

RACES: Final = 40


def cancelled(rig: Rig, call: Call) -> Seen:
    """The caller gives up: 200 to its CANCEL, and the 487, which it acknowledges."""
    rig.caller.send(call.of_invite("CANCEL"))
    rig.hear(rig.caller, "200 CANCEL")
    failure = rig.hear(rig.caller, "487 INVITE")
    rig.caller.send(call.of_invite("ACK", to=failure.value("To")))
    return failure


def given_up(rig: Rig, call: Call) -> Seen:
    """The callee's end of it."""
    cancel = rig.hear(rig.callee, "CANCEL")
    rig.callee.send(rig.callee.answer(cancel, 200))
    call.answer(487)
    rig.hear(rig.callee, "ACK")
    return cancel


def test_req_065_cancel(rig: Rig) -> None:
    """RFC 3261 §9.1; §9.2: a CANCEL is answered 200 and its INVITE 487; to the callee it goes once a provisional has
    come from there, not before.

    Checked: a CANCEL before the callee has said anything, and one while it rings.
    """
    call = Call(rig)
    call.start()
    cancelled(rig, call)
    rig.wait(4 * T1_S)
    assert "CANCEL" not in rig.callee.texts
    call.answer(100)
    given_up(rig, call)
    call = Call(rig)
    call.start()
    call.ring()
    cancelled(rig, call)
    given_up(rig, call)
    assert call.record()["release_cause"] == "CALLER_CANCEL"


def test_req_066_what_a_cancel_says(rig: Rig) -> None:
    """RFC 3261 §9.1; RFC 3326 §2: a CANCEL has Request-URI, Call-ID, To, From, the number of CSeq and the one Via of
    its INVITE, branch too, and may have a Reason: that somebody else has taken the call is passed on.

    Checked: field by field; of a Reason that says 200 protocol and cause go through, and not the text. Of another one
    nothing does: RFC 3326 lets everybody ignore it, and it would be the caller's words.
    """
    call = Call(rig)
    sent = call.start()
    call.ring()
    rig.caller.send(call.of_invite("CANCEL", f'Reason: SIP;cause=200;text="{rig.caller.word()}"'))
    cancel = given_up(rig, call)
    assert cancel.start_line.split()[1] == sent.start_line.split()[1]
    for name in ("Via", "From", "To", "Call-ID", "Max-Forwards"):
        assert cancel.values(name) == sent.values(name) or name == "Max-Forwards"
    assert cancel.value("CSeq") == sent.value("CSeq").replace("INVITE", "CANCEL")
    assert branch_of(cancel.value("Via")) == branch_of(sent.value("Via"))
    assert cancel.values("Reason") == ["SIP;cause=200"]
    assert cancel.body == b"" and "Require" not in cancel.data.decode()
    rig.hear(rig.caller, "200 CANCEL")
    call.refused()


def test_req_067_cancel_of_nothing(rig: Rig) -> None:
    """RFC 3261 §9.2; §9.1: a CANCEL that matches no INVITE is answered 481; one that comes after the final response is
    answered 200 and does nothing.

    Checked: a stray one, one with the branch of an INVITE from a host of another trunk, which does not keep the real
    one from its work, one for a call that is up.
    """
    stray = Call(rig)
    rig.caller.send(stray.of_invite("CANCEL"))
    assert rig.final("CANCEL").status == 481
    call = Call(rig)
    call.start()
    call.ring()
    with closing(udp_socket(rig.callee.host, 0)) as forger:
        forger.sendto(call.of_invite("CANCEL"), (rig.place.node, PORT))
        assert forger.recv(65_536).startswith(b"SIP/2.0 481 ")
    rig.barrier()
    assert "487 INVITE" not in rig.caller.texts and "CANCEL" not in rig.callee.texts
    cancelled(rig, call)
    given_up(rig, call)
    call = Call(rig).talk()
    rig.caller.send(call.of_invite("CANCEL"))
    assert rig.final("CANCEL").status == 200
    rig.hears_nothing(rig.callee)
    call.hang_up()
    assert call.record()["release_cause"] == "NORMAL"


def test_req_068_cancel_meets_200(rig: Rig) -> None:
    """RFC 3261 §9.1; §15: where a CANCEL and a 2xx cross, either the caller has its 2xx or the callee's dialog is ended
    with ACK and BYE; no call stays on one side.

    Checked: both sent within 10 ms of each other, 40 times in a seeded order: both sides end alike, and the record says
    how.
    """
    chance = random.Random(1)
    ends: dict[str, str] = {}
    for _ in range(RACES):
        call = Call(rig)
        call.start()
        call.ring()
        answers_first, gap_s = chance.random() < 0.5, chance.random() / 100
        if answers_first:
            call.answer(200, body=rig.callee.description())
            rig.wait(gap_s)
        rig.caller.send(call.of_invite("CANCEL"))
        if not answers_first:
            rig.wait(gap_s)
            call.answer(200, body=rig.callee.description())
        rig.hear(rig.caller, "200 CANCEL")
        final = rig.final("INVITE")
        if final.status == 200:
            call.caller.confirm(final)
            call.ack()
            call.hang_up()
        else:
            rig.caller.send(call.of_invite("ACK", to=final.value("To")))
            rig.hear(rig.callee, "ACK")
            bye = rig.hear(rig.callee, "BYE")
            rig.callee.send(rig.callee.answer(bye, 200))
        ends[call.caller.call_id] = "NORMAL" if final.status == 200 else "CALLER_CANCEL"
        rig.callee.fresh.clear()
        rig.caller.fresh.clear()
    assert set(ends.values()) == {"NORMAL", "CALLER_CANCEL"}
    assert rig.until(lambda: rig.node.status()["calls"] == 0)
    recorded = {record["caller_call_id"]: record["release_cause"] for record in rig.node.records()}
    assert {call_id: recorded[call_id] for call_id in ends} == ends


def test_req_069_cancel_that_is_ignored(rig: Rig) -> None:
    """RFC 3261 §9.1: where no final response to a cancelled INVITE comes within 64*T1, it is given up.

    Checked: a callee that rings and answers neither CANCEL nor INVITE: the caller has its 487 at once, and nothing is
    left when the time is over.
    """
    call = Call(rig)
    call.start()
    call.ring()
    took = stopwatch(rig.node)
    cancelled(rig, call)
    assert took() < TRANSACTION_S
    cancel = rig.hear(rig.callee, "CANCEL")
    rig.wait(TRANSACTION_S + 2 * T4_S)
    assert rig.until(lambda: rig.node.status()["calls"] == 0)
    copies = len(rig.callee.copies(cancel))
    strays = rig.counter("stray_responses")
    call.answer(487)
    assert rig.until(lambda: rig.counter("stray_responses") == strays + 1)
    assert len(rig.callee.copies(cancel)) == copies
