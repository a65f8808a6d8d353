"""Messages in any spelling: what was written is read, what is read is written again; bytes raise nothing else."""

from __future__ import annotations

from typing import Final

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sipstack import headers as h
from sipstack.errors import RemoteSipError
from sipstack.events import Flow, MalformedReceived
from sipstack.fields import split_list
from sipstack.message import Message, render
from sipstack.parser import parse
from sipstack.transactions import answer_malformed
from sipstack.uri import parse_name_addr
from tests.sipstack.generated_messages import FIVE, MESSAGES, SPELLINGS, Spelling, Written
from tests.sipstack.test_vectors import FATE, octets

SOURCE: Final = Flow("UDP", "192.0.2.99", 5099)
SEEDS: Final = [octets(name) for name in FATE]

PLAIN: Final = b"""\
INVITE sip:700123456789012@node.example SIP/2.0
Via: SIP/2.0/UDP h:5070;branch=z9hG4bKa;rport, SIP/2.0/TCP i
Via: SIP/2.0/UDP j
Max-Forwards: 7
From: "\xe5\xbc\xa0" <sip:caller@h>;tag=1
To: <sip:callee@h>
Call-ID: a@b
CSeq: 1 INVITE
s: one
X-Test:\t a ;b\t
x-test : c
Contact: <sip:a@h>, <sip:b@h>
l: 3

abc""".replace(b"\n", b"\r\n")


def as_read(text: str) -> str:
    """Octets that are no UTF-8 one by one may be UTF-8 together."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "surrogateescape")


NAMED: Final = ("Subject", "X-Test", "_!%", "Supported")


def keys_of(message: Message) -> tuple[object, ...]:
    """What transactions and dialogs are filed under, and what may be logged."""
    via = message.top_via
    assert via is not None
    keys = (message.method, message.status, message.uri_text, message.call_id, message.cseq)
    return (*keys, message.from_tag, message.to_tag, via.branch, via.sent_by, via.transport, via.asks_rport)


def said(message: Message) -> tuple[object, ...]:
    """What a message says to us, however it is spelled."""
    contacts = [parse_name_addr(value).uri for row in message.values(h.CONTACT) for value in split_list(row)]
    others = (message.named("Subject"), message.named("X-TEST"), message.named("_!%"), message.values(h.SUPPORTED))
    return (*keys_of(message), message.reason, message.max_forwards(), contacts, others, message.body)


def meant(written: Written) -> tuple[object, ...]:
    """The same from what was to be written."""
    via = written.vias[0]
    host = f"{via.host}:{via.port}" if via.port else via.host
    folded = {name.lower(): value for name, value in via.params.items()}
    keys = (written.method, written.status, "" if written.status else written.uri, written.call_id, written.cseq)
    tags = (written.sender.params.get("tag", ""), written.recipient.params.get("tag", ""), folded.get("branch", ""))
    where = (host.lower(), via.transport.upper(), "rport" in folded)
    reason = as_read(written.reason) if written.status else ""
    contacts = [as_read(contact.uri) for contact in written.contacts]
    others = tuple([as_read(text) for name, text in written.others if name == wanted] for wanted in NAMED)
    return (*keys, *tags, *where, reason, written.max_forwards, contacts, others, written.body)


# ------------------------------------------------------------------ generated messages


@given(MESSAGES, SPELLINGS)
def test_what_was_written_is_read(written: Written, spelling: Spelling) -> None:
    assert said(parse(written.write(spelling))) == meant(written)


@given(MESSAGES, SPELLINGS)
def test_parse_after_render_is_identity(written: Written, spelling: Spelling) -> None:
    message = parse(written.write(spelling))
    again = parse(message.to_bytes())
    assert again == message
    assert said(again) == said(message)
    assert again.to_bytes() == message.to_bytes()
    assert len(again.lines) == len(again.ids) == len(message.lines) + (not spelling.length)


@given(MESSAGES)
def test_five_spellings_say_the_same(written: Written) -> None:
    readings = {name: said(parse(written.write(spelling))) for name, spelling in FIVE.items()}
    assert readings == dict.fromkeys(FIVE, readings["plain"])
    assert {len(written.write(spelling)) for spelling in FIVE.values()} != {len(written.write(FIVE["plain"]))}


# ------------------------------------------------------------------ bytes from anybody


def read_or_refuse(data: bytes) -> None:
    """What holds for any bytes: a message whose rendering says the same, or an error that can be answered or not."""
    try:
        message = parse(data)
    except RemoteSipError as refused:
        error = refused
    else:
        assert parse(message.to_bytes()) == message
        assert all(0x20 < ord(char) < 0x7F for char in "".join(key for key in keys_of(message) if isinstance(key, str)))
        return
    assert error.message is None or error.message.method.isascii()
    assert error.status_hint in (400, 414, 505, 513)
    for answer in answer_malformed(MalformedReceived(error, SOURCE)):
        assert answer.data.startswith(b"SIP/2.0 %d " % error.status_hint)
        assert answer.data.endswith(b"\r\nContent-Length: 0\r\n\r\n")
        assert answer.data.count(b"\r\n\r\n") == 1
        assert not set(answer.data) & ({*range(32), 127} - set(b"\t\r\n"))
        assert answer.data.count(b"\r") == answer.data.count(b"\n") == answer.data.count(b"\r\n")


@given(st.binary(max_size=400))
def test_random_bytes(data: bytes) -> None:
    read_or_refuse(data)


PIECES: Final = st.sampled_from([
    b"INVITE ", b"ACK ", b"sip:u@h ", b"SIP/2.0", b"sip/2.0 ", b"200 ", b"\r\n", b"\r\n ", b"\r\n\r\n", b"Via", b"v",
    b" : ", b":", b"SIP/2.0/UDP ", b"h", b";branch=a", b";rport", b";received=", b",", b"From: <sip:a@b>;tag=",
    b"To: sip:a@b", b"Call-ID: x", b"CSeq: 1 ", b"CSeq: 1 INVITE", b"Content-Length: ", b"l:0", b"Contact: *", b'"',
    b"\\", b"<", b">", b"\x00", b"\xff", b"\t", b"%", b"1", b"Max-Forwards: 70",
])  # fmt: skip


@settings(max_examples=500)
@given(st.lists(PIECES, max_size=40))
def test_random_pieces(pieces: list[bytes]) -> None:
    read_or_refuse(b"".join(pieces))


JUNK: Final = st.binary(max_size=6) | st.sampled_from([
    b"\r\n", b"\r\n\r\n", b"\n", b"\r", b"\0", b";", b",", b'"', b"\\", b"<", b">", b":", b" ", b"\r\n ",
    b"\xe2\x84\xaa", b"\xc5\xbf", b";tag=x", b";branch=y", b"Content-Length: 1\r\n", b"l:0\r\n", b"To: x\r\n",
    b"9" * 5000, b";a" * 500, b"\r\n\tx", b"SIP/2.0 ",
])  # fmt: skip


@st.composite
def damaged(draw: st.DrawFn, whole: st.SearchStrategy[bytes]) -> bytes:
    """A message with a few slices replaced, taken out or doubled, or octets changed."""
    data = draw(whole)
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(data)))
        end = min(len(data), start + draw(st.sampled_from([0, 0, 1, 1, 2, 10, 100])))
        piece = data[start:end]
        instead = draw(st.sampled_from([b"", piece * 2, piece[::-1], bytes(octet ^ 0x20 for octet in piece)]) | JUNK)
        data = data[:start] + instead + data[end:]
    return data


@settings(max_examples=500)
@given(damaged(st.sampled_from(SEEDS)))
@example(b"")
@example(b"\r\n\r\n")
@example(b"\0\0\0\0")
def test_damaged_vectors(data: bytes) -> None:
    read_or_refuse(data)


@settings(max_examples=300)
@given(damaged(st.builds(Written.write, MESSAGES, SPELLINGS)))
def test_damaged_messages(data: bytes) -> None:
    read_or_refuse(data)


@pytest.mark.parametrize(
    "seed", [PLAIN, octets("rfc4475/wsinv"), octets("rfc4475/intmeth"), octets("rfc4475/unreason")]
)
def test_truncated_at_every_offset(seed: bytes) -> None:
    whole = parse(seed)
    head_end = len(seed) - len(seed.partition(b"\r\n\r\n")[2])
    for offset in range(len(seed)):
        read_or_refuse(seed[:offset])
        if offset < head_end or whole.body:
            with pytest.raises(RemoteSipError):
                parse(seed[:offset])


@pytest.mark.parametrize("octet", [*range(32), 0x22, 0x5C, 0x7F, 0x80, 0xFF], ids=hex)
def test_one_octet_anywhere(octet: int) -> None:
    for offset in range(PLAIN.index(b"\r\n\r\n")):
        changed = PLAIN[:offset] + bytes([octet]) + PLAIN[offset + 1 :]
        read_or_refuse(changed)
        if octet < 32 and octet != 9 and not changed.startswith((b"\r", b"\n")) and changed != PLAIN:
            with pytest.raises(RemoteSipError):
                parse(changed)


# ------------------------------------------------------------------ the message itself


def test_values_and_lines() -> None:
    message = parse(PLAIN)
    assert message.values(h.VIA) == ["SIP/2.0/UDP h:5070;branch=z9hG4bKa;rport, SIP/2.0/TCP i", "SIP/2.0/UDP j"]
    assert (message.value(h.CONTACT), message.value(h.ROUTE)) == ("<sip:a@h>, <sip:b@h>", None)
    assert (message.line(h.FROM), message.line(h.ROUTE)) == ('From: "\u5f20" <sip:caller@h>;tag=1', "")
    assert message.line(h.CONTENT_LENGTH) == "Content-Length: 3"
    assert message.named("X-TEST") == ["a ;b", "c"]
    assert message.named("Subject") == ["one"]
    assert message.named("Via") == message.named("s") == []
    assert message.max_forwards() == 7


@pytest.mark.parametrize("compact", h.COMPACT)
def test_compact_names_of_other_fields(compact: str) -> None:
    message = parse(PLAIN.replace(b"s: one", f"{compact.upper()} : one".encode()))
    assert message.named(h.COMPACT[compact].title()) == ["one"]
    assert compact not in h.HEADER_IDS or h.HEADER_IDS[compact] == h.OTHER


def test_via_rows_of_an_answer() -> None:
    message = parse(PLAIN)
    assert message.via_rows("192.0.2.1", 5099).split("\r\n") == [
        "",
        "Via: SIP/2.0/UDP h:5070;branch=z9hG4bKa;rport=5099;received=192.0.2.1, SIP/2.0/TCP i",
        "Via: SIP/2.0/UDP j",
    ]
    message.top_via = None
    first = message.via_rows("192.0.2.1", 5099).split("\r\n")[1]
    assert first == "Via: SIP/2.0/UDP h:5070;branch=z9hG4bKa;rport, SIP/2.0/TCP i"


def test_render_says_the_length_once() -> None:
    message = parse(PLAIN)
    message.body = b"four"
    data = message.to_bytes()
    assert data.count(b"ength") == 1
    assert data.endswith(b"\r\nContent-Length: 4\r\n\r\nfour")
    assert render("A", ["B: \udcff"]) == b"A\r\nB: \xff\r\nContent-Length: 0\r\n\r\n"


def test_start_line() -> None:
    assert parse(PLAIN).start_line() == "INVITE sip:700123456789012@node.example SIP/2.0"
    answer = PLAIN.replace(b"INVITE sip:700123456789012@node.example SIP/2.0", b"sip/2.0 180  Ringing")
    assert parse(answer).start_line() == "SIP/2.0 180  Ringing"


@pytest.mark.parametrize(
    ("status", "kind"), [(0, "request"), (100, "provisional"), (199, "provisional"), (200, "final"), (699, "final")]
)
def test_kinds(status: int, kind: str) -> None:
    message = Message(("", status, ""), [], [], b"")
    flags = {"request": message.is_request, "provisional": message.is_provisional, "final": message.is_final}
    assert [name for name, is_set in flags.items() if is_set] == [kind]


def test_equality() -> None:
    assert parse(PLAIN) == parse(PLAIN.replace(b"l: 3\r\n", b""))
    assert parse(PLAIN) != parse(PLAIN.replace(b"tag=1", b"tag=2"))
    assert parse(PLAIN) != parse(PLAIN[:-1] + b"d")
    assert parse(PLAIN) != PLAIN
    with pytest.raises(TypeError):
        hash(parse(PLAIN))


def test_repr_holds_nothing_of_the_parties() -> None:
    message = parse(PLAIN)
    assert repr(message) == "<Message INVITE request>"
    message.status = 486
    assert repr(message) == "<Message INVITE 486>"
