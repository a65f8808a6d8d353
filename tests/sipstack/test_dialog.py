"""Dialogs (RFC 3261 §12): what both ends keep, whom their requests go to, which numbers they carry."""

from __future__ import annotations

from typing import Final

import pytest

from sipstack.dialog import Dialog, DialogId, contact_uri
from sipstack.errors import RemoteSipError
from sipstack.message import Message
from sipstack.parser import parse
from sipstack.testing.playbook import wire

INVITE: Final = """
    INVITE sip:bob@node.example SIP/2.0
    Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKa
    {rows}
    From: {sender}
    To: {recipient}
    Call-ID: a-call
    CSeq: 314159 INVITE
"""
ALICE: Final = '"Alice, A." <sip:alice@192.0.2.1>;tag=alice-tag'
BOB: Final = "Bob <sip:bob@node.example>"
CONTACT: Final = "Contact: <sip:alice@192.0.2.1:5070>"


def invite(rows: str = CONTACT, sender: str = ALICE, recipient: str = BOB) -> Message:
    return parse(wire(INVITE, rows=rows, sender=sender, recipient=recipient))


def response(rows: str = CONTACT, status: int = 200, recipient: str = f"{BOB};tag=bob-tag") -> Message:
    text = INVITE.replace("INVITE sip:bob@node.example SIP/2.0", f"SIP/2.0 {status} Fine")
    return parse(wire(text, rows=rows, sender=ALICE, recipient=recipient))


def as_client(message: Message, request_uri: str = "") -> Dialog:
    return Dialog.as_client(ALICE, "alice-tag", message, request_uri)


# ---------------------------------------------------------------------- what each end keeps


def test_server_side() -> None:
    dialog = Dialog.as_server(invite(), "bob-tag", 41)
    assert dialog.id == DialogId(call_id="a-call", local_tag="bob-tag", remote_tag="alice-tag")
    assert (dialog.local, dialog.remote) == (f"{BOB};tag=bob-tag", ALICE)
    assert (dialog.local_seq, dialog.remote_seq) == (41, 314159)
    assert (dialog.remote_target, dialog.route_set) == ("sip:alice@192.0.2.1:5070", [])


def test_client_side() -> None:
    dialog = as_client(response())
    assert dialog.id == DialogId(call_id="a-call", local_tag="alice-tag", remote_tag="bob-tag")
    assert (dialog.local, dialog.remote) == (ALICE, f"{BOB};tag=bob-tag")
    assert (dialog.local_seq, dialog.remote_seq) == (314159, -1)
    assert (dialog.remote_target, dialog.route_set) == ("sip:alice@192.0.2.1:5070", [])


def test_peers_of_rfc_2543_have_no_tags() -> None:
    server = Dialog.as_server(invite(sender="<sip:alice@192.0.2.1>"), "bob-tag", 1)
    client = as_client(response(recipient=BOB))
    assert server.id == ("a-call", "bob-tag", "")
    assert client.id == ("a-call", "alice-tag", "")
    assert "To: <sip:alice@192.0.2.1>" in server.request_rows("BYE", 2).split("\r\n")
    assert f"To: {BOB}" in client.request_rows("BYE", 2).split("\r\n")


def test_address_without_brackets_keeps_its_tag_outside_of_the_uri() -> None:
    dialog = Dialog.as_server(invite(recipient="sip:bob@node.example"), "bob-tag", 1)
    rows = dialog.request_rows("BYE", 2).replace("\r\n", "\n")
    sent = parse(wire(f"BYE sip:x@y SIP/2.0\nVia: SIP/2.0/UDP y\n{rows}"))
    assert (sent.from_tag, sent.to_tag) == ("bob-tag", "alice-tag")


# ---------------------------------------------------------------------- routes

LOOSE: Final = (
    "Record-Route: <sip:p1.example;lr>, <sip:p2.example:5070;lr=on;x=y>;rr=gone\n    Record-Route: <sip:p3.example;LR>"
)
STRICT_FIRST: Final = "Record-Route: <sip:p1.example>\n    Record-Route: <sip:p2.example;lr>"


def test_routes_stand_as_they_came_for_the_server_and_turned_round_for_the_client() -> None:
    """§12.1.1, §12.1.2: with all URI parameters, without those of the header field."""
    routes = ["<sip:p1.example;lr>", "<sip:p2.example:5070;lr=on;x=y>", "<sip:p3.example;LR>"]
    assert Dialog.as_server(invite(f"{LOOSE}\n{CONTACT}"), "bob-tag", 1).route_set == routes
    assert as_client(response(f"{LOOSE}\n{CONTACT}")).route_set == routes[::-1]


TARGET: Final = "sip:alice@192.0.2.1:5070"
ROUTING: Final = (
    # the end, Record-Route rows, Request-URI, Route rows, where it goes
    ("server", "X-None: x", TARGET, [], TARGET),
    (
        "server",
        LOOSE,
        TARGET,
        ["<sip:p1.example;lr>", "<sip:p2.example:5070;lr=on;x=y>", "<sip:p3.example;LR>"],
        "sip:p1.example;lr",
    ),
    (
        "client",
        LOOSE,
        TARGET,
        ["<sip:p3.example;LR>", "<sip:p2.example:5070;lr=on;x=y>", "<sip:p1.example;lr>"],
        "sip:p3.example;LR",
    ),
    # A strict router stands in the Request-URI, and the target behind the other routes (§12.2.1.1).
    ("server", STRICT_FIRST, "sip:p1.example", ["<sip:p2.example;lr>", f"<{TARGET}>"], "sip:p1.example"),
    ("client", STRICT_FIRST, TARGET, ["<sip:p2.example;lr>", "<sip:p1.example>"], "sip:p2.example;lr"),
    ("server", "Record-Route: <sip:p1.example;lrx>", "sip:p1.example;lrx", [f"<{TARGET}>"], "sip:p1.example;lrx"),
    # §19.1.1: `method` and header fields stand neither in a Request-URI nor in a Route.
    (
        "server",
        "Record-Route: <sip:u@p1.example:5070;method=INVITE;transport=udp?Subject=x>",
        "sip:u@p1.example:5070;transport=udp",
        [f"<{TARGET}>"],
        "sip:u@p1.example:5070;transport=udp",
    ),
)


@pytest.mark.parametrize(("end", "rows", "uri", "routes", "next_hop"), ROUTING)
def test_way_of_a_request(end: str, rows: str, uri: str, routes: list[str], next_hop: str) -> None:
    rows = f"{rows}\n{CONTACT}"
    dialog = Dialog.as_server(invite(rows), "bob-tag", 1) if end == "server" else as_client(response(rows))
    assert dialog.request_uri() == uri
    assert dialog.route_lines() == [f"Route: {route}" for route in routes]
    assert dialog.next_hop() == next_hop


@pytest.mark.parametrize(
    "row", ["<sip:>", "<tel:12345>", "<http://p.example>", "nonsense", "<sip:p1.example;lr>,,<sip:p2.example;lr>", ""]
)
def test_broken_record_route_is_refused_at_once_and_not_when_a_request_is_built(row: str) -> None:
    rows = f"Record-Route: {row}\n{CONTACT}"
    with pytest.raises(RemoteSipError):
        Dialog.as_server(invite(rows), "bob-tag", 1)
    with pytest.raises(RemoteSipError):
        as_client(response(rows), "sip:fallback@x")


# ---------------------------------------------------------------------- remote target

GOOD_CONTACTS: Final = (
    ("Contact: <sip:alice@192.0.2.1:5070>;expires=3600", "sip:alice@192.0.2.1:5070"),
    ('m: "<sip:no>, \\"no" <sips:alice@host;x=y>', "sips:alice@host;x=y"),
    ("Contact: sip:alice@192.0.2.1;transport=udp", "sip:alice@192.0.2.1"),  # the parameter is the field's (§20.10)
    ("Contact: <sip:one@a>, <sip:two@b>", "sip:one@a"),
    ("Contact: <sip:one@a>\n    Contact: <sip:two@b>", "sip:one@a"),
    ("Contact: <sip:a:pw@[2001:db8::1]:5070;user=phone?Subject=hi>", "sip:a:pw@[2001:db8::1]:5070;user=phone"),
    ("Contact: <sip:alice@host;METHOD=BYE;xmethod=1>", "sip:alice@host;xmethod=1"),
)
BAD_CONTACTS: Final = (
    "X-None: x",
    "Contact: *",
    "Contact: <tel:13800138000>",
    "Contact: <mailto:a@b>",
    "Contact: <sip:@>",
)


@pytest.mark.parametrize(("row", "uri"), GOOD_CONTACTS)
def test_contact_is_the_remote_target(row: str, uri: str) -> None:
    assert contact_uri(invite(row)) == uri
    assert Dialog.as_server(invite(row), "bob-tag", 1).request_uri() == uri
    assert as_client(response(row)).next_hop() == uri


@pytest.mark.parametrize("row", BAD_CONTACTS)
def test_without_a_usable_contact_there_is_no_dialog(row: str) -> None:
    with pytest.raises(RemoteSipError):
        Dialog.as_server(invite(row), "bob-tag", 1)
    with pytest.raises(RemoteSipError):
        as_client(response(row))


@pytest.mark.parametrize("row", BAD_CONTACTS)
def test_client_falls_back_to_its_request_uri(row: str) -> None:
    """A 180 without Contact is legal, and common."""
    assert as_client(response(row, 180), "sip:bob@192.0.2.7").remote_target == "sip:bob@192.0.2.7"
    assert as_client(response(CONTACT, 180), "sip:bob@192.0.2.7").remote_target == TARGET


def test_refresh_moves_the_target_and_nothing_else() -> None:
    """§12.2.1.2, §12.2.2: the route set stays whatever the request says."""
    dialog = Dialog.as_server(invite(f"{LOOSE}\n{CONTACT}"), "bob-tag", 1)
    routes = list(dialog.route_set)
    dialog.refresh(invite("Contact: <sip:alice@198.51.100.9>\n    Record-Route: <sip:new.example;lr>"))
    assert dialog.remote_target == "sip:alice@198.51.100.9"
    dialog.refresh(invite("X-None: x"))
    assert dialog.remote_target == "sip:alice@198.51.100.9"
    with pytest.raises(RemoteSipError):
        dialog.refresh(invite("Contact: <tel:13800138000>"))
    assert (dialog.remote_target, dialog.route_set) == ("sip:alice@198.51.100.9", routes)


def test_success_says_the_routes_of_an_early_dialog_anew() -> None:
    """§13.2.2.4; the sequence numbers that PRACK and UPDATE have used stay used."""
    dialog = as_client(response(f"{LOOSE}\n{CONTACT}", 183))
    assert dialog.next_seq() == 314160
    dialog.confirm(response("Record-Route: <sip:p9.example;lr>, <sip:p8.example;lr>\n    Contact: <sip:bob@b>"))
    assert dialog.route_set == ["<sip:p8.example;lr>", "<sip:p9.example;lr>"]
    assert dialog.remote_target == "sip:bob@b"
    assert dialog.next_seq() == 314161
    dialog.confirm(response("Contact: <sip:bob@c>"))
    assert (dialog.route_set, dialog.request_uri()) == ([], "sip:bob@c")


# ---------------------------------------------------------------------- sequence numbers


def test_own_numbers_rise_by_one() -> None:
    dialog = Dialog.as_server(invite(), "bob-tag", 41)
    assert [dialog.next_seq() for _ in range(3)] == [42, 43, 44]
    assert dialog.local_seq == 44


@pytest.mark.parametrize(
    ("end", "numbers", "accepted"),
    [
        ("server", (314160, 314161, 314199), (True, True, True)),  # gaps are legal (§12.2.2)
        ("server", (314159, 314158, 0, 314160), (False, False, False, True)),
        ("server", (400000, 314160, 400000, 400001), (True, False, False, True)),
        ("client", (0, 0, 1), (True, False, True)),  # the peer has sent nothing yet: any number is good
        ("client", (2147483647, 2147483646), (True, False)),
    ],
)
def test_numbers_of_the_peer_must_rise(end: str, numbers: tuple[int, ...], accepted: tuple[bool, ...]) -> None:
    dialog = Dialog.as_server(invite(), "bob-tag", 41) if end == "server" else as_client(response())
    assert tuple(dialog.accepts_seq(number) for number in numbers) == accepted
    assert dialog.local_seq == (41 if end == "server" else 314159)


# ---------------------------------------------------------------------- requests


def test_request_rows() -> None:
    dialog = Dialog.as_server(invite(f"{STRICT_FIRST}\n{CONTACT}"), "bob-tag", 41)
    assert dialog.request_rows("BYE", dialog.next_seq()).split("\r\n") == [
        "Route: <sip:p2.example;lr>",
        "Route: <sip:alice@192.0.2.1:5070>",
        "From: Bob <sip:bob@node.example>;tag=bob-tag",
        'To: "Alice, A." <sip:alice@192.0.2.1>;tag=alice-tag',
        "Call-ID: a-call",
        "CSeq: 42 BYE",
    ]


def test_ack_has_the_number_of_its_invite() -> None:
    dialog = as_client(response())
    dialog.next_seq()
    assert dialog.request_rows("ACK", 314159).split("\r\n")[-1] == "CSeq: 314159 ACK"
    assert dialog.local_seq == 314160
