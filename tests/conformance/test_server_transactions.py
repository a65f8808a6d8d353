"""Requirements 25 to 35: server transactions, on the caller's side."""

from __future__ import annotations

from typing import Final

from tests.conformance.conftest import RigFactory
from tests.conformance.message import text_for_x
from tests.conformance.rig import LATE_S, T1_S, T2_S, TRANSACTION_S, UNBOUND, Rig, options
from tests.conformance.talk import Call
from tests.e2e.stopwatch import stopwatch

SILENT: Final = "[policy]\nmessage_timeout_s = 0.7\n"  # so long a callee may say nothing
TICK_S: Final = T1_S / 10


def repeats_due(first_s: float, limit_s: float, most_s: float = T2_S) -> list[float]:
    """When copies of a message are due that is repeated from T1 on, doubling up to `most_s`."""
    due, gap = [0.0], first_s
    while due[-1] + gap < limit_s:
        due.append(due[-1] + gap)
        gap = min(2 * gap, most_s)
    return due


def none_left_out(times: list[float], since_s: float, due: list[float]) -> None:
    """A node that is late with a copy is late with all that follow, each a gap behind the one before: the last have
    no time left then. Of the next one that has not come, two gaps may be its own delay."""
    assert len(times) <= len(due)
    if len(times) < len(due):
        gap_s = due[len(times)] - due[len(times) - 1]
        assert times[-1] - since_s + gap_s + 2 * T2_S >= TRANSACTION_S


def test_req_025_trying_at_once(rig: Rig) -> None:
    """RFC 3261 §17.2.1; §8.2.6.1: an INVITE that is not answered within 200 ms is told 100, which has the Timestamp of
    the request.

    Checked: with a callee that says nothing; the quickest of some, since the machine may be busy.
    """
    waits: list[float] = []
    while len(waits) < 3 or (min(waits) >= 0.2 and len(waits) < 20):
        call = Call(rig)
        call.start("Timestamp: 54.5")
        trying = rig.hear(rig.caller, "100 INVITE")
        assert trying.value("Timestamp").split()[0] == "54.5"
        assert "tag=" not in trying.value("To")
        waits.append(trying.at_s - call.first.at_s)
        call.drop()
    assert min(waits) < 0.2


def test_req_026_invite_again_gets_the_last_provisional(rig: Rig) -> None:
    """RFC 3261 §17.2.1: a copy of an INVITE in progress is answered with the last provisional response, and is not
    passed on.

    Checked: five copies while the callee is silent, five while it rings; the callee sees one INVITE.
    """
    call = Call(rig)
    call.start()
    trying = rig.hear(rig.caller, "100 INVITE")
    for _ in range(5):
        rig.caller.send(call.first.data)
    assert len(rig.repeats(rig.caller, trying, 6)) == 6
    ringing = call.ring()
    for _ in range(5):
        rig.caller.send(call.first.data)
    assert len(rig.repeats(rig.caller, ringing, 6)) == 6
    call.drop()
    assert {seen.data for seen in rig.callee.received if seen.shown == "INVITE"} == {call.sent.data}


def test_req_027_failure_is_repeated_until_the_ack(rig: Rig) -> None:
    """RFC 3261 §17.2.1: over UDP a failure response to INVITE is sent again after T1, then after twice the time up to
    T2, until its ACK or 64*T1.

    Checked: an ACK that never comes: no copy before its time, none after 64*T1, none left out.
    """
    call = Call(rig, UNBOUND)
    sent = rig.caller.send(call.invite())
    failure = rig.final("INVITE")
    due = repeats_due(T1_S, TRANSACTION_S)
    times = rig.repeats(rig.caller, failure, len(due), TRANSACTION_S + LATE_S)
    none_left_out(times, sent.at_s, due)
    assert all(at - sent.at_s >= after - TICK_S for at, after in zip(times, due, strict=False))
    rig.wait(2 * T2_S)
    assert len(rig.caller.copies(failure)) <= len(due)


def test_req_028_ack_of_a_failure_stays_here(rig: Rig) -> None:
    """RFC 3261 §17.2.1: the ACK of a failure ends its copies; it and its own copies, for T4, are absorbed.

    Checked: three ACKs for a 486: the callee gets the one of the node, nobody gets an answer, the 486 comes no more.
    """
    call = Call(rig)
    call.start()
    call.answer(486)
    mine = rig.hear(rig.callee, "ACK")
    failure = rig.final("INVITE")
    for _ in range(3):
        rig.caller.send(call.of_invite("ACK", to=failure.value("To")))
    rig.barrier()
    copies = len(rig.caller.copies(failure))
    rig.wait(2 * T2_S)
    rig.hears_nothing(rig.caller)
    assert len(rig.caller.copies(failure)) == copies
    assert [seen.data for seen in rig.callee.received if seen.shown == "ACK"] == [mine.data]


def test_req_029_accepted_state(rig: Rig) -> None:
    """RFC 6026 §7.1; RFC 3261 §13.3.1.4: after a 2xx copies of the INVITE are absorbed, and the 2xx is repeated from T1
    up to T2 until its ACK comes.

    Checked: an ACK that is late: no copy of the 200 before its time, no second INVITE to the callee, none of either
    after the ACK.
    """
    call = Call(rig)
    call.start()
    ok = call.pick_up()
    rig.caller.send(call.first.data)
    due = repeats_due(T1_S, TRANSACTION_S)
    times = rig.repeats(rig.caller, ok, 5)
    assert all(at - call.first.at_s >= after - TICK_S for at, after in zip(times, due, strict=False))
    call.ack()
    rig.barrier()
    copies = len(rig.caller.copies(ok))
    rig.wait(2 * T2_S)
    assert len(rig.caller.copies(ok)) == copies
    assert {seen.data for seen in rig.callee.received if seen.shown == "INVITE"} == {call.sent.data}
    call.hang_up()


def test_req_030_no_ack_ends_the_call(rig: Rig) -> None:
    """RFC 3261 §13.3.1.4: a 2xx whose ACK has not come within 64*T1 made a dialog that is ended with BYE.

    Checked: BYE to both sides, and a record that says NO_ACK.
    """
    call = Call(rig)
    call.start()
    call.pick_up()
    for party in (rig.callee, rig.caller):
        bye = rig.hear(party, "BYE")
        party.send(party.answer(bye, 200))
        assert bye.at_s - call.first.at_s >= TRANSACTION_S - TICK_S
    assert call.record()["release_cause"] == "NO_ACK"


def test_req_031_repeats_of_other_requests(rig: Rig) -> None:
    """RFC 3261 §17.2.2: a copy of a request other than INVITE gets the same final response again, for 64*T1 over UDP,
    and is not passed on.

    Checked: three MESSAGEs and three BYEs of the same bytes: the same answer three times, one effect.
    """
    text = text_for_x(rig, b"hello")
    rig.caller.send(text)
    delivered = rig.hear(rig.callee, "MESSAGE")
    rig.callee.send(rig.callee.answer(delivered, 200))
    confirmed = rig.hear(rig.caller, "200 MESSAGE")
    for _ in range(2):
        rig.caller.send(text)
    assert len(rig.repeats(rig.caller, confirmed, 3)) == 3
    call = Call(rig).talk()
    goodbye = call.hang_up()
    bye = [seen.data for seen in rig.caller.capture if seen.is_sent and seen.shown == "BYE"][-1]
    for _ in range(2):
        rig.caller.send(bye)
    assert len(rig.repeats(rig.caller, goodbye, 3)) == 3
    assert len({seen.data for seen in rig.callee.received if seen.shown in ("MESSAGE", "BYE")}) == 2
    assert len([record for record in rig.node.records() if record["caller_call_id"] == confirmed.call_id]) == 1


def test_req_032_no_provisional_and_no_408(make_rig: RigFactory) -> None:
    """RFC 4320 §4.1; §4.2: a request other than INVITE is told no provisional but 100, that not before the client's
    Timer E has come to T2, and never 408.

    Checked: a MESSAGE to a callee that says nothing: no provisional at all, then 480 when `message_timeout_s` is over,
    which at its default of 20 s is before the sender's Timer F.
    """
    rig = make_rig(SILENT)
    took = stopwatch(rig.node)
    rig.caller.send(text_for_x(rig, b"hello"))
    rig.hear(rig.callee, "MESSAGE")
    final = rig.final("MESSAGE")
    assert final.status == 480
    assert took() < TRANSACTION_S + LATE_S
    assert rig.caller.texts == ["480 MESSAGE"]


def test_req_033_branch_sent_by_and_method_match(rig: Rig) -> None:
    """RFC 3261 §17.2.3: a request belongs to a transaction when branch, sent-by and method are the same (ACK counts as
    INVITE).

    Checked: two OPTIONS with one branch from two ports, each gets its own answer; one of another method with that
    branch, too.
    """
    first = options(rig.caller, rig.place.node, rig.caller.word())
    rig.caller.send(first)
    answer = rig.hear(rig.caller, "200 OPTIONS")
    other = first.replace(rig.caller.sent_by, f"{rig.caller.host}:5099;rport")
    rig.caller.send(other.replace("Call-ID: ", "Call-ID: 2"))
    assert rig.hear(rig.caller, "200 OPTIONS").call_id == f"2{answer.call_id}"
    rig.caller.send(first.replace("OPTIONS", "SUBSCRIBE"))
    assert rig.hear(rig.caller, "405 SUBSCRIBE").call_id == answer.call_id


def test_req_034_peers_of_rfc_2543(rig: Rig) -> None:
    """RFC 3261 §17.2.3: without a branch that begins with z9hG4bK and goes on, a copy is known by Request-URI, To and
    From tag, Call-ID, CSeq and top Via.

    Checked: INVITEs with another branch, with the cookie alone and without any, each sent twice, and two calls of each:
    one INVITE for each call at the callee, and an ACK finds its failure.
    """
    for branch in (";branch=1", ";branch=z9hG4bK", ""):
        calls = [Call(rig), Call(rig)]
        for call in calls:
            call.invite_branch = "z9hG4bKold"
            data = call.invite().replace(b";branch=z9hG4bKold", branch.encode())
            call.start(data=data)
            rig.caller.send(data)
        rig.barrier()
        for call in calls:
            assert len({seen.data for seen in rig.callee.received if seen.call_id == call.sent.call_id}) == 1
            call.answer(486)
            rig.hear(rig.callee, "ACK")
            failure = rig.final("INVITE")
            ack = call.of_invite("ACK", to=failure.value("To"))
            rig.caller.send(ack.replace(b";branch=z9hG4bKold", branch.encode()))
            rig.barrier()
            copies = len(rig.caller.copies(failure))
            rig.wait(2 * T2_S)
            assert len(rig.caller.copies(failure)) == copies


def test_req_035_merged_requests(rig: Rig) -> None:
    """RFC 3261 §8.2.2.2: a request without To tag whose From tag, Call-ID and CSeq are those of one in progress, but of
    another transaction, has come by two ways: 482.

    Checked: the INVITE with a second branch, and a MESSAGE; the first goes on.
    """
    call = Call(rig)
    call.start()
    rig.caller.send(call.first.data.replace(call.invite_branch.encode(), b"z9hG4bKanother"))
    merged = rig.hear(rig.caller, "482 INVITE")
    assert "branch=z9hG4bKanother" in merged.value("Via")
    rig.caller.send(call.of_invite("ACK", to=merged.value("To"), branch="z9hG4bKanother"))
    call.drop()
    text = text_for_x(rig, b"hello", branch="z9hG4bKone")
    rig.caller.send(text)
    delivered = rig.hear(rig.callee, "MESSAGE")
    rig.caller.send(text.replace(b"z9hG4bKone", b"z9hG4bKtwo"))
    assert rig.final("MESSAGE").status == 482
    rig.callee.send(rig.callee.answer(delivered, 200))
    assert rig.final("MESSAGE").status == 200
