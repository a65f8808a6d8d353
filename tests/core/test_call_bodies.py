"""Bodies of calls and messages in conversation: a number in each kind of line and part, from either side.

What each node has sent is searched when its test ends (conftest.py): nothing of one side may stand in what the other
got.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from sipstack import headers as h
from sipstack.message import Message
from sipstack.parser import parse
from tests.core.corenode import CALLEE, CALLER, A, B, CoreNode
from tests.core.parties import (
    B_SDP,
    SDP,
    Talk,
    answer,
    answered,
    invite,
    message,
    refused,
    sdp_of,
    send,
    start,
    talking,
)

VECTORS = Path(__file__).parents[1] / "vectors"
HOSTS = {A: "127.0.0.12", B: "127.0.0.13"}
OPTIONAL = "Content-Disposition: signal;handling=optional"

# {n} is the number of whoever speaks, {h} its host. Each crosses without them, or not at all.
LINES = [
    "i={n}",
    "u=http://{h}/{n}",
    "e={n}@{h}",
    "p=+86 {n}",
    "k=clear:{n}",
    "z={n} 1h",
    "b=X-{n}:1",
    "b=AS:{n}",
    "a=tool:{n}",
    "a=keywds:{n}",
    "a=x-{n}",
    "a=x:{n}",
    "a=x:{h}",
    "a=x:sip:{n}@{h}",
    "a=ssrc:1 cname:{n}@{h}",
    "a=ssrc:1 msid:{n} {h}",
    "a=msid:{n} {h}",
    "a=msid-semantic: WMS {n}",
    "a=label:{n}",
    "a=mid:{n}",
    "a=rid:{n} send",
    "a=rtcp:40001 IN IP4 {h}",
    "a=rtpmap:96 {n}/8000",
    "a=fmtp:96 x={n}",
    "a=fmtp:96 x={h}",
    "a=extmap:1 urn:{n}",
    "a=candidate:{n} 1 udp 1 10.0.0.1 9 typ host",
    "a=candidate:1 1 udp 1 {n}.local 9 typ host",
    "a=candidate:1 1 udp 1 10.0.0.1 9 typ srflx raddr {h} rport 9 ufrag {n}",
    "a=remote-candidates:1 {h}.x 9",
    "a=source-filter: incl IN IP4 * {h}",
    "a=key-mgmt:mikey {n}",
    "a=cs-correlation:callerid:+86{n}",
    "a=identity:{n}",
    "a=path:msrp://{h}:7394/{n};tcp",
    "a=max-message-size:{n}",
]


def filled(line: str, who: str) -> str:
    return line.replace("{n}", who).replace("{h}", HOSTS[who])


def parts(kind: str, *bodies: str, rows: str = "") -> str:
    """Rows and body of a message, for `wire`: each of `bodies` is the head of a part, an empty line, and the part."""
    text = "".join(f"--bound\n{body.strip()}\n" for body in bodies)
    return f"{rows}Content-Type: multipart/{kind};boundary=bound\n\n{text}--bound--"


def sdp_part(sdp: str) -> str:
    return f"Content-Type: application/sdp\n\n{sdp.strip()}"


def isup(who: str) -> str:
    return f"Content-Type: application/isup;version=itu-t92+\n{OPTIONAL}\nX-Calling: {who}\n\ncalling {who}"


def described(sent: Message, address: str) -> None:
    assert sent.value(h.CONTENT_TYPE) == "application/sdp" and sent.value(h.CONTENT_DISPOSITION) is None
    assert sdp_of(sent)["c"] == f"IN IP4 {address}" and b"--bound" not in sent.to_bytes()


@pytest.mark.parametrize("line", LINES)
def test_line_of_a_description(line: str) -> None:
    """In the INVITE, the 183, the 200, and re-INVITEs of both sides."""
    node = CoreNode()
    sdp, b_sdp = SDP + filled(line, A), B_SDP + filled(line, B)
    sent = start(node, invite(sdp=sdp))
    for status in (183, 200):
        node.book.wire_in(answer(sent, status, sdp=b_sdp), CALLEE)
        response = node.book.wire_out(f"SIP/2.0 {status}", CALLER)
        described(response, "10.9.2.3")
    talk = Talk(node, sent, response)
    talk.from_caller("ACK")
    node.book.wire_out("ACK ", CALLEE)
    for speak, ours, theirs, to, back in (
        (talk.from_caller, sdp, b_sdp, CALLEE, CALLER),
        (talk.from_callee, b_sdp, sdp, CALLER, CALLEE),
    ):
        speak("UPDATE", sdp=ours)
        update = node.book.wire_out("UPDATE ", to)
        contact = f"<sip:{A}@{CALLER}>" if to == CALLER else ""
        node.book.wire_in(answer(update, 200, sdp=theirs, contact=contact, who=A if to == CALLER else B), to)
        described(node.book.wire_out("SIP/2.0 200", back), "10.1.2.3" if to == CALLER else "10.9.2.3")
    talk.hang_up()


@pytest.mark.parametrize("line", ["a=ice-pwd:{n}", "a=crypto:1 AES inline:{n}", "a=tls-id:{n}", "a=fmtp:96 config={n}"])
def test_number_where_long_rows_of_digits_belong_is_stopped(line: str) -> None:
    node = CoreNode()
    node.book.wire_in(invite(sdp=SDP + filled(line, A)), CALLER)
    node.book.wire_out("SIP/2.0 100", CALLER)
    refused(node, 403, 21)
    node.assert_recorded(release_cause="LEAK_STOPPED", decided_by="disclosure")


@pytest.mark.parametrize("kind", ["mixed", "related", "alternative"])
def test_several_parts_in_an_invite_and_its_answers(kind: str) -> None:
    """SIP-I: the description crosses alone; what names the caller and may be dropped is dropped."""
    node = CoreNode()
    sent = start(node, invite(sdp="", extra=parts(kind, isup(A), sdp_part(SDP))))
    described(sent, "10.1.2.3")
    for status in (183, 200):
        node.book.wire_in(answer(sent, status, extra=parts(kind, sdp_part(B_SDP), isup(B))), CALLEE)
        response = node.book.wire_out(f"SIP/2.0 {status}", CALLER)
        described(response, "10.9.2.3")
    talk = Talk(node, sent, response)
    talk.from_caller("ACK")
    node.book.wire_out("ACK ", CALLEE)
    talk.hang_up()


@pytest.mark.parametrize("method", ["UPDATE", "INVITE"])
def test_several_parts_in_the_conversation(method: str) -> None:
    node = CoreNode()
    talk = talking(node)
    talk.from_callee(method, extra=parts("mixed", isup(B), sdp_part(B_SDP)))
    if method == "INVITE":
        node.book.wire_out("SIP/2.0 100", CALLEE)
    sent = node.book.wire_out(f"{method} ", CALLER)
    described(sent, "10.9.2.3")
    body = parts("mixed", sdp_part(SDP), isup(A))
    node.book.wire_in(answer(sent, 200, extra=body, contact=f"<sip:{A}@{CALLER}>", who=A), CALLER)
    described(node.book.wire_out("SIP/2.0 200", CALLEE), "10.1.2.3")
    if method == "INVITE":
        talk.from_callee("ACK")
        node.book.wire_out("ACK ", CALLER)
    talk.hang_up()


def test_several_parts_in_an_ack() -> None:
    node = CoreNode()
    sent = start(node, invite(sdp=""))
    node.book.wire_in(answer(sent, 200, sdp=B_SDP), CALLEE)
    talk = Talk(node, sent, node.book.wire_out("SIP/2.0 200", CALLER))
    talk.from_caller("ACK", extra=parts("mixed", sdp_part(SDP), isup(A)))
    described(node.book.wire_out("ACK ", CALLEE), "10.1.2.3")
    talk.hang_up()


def test_several_parts_in_an_info() -> None:
    node = CoreNode()
    talk = talking(node)
    talk.from_caller("INFO", extra=parts("mixed", "Content-Type: application/dtmf-relay\n\nSignal=5", isup(A)))
    sent = node.book.wire_out("INFO ", CALLEE)
    assert (sent.value(h.CONTENT_TYPE), sent.body) == ("application/dtmf-relay", b"Signal=5\r\n")
    node.book.wire_in(answer(sent, 200), CALLEE)
    node.book.wire_out("SIP/2.0 200", CALLER)
    talk.hang_up()


@pytest.mark.parametrize(
    "body",
    [
        parts("mixed", sdp_part(SDP), isup(A).replace("optional", "required")),
        parts("mixed", sdp_part(SDP), isup(A).replace(f"{OPTIONAL}\n", "")),
        parts("mixed", sdp_part(SDP), sdp_part(SDP)),
        parts("mixed", sdp_part(SDP)).replace(";boundary=bound", ""),
        parts("mixed", sdp_part(SDP)).removesuffix("--"),
        f"Content-Type: application/isup\n\ncalling {A}",
        f"Content-Type: application/sdp\nContent-Disposition: early-session\n\n{SDP.strip()}",
    ],
)
def test_what_must_be_read_and_is_not_ends_the_attempt(body: str) -> None:
    node = CoreNode()
    node.book.wire_in(invite(sdp="", extra=body), CALLER)
    node.book.wire_out("SIP/2.0 100", CALLER)
    refused(node, 403, 21)
    node.assert_recorded(release_cause="LEAK_STOPPED", decided_by="disclosure", attempts=())
    assert node.sent_to(CALLEE) == []


def test_a_single_body_that_may_be_left_unread_is() -> None:
    node = CoreNode()
    sent = start(node, invite(sdp="", extra=f"Content-Type: application/isup\n{OPTIONAL}\n\ncalling {A}"))
    assert not sent.body and sent.value(h.CONTENT_TYPE) is None
    node.book.wire_in(answer(sent, 486), CALLEE)
    node.book.wire_out("ACK ", CALLEE)
    refused(node, 486, 17)


@pytest.mark.parametrize(("status", "broken"), [(415, "image/png"), (400, "multipart/mixed")])
def test_in_the_conversation_the_request_is_refused(status: int, broken: str) -> None:
    node = CoreNode()
    talk = talking(node)
    for method in ("UPDATE", "INFO"):
        talk.from_caller(method, extra=f"Content-Type: {broken}\n\n{A}")
        node.book.wire_out(f"SIP/2.0 {status}", CALLER)
    node.book.silence()
    talk.hang_up()


def test_an_answer_that_cannot_be_read_is_released() -> None:
    node = CoreNode()
    sent = start(node)
    node.book.wire_in(
        answer(sent, 200, extra=parts("mixed", sdp_part(B_SDP), isup(B).replace("optional", "x"))), CALLEE
    )
    node.book.wire_out("ACK ", CALLEE)
    bye = node.book.wire_out("BYE ", CALLEE)
    refused(node, 403, 21)
    node.book.wire_in(answer(bye, 200), CALLEE)


# -- messages ----------------------------------------------------------------------------------------------------------


def of_parts(kind: str, *bodies: str) -> bytes:
    text = "".join(f"--bound\n{body}\n" for body in bodies)
    return message(f"{text}--bound--", f"multipart/{kind};boundary=bound")


def of_the_torture_message() -> bytes:
    """RFC 4475 §3.1.1.11: a text, and octets that must be read since nothing else is said of them."""
    torture = parse((VECTORS / "rfc4475/mpart01.dat").read_bytes())
    sent = parse(message(kind=torture.value(h.CONTENT_TYPE) or "", rows="Content-Transfer-Encoding: binary"))
    sent.body = torture.body
    return sent.to_bytes()


PICTURE = f"Content-Type: image/png\n{OPTIONAL};filename={A}\n\n{A}"


@pytest.mark.parametrize(
    ("data", "kind", "body"),
    [
        (of_parts("mixed", f"Content-Type: text/plain;x={A}\n\ncall {A}", PICTURE), "text/plain", b"call 138****8000"),
        (
            of_parts("alternative", f"\ncall {A}", f"Content-Type: text/html\n\n<b>{A}</b>"),
            "text/plain",
            b"call 138****8000",
        ),
        (
            of_parts("mixed", f"\n{A}", "Content-Type: text/plain;charset=gbk\n\n", PICTURE),
            "multipart/mixed;boundary=boundary-of-parts",
            b"--boundary-of-parts\r\nContent-Type: text/plain\r\n\r\n138****8000\r\n"
            b"--boundary-of-parts\r\nContent-Type: text/plain;charset=GBK\r\n\r\n\r\n--boundary-of-parts--\r\n",
        ),
    ],
)
def test_message_of_several_parts(data: bytes, kind: str, body: bytes) -> None:
    node = CoreNode()
    sent = send(node, data)
    assert (sent.value(h.CONTENT_TYPE), sent.body) == (kind, body)
    node.book.wire_in(answer(sent, 200), CALLEE)
    node.book.wire_out("SIP/2.0 200", CALLER)


@pytest.mark.parametrize(
    "data",
    [
        of_parts("mixed", "\nhello", f"Content-Type: message/cpim\n\n{A}"),
        of_parts("mixed", PICTURE),
        message("hello", "multipart/mixed"),
        of_the_torture_message(),
    ],
)
def test_message_that_cannot_be_read(data: bytes) -> None:
    node = CoreNode()
    node.book.wire_in(data, CALLER)
    refused(node, 403, 21)
    node.assert_recorded(release_cause="LEAK_STOPPED", decided_by="body")
    assert node.sent_to(CALLEE) == []


def test_answered_call_of_these_tests_is_one() -> None:
    """The parties here do talk: what is asserted above is not asserted of silence."""
    node = CoreNode()
    talk = answered(node)
    described(talk.ok, "10.9.2.3")
    described(parse(node.sent_to(CALLEE)[0]), "10.1.2.3")
    talk.from_caller("ACK")
    node.book.wire_out("ACK ", CALLEE)
    talk.hang_up()
