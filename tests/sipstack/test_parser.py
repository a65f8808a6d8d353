"""What the parser takes and refuses, row by row, and what an error can be answered with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import pytest

from sipstack import headers as h
from sipstack import limits
from sipstack.grammar import TOKEN
from sipstack.parser import parse
from sipstack.uri import OtherUri, SipUri, TelUri
from tests.sipstack.parser_rows import RESPONSE, ROWS, answered, refused, written

# ------------------------------------------------------------------ refused: which row, and with what status

REFUSED: Final[dict[str, tuple[str | None, ...]]] = {
    "start": (
        "INVITE", "INVITE sip:u@h", "INVITE sip:u@h SIP/2.0 ", " INVITE sip:u@h SIP/2.0", "INVITE  sip:u@h SIP/2.0",
        "INVITE sip:u@h  SIP/2.0", "INVITE\tsip:u@h\tSIP/2.0", "INVITE sip:u@h\tSIP/2.0", "INVITE <sip:u@h> SIP/2.0",
        "INVITE sip:u@h; lr SIP/2.0", "INVITE u@h SIP/2.0", "INVITE * SIP/2.0", "INVITE x:\u5f20 SIP/2.0",
        "INVITE tel:1;a=\u5f20 SIP/2.0", "INVITE x:\udcff SIP/2.0", "INVITE sip:u@h;a=1;a=2 SIP/2.0",
        "INVITE sip:u@h:0 SIP/2.0", "INVITE sip:u@h?Route=x SIP/2.0", "INVITE sip:u@[:::1] SIP/2.0",
        "INVITE sip:u\u0661@h SIP/2.0", "INVITE sip:u@h HTTP/1.1", "INVITE sip:u@h SIP", "INV:ITE sip:u@h SIP/2.0",
        "INV\u0130TE sip:u@h SIP/2.0", "IN(VITE sip:u@h SIP/2.0", '"INVITE" sip:u@h SIP/2.0', "invite sip:u@h SIP/2.0",
        "INVITE\u00a0sip:u@h SIP/2.0", "INVITE sip:u@h\x0b SIP/2.0", "INVITE sip:\x00@h SIP/2.0",
        "INVITE sip:u@h\x85 SIP/2.0", "INVITE sip:u@h \x1cSIP/2.0", "INVITE sip:u@h\r\n SIP/2.0",
        "INVITE\r\n sip:u@h SIP/2.0", "INVITE sip:u@h SIP/2.0\r\n \t", "INVITE sip:u@h SIP/2.0\rX: y",
        "INVITE sip:u@h SIP/2.0\nX: y", 'INVITE sip:"\\\x00"@h SIP/2.0',
    ),
    "Via": (
        None, "Via", "Via:", "Via: ,", "Via: SIP/2.0/UDP h,", "Via: SIP/2.0/UDP h;;branch=a", "Via: SIP/7.0/UDP h",
        "Via: SIP/2.0/UDP h:99999", "Via: HTTP/1.1/TCP h", "Via: SIP/2.0/UDP h;branch=a;branch=b",
        'Via: SIP/2.0/UDP h;branch="a b"', "Via: SIP/2.0/UDP h;branch", 'Via: SIP/2.0/UDP h;x="\\\x00"',
        "Via: SIP/2.0/UDP h\r\nh", "Via : SIP/2.0/UDP h i", "Via:" + " SIP/2.0/UDP h," * 128 + "SIP/2.0/UDP h",
    ),
    "Max-Forwards": (
        "Max-Forwards:", "Max-Forwards: 256", "Max-Forwards: 300", "Max-Forwards: -1", "Max-Forwards: +1",
        "Max-Forwards: 1_0", "Max-Forwards: 7\u0660", "Max-Forwards: 70;a", "Max-Forwards: 7 0",
        "Max-Forwards: 70\r\nMAX-FORWARDS: 70", "Max-Forwards: " + "9" * 5000,
    ),
    "From": (
        None, "From:", "From: bob", "From: <sip:a@h", 'From: "a <sip:a@h>', "From: <sip:a@h>, <sip:b@h>",
        "From: sip:a@h, sip:b@h", "From: sip:a@h;tag=1, sip:b@h", "From: a > b <sip:a@h>",
        "From: <sip:a@h>;tag=1;tag=2", "From: <sip:a@h>;TAG=1;x;tag=1", "From: <sip:a@h>;tag",
        'From: <sip:a@h>;tag="1"', 'From: <sip:a@h>;tag="1 2"', "From: <sip:a@h>;tag=", "From: <sip:a@h>;tag=1 2",
        "From: <sip:a@h>;tag=\u212a", "From: <sip:a@h> x", "From: < sip:a@h>", "From: sip:a@h?x=y",
        "From: <sip:a@h>\r\nf: <sip:a@h>", "From: <sip:a@h>;tag=1\r\nFROM : <sip:a@h>;tag=1", 'From: "\x00" <sip:a@h>',
        'From: "\\\r" <sip:a@h>', 'From: "\\\n" <sip:a@h>', "From: \\\x00<sip:a@h>", "From: <sip:a@h>\x0b;tag=1",
        "From: <sip:\x07@h>", "From: x,y <sip:a@h>",
    ),
    "To": (
        None, "To:", "To: <sip:a@h>\r\nt: <sip:a@h>", "To: <sip:b@h>;tag=1;tag=1", "To: <sip:b@h>;tag",
        'To: <sip:b@h>;tag=""', "To: <sip:b@h>, <sip:c@h>", "To: sip:b@h;;", "To: <sip:b@h>;tag=1,",
    ),
    "Call-ID": (
        None, "Call-ID:", "Call-ID: a b", "Call-ID: a\tb", "Call-ID: a, b", "Call-ID: \u212a", "Call-ID: a\x0b",
        "Call-ID: a\x85", "Call-ID: a\u2028b", "Call-ID: a\r\ni: a", "Call-ID: a\r\n b", "Call-ID: \udcff",
    ),
    "CSeq": (
        None, "CSeq:", "CSeq: 7", "CSeq: INVITE", "CSeq: 7 invite", "CSeq: 7 BYE", "CSeq: 7 INVITE, 8 INVITE",
        "CSeq: 2147483648 INVITE", "CSeq: +7 INVITE", "CSeq: 1_0 INVITE", "CSeq: \u0667 INVITE", "CSeq: 7\x0bINVITE",
        "CSeq: 7 INVITE\x1c", "CSeq: 7 INVITE\r\ncseq: 7 INVITE", f"CSeq: {'9' * 5000} INVITE", "CSeq: 7 \r\n BYE",
    ),
    "Content-Length": (
        "Content-Length:", "Content-Length: -1", "Content-Length: +2", "Content-Length: 1e1", "Content-Length: 0x2",
        "Content-Length: 2 2", "Content-Length: 2, 2", "Content-Length: 2;a", "Content-Length: \u0662",
        "Content-Length: 3", "Content-Length: 4294967298", "Content-Length: 18446744073709551618",
        "Content-Length: 2\r\nContent-Length: 2", "Content-Length: 2\r\nl : 2",
        "Content-Length: 2\r\nContent-Length\t: 0", "Content-Length: 2\x0b", "Content-Length: 2\x00",
        "Content-Length:\x1c2", "Content-Length: 2\n", "Content-Length: \u00a02", "Content-Length: 2\x85",
        f"Content-Length: {'9' * 5000}",
    ),
    "more": (
        "Xa", "Xa\r\n : b", "Xa\r\n\t: b", "Xa: b\r\nVia\r\n : SIP/2.0/UDP i", "Route \r\n \r\n :x", "X-More", ": a",
        " : a", "X Y: a", "X\u212a: a", "X\x0b: a", "X\x00: a", "X\u00a0: a", "(X): a", '"X": a', "X\\: a", "X/: a",
        "Content-Type: a\r\nc: a", "Content-Encoding: identity\r\nContent-Encoding: gzip", "Contact: <sip:a@h",
        "Contact: <sip:a@h>, ", "Contact: ,<sip:a@h>", "Contact:", "Contact: sip:a@h?x=y", "Contact: *, *,",
        "Contact: <sip:a@h>\r\nm: bob", "Contact: <sip:a@h>" + ", <sip:a@h>" * 128, "Xa: a\x00b", "Xa: a\x0bb",
        "Xa: a\x0cb", "Xa: a\x1cb", "Xa: a\x1fb", "Xa: a\x7fb", "Xa: a\rb", "Xa: a\nb", "Xa: a\rY: b", "Xa: a\nTo: b",
        'Xa: "\\\x00"', 'Xa: "\\\r"', "Xa: a\r\r\n b", 'Contact: "\\\x00" <sip:a@h>',
        "Content-Disposition: a\r\nContent-Disposition: b", "RSeq: 1\r\nRSeq: 2", "RAck: 1 1 A\r\nRAck: 2 2 B",
        "Session-Expires: 90\r\nx: 91", "Min-SE: 90\r\nMin-SE: 91", "Retry-After: 1\r\nRetry-After: 2",
        "Timestamp: 1\r\nTimestamp: 2", "P-Asserted-Identity: " + "," * 128,
    ),
}  # fmt: skip

CASES: Final = [(name, row) for name, rows in REFUSED.items() for row in rows]


@pytest.mark.parametrize(("name", "row"), CASES, ids=lambda value: ascii(value)[:60])
def test_refused(name: str, row: str | None) -> None:
    error = refused(written(**{name: row}))
    assert error.status_hint == 400
    assert (error.message is not None) is can_be_answered(name, row)


CASES_OF_ACK: Final = [(name, row) for name, row in CASES if name not in ("start", "CSeq")]


@pytest.mark.parametrize(("name", "row"), CASES_OF_ACK, ids=lambda value: ascii(value)[:60])
def test_an_ack_is_never_answered(name: str, row: str | None) -> None:
    rows = {"start": "ACK sip:u@h SIP/2.0", "CSeq": "CSeq: 7 ACK", name: row}
    assert refused(written(**rows)).message is None


def can_be_answered(name: str, row: str | None) -> bool:
    """All but what has no Via (readable as a header line), and start lines that do not begin with a method."""
    if name == "Via":
        return row is not None and ":" in row and "\x00" not in row
    method = (row or "").partition("\r\n")[0].partition(" ")[0]
    return name != "start" or TOKEN.fullmatch(method) is not None


OTHER_VERSIONS: Final = ("SIP/3.0", "SIP/2.1", "sip/2", "SIP/", "\u017fIP/2.0", "S\u0131P/2.0", "SIP/\uff12.0")


@pytest.mark.parametrize("version", OTHER_VERSIONS, ids=ascii)
def test_other_versions(version: str) -> None:
    error = refused(written(start=f"INVITE sip:u@h {version}"))
    assert (error.status_hint, error.message is not None) == (505, True)


BAD_STATUS_LINES: Final = (
    "SIP/2.0 ", "SIP/2.0", "SIP/2.0 20 OK", "SIP/2.0 2000 OK", "SIP/2.0 099 x", "SIP/2.0 99 x", "SIP/2.0 700 x",
    "SIP/2.0 000 x", "SIP/2.0 +20 x", "SIP/2.0 2_0 x", "SIP/2.0 \u0662\u0660\u0660 x", "SIP/2.0 200OK",
    "SIP/2.0  200 OK", "SIP/2.0\t200 OK", "SIP/2.0 200\tOK", "SIP/2.0 4294967301 x", "SIP/3.0 200 OK",
    "SIP/2.0 200 O\x00K", "SIP/2.0 200 O\nK", 'SIP/2.0 200 "\\\x00"', "\u017fIP/2.0 200 OK", "S\u0131P/2.0 200 OK",
    "SIP/2.0 200\r\n OK", "HTTP/1.1 200 OK", "SIP/2.0 \uff12\uff10\uff10 OK",
)  # fmt: skip


@pytest.mark.parametrize("start", BAD_STATUS_LINES, ids=ascii)
def test_nobody_is_told_of_a_bad_response(start: str) -> None:
    assert refused(written(start=start)).message is None


FOR_REQUESTS: Final = ("start", "Max-Forwards")  # as are Contact, P-Asserted-Identity and the method of CSeq
OTHER_METHODS: Final = ("CSeq: 7 invite", "CSeq: 7 BYE", "CSeq: 7 \r\n BYE")
CASES_OF_RESPONSES: Final = [(name, row) for name, row in CASES if name not in FOR_REQUESTS]


@pytest.mark.parametrize(("name", "row"), CASES_OF_RESPONSES, ids=lambda value: ascii(value)[:60])
def test_responses_are_refused_as_requests_are(name: str, row: str | None) -> None:
    data = written(**{name: row, "start": RESPONSE})
    if row in OTHER_METHODS or (row is not None and row.startswith(("Contact", "P-Asserted")) and "\x00" not in row):
        assert parse(data).status == 200
    else:
        assert refused(data).message is None


# ------------------------------------------------------------------ taken, and read as what

TAKEN: Final = (
    ("start", "INVITE sip:u@h sip/2.0"), ("start", "INVITE sip:u@h Sip/2.0"),
    ("Via", "v: SIP/2.0/UDP h:5070;branch=z9hG4bKa"),
    ("Via", "VIA\t : SIP / 2.0 / udp\t h : 05070 ; BRANCH = z9hG4bKa"),
    ("Via", "Via:\r\n SIP/2.0/UDP\r\n\th:5070;\r\n branch=z9hG4bKa,\r\n SIP/2.0/UDP i"),
    ("Via", "Via: SIP/2.0/UDP h:5070;branch= z9hG4bKa"), ("From", "f:<sip:a@h>;tag=1"),
    ("From", "From: sip:a@h;tag= 1"), ("From", "From: <sip:a@h>;Tag=1"),
    ("From", 'From: "a > b, <sip:x@y>;tag=2 \\" \\\\" <sip:a@h>;tag=1'),
    ("From", 'From: "\\\x00\\\x0b\\\x7f" <sip:a@h>;x="\\\x07";tag=1'),
    ("From", 'From: "\u5f20\u2028\x85\u212a\udcff" <sip:a@h>;tag=1'), ("From", "From: <sip:a@h;tag=2>;tag=1"),
    ("From", "From: <urn:x:y> ;x=[::1] ;tag=1"), ("CSeq", "CSeq: 0000000007\t INVITE"),
    ("CSeq", "cseq : 7\r\n\t INVITE"), ("Call-ID", "i: x@y"), ("Max-Forwards", "Max-Forwards: 0070"),
    ("Content-Length", "Content-Length : 2"), ("Content-Length", "l\t:\t002"), ("Content-Length", None),
    ("more", "X-!%*_+`'~.9: \u5f20\u2028\udcff \\ \" ;,<"), ("more", "Xa:"), ("more", "Contact: *"),
    ("more", 'Contact: "a,b" <sip:a@h?x=y>;q=1, sip:b@h\r\nm:<tel:1>'), ("more", "Xa: 1\r\nXa: 2\r\nContent-Type: a/b"),
    ("more", "Xa: a\r\n \r\n\t\r\n b"), ("more", "Xa:\r\n b\r\n c: d\r\n e"),
)  # fmt: skip


@pytest.mark.parametrize(("name", "row"), TAKEN, ids=lambda value: ascii(value)[:40])
def test_taken(name: str, row: str | None) -> None:
    message = parse(b"\r\n\n\r" + written(**{name: row}))
    via = message.top_via
    assert via is not None
    assert (message.method, message.cseq, message.call_id, message.from_tag, message.to_tag) == (
        "INVITE",
        7,
        "x@y",
        "1",
        "",
    )
    assert (via.sent_by, via.branch, via.transport) == ("h:5070", "z9hG4bKa", "UDP")
    assert (message.max_forwards(), message.body, message.uri_text) == (70, b"ab", "sip:u@h")


def test_folded_lines_are_one_line() -> None:
    message = parse(written(more="Xa: a \t\r\n \tb\r\n\t \r\n c\r\nXb:d\r\n  \r\n\t"))
    assert (message.named("Xa"), message.named("Xb")) == (["a b c"], ["d"])
    assert [line for line in message.lines if line.startswith("X")] == ["Xa: a b c", "Xb:d "]


BODIES: Final = (
    (b"abc", None, b"abc"),
    (b"abc", "0", b""),
    (b"abc", "2", b"ab"),
    (b"abc", "3", b"abc"),
    (b"\r\n\r\n\0", "5", b"\r\n\r\n\0"),
    (b"", None, b""),
)


@pytest.mark.parametrize(("body", "length", "read"), BODIES)
def test_body(body: bytes, length: str | None, read: bytes) -> None:
    row = None if length is None else f"Content-Length: {length}"
    assert parse(written(body, Content_Length=row)).body == read


def test_rfc_2543_peers() -> None:
    message = parse(written(Via="Via: SIP/2.0/UDP h", Max_Forwards=None, From="From: sip:a@h", Content_Length=None))
    assert message.top_via is not None
    assert (message.top_via.branch, message.from_tag, message.max_forwards(), message.body) == ("", "", None, b"ab")


URIS: Final = (
    ("sip:h", SipUri),
    ("SIPS:u@[::1]", SipUri),
    ("tel:+86138;phone-context=+86", TelUri),
    ("urn:a:b", OtherUri),
    ("x:!#$%&'()*+,-./:;=?@[\\]^_`{|}~", OtherUri),
)


@pytest.mark.parametrize(("uri", "kind"), URIS)
def test_request_uri(uri: str, kind: type) -> None:
    message = parse(written(start=f"INVITE {uri} SIP/2.0"))
    assert isinstance(message.uri, kind)
    assert message.uri_text == uri


STATUS_LINES: Final = (
    ("SIP/2.0 200 OK", 200, "OK"),
    ("sip/2.0 100", 100, ""),
    ("SIP/2.0 699 ", 699, ""),
    ("SIP/2.0 183  a\t\u5f20 ", 183, " a\t\u5f20 "),
)


@pytest.mark.parametrize(("start", "status", "reason"), STATUS_LINES)
def test_status_line(start: str, status: int, reason: str) -> None:
    message = parse(written(start=start))
    assert (message.status, message.reason, message.method) == (status, reason, "INVITE")
    assert (message.uri, message.uri_text) == (None, "")


# ------------------------------------------------------------------ what an error can be answered with


def test_an_answer_copies_what_stands() -> None:
    answer = answered(
        written(
            more="i : second\r\nX \x0b: 1\r\nVia:\tSIP/2.0/TCP i, SIP/2.0/TCP j",
            From='From:\t"\u5f20\u3000\udcff"\r\n <sip:a@h>;tag=1',
        )
    )
    assert answer.values(h.VIA) == [
        "SIP/2.0/UDP h:5070;branch=z9hG4bKa;received=192.0.2.99",
        "SIP/2.0/TCP i, SIP/2.0/TCP j",
    ]
    assert answer.value(h.FROM) == '"\u5f20\u3000\udcff" <sip:a@h>;tag=1'
    assert (answer.status, answer.call_id, answer.cseq, answer.from_tag) == (400, "x@y", 7, "1")
    assert len(answer.to_tag) == 12


@pytest.mark.parametrize("case", [str, str.upper, str.lower, str.title])
def test_an_answer_copies_any_spelling(case: Callable[[str], str]) -> None:
    rows = {
        name: case(name) + "\t " + ROWS[name].removeprefix(name) for name in ("Via", "From", "To", "Call-ID", "CSeq")
    }
    short = {
        name: case(name[0] if name != "Call-ID" else "i") + ROWS[name].removeprefix(name)
        for name in rows
        if name != "CSeq"
    }
    for spelled in (rows, short):
        answer = answered(written(**spelled, more="Xa"))
        assert (answer.call_id, answer.cseq, answer.from_tag) == ("x@y", 7, "1")


def test_a_line_too_long_is_not_copied() -> None:
    error = refused(written(From="From: <sip:a@h>;x=" + "a" * limits.MAX_LINE_CHARS))
    assert error.message is not None
    assert error.message.lines == [ROWS["Via"], ROWS["To"], ROWS["Call-ID"], ROWS["CSeq"]]


def test_an_answer_leaves_a_to_tag_alone() -> None:
    assert answered(written(To="To: <sip:b@h>;tag=mine", more="Xa")).to_tag == "mine"


def test_no_control_character_is_echoed() -> None:
    error = refused(written(Call_ID="Call-ID: a\rb", To="To: <sip:b@h>\x0b", more="Xa"))
    assert error.message is not None
    assert error.message.lines == [ROWS["Via"], ROWS["From"], ROWS["CSeq"]]
