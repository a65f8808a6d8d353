"""Places, nodes and SIPp processes for one test; whatever it has started is ended with it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

# Their asserts show values too: they are what most of these tests consist of.
for _module in ("datagrams", "nodes", "privacy", "sippruns", "stories"):
    pytest.register_assert_rewrite(f"tests.e2e.{_module}")

from tests.e2e.nodes import Node, Place, Places  # noqa: E402
from tests.e2e.sippruns import SIPP, Sipp  # noqa: E402

_PLACES = Places(os.environ.get("PYTEST_XDIST_WORKER", "master"))

NodeFactory = Callable[..., Node]
SippFactory = Callable[..., Sipp]


@pytest.fixture
def place() -> Place:
    """Addresses for this test alone."""
    return _PLACES.take()


@pytest.fixture(scope="module")
def module_place() -> Place:
    """Addresses for the tests of one file."""
    return _PLACES.take()


@pytest.fixture
def make_node(place: Place, tmp_path: Path) -> Iterator[NodeFactory]:
    """Makes nodes on this test's place; not started."""
    nodes: list[Node] = []

    def make(name: str = "n", extra: str = "") -> Node:
        nodes.append(Node(place, tmp_path / name, extra))
        return nodes[-1]

    yield make
    for node in nodes:
        node.close()


@pytest.fixture
def sipp(tmp_path: Path) -> Iterator[SippFactory]:
    """Starts SIPp with a scenario file of tests/e2e/sipp."""
    if not Path(SIPP).exists():
        pytest.fail("SIPp is missing: apt-get install sip-tester")
    runs: list[Sipp] = []

    def run(scenario: str, host: str, **settings: Any) -> Sipp:
        runs.append(Sipp(tmp_path, scenario, host, **settings))
        return runs[-1].start()

    yield run
    for started in runs:
        started.close()
        print(f"--- {started.scenario}\n{started.end().errors[-4000:]}")
