"""Attacks A13 and A24: more than anybody needs."""

from __future__ import annotations

from contextlib import ExitStack, closing
from typing import Final

from scenarios.rig.binding import BLOCK
from scenarios.rig.place import PORT
from scenarios.rig.seen import Seen
from tests.attacks.after import memory_kb, serves
from tests.conformance.message import text_for_x
from tests.conformance.parties import NothingCame
from tests.conformance.rig import Rig, options
from tests.conformance.talk import Call
from tests.e2e.datagrams import ANSWER_S, drain, udp_socket

ROUNDS: Final = 40
AT_ONCE: Final = 250  # of each of two senders
GROWTH_KB: Final = 72 * 1024  # 10,000 requests of a known peer and their answers are kept for 64*T1, 5 KB each
TRIED: Final = 120
A_SECOND: Final = 1  # a machine that is busy with other tests may serve a caller but a few times a second
A_MINUTE: Final = 2  # the next one comes 30 s later: all that are sent are refused or admitted by then

SETTINGS: Final = f"""
[[peer]]
name = "greedy"
match = ["{{prefix}}.20"]
max_rate = {A_SECOND}
[[peer]]
name = "outside"
match = ["{{prefix}}.21"]
trusted = false
caller = "from"
max_rate = {A_SECOND}
[policy]
caller_max_rate = {A_MINUTE}
"""


def served_within(rig: Rig, call: Call) -> None:
    """An INFO within the call, which its sender repeats as T1 has it, is answered."""
    asking = call.caller.request("INFO")
    for _ in range(300):
        rig.caller.send(asking)
        try:
            info = rig.hear(rig.callee, "INFO", 0.1)
        except NothingCame:
            continue
        rig.callee.send(rig.callee.answer(info, 200))
        rig.final("INFO")
        return
    raise NothingCame("no INFO comes through")


def test_attack_a13_flood(rig: Rig) -> None:
    """CVE-2021-41145: a flood of requests takes no memory and no call in progress; what a limited peer sends beyond
    its limit is turned away, what a stranger sends is dropped, and the node is itself again at once.

    Checked: 20,000 REGISTER, OPTIONS, INVITE and MESSAGE in bursts of 500, of a stranger and of a peer with a limit,
    and after each burst an INFO within a call. A minute at 50,000 a second is in tests/e2e/test_flood.py.
    """
    call = Call(rig).talk()
    before = memory_kb(rig)
    with ExitStack() as opened:
        ends = {host: opened.enter_context(udp_socket(host)) for host in (rig.place.stranger, rig.place.host(20))}
        for number in range(ROUNDS):
            for host, end in ends.items():
                kinds = (
                    Call(rig).invite(),
                    text_for_x(rig, b"flood"),
                    options(rig.caller, rig.place.node, rig.caller.word()).encode(),
                    options(rig.caller, rig.place.node, rig.caller.word()).replace("OPTIONS", "REGISTER").encode(),
                )
                data = [kind.replace(rig.caller.host.encode(), host.encode()) for kind in kinds]
                for each in range(AT_ONCE):
                    mark = f"z9hG4bKf{number}x{each}".encode()
                    end.sendto(data[each % 4].replace(b"z9hG4bK", mark, 1), (rig.place.node, PORT))
            served_within(rig, call)
            drain(ends[rig.place.host(20)])
        assert drain(ends[rig.place.stranger]) == []
        serves(rig)
        assert memory_kb(rig) - before < GROWTH_KB
        for seen in list(rig.callee.received):
            if seen.shown in ("INVITE", "MESSAGE") and seen.call_id != call.callee.call_id:
                rig.callee.send(rig.callee.answer(seen, 486))
    rig.callee.fresh.clear()
    call.hang_up()
    rig.callee.fresh.clear()


def test_attack_a24_numbers_tried_one_by_one(rig: Rig) -> None:
    """sipvicious; sippts: who tries numbers out is told the same of each, is slowed down, and reaches nobody; each
    try has its record.

    Checked: 120 numbers, bound and not bound, and ten that cost money, of a trunk that is not trusted and has limits:
    one kind of refusal, and 503 beyond the rate; one number again and again by a caller of a trusted trunk: 403 beyond
    what a caller may in a minute.
    """
    host = rig.place.host(21)
    premium = (
        "0019005551212",
        "9005551212",
        "+4490912345678",
        "16888123",
        "96123",
        "10086",
        "110",
        "*72",
        "00",
        "1259012",
    )
    told: dict[int, set[bytes]] = {}
    with closing(udp_socket(host)) as outside:
        for number in range(TRIED):
            called = premium[number % 10] if number % 12 == 0 else f"{BLOCK}{number:04}"
            data = Call(rig, called).invite().replace(rig.caller.host.encode(), host.encode())
            data = data.replace(f"<sip:{rig.caller.number}".encode(), b"<sip:158%08d" % number)
            outside.sendto(data, (rig.place.node, PORT))
            while (answer := outside.recv(65_536)).startswith(b"SIP/2.0 100 "):
                pass
            rows = answer.split(b"\r\n")
            kept = [row for row in rows if not row.startswith((b"Via", b"From", b"To", b"Call-ID"))]
            told.setdefault(Seen(0.0, False, answer).status, set()).add(b"\n".join(kept))
            drain(outside)
            outside.settimeout(ANSWER_S)
    assert set(told) == {404, 503} and len(told[404]) == 1
    rig.hears_nothing(rig.callee)
    assert len([record for record in rig.node.records() if record["ingress_peer"] == "outside"]) == TRIED
    statuses = []
    for _ in range(A_MINUTE + 4):
        call = Call(rig, f"{BLOCK}9998")
        rig.caller.send(call.invite())
        statuses.append(call.refused().status)
    admitted = statuses.count(404)
    assert 0 < admitted <= A_MINUTE and statuses == [404] * admitted + [403] * (len(statuses) - admitted)
    assert rig.node.records()[-1]["release_cause"] == "RATE_LIMITED" and rig.callee.fresh == []
    serves(rig)
