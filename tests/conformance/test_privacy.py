"""Requirements 43 to 49: what crosses a B2BUA that hides its parties from each other."""

from __future__ import annotations

from typing import Final

from scenarios.rig.binding import BLOCK, Bound
from tests.conformance.conftest import RigFactory
from tests.conformance.hidden import description_of, rows_of
from tests.conformance.message import text_for_x
from tests.conformance.rig import UNBOUND, Rig, options
from tests.conformance.talk import Call

# A trunk that is not trusted, for calls from {prefix}.20 and to the numbers 134.
SETTINGS: Final = """
[[peer]]
name = "untrusted"
match = ["{prefix}.20"]
targets = ["sip:{callee}:5060"]
trusted = false
caller = "from"
[[route]]
name = "to-untrusted"
called = "^134"
peers = ["untrusted"]
"""

# An S-CSCF of one's own IMS on both sides, or two trunks.
IMS: Final = """
[[peer]]
name = "core"
match = ["{caller}:5060"]
targets = ["sip:{callee}:5060"]
profile = "PROFILE"
[[route]]
name = "to-core"
called = "^131"
peers = ["core"]
"""

EXPIRED, OTHERS, RETURNED = (f"{BLOCK}{number:04}" for number in (2, 3, 4))


def test_req_043_max_forwards(rig: Rig) -> None:
    """RFC 3261 §16.3; §16.6; RFC 7332 §5: what is sent on has a Max-Forwards of one less, 70 where there was none; 0 is
    answered 483, and nothing is sent on.

    Checked: 5, none and 0 in INVITE and MESSAGE, 0 in OPTIONS; a callee that sends the INVITE back to X is refused.
    """
    for row, arrives in (("Max-Forwards: 5\r\n", "4"), ("Max-Forwards: 1\r\n", "0"), ("", "70")):
        call = Call(rig)
        sent = call.start(data=call.invite().replace(b"Max-Forwards: 70\r\n", row.encode()))
        assert sent.value("Max-Forwards") == arrives
        call.drop()
    call = Call(rig)
    none_left = (call.invite(), text_for_x(rig, b"hello"), options(rig.caller, rig.place.node, "last").encode())
    for data, method in zip(none_left, ("INVITE", "MESSAGE", "OPTIONS"), strict=True):
        rig.caller.send(data.replace(b"Max-Forwards: 70", b"Max-Forwards: 0"))
        assert rig.final(method).status == 483
    call = Call(rig)
    sent = call.start()
    back = sent.data.replace(sent.start_line.encode(), f"INVITE sip:{rig.x}@{rig.place.node} SIP/2.0".encode())
    rig.callee.send(back)
    assert rig.final("INVITE", rig.callee).status == 482
    call.drop()


def test_req_044_max_breadth(make_rig: RigFactory) -> None:
    """RFC 5393 §5.3; RFC 7332 §6: Max-Breadth is carried on, and branches that are open at one time share it; a request
    that goes to one target at a time keeps all of it.

    Checked: two targets, one after the other, get the breadth that came; X in the name of X is a loop.
    """
    rig = make_rig("", "137")
    second = rig.party("second", rig.place.second, rig.caller.port, rig.callee.number)
    call = Call(rig)
    call.at = second
    first = call.start("Max-Breadth: 5")
    assert first.value("Max-Breadth") == "5"
    call.answer(503)
    rig.hear(second, "ACK")
    call.at = rig.callee
    call.sent = rig.hear(rig.callee, "INVITE")
    assert call.sent.value("Max-Breadth") == "5"
    call.drop()
    itself = Call(rig)
    rig.caller.send(itself.invite().replace(f"<sip:{rig.caller.number}@".encode(), f"<sip:{rig.x}@".encode()))
    assert itself.refused().status == 482


def test_req_045_two_dialogs(rig: Rig) -> None:
    """RFC 7092 §3.1.2; RFC 3261 §12: a B2BUA has a dialog of its own on each side: Call-ID, tags, CSeq, Via, Contact
    and route set of one are not those of the other.

    Checked: an INVITE by way of two proxies that record their route, and a callee with a proxy: what each side gets.
    """
    call = Call(rig)
    proxy, other = rig.caller.word(), rig.callee.word()
    routes = (
        f"Record-Route: <sip:{proxy}.invalid;lr>",
        f"Route: <sip:{rig.place.node};lr>",
        f"Route: <sip:{proxy}.x;lr>",
    )
    data = call.invite(*routes).replace(
        b"\r\nMax-Forwards", f"\r\nVia: SIP/2.0/UDP {proxy}.invalid;branch=z9hG4bK{proxy}\r\nMax-Forwards".encode(), 1
    )
    sent = call.start(data=data)
    assert len(sent.values("Via")) == 1 and sent.values("Route") == sent.values("Record-Route") == []
    assert sent.value("Via").startswith(f"SIP/2.0/UDP {rig.place.node}:5060;")
    assert sent.value("Contact").startswith(f"<sip:{rig.x}@{rig.place.node}")
    assert sent.call_id != call.caller.call_id
    assert sent.value("CSeq") != "1 INVITE"
    ok = call.pick_up(f"Record-Route: <sip:{other}@{rig.callee.sent_by};lr>")
    assert len(ok.values("Via")) == 2 and ok.values("Record-Route") == [f"<sip:{proxy}.invalid;lr>"]
    assert ok.value("Contact").startswith(f"<sip:{rig.x}@{rig.place.node}")
    assert "tag=" in ok.value("To") and call.tag not in ok.value("To")
    call.caller.routes = []
    call.ack()
    call.hang_up()


def test_req_046_no_field_names_a_party(rig: Rig) -> None:
    """RFC 3323 §4; §5; RFC 3325 §5: no field of any message shows one party the other's identity.

    Checked: 35 fields with number, host and words of their sender, in every spelling, in requests and responses of both
    sides: INVITE, 180, 183, 200, ACK, INFO, re-INVITE, BYE, MESSAGE, 4xx; all that each side gets is searched.
    """
    mine, theirs = rows_of(rig.caller), rows_of(rig.callee)
    call = Call(rig)
    call.start(*mine)
    call.ring(180, *theirs)
    call.ring(183, *theirs)
    call.pick_up(*theirs)
    call.ack(*mine)
    for side, rows, near, far, others in (
        (call.caller, mine, rig.caller, rig.callee, theirs), (call.callee, theirs, rig.callee, rig.caller, mine)
    ):  # fmt: skip
        for method in ("INVITE", "INFO", "UPDATE"):
            near.send(side.request(method, *rows, body=b"" if method == "INFO" else near.description()))
            asked = rig.hear(far, method)
            status = 488 if method == "UPDATE" else 200
            far.send(far.answer(asked, status, *others, body=far.description() if method == "INVITE" else b""))
            rig.hear(near, f"{status} {method}")
            if method == "INVITE":
                near.send(side.request("ACK", *rows, cseq=side.cseq))
                rig.hear(far, "ACK")
    rig.callee.send(call.callee.request("BYE", *theirs))
    bye = rig.hear(rig.caller, "BYE")
    rig.caller.send(rig.caller.answer(bye, 200, *mine))
    rig.hear(rig.callee, "200 BYE")
    for status in (302, 404, 486, 603):
        call = Call(rig)
        call.start(*mine)
        call.answer(status, *theirs, f"Contact: <sip:{rig.callee.number}@{rig.callee.host}>")
        rig.hear(rig.callee, "ACK")
        call.refused()
    rig.caller.send(text_for_x(rig, b"hello", *mine))
    rig.callee.send(rig.callee.answer(rig.hear(rig.callee, "MESSAGE"), 200, *theirs))
    rig.hear(rig.caller, "200 MESSAGE")


def test_req_046_networks_are_named_within_one_ims(make_rig: RigFactory) -> None:
    """RFC 7315 §4.6; §5.6: the networks at both ends (orig-ioi, term-ioi) are named within the trust domain and nowhere
    else; who generated the icid-value is a host, and is not told.

    Checked: INVITE, 183 and 200 with a whole P-Charging-Vector, between two S-CSCFs of one IMS and between two trunks.
    """
    came = "P-Charging-Vector: icid-value=Qx7f;icid-generated-at=192.0.2.7;orig-ioi=home.example;term-ioi=b.example"
    crossed = "icid-value=Qx7f;orig-ioi=home.example;term-ioi=b.example"
    for profile in ("isc", "trunk"):
        call = Call(make_rig(IMS.replace("PROFILE", profile), "131"))
        sent = call.start(came)
        ringing, ok = call.ring(183, came), call.pick_up(came)
        if profile == "isc":
            assert [one.value("P-Charging-Vector") for one in (sent, ringing, ok)] == [crossed] * 3
        else:
            assert "ioi" not in sent.value("P-Charging-Vector")
            assert [one.value("P-Charging-Vector") for one in (ringing, ok)] == ["", ""]
        call.ack()
        call.hang_up()


def test_req_047_bodies(rig: Rig) -> None:
    """RFC 8866 §5; RFC 3261 §20.14; §21.4.13; §20.11: no line of a description and no part of a body names its sender;
    a part that cannot be cleaned goes where its sender says that it is optional, else the request is refused 415.

    Checked: the number in every line of both descriptions; an ISUP part, optional and required; Content-Length of what
    arrives.
    Deviation: a first INVITE or MESSAGE with such a part is refused 403 with Q.850 cause 21, as everything that would
    have shown a number; within a call it is 415.
    """
    call = Call(rig)
    sent = call.start(body=description_of(rig.caller))
    assert b"m=audio 4000 RTP/AVP 8\r\n" in sent.body and len(sent.body) == int(sent.value("Content-Length"))
    ok = call.pick_up(body=description_of(rig.callee))
    assert b"m=audio 4000 RTP/AVP 8\r\n" in ok.body and len(ok.body) == int(ok.value("Content-Length"))
    call.ack()
    call.hang_up()
    for handling, status in (("optional", 0), ("required", 403)):
        call = Call(rig)
        part = f"Content-Disposition: signal;handling={handling}".encode()
        body = (
            b"--cut\r\nContent-Type: application/sdp\r\n\r\n" + rig.caller.description()
            + b"\r\n--cut\r\nContent-Type: application/ISUP;version=itu-t92+\r\n" + part + b"\r\n\r\n"
            + rig.caller.number.encode() + b"\x01\x00\r\n--cut--\r\n"
        )  # fmt: skip
        data = call.invite(body=body).replace(b"Type: application/sdp", b"Type: multipart/mixed;boundary=cut", 1)
        if status:
            rig.caller.send(data)
            assert call.refused().status == status
            continue
        sent = call.start(data=data)
        assert sent.value("Content-Type") == "application/sdp" and b"cut" not in sent.body
        call.drop()
    rig.hears_nothing(rig.callee)


def test_req_048_trust_domain(make_rig: RigFactory) -> None:
    """RFC 3325 §5; §7; §9.1; RFC 3323 §4.2; §5: P-Asserted-Identity is believed and told inside the trust domain only;
    privacy that is critical and cannot be given is answered 500.

    Checked: a forged one from a trunk that is not trusted; a call to such a trunk; `Privacy: id`; `Privacy:
    session;critical`.
    """
    rig = make_rig(SETTINGS, "134")
    outsider = rig.party("outsider", rig.place.host(20), rig.caller.port, "15800000001")
    rig.parties.remove(outsider)
    call = Call(rig)
    forged = call.invite(f"P-Asserted-Identity: <sip:{rig.caller.number}@{outsider.host}>")
    outsider.send(forged.replace(rig.caller.host.encode(), outsider.host.encode()).replace(
        f"<sip:{rig.caller.number}@{outsider.host}>;tag".encode(), b"<sip:15800000001@x.invalid>;tag"
    ))  # fmt: skip
    assert rig.until(lambda: outsider.take_in() or any(seen.status == 404 for seen in outsider.received))
    outsider.socket.close()
    rig.hears_nothing(rig.callee)
    call = Call(rig)
    sent = call.start(f"P-Asserted-Identity: <sip:{rig.caller.number}@{rig.caller.host}>", "Privacy: id")
    assert sent.values("P-Asserted-Identity") == []
    assert sent.value("From").startswith(f"<sip:{rig.x}@")
    call.drop()
    call = Call(rig)
    rig.caller.send(call.invite("Privacy: session;critical"))
    assert call.refused().status == 500


def test_req_049_who_may_call_whom(rig: Rig) -> None:
    """Product: a party of a binding that is in force reaches the other one and is shown as X; anybody else, and any
    other number, is refused, and nothing leaves.

    Checked: both directions of a binding; a number never bound, one that has run out, one of others, one digit too few
    or too many.
    """
    rig.node.bind(
        Bound(EXPIRED, rig.caller.number, rig.callee.number, ttl_s=120.0, made_ago_s=3600.0),
        Bound(OTHERS, "13811110000", "13911110000"),
        Bound(RETURNED, rig.callee.number, rig.caller.number),
    )
    for x in (rig.x, RETURNED):
        call = Call(rig, x)
        sent = call.start()
        assert sent.start_line.startswith(f"INVITE sip:{rig.callee.number}@")
        for name in ("From", "P-Asserted-Identity"):
            assert sent.value(name).partition(";")[0] == f"<sip:{x}@veil.example>"
        call.drop()
    for called, status, cause in (
        (UNBOUND, 404, 1), (EXPIRED, 404, 1), (OTHERS, 403, 21), (rig.x[:-1], 484, 28), (rig.x + "0", 404, 28),
        ("13700000000", 404, 3),
    ):  # fmt: skip
        call = Call(rig, called)
        rig.caller.send(call.invite())
        refused = call.refused()
        assert (refused.status, refused.value("Reason")) == (status, f"Q.850;cause={cause}"), called
    rig.hears_nothing(rig.callee)
