"""Encodings in which a real number can hide, and whether bytes hold one so. Spellings a person reads: `spelling`.

Searched where bytes of the other side are copied (passed header fields, texts, attributes of a description), because a
program on the way decodes it, or its user with any tool:

- escapes: quoted-printable (RFC 2045 §6.7, so encoded words too), numeric entities of XML and HTML, \\u and \\x of JSON
  and scripts, each up to three times over;
- base64 and base64url (RFC 4648) at each of the three offsets, wrapped or not, of ASCII and of UTF-16 in both orders;
- hex of these two, with separators between the octets or not;
- semi-octets (TS 23.040 §9.1.2.3, Q.763 §3.9) in either order of the nibbles, beginning in either half of an octet: in
  binary bodies, and written in hex;
- the septets of GSM 7 bit (TS 23.038 §6.1.2.1) at each of eight bits: in binary bodies.

Within an encoded span the digits follow one another: 138-0013-8000 in base64 is not found. Left out is what no program
on a message's way decodes: several encodings in one another, octal, uuencode, compression.

A number of eleven (ten) digits is met by chance with a probability of 6e-11 (9e-10) as semi-octets in 256 random
octets, more than an SMS has; of 4e-11 (7e-10) as those in 256 letters of hex; of less than 1e-17 in the other ways in
1 kB. Rows of decimal digits are no random octets, so hex without a letter counts only when it is the number from end to
end: 1e-11 (1e-10) for each such word. Below ten digits semi-octets are not searched.
"""

from __future__ import annotations

import re
from base64 import b64encode
from functools import lru_cache
from typing import Final

from engine.core.numbers import COUNTRY_CODE

# Parties that are remembered; the needles of one take 2 kB.
_MAX_PARTIES: Final = 1024

# Fewer digits in semi-octets stand in random octets too often.
PACKED_FROM: Final = 10

# The fewest digits whose encoding is no word by chance: base64 has seven letters, 2**-42.
_WORD_FROM: Final = 5

# Nobody reads a text that has been escaped more often; each round costs as much as the whole text.
MAX_UNESCAPED: Final = 3

# What may stand among the letters of wrapped base64, and between octets in hex. A hyphen is a letter of base64url.
BETWEEN_LINES: Final = b" \t\r\n\0"
_BETWEEN_LETTERS: Final = b" \t\r\n:,-"
BETWEEN_OCTETS: Final = b" \t\r\n-:,\0"

# -- escapes -----------------------------------------------------------------------------------------------------------

ESCAPES: Final = (
    r"&#[xX]0*([0-9A-Fa-f]{1,6});?"  # 1: a code point in hex
    r"|&#0*([0-9]{1,7});?"  # 2: in decimal
    r"|\\u([0-9A-Fa-f]{4})"  # 3: a code unit
    r"|(?:\\x|=)([0-9A-Fa-f]{2})"  # 4: an octet
    r"|(&amp;)|=[ \t]*\r?\n"  # 5; a line end that is none
)
_ESCAPE: Final = re.compile(ESCAPES.encode("ascii"))

_EQUALS: Final = 0x3D  # as numbers: bytes are first taken for one, which costs more than the search
_AMPERSAND: Final = 0x26
_BACKSLASH: Final = 0x5C
_MARKS: Final = (b"&#", b"&amp;", b"\\u", b"\\x", b"=3", b"=E", b"=\r")


def unescaped(data: bytes) -> bytes | None:
    """`data` with escapes taken for what they mean, as UTF-8; None when it has none of a digit."""
    if _EQUALS not in data and _AMPERSAND not in data and _BACKSLASH not in data:
        return None
    if not any(data.find(mark) >= 0 for mark in _MARKS):
        return None
    for _ in range(MAX_UNESCAPED):
        again = _ESCAPE.sub(_meant, data)
        if again == data:
            break
        data = again
    return data


def _meant(found: re.Match[bytes]) -> bytes:
    in_hex, decimal, unit, octet, ampersand = found.groups()
    if octet is not None:
        return bytes((int(octet, 16),))
    if ampersand is not None:
        return b"&"
    if in_hex is None and decimal is None and unit is None:
        return b""
    code = int(decimal) if decimal is not None else int(in_hex or unit, 16)
    return chr(code).encode("utf-8", "ignore") if code < 0x110000 else b""


# -- what a run of letters can be --------------------------------------------------------------------------------------

# Letters of base64 in the encoding of digits, by their place: 0011dd dd0011 dddd00 11dddd.
_CYCLE: Final = ("MNO", "DTjz", "AEIMQUYcgk", "wxyz012345")
NUMBER_LETTERS: Final = frozenset("".join(_CYCLE) + "0123456789")  # digits in hex are digits
_CLASSES: Final = bytes(0x31 if chr(octet) in NUMBER_LETTERS else 0x20 for octet in range(256))
_RUN: Final = b"1" * 6  # nine digits have twelve letters in base64; a line may end among them
_OCTETS: Final = b"11 11 11 11 11"  # nine semi-octets in hex


def may_hold_run(data: bytes) -> bool:
    """False when no run of letters in `data` can be a number in base64, or in hex without separators: nearly always."""
    return data.translate(_CLASSES).find(_RUN) >= 0  # `in` would first take the run for a number, which costs more


def may_hold_encoded(data: bytes) -> bool:
    """The same, with separators between the octets or not."""
    classes = data.translate(_CLASSES)
    return classes.find(_RUN) >= 0 or classes.find(_OCTETS) >= 0


def _cycle(*classes: str) -> bytes:
    return "".join(f"[{letters}]" for letters in classes).encode()


# Every encoding of nine digits or more has this in it, whatever stands before the first one.
_ANY_LONG: Final = re.compile(
    rb"(?:%b){2}|%b|(?:3[0-9]){9}|(?:3[0-9]00){8}"
    % (_cycle(*_CYCLE), _cycle(_CYCLE[0], "AQgw", "A", _CYCLE[3], "A", _CYCLE[1], _CYCLE[2], "A"))
)


def holds_long_encoded(data: bytes) -> bool:
    """True when nine digits, whosever they are, may stand in `data` in base64 or in hex, separated or not."""
    joined = data.translate(None, _BETWEEN_LETTERS)
    return may_hold_run(joined) and _ANY_LONG.search(joined) is not None


# -- one number --------------------------------------------------------------------------------------------------------


def holds_encoded(data: bytes, number: str) -> bool:
    """True when `number`, of nine digits or more, stands in `data` in base64, or as text in hex.

    To be asked when `may_hold_encoded`, or `may_hold_run`, says that it can.
    """
    in_base64, in_hex = _text_needles(number)
    letters = data.translate(None, BETWEEN_LINES)
    for inner, whole in in_base64:
        if letters.find(inner) >= 0 and whole.search(letters):
            return True
    octets = data.translate(None, BETWEEN_OCTETS)
    return octets.find(in_hex[0]) >= 0 or octets.find(in_hex[1]) >= 0


# The letters that hold nothing but the number, which one find looks for first; then the pattern of all of it.
_Needle = tuple[bytes, re.Pattern[bytes]]


@lru_cache(maxsize=_MAX_PARTIES)
def _text_needles(number: str) -> tuple[tuple[_Needle, ...], tuple[bytes, bytes]]:
    ascii_ = number.encode("ascii")
    wide = "\0".join(number).encode("ascii")  # what UTF-16 has in common, whichever octet comes first
    in_base64 = tuple(_in_base64(text, before) for text in (ascii_, wide) for before in range(3))
    return in_base64, (ascii_.hex().encode(), wide.hex().encode())


def _in_base64(data: bytes, before: int) -> _Needle:
    """`data` behind so many octets; of the letters at its ends some bits belong to what stands around it."""
    first, last = (8 * before + 5) // 6, 8 * (before + len(data)) // 6
    lowest, highest = (b64encode(octet * before + data + octet * 2) for octet in (b"\0", b"\xff"))
    inner = lowest[first:last]
    return inner, re.compile(_letters(lowest, highest, first - 1) + inner + _letters(lowest, highest, last))


BASE64_LETTERS: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"


def _letters(lowest: bytes, highest: bytes, at: int) -> bytes:
    """The letters that can stand at a place whose bits are fixed only where all zeros and all ones agree."""
    if at < 0:
        return b""
    low, high = BASE64_LETTERS.index(lowest[at]), BASE64_LETTERS.index(highest[at])
    found = bytes(BASE64_LETTERS[value] for value in range(64) if value & ~(low ^ high) == low & high)
    return b"" if len(found) == 64 else b"[%b_-]" % found if b"/" in found else b"[%b]" % found


HEX_OCTETS: Final = re.compile(rb"(?:[0-9A-Fa-f]{2}[ \t\r\n:,-]*){5,}[0-9A-Fa-f]?")


def holds_packed_in_hex(data: bytes, number: str) -> bool:
    """True when `number` stands in `data` in semi-octets that are written in hex. To be asked as `holds_encoded` is."""
    if len(number) < PACKED_FROM:
        return False
    for found in HEX_OCTETS.finditer(data):
        octets = found.group().translate(None, BETWEEN_OCTETS).decode("ascii").lower()
        if octets.isdigit():
            if reordered(octets) in _whole_words(number):
                return True
        elif number in octets or number in reordered(octets) or number in reordered(octets[1:]):
            return True
    return False


def reordered(digits: str) -> str:
    """The second of each pair first: semi-octets as they are read."""
    second, first = digits[1::2], digits[::2]
    return "".join(map("".join, zip(second, first, strict=False))) + first[len(second) :]


@lru_cache(maxsize=_MAX_PARTIES)
def _whole_words(number: str) -> frozenset[str]:
    return frozenset((number, f"0{number}", f"{COUNTRY_CODE}{number}", f"00{COUNTRY_CODE}{number}"))


_NIBBLES_SWAPPED: Final = bytes((octet & 15) << 4 | octet >> 4 for octet in range(256))


def holds_packed(data: bytes, number: str) -> bool:
    """True when `number`, of ten digits or more, stands in octets as semi-octets or in packed septets."""
    if len(number) < PACKED_FROM:
        return False
    if number in data.hex() or number in data.translate(_NIBBLES_SWAPPED).hex():
        return True
    return any(data.find(inner) >= 0 and _stands(data, inner, septets) for inner, septets in _septet_needles(number))


@lru_cache(maxsize=_MAX_PARTIES)
def _septet_needles(number: str) -> tuple[tuple[bytes, _Septets], ...]:
    """For each bit that it can begin at: the octets that hold nothing but `number`, and all of it."""
    septets = sum(ord(digit) << 7 * place for place, digit in enumerate(number))
    length = 7 * len(number)
    return tuple(
        (
            (septets << shift).to_bytes(length // 8 + 2, "little")[1 if shift else 0 : (length + shift) // 8],
            (septets << shift, (1 << length) - 1 << shift, 1 if shift else 0),
        )
        for shift in range(8)
    )


# Their value, the bits that count, and how many octets stand before those that were searched.
_Septets = tuple[int, int, int]


def _stands(data: bytes, inner: bytes, septets: _Septets) -> bool:
    """True when the bits around one of the places of `inner` are the number's too."""
    value, mask, before = septets
    at = data.find(inner)
    while at >= 0:
        if at >= before and int.from_bytes(data[at - before : at + len(inner) + 1], "little") & mask == value:
            return True
        at = data.find(inner, at + 1)
    return False


# -- short numbers -----------------------------------------------------------------------------------------------------

_WORD: Final = re.compile(rb"[A-Za-z0-9+/_-]{7,}")


def holds_encoded_word(data: bytes, number: str) -> bool:
    """True when a whole word of `data` is a short number in base64 or hex, with or without the country code."""
    return len(number) >= _WORD_FROM and not _encoded_words(number).isdisjoint(_WORD.findall(data))


@lru_cache(maxsize=_MAX_PARTIES)
def _encoded_words(number: str) -> frozenset[bytes]:
    words: set[bytes] = set()
    for prefix in ("", COUNTRY_CODE, f"+{COUNTRY_CODE}", f"00{COUNTRY_CODE}"):
        text = f"{prefix}{number}".encode("ascii")
        words.update((b64encode(text).rstrip(b"="), text.hex().encode(), text.hex().upper().encode()))
    return frozenset(words)
