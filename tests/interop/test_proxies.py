"""Kamailio as a proxy before the node and behind it, with Record-Route and with topos."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import pytest

from scenarios.rig.binding import BLOCK, Bound
from scenarios.rig.check import ended_wrong
from scenarios.rig.node import Node
from scenarios.rig.place import PORT, Place
from scenarios.rig.privacy import CALLEE_CANARY, CALLER_CANARY, Side
from tests.e2e.stories import BINDING, A, assert_private
from tests.interop.kamailio import Kamailio

CONFIGURATION: Final = Path(__file__).with_name("kamailio.cfg")
SCHEMAS: Final = Path("/usr/share/kamailio/db_sqlite")
BEHIND: Final = Bound(f"{BLOCK}0071", A, "13100131000")  # reached through the proxy
PROXY: Final = 22  # last octet of its address

pytestmark = pytest.mark.interop


@pytest.fixture
def node(make_node: Callable[..., Node], place: Place) -> Node:
    proxy = place.host(PROXY)
    made = make_node(
        extra=f'[[peer]]\nname = "proxy"\nmatch = ["{proxy}"]\ntargets = ["sip:{proxy}:5060"]\n'
        '[[route]]\nname = "behind"\ncalled = "^131"\npeers = ["proxy"]\n'
    )
    made.bind(BINDING, BEHIND)
    made.start()
    return made


@pytest.fixture
def proxy(place: Place, tmp_path: Path) -> Iterator[Callable[[str, bool], None]]:
    """Starts the proxy that sends to a host."""
    started: list[Kamailio] = []

    def start(next_hop: str, has_topos: bool) -> None:
        folder = tmp_path / "kamailio"
        folder.mkdir()
        with closing(sqlite3.connect(folder / "topos.db")) as tables:
            for schema in ("standard-create.sql", "topos-create.sql"):
                tables.executescript((SCHEMAS / schema).read_text("utf-8"))
        here, text = place.host(PROXY), CONFIGURATION.read_text("utf-8")
        for name, value in (("HERE", f"{here}:{PORT}"), ("NEXT", f"{next_hop}:{PORT}"), ("FOLDER", str(folder))):
            text = text.replace(name, value)
        (folder / "kamailio.cfg").write_text(text, "utf-8")
        started.append(Kamailio(folder / "kamailio.cfg", *(["WITH_TOPOS"] if has_topos else [])))
        started[0].start(here)

    yield start
    for kamailio in started:
        kamailio.close()
        print(f"--- Kamailio\n{kamailio.log[-8000:]}")


@pytest.mark.parametrize("story", ["answered", "ended-by-callee"])
@pytest.mark.parametrize("has_topos", [False, True], ids=["record-route", "topos"])
@pytest.mark.parametrize("is_before", [True, False], ids=["before", "behind"])
def test_a_call_through_a_proxy(
    node: Node,
    place: Place,
    sipp: Any,
    proxy: Callable[[str, bool], None],
    is_before: bool,
    has_topos: bool,
    story: str,
) -> None:
    bound, here = BINDING if is_before else BEHIND, place.host(PROXY)
    proxy(place.node if is_before else place.callee, has_topos)
    answering = sipp(f"{story}/uas", place.callee)
    calling = sipp(f"{story}/uac", place.caller, target=here if is_before else place.node, rows=[(bound.x, A)])
    assert (calling.wait().is_clean(1), answering.wait().is_clean(1)) == (True, True)
    [record] = node.records()
    assert ended_wrong(node) == []
    peers = ("proxy", "callee-side") if is_before else ("caller-side", "proxy")
    assert (record["ingress_peer"], record["egress_peer"]) == peers
    assert (record["release_cause"], record["caller"], record["callee"]) == ("NORMAL", A, bound.b)
    assert_private(
        Side(calling.messages, place.caller, A, CALLER_CANARY),
        Side(answering.messages, place.callee, bound.b, CALLEE_CANARY),
    )
    # The side of the proxy sees its Record-Route, unless topos keeps that to itself; the other side never hears of it.
    by_proxy, other = (calling, answering) if is_before else (answering, calling)
    start = ("200 INVITE", "INVITE")[not is_before]
    shown = next(message for message in by_proxy.messages if not message.is_sent and message.shown == start)
    assert shown.value("Record-Route").startswith(f"<sip:{here};") is not has_topos
    assert all(here.encode() not in message.data for message in other.messages if not message.is_sent)
    # It stays in the path: nothing of the node comes to that side but through it.
    requests = [message for message in by_proxy.messages if not message.is_sent and not message.status]
    assert all(message.value("Via").startswith(f"SIP/2.0/UDP {here};") for message in requests), requests
