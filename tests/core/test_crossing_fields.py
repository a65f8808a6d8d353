"""Header fields at the gate: which cross in which message, and how they are written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.crossing import INVITE, MESSAGE_DELIVERED, REFUSED, reason_line
from engine.core.disclosure import (
    CHECKED,
    NEW,
    OURS,
    OWN,
    TRANSLATED,
    Draft,
    Party,
    ResponseDraft,
    Rows,
    build,
    crossing_rows,
)
from engine.core.pair import CALLEE
from engine.core.settings import PeerSettings
from sipstack.errors import RemoteSipError
from sipstack.message import Message
from sipstack.response import ResponseHead
from tests.core.gate import BY_NAME, PEER, STATUSES, TABLES, A, message, request_draft

COUNTED = ("Supported", "Require", "Session-Expires", "Min-SE", "RSeq", "Retry-After")
ALL = Rows(*(BY_NAME[name] for name in COUNTED))
NONE = Rows(BY_NAME["pass_headers"])

# A field for every place of domain.md §6 and conformance 46 that may stand in a header section.
HOSTILE_ROWS = (
    f"P-Preferred-Identity: <sip:{A}@x>",
    f"Remote-Party-ID: <sip:{A}@x>;party=calling",
    f"Diversion: <sip:{A}@x>;reason=unknown",
    f"History-Info: <sip:{A}@x>;index=1",
    f"Referred-By: <sip:{A}@x>",
    f"b: <sip:{A}@x>",
    f"Refer-To: <sip:{A}@x>",
    f"r: <sip:{A}@x>",
    f"Reply-To: <sip:{A}@x>",
    f"P-Called-Party-ID: <sip:{A}@x>",
    f"P-Served-User: <sip:{A}@x>",
    f"P-Associated-URI: <sip:{A}@x>",
    f"P-Charging-Vector: icid-value={A};icid-generated-at=192.0.2.1",
    f"P-Access-Network-Info: 3GPP-E-UTRAN-FDD;utran-cell-id-3gpp={A}",
    f"Cellular-Network-Info: 3GPP-E-UTRAN;{A}",
    f"Call-Info: <sip:{A}@x>;purpose=card",
    f"Alert-Info: <sip:{A}@x>",
    f"Identity: {A}",
    f"y: {A}",
    f"Geolocation: <sip:{A}@x>",
    f"Subject: {A}",
    f"s: {A}",
    f"Organization: {A}",
    f'Warning: 399 host "{A}"',
    f'Reason: SIP;cause=200;text="{A}"',
    f"In-Reply-To: {A}",
    f"User-to-User: {A};encoding=hex",
    f"Session-ID: {A}",
    f"User-Agent: Phone/{A}",
    f"Server: Core/{A}",
    f"X-Order: {A}",
    f"Route: <sip:{A}@x;lr>",
    f"Record-Route: <sip:{A}@x;lr>",
    f"Path: <sip:{A}@x>",
    f"Replaces: {A};to-tag=1;from-tag=2",
    f"Join: {A};to-tag=1;from-tag=2",
    f"Target-Dialog: {A};local-tag=1;remote-tag=2",
    f"P-Asserted-Identity: <sip:{A}@x>",
    "Privacy: id",
    f"Allow: {A}",
    f"Accept: application/{A}",
    f"Event: {A}",
    f"o: {A}",
    f"Date: {A}",
    f"Timestamp: {A}",
    f"Authorization: Digest username={A}",
    f'Content-Disposition: session;x="{A}"',
    f"Unsupported: {A}",
)


def crossing_lines(came: Message, rows: Rows, receiver: PeerSettings, status: int = 0) -> list[str]:
    """The rows that hold what the other side said, in a response where there is a status."""
    party = Party(CALLEE, receiver, "", "")
    draft: Draft = request_draft(party, came, "1 2 INVITE")
    if status:
        draft = ResponseDraft(party, ResponseHead(came, "192.0.2.12", 5060), status, "", came)
    return [line for row in crossing_rows(rows, draft) for line in row.split("\r\n")]


def passing(*names: str) -> PeerSettings:
    return PeerSettings("b", (), (), pass_headers=names)


# -- what crosses ------------------------------------------------------------------------------------------------------


def test_how_a_row_is_made_says_whether_it_is_searched() -> None:
    """Decision 7: not what is ours or the receiver's own, but all that is copied."""
    rows = [row for table in (*TABLES.values(), REFUSED, MESSAGE_DELIVERED) for row in table.table]
    assert {row.how for row in rows} == {NEW, OWN, TRANSLATED, CHECKED}
    assert {row.source for row in rows if row.how in (NEW, OWN)} == {OURS}
    assert OURS not in {row.source for row in rows if row.how == CHECKED}


@pytest.mark.parametrize("row", HOSTILE_ROWS)
def test_what_is_not_listed_stays_behind(row: str) -> None:
    for spelling in (row, row.upper(), row.replace(":", " \t:", 1)):
        for (_, _, kind), rows in TABLES.items():
            for status in STATUSES[kind]:
                assert crossing_lines(message(spelling), rows, PEER, status) == []


def test_all_at_once_and_all_allowed_fields_hold_no_text_of_the_sender() -> None:
    rows = [row for row in HOSTILE_ROWS if not row.startswith("Content-Disposition")]
    sent = message(
        *rows,
        f"Supported: 100rel, {A}, timer",
        f"k: {A}",
        "Require: precondition",
        f"Session-Expires: 1800;refresher=uac;x={A}",
        f"Min-SE: 90;x={A}",
        "RSeq: 7",
        f"Retry-After: 5 ({A});duration={A}",
    )
    assert crossing_lines(sent, ALL, PEER) == [
        "Supported: 100rel, timer",
        "Require: precondition",
        "Session-Expires: 1800;refresher=uac",
        "Min-SE: 90",
        "RSeq: 7",
        "Retry-After: 5",
    ]


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ("Supported: 100rel", ["Supported: 100rel"]),
        ("k: TIMER,100REL", ["Supported: 100rel, timer"]),
        ("supported : precondition ,  timer", ["Supported: timer, precondition"]),
        ("Supported: timer\r\nSupported: replaces\r\nk: 100rel", ["Supported: 100rel, timer"]),
        ("Supported:", []),
        ("Supported: gruu, path", []),
        ('Supported: "timer', []),
        ("Supported: timer;x=1", []),
        ("Supported: " + "x," * 500 + "timer", ["Supported: timer"]),
        ("Session-Expires: 1800", ["Session-Expires: 1800"]),
        ("x: 90 ; Refresher = UAS", ["Session-Expires: 90;refresher=uas"]),
        ("Session-Expires:\t1800\t;\trefresher=uac", ["Session-Expires: 1800;refresher=uac"]),
        ("Session-Expires: 1800;foo=1;refresher=uas", ["Session-Expires: 1800;refresher=uas"]),
        ("Session-Expires: 1800;refresher=me", ["Session-Expires: 1800"]),
        ("Session-Expires: 1800;xrefresher=uac", ["Session-Expires: 1800"]),
        ("Session-Expires: 007200", ["Session-Expires: 7200"]),
        ("Session-Expires: 4294967295", ["Session-Expires: 99999999"]),
        ("Min-SE: 2088888888", ["Min-SE: 99999999"]),
        ("Retry-After: 120", ["Retry-After: 120"]),
        ("Retry-After: 18000;duration=3600", ["Retry-After: 18000"]),
        ("Retry-After: 120 (I'm in a meeting; call later)", ["Retry-After: 120"]),
        ("RSeq: 4294967295", ["RSeq: 4294967295"]),
    ],
)
def test_written_anew(row: str, expected: list[str]) -> None:
    assert crossing_lines(message(row), ALL, PEER) == expected


@pytest.mark.parametrize(
    "row",
    [
        "Session-Expires: soon",
        "Session-Expires:",
        "Session-Expires: -1",
        "Session-Expires: 1_800",
        "Session-Expires: 4294967296",
        "Session-Expires: １８００",
        "Session-Expires: 1800 x",
        "Min-SE: +90",
        "Retry-After: (now)",
        "RSeq: 1 2",
        "RSeq: 0x7",
    ],
)
def test_malformed_field_does_not_cross(row: str) -> None:
    with pytest.raises(RemoteSipError):
        crossing_lines(message(row), ALL, PEER)


@given(st.text(st.characters(codec="utf-8", exclude_characters="\r\n\0"), max_size=60), st.sampled_from(COUNTED))
def test_rows_of_allowed_fields_are_of_a_known_shape(value: str, name: str) -> None:
    """Whatever a field holds, what crosses of it is one of a few words and a number."""
    try:
        rows = crossing_lines(message(f"{name}: {value}"), ALL, PEER)
    except RemoteSipError:
        return
    assert len(rows) <= 1
    for row in rows:
        rest = row.removeprefix(f"{name}: ")
        for word in ("100rel", "timer", "precondition", ";refresher=uac", ";refresher=uas", ", "):
            rest = rest.replace(word, "")
        assert row.startswith(name) and (rest == "" or (rest.isascii() and rest.isdigit() and len(rest) <= 10))


def test_sdp_and_numbers_cross_where_the_table_says() -> None:
    """A field that one kind of message carries does not cross in another."""
    sent = message("Supported: timer", "Session-Expires: 90", "Min-SE: 91", "RSeq: 1", "Retry-After: 2")
    offer = ["Supported: timer", "Session-Expires: 90", "Min-SE: 91"]
    failure = ["Min-SE: 91", "Retry-After: 2"]
    expected: dict[tuple[str, int], list[str]] = {
        ("first INVITE", 0): offer,
        ("INVITE", 0): offer,
        ("UPDATE", 0): offer,
        ("INVITE", 1): ["Supported: timer", "RSeq: 1"],
        ("INVITE", 2): ["Supported: timer", "Session-Expires: 90"],
        ("UPDATE", 2): ["Supported: timer", "Session-Expires: 90"],
        ("PRACK", 2): ["Supported: timer"],
        ("INFO", 2): ["Supported: timer"],
        **{(method, status): failure for method in ("INVITE", "UPDATE", "PRACK", "INFO") for status in (4, 5, 6)},
        **{(method, status): ["Retry-After: 2"] for method in ("REFER", "NOTIFY") for status in (4, 5, 6)},
    }
    for (_, method, kind), rows in TABLES.items():
        for status in STATUSES[kind]:
            assert crossing_lines(sent, rows, PEER, status) == expected.get((method, kind), []), (method, status)


# -- pass_headers ------------------------------------------------------------------------------------------------------


def test_passed_header_crosses_as_it_stands() -> None:
    sent = message("X-Order: Käse  \t 1", "x-order : 2, 3", "X-Other: 4", "X-OrderX: 5")
    assert crossing_lines(sent, NONE, passing("X-Order")) == ["X-Order: Käse  \t 1", "X-Order: 2, 3"]
    assert crossing_lines(sent, NONE, PEER) == []


@pytest.mark.parametrize("control", ["\0", "\x01", "\n", "\r", "\x0b", "\x1b", "\x7f", "\x85", "\u2028", "\u2029"])
def test_passed_header_with_a_control_character_stays_behind(control: str) -> None:
    """Conformance 84. The parser refuses some of them already; the gate does not lean on it."""
    sent = message("X-Order: bad", "X-Order: good")
    sent.lines[sent.lines.index("X-Order: bad")] = f"X-Order: a{control}b"
    assert crossing_lines(sent, NONE, passing("X-Order")) == ["X-Order: good"]


@pytest.mark.parametrize("name", ["Via", "From", "Contact", "Call-ID", "Route", "Record-Route", "P-Asserted-Identity"])
def test_fields_of_the_protocol_are_not_passed_whatever_is_configured(name: str) -> None:
    rows = message("Route: <sip:r>", "Record-Route: <sip:r>", "P-Asserted-Identity: <sip:a@x>")
    assert crossing_lines(rows, NONE, passing(name, name.lower())) == []


@given(st.text(st.characters(exclude_categories=("Cs",)), max_size=40))
def test_no_value_makes_another_row(value: str) -> None:
    """Whatever the parser takes, a row stays a row (A12)."""
    try:
        sent = message(f"X-Order: {value}")
    except RemoteSipError:
        return
    rows = crossing_lines(sent, NONE, passing("X-Order"))
    built = build(INVITE, request_draft(Party(CALLEE, passing("X-Order"), "", ""), sent))
    plain = build(INVITE, request_draft(Party(CALLEE, PEER, "", ""), sent))
    assert len(rows) <= 1 and len(built.decode().splitlines()) == len(plain.decode().splitlines()) + len(rows)


def test_reason() -> None:
    assert reason_line(17) == "Reason: Q.850;cause=17"
