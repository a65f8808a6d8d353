"""Calls and messages for real numbers, relayed by a route with `transit` with their identities as they came."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine.core import transit
from engine.core.disclosure import RequestDraft, Row, Rows
from engine.core.settings import CoreSettings, Profile, RouteSettings
from sipstack import headers as h
from sipstack.message import Message
from tests.core.corenode import (
    CALL_ID,
    CALLEE,
    CALLER,
    NODE,
    SETTINGS,
    A,
    B,
    CoreNode,
    X,
    with_trunk,
)
from tests.core.parties import B_SDP, SDP, Talk, answer, invite, message, refused
from tests.core.restart import restarted
from tests.core.sms import submit, submitted

ROUTE = RouteSettings("through", "^(1[3-9][0-9]{9}|95588)$", ("callee-side",), transit=True)
PAI = f"<sip:+86{A}@core.example>, <tel:+86{A}>"
BLOCK = X[:11]


class TransitNode(CoreNode):
    """Identities cross here; what may not is looked at by `assert_two_dialogs`."""

    hides = False


def through(settings: CoreSettings = SETTINGS) -> CoreSettings:
    return replace(settings, routes=(*settings.routes, ROUTE))


def start(node: CoreNode, data: bytes) -> Message:
    node.book.wire_in(data, CALLER)
    node.book.wire_out("SIP/2.0 100", CALLER)
    return node.book.wire_out("INVITE ", CALLEE)


def busy(node: CoreNode, sent: Message) -> None:
    node.book.wire_in(answer(sent, 486), CALLEE)
    node.book.wire_out("ACK ", CALLEE)
    refused(node, 486, 17)


def assert_two_dialogs(node: CoreNode) -> None:
    for data in node.sent_to(CALLEE):
        for own in (CALL_ID, "a-tag", "z9hG4bK-a", "127.0.0.12", "X-Order", "Diversion", "User-Agent"):
            assert own.encode() not in data.partition(b"\r\n\r\n")[0], data
    for data in node.sent_to(CALLER):
        for own in ("b-tag", "z9hG4bKb", "127.0.0.13", "Warning", "Server"):
            assert own.encode() not in data, data


def test_a_call_is_relayed_with_its_identities() -> None:
    node = TransitNode(through())
    sent = start(node, invite(called=B))
    assert sent.uri_text == f"sip:{B}@127.0.0.13:5060"
    assert (sent.value(h.FROM) or "").startswith(f'"Zhang San" <sip:+86{A}@core.example>;tag=')
    assert sent.value(h.TO) == f"<sip:{B}@veil.example>"
    assert sent.values(h.P_ASSERTED_IDENTITY) == [PAI]
    assert sent.value(h.CONTACT) == f"<sip:transit@{NODE}>"
    assert b"m=audio 40000" in sent.body
    node.book.wire_in(answer(sent, 180), CALLEE)
    ringing = node.book.wire_out("SIP/2.0 180", CALLER)
    assert ringing.values(h.P_ASSERTED_IDENTITY) == [f'"Li Si" <tel:+86{B}>']
    node.book.wire_in(answer(sent, 200, sdp=B_SDP), CALLEE)
    ok = node.book.wire_out("SIP/2.0 200", CALLER)
    assert ok.value(h.CONTACT) == f"<sip:transit@{NODE}>" and b"m=audio 40000" in ok.body
    talk = Talk(node, sent, ok)
    talk.from_caller("ACK")
    node.book.wire_out("ACK ", CALLEE)
    talk.from_caller("BYE")
    bye = node.book.wire_out("BYE ", CALLEE)
    node.book.wire_in(answer(bye, 200), CALLEE)
    node.book.wire_out("SIP/2.0 200", CALLER)
    node.assert_recorded(
        mode="transit", caller=A, callee=B, tel_x="", presented_number="", subs_id="", release_cause="NORMAL"
    )
    assert_two_dialogs(node)


def test_a_message_is_relayed_with_its_body() -> None:
    node = TransitNode(through())
    data = message(
        f"my number is {A}", kind="application/json", rows="Content-Disposition: render\n        Subject: hi"
    )
    node.book.wire_in(data.replace(X.encode(), B.encode()), CALLER)
    sent = node.book.wire_out("MESSAGE ", CALLEE)
    assert (sent.value(h.CONTENT_TYPE), sent.value(h.CONTENT_DISPOSITION)) == ("application/json", "render")
    assert sent.body.rstrip() == f"my number is {A}".encode()
    assert (sent.value(h.FROM) or "").startswith(f'"Zhang San" <sip:{A}@core.example>;tag=')
    node.book.wire_in(answer(sent, 200), CALLEE)
    node.book.wire_out("SIP/2.0 200", CALLER)
    node.assert_recorded(mode="transit", kind="message", caller=A, callee=B, release_cause="NORMAL")
    assert_two_dialogs(node)


SPELLINGS = [
    X, f"+86{X}", f"86{X}", f"0086{X}", f"%37{X[1:]}", "700-1234-5678-0001", f"{X};phone-context=+86", f"+86{X[:14]}",
    f"{X}0", "700", f"+86-{X}",
]  # fmt: skip


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("scheme", ["sip", "tel"])
def test_a_700_number_is_never_relayed(spelling: str, scheme: str) -> None:
    everything = replace(SETTINGS, routes=(replace(ROUTE, called=".*"),))
    node = TransitNode(everything, bindings=())
    if scheme == "tel" and "%" in spelling:
        spelling = X
    uri = f"tel:{spelling}" if scheme == "tel" else f"sip:{spelling}@veil.example"
    if scheme == "tel" and not spelling.startswith("+") and ";" not in spelling:
        uri += ";phone-context=+86"
    data = invite().replace(f"INVITE sip:{X}@veil.example;user=phone".encode(), f"INVITE {uri}".encode())
    node.book.wire_in(data.replace(f"To: <sip:{X}".encode(), f"To: <sip:{B}".encode()), CALLER)
    node.wait(1.0)
    assert node.sent_to(CALLEE) == []
    assert node.record["mode"] == "" and node.record["decided_by"] in ("bound", "called_number")


@pytest.mark.parametrize(
    ("called", "settings"),
    [("95588", SETTINGS), ("10086", through()), ("someone", through()), ("+4930123456", through())],
)
def test_what_no_transit_route_takes_has_no_route(called: str, settings: CoreSettings) -> None:
    node = CoreNode(settings)
    node.book.wire_in(invite(called=called), CALLER)
    node.book.wire_out("SIP/2.0 100", CALLER)
    refused(node, 404, 3)
    node.assert_recorded(release_cause="NO_ROUTE", decided_by="called_number")


def untouched_from(address: str, asserted: str = "") -> bytes:
    """The INVITE of a caller that writes this into From, and this into P-Asserted-Identity."""
    lines = invite(called=B).split(b"\r\n")
    lines = [line for line in lines if not line.startswith((b"P-Asserted-Identity", b"From"))]
    lines[1:1] = [f"From: {address};tag=a-tag".encode()]
    lines[1:1] = [f"P-Asserted-Identity: {asserted}".encode()] if asserted else []
    return b"\r\n".join(lines)


@pytest.mark.parametrize(
    "data",
    [
        untouched_from(f"<sip:{X}@core.example>"),
        untouched_from(f"<tel:{X};phone-context=+86>"),
        untouched_from(f"<sip:+86{X}@core.example>", f"<sip:{A}@core.example>"),
        untouched_from(f"<sip:{A}@core.example>", f"<sip:{A}@core.example>, <tel:+86{X}>"),
        untouched_from("<sip:70012345@core.example>"),
        untouched_from(f"<sip:{X}9@core.example>"),
    ],
)
def test_a_700_number_as_caller_is_refused(data: bytes) -> None:
    node = TransitNode(through())
    node.book.wire_in(data, CALLER)
    node.book.wire_out("SIP/2.0 100", CALLER)
    response = node.book.wire_out("SIP/2.0 403", CALLER)
    node.book.wire_in(invite_ack(data, response), CALLER)
    node.assert_recorded(release_cause="NOT_IN_CALLER_SET", decided_by="transit_caller")


def invite_ack(data: bytes, response: Message) -> bytes:
    """The ACK of a refusal, with the From of its INVITE."""
    rows = [
        line
        for line in data.split(b"\r\n\r\n")[0].split(b"\r\n")
        if line.split(b":")[0] in (b"Via", b"From", b"Call-ID", b"Max-Forwards")
    ]
    start_line = data.split(b"\r\n")[0].replace(b"INVITE", b"ACK")
    rest = [f"To: {response.value(h.TO)}".encode(), b"CSeq: 1 ACK", b"Content-Length: 0", b"", b""]
    return b"\r\n".join([start_line, *rows, *rest])


def test_a_trunk_that_serves_the_block_may_show_its_numbers() -> None:
    node = TransitNode(through(with_trunk("caller-side", serves_700=(BLOCK,))))
    data = untouched_from(f"<sip:{X}@core.example>")
    sent = start(node, data)
    assert (sent.value(h.FROM) or "").startswith(f"<sip:{X}@core.example>;tag=")
    node.book.wire_in(answer(sent, 486), CALLEE)
    node.book.wire_out("ACK ", CALLEE)
    node.book.wire_in(invite_ack(data, node.book.wire_out("SIP/2.0 486", CALLER)), CALLER)


def test_a_700_number_in_to_is_refused() -> None:
    node = TransitNode(through())
    node.book.wire_in(invite(called=B).replace(f"To: <sip:{B}".encode(), f"To: <sip:{X}".encode()), CALLER)
    node.wait(1.0)
    assert node.sent_to(CALLEE) == []
    node.assert_recorded(release_cause="NO_ROUTE", decided_by="transit_to")


ANONYMOUS = '"Anonymous" <sip:anonymous@anonymous.invalid>'

# trusted callee side, Privacy of the caller, what the callee sees: P-Asserted-Identity, Privacy, From
SEEN = [
    (True, "", [PAI], [], True),
    (True, "id", [PAI], ["id"], True),
    (True, "user;id; x", [PAI], ["user;id"], True),
    (False, "", [], [], True),
    (False, "none", [PAI], [], True),
    (False, "id", [], [], True),
    (False, "none;id", [], [], True),
    (False, "user;id", [], [], False),
]


@pytest.mark.parametrize(("trusted", "asked", "asserted", "privacy", "is_named"), SEEN)
def test_privacy(trusted: bool, asked: str, asserted: list[str], privacy: list[str], is_named: bool) -> None:
    node = TransitNode(through(with_trunk("callee-side", trusted=trusted)))
    sent = start(node, invite(called=B, extra=f"Privacy: {asked}" if asked else ""))
    assert sent.values(h.P_ASSERTED_IDENTITY) == asserted
    assert sent.values(h.PRIVACY) == privacy
    shown = (sent.value(h.FROM) or "").partition(";tag=")[0]
    assert shown == (
        f'"Zhang San" <sip:+86{A}@core.example>' if is_named else '"Anonymous" <sip:anonymous@anonymous.invalid>'
    )
    busy(node, sent)


def test_an_untrusted_caller_asserts_nothing() -> None:
    node = TransitNode(through(with_trunk("caller-side", trusted=False)))
    sent = start(node, invite(called=B, extra="Privacy: none"))
    assert sent.values(h.P_ASSERTED_IDENTITY) == []
    busy(node, sent)


def test_a_call_to_x_takes_the_usual_way() -> None:
    node = TransitNode(through())
    sent = start(node, invite())
    assert (sent.value(h.FROM) or "").startswith(f"<sip:{X}@veil.example>") and A.encode() not in sent.body
    busy(node, sent)
    node.assert_recorded(mode="AXB")


def test_a_redirect_is_not_followed() -> None:
    node = TransitNode(through(with_trunk("callee-side", follow_redirect=True)))
    sent = start(node, invite(called=B))
    node.book.wire_in(answer(sent, 302, contact="<sip:13700137000@127.0.0.13>"), CALLEE)
    node.book.wire_out("ACK ", CALLEE)
    refused(node, 480, 31)


def restarted_transit(first: CoreNode, settings: CoreSettings = SETTINGS) -> CoreNode:
    node = restarted(first, through(settings))
    node.hides = False
    return node


def test_an_answered_call_lives_through_a_restart() -> None:
    first = TransitNode(through())
    sent = start(first, invite(called=B))
    first.book.wire_in(answer(sent, 200, sdp=B_SDP), CALLEE)
    talk = Talk(first, sent, first.book.wire_out("SIP/2.0 200", CALLER))
    talk.from_caller("ACK")
    first.book.wire_out("ACK ", CALLEE)
    node = restarted_transit(first)
    talk.node = node
    node.book.wire_out("SIP/2.0 200", CALLER)
    talk.from_caller("ACK")
    node.book.wire_out("ACK ", CALLEE)
    node.book.silence()
    talk.from_caller("INVITE", f"Contact: <sip:{A}@127.0.0.12:5060>", sdp=SDP)
    node.book.wire_out("SIP/2.0 100", CALLER)
    again = node.book.wire_out("INVITE ", CALLEE)
    assert again.value(h.CONTACT) == f"<sip:transit@{NODE}>"
    assert (again.value(h.FROM) or "").startswith('"Zhang San" ')
    node.book.wire_in(answer(again, 488), CALLEE)


def test_an_invite_of_another_run_is_taken_back_by_its_branch() -> None:
    """What the caller had written of itself is not stored: the CANCEL says nothing of it (RFC 3261 §9.2, §17.2.3)."""
    first = TransitNode(through())
    sent = start(first, invite(called=B))
    first.book.wire_in(answer(sent, 180), CALLEE)
    first.book.wire_out("SIP/2.0 180", CALLER)
    node = restarted_transit(first)
    cancel = node.book.wire_out("CANCEL ", CALLEE)
    same = (h.VIA, h.CALL_ID)
    assert [cancel.values(field) for field in same] == [sent.values(field) for field in same]
    assert (cancel.cseq, cancel.uri_text, cancel.from_tag) == (sent.cseq, sent.uri_text, sent.from_tag)
    assert cancel.value(h.FROM) == f"{ANONYMOUS};tag={sent.from_tag}"
    assert A not in cancel.to_bytes().decode()
    node.book.silence()
    node.book.wire_in(answer(cancel, 200), CALLEE)
    node.book.wire_in(answer(sent, 487), CALLEE)
    ack = node.book.wire_out("ACK ", CALLEE)
    assert (ack.cseq, ack.values(h.VIA)) == (sent.cseq, sent.values(h.VIA))
    node.book.silence()


def test_a_late_answer_to_it_is_ended() -> None:
    """Calls between A and B have another route; no place of that is asked."""
    elsewhere = replace(SETTINGS, routes=(replace(SETTINGS.routes[1], peers=("caller-side",)),))
    first = TransitNode(through(elsewhere))
    sent = start(first, invite(called=B))
    node = restarted_transit(first, elsewhere)
    cancel = node.book.wire_out("CANCEL ", CALLEE)
    node.book.wire_in(answer(sent, 200, sdp=B_SDP), CALLEE)
    node.book.wire_out("ACK ", CALLEE)
    bye = node.book.wire_out("BYE ", CALLEE)
    node.book.wire_in(answer(bye, 200), CALLEE)
    node.book.wire_in(answer(cancel, 481), CALLEE)
    node.book.silence()


def test_a_short_message_of_3gpp_is_not_relayed() -> None:
    node = TransitNode(replace(SETTINGS, routes=(replace(ROUTE, called="."),)), bindings=())
    node.book.wire_in(submitted(submit(to=B)), CALLER)
    node.wait(1.0)
    assert node.sent_to(CALLEE) == [] and node.record["release_cause"] == "NO_ROUTE"


def test_transit_from_an_s_cscf_goes_back_through_it() -> None:
    peers = tuple(replace(peer, profile=Profile.ISC) for peer in SETTINGS.peers)
    node = TransitNode(through(replace(SETTINGS, peers=peers)))
    token = "<sip:odi7@127.0.0.12:6060;lr>"
    node.book.wire_in(invite(called=B, extra=f"Route: <sip:{NODE};lr>, {token}"), CALLER)
    node.book.wire_out("SIP/2.0 100", CALLER)
    sent = node.book.wire_out("INVITE ", "127.0.0.12:6060")
    assert sent.values(h.ROUTE) == [token]
    node.book.wire_in(answer(sent, 486), "127.0.0.12:6060")
    node.book.wire_out("ACK ", "127.0.0.12:6060")
    refused(node, 486, 17)


def test_the_first_route_with_transit_that_matches_counts() -> None:
    routes = (replace(ROUTE, name="other", called="^9"), ROUTE, replace(ROUTE, name="last", peers=("caller-side",)))
    node = TransitNode(replace(SETTINGS, routes=(*SETTINGS.routes, *routes)))
    busy(node, start(node, invite(called=B)))


TABLES = [transit.INVITE, transit.MESSAGE]


@pytest.mark.parametrize("rows", TABLES)
@pytest.mark.parametrize("name", ["Subject", "Diversion", "User-Agent", "X-Order", "P-Preferred-Identity"])
def test_what_no_row_of_transit_names_stays_behind(rows: Rows[RequestDraft], name: str) -> None:
    assert name not in {field for row in rows.table for field in row.name.split(", ")}


@pytest.mark.parametrize("name", ["Via", "Route, From, To, Call-ID, CSeq", "Contact"])
@pytest.mark.pure
def test_a_row_that_copies_the_dialog_is_noticed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    fields = set(name.split(", "))

    def copying(row: Row[RequestDraft]) -> Row[RequestDraft]:
        def produce(draft: RequestDraft) -> str:
            assert draft.message is not None
            kept = [line for line in row.produce(draft).split("\r\n") if line.partition(":")[0] not in fields]
            return "\r\n".join(kept + [line for line in draft.message.lines if line.partition(":")[0] in fields])

        return row._replace(produce=produce)

    table = transit.INVITE.table
    made = Rows(*[row if fields.isdisjoint(row.name.split(", ")) else copying(row) for row in table])
    for slot in Rows.__slots__:
        monkeypatch.setattr(transit.INVITE, slot, getattr(made, slot))
    node = TransitNode(through())
    CoreNode.made.remove(node)
    node.book.wire_in(invite(called=B), CALLER)
    with pytest.raises(AssertionError):
        assert_two_dialogs(node)
