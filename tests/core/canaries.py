"""Two parties that write a canary into every header field there is, in every message, and what may not be seen of it.

`CanaryNode` adds the rows to whatever comes in. The conversations go through every table of `engine.core.crossing`;
`assert_private` then looks at all that has left: at the canaries, the numbers, and the identifiers as what they are.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from engine.core.crossing import INVITE, MESSAGE, MESSAGE_DELIVERED, OWN_REQUESTS, REFUSED, REPORT, REQUESTS, RESPONSES
from engine.core.disclosure import Rows
from engine.core.settings import CoreSettings
from sipstack import headers as h
from sipstack.message import ENCODING, ERRORS, Message
from sipstack.parser import parse
from tests.core.corenode import CALLEE, CALLER, NUMBERS_OF_OURS, SETTINGS, A, B, CoreNode, X, assert_nothing_crossed
from tests.core.parties import B_SDP, SDP, Talk, answer, invite, message, of_invite, start
from tests.core.sms import delivered, reference_of, report, rp_ack

# Every place of domain.md §6 and conformance 46 that may stand in a header section; {} is the canary of the sender.
PLACES = (
    "P-Preferred-Identity: <sip:{}@x>", "Remote-Party-ID: <sip:{}@x>;party=calling", "Diversion: <sip:{}@x>",
    "History-Info: <sip:{}@x>;index=1", "Referred-By: <sip:{}@x>", "Refer-To: <sip:{}@x>", "Reply-To: <sip:{}@x>",
    "Call-Info: <http://{}/>;purpose=icon", "Alert-Info: <http://{}/>", "Error-Info: <http://{}/>", "Subject: {}",
    "Organization: {}", "User-to-User: {};encoding=hex", "P-Access-Network-Info: 3GPP;utran-cell-id-3gpp={}",
    "Cellular-Network-Info: 3GPP;{}", "P-Visited-Network-ID: {}", "P-Served-User: <sip:{}@x>",
    "P-Called-Party-ID: <sip:{}@x>", "P-Associated-URI: <sip:{}@x>", "P-Profile-Key: <sip:{}@x>",
    "P-Charging-Function-Addresses: ccf={}", "P-Asserted-Service: {}", "P-Preferred-Service: {}", "P-User-Database: {}",
    "Session-ID: {}", "Identity: {}", "Identity-Info: <http://{}/>", "Geolocation: <cid:{}>", "Geolocation-Routing: {}",
    "Warning: 399 {} \"{}\"", "Server: {}", "User-Agent: {}", "Path: <sip:{};lr>", "Service-Route: <sip:{};lr>",
    "Replaces: {}", "Join: {}", "Target-Dialog: {}", "In-Reply-To: {}", "Date: {}", "Priority: {}",
    "Accept: application/{}", "Accept-Language: {}", "Accept-Encoding: {}", "Allow-Events: {}", "Event: {}",
    "Authorization: Digest username={}", "Proxy-Authorization: Digest username={}", "WWW-Authenticate: Digest realm={}",
    "Proxy-Authenticate: Digest realm={}", "Authentication-Info: nextnonce={}", "Authentication-Results: {}",
    "Content-Language: {}", "Answer-Mode: {}", "Feature-Caps: *;{}", "Flow-Timer: {}", "Info-Package: {}",
    "Recv-Info: {}", "Reject-Contact: *;{}", "Request-Disposition: {}", "Resource-Priority: {}", "Response-Source: {}",
    "Restoration-Info: {}", "Relayed-Charge: {}", "Subscription-State: {}", "Suppress-If-Match: {}",
    "Trigger-Consent: {}", "SIP-ETag: {}", "Unsupported: {}", "Privacy: {}", "Attestation-Info: {}", "X-Order: {}",
    "{}: {}", "Route: <sip:{};lr>", "P-Asserted-Identity: <sip:{}@x>",
    # of these something crosses, and nothing of the canary
    "Allow: INVITE, {}", "Supported: timer, {}", "Session-Expires: 1800;refresher=uac;x={}", "Min-SE: 90;{}",
    "Retry-After: 5 ({})", "Reason: SIP;cause=200;text=\"{}\"", "P-Early-Media: supported, {}", "Max-Breadth: 0042",
    "Accept-Contact: *;+g.3gpp.smsip;require, *;+g.3gpp.smsip;{}", "Require: 100REL", "Record-Route: <sip:{};lr>",
    "P-Charging-Vector: icid-value={};icid-generated-at={};orig-ioi={};term-ioi={}", "Refer-Sub: true;{}",
)  # fmt: skip
# Where a message has one of these, it has the canary as a parameter.
WITH_PARAMETER = ("Refer-To", "Event", "Subscription-State")
BODY_TYPE = len(PLACES)  # the place of the canary in Content-Type
CALLERS, CALLEES = "a", "b"

# What the parties write in a way that the node does not, where no word can stand.
AS_IT_CAME = ("Max-Forwards: 63\r", "Max-Breadth: 0042\r", "Require: 100REL\r", "RSeq: 0077\r", "replaces")


def word(side: str, place: int) -> str:
    """The canary of one side for one place: letters only."""
    return f"{side}canary{''.join('ghijklmnop'[int(digit)] for digit in f'{place:03}')}"


def filled(data: bytes, side: str) -> bytes:
    """A message as it stands, with a canary in each place that it has left free."""
    head, _, body = data.decode(ENCODING, ERRORS).partition("\r\n\r\n")
    head = head.replace("Max-Forwards: 70", "Max-Forwards: 63")
    head = re.sub(r"(Content-Type: [^\r\n]*)", rf"\1;x={word(side, BODY_TYPE)}", head)
    for number, place in enumerate(PLACES):
        if (name := place.partition(":")[0]) in WITH_PARAMETER:
            head = re.sub(rf"\r\n({name}: [^\r\n]*)", rf"\r\n\1;x={word(side, number)}", head)
    present = {line.partition(":")[0] for line in head.split("\r\n")}
    rows = [place.replace("{}", word(side, number)) for number, place in enumerate(PLACES)]
    if data.startswith((b"ACK ", b"CANCEL ")):
        present.add("Require")  # RFC 3261 §8.2.2.3
    rows = [row for row in rows if row.partition(":")[0] not in present]
    return "\r\n".join([head, *rows, "", body]).encode(ENCODING, ERRORS)


# Trunks between which all crosses that may.
OPEN_TRUNKS = replace(SETTINGS, peers=tuple(replace(peer, allow_transfer=True) for peer in SETTINGS.peers))


class CanaryNode(CoreNode):
    """A node between two parties that say everything. `came` is the last message of each side."""

    def __init__(self, settings: CoreSettings = OPEN_TRUNKS) -> None:
        super().__init__(settings)
        CoreNode.made.remove(self)  # a gate that has been broken on purpose need not come to rest
        self.came: dict[int, Message] = {}
        self._wire_in = self.book.wire_in
        self.book.wire_in = self._fill_in  # type: ignore[method-assign]

    def _fill_in(self, message: bytes, source: str) -> None:
        data = filled(message, CALLERS if source == CALLER else CALLEES)
        self.came[0 if source == CALLER else 1] = parse(data)
        self._wire_in(data, source)


def kept_as_it_came(text: str) -> list[str]:
    """What of a message that was sent is written as a party writes it."""
    return [spelling for spelling in AS_IT_CAME if spelling in text]


def assert_private(node: CoreNode) -> None:
    """Neither side has seen anything of the other."""
    for receiver, other, own_number in ((CALLER, CALLEES, A), (CALLEE, CALLERS, B)):
        for data in node.sent_to(receiver):
            text = data.decode(ENCODING, ERRORS)
            seen = {place for number, place in enumerate((*PLACES, "Content-Type")) if word(other, number) in text}
            assert not seen, f"{seen} crossed in {text}"
            kept = kept_as_it_came(text)
            assert not kept, f"{kept} crossed as it came in {text}"
            message = parse(data)
            if message.is_request:
                assert own_number in message.uri_text, f"not for its receiver: {text}"
                assert own_number in (message.value(h.TO) or ""), f"not for its receiver: {text}"
                assert message.cseq >= NUMBERS_OF_OURS, f"a number that the node has not drawn: {text}"
            theirs = {parse(sent).call_id for sent in node.sent_to(CALLEE if receiver == CALLER else CALLER)}
            assert theirs.isdisjoint(message.named("In-Reply-To")), f"a Call-ID of the other side: {text}"
            if message.first[h.RACK] is not None:
                numbers = {str(parse(sent).cseq) for sent in node.sent_to(receiver)}
                assert (message.value(h.RACK) or "").split()[1] in numbers, f"RAck of the other dialog: {text}"
    assert_nothing_crossed(node)


# -- the conversations -------------------------------------------------------------------------------------------------

RING = "RSeq: 0077"
A_CONTACT, B_CONTACT = f"<sip:{A}@127.0.0.12:5060>", f"<sip:{B}@127.0.0.13:5060>"


def called(node: CoreNode) -> Talk:
    """INVITE, 183, 200, ACK; the ACK carries a description."""
    sent = start(node)
    node.book.wire_in(answer(sent, 183, extra=RING, sdp=B_SDP), CALLEE)
    node.book.wire_out("SIP/2.0 183", CALLER)
    node.book.wire_in(answer(sent, 200, sdp=B_SDP), CALLEE)
    talk = Talk(node, sent, node.book.wire_out("SIP/2.0 200", CALLER))
    talk.from_caller("ACK", sdp=SDP)
    node.book.wire_out("ACK ", CALLEE)
    return talk


def ended(node: CoreNode, by_callee: bool) -> None:
    talk = called(node)
    (talk.from_callee if by_callee else talk.from_caller)("BYE")
    node.book.wire_out("BYE ", CALLER if by_callee else CALLEE)


def refused(node: CoreNode) -> None:
    sent = start(node)
    node.book.wire_in(answer(sent, 486), CALLEE)
    node.book.wire_out("ACK ", CALLEE)
    node.book.wire_out("SIP/2.0 486", CALLER)
    node.book.wire_in(of_invite("ACK", "tag"), CALLER)


def texted(node: CoreNode, status: int = 200) -> None:
    node.book.wire_in(message(), CALLER)
    node.book.wire_in(answer(node.book.wire_out("MESSAGE ", CALLEE), status), CALLEE)
    node.book.wire_out("SIP/2.0 200", CALLER)


def reported(node: CoreNode) -> None:
    """A short message is delivered, and its report goes back to whoever has sent it."""
    node.book.wire_in(delivered(who=f"sip:{A}@core.example"), CALLER)
    sent = node.book.wire_out("MESSAGE ", CALLEE)
    node.book.wire_in(answer(sent, 200), CALLEE)
    node.book.wire_out("SIP/2.0 202", CALLER)
    node.book.wire_in(report(rp_ack(reference_of(sent), True), sent), CALLEE)
    node.book.wire_out("SIP/2.0 202", CALLEE)
    node.book.wire_out("MESSAGE ", CALLER)


EXTRAS = {
    "INFO": "Content-Type: application/dtmf-relay\n\nSignal=5\nDuration=160",
    "REFER": f"Refer-To: <sip:{X}@core.example>",
}
WITHOUT_DESCRIPTION = ("INFO", "REFER", "NOTIFY")


def asked(node: CoreNode, method: str, to_callee: bool, status: int) -> None:
    """A request within the conversation, and its answer; an INVITE rings before that, and is acknowledged."""
    talk = called(node)
    say, asker, asked_one = (talk.from_caller, CALLER, CALLEE) if to_callee else (talk.from_callee, CALLEE, CALLER)
    offer, reply = (SDP, B_SDP) if to_callee else (B_SDP, SDP)
    who, contact = (B, "") if to_callee else (A, A_CONTACT)
    extra = EXTRAS.get(method, "")
    if method == "PRACK":
        extra = f"RAck: 77 {1 if to_callee else ringing_invite(node, talk)} INVITE"
    elif method == "NOTIFY":
        extra = (
            f"Event: refer;id={referred(node, talk, not to_callee)}\nSubscription-State: terminated;reason=noresource"
        )
        extra += "\nContent-Type: message/sipfrag\n\nSIP/2.0 200 Hello"
    if method in ("REFER", "NOTIFY"):
        extra = f"Contact: {A_CONTACT if to_callee else B_CONTACT}\n{extra}"
    say(method, extra, sdp="" if method in WITHOUT_DESCRIPTION else offer)
    request = next_request(node, method, asked_one)
    if method == "INVITE" and status < 300:
        node.book.wire_in(answer(request, 183, extra=RING, sdp=reply, who=who, contact=contact), asked_one)
        node.book.wire_out("SIP/2.0 183", asker)
    body = "" if method in WITHOUT_DESCRIPTION or status >= 300 else reply
    node.book.wire_in(answer(request, status, sdp=body, who=who, contact=contact), asked_one)
    if method == "INVITE" and status < 300:
        node.book.wire_out("SIP/2.0 200", asker)
        say("ACK", sdp=offer, cseq=talk.caller_seq if to_callee else talk.callee_seq)
        node.book.wire_out("ACK ", asked_one)


def looked_after(node: CoreNode, method: str, to_callee: bool) -> None:
    """The ends have agreed on 1800 s, and nobody refreshes; so the node does, by this method.

    The last that the other end has said is such a request, too; it came late, and was answered 500.
    """
    sdp, reply = ("", "") if method == "OPTIONS" else (SDP, B_SDP)
    sent = start(node, invite(extra=f"Allow: {method}", sdp=sdp))
    node.book.wire_in(answer(sent, 200, extra=f"Allow: {method}", sdp=B_SDP), CALLEE)
    talk = Talk(node, sent, node.book.wire_out("SIP/2.0 200", CALLER))
    talk.from_caller("ACK", sdp=sdp)
    node.book.wire_out("ACK ", CALLEE)
    if to_callee:
        talk.from_caller(method, f"Contact: {A_CONTACT}", sdp=sdp, cseq=1, branch="z9hG4bK-late")
    node.wait(1334.2)
    next_request(node, method, CALLEE)
    if not to_callee:
        talk.from_callee("OPTIONS")
        talk.from_callee(method, f"Contact: {B_CONTACT}", sdp=reply, cseq=1, branch="z9hG4bK-late")
        node.book.sent.clear()
        node.wait(32)  # the callee's answer is lost
        while node.book.sent[0].flow.host == "127.0.0.13":
            node.book.sent.popleft()
        next_request(node, method, CALLER)


def next_request(node: CoreNode, method: str, to: str) -> Message:
    """The next request of this method to a side; responses of the node's own are passed over."""
    while not node.book.sent[0].data.startswith(f"{method} ".encode()):
        node.book.sent.popleft()
    return node.book.wire_out(f"{method} ", to)


def referred(node: CoreNode, talk: Talk, to_callee: bool) -> int:
    """One side has asked the other to call somebody; our number of its REFER."""
    say, asked_one = (talk.from_caller, CALLEE) if to_callee else (talk.from_callee, CALLER)
    say("REFER", EXTRAS["REFER"])
    request = next_request(node, "REFER", asked_one)
    who, contact = (B, B_CONTACT) if to_callee else (A, A_CONTACT)
    node.book.wire_in(answer(request, 202, who=who, contact=contact), asked_one)
    return request.cseq


def ringing_invite(node: CoreNode, talk: Talk) -> int:
    """The callee's own INVITE rings at the caller, reliably; its number."""
    talk.from_callee("INVITE", sdp=B_SDP)
    request = next_request(node, "INVITE", CALLER)
    contact = f"<sip:{A}@127.0.0.12:5060>"
    node.book.wire_in(answer(request, 183, extra=RING, sdp=SDP, who=A, contact=contact), CALLER)
    node.book.wire_out("SIP/2.0 183", CALLEE)
    return talk.callee_seq


def conversations() -> dict[str, tuple[Rows, Callable[[CoreNode], object]]]:
    """For each table of the gate a conversation that goes through it. A table without one is an error."""
    found: dict[str, tuple[Rows, Callable[[CoreNode], object]]] = {
        "first INVITE to the callee": (INVITE, called),
        "MESSAGE to the callee": (MESSAGE, texted),
        "MESSAGE delivered": (MESSAGE_DELIVERED, texted),
        "report to the caller": (REPORT, reported),
        "refused": (REFUSED, refused),
    }
    for side, name in enumerate(("caller", "callee")):
        for method, rows in REQUESTS[side].items():
            talk: Callable[[CoreNode], object] = partial(asked, method=method, to_callee=side == 1, status=200)
            if method == "BYE":
                talk = partial(ended, by_callee=side == 0)
            elif method == "ACK":
                talk = partial(asked, method="INVITE", to_callee=side == 1, status=200)
            found[f"{method} to the {name}"] = (rows, talk)
        for method, rows in OWN_REQUESTS[side].items():
            found[f"{method} of ours to the {name}"] = (
                rows,
                partial(looked_after, method=method, to_callee=side == 1),
            )
        for (method, status), rows in RESPONSES[side].items():
            final = {1: 200, 2: 200, 4: 488, 5: 580, 6: 603}[status]
            found[f"{status}xx {method} to the {name}"] = (
                rows,
                partial(asked, method=method, to_callee=side == 0, status=final),
            )
    return found
