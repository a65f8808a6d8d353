"""TPDUs: read and written as other programs do it, translated in the address alone, and refused when in doubt."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.semi_octets import Address
from engine.core.tpdu import Alphabet, Tpdu, TpduKind, parse_tpdu, read_alphabet, render_tpdu, with_number
from engine.core.tpdu_text import masked_tpdu, tpdu_text
from sipstack.errors import LocalSipError, RemoteSipError
from tests.core.smsvectors import NEW, PUBLISHED, REAL, REFUSED, TAKEN, attributes, taken

DIGITS = st.text("0123456789*#abc", min_size=1, max_size=20)
VECTORS = st.sampled_from(TAKEN)


def parse(row: dict[str, str]) -> Tpdu:
    return parse_tpdu(bytes.fromhex(row["octets"]), row["from_mobile"] == "True")


def names(rows: list[dict[str, str]]) -> list[str]:
    return [row["name"] for row in rows]


def changed(octets: bytes, place: int, *values: int) -> bytes:
    return octets[:place] + bytes(values) + octets[place + len(values) :]


# -- what other programs write -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("row", TAKEN, ids=names(TAKEN))
def test_fields_and_octets_are_those_of_the_library(row: dict[str, str]) -> None:
    tpdu = parse(row)
    assert render_tpdu(tpdu).hex() == row["octets"]
    assert tpdu_text(tpdu) == row["text"]
    if row["number"]:
        assert tpdu.address == Address(row["number"], int(row["number_type"]))
    else:
        assert tpdu.address is None


@pytest.mark.parametrize("row", [row for row in TAKEN if row["number"]], ids=lambda row: row["name"])
def test_another_number_gives_what_the_library_writes_for_it(row: dict[str, str]) -> None:
    assert render_tpdu(with_number(parse(row), NEW)).hex() == row["readdressed"]


@pytest.mark.parametrize("row", PUBLISHED, ids=names(PUBLISHED))
def test_published_messages(row: dict[str, str]) -> None:
    if not row["dialled"]:
        with pytest.raises(RemoteSipError):
            parse(row)
        return
    tpdu = parse(row)
    assert tpdu.address is not None
    assert (tpdu.address.dialled, tpdu_text(tpdu)) == (row["dialled"], row["text"])
    assert render_tpdu(tpdu).hex() == row["octets"]


def test_the_kind_comes_from_type_and_direction() -> None:
    kinds = {row["name"]: parse(row).kind for row in TAKEN}
    assert kinds["submit-gsm7"] is TpduKind.SUBMIT
    assert kinds["deliver-gsm7"] is TpduKind.DELIVER
    assert kinds["status-report"] is TpduKind.STATUS_REPORT
    assert kinds["deliver-report"] is TpduKind.DELIVER_REPORT
    assert kinds["submit-report"] is TpduKind.SUBMIT_REPORT


def test_the_fields_of_each_kind() -> None:
    submit = parse_tpdu(taken("submit-relative"), from_mobile=True)
    assert (submit.reference, submit.protocol, submit.coding, submit.validity) == (7, 0, 0, b"\xa7")
    report = parse_tpdu(taken("status-report-failed"), from_mobile=False)
    assert (report.reference, report.status, report.indicator, report.user_data_length) == (7, 0x46, -1, -1)
    assert report.timestamp.hex() == "62115212049523"
    assert report.discharge.hex() == "6211521204952a"
    failed = parse_tpdu(taken("submit-report-failed-text"), from_mobile=False)
    assert (failed.failure_cause, failed.indicator, failed.protocol, failed.coding) == (0xC0, 6, -1, 0)
    assert parse_tpdu(taken("submit-report"), from_mobile=False).failure_cause == -1


# -- what is refused ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("row", REFUSED, ids=names(REFUSED))
def test_what_cannot_be_looked_into_is_not_taken(row: dict[str, str]) -> None:
    with pytest.raises(RemoteSipError) as refusal:
        parse(row)
    assert refusal.value.status_hint == 415


def test_seven_fill_bits_are_zero_or_a_carriage_return() -> None:
    assert SEVEN[-1] >> 1 == 0x0D
    zeros = changed(SEVEN, len(SEVEN) - 1, SEVEN[-1] & 1)
    assert render_tpdu(parse_tpdu(zeros, from_mobile=True)) == zeros


def test_a_name_as_address_is_known_as_one() -> None:
    with pytest.raises(RemoteSipError, match="address is a name"):
        parse(next(row for row in REFUSED if row["name"] == "name"))


@pytest.mark.parametrize("coding", range(256))
def test_codings_of_text(coding: int) -> None:
    """TS 23.038 §4: 00 and 01 groups uncompressed, and 1111 with bit 3 clear."""
    gsm7 = {*range(0x00, 0x04), *range(0x10, 0x14), *range(0x40, 0x44), *range(0x50, 0x54), *range(0xF0, 0xF4)}
    ucs2 = {*range(0x08, 0x0C), *range(0x18, 0x1C), *range(0x48, 0x4C), *range(0x58, 0x5C)}
    if coding in gsm7 or coding in ucs2:
        assert read_alphabet(coding) is (Alphabet.GSM7 if coding in gsm7 else Alphabet.UCS2)
    else:
        with pytest.raises(RemoteSipError):
            read_alphabet(coding)


SUBMIT = taken("submit-gsm7")  # 21 07 | 0f a1 + 8 octets | 00 00 | 05 + 5 octets
PART = taken("submit-2-of-2")  # 61 07 | 0f a1 + 8 octets | 00 00 | 17 05 00 03 5a 02 02 ...
SEVEN = taken("submit-7-characters")
LONG_NUMBER = taken("submit-20-digits")
HALF = taken("submit-ucs2")


def with_header(header: str) -> bytes:
    """A SUBMIT with this user data header and a text of UCS2."""
    user_data = bytes.fromhex(header) + b"\0h\0i"
    return bytes((0x61,)) + SUBMIT[1:12] + bytes((0x00, 0x08, len(user_data))) + user_data


def test_the_header_is_one_concatenation() -> None:
    for header in ("0500035a0201", "060804125a0201"):
        assert tpdu_text(parse_tpdu(with_header(header), from_mobile=True)) == "hi"


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        SUBMIT[:-1],
        SUBMIT + b"\0",
        changed(SUBMIT, 0, 0x23),  # reserved type
        SUBMIT[:2] + b"\x00\xa1" + SUBMIT[12:],  # no digits
        changed(SUBMIT, 2, 16),  # a digit is the filler
        changed(SUBMIT, 3, 0x21),  # the type of address goes on
        changed(SUBMIT, 3, 0xE1),  # an abbreviated number
        changed(SUBMIT, 3, 0xF1),  # reserved type of number
        changed(SUBMIT, 3, 0xA9),  # a private plan
        changed(SUBMIT, 5, 0x3F),  # a filler within
        changed(SUBMIT, 11, 0x71),  # a digit behind the last one
        LONG_NUMBER[:2] + b"\x15" + LONG_NUMBER[3:14] + b"\xf1" + LONG_NUMBER[14:],  # 21 digits
        changed(SUBMIT, 14, 6, *SUBMIT[15:], 0x00, 0x00),  # an octet behind the septets
        changed(SEVEN, len(SEVEN) - 1, SEVEN[-1] & 1 | ord("0") << 1),  # an eighth character in the fill bits
        changed(PART, 15, 0xFF),  # a header that never ends
        changed(PART, 15, 6),  # an octet behind the element
        with_header("0400020201"),  # a shorter element
        with_header("0600045a5a0201"),
        with_header("050803120201"),
        changed(PART, 19, 0),  # none of no parts
        changed(PART, 20, 3),  # the third of two
        changed(PART, 20, 0),
        changed(PART, 14, 6)[: 15 + 6],  # fewer septets than the header takes
        changed(PART, 14, 0)[:15],  # a header that is not there
        changed(HALF, 14, len(HALF) - 16)[:-1],  # half a character
        changed(HALF, 14, 142) + bytes(142 - (len(HALF) - 15)),  # longer than a short message
    ],
)
def test_a_malformed_submit_is_refused(octets: bytes) -> None:
    with pytest.raises(RemoteSipError):
        parse_tpdu(octets, from_mobile=True)


@pytest.mark.parametrize(
    "time",
    [
        "62115212049523",
        "00000000000000",  # a centre that does not know
        "6211521204952b",  # west of Greenwich
        "6221521204952f",  # two digits of quarters
    ],
)
def test_times_are_taken(time: str) -> None:
    octets = changed(taken("submit-report"), 2, *bytes.fromhex(time))
    if time == "6221521204952f":
        octets = changed(octets, 3, 0x21)
    assert render_tpdu(parse_tpdu(octets, from_mobile=False)) == octets


@pytest.mark.parametrize(
    "time",
    [
        "31080010830000",  # 13800138000 in the place of a time
        "62315212049523",  # the thirteenth month
        "62112312049523",  # day 32
        "62115242049523",  # hour 24
        "62115212069523",  # minute 60
        "62115212040623",  # second 60
        "6a115212049523",
        "a6115212049523",
        "621152120495a3",
    ],
)
def test_no_number_stands_in_the_place_of_a_time(time: str) -> None:
    octets = bytes.fromhex(time)
    report, status, submit = taken("submit-report"), taken("status-report"), taken("submit-absolute")
    places = [(report, 2, False), (status, 11, False), (status, 18, False), (submit, 14, True)]
    for whole, place, from_mobile in places:
        with pytest.raises(RemoteSipError):
            parse_tpdu(changed(whole, place, *octets), from_mobile)


@pytest.mark.parametrize(
    "period",
    [
        "81a70000000000",  # the functions go on
        "09a70000000000",  # reserved bit
        "04000000000000",  # reserved format
        "00130000000000",
        "01a70800000000",
        "023c0000000001",
        "03329595000100",
        "03429595000000",  # hour 24
        "03320a95000000",
    ],
)
def test_no_number_stands_in_a_validity_period(period: str) -> None:
    with pytest.raises(RemoteSipError):
        parse_tpdu(changed(taken("submit-enhanced-hms"), 14, *bytes.fromhex(period)), from_mobile=True)


@pytest.mark.parametrize("indicator", [0x08, 0x40, 0x80])
def test_a_parameter_indicator_with_reserved_bits_is_refused(indicator: int) -> None:
    for whole, place in ((taken("submit-report-failed"), 2), (taken("status-report-text"), 26)):
        with pytest.raises(RemoteSipError):
            parse_tpdu(changed(whole, place, indicator), from_mobile=False)


# -- properties --------------------------------------------------------------------------------------------------------


def assert_round_trip(octets: bytes, from_mobile: bool) -> None:
    """Refused, or written again as it was, with a text that can be read and masked."""
    try:
        tpdu = parse_tpdu(octets, from_mobile)
    except RemoteSipError:
        return
    assert render_tpdu(tpdu) == octets
    assert len(render_tpdu(masked_tpdu(tpdu, REAL))) == len(octets)


@given(st.binary(max_size=200), st.booleans())
def test_any_octets(octets: bytes, from_mobile: bool) -> None:
    assert_round_trip(octets, from_mobile)


@given(VECTORS, st.data())
def test_damaged_octets(row: dict[str, str], data: st.DataObject) -> None:
    octets = bytearray.fromhex(row["octets"])
    for _ in range(data.draw(st.integers(1, 3))):
        octets[data.draw(st.integers(0, len(octets) - 1))] = data.draw(st.integers(0, 255))
    end = data.draw(st.integers(0, len(octets)))
    for damaged in (bytes(octets), bytes(octets[:end]), bytes(octets) + data.draw(st.binary(max_size=4))):
        assert_round_trip(damaged, row["from_mobile"] == "True")


@given(st.sampled_from([row for row in TAKEN if row["number"]]), DIGITS)
def test_another_number_changes_nothing_else(row: dict[str, str], digits: str) -> None:
    tpdu = parse(row)
    again = parse_tpdu(render_tpdu(with_number(tpdu, digits)), row["from_mobile"] == "True")
    assert again.address == Address(digits)
    rest = [name for name in attributes(tpdu) if name != "address"]
    assert [getattr(again, name) for name in rest] == [getattr(tpdu, name) for name in rest]
    assert tpdu.address == Address(row["number"], int(row["number_type"]))  # the one that was parsed is as it was


@pytest.mark.parametrize("digits", ["", "1" * 21, "+86", "１３８"])
def test_digits_that_no_address_holds(digits: str) -> None:
    with pytest.raises(LocalSipError):
        render_tpdu(with_number(parse_tpdu(SUBMIT, from_mobile=True), digits))


def test_a_report_has_no_number_to_change() -> None:
    with pytest.raises(LocalSipError):
        with_number(parse_tpdu(taken("submit-report"), from_mobile=False), NEW)
