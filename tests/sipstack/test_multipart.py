"""Bodies of several parts: read strictly, written anew."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sipstack.errors import RemoteSipError
from sipstack.multipart import MAX_PART_LINES, MAX_PARTS, UNENCODED, BodyPart, body_of, join_parts, split_parts
from sipstack.parser import parse

VECTORS = Path(__file__).parents[1] / "vectors"


def body(content: bytes, kind: str = "multipart/mixed;boundary=x") -> BodyPart:
    return BodyPart(kind, "", UNENCODED, content)


def contents(content: bytes, kind: str = "multipart/mixed;boundary=x") -> list[bytes]:
    return [part.content for part in split_parts(body(content, kind))]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"--x\r\n\r\na\r\n--x--", [b"a"]),
        (b"--x\r\n\r\na\r\n--x--\r\n", [b"a"]),
        (b"--x\r\n\r\na\r\n--x\r\n\r\nb\r\n--x--", [b"a", b"b"]),
        (b"--x \t\r\n\r\na\r\n--x--  \r\n", [b"a"]),
        (b"\r\n--x\r\n\r\na\r\n--x--", [b"a"]),
        (b"preamble\r\n--x\r\n\r\na\r\n--x--\r\nepilogue", [b"a"]),
        (b"--x\r\n\r\n\r\n--x--", [b""]),
        (b"--x\r\nContent-Type: a/b\r\n\r\n\r\n--x--", [b""]),
        (b"--x\r\nContent-Type: a/b\r\n--x--", [b""]),  # a header and no body (RFC 2046 §5.1.1)
        (b"--x\r\n\r\na\r\n\r\n\0\n--x\r--x\r\n--x--", [b"a\r\n\r\n\0\n--x\r--x"]),
    ],
)
def test_parts(content: bytes, expected: list[bytes]) -> None:
    assert contents(content) == expected


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"a",
        b"--x--",
        b"--x\r\n\r\na",
        b"--x\r\n\r\na\r\n--x",
        b"--x\n\na\n--x--",
        b"--x\r\n\r\na\r\n--x--y",
        b"--xy\r\n\r\na\r\n--x--",  # the delimiter of a longer boundary begins with this one
        b"--x\r\n\r\na\r\n--x--\r\n--x\r\n\r\nb",  # after the end
        b"--x\r\nContent-Type\r\n\r\na\r\n--x--",
        b"--x\r\nContent Type: a/b\r\n\r\na\r\n--x--",
        b"--x\r\nContent-Type: a/b\nContent-Disposition: x\r\n\r\na\r\n--x--",
        b"--x\r\nContent-Type: a/b\r\nc: c/d\r\n\r\na\r\n--x--",
        b"--x\r\nContent-Disposition: a\r\nCONTENT-DISPOSITION: b\r\n\r\na\r\n--x--",
        b"--x\r\n" + b"A: b\r\n" * (MAX_PART_LINES + 1) + b"\r\na\r\n--x--",
        b"--x\r\n\r\n\r\n" * (MAX_PARTS + 1) + b"--x--",
    ],
)
def test_malformed(content: bytes) -> None:
    with pytest.raises(RemoteSipError) as refused:
        contents(content)
    assert refused.value.status_hint == 400


@pytest.mark.parametrize(
    ("kind", "boundary"),
    [
        ("multipart/mixed;boundary=abc", b"abc"),
        ('multipart/mixed; Boundary = "a b:c" ;type=x', b"a b:c"),
        ("multipart/mixed;x=y;boundary=----=_Part_1.2", b"----=_Part_1.2"),
        ("multipart/mixed;boundary=" + "a" * 70, b"a" * 70),
        ("multipart/mixed", None),
        ("multipart/mixed;boundary", None),
        ("multipart/mixed;boundary=", None),
        ('multipart/mixed;boundary=""', None),
        ('multipart/mixed;boundary="a "', None),
        ('multipart/mixed;boundary="a\\"b"', None),
        ("multipart/mixed;boundary=é", None),
        ("multipart/mixed;boundary=" + "a" * 71, None),
        ("multipart/mixed;boundary=a;boundary=abc", None),
        ("multipart/mixed;boundary=abc;boundary=a", None),
        ("multipart/mixed;xboundary=abc", None),
    ],
)
def test_boundary(kind: str, boundary: bytes | None) -> None:
    if boundary is None:
        with pytest.raises(RemoteSipError):
            contents(b"--abc\r\n\r\na\r\n--abc--", kind)
    else:
        assert contents(b"--%b\r\n\r\na\r\n--%b--" % (boundary, boundary), kind) == [b"a"]


def test_what_a_part_says_it_is() -> None:
    head = (
        b"content-type:\r\n Application/ISUP;version=itu-t92+\r\nX-Any: thing\r\n"
        b'Content-Disposition : Signal ; Handling = "Optional"\r\nContent-Transfer-Encoding: base64\r\n'
    )
    part = split_parts(body(b"--x\r\n" + head + b"\r\na\r\n--x--"))[0]
    assert (part.media_type, part.disposition_type, part.is_optional) == ("application/isup", "signal", True)
    assert part.is_encoded


@pytest.mark.parametrize(
    ("disposition", "optional"),
    [
        ("", False),
        ("signal", False),
        ("signal;handling=optional", True),
        ("signal;handling=required", False),
        ("signal;handling=what", False),
        ("handling=optional", False),
    ],
)
def test_handling(disposition: str, optional: bool) -> None:
    assert BodyPart("a/b", disposition, UNENCODED, b"").is_optional is optional


def test_a_part_that_says_nothing_is_plain_text() -> None:
    part = split_parts(body(b"--x\r\n\r\na\r\n--x--"))[0]
    assert (part.media_type, part.is_encoded, part.is_optional) == ("text/plain", False, False)


def test_body_of_the_torture_message() -> None:
    """RFC 4475 §3.1.1.11: a part of text, and one of octets in which anything may stand."""
    parts = split_parts(body_of(parse((VECTORS / "rfc4475/mpart01.dat").read_bytes())))
    assert [part.media_type for part in parts] == ["text/plain", "application/octet-stream"]
    assert parts[0].content == b"Hello" and (len(parts[1].content), parts[1].content.count(b"\0")) == (342, 2)
    assert not any(part.is_encoded for part in parts)


PARTS = st.lists(st.tuples(st.binary(max_size=60), st.sampled_from(["text/plain", "application/sdp"])), min_size=1)


@given(PARTS.filter(lambda parts: len(parts) <= MAX_PARTS))
@example([(b"--boundary-of-parts", "text/plain"), (b"\r\n--boundary-of-partsx--", "text/plain")])
def test_what_is_joined_is_split_again(parts: list[tuple[bytes, str]]) -> None:
    content, kind = join_parts(parts)
    assert [(part.content, part.media_type) for part in split_parts(body(content, kind))] == parts


def test_our_boundary_gives_way_but_not_for_ever() -> None:
    with pytest.raises(RemoteSipError):
        join_parts([(b"--boundary-of-parts" + b"x" * 60, "text/plain")])


LINES = st.lists(
    st.sampled_from([b"--x", b"--x--", b"", b"Content-Type: text/plain", b"a", b" b", b":", b"c: d/e", b"--x\t"])
    | st.binary(max_size=8),
    max_size=12,
)


@given(LINES, st.sampled_from([b"\r\n", b"\n", b"\r"]), st.text(max_size=20))
def test_only_remote_errors_escape(lines: list[bytes], end: bytes, params: str) -> None:
    for kind in ("multipart/mixed;boundary=x", f"multipart/mixed;{params}", f"multipart/mixed;boundary={params}"):
        try:
            parts = split_parts(body(end.join(lines), kind))
        except RemoteSipError:
            continue
        assert 1 <= len(parts) <= MAX_PARTS


HOSTILE: list[Callable[[int], bytes]] = [
    lambda n: b"--x\r\n" * n,
    lambda n: b"\r\n--" * n,
    lambda n: b"--x\r\n\r\n" + b"\r\n-" * n + b"\r\n--x--",
    lambda n: b"--x\r\n" + b" " * n + b"\r\n\r\n--x--",
    lambda n: b"--x\r\nA: " + b"b\r\n " * n + b"\r\n\r\n--x--",
    lambda n: b"--x\r\n" + b"A: b\r\n" * n + b"\r\n--x--",
    lambda n: b"--x" + b" " * n + b"\r\n\r\n--x--",
]


def steps(action: Callable[[], object]) -> int:
    """Lines of Python that run."""
    count = 0

    def trace(frame: FrameType, event: str, argument: object) -> object:
        nonlocal count
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        action()
    except RemoteSipError:
        pass
    finally:
        sys.settrace(before)
    return count


@pytest.mark.parametrize("shape", range(len(HOSTILE)))
def test_work_does_not_grow_faster_than_the_body(shape: int) -> None:
    few, many = (steps(lambda n=n: split_parts(body(HOSTILE[shape](n)))) for n in (500, 4000))  # type: ignore[misc]
    assert many <= max(8 * few, 200)


@pytest.mark.parametrize("shape", range(2))
def test_joining_does_not_search_for_ever(shape: int) -> None:
    hostile = [b"--boundary-of-parts" + b"x" * n for n in range(60)]
    parts = [(content, "text/plain") for content in (hostile if shape else [b"".join(hostile)])]
    assert steps(lambda: join_parts(parts)) < 60 * 200
