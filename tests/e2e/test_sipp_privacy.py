"""Neither side learns who or where the other is: the search itself, and trunks on which it could go wrong.

The same search runs over every story of scenarios/, and over each call of test_sipp_load.py.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from scenarios.rig.check import ended_wrong
from scenarios.rig.place import Place
from scenarios.rig.privacy import CALLEE_CANARY, CALLER_CANARY, Side, leaks
from scenarios.rig.seen import Seen
from scenarios.rig.sipp import Sipp
from tests.e2e.stories import ANSWERED, BINDING, A, B, X, assert_private, tell, x_in

CALLER_HOST = "127.9.9.12"
CALLEE_HOST = "127.9.9.13"

TEMPLATE = (
    "INVITE sip:{number}@{host} SIP/2.0\r\nVia: SIP/2.0/UDP {host}:5060;branch=z9hG4bK{name}1-7\r\n"
    'From: "{name}" <sip:{number}@{host}>;tag={name}-tag-7\r\nTo: <sip:700123456780001@127.9.9.1>\r\n'
    "Call-ID: 77-{name}@{host}\r\nCSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n{more}"
)


def side(name: str, number: str, host: str, more: str = "") -> Side:
    """A party that sent one INVITE of its own, and received `more`."""
    sent = TEMPLATE.format(name=name, number=number, host=host, more="")
    got = f"SIP/2.0 200 OK\r\nCall-ID: 77-{name}@{host}\r\nCSeq: 1 INVITE\r\n{more}\r\n\r\n"
    return Side([Seen(0.0, True, sent.encode()), Seen(0.0, False, got.encode())], host, number, f"CanaryOf{name}")


CALLER = side("Caller", A, CALLER_HOST)


@pytest.mark.parametrize(
    "line",
    [
        f"X: {A}",
        f"X: +86{A}",
        "X: 138-0013-8000",
        "X: (138) 0013 8000",
        "X: 138.0013.8000",
        "X: %31%33%3800138000",
        f"X: tel:+86-{A[:3]}-{A[3:]}",
        "X: 77-Caller@elsewhere",
        "X: z9hg4bkz9hG4bKCaller1-7",
        "Refer-To: <sip:x@y?Replaces=Caller-tag-7>",
        f"Contact: <sip:x@{CALLER_HOST}>",
        f"Via: SIP/2.0/UDP {CALLER_HOST}:5060;branch=z9hG4bK",
        f"o=- 1 1 IN IP4 {CALLER_HOST}",
        f"a=rtcp:1 IN IP4 {CALLER_HOST}",
        "Server: canaryofcaller/1.0",
    ],
)
def test_search_finds(line: str) -> None:
    assert len(leaks(side("Callee", B, CALLEE_HOST, line), CALLER)) == 1
    assert leaks(side("Callee", B, CALLEE_HOST, "X: nothing"), CALLER) == []


@pytest.mark.parametrize(
    "line",
    [
        f"c=IN IP4 {CALLER_HOST}",
        f"a=candidate:1 1 UDP 1 {CALLER_HOST} 6000 typ host",
        f"X: {CALLER_HOST}0 and 1{CALLER_HOST}",
        "X: CanaryOfCallee 77-Callee@127.9.9.13 Callee-tag-7",
        "X: 1380013 800",
    ],
)
def test_search_allows(line: str) -> None:
    assert leaks(side("Callee", B, CALLEE_HOST, line), CALLER) == []


FORMATS = {"national": "{}", "plus": "+86{}", "prefix86": "86{}"}


@pytest.mark.parametrize("trust", ["trusted = true", 'trusted = false\ncaller = "from"'], ids=["trusted", "untrusted"])
@pytest.mark.parametrize("number_format", FORMATS)
def test_trunks(make_node: Any, number_format: str, trust: str) -> None:
    """However numbers are written on a trunk, and whether or not it is believed."""
    node = make_node()
    text = node.config.read_text()
    for name in ("caller-side", "callee-side"):
        text = text.replace(f'name = "{name}"', f'name = "{name}"\nnumber_format = "{number_format}"\n{trust}')
    node.config.write_text(text)
    node.bind(BINDING)
    node.start()
    shown = FORMATS[number_format].format(B)
    told = tell(node, replace(ANSWERED, seen=()), caller_writes=FORMATS[number_format].format(A))
    invite = told.callee[0]
    assert invite.start_line == f"INVITE sip:{shown}@{node.place.callee}:5060 SIP/2.0"
    assert invite.value("From").startswith(f"<sip:{X}@veil.example>;tag=")
    assert bool(invite.value("P-Asserted-Identity")) == (trust == "trusted = true")
    assert ended_wrong(node) == []


@pytest.mark.paced
def test_calls_at_the_same_time_do_not_mix(make_node: Any, sipp: Any, place: Place) -> None:
    """Fifty calls through one X pair at once: each side's dialogs stay apart, and none knows another's names."""
    node = make_node()
    node.bind(BINDING)
    node.start()
    callee: Sipp = sipp("answered/uas", place.callee, calls=50)
    caller: Sipp = sipp("answered/uac", place.caller, target=place.node, rows=[(X, A)], calls=50, rate=25, talk_ms=3000)
    for run in (caller, callee):
        counted = run.wait()
        assert (counted.successful, counted.failed) == (50, 0), counted.errors
    calling = Side(caller.messages, place.caller, A, CALLER_CANARY)
    answering = Side(callee.messages, place.callee, B, CALLEE_CANARY)
    assert len(calling.identifiers()) > 200
    assert_private(calling, answering)
    assert x_in(list(answering.messages)) == X
    node.stop()
    records = node.records()
    assert len({record["callee_call_id"] for record in records}) == 50
    assert {record["release_cause"] for record in records} == {"NORMAL"}
