"""Messages out of a stream: the same ones however it is cut, and nothing behind a head that says no clear length."""

from __future__ import annotations

import itertools
from typing import Final

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sipstack.errors import RemoteSipError
from sipstack.framing import StreamFramer, body_length
from sipstack.limits import MAX_HEAD_BYTES, MAX_STREAM_BODY_BYTES
from sipstack.parser import parse
from tests.own_time import own_cpu_s
from tests.sipstack.transaction_bench import request

BODY: Final = b"v=0\r\n\r\nINVITE sip:hidden@node.example SIP/2.0\r\n\r\n"  # what a body may look like


def message(body: bytes = b"", length: str = "Content-Length: {}") -> bytes:
    """A request whose length row is spelled so; `{}` is the true length. "" leaves the row out."""
    head = request("OPTIONS").replace(b"Content-Length: 0\r\n\r\n", b"")
    row = length.format(len(body)).encode()
    return head + (row + b"\r\n" if row else b"") + b"\r\n" + body


def fed(pieces: list[bytes]) -> tuple[list[bytes], StreamFramer]:
    framer = StreamFramer()
    return [found for piece in pieces for found in framer.feed(piece)], framer


def octets(data: bytes) -> list[bytes]:
    return [data[at : at + 1] for at in range(len(data))]


# ---------------------------------------------------------------------- whole messages

SPELLINGS: Final = {
    "usual": "Content-Length: {}",
    "lower": "content-length: {}",
    "upper": "CONTENT-LENGTH: {}",
    "compact": "l: {}",
    "compact upper": "L:{}",
    "no space": "Content-Length:{}",
    "space before the colon": "Content-Length \t: \t{}\t ",
    "folded": "Content-Length:\r\n {}",
    "folded compact": "l\t:\r\n\t \r\n {}",
    "folded behind": "Content-Length: {}\r\n ",
    "zeros": "Content-Length: 000{}",
    "beside one that is none": "X-Content-Length: 4\r\nContent-Length-X: 5\r\nLength: 6\r\nContent-Length: {}",
    "beside text": "Subject: a\r\n Content-Length: 3\r\nl: {}",
}


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("body", [b"", BODY], ids=["empty", "with a body"])
def test_every_spelling_of_the_length(spelling: str, body: bytes) -> None:
    whole = message(body, SPELLINGS[spelling])
    for pieces in ([whole * 3], octets(whole * 3)):
        found, framer = fed(pieces)
        assert found == [whole] * 3
        assert (framer.fault, framer.pongs, framer.held) == ("", 0, 0)
    assert parse(whole, is_framed=True).body == body


@given(
    st.lists(
        st.tuples(st.sampled_from(list(SPELLINGS.values())), st.binary(max_size=40), st.integers(0, 5)), max_size=4
    ),
    st.lists(st.integers(1, 2000), max_size=12),
)
@example([("l: {}", BODY, 4)], [3, 5])
def test_wherever_it_is_cut(parts: list[tuple[str, bytes, int]], cuts: list[int]) -> None:
    messages = [message(body, spelling) for spelling, body, _ in parts]
    stream = b"".join(b"\r\n" * blanks + whole for whole, (_, _, blanks) in zip(messages, parts, strict=True))
    ends = [0, *itertools.accumulate(cuts), len(stream)]
    found, framer = fed([stream[start:end] for start, end in itertools.pairwise(ends)])
    assert found == messages
    assert framer.fault == ""
    assert framer.pongs == sum(blanks // 2 for _, _, blanks in parts)


def test_message_is_handed_up_with_its_last_octet() -> None:
    framer = StreamFramer()
    *first, last = octets(message(BODY))
    assert [framer.feed(octet) for octet in first] == [[]] * len(first)
    assert framer.held == len(message(BODY)) - 1
    assert framer.feed(last) == [message(BODY)]
    assert framer.held == 0


# ---------------------------------------------------------------------- between messages


@pytest.mark.parametrize(
    ("stream", "pongs"),
    [
        (b"\r\n", 0),
        (b"\r\n\r\n", 1),
        (b"\r\n\r\n\r\n", 1),
        (b"\r\n" * 1000, 500),
        (b"\r\n%s\r\n" % message(), 0),
        (b"\r\n\r\n%s\r\n\r\n%s" % (message(), message()), 2),
    ],
)
def test_double_line_ends_are_owed_a_single_one(stream: bytes, pongs: int) -> None:
    for pieces in ([stream], octets(stream)):
        found, framer = fed(pieces)
        assert len(found) == stream.count(b"OPTIONS sip")
        assert framer.pongs == pongs
        assert framer.held == 0  # nobody who only pings is in the middle of something


# ---------------------------------------------------------------------- lost framing

HIDDEN: Final = request("INVITE", call_id="hidden")

UNCLEAR: Final = {
    "absent": "",
    "negative": "Content-Length: -1",
    "plus": "Content-Length: +5",
    "exponent": "Content-Length: 1e3",
    "hexadecimal": "Content-Length: 0x10",
    "underscore": "Content-Length: 1_0",
    "Arabic digits": "Content-Length: ٤",
    "empty": "Content-Length: ",
    "beyond 32 bits": "Content-Length: 4294967328",
    "endless": "Content-Length: " + "9" * 5000,
    "two values": "Content-Length: 10, 10",
    "twice": "Content-Length: 0\r\nContent-Length: 0",
    "twice, differently": "Content-Length: 0\r\nContent-Length: 400",
    "twice, once compact": "Content-Length: 0\r\nl: 400",
    "twice, compact first": "l: 400\r\nContent-Length: 0",
    "twice, once folded": "Content-Length: 0\r\nContent-Length:\r\n 400",
    "value goes on": "Content-Length: 1\r\n 0",
    "name goes on": "Content-Length\r\n : 0",
    "control character in the name": "Content-Length\x0b: 0",
    "control character beside a clear one": "Content-Length: 0\r\nContent-Length\x00: 400",
    "parameter": "Content-Length: 0;a=b",
    "in a body only": "X: y\r\n\r\nContent-Length: 0",
}


@pytest.mark.parametrize("why", UNCLEAR)
def test_nothing_behind_an_unclear_length_is_read(why: str) -> None:
    bad = message(length=UNCLEAR[why])
    stream = message(BODY) + bad + HIDDEN
    for pieces in ([stream], octets(stream), [message(BODY), bad, HIDDEN]):
        found, framer = fed(pieces)
        assert len(found) == 2
        assert found[0] == message(BODY)
        assert framer.fault
        assert framer.feed(HIDDEN) == []
        assert refused(found[1]) == 400


def test_longest_body() -> None:
    largest = message(b"x" * MAX_STREAM_BODY_BYTES)
    assert fed([largest])[0] == [largest]
    too_large = message(b"x" * (MAX_STREAM_BODY_BYTES + 1))
    found, framer = fed([too_large])
    assert (found, framer.fault) == ([too_large.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"], "body is too large")
    assert refused(found[0]) == 513


def refused(framed: bytes) -> int:
    """The status that what has lost the framing is answered."""
    with pytest.raises(RemoteSipError) as caught:
        parse(framed, is_framed=True)
    assert caught.value.message is not None, "the answer can be addressed"
    assert len(caught.value.message.lines) == 5
    return caught.value.status_hint


def test_longest_head() -> None:
    filler = MAX_HEAD_BYTES - len(message(length="X: \r\nContent-Length: {}")) + 4
    largest = message(length="X: " + "x" * filler + "\r\nContent-Length: {}")
    assert len(largest) == MAX_HEAD_BYTES + 4
    for pieces in ([largest], octets(largest)):
        assert fed(pieces)[0] == [largest]
    too_large = largest.replace(b"X: ", b"X: x")
    for pieces in ([too_large], octets(too_large)):
        found, framer = fed(pieces)
        assert (len(found), framer.fault) == (1, "header section is too large")
        assert refused(found[0]) == 513


@pytest.mark.parametrize("behind", [0, 20_000])
def test_too_long_a_request_uri_is_said_to_be_that(behind: int) -> None:
    """In a head that is short enough, and in one that is not."""
    data = message(length=f"X: {'x' * behind}\r\nContent-Length: {{}}").replace(b"sip:", b"sip:" + b"a" * 3000, 1)
    for pieces in ([data], octets(data)):
        found, _ = fed(pieces)
        assert refused(found[0]) == 414


@pytest.mark.parametrize("goes_on", ["", "\r\n "])
def test_what_is_not_whole_within_the_longest_head_is_in_no_answer(goes_on: str) -> None:
    """The beginning of a row would be another row."""
    late = f"Via: SIP/2.0/UDP late.example{goes_on};branch=z9hG4bK-late"
    start = message(length="X: ")[:-4]
    data = start + b"x" * (MAX_HEAD_BYTES - len(start) - 40) + b"\r\n" + late.encode() + b"x" * 100
    assert data.find(b"late.example") < MAX_HEAD_BYTES
    assert refused(fed([data])[0][0]) == 513


@pytest.mark.parametrize("octet", [b"x", b" ", b"\n", b"\r\n", b"\r\nl", b"\r\n ", b"\r\nl:5", b"\x00"])
def test_head_without_end_is_given_up_in_bounded_time_and_space(octet: bytes) -> None:
    stream = b"INVITE " + octet * (1024 * 1024 // len(octet))
    framer = StreamFramer()
    with own_cpu_s() as took:
        for at in range(0, len(stream), 100):
            framer.feed(stream[at : at + 100])
            assert framer.held <= MAX_HEAD_BYTES + 100
        assert framer.fault
        assert framer.feed(stream) == []
        assert took() < 1


# ---------------------------------------------------------------------- one reading

LINES: Final = st.sampled_from(
    [
        "Content-Length: 5", "Content-Length: 50", "content-length:5", "l: 5", "L : 5", "l", "lx: 5", "Location: l",
        "Content-Length:", " 5", "\t", "Subject: l: 5", "Content-Length\x0b: 5", "Content-Length\n: 5", "X: y\nl: 5",
        "Content-Length: 5\rl: 6", "Kontent-Length: 5", "\u212aontent-length: 5", "Content-Length: \u0665", ": 5",
        "Content-Length;l: 5", "Content-Length : 5 ", "Content-Length: 5 6", "Content-Length: 05", "\x85l: 5",
    ]
)  # fmt: skip


@given(st.lists(LINES | st.text(max_size=12), max_size=5), st.booleans())
def test_framing_and_parser_read_the_same_length(lines: list[str], first: bool) -> None:
    """Whoever reads two lengths out of one head can be made to run what the other takes for a body."""
    start, _, rest = request("OPTIONS").replace(b"Content-Length: 0\r\n\r\n", b"").partition(b"\r\n")
    drawn = "".join(f"{line}\r\n" for line in lines).encode("utf-8", "surrogateescape")
    head = start + b"\r\n" + (drawn + rest if first else rest + drawn)
    head = head.partition(b"\r\n\r\n")[0].removesuffix(b"\r\n")
    length = body_length(head)
    frame = head + b"\r\n\r\n" + b"x" * max(length, 0)
    try:
        parsed = parse(frame, is_framed=True)
    except RemoteSipError:
        return
    assert length == len(parsed.body)
