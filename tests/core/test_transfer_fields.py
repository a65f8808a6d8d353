"""What crosses of a REFER and of a report on it: a number in our writing, a state, a status. Nothing else."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine.core.settings import NumberFormat, RouteSettings
from sipstack import headers as h
from tests.core.corenode import CALLEE, A, B, CoreNode, X, axb
from tests.core.parties import talking
from tests.core.test_refused_methods import BOTH_ALLOW
from tests.core.transfers import CANARY_HOST, OTHER_X, End, report, transferring

SIDES = pytest.mark.parametrize("side", ["caller", "callee"])


# -- whom it may name --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "crosses"),
    [
        (f"<sip:{X}@veil.example;user=phone>", f"<sip:{X}@veil.example>"),
        (f'"Canary" <sip:{OTHER_X}:canary@10.66.77.88:5;canary>;canary=1', f"<sip:{OTHER_X}@veil.example>"),
        (f"tel:+86{OTHER_X}", f"<sip:{OTHER_X}@veil.example>"),
        (f"<sips:86{OTHER_X}@10.66.77.88>", f"<sip:{OTHER_X}@veil.example>"),
        (f"<sip:{OTHER_X};phone-context=+86@10.66.77.88;method=INVITE>", f"<sip:{OTHER_X}@veil.example>"),
        ("<sip:95588@10.66.77.88>", "<sip:95588@veil.example>"),
        ("<sip:+8610086@10.66.77.88>", "<sip:10086@veil.example>"),
    ],
)  # fmt: skip
def test_a_700_number_or_a_service_number_crosses_in_our_writing(target: str, crosses: str) -> None:
    end = transferring()
    refer = end.refers(target)
    assert refer.named("Refer-To") == [crosses]
    end.other.answers(refer, 603)
    end.hears("SIP/2.0 603")
    end.talk.hang_up()


@pytest.mark.parametrize(
    ("number_format", "target", "crosses"),
    [
        (NumberFormat.TEL, OTHER_X, f"<tel:{OTHER_X};phone-context=+86>"),
        (NumberFormat.TEL, "95588", "<tel:+8695588>"),
        (NumberFormat.PREFIX86, "95588", "<sip:8695588@veil.example>"),
        (NumberFormat.PLUS, OTHER_X, f"<sip:{OTHER_X}@veil.example>"),
    ],
)
def test_it_is_written_as_the_receiving_trunk_wants_it(number_format: NumberFormat, target: str, crosses: str) -> None:
    caller_side, callee_side = BOTH_ALLOW.peers
    node = CoreNode(replace(BOTH_ALLOW, peers=(caller_side, replace(callee_side, number_format=number_format))))
    end = End(talking(node), "caller")
    refer = end.refers(f"<sip:{target}@10.66.77.88>")
    assert refer.named("Refer-To") == [crosses]
    end.other.answers(refer, 603)
    end.hears("SIP/2.0 603")
    end.talk.hang_up()


@SIDES
@pytest.mark.parametrize(
    "target",
    [
        f"<sip:{A}@10.66.77.88>",  # of the two, one is the sender's own, the other what it must not find out
        f"<sip:{B}@10.66.77.88>",
        f"tel:+86-{A}",
        "<sip:13700137000@10.66.77.88>",  # somebody else's
        "<sip:02088888888@10.66.77.88>",
        "<sip:1069012345678@10.66.77.88>",
        f"<sip:700{A}1@10.66.77.88>",  # a 700 number that holds the caller's
        f"<sip:700{B}1@10.66.77.88>",
        "<sip:70012345678@10.66.77.88>",
        "<sip:canary@10.66.77.88>",
        "<sip:10.66.77.88>",
        "<http://10.66.77.88/canary>",
        f"<sip:{OTHER_X}@10.66.77.88?Replaces=canary%3Bto-tag%3D1%3Bfrom-tag%3D2>",
        f"<sip:{OTHER_X}@10.66.77.88;method=BYE>",
    ],
)
def test_what_is_refused_is_refused_alike(side: str, target: str) -> None:
    """403 for each, so that nobody can try numbers out; nothing crosses."""
    end = transferring(side)
    other_side = B if side == "caller" else A
    end.send("REFER", f"Refer-To: {target}")
    if target == f"<sip:700{other_side}1@10.66.77.88>":  # the receiver's own, in what might be anybody's 700 number
        end.other.answers(end.other.hears("REFER "), 603)
        end.node.echoes.update(s.data for s in end.node.book.log if b"REFER " in s.data)
        end.hears("SIP/2.0 603")
    else:
        response = end.hears("SIP/2.0 403")
        assert set(response.ids) == {h.VIA, h.FROM, h.TO, h.CALL_ID, h.CSEQ, h.CONTENT_LENGTH}
    end.node.book.silence()
    end.talk.hang_up()


@pytest.mark.parametrize(
    ("rows", "status"),
    [
        ("X-None: 1", 400),
        (f"Refer-To: <sip:{X}@veil.example>\nRefer-To: <sip:{X}@veil.example>", 400),
        (f"Refer-To: <sip:{X}@veil.example>\nr: <sip:{X}@veil.example>", 400),
        (f"Refer-To: <sip:{X}@veil.example>, <sip:{X}@veil.example>", 400),
        (f"Refer-To: <sip:{X}@veil.example", 400),
        (f"Refer-To: <sip:{X}@veil.example>\nRequire: norefersub", 420),
        (f"Refer-To: <sip:{X}@veil.example>\nContent-Type: message/sipfrag\n\nSIP/2.0 100 Trying", 415),
    ],
)
def test_a_refer_that_cannot_be_read(rows: str, status: int) -> None:
    """RFC 3515 §2.4.2: exactly one Refer-To."""
    end = transferring()
    end.send("REFER", rows)
    end.hears(f"SIP/2.0 {status}")
    end.node.book.silence()
    end.talk.hang_up()


# -- reports -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "crosses"),
    [
        ("active", "active"),
        ("ACTIVE ; expires=7 ; canary=1", "active;expires=7"),
        ("pending;expires=4294967295", "pending;expires=99999999"),
        ("terminated;reason=timeout;retry-after=5", "terminated;reason=timeout"),
        ("terminated;reason=canary", "terminated"),
    ],
)
def test_the_state_is_written_anew(state: str, crosses: str) -> None:
    end = transferring()
    refer = end.refers()
    end.other.answers(refer, 200)
    end.hears("SIP/2.0 200")
    end.other.send("NOTIFY", report(refer.cseq, state=state))
    notify = end.hears("NOTIFY ")
    assert notify.named("Subscription-State") == [crosses]
    end.answers(notify, 200)
    end.other.hears("SIP/2.0 200")
    end.talk.hang_up()


@pytest.mark.parametrize(
    ("body", "crosses"),
    [
        ("SIP/2.0 180 Canary", "SIP/2.0 180 Ringing"),
        ("sip/2.0 486", "SIP/2.0 486 Busy Here"),
        ("SIP/2.0 110 Canary", "SIP/2.0 100 Trying"),
        ("SIP/2.0 302 Canary\nContact: <sip:canary@10.66.77.88>", "SIP/2.0 300 Redirect"),
        ("SIP/2.0 699 Canary", "SIP/2.0 600 Global Failure"),
        ("", ""),
        ("MULTIPART", "SIP/2.0 183 Session Progress"),
    ],
)
def test_a_report_crosses_as_its_status(body: str, crosses: str) -> None:
    end = transferring()
    refer = end.refers()
    end.other.answers(refer, 202)
    end.hears("SIP/2.0 202")
    rows = report(refer.cseq, body)
    if body == "MULTIPART":
        rows = report(refer.cseq, "") + (
            "Content-Type: multipart/mixed;boundary=cut\n\n--cut\nContent-Type: text/plain\n"
            "Content-Disposition: render;handling=optional\n\ncanary\n--cut\nContent-Type: message/sipfrag\n\n"
            "SIP/2.0 183 Canary\n--cut--"
        )
    end.other.send("NOTIFY", rows)
    notify = end.hears("NOTIFY ")
    assert notify.body == (f"{crosses}\r\n".encode() if crosses else b"")
    end.answers(notify, 200)
    end.other.hears("SIP/2.0 200")
    end.talk.hang_up()


@pytest.mark.parametrize(
    ("rows", "status"),
    [
        ("Event: presence\nSubscription-State: active", 489),
        ("Subscription-State: active", 489),
        ("Event: refer\nEvent: refer\nSubscription-State: active", 489),
        ("Event: refer;id=1\nSubscription-State: active", 481),
        ("Event: refer;id=canary\nSubscription-State: active", 400),
        ("Event: refer", 400),
        ("Event: refer\nSubscription-State: canary", 400),
        ("Event: refer\nSubscription-State: active;expires=canary", 400),
        ("Event: refer\nSubscription-State: active\nContent-Type: text/plain\n\nSIP/2.0 200 OK", 415),
        ("Event: refer\nSubscription-State: active\nContent-Type: message/sipfrag\n\nINVITE sip:canary SIP/2.0", 415),
        ("Event: refer\nSubscription-State: active\nContent-Type: message/sipfrag\n\nSIP/2.0 700 OK", 415),
        ("Event: refer\nSubscription-State: active\nContent-Type: message/sipfrag\n\nSIP/2.0 2000 OK", 415),
        (
            "Event: refer\nSubscription-State: active\nContent-Type: message/sipfrag\nContent-Encoding: gzip\n\n"
            "SIP/2.0 200 OK",
            415,
        ),
    ],
)
def test_a_report_that_is_refused(rows: str, status: int) -> None:
    end = transferring()
    refer = end.refers()
    end.other.answers(refer, 202)
    end.hears("SIP/2.0 202")
    end.other.send("NOTIFY", rows)
    response = end.other.hears(f"SIP/2.0 {status}")
    assert response.named("Allow-Events") == (["refer"] if status == 489 else [])
    end.node.book.silence()
    end.talk.hang_up()


# -- canaries ----------------------------------------------------------------------------------------------------------


def everywhere(number: str) -> str:
    """Rows of every kind in which a phone or a trunk may name somebody."""
    uri = f"sip:{number}@{CANARY_HOST}"
    names = (
        "Referred-By",
        "b",
        "P-Asserted-Identity",
        "P-Preferred-Identity",
        "Remote-Party-ID",
        "Diversion",
        "Reply-To",
    )
    lists = (
        "History-Info",
        "Call-Info",
        "Alert-Info",
        "Error-Info",
        "P-Called-Party-ID",
        "P-Associated-URI",
        "Record-Route",
    )
    texts = ("Subject", "Organization", "User-Agent", "Server", "User-to-User", "X-Canary", "Warning", "In-Reply-To")
    rows = [f'{name}: "canary" <{uri}>' for name in names + lists]
    rows += [f"{name}: canary {number} at {CANARY_HOST}" for name in texts]
    return "\n".join([
        *rows, f"Replaces: canary{number};to-tag=canary;from-tag=canary",
        f"Target-Dialog: canary{number};local-tag=canary;remote-tag=canary", f"Accept: message/sipfrag;canary={number}",
        f"Refer-Events-At: <{uri}>", f"Allow-Events: canary, {number}", f"Session-ID: {number};remote=canary",
        f"Identity: canary;info=<http://{CANARY_HOST}/{number}>", f"P-Charging-Vector: icid-value=canary{number}",
        "Supported: norefersub, tdialog, replaces, multiple-refer", f"Geolocation: <cid:{number}@{CANARY_HOST}>",
    ])  # fmt: skip


@SIDES
def test_nothing_crosses_but_what_is_made_anew(side: str) -> None:
    """Both requests and both answers, from either side, full of the sender's number, host and name."""
    end = transferring(side)
    own, others = (A, B) if side == "caller" else (B, A)
    refer = end.refers(f'"canary" <sip:{OTHER_X}@{CANARY_HOST};canary>;canary={own}', everywhere(own))
    end.other.answers(refer, 202, everywhere(others))
    accepted = end.hears("SIP/2.0 202")
    body = f"SIP/2.0 200 canary {others}\nContact: <sip:{others}@{CANARY_HOST}>\nX-Canary: {others}"
    state = f"terminated;reason=noresource;canary={others}"
    end.other.send("NOTIFY", f"{everywhere(others)}\n{report(refer.cseq, body, state)}")
    notify = end.hears("NOTIFY ")
    end.answers(notify, 200, everywhere(own))
    ok = end.other.hears("SIP/2.0 200")
    for message, secrets in ((refer, own), (accepted, others), (notify, others), (ok, own)):
        data = message.to_bytes().lower()
        for secret in (secrets, "canary", CANARY_HOST, "norefersub", "tdialog"):
            assert secret.encode() not in data, data
    rows = {h.VIA, h.MAX_FORWARDS, h.FROM, h.TO, h.CALL_ID, h.CSEQ, h.CONTACT, h.ALLOW, h.CONTENT_LENGTH}
    assert set(refer.ids) == rows | {h.OTHER}
    assert set(notify.ids) == rows | {h.OTHER, h.CONTENT_TYPE}
    assert set(accepted.ids) == set(ok.ids) == rows - {h.MAX_FORWARDS}
    end.talk.hang_up()


@SIDES
@pytest.mark.parametrize("where", ["REFER", "202", "NOTIFY"])
def test_a_number_in_a_passed_row_stops_it(side: str, where: str) -> None:
    """The check sees these like all that crosses, and as with any other message in a dialog the call ends."""
    own, others = (A, B) if side == "caller" else (B, A)
    peers = tuple(replace(peer, pass_headers=("X-Note",)) for peer in BOTH_ALLOW.peers)
    end = End(talking(CoreNode(replace(BOTH_ALLOW, peers=peers))), side)
    if where == "REFER":
        end.send("REFER", f"Refer-To: <sip:{OTHER_X}@veil.example>\nX-Note: {own}")
        end.hears("SIP/2.0 403")
    else:
        refer = end.refers(rows="X-Note: no number")
        assert refer.named("X-Note") == ["no number"]
        end.other.answers(refer, 202, f"X-Note: {others if where == '202' else 'no number'}")
        end.hears("SIP/2.0 500" if where == "202" else "SIP/2.0 202")
    if where == "NOTIFY":
        end.other.send("NOTIFY", f"X-Note: {others}\n{report(refer.cseq)}")
        end.other.hears("SIP/2.0 403")
    for who in (End(end.talk, "caller"), End(end.talk, "callee")):
        who.answers(who.hears("BYE "), 200)
    end.node.book.silence()
    end.node.assert_recorded(release_cause="LEAK_STOPPED")


def test_the_senders_own_number_in_the_id_tells_it_nothing() -> None:
    """The id is the number that the receiver gave its own REFER: were it searched, a guess would be told from a hit."""
    landline = "2088888888"
    node = CoreNode(
        replace(BOTH_ALLOW, routes=(RouteSettings("all", "", ("callee-side",)),)), (axb(callee=landline),)
    )  # fmt: skip
    talk = talking(node)
    end = End(talk, "caller")
    talk.caller_seq = int(landline)
    end.send("REFER", f"Refer-To: <sip:{OTHER_X}@veil.example>", cseq=int(landline))
    refer = node.book.wire_out("REFER ", CALLEE)
    end.other.answers(refer, 202)
    end.hears("SIP/2.0 202")
    end.other.send("NOTIFY", report(refer.cseq))
    notify = end.hears("NOTIFY ")
    assert notify.named("Event") == [f"refer;id={landline}"]
    end.answers(notify, 200)
    end.other.hears("SIP/2.0 200")
    end.talk.hang_up()
