"""Values of header fields: Via and its source, lists, CSeq, RAck and other numbers."""

from __future__ import annotations

from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipstack.errors import RemoteSipError
from sipstack.fields import (
    option_tags,
    parse_cseq,
    parse_number,
    parse_rack,
    parse_top_via,
    split_list,
)
from sipstack.limits import MAX_LIST_VALUES, MAX_METHOD_CHARS

# Digits to Python's int(), and what it takes besides them; none of it is a number on the wire (RFC 3261 §25.1).
NO_NUMBERS: Final = (
    "", "+1", "-1", "1_0", "0x10", "1e3", "1.0", " 1", "1 ", "1\n", "1\x0b", "1\x0c", "1\x1c", "1\x85", "1\u2028",
    "\u00a01", "\u0661", "\u06f1", "\uff11", "\u00b9", "\u2460", "1\u0660", "\U0001d7ce", "one", "1,1", "1;1", "0" * 21,
    "9" * 5000,
)  # fmt: skip

# ------------------------------------------------------------------ Via

VIAS: Final = (
    ("SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKa", ("UDP", "192.0.2.1", 0, "192.0.2.1", "z9hG4bKa", "")),
    (
        "SIP/2.0/tcp Host.Example:05062 ; Branch = z9hG4bKa ; rport",
        ("TCP", "host.example", 5062, "host.example:5062", "z9hG4bKa", ""),
    ),
    (
        "sIp / 2.0 /\tTLS  [2001:DB8::1] : 5061;ttl=1\t;branch=x",
        ("TLS", "[2001:db8::1]", 5061, "[2001:db8::1]:5061", "x", ""),
    ),
    ("SIP/2.0/UDP h", ("UDP", "h", 0, "h", "", "")),
    ("SIP/2.0/UDP h;branch=a ;rport", ("UDP", "h", 0, "h", "a", "")),
    ("SIP/2.0/UDP h;branch= \ta", ("UDP", "h", 0, "h", "a", "")),
    ("SIP/2.0/UDP h;rport;branch=a\t", ("UDP", "h", 0, "h", "a", "")),
    ("SIP/2.0/UDP h;xbranch=b;branch=a", ("UDP", "h", 0, "h", "a", "")),
    ("SIP/2.0/UDP h;x=branch", ("UDP", "h", 0, "h", "", "")),
    ('SIP/2.0/UDP h;x=";branch=b";branch=a', ("UDP", "h", 0, "h", "a", "")),
    ('SIP/2.0/UDP h;x="\\";branch=b";branch=a', ("UDP", "h", 0, "h", "a", "")),
    ('SIP/2.0/UDP h;x="a,b", SIP/2.0/TCP i;branch=b', ("UDP", "h", 0, "h", "", ", SIP/2.0/TCP i;branch=b")),
    ("SIP/2.0/UDP h;branch=a ,SIP/2.0/UDP h;branch=a", ("UDP", "h", 0, "h", "a", " ,SIP/2.0/UDP h;branch=a")),
    ("SIP/2.0/UDP h;received=2001:db8::1;branch=a", ("UDP", "h", 0, "h", "a", "")),
    ("SIP/2.0/X-new_1 h;branch=-.!%*_+`'~", ("X-NEW_1", "h", 0, "h", "-.!%*_+`'~", "")),
)


@pytest.mark.parametrize(("row", "parts"), VIAS)
def test_top_via(row: str, parts: tuple[object, ...]) -> None:
    via = parse_top_via(row)
    assert (via.transport, via.host, via.port, via.sent_by, via.branch, via.rest) == parts
    assert via.text + via.rest == row.rstrip()


BAD_VIAS: Final = (
    "", ",", "SIP/2.0/UDP", "SIP/2.0/UDP ", "SIP/2.0 h", "SIP/3.0/UDP h", "SIP/2.0/UDP h i", "SIP/2.0/UDP @h",
    "SIP/2.0/UDP h;", "SIP/2.0/UDP h;;a", "SIP/2.0/UDP h;branch=", "SIP/2.0/UDP h;=a", "SIP/2.0/UDP h:0",
    "SIP/2.0/UDP h:65536", "SIP/2.0/UDP h:x", "SIP/2.0/UDP h:\u0661", "SIP/2.0/UDP 2001:db8::1", "SIP/2.0/UDP [::1",
    "SIP/2.0/UDP [:::1]", "SIP/2.0/UDP h,", "SIP/2.0/UDP h,,SIP/2.0/UDP i", ",SIP/2.0/UDP h", 'SIP/2.0/UDP h;x="a',
    "SIP/2.0/UDP h;x=a b", "SIP/2.0/UDP h;x=<a>", "SIP/2.0/UDP h\x0b;branch=a", "SIP/2.0/UDP h;branch=\u212a",
    "\u017fIP/2.0/UDP h", "SIP/2.0/UDP h;branch=a\n", "SIP/2.0/UDP h\x85", "SIP/2.0/UDP\u00a0h", "SIP/2.0/UDP h;branch",
    'SIP/2.0/UDP h;branch="a"', 'SIP/2.0/UDP h;branch="a b";rport', "SIP/2.0/UDP h;branch=a;branch=b",
    "SIP/2.0/UDP h;branch=a;BRANCH=a", "SIP/2.0/UDP h;Branch=a;branch=b", "SIP/2.0/UDP h; branch=a;branch=b",
    'SIP/2.0/UDP h;x="";branch=a;branch=b', "SIP/2.0/UDP h;branch=a;rport;rport=1",
    "SIP/2.0/UDP h;received=a;branch=a;Received=b", "SIP/2.0/UDP h;rport;rport",
)  # fmt: skip


@pytest.mark.parametrize("row", BAD_VIAS, ids=ascii)
def test_malformed_via(row: str) -> None:
    with pytest.raises(RemoteSipError):
        parse_top_via(row)


def test_via_parameters() -> None:
    via = parse_top_via('SIP/2.0/UDP h;a="b\\"c";Maddr=192.0.2.9;flag;branch=x')
    assert [via.param(name) for name in ("a", "maddr", "flag", "none")] == ['b"c', "192.0.2.9", None, None]


# What an answer carries in its top Via, when the request came from 192.0.2.1:5099
WITH_SOURCE: Final = (
    ("SIP/2.0/UDP 192.0.2.1;branch=a", "SIP/2.0/UDP 192.0.2.1;branch=a"),
    ("SIP/2.0/UDP h;branch=a", "SIP/2.0/UDP h;branch=a;received=192.0.2.1"),
    ("SIP/2.0/UDP 192.0.2.1:5099;branch=a;rport", "SIP/2.0/UDP 192.0.2.1:5099;branch=a;rport=5099;received=192.0.2.1"),
    ("SIP/2.0/UDP h;rport;branch=a", "SIP/2.0/UDP h;branch=a;rport=5099;received=192.0.2.1"),
    ("SIP/2.0/UDP h ; RPORT ; branch=a", "SIP/2.0/UDP h ; branch=a;rport=5099;received=192.0.2.1"),
    ("SIP/2.0/UDP h;rport=1;branch=a;received=203.0.113.9", "SIP/2.0/UDP h;branch=a;rport=5099;received=192.0.2.1"),
    ("SIP/2.0/UDP h;Received = 203.0.113.9;branch=a", "SIP/2.0/UDP h;branch=a;received=192.0.2.1"),
    ("SIP/2.0/UDP 192.0.2.1;received=203.0.113.9;branch=a", "SIP/2.0/UDP 192.0.2.1;branch=a"),
    ("SIP/2.0/UDP 192.0.2.1;received=[2001:db8::9]", "SIP/2.0/UDP 192.0.2.1"),
    ('SIP/2.0/UDP h;x=";rport";branch=a', 'SIP/2.0/UDP h;x=";rport";branch=a;received=192.0.2.1'),
    (
        'SIP/2.0/UDP h;x="a;rport;received=b;c";rport',
        'SIP/2.0/UDP h;x="a;rport;received=b;c";rport=5099;received=192.0.2.1',
    ),
    ('SIP/2.0/UDP 192.0.2.1;x="\\";received=b"', 'SIP/2.0/UDP 192.0.2.1;x="\\";received=b"'),
    ("SIP/2.0/UDP h;rports=1;xreceived", "SIP/2.0/UDP h;rports=1;xreceived;received=192.0.2.1"),
    ("SIP/2.0/UDP h;branch=rport", "SIP/2.0/UDP h;branch=rport;received=192.0.2.1"),
    ("SIP/2.0/UDP h;rport,SIP/2.0/UDP i;rport", "SIP/2.0/UDP h;rport=5099;received=192.0.2.1"),
)


@pytest.mark.parametrize(("row", "answered"), WITH_SOURCE)
def test_via_of_an_answer(row: str, answered: str) -> None:
    via = parse_top_via(row)
    text = via.with_source("192.0.2.1", 5099)
    assert text == answered
    assert parse_top_via(text).branch == via.branch


def test_via_of_an_answer_over_ipv6() -> None:
    asks = parse_top_via("SIP/2.0/UDP [2001:DB8::1];rport;branch=a")
    assert asks.with_source("2001:db8::1", 5061) == "SIP/2.0/UDP [2001:DB8::1];branch=a;rport=5061;received=2001:db8::1"
    assert parse_top_via("SIP/2.0/UDP [2001:DB8::1]").with_source("2001:db8::1", 1) == "SIP/2.0/UDP [2001:DB8::1]"
    assert parse_top_via("SIP/2.0/UDP [::1]").with_source("::2", 1) == "SIP/2.0/UDP [::1];received=::2"


ASKS_RPORT: Final = (";rport", ";a;RPort=1", "; rport ", ";branch=a;rport")
DOES_NOT_ASK: Final = ("", ";rports", ';a=";rport"', ";a=rport", ";a;xrport=1")


@pytest.mark.parametrize("params", [*ASKS_RPORT, *DOES_NOT_ASK])
def test_asks_rport(params: str) -> None:
    assert parse_top_via(f"SIP/2.0/UDP h{params}").asks_rport is (params in ASKS_RPORT)


# ------------------------------------------------------------------ lists

LISTS: Final = (
    ("a", ["a"]),
    ("", [""]),
    ("a,b", ["a", "b"]),
    (" a ,\tb , c ", ["a", "b", "c"]),
    (",a,,", ["", "a", "", ""]),
    ('"a,b",c', ['"a,b"', "c"]),
    ('"a\\",b",c', ['"a\\",b"', "c"]),
    ('"a\\\\",b', ['"a\\\\"', "b"]),
    ("<sip:a,b>,<c>", ["<sip:a,b>", "<c>"]),
    ('"<" <sip:a,b>, "," <c>', ['"<" <sip:a,b>', '"," <c>']),
    ('"a,b', ['"a,b']),
    ("<<a,b>,c", ["<<a,b>", "c"]),
    (">,<,a", [">", "<,a"]),
    ("a\x0b,\x0bb\u2028", ["a\x0b", "\x0bb\u2028"]),
)


@pytest.mark.parametrize(("row", "values"), LISTS)
def test_split_list(row: str, values: list[str]) -> None:
    assert split_list(row) == values


QUOTED: Final = st.text('ab,<>"\\ ').map(lambda text: '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"')
BRACKETED: Final = st.text("ab,;= \\").map(lambda text: f"<{text}>")
PLAIN: Final = st.text("ab;= @:").map(str.strip)


@given(st.lists(PLAIN | QUOTED | BRACKETED, min_size=2, max_size=6), st.sampled_from([",", ", ", "\t, "]))
def test_what_is_joined_splits(values: list[str], comma: str) -> None:
    assert split_list(comma.join(values)) == values


def test_lists_have_a_limit() -> None:
    assert split_list("a," * (MAX_LIST_VALUES - 1) + "a") == ["a"] * MAX_LIST_VALUES
    with pytest.raises(RemoteSipError, match="too many values"):
        split_list("a," * MAX_LIST_VALUES + "a")
    assert len(split_list('"' + "," * 10_000 + '",a')) == 2


def test_option_tags() -> None:
    assert option_tags(["100rel, Timer", "", " replaces ,,X"]) == ["100rel", "timer", "replaces", "x"]
    assert option_tags(['"a,b"']) == ['"a', 'b"']
    assert len(option_tags(["a," * 4000])) == 4000  # no limit of its own: the caller takes no error


# ------------------------------------------------------------------ numbers

CSEQS: Final = (
    ("314 INVITE", (314, "INVITE")),
    ("0 ACK", (0, "ACK")),
    ("0009\t invite", (9, "invite")),
    ("2147483647 BYE", (2**31 - 1, "BYE")),
    ("0" * 5000 + "1 A", (1, "A")),
    ("1 RE%47IST%45R", (1, "RE%47IST%45R")),
    (f"1 {'M' * MAX_METHOD_CHARS}", (1, "M" * MAX_METHOD_CHARS)),
)


@pytest.mark.parametrize(("value", "parts"), CSEQS, ids=lambda value: str(value)[:20])
def test_cseq(value: str, parts: tuple[int, str]) -> None:
    assert parse_cseq(value) == parts


BAD_CSEQS: Final = (
    "2147483648 INVITE", "4294967297 INVITE", "1", "1 ", "1INVITE", "INVITE 1", "1 INVITE BYE", "1 INVITE,",
    "1 IN\u212aVITE", "1 INVITE\n", "1\x0bINVITE", "1\u00a0INVITE", "1\r\n INVITE", f"1 {'M' * (MAX_METHOD_CHARS + 1)}",
    "1, 2 INVITE", "1 INVITE;a", "+1 INVITE", "1_0 INVITE", "\u0661 INVITE", "\uff11 INVITE", "1\u0660 INVITE",
    "-1 INVITE", " 1 INVITE", "0x1 INVITE", "1.0 INVITE", f"{'9' * 5000} INVITE",
)  # fmt: skip


@pytest.mark.parametrize("value", BAD_CSEQS, ids=lambda value: ascii(value)[:20])
def test_bad_cseq(value: str) -> None:
    with pytest.raises(RemoteSipError):
        parse_cseq(value)


@pytest.mark.parametrize(
    ("text", "limit", "number"), [("0", 1, 0), ("255", 256, 255), ("00000000000000000068", 69, 68)]
)
def test_number(text: str, limit: int, number: int) -> None:
    assert parse_number(text, limit, "x") == number


@pytest.mark.parametrize("text", NO_NUMBERS, ids=lambda text: ascii(text)[:20])
def test_no_number(text: str) -> None:
    with pytest.raises(RemoteSipError, match="Expires is malformed or out of range"):
        parse_number(text, 2**32, "Expires")


def test_numbers_at_their_limit() -> None:
    for limit in (256, 2**31, 2**32):
        assert parse_number(str(limit - 1), limit, "x") == limit - 1
        with pytest.raises(RemoteSipError):
            parse_number(str(limit), limit, "x")


@given(
    st.text(st.characters(categories=["Nd", "Nl", "No"]) | st.sampled_from("_+- \t\n\x0b\x85"), min_size=1, max_size=4)
)
def test_only_ascii_digits_are_digits(text: str) -> None:
    is_number = all(char in "0123456789" for char in text)
    for read in (
        lambda: parse_number(text, 2**32, "x"),
        lambda: parse_cseq(f"{text} A")[0],
        lambda: parse_rack(f"{text} 1 A")[0],
    ):
        if is_number:
            assert read() == int(text)
        else:
            with pytest.raises(RemoteSipError):
                read()


@pytest.mark.parametrize("value", ["776656 1 INVITE", "776656\t01   INVITE", "0776656 \t 1\tINVITE"])
def test_rack(value: str) -> None:
    assert parse_rack(value) == (776656, 1, "INVITE")
    assert parse_rack("4294967295 2147483647 A") == (2**32 - 1, 2**31 - 1, "A")


BAD_RACKS: Final = (
    "", "1", "1 INVITE", "1 1", "a 1 INVITE", "1 a INVITE", "4294967296 1 INVITE", "1 2147483648 INVITE", "+1 1 INVITE",
    "1 1_0 INVITE", "1 1 INVITE x", "\u0661 1 INVITE", "1 \u0661 INVITE", "1 1 INVITE\n", "1 1\x0bINVITE",
    "1\u00a01 INVITE", "1,1 INVITE", f"{'9' * 5000} 1 INVITE",
)  # fmt: skip


@pytest.mark.parametrize("value", BAD_RACKS, ids=lambda value: ascii(value)[:20])
def test_bad_rack(value: str) -> None:
    with pytest.raises(RemoteSipError):
        parse_rack(value)


# ------------------------------------------------------------------ time

N: Final = 300_000  # characters: quadratic work would take hours, linear work takes a second

LONG_VIAS: Final = (
    ";a=b" * N + ";", ";rport" * N + "=", ";a" + " " * N + "<", ";a" * N + " " * N + "(", ';a="' + "\\a" * N,
    ";a=" + "f" * N + '"', ";a=[" + "f" * N, ":" + "1" * N, "-" * N, " " * N + "x y", ";a =  b " * N + ";", '"' * N,
    "<" * N, '"' + "," * N, ";a=" + ":" * N + ";", ";branch=a" * N, ";branch" * N,
)  # fmt: skip


@pytest.mark.timeout(20)
@pytest.mark.parametrize("params", LONG_VIAS, ids=lambda params: params[:10])
def test_work_for_a_via_grows_with_its_length_alone(params: str) -> None:
    for start in ("SIP/2.0/UDP h", "SIP" + " " * N + "/2.0/" + "T" * N + " " * N):
        with pytest.raises(RemoteSipError):
            parse_top_via(start + params)


@pytest.mark.timeout(20)
def test_work_for_an_answer_grows_with_the_length_of_its_via_alone() -> None:
    spaces = " " * N
    kept = f"{spaces};a{spaces}={spaces}b{';c=d' * N}"
    via = parse_top_via(f"SIP/2.0/UDP h;rport{kept}{spaces}; received =x;branch=y")
    assert via.branch == "y"
    assert via.with_source("::1", 5) == f"SIP/2.0/UDP h{kept};branch=y;rport=5;received=::1"


@pytest.mark.timeout(20)
def test_work_for_lists_and_numbers_grows_with_their_length_alone() -> None:
    assert len(split_list("<" * N + ",")) == 1
    for value in ("0" * N, "0" * N + " ", "1" + " " * N, "1 " + "A" * N + " ", "1" * N + " A", " " * N):
        for read in (parse_cseq, parse_rack):
            with pytest.raises(RemoteSipError):
                read(value)
