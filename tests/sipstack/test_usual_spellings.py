"""The usual spellings are a short cut and nothing else: with them and without them the same bytes mean the same."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final
from unittest.mock import patch

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sipstack import dialog, fields, parser, uri
from sipstack.errors import RemoteSipError
from sipstack.message import Message
from tests.sipstack.generated_messages import MESSAGES, SPELLINGS, Spelling, Written

pytestmark = pytest.mark.pure

NEVER: Final = re.compile(r"(?!)")


@contextmanager
def without_short_cuts() -> Iterator[None]:
    """Everything is read by the productions of RFC 3261."""
    with (
        patch.object(fields, "USUAL_VIA", NEVER),
        patch.object(fields, "USUAL_METHODS", frozenset()),
        patch.object(parser, "USUAL_ADDRESS", NEVER),
        patch.object(parser, "USUAL_ADDRESS_ROW", NEVER),
        patch.object(parser, "_STATUSES", {}),
        patch.object(parser, "_HOPS", {}),
        patch.object(parser, "USUAL_METHODS", frozenset()),
        patch.object(uri, "USUAL_ADDRESS", NEVER),
        patch.object(uri, "USUAL_SIP_URI", NEVER),
        patch.object(dialog, "USUAL_CONTACT", NEVER),
    ):
        yield


def outcome(read: Callable[[], object]) -> object:
    """What a reading says in plain values, errors included."""
    try:
        return plain(read())
    except RemoteSipError as error:
        return error.reason, error.status_hint, plain(error.message)


def plain(value: object) -> object:
    if isinstance(value, (list, tuple)):
        return [plain(part) for part in value]
    slots = getattr(type(value), "__slots__", None)
    if slots is None:
        return value
    return type(value).__name__, {name: plain(getattr(value, name)) for name in slots}


def both_ways(read: Callable[[], object]) -> None:
    with without_short_cuts():
        general = outcome(read)
    assert outcome(read) == general


def mostly(usual: list[str], odd: list[str]) -> st.SearchStrategy[str]:
    """Two times out of three what is usual, so that often only one part of a text is not."""
    return st.sampled_from([*usual * (2 * len(odd) // len(usual)), *odd])


HOSTS: Final = mostly(
    ["192.0.2.1", "a.example"],
    ["A.example", "h", "0", "h-", "-h", "h.", ".h", "a_b", "a-b.example", "[2001:db8::1]", "[::", "", "_", "h h"],
)
PORTS: Final = mostly(
    ["", ":5060"], [":1", ":65535", ":65536", ":99999", ":100000", ":0", ":05060", ":", ":5٠60", ": 1"]
)
USERS: Final = mostly(["13800138000@", "+8613800138000@"], ["", "a.b@", "a:p@", "@", "a@@", "a%20@", "é@", "٣@", "-@"])
SCHEMES: Final = mostly(["sip:"], ["sips:", "tel:", "SIP:", "mailto:", "sip", "", "ſip:", "method:"])
PROTOCOLS: Final = mostly(
    ["SIP/2.0/UDP ", "SIP/2.0/TCP "],
    ["SIP/2.0/SCTP ", "sip/2.0/udp ", "SIP/2.0/UDP", "SIP / 2.0 / UDP  ", "", "SIP/2.0/UDP\t", "SIP/2x0/UDP "],
)
ODD_TAILS: Final = [
    ";branch=a.b-c!%*_+`'~", ";branch=", ";branch", ";BRANCH=x", ';branch="q"', ";branch=a b", ";branch=x",
    ";rport=5060", ";Rport", ";rport", ";received=192.0.2.9", ";tag=a.b", ";tag=", ";tag", ";Tag=x",
    ';tag="x"', ";tag=2",
    ";tag=é", ";transport=UDP", ";transport=udp", ";lr", ";x=1", ";=", ";", " ", "?a=b", "<", ">", ";x", "\r", "\x7f",
    '"', "\t", ",", ", <sip:b@h>", "\x00", "\n", "\u2028", "branch=z", ";method=INVITE", ";method=invite", ";maddr=h",
]  # fmt: skip
ODD_TAIL: Final = mostly([""], ODD_TAILS)
URIS: Final = st.builds(
    "{}{}{}{}{}".format, SCHEMES, USERS, HOSTS, PORTS, mostly(["", ";user=phone", ";transport=udp"], ODD_TAILS)
)
ADDRESSES: Final = st.builds(
    "{}{}{}{}{}".format,
    mostly(["<"], ["", " <", '"A" <', "A <", '"A<', "<<", "\t<"]),
    URIS,
    mostly([">"], ["", "> ", ">>", " >"]),
    mostly(["", ";tag=1SIPpTag001"], ODD_TAILS),
    ODD_TAIL,
)
VIAS: Final = st.builds(
    "{}{}{}{}{}{}".format,
    PROTOCOLS,
    HOSTS,
    PORTS,
    mostly([";branch=z9hG4bKabc"], ODD_TAILS),
    mostly(["", ";rport"], ODD_TAILS),
    ODD_TAIL,
)
often: Final = settings(max_examples=600)


@often
@given(VIAS)
def test_via(row: str) -> None:
    both_ways(lambda: fields.parse_top_via(row))


@often
@given(ADDRESSES)
def test_address(value: str) -> None:
    both_ways(lambda: uri.parse_name_addr(value))


@often
@given(ADDRESSES)
def test_tag(value: str) -> None:
    data = PLAIN.replace(b"<sip:13800138000@192.0.2.2:5060>;tag=1SIPpTag001", value.encode("utf-8", "surrogateescape"))
    both_ways(lambda: parser.parse(data))


@often
@given(URIS)
def test_uri(text: str) -> None:
    both_ways(lambda: uri.parse_uri(text))


@often
@given(ADDRESSES)
def test_contact(value: str) -> None:
    message = Message(("", 200, "OK"), [f"Contact: {value}"], [6], b"")
    both_ways(lambda: dialog.contact_uri(message))


@given(
    st.sampled_from(
        ["1", "0", "007", "999999999", "1000000000", "2147483647", "2147483648", "٣", "-1", "+1", "1_0", ""]
    ),
    st.sampled_from([" ", "  ", "\t", "", "\r"]),
    st.sampled_from(["INVITE", "invite", "BYE", "FOO", "INVITE ", "", "I@"]),
)
def test_cseq(number: str, space: str, method: str) -> None:
    both_ways(lambda: fields.parse_cseq(f"{number}{space}{method}"))


PLAIN: Final = """INVITE sip:700123456780001@192.0.2.1:5060;user=phone SIP/2.0
Via: SIP/2.0/UDP 192.0.2.2:5060;branch=z9hG4bK-1-2;rport
From: <sip:13800138000@192.0.2.2:5060>;tag=1SIPpTag001
To: <sip:700123456780001@192.0.2.1:5060>
Call-ID: 1-2@192.0.2.2
CSeq: 1 INVITE
Contact: <sip:13800138000@192.0.2.2:5060>
P-Asserted-Identity: <sip:13800138000@192.0.2.2:5060>
Max-Forwards: 70
User-Agent: x
Content-Length: 0

""".replace("\n", "\r\n").encode()
PIECES: Final = st.sampled_from([
    b"", b" ", b"\t", b"\r", b"\n", b"\r\n", b"\r\n ", b"\r\n\t", b"\x00", b"\x7f", b"\xff", b":", b";", b",", b"<",
    b">", b'"', b"\xc3\xa9", b"@", b";tag=2", b";branch=y", b";rport", b"\r\nTo: <sip:a@b>", b"\r\nVia: x",
    b"\r\nContact: *", b"0", b"9" * 12,
])  # fmt: skip


@often
@given(st.integers(0, len(PLAIN)), st.integers(0, 3), PIECES)
@example(PLAIN.index(b"User-Agent"), 0, b"X: " + b"y" * 8190 + b"\r\n")
@example(PLAIN.index(b"User-Agent"), 0, b"y" * 8193 + b"\r\n")
@example(PLAIN.index(b"User-Agent"), 0, b"X: y\r\n" * 250)
@example(PLAIN.index(b"User-Agent"), 0, b"X: y\r\n" * 247)
@example(PLAIN.index(b"User-Agent"), 0, b"X: y\r\n z\r\n" * 240)
def test_damaged_message(place: int, gone: int, piece: bytes) -> None:
    damaged = PLAIN[:place] + piece + PLAIN[place + gone :]
    both_ways(lambda: parser.parse(damaged))


@given(MESSAGES, SPELLINGS)
def test_message(written: Written, spelling: Spelling) -> None:
    data = written.write(spelling)
    both_ways(lambda: parser.parse(data))


@pytest.mark.parametrize(
    "read",
    [
        lambda: fields.USUAL_VIA.fullmatch("SIP/2.0/UDP 192.0.2.2:5060;branch=z9hG4bK-1;rport"),
        lambda: uri.USUAL_ADDRESS.fullmatch("<sip:13800138000@192.0.2.2:5060>;tag=1"),
        lambda: uri.USUAL_SIP_URI.fullmatch("sip:13800138000@192.0.2.2:5060;user=phone"),
        lambda: dialog.USUAL_CONTACT.fullmatch("<sip:uas@192.0.2.2:5060>"),
    ],
)
def test_what_is_usual_takes_the_short_cut(read: Callable[[], object]) -> None:
    assert read() is not None
    with without_short_cuts():
        assert read() is None
