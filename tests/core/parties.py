"""What the caller and the callee say to the node, and how a conversation comes about."""

from __future__ import annotations

from dataclasses import dataclass

from sipstack import headers as h
from sipstack.message import Message
from sipstack.testing.playbook import wire
from tests.core.corenode import CALL_ID, CALLEE, CALLER, A, B, CoreNode, X

SDP = """
v=0
o=13800138000 2890844526 2890844526 IN IP4 127.0.0.12
s=Zhang San
c=IN IP4 10.1.2.3
t=0 0
m=audio 40000 RTP/AVP 8 101
a=rtpmap:8 PCMA/8000
"""
TEXT = "快递到了,请开门"
B_SDP = SDP.replace(A, B).replace("127.0.0.12", "127.0.0.13").replace("Zhang San", "Li Si").replace("10.1", "10.9")


def sdp_of(message: Message) -> dict[str, str]:
    """The lines of a description that are there once, by their letter."""
    return {line[:1]: line[2:] for line in message.body.decode().split("\r\n") if line}


def body_of(extra: str, sdp: str) -> str:
    """The tail of a message for `wire`: header rows, and behind them a description."""
    extra = extra.strip("\n")
    rows = f"{extra}\n" if extra else ""
    return f"{rows}Content-Type: application/sdp\n\n{sdp.strip()}" if sdp else rows.rstrip("\n")


def invite(
    called: str = X, caller: str = A, branch: str = "z9hG4bK-a1", extra: str = "", sdp: str = SDP, tag: str = "a-tag"
) -> bytes:
    """The caller's INVITE of reference example-call.md, shortened."""
    return wire(
        f"""INVITE sip:{called}@veil.example;user=phone SIP/2.0
        Via: SIP/2.0/UDP 127.0.0.12:5060;branch={branch};rport
        Max-Forwards: 70
        From: "Zhang San" <sip:+86{caller}@core.example>;tag={tag}
        To: <sip:{called}@veil.example>
        Call-ID: {CALL_ID}
        CSeq: 1 INVITE
        Contact: <sip:{caller}@127.0.0.12:5060>
        P-Asserted-Identity: <sip:+86{caller}@core.example>, <tel:+86{caller}>
        Diversion: <sip:{caller}@core.example>;reason=unknown
        Supported: 100rel, timer, replaces, histinfo
        User-Agent: ExamplePhone/1.0 {caller}
        X-Order: {caller}
        {body_of(extra, sdp)}"""
    )


def of_invite(method: str, to_tag: str = "", branch: str = "z9hG4bK-a1") -> bytes:
    """The caller's CANCEL, or its ACK for a refusal: both belong to the transaction of its INVITE."""
    return wire(
        f"""{method} sip:{X}@veil.example;user=phone SIP/2.0
        Via: SIP/2.0/UDP 127.0.0.12:5060;branch={branch};rport
        Max-Forwards: 70
        From: "Zhang San" <sip:+86{A}@core.example>;tag=a-tag
        To: <sip:{X}@veil.example>{f";tag={to_tag}" if to_tag else ""}
        Call-ID: {CALL_ID}
        CSeq: 1 {method}"""
    )


def answer(
    request: Message, status: int, tag: str = "b-tag", extra: str = "", sdp: str = "", contact: str = "", who: str = B
) -> bytes:
    """The response of a party to a request that the node sent it."""
    tagged = "" if request.to_tag or status == 100 else f";tag={tag}"
    rows = "\n".join(f"Via: {value}" for value in request.values(h.VIA))
    return wire(
        f"""SIP/2.0 {status} Whatever {who}
        {rows}
        From: {request.value(h.FROM)}
        To: {request.value(h.TO)}{tagged}
        Call-ID: {request.call_id}
        CSeq: {request.cseq} {request.method}
        Contact: {contact or f"<sip:{B}@127.0.0.13:5060>"}
        P-Asserted-Identity: "Li Si" <tel:+86{B}>
        Warning: 399 127.0.0.13 "number {who}"
        Server: ExampleCore {who}
        {body_of(extra, sdp)}"""
    )


# -- how a conversation comes about ------------------------------------------------------------------------------------


def start(node: CoreNode, message: bytes = b"", to: str = CALLEE) -> Message:
    """INVITE in, 100 out, and the node's INVITE, which is returned."""
    node.book.wire_in(message or invite(), CALLER)
    node.book.wire_out("SIP/2.0 100", CALLER)
    return node.book.wire_out("INVITE ", to)


def trying(node: CoreNode, sent: Message, source: str = CALLEE) -> None:
    """The callee's 100: the node repeats its INVITE no more."""
    node.book.wire_in(answer(sent, 100), source)


def ring(node: CoreNode, sent: Message, status: int = 180, tag: str = "b-tag", extra: str = "") -> Message:
    """The callee rings; returns what the caller gets."""
    node.book.wire_in(answer(sent, status, tag, extra), CALLEE)
    return node.book.wire_out(f"SIP/2.0 {status}", CALLER)


def refused(node: CoreNode, status: int, q850: int) -> Message:
    """The caller's final response, with its Q.850 cause and nothing of anybody; the caller acknowledges it."""
    response = node.book.wire_out(f"SIP/2.0 {status} ", CALLER)
    assert response.values(h.REASON) == [f"Q.850;cause={q850}"]
    allowed = {h.VIA, h.FROM, h.TO, h.CALL_ID, h.CSEQ, h.REASON, h.CONTENT_LENGTH, h.RETRY_AFTER}
    assert set(response.ids) <= allowed and not response.body
    if response.method == "INVITE":
        node.book.wire_in(of_invite("ACK", response.to_tag), CALLER)
    node.book.silence()
    return response


def target_of(message: Message) -> str:
    """The URI in its Contact, "" when it has none."""
    return (message.value(h.CONTACT) or "").partition(">")[0].strip("<")


@dataclass
class Talk:
    """A conversation that stands, and what its two ends say within it. Each numbers its own requests."""

    node: CoreNode
    invite: Message  # the node's
    ok: Message  # the response that made the caller's dialog
    tag: str = "b-tag"
    caller_seq: int = 1
    callee_seq: int = 100

    def from_caller(
        self, method: str, extra: str = "", sdp: str = "", cseq: int = 0, branch: str = "", source: str = CALLER
    ) -> None:
        """A request of the caller; its ACK has the number of its first INVITE unless `cseq` says another."""
        if method not in ("ACK", "CANCEL"):
            self.caller_seq += 1
        number = cseq or (1 if method == "ACK" else self.caller_seq)
        contact = (
            f"Contact: <sip:{A}@127.0.0.12:5060>\n" if method in ("INVITE", "UPDATE") and "Contact" not in extra else ""
        )
        self.node.book.wire_in(
            wire(
                f"""{method} {target_of(self.ok)} SIP/2.0
                Via: SIP/2.0/UDP 127.0.0.12:5060;branch={branch or f"z9hG4bK-a{method}{number}"};rport
                Max-Forwards: 70
                From: {self.ok.value(h.FROM)}
                To: {self.ok.value(h.TO)}
                Call-ID: {self.ok.call_id}
                CSeq: {number} {method}
                User-Agent: ExamplePhone/1.0 {A}
                {body_of(contact + extra, sdp)}"""
            ),
            source,
        )

    def from_callee(
        self, method: str, extra: str = "", sdp: str = "", cseq: int = 0, branch: str = "", source: str = CALLEE
    ) -> None:
        """A request of the callee."""
        if method not in ("ACK", "CANCEL"):
            self.callee_seq += 1
        number = cseq or self.callee_seq
        contact = (
            f"Contact: <sip:{B}@127.0.0.13:5060>\n" if method in ("INVITE", "UPDATE") and "Contact" not in extra else ""
        )
        self.node.book.wire_in(
            wire(
                f"""{method} {target_of(self.invite)} SIP/2.0
                Via: SIP/2.0/UDP 127.0.0.13:5060;branch={branch or f"z9hG4bK-b{method}{number}"};rport
                Max-Forwards: 70
                From: {self.invite.value(h.TO)};tag={self.tag}
                To: {self.invite.value(h.FROM)}
                Call-ID: {self.invite.call_id}
                CSeq: {number} {method}
                User-Agent: ExampleCore {B}
                {body_of(contact + extra, sdp)}"""
            ),
            source,
        )

    def hang_up(self) -> None:
        """The caller says BYE, the callee agrees."""
        self.from_caller("BYE")
        bye = self.node.book.wire_out("BYE ", CALLEE)
        self.node.book.wire_in(answer(bye, 200), CALLEE)
        self.node.book.wire_out("SIP/2.0 200", CALLER)
        self.node.book.silence()


def answered(node: CoreNode, tag: str = "b-tag", message: bytes = b"") -> Talk:
    """INVITE, 200; the caller has not acknowledged yet."""
    sent = start(node, message)
    node.book.wire_in(answer(sent, 200, tag, sdp=B_SDP), CALLEE)
    return Talk(node, sent, node.book.wire_out("SIP/2.0 200", CALLER), tag)


def talking(node: CoreNode, message: bytes = b"") -> Talk:
    """INVITE, 200, ACK."""
    talk = answered(node, message=message)
    talk.from_caller("ACK")
    node.book.wire_out("ACK ", CALLEE)
    node.book.silence()
    return talk


def message(
    text: str = TEXT, kind: str = "text/plain;charset=UTF-8", branch: str = "z9hG4bK-am1", rows: str = ""
) -> bytes:
    """The MESSAGE of reference example-call.md."""
    return wire(
        f"""MESSAGE sip:{X}@veil.example SIP/2.0
        Via: SIP/2.0/UDP 127.0.0.12:5060;branch={branch}
        Max-Forwards: 70
        From: "Zhang San" <sip:{A}@core.example>;tag=a-tag
        To: <sip:{X}@veil.example>
        Call-ID: 1-4711@127.0.0.12
        CSeq: 7 MESSAGE
        P-Asserted-Identity: <sip:{A}@core.example>
        User-Agent: ExamplePhone/1.0 {A}
        {rows}
        Content-Type: {kind}

        {text}""".replace("        \n", "")
    )


def send(node: CoreNode, data: bytes = b"", to: str = CALLEE) -> Message:
    """A MESSAGE goes through to the callee; what that has got."""
    node.book.wire_in(data or message(), CALLER)
    return node.book.wire_out("MESSAGE ", to)
