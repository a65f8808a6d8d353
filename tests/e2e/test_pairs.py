"""What `explain` and `diff` say of a call is what a running node does with it: configurations and calls by chance.

A node is started for each configuration; its calls go over real sockets, one after the other, and some of them ring on
meanwhile, so that limits are in use. VEIL700_PAIRS is how many (configuration, call) pairs there are in the long test.
"""

from __future__ import annotations

import os
import re
import time
from collections import Counter
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, Phase, given, note, settings
from hypothesis import strategies as st

from engine.config import Config, load
from engine.control.client import ask
from engine.deciding import Arrival, Caller, Decider, Live, Outcome, Question, Verdict, arrival_of, live_of
from engine.explain import Explanation, explain
from engine.store.glance import Glance
from scenarios.rig.binding import Bound
from scenarios.rig.node import Node
from scenarios.rig.place import Place
from sipstack.parser import parse
from tests.e2e.pair_parties import Happened, Parties
from tests.e2e.pairs import FIRST_HOST, PEERS, PORTS, REALS, XS, Asked, World, questions, worlds
from tests.e2e.waiting import stay_within_a_day

CALLS: Final = 40  # of one configuration
FEW: Final = 240
MANY: Final = int(os.environ.get("VEIL700_PAIRS", "1000"))

_DRAWN: Final = re.compile(r"(?<=branch=z9hG4bK)\w+|(?<=tag=)\w+|(?<=Call-ID: )\w+|(?<=o=- )\d+ \d+|(?<=CSeq: )2\d{8}")
# By whom calls are refused because of others in progress, which a decision alone knows nothing of.
_OF_OTHERS: Final = ("peer_limit", "caller_limit", "day_limit", "targets")


class Stage:
    """One node at work, and what is asked about it."""

    def __init__(self, node: Node, world: World, place: Place) -> None:
        world.furnish(node)
        self.node = node
        self.config: Config = load(node.config)
        addresses = [(place.host(FIRST_HOST + n), port) for n in range(PEERS) for port in PORTS]
        self.parties = Parties(addresses, (place.node, 5060))
        self.decider = Decider(self.config.core_settings(), {})
        self.expected: list[tuple[str, Asked, Explanation, Verdict, Happened]] = []
        node.start()
        self.glance = Glance(node.data_dir / "bindings.db", node.cipher())

    def close(self) -> None:
        self.glance.close()
        self.node.kill()
        self.parties.close()

    def live(self, caller: Caller) -> Live:
        return live_of(ask(self.node.data_dir, "standing", caller._asdict()))

    def play(self, asked: Asked) -> None:
        """Asks first, then calls."""
        arrival: Arrival = arrival_of(self.config.core_settings(), asked.question)
        now = time.time()
        told = explain(self.config, arrival, self.glance, now, {}, reveal=True, ask_node=self.live)
        decided = self.decider.decide(asked.question, self.glance, now)
        happened = self.parties.call(arrival, asked.rings_on)
        self.expected.append((parse(arrival.data).call_id, asked, told, decided, happened))

    def records(self) -> dict[str, dict[str, Any]]:
        return {record["caller_call_id"]: record for record in self.node.records()}


def steady(data: str) -> str:
    """Without what is drawn by chance: identifiers, and the port of the target."""
    head, _, rest = _DRAWN.sub("drawn", data.replace("\r\n", "\n")).partition("\n")
    return f"{re.sub(r':[0-9]+ SIP', ' SIP', head)}\n{rest}"


def assert_explained(config: Config, told: Explanation, happened: Happened) -> None:
    """What left, or what the caller got."""
    assert told.sent is bool(happened.to)
    if not told.sent:
        assert told.seen_status == happened.status
        return
    assert steady(told.leaves) == steady(happened.sent.decode())
    if told.next_hop != happened.to:  # another lot was drawn: each peer has a host of its own
        assert told.next_hop.rpartition(":")[0] == happened.to.rpartition(":")[0]
        (peer,) = [one for one in config.core_settings().peers if one.name == told.egress_peer]
        assert any(target.weight is not None for target in peer.targets)


def assert_decided(told: Explanation, decided: Verdict) -> None:
    """The two of them agree, but for what others in progress, or the bytes of a request, have to do with it."""
    if told.decided_by in _OF_OTHERS or "LEAK_STOPPED" in (told.cause, decided.cause):
        return
    assert (decided.outcome is Outcome.SENT) is told.sent
    assert (decided.cause, decided.decided_by, decided.seen_status) == (told.cause, told.decided_by, told.seen_status)
    assert (decided.subs_id, decided.presented_number) == (told.subs_id, told.presented_number)
    if told.sent and told.egress_peer == decided.places[0].peer:
        assert decided.request_uri.rpartition(":")[0] == parse_uri_of(told.leaves).rpartition(":")[0]


def parse_uri_of(request: str) -> str:
    return request.split(" ", 2)[1]


def assert_recorded(told: Explanation, record: dict[str, Any] | None, happened: Happened) -> None:
    """A refusal is on record as it was told; what a rule of SIP answers is not."""
    if told.sent:
        return
    if not told.cause:
        assert record is None
        return
    assert record is not None
    assert (record["release_cause"], record["decided_by"], record["sip_status"], record["q850"]) == (
        told.cause, told.decided_by, told.seen_status, told.seen_q850,
    )  # fmt: skip


def run_pairs(pairs: int, place: Place, folder: Path, *, are_others: bool = False) -> Counter[str]:
    """So many pairs in all; what they came to. `are_others`: than the last time."""
    seen: Counter[str] = Counter()
    number = count()  # one that Hypothesis gives up half-way has a folder, too

    @settings(
        max_examples=max(1, pairs // CALLS), deadline=None, phases=(Phase.generate,), database=None,
        suppress_health_check=list(HealthCheck), derandomize=not are_others,
    )  # fmt: skip
    @given(data=st.data())
    def one_configuration(data: st.DataObject) -> None:
        world = data.draw(worlds(place))
        note(world.toml)
        with closing(Stage(Node(place, folder / f"n{next(number)}"), world, place)) as stage:
            for _ in range(CALLS):
                stage.play(data.draw(questions(world)))
            recorded = stage.records()
            for call_id, asked, told, decided, happened in stage.expected:
                note(f"{asked}\n{told}\n{decided}\n{happened}\n{recorded.get(call_id)}")
                assert_explained(stage.config, told, happened)
                assert_decided(told, decided)
                assert_recorded(told, recorded.get(call_id), happened)
                seen[told.decided_by or ("sent" if told.sent else "a rule of SIP")] += 1

    one_configuration()
    return seen


GROUP: Final = """\
[node]
name = "veil-test"
data_dir = "var"

[[listen]]
address = "{node}:5060"

[inventory]
file = "inventory.toml"

[[peer]]
name = "p0"
match = ["{host}"]
targets = ["sip:{host}:5060"]

[[route]]
name = "all"
called = "^1"
peers = ["p0"]
"""


@pytest.mark.parametrize("callback", ["last_caller", "sequential"])
def test_whom_a_group_has_called_last_is_known_before_the_store_knows(
    place: Place, tmp_path: Path, callback: str
) -> None:
    """B reaches whoever has called last: the node remembers him until the tables do, and explain asks the node."""
    first, second, b = REALS[0], REALS[1], REALS[4]
    toml = GROUP.format(node=place.node, host=place.host(FIRST_HOST))
    world = World(toml, (Bound(XS[0], first, b, colleagues=(second,), callback=callback),), ())
    with closing(Stage(Node(place, tmp_path), world, place)) as stage:
        for caller in (first, b, second, b) * 5:
            stage.play(Asked(Question(caller, XS[0], peer="p0"), rings_on=False))
        for _, _, told, decided, happened in stage.expected:
            assert_explained(stage.config, told, happened)
            assert_decided(told, decided)


def test_a_node_does_what_is_told(place: Place, tmp_path: Path) -> None:
    stay_within_a_day(120.0)
    seen = run_pairs(FEW, place, tmp_path)
    assert {"sent", "bound", "unrestricted", "peer_limit", "caller_limit"} <= set(seen), seen


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_a_node_does_what_is_told_many_times(place: Place, tmp_path: Path) -> None:
    seen = run_pairs(MANY, place, tmp_path, are_others=True)
    print(dict(seen))
    assert sum(seen.values()) >= MANY // CALLS * CALLS
