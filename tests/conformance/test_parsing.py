"""Requirements 14 to 24: parsing and message format."""

from __future__ import annotations

import select
import time
from contextlib import ExitStack
from typing import Final

import pytest

from scenarios.rig.place import PORT
from scenarios.rig.seen import Seen
from tests.conformance.conftest import RigFactory
from tests.conformance.message import text_for_x
from tests.conformance.parties import PATIENCE_S
from tests.conformance.rig import TRANSACTION_S, Rig, options
from tests.conformance.talk import Call
from tests.conformance.torture import EXPECTED, octets, reply_ports, rounds
from tests.e2e.datagrams import drain, udp_socket

# Hosts from 128 on are a trunk of their own, so that each torture message comes from its own.
SETTINGS: Final = '[[peer]]\nname = "testers"\nmatch = ["{prefix}.128/25"]\n'

# A trunk to which two further fields are let through, and the numbers 134 on it.
PASSING: Final = """
[[peer]]
name = "passing"
targets = ["sip:{callee}:5060"]
pass_headers = ["X-Test", "X-Other"]
[[route]]
name = "to-passing"
called = "^134"
peers = ["passing"]
"""


def test_req_014_torture_messages(rig: Rig) -> None:
    """RFC 4475 §3; RFC 5118 §4: each torture message gets the answer that these RFCs and our policy ask for, or none,
    and the node goes on.

    Checked: 61 messages and 5 variants over UDP; which answers are right stands in tests/vectors, and below.
    """
    wrong = {}
    groups = rounds()
    for group in groups:
        with ExitStack() as opened:
            ends = {}
            for number, name in enumerate(group):
                host = rig.place.host(130 + number)
                ports = sorted(reply_ports(octets(name)), key=lambda port: port != PORT)
                ends[name] = [opened.enter_context(udp_socket(host, port)) for port in ports]
                ends[name][0].sendto(octets(name), (rig.place.node, PORT))
            for name in group:
                found = first_final(ends[name]) if EXPECTED[name] else 0
                if EXPECTED[name] and found not in EXPECTED[name]:
                    wrong[name] = found
            rig.barrier()
            wrong |= {name: 1 for name in group if not EXPECTED[name] and any(map(drain, ends[name]))}
            if group is not groups[-1]:
                rig.wait(1.5 * TRANSACTION_S)  # for branches that stand in several messages
    assert wrong == {}


def first_final(ends: list) -> int:  # type: ignore[type-arg]
    """The status of the first final response; 0 when none has come in time."""
    deadline = time.monotonic() + PATIENCE_S
    while readable := select.select(ends, [], [], max(0.0, deadline - time.monotonic()))[0]:
        for end in readable:
            status = Seen(0.0, False, end.recv(65_536)).status
            if status >= 200:
                return status
    return 0


def spelt(data: bytes) -> list[bytes]:
    """One INVITE in five spellings."""
    compact = data
    for name, short in (("Via", "v"), ("From", "f"), ("To", "t"), ("Call-ID", "i"), ("Contact", "m"),
                        ("Supported", "k"), ("Content-Type", "c"), ("Content-Length", "l")):  # fmt: skip
        compact = compact.replace(f"\r\n{name}:".encode(), f"\r\n{short}:".encode())
    rows = data.partition(b"\r\n\r\n")
    lower = b"\r\n".join(
        [line if number == 0 else line.partition(b":")[0].lower() + b":" + line.partition(b":")[2]
         for number, line in enumerate(rows[0].split(b"\r\n"))]
    ) + b"\r\n\r\n" + rows[2]  # fmt: skip
    spaced = data.replace(b"Max-Forwards: 70", b"Max-Forwards \t:  70 ").replace(b";rport", b" ;  rport")
    folded = data.replace(b"Supported: 100rel, timer", b"Supported:\r\n 100rel,\r\n\ttimer").replace(
        b'From: "', b'From:\r\n  "'
    )
    twice = data.replace(b"Supported: 100rel, timer", b"Supported: 100rel\r\nSupported: timer")
    return [compact, lower, spaced, folded, twice]


def shape(message: Seen) -> list[str]:
    """What an INVITE says, without what is new in each."""
    made_anew = ("via:", "call-id:", "from:", "cseq:", "content-length:")
    rows = [row for row in message.head if not row.lower().startswith(made_anew)]
    lines = [line for line in message.body.decode().split("\r\n") if line[:2] not in ("o=", "s=")]
    return [message.start_line, *rows, *lines]


def test_req_015_spellings_of_one_message(rig: Rig) -> None:
    """RFC 3261 §7.3.1; §7.3.3: names of fields in any case and in compact form, white space around colon and semicolon,
    lines that go on, and a list in one row or several all say the same.

    Checked: one INVITE in five spellings gives the same INVITE to the callee, but for what is drawn anew.
    """
    shapes = []
    for number in range(6):
        call = Call(rig)
        data = call.invite("Supported: 100rel, timer", body=rig.caller.description())
        sent = call.start(data=data if number == 5 else spelt(data)[number])
        assert sent.value("Supported") == "100rel, timer"
        shapes.append(shape(sent))
        call.drop()
    assert shapes == [shapes[-1]] * 6


def test_req_016_order_and_octets_of_passed_fields(make_rig: RigFactory) -> None:
    """RFC 3261 §7.3.1; §16.6: rows of one field keep their order, and a field that is passed on is not altered.

    Checked: with `pass_headers` on the trunk: two rows of a field with UTF-8 and odd spacing, and a field that is not
    named.
    """
    rig = make_rig(PASSING, "134")
    call = Call(rig)
    odd = 'b;  Grüße = "快递 , x"   ; y'
    sent = call.start(f"X-Test: {odd}", "X-Other: 2", "X-Test: a", f"X-Unknown: {rig.caller.word()}")
    assert sent.values("X-Test") == [odd, "a"]
    assert sent.values("X-Other") == ["2"]
    assert sent.values("X-Unknown") == []
    call.drop()


def without(data: bytes, name: str) -> bytes:
    """A message with no row of a field."""
    head, blank, body = data.partition(b"\r\n\r\n")
    rows = [row for row in head.split(b"\r\n") if not row.startswith(f"{name}:".encode())]
    return b"\r\n".join(rows) + blank + body


def test_req_017_mandatory_fields(rig: Rig) -> None:
    """RFC 3261 §8.1.1; §16.3; §17: a request without a usable To, From, Call-ID, CSeq or Via is answered 400 where an
    answer can be addressed, else dropped; an ACK is never answered.

    Checked: each field left out and spoilt in turn, in an INVITE and in an ACK; the callee sees nothing.
    """
    for name, spoilt in (("To", "<"), ("From", "<"), ("Call-ID", "a b"), ("CSeq", "one"), ("Via", "SIP/2.0/UDP ;,")):
        for rows in ((), (f"{name}: {spoilt}",)):
            for method in ("INVITE", "ACK"):
                before = len(rig.caller.received)
                head, blank, body = without(Call(rig).invite(method=method), name).partition(b"\r\n\r\n")
                rig.caller.send(head + "".join(f"\r\n{row}" for row in rows).encode() + blank + body)
                rig.barrier()
                answers = [seen.status for seen in rig.caller.received[before:] if seen.method != "OPTIONS"]
                is_answered = method == "INVITE" and (name != "Via" or rows != ())
                assert answers == [400] * is_answered, (name, rows, method)
    rig.hears_nothing(rig.callee)


@pytest.mark.parametrize("name", ["To", "From", "Call-ID", "CSeq", "Content-Length", "Max-Forwards"])
def test_req_018_repeated_single_fields(rig: Rig, name: str) -> None:
    """RFC 3261 §7.3.1; RFC 4475 §3.3.8: a field that may stand once and stands twice makes the request malformed: 400.

    Checked: To, From, Call-ID, CSeq, Content-Length and Max-Forwards, each twice with the same value.
    """
    call = Call(rig)
    head, blank, body = call.invite().partition(b"\r\n\r\n")
    row = next(row for row in head.split(b"\r\n") if row.startswith(f"{name}:".encode()))
    rig.caller.send(head + b"\r\n" + row + blank + body)
    assert rig.hear(rig.caller, "400 INVITE").status == 400
    rig.hears_nothing(rig.callee)


def test_req_019_ranges_of_numbers(rig: Rig) -> None:
    """RFC 3261 §8.1.1.5; §20.22; §7.2; §25.1: CSeq is below 2^31, Max-Forwards at most 255, a status code has three
    digits from 100 to 699; digits are those of ASCII, with nothing else around.

    Checked: values beside these in requests (400) and responses (dropped: the transaction goes on).
    """
    for row, value in (
        ("CSeq: 1 ", "2147483648 "), ("CSeq: 1 ", "1_0 "), ("CSeq: 1 ", "+1 "), ("CSeq: 1 ", "\u0661 "),
        ("CSeq: 1 ", "1.0 "), ("Max-Forwards: 70", "256"), ("Max-Forwards: 70", "-1"), ("Max-Forwards: 70", "7_0"),
        ("Max-Forwards: 70", "\u0667"), ("Content-Length: ", "+"), ("Content-Length: ", "0x"),
    ):  # fmt: skip
        call = Call(rig)
        name = row.partition(":")[0]
        rig.caller.send(call.invite().replace(row.encode(), f"{name}: {value}".encode()))
        assert rig.final("INVITE").status == 400, value
    rig.hears_nothing(rig.callee)
    call = Call(rig)
    call.start()
    answer = rig.callee.answer(call.sent, 486)
    for status in (b"99", b"099", b"700", b"2000", b"48_", b"+86"):
        rig.callee.send(answer.replace(b"486", status, 1))
    rig.barrier()
    assert [seen.shown for seen in rig.callee.fresh] == []
    call.drop()


def test_req_020_version(rig: Rig) -> None:
    """RFC 3261 §7.1; §21.5.6: the version is SIP/2.0 in any case; a request of another one is answered 505.

    Checked: `sip/2.0`, `SIP/3.0`, and what is no version of SIP.
    """
    data = options(rig.caller, rig.place.node, rig.caller.word())
    for version, status in (("sip/2.0", 200), ("SIP/3.0", 505), ("HTTP/1.1", 400)):
        rig.caller.send(data.replace(" SIP/2.0\r\n", f" {version}\r\n", 1).replace("z9hG4bK", f"z9hG4bK{status}"))
        assert rig.final("OPTIONS").status == status


def test_req_021_scheme_and_extensions(rig: Rig) -> None:
    """RFC 3261 §8.2.2.1; §8.2.2.3; §16.3: a Request-URI of a scheme that is not spoken is answered 416, an option tag
    that is required and not known 420 with Unsupported; in an ACK or CANCEL, Require is ignored.

    Checked: an unknown scheme, Require and Proxy-Require, and an INVITE that is cancelled with a Require in its CANCEL.
    """
    call = Call(rig)
    rig.caller.send(call.invite().replace(b"INVITE sip:", b"INVITE soap.beep:"))
    assert call.refused().status == 416
    for name in ("Require", "Proxy-Require"):
        call = Call(rig)
        rig.caller.send(call.invite(f"{name}: 100rel, nothing-we-know"))
        refused = call.refused()
        assert (refused.status, refused.value("Unsupported")) == (420, "nothing-we-know")
    call = Call(rig)
    call.start()
    call.answer(100)
    rig.caller.send(call.of_invite("CANCEL", "Require: nothing-we-know"))
    rig.hear(rig.caller, "200 CANCEL")
    cancel = rig.hear(rig.callee, "CANCEL")
    rig.callee.send(rig.callee.answer(cancel, 200))
    call.answer(487)
    failure = rig.final("INVITE")
    rig.caller.send(call.of_invite("ACK", "Require: nothing-we-know", to=failure.value("To")))
    rig.hears_nothing(rig.caller)


def test_req_022_methods(rig: Rig) -> None:
    """RFC 3261 §8.2.1; §11.2; §21.5.2: a method that is not taken is refused with the list of those that are; OPTIONS
    for the node itself is answered 200 with Allow, Accept and Supported.

    Checked: FOO, REGISTER, SUBSCRIBE, PUBLISH and OPTIONS.
    Deviation: an unknown method is told 405 and not 501: the node names what it takes whatever it is asked, and that is
    one answer instead of two.
    """
    data = options(rig.caller, rig.place.node, rig.caller.word())
    for method in ("FOO", "REGISTER", "SUBSCRIBE", "PUBLISH", "REFER", "NOTIFY"):
        rig.caller.send(data.replace("OPTIONS", method))
        assert "INVITE" in rig.hear(rig.caller, f"405 {method}").value("Allow").split(", ")
    rig.caller.send(data)
    answer = rig.hear(rig.caller, "200 OPTIONS")
    assert {"INVITE", "ACK", "CANCEL", "BYE", "OPTIONS", "MESSAGE"} <= set(answer.value("Allow").split(", "))
    assert "application/sdp" in answer.value("Accept")
    assert "100rel" in answer.value("Supported")


def test_req_023_limits_of_size(rig: Rig) -> None:
    """RFC 3261 §21.4.12; §21.5.7: what is too long is refused as such, 414 for a Request-URI and 513 for a message, and
    never cut.

    Checked: a Request-URI of 3 KiB, a header section of 20 KiB, 9000 header fields; a text of 60 KB arrives whole.
    """
    data = options(rig.caller, rig.place.node, rig.caller.word())
    long_uri = data.replace(f"OPTIONS sip:{rig.place.node}", f"OPTIONS sip:{'a' * 3000}@{rig.place.node}")
    many = "\r\n".join(f"X-{number}: {'a' * 100}" for number in range(200))
    for changed, status in (
        (long_uri, 414),
        (data.replace("\r\nContent-Length", f"\r\n{many}\r\nContent-Length"), 513),
        (data.replace("\r\nContent-Length", "\r\n" + "X:1\r\n" * 9000 + "Content-Length"), 513),
    ):
        rig.caller.send(changed.replace("z9hG4bK", f"z9hG4bK{len(changed)}"))
        assert rig.final("OPTIONS").status == status
    text = b"quite long, " * 5000
    rig.caller.send(text_for_x(rig, text))
    delivered = rig.hear(rig.callee, "MESSAGE")
    assert delivered.body == text
    rig.callee.send(rig.callee.answer(delivered, 200))
    assert rig.final("MESSAGE").status == 200


def test_req_024_spellings_of_the_number(rig: Rig) -> None:
    """RFC 3261 §19.1.4; §19.1.2; RFC 3966 §3: an escaped character of the user part is the character, parameters and
    password change nothing of whom it names, and visual separators of a tel URI are no digits.

    Checked: ten spellings of X in the Request-URI reach the callee.
    """
    x = rig.x
    host = rig.place.node
    escaped = "".join(f"%{ord(digit):02x}" for digit in x)
    for uri in (
        f"sip:{escaped}@{host}", f"SIP:{x}@{host}", f"sip:{x}@{host};user=phone", f"sip:{x}:secret@{host}",
        f"sip:+86{x}@{host}", f"sip:86{x}@{host}", f"tel:{x[:3]}-{x[3:7]}-{x[7:]};phone-context=+86", f"tel:+86{x}",
        f"sip:{x};ext=1@{host}", f"sip:{x}@EXAMPLE.invalid:9",
    ):  # fmt: skip
        call = Call(rig)
        data = call.invite().replace(f"INVITE {call.dialled} ".encode(), f"INVITE {uri} ".encode())
        sent = call.start(data=data)
        assert sent.start_line == f"INVITE sip:{rig.callee.number}@{rig.callee.sent_by} SIP/2.0", uri
        call.drop()
