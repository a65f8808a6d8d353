"""What RP messages and TPDUs share: octets read within bounds, and addresses whose digits are semi-octets.

An address is a type-of-address octet and up to 20 digits, two in an octet, the first one low, an odd one followed by
the filler 1111 (3GPP TS 23.040 §9.1.2.3 and §9.1.2.5, TS 24.011 §8.2.5.1).
"""

from __future__ import annotations

from typing import Final, final

from sipstack.errors import LocalSipError, RemoteSipError

MAX_DIGITS: Final = 20

# Types of number and the one numbering plan that we write (TS 23.040 §9.1.2.5).
INTERNATIONAL: Final = 1
NATIONAL: Final = 2
ALPHANUMERIC: Final = 5
ISDN_PLAN: Final = 1

# Unknown, international, national, network-specific (service numbers), subscriber number; not an abbreviated number
# (another one stands behind it), nor what is reserved.
_NUMBER_TYPES: Final = (0, INTERNATIONAL, NATIONAL, 3, 4)

# Unknown, ISDN, national: telex, data and private plans number no party that we know.
_NUMBERING_PLANS: Final = (0, ISDN_PLAN, 8)

_NOT_EXTENDED: Final = 0x80
_DIGITS: Final = "0123456789*#abc"
_FILLER: Final = 15


def malformed(reason: str) -> RemoteSipError:
    """The error for octets that do not keep to the format."""
    return RemoteSipError(reason, 400)


def not_taken(reason: str) -> RemoteSipError:
    """The error for what is well-formed, and holds something that cannot be looked into or must not cross."""
    return RemoteSipError(reason, 415)


@final
class Octets:
    """Octets read from front to back; reading past the end raises RemoteSipError."""

    __slots__ = ("_data", "_place")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._place = 0

    def one(self) -> int:
        return self.take(1)[0]

    def take(self, count: int) -> bytes:
        taken = self._data[self._place : self._place + count]
        if len(taken) < count:
            raise malformed("octets end too early")
        self._place += count
        return taken

    def at_end(self) -> bool:
        return self._place == len(self._data)


@final
class Address:
    """A number of an SMS: `digits` of 0-9 * # a b c, 1 to 20 of them, its type of number and its numbering plan."""

    __slots__ = ("digits", "number_type", "numbering_plan")

    def __init__(self, digits: str, number_type: int = NATIONAL, numbering_plan: int = ISDN_PLAN) -> None:
        self.digits = digits
        self.number_type = number_type
        self.numbering_plan = numbering_plan

    @property
    def dialled(self) -> str:
        """The digits with "+" in front when the number is international, as `numbers.read_number` takes them."""
        return "+" + self.digits if self.number_type == INTERNATIONAL else self.digits

    def octets(self) -> bytes:
        """Type of address and semi-octets. Raises LocalSipError for digits that no address can hold."""
        if not 0 < len(self.digits) <= MAX_DIGITS or any(digit not in _DIGITS for digit in self.digits):
            raise LocalSipError("an address holds 1 to 20 digits")
        values = [_DIGITS.index(digit) for digit in self.digits]
        if len(values) % 2:
            values.append(_FILLER)
        semi_octets = bytes(low | high << 4 for low, high in zip(values[::2], values[1::2], strict=True))
        return bytes((_NOT_EXTENDED | self.number_type << 4 | self.numbering_plan,)) + semi_octets

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Address) and (self.digits, self.number_type, self.numbering_plan) == (
            other.digits,
            other.number_type,
            other.numbering_plan,
        )

    def __hash__(self) -> int:
        return hash((self.digits, self.number_type, self.numbering_plan))


def read_address(kind: int, semi_octets: bytes, count: int) -> Address:
    """The address of a type-of-address octet and `count` digits.

    Raises RemoteSipError: 415 for an alphanumeric address, which is a name, and for types and plans that number nobody
    we know; 400 for what is no address.
    """
    number_type, numbering_plan = kind >> 4 & 7, kind & 15
    if not kind & _NOT_EXTENDED:
        raise malformed("type of address is extended")
    if number_type == ALPHANUMERIC:
        raise not_taken("address is a name")
    if number_type not in _NUMBER_TYPES or numbering_plan not in _NUMBERING_PLANS:
        raise not_taken("address is of a type without meaning here")
    if not 0 < count <= MAX_DIGITS:
        raise malformed("address has no digits or too many")
    values = [value for octet in semi_octets for value in (octet & 15, octet >> 4)]
    if len(values) != count + count % 2 or _FILLER in values[:count] or any(v != _FILLER for v in values[count:]):
        raise malformed("digits and length of address disagree")
    return Address("".join(_DIGITS[value] for value in values[:count]), number_type, numbering_plan)
