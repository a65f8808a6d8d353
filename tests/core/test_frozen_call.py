"""What an answered call is stored as: all of it comes back, whatever the two ends have written."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.core.adoption import SKIPPED
from engine.core.call import Call
from engine.core.frozen_call import VERSION, FrozenCall, FrozenSide, freeze, read_frozen
from engine.core.session_bodies import FrozenOrigin
from engine.core.session_timer import last_known
from engine.store.rows import extra_to_json
from tests.core.corenode import CoreNode
from tests.core.parties import talking
from tests.core.restart import frozen_of, restarted

TEXT = st.text(st.characters(codec="utf-8"), max_size=12)
NUMBER = st.integers(-1, 2**31 - 1)
OCTETS = st.binary(max_size=20)
FLOW = st.tuples(st.sampled_from(("UDP", "TCP", "TLS")), TEXT, st.integers(0, 65535), TEXT)
PAIRS = st.lists(st.tuples(NUMBER, NUMBER), max_size=4).map(tuple)


def several(values: st.SearchStrategy[object]) -> st.SearchStrategy[tuple[object, ...]]:
    return st.lists(values, max_size=3).map(tuple)


ORIGIN = st.builds(FrozenOrigin, NUMBER, NUMBER, several(OCTETS), several(OCTETS), several(st.tuples(OCTETS, OCTETS)))
SIDE = st.builds(
    FrozenSide, TEXT, TEXT, TEXT, TEXT, TEXT, NUMBER, NUMBER, TEXT, several(TEXT), TEXT, TEXT, several(TEXT), FLOW,
    PAIRS, PAIRS, several(NUMBER), NUMBER, ORIGIN,
)  # fmt: skip
CALL = st.builds(
    FrozenCall, st.just(VERSION), TEXT, NUMBER, st.floats(0, 1e9), st.floats(0, 1e9), st.none() | st.floats(0, 1e9),
    NUMBER, st.booleans(), OCTETS, FLOW, SIDE, SIDE, st.floats(0, 1e9),
)  # fmt: skip


@settings(max_examples=50, deadline=None)
@given(call=CALL)
def test_round_trip(call: FrozenCall) -> None:
    assert read_frozen(json.loads(extra_to_json(call))) == call


def test_a_call_that_is_taken_over_freezes_to_the_same_but_for_the_numbers_that_skip() -> None:
    talk = talking(CoreNode())
    before = frozen_of(talk.node)
    second = restarted(talk.node, after_s=0.0)
    (call,) = second.service.attempts
    assert isinstance(call, Call)
    after = freeze(call, last_known(call))
    skipped = SKIPPED
    assert after == before._replace(
        epoch=2, caller=further(before.caller, skipped), callee=further(before.callee, skipped)
    )
    talk.node = second
    second.book.wire_out("SIP/2.0 200")
    talk.from_caller("ACK")
    second.book.wire_out("ACK ")
    talk.hang_up()


def further(side: FrozenSide, skipped: int) -> FrozenSide:
    origin = side.origin._replace(version=side.origin.version + skipped)
    return side._replace(local_seq=side.local_seq + skipped, origin=origin)


@pytest.mark.parametrize("spoil", ["version", "short", "text", "nothing"])
def test_what_is_no_frozen_call(spoil: str) -> None:
    talk = talking(CoreNode())
    stored: object = json.loads(extra_to_json(frozen_of(talk.node)))
    assert isinstance(stored, list)
    if spoil == "version":
        stored[0] = VERSION + 1
    elif spoil == "short":
        del stored[-2:]  # the last one is missing in older rows
    else:
        stored = "call" if spoil == "text" else None
    with pytest.raises(ValueError, match="frozen call"):
        read_frozen(stored)
    talk.hang_up()
