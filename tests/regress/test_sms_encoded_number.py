"""A short message was searched for the number as it is read, and not in an encoding, as any other text is."""

from __future__ import annotations

from base64 import b64encode

import pytest

from tests.core.corenode import CALLEE, CALLER, A, CoreNode
from tests.core.parties import answer
from tests.core.sms import gsm7, reference_of, report, rp_ack, submit, submitted, ucs2

ENCODED = [b64encode(A.encode()).decode(), A.encode().hex(), f"&#{ord(A[0])};{A[1:]}"]


@pytest.mark.parametrize("text", ENCODED)
@pytest.mark.parametrize("alphabet", ["gsm7", "ucs2"])
def test_an_encoded_number_is_stopped(text: str, alphabet: str) -> None:
    node = CoreNode()
    tpdu = submit(text=text)
    if alphabet == "ucs2":
        tpdu = tpdu.removesuffix(b"\0" + gsm7(text)) + b"\x08" + ucs2(text)
    node.book.wire_in(submitted(tpdu), CALLER)
    node.book.wire_out("SIP/2.0 403", CALLER)
    assert node.sent_to(CALLEE) == [] and len(node.leaks) == 1


def test_a_text_in_the_other_order_of_octets_is_refused() -> None:
    """UCS2 has its high octet first; phones turn what begins with a mark of the other order, and read digits in it."""
    node = CoreNode()
    text = "\ufeff１３８００１３８０００".encode("utf-16-le")
    tpdu = submit(text="").removesuffix(b"\0\0") + b"\x08" + bytes((len(text),)) + text
    node.book.wire_in(submitted(tpdu), CALLER)
    node.book.wire_out("SIP/2.0 403", CALLER)
    assert node.sent_to(CALLEE) == []


def test_another_one_crosses() -> None:
    node = CoreNode()
    node.book.wire_in(submitted(submit(text=b64encode(b"nobody's number").decode())), CALLER)
    sent = node.book.wire_out("MESSAGE ", CALLEE)
    node.book.wire_in(answer(sent, 202), CALLEE)
    node.book.wire_out("SIP/2.0 202", CALLER)
    node.book.wire_in(report(rp_ack(reference_of(sent), False), sent), CALLEE)
    node.book.wire_out("SIP/2.0 202", CALLEE)
    node.book.wire_out("MESSAGE ", CALLER)
    node.transport_fails(CALLER)
