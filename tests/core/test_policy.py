"""Decision steps: each refusal, their order, and that a refusal is the first one found."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest

from engine.core import policy
from engine.core.binding import Binding, Miss
from engine.core.numbers import Dialled, DialledKind
from engine.core.policy import (
    STEPS_AFTER_LOOKUP,
    STEPS_BEFORE_LOOKUP,
    Facts,
    Refusal,
    first_refusal,
    refusal_after_lookup,
    refusal_before_lookup,
)
from engine.core.records import RELEASE, ReleaseCause
from engine.core.settings import PeerSettings

A = "13800138000"
B = "13900139000"
X = "700123456780001"
OTHER_X = "700123456780002"
NOW = 1_790_000_000.0
PEER = PeerSettings("p", (), ())
SERVING = replace(PEER, serves_700=("70012345678",))

BINDING = Binding("s", 1, "AXB", X, "", A, B, X, "ap", "bu", "o", "express", NOW + 60)
CALLED_X = Dialled(DialledKind.PRIVACY, X)
CALLER_A = Dialled(DialledKind.REAL, A)
UNKNOWN = Dialled(DialledKind.UNKNOWN, "")


def facts(
    called: Dialled = CALLED_X,
    caller: Dialled = CALLER_A,
    found: Binding | Miss | None = BINDING,
    peer: PeerSettings = PEER,
    wall_s: float = NOW,
) -> Facts:
    known = Facts(called, caller, peer, wall_s)
    known.found = found
    return known


def before(known: Facts) -> Refusal | None:
    """What the table says, and what is called by name where nothing slows it down."""
    found = first_refusal(STEPS_BEFORE_LOOKUP, known)
    assert refusal_before_lookup(known) == found
    return found


def after(known: Facts) -> Refusal | None:
    """The same behind the lookup."""
    found = first_refusal(STEPS_AFTER_LOOKUP, known)
    assert refusal_after_lookup(known) == found
    return found


def refusal(cause: ReleaseCause, status: int, q850: int, decided_by: str) -> Refusal:
    return Refusal(cause, decided_by, (status, q850))


# -- what passes -------------------------------------------------------------------------------------------------------


def test_party_of_a_binding_in_force_passes() -> None:
    assert before(facts()) is None and after(facts()) is None


def test_700_caller_passes_from_the_peer_that_serves_its_block() -> None:
    caller = Dialled(DialledKind.PRIVACY, "700123456789999")
    assert before(facts(caller=caller, peer=SERVING)) is None


# -- each refusal of contract §5 ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("called", "expected"),
    [
        (Dialled(DialledKind.PRIVACY_SHORT, "7001"), refusal(ReleaseCause.BAD_NUMBER, 484, 28, "called_number")),
        (Dialled(DialledKind.PRIVACY_LONG, X + "1"), refusal(ReleaseCause.BAD_NUMBER, 404, 28, "called_number")),
        (Dialled(DialledKind.REAL, B), refusal(ReleaseCause.NO_ROUTE, 404, 3, "called_number")),
        (UNKNOWN, refusal(ReleaseCause.NO_ROUTE, 404, 3, "called_number")),
    ],
)
def test_called_number(called: Dialled, expected: Refusal) -> None:
    assert before(facts(called=called)) == expected


def test_x_calls_x() -> None:
    expected = refusal(ReleaseCause.LOOP, 482, 25, "loop")
    assert before(facts(caller=CALLED_X)) == expected
    assert before(facts(caller=CALLED_X, peer=SERVING)) == expected  # served or not
    assert before(facts(caller=Dialled(DialledKind.PRIVACY, OTHER_X), peer=SERVING)) is None


@pytest.mark.parametrize(
    ("caller", "peer"),
    [
        (Dialled(DialledKind.PRIVACY, OTHER_X), PEER),  # no block at all
        (Dialled(DialledKind.PRIVACY, OTHER_X), replace(PEER, serves_700=("70012345679", "70099999999"))),
        (Dialled(DialledKind.PRIVACY_SHORT, "70012345678"), SERVING),
        (Dialled(DialledKind.PRIVACY_LONG, OTHER_X + "0"), SERVING),
        (UNKNOWN, SERVING),  # anonymous, or unreadable
    ],
)
def test_caller_that_is_not_entitled(caller: Dialled, peer: PeerSettings) -> None:
    expected = refusal(ReleaseCause.NOT_IN_CALLER_SET, 403, 21, "caller_entitled")
    assert before(facts(caller=caller, peer=peer)) == expected


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (Miss.UNBOUND, refusal(ReleaseCause.NO_BINDING, 404, 1, "bound")),
        (Miss.NOT_A_PARTY, refusal(ReleaseCause.NOT_IN_CALLER_SET, 403, 21, "bound")),
        (None, refusal(ReleaseCause.NO_BINDING, 404, 1, "bound")),  # fail closed
        (
            BINDING._replace(expires_at=NOW - 1),
            refusal(ReleaseCause.BINDING_EXPIRED, 404, 1, "in_force"),
        ),
        (BINDING._replace(callee=A), refusal(ReleaseCause.LOOP, 482, 25, "not_to_self")),
        (BINDING._replace(callee=X), refusal(ReleaseCause.LOOP, 482, 25, "not_to_self")),
    ],
)
def test_after_the_lookup(found: Binding | Miss | None, expected: Refusal) -> None:
    assert after(facts(found=found)) == expected


@pytest.mark.parametrize(("late_s", "expired"), [(-0.001, False), (0.0, True), (0.001, True), (1e9, True)])
def test_binding_ends_in_the_second_that_it_names(late_s: float, expired: bool) -> None:
    found = after(facts(wall_s=BINDING.expires_at + late_s))
    assert (found is not None and found.cause is ReleaseCause.BINDING_EXPIRED) is expired


# -- order -------------------------------------------------------------------------------------------------------------


def test_order_of_the_steps() -> None:
    assert [step.__name__ for step in STEPS_BEFORE_LOOKUP] == ["called_number", "loop", "caller_entitled"]
    assert [step.__name__ for step in STEPS_AFTER_LOOKUP] == [
        "unrestricted", "bound", "in_force", "way_open", "within_hours", "not_blacklisted", "real_names_known",
        "order_not_over", "not_to_self",
    ]  # fmt: skip


def test_a_bad_called_number_is_told_before_anything_about_the_caller() -> None:
    short = Dialled(DialledKind.PRIVACY_SHORT, "7001")
    found = before(facts(called=short, caller=UNKNOWN))
    assert found is not None and found.cause is ReleaseCause.BAD_NUMBER


def test_expiry_is_told_before_the_loop() -> None:
    """Both answers say 404 or 482; what an expired binding pointed at is nobody's business any more."""
    found = after(facts(found=BINDING._replace(callee=A, expires_at=NOW - 1)))
    assert found is not None and found.cause is ReleaseCause.BINDING_EXPIRED


def test_first_refusal_ends_it() -> None:
    asked: list[str] = []

    def step(name: str, verdict: Refusal | None) -> policy.Step:
        def ask(known: Facts) -> Refusal | None:
            asked.append(name)
            return verdict

        return ask

    first, second = Refusal(ReleaseCause.LOOP, "b"), Refusal(ReleaseCause.NO_ROUTE, "c")
    steps = (step("a", None), step("b", first), step("c", second))
    assert first_refusal(steps, facts()) is first
    assert asked == ["a", "b"]
    assert first_refusal((), facts()) is None


def test_steps_before_the_lookup_do_not_look_at_what_is_found() -> None:
    """The order of the questions is the order of the answers: the store has not been asked yet."""
    kinds = [Dialled(kind, "" if kind is DialledKind.UNKNOWN else X) for kind in DialledKind]
    for called, caller, peer in product(kinds, kinds, (PEER, SERVING)):
        answers = {str(before(facts(called, caller, found, peer))) for found in (None, BINDING, *Miss)}
        assert len(answers) == 1


def test_whatever_passes_all_steps_is_a_privacy_number_and_a_binding_in_force() -> None:
    kinds = [Dialled(kind, "" if kind is DialledKind.UNKNOWN else OTHER_X) for kind in DialledKind]
    bindings = [None, *Miss, BINDING, BINDING._replace(expires_at=NOW), BINDING._replace(callee=OTHER_X)]
    passed = 0
    for called, caller, found, peer in product([*kinds, CALLED_X], [*kinds, CALLER_A], bindings, (PEER, SERVING)):
        known = facts(called, caller, found, peer)
        if before(known) is None and after(known) is None:
            passed += 1
            assert called.kind is DialledKind.PRIVACY
            assert caller.kind is DialledKind.REAL or (caller.kind is DialledKind.PRIVACY and peer is SERVING)
            assert isinstance(found, Binding) and found.expires_at > NOW and found.callee != caller.number
    assert passed > 0


# -- the refusal itself ------------------------------------------------------------------------------------------------


def test_refusal_takes_its_codes_from_the_table_of_causes() -> None:
    for cause, pair in RELEASE.items():
        made = Refusal(cause, "x")
        assert (made.status, made.q850) == pair
    assert Refusal(ReleaseCause.LOOP, "x", (1, 2)).status == 1


def test_refusals_compare_by_value_and_show_no_number() -> None:
    one, same, other = (Refusal(ReleaseCause.LOOP, name) for name in ("a", "a", "b"))
    assert one == same and one != other and one != "a"
    assert one != Refusal(ReleaseCause.LOOP, "a", (482, 1))
    assert repr(one) == "Refusal(LOOP, 482, 25, a)"
