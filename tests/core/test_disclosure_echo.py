"""No oracle: a party that guesses the other's number sees the same whether the guess is right or wrong.

The guess stands where the party gets it back: in its own identifiers, which every response repeats, and in what the
other side's phone repeats of an offer because the RFCs tell it to. Each conversation is held twice, alike but for the
guess; so must be what each side gets of it.
"""

from __future__ import annotations

import re
from base64 import b64encode, urlsafe_b64encode
from binascii import hexlify
from collections.abc import Callable
from dataclasses import replace

import pytest

from engine.core.settings import RouteSettings
from sipstack import headers as h
from sipstack.message import Message
from sipstack.parser import parse
from sipstack.testing.playbook import wire
from tests.core.corenode import CALL_ID, CALLEE, CALLER, SETTINGS, A, B, CoreNode, X, axb
from tests.core.parties import B_SDP, answer, body_of, sdp_of, talking

WRONG = "13900139001"
LANDLINE = "2088888888"  # fits into fields that are numbers: CSeq, Session-Expires
WRONG_LANDLINE = "2088888881"

PLAIN_SDP = """
v=0
o=- 1 1 IN IP4 10.1.2.3
s=-
c=IN IP4 10.1.2.3
t=0 0
m=audio 40000 RTP/AVP 8 96
a=rtpmap:8 PCMA/8000
"""

# What an answer repeats of an offer: RFC 3264 §6 (t=, m=), RFC 5888 §9 (mid, group), RFC 8853 (rid), RFC 8285 (extmap).
ECHOED = (
    b"t=",
    b"m=",
    b"a=mid",
    b"a=group",
    b"a=rid",
    b"a=simulcast",
    b"a=extmap",
    b"a=rtpmap",
    b"a=fmtp",
    b"a=ptime",
    b"a=",  # and phones that repeat every line which they do not understand
    b"b=",
)


def node_for(number: str) -> CoreNode:
    settings = replace(
        SETTINGS, routes=(RouteSettings("a", f"^{A}$", ("caller-side",)), RouteSettings("all", ".", ("callee-side",)))
    )
    return CoreNode(settings, (axb(callee=number), axb(caller=number, callee=A)))


def invite(guess: str, extra: str = "", sdp: str = PLAIN_SDP, **own: str) -> bytes:
    """An INVITE of A whose `own` places hold the guess ("{}")."""
    place = {name: text.replace("{}", guess) for name, text in own.items()}
    return wire(
        f"""INVITE sip:{X}@veil.example SIP/2.0
        Via: SIP/2.0/UDP 127.0.0.12:5060;branch={place.get("branch", "z9hG4bK-a1")};rport{place.get("via", "")}
        Max-Forwards: 70
        From: {place.get("from_", f"<sip:{A}@core.example>")};tag={place.get("tag", "a-tag")}
        To: {place.get("to", f"<sip:{X}@veil.example>")}
        Call-ID: {place.get("call_id", CALL_ID)}
        CSeq: {place.get("cseq", "1")} INVITE
        Contact: {place.get("contact", f"<sip:{A}@127.0.0.12:5060>")}
        P-Asserted-Identity: <tel:+86{A}>
        {body_of(extra.replace("{}", guess), sdp.replace("{}", guess))}"""
    )


def echo(sent: Message) -> tuple[str, str]:
    """What a phone that follows the RFCs puts into its answer: its own address, and the rest as it was offered."""
    lines = [line for line in sent.body.split(b"\r\n") if line.startswith(ECHOED)]
    head = ["v=0", "o=- 5 5 IN IP4 10.9.2.3", "s=-", "c=IN IP4 10.9.2.3"]
    expires = sent.value(h.SESSION_EXPIRES)
    extra = f"Session-Expires: {expires}" if expires else ""
    return extra, "\n".join(head + [line.decode() for line in lines])


def seen(number: str, guess: str, message: bytes) -> tuple[list[bytes], list[bytes], list[object]]:
    """What the caller gets, what the callee gets, and how the calls ended, both numbers taken out.

    The callee's phone answers with 183 and 200; then nobody says anything any more.
    """
    node = node_for(number)
    node.book.wire_in(message, CALLER)
    invites = [sent.data for sent in node.book.log if sent.data.startswith(b"INVITE ")]
    for data in invites:
        request = parse(data)
        extra, sdp = echo(request)
        for status in (183, 200):
            node.book.wire_in(answer(request, status, "b-tag", extra, sdp, "<sip:b@127.0.0.13:5060>", "nobody"), CALLEE)
    node.wait(40)
    caller, callee = node.sent_to(CALLER), node.sent_to(CALLEE)
    if guess != number:
        assert not any(number.encode() in data for data in caller)
    CoreNode.made.clear()  # the guess comes back in many places; that it does so alike is what is asserted here
    spelled = ["[-. /]?".join(digits) for digits in (number, guess)]
    encoded = ["[-: ]?".join(code(n.encode()).decode()) for code in (b64encode, hexlify) for n in (number, guess)]
    either = re.compile("|".join([*spelled, *encoded]).encode())
    sides = [[either.sub(b"N", data) for data in side] for side in (caller, callee)]
    return sides[0], sides[1], [record["release_cause"] for record in node.records]


def test_the_phone_of_these_tests_answers() -> None:
    """What is compared below is an answered call."""
    caller, callee, causes = seen(B, WRONG, invite(WRONG, "Session-Expires: 1800", PLAIN_SDP + "a=mid:0"))
    assert [data[:11] for data in caller[:3]] == [b"SIP/2.0 100", b"SIP/2.0 183", b"SIP/2.0 200"]
    assert b"a=mid:0" in caller[1] and b"Session-Expires: 1800" in caller[2]
    assert callee[0].startswith(b"INVITE ") and causes == ["NO_ACK"]


def assert_alike(number: str, wrong: str, messages: list[bytes]) -> None:
    right, other = (seen(number, guess, message) for guess, message in zip((number, wrong), messages, strict=True))
    assert right == other


OWN = [
    {"tag": "{}"},
    {"from_": '"{}" <sip:{}@core.example>'},
    {"from_": "<sip:x@{}.example;user={}>"},
    {"to": '"{}" <sip:{}@veil.example>'},
    {"call_id": "{}@{}"},
    {"branch": "z9hG4bK{}"},
    {"via": ";x={}"},
    {"contact": "<sip:{}@127.0.0.12:5060;x={}>"},
    {"contact": '"{}" <sip:{}@10.0.0.1>'},
]


@pytest.mark.parametrize("own", OWN)
def test_guess_in_an_identifier_of_its_own(own: dict[str, str]) -> None:
    assert_alike(B, WRONG, [invite(guess, **own) for guess in (B, WRONG)])


@pytest.mark.parametrize("number", [LANDLINE])
def test_guess_as_a_sequence_number(number: str) -> None:
    assert_alike(number, WRONG_LANDLINE, [invite(guess, cseq="{}") for guess in (number, WRONG_LANDLINE)])


@pytest.mark.parametrize(
    "row",
    [
        "Record-Route: <sip:{}@127.0.0.12;lr>",
        "Subject: {}",
        "User-Agent: {}",
        "X-Order: {}",
        "Supported: timer, {}",
        "Require: timer, {}",  # 420, whoever it is
        "Diversion: <sip:{}@x>",
        'Reason: SIP;text="{}"',
        "Replaces: {};to-tag=1;from-tag=2",
        "Max-Breadth: {}",
    ],
)
def test_guess_in_a_header_field(row: str) -> None:
    assert_alike(B, WRONG, [invite(guess, row) for guess in (B, WRONG)])


@pytest.mark.parametrize("row", ["Session-Expires: {}", "Session-Expires: {};refresher=uac\nMin-SE: {}", "Min-SE: {}"])
def test_guess_as_seconds_that_the_answer_repeats(row: str) -> None:
    """RFC 4028 §9: who takes the interval repeats it."""
    guesses = (LANDLINE, WRONG_LANDLINE)
    assert_alike(LANDLINE, WRONG_LANDLINE, [invite(guess, f"Supported: timer\n{row}") for guess in guesses])


@pytest.mark.parametrize("encode", [b64encode, urlsafe_b64encode, hexlify])
@pytest.mark.parametrize(
    "line",
    [
        "m={} 0 RTP/AVP 0",
        "m=audio 9 {} 0",
        "a=mid:{}",
        "a=group:BUNDLE {}",
        "a=rid:{} send",
        "a=simulcast:send {}",
        "a=extmap:1 urn:x:{}",
        "a=rtpmap:96 {}/8000",
        "a=x-unknown:{}",
        "a=x-unknown:a=b;c={}",
    ],
)
def test_encoded_guess_in_a_line_that_the_answer_repeats(line: str, encode: Callable[[bytes], bytes]) -> None:
    """What is searched in an encoding is nothing that comes back: it is not searched, or has stayed behind."""
    sdps = [PLAIN_SDP + line.format(encode(guess.encode()).decode()) for guess in (B, WRONG)]
    assert_alike(B, WRONG, [invite(guess, sdp=sdp) for guess, sdp in zip((B, WRONG), sdps, strict=True)])


@pytest.mark.parametrize(
    "line",
    [
        "t={} 0",
        "t={} {}",
        "m={} 0 RTP/AVP 0",  # refused with port 0, and repeated
        "m=audio 9 {} 0",
        "m=audio 9 RTP/AVP {}",
        "m=139-0013-9000 0 RTP/AVP 0",
        "a=mid:{}",
        "a=mid:139-0013-9000",
        "a=mid:139.0013.9000",
        "a=group:BUNDLE {}",
        "a=group:BUNDLE 139 0013 9000",
        "a=rid:{} send",
        "a=simulcast:send {}",
        "a=extmap:1 urn:x:{}",
        "a=rtpmap:96 {}/8000",
        "a=rtpmap:96 x/139/00139000",
        "a=ptime:{}",
        "a=x-unknown:{}",
        "a=x-unknown:139-0013-9000",
        "a=fmtp:96 x={}",
        "a=fmtp:96 config={}",
        "a=fmtp:96 0-15,{}",
        "a=ssrc:{} cname:x",
        "a=ssrc:1 cname:{}",
        "a=ssrc-group:FID {} 1",
        "a=msid:{} {}",
        "a=msid-semantic: WMS {}",
        "a=candidate:{} 1 udp 1 192.0.2.1 9 typ host",
        "a=candidate:1 1 udp {} 192.0.2.1 9 typ host",
        "a=candidate:1 1 udp 1 {}.example 9 typ host",
        "a=candidate:1 1 udp 1 192.0.2.1 9 typ host ufrag {}",
        "a=remote-candidates:1 {}.example 9",
        "a=ice-ufrag:{}",
        "a=ice-pwd:{}abcdefghijkl",
        "a=ice-pwd:139/0013/9000",
        "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{}",
        "a=fingerprint:sha-256 {}",
        "a=tls-id:{}",
        "a=max-message-size:{}",
        "b=AS:{}",
        "b=TIAS:{}",
        "b=X{}:1",
        "c=IN IP4 {}.example",
        "a=x-unknown:%31%33900139000",
        "i={}",
    ],
)
def test_guess_in_a_line_that_the_answer_repeats(line: str) -> None:
    sdps = [PLAIN_SDP + line.replace("139", guess[:3]).replace("9000", guess[-4:]) for guess in (B, WRONG)]
    assert_alike(B, WRONG, [invite(guess, sdp=sdp) for guess, sdp in zip((B, WRONG), sdps, strict=True)])


def in_groups(text: str, size: int, separator: str) -> str:
    return separator.join(text[start : start + size] for start in range(0, len(text), size))


RUN = "a=mid:333333"  # letters as a number has them in base64, so that the description is searched at all


@pytest.mark.parametrize(
    "line",
    [
        lambda n: f"a=fingerprint:sha-256 {in_groups(f'{n.encode().hex()}ab', 2, ':')}",
        lambda n: f"a=candidate:1 1 udp 1 {in_groups(f'{n.encode().hex()}abcd', 4, ':')} 9 typ host",
        lambda n: f"a=remote-candidates:1 {in_groups(f'{n.encode().hex()}abcd', 4, ':')} 9",
        lambda n: f"a=ssrc-group:FID {in_groups(n.encode().hex(), 8, ' ')}",
        lambda n: f"a=fmtp:{n.encode().hex()[:6]} {in_groups(n.encode().hex()[6:], 2, '-')}",
        lambda n: f"a=fmtp:{in_groups(b64encode(n.encode()).decode(), 8, ' ')}",
        lambda n: f"a=fmtp:{b64encode(n.encode()).decode()}",
        lambda n: f"a=fmtp:{n.encode().hex()}",
    ],
)
def test_encoded_guess_in_pieces(line: Callable[[str], str]) -> None:
    """What stands between the pieces of an encoding is passed over by the search; in these lines it joins nothing."""
    sdps = [f"{PLAIN_SDP}{line(guess)}\n{RUN}" for guess in (B, WRONG)]
    assert_alike(B, WRONG, [invite(guess, sdp=sdp) for guess, sdp in zip((B, WRONG), sdps, strict=True)])


@pytest.mark.parametrize(
    "line", ["a=x:sip:{}", "a=x:{}@x", "a=mid:tel:{}", "a=fmtp:96 sip:{}", "m=audio 9 sip:{} 0", "a=ice-pwd:tel:{}"]
)
def test_guess_of_a_short_number(line: str) -> None:
    """A service number is searched as the user of an address only, so it must not be one in what comes back."""
    guesses = ("95588", "95566")
    assert_alike("95588", "95566", [invite(guess, sdp=PLAIN_SDP + line) for guess in guesses])


@pytest.mark.parametrize("line", ["a=ice-pwd:{}abcdefghijkl", "a=fmtp:96 config={}", "a=x:{}", "b=TIAS:{}"])
def test_guess_of_the_callee(line: str) -> None:
    """The other way round: the callee tries numbers in a re-INVITE, and the caller's phone repeats the line."""
    node = CoreNode()
    talk = talking(node)
    talk.from_callee("INVITE", sdp=B_SDP + line.replace("{}", A))
    node.book.wire_out("SIP/2.0 100", CALLEE)
    again = node.book.wire_out("INVITE ", CALLER)
    contact = f"<sip:{A}@127.0.0.12:5060>"
    node.book.wire_in(answer(again, 200, "", "", echo(again)[1], contact, "nobody"), CALLER)
    accepted = node.book.wire_out("SIP/2.0 200", CALLEE)
    assert sdp_of(accepted)["m"].startswith("audio")
    talk.from_callee("ACK")
    node.book.wire_out("ACK ", CALLER)
    talk.hang_up()


def test_a_thousand_guesses_at_once() -> None:
    """Media lines that are refused one by one, each with a number; the right one is among them, or is not."""
    others = [f"{int(WRONG) + step}" for step in range(1, 60)]
    sdps = [PLAIN_SDP + "\n".join(f"m=x{n} 0 RTP/AVP 0" for n in [guess, *others]) for guess in (B, WRONG)]
    assert_alike(B, WRONG, [invite(guess, sdp=sdp) for guess, sdp in zip((B, WRONG), sdps, strict=True)])


def test_the_comparison_can_fail() -> None:
    """A phone that writes its own number into its answer is stopped: only in this case do the two differ."""
    node = node_for(B)
    node.book.wire_in(invite(WRONG), CALLER)
    request = parse(next(sent.data for sent in node.book.log if sent.data.startswith(b"INVITE ")))
    for number, status in ((WRONG, 183), (B, 183)):
        before = len(node.sent_to(CALLER))
        sdp = f"{PLAIN_SDP}a=ice-pwd:{number}"
        node.book.wire_in(answer(request, status, f"b-tag{number[-1]}", sdp=sdp, who="nobody"), CALLEE)
        assert len(node.sent_to(CALLER)) == before + (number == WRONG)
    node.wait(70)
    CoreNode.made.clear()
