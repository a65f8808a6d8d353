"""Requirements 57 to 64: requests within a call."""

from __future__ import annotations

from tests.conformance.parties import Party
from tests.conformance.rig import T1_S, TRANSACTION_S, Rig
from tests.conformance.talk import Call, Side


def asked(rig: Rig, side: Side, method: str, *rows: str, body: bytes = b"") -> tuple[Party, Party, int]:
    """Sends a request of one side; who sent it, who is to get it, and its number."""
    near = side.party
    near.send(side.request(method, *rows, body=body))
    return near, rig.callee if near is rig.caller else rig.caller, side.cseq


def changed(rig: Rig, side: Side, body: bytes, status: int = 200) -> None:
    """A re-INVITE of one side, answered by the other."""
    near, far, number = asked(rig, side, "INVITE", body=body)
    sent = rig.hear(far, "INVITE")
    far.send(far.answer(sent, status, body=far.description() if status == 200 else b""))
    answer = rig.hear(near, f"{status} INVITE")
    if status == 200:
        side.confirm(answer)
        near.send(side.request("ACK", cseq=number))
        rig.hear(far, "ACK")


def test_req_057_dialogs_are_matched(rig: Rig) -> None:
    """RFC 3261 §12.2.2: a request within a dialog belongs to it by Call-ID and both tags; where there is none, the
    answer is 481, and an ACK gets none.

    Checked: a BYE, INFO and INVITE with each of the three altered, an ACK; the call goes on.
    """
    call = Call(rig).talk()
    parts = (call.caller.call_id, call.caller.local.partition("tag=")[2], call.caller.remote.partition("tag=")[2])
    for number, part in enumerate(parts):
        for method in ("BYE", "INFO", "INVITE"):
            rig.caller.send(call.caller.request(method).replace(part.encode(), f"other{number}".encode()))
            refused = rig.final(method)
            assert refused.status == 481
        rig.caller.send(call.caller.request("ACK", cseq=1).replace(part.encode(), f"other{number}".encode()))
    rig.hears_nothing(rig.caller)
    rig.hears_nothing(rig.callee)
    call.hang_up()
    assert call.record()["release_cause"] == "NORMAL"


def test_req_058_sequence_numbers(rig: Rig) -> None:
    """RFC 3261 §12.2.1.1; §12.2.2; RFC 3262 §7.2: each side's requests are numbered one after the other on the way out;
    a number that is below the last one is answered 500; RAck names the INVITE by the number that the receiver knows.

    Checked: INFOs of both sides, an old BYE, and a PRACK for a 183.
    """
    call = Call(rig)
    call.start("Supported: 100rel")
    call.ring(183, "Require: 100rel", "RSeq: 901")
    reliable = [seen for seen in rig.caller.received if seen.status == 183][-1]
    call.caller.confirm(reliable)
    asked(rig, call.caller, "PRACK", f"RAck: {reliable.value('RSeq')} 1 INVITE")
    prack = rig.hear(rig.callee, "PRACK")
    assert prack.value("RAck").split() == ["901", call.sent.value("CSeq").split()[0], "INVITE"]
    numbers = [int(call.sent.value("CSeq").split()[0]), int(prack.value("CSeq").split()[0])]
    rig.callee.send(rig.callee.answer(prack, 200))
    rig.hear(rig.caller, "200 PRACK")
    call.pick_up()
    call.ack()
    for side in (call.caller, call.callee):
        for _ in range(2):
            near, far, _ = asked(rig, side, "INFO")
            sent = rig.hear(far, "INFO")
            far.send(far.answer(sent, 200))
            rig.hear(near, "200 INFO")
            numbers.append(int(sent.value("CSeq").split()[0]))
    assert numbers[1:4] == [numbers[0] + 1, numbers[0] + 2, numbers[0] + 3] and numbers[5] == numbers[4] + 1
    rig.caller.send(call.caller.request("BYE", cseq=2))
    assert rig.final("BYE").status == 500
    rig.hears_nothing(rig.callee)
    call.hang_up()


def test_req_059_route_set_and_remote_target(rig: Rig) -> None:
    """RFC 3261 §12.1.2; §12.2.1.1; §12.2.2: requests within a dialog go along its route set, which stays, to the remote
    target, which a re-INVITE moves; where the first hop is a strict router, it is the Request-URI and the target stands
    last in Route.

    Checked: a callee behind a loose and a strict router, whose Contact moves in a re-INVITE of its own; all that is
    sent arrives there.
    """
    for strict in (False, True):
        hop = f"sip:{rig.callee.sent_by}" + ("" if strict else ";lr")
        call = Call(rig)
        call.start()
        call.pick_up(f"Record-Route: <{hop}>")
        ack = call.ack()
        for moved in (f"sip:{rig.callee.number}@{rig.callee.sent_by}", f"sip:{rig.callee.word()}@{rig.callee.sent_by}"):
            if moved not in ack.data.decode():
                near, far, number = asked(
                    rig, call.callee, "INVITE", f"Contact: <{moved}>", body=rig.callee.description()
                )
                far.send(far.answer(rig.hear(far, "INVITE"), 200, body=far.description()))
                rig.hear(near, "200 INVITE")
                near.send(call.callee.request("ACK", cseq=number))
                rig.hear(far, "ACK")
            near, far, _ = asked(rig, call.caller, "INFO")
            sent = rig.hear(far, "INFO")
            uri, route = sent.start_line.split()[1], sent.values("Route")
            assert (uri, route) == ((hop, [f"<{moved}>"]) if strict else (moved, [f"<{hop}>"]))
            far.send(far.answer(sent, 200))
            rig.hear(near, "200 INFO")
        call.hang_up()


def test_req_060_re_invites(rig: Rig) -> None:
    """RFC 3261 §14.1; §14.2: an INVITE within a call that meets one of the other side's is answered 491, one behind an
    own one that is not answered yet 500 with a Retry-After of 0 to 10 s; one that fails leaves the call as it was.

    Checked: two that cross, a second of the same side, and one that is refused 488; then another one goes through.
    """
    call = Call(rig).talk()
    _, far, number = asked(rig, call.caller, "INVITE", body=rig.caller.description())
    sent = rig.hear(far, "INVITE")
    asked(rig, call.callee, "INVITE", body=rig.callee.description())
    glare = rig.final("INVITE", rig.callee)
    assert glare.status == 491
    rig.callee.send(call.callee.request("ACK", cseq=call.callee.cseq))
    asked(rig, call.caller, "INVITE", body=rig.caller.description())
    again = rig.final("INVITE")
    assert again.status == 500 and 0 <= int(again.value("Retry-After")) <= 10
    far.send(far.answer(sent, 488))
    refused = rig.final("INVITE")
    assert refused.status == 488
    assert refused.value("CSeq").split()[0] == str(number)
    for side in (call.caller, call.callee):
        changed(rig, side, side.party.description())
    call.hang_up()
    assert call.record()["release_cause"] == "NORMAL"


def test_req_061_update(rig: Rig) -> None:
    """RFC 3311 §5.1; §5.2: an UPDATE changes a session before it is answered, too; one that meets an offer of the other
    side's is answered 491, one behind an own one 500 with Retry-After.

    Checked: in an early dialog, then two that cross and a second of the same side.
    """
    call = Call(rig)
    call.start("Supported: 100rel")
    early = call.ring(183)
    call.caller.confirm(early)
    near, far, _ = asked(rig, call.caller, "UPDATE", body=rig.caller.description())
    sent = rig.hear(far, "UPDATE")
    far.send(far.answer(sent, 200, body=far.description()))
    assert rig.hear(near, "200 UPDATE").body.startswith(b"v=0")
    call.pick_up()
    call.ack()
    asked(rig, call.caller, "UPDATE", body=rig.caller.description())
    sent = rig.hear(rig.callee, "UPDATE")
    asked(rig, call.callee, "UPDATE", body=rig.callee.description())
    assert rig.final("UPDATE", rig.callee).status == 491
    asked(rig, call.caller, "UPDATE", body=rig.caller.description())
    again = rig.final("UPDATE")
    assert again.status == 500 and 0 <= int(again.value("Retry-After")) <= 10
    rig.callee.send(rig.callee.answer(sent, 200, body=rig.callee.description()))
    assert rig.final("UPDATE").status == 200
    call.hang_up()


def test_req_062_reliable_provisionals(rig: Rig) -> None:
    """RFC 3262 §3; §4: a reliable provisional is passed on as such, its RSeq kept in order, its PRACK answered by the
    far end; one that matches nothing is answered 481, and whoever sent the provisional repeats it until its PRACK
    comes.

    Checked: a 183 whose PRACK comes after two copies of it; a PRACK for another RSeq; a second 183 with the next RSeq.
    """
    call = Call(rig)
    call.start("Supported: 100rel")
    assert "100rel" in call.sent.value("Supported")
    first = call.ring(183, "Require: 100rel", "RSeq: 30")
    assert "100rel" in first.value("Require")
    call.caller.confirm(first)
    mine = [seen for seen in rig.callee.capture if seen.is_sent and seen.status == 183][-1]
    for count in (2, 3):
        rig.callee.send(mine.data)
        assert len(rig.repeats(rig.caller, first, count)) == count
    number = int(first.value("RSeq"))
    asked(rig, call.caller, "PRACK", f"RAck: {number + 5} 1 INVITE")
    assert rig.final("PRACK").status == 481
    for status in (183, 180):
        asked(rig, call.caller, "PRACK", f"RAck: {number} 1 INVITE")
        prack = rig.hear(rig.callee, "PRACK")
        rig.callee.send(rig.callee.answer(prack, 200))
        assert rig.final("PRACK").status == 200
        if status == 183:
            following = call.ring(180, "Require: 100rel", "RSeq: 31")
            assert int(following.value("RSeq")) == number + 1
            number += 1
    call.pick_up()
    call.ack()
    call.hang_up()


def test_req_063_bye(rig: Rig) -> None:
    """RFC 3261 §15.1.1; §15.1.2: a BYE is answered 200 and ends the call on the other side, too; two that cross are
    both answered 200.

    Checked: the BYE goes to the other side before its own 200 comes; BYEs of both sides at once: one record.
    """
    call = Call(rig).talk()
    call.hang_up()
    call = Call(rig).talk()
    rig.caller.send(call.caller.request("BYE"))
    rig.callee.send(call.callee.request("BYE"))
    for party in (rig.caller, rig.callee):
        if rig.until(lambda party=party: any(seen.shown == "BYE" for seen in party.fresh), 10 * T1_S):  # type: ignore[misc]
            bye = rig.hear(party, "BYE")
            party.send(party.answer(bye, 200))
        assert rig.final("BYE", party).status == 200
    record = call.record()
    assert record["release_cause"] == "NORMAL"
    assert record["release_time"] is not None
    rig.wait(TRANSACTION_S / 8)
    assert rig.caller.texts.count("200 BYE") <= 3


def test_req_064_late_offer(rig: Rig) -> None:
    """RFC 3261 §13.2.1; RFC 3264 §4: an INVITE without an offer gets it in the first reliable answer, and answers it in
    its ACK; the order stays.

    Checked: an INVITE without a body: the 200 has the callee's offer, its ACK the caller's answer.
    """
    call = Call(rig)
    sent = call.start(body=b"")
    assert sent.body == b"" and "Content-Type" not in sent.data.decode()
    ok = call.pick_up(body=rig.callee.description(4100))
    assert b"m=audio 4100 RTP/AVP 8\r\n" in ok.body
    ack = call.ack(body=rig.caller.description(4200))
    assert b"m=audio 4200 RTP/AVP 8\r\n" in ack.body
    call.hang_up()
