"""Requirements 75 to 78: failover and names."""

from __future__ import annotations

from typing import Final

from tests.conformance.conftest import RigFactory
from tests.conformance.parties import Party
from tests.conformance.rig import PORT, Rig
from tests.conformance.talk import Call
from tests.conformance.test_client_transactions import branch_of

PROBED: Final = """
[[peer]]
name = "probed"
targets = ["sip:{prefix}.21:5060"]
options_interval_s = 1
"""


def at_second(rig: Rig) -> Party:
    """The first of two targets."""
    return rig.party("second", rig.place.second, PORT, rig.callee.number)


def test_req_076_next_target(make_rig: RigFactory) -> None:
    """RFC 3263 §4.3; §5; RFC 3261 §8.1.3.1; §12.2.1.1: after a 503, silence or an error of the transport the request
    goes to the next target, as a transaction of its own; what belongs to it, CANCEL and the ACK of a failure, goes
    where it went, and requests of its dialog where that leads.

    Checked: a first target that says 503, and the second, where the call is cancelled; a call and an INFO within it.
    Errors of the transport are in requirement 11, silence in 37.
    """
    rig = make_rig("", "137")
    second = at_second(rig)
    call = Call(rig)
    call.at = second
    first = call.start()
    call.answer(503)
    ack = rig.hear(second, "ACK")
    assert branch_of(ack.value("Via")) == branch_of(first.value("Via"))
    call.at = rig.callee
    call.sent = rig.hear(rig.callee, "INVITE")
    assert branch_of(call.sent.value("Via")) != branch_of(first.value("Via"))
    assert call.sent.call_id != first.call_id
    call.answer(100)
    rig.caller.send(call.of_invite("CANCEL"))
    cancel = rig.hear(rig.callee, "CANCEL")
    assert branch_of(cancel.value("Via")) == branch_of(call.sent.value("Via"))
    rig.callee.send(rig.callee.answer(cancel, 200))
    call.answer(487)
    call.refused()
    rig.parties.remove(second)
    second.socket.close()
    call = Call(rig).talk()
    rig.caller.send(call.caller.request("INFO"))
    info = rig.hear(rig.callee, "INFO")
    rig.callee.send(rig.callee.answer(info, 200))
    call.hang_up()


def test_req_077_a_failed_target_is_left_alone(make_rig: RigFactory) -> None:
    """RFC 3261 §21.5.4; RFC 3263 §4.3: a target that has failed gets no request for a time, that of Retry-After where
    it has named one, and is then used again.

    Checked: a first target that says 503 with a Retry-After of 5 s: calls go to the second meanwhile, and to the first
    when the time is over; a trunk with probes is asked OPTIONS that name nobody.
    """
    rig = make_rig(PROBED, "137")
    second = at_second(rig)
    call = Call(rig)
    call.at = second
    call.start()
    failure = call.answer(503, "Retry-After: 5")
    rig.hear(second, "ACK")
    call.at, call.sent = rig.callee, rig.hear(rig.callee, "INVITE")
    call.drop()
    for wait_s in (0.0, 2.0):
        rig.wait(wait_s)
        call = Call(rig)
        call.start()
        call.drop()
    assert second.texts == ["INVITE", "ACK"]
    assert rig.until(lambda: called_first(rig, second))
    assert second.received[-1].at_s - failure.at_s > 5.0 - 0.05
    probe = rig.hear(rig.party("probed", rig.place.host(21), PORT, rig.canaries.number()), "OPTIONS")
    assert probe.start_line == f"OPTIONS sip:{rig.place.host(21)}:{PORT} SIP/2.0"
    assert rig.x not in probe.data.decode()


def called_first(rig: Rig, second: Party) -> bool:
    """One more call; True when it comes to the first target."""
    call = Call(rig)
    rig.caller.send(call.invite())
    assert rig.until(lambda: any(seen.shown == "INVITE" for at in (second, rig.callee) for seen in at.fresh))
    call.at = second if any(seen.shown == "INVITE" for seen in second.fresh) else rig.callee
    call.sent, call.tag = rig.hear(call.at, "INVITE"), call.at.word()
    call.drop()
    return call.at is second
