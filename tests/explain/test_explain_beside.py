"""What is said of a running node beside what is told of the file: its state, limits, health; and what is not asked."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Final

import pytest

from engine.config import load
from engine.core.binding import Binding, Conditions
from engine.core.health import STATES
from engine.core.limits import InUse
from engine.core.trunks import Unwell
from engine.deciding import Caller, Live
from engine.explain import Explanation, Question, arrival_of, explain
from engine.store.glance import Glance
from tests.core.corenode import axb
from tests.explain.explained import AT, A, Office, X, office


@pytest.fixture
def here() -> Iterator[Office]:
    with office() as made:
        made.bind([axb(expires_at=AT + 60)])
        yield made


def told_beside(here: Office, node: Live | None, called: str = X) -> Explanation:
    config = load(here.file)
    arrival = arrival_of(config.core_settings(), Question(A, called, peer="a-side"))
    with closing(Glance(here.database, here.cipher)) as glance:
        return explain(config, arrival, glance, AT, {}, ask_node=lambda _: node)


def beside(here: Office, node: Live | None = None, called: str = X) -> list[tuple[str, str, str]]:
    lines = told_beside(here, node, called).lines
    return [(line.name, line.result, line.made_by) for line in lines if line.stage == "beside"]


NOTHING: Final = InUse({}, {}, 0, 0.0)


def running(here: Office, in_use: InUse = NOTHING, *, is_other: bool = False, **health: str) -> Live:
    """What a node says whose b-side is as given, by the last number of its address."""
    unwell = [
        Unwell("UDP", f"127.0.0.{host[1:]}", 5060, STATES.index(state), 0, 60.0, AT) for host, state in health.items()
    ]
    text = load(here.file).text
    return Live("/x" if is_other else str(here.file), text, "running", False, 0.0, in_use, 0, unwell, {})


def _with(node: Live, **changes: object) -> Live:
    return node._replace(**changes)  # type: ignore[arg-type]


def test_without_a_node_it_says_so(here: Office) -> None:
    [(name, result, made_by)] = beside(here)
    assert (name, result) == ("node", "none answers here: what is told is of the file and the store alone")
    assert made_by == 'veil.toml:4 node.data_dir = "data"'


def test_a_place_that_is_down_is_passed_over(here: Office) -> None:
    """As the node itself would do, and the request leaves for the next one."""
    node = running(here, h13="down")
    told = told_beside(here, node)
    assert (told.is_live, told.next_hop) == (True, "udp:127.0.0.14:5060")
    assert [line.result.partition("; ")[0] for line in told.lines if line.stage == "target"] == [
        "sip:127.0.0.13:5060, passed over: it is down",
        "sip:127.0.0.14:5060, taken: those before it are passed over",
        "sip:127.0.0.12:5060, when those before it fail, number 3",
    ]
    assert [(name, result) for name, result, _ in beside(here, node)] == [
        ("node", f"running, with {here.file}"),
        ("health b-side", "udp:127.0.0.13:5060 is down since 2026-09-21T14:13:20.000Z"),
        ("health b-side", "udp:127.0.0.14:5060 is up"),
        ("health a-side", "udp:127.0.0.12:5060 is up"),
    ]
    told = told_beside(here, running(here, h12="down", h13="down", h14="down"))
    assert (told.sent, told.cause, told.decided_by) == (False, "ALL_TARGETS_FAILED", "targets")


def test_a_node_that_refuses_or_runs_with_another_file_is_told(here: Office) -> None:
    draining = _with(running(here), state="draining")
    assert beside(here, draining)[0][1].endswith(": it refuses what is new with 503")
    told = told_beside(here, draining)
    assert (told.cause, told.decided_by, told.seen_status) == ("OVERLOAD", "drain", 503)
    assert not [line for line in told.lines if line.stage == "policy"]
    assert told_beside(here, _with(running(here), is_store_behind=True)).decided_by == "store"
    other = running(here, is_other=True, h13="down")
    assert beside(here, other)[0][1] == "running, with /x, which is not what is told of here"
    assert (told_beside(here, other).is_live, told_beside(here, other).next_hop) == (False, "udp:127.0.0.13:5060")
    changed = _with(running(here), text="")
    assert beside(here, changed)[0][1].endswith(", as it was before it was changed: --live tells of that")
    assert beside(here, _with(running(here), shed_share=0.3))[0][1].endswith(
        ": it turns away 30% of what is new, told as if this were none of those"
    )
    assert len(beside(here, running(here), called="95588")) == 1  # refused: there is no place to be healthy


def test_limits_that_are_set_are_told(here: Office) -> None:
    here.configure(a="max_rate = 5", b="max_calls = 7", rest="[policy]\ncaller_max_calls = 1")
    places = ("veil.toml:13 peer.max_rate = 5", "veil.toml:19 peer.max_calls = 7",
              "veil.toml:31 policy.caller_max_calls = 1")  # fmt: skip
    nobody = "no node answers: told as if nothing were in use of it"
    names = ("limit a-side", "limit b-side", "limit caller")
    assert beside(here)[:-1] == list(zip(names, (nobody,) * 3, places, strict=True))
    some = InUse({"b-side": 3}, {"a-side": 0.4}, 0, 0.0)
    told = beside(here, running(here, some))
    assert [result for name, result, _ in told if name in names] == [
        "all of it is free in 0.40 s",
        "3 in use",
        "0 in use",
    ]


@pytest.mark.parametrize(
    ("used", "decided_by"),
    [
        (InUse({"a-side": 2}, {}, 0, 0.0), "peer_limit"),
        (InUse({}, {"a-side": 1.0}, 0, 0.0), "peer_limit"),
        (InUse({}, {}, 1, 0.0), "caller_limit"),
        (InUse({}, {}, 0, 60.0), "caller_limit"),
        (InUse({"b-side": 7}, {}, 0, 0.0), ""),
    ],
)
def test_what_is_used_up_decides(here: Office, used: InUse, decided_by: str) -> None:
    limits = "[policy]\ncaller_max_calls = 1\ncaller_max_rate = 3"
    here.configure(a="max_calls = 2\nmax_rate = 5", b="max_calls = 7", rest=limits)
    assert told_beside(here, running(here, NOTHING)).sent
    told = told_beside(here, running(here, used))
    assert told.decided_by == decided_by
    if not decided_by:  # the other side has no room: its places are passed over
        assert (told.egress_peer, told.target, told.next_hop) == (
            "a-side", "sip:127.0.0.12:5060", "udp:127.0.0.12:5060",
        )  # fmt: skip
        results = [line.result for line in told.lines if line.stage == "target"]
        assert "passed over: max_calls or max_rate of the peer is used up" in results[0]


def test_the_calls_of_a_day_are_those_that_the_node_has_counted(here: Office) -> None:
    asked: list[Caller] = []

    def ask(caller: Caller) -> Live:
        asked.append(caller)
        return _with(running(here), calls_of_day=2)

    config = load(here.file)
    arrival = arrival_of(config.core_settings(), Question(A, X, peer="a-side"))
    daily = axb(expires_at=AT + 60)._replace(conditions=Conditions(calls_per_day=2))

    class Store:
        def find(self, x: str, caller: str, wall_s: float) -> Binding:
            return daily

    assert explain(config, arrival, Store(), AT, {}).sent
    told = explain(config, arrival, Store(), AT, {}, ask_node=ask)
    assert (told.cause, told.decided_by) == ("RATE_LIMITED", "day_limit")
    assert asked == [Caller("a-side", A, X, daily.subs_id)]


def test_what_an_s_cscf_says_is_told_not_to_be_asked(here: Office) -> None:
    here.configure(a='profile = "isc"\nserved_side = "orig"')
    told = beside(here)[:-1]
    assert [(name, made_by) for name, _, made_by in told] == [
        ("Route", 'veil.toml:13 peer.profile = "isc"'),
        ("served side", 'veil.toml:14 peer.served_side = "orig"'),
    ]
    here.configure(a='profile = "isc"')
    assert [name for name, _, _ in beside(here)] == ["Route", "node"]
