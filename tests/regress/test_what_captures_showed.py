"""What a capture has shown and should not, and what it has hidden and should not."""

from __future__ import annotations

import asyncio
import json
import re

import pytest

from engine.capture.captures import MAX_CAPTURES
from engine.capture.masker import Masker
from tests.capture.messages import KEY, A, X, invite
from tests.capture.test_captures import World

PROOF = "6629fae49393a05397450978507c4ef1"


def masked(data: bytes) -> bytes:
    shown = Masker(KEY).mask(data)
    assert shown is not None and len(shown) == len(data)
    return shown


@pytest.mark.parametrize(
    ("user", "digits"),
    [
        ("88888888", "88888888"), ("8888-8888", "88888888"), ("+8688888888", "88888888"), ("%388888888", "88888888"),
        ("992188888888", "992188888888"), ("7888888", "7888888"),
    ],
)  # fmt: skip
def test_numbers_that_only_rules_can_read(user: str, digits: str) -> None:
    """A trunk with number rules writes local numbers, or prefixes; here nobody asks for them."""
    shown = masked(invite(user, f"Subject: {digits} or +86{digits}".encode()))
    assert user.encode() not in shown
    assert digits.encode() not in shown
    assert shown.count(X.encode()) == 2


@pytest.mark.parametrize("line", ["a=label:88888888", "a=x-name:8888-8888", "a=x-name:8888 8888"])
def test_a_local_number_in_a_description(line: str) -> None:
    body = f"v=0\r\no=- 1 1 IN IP4 192.0.2.12\r\ns=-\r\n{line}\r\nm=audio 4000 RTP/AVP 8 0 18 101\r\n".encode()
    shown = masked(invite("88888888", b"", b"application/sdp", body))
    name = line.partition(":")[0]
    (told,) = re.findall(rf"{name}:(.*)\r\n", shown.decode())
    (user,) = re.findall(r"From: <sip:([0-9]{8})@", shown.decode())
    assert (told.replace("-", "").replace(" ", ""), len(told)) == (user, len(line) - len(name) - 1)
    assert b"RTP/AVP 8 0 18 101" in shown


def test_a_message_about_hundreds_of_calls_is_withheld_at_once() -> None:
    """Each of these 700 numbers has eight numbers beside it: to search for all of them took minutes."""
    masker = Masker(KEY)
    for call in range(50):
        for number in range(8):
            masker.known.add_beside(f"7001{call:011d}", f"13{call * 8 + number:09d}")
    assert masker.mask(invite(A, b"\r\n".join(b"X: 7001%011d" % call for call in range(50)))) is None
    assert masker.mask(invite(A, b"\r\n".join(b"X: 7001%011d" % call for call in range(6)))) is not None


def test_addresses_that_read_as_numbers_stay() -> None:
    rows = b"Via: SIP/2.0/UDP 203.0.113.177:5060;branch=z9hG4bKa\r\nContact: <sip:139.224.113.45>"
    data = invite(A, rows).replace(f"sip:{X}@192.0.2.1 ".encode(), b"sip:203.0.113.177 ")
    assert rows in masked(data)
    assert b"INVITE sip:203.0.113.177 " in masked(data)


@pytest.mark.parametrize(
    "row",
    [
        f'Authorization: Digest username="x", response=\r\n "{PROOF}"',
        f'Authorization: Digest username="x", response\r\n\t= "{PROOF}"',
        f'Authorization: Digest username="x", response="\\{PROOF}"',
        f"Proxy-Authorization: Digest username=x, response=' {PROOF}'",
        f"Authorization: Basic {PROOF}=",
        f"proxy-authorization :\r\n  bearer {PROOF}",
    ],
)
def test_passwords_and_their_proofs(row: str) -> None:
    shown = masked(invite(A, row.encode()))
    assert PROOF[1:] not in shown.decode()
    assert b"0" * len(PROOF) in shown


async def test_no_more_captures_than_there_may_be_while_audits_are_written() -> None:
    captures = World().captures
    streams = [captures.run({"reveal": True, "actor": "root", "for_s": 0.1}) for _ in range(MAX_CAPTURES + 2)]
    first = [json.loads(line) for line in await asyncio.gather(*map(anext, streams))]
    for stream in streams:
        await stream.aclose()
    assert sum("error" in answer for answer in first) == 2
