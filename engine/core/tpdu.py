"""Transfer protocol data units of the short message service (3GPP TS 23.040 §9.2): what crosses, and their numbers.

Taken are texts between people and the reports about them. Refused, since their content cannot be looked into or may
name somebody: SMS-COMMAND; 8-bit and compressed user data; every element of the user data header but concatenation
(ports, pictures, reply address, hyperlink, e-mail header, voice mail, SIM toolkit, national language tables); protocol
identifiers of e-mail, fax, silent messages and data downloads; indications of waiting messages; names as addresses.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Final, final

from engine.core.semi_octets import Address, Octets, malformed, not_taken, read_address
from sipstack.errors import LocalSipError


class TpduKind(StrEnum):
    """The TPDUs that are taken (TS 23.040 §9.2.2)."""

    DELIVER = "SMS-DELIVER"
    DELIVER_REPORT = "SMS-DELIVER-REPORT"
    SUBMIT = "SMS-SUBMIT"
    SUBMIT_REPORT = "SMS-SUBMIT-REPORT"
    STATUS_REPORT = "SMS-STATUS-REPORT"


class Alphabet(StrEnum):
    """How the characters of a text are coded (TS 23.038 §4)."""

    GSM7 = "gsm7"
    UCS2 = "ucs2"


# TP-Message-Type-Indicator with the direction (§9.2.3.1). Bits 10 from a phone are SMS-COMMAND, bits 11 reserved.
_KINDS: Final = {
    (0, False): TpduKind.DELIVER,
    (0, True): TpduKind.DELIVER_REPORT,
    (1, True): TpduKind.SUBMIT,
    (1, False): TpduKind.SUBMIT_REPORT,
    (2, False): TpduKind.STATUS_REPORT,
}

MAX_USER_DATA: Final = 140  # octets (§9.2.3.24)

_HAS_HEADER: Final = 0x40  # TP-UDHI in the first octet

# Elements of the user data header that cross, with their lengths: parts of a long message (§9.2.3.24.1, §9.2.3.24.8).
_CONCATENATIONS: Final = {0x00: 3, 0x08: 4}

# Protocol identifiers that cross (§9.2.3.9): text to a person, text that replaces an earlier one, request to call back.
_PROTOCOLS: Final = frozenset((0x00, *range(0x41, 0x48), 0x5F))


@final
class Tpdu:
    """One TPDU, with all that is needed to write it again.

    `first_octet` has the TP-MTI and the flags. `address` is TP-OA, TP-DA or TP-RA; a report on a SUBMIT or DELIVER has
    none. `validity`, `timestamp` and `discharge` are TP-VP, TP-SCTS and TP-DT as they came. `user_data` is TP-UD with
    its header, `user_data_length` TP-UDL, in septets or octets as the coding says. Numbers are -1 and bytes b"" where
    the TPDU has no such field; only a report about a failure has a `failure_cause`.
    """

    __slots__ = (
        "kind", "first_octet", "reference", "address", "protocol", "coding", "validity", "timestamp", "discharge",
        "status", "failure_cause", "indicator", "user_data_length", "user_data",
    )  # fmt: skip

    def __init__(self, kind: TpduKind, first_octet: int) -> None:
        self.kind = kind
        self.first_octet = first_octet
        self.reference = -1
        self.address: Address | None = None
        self.protocol = -1
        self.coding = -1
        self.validity = b""
        self.timestamp = b""
        self.discharge = b""
        self.status = -1
        self.failure_cause = -1
        self.indicator = -1
        self.user_data_length = -1
        self.user_data = b""

    @property
    def alphabet(self) -> Alphabet:
        """The alphabet of the user data; that of data coding scheme 0 when there is none (§9.2.3.27)."""
        return read_alphabet(max(self.coding, 0))

    @property
    def header_length(self) -> int:
        """Octets of the user data header, its length octet among them; 0 without a header."""
        return 1 + self.user_data[0] if self.first_octet & _HAS_HEADER else 0

    @property
    def header_septets(self) -> int:
        """Septets that the header takes of a GSM 7-bit text, fill bits among them (§9.2.3.24)."""
        return (self.header_length * 8 + 6) // 7

    def copy(self) -> Tpdu:
        other = Tpdu(self.kind, self.first_octet)
        other.reference = self.reference
        other.address = self.address
        other.protocol = self.protocol
        other.coding = self.coding
        other.validity = self.validity
        other.timestamp = self.timestamp
        other.discharge = self.discharge
        other.status = self.status
        other.failure_cause = self.failure_cause
        other.indicator = self.indicator
        other.user_data_length = self.user_data_length
        other.user_data = self.user_data
        return other


def parse_tpdu(data: bytes, from_mobile: bool) -> Tpdu:
    """The TPDU that is `data`, sent by a phone or by a service centre.

    Raises RemoteSipError: 400 for what cannot be read to its last octet, 415 for what is not taken.
    """
    octets = Octets(data)
    first_octet = octets.one()
    kind = _KINDS.get((first_octet & 3, from_mobile))
    if kind is None:
        raise not_taken("TPDU is of a type that is not taken")
    tpdu = Tpdu(kind, first_octet)
    for read, _ in _LAYOUTS[kind]:
        read(tpdu, octets)
    if not octets.at_end():
        raise malformed("octets follow the TPDU")
    _check_user_data(tpdu)
    return tpdu


def render_tpdu(tpdu: Tpdu) -> bytes:
    """The octets of `tpdu`: those that were parsed, but for what was changed since."""
    return bytes((tpdu.first_octet,)) + b"".join(write(tpdu) for _, write in _LAYOUTS[tpdu.kind])


def with_number(tpdu: Tpdu, digits: str) -> Tpdu:
    """The TPDU with another number in its address: a national number of the ISDN plan, 1 to 20 digits."""
    if tpdu.address is None:
        raise LocalSipError("TPDU has no address")
    changed = tpdu.copy()
    changed.address = Address(digits)
    return changed


# -- codings -----------------------------------------------------------------------------------------------------------


def read_alphabet(coding: int) -> Alphabet:
    """The alphabet of a TP-Data-Coding-Scheme (TS 23.038 §4). Raises RemoteSipError (415) for data without text."""
    if coding < 0x80:  # general coding, and the same marked for automatic deletion
        if coding & 0x20:
            raise not_taken("text is compressed")
        alphabet = _GENERAL.get(coding >> 2 & 3)
    else:
        alphabet = Alphabet.GSM7 if 0xF0 <= coding <= 0xF3 else None  # coding and class in one group
    if alphabet is None:
        raise not_taken("data coding scheme is not that of a text")
    return alphabet


_GENERAL: Final = {0: Alphabet.GSM7, 2: Alphabet.UCS2}


def _octet_count(tpdu: Tpdu) -> int:
    length = tpdu.user_data_length
    return (length * 7 + 7) // 8 if tpdu.alphabet is Alphabet.GSM7 else length


# -- fields: each is read into a TPDU, and written from it -------------------------------------------------------------

Field = tuple[Callable[[Tpdu, Octets], None], Callable[[Tpdu], bytes]]


def _read_reference(tpdu: Tpdu, octets: Octets) -> None:
    tpdu.reference = octets.one()


def _write_reference(tpdu: Tpdu) -> bytes:
    return bytes((tpdu.reference,))


def _read_address(tpdu: Tpdu, octets: Octets) -> None:
    count, kind = octets.one(), octets.one()  # the length counts digits (§9.1.2.5)
    tpdu.address = read_address(kind, octets.take((count + 1) // 2), count)


def _write_address(tpdu: Tpdu) -> bytes:
    assert tpdu.address is not None
    return bytes((len(tpdu.address.digits),)) + tpdu.address.octets()


def _read_protocol(tpdu: Tpdu, octets: Octets) -> None:
    tpdu.protocol = octets.one()
    if tpdu.protocol not in _PROTOCOLS:
        raise not_taken("protocol identifier is not that of a text")


def _write_protocol(tpdu: Tpdu) -> bytes:
    return bytes((tpdu.protocol,))


def _read_coding(tpdu: Tpdu, octets: Octets) -> None:
    tpdu.coding = octets.one()


def _write_coding(tpdu: Tpdu) -> bytes:
    return bytes((tpdu.coding,))


def _read_timestamp(tpdu: Tpdu, octets: Octets) -> None:
    tpdu.timestamp = _checked_time(octets.take(7))


def _write_timestamp(tpdu: Tpdu) -> bytes:
    return tpdu.timestamp


def _read_discharge(tpdu: Tpdu, octets: Octets) -> None:
    tpdu.discharge = _checked_time(octets.take(7))


def _write_discharge(tpdu: Tpdu) -> bytes:
    return tpdu.discharge


def _read_validity(tpdu: Tpdu, octets: Octets) -> None:
    form = tpdu.first_octet >> 3 & 3  # TP-Validity-Period-Format (§9.2.3.3)
    if form == 1:
        tpdu.validity = _checked_enhanced(octets.take(7))
    elif form == 2:
        tpdu.validity = octets.take(1)  # relative
    elif form == 3:
        tpdu.validity = _checked_time(octets.take(7))


def _write_validity(tpdu: Tpdu) -> bytes:
    return tpdu.validity


def _read_status(tpdu: Tpdu, octets: Octets) -> None:
    tpdu.status = octets.one()


def _write_status(tpdu: Tpdu) -> bytes:
    return bytes((tpdu.status,))


def _read_failure(tpdu: Tpdu, octets: Octets) -> None:
    """TP-FCS, which only an RP-ERROR has, and TP-PI, which without a second octet is lower (§9.2.3.22, §9.2.3.27)."""
    octet = octets.one()
    if octet < 0x80:
        tpdu.indicator = octet
    else:
        tpdu.failure_cause = octet
        tpdu.indicator = octets.one()
    _check_indicator(tpdu)


def _write_failure(tpdu: Tpdu) -> bytes:
    return bytes((tpdu.indicator,)) if tpdu.failure_cause < 0 else bytes((tpdu.failure_cause, tpdu.indicator))


def _read_indicator(tpdu: Tpdu, octets: Octets) -> None:
    if not octets.at_end():  # a STATUS-REPORT may end before it (§9.2.2.3)
        tpdu.indicator = octets.one()
        _check_indicator(tpdu)


def _write_indicator(tpdu: Tpdu) -> bytes:
    return b"" if tpdu.indicator < 0 else bytes((tpdu.indicator,))


def _check_indicator(tpdu: Tpdu) -> None:
    if tpdu.indicator > 7:
        raise malformed("parameter indicator has reserved bits")


def _read_indicated(tpdu: Tpdu, octets: Octets) -> None:
    """The fields that TP-PI says are there (§9.2.3.27)."""
    for bit, (read, _) in _INDICATED:
        if tpdu.indicator > 0 and tpdu.indicator & bit:
            read(tpdu, octets)


def _write_indicated(tpdu: Tpdu) -> bytes:
    return b"".join(write(tpdu) for bit, (_, write) in _INDICATED if tpdu.indicator > 0 and tpdu.indicator & bit)


def _read_user_data(tpdu: Tpdu, octets: Octets) -> None:
    tpdu.user_data_length = octets.one()
    tpdu.user_data = octets.take(_octet_count(tpdu))


def _write_user_data(tpdu: Tpdu) -> bytes:
    return bytes((tpdu.user_data_length,)) + tpdu.user_data


REFERENCE: Final[Field] = (_read_reference, _write_reference)
ADDRESS: Final[Field] = (_read_address, _write_address)
PROTOCOL: Final[Field] = (_read_protocol, _write_protocol)
CODING: Final[Field] = (_read_coding, _write_coding)
TIMESTAMP: Final[Field] = (_read_timestamp, _write_timestamp)
DISCHARGE: Final[Field] = (_read_discharge, _write_discharge)
VALIDITY: Final[Field] = (_read_validity, _write_validity)
STATUS: Final[Field] = (_read_status, _write_status)
FAILURE: Final[Field] = (_read_failure, _write_failure)
INDICATOR: Final[Field] = (_read_indicator, _write_indicator)
INDICATED: Final[Field] = (_read_indicated, _write_indicated)
USER_DATA: Final[Field] = (_read_user_data, _write_user_data)

_INDICATED: Final = ((1, PROTOCOL), (2, CODING), (4, USER_DATA))

# What follows the first octet (§9.2.2).
_LAYOUTS: Final[dict[TpduKind, tuple[Field, ...]]] = {
    TpduKind.DELIVER: (ADDRESS, PROTOCOL, CODING, TIMESTAMP, USER_DATA),
    TpduKind.DELIVER_REPORT: (FAILURE, INDICATED),
    TpduKind.SUBMIT: (REFERENCE, ADDRESS, PROTOCOL, CODING, VALIDITY, USER_DATA),
    TpduKind.SUBMIT_REPORT: (FAILURE, TIMESTAMP, INDICATED),
    TpduKind.STATUS_REPORT: (REFERENCE, ADDRESS, TIMESTAMP, DISCHARGE, STATUS, INDICATOR, INDICATED),
}


# -- times: checked, so that no number stands in the place of one ------------------------------------------------------

# Highest month, day, hour, minute and second (§9.2.3.11). Zeros stand for a time that a centre does not know.
_HIGHEST: Final = (12, 31, 23, 59, 59)


def _decimal(octet: int) -> int:
    low, high = octet & 15, octet >> 4
    if low > 9 or high > 9:
        raise malformed("time has no digits")
    return 10 * low + high


def _checked_time(octets: bytes) -> bytes:
    """A time as it stands: year, month, day, hour, minute, second, and quarters of an hour behind a sign bit."""
    _decimal(octets[0])
    _decimal(octets[6] & 0xF7)
    if any(_decimal(octet) > highest for octet, highest in zip(octets[1:6], _HIGHEST, strict=True)):
        raise malformed("time is none")
    return octets


def _checked_enhanced(octets: bytes) -> bytes:
    """An enhanced validity period as it stands (§9.2.3.12.3): one octet of functions, the period, and zeros."""
    functions = octets[0]
    used = _ENHANCED_LENGTHS.get(functions & 7)
    if functions & 0xB8 or used is None or any(octets[1 + used :]):
        raise malformed("validity period has reserved bits")
    if used == 3 and any(_decimal(o) > highest for o, highest in zip(octets[1:4], _HIGHEST[2:], strict=True)):
        raise malformed("validity period is none")
    return octets


_ENHANCED_LENGTHS: Final = {0: 0, 1: 1, 2: 1, 3: 3}


# -- user data ---------------------------------------------------------------------------------------------------------


def _check_user_data(tpdu: Tpdu) -> None:
    """Length, alphabet, and a header that holds nothing but one concatenation."""
    if len(tpdu.user_data) > MAX_USER_DATA:
        raise malformed("user data is too long")
    if tpdu.first_octet & _HAS_HEADER:
        if not tpdu.user_data:
            raise malformed("user data header is missing")
        taken = tpdu.header_septets if tpdu.alphabet is Alphabet.GSM7 else tpdu.header_length
        if taken > tpdu.user_data_length:
            raise malformed("user data header is longer than the user data")
        _check_header(Octets(tpdu.user_data[1 : tpdu.header_length]))
    if tpdu.alphabet is Alphabet.UCS2:
        if (len(tpdu.user_data) - tpdu.header_length) % 2:
            raise malformed("text has half a character")
        if tpdu.user_data[tpdu.header_length :].startswith(b"\xff\xfe"):
            raise malformed("text is in the other order of octets")  # U+FFFE is no character: a program turns the rest
    elif tpdu.user_data and tpdu.user_data_length % 8 == 7 and tpdu.user_data[-1] >> 1 not in _FILLING:
        raise malformed("a character stands behind the text")  # a program that does not count shows it


_FILLING: Final = (0x00, 0x0D)  # TS 23.038 §6.1.2.1 and, against a trailing @, §6.1.2.3.1


def _check_header(header: Octets) -> None:
    identifier, element = header.one(), header.take(header.one())
    length = _CONCATENATIONS.get(identifier)
    if length is None or not header.at_end():
        raise not_taken("user data header has an element that is not taken")
    if len(element) != length or not 0 < element[-1] <= element[-2]:
        raise malformed("concatenation is none")
