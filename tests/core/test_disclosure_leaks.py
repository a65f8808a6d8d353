"""Both ends write their secrets wherever they can, in every message of a conversation: nothing of it reaches the other.

The numbers, names, tags, Call-IDs, branches and hosts that the parties always carry are looked for after every test
(conftest.py); here each end adds a word of its own wherever text may stand.
"""

from __future__ import annotations

from base64 import b64encode

import pytest

from engine.core.settings import MessageText, NumberFormat
from sipstack import headers as h
from sipstack.message import Message
from sipstack.testing.playbook import wire
from tests.core.corenode import CALL_ID, CALLEE, CALLER, NODE, A, B, CoreNode, X, with_policy, with_trunk
from tests.core.parties import SDP, Talk, answer, answered, invite, of_invite, start, talking

WORD_A = "secretofa"
WORD_B = "secretofb"


def rows(number: str, word: str, host: str) -> str:
    """Header fields of one party that must not cross, and those that cross with more in them than a number."""
    return f"""
        P-Preferred-Identity: "{word}" <sip:{number}@{host}>
        Remote-Party-ID: "{word}" <sip:{number}@{host}>;party=calling
        Diversion: <sip:{number}@{host}>;reason={word}
        History-Info: <sip:{number}@{host}?Reason=SIP%3Bcause%3D302%3Btext%3D{word}>;index=1
        Referred-By: <sip:{number}@{host}>
        Reply-To: <sip:{number}@{host}>
        Call-Info: <http://{host}/{word}>;purpose=icon
        Subject: {word} {number}
        Organization: {word}
        User-to-User: {word};encoding=hex
        P-Access-Network-Info: {word};utran-cell-id-3gpp={number}
        P-Charging-Vector: icid-value={word};orig-ioi={host}
        Session-ID: {word}
        Geolocation: <cid:{word}@{host}>
        Identity: {word};info=<https://{host}/cert>
        Reason: SIP;cause=200;text="{word} {number}"
        In-Reply-To: {word}@{host}
        X-{word}: {number}
        Session-Expires: 1800;refresher=uac;{word}={word}
        Retry-After: 5 ({word} {number});{word}={host}
        Min-SE: 90;{word}""".strip().replace("\n        ", "\n")


def description(number: str, word: str, host: str, media: str) -> str:
    """A description with a secret in every line that may hold one. `media` is the address that may cross."""
    return f"""
v=0
o={number} 2890844526 2890844526 IN IP4 {host}
s={word}
i={word} {number}
u=http://{host}/{word}
e={word}@{host} ({word})
p=+86 {number}
c=IN IP4 {media}
t=2873397496 2873404696
r=604800 3600 0 90000
z=2882844526 -1h
k=clear:{word}
a=tool:{word} 1.0
a=x-host:{host}
a=x-number:{number}
a=x-number:{number[:3]}-{number[3:7]}-{number[7:]}
m=audio 40000 RTP/AVP 8 101
i={word}
a=rtpmap:8 PCMA/8000
a=rtcp:40001 IN IP4 {host}
a=ssrc:3570614608 cname:{word}@{host}
a=source-filter: incl IN IP4 {host} {host}
a=mid:{number}
k=clear:{word}
"""


A_ROWS, B_ROWS = rows(A, WORD_A, "127.0.0.12"), rows(B, WORD_B, "127.0.0.13")
A_SDP = description(A, WORD_A, "127.0.0.12", "10.1.2.3")
B_SDP = description(B, WORD_B, "127.0.0.13", "10.9.2.3")
FORMATS = [NumberFormat.NATIONAL, NumberFormat.PLUS, NumberFormat.PREFIX86, NumberFormat.TEL]


def assert_no_word_crossed(node: CoreNode) -> None:
    for data in node.sent_to(CALLEE):
        assert WORD_A.encode() not in data, data
    for data in node.sent_to(CALLER):
        assert WORD_B.encode() not in data, data


def full_invite() -> bytes:
    return invite(extra=A_ROWS, sdp=A_SDP)


def ok(request: Message, status: int = 200, extra: str = "", sdp: str = B_SDP) -> bytes:
    return answer(request, status, extra=B_ROWS + extra, sdp=sdp)


def full_talk(node: CoreNode) -> Talk:
    """A call in which both ends have said everything that they can."""
    sent = start(node, full_invite())
    for status in (180, 183, 199):
        node.book.wire_in(ok(sent, status, "\nRSeq: 1\nRequire: 100rel"), CALLEE)
        node.book.wire_out(f"SIP/2.0 {status}", CALLER)
    node.book.wire_in(ok(sent), CALLEE)
    talk = Talk(node, sent, node.book.wire_out("SIP/2.0 200", CALLER))
    talk.from_caller("ACK", A_ROWS)
    node.book.wire_out("ACK ", CALLEE)
    return talk


def test_call_from_invite_to_bye() -> None:
    node = CoreNode()
    talk = full_talk(node)
    for method in ("INVITE", "UPDATE"):
        talk.from_caller(method, A_ROWS, sdp=A_SDP)
        provisional = [node.book.wire_out("SIP/2.0 100", CALLER)] if method == "INVITE" else []
        node.book.wire_in(ok(node.book.wire_out(f"{method} ", CALLEE)), CALLEE)
        node.book.wire_out("SIP/2.0 200", CALLER)
        if provisional:
            talk.from_caller("ACK", A_ROWS, cseq=talk.caller_seq)
            node.book.wire_out("ACK ", CALLEE)
        talk.from_callee(method, B_ROWS, sdp=B_SDP)
        if provisional:
            node.book.wire_out("SIP/2.0 100", CALLEE)
        request = node.book.wire_out(f"{method} ", CALLER)
        node.book.wire_in(answer(request, 200, extra=A_ROWS, sdp=A_SDP, contact=f"<sip:{A}@127.0.0.12:5060>"), CALLER)
        node.book.wire_out("SIP/2.0 200", CALLEE)
        if provisional:
            talk.from_callee("ACK", B_ROWS, cseq=talk.callee_seq)
            node.book.wire_out("ACK ", CALLER)
    talk.from_caller("INFO", f"{A_ROWS}\nContent-Type: application/dtmf-relay\n\nSignal=5\nDuration=160")
    node.book.wire_in(ok(node.book.wire_out("INFO ", CALLEE), sdp=""), CALLEE)
    node.book.wire_out("SIP/2.0 200", CALLER)
    talk.from_callee("BYE", B_ROWS)
    bye = node.book.wire_out("BYE ", CALLER)
    node.book.wire_in(answer(bye, 200, extra=A_ROWS), CALLER)
    node.book.wire_out("SIP/2.0 200", CALLEE)
    assert_no_word_crossed(node)


@pytest.mark.parametrize("number_format", FORMATS)
def test_every_number_format(number_format: NumberFormat) -> None:
    """The callee's trunk writes numbers in its way: its own number towards it, never the caller's."""
    node = CoreNode(with_trunk("callee-side", number_format=number_format))
    talk = talking(node, full_invite())
    talk.hang_up()
    assert_no_word_crossed(node)
    sent = node.sent_to(CALLEE)[0]
    assert B.encode() in sent and X.encode() in sent


@pytest.mark.parametrize(
    "status", [*range(300, 306), 380, *range(400, 500, 3), *range(500, 514, 2), 600, 603, 604, 607, 699]
)
def test_every_failure(status: int) -> None:
    """Reason phrase, Warning, Contact, body and all: nothing but our own status and cause."""
    node = CoreNode()
    sent = start(node, full_invite())
    node.book.wire_in(ok(sent, status, f"\nContact: <sip:{B}@127.0.0.13>;x={WORD_B}\nError-Info: <sip:{B}@x>"), CALLEE)
    node.book.wire_out("ACK ", CALLEE)
    final = node.book.wire_out("SIP/2.0 ", CALLER)
    node.book.wire_in(of_invite("ACK", final.to_tag), CALLER)
    known = {h.VIA, h.FROM, h.TO, h.CALL_ID, h.CSEQ, h.REASON, h.CONTENT_LENGTH}
    assert set(final.ids) <= known and final.body == b""
    assert_no_word_crossed(node)


@pytest.mark.parametrize("status", [302, 400, 401, 403, 407, 422, 488, 491, 500, 503, 600, 603, 699])
@pytest.mark.parametrize("method", ["INVITE", "UPDATE", "INFO"])
def test_every_failure_within_a_call(method: str, status: int) -> None:
    node = CoreNode()
    talk = talking(node, full_invite())
    talk.from_caller(method, A_ROWS, sdp="" if method == "INFO" else A_SDP)
    if method == "INVITE":
        node.book.wire_out("SIP/2.0 100", CALLER)
    request = node.book.wire_out(f"{method} ", CALLEE)
    node.book.wire_in(ok(request, status), CALLEE)
    if method == "INVITE":
        node.book.wire_out("ACK ", CALLEE)
    final = node.book.wire_out("SIP/2.0 ", CALLER)
    assert final.status >= 400 and final.body == b"" and h.CONTACT not in final.ids
    if method == "INVITE":
        talk.from_caller("ACK", cseq=talk.caller_seq, branch=f"z9hG4bK-aINVITE{talk.caller_seq}")
    if status != 481:
        talk.hang_up()
    assert_no_word_crossed(node)


def test_cancel() -> None:
    node = CoreNode()
    sent = start(node, full_invite())
    node.book.wire_in(ok(sent, 180, sdp=""), CALLEE)
    node.book.wire_out("SIP/2.0 180", CALLER)
    row = A_ROWS.replace("\n", "\r\n").encode()
    node.book.wire_in(of_invite("CANCEL").replace(b"Content-Length", row + b"\r\nContent-Length"), CALLER)
    node.book.wire_out("SIP/2.0 200", CALLER)
    cancel = node.book.wire_out("CANCEL ", CALLEE)
    final = node.book.wire_out("SIP/2.0 487", CALLER)
    node.book.wire_in(of_invite("ACK", final.to_tag), CALLER)
    node.book.wire_in(ok(cancel, 200, sdp=""), CALLEE)
    node.book.wire_in(ok(sent, 487), CALLEE)
    node.book.wire_out("ACK ", CALLEE)
    assert_no_word_crossed(node)


def full_message(sender: str, host: str, text: str, row: str) -> bytes:
    return wire(
        f"""MESSAGE sip:{X}@veil.example SIP/2.0
        Via: SIP/2.0/UDP {host}:5060;branch=z9hG4bK-{"a" if sender == A else "b"}m
        From: "{WORD_A if sender == A else WORD_B}" <sip:+86{sender}@{host}>;tag={"a-tag" if sender == A else "b-tag"}
        To: <sip:{X}@veil.example>
        Call-ID: {CALL_ID if sender == A else "b-call@127.0.0.13"}
        CSeq: 9 MESSAGE
        P-Asserted-Identity: <tel:+86{sender}>
        {row.strip()}
        Content-Type: text/plain;charset=utf-8;x={WORD_A if sender == A else WORD_B}

        {text}"""
    )


@pytest.mark.parametrize(
    ("sender", "host", "row", "far", "near"),
    [(A, "127.0.0.12", A_ROWS, CALLEE, CALLER), (B, "127.0.0.13", B_ROWS, CALLER, CALLEE)],
)
def test_message_both_ways(sender: str, host: str, row: str, far: str, near: str) -> None:
    node = CoreNode()
    node.book.wire_in(full_message(sender, host, f"我的号码 {sender[:3]}-{sender[3:7]} {sender[7:]}", row), near)
    sent = node.book.wire_out("MESSAGE ", far)
    assert sent.body.decode() == f"我的号码 {sender[:3]}-**** {sender[7:]}\r\n"
    assert sent.value(h.CONTENT_TYPE) == "text/plain;charset=UTF-8"
    node.book.wire_in(answer(sent, 200, extra=B_ROWS if sender == A else A_ROWS), far)
    final = node.book.wire_out("SIP/2.0 200", near)
    assert set(final.ids) <= {h.VIA, h.FROM, h.TO, h.CALL_ID, h.CSEQ, h.CONTENT_LENGTH}
    assert_no_word_crossed(node)


def test_passed_header_with_the_number_stops_the_attempt() -> None:
    node = CoreNode(with_trunk("callee-side", pass_headers=("X-Order",)))
    node.book.wire_in(invite(), CALLER)  # its X-Order holds the caller's number
    node.book.wire_out("SIP/2.0 100", CALLER)
    node.book.wire_out("SIP/2.0 403", CALLER)
    assert node.sent_to(CALLEE) == []
    node.assert_recorded(release_cause="LEAK_STOPPED", decided_by="disclosure")
    assert node.leaks == [(node.record["record_id"], "INVITE", "callee-side")]


@pytest.mark.parametrize(
    ("row", "line"), [("Identity: {};alg=ES256", ""), ("", "a=ice-pwd:x{}"), ("Identity: &#49;{};alg=ES256", "")]
)
def test_encoded_number_in_what_is_copied_stops_the_attempt(row: str, line: str) -> None:
    for number, crosses in ((A, False), ("13700137000", True)):
        node = CoreNode(with_trunk("callee-side", pass_headers=("Identity",)))
        coded = b64encode(number.encode()).decode() if "&" not in row else number[1:]
        node.book.wire_in(invite(extra=row.format(coded), sdp=SDP + line.format(coded)), CALLER)
        assert len(node.sent_to(CALLEE)) == crosses
        assert [leak[1:] for leak in node.leaks] == ([] if crosses else [("INVITE", "callee-side")])
        node.wait(70)
        assert (node.record["release_cause"] == "LEAK_STOPPED") is not crosses


@pytest.mark.parametrize("settings", [MessageText.MASK, MessageText.RELAY])
def test_encoded_number_in_a_text_stops_it_unless_texts_are_relayed(settings: MessageText) -> None:
    node = CoreNode(with_policy(message_text=settings))
    text = f"read {b64encode(A.encode()).decode()}"
    node.book.wire_in(full_message(A, "127.0.0.12", text, "X-Y: z"), CALLER)
    assert len(node.sent_to(CALLEE)) == (settings is MessageText.RELAY)
    assert [leak[1:] for leak in node.leaks] == ([] if settings is MessageText.RELAY else [("MESSAGE", "callee-side")])
    node.wait(70)
    assert (node.record["release_cause"] == "LEAK_STOPPED") is (settings is MessageText.MASK)


def test_passed_header_without_it_crosses() -> None:
    node = CoreNode(with_trunk("callee-side", pass_headers=("X-Trace",)))
    talk = talking(node, invite(extra="X-Trace: 42"))
    assert talk.invite.named("X-Trace") == ["42"] and talk.invite.named("X-Order") == []
    talk.hang_up()


def test_two_sides_share_no_identifier() -> None:
    """Call-ID, tags, branches, sequence numbers and session ids of the two dialogs, and what the parties chose."""
    node = CoreNode()
    talk = answered(node, message=full_invite())
    talk.from_caller("ACK")
    ack = node.book.wire_out("ACK ", CALLEE)
    towards_caller = {talk.ok.call_id, talk.ok.from_tag, talk.ok.to_tag, "z9hG4bK-a1", "1"}
    for sent in (talk.invite, ack):
        via = sent.top_via
        assert via is not None and via.sent_by == NODE
        assert not towards_caller & {sent.call_id, sent.from_tag, sent.to_tag, via.branch, str(sent.cseq)}
    ours = [message.body.split(b"\r\n")[1].split(b" ")[1] for message in (talk.invite, talk.ok)]
    assert len({*ours, b"2890844526"}) == 3
    talk.hang_up()
