"""A running node between two parties, and what a test asks of it."""

from __future__ import annotations

import random
import time
from pathlib import Path
from typing import Any, Final

from engine.leaktest.canaries import Canaries
from scenarios.rig.binding import BLOCK, Bound
from scenarios.rig.check import ended_wrong
from scenarios.rig.node import Node
from scenarios.rig.place import PORT, Place
from scenarios.rig.seen import Seen
from tests.conformance.parties import PATIENCE_S, NothingCame, Party, crossed, watch

T1_MS: Final = 40  # 64 of it are the longest that a test may take to answer
T1_S: Final = T1_MS / 1000
T2_S: Final = 8 * T1_S
T4_S: Final = 10 * T1_S
TRANSACTION_S: Final = 64 * T1_S
LATE_S: Final = 1.5  # so much longer is waited for copies of which the last may not come
X: Final = f"{BLOCK}0001"
UNBOUND: Final = f"{BLOCK}9999"


class Rig:
    """One node, the caller's trunk with A, the callee's with B, and X bound to both."""

    def __init__(self, place: Place, folder: Path, extra: str, prefix_b: str = "139", t1_ms: int = T1_MS) -> None:
        """`extra` is TOML behind the usual tables, with {prefix}, {caller}, {callee} and {second} for its addresses.

        The prefix of B's number says by which route it is reached.
        """
        self.place = place
        self.canaries = Canaries(random.Random(str(folder)))
        self.node = Node(
            place, folder, f"[sip]\nt1_ms = {t1_ms}\n" + place.filled(extra).replace("{prefix}", place.prefix)
        )
        self.x = X
        a, b = self.canaries.number("138"), self.canaries.number(prefix_b)
        at = (place.node, PORT)
        self.caller = Party("caller", place.caller, PORT, a, self.canaries, at)
        self.callee = Party("callee", place.callee, PORT, b, self.canaries, at)
        self.parties = [self.caller, self.callee]
        self._count = 0

    def start(self) -> Rig:
        self.node.bind(Bound(self.x, self.caller.number, self.callee.number))
        self.node.start()
        return self

    def begin(self) -> None:
        """The next test."""
        for party in self.parties:
            party.begin()

    def end(self) -> None:
        """Nothing of one side has come to the other, in any spelling."""
        for party in self.parties:
            party.take_in()
        others = [party for party in self.parties if party is not self.caller]
        hosts = {party.host for party in others} - {self.caller.host}
        found = [leak for other in others for leak in crossed(self.caller, other, hosts)] if hosts else []
        for other in others:
            found += crossed(other, self.caller, [self.caller.host])
        assert found == []

    def close(self) -> None:
        for party in self.parties:
            party.close()

    def replace(self, old: Party, new: Party) -> None:
        """Another end takes the place of a party's."""
        self.parties[self.parties.index(old)] = new
        if old is self.caller:
            self.caller = new
        elif old is self.callee:
            self.callee = new

    def ended_wrong(self) -> list[str]:
        """Ends the node, once its calls are over; what is wrong with it or with its records."""
        if not self.until(lambda: self.node.status()["calls"] == 0):
            return [f"still there: {self.node.calls()}"]
        return ended_wrong(self.node)

    def party(self, name: str, host: str, port: int, number: str) -> Party:
        """One more party behind the callee's trunks."""
        self.parties.append(Party(name, host, port, number, self.canaries, (self.place.node, PORT)))
        return self.parties[-1]

    # -- what comes ------------------------------------------------------------------------------------------------

    def hear(self, party: Party, shown: str, within_s: float = PATIENCE_S) -> Seen:
        """The next message of a kind, "INVITE" or "180 INVITE", that is no repeat. What comes before it stays."""

        def found() -> Seen | None:
            return next((seen for seen in party.fresh if seen.shown == shown), None)

        if not watch(self.parties, lambda: found() is not None, within_s):
            raise NothingCame(f"{party.name}: no {shown}; came: {party.texts}")
        seen = found()
        assert seen is not None
        party.fresh.remove(seen)
        return seen

    def final(self, method: str, party: Party | None = None, within_s: float = PATIENCE_S) -> Seen:
        """The next final response to a request of the caller's."""
        at = party or self.caller

        def found() -> Seen | None:
            return next((seen for seen in at.fresh if seen.status >= 200 and seen.method == method), None)

        if not watch(self.parties, lambda: found() is not None, within_s):
            raise NothingCame(f"{at.name}: no final response to {method}; came: {at.texts}")
        seen = found()
        assert seen is not None
        at.fresh.remove(seen)
        return seen

    def wait(self, seconds: float) -> None:
        """Takes in what comes for so long: for what must not come, or must come in time."""
        watch(self.parties, lambda: False, seconds)

    def until(self, done: Any, within_s: float = PATIENCE_S) -> bool:
        """Takes in what comes until something holds; it is asked every few milliseconds."""
        deadline = time.monotonic() + within_s
        while not done():
            if time.monotonic() > deadline:
                return False
            self.wait(0.005)
        return True

    def repeats(self, party: Party, message: Seen, count: int, within_s: float = PATIENCE_S) -> list[float]:
        """When a message came, once it has come so many times; fewer when that is not in time."""
        watch(self.parties, lambda: len(party.copies(message)) >= count, within_s)
        return party.copies(message)

    def barrier(self) -> None:
        """The node has dealt with all that it was sent, and what it sent has been taken in."""
        for party in self.parties[:2]:
            self._count += 1
            call_id = f"barrier-{party.name}-{self._count}"
            party.take_in()  # what was repeated while something else was waited for may have filled its socket
            party.send(options(party, self.place.node, call_id))
            watch(self.parties, lambda party=party, call_id=call_id: any(  # type: ignore[misc]
                seen.call_id == call_id for seen in party.received
            ))  # fmt: skip
            party.fresh = [seen for seen in party.fresh if seen.call_id != call_id]
        for party in self.parties:
            party.take_in()

    def hears_nothing(self, party: Party) -> None:
        """Nothing has come that has not been asked for; 100 asks for nothing."""
        self.barrier()
        assert [seen.shown for seen in party.fresh if seen.status != 100] == []

    # -- what the node knows ---------------------------------------------------------------------------------------

    def counter(self, name: str) -> int:
        return int(self.node.status()["counters"].get(name, 0))

    def record(self, call_id: str) -> dict[str, Any]:
        """The only record of an attempt, once nothing is in progress."""
        self.until(lambda: self.node.status()["calls"] == 0)
        found = [record for record in self.node.records() if record["caller_call_id"] == call_id]
        assert len(found) == 1, found
        return found[0]


def options(party: Party, node: str, call_id: str) -> str:
    """An OPTIONS for the node itself."""
    return (
        f"OPTIONS sip:{node} SIP/2.0\r\nVia: SIP/2.0/{party.transport} {party.sent_by};branch=z9hG4bK{call_id}\r\n"
        f"From: <sip:{party.host}>;tag={call_id}\r\nTo: <sip:{node}>\r\nCall-ID: {call_id}\r\nCSeq: 1 OPTIONS\r\n"
        "Max-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
    )
