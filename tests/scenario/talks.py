"""Captured conversations, made message by message."""

from __future__ import annotations

from typing import Final

from sipstack.pcap import Address, CapturedMessage
from sipstack.scenario.captured import CapturedCall, Pair, calls_of, pair_of

A, NODE, B = ("192.0.2.1", 5060), ("192.0.2.9", 5060), ("192.0.2.2", 5070)
X: Final = "700123456780001"
CALLER, CALLEE = "13800138000", "13900139000"
SDP: Final = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 8\r\n"


def message(
    start: str, cseq: str, call_id: str = "one", tags: tuple[str, str] = ("from", ""), *more: str, body: str = "",
    parties: tuple[str, str] = (CALLER, X), branch: str = "z9hG4bK-1",
) -> bytes:  # fmt: skip
    to_tag = f";tag={tags[1]}" if tags[1] else ""
    rows = [
        start, f"Via: SIP/2.0/UDP 192.0.2.1:5060;branch={branch};rport",
        f"From: <sip:{parties[0]}@192.0.2.1>;tag={tags[0]}",
        f"To: <sip:{parties[1]}@veil.example>{to_tag}", f"Call-ID: {call_id}", f"CSeq: {cseq}", *more,
        f"Content-Length: {len(body)}",
    ]  # fmt: skip
    return ("\r\n".join(rows) + "\r\n\r\n" + body).encode("latin-1")


class Talk:
    """Messages in a row, a tenth of a second apart."""

    def __init__(self) -> None:
        self.said: list[CapturedMessage] = []
        self.at_s = 1000.0

    def __call__(self, source: Address, destination: Address, data: bytes, after_s: float = 0.1) -> Talk:
        self.at_s += after_s
        self.said.append(CapturedMessage(self.at_s, "UDP", source, destination, data))
        return self

    @property
    def calls(self) -> list[CapturedCall]:
        return calls_of(self.said)

    @property
    def pair(self) -> Pair:
        (call,) = self.calls
        made = pair_of(call)
        assert made is not None
        return made


INVITE: Final = f"INVITE sip:{X}@veil.example SIP/2.0"


def answered(talk: Talk | None = None, call_id: str = "one", ends: tuple[Address, Address] = (A, NODE)) -> Talk:
    """A short call of one leg."""
    talk = talk or Talk()
    here, there = ends
    contact = "Contact: <sip:x@192.0.2.9:5060>"
    talk(here, there, message(INVITE, "7 INVITE", call_id, ("a", ""), "Contact: <sip:a@10.1.1.1:9>", body=SDP))
    talk(there, here, message("SIP/2.0 100 Trying", "7 INVITE", call_id, ("a", "")))
    talk(there, here, message("SIP/2.0 200 OK", "7 INVITE", call_id, ("a", "b"), contact, body=SDP))
    talk(here, there, message("ACK sip:x@192.0.2.9:5060 SIP/2.0", "7 ACK", call_id, ("a", "b"), branch="z9hG4bK-2"))
    talk(here, there, message("BYE sip:x@192.0.2.9:5060 SIP/2.0", "8 BYE", call_id, ("a", "b"), branch="z9hG4bK-3"), 2)
    return talk(there, here, message("SIP/2.0 200 OK", "8 BYE", call_id, ("a", "b"), branch="z9hG4bK-3"))
