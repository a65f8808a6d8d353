"""Which of the operator's trunks the test's parties can stand in for, when the node speaks more than UDP."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from engine.config import load
from engine.config.models import Config
from engine.leaktest.errors import RigError
from engine.leaktest.running import _Seats
from scenarios.rig.place import Place

TCP = '[[listen]]\ntransport = "tcp"\naddress = "{node}:5060"\n'
UDP = '[[listen]]\naddress = "{node}:5062"\n'
PEERS = (
    '[[peer]]\nname = "a"\nmatch = ["{caller}"]\ntargets = ["sip:{caller}"]\n'
    '[[peer]]\nname = "b"\nmatch = ["{callee}"]\ntargets = ["sip:{callee}{over}"]\n'
    '[[route]]\nname = "r"\ncalled = "^1"\npeers = ["b"]\n'
)


def config_of(folder: Path, place: Place, listeners: str, over: str = "") -> Config:
    file = folder / "veil.toml"
    file.write_text(place.filled(listeners + PEERS).replace("{over}", over))
    return load(file)


def test_parties_talk_to_the_udp_listener(tmp_path: Path, place: Place) -> None:
    config = config_of(tmp_path, place, TCP + UDP)
    pair = _Seats(config, Random(1)).pair(*config.peer, "700123456780001")
    assert pair is not None
    assert pair.element == (place.node, 5062)


def test_target_over_tcp_is_told(tmp_path: Path, place: Place) -> None:
    config = config_of(tmp_path, place, TCP + UDP, ";transport=tcp")
    seats = _Seats(config, Random(1))
    assert seats.pair(*config.peer, "700123456780001") is None
    assert seats.why == (
        f"sip:{place.callee};transport=tcp, the target of b, is not over UDP: leak-test speaks nothing else"
    )


def test_node_without_udp_is_told(tmp_path: Path, place: Place) -> None:
    text = place.filled(TCP + '[[peer]]\nname = "a"\nmatch = ["{caller}"]\n')
    (tmp_path / "veil.toml").write_text(text)
    with pytest.raises(RigError, match="no listener over UDP"):
        _Seats(load(tmp_path / "veil.toml"), Random(1))
