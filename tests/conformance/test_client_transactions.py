"""Requirements 36 to 42: client transactions, on the callee's side."""

from __future__ import annotations

import re
from typing import Final

from tests.conformance.conftest import RigFactory
from tests.conformance.message import text_for_x
from tests.conformance.rig import LATE_S, T1_S, T2_S, TRANSACTION_S, Rig
from tests.conformance.talk import Call
from tests.conformance.test_server_transactions import TICK_S, none_left_out, repeats_due

MANY: Final = 150


def branch_of(via: str) -> str:
    return via.partition("branch=")[2].partition(";")[0]


def test_req_036_invite_is_repeated_until_a_provisional(rig: Rig) -> None:
    """RFC 3261 §17.1.1.2: over UDP an INVITE is sent again after T1, 2*T1, 4*T1 and so on until a provisional response
    comes, or 64*T1.

    Checked: a callee that is silent, and one that says 100 after the third copy.
    """
    call = Call(rig)
    call.start()
    due = repeats_due(T1_S, TRANSACTION_S, TRANSACTION_S)
    times = rig.repeats(rig.callee, call.sent, len(due), TRANSACTION_S + LATE_S)
    none_left_out(times, call.first.at_s, due)
    assert all(at - call.first.at_s >= after - TICK_S for at, after in zip(times, due, strict=False))
    call.refused()
    other = Call(rig)
    other.start()
    rig.repeats(rig.callee, other.sent, 3)
    other.answer(100)
    rig.barrier()
    copies = len(rig.callee.copies(other.sent))
    rig.wait(32 * T1_S)
    assert len(rig.callee.copies(other.sent)) == copies
    other.drop()


def test_req_037_no_answer_in_time(make_rig: RigFactory) -> None:
    """RFC 3261 §17.1.1.2; §16.8: an INVITE to which nothing comes in 64*T1 has failed; another target is tried, and at
    last the caller is told.

    Checked: two targets of which the first is silent, then both: the second gets an INVITE with a branch of its own; no
    target left is told 480.
    Deviation: 480 with Q.850 cause 31, where a proxy says 408: the node answers as the called user agent, and one
    status for every target that cannot be reached tells nothing about them.
    """
    rig = make_rig("", "137")
    second = rig.party("second", rig.place.second, rig.caller.port, rig.callee.number)
    call = Call(rig)
    call.at = second
    first = call.start()
    next_one = rig.hear(rig.callee, "INVITE")
    assert next_one.at_s - call.first.at_s >= TRANSACTION_S - TICK_S
    assert branch_of(next_one.value("Via")) != branch_of(first.value("Via"))
    failure = rig.final("INVITE")
    assert (failure.status, failure.value("Reason")) == (480, "Q.850;cause=31")
    rig.caller.send(call.of_invite("ACK", to=failure.value("To")))


def test_req_038_ack_of_a_failure(rig: Rig) -> None:
    """RFC 3261 §17.1.1.3; §17.1.1.2: the ACK of a failure has the branch, Request-URI, From, Call-ID and CSeq number of
    the INVITE and the To of the response, and is sent for every copy of it.

    Checked: four copies of a 486: four ACKs of the same bytes, one 486 to the caller.
    """
    call = Call(rig)
    call.start()
    failure = call.answer(486)
    ack = rig.hear(rig.callee, "ACK")
    for _ in range(3):
        rig.callee.send(failure.data)
    assert len(rig.repeats(rig.callee, ack, 4)) == 4
    assert ack.value("Via") == call.sent.value("Via")
    for name in ("From", "Call-ID"):
        assert ack.value(name) == call.sent.value(name)
    assert ack.start_line.split()[1] == call.sent.start_line.split()[1]
    assert ack.value("CSeq") == call.sent.value("CSeq").replace("INVITE", "ACK")
    assert ack.value("To") == failure.value("To")
    told = call.refused()
    assert told.status == 486
    rig.hears_nothing(rig.caller)


def test_req_039_ack_of_every_2xx(rig: Rig) -> None:
    """RFC 3261 §13.2.2.4: each copy of a 2xx is acknowledged with the same ACK, which is a transaction of its own along
    the route set to the Contact of the 2xx.

    Checked: a Record-Route of the callee's, four copies of its 200; the caller hears its own 200 only.
    """
    call = Call(rig)
    call.start()
    route = f"<sip:{rig.callee.sent_by};lr;{rig.callee.word()}>"
    contact = f"<sip:{rig.callee.word()}@{rig.callee.sent_by}>"
    call.pick_up(f"Record-Route: {route}", contact=contact)
    ack = call.ack()
    ok = [seen for seen in rig.callee.capture if seen.is_sent and seen.status == 200][-1]
    for _ in range(3):
        rig.callee.send(ok.data)
    assert len(rig.repeats(rig.callee, ack, 4)) == 4
    assert ack.start_line == f"ACK {contact.strip('<>')} SIP/2.0"
    assert ack.values("Route") == [route]
    assert ack.value("CSeq") == call.sent.value("CSeq").replace("INVITE", "ACK")
    assert branch_of(ack.value("Via")) != branch_of(call.sent.value("Via"))
    rig.hears_nothing(rig.caller)
    call.hang_up()


def test_req_040_other_requests_are_repeated(rig: Rig) -> None:
    """RFC 3261 §17.1.2.2: over UDP a request other than INVITE is sent again after T1, doubling up to T2, until a final
    response or 64*T1; copies of that response are absorbed for T4.

    Checked: a BYE to a callee that is silent, and one that is answered late and twice.
    """
    call = Call(rig).talk()
    sent = rig.caller.send(call.caller.request("BYE"))
    bye = rig.hear(rig.callee, "BYE")
    due = repeats_due(T1_S, TRANSACTION_S)
    times = rig.repeats(rig.callee, bye, len(due), TRANSACTION_S + LATE_S)
    none_left_out(times, sent.at_s, due)
    assert all(at - sent.at_s >= after - TICK_S for at, after in zip(times, due, strict=False))
    rig.wait(2 * T2_S)
    assert len(rig.callee.copies(bye)) <= len(due)
    assert rig.final("BYE").status == 200
    other = Call(rig).talk()
    rig.caller.send(other.caller.request("BYE"))
    late = rig.hear(rig.callee, "BYE")
    rig.repeats(rig.callee, late, 3)
    agreed = rig.callee.answer(late, 200)
    strays = rig.counter("stray_responses")
    rig.callee.send(agreed)
    rig.callee.send(agreed)
    rig.barrier()
    copies = len(rig.callee.copies(late))
    rig.wait(2 * T2_S)
    assert len(rig.callee.copies(late)) == copies
    assert rig.counter("stray_responses") == strays
    assert rig.final("BYE").status == 200


def test_req_041_identifiers(rig: Rig) -> None:
    """RFC 3261 §8.1.1.7; §19.3; §8.1.1.4: a branch begins with z9hG4bK and is never used again, a tag has 32 random
    bits at least, and a Call-ID is never used again and tells nothing.

    Checked: over 150 messages: no branch, tag or Call-ID twice, long enough for 64 and 32 bits in letters; none of the
    sender's in them.
    """
    seen: dict[str, set[str]] = {"branch": set(), "tag": set(), "Call-ID": set()}
    for _ in range(MANY):
        rig.caller.send(text_for_x(rig, b"hello"))
        delivered = rig.hear(rig.callee, "MESSAGE")
        seen["branch"].add(branch_of(delivered.value("Via")))
        seen["tag"].add(delivered.value("From").partition("tag=")[2])
        seen["Call-ID"].add(delivered.call_id)
        rig.callee.send(rig.callee.answer(delivered, 200))
        rig.hear(rig.caller, "200 MESSAGE")
    assert {name: len(values) for name, values in seen.items()} == dict.fromkeys(seen, MANY)
    assert all(re.fullmatch("z9hG4bK[A-Za-z]{14,}", branch) for branch in seen["branch"])
    assert all(re.fullmatch("[A-Za-z]{7,}", tag) for tag in seen["tag"])


def test_req_042_strays_are_dropped(rig: Rig) -> None:
    """RFC 3261 §17.1.3; RFC 6026 §7.3: a response whose top branch and CSeq method are of no transaction is dropped,
    and never forwarded.

    Checked: 180, 200 and 486 with a forged branch, with another method, and a second Via; the caller hears none of
    them.
    """
    call = Call(rig)
    call.start()
    real = branch_of(call.sent.value("Via")).encode()
    for status in (180, 200, 486):
        answer = rig.callee.answer(call.sent, status)
        rig.callee.send(answer.replace(real, b"z9hG4bKforged"))
        rig.callee.send(answer.replace(b" INVITE\r\n", b" BYE\r\n"))
        rig.callee.send(answer.replace(b"\r\nFrom:", b"\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKx\r\nFrom:"))
    rig.hears_nothing(rig.caller)
    call.ring()
    call.drop()
