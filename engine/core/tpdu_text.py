"""The text of a TPDU (3GPP TS 23.038 §6.1 and §6.2.1): read, and masked where it stands.

A text of GSM 7-bit characters is a row of septets, the first one in the lowest bits; behind a user data header it
starts at the next multiple of seven bits (TS 23.040 §9.2.3.24). Only septets or octets of digits are ever changed.
"""

from __future__ import annotations

from typing import Final

from engine.core.text_bodies import masked_text
from engine.core.tpdu import Alphabet, Tpdu

_ESCAPE: Final = 0x1B

# The default alphabet by septet (TS 23.038 §6.2.1); at 1B stands the escape.
_DEFAULT: Final = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞ\x1bÆæßÉ"
    " !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§"
    "¿abcdefghijklmnopqrstuvwxyzäöñüà"
)

# What a septet means behind an escape (§6.2.1.1); any other one means what it means without.
_EXTENSION: Final = {
    0x0A: "\f",
    0x14: "^",
    0x1B: " ",
    0x28: "{",
    0x29: "}",
    0x2F: "\\",
    0x3C: "[",
    0x3D: "~",
    0x3E: "]",
    0x40: "|",
    0x65: "€",
}

_MASK: Final = ord("*")  # the same in both alphabets


def tpdu_text(tpdu: Tpdu) -> str:
    """The text without its header; "" when the TPDU has none. Half a surrogate pair reads as U+FFFD."""
    return _located_text(tpdu)[0]


def masked_tpdu(tpdu: Tpdu, number: str) -> Tpdu:
    """The TPDU with `number` masked in its text as in `text_bodies`; the same object when it is not there.

    A number of which the parts of a long message hold a piece each is not seen.
    """
    text, places = _located_text(tpdu)
    masked = masked_text(text.encode(), number).decode()
    if masked == text:
        return tpdu
    changed = tpdu.copy()
    hidden = [place for place, old, new in zip(places, text, masked, strict=True) if old != new]
    changed.user_data = _with_septets(tpdu, hidden) if tpdu.alphabet is Alphabet.GSM7 else _with_units(tpdu, hidden)
    return changed


def _located_text(tpdu: Tpdu) -> tuple[str, list[int]]:
    """The text, and for each character the septet (GSM 7-bit) or octet (UCS2) of the user data at which it stands."""
    if not tpdu.user_data:
        return "", []
    return _located_septets(tpdu) if tpdu.alphabet is Alphabet.GSM7 else _located_units(tpdu)


def _located_septets(tpdu: Tpdu) -> tuple[str, list[int]]:
    bits = int.from_bytes(tpdu.user_data, "little")
    text: list[str] = []
    places: list[int] = []
    escaped = False
    for place in range(tpdu.header_septets, tpdu.user_data_length):
        septet = bits >> 7 * place & 0x7F
        if septet == _ESCAPE and not escaped:
            escaped = True
            continue
        text.append(_EXTENSION.get(septet, _DEFAULT[septet]) if escaped else _DEFAULT[septet])
        places.append(place)
        escaped = False
    return "".join(text), places


def _located_units(tpdu: Tpdu) -> tuple[str, list[int]]:
    text = tpdu.user_data[tpdu.header_length :].decode("utf-16-be", "replace")
    places: list[int] = []
    place = tpdu.header_length
    for char in text:
        places.append(place)
        place += _octets_of(char)
    return text, places


def _octets_of(char: str) -> int:
    return 4 if ord(char) > 0xFFFF else 2


def _with_septets(tpdu: Tpdu, hidden: list[int]) -> bytes:
    bits = int.from_bytes(tpdu.user_data, "little")
    for place in hidden:
        bits = bits & ~(0x7F << 7 * place) | _MASK << 7 * place
    return bits.to_bytes(len(tpdu.user_data), "little")


def _with_units(tpdu: Tpdu, hidden: list[int]) -> bytes:
    """A digit outside of the basic plane takes two units, and becomes two asterisks: the length stays."""
    octets = bytearray(tpdu.user_data)
    for place in hidden:
        is_pair = 0xD8 <= octets[place] <= 0xDB
        octets[place : place + (4 if is_pair else 2)] = b"\0*\0*" if is_pair else b"\0*"
    return bytes(octets)
