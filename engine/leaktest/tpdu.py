"""Short messages as the rig writes them: octet by octet after 3GPP TS 24.011 §7.3 and TS 23.040 §9.2.

It has an encoder of its own, so that a mistake of the node's cannot hide itself.
"""

from __future__ import annotations

from typing import Final

SMS: Final = "application/vnd.3gpp.sms"

_INTERNATIONAL: Final = 0x91
_NATIONAL: Final = 0xA1
_GSM7: Final = 0x00
_UCS2: Final = 0x08
_TIME: Final = bytes.fromhex("62115212000023")  # a service centre's time stamp, semi-octets and zone
_SUBMIT: Final = 0x01  # TP-MTI of the mobile's direction: SMS-SUBMIT, relative validity absent
_DELIVER: Final = 0x04  # SMS-DELIVER, no more messages to send
_STATUS_REPORT: Final = 0x06
_RP_DATA_UP: Final = 0x00  # RP-DATA, mobile to network
_RP_DATA_DOWN: Final = 0x01
_RP_ACK_UP: Final = 0x02
_RP_ERROR_UP: Final = 0x04
_RP_ACK_DOWN: Final = 0x03
_RP_ERROR_DOWN: Final = 0x05


def semi_octets(digits: str) -> bytes:
    """Two digits an octet, the first in the low half, filled up with F."""
    filled = digits + "F" * (len(digits) % 2)
    return bytes(int(filled[at + 1] + filled[at], 16) for at in range(0, len(filled), 2))


def packed(text: str) -> bytes:
    """ASCII letters, digits and spaces in the default alphabet, seven bits each (TS 23.038 §6.1.2.1)."""
    bits = sum(ord(char) << (7 * index) for index, char in enumerate(text))
    return bits.to_bytes((7 * len(text) + 7) // 8, "little")


def tp_address(digits: str, kind: int = _NATIONAL) -> bytes:
    """TP-OA, TP-DA, TP-RA: length in digits, type of number, digits (TS 23.040 §9.1.2.5)."""
    return bytes((len(digits), kind)) + semi_octets(digits)


def rp_address(digits: str) -> bytes:
    """RP-OA, RP-DA: length in octets, type, digits; nothing but a zero without digits (TS 24.011 §8.2.5)."""
    if not digits:
        return b"\0"
    octets = semi_octets(digits)
    return bytes((1 + len(octets), _INTERNATIONAL)) + octets


def submit(called: str, text: str, *, ucs2: bool = False) -> bytes:
    """SMS-SUBMIT to `called`."""
    return bytes((_SUBMIT, 0x07)) + tp_address(called) + b"\0" + _coded(text, ucs2)


def deliver(caller: str, text: str, *, kind: int = _NATIONAL, ucs2: bool = False) -> bytes:
    """SMS-DELIVER from `caller`."""
    scheme_and_text = _coded(text, ucs2)
    return bytes((_DELIVER,)) + tp_address(caller, kind) + b"\0" + scheme_and_text[:1] + _TIME + scheme_and_text[1:]


def status_report(recipient: str) -> bytes:
    """SMS-STATUS-REPORT about a message to `recipient`."""
    return bytes((_STATUS_REPORT, 0x07)) + tp_address(recipient) + _TIME + _TIME + b"\0"


def _coded(text: str, ucs2: bool) -> bytes:
    """TP-DCS, TP-UDL and TP-UD."""
    if ucs2:
        octets = text.encode("utf-16-be")
        return bytes((_UCS2, len(octets))) + octets
    return bytes((_GSM7, len(text))) + packed(text)


def rp_data_up(tpdu: bytes, *, originator: str = "", centre: str = "8613800100500", reference: int = 42) -> bytes:
    """RP-DATA from a mobile: RP-OA is empty on the air, and `originator` all the same."""
    head = bytes((_RP_DATA_UP, reference)) + rp_address(originator) + rp_address(centre)
    return head + bytes((len(tpdu),)) + tpdu


def rp_data_down(tpdu: bytes, *, centre: str = "8613800100500", destination: str = "", reference: int = 42) -> bytes:
    """RP-DATA to a mobile."""
    head = bytes((_RP_DATA_DOWN, reference)) + rp_address(centre) + rp_address(destination)
    return head + bytes((len(tpdu),)) + tpdu


def rp_ack(tpdu: bytes, reference: int = 42) -> bytes:
    """RP-ACK from a mobile with user data (TS 24.011 §7.3.3)."""
    return bytes((_RP_ACK_UP, reference, 0x41, len(tpdu))) + tpdu


def rp_ack_down(reference: int, tpdu: bytes = b"") -> bytes:
    """RP-ACK to a mobile; `reference` is that of the RP-DATA."""
    user_data = bytes((0x41, len(tpdu))) + tpdu if tpdu else b""
    return bytes((_RP_ACK_DOWN, reference)) + user_data


def rp_error_down(reference: int, tpdu: bytes) -> bytes:
    """RP-ERROR to a mobile, cause 38, with user data (TS 24.011 §7.3.4)."""
    return bytes((_RP_ERROR_DOWN, reference, 1, 38, 0x41, len(tpdu))) + tpdu


def rp_error(tpdu: bytes, reference: int = 42) -> bytes:
    """RP-ERROR from a mobile, cause 111, with user data (TS 24.011 §7.3.4)."""
    return bytes((_RP_ERROR_UP, reference, 1, 111, 0x41, len(tpdu))) + tpdu
