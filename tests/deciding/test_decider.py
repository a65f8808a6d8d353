"""What is decided without building a request is what the core decides when it builds one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from engine.config import Config
from engine.deciding import Decider, Outcome, Question, Rehearsal, Verdict, arrival_of
from engine.deciding.login import logged_in
from engine.store.glance import Glance
from tests.core.corenode import axb
from tests.explain.drawn import CALLED, CALLERS, SOURCES, Trunk, stores, trunks
from tests.explain.explained import AT, A, B, Office, X, office

TRANSIT = """
[[route]]
name = "through"
called = "^(1008|139)"
peers = ["b-side"]
transit = true
"""
ACCOUNTS = """
[[account]]
peer = "a-side"
user = "13800138000"
numbers = ["13800138000"]
ha1_sha256 = "{0}"

[[account]]
peer = "a-side"
user = "both"
numbers = ["13900139000", "2088888888"]
ha1_sha256 = "{0}"
""".format("0" * 64)


@pytest.fixture(scope="module")
def here() -> Iterator[Office]:
    with office() as made:
        yield made


def rehearsed(config: Config, question: Question, here: Office, at: float) -> tuple[Rehearsal, Verdict]:
    """The whole way, to the bytes; the verdict as its own code tells it."""
    settings = config.core_settings()
    arrival = arrival_of(settings, question)
    with closing(Glance(here.database, here.cipher)) as glance:
        rehearsal = Rehearsal(settings, glance, at, {})
        rehearsal.run(arrival.data, arrival.flow)
        if rehearsal.attempt is None and rehearsal.answer is not None and rehearsal.answer.status == 401:
            shown = logged_in(settings, arrival, rehearsal.answer)
            if shown is not None:
                rehearsal.run(shown[1].data, shown[1].flow)
        return rehearsal, Decider(settings, {}).decide(question, glance, at)


def assert_one(rehearsal: Rehearsal, told: Verdict) -> None:
    attempt = rehearsal.attempt
    if attempt is None:
        assert told.outcome is Outcome.ANSWERED
        assert rehearsal.answer is not None
        assert told.seen_status == rehearsal.answer.status
        return
    event(attempt.refusal.cause.value if attempt.refusal is not None else "sent")
    assert told.subs_id == attempt.record.subs_id
    assert told.presented_number == attempt.record.presented_number
    if attempt.refusal is not None:
        refusal = attempt.refusal
        assert told.outcome is Outcome.REFUSED
        assert (told.cause, told.decided_by) == (refusal.cause.value, refusal.decided_by)
        assert rehearsal.answer is not None
        assert (told.sip_status, told.q850, told.seen_status) == (
            refusal.status, refusal.q850, rehearsal.answer.status,
        )  # fmt: skip
        return
    assert told.outcome is Outcome.SENT
    hop = attempt.choice.hops[0]
    assert (told.places[0].peer, told.places[0].target) == (hop.peer.name, hop.target.uri)
    assert rehearsal.request is not None
    assert rehearsal.request.data.decode().split()[1] == told.request_uri


@settings(max_examples=300)
@given(data=st.data())
def test_a_decision_is_what_the_core_does(here: Office, data: st.DataObject) -> None:
    sides: dict[str, Trunk] = {"a-side": data.draw(trunks()), "b-side": data.draw(trunks())}
    more = data.draw(st.sampled_from(("", TRANSIT)))
    a = sides["a-side"].toml
    if data.draw(st.integers(0, 3)) == 0:
        more += ACCOUNTS
        a = "\n".join(["caller = 'digest'", *(line for line in a.splitlines() if not line.startswith("caller"))])
    config = here.configure(a, sides["b-side"].toml, more)
    here.bind(data.draw(stores()).values())
    question = Question(
        data.draw(st.sampled_from((A, A, B, *CALLERS))),
        data.draw(st.sampled_from((X,) * 20 + CALLED)),
        data.draw(st.sampled_from(("INVITE", "MESSAGE"))),
        data.draw(st.sampled_from(tuple(SOURCES))),
    )
    at = AT + data.draw(st.sampled_from((0.0, 0.999, 1.0, 86400.0)))
    assert_one(*rehearsed(config, question, here, at))


def test_questions_know_nothing_of_each_other(here: Office) -> None:
    """However often a number is asked about, and whatever limits there are."""
    config = here.configure(rest="[policy]\ncaller_max_rate = 1\ncaller_max_calls = 1", a="max_calls = 1\nmax_rate = 1")
    here.bind([axb()])
    decider = Decider(config.core_settings(), {})
    with closing(Glance(here.database, here.cipher)) as glance:
        asked = [decider.decide(Question(A, X, method, "a-side"), glance, AT) for method in ("INVITE", "MESSAGE") * 3]
    assert {one.outcome for one in asked} == {Outcome.SENT}
    assert len({one.places for one in asked}) == 1


def test_the_places_stand_by_priority_and_weight(here: Office) -> None:
    """And no lot is drawn: two questions have the same list."""
    targets = (
        'targets = [{ uri = "sip:127.0.0.21", priority = 1, weight = 1 }, { uri = "sip:127.0.0.22", priority = 1,'
        ' weight = 5 }, { uri = "sip:127.0.0.23" }]'
    )
    base = here.configure().text
    config = here.configure(text=base.replace('targets = ["sip:127.0.0.13:5060", "sip:127.0.0.14:5060"]', targets))
    here.bind([axb()])
    decider = Decider(config.core_settings(), {})
    with closing(Glance(here.database, here.cipher)) as glance:
        for _ in range(20):
            places = decider.decide(Question(A, X, peer="a-side"), glance, AT).places
            assert [place.target for place in places[:3]] == ["sip:127.0.0.23", "sip:127.0.0.22", "sip:127.0.0.21"]
            assert places[1].weight == 5
