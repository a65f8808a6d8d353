"""What a captured call says in RAck is numbers, or nothing that a scenario has."""

from __future__ import annotations

import pytest

from sipstack.pcap import CapturedMessage
from sipstack.scenario.captured import MOST_NUMBERS, calls_of, pair_of

ENDS = ("192.0.2.1", 5060), ("192.0.2.2", 5060)


def message(start: str, *rows: str, body: str = "") -> CapturedMessage:
    text = "\r\n".join(
        (start, "Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKa", "Call-ID: c", "From: <sip:a@h>;tag=a", *rows)
    )
    return CapturedMessage(1.0, "UDP", *ENDS, f"{text}\r\n\r\n{body}".encode())


@pytest.mark.parametrize("rack", ["]]></send><nop/><send><![CDATA[ 1 INVITE", f"1 {'9' * 5000} INVITE", "1 1"])
def test_a_rack_that_is_none(rack: str) -> None:
    calls = calls_of([
        message("INVITE sip:b@h SIP/2.0", "To: <sip:b@h>", "CSeq: 1 INVITE"),
        message("PRACK sip:b@h SIP/2.0", "To: <sip:b@h>;tag=b", "CSeq: 2 PRACK", f"RAck: {rack}"),
    ])  # fmt: skip
    pair = pair_of(calls[0])
    assert pair is not None
    assert "RAck" not in pair.uac and "<nop/>" not in pair.uac


def test_more_numbers_than_there_are_marks_for() -> None:
    texts = "\r\n".join(str(13_000_000_000 + number) for number in range(MOST_NUMBERS))
    call = calls_of([message("MESSAGE sip:b@h SIP/2.0", "To: <sip:b@h>", "CSeq: 1 MESSAGE", body=texts)])[0]
    pair = pair_of(call)
    assert pair is not None
    assert f"[field{MOST_NUMBERS - 1}]" in pair.uac and "1300000" not in pair.uac
    more = message("MESSAGE sip:b@h SIP/2.0", "To: <sip:b@h>", "CSeq: 1 MESSAGE", body=f"{texts}\r\n13900139000")
    assert pair_of(calls_of([more])[0]) is None
