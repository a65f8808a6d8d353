"""bindings.db misbehaves: who cannot be looked up is refused, never passed through, and the loop never waits for it."""

from __future__ import annotations

import errno
import socket
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from scenarios.rig.place import PORT
from sipstack.parser import parse
from tests.e2e.datagrams import answer, request, udp_socket
from tests.e2e.loaded import BYE_S, UNDISTURBED, Load
from tests.e2e.misbehave import Misbehaviour, built
from tests.e2e.prober import answers_all_the_while
from tests.e2e.stories import BINDING, B, X, many

RATE = 20  # calls per second
LOCKED_S = 30.0
BESIDE_S = 1.0  # traffic before the lock and after it


@pytest.mark.alone
@pytest.mark.long
def test_locked(make_node: Any, sipp: Any) -> None:
    """Who writes bindings keeps nobody from reading them."""
    load = Load(make_node(), sipp, RATE, LOCKED_S + 2 * BESIDE_S)
    load.start()
    with answers_all_the_while(load.node):
        time.sleep(BESIDE_S)
        with closing(sqlite3.connect(load.node.data_dir / "bindings.db", isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            time.sleep(LOCKED_S)
            other.execute("ROLLBACK")
        assert load.asks_once(load.wait())
    load.check_node()
    load.check_records()
    assert {account.status for account in load.accounts} == UNDISTURBED
    assert load.hung_up() < BYE_S


def test_unreadable(make_node: Any, tmp_path: Path) -> None:
    node = make_node()
    disk = Misbehaviour(built(tmp_path), node, unreadable="bindings.db")
    node.bind(BINDING)
    node.start()
    place = node.place
    with udp_socket(place.caller) as caller, udp_socket(place.callee) as callee:
        with disk.on(read_errno=errno.EIO):
            node.bind(*many(100, 1, "139"))  # what the node keeps of the file in memory is old now
            ask(caller, place.node, "unread")
            assert parse(caller.recv(65_536)).status == 500
        ask(caller, place.node, "read")
        received = parse(callee.recv(65_536))
        assert received.uri_text.startswith(f"sip:{B}@")
        answer(callee, received, "200 OK", place.node)
        assert parse(caller.recv(65_536)).status == 200
    unread, read = node.records()
    assert (unread["release_cause"], unread["decided_by"], unread["callee"]) == ("INTERNAL", "lookup", None)
    assert (read["release_cause"], read["callee"]) == ("NORMAL", B)
    assert "binding lookup failed" in node.stderr


def ask(caller: socket.socket, node: str, call_id: str) -> None:
    """Sends a MESSAGE to X."""
    host, port = caller.getsockname()
    lines = "Content-Type: text/plain\r\n"
    caller.sendto(request("MESSAGE", f"sip:{X}@{node}", f"{host}:{port}", call_id, lines, b"hello"), (node, PORT))
