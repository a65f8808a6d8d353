"""Every spelling of a canary is found in a capture, and nothing is found in one that holds none."""

from __future__ import annotations

import base64
from collections.abc import Callable
from random import Random
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.leaktest import tpdu
from engine.leaktest.canaries import PREFIX, Canaries
from engine.leaktest.scan import Scanner

NUMBER = "15481936275"
WORD = "zqmvhtkwpaxe"

HEAD = b"MESSAGE sip:700123456780001@198.51.100.4 SIP/2.0\r\nCSeq: 204712345 MESSAGE\r\n%s\r\n"


def capture(body: bytes, row: bytes = b"") -> bytes:
    return HEAD % row + b"\r\n" + body


def scanner() -> Scanner:
    found = Scanner()
    found.add(NUMBER)
    found.add(WORD)
    return found


SPELLINGS: dict[str, Callable[[str], bytes]] = {
    "plain": lambda n: n.encode(),
    "+86": lambda n: f"+86{n}".encode(),
    "0086": lambda n: f"0086{n}".encode(),
    "0": lambda n: f"0{n}".encode(),
    "hyphens": lambda n: f"{n[:3]}-{n[3:7]}-{n[7:]}".encode(),
    "spaces and brackets": lambda n: f"({n[:3]}) {n[3:7]} {n[7:]}".encode(),
    "backslashes": lambda n: "\\".join(n).encode(),
    "last eight digits": lambda n: n[-8:].encode(),
    "percent": lambda n: "".join(f"%{ord(c):02x}" for c in n).encode(),
    "percent twice": lambda n: quote("".join(f"%{ord(c):02x}" for c in n)).encode(),
    "base64": lambda n: base64.b64encode(n.encode()),
    "base64, one on": lambda n: base64.b64encode(b"." + n.encode()),
    "base64, two on": lambda n: base64.b64encode(b".." + n.encode()),
    "base64url": lambda n: base64.urlsafe_b64encode(b"~~?" + n.encode() + b"~~?").rstrip(b"="),
    "base64 behind a letter": lambda n: b"x" + base64.b64encode(n.encode()),
    "base64 in lines": lambda n: base64.encodebytes(b"a" * 50 + n.encode()).replace(b"\n", b"\r\n"),
    "hex": lambda n: n.encode().hex().encode(),
    "hex behind a digit": lambda n: b"0" + n.encode().hex().upper().encode(),
    "BCD": lambda n: b"\x91" + tpdu.semi_octets(n),
    "BCD, high half first": lambda n: bytes.fromhex(n + "f" * (len(n) % 2)),
    "BCD in hex": lambda n: (b"\x0b\xa1" + tpdu.semi_octets(n) + b"\x00\x00").hex().encode(),
    "UTF-16 big endian": lambda n: n.encode("utf-16-be"),
    "UTF-16 little endian": lambda n: n.encode("utf-16-le"),
    "full width": lambda n: "".join(chr(0xFF10 + int(c)) for c in n).encode(),
    "full width in GB 18030": lambda n: "".join(chr(0xFF10 + int(c)) for c in n).encode("gb18030"),
    "Arabic digits": lambda n: "".join(chr(0x660 + int(c)) for c in n).encode(),
    "reversed": lambda n: n[::-1].encode(),
}  # fmt: skip


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_number_is_found_in_each_spelling(spelling: str) -> None:
    written = SPELLINGS[spelling](NUMBER)
    assert NUMBER in scanner().find(capture(b"text " + written + b" text"))
    if written.isascii() and b"\0" not in written and b"\r" not in written:
        assert NUMBER in scanner().find(capture(b"", b"X-Any: a" + b" " + written + b"\r\n"))


@pytest.mark.parametrize("bits", range(8))
def test_packed_text_is_found_at_every_bit(bits: int) -> None:
    text = "@" * bits + f"call {NUMBER} {WORD}"
    assert set(scanner().find(capture(b"\x00\x2a\x00" + tpdu.packed(text)))) == {NUMBER, WORD}


@pytest.mark.parametrize(
    "written",
    [WORD, WORD.upper(), quote(WORD), "".join(f"%{ord(c):02X}" for c in WORD), WORD[::-1], f"{WORD}.invalid",
     base64.b64encode(WORD.encode()).decode(), base64.urlsafe_b64encode(b"?" + WORD.encode()).decode(),
     WORD.encode().hex()],
)  # fmt: skip
def test_a_word_is_found(written: str) -> None:
    assert WORD in scanner().find(capture(b"", f"X-Any: <{written}>\r\n".encode()))


@pytest.mark.parametrize(
    "falsified",
    [NUMBER[:-1], NUMBER[:6] + NUMBER[7:], NUMBER.replace("9", "8"), f"{NUMBER[:6]}x{NUMBER[6:]}"],
)
def test_what_is_nearly_a_canary_is_none(falsified: str) -> None:
    for write in SPELLINGS.values():
        if write is not SPELLINGS["last eight digits"] and falsified.isdigit():
            assert scanner().find(capture(write(falsified))) == {}
    assert scanner().find(capture(falsified.encode())) == {}
    assert scanner().find(capture(WORD[:-1].encode())) == {}


def test_the_end_of_one_count_and_the_beginning_of_the_next_are_no_canary() -> None:
    """81936275 is the last eight digits of the number."""
    assert scanner().find(b"o=- 204718193 62750000 IN IP4 198.51.100.4") == {}
    assert scanner().find(b"o=- 81936275 204719999 IN IP4 198.51.100.4") == {NUMBER: "plain"}
    assert scanner().find(b"x=99154819362759") == {NUMBER: "plain"}


def test_a_short_count_is_not_looked_for_in_what_any_text_reads_as() -> None:
    """CSeq 135373639 in BCD is the text "57691"."""
    count = Scanner()
    count.add("135373639")
    assert count.find(b"CSeq: x\x13\x53\x73\x63\x09") == {}
    assert count.find(b"CSeq: 135373639") == {"135373639": "plain"}
    assert count.find(b"o=- 204713537 363900000 IN IP4 198.51.100.4") == {}


@given(st.binary(max_size=400))
def test_no_bytes_upset_it(data: bytes) -> None:
    found = scanner()
    assert found.find(data) == {}
    assert NUMBER in found.find(data + b"\n " + NUMBER.encode() + b" \n")


def test_canaries_are_alike_for_nobody_and_no_part_of_a_known_number() -> None:
    x = "700123456780001"
    canaries = Canaries(Random(3), [x])
    numbers = [canaries.number() for _ in range(500)]
    assert len({number[-8:] for number in numbers}) == 500
    assert all(len(number) == 11 and number[-8:] not in x and number[3] >= "3" for number in numbers)
    counts = [canaries.count() for _ in range(20_000)]
    assert len({count // 100 for count in counts}) == 20_000  # those that follow on one are nobody else's
    assert all(130_000_000 <= count < 200_000_000 for count in counts)
    assert not [count for count in counts if str(count).startswith(PREFIX)]
    assert [Canaries(Random(3), [x]).number() for _ in range(1)] == numbers[:1]
