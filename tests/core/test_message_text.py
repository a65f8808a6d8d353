"""What a message may say, and what it may not."""

from __future__ import annotations

import pytest

from engine.core.settings import MessageText
from sipstack import headers as h
from tests.core.corenode import CALLEE, CALLER, A, B, CoreNode, with_policy, with_trunk
from tests.core.parties import answer, message, refused, send


def delivered(node: CoreNode, text: str, kind: str = "text/plain;charset=UTF-8") -> str:
    sent = send(node, message(text, kind))
    node.book.wire_in(answer(sent, 200), CALLEE)
    node.book.wire_out("SIP/2.0 200", CALLER)
    return sent.body.decode().removesuffix("\r\n")


@pytest.mark.parametrize(
    ("text", "arrives"),
    [
        (f"call me: {A}", "call me: 138****8000"),
        ("call me: 138-0013-8000!", "call me: 138-****-8000!"),
        ("我的电话+8613800138000", "我的电话+86138****8000"),
        ("138 0013 8000 or 700123456780001", "138 **** 8000 or 700123456780001"),
        ("nothing to see 12345", "nothing to see 12345"),
    ],
)
def test_own_number_is_masked(text: str, arrives: str) -> None:
    assert delivered(CoreNode(), text) == arrives


def test_the_receivers_own_number_is_no_secret_to_it() -> None:
    assert delivered(CoreNode(), f"are you {B}?") == f"are you {B}?"


def test_relay_lets_the_sender_tell_his_own_number() -> None:
    """`message_text = "relay"`: what he writes of himself is his to tell (contract §4)."""
    node = CoreNode(with_policy(message_text=MessageText.RELAY))
    sent = send(node, message(f"call {A}"))
    assert sent.body == f"call {A}\r\n".encode()
    node.echoes.add(sent.to_bytes())
    assert A not in str(sent.lines)
    node.book.wire_in(answer(sent, 200), CALLEE)
    node.book.wire_out("SIP/2.0 200", CALLER)


def test_relay_is_of_the_text_alone() -> None:
    settings = with_policy(with_trunk("callee-side", pass_headers=("X-Note",)), message_text=MessageText.RELAY)
    node = CoreNode(settings)
    node.book.wire_in(message(rows=f"X-Note: {A}"), CALLER)
    refused(node, 403, 21)
    node.assert_recorded(release_cause="LEAK_STOPPED", decided_by="disclosure", attempts=())
    assert node.leaks == [(node.record["record_id"], "MESSAGE", "callee-side")]
    assert node.counters["leaks_stopped"] == 1
    assert node.sent_to(CALLEE) == []


@pytest.mark.parametrize(
    "kind",
    [
        "application/vnd.3gpp.sms", "message/cpim", "image/png", "text/html", "multipart/mixed;boundary=x",
        "text/plain;charset=utf-16", "text/plain;\tcharset=utf-16", "text/plain;charset=ebcdic-cp-us",
    ],
)  # fmt: skip
def test_what_cannot_be_looked_into_is_stopped(kind: str) -> None:
    node = CoreNode()
    node.book.wire_in(message("hello", kind), CALLER)
    refused(node, 403, 21)
    node.assert_recorded(
        release_cause="LEAK_STOPPED", decided_by="body", sip_status=403, q850=21, release_direction="platform",
        attempts=(), callee=B, call_out_time=None,
    )  # fmt: skip
    assert node.sent_to(CALLEE) == []


def test_encoded_text_is_stopped() -> None:
    node = CoreNode()
    node.book.wire_in(message(rows="Content-Encoding: gzip"), CALLER)
    refused(node, 403, 21)
    assert node.record["release_cause"] == "LEAK_STOPPED"


def test_header_that_would_tell_is_stopped() -> None:
    node = CoreNode(with_trunk("callee-side", pass_headers=("X-Note",)))
    node.book.wire_in(message(rows=f"X-Note: {A}"), CALLER)
    refused(node, 403, 21)
    assert node.record["decided_by"] == "disclosure"
    assert node.sent_to(CALLEE) == []


def test_message_without_a_body_says_nothing_so_it_tells_nothing() -> None:
    node = CoreNode()
    data = message().partition(b"\r\n\r\n")[0]
    head = b"\r\n".join(row for row in data.split(b"\r\n") if not row.startswith(b"Content-")) + b"\r\n\r\n"
    sent = send(node, head)
    assert not sent.body and sent.value(h.CONTENT_TYPE) is None
    node.book.wire_in(answer(sent, 200), CALLEE)
    node.book.wire_out("SIP/2.0 200", CALLER)
    assert node.record["octets"] == 0


@pytest.mark.parametrize(
    ("written", "sent_as"), [("text/plain", "text/plain"), ("TEXT/PLAIN; Charset=gbk", "text/plain;charset=GBK")]
)
def test_type_is_written_anew(written: str, sent_as: str) -> None:
    node = CoreNode()
    sent = send(node, message("hello", written))
    assert sent.value(h.CONTENT_TYPE) == sent_as
    node.book.wire_in(answer(sent, 200), CALLEE)
    node.book.wire_out("SIP/2.0 200", CALLER)
