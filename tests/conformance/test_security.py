"""Requirements 83 to 85: security."""

from __future__ import annotations

import time
from contextlib import closing
from typing import Final

from scenarios.rig.binding import BLOCK
from scenarios.rig.place import PORT
from tests.conformance.conftest import RigFactory
from tests.conformance.message import text_for_x
from tests.conformance.parties import PATIENCE_S
from tests.conformance.rig import Rig, options
from tests.conformance.talk import Call
from tests.e2e.datagrams import drain, udp_socket

# What some program takes for the end of a line, or cannot show.
CONTROLS: Final = ("%0d%0a", "\n", "\r", "\0", "\x0b", "\x0c", "\x1c", "\x1e", "\x7f", "\x85", "\u2028", "\u2029")

# The caller's trunk tells nothing: which numbers are bound, and to whom.
UNIFORM: Final = """
[[peer]]
name = "outside"
match = ["{prefix}.20"]
trusted = false
caller = "from"
"""
TRIED: Final = 60
NEAR_S: Final = 0.003


def test_req_083_unknown_source(rig: Rig) -> None:
    """RFC 3261 §26.1.5: a request from who is no peer is not served; it gets no answer at all, so nobody can have the
    node send to an address of his choice, and no answer to a peer is much longer than what it asked.

    Checked: INVITE, MESSAGE, OPTIONS, BYE and rubbish from a host of no peer; the longest answer to a short request of
    a peer.
    """
    call = Call(rig)
    assert rig.until(lambda: rig.node.status()["calls"] == 0)
    unknown, records = rig.counter("unknown_source"), rig.node.records()
    node, host = (rig.place.node, PORT), rig.place.stranger
    with closing(udp_socket(host)) as stranger:
        sent = (
            call.invite(), text_for_x(rig, b"hello"), options(rig.caller, rig.place.node, "stranger").encode(),
            call.of_invite("CANCEL"), call.caller.request("BYE"), b"rubbish\r\n\r\n",
        )  # fmt: skip
        for data in sent:
            stranger.sendto(data.replace(rig.caller.host.encode(), host.encode()), node)
        rig.hears_nothing(rig.callee)
        assert drain(stranger) == []
    assert rig.counter("unknown_source") == unknown + len(sent)
    assert rig.node.records() == records
    short = options(rig.caller, rig.place.node, rig.caller.word())
    rig.caller.send(short)
    answer = rig.hear(rig.caller, "200 OPTIONS")
    assert len(answer.data) < 3 * len(short)


def test_req_084_no_control_character_crosses(rig: Rig) -> None:
    """RFC 3261 §25.1; §7.3.1: what separates lines or is no printable character never comes into a header line of the
    other side, of a log or of a record.

    Checked: twelve of them in display name, user part, Call-ID, tags, Subject and Reason phrase: a 400, or an INVITE of
    the same lines as without.
    """
    plain = Call(rig)
    usual = [row.partition(":")[0] for row in plain.start().head]
    plain.drop()
    for control in CONTROLS:
        for place in ("name", "user", "Call-ID", "tag", "Subject", "uri"):
            call = Call(rig)
            data = call.invite("Subject: here").decode()
            evil = f"x{control}X-Evil: 1"
            changed = {
                "name": data.replace('From: "', f'From: "{evil}'),
                "user": data.replace(
                    f"<sip:{rig.caller.number}@{rig.caller.host}>", f"<sip:{rig.caller.number};{evil}@h>", 1
                ),
                "Call-ID": data.replace("Call-ID: ", f"Call-ID: {evil}"),
                "tag": data.replace(">;tag=", f">;tag={evil}", 1),
                "Subject": data.replace("Subject: here", f"Subject: {evil}"),
                "uri": data.replace(f"{rig.x}@", f"{rig.x};{evil}@", 1),
            }[place]
            rig.caller.send(changed)
            assert rig.until(lambda: any(seen.status != 100 for seen in rig.caller.fresh) or rig.callee.fresh != [])
            for sent in [seen for seen in rig.callee.fresh if seen.shown == "INVITE"]:
                assert [row.partition(":")[0] for row in sent.head] == usual, (control, place)
                assert b"X-Evil" not in sent.data  # letters alone may be drawn for an identifier
                rig.callee.send(rig.callee.answer(sent, 486).replace(b"486 ", f"486 a{control}b".encode()))
                assert rig.until(lambda: any(seen.status > 100 for seen in rig.caller.fresh))
            for seen in rig.caller.fresh:
                assert seen.status in (100, 400, 404, 403, 480, 486), (control, place)
            rig.caller.fresh.clear()
            rig.callee.fresh.clear()
    values = [value for record in rig.node.records() for value in record.values() if isinstance(value, str)]
    for text in (rig.node.stderr.replace("\n", ""), *values):
        assert text.isprintable(), text


def apart(times: dict[str, list[float]]) -> float:
    """By how much the quickest of each differ; what was held up tells nothing about the node."""
    return abs(min(times["bound"]) - min(times["other"]))


def test_req_085_refusals_tell_nothing(make_rig: RigFactory) -> None:
    """Product: to a trunk with `uniform_refusals` every refusal is the same, whatever the cause, and takes the same
    time; no message names the software.

    Checked: 60 numbers, half of them bound to others and half to nobody: the same octets but for identifiers; the
    quickest of each differ by less than 3 ms. On a busy machine more are tried until one of each was not held up.
    """
    rig = make_rig(UNIFORM)
    host = rig.place.host(20)
    told: set[bytes] = set()
    times: dict[str, list[float]] = {"bound": [], "other": []}
    with closing(udp_socket(host)) as outside:
        number = 0
        while number < TRIED or (apart(times) >= NEAR_S and number < 20 * TRIED):
            called = rig.x if number % 2 else f"{BLOCK}{number + 100:04}"
            data = Call(rig, called).invite().replace(rig.caller.host.encode(), host.encode())
            data = data.replace(f"<sip:{rig.caller.number}".encode(), b"<sip:15812345678")
            began_s = time.monotonic()
            outside.sendto(data, (rig.place.node, PORT))
            while (answer := outside.recv(65_536)).startswith(b"SIP/2.0 100 "):
                pass
            times["bound" if number % 2 else "other"].append(time.monotonic() - began_s)
            number += 1
            rows = [row for row in answer.split(b"\r\n") if not row.startswith((b"Via", b"From", b"To", b"Call-ID"))]
            told.add(b"\n".join(rows))
            assert b"veil700" not in answer.lower() and b"\nServer" not in answer and b"\nUser-Agent" not in answer
            drain(outside)
            outside.settimeout(PATIENCE_S)
    assert len(told) == 1 and told.pop().startswith(b"SIP/2.0 404 Not Found")
    assert apart(times) < NEAR_S
    rig.hears_nothing(rig.callee)
