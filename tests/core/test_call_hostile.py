"""Messages that are wrong somewhere, at any moment of a call: answered or dropped, never an exception, nothing left."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest

from sipstack.errors import RemoteSipError
from sipstack.message import Message
from sipstack.parser import parse
from tests.core.corenode import CALLER, TWO_TARGETS, A, B, CoreNode, X, with_policy
from tests.core.parties import B_SDP, SDP, Talk, answer, invite, message

SHORT_CALLS = with_policy(TWO_TARGETS, max_call_s=60, ring_timeout_s=20)
ALL_ALLOWED = replace(
    SHORT_CALLS, peers=tuple(replace(p, follow_redirect=True, allow_transfer=True) for p in SHORT_CALLS.peers)
)

VALUES = [
    "", " ", ",", ";", "<", ">", "<>", '"', '"\\"', "*", "-1", "0", "1", "2147483648", "99999999999999999999", "1_0",
    "a,b,c", ",".join(["x"] * 300), "x" * 8000, "tel:123", "<tel:+8613700137000>", "<sip:>", "<sip:@>", "<sip:a@b",
    "<sip:1.2.3.4;lr>", "<sip:[::1]:5060;lr>", "<sip:[::1>", "<sip:a@255.255.255.255>", "<sip:a@h;method=BYE>",
    "<sip:a@h?Route=x>", "<sips:a@h>", "<mailto:a@b>", '"a" <sip:a@h>;tag=;tag=x', "<sip:a@h>;tag=c-tag",
    "\udcff\udc80", "full\uff11width", "application/sdp", "multipart/mixed;boundary=x", "text/plain;charset=utf-16",
    "100rel, foo", "1 1 INVITE", "1 1", "1800;refresher=uac", "1800;refresher", "Q.850;cause=16", "%0d%0a", "\x00",
    "\x0b", "\u2028",
]  # fmt: skip
NAMES = [
    "Via", "From", "To", "Call-ID", "CSeq", "Contact", "Max-Forwards", "Content-Length", "Content-Type", "Route",
    "Record-Route", "Require", "Supported", "Proxy-Require", "P-Asserted-Identity", "Content-Encoding", "RSeq", "RAck",
    "Session-Expires", "Min-SE", "Reason", "Retry-After", "Timestamp", "Content-Disposition", "Privacy", "v", "m", "X",
    "Refer-To", "Refer-Sub", "Event", "Subscription-State", "r", "o",
]  # fmt: skip


def spoilt(data: bytes, random: Random) -> bytes:
    """One message with one to three things wrong."""
    head, _, body = data.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    for _ in range(random.choice([1, 1, 1, 2, 3])):
        place = random.randrange(1, len(lines)) if len(lines) > 1 else 0
        kind = random.randrange(7)
        if kind == 0:
            lines.insert(place + 1, f"{random.choice(NAMES)}: {random.choice(VALUES)}")
        elif kind == 1:
            lines[place] = f"{lines[place].partition(':')[0]}: {random.choice(VALUES)}"
        elif kind == 2 and len(lines) > 2:
            del lines[place]
        elif kind == 3:
            lines.append(lines[place])
        elif kind == 4:
            body = random.choice(
                [b"", b"v=0", b"v=0\r\no=x\r\n", b"\xff" * 100, body * 2, body[: len(body) // 2], b"o=\r\n" * 9]
            )
        elif kind == 5:
            spot = random.randrange(len(lines[0]))
            lines[0] = lines[0][:spot] + random.choice(["", " ", "%", "\t", "x", "\udcfe"]) + lines[0][spot + 1 :]
        else:
            lines[place] = lines[place][: random.randrange(len(lines[place]) + 1)]
    if random.random() < 0.7:  # else Content-Length may be wrong, too
        lines = [line for line in lines if not line.lower().startswith("content-length")]
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode("utf-8", "surrogateescape") + b"\r\n\r\n" + body


class Ear:
    """Stands in for a node's playbook: what is said into it is spoilt, then heard by the node."""

    def __init__(self, node: CoreNode, random: Random, often: float) -> None:
        self.node, self.random, self.often, self.book = node, random, often, self

    def wire_in(self, data: bytes, source: str) -> None:
        bad = self.random.random() < self.often
        self.node.book.wire_in(spoilt(data, self.random) if bad else data, source)


def is_whole(data: bytes) -> bool:
    """False for an answer to what broke the grammar: it holds what broke it."""
    try:
        return parse(data).status != 400
    except RemoteSipError:
        return False


def heard_back(node: CoreNode) -> list[tuple[str, Message]]:
    """What the node has sent of late, and to whom."""
    return [(f"{s.flow.host}:{s.flow.port}", parse(s.data)) for s in node.book.log[-12:] if is_whole(s.data)]


def say_everything(node: CoreNode, random: Random, often: float) -> None:
    """Both sides say all that can be said, in any order, some of it spoilt, and answer whatever the node asks."""
    ear = Ear(node, random, often)

    def branch() -> str:
        return f"z9hG4bK-a{random.random()}"

    ear.wire_in(invite(extra="Session-Expires: 1800\nTimestamp: 54", branch=branch()), CALLER)
    sent = ok = None
    for _ in range(random.randrange(40)):
        heard = heard_back(node)
        if not heard:
            return
        to, said = random.choice(heard)
        if said.is_request and said.method != "ACK":
            sent = said if said.method == "INVITE" and not said.to_tag and to != CALLER else sent
            rows = random.choice(
                ["", "RSeq: 1\nRequire: 100rel", "Record-Route: <sip:10.9.9.9;lr>", "Session-Expires: 90"]
            )
            status = random.choice([100, 180, 183, 200, 200, 200, 302, 486, 503])
            who, sdp, tag = (A, SDP, "a-tag") if to == CALLER else (B, B_SDP, "b-tag")
            sdp = random.choice(["", sdp])
            who = f"137001370{random.randrange(100):02}" if status == 302 and to != CALLER else who
            ear.wire_in(answer(said, status, tag, rows, sdp, f"<sip:{who}@{to}>", who), to)
        elif said.method == "INVITE" and said.to_tag and said.from_tag == "a-tag":
            ok = said
        if ok is not None and sent is not None:
            say_in_dialog(Talk(ear, sent, ok, "b-tag", random.randrange(99), random.randrange(99)), random)  # type: ignore[arg-type]
        if random.random() < 0.2:
            ear.wire_in(message(branch=branch()), CALLER)
        node.wait(random.choice([0, 0, 0.01, 0.6, 5]))


def say_in_dialog(talk: Talk, random: Random) -> None:
    method = random.choice(
        ["ACK", "ACK", "BYE", "INVITE", "UPDATE", "INFO", "PRACK", "CANCEL", "OPTIONS", "MESSAGE", "REFER", "NOTIFY"]
    )
    extra = {
        "PRACK": "RAck: 1 1 INVITE",
        "INFO": "Content-Type: application/dtmf\n\n5",
        "REFER": f"Refer-To: <sip:{X}@veil.example>",
        "NOTIFY": "Event: refer\nSubscription-State: active\nContent-Type: message/sipfrag\n\nSIP/2.0 180 Ringing",
    }.get(method, "")
    say, side, sdp = random.choice([(talk.from_callee, "b", B_SDP), (talk.from_caller, "a", SDP)])
    say(
        method,
        extra=extra,
        sdp=sdp if method in ("INVITE", "UPDATE") else "",
        branch=f"z9hG4bK-{side}{random.random()}",
    )


@pytest.mark.parametrize("block", range(6))
def test_wrong_messages_are_answered_or_dropped_and_nothing_is_left(block: int) -> None:
    for seed in range(50 * block, 50 * block + 50):
        random = Random(seed)
        node = CoreNode(ALL_ALLOWED if seed % 2 else SHORT_CALLS)
        try:
            say_everything(node, random, often=random.choice([0.0, 0.2, 0.8]))
            node.wait(100)
            node.echoes.update(sent.data for sent in node.book.log if not is_whole(sent.data))
            node.assert_rests()
        except Exception as error:
            error.add_note(f"seed {seed}")
            raise
        CoreNode.made.clear()
