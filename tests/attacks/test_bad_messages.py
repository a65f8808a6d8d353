"""Attacks A1 to A4 and A8 to A10: messages that are made to be misread."""

from __future__ import annotations

from typing import Final

import pytest

from tests.attacks.after import ARRIVED, memory_kb, outcome, serves, told, worked_s
from tests.conformance.rig import Rig, options
from tests.conformance.talk import Call

REFUSED: Final = (400, 413, 415, 488, 513)
GROWTH_KB: Final = 8 * 1024


def asking(rig: Rig) -> str:
    return options(rig.caller, rig.place.node, rig.caller.word())


@pytest.mark.parametrize(
    "value",
    ["9" * 12_000 + " OPTIONS", "9" * 20_000 + " OPTIONS", "1 " + "X" * 4096, "4294967297 OPTIONS", "1_0 OPTIONS",
     "+1 OPTIONS", "\u0661 OPTIONS"],
    ids=["12000-digits", "20000-digits", "long-method", "beyond-32-bits", "underscore", "sign", "arabic-digit"],
)  # fmt: skip
def test_attack_a01_long_numbers(rig: Rig, value: str) -> None:
    """CVE-2017-9372: a CSeq of thousands of digits, or with a method of kilobytes, is answered 400, or 513 when the
    whole head is too long.

    Checked: seven of them, and how soon the next OPTIONS is answered.
    """
    assert told(rig, asking(rig).replace("CSeq: 1 OPTIONS", f"CSeq: {value}")) in ([400], [513])
    serves(rig)


def nested(depth: int) -> tuple[str, bytes]:
    """A multipart in a multipart, and so on; Content-Type and body."""
    body = b"Content-Type: text/plain\r\n\r\nx"
    for level in range(depth):
        body = b"Content-Type: multipart/mixed;boundary=b%d\r\n\r\n--b%d\r\n%s\r\n--b%d--" % (level, level, body, level)
    kind, _, body = body.partition(b"\r\n\r\n")
    return kind.decode().partition(": ")[2], body


def test_attack_a02_malformed_multipart(rig: Rig) -> None:
    """CVE-2022-21723: a multipart body without a boundary, with empty parts or nested without end is refused or
    cleaned; it takes time in proportion to its length.

    Checked: nine bodies in an INVITE; the time of one that is nested 800 deep against one of 100.
    """
    sdp = rig.caller.description()
    part = b"Content-Type: application/sdp\r\n\r\n" + sdp
    for kind, body in (
        ("multipart/mixed", b"--x\r\n\r\n--x--"), ("multipart/mixed;boundary=", part),
        ('multipart/mixed;boundary=""', b"--\r\n" + part + b"\r\n----"), ("multipart/mixed;boundary=x", b""),
        ("multipart/mixed;boundary=x", b"--x\r\n--x\r\n--x--"), ("multipart/mixed;boundary=x", b"--x--" * 5000),
        ("multipart/mixed;boundary=x", b"--x\r\n" * 5000), ("multipart/mixed;boundary=" + "y" * 200, part), nested(100),
    ):  # fmt: skip
        call = Call(rig)
        data = call.invite(body=body or b" ").replace(
            b"Content-Type: application/sdp", b"Content-Type: " + kind.encode(), 1
        )
        assert outcome(rig, call, data) in (ARRIVED, 403, *REFUSED), kind
    took = {}
    for depth in (100, 800):
        kind, body = nested(depth)
        works_s = []
        for _ in range(3):  # the least counts: a busy machine has other things in its caches
            call = Call(rig)
            data = call.invite(body=body).replace(
                b"Content-Type: application/sdp", b"Content-Type: " + kind.encode(), 1
            )
            before_s = worked_s(rig)
            assert outcome(rig, call, data) != ARRIVED
            works_s.append(worked_s(rig) - before_s)
        took[depth] = min(works_s)
    assert took[800] < 0.1 + 16 * took[100], took
    serves(rig)


@pytest.mark.parametrize("row", ["Accept: a/b", "Via: SIP/2.0/UDP x;branch=z9hG4bKx", "Record-Route: <sip:x;lr>",
                                 "Contact: <sip:x@y>", "X: y"])  # fmt: skip
def test_attack_a03_thousands_of_rows(rig: Rig, row: str) -> None:
    """CVE-2018-7284: a message of too many rows, or of too many values in one row, is refused at the limit, and memory
    does not grow by it.

    Checked: 60 messages of 3000 rows, 300 rows, and one row of 3000 values.
    """
    name, _, value = row.partition(": ")
    before = memory_kb(rig)
    for _ in range(20):
        for rows in (f"{row}\r\n" * 3000, f"{row}\r\n" * 300, f"{name}: {', '.join([value] * 3000)}\r\n"):
            text = asking(rig).replace(
                "Max-Forwards", f"{rows[:60_000].rpartition(chr(10))[0] or rows[:60_000]}\nMax-Forwards", 1
            )
            assert told(rig, text) in ([400], [513])
    assert memory_kb(rig) - before < GROWTH_KB
    serves(rig)


SDP_LINES: Final = (
    "m=audio 4000 RTP/AVP 4294967296", "m=audio 4294967296 RTP/AVP 8", "m=audio 4000 RTP/AVP", "m=", "m=audio 0",
    "a=fmtp:", "a=fmtp:8", "a=fmtp:8 " + "x" * 40_000, "c=IN IP4 999.1.1.1", "c=IN IP4", "c=",
    "c=IN IP6 " + ":" * 5000, "o=", "t=" + "9" * 9000, "a=rtpmap:99999999999999999999 x/" + "9" * 500, "=", "a", "",
    "\0", "v=0",
)  # fmt: skip


def test_attack_a04_malformed_descriptions(rig: Rig) -> None:
    """CVE-2018-1000098: a description with numbers, lines and addresses that are none is passed on clean or refused; it
    harms nobody.

    Checked: 20 lines, the longest of 40,000 octets, in the offer and in the answer.
    """
    for line in SDP_LINES:
        body = rig.caller.description() + f"{line}\r\n".encode()
        call = Call(rig)
        assert outcome(rig, call, call.invite(body=body)) in (ARRIVED, 403, *REFUSED), line[:40]
        call = Call(rig)
        call.start()
        call.answer(200, body=rig.callee.description() + f"{line}\r\n".encode())
        answered = rig.final("INVITE")
        if answered.status == 200:
            call.caller.confirm(answered)
            call.ack()
            call.hang_up()
            continue
        rig.caller.send(call.of_invite("ACK", to=answered.value("To")))
        rig.hear(rig.callee, "ACK")
        bye = rig.hear(rig.callee, "BYE")
        rig.callee.send(rig.callee.answer(bye, 200))
    rig.hears_nothing(rig.callee)
    serves(rig)


def test_attack_a08_odd_tags_and_branches(rig: Rig) -> None:
    """CVE-2018-8828: a tag or branch of any length and form is either malformed, or no more to the node than octets to
    be repeated.

    Checked: eleven of each, in an OPTIONS; what is answered 200 has them as they came.
    """
    for odd in ("", "=", '"x"', "x" * 3000, "x" * 20_000, "%00", "a;b", "a=b", "\u00e4", "a b", "z9hG4bK"):
        for old, new in ((";tag=", f";tag={odd}"), (";branch=z9hG4bK", f";branch={odd}")):
            text = asking(rig)
            at = text.index(old)
            end = text.index("\r\n", at)
            text = text[:at] + new + text[end:]
            rig.caller.send(text)
            rig.barrier()
            for seen in rig.caller.fresh:
                assert seen.status in (200, 400, 513), (odd[:20], seen.start_line)
                assert seen.status != 200 or new in seen.data.decode(), odd[:20]
            rig.caller.fresh.clear()
    serves(rig)


def test_attack_a09_two_to_and_a_bad_via(rig: Rig) -> None:
    """CVE-2018-14767; CVE-2018-16657: a second To, or a Via that is none, makes a request malformed: 400 where an
    answer can be addressed.

    Checked: two To with an empty tag, and eight Via, in an INVITE; nothing of it reaches the callee.
    """
    call = Call(rig)
    data = call.invite().decode()
    via = next(row for row in data.split("\r\n") if row.startswith("Via:"))
    assert told(rig, data.replace("\r\nCall-ID", f"\r\nTo: <sip:{rig.x}@x>;tag=\r\nCall-ID", 1)) == [400]
    for bad in ("Via: x", "Via: ", "Via: SIP/2.0", "Via: SIP/2.0/UDP ", "Via: SIP/2.0/UDP ;branch=z9hG4bKx",
                "Via: SIP/2.0/UDP x:99999;branch=z9hG4bKx", "Via: ,", "Via: SIP/9.0/UDP \0"):  # fmt: skip
        assert told(rig, data.replace(via, bad)) in ([], [400]), bad
    serves(rig)


def test_attack_a10_names_that_a_filter_misses(rig: Rig) -> None:
    """CVE-2020-28361: a field whose name is written so that a filter does not know it is known all the same, or
    malformed; what it says never crosses.

    Checked: P-Asserted-Identity, Remote-Party-ID and Diversion with the caller's number and twelve odd things between
    name and colon, folded, and in other cases; all that the callee gets is searched for it.
    """
    value = f"<sip:{rig.caller.number}@{rig.caller.host}>"
    for name in ("P-Asserted-Identity", "Remote-Party-ID", "Diversion"):
        for odd in (
            " :", "\t:", "\n :", "\r\n :", "\r\n\t:", "\x0b:", "\0:", "\x0c:", "\x85:", "\u2028:", "\xa0:", "::",
        ):  # fmt: skip
            call = Call(rig)
            assert outcome(rig, call, call.invite(f"{name}{odd} {value}")) in (ARRIVED, 400, 403), (name, odd)
        for text in (
            name.upper(),
            name.swapcase(),
            f"X: y\r\n {name}",
            f"{name[:4]}\r\n {name[4:]}",
            f"X: y\n{name}",
            f"X: y\r{name}",
        ):
            call = Call(rig)
            assert outcome(rig, call, call.invite(f"{text}: {value}")) in (ARRIVED, 400), text
    serves(rig)
