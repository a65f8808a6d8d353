"""Encodings in which a number can hide: each is found wherever it begins, and nothing else is taken for one."""

from __future__ import annotations

import quopri
from base64 import b64encode, encodebytes, urlsafe_b64encode

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from engine.core.copies import body_hides, text_hides
from engine.core.encodings import holds_long_encoded, holds_packed, may_hold_run, unescaped
from engine.core.spelling import holds_long_number, holds_number

MOBILE = "13800138000"
OTHER = "13900139000"
SDP = "application/sdp"
SMS = "application/vnd.3gpp.sms"

NUMBERS = st.from_regex(r"1[3-9][0-9]{9}|2[0-9]{9}", fullmatch=True)
PREFIXES = st.sampled_from(["", "+86", "86", "0086", "0"])
OCTETS = st.binary(max_size=24)
WORDS = st.text("ghijklmnop qrstuvwxyz.;=", max_size=12)


def septets(text: str, bits_before: int = 0) -> bytes:
    """GSM 7 bit, packed as TS 23.038 §6.1.2.1 draws it, after some bits of another text."""
    bits = "0" * bits_before + "".join(f"{ord(char):07b}"[::-1] for char in text)
    bits += "0" * (-len(bits) % 8)
    return bytes(int(bits[at : at + 8][::-1], 2) for at in range(0, len(bits), 8))


def semi_octets(digits: str) -> bytes:
    """TS 23.040 §9.1.2.3: the first digit in the low half, a filler in the last high one."""
    digits += "f" * (len(digits) % 2)
    return bytes(int(digits[at + 1] + digits[at], 16) for at in range(0, len(digits), 2))


def test_the_helpers_of_these_tests_pack_as_published() -> None:
    """The usual example of a packed text, and an address as TS 23.040 and every modem writes it."""
    assert septets("hellohello").hex() == "e8329bfd4697d9ec37"
    assert semi_octets("46708251358").hex() == "64072815 53f8".replace(" ", "")


# -- each encoding, at any place -----------------------------------------------------------------------------------


@given(NUMBERS, NUMBERS, PREFIXES, OCTETS, OCTETS, st.sampled_from(["ascii", "utf-16-le", "utf-16-be"]), st.booleans())
def test_base64(
    number: str, other: str, prefix: str, before: bytes, after: bytes, charset: str, is_for_urls: bool
) -> None:
    assume(other != number)
    code = urlsafe_b64encode if is_for_urls else b64encode
    data = code(before + (prefix + number).encode(charset) + after)
    for text in (data, b"x=" + data.rstrip(b"=") + b";y", encodebytes(b"z" * 70 + before + number.encode(charset))):
        assert text_hides(text, number)
        assert not text_hides(text, other)


@pytest.mark.parametrize("digit", "0123456789")
@pytest.mark.parametrize("after", [b"", b"\xef\xbc\x8c", b"\xff\xff", b"\0\0", b"\xe0\0\0"])
def test_last_digit_counts_whatever_follows(digit: str, after: bytes) -> None:
    """The last letter has bits of what follows; nobody is taken for who has the next number."""
    number = MOBILE[:-1] + digit
    for code in (b64encode, urlsafe_b64encode):
        for before in (b"", b"\xbf", b"\xff\xff"):
            text = code(before + number.encode() + after)
            found = [other for other in "0123456789" if text_hides(text, MOBILE[:-1] + other)]
            assert found == [digit], text


@given(NUMBERS, NUMBERS, PREFIXES, OCTETS, st.sampled_from(["", " ", ":", "-", ","]), st.booleans(), st.booleans())
def test_hex_of_text(
    number: str, other: str, prefix: str, around: bytes, between: str, is_upper: bool, is_wide: bool
) -> None:
    assume(other != number)
    octets = around + (prefix + number).encode("utf-16-be" if is_wide else "ascii") + around
    text = octets.hex(between) if between else octets.hex()
    data = f"v={text.upper() if is_upper else text};encoding=hex".encode()
    assert text_hides(data, number)
    assert not text_hides(data, other)


@given(NUMBERS, NUMBERS, PREFIXES, OCTETS, OCTETS, st.booleans())
def test_semi_octets(number: str, other: str, prefix: str, before: bytes, after: bytes, is_swapped: bool) -> None:
    assume(other != number)
    packed = semi_octets(prefix.lstrip("+") + number)
    if not is_swapped:
        packed = bytes(octet >> 4 | (octet & 15) << 4 for octet in packed)
    assert body_hides(before + packed + after, SMS, number)
    assert not body_hides(before + packed + after, SMS, other)
    assert not body_hides(before + packed[:-2] + after, SMS, number)


@given(NUMBERS, NUMBERS, st.sampled_from(["", "+86", "86"]), st.sampled_from(["", " ", ":"]), st.booleans())
def test_semi_octets_in_hex(number: str, other: str, prefix: str, between: str, is_upper: bool) -> None:
    assume(other != number)
    octets = semi_octets(prefix.lstrip("+") + number)
    text = octets.hex(between) if between else octets.hex()
    for form in (f"uui={text}", f"t=07{between}91{between}{text}{between}af", f"see {text}."):
        data = (form.upper() if is_upper else form).encode()
        assert text_hides(data, number)
        assert not text_hides(data, other)


@given(NUMBERS, NUMBERS, st.text("abcdefgh xyz", max_size=16), st.text("abcdefgh xyz", max_size=16), st.integers(0, 6))
def test_septets(number: str, other: str, before: str, after: str, fill_bits: int) -> None:
    assume(other != number)
    packed = septets(before + number + after, fill_bits)
    for data in (packed, b"\x91\x05\0" + packed):
        assert body_hides(data, SMS, number)
        assert not body_hides(data, SMS, other)


@pytest.mark.parametrize("bits", range(8))
def test_septets_at_each_bit(bits: int) -> None:
    assert holds_packed(b"\xff" + septets(MOBILE, bits), MOBILE)
    assert not holds_packed(b"\xff" + septets(OTHER, bits), MOBILE)


@pytest.mark.parametrize("bits", range(8))
@pytest.mark.parametrize("digit", "0123456789")
def test_ends_of_septets_count(digit: str, bits: int) -> None:
    """Of the octets at its ends some bits belong to what stands around the number."""
    for number in (MOBILE[:-1] + digit, digit + MOBILE[1:]):
        data = b"\x91" + septets(number + "x", bits)
        others = [MOBILE[:-1] + other for other in "0123456789"] + [other + MOBILE[1:] for other in "0123456789"]
        assert {other for other in others if holds_packed(data, other)} == {number}


@given(NUMBERS, NUMBERS, WORDS, st.data())
def test_escapes(number: str, other: str, around: str, data: st.DataObject) -> None:
    """Any mix of escaped and plain digits, each in its own way."""
    assume(other != number)
    forms = ("{0}", "={1:02X}", "&#{1};", "&#x{1:x};", "&#x{1:X};", "&#0{1};", "\\u{1:04x}", "\\x{1:02x}", "={1:02x}")
    text = "".join(data.draw(st.sampled_from(forms)).format(digit, ord(digit)) for digit in number)
    assert text_hides(f"{around} {text} {around}".encode(), number) or text == number
    assert not text_hides(f"{around} {text} {around}".encode(), other)


@pytest.mark.parametrize(
    "text",
    [
        "&amp;#49;3800138000",  # escaped twice
        "&amp;amp;#x31;3800138000",  # three times
        "=?utf-8?Q?=31=33=38=30=30=31=33=38=30=30=30?=",  # an encoded word
        "1380013=\r\n8000",  # a line end that is none
        "&#65297;&#65299;800138000",  # full-width digits
        "=EF=BC=91=EF=BC=93800138000",
        "\\uff113800138000",
        "&#49;38-0013-8000",  # separators
        "=?utf-8?B?MTM4MDAxMzgwMDA=?=",
        "eyJvcmlnIjp7InRuIjoiODYxMzgwMDEzODAwMCJ9fQ",  # {"orig":{"tn":"8613800138000"}}
        "+ADEAMwA4ADAAMAAxADMAOAAwADAAMA-",  # UTF-7
        "MTM4MDAx\r\n MzgwMDA=",
        "31 33 38 30 30 31 33 38 30 30 30",
        "0x3133383030313338303030",
        "04 81 31 08 10 83 00 F0 9A",
        "3108108300F0",
        "683108108300F0",
        "a3108108300f0",  # a letter before it that is no half of an octet
        "108300310800",  # trunk 0: the number begins in the other half of an octet
    ],
)
def test_found(text: str) -> None:
    data = text.encode()
    assert text_hides(data, MOBILE)
    assert not text_hides(data, OTHER)


def test_quoted_printable_as_a_library_writes_it() -> None:
    data = quopri.encodestring("号码１３８００１３８０００".encode())
    assert text_hides(data, MOBILE) and not text_hides(data, OTHER)


# -- short numbers -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", ["95588", "10086", "1008611"])
@pytest.mark.parametrize("prefix", ["", "+86", "86", "0086"])
def test_short_number_is_a_word_of_its_own(number: str, prefix: str) -> None:
    octets = (prefix + number).encode()
    in_base64, in_hex = b64encode(octets), octets.hex()
    for word in (in_base64, in_base64.rstrip(b"="), in_hex.encode(), in_hex.upper().encode()):
        assert text_hides(b"x=" + word + b";y", number)
        assert not text_hides(b"x=" + word + b"5;y", number) or word.endswith(b"=")
        assert not text_hides(b"A" + word, number)
    for text in (b64encode(b"order 5" + octets), b64encode(octets + b"1")):
        assert not text_hides(text, number)


def test_short_number_escaped() -> None:
    assert text_hides(b"call &#57;5588!", "95588")
    assert not text_hides(b"call &#57;55881!", "95588")
    assert not text_hides(b"MTEw 313130", "110")  # three digits in base64 are a word like any other


# -- what is no number ---------------------------------------------------------------------------------------------

BROWSER = b"""v=0
o=- 13800138000 2 IN IP4 127.0.0.1
s=-
t=0 0
a=group:BUNDLE 10 11 12 13 14 15 16 17 18 19 20
a=msid-semantic: WMS 5f1b0a2c-7e0f-4b0e-9a55-1380013800ff
m=audio 9 UDP/TLS/RTP/SAVPF 111 63 9 0 8 13 110 126
c=IN IP4 192.168.100.123
a=ice-ufrag:Vv+9
a=ice-pwd:MTM4MDAxMzgwMDQ9jYXBhYmls
a=fingerprint:sha-256 13:80:01:38:0A:12:6E:3F:77:30:30:31:33:38:30:30:31:33:38:31:30:A1:10:9B:04:55:6B:F3:0C:93:D0:11
a=candidate:842163049 1 udp 1677729535 203.0.113.5 46154 typ srflx raddr 10.0.0.5 rport 46154 generation 0
a=extmap:14 urn:ietf:params:rtp-hdrext:toffset
a=fmtp:111 minptime=10;useinbandfec=1
a=ssrc:3735928559 cname:o9k0Cq1FN3oNy5uT
m=video 9 UDP/TLS/RTP/SAVPF 96 97 39 40 41 42 43 44 45 46 47 48 103 104
a=fmtp:96 profile-level-id=42e01f;packetization-mode=1;sprop-parameter-sets=Z0IAKpY1QPAET8s3AQEBAg==,aM48gA==
a=fmtp:97 config=13802188112A3B4C5D6E7F
a=tls-id:91bbf309c0990a6bec11e38ba2933cee
""".replace(b"\n", b"\r\n")


@given(st.from_regex(r"1[3-9][0-9]{9}", fullmatch=True) | st.sampled_from([MOBILE, "14243444546", "13141516171"]))
def test_a_browsers_description_is_nobodys_number(number: str) -> None:
    assert may_hold_run(BROWSER)
    assert not body_hides(BROWSER, SDP, number)


@pytest.mark.parametrize("number", ["14243444546", "13141516171", "15161718191"])
def test_lists_of_two_digits_are_no_semi_octets(number: str) -> None:
    """10 11 12 ... 20 has 13141516171 in it when each pair is turned round."""
    assert not text_hides(b" ".join(b"%d" % n for n in range(10, 60)), number)


@given(st.binary(min_size=1, max_size=248), NUMBERS)
def test_random_octets_are_nobodys_number(data: bytes, number: str) -> None:
    assert not holds_packed(data, number)
    assert not text_hides(b64encode(data), number) and not text_hides(data.hex().encode(), number)


@pytest.mark.parametrize(
    ("line", "is_number"),
    [
        (b"a=x:MTM4MDAxMzgwMDA=", True),
        (b"a=x:eDEzODAwMTM4MDAw", True),  # after one octet,
        (b"a=x:eHgxMzgwMDEzODAwMA", True),  # after two
        (b"a=x:MQAzADgAMAAwADEAMwA4ADAAMAAwAA", True),
        (b"a=x:3133383030313338303030", True),
        (b"a=x:31003300380030003000310033003800300030003000", True),
        (b"a=tls-id:91bbf309c0990a6bec11e38ba2933cee", False),
        (b"a=ts-refclk:ptp=IEEE1588-2008:39-A7-94-FF-FE-07-CB-D0:37", False),
        (b"a=setup:actpass", False),
        (b"a=x:TXkgbmFtZSBpcyBub2JvZHk", False),
    ],
)
def test_attribute_that_may_be_anybodys_number(line: bytes, is_number: bool) -> None:
    assert holds_long_number(line) is is_number


@given(NUMBERS, OCTETS, st.sampled_from(["ascii", "utf-16-le", "utf-16-be"]))
def test_what_is_searched_in_an_unknown_attribute_stays_behind_whosever_it_is(
    number: str, before: bytes, charset: str
) -> None:
    """Else an echo of a guess would be stopped exactly when the guess is right (decision 7)."""
    octets = before + number.encode(charset)
    for text in (b64encode(octets), urlsafe_b64encode(octets), octets.hex().encode()):
        assert holds_long_encoded(b"a=x:" + text)


# -- where it is searched ------------------------------------------------------------------------------------------


def test_in_a_description_only_what_no_answer_repeats_is_searched() -> None:
    coded = b64encode(MOBILE.encode())
    for line in (b"a=fmtp:96 x=%b", b"a=x-order:%b", b"a=ssrc:1 cname:%b"):
        assert body_hides(b"v=0\r\ns=-\r\n" + line % coded + b"\r\n", SDP, MOBILE)
    for line in (b"a=mid:%b", b"a=rid:%b send", b"m=%b 0 RTP/AVP 0", b"a=group:BUNDLE %b", b"a=rtpmap:96 %b/8000"):
        assert not body_hides(b"v=0\r\ns=-\r\n" + line % coded + b"\r\n", SDP, MOBILE)


def test_a_text_is_not_read_as_octets() -> None:
    packed = semi_octets(MOBILE)
    assert body_hides(packed, SMS, MOBILE) and not body_hides(packed, "text/plain;charset=UTF-8", MOBILE)


@pytest.mark.parametrize("text", [b"", b"plain", b"a=b;c=%31", b"100 & more", b"C:\\temp"])
def test_nothing_escaped(text: bytes) -> None:
    assert unescaped(text) is None


def test_unescaping_ends() -> None:
    assert not text_hides(b"&" + b"amp;" * 4000 + b"#49;3800138000", MOBILE)


def test_plain_spellings_are_not_the_matter_here() -> None:
    assert holds_number(MOBILE.encode(), MOBILE)
    assert not text_hides(MOBILE.encode() + b" 138-0013-8000", MOBILE)
