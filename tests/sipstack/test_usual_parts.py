"""Descriptions as nearly every phone writes them: what is written in C takes exactly what the expressions take."""

from __future__ import annotations

import tracemalloc
from types import ModuleType
from typing import Final

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sipstack import sdp
from sipstack.scan import SCAN
from sipstack.sdp import read_plain_attributes, read_usual_parts
from tests.sipstack.scans import compile_scan

USUAL: Final = """v=0
o=- 200000001 200000002 IN IP4 203.0.113.7
s=-
c=IN IP4 192.0.2.12
b=AS:64
b=TIAS:64000
t=0 0
m=audio 40000 RTP/AVP 8 0 101
c=IN IP4 192.0.2.13
b=RR:0
a=rtpmap:8 PCMA/8000
a=fmtp:101 0-15
""".replace("\n", "\r\n").encode()

LINES: Final = (
    """v=0|o=- 1 2 IN IP4 192.0.2.1|o=- 1 2 IN IP4 |o=- 1 2 IN IP4 1.2.3.4 x|o=- 1 2 IN IP6 ::1|o=- 1 2
o=-  2 IN IP4 1|o=zhang 1 2 IN IP4 192.0.2.1|o=|s=-|s=|s=--|s=a b|c=IN IP4 192.0.2.1|c=IN IP4 1.2.3.4.5|c=IN IP4 1.2.3
c=IN IP4 1922.0.2.1|c=IN IP4 1..2.3|c=IN IP6 ::1|c=IN IP4 1.2.3.4/8|b=AS:1|b=AS:12345678|b=AS:123456789|b=AS:|b=CT:1
b=RR:1|b=RS:1|b=TIAS:1|b=T:1|b=AST:1|t=0 0|t=0 1|m=audio 1 RTP/AVP 8|m=audio 1 RTP/AVP|m=audio 1 RTP/AVP 8 1234
m=audio 1 RTP/AVP 8 12|m=a 1 / 1|m=abcdef 12345 ABCDEFG/ 123|m=abcdefg 1 A 1|m=a 123456 A 1|m=a 1 ABCDEFGHI 1
m=A 1 A 1|m=a 1 a 1|m=a 1 A 1 |m=a  1 A 1|m= 1 A 1|a=sendrecv|a=|i=x|""".replace("\n", "|")
    .encode()
    .split(b"|")
)
ENDS: Final = st.sampled_from((b"\r\n", b"\r\n", b"\r\n", b"\r\n", b"\n", b"\r", b"\0\r\n", b"\r\r\n", b""))


@pytest.fixture(scope="module")
def in_c(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    if SCAN is None:
        return compile_scan(tmp_path_factory.mktemp("scan"))
    from sipstack import head_scan

    assert (sdp.usual_parts, sdp.plain_attributes) == (head_scan.usual_parts, head_scan.plain_attributes)
    return head_scan  # type: ignore[return-value]


def assert_alike(in_c: ModuleType, body: bytes) -> None:
    assert in_c.usual_parts(body) == read_usual_parts(body), body
    assert in_c.plain_attributes(body) == read_plain_attributes(body), body


def written(lines: list[tuple[bytes, bytes]]) -> bytes:
    return b"".join(line + end for line, end in lines)


def in_order(chosen: tuple[bytes, ...]) -> bytes:
    return b"".join(line + b"\r\n" for line in chosen if line)


def of(kind: bytes) -> st.SearchStrategy[bytes]:
    return st.sampled_from([line for line in LINES if line.startswith(kind)])


MAYBE: Final = st.tuples(
    of(b"v="), of(b"o="), of(b"s="), of(b"c=") | st.just(b""), *[of(b"b=") | st.just(b"")] * 5, of(b"t="), of(b"m="),
    of(b"c=") | st.just(b""), *[of(b"b=") | st.just(b"")] * 5, st.sampled_from(LINES), st.sampled_from(LINES),
)  # fmt: skip


@given(st.lists(st.tuples(st.sampled_from(LINES), ENDS), max_size=14).map(written) | MAYBE.map(in_order) | st.binary())
@example(b"")
@example(USUAL)
@example(USUAL.replace(b"c=IN IP4 192.0.2.12\r\n", b""))
@example(USUAL.replace(b"b=TIAS:64000\r\n", b"b=CT:1\r\n" * 3))
@example(USUAL.replace(b"b=TIAS:64000\r\n", b"b=CT:1\r\n" * 4))
@example(USUAL.replace(b"b=RR:0\r\n", b"b=RR:0\r\n" * 5))
@example(USUAL.replace(b"c=IN IP4 192.0.2.13\r\n", b"c=IN IP6 ::1\r\n"))
def test_takes_what_the_expressions_take(in_c: ModuleType, body: bytes) -> None:
    assert_alike(in_c, body)


def test_every_octet_counts_alike(in_c: ModuleType) -> None:
    for at in range(len(USUAL)):
        assert_alike(in_c, USUAL[:at])
        for octet in b"\0\n\r\t -.:/0359AQTZ_az\x7f\x80\xff":
            assert_alike(in_c, USUAL[:at] + bytes((octet,)) + USUAL[at + 1 :])
            assert_alike(in_c, USUAL[:at] + bytes((octet,)) + USUAL[at:])
        assert_alike(in_c, USUAL[:at] + USUAL[at + 1 :])


def test_what_is_found(in_c: ModuleType) -> None:
    attributes = USUAL[USUAL.index(b"a=") :]
    expected = b"- 200000001 200000002 IN IP4 203.0.113.7", USUAL[USUAL.index(b"c=") :], attributes
    for look, look_plain in ((read_usual_parts, read_plain_attributes), (in_c.usual_parts, in_c.plain_attributes)):
        assert look(USUAL) == expected
        assert look_plain(USUAL) == attributes
        assert look_plain(USUAL.replace(b"o=-", b"o=x")) is None


def test_takes_nothing_but_bytes(in_c: ModuleType) -> None:
    for look in (in_c.usual_parts, in_c.plain_attributes):
        with pytest.raises(TypeError):
            look("v=0")


def test_keeps_nothing(in_c: ModuleType) -> None:
    bodies = [USUAL, USUAL[:50], USUAL.replace(b"o=-", b"o=x")] * 10

    def look() -> None:
        for body in bodies:
            in_c.usual_parts(body)
            in_c.plain_attributes(body)

    look()
    tracemalloc.start()
    grown = []
    for _ in range(3):  # other threads keep something now and then
        before, _ = tracemalloc.get_traced_memory()
        for _ in range(20):
            look()
        grown.append(tracemalloc.get_traced_memory()[0] - before)
    tracemalloc.stop()
    assert min(grown) < len(USUAL)
