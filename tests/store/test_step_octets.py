"""Steps in the format of marshal, by C: octet for octet what marshal makes of them."""

from __future__ import annotations

import gc
import marshal
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.durable_counted import played
from engine.core.records import KEEP, OPEN, ReleaseCause
from engine.store.segment import (
    IN_C,
    EncodeStep,
    decoded_step,
    encoded_step,
    kind_and_record,
    plain_encoded_step,
)
from tests.sipstack.scans import compile_c

INT32 = 1 << 31
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.integers(-INT32 - 2, INT32 + 1) | st.floats() | st.text(max_size=40)
    | st.text(st.characters(max_codepoint=127), max_size=40) | st.binary(max_size=40),
    lambda inner: st.tuples(inner, inner) | st.lists(inner, max_size=3) | st.lists(inner, max_size=3).map(tuple)
    | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=30,
)  # fmt: skip


@pytest.fixture(scope="module")
def in_c(tmp_path_factory: pytest.TempPathFactory) -> EncodeStep:
    """The one that is used, or would be."""
    if IN_C is not None:
        return IN_C
    made: EncodeStep = compile_c("engine.store.step_octets", tmp_path_factory.mktemp("c")).encoded_step
    return made


def test_what_is_compiled_is_used() -> None:
    assert encoded_step is (plain_encoded_step if IN_C is None else IN_C)


def test_the_steps_of_a_call(in_c: EncodeStep) -> None:
    (steps,) = played(1)
    for step in steps:
        octets = in_c(step.step, step.values, step.extra)
        assert octets == plain_encoded_step(step.step, step.values, step.extra)
        assert octets == marshal.dumps(marshal.dumps((int(step.step), step.values, step.extra), 2), 2)
        assert kind_and_record(octets[5:]) == (step.step, step.values[0].encode())
        assert decoded_step(octets[5:]) == (step.step, step.values, step.extra)


@given(step=st.integers(-INT32, INT32 - 1), values=st.lists(VALUES, max_size=12).map(tuple), extra=VALUES)
def test_any_values(in_c: EncodeStep, step: int, values: tuple[Any, ...], extra: Any) -> None:
    assert in_c(step, values, extra) == plain_encoded_step(step, values, extra)


@given(sizes=st.lists(st.sampled_from([0, 1, 200, 3_900, 4_070, 4_096, 9_000, 70_000]), max_size=6))
def test_steps_of_any_length(in_c: EncodeStep, sizes: list[int]) -> None:
    for values in (
        tuple("x" * size for size in sizes),
        tuple(b"x" * size for size in sizes),
        tuple(["é" * size, None, 1.5, True, 7, 1 << 40] for size in sizes),
        tuple((None,) * size for size in sizes),
    ):
        assert in_c(OPEN, values, None) == plain_encoded_step(OPEN, values, None)


def test_tuples_in_tuples(in_c: EncodeStep) -> None:
    deep: tuple[Any, ...] = ("x",)
    for _ in range(40):
        deep = (deep, "é", 1)
        assert in_c(KEEP, deep, deep) == plain_encoded_step(KEEP, deep, deep)


@pytest.mark.parametrize("bad", [object(), ReleaseCause.NORMAL, (1, {2: (object(),)}), KEEP])
def test_what_marshal_cannot_hold_is_refused_as_by_marshal(in_c: EncodeStep, bad: object) -> None:
    for values, extra in ((("a", bad), None), (("a",), bad), (("a" * 5_000, (bad,)), None)):
        with pytest.raises(ValueError, match="unmarshallable object"):
            plain_encoded_step(OPEN, values, extra)
        with pytest.raises(ValueError, match="unmarshallable object"):
            in_c(OPEN, values, extra)


def test_what_is_no_step_is_refused(in_c: EncodeStep) -> None:
    for step in (INT32, -INT32 - 1, 1 << 80):
        with pytest.raises(ValueError, match="unmarshallable object"):
            in_c(step, ("a",), None)
    with pytest.raises(TypeError):
        in_c("1", ("a",), None)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        in_c(1, ("a",))  # type: ignore[call-arg]


def test_nothing_of_it_is_kept(in_c: EncodeStep) -> None:
    text = "of its own" * 3
    values = (text, 1 << 40, "é", (text, [text]), 1.25)
    gc.collect()
    owners, blocks = sys.getrefcount(text), sys.getallocatedblocks()
    for _ in range(500):
        in_c(OPEN, values, text)
        with pytest.raises(ValueError, match="unmarshallable"):
            in_c(OPEN, (*values, object()), "x" * 9_000)
    assert sys.getrefcount(text) == owners
    gc.collect()  # errors that were caught stand in cycles
    assert sys.getallocatedblocks() < blocks + 250
