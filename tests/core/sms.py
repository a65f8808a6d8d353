"""Short messages of 3GPP as a phone, a service centre and a gateway send them: octets put together by hand.

Nothing here uses the codec of the product: numbers, septets and elements are written as TS 23.040 and TS 24.011 say.
"""

from __future__ import annotations

from sipstack import headers as h
from sipstack.message import Message, render
from sipstack.testing.playbook import wire
from tests.core.corenode import CALLEE, CALLER, CENTRE_A, A, B, CoreNode, X
from tests.core.parties import answer

TYPE = "application/vnd.3gpp.sms"
GATEWAY_A = "sip:ipsmgw.a.example"
SCTS = bytes.fromhex("62112212346523")  # 2026-11-22 21:43:56, eight hours east
SUBMITTED = "z9hG4bK-as1"


# -- octets ------------------------------------------------------------------------------------------------------------


def bcd(digits: str) -> bytes:
    """Semi-octets, the first digit low, an odd one followed by the filler."""
    padded = digits + "f" * (len(digits) % 2)
    return bytes(int(padded[place + 1] + padded[place], 16) for place in range(0, len(padded), 2))


def tp_address(digits: str, kind: int = 0xA1) -> bytes:
    """TP-OA, TP-DA, TP-RA: length in digits, type of address (A1: national, ISDN), semi-octets."""
    return bytes((len(digits), kind)) + bcd(digits)


def rp_address(digits: str) -> bytes:
    """RP-OA, RP-DA: length in octets, 91: international, ISDN; an empty one for ""."""
    value = b"\x91" + bcd(digits) if digits else b""
    return bytes((len(value),)) + value


def septets(text: str, fill: int = 0) -> bytes:
    """GSM 7-bit, for letters and digits that are the same in ASCII; `fill` bits before the first."""
    bits = 0
    for place, char in enumerate(text):
        bits |= ord(char) << (fill + 7 * place)
    return bits.to_bytes((fill + 7 * len(text) + 7) // 8, "little")


def gsm7(text: str) -> bytes:
    """TP-DCS is not here: TP-UDL and TP-UD."""
    return bytes((len(text),)) + septets(text)


def ucs2(text: str) -> bytes:
    octets = text.encode("utf-16-be")
    return bytes((len(octets),)) + octets


def submit(to: str = X, text: str = "hello", flags: int = 0x21, kind: int = 0xA1, user_data: bytes = b"") -> bytes:
    """SMS-SUBMIT with a status report asked for: TP-MR 77, TP-PID 0, TP-DCS 0."""
    return bytes((flags, 77)) + tp_address(to, kind) + b"\0\0" + (user_data or gsm7(text))


def deliver(sender: str = A, text: str = "hello", flags: int = 0x04, kind: int = 0xA1, user_data: bytes = b"") -> bytes:
    """SMS-DELIVER, no more messages to send."""
    return bytes((flags,)) + tp_address(sender, kind) + b"\0\0" + SCTS + (user_data or gsm7(text))


def status_report(receiver: str = B, kind: int = 0xA1) -> bytes:
    """SMS-STATUS-REPORT: TP-MR 77, delivered."""
    return bytes((0x06, 77)) + tp_address(receiver, kind) + SCTS + SCTS + b"\0"


def rp_data(tpdu: bytes, from_mobile: bool, reference: int = 9, centre: str = CENTRE_A) -> bytes:
    """RP-DATA between a phone and its centre."""
    own, far = rp_address(""), rp_address("86" + centre)
    ends = own + far if from_mobile else far + own
    return bytes((0 if from_mobile else 1, reference)) + ends + bytes((len(tpdu),)) + tpdu


SUBMIT_REPORT = b"\x01\x00" + SCTS  # TP-PI 0, TP-SCTS
DELIVER_REPORT = b"\x00\x00"


def rp_ack(reference: int, from_mobile: bool, user_data: bytes | None = None) -> bytes:
    data = (DELIVER_REPORT if from_mobile else SUBMIT_REPORT) if user_data is None else user_data
    return bytes((2 if from_mobile else 3, reference)) + (bytes((0x41, len(data))) + data if data else b"")


def rp_error(reference: int, from_mobile: bool, cause: int = 38) -> bytes:
    return bytes((4 if from_mobile else 5, reference, 1, cause))


# -- messages ----------------------------------------------------------------------------------------------------------


def sms(
    uri: str, who: str, body: bytes, host: str, call_id: str, branch: str, rows: str = "", kind: str = TYPE
) -> bytes:
    """A MESSAGE with a binary body; `who` is the asserted URI."""
    head = wire(
        f"""MESSAGE {uri} SIP/2.0
        Via: SIP/2.0/UDP {host};branch={branch};rport
        Max-Forwards: 70
        From: <{who}>;tag={"a" if host == CALLER else "b"}-tag
        To: <{uri}>
        Call-ID: {call_id}
        CSeq: 7 MESSAGE
        P-Asserted-Identity: <{who}>
        User-Agent: ExamplePhone/1.0 {who}
        {rows}
        Content-Type: {kind}""".replace("        \n", "")
    )
    lines = head.decode().partition("\r\n\r\n")[0].split("\r\n")
    return render(lines[0], [line for line in lines[1:] if not line.startswith("Content-Length")], body)


def submitted(tpdu: bytes = b"", who: str = A, centre: str = CENTRE_A, reference: int = 9, **more: str) -> bytes:
    """What A's phone submits to its centre."""
    fields = {"host": CALLER, "call_id": "1-4711@127.0.0.12", "branch": SUBMITTED, **more}
    body = rp_data(tpdu or submit(), True, reference, centre)
    return sms(f"sip:+86{centre}@core.example;user=phone", f"sip:{who}@core.example", body, **fields)


def delivered(tpdu: bytes = b"", who: str = GATEWAY_A, x: str = X, reference: int = 9, **more: str) -> bytes:
    """What the gateway of A's network delivers to X."""
    fields = {"host": CALLER, "call_id": "1-4711@127.0.0.12", "branch": SUBMITTED, **more}
    return sms(f"sip:{x}@veil.example", who, rp_data(tpdu or deliver(), False, reference), **fields)


def report(rp: bytes, to: Message, host: str = CALLEE, call_id: str = "", branch: str = "z9hG4bK-br1") -> bytes:
    """What the other side reports on the RP-DATA that the node has sent."""
    reply = f"In-Reply-To: {call_id or to.call_id}"
    return sms(f"sip:{X}@veil.example", f"sip:+86{B}@b.example", rp, host, f"call-{branch}", branch, reply)


def reference_of(sent: Message) -> int:
    """The RP-Message Reference of an RP message that has left."""
    return sent.body[1]


def tpdu_of(sent: Message) -> bytes:
    """The TPDU in an RP-DATA that has left."""
    place = 2
    for _ in range(2):
        place += 1 + sent.body[place]
    assert len(sent.body) == place + 1 + sent.body[place]
    return sent.body[place + 1 :]


# -- conversations -----------------------------------------------------------------------------------------------------


def send(node: CoreNode, data: bytes = b"") -> Message:
    """An RP-DATA goes through and is accepted; returns what the other side has got."""
    node.book.wire_in(data or submitted(), CALLER)
    sent = node.book.wire_out("MESSAGE ", CALLEE)
    node.book.wire_in(answer(sent, 202), CALLEE)
    node.book.wire_out("SIP/2.0 202", CALLER)
    node.book.silence()
    return sent


def passed(node: CoreNode, rp: bytes, sent: Message, status: int = 200) -> Message:
    """The report comes in and is passed on; returns what the first sender has got."""
    node.book.wire_in(report(rp, sent), CALLEE)
    ok = node.book.wire_out("SIP/2.0 202", CALLEE)
    assert not ok.body and h.REASON not in ok.ids
    relayed = node.book.wire_out("MESSAGE ", CALLER)
    node.book.silence()
    node.book.wire_in(answer(relayed, status, "a-tag", who=A), CALLER)
    return relayed


def turned_away(node: CoreNode, data: bytes, source: str = CALLEE, status: int = 488) -> None:
    """A report that is refused, or answered, and goes nowhere."""
    node.book.wire_in(data, source)
    node.book.wire_out(f"SIP/2.0 {status}", source)
    node.book.silence()


def ended(node: CoreNode) -> None:
    """The time for a report is over."""
    node.wait(46)
    node.book.silence()
    node.assert_recorded(release_cause="UNREACHABLE", decided_by="report_timer", sip_status=202, q850=20)
