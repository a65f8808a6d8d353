"""Finding canaries in bytes, in every spelling that a person or a program reads back.

The bytes are read in many ways, and each reading is searched for what was planted. So the cost does not grow with the
number of canaries, and a spelling that nobody has planted is found as well.
"""

from __future__ import annotations

import base64
import re
import unicodedata
from collections.abc import Iterable, Iterator
from typing import Final, final
from urllib.parse import unquote_to_bytes

from engine.leaktest.canaries import WORD_LETTERS

TAIL: Final = 8  # digits by which a number is known where digits stand in clear
_LONG: Final = 10  # digits of what is looked for where any text reads as some digits
_BETWEEN_DIGITS: Final = re.compile(r"(?<=[0-9])[-.() \t/\\_,\0]+(?=[0-9])")
_ROUNDS: Final = 3  # of percent escapes, one in the other
_WORD: Final = re.compile(rf"zq[a-z]{{{WORD_LETTERS}}}")
_DIGITS: Final = re.compile(rf"[0-9]{{{TAIL},}}")
_BASE64: Final = re.compile(rb"[A-Za-z0-9+/_-]{8,}")
_HEX: Final = re.compile(rb"[0-9A-Fa-f]{16,}")
_LINE_IN_BASE64: Final = re.compile(rb"(?<=[A-Za-z0-9+/]{16})\r\n(?=[A-Za-z0-9+/]{4})")
_URL_SAFE: Final = bytes.maketrans(b"-_", b"+/")
_BINARY: Final = re.compile(rb"[\0-\x08\x0e-\x1f\x7f]")
_SEPTET: Final = 7

Reading = tuple[str, str, bool]  # spelling, text, True when digits stand in it as digits


@final
class Scanner:
    """What was planted, and the search for it. Values are digits or words of `canaries.Canaries`."""

    __slots__ = ("_by_tail", "_counts", "_words")

    def __init__(self) -> None:
        self._by_tail: dict[str, str] = {}
        self._counts: set[str] = set()
        self._words: set[str] = set()

    def add(self, value: str) -> None:
        """A count (`Canaries.count`) is looked for as digits that stand alone: two others in a row may spell it."""
        if not value.isdigit():
            self._words.add(value)
        elif len(value) < _LONG:
            self._counts.add(value)
        else:
            self._by_tail[value[-TAIL:]] = value

    def find(self, data: bytes) -> dict[str, str]:
        """Each planted value that stands in `data` -> the spelling in which it was seen first."""
        return self.find_in(readings(data))

    def find_in(self, texts: Iterable[Reading]) -> dict[str, str]:
        """The same for data that has been read."""
        found: dict[str, str] = {}
        for spelling, text, is_clear in texts:
            for value in self._in_text(text, is_clear):
                found.setdefault(value, spelling)
        return found

    def _in_text(self, text: str, is_clear: bool) -> Iterator[str]:
        for word in _WORD.findall(text.lower()):
            if word in self._words:
                yield word
        yield from self._counts.intersection(_DIGITS.findall(text)) if is_clear else ()
        for run in _DIGITS.findall(_BETWEEN_DIGITS.sub("", text)):
            for start in range(len(run) - TAIL + 1):
                number = self._by_tail.get(run[start : start + TAIL])
                if number is None:
                    continue
                if (is_clear and _begins_as(number, run[:start])) or number in run:
                    yield number


def _begins_as(number: str, before: str) -> bool:
    """True unless the digits before its last eight are others than its own: two counts in a row are no number."""
    head = number[:-TAIL]
    return head.endswith(before[-len(head) :])


def readings(data: bytes) -> list[Reading]:
    """All ways to read `data`."""
    found = list(_clear(data))
    found.append(("reversed", data.decode("latin-1")[::-1], False))
    found += _semi_octets(data, "")
    runs = _BASE64.findall(_LINE_IN_BASE64.sub(b"", data))
    decoded = b"\n".join([_decoded(run, offset) for run in runs for offset in range(4)])
    found.append(("base64", decoded.decode("latin-1"), False))
    found.append(("base64 of UTF-16", decoded.replace(b"\0", b"").decode("latin-1"), False))
    for run in _HEX.findall(data):
        for offset in (0, 1):
            whole = run[offset : offset + (len(run) - offset) // 2 * 2]
            octets = bytes.fromhex(whole.decode())
            found.append(("hex", octets.replace(b"\0", b"").decode("latin-1"), False))
            found += _semi_octets(octets, " in hex")
            found += _septets(octets, " in hex")
    body = data.partition(b"\r\n\r\n")[2]
    if not body.isascii() or _BINARY.search(body):  # a text is not packed
        found += _septets(body, "")
    return found


def _clear(data: bytes) -> Iterator[Reading]:
    """`data` as text, unescaped, in the digits of other scripts, and as text of two octets a character."""
    yield "plain", data.decode("latin-1"), True
    for _ in range(_ROUNDS):
        if b"%" not in data:
            break
        data = unquote_to_bytes(data)
        yield "percent", data.decode("latin-1"), True
    if b"\0" in data:
        yield "utf-16", data.replace(b"\0", b"").decode("latin-1"), True
    if data.isascii():
        return
    for charset in ("utf-8", "gb18030", "utf-16-be", "utf-16-le"):
        yield "other digits", "".join(map(_digit, data.decode(charset, "ignore"))), True


def _digit(char: str) -> str:
    """An ASCII digit for a digit of any script."""
    value = -1.0 if char.isascii() else unicodedata.numeric(char, -1.0)
    return str(int(value)) if value in range(10) else char


def _decoded(run: bytes, offset: int) -> bytes:
    """The octets of base64 or base64url that begins `offset` characters into `run`."""
    whole = run[offset:].translate(_URL_SAFE)
    return base64.b64decode(whole[: len(whole) // 4 * 4] + _rest(whole))


def _rest(whole: bytes) -> bytes:
    """The last group of four, padded."""
    rest = whole[len(whole) // 4 * 4 :]
    return rest + b"=" * (4 - len(rest)) if len(rest) > 1 else b""


def _semi_octets(data: bytes, where: str) -> Iterator[Reading]:
    """Binary coded decimals, the first digit in the low and in the high half of its octet; of digits too."""
    text = data.hex()
    yield f"BCD{where}", _swapped(text), False
    yield f"BCD high half first{where}", text, False
    clear = data.decode("latin-1")
    yield f"digits in pairs{where}", _swapped(clear), False
    yield f"digits in pairs{where}", _swapped(clear[1:]), False


def _swapped(text: str) -> str:
    """Each pair of characters the other way around."""
    return "".join([second + first for first, second in zip(text[::2], text[1::2], strict=False)])


def _septets(data: bytes, where: str) -> Iterator[Reading]:
    """The default alphabet of GSM packed into octets (3GPP TS 23.038 §6.1.2.1), beginning at any bit."""
    bits = int.from_bytes(data, "little")
    for first in range(_SEPTET):
        shifted, count = bits >> first, (8 * len(data) - first) // _SEPTET
        septets = [shifted >> (_SEPTET * index) & 0x7F for index in range(count)]
        yield f"GSM-7{where}", bytes(septets).decode("latin-1"), False
