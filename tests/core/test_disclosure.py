"""The gate: which parts of what leaves are searched for a number, and which are not."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from engine.core.disclosure import CHECKED, NEW, VARIOUS, LeakStopped, Party, ResponseDraft, Row, Rows, build
from engine.core.pair import CALLEE, CALLER
from sipstack.response import ResponseHead
from sipstack.sdp import CONTENT_TYPE as SDP
from tests.core.gate import BY_NAME, PEER, A, message, request_draft

SDP_BODY = b"v=0\r\no=- 200000001 200000001 IN IP4 203.0.113.7\r\ns=-\r\nc=IN IP4 192.0.2.12\r\nt=0 0\r\n"


def stuffed(start_line: str, own: str, crossing: list[str]) -> Rows:
    """A table of constant rows: a start line, one of ours, those that are searched, and Content-Type."""
    return Rows(
        Row("start", NEW, lambda draft: start_line),
        Row("own", NEW, lambda draft: own),
        *(Row("crossing", CHECKED, lambda draft, row=row: row, VARIOUS) for row in crossing),
        BY_NAME["Content-Type"],
    )


def request_for(hidden: str, crossing: list[str], body: bytes = b"", content_type: str = "", own: str = "") -> bytes:
    draft = request_draft(Party(CALLEE, PEER, hidden, ""), message())
    draft.body, draft.content_type = body, content_type
    return build(stuffed("INVITE sip:b@h SIP/2.0", own or "Via: x", crossing), draft)


def response_for(hidden: str, crossing: list[str], body: bytes = b"", content_type: str = "", own: str = "") -> bytes:
    head = ResponseHead(message(), "192.0.2.12", 5060)
    draft = ResponseDraft(Party(CALLER, PEER, hidden, ""), head, 200, "t", message())
    draft.body, draft.content_type = body, content_type
    _, *rows = stuffed("", own or "Allow: x", crossing).table
    return build(Rows(BY_NAME["Status-Line, Via, From, To, Call-ID, CSeq"], *rows), draft)


BUILDERS = pytest.mark.parametrize("build", [request_for, response_for])


@BUILDERS
def test_number_in_a_crossing_row_is_stopped(build: type[request_for]) -> None:
    for row in (
        f"X-Order: {A}",
        "X-Order: +86 138-0013-8000",
        "X-Order: %31%33800138000",
        "X-Order: １３８００１３８０００",
    ):
        with pytest.raises(LeakStopped):
            build(A, [row])
        assert row.encode() in build("13900139000", [row])


@BUILDERS
def test_number_in_a_body_is_stopped(build: type[request_for]) -> None:
    description = SDP_BODY + b"a=ssrc:1 cname:13800138000\r\n"
    for body, content_type in ((b"call 138 0013 8000", "text/plain"), (description, SDP), (b"13800138000", "x/y")):
        with pytest.raises(LeakStopped):
            build(A, [], body, content_type)
        assert build("13900139000", [], body, content_type).endswith(body)


@BUILDERS
def test_own_rows_are_not_searched(build: type[request_for]) -> None:
    """What the receiver wrote itself comes back to it, number or not: no echo tells whose number it is."""
    assert f"To: <sip:{A}@h>".encode() in build(A, [], own=f"To: <sip:{A}@h>")


def test_echoes_in_a_response_are_not_searched() -> None:
    """Via, From, To, Call-ID and CSeq of the request, all of them full of the number."""
    data = response_for(A, [])
    assert data.count(A.encode()) >= 4


@BUILDERS
def test_unknown_number_hides_nothing(build: type[request_for]) -> None:
    assert A.encode() in build("", [f"X-Order: {A}"])


@BUILDERS
def test_content_type_stands_with_a_body_only(build: type[request_for]) -> None:
    assert b"Content-Type: text/plain\r\n" in build(A, [], b"x", "text/plain")
    assert b"Content-Type" not in build(A, [], b"", "text/plain")


@pytest.mark.parametrize("number", ["1800", "120", "110", "10086", "12345", "95588"])
@BUILDERS
def test_short_number_is_not_seen_in_counts(build: type[request_for], number: str) -> None:
    """110 is the police, and a payload type; 120 the ambulance, and seconds."""
    rows = [f"Session-Expires: {number}", f"Min-SE: {number}", f"RSeq: {number}", f"Retry-After: {number}"]
    body = SDP_BODY + f"m=audio {number} RTP/AVP {number}\r\na=rtpmap:{number} x/{number}\r\n".encode()
    assert body in build(number, rows, body, SDP)
    for row in (f"X-Order: {number}", f"X-Order: <tel:+86{number}>"):
        with pytest.raises(LeakStopped):
            build(number, [*rows, row], body, SDP)
    with pytest.raises(LeakStopped):
        build(number, rows, f"call {number}".encode(), "text/plain")


def test_neighbours_in_a_description_are_let_through() -> None:
    """18114115116 is a mobile number, and four payload types of every browser."""
    body = SDP_BODY + b"m=video 6 UDP/TLS/RTP/SAVPF 123 118 114 115 116\r\n"
    assert body in request_for("18114115116", [], body, SDP)
    with pytest.raises(LeakStopped):
        request_for("18114115116", ["X-Order: 118 114 115 116"], body, SDP)
    with pytest.raises(LeakStopped):
        request_for("18114115116", [], body, "text/plain")


@given(st.from_regex(r"1[3-9][0-9]{9}", fullmatch=True), st.text("0123456789 -abc:;", max_size=30))
def test_what_is_built_holds_the_number_or_raises(number: str, text: str) -> None:
    assume(text.strip() == text)
    value = f"{text}{number}{text}"
    with pytest.raises(LeakStopped):
        request_for(number, [f"X-Order: {value}"])
    without = request_for(number, [f"X-Order: {text}"]) if number not in text.replace(" ", "").replace("-", "") else b""
    assert number.encode() not in without
