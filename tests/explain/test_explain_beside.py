"""What is said of a running node beside what is told of the file: its state, limits, health; and what is not asked."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from engine.config import load
from engine.explain import Question, arrival_of, explain
from engine.explain.beside import Status
from engine.store.glance import Glance
from tests.core.corenode import axb
from tests.explain.explained import AT, A, Office, X, office


@pytest.fixture
def here() -> Iterator[Office]:
    with office() as made:
        made.bind([axb(expires_at=AT + 60)])
        yield made


def beside(here: Office, status: Status | None = None, called: str = X) -> list[tuple[str, str, str]]:
    config = load(here.file)
    glance = Glance(here.database, here.cipher)
    arrival = arrival_of(config.core_settings(), Question(A, called, peer="a-side"))
    told = explain(config, arrival, glance, AT, {}, status=status)
    glance.close()
    return [(line.name, line.result, line.made_by) for line in told.lines if line.stage == "beside"]


def running(here: Office, state: str = "running", config: str = "", **health: str) -> Status:
    """What a node says whose b-side is as given, by the last number of its address."""
    known = [
        {"peer": "b-side", "address": f"udp:127.0.0.{host[1:]}:5060", "state": how, "since": "8:00" * (how != "up")}
        for host, how in health.items()
    ]
    return {"state": state, "config": config or str(here.file), "health": known}


def test_without_a_node_it_says_so(here: Office) -> None:
    [(name, result, made_by)] = beside(here)
    assert (name, result) == ("node", "none answers here: what is told is of the file and the store alone")
    assert made_by == 'veil.toml:4 node.data_dir = "data"'


def test_the_health_of_each_place_is_told(here: Office) -> None:
    told = beside(here, running(here, h13="down", h14="up"))
    assert [(name, result) for name, result, _ in told] == [
        ("node", f"running, with {here.file}"),
        ("health b-side", "udp:127.0.0.13:5060 is down since 8:00"),
        ("health b-side", "udp:127.0.0.14:5060 is up"),
        ("health a-side", "udp:127.0.0.12:5060 is not known to the running node"),
    ]


def test_a_node_that_refuses_or_runs_with_another_file_is_told(here: Office) -> None:
    assert beside(here, running(here, "draining"))[0][1].endswith(": it refuses what is new with 503")
    assert beside(here, running(here, config="/x"))[0][1] == "running, with /x, which is not what is told of here"
    assert len(beside(here, running(here), called="95588")) == 1  # refused: there is no place to be healthy


def test_limits_that_are_set_are_told(here: Office) -> None:
    here.configure(a="max_rate = 5", b="max_calls = 7", rest="[policy]\ncaller_max_calls = 1")
    result = "not asked: what is in use of it, the running node knows"
    assert beside(here)[:-1] == [
        ("limit a-side", result, "veil.toml:13 peer.max_rate = 5"),
        ("limit b-side", result, "veil.toml:19 peer.max_calls = 7"),
        ("limit caller", result, "veil.toml:31 policy.caller_max_calls = 1"),
    ]


def test_what_an_s_cscf_says_is_told_not_to_be_asked(here: Office) -> None:
    here.configure(a='profile = "isc"\nserved_side = "orig"')
    told = beside(here)[:-1]
    assert [(name, made_by) for name, _, made_by in told] == [
        ("Route", 'veil.toml:13 peer.profile = "isc"'),
        ("served side", 'veil.toml:14 peer.served_side = "orig"'),
    ]
    here.configure(a='profile = "isc"')
    assert [name for name, _, _ in beside(here)] == ["Route", "node"]
