"""RP messages, the body of application/vnd.3gpp.sms (3GPP TS 24.011 §7.3 and §8.2, TS 24.341).

RP-DATA carries a TPDU between a phone and its service centre, RP-ACK or RP-ERROR with the same RP-Message Reference
answers it.
"""

from __future__ import annotations

from typing import Final, final

from engine.core.semi_octets import INTERNATIONAL, ISDN_PLAN, Address, Octets, malformed, not_taken, read_address
from sipstack.errors import LocalSipError

CONTENT_TYPE: Final = "application/vnd.3gpp.sms"

# RP-MTI, octet 1 (§8.2.2); the five bits above it are spare and zero.
RP_DATA_FROM_MOBILE: Final = 0
RP_DATA_TO_MOBILE: Final = 1
RP_ACK_FROM_MOBILE: Final = 2
RP_ACK_TO_MOBILE: Final = 3
RP_ERROR_FROM_MOBILE: Final = 4
RP_ERROR_TO_MOBILE: Final = 5
RP_SMMA: Final = 6

FROM_MOBILE: Final = (RP_DATA_FROM_MOBILE, RP_ACK_FROM_MOBILE, RP_ERROR_FROM_MOBILE, RP_SMMA)

MAX_USER_DATA: Final = 232  # octets (§7.3.1.1)

_USER_DATA: Final = 0x41  # information element identifier in RP-ACK and RP-ERROR (§8.2.5.3)
_MAX_ADDRESS: Final = 11  # octets behind the length (§8.2.5.1)


@final
class RpMessage:
    """One RP message.

    `kind` is its RP-MTI, `reference` the RP-Message Reference (0 to 255). `originator` and `destination` are the
    digits of service centres, "" when the element is empty, `originator_type` and `destination_type` their types of
    number. `user_data` is the TPDU, b"" when there is none. `cause` is the value of RP-Cause (§8.2.5.4) and
    `diagnostic` the octet behind it, each -1 when absent.
    """

    __slots__ = (
        "kind", "reference", "originator", "destination", "user_data", "cause", "diagnostic", "originator_type",
        "destination_type",
    )  # fmt: skip

    def __init__(
        self,
        kind: int,
        reference: int,
        originator: str = "",
        destination: str = "",
        user_data: bytes = b"",
        cause: int = -1,
        diagnostic: int = -1,
        originator_type: int = INTERNATIONAL,
        destination_type: int = INTERNATIONAL,
    ) -> None:
        self.kind = kind
        self.reference = reference
        self.originator = originator
        self.destination = destination
        self.user_data = user_data
        self.cause = cause
        self.diagnostic = diagnostic
        self.originator_type = originator_type
        self.destination_type = destination_type

    @property
    def from_mobile(self) -> bool:
        """True when a phone sent it, False when a service centre did: the direction that `parse_tpdu` asks for."""
        return self.kind in FROM_MOBILE


def parse_rp_message(body: bytes) -> RpMessage:
    """The RP message that is `body`. Raises RemoteSipError for anything that cannot be read to its last octet."""
    octets = Octets(body)
    message = RpMessage(octets.one(), octets.one())
    if message.kind in (RP_DATA_FROM_MOBILE, RP_DATA_TO_MOBILE):
        message.originator, message.originator_type = _read_centre(octets)
        message.destination, message.destination_type = _read_centre(octets)
        _check_direction(message)
        message.user_data = _read_user_data(octets)
    elif message.kind in (RP_ERROR_FROM_MOBILE, RP_ERROR_TO_MOBILE):
        _read_cause(message, octets)
        message.user_data = _read_optional_user_data(octets)
    elif message.kind in (RP_ACK_FROM_MOBILE, RP_ACK_TO_MOBILE):
        message.user_data = _read_optional_user_data(octets)
    elif message.kind != RP_SMMA:
        raise malformed("RP message is of no known type")
    if not octets.at_end():
        raise malformed("octets follow the RP message")
    return message


def _read_centre(octets: Octets) -> tuple[str, int]:
    """Digits and type of number of RP-Originator or RP-Destination Address; the filler tells if the digits are odd."""
    length = octets.one()
    if length == 0:
        return "", INTERNATIONAL
    if not 1 < length <= _MAX_ADDRESS:
        raise malformed("RP address is too short or too long")
    kind, semi_octets = octets.one(), octets.take(length - 1)
    address = read_address(kind, semi_octets, 2 * len(semi_octets) - (semi_octets[-1] >> 4 == 15))
    if address.numbering_plan != ISDN_PLAN:
        raise not_taken("RP address is of another numbering plan")
    return address.digits, address.number_type


def _check_direction(message: RpMessage) -> None:
    """The phone's side has no address (§7.3.1.1, §7.3.1.2); a centre always has one, a phone may leave it out."""
    own, far = message.destination, message.originator
    if message.kind == RP_DATA_FROM_MOBILE:
        own, far = far, own
    if own or (not far and message.kind == RP_DATA_TO_MOBILE):
        raise malformed("RP address stands on the wrong side")


def _read_user_data(octets: Octets) -> bytes:
    length = octets.one()
    if not 0 < length <= MAX_USER_DATA:
        raise malformed("RP-User Data is empty or too long")
    return octets.take(length)


def _read_optional_user_data(octets: Octets) -> bytes:
    if octets.at_end():
        return b""
    if octets.one() != _USER_DATA:
        raise malformed("RP message has an unknown element")
    return _read_user_data(octets)


def _read_cause(message: RpMessage, octets: Octets) -> None:
    """Cause and diagnostic. The extension bit says nothing beside a length, and is written both ways."""
    length = octets.one()
    if length not in (1, 2):
        raise malformed("RP-Cause is of a wrong length")
    message.cause = octets.one() & 0x7F
    if length == 2:
        message.diagnostic = octets.one()


def render_rp_message(message: RpMessage) -> bytes:
    """The octets of `message`. Raises LocalSipError for a field that its element cannot hold."""
    octets = bytes((message.kind, message.reference))
    if message.kind in (RP_DATA_FROM_MOBILE, RP_DATA_TO_MOBILE):
        return b"".join((
            octets,
            _centre_octets(message.originator, message.originator_type),
            _centre_octets(message.destination, message.destination_type),
            _user_data_octets(message.user_data),
        ))  # fmt: skip
    if message.cause >= 0:
        diagnostic = b"" if message.diagnostic < 0 else bytes((message.diagnostic,))
        octets += bytes((1 + len(diagnostic), message.cause)) + diagnostic
    if message.user_data:
        octets += bytes((_USER_DATA,)) + _user_data_octets(message.user_data)
    return octets


def _centre_octets(digits: str, number_type: int) -> bytes:
    octets = Address(digits, number_type).octets() if digits else b""
    return bytes((len(octets),)) + octets


def _user_data_octets(user_data: bytes) -> bytes:
    if not 0 < len(user_data) <= MAX_USER_DATA:
        raise LocalSipError("RP-User Data is empty or too long")
    return bytes((len(user_data),)) + user_data
