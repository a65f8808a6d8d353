"""No oracle in a description, whatever is in its lines: a guess in pieces, encoded, and a phone that repeats all."""

from __future__ import annotations

from base64 import b64encode

from hypothesis import example, given, settings
from hypothesis import strategies as st

from engine.core.copies import body_hides
from engine.core.session_bodies import OriginRewriter, description_holds_number
from sipstack.errors import RemoteSipError
from sipstack.sdp import CONTENT_TYPE

# The number, and another one that the same rules treat alike.
PAIRS = (("13900139000", "13900139001"), ("2088888888", "2088888881"), ("106575000", "106575001"), ("95588", "95566"))
HEAD = b"v=0\r\no=- 1 1 IN IP4 10.1.2.3\r\ns=-\r\nc=IN IP4 10.1.2.3\r\nt=0 0\r\nm=audio 40000 RTP/AVP 8 96\r\n"
RUN = b"a=mid:333333\r\n"  # letters as numbers have them in base64, without which nothing is searched for them

ENCODINGS = (
    lambda number: number,
    lambda number: f"+86{number}",
    lambda number: number.encode().hex(),
    lambda number: number.encode("utf-16-be").hex(),
    lambda number: b64encode(number.encode()).decode(),
    lambda number: b64encode(f"a{number}z".encode()).decode().rstrip("="),
    lambda number: b64encode(number.encode("utf-16-le")).decode(),
    lambda number: "".join(f"%{ord(digit):02x}" for digit in number),
)
LINES = (
    "a={name}:{n}", "a={name}:1 {n}", "a={n}", "a=fmtp:{n}", "a=fmtp:{n} x=1", "a=fmtp:96 config={n};x={n}",
    "a=fmtp:96 {n}", "a=candidate:1 1 udp 1 {n} 9 typ host", "a=candidate:{n} 1 udp 1 192.0.2.1 9 typ host {n}",
    "a=remote-candidates:1 {n} 9", "a=ssrc:{n} cname:{n}", "a=ssrc-group:FID {n} {n}", "a=fingerprint:sha-256 {n}",
    "m=audio 9 RTP/AVP {n}", "m={n} 9 RTP/AVP 0", "c=IN IP6 {n}", "c=IN IP4 {n}", "b=AS:{n}",
)  # fmt: skip
NAMES = (
    "rtpmap", "rtcp", "msid", "msid-semantic", "crypto", "ice-ufrag", "ice-pwd", "ice-options", "tls-id", "setup",
    "mid", "group", "extmap", "rid", "simulcast", "ptime", "sctp-port", "max-message-size", "rtcp-fb",
    "T38FaxMaxBuffer", "x",
)  # fmt: skip
SEPARATORS = ("", " ", "-", ":", ",", ";", ".", "/", "\t", "=", "|", "_", "; ", "(", "\\")


def outcome(template: str, name: str, guess: str, number: str) -> str:
    """What becomes of a description that holds the guess, goes to the phone of `number` and is repeated by it."""
    there = OriginRewriter(200_000_000, "127.0.0.11")
    back = there.opposite(200_000_001, "127.0.0.11")
    line = template.replace("{name}", name).replace("{n}", guess).encode()
    try:
        offered = there.rewrite(HEAD + line + b"\r\n" + RUN)
        repeated = [kept for kept in offered.split(b"\r\n") if kept.startswith((b"a=", b"m=", b"b=", b"c="))]
        answered = back.rewrite(b"\r\n".join([b"v=0", b"o=- 1 1 IN IP4 10.9.2.3", b"s=-", *repeated]))
    except RemoteSipError:
        return "refused"
    is_stopped = description_holds_number(answered, number) or body_hides(answered, CONTENT_TYPE, number)
    return "stopped" if is_stopped else f"{len(answered.splitlines())} lines"


@given(
    st.sampled_from(PAIRS), st.sampled_from(ENCODINGS), st.integers(1, 12), st.sampled_from(SEPARATORS),
    st.sampled_from(LINES), st.sampled_from(NAMES),
)  # fmt: skip
@example(PAIRS[0], ENCODINGS[2], 2, ":", "a=fingerprint:sha-256 {n}", "")
@example(PAIRS[0], ENCODINGS[2], 8, " ", "a=ssrc-group:FID {n} {n}", "")
@example(PAIRS[0], ENCODINGS[4], 8, " ", "a=fmtp:{n}", "")
@example(PAIRS[0], ENCODINGS[0], 1, "-", "c=IN IP6 {n}", "rtpmap")
@settings(max_examples=600, deadline=None)
def test_what_comes_back_does_not_tell(
    pair: tuple[str, str], encode: object, size: int, separator: str, template: str, name: str
) -> None:
    assert callable(encode)
    written = [encode(guess) for guess in pair]
    guesses = [separator.join(text[at : at + size] for at in range(0, len(text), size)) for text in written]
    right, wrong = (outcome(template, name, guess, pair[0]) for guess in guesses)
    assert right == wrong != "stopped"
