"""A stranger sends as much as the machine lets him: the calls of a trusted peer go on, and no memory is lost to it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import Any

import pytest

from scenarios.rig.node import unsound
from scenarios.rig.place import PORT
from tests.e2e.accounts import accounts_of, told_otherwise, unrecorded
from tests.e2e.loaded import UNDISTURBED, Load

RATE = 20  # calls per second of the peer; what the kernel drops of them, SIPp repeats
FLOOD = 50_000  # datagrams per second, if the machine can send so many
SECONDS = 60
STRANGER = 66  # a host that no peer has
GROWTH_KB = 48 * 1024  # 20 calls/s for a minute take less, each kept for 64*T1

# A process of its own, so that who measures is not who sends: octets, requests, and requests that are cut off.
SENDER = """
import os, socket, sys, time
host, target, port, rate, seconds = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), float(sys.argv[5])
end = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
end.bind((host, 0))
invite = "\\r\\n".join([
    "INVITE sip:700123456780001@x SIP/2.0", "Via: SIP/2.0/UDP %s:5060;branch=z9hG4bK-{}" % host,
    "From: <sip:1@x>;tag=1", "To: <sip:700123456780001@x>", "Call-ID: {}@x", "CSeq: 1 INVITE", "Max-Forwards: 70",
    "User-Agent: " + "x" * 200, "Content-Length: 0", "", "",
])
sent, began = 0, time.monotonic()
while (now := time.monotonic() - began) < seconds:
    if sent > now * rate:
        time.sleep(0.001)
        continue
    for number in range(sent, sent + 50):
        kind = number % 3
        data = os.urandom(300) if kind == 0 else invite.format(number, number).encode()[: None if kind == 1 else 150]
        try:
            end.sendto(data, (target, port))
        except OSError:
            pass
    sent += 50
print(sent)
"""


@pytest.mark.alone
@pytest.mark.long
def test_flood_of_a_stranger(make_node: Any, sipp: Any) -> None:
    load = Load(make_node(), sipp, RATE, SECONDS)
    place, node = load.node.place, load.node
    load.start()
    time.sleep(2.0)
    before = node.status()
    assert node.process is not None
    cpu_s = cpu_of(node.process.pid)
    words = [place.host(STRANGER), place.node, str(PORT), str(FLOOD), str(SECONDS - 4)]
    sender = subprocess.run([sys.executable, "-c", SENDER, *words], stdout=subprocess.PIPE, check=True)
    sent = int(sender.stdout)
    spent_s = cpu_of(node.process.pid) - cpu_s
    after = node.status()
    figures = load.caller.wait()
    load.callee.end()
    load.metronome.end()
    status = node.status()
    assert (unsound(status["counters"]), status["complete"]) == ({}, True)
    assert node.stop() == 0
    accounts = accounts_of(node, load.caller.messages)
    dropped = after["counters"]["datagrams_dropped"]
    seen = after["counters"]["unknown_source"] - before["counters"].get("unknown_source", 0)
    print(f"{sent / (SECONDS - 4):.0f} datagrams/s, {seen} looked at, {dropped} found no room, {spent_s:.1f} s of CPU")
    print(f"{before['uss_kb']} KB before, {after['uss_kb']} KB after; {figures.retransmissions} sent again")
    assert sent * 0.97 <= seen + dropped
    assert told_otherwise(accounts) == {}
    assert len(unrecorded(accounts)) <= status["open"]  # who has lost too much talks on
    answered = [account for account in accounts if account.status in UNDISTURBED]
    print(f"{len(answered)} of {len(accounts)} calls answered, {figures.failed} had lost more than they repeat")
    assert len(answered) >= 0.9 * len(accounts)
    assert after["uss_kb"] - before["uss_kb"] < GROWTH_KB


def cpu_of(pid: int) -> float:
    """Seconds that the threads of a process have run."""
    tasks = os.listdir(f"/proc/{pid}/task")
    ran_ns = 0
    for task in tasks:
        with open(f"/proc/{pid}/task/{task}/schedstat", encoding="ascii") as stat:
            ran_ns += int(stat.read().split()[0])
    return ran_ns / 1e9
