"""Requirements 50 to 56: what the other side says, and what is made of it."""

from __future__ import annotations

from typing import Final

from sipstack.response import REASON_PHRASES
from tests.conformance.conftest import RigFactory
from tests.conformance.message import text_for_x
from tests.conformance.rig import Rig, options
from tests.conformance.talk import Call

# What the caller may be told of a failure of the callee's side, and with which cause (contract §5).
MAPPED: Final = {(480, 31), (480, 20), (486, 17), (404, 1), (603, 21), (488, 65)}

# Each that has a name, some that have none, and the ends of each class.
FAILURES: Final = (
    *range(300, 306), 380, 399, *range(400, 418), *range(420, 425), *range(428, 431), 433, *range(436, 441), 469, 470,
    *range(480, 490), 491, 493, 494, 499, *range(500, 506), 513, 555, 580, 599, 600, 603, 604, *range(606, 609), 699,
)  # fmt: skip


def test_req_050_redirection(rig: Rig, make_rig: RigFactory) -> None:
    """RFC 3261 §16.7; §21.3: a redirection is not told to the caller with its Contact: the element follows it, or the
    call has failed.

    Checked: 302 with another number in Contact: 480 on a usual trunk; where redirects are followed, an INVITE to that
    number by its own route, whatever host the Contact names.
    """
    contact = f"Contact: <sip:{rig.callee.number}@{rig.callee.word()}.invalid>"
    call = Call(rig)
    call.start()
    call.answer(302, contact)
    rig.hear(rig.callee, "ACK")
    refused = call.refused()
    assert (refused.status, refused.value("Reason"), refused.values("Contact")) == (480, "Q.850;cause=31", [])
    other = make_rig("", "135")
    call = Call(other)
    call.start()
    call.answer(302, "Contact: <sip:13911112222@192.0.2.9:7000>")
    other.hear(other.callee, "ACK")
    call.sent = other.hear(other.callee, "INVITE")
    assert call.sent.start_line == f"INVITE sip:13911112222@{other.callee.sent_by} SIP/2.0"
    assert call.sent.value("From").startswith(f"<sip:{rig.x}@")
    call.drop()


def test_req_051_early_dialogs(rig: Rig) -> None:
    """RFC 3261 §16.7; §12.1: provisionals but 100 are passed on, and each early dialog of the callee's has a dialog of
    its own at the caller.

    Checked: 100, 180 and two 183 of a fork with three tags: three tags at the caller, and the 200 of the last has the
    tag of its 183.
    """
    call = Call(rig)
    call.start()
    call.answer(100)
    tags = []
    for status in (180, 183, 183):
        call.tag = rig.callee.word()
        tags.append(call.ring(status).value("To").partition("tag=")[2])
    assert len(set(tags)) == 3
    assert rig.caller.texts.count("100 INVITE") == 1
    assert call.pick_up().value("To").partition("tag=")[2] == tags[-1]
    call.ack()
    call.hang_up()


def test_req_052_second_2xx(rig: Rig) -> None:
    """RFC 3261 §13.2.2.4: a 2xx of another branch of the fork, when one has been chosen, is acknowledged and its dialog
    ended with BYE.

    Checked: two 200 with two tags: ACK and BYE to the second, one 200 and no BYE at the caller.
    """
    call = Call(rig).talk()
    late = rig.callee.word()
    call.answer(200, tag=late, body=rig.callee.description())
    ack, bye = rig.hear(rig.callee, "ACK"), rig.hear(rig.callee, "BYE")
    assert ack.value("To").endswith(late) and bye.value("To").endswith(late)
    rig.callee.send(rig.callee.answer(bye, 200))
    rig.hears_nothing(rig.caller)
    call.hang_up()
    assert len(rig.node.records()) >= 1


def test_req_053_failures_are_mapped(rig: Rig) -> None:
    """RFC 3261 §16.7 item 6; §21.5.4: of a failure the caller is told a status of ours with our phrase and nothing of
    the callee's; 503 is not passed on as 503.

    Checked: 73 statuses from 300 to 699, those that have a name and some that have none, with a Warning, a phrase and a
    Retry-After of the callee's.
    """
    wrong = []
    for status in FAILURES:
        call = Call(rig)
        call.start()
        call.answer(status, f'Warning: 399 x "{rig.callee.word()}"', "Retry-After: 77", "Min-SE: 100")
        told = call.refused()
        cause = int(told.value("Reason").rpartition("=")[2] or 0)
        names = {row.partition(":")[0] for row in told.head if row} - {"Via", "From", "To", "Call-ID", "CSeq"}
        is_ours = told.start_line == f"SIP/2.0 {told.status} {REASON_PHRASES[told.status]}"
        may_be = {*MAPPED, (422, 31)} if status == 422 else MAPPED
        extra = {"Min-SE"} if status == 422 else set()
        if (told.status, cause) not in may_be or not is_ours or names != {"Reason", "Content-Length"} | extra:
            wrong.append((status, told.data))
    assert wrong == []


def test_req_054_messages(rig: Rig) -> None:
    """RFC 3428 §4; §7; §8: a MESSAGE makes no dialog and has no Contact, nor has the 2xx to it; its text arrives octet
    by octet, and is confirmed when the callee has confirmed: 200, or 202 where it was stored.

    Checked: text in UTF-8 with bare line ends; 200 and 202 of the callee's; a MESSAGE of several parts, of text alone
    and with octets.
    Deviation: of several parts the text arrives alone, and a MESSAGE with a part that is no text (as in RFC 4475
    §3.1.1.11) is refused 403: what cannot be read cannot be searched for a number.
    """
    text = "快递到了\n请开门\r\n\ttwo  spaces \x01".encode()
    for status in (200, 202):
        rig.caller.send(text_for_x(rig, text, f"Contact: <sip:{rig.caller.number}@{rig.caller.host}>"))
        delivered = rig.hear(rig.callee, "MESSAGE")
        assert delivered.body == text
        assert delivered.values("Contact") == [] and "tag=" not in delivered.value("To")
        rig.hears_nothing(rig.caller)
        rig.callee.send(rig.callee.answer(delivered, status, f"Contact: <sip:{rig.callee.number}@x.invalid>"))
        confirmed = rig.final("MESSAGE")
        assert (confirmed.status, confirmed.values("Contact"), confirmed.body) == (status, [], b"")
    parts = b"--cut\r\nContent-Type: text/plain\r\n\r\nhello\r\n--cut"
    rig.caller.send(text_for_x(rig, parts + b"--\r\n", kind="multipart/mixed;boundary=cut"))
    delivered = rig.hear(rig.callee, "MESSAGE")
    assert (delivered.value("Content-Type"), delivered.body) == ("text/plain", b"hello")
    rig.callee.send(rig.callee.answer(delivered, 200))
    assert rig.final("MESSAGE").status == 200
    octets = parts + b"\r\nContent-Type: application/octet-stream\r\n\r\n\0\1\r\n--cut--\r\n"
    rig.caller.send(text_for_x(rig, octets, kind="multipart/mixed;boundary=cut"))
    assert rig.final("MESSAGE").status == 403
    rig.hears_nothing(rig.callee)


def test_req_055_one_delivery(rig: Rig) -> None:
    """RFC 3428 §8; RFC 3261 §17.2.2: a MESSAGE is delivered once, whatever is sent again on either side.

    Checked: five copies of it before and after its answer, five copies of the answer, which is late.
    """
    text = text_for_x(rig, b"hello")
    rig.caller.send(text)
    delivered = rig.hear(rig.callee, "MESSAGE")
    for _ in range(4):
        rig.caller.send(text)
    rig.repeats(rig.callee, delivered, 3)
    for _ in range(5):
        rig.callee.send(rig.callee.answer(delivered, 200, tag="onetag"))
    confirmed = rig.hear(rig.caller, "200 MESSAGE")
    rig.caller.send(text)
    assert len(rig.repeats(rig.caller, confirmed, 2)) == 2
    assert {seen.data for seen in rig.callee.received if seen.shown == "MESSAGE"} == {delivered.data}
    record = rig.record(confirmed.call_id)
    assert (record["release_cause"], record["sip_status"]) == ("NORMAL", 200)


def test_req_056_other_methods(rig: Rig) -> None:
    """RFC 6665 §4; RFC 3515 §2.4.2; RFC 3261 §8.2.1: subscriptions, publications and transfers that are not taken are
    refused, and nothing of them is passed on.

    Checked: SUBSCRIBE, NOTIFY, PUBLISH and REFER with the number of their sender, outside a dialog and in a call.
    """
    secret = f"Refer-To: <sip:{rig.caller.number}@{rig.caller.host}>"
    data = options(rig.caller, rig.place.node, rig.caller.word())
    for method in ("SUBSCRIBE", "NOTIFY", "PUBLISH", "REFER"):
        rows = f"{secret}\r\nEvent: presence\r\nContent-Length"
        rig.caller.send(data.replace("OPTIONS", method).replace("Content-Length", rows))
        assert rig.final(method).status == 405
    call = Call(rig).talk()
    for method in ("SUBSCRIBE", "NOTIFY", "PUBLISH", "REFER"):
        rig.caller.send(call.caller.request(method, secret, "Event: presence"))
        refused = rig.final(method)
        assert refused.status == 405 and "REFER" not in refused.value("Allow")
    rig.hears_nothing(rig.callee)
    call.hang_up()
