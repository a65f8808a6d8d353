"""Octets that nobody would write: read or refused, never passed on as they came, and nothing of the sender in them."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from sipstack.parser import parse
from tests.core.corenode import CALLEE, CALLER, CENTRE_A, A, B, CoreNode, X
from tests.core.parties import answer
from tests.core.sms import (
    DELIVER_REPORT,
    GATEWAY_A,
    SUBMITTED,
    bcd,
    deliver,
    reference_of,
    report,
    rp_ack,
    rp_data,
    rp_error,
    septets,
    sms,
    status_report,
    submit,
    submitted,
    ucs2,
)

VALID = [
    rp_data(submit(text=f"call {A}"), True),
    rp_data(bytes((0x21, 77, 15, 0xA1)) + bcd(X) + b"\0\x08" + ucs2(f"call {A}"), True),
    rp_data(deliver(), False),
    rp_data(status_report(A), False),
]
REPORTS = [rp_ack(0, False), rp_ack(0, False, b"\x01\x06" + bytes(7) + b"\0" + b"\x05" + septets("hello")),
           rp_ack(0, True, DELIVER_REPORT), rp_error(0, False)]  # fmt: skip

# The sender's number, and its centre's, as octets: from the first digit of a pair, and from the second.
HIDDEN = [bcd(A)[:5], bcd(A[1:]), bcd(CENTRE_A)[:5], septets(A)[:9], A.encode(), A.encode("utf-16-be")]


@st.composite
def changed(draw: st.DrawFn, bodies: list[bytes]) -> bytes:
    """A body in which some octets are others, are missing, or are more."""
    body = bytearray(draw(st.sampled_from(bodies)))
    for _ in range(draw(st.integers(0, 4))):
        place = draw(st.integers(0, len(body) - 1))
        body[place : place + draw(st.integers(0, 2))] = draw(st.binary(max_size=3))
        if not body:
            break
    return bytes(body)


def assert_nothing_of_the_sender(node: CoreNode) -> None:
    for data in node.sent_to(CALLEE):
        body = parse(data).body
        for hidden in HIDDEN:
            assert hidden not in body, (hidden, body)


@settings(max_examples=400)
@given(changed(VALID), st.booleans())
def test_rp_data_that_was_tampered_with(body: bytes, to_centre: bool) -> None:
    node = CoreNode()
    CoreNode.made.remove(node)
    if to_centre:
        data = sms(f"sip:{CENTRE_A}@core.example", f"sip:{A}@core.example", body, CALLER, "1-4711@a", SUBMITTED)
    else:
        data = sms(f"sip:{X}@veil.example", GATEWAY_A, body, CALLER, "1-4711@a", SUBMITTED)
    node.book.wire_in(data, CALLER)
    first = parse(node.book.sent.popleft().data)
    if first.is_request:
        assert_nothing_of_the_sender(node)
        node.book.wire_in(answer(first, 202), CALLEE)
        node.book.wire_out("SIP/2.0 202", CALLER)
    else:
        assert first.status >= 400
        assert node.sent_to(CALLEE) == []
    node.book.silence()
    node.assert_rests()


@settings(max_examples=300)
@given(changed(REPORTS))
def test_report_that_was_tampered_with(body: bytes) -> None:
    node = CoreNode()
    CoreNode.made.remove(node)
    node.book.wire_in(submitted(), CALLER)
    sent = node.book.wire_out("MESSAGE ", CALLEE)
    node.book.wire_in(answer(sent, 202), CALLEE)
    node.book.wire_out("SIP/2.0 202", CALLER)
    rp = body[:1] + bytes((reference_of(sent),)) + body[2:]
    node.book.wire_in(report(rp, sent), CALLEE)
    ok = node.book.wire_out("SIP/2.0 ", CALLEE)
    if ok.status == 202:
        relayed = node.book.wire_out("MESSAGE ", CALLER)
        assert relayed.body[1] == 9
        assert bcd(B)[:5] not in relayed.body
        node.book.wire_in(answer(relayed, 200, "a-tag", who=A), CALLER)
    node.book.silence()
    node.assert_rests()
