"""Numbers as they stand in requests, and addresses as we write them."""

from __future__ import annotations

from dataclasses import replace
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core import identity
from engine.core.health import AddressHealth
from engine.core.identity import caller_of, number_of, presented_uri, request_uri_for, to_value_for
from engine.core.numbers import Dialled, DialledKind
from engine.core.routing import Hop
from engine.core.settings import CallerSource, NumberFormat, PeerSettings, TargetSettings
from sipstack.errors import RemoteSipError
from sipstack.events import Flow
from sipstack.message import Message, render
from sipstack.parser import parse
from sipstack.uri import SipUri, TelUri, parse_name_addr, parse_uri

A = "13800138000"
B = "13900139000"
X = "700123456780001"
PEER = PeerSettings("p", (), ())
PAI_ONLY = replace(PEER, caller=CallerSource.PAI)
FROM_ONLY = replace(PEER, caller=CallerSource.FROM)
UNTRUSTED = replace(PEER, trusted=False)

REAL_A = Dialled(DialledKind.REAL, A)
REAL_B = Dialled(DialledKind.REAL, B)
NOBODY = Dialled(DialledKind.UNKNOWN, "")
PRIVACY_X = Dialled(DialledKind.PRIVACY, X)
TARGET = TargetSettings("sip:10.0.0.1:5070", "10.0.0.1", 5070)
TARGET6 = TargetSettings("sip:[2001:db8::1]:5070", "2001:db8::1", 5070)


def of(number_format: NumberFormat) -> PeerSettings:
    return replace(PEER, number_format=number_format)


def request(*rows: str, from_value: str = f"<sip:{B}@core.example>;tag=1") -> Message:
    basic = [
        "Via: SIP/2.0/UDP 192.0.2.12;branch=z9hG4bKx",
        f"From: {from_value}",
        f"To: <sip:{X}@veil.example>",
        "Call-ID: 1",
        "CSeq: 1 INVITE",
    ]
    return parse(render(f"INVITE sip:{X}@veil.example SIP/2.0", [*basic, *rows]))


def asserted(*values: str) -> Message:
    """A request whose From names B, with P-Asserted-Identity rows."""
    return request(*(f"P-Asserted-Identity: {value}" for value in values))


# -- P-Asserted-Identity -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([f"<sip:{A}@core.example>"], REAL_A),
        ([f"<tel:+86{A}>"], REAL_A),
        ([f"sip:{A}@core.example"], REAL_A),
        ([f'"Zhang, San" <sip:+86{A}@core.example;user=phone>'], REAL_A),
        ([f"<sip:{A}@x>, <tel:+86{A}>"], REAL_A),  # RFC 3325 §9.1
        ([f"<sip:{A}@x>", "<tel:+86-138-0013-8000>"], REAL_A),
        ([f"<sip:{A}@x>, <tel:+86{B}>"], NOBODY),  # two different ones name nobody
        ([f"<sip:{A}@x>", f"<sip:{B}@x>"], NOBODY),
        ([f"<sip:{B}@x>", f"<sip:{A}@x>", f"<sip:{B}@x>"], NOBODY),
        ([f"<sip:{A}@x>, <sip:{X}@x>"], NOBODY),
        (["<sip:alice@x>", f"<tel:+86{A}>"], REAL_A),  # a name beside the number
        (["garbage", f"<tel:+86{A}>"], REAL_A),
        ([f"<sip:{A}@x", f"<tel:+86{A}>"], REAL_A),
        (["<sip:anonymous@anonymous.invalid>"], NOBODY),
        (["<sip:alice@x>"], NOBODY),
        ([""], NOBODY),
        (["<>"], NOBODY),
        ([f"<http://x/{A}>"], NOBODY),
        ([f"<tel:{A};phone-context=+86>"], REAL_A),
        ([f"<tel:{A};phone-context=+1>"], NOBODY),
        ([f"<tel:{A};phone-context=core.example>"], NOBODY),
        ([f"<sip:{A};phone-context=+86@x;user=phone>"], REAL_A),
        ([f"<sip:{A};phone-context=+1@x;user=phone>"], NOBODY),
        (["<sip:%31%33800138000@x>"], REAL_A),
        (["<sip:+8613%380013%38000@x>"], REAL_A),
        (["<sip:%2531%2533800138000@x>"], NOBODY),  # escaped twice names nobody
        ([f"<sip:{A}:secret@x>"], REAL_A),
        ([f"<sip:{X}@x>"], PRIVACY_X),
        ([f"<tel:+86{X}>"], PRIVACY_X),
        (["<sip:70012@x>"], Dialled(DialledKind.PRIVACY_SHORT, "70012")),
        (["<tel:*1#>"], NOBODY),
    ],
)
def test_asserted_identity(rows: list[str], expected: Dialled) -> None:
    assert caller_of(asserted(*rows), PAI_ONLY) == expected
    assert caller_of(asserted(*rows), PEER) == expected  # it alone counts when it is there, whatever From says
    assert caller_of(asserted(*rows), FROM_ONLY) == REAL_B
    assert caller_of(asserted(*rows), UNTRUSTED) == REAL_B
    assert caller_of(asserted(*rows), replace(UNTRUSTED, caller=CallerSource.PAI)) == NOBODY


@pytest.mark.parametrize(
    "name", ["P-Asserted-Identity", "p-asserted-identity", "P-ASSERTED-IDENTITY ", "P-Asserted-Identity\t"]
)
def test_any_spelling_of_the_field_counts(name: str) -> None:
    """A10: a second row in another spelling must not slip past the comparison."""
    sent = request(f"P-Asserted-Identity: <sip:{A}@x>", f"{name}: <sip:{B}@x>")
    assert caller_of(sent, PEER) == NOBODY


def test_folded_row_counts() -> None:
    assert caller_of(request(f"P-Asserted-Identity: <sip:{A}@x>,\r\n <sip:{B}@x>"), PEER) == NOBODY


@pytest.mark.parametrize("count", [1, 100, 127, 128, 129, 900])
def test_very_many_identities_are_refused_or_read_but_raise_nothing(count: int) -> None:
    """The parser refuses rows that are too long to be read: no exception of theirs comes out of the core."""
    for row, expected in (
        (f"<sip:{A}@x>" + "," * count, REAL_A),
        (f"<sip:{A}@x>" + "," * count + f"<sip:{B}@x>", NOBODY),
    ):
        try:
            sent = asserted(row)
        except RemoteSipError:
            assert count >= 100
            continue
        assert caller_of(sent, PEER) == expected


def test_without_it_from_counts_unless_it_must_be_there() -> None:
    assert caller_of(request(), PEER) == REAL_B
    assert caller_of(request(), PAI_ONLY) == NOBODY


@pytest.mark.parametrize("row", [f"P-Preferred-Identity: <sip:{A}@x>", f"Remote-Party-ID: <sip:{A}@x>;party=calling"])
def test_nothing_else_names_the_caller(row: str) -> None:
    assert caller_of(request(row), PAI_ONLY) == NOBODY
    assert caller_of(request(row), PEER) == REAL_B


# -- From --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (f"<sip:{A}@x>;tag=1", REAL_A),
        (f"sip:{A}@x;tag=1", REAL_A),
        (f'"{B}" <sip:{A}@x>;tag=1', REAL_A),  # the display name says nothing
        (f"<sip:+86{A}@x;user=phone>;tag={B}", REAL_A),
        (f"<tel:+86{A}>;tag=1", REAL_A),
        (f"<tel:{A};phone-context=+86>;tag=1", REAL_A),
        (f"<sips:{A}@x>;tag=1", REAL_A),
        ("<sip:138-0013-8000@x>;tag=1", REAL_A),
        ("<sip:020-8888-8888@x>;tag=1", Dialled(DialledKind.REAL, "2088888888")),
        ("<sip:95588@x>;tag=1", Dialled(DialledKind.REAL, "95588")),
        ('"Anonymous" <sip:anonymous@anonymous.invalid>;tag=1', NOBODY),
        (f"<sip:x@{A}>;tag=1", NOBODY),
        (f"<sip:x:{A}@y>;tag=1", NOBODY),
        (f"<sip:x@y;{A}>;tag=1", NOBODY),
        (f"<sip:x@y?P-Asserted-Identity={A}>;tag=1", NOBODY),
        (f"<sip:{A}%00@x>;tag=1", NOBODY),
        (f"<sip:{A}%0d%0a@x>;tag=1", NOBODY),
        (f"<sip:{X}@x>;tag=1", PRIVACY_X),
        (f"<sip:86{X}@x>;tag=1", PRIVACY_X),
        (f"<sip:{X}0@x>;tag=1", Dialled(DialledKind.PRIVACY_LONG, X + "0")),
    ],
)
def test_from(value: str, expected: Dialled) -> None:
    assert caller_of(request(from_value=value), FROM_ONLY) == expected
    assert caller_of(request(from_value=value), PEER) == expected


@pytest.mark.parametrize(
    ("number_format", "user", "expected"),
    [
        (NumberFormat.NATIONAL, f"86{A}", NOBODY),  # a bare 86 only where the trunk promises it
        (NumberFormat.PREFIX86, f"86{A}", REAL_A),
        (NumberFormat.PREFIX86, A, REAL_A),
        (NumberFormat.PLUS, f"+86{A}", REAL_A),
        (NumberFormat.TEL, f"+86{A}", REAL_A),
    ],
)
def test_format_of_the_trunk(number_format: NumberFormat, user: str, expected: Dialled) -> None:
    trunk = replace(PEER, number_format=number_format)
    assert caller_of(request(from_value=f"<sip:{user}@x>;tag=1"), trunk) == expected


@given(st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), max_size=50))
def test_any_row_is_read_without_an_error(value: str) -> None:
    try:
        sent = request(f"P-Asserted-Identity: {value}")
    except RemoteSipError:
        return
    found = caller_of(sent, PEER)
    assert (found.kind is DialledKind.UNKNOWN) is (found.number == "")


# -- the called number -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "uri",
    [
        f"sip:{X}@veil.example",
        f"sip:{X}@veil.example;user=phone",
        f"sips:{X}@10.0.0.1:5061",
        f"sip:{X}:pw@veil.example",
        f"sip:+86{X}@veil.example",
        f"sip:86{X}@veil.example",
        f"sip:0086{X}@veil.example",
        "sip:%37%30%30123456780001@veil.example",
        "sip:700-1234-5678-0001@veil.example",
        f"sip:{X};phone-context=+86@veil.example;user=phone",
        f"sip:{X};ext=5@veil.example",
        f"tel:{X};phone-context=+86",
        f"tel:+86{X}",
        "tel:+86-700-1234-5678-0001",
        "tel:(700)1234.5678.0001;phone-context=+86",
    ],
)
def test_called_spellings_of_x(uri: str) -> None:
    for number_format in NumberFormat:
        assert number_of(parse_uri(uri), of(number_format)) == PRIVACY_X


@pytest.mark.parametrize(
    ("uri", "kind"),
    [
        ("sip:70012345678000@h", DialledKind.PRIVACY_SHORT),
        ("sip:7001234567800012@h", DialledKind.PRIVACY_LONG),
        (f"tel:{X};phone-context=+7", DialledKind.UNKNOWN),  # +7 700 is a Kazakh mobile number
        (f"tel:+7{X}", DialledKind.UNKNOWN),
        (f"sip:x{X}@h", DialledKind.UNKNOWN),
        (f"sip:{X}x@h", DialledKind.UNKNOWN),
        (f"sip:{X}%3b@h", DialledKind.UNKNOWN),
        (f"sip:h;{X}", DialledKind.UNKNOWN),
        ("mailto:700123456780001@h", DialledKind.UNKNOWN),
        (f"sip:{A}@h", DialledKind.REAL),
    ],
)
def test_called_that_is_no_x(uri: str, kind: DialledKind) -> None:
    assert number_of(parse_uri(uri), PEER).kind is kind


def test_no_uri_names_nobody() -> None:
    assert number_of(None, PEER) == NOBODY


# -- what we write -----------------------------------------------------------------------------------------------------


def at(peer: PeerSettings, target: TargetSettings) -> Hop:
    """The place of a target of a peer."""
    return Hop(peer, target, Flow("UDP", target.host, target.port), AddressHealth("", None))


@pytest.mark.parametrize(
    ("number_format", "uri", "to"),
    [
        (NumberFormat.NATIONAL, f"sip:{B}@10.0.0.1:5070", f"<sip:{B}@10.0.0.1>"),
        (NumberFormat.PLUS, f"sip:+86{B}@10.0.0.1:5070", f"<sip:+86{B}@10.0.0.1>"),
        (NumberFormat.PREFIX86, f"sip:86{B}@10.0.0.1:5070", f"<sip:86{B}@10.0.0.1>"),
        (NumberFormat.TEL, f"tel:+86{B}", f"<tel:+86{B}>"),
    ],
)
def test_real_number_towards_a_trunk(number_format: NumberFormat, uri: str, to: str) -> None:
    trunk = replace(PEER, number_format=number_format)
    assert request_uri_for(B, at(trunk, TARGET)) == uri
    assert to_value_for(B, at(trunk, TARGET)) == to


def test_ipv6_target_in_brackets() -> None:
    assert request_uri_for(B, at(PEER, TARGET6)) == f"sip:{B}@[2001:db8::1]:5070"
    assert to_value_for(B, at(PEER, TARGET6)) == f"<sip:{B}@[2001:db8::1]>"


@pytest.mark.parametrize("number_format", list(NumberFormat))
@pytest.mark.parametrize("number", [A, "2088888888", "95588", "110", "10698000000000000000"])
def test_what_we_write_is_read_back_on_the_same_trunk(number_format: NumberFormat, number: str) -> None:
    trunk = replace(PEER, number_format=number_format)
    for target in (TARGET, TARGET6):
        uri = parse_uri(request_uri_for(number, at(trunk, target)))
        assert number_of(uri, of(number_format)) == Dialled(DialledKind.REAL, number)
        to = parse_uri(parse_name_addr(to_value_for(number, at(trunk, target))).uri)
        assert number_of(to, of(number_format)) == Dialled(DialledKind.REAL, number)


@pytest.mark.parametrize("number_format", list(NumberFormat))
def test_x_is_presented_with_fifteen_digits_and_nothing_more(number_format: NumberFormat) -> None:
    """Contract §5: no display name, never +86 before 15 digits."""
    trunk = replace(PEER, number_format=number_format)
    value = presented_uri(X, trunk, "veil.example")
    address = parse_name_addr(value)
    uri = parse_uri(address.uri)
    assert address.display == "" and address.params == "" and "+86" + X not in value and "86" + X not in value
    assert number_of(uri, of(number_format)) == PRIVACY_X
    if number_format is NumberFormat.TEL:
        assert isinstance(uri, TelUri) and value == f"<tel:{X};phone-context=+86>"
    else:
        assert isinstance(uri, SipUri) and value == f"<sip:{X}@veil.example>"


@given(
    st.sampled_from(["<", "", ' "A" <', "<<"]),
    st.sampled_from(["sip:", "sips:", "tel:", "SIP:"]),
    st.sampled_from([A, "+86" + A, "86" + A, "0" + A, X, "", "a", "138-0013-8000", "%31" + A[1:], A + ";x=1"]),
    st.sampled_from(["@h", "@192.0.2.1:5060", "@h:65536", "@h:0", "@", "", "@h;user=phone", "@h;a=1;a=2", "@H"]),
    st.sampled_from([">", "", ">;tag=1", "> "]),
    st.sampled_from(list(NumberFormat)),
)
@pytest.mark.pure
def test_the_usual_address_is_read_like_any_other(
    front: str, scheme: str, user: str, rest: str, back: str, number_format: NumberFormat
) -> None:
    value = front + scheme + user + rest + back
    peer = PeerSettings("p", ("192.0.2.1",), (), number_format)
    short = identity._number_in(value, peer)
    with patch.object(identity, "usual_user", lambda value: ""):
        assert short == identity._number_in(value, peer)
