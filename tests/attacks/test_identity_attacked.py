"""Attacks A7, A14, A16, A20 and A25: claiming to be another, and having the node show what it knows."""

from __future__ import annotations

import socket
import time
from contextlib import closing
from typing import Final

import pytest

from scenarios.rig.place import PORT
from scenarios.rig.seen import Seen
from sipstack.digest import Asked, answer, credentials_value, parse_challenge
from tests.attacks.after import ARRIVED, outcome, serves
from tests.conformance.conftest import RigFactory
from tests.conformance.message import text_for_x
from tests.conformance.parties import Party
from tests.conformance.rig import Rig
from tests.conformance.talk import Call
from tests.e2e.datagrams import drain, udp_socket

PASSWORD: Final = "correct horse"
OTHERS: Final = "13700137000"

SETTINGS: Final = f"""
[[peer]]
name = "asks"
targets = ["sip:{{callee}}:5060"]
username = "veil"
password = "{PASSWORD}"
realm = "b.example"
[[route]]
name = "to-asks"
called = "^134"
peers = ["asks"]
[[peer]]
name = "testers"
match = ["{{prefix}}.128/25"]
[[peer]]
name = "phones"
match = ["{{prefix}}.20"]
trusted = false
caller = "digest"
[[account]]
user = "mallory"
peer = "phones"
numbers = ["{OTHERS}"]
password = "{PASSWORD}"
"""


def challenge(status: int, realm: str, nonce: str) -> str:
    name = "WWW" if status == 401 else "Proxy"
    return f'{name}-Authenticate: Digest realm="{realm}", nonce="{nonce}", algorithm=SHA-256, qop="auth"'


def is_credentials(seen: Seen) -> bool:
    return any("authorization" in row.partition(":")[0].lower() for row in seen.head)


@pytest.mark.parametrize("status", [401, 407])
def test_attack_a07_challenged_without_end(make_rig: RigFactory, status: int) -> None:
    """CVE-2020-28242: a callee that asks for a password again and again gets one answer, and then the call has failed.

    Checked: a trunk with a password that challenges each INVITE with a new nonce; the caller is told a failure of ours.
    """
    rig = make_rig(SETTINGS, "134")
    call = Call(rig)
    call.start()
    for number in range(2):
        call.answer(status, challenge(status, "b.example", f"nonce{number}"), tag=f"challenge{number}")
        rig.hear(rig.callee, "ACK")
        if number == 0:
            call.sent = rig.hear(rig.callee, "INVITE")
            assert is_credentials(call.sent) and b"nonce0" in call.sent.data
    refused = call.refused()
    assert refused.status == 480 and not any("Authenticate" in row for row in refused.head)
    rig.hears_nothing(rig.callee)
    assert len(rig.node.records()) == 1
    serves(rig)


def test_attack_a16_password_asked_for_by_others(make_rig: RigFactory) -> None:
    """CVE-2021-41158: credentials go to the peer that they are for, and for its realm only; nobody else who asks is
    answered.

    Checked: a trunk without a password that asks with 407, one with a password that asks for another realm, and a
    caller that challenges a request within the call.
    """
    for prefix, realm in (("139", "b.example"), ("134", "rogue.example")):
        rig = make_rig(SETTINGS, prefix)
        for status in (401, 407):
            call = Call(rig)
            call.start()
            call.answer(status, challenge(status, realm, "rogue"))
            rig.hear(rig.callee, "ACK")
            assert call.refused().status == 480
        call = Call(rig).talk()
        rig.callee.send(call.callee.request("INFO"))
        asked = rig.hear(rig.caller, "INFO")
        rig.caller.send(rig.caller.answer(asked, 407, challenge(407, "b.example", "rogue")))
        told = rig.final("INFO", rig.callee)
        assert told.status >= 400
        if rig.node.status()["calls"]:
            call.hang_up()
        assert not any(is_credentials(seen) for party in rig.parties for seen in party.received)
        assert not any(b"rogue" in seen.data for seen in rig.callee.received)
        serves(rig)


def test_attack_a14_spoofed_sender_of_a_message(rig: Rig) -> None:
    """CVE-2021-37624: a message whose sender is not who it says is not passed on: from nobody's address it is dropped,
    from a phone it needs the password of an account that has the number.

    Checked: with the caller's number in From and P-Asserted-Identity: from a stranger, from a phone without a password,
    with a wrong one, and with the password of another number.
    """
    asserted = f"P-Asserted-Identity: <sip:{rig.caller.number}@{rig.caller.host}>"
    before = rig.counter("unknown_source")
    with closing(udp_socket(rig.place.stranger)) as stranger:
        stranger.sendto(from_host(rig, text_for_x(rig, b"hello", asserted), rig.place.stranger), (rig.place.node, PORT))
        rig.hears_nothing(rig.callee)
        assert drain(stranger) == [] and rig.counter("unknown_source") == before + 1
    host = rig.place.host(20)
    with closing(udp_socket(host)) as phone:
        data = from_host(rig, text_for_x(rig, b"hello", asserted), host)
        told = asked(phone, rig, data)
        assert told.status == 401
        for password, status in (("wrong", 401), (PASSWORD, 403)):
            offered = parse_challenge(told.values("WWW-Authenticate")[0])
            assert offered is not None
            wanted = Asked("MESSAGE", f"sip:{rig.x}@{rig.place.node}", b"hello", "c", 1)
            row = credentials_value(answer(offered, "mallory", password, wanted))
            again = from_host(rig, text_for_x(rig, b"hello", asserted, f"Authorization: {row}"), host)
            refused = asked(phone, rig, again)
            assert refused.status in (status, 404 if status == 403 else status)
            told = refused if refused.status == 401 else told
    rig.hears_nothing(rig.callee)
    serves(rig)


def from_host(rig: Rig, data: bytes, host: str) -> bytes:
    return data.replace(rig.caller.host.encode(), host.encode())


def asked(end: socket.socket, rig: Rig, data: bytes) -> Seen:
    """The final answer that a socket gets."""
    end.sendto(data, (rig.place.node, PORT))
    while (seen := Seen(time.monotonic(), False, end.recv(65_536))).status < 200:
        pass
    return seen


def test_attack_a20_forged_within_a_call(rig: Rig) -> None:
    """RFC 3261 §26.1.3; §26.1.4: what tears down or moves a call is taken from the peers of the call only, whoever
    else knows its identifiers; with wrong identifiers it is answered 481.

    Checked: BYE, CANCEL, re-INVITE, UPDATE, INFO and an answer, with all identifiers of either side, from a
    stranger and from another peer; from the caller itself with one tag or the Call-ID guessed.
    """
    ringing = Call(rig)
    ringing.start()
    ringing.ring()
    call = Call(rig).talk()
    for host in (rig.place.stranger, rig.place.host(150)):
        with closing(udp_socket(host)) as thief:
            for side in (call.caller, call.callee):
                for method in ("BYE", "INVITE", "UPDATE", "INFO"):
                    kept = side.cseq
                    body = side.party.description() if method in ("INVITE", "UPDATE") else b""
                    forged = side.request(method, body=body, cseq=kept + 1)
                    thief.sendto(forged.replace(side.party.host.encode(), host.encode()), (rig.place.node, PORT))
            for data in (ringing.of_invite("CANCEL"), ringing.of_invite("CANCEL").replace(
                rig.caller.host.encode(), host.encode()
            ), rig.callee.answer(ringing.sent, 200, tag=ringing.tag, body=rig.callee.description())):  # fmt: skip
                thief.sendto(data, (rig.place.node, PORT))
            rig.barrier()
            told = [Seen(0.0, False, data) for data in drain(thief)]
            assert all(seen.status in (403, 404, 481) for seen in told), [seen.start_line for seen in told]
        for party in (rig.caller, rig.callee):
            rig.hears_nothing(party)
    for old, new in (
        (f"tag={call.caller.local.partition('tag=')[2]}", "tag=guessed"),
        (call.caller.call_id, "guessed"),
    ):
        data = call.caller.request("BYE", cseq=call.caller.cseq + 1).replace(old.encode(), new.encode())
        rig.caller.send(data)
        assert rig.final("BYE").status == 481
        rig.hears_nothing(rig.callee)
    ringing.drop()
    rig.caller.send(call.caller.request("INFO"))
    info = rig.hear(rig.callee, "INFO")
    rig.callee.send(rig.callee.answer(info, 200))
    rig.final("INFO")
    call.hang_up()
    serves(rig)


def spellings(x: str) -> dict[str, bool]:
    """User parts -> whether they are the number X."""
    wide = "".join(chr(0xFF10 + int(digit)) for digit in x)
    arabic = "".join(chr(0x660 + int(digit)) for digit in x)
    return {
        "".join(f"%{ord(digit):02x}" for digit in x): True, f"%2B86{x}": True, f"+86{x}": True, f"86{x}": True,
        f"{x};ext=77": True, f"{x};phone-context=+86": True, f"{x};isub=1;x=<y": False, f"{x}:secret": True,
        "-".join(x): True, f"({x[:3]}){x[3:]}": True, wide: False, arabic: False, "%EF%BC%97" + x[1:]: False,
        x[:-1]: False, x + "0": False, f"0{x}": False, f"+1{x}": False, f"+8686{x}": False, f"{x}%00": False,
        f"{x}%20": True, f"{x[:7]}%0d%0a{x[7:]}": False, f"{x},": False, f"{x}*": False, "": False,
    }  # fmt: skip


def test_attack_a25_numbers_that_are_none(rig: Rig) -> None:
    """RFC 3966 §3; §5.1: a number is brought into one form or refused; what was written never reaches the callee.

    Checked: X in 24 spellings in the Request-URI and To, and the caller's number in as many in From: each INVITE that
    the callee gets names its number and X as our form has them, and nothing else.
    """
    wrong = []
    for written, is_x in spellings(rig.x).items():
        call = Call(rig)
        data = call.invite().replace(f"INVITE sip:{rig.x}@".encode(), f"INVITE sip:{written}@".encode())
        before = len(rig.callee.received)
        status = outcome(rig, call, data)
        wrong += [] if status == ARRIVED or status in (400, 403, 404, 484) else [(written, status)]
        wrong += [] if (status == ARRIVED) == is_x else [(written, status)]
        wrong += strange(rig.callee, before, rig.x, written)
    for written in spellings(rig.caller.number):
        call = Call(rig)
        data = call.invite().replace(f"<sip:{rig.caller.number}@".encode(), f"<sip:{written}@".encode())
        before = len(rig.callee.received)
        status = outcome(rig, call, data)
        wrong += [] if status in (ARRIVED, 400, 403, 404, 484) else [(written, status)]
        wrong += strange(rig.callee, before, rig.x, written)
    assert wrong == []
    serves(rig)


def strange(callee: Party, before: int, x: str, written: str) -> list[tuple[str, str]]:
    """INVITEs since then that show anything but the callee's number and X in our form."""
    found = []
    for seen in callee.received[before:]:
        if seen.shown == "INVITE":
            is_ours = seen.start_line == f"INVITE sip:{callee.number}@{callee.sent_by} SIP/2.0"
            if not is_ours or not seen.value("From").startswith(f"<sip:{x}@veil.example>;"):
                found.append((written, seen.start_line))
    return found
