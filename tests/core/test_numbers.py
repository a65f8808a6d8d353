"""Number forms (contract §5): what a dialled string means, and one canonical spelling for every real number."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from engine.core.numbers import (
    Dialled,
    DialledKind,
    canonical_real,
    is_privacy_number,
    mask,
    masked_identifier,
    masked_runs,
    read_number,
    render_user,
)
from engine.core.settings import NumberFormat

NATIONAL, PLUS, PREFIX86, TEL = NumberFormat
PRIVACY, SHORT, LONG, REAL, UNKNOWN = DialledKind
X = "700123456789012"

# As it stands in the message -> meaning, whatever the trunk's format.
EVERYWHERE = [
    # X, in every spelling of the contract
    (X, PRIVACY, X),
    (f"86{X}", PRIVACY, X),
    (f"0086{X}", PRIVACY, X),
    (f"+86{X}", PRIVACY, X),
    (f"{X};phone-context=+86", PRIVACY, X),
    (f"{X};PHONE-CONTEXT=%2B86", PRIVACY, X),
    (f"{X};phone-context=+8-6", PRIVACY, X),
    (f"{X};isub=1234;phone-context=+86;x", PRIVACY, X),
    (f"+86{X};phone-context=+86", PRIVACY, X),
    ("%37%30%30123456789012", PRIVACY, X),
    ("%2b86700123456789012", PRIVACY, X),
    ("700-1234-5678-9012", PRIVACY, X),
    ("+86.700.1234.5678.9012", PRIVACY, X),
    ("(700)%20123456789012", PRIVACY, X),
    ("700 1234 5678 9012", PRIVACY, X),
    ("700000000000000", PRIVACY, "700000000000000"),
    # 700 with another number of digits
    ("700", SHORT, "700"),
    ("7001234", SHORT, "7001234"),
    ("70012345678901", SHORT, "70012345678901"),
    ("7001234567", SHORT, "7001234567"),  # the shape of a landline, but there is no area 700
    ("70012345678", SHORT, "70012345678"),
    ("+867001234", SHORT, "7001234"),
    ("0086700", SHORT, "700"),
    ("8670012345678901", SHORT, "70012345678901"),
    (f"{X}3", LONG, f"{X}3"),
    (f"+86{X}3", LONG, f"{X}3"),
    (f"86{X}34", LONG, f"{X}34"),
    ("700" + "1" * 50, LONG, "700" + "1" * 29),
    # mobiles
    ("13800138000", REAL, "13800138000"),
    ("19912345678", REAL, "19912345678"),
    ("+8613800138000", REAL, "13800138000"),
    ("008613800138000", REAL, "13800138000"),
    ("013800138000", REAL, "13800138000"),
    ("+86013800138000", REAL, "13800138000"),
    ("138-0013-8000", REAL, "13800138000"),
    ("%31%33%38%30%30%31%33%38%30%30%30", REAL, "13800138000"),
    ("13800138000;phone-context=+86", REAL, "13800138000"),
    ("+86-138-0013-8000;npdi;rn=123", REAL, "13800138000"),
    # landlines
    ("2088888888", REAL, "2088888888"),
    ("020-8888-8888", REAL, "2088888888"),
    ("+86 20 8888 8888", REAL, "2088888888"),
    ("0208888 8888", REAL, "2088888888"),
    ("+86(020)88888888", REAL, "2088888888"),
    ("0086-20-8888-8888", REAL, "2088888888"),
    ("01065123456", REAL, "1065123456"),
    ("1065123456", REAL, "1065123456"),
    ("07551234567", REAL, "7551234567"),
    ("075512345678", REAL, "75512345678"),
    ("75512345678", REAL, "75512345678"),
    ("+8675512345678", REAL, "75512345678"),
    ("09511234567", REAL, "9511234567"),
    ("4008123123", REAL, "4008123123"),
    ("8008101234", REAL, "8008101234"),
    # service numbers
    ("110", REAL, "110"),
    ("120", REAL, "120"),
    ("95588", REAL, "95588"),
    ("10086", REAL, "10086"),
    ("12345", REAL, "12345"),
    ("118114", REAL, "118114"),
    ("1008611", REAL, "1008611"),
    ("10106688", REAL, "10106688"),
    ("9501312345678", REAL, "9501312345678"),
    ("96110", REAL, "96110"),
    ("10690000", REAL, "10690000"),
    ("106575123456789012", REAL, "106575123456789012"),
    ("10657512345678901234", REAL, "10657512345678901234"),
    ("+8695588", REAL, "95588"),
    ("008610086", REAL, "10086"),
    # in doubt: refused
    ("", UNKNOWN, ""),
    ("alice", UNKNOWN, ""),
    ("anonymous", UNKNOWN, ""),
    ("+", UNKNOWN, ""),
    ("+86", UNKNOWN, ""),
    ("0", UNKNOWN, ""),
    ("00", UNKNOWN, ""),
    ("0086", UNKNOWN, ""),
    ("86", UNKNOWN, ""),
    ("1", UNKNOWN, ""),
    ("100", UNKNOWN, ""),  # of three digits only 11x and 12x
    ("1380013800", UNKNOWN, ""),
    ("138001380000", UNKNOWN, ""),
    ("12800138000", UNKNOWN, ""),
    ("8888888", UNKNOWN, ""),  # a local number without its area
    ("88888888", UNKNOWN, ""),
    ("095588", UNKNOWN, ""),  # no trunk 0 before a service number
    ("010086", UNKNOWN, ""),
    (f"0{X}", UNKNOWN, ""),  # nor before 700
    (f"+860{X}", UNKNOWN, ""),
    ("0013800138000", UNKNOWN, ""),
    ("00013800138000", UNKNOWN, ""),
    ("861380013800", UNKNOWN, ""),  # 86 and a mobile that lost a digit: not area 861
    ("8613800138", UNKNOWN, ""),
    ("+13800138000", UNKNOWN, ""),  # North America
    (f"+{X}", UNKNOWN, ""),  # +7 700 is Kazakhstan
    ("+85221234567", UNKNOWN, ""),
    ("++8613800138000", UNKNOWN, ""),
    ("86+13800138000", UNKNOWN, ""),
    ("(+86)13800138000", UNKNOWN, ""),
    ("13800138000;phone-context=+852", UNKNOWN, ""),
    ("13800138000;phone-context=example.com", UNKNOWN, ""),
    ("13800138000;phone-context=", UNKNOWN, ""),
    ("13800138000;phone-context=86", UNKNOWN, ""),
    (f"{X};phone-context=+86;phone-context=+86", UNKNOWN, ""),
    (f"{X};phone%2Dcontext=+1", UNKNOWN, ""),
    (f"{X}%3Bphone-context=+86", UNKNOWN, ""),
    ("１３８００１３８０００", UNKNOWN, ""),
    ("７００１２３４５６７８９０１２", UNKNOWN, ""),
    ("٧٠٠١٢٣٤٥٦٧٨٩٠١٢", UNKNOWN, ""),
    ("70012345678901²", UNKNOWN, ""),
    ("1380013800a", UNKNOWN, ""),
    ("0x13800138000", UNKNOWN, ""),
    ("700*12345678901", UNKNOWN, ""),
    (f"{X}\x00", UNKNOWN, ""),
    (f"{X}%00", UNKNOWN, ""),
    ("%00", UNKNOWN, ""),
    (f"{X}%0d%0a", UNKNOWN, ""),
    ("13800138000\n", UNKNOWN, ""),
    (f"{X};x=\x1b", UNKNOWN, ""),
    ("1380013800%", UNKNOWN, ""),
    ("1380013800%3", UNKNOWN, ""),
    ("1380013800%zz", UNKNOWN, ""),
    ("1380013800%7z", UNKNOWN, ""),
    ("1380013800%z0", UNKNOWN, ""),
    ("1380013800%2530", UNKNOWN, ""),  # decoded once, not twice
    ("%ef%bc%91%33800138000", UNKNOWN, ""),
    ("-.()", UNKNOWN, ""),
    ("106" + "1" * 18, UNKNOWN, ""),
    ("86" + "1" * 70, UNKNOWN, ""),
]

# What depends on the trunk: only one that says so puts a bare 86 before its numbers.
BY_FORMAT = [
    ("8613800138000", NATIONAL, UNKNOWN, ""),
    ("8613800138000", PLUS, UNKNOWN, ""),
    ("8613800138000", TEL, UNKNOWN, ""),
    ("8613800138000", PREFIX86, REAL, "13800138000"),
    ("86-138-0013-8000", PREFIX86, REAL, "13800138000"),
    ("86013800138000", PREFIX86, REAL, "13800138000"),
    ("862088888888", PREFIX86, REAL, "2088888888"),
    ("862088888888", NATIONAL, UNKNOWN, ""),
    ("8695588", PREFIX86, REAL, "95588"),
    ("8695588", NATIONAL, UNKNOWN, ""),
    ("868613800138000", PREFIX86, UNKNOWN, ""),
]


@pytest.mark.parametrize("number_format", NumberFormat)
@pytest.mark.parametrize(("user", "kind", "number"), EVERYWHERE)
def test_meaning(user: str, kind: DialledKind, number: str, number_format: NumberFormat) -> None:
    assert read_number(user, number_format) == Dialled(kind, number)


@pytest.mark.parametrize(("user", "number_format", "kind", "number"), BY_FORMAT)
def test_meaning_on_a_trunk(user: str, number_format: NumberFormat, kind: DialledKind, number: str) -> None:
    assert read_number(user, number_format) == Dialled(kind, number)


# What a national number is, said a second time as expressions over digits.
A_NATIONAL_NUMBER = re.compile(
    r"1[3-9][0-9]{9}|(?:10|2[0-9])[0-9]{8}|(?!700|86)[3-9][0-9]{2}[0-9]{7,8}"
    r"|1[12][0-9]|1[0-2][0-9]{3,6}|106[0-9]{2,17}|95[0-9]{3,18}|96[0-9]{3,6}"
)

digits = st.text("0123456789", max_size=22)
near_numbers = st.builds(
    str.__add__, st.sampled_from(["", "1", "10", "106", "138", "20", "755", "700", "86", "95", "96", "0"]), digits
)
national_numbers = st.from_regex(A_NATIONAL_NUMBER, fullmatch=True)
formats = st.sampled_from(NumberFormat)


@given(near_numbers)
def test_canonical_is_exactly_the_national_numbers(text: str) -> None:
    is_national = A_NATIONAL_NUMBER.fullmatch(text) is not None
    assert (canonical_real(text) == text) is is_national


@given(st.text() | near_numbers)
@example("(+86)13800138000")
def test_canonical_form_is_its_own_canonical_form(text: str) -> None:
    number = canonical_real(text)
    if number is not None:
        assert canonical_real(number) == number
        assert A_NATIONAL_NUMBER.fullmatch(number)


@given(national_numbers, st.data())
def test_every_spelling_is_the_same_number(number: str, data: st.DataObject) -> None:
    prefixes = ["", "+86", "0086"]
    if len(number) >= 10 and not number.startswith(("95", "106")):
        prefixes += ["0", "+860", "00860"]
    prefix = data.draw(st.sampled_from(prefixes))
    spelled = prefix + "".join(data.draw(st.sampled_from(["", "", "-", ".", " ", ")", "("])) + char for char in number)
    assert canonical_real(f" {spelled}\n") == number
    escaped = "".join(f"%{ord(char):02x}" if data.draw(st.booleans()) else char for char in spelled)
    user = escaped + data.draw(st.sampled_from(["", ";phone-context=+86", ";a=b;Phone-Context=+86"]))
    assert read_number(user, data.draw(formats)) == Dialled(REAL, number)


@given(national_numbers, formats)
def test_what_we_write_we_read(number: str, number_format: NumberFormat) -> None:
    assert read_number(render_user(number, number_format), number_format) == Dialled(REAL, number)


def test_a_trunk_gets_its_format() -> None:
    written = [render_user("13800138000", number_format) for number_format in NumberFormat]
    assert written == ["13800138000", "+8613800138000", "8613800138000", "+8613800138000"]


@given(st.text() | st.text("0123456789+-.()%;=abphonectx ", max_size=40), formats)
def test_any_text_has_a_meaning(text: str, number_format: NumberFormat) -> None:
    dialled = read_number(text, number_format)
    if dialled.kind is PRIVACY:
        assert is_privacy_number(dialled.number)
    elif dialled.kind is REAL:
        assert A_NATIONAL_NUMBER.fullmatch(dialled.number)
    elif dialled.kind is UNKNOWN:
        assert dialled.number == ""
    else:
        assert re.fullmatch(r"700[0-9]{0,29}", dialled.number)
        assert (len(dialled.number) < 15) is (dialled.kind is SHORT)
    canonical = canonical_real(text)
    assert canonical is None or A_NATIONAL_NUMBER.fullmatch(canonical)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("13800138000", "13800138000"),
        (" +86 138-0013-8000 ", "13800138000"),
        ("(+86)13800138000", "13800138000"),
        ("(+86) 020 8888 8888", "2088888888"),
        ("(020)8888-8888", "2088888888"),
        ("008613800138000", "13800138000"),
        ("95588", "95588"),
        ("8613800138000", None),  # nobody promised a prefix
        (X, None),
        (f"+86{X}", None),
        ("7001234567", None),
        ("tel:13800138000", None),
        ("13800138000;phone-context=+86", None),
        ("%313800138000", None),
        ("+1 212 555 0100", None),
        ("１３８００１３８０００", None),
        ("", None),
        ("+", None),
    ],
)
def test_canonical_form_of_input(text: str, number: str | None) -> None:
    assert canonical_real(text) == number


@pytest.mark.parametrize(
    "text", ["", "700", X[:-1], X + "1", "800123456789012", "７" + X[1:], X[:-1] + "²", X[:-1] + "a"]
)
def test_no_privacy_number(text: str) -> None:
    assert not is_privacy_number(text)


@pytest.mark.parametrize(
    ("number", "masked"),
    [
        ("13800138000", "138****8000"),
        ("+8613800138000", "+86****8000"),
        ("2088888888", "20****88"),
        ("12345678", "12****78"),
        ("95588", "9****8"),
        ("1234", "****"),
        ("110", "****"),
        ("", ""),
        ("al\nce", "a****e"),
        ("\x1b[31mred text", "?[3****text"),
    ],
)
def test_mask(number: str, masked: str) -> None:
    assert mask(number) == masked


@given(st.text(min_size=1, max_size=30) | digits.filter(bool))
def test_a_masked_number_cannot_be_read_back(number: str) -> None:
    masked = mask(number)
    visible = masked.replace("****", "", 1)
    assert "****" in masked
    assert len(visible) <= min(7, len(number) - 1)
    assert masked.isascii()
    assert masked.isprintable()


def test_equality_and_a_safe_repr() -> None:
    dialled = Dialled(REAL, "13800138000")
    assert dialled == read_number("+8613800138000", NATIONAL)
    assert hash(dialled) == hash(Dialled(REAL, "13800138000"))
    assert dialled != Dialled(UNKNOWN, "13800138000")
    assert dialled != Dialled(REAL, "13800138001")
    assert dialled != "13800138000"
    assert "13800138000" not in repr(dialled)
    assert X in repr(Dialled(PRIVACY, X))


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("call 13800138000 now", "call 138****8000 now"),
        ("+8613800138000", "+86****8000"),
        ("02088888888", "020****8888"),
        ("700123456780001", "700123456780001"),
        ("1790000000000", "1790000000000"),
        ("a13800138000b", "a13800138000b"),  # the hexadecimal ids of ours
    ],
)
def test_runs_of_digits_that_are_real_numbers_are_masked(text: str, kept: str) -> None:
    assert masked_runs(text) == kept


@pytest.mark.parametrize(
    ("identifier", "kept"),
    [
        ("1-4711@127.0.0.12", "1-4711@127.0.0.12"),
        ("z9hG4bKa13800138000b", "z9hG4bKa138****8000b"),
        ("138001380001390013900@h", "138001380001390013900@h"),  # no number: nobody can tell where one would begin
        ("1790000000000-17", "1790000000000-17"),
    ],
)
def test_an_identifier_of_a_peer_is_kept_masked(identifier: str, kept: str) -> None:
    assert masked_identifier(identifier) == kept


PIECES = ["1", "42", "-", "ab", "\u0661", "13800138000", "2088888888", "02088888888", "0123456789"]
IDENTIFIERS = st.lists(st.sampled_from(PIECES), max_size=12)


@given(IDENTIFIERS)
def test_an_identifier_without_ten_digits_in_a_row_is_kept_and_any_other_looked_into(pieces: list[str]) -> None:
    identifier = "".join(pieces)
    assert masked_identifier(identifier) == re.sub("[0-9]{10,}", _masked_if_real, identifier)


def _masked_if_real(run: re.Match[str]) -> str:
    return mask(run[0]) if read_number(run[0], PREFIX86).kind is REAL else run[0]
