"""Configurations, bindings and calls by chance, for a node that runs with them, and the parties around it."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass
from typing import Final

from hypothesis import strategies as st

from engine.core.binding import CALLS_BLOCKED, MESSAGES_BLOCKED
from engine.deciding import Question
from scenarios.rig.binding import BLOCK, Bound
from scenarios.rig.node import Node
from scenarios.rig.place import Place

PEERS: Final = 3
FIRST_HOST: Final = 21  # of the peers, in a place
PORTS: Final = (5060, 5061, 5062)
XS: Final = tuple(f"{BLOCK}{n:04}" for n in range(1, 13))
REALS: Final = tuple(f"138000000{n:02}" for n in range(4)) + tuple(f"139000000{n:02}" for n in range(4)) + (
    "2088888888", "95588", "15000000001",
)  # fmt: skip
DIALLED: Final = (*XS, *XS, *REALS, f"86{XS[0]}", f"+86{XS[1]}", XS[2][:14], f"{XS[2]}0", "10086", "0", "abc")
CALLERS: Final = (*REALS, *REALS, XS[0], XS[3], "anonymous", "+8613800000000")
PATTERNS: Final = ("^138", "^139", "^1[3-9]", "^20", "^955", "^13[89]0000000[0-2]$", "1$")


@dataclass(frozen=True)
class World:
    """What one node is given. `rules` are rows that stand beside the bindings, as SQL."""

    toml: str
    bindings: tuple[Bound, ...]
    rules: tuple[str, ...]

    def furnish(self, node: Node) -> None:
        """Writes all of it, before the node starts."""
        node.config.write_text(self.toml)
        node.bind(*self.bindings)
        with closing(sqlite3.connect(node.data_dir / "bindings.db", isolation_level=None)) as store:
            for rule in self.rules:
                store.execute(rule)


@dataclass(frozen=True)
class Asked:
    """A question, and whether the callee lets it ring until the end."""

    question: Question
    rings_on: bool


@st.composite
def peers(draw: st.DrawFn, place: Place, number: int) -> str:
    host = place.host(FIRST_HOST + number)
    targets = []
    is_weighted = draw(st.booleans())
    for port in PORTS[: draw(st.integers(1, 3))]:
        more = f", priority = {draw(st.integers(0, 1))}, weight = {draw(st.integers(0, 3))}" if is_weighted else ""
        targets.append(f'{{ uri = "sip:{host}:{port}"{more} }}')
    lines = [
        "[[peer]]", f'name = "p{number}"', f'match = ["{host}"]', f"targets = [{', '.join(targets)}]",
        f'number_format = "{draw(st.sampled_from(("national", "plus", "prefix86", "tel")))}"',
        f'caller = "{draw(st.sampled_from(("pai-or-from", "from", "pai")))}"',
        f"trusted = {draw(st.sampled_from(('true', 'true', 'false')))}",
        f"uniform_refusals = {draw(st.sampled_from(('true', 'false')))}",
        f"max_calls = {draw(st.sampled_from((3, 0, 0, 1)))}",
        *draw(st.sampled_from(((), (f'serves_700 = ["{BLOCK}"]',)))),
        *draw(st.sampled_from(((), ('pass_headers = ["X-Order"]',)))),
    ]  # fmt: skip
    return "\n".join(lines)


@st.composite
def worlds(draw: st.DrawFn, place: Place) -> World:
    parts = [
        f'[node]\nname = "veil-test"\ndata_dir = "var"\n\n[[listen]]\naddress = "{place.node}:5060"\n\n'
        '[inventory]\nfile = "inventory.toml"\n\n[sip]\nt1_ms = 100\n\n[policy]\n'
        f"caller_max_calls = {draw(st.sampled_from((0, 1)))}\ncaller_max_rate = {draw(st.sampled_from((0, 0, 3)))}\n"
        f'message_text = "{draw(st.sampled_from(("mask", "relay")))}"\n',
        *(draw(peers(place, number)) for number in range(PEERS)),
    ]
    names = [f"p{number}" for number in range(PEERS)]
    for number in range(draw(st.integers(1, 4))):
        to = draw(st.lists(st.sampled_from(names), min_size=1, max_size=2, unique=True))
        quoted = ", ".join(f'"{name}"' for name in to)
        is_transit = draw(st.sampled_from(("false", "false", "true")))
        pattern = draw(st.sampled_from(PATTERNS))
        parts.append(f'[[route]]\nname = "r{number}"\ncalled = "{pattern}"\npeers = [{quoted}]\ntransit = {is_transit}')
    if draw(st.sampled_from((True, True, False))):
        parts.append(f'[[route]]\nname = "all"\ncalled = "^[1-9]"\npeers = ["{draw(st.sampled_from(names))}"]')
    return World("\n\n".join(parts), tuple(draw(_bindings())), tuple(draw(_rules())))


@st.composite
def _bindings(draw: st.DrawFn) -> list[Bound]:
    made = []
    for place, x in enumerate(XS[:9]):
        a, b, *others = draw(st.permutations(REALS))[:4]
        kind = draw(st.sampled_from(("AXB", "AXB", "AXYB", "GXB")))
        if kind == "AXYB":
            made.append(Bound(x, a, b, y=f"{BLOCK}{100 + place:04}"))
        elif kind == "GXB":
            back = draw(st.sampled_from(("default_a", "last_caller", "sequential")))
            made.append(Bound(x, a, b, colleagues=tuple(others), callback=back))
        else:
            made.append(Bound(x, a, b))
    return made


@st.composite
def _rules(draw: st.DrawFn) -> list[str]:
    """Locks, directions, hours that are over, and a limit of two calls a day, each of one X."""
    china = time.gmtime(time.time() + 8 * 3600)
    later = (china.tm_hour + 6) % 24  # a window around another time of the day
    rules = [
        "INSERT INTO scenario (code, risk_class, modes, max_ttl_s, hours) VALUES"
        f" ('closed', 1, '[]', 1, '{later:02}:00-{(later + 1) % 24:02}:00')",
        "INSERT INTO scenario (code, risk_class, modes, max_ttl_s, calls_per_day) VALUES ('daily', 1, '[]', 1, 2)",
    ]
    kinds = (
        f"UPDATE target SET flags = flags | {CALLS_BLOCKED} WHERE x = '{{}}'",
        f"UPDATE target SET flags = flags | {MESSAGES_BLOCKED} WHERE x = '{{}}'",
        "UPDATE target SET scenario = 'closed' WHERE x = '{}'",
        "UPDATE target SET scenario = 'daily' WHERE x = '{}'",
        "UPDATE target SET expires_at = 1.0 WHERE x = '{}'",
        "INSERT OR IGNORE INTO restriction VALUES ('number', '{}', 'locked', 1.0, 'test', 'test')",
    )
    for x in XS[:5]:
        if draw(st.booleans()):
            rules.append(draw(st.sampled_from(kinds)).format(x))
    return rules


@st.composite
def questions(draw: st.DrawFn, world: World) -> Asked:
    """Half of them between parties that are bound."""
    peer = f"p{draw(st.integers(0, PEERS - 1))}"
    method = draw(st.sampled_from(("INVITE", "INVITE", "MESSAGE")))
    text = draw(st.sampled_from(("hello", "138-0000-0000", "call 13900000001")))
    headers = draw(st.sampled_from(((), (), ("X-Order: 4711",), ("X-Order: 13800000000",))))
    caller, called = draw(st.sampled_from(CALLERS)), draw(st.sampled_from(DIALLED))
    if draw(st.integers(0, 3)):
        bound = draw(st.sampled_from(world.bindings))
        caller, called = draw(st.sampled_from(((bound.a, bound.x), (bound.a, bound.x), (bound.b, bound.y or bound.x))))
    rings_on = method == "INVITE" and draw(st.integers(0, 5)) == 0
    return Asked(Question(caller, called, method, peer, text, headers), rings_on)
