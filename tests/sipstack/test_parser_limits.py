"""Limits of the parser, and what the largest datagrams cost."""

from __future__ import annotations

from typing import Final

import pytest

from sipstack import headers as h
from sipstack import limits
from sipstack.errors import RemoteSipError
from sipstack.events import MalformedReceived
from sipstack.parser import parse
from sipstack.transactions import answer_malformed
from tests.sipstack.parser_rows import ROWS, SOURCE, answered, refused, written

# ------------------------------------------------------------------ limits


def test_limits_of_the_head() -> None:
    filler = [f"X{number}: " + "a" * 1000 for number in range(15)]
    rest = limits.MAX_HEAD_BYTES - len(written(b"", more="\r\n".join(filler))) + 4
    fits = written(more="\r\n".join([*filler[:-1], filler[-1] + "a" * rest]))
    assert parse(fits).body == b"ab"
    error = refused(fits.replace(b"X1:", b"X11:", 1))
    assert (error.status_hint, error.message is not None) == (513, True)
    assert answered(fits.replace(b"X1:", b"X11:", 1)).status == 513


def test_limits_of_lines() -> None:
    rows = "\r\n".join(["Xa: 1"] * (limits.MAX_HEADER_LINES - len(ROWS) + 2))
    assert len(parse(written(more=rows)).lines) == limits.MAX_HEADER_LINES
    error = refused(written(more=rows + "\r\nXa: 1"))
    assert (error.status_hint, error.message is not None) == (513, True)
    assert parse(written(more="Xa: " + "a" * (limits.MAX_LINE_CHARS - 4))).method == "INVITE"
    assert refused(written(more="Xa: " + "a" * (limits.MAX_LINE_CHARS - 3))).status_hint == 400


def test_limit_of_the_uri_and_the_method() -> None:
    uri = "sip:" + "u" * (limits.MAX_URI_CHARS - 6) + "@h"
    assert parse(written(start=f"INVITE {uri} SIP/2.0")).uri_text == uri
    assert refused(written(start=f"INVITE {uri}h SIP/2.0")).status_hint == 414
    for length, is_taken in ((limits.MAX_METHOD_CHARS, True), (limits.MAX_METHOD_CHARS + 1, False)):
        data = written(start=f"{'M' * length} sip:h SIP/2.0", CSeq=f"CSeq: 7 {'M' * length}")
        if is_taken:
            assert parse(data).method == "M" * length
        else:
            assert refused(data).status_hint == 400


def test_names_are_remembered_up_to_a_limit() -> None:
    seen: dict[str, int] = {}
    known = [h.header_id(name, seen) for name in ("via", "V ", "cOnTaCt\t", "Unknown")]
    assert known == list(seen.values()) == [h.VIA, h.VIA, h.CONTACT, h.OTHER]
    for number in range(2 * limits.MAX_NAME_SPELLINGS):
        assert h.header_id(f"X-{number}", seen) == h.OTHER
    assert len(seen) == limits.MAX_NAME_SPELLINGS
    assert h.header_id("vIA", seen) == h.VIA


# ------------------------------------------------------------------ time

# Units that a row is made of. One row is looked into up to 8 KiB, a head up to 16 KiB; beyond that only the
# fields that an answer needs are searched.
GREEDY: Final = (
    ("Via", "Via: SIP/2.0/UDP h", ";rport"), ("Via", "Via: SIP/2.0/UDP h", ",SIP/2.0/UDP h"),
    ("Via", "v: SIP/2.0/UDP h;a", " "), ("Via", "v:", "\r\nv:"), ("Via", "v: SIP/2.0/UDP h", "\r\nv: SIP/2.0/UDP h"),
    ("From", "f:", "<"), ("From", "f: ", "a "), ("From", "f:", '"\\'), ("From", "f: <sip:a@h>", ";a=b"),
    ("From", "f: <sip:a@h>;a", " "), ("From", "f: ", '\\\x00'), ("From", 'f: "', "\\\x00"),
    ("To", "t: <sip:a@h>", ";a=f"), ("To", "t: sip:", "a"), ("To", "t: <sip:a@h>", ' ;a="b"'), ("CSeq", "CSeq: ", "0"),
    ("CSeq", "CSeq: 1", " "), ("Call-ID", "i: ", "a"), ("Max-Forwards", "Max-Forwards: ", "9"),
    ("Content-Length", "l:", "9"), ("more", "m: ", '"'), ("more", "m: <sip:a@h>", ",<sip:a@h>"), ("more", "m: ", "<,"),
    ("more", "P-Asserted-Identity: ", "<"), ("more", "Xa: a", "\r\n a"), ("more", "Xa: a", " "),
    ("more", "Xa: a", " \r\n"), ("more", "Xa: a", "\r\n \t"), ("more", "Xa: a", "\r\n" + 500 * " "),
    ("more", "Xb: a\r\n b\r\nXa: a", " "), ("more", "Xb: a\r\n b\r\nXa", "\r\nXa"), ("more", "Xa:", "\r\nXa:"),
    ("more", "Xa", "\r\nXa"), ("more", "Xa", ":"), ("more", "Xa: ", "\x00"), ("more", "Xa: ", "\\\x00"),
    ("more", "Xa: ", "\udcff"), ("more", "Xa: ", "\r"), ("more", "Xa: ", "\n"), ("start", "INVITE sip:h", ";a=b"),
    ("start", "INVITE sip:", "a"), ("start", "", " "), ("start", "SIP/2.0 200 ", " "), ("start", "", "A"),
)  # fmt: skip


@pytest.mark.timeout(10)
@pytest.mark.parametrize(("name", "start", "unit"), GREEDY, ids=ascii)
@pytest.mark.parametrize("end", ["", "!"])
def test_large_datagrams_cost_little(name: str, start: str, unit: str, end: str) -> None:
    """Twenty of each size: seconds even when slow, minutes when the work grows with the square of the size."""
    for size in (limits.MAX_LINE_CHARS - 100, limits.MAX_HEAD_BYTES - 1000, 60_000):
        data = written(**{name: start + unit * (size // len(unit)) + end})
        for _ in range(20):
            try:
                assert parse(data).call_id
            except RemoteSipError as error:
                answer_malformed(MalformedReceived(error, SOURCE))
