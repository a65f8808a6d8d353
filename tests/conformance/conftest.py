"""One node for each file of requirements; what each party got is searched behind each test for the other's."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from scenarios.rig.place import Place, Places
from tests.conformance.rig import T1_MS, Rig

_WORKER = os.environ.get("PYTEST_XDIST_WORKER", "gw99")
_PLACES = Places(100 + int(_WORKER.removeprefix("gw")) % 100)

RigFactory = Callable[..., Rig]


@pytest.fixture(scope="module")
def module_rig(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """The node of a file; its constant SETTINGS is TOML behind the usual tables."""
    rig = Rig(_PLACES.take(), tmp_path_factory.mktemp("node"), getattr(request.module, "SETTINGS", ""))
    yield from _run(rig)


@pytest.fixture
def rig(module_rig: Rig) -> Iterator[Rig]:
    """The same for one test."""
    module_rig.begin()
    yield module_rig
    module_rig.end()


@pytest.fixture
def make_rig(tmp_path: Path) -> Iterator[RigFactory]:
    """Nodes for one test alone; the settings may be made of the place that it gets."""
    running: list[Iterator[Rig]] = []

    def make(extra: str | Callable[[Place], str] = "", prefix_b: str = "139", t1_ms: int = T1_MS) -> Rig:
        place = _PLACES.take()
        text = extra if isinstance(extra, str) else extra(place)
        running.append(_run(Rig(place, tmp_path / f"node-{len(running)}", text, prefix_b, t1_ms)))
        return next(running[-1])

    yield make
    for each in running:
        assert next(each, None) is None


def _run(rig: Rig) -> Iterator[Rig]:
    try:
        rig.start()
        yield rig
        rig.end()
        assert rig.ended_wrong() == []
    finally:
        rig.node.close()
        rig.close()
        print(f"--- stderr of the node in {rig.node.folder.name}\n{rig.node.stderr[-20_000:]}")
