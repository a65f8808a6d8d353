"""The scan in C against the parser: what the one finds is what the other reads, and the rest it leaves alone."""

from __future__ import annotations

import inspect
import itertools
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sipstack import headers as h
from sipstack import limits
from sipstack.dialog import Dialog, DialogId, contact_uri
from sipstack.errors import RemoteSipError
from sipstack.message import Message
from sipstack.parser import __file__ as parser_file
from sipstack.parser import parse, read, scanned
from sipstack.response import ResponseHead
from sipstack.scan import ODD_KEYS, ODD_LENGTH, ODD_REQUEST, SCAN, scanner_of
from sipstack.transactions import _client_key, _server_key
from tests.sipstack.generated_messages import MESSAGES, SPELLINGS, Spelling, Written
from tests.sipstack.scans import compile_scan, make_scan
from tests.sipstack.test_usual_spellings import ADDRESSES, URIS, VIAS, mostly
from tests.sipstack.test_vectors import FATE, octets

REQUEST: Final = """INVITE sip:700123456780001@192.0.2.1:5060;user=phone SIP/2.0
Via: SIP/2.0/UDP 192.0.2.2:5060;branch=z9hG4bK-1-2;rport
From: "Alice" <sip:13800138000@192.0.2.2:5060>;tag=1SIPpTag001
To: <sip:700123456780001@192.0.2.1:5060>
Call-ID: 1-2@192.0.2.2
CSeq: 1 INVITE
Contact: <sip:13800138000@192.0.2.2:5060>
P-Asserted-Identity: <sip:13800138000@192.0.2.2:5060>
Max-Forwards: 70
User-Agent: x
X-Other: y
Content-Length: 3

abc""".replace("\n", "\r\n").encode()
RESPONSE: Final = """SIP/2.0 200 OK then
v: SIP/2.0/TLS node.example;rport;branch=z9hG4bK-1-2
FROM: alice <tel:13800138000>;tag=1SIPpTag001
t: <sip:700123456780001@192.0.2.1:5060>;tag=x
i:1-2@192.0.2.2
CSeq:\t002 INVITE
Content-Length: 0

""".replace("\n", "\r\n").encode()


@pytest.fixture(scope="module")
def scan(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return make_scan(tmp_path_factory.mktemp("scan"))


def with_scan(scan: Any, data: bytes, is_framed: bool) -> Message:
    """What `parse` does where the build has compiled the scan."""
    if SCAN is not None:
        return parse(data, is_framed)
    message: Message | None = scan(scanned, data, is_framed)
    return read(data, is_framed) if message is None else message


def found(scan: Any, data: bytes) -> Any:
    """What a scan tells of a message, by the names that its maker has for it."""
    told: tuple[object, ...] | None = scan(lambda *parts: parts, data, True)
    return None if told is None else dict(zip(inspect.signature(scanned).parameters, told, strict=True))


def outcome(read_it: Callable[[], Message]) -> object:
    """What a reading says in plain values, errors included."""
    try:
        return plain(read_it())
    except RemoteSipError as error:
        return error.reason, error.status_hint, plain(error.message)


NAMES: Final = (
    "lines", "ids", "body", "method", "uri_text", "status", "reason", "cseq", "forwards", "call_id",
    "from_tag", "to_tag",
)  # fmt: skip
IDS: Final = (h.OTHER, h.VIA, h.CONTACT, h.ROUTE, h.P_ASSERTED_IDENTITY)
URI_NAMES: Final = ("scheme", "user", "password", "host", "port", "params", "headers", "number", "text")
VIA_NAMES: Final = ("text", "transport", "host", "port", "params", "rest", "branch", "asks_rport")


def plain(message: Message | None) -> object:
    """All that may be asked of it, and what comes of it where a scan leaves texts of its own."""
    if message is None:
        return None
    if message.top_via is None:
        return message.lines
    values = [getattr(message, name) for name in NAMES]
    via = [getattr(message.top_via, name) for name in VIA_NAMES]
    uri = [getattr(message.uri, name, None) for name in URI_NAMES]
    made = known_by(message), ResponseHead(message, "192.0.2.9", 5099).text(100, "made"), target(message)
    fields = [(message.values(number), message.has_any(frozenset((number,)), 1 << number)) for number in IDS]
    seen = list(message.first), fields, message.has_one_via, message.via_rows("192.0.2.9", 5099)
    return values, [type(value) for value in values], seen, via, type(message.uri), uri, made


def known_by(message: Message) -> object:
    """What its transaction is known by, in every spelling."""
    if message.status:
        return message.key or _client_key(message)
    return message.key or _server_key(message, "INVITE" if message.method == "ACK" else message.method)


def target(message: Message) -> str:
    """Where its Contact says that its sender is."""
    try:
        return contact_uri(message)
    except RemoteSipError as error:
        return error.reason


def both_ways(scan: Any, data: bytes) -> None:
    for is_framed in (False, True):
        assert outcome(lambda: with_scan(scan, data, is_framed)) == outcome(lambda: read(data, is_framed))  # noqa: B023


# ---------------------------------------------------------------------- what is usual is taken


@pytest.mark.parametrize("data", [REQUEST, RESPONSE, REQUEST.replace(b'"Alice" ', b"")])
def test_what_is_usual_is_found(scan: Any, data: bytes) -> None:
    assert found(scan, data)["odd"] == 0
    both_ways(scan, data)


def requests(method: bytes, branch: bytes = b"z9hG4bK-1-2") -> bytes:
    return REQUEST.replace(b"INVITE", method).replace(b"z9hG4bK-1-2", branch)


@pytest.mark.parametrize("data", [
    requests(b"ACK"), requests(b"CANCEL"), requests(b"BYE"), requests(b"ACK", b"1"), requests(b"BYE", b"z9hG4bK"),
    requests(b"INVITE", b"z9hg4bk-1"), REQUEST.replace(b".2:5060;branch", b".2;branch"),
    RESPONSE.replace(b"z9hG4bK-1-2", b"1"), REQUEST.replace(b"From:", b"Via: SIP/2.0/UDP 192.0.2.3\r\nFrom:"),
    RESPONSE.replace(b"FROM:", b"Via: SIP/2.0/UDP 192.0.2.3\r\nFROM:"),
    REQUEST.replace(b"From:", b"FROM:"), REQUEST.replace(b"To:", b"t:"), REQUEST.replace(b"Call-ID:", b"i:"),
    REQUEST.replace(b"CSeq:", b"CSEQ:"), REQUEST.replace(b"CSeq: ", b"CSeq:  "), REQUEST.replace(b"CSeq: ", b"CSeq:"),
    REQUEST.replace(b"1 INVITE", b"1 INVITE "), REQUEST.replace(b"Call-ID: ", b"Call-ID:\t"),
    REQUEST.replace(b"192.0.2.2\r\nCSeq", b"192.0.2.2 \t\r\nCSeq"), REQUEST.replace(b"To:", b"X: y\r\nTo:"),
    REQUEST.replace(b"CSeq:", b"X: y\r\nCSeq:"), REQUEST.replace(b"From:", b"Timestamp: 54\r\nFrom:"),
])  # fmt: skip
def test_what_a_scan_leaves_says_what_the_message_says(scan: Any, data: bytes) -> None:
    assert found(scan, data)["odd"] == 0
    both_ways(scan, data)


@pytest.mark.parametrize("contact", [
    b"<sip:a@192.0.2.2>", b"<sip:a@h:5060;transport=tcp>", b"<sip:a@h;method=x>", b"<sip:a@h;lr>", b"<sip:a@h>;q=1",
    b"<sips:a@h>", b"<tel:1>", b" <sip:a@h>", b"<sip:a@h> ", b'"b" <sip:a@h>', b"<sip:a@h?x=y>", b"<sip:h>",
    b"<sip:a@h:65536>", b"<sip:a@H>", b"<sip:a@h;transport=TCP>", b"<sip:a@h>, <sip:b@h>",
    b"<sip:a@h>\r\nm: <sip:b@h>", b"<sip:a@h>x", b"<sip:a@h", b"*",
])  # fmt: skip
def test_the_first_contact(scan: Any, contact: bytes) -> None:
    for data in (REQUEST, RESPONSE.replace(b"i:", b"m: <sip:138@h>\r\ni:")):
        at = data.index(b"<sip:138", data.index(b"CSeq") if data is REQUEST else data.index(b"m:"))
        both_ways(scan, data[:at] + contact + data[data.index(b">", at) + 1 :])


def test_a_dialog_follows_what_a_scan_has_read(scan: Any) -> None:
    dialog = Dialog(DialogId("1", "a", "b"), "", "", 1, 1)
    dialog.refresh(with_scan(scan, REQUEST, False))
    assert dialog.remote_target == "sip:13800138000@192.0.2.2:5060"


def test_values_are_made_when_they_are_asked_for(scan: Any) -> None:
    values = found(scan, bytes(bytearray(REQUEST)))["values"]
    assert len(values) == len(list(values)) == h.ID_COUNT and values[h.CSEQ] == " 1 INVITE"
    for wrong in (h.ID_COUNT, 2**70):
        with pytest.raises(IndexError):
            values[wrong]
        with pytest.raises(IndexError):
            values.is_repeated(wrong)
    for ask in (values.__getitem__, values.is_repeated, values.__contains__):
        with pytest.raises(TypeError):
            ask("Via")
    with pytest.raises(OverflowError):
        values.__contains__(2**70)
    with pytest.raises(TypeError):
        type(values)()


@pytest.mark.parametrize(
    ("old", "new", "odd"),
    [
        (b"SIP/2.0/UDP", b"SIP/2.0/SCTP", ODD_KEYS),
        (b";rport", b";received=192.0.2.9", ODD_KEYS),
        (b"From: ", b"From:", ODD_KEYS),
        (b"CSeq: 1 INVITE", b"CSeq: 1 BYE", ODD_KEYS),
        (b"CSeq: 1 INVITE", b"CSeq: 1234567890 INVITE", ODD_KEYS),
        (b"1-2@192.0.2.2\r", b"1 2\r", ODD_KEYS),
        (b"Max-Forwards: 70", b"Max-Forwards: 256", ODD_REQUEST),
        (b"Contact: ", b"Contact: *, ", ODD_REQUEST),
        (b"INVITE sip:", b"INVITE sips:", ODD_REQUEST),
        (b":5060;user", b":65536;user", ODD_REQUEST),
        (b"Content-Length: 3", b"Content-Length: 2", ODD_LENGTH),
        (b"Content-Length: 3", b"Content-Length: 03", ODD_LENGTH),
        (b"Content-Length: 3", b"Z: 3", ODD_LENGTH),
    ],
)
def test_a_part_that_is_odd_is_left(scan: Any, old: bytes, new: bytes, odd: int) -> None:
    data = REQUEST.replace(old, new, 1)
    assert found(scan, data)["odd"] == odd
    both_ways(scan, data)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"INVITE", b"\r\nINVITE"),
        (b"User-Agent: x", b"User-Agent: x\r\n y"),
        (b"User-Agent: x", "User-Agent: \u5f20".encode()),
        (b"User-Agent: x", b"User-Agent: \x7f"),
        (b"User-Agent: x", b"User-Agent: \r"),
        (b"User-Agent: x", b"User-Agent : x"),
        (b"User-Agent: x", b"User-Agent"),
        (b"User-Agent: x", b"Z: y\r\n" * limits.MAX_HEADER_LINES),
        (b"User-Agent: x", b"Z: " + b"y" * limits.MAX_LINE_CHARS),
        (b"User-Agent: x", (b"Z: " + b"y" * 8000 + b"\r\n") * 2 + b"Z: y"),
        (b"User-Agent: x", b"CSeq: 1 INVITE"),
        (b"Call-ID: 1-2@192.0.2.2\r\n", b""),
        (b"INVITE sip", b"invite sip"),
        (b" SIP/2.0\r\n", b" SIP/3.0\r\n"),
        (b"\r\n\r\nabc", b""),
    ],
)
def test_a_message_that_is_odd_is_left(scan: Any, old: bytes, new: bytes) -> None:
    data = REQUEST.replace(old, new, 1)
    assert found(scan, data) is None
    both_ways(scan, data)


def test_all_of_the_limits_are_taken(scan: Any) -> None:
    lines = REQUEST.partition(b"\r\n\r\n")[0].count(b"\r\n")
    for more in (limits.MAX_HEADER_LINES - lines, limits.MAX_HEADER_LINES - lines + 1):
        data = REQUEST.replace(b"User-Agent", b"Z: y\r\n" * more + b"User-Agent")
        assert (found(scan, data) is None) == (lines + more > limits.MAX_HEADER_LINES)
        both_ways(scan, data)
    head = len(REQUEST) - len(b"\r\n\r\nabc")
    row = b"Z: " + b"y" * (limits.MAX_LINE_CHARS - len(b"Z: ")) + b"\r\n"
    for size in (limits.MAX_HEAD_BYTES, limits.MAX_HEAD_BYTES + 1):
        rest = b"Z: " + b"z" * (size - head - len(row) - len(b"Z: \r\n")) + b"\r\n"
        data = REQUEST.replace(b"User-Agent", row + rest + b"User-Agent")
        assert data.index(b"\r\n\r\n") == size
        assert (found(scan, data) is None) == (size > limits.MAX_HEAD_BYTES)
        both_ways(scan, data)
    assert found(scan, REQUEST.replace(b"User-Agent", row.replace(b"Z: ", b"Z: y") + b"User-Agent")) is None
    for size in (limits.MAX_URI_CHARS, limits.MAX_URI_CHARS + 1):
        data = REQUEST.replace(b"sip:700", b"sip:" + b"7" * (size - REQUEST.index(b" SIP/2.0") + len(b"INVITE 700")), 1)
        assert data.index(b" SIP/2.0") - len(b"INVITE ") == size
        assert (found(scan, data) is None) == (size > limits.MAX_URI_CHARS)
        both_ways(scan, data)


# ---------------------------------------------------------------------- whatever comes


@settings(max_examples=400)
@given(MESSAGES, SPELLINGS)
def test_generated_messages(scan: Any, message: Written, spelling: Spelling) -> None:
    both_ways(scan, message.write(spelling))


@settings(max_examples=800)
@given(
    start=st.one_of(
        mostly(["SIP/2.0 200 OK", "SIP/2.0 180 "], ["SIP/2.0 200", "SIP/2.0 700 x", "sip/2.0 200 OK", "SIP/2.0 20 OK"]),
        st.builds("{} {} {}".format, mostly(["INVITE"], ["BYE", "invite", ""]), URIS, mostly(["SIP/2.0"], ["SIP/2.1"])),
    ),
    via=VIAS,
    sender=ADDRESSES,
    contact=ADDRESSES,
    more=st.lists(
        st.sampled_from(
            ["Max-Forwards: 70", "Max-Forwards: 0255", "max-forwards:70", "Contact: *", "X-a: b", "Z: \t",
             "v: SIP/2.0/UDP h", "P-Asserted-Identity: <sip:a@b>", "p-asserted-identity: a, b", "l: 4",
             "Content-Length: 3", "Subject :x"]
        ),
        max_size=4,
    ),
)  # fmt: skip
def test_messages_of_odd_parts(scan: Any, start: str, via: str, sender: str, contact: str, more: list[str]) -> None:
    rows = [start, f"Via: {via}", f"From: {sender}", "To: <sip:a@b>", "Call-ID: 1@2", "CSeq: 1 INVITE",
            f"Contact: {contact}", *more]  # fmt: skip
    both_ways(scan, ("\r\n".join(rows) + "\r\n\r\nabc").encode("utf-8", "surrogateescape"))


PIECES: Final = st.one_of(
    st.binary(max_size=9),
    st.sampled_from([b"\r\n", b"\r", b"\n", b" ", b"\t", b"\r\n ", b"\r\n\r\n", b":", b";", b'"', b"<", b">", b",",
                     b"\x00", b"\x7f", b"\x80", b"0", b"9" * 10, b"\\", b";rport", b"\r\nTo: <sip:a@b>"]),
)  # fmt: skip


@settings(max_examples=1500)
@given(st.sampled_from([REQUEST, RESPONSE]), st.data())
def test_damaged_messages(scan: Any, data: bytes, draw: st.DataObject) -> None:
    for _ in range(draw.draw(st.integers(1, 3))):
        start = draw.draw(st.integers(0, len(data)))
        data = data[:start] + draw.draw(PIECES) + data[start + draw.draw(st.integers(0, 6)) :]
    both_ways(scan, data)


@given(st.binary(max_size=200))
@example(b"")
@example(b"\r\n\r\n")
def test_any_bytes(scan: Any, data: bytes) -> None:
    both_ways(scan, data)


@pytest.mark.parametrize("data", [REQUEST, RESPONSE])
def test_every_beginning_of_a_message(scan: Any, data: bytes) -> None:
    for size in range(len(data)):
        both_ways(scan, data[:size])


@pytest.mark.parametrize("name", FATE)
def test_vectors(scan: Any, name: str) -> None:
    both_ways(scan, octets(name))


# ---------------------------------------------------------------------- the module


def test_what_is_compiled_has_a_scan() -> None:
    assert (SCAN is None) == str(parser_file).endswith(".py")


def nothing(*parts: object) -> None:
    """Of what is found nothing is made."""


def test_what_a_maker_raises_comes_out(scan: Any) -> None:
    def fails(*parts: object) -> None:
        raise RemoteSipError("an odd one")

    with pytest.raises(RemoteSipError, match="an odd one"):
        scan(fails, REQUEST, False)


def test_a_text_that_is_remembered_is_that_of_the_message(scan: Any) -> None:
    """They are remembered by a few of their octets: one that has the place of another is not taken for it."""
    hosts = [f"192.0.2.{last}" for last in range(256)] + [f"h{number:03}.example" for number in range(300)]
    hosts += ["h" * size for size in (1, 2, 63, 64, 65, 100)]
    for host in (*hosts, *hosts[::-1], *hosts[:2], hosts[1], hosts[0]):
        told = found(scan, REQUEST.replace(b"192.0.2.2:5060;branch", f"{host}:5060;branch".encode()))
        assert (told["via_host"], told["host"]) == (host, "192.0.2.1")
    for reason in ("OK", "Ok", "KO", "", "O K", "OK", "x" * 64, "x" * 65):
        told = found(scan, RESPONSE.replace(b"OK then", reason.encode()))
        assert told["reason"] == reason


def test_nothing_is_kept_of_what_is_read(scan: Any) -> None:
    odd = [REQUEST.replace(b"From: ", b"From:"), REQUEST[:-4], REQUEST.replace(b"70", b"700"), RESPONSE]
    held = []
    tracemalloc.start()
    try:
        for _ in range(4):
            for data in (REQUEST, *odd) * 500:
                scan(nothing, data, False)
            held.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    # A reference too many to the smallest object of a message is 16,000 each time; other threads keep something once.
    assert min(after - before for before, after in itertools.pairwise(held[1:])) < 2000


@pytest.mark.parametrize("arguments", [
    (), (REQUEST,), (scanned, REQUEST), (scanned, "text", False), (scanned, None, False), (scanned, REQUEST, False, 1),
    (None, REQUEST, False),
])  # fmt: skip
def test_what_is_no_message_or_no_maker_is_a_type_error(scan: Any, arguments: tuple[object, ...]) -> None:
    with pytest.raises(TypeError):
        scan(*arguments)


def test_a_scanner_takes_only_what_fits_its_tables(tmp_path: Path) -> None:
    make = compile_scan(tmp_path).Scanner
    fields = tuple(range(1, 10))
    good: list[Any] = [{"via": 1}, 10, ("BYE",), fields, (1,), 100, 100, 100, 100]
    assert make(*good)(scanned, b"x", False) is None
    for place, bad in [
        (0, {"": 1}), (0, {"x" * 33: 1}), (0, {"\u5f20": 1}), (0, {1: 1}), (0, {"via": 10}), (0, {"via": -1}),
        (0, {"via": 2**80}), (0, {f"n{number}": 1 for number in range(129)}), (1, 65), (1, 0), (2, ("",)),
        (2, ("x" * 17,)), (2, (b"BYE",)), (2, ("BYE",) * 33), (3, fields[1:]), (3, (*fields[1:], 10)), (4, (10,)),
        (4, (-1,)), (5, -1), (6, 257), (6, -1), (7, -1),
        (8, -1),
    ]:  # fmt: skip
        with pytest.raises((ValueError, OverflowError)):
            make(*good[:place], bad, *good[place + 1 :])
    with pytest.raises(TypeError):
        make(*good[:-1])
    with pytest.raises(TypeError):
        make(*good, names=1)


def test_the_parsers_own_tables_fit(tmp_path: Path) -> None:
    scanner = scanner_of(compile_scan(tmp_path).Scanner)
    assert found(scanner, REQUEST)["values"].ids().count(h.OTHER) == 2
