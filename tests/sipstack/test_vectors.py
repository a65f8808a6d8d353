"""Every torture message of RFC 4475 and RFC 5118 meets its fate: what tests/vectors/*/index.tsv expects."""

from __future__ import annotations

import csv
from hashlib import sha256
from pathlib import Path
from typing import Final

import pytest

from sipstack import headers as h
from sipstack.errors import RemoteSipError
from sipstack.events import Flow, MalformedReceived
from sipstack.message import Message
from sipstack.parser import parse
from sipstack.transactions import answer_malformed
from sipstack.uri import OtherUri, SipUri

VECTORS: Final = Path(__file__).resolve().parent.parent / "vectors"
SOURCE: Final = Flow("UDP", "192.0.2.99", 5099)

# What the parser makes of each message. A method is one that parses; "400 address is malformed" is a request that is
# answered so; "- ..." is an error that nobody is told of: a response, or nothing to address an answer to.
FATE: Final[dict[str, str]] = {
    "rfc4475/badaspec": "400 address is malformed",
    "rfc4475/badbranch": "OPTIONS",
    "rfc4475/baddate": "INVITE",
    "rfc4475/baddn": "400 header section does not end",
    "rfc4475/badinv01": "400 Via has an empty value",
    "rfc4475/badvers": "505 version is not SIP/2.0",
    "rfc4475/bcast": "INVITE 200",
    "rfc4475/bext01": "OPTIONS",
    "rfc4475/bigcode": "- status line is malformed",
    "rfc4475/clerr": "400 body is shorter than Content-Length",
    "rfc4475/cparam01": "REGISTER",
    "rfc4475/cparam02": "REGISTER",
    "rfc4475/dblreq": "REGISTER",
    "rfc4475/esc01": "INVITE",
    "rfc4475/esc02": "RE%47IST%45R",
    "rfc4475/escnull": "REGISTER",
    "rfc4475/escruri": "400 Request-URI carries header fields",
    "rfc4475/insuf": "400 a mandatory header field is missing",
    "rfc4475/intmeth": "!interesting-Method0123456789_*+`.%indeed'~",
    "rfc4475/inv2543": "INVITE",
    "rfc4475/invut": "INVITE",
    "rfc4475/longreq": "INVITE",
    "rfc4475/ltgtruri": "400 URI is malformed",
    "rfc4475/lwsdisp": "OPTIONS",
    "rfc4475/lwsruri": "400 request line is malformed",
    "rfc4475/lwsstart": "400 request line is malformed",
    "rfc4475/mcl01": "400 a field that may stand once is repeated",
    "rfc4475/mismatch01": "400 CSeq names another method",
    "rfc4475/mismatch02": "400 CSeq names another method",
    "rfc4475/mpart01": "MESSAGE",
    "rfc4475/multi01": "400 a field that may stand once is repeated",
    "rfc4475/ncl": "400 Content-Length is malformed or out of range",
    "rfc4475/noreason": "INVITE 100",
    "rfc4475/novelsc": "OPTIONS",
    "rfc4475/quotbal": "400 address is malformed",
    "rfc4475/regaut01": "REGISTER",
    "rfc4475/regbadct": "400 address is malformed",
    "rfc4475/regescrt": "REGISTER",
    "rfc4475/scalar02": "400 CSeq is malformed or out of range",
    "rfc4475/scalarlg": "- CSeq is malformed or out of range",
    "rfc4475/sdp01": "INVITE",
    "rfc4475/semiuri": "OPTIONS",
    "rfc4475/transports": "OPTIONS",
    "rfc4475/trws": "400 request line is malformed",
    "rfc4475/unkscm": "OPTIONS",
    "rfc4475/unksm2": "REGISTER",
    "rfc4475/unreason": "INVITE 200",
    "rfc4475/wsinv": "INVITE",
    "rfc4475/zeromf": "OPTIONS",
    "rfc4475/extra/baddn-terminated": "400 address is malformed",
    "rfc4475/extra/jasomi-test": "- a header line has no colon",
    "rfc5118/ipv4-mapped-ipv6": "INVITE",
    "rfc5118/ipv6-bad": "400 URI is malformed",
    "rfc5118/ipv6-bug-abnf-3-colons": "400 IPv6 address is malformed",
    "rfc5118/ipv6-correct-abnf-2-colons": "OPTIONS",
    "rfc5118/ipv6-good": "REGISTER",
    "rfc5118/ipv6-in-sdp": "INVITE",
    "rfc5118/mult-ip-in-header": "BYE",
    "rfc5118/mult-ip-in-sdp": "INVITE",
    "rfc5118/port-ambiguous": "REGISTER",
    "rfc5118/port-unambiguous": "REGISTER",
    "rfc5118/via-received-param-no-delim": "OPTIONS",
    "rfc5118/via-received-param-with-delim": "BYE",
    "rfc5118/as-printed/ipv4-mapped-ipv6": "INVITE",
    "rfc5118/as-printed/ipv6-in-sdp": "400 body is shorter than Content-Length",
    "rfc5118/as-printed/mult-ip-in-sdp": "INVITE",
}

COPIED: Final = {b"Via", b"From", b"To", b"Call-ID", b"CSeq", b"Content-Length"}

# Answers that the transaction user gives, once a message has parsed; in the index as a number.
BY_THE_USER: Final = ("416", "420", "483")


def octets(name: str) -> bytes:
    return (VECTORS / f"{name}.dat").read_bytes()


def vector(name: str) -> Message:
    return parse(octets(name))


def index(folder: str) -> dict[str, dict[str, str]]:
    with (VECTORS / folder / "index.tsv").open(encoding="utf-8", newline="") as rows:
        reader = csv.DictReader(rows, delimiter="\t", quoting=csv.QUOTE_NONE)
        return {f"{folder}/{row['file'].removesuffix('.dat')}": row for row in reader}


INDEX: Final = index("rfc4475") | index("rfc5118")


def fate(data: bytes) -> tuple[str, RemoteSipError | None]:
    try:
        message = parse(data)
    except RemoteSipError as error:
        return f"{error.status_hint if error.message is not None else '-'} {error.reason}", error
    return f"{message.method} {message.status}" if message.status else message.method, None


def test_every_message_has_a_fate() -> None:
    files = {str(path.relative_to(VECTORS).with_suffix("")) for path in VECTORS.rglob("*.dat")}
    assert files == FATE.keys()
    assert FATE.keys() - INDEX.keys() == {name for name in FATE if name.count("/") == 2}
    assert (len(index("rfc4475")), len(index("rfc5118"))) == (49, 12)


@pytest.mark.parametrize("name", INDEX)
def test_bytes_are_those_of_the_index(name: str) -> None:
    data = octets(name)
    assert (str(len(data)), sha256(data).hexdigest()) == (INDEX[name]["bytes"], INDEX[name]["sha256"])


@pytest.mark.parametrize("name", FATE)
def test_fate(name: str) -> None:
    seen, error = fate(octets(name))
    assert seen == FATE[name]
    answers = answer_malformed(MalformedReceived(error, SOURCE)) if error is not None else []
    if FATE[name][:1].isdigit():
        [answer] = answers
        assert answer.data.startswith(b"SIP/2.0 %s " % FATE[name][:3].encode())
        assert answer.flow.host == SOURCE.host
        names = {row.partition(b":")[0] for row in answer.data.split(b"\r\n")[1:] if row}
        assert names == ({b"Via", b"CSeq", b"Content-Length"} if name == "rfc4475/insuf" else COPIED)
    else:
        assert answers == []


@pytest.mark.parametrize("name", INDEX)
def test_fate_is_what_the_index_expects(name: str) -> None:
    expect, also = INDEX[name]["expect"], INDEX[name]["also_ok"].split("|")
    seen, error = fate(octets(name))
    if expect == "accept" or expect in BY_THE_USER:
        assert error is None
    elif expect == "drop":  # a response: nobody is answered, whatever it is
        assert octets(name).startswith(b"SIP/2.0 ")
        assert error is None or error.message is None
    else:
        assert seen[:3] in (expect, *also)


@pytest.mark.parametrize("name", [name for name, expected in FATE.items() if expected[:1] not in "-45"])
def test_what_parses_renders(name: str) -> None:
    message = vector(name)
    again = parse(message.to_bytes())
    assert again == message
    assert again.lines[:-1] == [
        line for line in message.lines if h.header_id(line.partition(":")[0]) != h.CONTENT_LENGTH
    ]


# ------------------------------------------------------------ what the messages are about, read to the end


def test_wsinv_is_read_as_if_it_were_written_plainly() -> None:
    message = vector("rfc4475/wsinv")
    via = message.top_via
    assert via is not None
    assert (via.transport, via.sent_by, via.branch, via.rest) == ("UDP", "192.0.2.2", "390skdjuw", "")
    assert (message.from_tag, message.to_tag, message.cseq) == ("98asjd8", "1918181833n", 9)
    assert (message.max_forwards(), message.named("Subject"), len(message.body)) == (68, [""], 150)
    assert message.named("newfangledheader") == ["newfangled value continued newfangled value"]
    assert message.named("UnknownHeaderWithUnusualValue") == [";;,,;;,;"]
    assert [row.count(",") for row in message.values(h.VIA)] == [0, 1]
    assert str(message.uri) == "sip:vivekg@chair-dnrc.example.com;unknownparam"


def test_intmeth_keeps_every_odd_character() -> None:
    message = vector("rfc4475/intmeth")
    assert message.value(h.TO) == (
        '"BEL:\\\x07 NUL:\\\x00 DEL:\\\x7f" <sip:1_unusual.URI~(to-be!sure)&isn\'t+it$/crazy?,/;;*@example.com>'
    )
    assert message.call_id == "intmeth.word%ZK-!.*_+'@word`~)(><:\\/\"][?}{"
    assert message.from_tag == "_token~1'+`*%!-."
    assert isinstance(message.uri, SipUri)
    assert message.uri.user == "1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*"
    assert message.uri.password == "&it+has=1,weird!*pas$wo~d_too.(doesn't-it)"


def test_escapes_are_not_decoded() -> None:
    uri = vector("rfc4475/esc01").uri
    assert isinstance(uri, SipUri)
    assert (uri.user, uri.host) == ("sips%3Auser%40example.com", "example.net")
    assert [row.partition(">")[0] for row in vector("rfc4475/escnull").values(h.CONTACT)] == [
        "<sip:%00@host5.example.com",
        "<sip:%00%00@host5.example.com",
    ]


@pytest.mark.parametrize(
    ("name", "user", "host", "port", "params"),
    [
        ("rfc4475/semiuri", "user;par=u%40example.net", "example.com", 0, ""),
        ("rfc5118/ipv6-good", "", "[2001:db8::10]", 0, ""),
        ("rfc5118/port-ambiguous", "", "[2001:db8::10:5070]", 0, ""),
        ("rfc5118/port-unambiguous", "", "[2001:db8::10]", 5070, ""),
        ("rfc5118/ipv6-correct-abnf-2-colons", "user", "[2001:db8::192.0.2.1]", 0, ""),
    ],
)
def test_request_uri(name: str, user: str, host: str, port: int, params: str) -> None:
    uri = vector(name).uri
    assert isinstance(uri, SipUri)
    assert (uri.user, uri.host, uri.port, uri.params) == (user, host, port, params)


@pytest.mark.parametrize("name", ["rfc4475/unkscm", "rfc4475/novelsc"])
def test_unknown_scheme_is_left_to_the_user(name: str) -> None:
    assert isinstance(vector(name).uri, OtherUri)


def test_bodies_end_where_content_length_says() -> None:
    assert vector("rfc4475/dblreq").body == b""
    assert len(vector("rfc5118/as-printed/mult-ip-in-sdp").body) == 181
    body = vector("rfc4475/mpart01").body
    assert (len(body), body.count(b"\0") > 0, octets("rfc4475/mpart01").endswith(body)) == (553, True, True)
    assert vector("rfc4475/inv2543").value(h.CONTENT_LENGTH) is None
    assert vector("rfc4475/inv2543").body.endswith(b"\r\n")


def test_longreq_is_whole() -> None:
    message = vector("rfc4475/longreq")
    assert sum(row.count("SIP/2.0") for row in message.values(h.VIA)) == 34
    assert (len(message.from_tag), len(message.call_id), len(octets("rfc4475/longreq"))) == (155, 141, 3515)


@pytest.mark.parametrize(
    ("name", "received"),
    [
        ("rfc5118/via-received-param-with-delim", "[2001:db8::9:255]"),
        ("rfc5118/via-received-param-no-delim", "2001:db8::9:255"),
    ],
)
def test_received_with_and_without_brackets(name: str, received: str) -> None:
    assert [
        row.partition("received=")[2].partition(";")[0] for row in vector(name).values(h.VIA) if "received" in row
    ] == [received]


def test_reason_phrases() -> None:
    assert vector("rfc4475/noreason").reason == ""
    assert vector("rfc4475/unreason").reason.startswith("= 2**3 * 5**2 \u043d\u043e ")
