"""RP messages: read and written as another program does it, refused unless every octet is understood."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.rp_message import (
    RP_DATA_FROM_MOBILE,
    RP_DATA_TO_MOBILE,
    RP_ERROR_FROM_MOBILE,
    RP_ERROR_TO_MOBILE,
    RP_SMMA,
    RpMessage,
    parse_rp_message,
    render_rp_message,
)
from engine.core.tpdu import parse_tpdu, render_tpdu
from sipstack.errors import LocalSipError, RemoteSipError
from tests.core.smsvectors import RP, attributes

OCTETS = {row["name"]: bytes.fromhex(row["octets"]) for row in RP}
CENTRE = "8613800100500"


@pytest.mark.parametrize("row", RP, ids=lambda row: row["name"])
def test_fields_and_octets_are_those_of_the_library(row: dict[str, str]) -> None:
    message = parse_rp_message(bytes.fromhex(row["octets"]))
    fields = (message.kind, message.reference, message.originator, message.destination, message.cause)
    expected = (int(row["kind"]), int(row["reference"]), row["originator"], row["destination"], int(row["cause"]))
    assert fields == expected
    assert message.user_data.hex() == row["tpdu"]
    assert render_rp_message(message).hex() == row["octets"]


@pytest.mark.parametrize("row", [row for row in RP if row["tpdu"]], ids=lambda row: row["name"])
def test_the_direction_is_that_of_the_tpdu(row: dict[str, str]) -> None:
    message = parse_rp_message(bytes.fromhex(row["octets"]))
    tpdu = parse_tpdu(message.user_data, message.from_mobile)
    assert render_tpdu(tpdu) == message.user_data
    assert (tpdu.failure_cause >= 0) == (message.cause >= 0)


def test_a_cause_with_a_diagnostic() -> None:
    message = parse_rp_message(bytes.fromhex("042a026f07"))
    assert (message.cause, message.diagnostic) == (111, 7)
    assert render_rp_message(message).hex() == "042a026f07"


def test_the_extension_bit_of_a_cause_is_read_and_not_written() -> None:
    message = parse_rp_message(bytes.fromhex("042a01ef"))
    assert message.cause == 111
    assert render_rp_message(message).hex() == "042a016f"


def test_the_type_of_a_centres_number_stays() -> None:
    octets = OCTETS["data-submit"].replace(b"\x08\x91", b"\x08\xa1")
    message = parse_rp_message(octets)
    assert (message.destination, message.destination_type) == (CENTRE, 2)
    assert render_rp_message(message) == octets


DATA = OCTETS["data-submit"]  # 00 2a | 00 | 08 91 ... f0 | 14 21 07 ...
DELIVER = OCTETS["data-deliver"]  # 01 2a | 08 91 ... f0 | 00 | 18 24 0b ...
ERROR = OCTETS["error-submit-report"]  # 05 2a | 01 15 | 41 0a 01 c0 ...


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b"\x00",
        DATA[:-1],
        DATA + b"\0",
        b"\x07" + DATA[1:],  # reserved type
        b"\x07\x2a",
        b"\x08" + DATA[1:],  # a spare bit
        b"\x01" + DATA[1:],  # addresses of the other direction
        b"\x00" + DELIVER[1:],
        b"\x01\x2a\x00\x00" + DATA[12:],  # nobody sent it
        b"\x00\x2a" + DELIVER[2:11] + DATA[3:],  # both addresses
        DATA[:3] + b"\x01\x91" + DATA[12:],  # a type without digits
        DATA[:3] + b"\x0c\x91" + b"\x11" * 11 + DATA[12:],  # 22 digits
        DATA[:4] + b"\xd1" + DATA[5:],  # a name
        DATA[:4] + b"\x98" + DATA[5:],  # another plan
        DATA[:4] + b"\x11" + DATA[5:],  # the type goes on
        DATA[:6] + b"\x3f" + DATA[7:],  # a filler within
        DATA[:12] + b"\0",  # no TPDU
        DATA[:12] + b"\xe9" + bytes(233),  # a longer one than there is
        ERROR[:3],
        ERROR[:2] + b"\x00" + ERROR[4:],  # no cause
        ERROR[:2] + b"\x00\x15",
        ERROR[:2] + b"\x03\x15\x41\x01\x00",
        ERROR[:4] + b"\x42" + ERROR[5:],  # an unknown element
        ERROR[:5] + b"\x00",  # an empty one
        ERROR + ERROR[4:],  # the element twice
        OCTETS["ack-submit-report"][:-1],
        OCTETS["ack-bare"] + b"\x41",
        OCTETS["smma"] + b"\0",
    ],
)
def test_what_is_not_understood_to_its_last_octet_is_refused(octets: bytes) -> None:
    with pytest.raises(RemoteSipError):
        parse_rp_message(octets)


def assert_round_trip(octets: bytes) -> None:
    try:
        message = parse_rp_message(octets)
    except RemoteSipError:
        return
    again = render_rp_message(message)
    assert len(again) == len(octets)
    difference = [place for place, (a, b) in enumerate(zip(octets, again, strict=True)) if a != b]
    assert difference in ([], [3])  # the extension bit of RP-Cause
    assert message.cause >= 0 or not difference


@given(st.binary(max_size=60))
def test_any_octets(octets: bytes) -> None:
    assert_round_trip(octets)


@given(st.sampled_from(list(OCTETS.values())), st.data())
def test_damaged_octets(octets: bytes, data: st.DataObject) -> None:
    damaged = bytearray(octets)
    for _ in range(data.draw(st.integers(1, 3))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    assert_round_trip(bytes(damaged))
    assert_round_trip(bytes(damaged[: data.draw(st.integers(0, len(damaged)))]))
    assert_round_trip(bytes(damaged) + data.draw(st.binary(max_size=4)))


@st.composite
def rp_messages(draw: st.DrawFn) -> RpMessage:
    kind = draw(st.integers(RP_DATA_FROM_MOBILE, RP_SMMA))
    message = RpMessage(kind, draw(st.integers(0, 255)))
    centre = draw(st.text("0123456789", min_size=1, max_size=20))
    if kind == RP_DATA_FROM_MOBILE:
        message.destination = centre
    elif kind == RP_DATA_TO_MOBILE:
        message.originator = centre
    elif kind in (RP_ERROR_FROM_MOBILE, RP_ERROR_TO_MOBILE):
        message.cause = draw(st.integers(0, 127))
        message.diagnostic = draw(st.integers(-1, 255))
    if kind != RP_SMMA:
        message.user_data = draw(st.binary(min_size=1, max_size=232))
    return message


@given(rp_messages())
def test_what_is_written_is_read_again(message: RpMessage) -> None:
    again = parse_rp_message(render_rp_message(message))
    names = attributes(message)
    assert [getattr(again, name) for name in names] == [getattr(message, name) for name in names]


@pytest.mark.parametrize("user_data", [b"", bytes(233)])
def test_rp_data_holds_a_tpdu(user_data: bytes) -> None:
    with pytest.raises(LocalSipError):
        render_rp_message(RpMessage(RP_DATA_FROM_MOBILE, 1, destination=CENTRE, user_data=user_data))
