"""URIs and addresses: what is read, what is refused, what is equal, and that the work grows with the length alone."""

from __future__ import annotations

from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipstack.errors import RemoteSipError
from sipstack.uri import (
    OtherUri,
    SipUri,
    TelUri,
    is_ipv6_reference,
    parse_name_addr,
    parse_params,
    parse_uri,
    token_param,
    uri_host,
)


def sip(text: str) -> SipUri:
    uri = parse_uri(text)
    assert isinstance(uri, SipUri)
    return uri


# ------------------------------------------------------------------ reading

READ: Final = (
    ("sip:alice@atlanta.com", ("sip", "alice", None, "atlanta.com", 0, "", "")),
    (
        "sip:alice:secretword@atlanta.com;transport=tcp",
        ("sip", "alice", "secretword", "atlanta.com", 0, ";transport=tcp", ""),
    ),
    (
        "sips:alice@atlanta.com?subject=project%20x&priority=urgent",
        ("sips", "alice", None, "atlanta.com", 0, "", "subject=project%20x&priority=urgent"),
    ),
    (
        "sip:+1-212-555-1212:1234@gateway.com;user=phone",
        ("sip", "+1-212-555-1212", "1234", "gateway.com", 0, ";user=phone", ""),
    ),
    ("sips:1212@gateway.com", ("sips", "1212", None, "gateway.com", 0, "", "")),
    ("sip:alice@192.0.2.4", ("sip", "alice", None, "192.0.2.4", 0, "", "")),
    (
        "sip:atlanta.com;method=REGISTER?to=alice%40atlanta.com",
        ("sip", "", None, "atlanta.com", 0, ";method=REGISTER", "to=alice%40atlanta.com"),
    ),
    ("sip:alice;day=tuesday@atlanta.com", ("sip", "alice;day=tuesday", None, "atlanta.com", 0, "", "")),
    ("sip:a?b/c,d@h", ("sip", "a?b/c,d", None, "h", 0, "", "")),
    ("sip:u:@h:5061;lr", ("sip", "u", "", "h", 5061, ";lr", "")),
    ("sip:u@[2001:db8::1]:65535", ("sip", "u", None, "[2001:db8::1]", 65535, "", "")),
    ("sip:node_1.example.", ("sip", "", None, "node_1.example.", 0, "", "")),
    ("sip:u@h;x=[::1]:/&+$;y", ("sip", "u", None, "h", 0, ";x=[::1]:/&+$;y", "")),
)


@pytest.mark.parametrize(("text", "parts"), READ)
def test_sip_uri_is_read_and_written(text: str, parts: tuple[object, ...]) -> None:
    uri = sip(text)
    assert (uri.scheme, uri.user, uri.password, uri.host, uri.port, uri.params, uri.headers) == parts
    assert str(uri) == text


MALFORMED: Final = (
    "", "sip", "sip:", "sip:@h", "sip:u@", "sip:u@h@i", "sip:u @h", " sip:u@h", "sip:u@h ", "sip:u@h\n",
    "sip:u@h\r\nX: y", "<sip:u@h>", "sip:u@h;", "sip:u@h;;a", "sip:u@h;=b", "sip:u@h;a=", "sip:u@h;a b", "sip:u@h?",
    "sip:u@h?a b", "sip:u@h:", "sip:u@h:port", "sip:u@h:123456", "sip:u@-h", "sip:u@h-", "sip:u@h..-", "sip:u@h%41",
    "sip:u@\u00fc.de", "sip:\u00fc@h", "sip:u\u0661@h", "sip:u@h:\u0665\u0660\u0666\u0660", "sip:u\x00@h",
    "sip:u\x85@h", "sip:u\u2028@h", "sip:u\x0b@h", "sip:2001:db8::1", "sip:u@2001:db8::1", 'sip:"u"@h', "sip:u@h>",
    "sip:u[1]@h", "sips;u@h", "\u017fip:u@h", ":u@h", "1sip:u@h", "tel:", "tel:+86 138", "tel:+86138;", "tel:+86138;a=",
    "tel:x", "tel:\uff11\uff12", "tel:1\n", "http://a b", "urn:<x>", "mailto:", "x:\u5f20", "x:\udcff", "x:\x7f", 'x:"',
    "x:a>", "tel:1;a=\u5f20", "tel:1;a=<",
)  # fmt: skip


@pytest.mark.parametrize("text", MALFORMED, ids=ascii)
def test_malformed_uri(text: str) -> None:
    with pytest.raises(RemoteSipError) as caught:
        parse_uri(text)
    assert (caught.value.status_hint, caught.value.message) == (400, None)


OUT_OF_RANGE: Final = (
    ("sip:u@h:0", "port out of range"),
    ("sip:u@h:00000", "port out of range"),
    ("sip:u@h:65536", "port out of range"),
    ("sip:u@[2001:db8:::1]", "IPv6 address is malformed"),
    ("sip:u@[1.2.3.4]", "IPv6 address is malformed"),
    ("sip:u@[:]", "IPv6 address is malformed"),
    ("sip:u@[12345::]", "IPv6 address is malformed"),
    ("sip:u@h;a=1;A=2", "a URI parameter stands twice"),
    ("sip:u@h;lr;lr", "a URI parameter stands twice"),
    ("tel:10086;phone-context=+86;Phone-Context=+1", "a URI parameter stands twice"),
)


@pytest.mark.parametrize(("text", "reason"), OUT_OF_RANGE)
def test_uri_that_two_elements_would_read_differently(text: str, reason: str) -> None:
    with pytest.raises(RemoteSipError, match=reason):
        parse_uri(text)


def test_port_is_a_number() -> None:
    assert (sip("sip:u@h:05060").port, sip("sip:u@h:1").port, sip("sip:u@h").port) == (5060, 1, 0)


def test_scheme_is_folded_and_the_rest_is_not() -> None:
    assert str(sip("SIPS:Alice@AtLanTa.CoM;Transport=UDP")) == "sips:Alice@AtLanTa.CoM;Transport=UDP"


def test_tel_and_other_schemes() -> None:
    tel = parse_uri("TEL:+86-138-0013-8000;phone-context=+86;isub=1")
    assert isinstance(tel, TelUri)
    assert (tel.number, tel.params) == ("+86-138-0013-8000", ";phone-context=+86;isub=1")
    assert str(tel) == "tel:+86-138-0013-8000;phone-context=+86;isub=1"
    for text in (
        "nobodyKnowsThisScheme:totallyopaquecontent",
        "soap.beep://192.0.2.103:3002",
        "urn:service:sos",
        "sip.x:a",
    ):
        other = parse_uri(text)
        assert isinstance(other, OtherUri)
        assert str(other) == text


def test_uri_parameters() -> None:
    uri = sip("sip:h;Transport=TCP;lr;maddr=[::1]")
    assert (uri.param("transport"), uri.param("lr"), uri.param("maddr"), uri.param("user")) == (
        "TCP",
        "",
        "[::1]",
        None,
    )
    assert uri.param_map() == {"transport": "TCP", "lr": "", "maddr": "[::1]"}
    assert SipUri("sip", "", "h", params=";a=1;A=2").param("a") == "1"


@pytest.mark.parametrize(
    ("text", "is_reference"),
    [("[::1]", True), ("[2001:db8::192.0.2.1]", True), ("::1", False), ("[::1", False), ("::1]", False), ("[]", False),
     ("[2001:db8:::192.0.2.1]", False), ("[fe80::1%eth0]", True), ("[::\u0661]", False)],
)  # fmt: skip
def test_ipv6_reference(text: str, is_reference: bool) -> None:
    assert is_ipv6_reference(text) is is_reference


USER: Final = st.text("abcXYZ019-_.!~*'()&=+$,;?/%", min_size=1)
HOSTS: Final = st.sampled_from(["h", "a-b.example", "192.0.2.1", "[2001:db8::1]", "x_y.", "1.2"])
PARAM_TEXT: Final = st.text("aZ9-_.!~*'()[]/:&+$%", min_size=1)


@given(
    st.sampled_from(["sip", "sips"]),
    USER,
    st.none() | st.text("aZ9&=+$,%"),
    HOSTS,
    st.integers(0, 65535),
    st.dictionaries(PARAM_TEXT.map(str.lower), st.just("") | PARAM_TEXT, max_size=4),
    st.just("") | st.text("aZ?:&=%", min_size=1),
)
def test_reading_what_was_written_gives_the_same(
    scheme: str, user: str, password: str | None, host: str, port: int, params: dict[str, str], headers: str
) -> None:
    written = "".join(f";{name}={value}" if value else f";{name}" for name, value in params.items())
    uri = SipUri(scheme, user, host, port, written, headers, password)
    read = sip(str(uri))
    assert (read.user, read.password, read.host, read.port, read.headers) == (user, password, host, port, headers)
    assert read.param_map() == params
    assert str(read) == str(uri)
    assert read.equals(uri)
    assert uri.equals(read)


# ------------------------------------------------------------------ comparing

EQUAL: Final = (  # RFC 3261 §19.1.4, then our own
    ("sip:%61lice@atlanta.com;transport=TCP", "sip:alice@AtLanTa.CoM;Transport=tcp"),
    ("sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5"),
    ("sip:carol@chicago.com", "sip:carol@chicago.com;security=on"),
    ("sip:carol@chicago.com;newparam=5", "sip:carol@chicago.com;security=on"),
    (
        "sip:biloxi.com;transport=tcp;method=REGISTER?to=sip:bob%40biloxi.com",
        "sip:biloxi.com;method=REGISTER;transport=tcp?to=sip:bob%40biloxi.com",
    ),
    (
        "sip:alice@atlanta.com?subject=project%20x&priority=urgent",
        "sip:alice@atlanta.com?priority=urgent&subject=project%20x",
    ),
    ("SIP:u@h", "sip:u@H"),
    ("sip:u:%70w@h", "sip:u:pw@h"),
    ("sip:%c3%a9@h", "sip:%C3%A9@h"),
    ("sip:u@h;%6cr=%61", "sip:u@h;lr=a"),
)

DIFFERENT: Final = (  # RFC 3261 §19.1.4, then our own
    ("sip:ALICE@AtLanTa.CoM;Transport=udp", "sip:alice@AtLanTa.CoM;Transport=UDP"),
    ("sip:bob@biloxi.com", "sip:bob@biloxi.com:5060"),
    ("sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=udp"),
    ("sip:bob@biloxi.com", "sip:bob@biloxi.com:6000;transport=tcp"),
    ("sip:carol@chicago.com", "sip:carol@chicago.com?Subject=next%20meeting"),
    ("sip:bob@phone21.boxesbybob.com", "sip:bob@192.0.2.4"),
    ("sip:carol@chicago.com;security=on", "sip:carol@chicago.com;security=off"),
    ("sip:u@h", "sips:u@h"),
    ("sip:h", "sip:u@h"),
    ("sip:u@h", "sip:u:@h"),
    ("sip:u:a@h", "sip:u:A@h"),
    ("sip:a;b@h", "sip:a%3Bb@h"),
    ("sip:a%2fb@h", "sip:a/b@h"),
    ("sip:u@h;user=phone", "sip:u@h"),
    ("sip:u@h;ttl=1", "sip:u@h"),
    ("sip:u@h;method=INVITE", "sip:u@h"),
    ("sip:u@h;maddr=h", "sip:u@h"),
    ("sip:u@h?a=1&a=1", "sip:u@h?a=1"),
)


@pytest.mark.parametrize(("one", "other"), EQUAL)
def test_equal_uris(one: str, other: str) -> None:
    assert sip(one).equals(sip(other))
    assert sip(other).equals(sip(one))


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_different_uris(one: str, other: str) -> None:
    assert not sip(one).equals(sip(other))
    assert not sip(other).equals(sip(one))


# ------------------------------------------------------------------ addresses

ADDRESSES: Final = (
    ('"A. G. Bell" <sip:agb@bell.com> ;tag=a48s', '"A. G. Bell"', "sip:agb@bell.com", " ;tag=a48s"),
    ("sip:+12125551212@server.phone2net.com;tag=887s", "", "sip:+12125551212@server.phone2net.com", ";tag=887s"),
    ("Anonymous <sip:c8oqz84zk7z@privacy.org>;tag=hyh8", "Anonymous", "sip:c8oqz84zk7z@privacy.org", ";tag=hyh8"),
    ("caller<sip:caller@example.com>;tag=323", "caller", "sip:caller@example.com", ";tag=323"),
    ("The  Operator\t<sip:o@h>", "The  Operator", "sip:o@h", ""),
    ("<sip:a@h;p=1?x=,>;q=2", "", "sip:a@h;p=1?x=,", ";q=2"),
    ('"a > b, \\"c\\" <sip:x@y>;tag=1" <sip:a@h>;tag=2', '"a > b, \\"c\\" <sip:x@y>;tag=1"', "sip:a@h", ";tag=2"),
    ('"\\\\" <sip:a@h>', '"\\\\"', "sip:a@h", ""),
    ('"\\\x00\\\x7f\u5f20\t\udc80" <sip:a@h>', '"\\\x00\\\x7f\u5f20\t\udc80"', "sip:a@h", ""),
    ('"" <tel:+8613800138000>', '""', "tel:+8613800138000", ""),
    ("  <urn:service:sos>  ", "", "urn:service:sos", ""),
    ("tel:10086;x", "", "tel:10086", ";x"),
    ('<sip:a@h>; a = "b;c\\"" ;d', "", "sip:a@h", '; a = "b;c\\"" ;d'),
)


@pytest.mark.parametrize(("text", "display", "uri", "params"), ADDRESSES)
def test_address(text: str, display: str, uri: str, params: str) -> None:
    address = parse_name_addr(text)
    assert (address.display, address.uri, address.params) == (display, uri, params)


NOT_ADDRESSES: Final = (
    "", "*", "bob", "<>", "<bob>", "<sip:a<b@h>", "sip:a,b@h", "<sip:a@h>;a=b=c", "<:a>", "<sip:>", "<sip:a@h",
    "sip:a@h>", "<<sip:a@h>>", "<sip:a@h> <sip:b@h>", "<sip:a @h>", "< sip:a@h>", "<sip:a@h >", "sip:a@h, sip:b@h",
    "<sip:a@h>, <sip:b@h>", "<sip:a@h>;tag=1,<sip:b@h>", "sip:a@h;tag=1, <sip:b@h>",
    "Bell, Alexander <sip:agb@bell.com>", '"Mr. J. User <sip:a@h>', '"a"b" <sip:a@h>', '"a" "b" <sip:a@h>',
    '"a\\" <sip:a@h>', "sip:a@h?Route=x", "a@b <sip:a@h>", "a>b <sip:a@h>", "\u5f20\u4e09 <sip:a@h>",
    '"\x00" <sip:a@h>', '"\x7f" <sip:a@h>', '"a\r\nb" <sip:a@h>', '"\\\r" <sip:a@h>', '"\\\n" <sip:a@h>',
    "<sip:a@h>tag=1", "<sip:a@h>;", "<sip:a@h>;;a", "<sip:a@h>;tag=", "<sip:a@h>;=1", "<sip:a@h>;a=b c",
    '<sip:a@h>;a="b', "<sip:a@h>;a=<b>", "<sip:a\x85@h>;\x0b", "<sip:a@h>\n", "<sip:a@h>;tag=\u212a",
    "<sip:a@h>\x0c;tag=1", "<sip:a@h>;a=1;\u2028b",
)  # fmt: skip


@pytest.mark.parametrize("text", NOT_ADDRESSES, ids=ascii)
def test_malformed_address(text: str) -> None:
    with pytest.raises(RemoteSipError, match="address is malformed"):
        parse_name_addr(text)


def test_header_parameters() -> None:
    address = parse_name_addr('<sip:a@h;tag=uri>;Tag=x;q="a\\"\\\\b";flag; a = [::1]')
    assert [address.param(name) for name in ("tag", "q", "flag", "a", "absent")] == ["x", 'a"\\b', None, "[::1]", None]
    assert parse_params(address.params) == {"tag": "x", "q": 'a"\\b', "flag": None, "a": "[::1]"}
    assert parse_params(";a=1;A=2") == {"a": "1"}


def test_token_parameter() -> None:
    assert token_param("; Tag = x.y ;q=1", "tag") == "x.y"
    assert token_param(';q=";tag=x"', "tag") == ""
    for params in (";tag", ';tag="x"', ";tag=x;tag=x", ";tag=x;TAG=y", ";q=1;tag=x;Q=2"):
        with pytest.raises(RemoteSipError):
            token_param(params, "tag")


# ------------------------------------------------------------------ time

N: Final = 300_000  # characters: quadratic work would take hours, linear work takes milliseconds

LONG: Final = (
    "sip:" + "a" * N, "sip:" + "a" * N + "@", "sip:" + "a" * N + ":" + "b" * N, "sip:h" + ";a=b" * N + "=",
    "sip:h" + ";a" * N + '"', "sip:h-" + "-" * N, "sip:u@" + "h." * N + "-", "sip:h;" + "a" * N + "<",
    "sip:h?" + "a=b&" * N + "<", "sip:" + "%41" * N + "\x00", "tel:" + "1" * N + "x", "tel:1" + ";a=b" * N + ";",
    "a" * N, "a" * N + ":", "a:" + "b" * N + "<", "sip:u@[" + ":" * N, "sip:u@[" + "f" * N + "]", "sip:" * N,
)  # fmt: skip

LONG_ADDRESSES: Final = (
    " " * N, " " * N + "<", "a" * N, "a " * N, "a " * N + "<", "a" + " " * N + "(", '"' * N, '"' + "\\" * N,
    '"' + '\\"' * N, '"a' * N, "<" * N, "<sip:" + "a" * N, "<sip:a>" + ";a=b" * N + ",", "<sip:a>" + ";a=b" * N + ";",
    "<sip:a>" + " ;" * N, "<sip:a>" + ";a" + " " * N + "(", "<sip:a>" + ";a  " * N + "!;", '<sip:a>;a="' + "\\a" * N,
    '<sip:a>' + ';a="b"' * N + '"', "<sip:a>;a=" + "f" * N + '"', "<sip:a>;a=[" + "f" * N, "sip:a" + ";rport" * N + ",",
    "sip:a" + ";a=[f]" * N + "]", "a" * N + " <sip:" + "b" * N + "> " + "c" * N, "sip:a;" + "a" * N + " " * N + "=",
)  # fmt: skip


@pytest.mark.timeout(20)
def test_work_for_a_uri_grows_with_its_length_alone() -> None:
    for text in LONG:
        try:
            assert len(str(parse_uri(text))) == len(text)
        except RemoteSipError:
            continue


@pytest.mark.timeout(20)
@pytest.mark.parametrize("text", LONG_ADDRESSES, ids=lambda text: text[:10])
def test_work_for_an_address_grows_with_its_length_alone(text: str) -> None:
    with pytest.raises(RemoteSipError):
        parse_name_addr(text)


@pytest.mark.timeout(20)
def test_long_addresses_that_are_right() -> None:
    tokens = "a " * N
    assert parse_name_addr(tokens + "<sip:a@h>").display == tokens.strip()
    params = ";a=b" * N
    assert parse_name_addr("<sip:a@h>" + params).params == params
    spaced = ";a" + " " * N + "= b" + " " * N + ";c"
    assert parse_name_addr("sip:a@h" + spaced).param("c") is None
    with pytest.raises(RemoteSipError, match="twice"):
        token_param(params, "tag")


@pytest.mark.parametrize(
    ("address", "written"),
    [("192.0.2.1", "192.0.2.1"), ("a.example", "a.example"), ("2001:db8::1", "[2001:db8::1]")],
)
def test_host_as_it_stands_in_a_uri(address: str, written: str) -> None:
    assert uri_host(address) == written and sip(f"sip:a@{uri_host(address)}:5060").port == 5060
