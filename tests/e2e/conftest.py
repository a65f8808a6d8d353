"""Places, nodes and SIPp processes for one test; whatever it has started is ended with it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from scenarios.rig.forks import Forks
from scenarios.rig.node import Node
from scenarios.rig.place import Place, Places
from scenarios.rig.sipp import Sipp
from tests.e2e.capturing import Capturing, Started
from tests.e2e.ends import Party, UdpEnd
from tests.e2e.stories import A, B, file_of, put_away

_WORKER = os.environ.get("PYTEST_XDIST_WORKER", "gw99")
_FORKS = Forks()
_PLACES = Places(100 + int(_WORKER.removeprefix("gw")) % 100)

NodeFactory = Callable[..., Node]
SippFactory = Callable[..., Sipp]


@pytest.fixture(scope="session")
def places() -> Places:
    """Where addresses come from, for tests that take several."""
    return _PLACES


@pytest.fixture
def place() -> Iterator[Place]:
    """Addresses for this test alone; there are 250, and more tests in one process."""
    taken = _PLACES.take()
    yield taken
    _PLACES.give_back(taken)


@pytest.fixture(scope="module")
def module_place() -> Place:
    """Addresses for the tests of one file."""
    return _PLACES.take()


@pytest.fixture
def make_node(place: Place, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[NodeFactory]:
    """Makes nodes on this test's place; not started. Those that are measured are no forks."""
    nodes: list[Node] = []
    forks = None if any(map(request.node.get_closest_marker, ("alone", "paced", "long"))) else _FORKS

    def make(name: str = "n", extra: str = "") -> Node:
        nodes.append(Node(place, tmp_path / name, extra, forks))
        return nodes[-1]

    yield make
    for node in nodes:
        put_away(node)


@pytest.fixture
def sipp(tmp_path: Path) -> Iterator[SippFactory]:
    """Starts SIPp with the file that `file_of` finds."""
    runs: list[Sipp] = []

    def run(scenario: str, host: str, **settings: Any) -> Sipp:
        runs.append(Sipp(tmp_path, file_of(scenario), host, **settings))
        return runs[-1].start()

    yield run
    for started in runs:
        started.close()
        print(f"--- {started.scenario}\n{started.end().errors[-4000:]}")


@pytest.fixture
def captured(node: Node, tmp_path: Path) -> Iterator[Started]:
    """Starts captures of the node that the file has."""
    started: list[Capturing] = []

    def start(*words: str, name: str = "c.pcapng") -> Capturing:
        started.append(Capturing(node, tmp_path / name, *words))
        return started[-1]

    yield start
    for one in started:
        one.close()


@pytest.fixture
def parties(place: Place) -> Iterator[tuple[Party, Party]]:
    """Caller and callee over UDP."""
    with closing(UdpEnd(place.caller, place.node)) as caller, closing(UdpEnd(place.callee, place.node)) as callee:
        yield Party(A, caller), Party(B, callee)
