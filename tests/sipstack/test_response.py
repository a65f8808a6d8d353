"""Answers: what is copied from the request, what is added once, and where they go."""

from __future__ import annotations

from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipstack import headers as h
from sipstack.events import Flow
from sipstack.message import Message
from sipstack.parser import parse
from sipstack.response import REASON_PHRASES, ResponseHead, reason_phrase, response_flow
from tests.sipstack.generated_messages import MESSAGES, SPELLINGS, Spelling, Written

REQUEST: Final = """\
INVITE sip:700123456789012@node.example SIP/2.0
v: SIP/2.0/UDP h:5070;branch=z9hG4bKa;rport ,SIP/2.0/TCP i
Record-Route: <sip:r;lr>
f : "A" <sip:a@h>;tag=1
VIA: SIP/2.0/UDP j
TO:  sip:b@h{to_tag}
i: x@y
cseq: 7   INVITE
Timestamp: 54.1
Contact: <sip:a@h>
Subject: secret
Content-Length: 3

abc"""

COPIED: Final = [
    "Via: SIP/2.0/UDP h:5070;branch=z9hG4bKa;rport=5099;received=192.0.2.99 ,SIP/2.0/TCP i",
    "Via: SIP/2.0/UDP j",
    'From: "A" <sip:a@h>;tag=1',
    "To: sip:b@h",
    "Call-ID: x@y",
    "CSeq: 7   INVITE",
]


def request(to_tag: str = "") -> Message:
    return parse(REQUEST.format(to_tag=to_tag).replace("\n", "\r\n").encode())


def head(to_tag: str = "") -> ResponseHead:
    return ResponseHead(request(to_tag), "192.0.2.99", 5099)


def lines(data: bytes) -> list[str]:
    start, end, body = data.partition(b"\r\n\r\n")
    assert (end, body) == (b"\r\n\r\n", b"")
    return start.decode().split("\r\n")


def test_copies_and_nothing_else() -> None:
    assert lines(head().build(404)) == ["SIP/2.0 404 Not Found", *COPIED, "Content-Length: 0"]


@pytest.mark.parametrize("status", [100, 180, 183, 200, 302, 486, 500, 603])
def test_timestamp_stands_on_100_only(status: int) -> None:
    found = [line for line in lines(head().build(status)) if line.startswith("Timestamp")]
    assert found == (["Timestamp: 54.1"] if status == 100 else [])


def test_no_timestamp_where_there_was_none() -> None:
    data = REQUEST.format(to_tag="").replace("Timestamp: 54.1\n", "").replace("\n", "\r\n").encode()
    message = parse(data)
    assert lines(ResponseHead(message, "192.0.2.99", 5099).build(100)) == [
        "SIP/2.0 100 Trying",
        *COPIED,
        "Content-Length: 0",
    ]


@pytest.mark.parametrize(
    ("to_tag", "ours", "row"),
    [
        ("", "new", "To: sip:b@h;tag=new"),
        ("", "", "To: sip:b@h"),
        (";tag=old", "new", "To: sip:b@h;tag=old"),
        (";tag=old", "", "To: sip:b@h;tag=old"),
        (" ; x=1 ; TAG = old", "new", "To: sip:b@h ; x=1 ; TAG = old"),
        (';x=";tag=1"', "new", 'To: sip:b@h;x=";tag=1";tag=new'),
    ],
)
def test_to_tag_stands_once(to_tag: str, ours: str, row: str) -> None:
    made = head(to_tag)
    for _ in range(2):
        built = lines(made.build(200, ours))
        assert [line for line in built if line.startswith("To")] == [row]
    assert made.has_to_tag is ("old" in to_tag)


def test_answers_of_one_head_do_not_meet() -> None:
    made = head()
    first = made.build(180, "one", ["Contact: <sip:x>", "RSeq: 1"])
    assert made.build(180, "two") == made.build(180, "two")
    assert lines(first)[-3:] == ["Contact: <sip:x>", "RSeq: 1", "Content-Length: 0"]
    assert b"Contact" not in made.build(180, "two")
    assert made.build(180, "one", ["Contact: <sip:x>", "RSeq: 1"]) == first


def test_rows_and_body_of_ours() -> None:
    data = head().build(200, "new", ["Contact: <sip:x>", "Content-Type: a/b"], b"v=0\r\n\r\n\xff")
    assert data.endswith(b"\r\nContent-Type: a/b\r\nContent-Length: 8\r\n\r\nv=0\r\n\r\n\xff")
    assert parse(data).body == b"v=0\r\n\r\n\xff"


def test_what_a_broken_request_lacks_is_left_out() -> None:
    message = Message(("", 0, ""), ["Via: what", "CSeq: x"], [h.VIA, h.CSEQ], b"")
    assert lines(ResponseHead(message, "192.0.2.99", 5099).build(400, "tag")) == [
        "SIP/2.0 400 Bad Request",
        "Via: what",
        "CSeq: x",
        "Content-Length: 0",
    ]


@given(MESSAGES, SPELLINGS, st.integers(100, 699), st.binary(max_size=20))
def test_an_answer_belongs_to_its_request(written: Written, spelling: Spelling, status: int, body: bytes) -> None:
    written = Written(**{**vars(written), "status": 0})
    asked = parse(written.write(spelling))
    answer = parse(ResponseHead(asked, "2001:db8::99", 5099).build(status, "fresh", body=body))
    assert (answer.status, answer.reason, answer.body) == (status, reason_phrase(status), body)
    assert (answer.method, answer.cseq, answer.call_id) == (asked.method, asked.cseq, asked.call_id)
    assert (answer.from_tag, answer.to_tag) == (asked.from_tag, asked.to_tag or "fresh")
    assert answer.top_via is not None and asked.top_via is not None
    assert (answer.top_via.branch, answer.top_via.sent_by) == (asked.top_via.branch, asked.top_via.sent_by)
    assert answer.top_via.param("received") == "2001:db8::99"
    assert answer.top_via.param("rport") == ("5099" if asked.top_via.asks_rport else None)
    assert (answer.values(h.FROM), answer.values(h.VIA)[1:]) == (asked.values(h.FROM), asked.values(h.VIA)[1:])


# ------------------------------------------------------------------ phrases


def test_phrases_are_ours() -> None:
    assert [reason_phrase(status) for status in (100, 200, 486, 513)] == [
        "Trying",
        "OK",
        "Busy Here",
        "Message Too Large",
    ]
    assert [reason_phrase(status) for status in (199, 299, 399, 499, 599, 699)] == [
        "Progress", "OK", "Redirect", "Request Failure", "Server Failure", "Global Failure",
    ]  # fmt: skip
    for status in range(100, 700):
        assert reason_phrase(status).replace("/", "").replace(" ", "").replace("-", "").isalpha()
    assert all(100 <= status < 700 for status in REASON_PHRASES)


# ------------------------------------------------------------------ where an answer goes (§18.2.2, RFC 3581 §4)

SOURCE: Final = Flow("UDP", "192.0.2.99", 5099)

FLOWS: Final = (
    ("h:5070;rport", SOURCE),
    ("h:5070;rport=1;received=203.0.113.9", SOURCE),
    ("h:5070", Flow("UDP", "192.0.2.99", 5070)),
    ("h", Flow("UDP", "192.0.2.99", 5060)),
    ("h:5099", SOURCE),
    ("203.0.113.9:5070;received=203.0.113.9;maddr=203.0.113.9", Flow("UDP", "192.0.2.99", 5070)),
    ('h:5070;x=";rport"', Flow("UDP", "192.0.2.99", 5070)),
    ("[2001:db8::1]:5071", Flow("UDP", "192.0.2.99", 5071)),
)


@pytest.mark.parametrize(("via", "flow"), FLOWS)
def test_response_flow(via: str, flow: Flow) -> None:
    message = parse(
        REQUEST.format(to_tag="").replace("h:5070;branch=z9hG4bKa;rport", via).replace("\n", "\r\n").encode()
    )
    assert response_flow(message, SOURCE) == flow


def test_an_answer_to_a_broken_via_goes_to_its_source() -> None:
    assert response_flow(Message(("", 0, ""), ["Via: what"], [h.VIA], b""), SOURCE) == SOURCE
    default = Flow("UDP", "192.0.2.99", 5060)
    message = parse(
        REQUEST.format(to_tag="").replace("h:5070;branch=z9hG4bKa;rport", "h").replace("\n", "\r\n").encode()
    )
    assert response_flow(message, default) is default
