"""Requirements 70 to 74: timers."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from tests.conformance.conftest import RigFactory
from tests.conformance.message import text_for_x
from tests.conformance.rig import LATE_S, T1_S, TRANSACTION_S, UNBOUND, Rig
from tests.conformance.talk import Call

RINGS: Final = "[policy]\nring_timeout_s = 1.6\n"
RING_S: Final = 1.6
MIXED: Final = 120


def test_req_070_base_timers(make_rig: RigFactory) -> None:
    """RFC 3261 §17.1.1.1; table 4 of its appendix A; RFC 6026 §7: all timers of transactions follow from T1, by a clock
    that is not set.

    Checked: a T1 of 30 ms: the first gaps of an INVITE are at least T1, 2*T1 and 4*T1, a refusal stops after 64*T1. At
    the default they are those of the RFC; tests/sipstack/test_timers.py has each, and tests/e2e/test_faults_clock.py a
    clock that jumps.
    """
    rig = make_rig(t1_ms=30)
    call = Call(rig)
    call.start()
    times = rig.repeats(rig.callee, call.sent, 4)
    since = [at - call.first.at_s for at in times]
    assert all(at >= due for at, due in zip(since, (0.0, 0.03, 0.09, 0.21), strict=True))
    call.drop()
    other = Call(rig, UNBOUND)
    sent = rig.caller.send(other.invite())
    failure = rig.final("INVITE")
    rig.wait(64 * 0.03 + 0.2)
    copies = rig.caller.copies(failure)
    assert len(copies) >= 8 and copies[-1] - sent.at_s <= 64 * 0.03 + LATE_S
    rig.wait(0.5)
    assert rig.caller.copies(failure) == copies


def test_req_071_ringing_ends(make_rig: RigFactory) -> None:
    """RFC 3261 §16.6 item 11; §16.8; §13.3.1.1: a callee that rings for ever is cancelled when the time for ringing is
    over, and the caller is told.

    Checked: with `ring_timeout_s`, with a 180 now and then: CANCEL to the callee, 480 with Q.850 cause 19 to the
    caller.
    Deviation: the time is `ring_timeout_s` (60 s), shorter than the Timer C of a proxy, and no provisional makes it
    longer; the status is 480 and not 408, as of a user agent that nobody has answered.
    """
    rig = make_rig(RINGS)
    call = Call(rig)
    call.start()
    call.ring()
    rig.wait(RING_S / 2)
    call.answer(180)
    cancel = rig.hear(rig.callee, "CANCEL")
    assert cancel.at_s - call.first.at_s >= RING_S - T1_S / 10
    rig.callee.send(rig.callee.answer(cancel, 200))
    call.answer(487)
    refused = call.refused()
    assert (refused.status, refused.value("Reason")) == (480, "Q.850;cause=19")
    assert call.record()["release_cause"] == "NO_ANSWER"


def test_req_072_session_timers(rig: Rig) -> None:
    """RFC 4028 §5; §6; §8.1; §9: an interval below the least one is answered 422 with that one, which is 90 s at least;
    interval and refresher that the ends agree on are passed on.

    Checked: 89 s, then 90 s with a refresher, which the callee takes. What comes when nobody refreshes takes 90 s at
    the least: tests/core/test_session_timer.py has it on a clock of its own.
    """
    call = Call(rig)
    rig.caller.send(call.invite("Supported: timer", "Session-Expires: 89"))
    refused = call.refused()
    assert (refused.status, refused.value("Min-SE")) == (422, "90")
    call = Call(rig)
    sent = call.start("Supported: timer", "Session-Expires: 90;refresher=uac")
    assert sent.value("Session-Expires") == "90;refresher=uac"
    ok = call.pick_up("Require: timer", "Session-Expires: 90;refresher=uac")
    assert ok.value("Session-Expires") == "90;refresher=uac" and "timer" in ok.value("Require")
    call.ack()
    call.hang_up()


def test_req_073_expires(rig: Rig) -> None:
    """RFC 3261 §13.3.1; §20.19: an INVITE with Expires that is not answered in that time is cancelled, and the caller
    told 487.

    Checked: Expires of 1 s while the callee rings; an answer in time makes a call.
    """
    for seconds, in_time in ((1, False), (30, True)):
        call = Call(rig)
        call.start(f"Expires: {seconds}")
        if in_time:
            call.pick_up()
            call.ack()
            call.hang_up()
            continue
        call.answer(100)
        cancel = rig.hear(rig.callee, "CANCEL")
        rig.callee.send(rig.callee.answer(cancel, 200))
        call.answer(487)
        assert call.refused().status == 487


def test_req_074_nothing_stays(rig: Rig) -> None:
    """RFC 3261 §17; §12.3: when the last timer of a call has gone off, nothing of it is left.

    Checked: 120 calls and messages of six kinds: after 64*T1 no call, no open row, as many records as attempts, all
    open files of before and no more.
    """
    before = rig.node.status()
    files = open_files(rig)
    for number in range(MIXED):
        call = Call(rig, UNBOUND if number % 6 == 5 else "")
        if number % 6 == 5:
            rig.caller.send(call.invite())
            call.refused()
        elif number % 6 == 4:
            rig.caller.send(text_for_x(rig, b"hello"))
            rig.callee.send(rig.callee.answer(rig.hear(rig.callee, "MESSAGE"), 200))
            rig.hear(rig.caller, "200 MESSAGE")
        elif number % 6 == 3:
            call.start()
            call.drop(603)
        elif number % 6 == 2:
            call.start()
            call.ring()
            rig.caller.send(call.of_invite("CANCEL"))
            rig.callee.send(rig.callee.answer(rig.hear(rig.callee, "CANCEL"), 200))
            call.answer(487)
            rig.hear(rig.caller, "200 CANCEL")
            call.refused()
        else:
            call.talk()
            if number % 2:
                call.hang_up()
            else:
                rig.callee.send(call.callee.request("BYE"))
                rig.caller.send(rig.caller.answer(rig.hear(rig.caller, "BYE"), 200))
                rig.hear(rig.callee, "200 BYE")
    rig.wait(1.2 * TRANSACTION_S)
    assert rig.until(lambda: rig.node.status()["calls"] == 0)
    rig.node.settle()
    after = rig.node.status()
    assert rig.node.calls() == []
    assert after["attempts"] - before["attempts"] == MIXED
    assert after["records"] == after["attempts"]
    assert open_files(rig) <= files + 2  # the journal may have begun another segment


def open_files(rig: Rig) -> int:
    process = rig.node.process
    assert process is not None
    return len(list(Path(f"/proc/{process.pid}/fd").iterdir()))
