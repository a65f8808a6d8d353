"""Every pair of states of every machine: what may follow, and what an illegal move says."""

from __future__ import annotations

import pytest

from engine.domain.problems import HTTP_STATUS, Problem, ProblemCode
from engine.domain.states import MACHINES, IllegalMove, first_state, next_state, states_of

# Written down a second time, as one reads it in the requirements: kind -> moves.
MOVES = {
    "app_platform": "draft>registered registered>active active>suspended suspended>active active>winding_down"
    " suspended>winding_down winding_down>closed",
    "business_user": "draft>registered registered>active active>frozen frozen>active active>closed frozen>closed",
    "contract": "draft>effective effective>expired effective>terminated",
    "scenario": "draft>approved approved>retired",
    "number_block": "granted>route_ready route_ready>opened opened>assigned assigned>recalling recalling>returned"
    " recalling>assigned",
    "number": "idle>bound bound>cooling bound>idle cooling>idle cooling>bound idle>locked bound>locked cooling>locked"
    " idle>frozen bound>frozen cooling>frozen locked>frozen frozen>locked locked>idle locked>bound locked>cooling"
    " frozen>idle frozen>bound frozen>cooling idle>returned cooling>returned locked>returned frozen>returned",
    "number_pool": "active>paused paused>active",
    "subscriber": "unknown>verified verified>revoked revoked>verified",
    "number_group": "active>deleted",
    "webhook": "active>paused active>dead paused>active dead>active",
    "service_order": "unverified>verified unverified>closed unverified>forged verified>closed verified>forged",
    "binding": "pending>active active>expired active>unbound active>revoked expired>held unbound>held revoked>held"
    " held>archived",
}


@pytest.mark.parametrize("kind", sorted(MACHINES))
def test_each_pair_is_a_move_or_names_the_legal_ones(kind: str) -> None:
    legal = {tuple(move.split(">")) for move in MOVES[kind].split()}
    for state in states_of(kind):
        follows = sorted(after for before, after in legal if before == state)
        for wanted in states_of(kind):
            if (state, wanted) in legal:
                next_state(kind, state, wanted)
                continue
            with pytest.raises(IllegalMove) as caught:
                next_state(kind, state, wanted)
            problem = caught.value
            assert problem.code is ProblemCode.ILLEGAL_STATE
            assert sorted(problem.legal) == follows
            assert f"cannot become {wanted}" in str(problem)
            assert all(after in problem.detail for after in follows)
            assert "\n" not in str(problem)


@pytest.mark.parametrize("kind", sorted(MACHINES))
def test_each_state_is_reached_from_the_first(kind: str) -> None:
    reached, waiting = set(), [first_state(kind)]
    while waiting:
        state = waiting.pop()
        if state not in reached:
            reached.add(state)
            waiting += MACHINES[kind][state]
    assert reached == set(states_of(kind))


def test_an_unknown_state_leads_nowhere() -> None:
    with pytest.raises(IllegalMove, match="a contract that is lost cannot become effective: it stays so for ever"):
        next_state("contract", "lost", "effective")


def test_every_code_has_its_status_and_a_problem_says_field_and_detail() -> None:
    assert set(HTTP_STATUS) == set(ProblemCode)
    problem = Problem(ProblemCode.NOT_FOUND, "tel_x", "is in no block", ("a",))
    assert (str(problem), problem.code, problem.field, problem.detail, problem.legal) == (
        "tel_x: is in no block", "NOT_FOUND", "tel_x", "is in no block", ("a",),
    )  # fmt: skip
