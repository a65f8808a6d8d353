"""Messages with pseudonyms in the place of numbers: every spelling that the gate finds, and what must stay."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from urllib.parse import quote

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from engine.capture import masker as masking
from engine.capture.masker import MAX_PACKED_BYTES, Masker
from engine.core.copies import body_hides, text_hides
from engine.core.spelling import holds_number
from engine.leaktest.scan import Scanner
from tests.capture.messages import KEY, SMS, A, B, X, invite, said, semi_octets
from tests.core.sms import septets

FEW = settings(max_examples=15)

NUMBERS = st.one_of(
    st.from_regex(r"1[3-9][0-9]{9}", fullmatch=True),
    st.from_regex(r"2[0-9]{9}", fullmatch=True),
    st.from_regex(r"[3-5][0-9]{10}", fullmatch=True),
)
AROUND = st.text("ghxyz .;=<>@", max_size=6)

# How a number may be written in a header field or a text, once it is known.
SPELLINGS: dict[str, Callable[[str], bytes]] = {
    "in a row": str.encode,
    "+86": lambda number: f"+86{number}".encode(),
    "0086": lambda number: f"0086{number}".encode(),
    "86": lambda number: f"86{number}".encode(),
    "trunk 0": lambda number: f"0{number}".encode(),
    "letters around": lambda number: f"x{number}y".encode(),
    "digits around": lambda number: f"9{number}3".encode(),
    "hyphens": lambda number: "-".join(number).encode(),
    "groups": lambda number: f"{number[:3]} {number[3:7]} {number[7:]}".encode(),
    "quoted": lambda number: "\\".join(number).encode(),
    "percent": lambda number: "".join(f"%{ord(digit):02x}" for digit in number).encode(),
    "percent twice": lambda number: "".join(f"%25{ord(digit):02x}" for digit in number).encode(),
    "percent thrice": lambda number: "".join(f"%2525{ord(digit):02x}" for digit in number).encode(),
    "some percent": lambda number: number[:4].encode() + quote(number[4:]).encode().replace(b"5", b"%35"),
    "entities": lambda number: "".join(f"&#{ord(digit)};" for digit in number).encode(),
    "entities in hex": lambda number: "".join(f"&#x{ord(digit):x};" for digit in number).encode(),
    "one entity": lambda number: f"&#{ord(number[0])};{number[1:]}".encode(),
    "\\u": lambda number: "".join(f"\\u{ord(digit):04x}" for digit in number).encode(),
    "\\x": lambda number: "".join(f"\\x{ord(digit):02x}" for digit in number).encode(),
    "quoted-printable": lambda number: "".join(f"={ord(digit):02X}" for digit in number).encode(),
    "full width": lambda number: "".join(chr(0xFF10 + int(digit)) for digit in number).encode(),
    "full width in quoted-printable": lambda number: "".join(
        f"=EF=BC={0x90 + int(digit):02X}" for digit in number
    ).encode(),
    "Arabic": lambda number: "".join(chr(0x660 + int(digit)) for digit in number).encode(),
    "mathematical": lambda number: "".join(chr(0x1D7CE + int(digit)) for digit in number).encode(),
    "Chinese": lambda number: "".join("〇一二三四五六七八九"[int(digit)] for digit in number).encode(),
    "base64": lambda number: base64.b64encode(number.encode()),
    "base64 behind one": lambda number: base64.b64encode(f"x{number}y".encode()),
    "base64 behind two": lambda number: base64.b64encode(f"+z{number}yz".encode()),
    "base64url": lambda number: base64.urlsafe_b64encode(b"\xff\xfe" + number.encode() + b"\xff\xff"),
    "base64 of UTF-16": lambda number: base64.b64encode(number.encode("utf-16-be")),
    "hex": lambda number: number.encode().hex().encode(),
    "hex with colons": lambda number: number.encode().hex(":").upper().encode(),
    "hex of UTF-16": lambda number: number.encode("utf-16-be").hex().encode(),
    "semi-octets in hex": lambda number: b"91" + semi_octets(number).hex().encode() + b"af",
    "semi-octets with colons": lambda number: b"a:" + semi_octets(number).hex(":").encode() + b":af",
    "high half first": lambda number: (number + "f" * (len(number) % 2)).encode() + b"ab",
    "UTF-16": lambda number: number.encode("utf-16-be"),
}  # fmt: skip


def holds(data: bytes, number: str) -> bool:
    """Whether the gate would find it."""
    return holds_number(data, number) or text_hides(data, number)


@pytest.mark.parametrize("spelling", SPELLINGS)
@FEW
@given(number=NUMBERS, before=AROUND, after=AROUND)
def test_a_known_number_is_masked_in_every_spelling(spelling: str, number: str, before: str, after: str) -> None:
    written = SPELLINGS[spelling](number)
    assert holds(b"x " + written + b" x", number), "the gate does not know it"
    row = before.encode() + b" " + written + b" " + after.encode()
    data = invite(number, b"Subject: " + row)
    masked = Masker(KEY).mask(data)
    assert masked is not None, "withheld"
    assert len(masked) == len(data)
    assert not holds(masked, number)
    scanner = Scanner()
    scanner.add(number)
    assert scanner.find(masked) == {}
    shown = masked_user(KEY, number)
    if spelling not in ("digits around", "high half first", "one entity"):  # others of these digits are a number, too
        assert holds(masked.partition(b"Subject: ")[2], shown), "another pseudonym"


@pytest.mark.parametrize(
    "spelling", [name for name in SPELLINGS if not name.startswith(("semi", "high", "digits around", "hyphens", "quo"))]
)
@FEW
@given(digits=st.from_regex(r"1[3-9][0-9]{9}", fullmatch=True))
def test_a_number_of_nobody_is_masked(spelling: str, digits: str) -> None:
    """It stands in no address, and nobody knows it."""
    masked = Masker(KEY).mask(invite(A, b"Subject: x " + SPELLINGS[spelling](digits) + b" x"))
    assert masked is None or not holds(masked, digits)


@given(st.binary(max_size=40), st.binary(max_size=40), st.sampled_from([A, "2088888888"]), st.integers(0, 2))
def test_a_number_in_a_short_message(before: bytes, after: bytes, number: str, how: int) -> None:
    packed = semi_octets(number)
    if how == 1:
        packed = bytes(octet >> 4 | (octet & 15) << 4 for octet in packed)
    elif how == 2:
        packed = septets("abc " + number + " xyz", 3)
    body = before + packed + after
    masked = Masker(KEY).mask(said(number, body, SMS))
    if masked is not None:
        assert not body_hides(masked.partition(b"\r\n\r\n")[2], SMS, number)
        assert len(masked) == len(said(number, body, SMS))


def test_addresses_and_texts_of_short_messages() -> None:
    """Of numbers that nobody knows: a service centre, a sender, and one in the text."""
    centre, sender, texted = "13800100500", "13700137000", "13600136000"
    body = bytes((8, 0x91)) + semi_octets(f"86{centre}") + bytes((4, 11, 0xA1)) + semi_octets(sender)
    body += bytes((0, 0)) + septets(f"call {texted} now", 0)
    masked = Masker(KEY).mask(said(A, body, SMS))
    assert masked is not None
    shown = masked.partition(b"\r\n\r\n")[2]
    assert len(shown) == len(body)
    for number in (centre, sender, texted):
        assert body_hides(body, SMS, number) and not body_hides(shown, SMS, number)


def test_digits_for_which_no_others_can_be_put_are_withheld() -> None:
    chinese = "".join("〇一二三四五六七八九"[int(digit)] for digit in "13712345678")
    escaped = "".join(f"={octet:02X}" for octet in chinese.encode())
    assert Masker(KEY).mask(invite(A, f"Subject: {escaped}".encode())) is None


def test_a_part_that_is_no_text_is_looked_through() -> None:
    sender = "13712345678"
    part = bytes((4, 11, 0xA1)) + semi_octets(sender) + b"\0\0"
    body = b"--b\r\nContent-Type: application/vnd.3gpp.sms\r\n\r\n" + part + b"\r\n--b--\r\n"
    masked = Masker(KEY).mask(said(A, body, "multipart/mixed;boundary=b"))
    assert masked is not None
    assert semi_octets(sender) in body and semi_octets(sender) not in masked


def test_what_is_none_stays() -> None:
    rows = (
        b"Via: SIP/2.0/UDP 139.224.113.45:5060;branch=z9hG4bK776asdhds\r\nSession-Expires: 1800\r\n"
        b"Date: Thu, 26 Nov 2026 14:00:00 GMT\r\nX-Order: 1234567\r\nX-At: 2026-11-26T14:00:00"
    )
    body = (
        b"v=0\r\no=- 1732612345 1732612346 IN IP4 139.224.113.45\r\ns=-\r\nc=IN IP4 139.224.113.45\r\nt=0 0\r\n"
        b"m=audio 40000 RTP/AVP 8 0 13 101 102 103\r\na=candidate:1 1 UDP 2130706431 10.13.124.113 8998 typ host\r\n"
    )
    data = invite(A, rows, b"application/sdp", body)
    masked = Masker(KEY).mask(data)
    assert masked is not None
    assert rows in masked and body.partition(b"a=cand")[0] in masked
    assert masked.count(X.encode()) == data.count(X.encode())


def test_passwords_are_blanked_and_the_rest_of_a_login_stays() -> None:
    row = b'Authorization: Digest username="13800138000", nonce="abc12345", response="6629fae49393a05397450978507c4ef1"'
    masked = Masker(KEY).mask(invite(A, row))
    assert masked is not None
    assert b'nonce="abc12345", response="' + b"0" * 32 + b'"' in masked
    assert A.encode() not in masked


def test_subscriber_identities_are_masked() -> None:
    row = b'Authorization: Digest username="460001234567890@ims.mnc000.mcc460.3gppnetwork.org"'
    masked = Masker(KEY).mask(invite(A, row))
    assert masked is not None
    assert re.search(rb'username="46099[0-9]{10}@ims', masked)


def test_numbers_of_the_other_leg_are_known_by_the_700_number() -> None:
    """B has been seen beside X; then the caller writes it so that nothing but knowing it finds it."""
    masker = Masker(KEY)
    assert masker.mask(invite(B)) is not None
    hidden = semi_octets(B).hex().encode()
    masked = masker.mask(invite(A, b"User-to-User: 04" + hidden + b"af;encoding=hex"))
    assert masked is not None
    assert hidden not in masked


def test_short_numbers_are_masked_where_they_are_no_counts() -> None:
    masked = Masker(KEY).mask(invite("95588", b'Subject: 95588 or 95588x\r\nX-Who: "95588"\r\nMin-SE: 95588'))
    assert masked is not None
    assert b"Min-SE: 95588" in masked
    assert not holds_number(masked.replace(b"Min-SE: 95588", b""), "95588")


@pytest.mark.parametrize("body", [b"\xff" * (MAX_PACKED_BYTES + 1), b"\x01" * 2000])
def test_octets_without_end_are_withheld(body: bytes) -> None:
    assert Masker(KEY).mask(said(A, body, "application/octet-stream")) is None


def test_a_charset_in_which_nothing_can_be_masked_is_withheld() -> None:
    """Nobody knows the number: the gate would not look for it."""
    text = "".join(chr(0xFF10 + int(digit)) for digit in "13712345678").encode("gb18030")
    assert Masker(KEY).mask(said(A, text, "text/plain")) is None
    assert Masker(KEY).mask(said(B, "我".encode("gb18030"), "text/plain")) is not None


@given(st.binary(max_size=400))
def test_bytes_without_meaning(data: bytes) -> None:
    masked = Masker(KEY).mask(data)
    assert masked is None or len(masked) == len(data)


@pytest.mark.parametrize("name", ["mask_base64", "mask_hex", "mask_packed", "readings_of", "known_spans"])
def test_what_a_broken_masker_leaves_is_withheld(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The gate's search stands behind each part of it."""
    broken: dict[str, object] = {
        "readings_of": lambda data: [], "known_spans": lambda digits, known: [],
    }  # fmt: skip
    monkeypatch.setattr(masking, name, broken.get(name, lambda *_: None))
    written = {
        "mask_base64": invite(A, b"Subject: " + SPELLINGS["base64"](A)),
        "mask_hex": invite(A, b"Subject: " + SPELLINGS["semi-octets with colons"](A)),
        "mask_packed": said(A, semi_octets(A), SMS),
        "readings_of": invite(A),
        "known_spans": invite(A, b"Subject: " + SPELLINGS["quoted"](A)),
    }[name]
    assert Masker(KEY).mask(written) is None


@given(NUMBERS, NUMBERS)
def test_pseudonyms(number: str, other: str) -> None:
    assume(number != other)
    first, second = (masked_user(KEY, one) for one in (number, other))
    assert first == masked_user(KEY, number) and len(first) == len(number)
    assert first != second
    assert first != masked_user(b"another key", number)


def masked_user(key: bytes, number: str) -> str:
    masked = Masker(key).mask(invite(number))
    assert masked is not None
    return re.findall(r"From: <sip:(\d+)@192", masked.decode())[0]
