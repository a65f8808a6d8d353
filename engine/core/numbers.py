"""Number forms: what a dialled string means, and the one canonical spelling of every real number.

Canonical form of a real number (contract §5; keys and hashes depend on it, so it never changes): the national
significant number of country code 86 without trunk 0.

- mobile: `1[3-9]` and nine digits, 13800138000;
- landline: area 10 or 2x and eight digits, or area [3-9]xx and seven or eight, 2088888888. Never area 700, and never
  86x: no such area exists, and 86 in front of ten digits is a country code far more often. 400 and 800 numbers have
  the shape of a landline and are canonical as such;
- service numbers as dialled: 11x and 12x (three digits: 110, 120); 10, 11 or 12 first and five to eight digits (10086,
  12345, 118114, 1008611); 106 and up to twenty digits (access codes of message senders, callers too; one of ten digits
  cannot be told from a Beijing landline and is the same key); 95 and five to twenty digits; 96 and five to eight.

A prefix goes only where what remains is a valid national number: `+86` and `0086` always, a bare `86` only on a
trunk that says so (`prefix86`) or before 700, trunk `0` before a landline or mobile, also after a country code. When
in doubt a number is unknown: it is refused, never guessed. Only ASCII digits are digits. Visual separators are those
of RFC 3966 §3 (`-` `.` `(` `)`) and the space.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Final, NewType, final

from engine.core.number_rules import NumberRules
from engine.core.settings import NATIONAL, NumberFormat

PrivacyNumber = NewType("PrivacyNumber", str)
"""Exactly 15 ASCII digits, the first three 700."""

RealNumber = NewType("RealNumber", str)
"""A subscriber's number in canonical form, 3 to 20 ASCII digits."""

PRIVACY_PREFIX: Final = "700"
PRIVACY_LENGTH: Final = 15
MOBILE_LENGTH: Final = 11
COUNTRY_CODE: Final = "86"

MAX_SERVICE_LENGTH: Final = (
    20  # digits; longest access code (106...) and longest address field (3GPP TS 23.040 §9.1.2.5)
)
MAX_KEPT_DIGITS: Final = 32  # of a 700 number of wrong length: enough to see what was dialled, bounded for the record

SEPARATORS: Final = "-.() "
CONTEXT_PARAMETER: Final = "phone-context"  # RFC 3966 §5.1.5

HEX_DIGITS: Final = "0123456789abcdef"
MASK: Final = "****"


class DialledKind(StrEnum):
    """What a dialled string turned out to be."""

    PRIVACY = "privacy"
    PRIVACY_SHORT = "privacy-short"  # 700 and fewer than 15 digits: 484
    PRIVACY_LONG = "privacy-long"  # 700 and more than 15 digits: 404
    REAL = "real"
    UNKNOWN = "unknown"


@final
class Dialled:
    """A number as read from a message.

    `number` is the X for PRIVACY, the canonical form for REAL, the digits from 700 on (32 at most) for the two wrong
    lengths, and empty for UNKNOWN. `wire` is what stood on the trunk, where number rules have made another of it; it
    is no part of what is equal.
    """

    __slots__ = ("kind", "number", "wire")

    def __init__(self, kind: DialledKind, number: str, wire: str = "") -> None:
        self.kind = kind
        self.number = number
        self.wire = wire

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Dialled) and self.kind is other.kind and self.number == other.number

    def __hash__(self) -> int:
        return hash((self.kind, self.number))

    def __repr__(self) -> str:
        """Safe for a log: a real number is masked."""
        return f"Dialled({self.kind.value}, {mask(self.number) if self.kind is REAL else self.number})"


PRIVACY: Final = DialledKind.PRIVACY
REAL: Final = DialledKind.REAL
UNKNOWN: Final = Dialled(DialledKind.UNKNOWN, "")


def read_number(user: str, number_format: NumberFormat, rules: NumberRules | None = None) -> Dialled:
    """The meaning of the user part of a SIP URI, or of the body of a tel URI, as it stands in the message.

    `rules` are those of the trunk: what they make of the number is read in its place, but for 700 numbers.

    Takes percent-escapes, visual separators, a leading `+`, and parameters after `;` (of which only `phone-context`
    counts: +86 or unknown). Never raises.
    """
    length = len(user)
    if length == PRIVACY_LENGTH:  # nearly every number on a trunk is one of these two
        if is_privacy_number(user):
            return Dialled(PRIVACY, user)
    elif length == MOBILE_LENGTH and rules is None and user.isascii() and user.isdigit() and is_mobile(user):
        return Dialled(REAL, user)
    if not user.isascii() or not user.isprintable():
        return UNKNOWN
    body, semicolon, parameters = user.partition(";")
    if semicolon and not _context_is_ours(parameters):
        return UNKNOWN
    if "%" in body:
        body = _unescape(body)
    is_global = body.startswith("+")
    digits = _strip_separators(body[1:] if is_global else body)
    if digits == "":
        return UNKNOWN
    if rules is not None:
        return _read_by_rules(f"+{digits}" if is_global else digits, number_format, rules)
    if is_global:
        return _after_country(digits[2:]) if digits.startswith(COUNTRY_CODE) else UNKNOWN
    return _read_local(digits, number_format is NumberFormat.PREFIX86)


def _read_by_rules(wire: str, number_format: NumberFormat, rules: NumberRules) -> Dialled:
    """A number that rules may change first. A 700 number is one in any case, of the right length or not."""
    plain = read_number(wire, number_format)
    if plain.kind is not REAL and plain is not UNKNOWN:
        return plain
    made = rules.made_of(wire)
    if made is None:
        return plain
    found = read_number(made, number_format)
    return Dialled(found.kind, found.number, wire)


def canonical_real(text: str) -> RealNumber | None:
    """Canonical form of a real number typed by a person or sent by a program; None when it is not one.

    Takes `+86`, `(+86)`, `0086`, trunk 0, separators and surrounding blanks; not a bare 86, which only a trunk can
    promise.
    """
    body = text.strip(" \t\r\n")
    if body.startswith("(+86)"):
        body = "+86" + body[5:]
    is_global = body.startswith("+")
    digits = _strip_separators(body[1:] if is_global else body)
    if digits == "" or (is_global and not digits.startswith(COUNTRY_CODE)):
        return None
    dialled = _after_country(digits[2:]) if is_global else _read_local(digits, False)
    return RealNumber(dialled.number) if dialled.kind is REAL else None


def is_privacy_number(text: str) -> bool:
    """True for exactly 15 ASCII digits that begin with 700."""
    return len(text) == PRIVACY_LENGTH and text.startswith(PRIVACY_PREFIX) and text.isascii() and text.isdigit()


def render_user(number: str, number_format: NumberFormat) -> str:
    """A canonical real number as the trunk wants it: the user part of a SIP URI, or the body of a tel URI.

    Not for 700 numbers: those are always 15 bare digits (contract §5).
    """
    if number_format is NATIONAL:
        return number
    if number_format is NumberFormat.PREFIX86:
        return COUNTRY_CODE + number
    return "+" + COUNTRY_CODE + number


def mask(number: str) -> str:
    """A real number as logs, errors and exports may show it: 138****8000; of short ones less, then nothing.

    Any text is taken. What is left of it is printable ASCII, at most seven characters of it, and never all.
    """
    length = len(number)
    if length == 0:
        return ""
    if length >= 11:
        shown, tail = number[:3], number[-4:]
    elif length >= 8:
        shown, tail = number[:2], number[-2:]
    elif length >= 5:
        shown, tail = number[:1], number[-1:]
    else:
        return MASK
    return _printable(shown) + MASK + _printable(tail)


def masked_runs(text: str) -> str:
    """`text` with every run of digits that is a real number masked: ids, times and 700 numbers stay as they are."""
    return _RUN.sub(_masked_run, text)


def masked_identifier(text: str) -> str:
    """An identifier that a peer made, as it may be kept: a real number in it is masked, letters around it or not.

    The same identifier gives the same text, so that it can still be looked for.
    """
    for place in range(_RUN_DIGITS - 1, len(text), _RUN_DIGITS):  # each run covers one of these places
        if 0x30 <= ord(text[place]) <= 0x39 and _has_run(text, place):
            return _DIGITS.sub(_masked_run, text)
    return text  # nearly always, and for a fifth of the price of a search


def _has_run(text: str, place: int) -> bool:
    """True when ten digits stand together around the one at `place`."""
    begin, end = place, place + 1
    while begin > 0 and 0x30 <= ord(text[begin - 1]) <= 0x39:
        begin -= 1
    while end < len(text) and 0x30 <= ord(text[end]) <= 0x39:
        end += 1
    return end - begin >= _RUN_DIGITS


# Ten digits and more: shorter ones are too often something else.
_RUN: Final = re.compile(r"(?<![0-9A-Za-z])\+?[0-9]{10,16}(?![0-9A-Za-z])")
_RUN_DIGITS: Final = 10
_DIGITS: Final = re.compile(r"[0-9]{10,}")


def _masked_run(found: re.Match[str]) -> str:
    digits = found[0]
    return mask(digits) if read_number(digits, NumberFormat.PREFIX86).kind is REAL else digits


def is_mobile(digits: str) -> bool:
    """1[3-9] and nine digits; `digits` must hold nothing but ASCII digits."""
    return len(digits) == MOBILE_LENGTH and ord(digits[0]) == 0x31 and ord(digits[1]) >= 0x33


def is_landline(digits: str) -> bool:
    """Area code and subscriber number without trunk 0; `digits` must hold nothing but ASCII digits."""
    length = len(digits)
    if length == 10 and (digits[0] == "2" or digits.startswith("10")):
        return True
    if length != 10 and length != 11:
        return False
    return digits[0] >= "3" and not digits.startswith(PRIVACY_PREFIX) and not digits.startswith(COUNTRY_CODE)


def is_service(digits: str) -> bool:
    """A service number as dialled; `digits` must hold nothing but ASCII digits."""
    length = len(digits)
    if length == 3:
        return digits.startswith(("11", "12"))
    if length < 5 or length > MAX_SERVICE_LENGTH:
        return False
    if digits.startswith(("95", "106")):
        return True
    if length > 8:
        return False
    return digits.startswith("96") or (digits[0] == "1" and digits[1] <= "2")


def _is_national(digits: str) -> bool:
    """True for the canonical form of a real number."""
    return is_mobile(digits) or is_landline(digits) or is_service(digits)


def _read_local(digits: str, has_prefix86: bool) -> Dialled:
    """A number without `+`: 700, 0086..., 86..., national, or national behind trunk 0."""
    if digits.startswith(PRIVACY_PREFIX):
        return _privacy(digits)
    if digits.startswith("0086"):
        return _after_country(digits[4:])
    if digits.startswith("86700"):
        return _privacy(digits[2:])
    if has_prefix86 and digits.startswith(COUNTRY_CODE):
        stripped = _after_country(digits[2:])
        if stripped.kind is REAL:
            return stripped
    return _national(digits)


def _after_country(digits: str) -> Dialled:
    """What stands behind an explicit country code 86."""
    if digits.startswith(PRIVACY_PREFIX):
        return _privacy(digits)
    return _national(digits)


def _national(digits: str) -> Dialled:
    """A national number, or one behind trunk 0 (which no service number has)."""
    if _is_national(digits):
        return Dialled(REAL, digits)
    if digits.startswith("0"):
        rest = digits[1:]
        if is_mobile(rest) or is_landline(rest):
            return Dialled(REAL, rest)
    return UNKNOWN


def _privacy(digits: str) -> Dialled:
    """Digits that begin with 700: right, too short or too long."""
    length = len(digits)
    if length == PRIVACY_LENGTH:
        return Dialled(PRIVACY, digits)
    if length < PRIVACY_LENGTH:
        return Dialled(DialledKind.PRIVACY_SHORT, digits)
    return Dialled(DialledKind.PRIVACY_LONG, digits[:MAX_KEPT_DIGITS])


def _strip_separators(text: str) -> str:
    """The digits of `text` without visual separators; empty when anything else stands in it."""
    if not text.isdigit():
        for separator in SEPARATORS:
            text = text.replace(separator, "")
    return text if text.isascii() and text.isdigit() else ""


def _unescape(text: str) -> str:
    """`text` with its percent-escapes decoded once (RFC 3261 §19.1.2); empty when one is broken or not printable."""
    first, *rest = text.split("%")
    parts = [first]
    for part in rest:
        high, low = HEX_DIGITS.find(part[:1].lower()), HEX_DIGITS.find(part[1:2].lower())
        code = high * 16 + low
        if len(part) < 2 or high < 0 or low < 0 or code < 0x20 or code > 0x7E:
            return ""
        parts.append(chr(code) + part[2:])
    return "".join(parts)


def _context_is_ours(parameters: str) -> bool:
    """True when no `phone-context` stands among the parameters, or a single one that says +86."""
    seen = False
    for parameter in parameters.split(";"):
        name, _, value = parameter.partition("=")
        if (_unescape(name) if "%" in name else name).lower() != CONTEXT_PARAMETER:
            continue
        value = _unescape(value) if "%" in value else value
        if seen or not value.startswith("+") or _strip_separators(value[1:]) != COUNTRY_CODE:
            return False
        seen = True
    return True


def _printable(text: str) -> str:
    """`text` with everything but printable ASCII replaced, so that a masked value cannot forge a log line."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(char if " " <= char <= "~" else "?" for char in text)
